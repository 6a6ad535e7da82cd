//! The table of lanes.

use super::super::sample::Sample;
use super::super::table::{Cell, Column, Row, number, text};
use crate::num::{floor_to_u64, to_f64};
use crate::telemetry::status::{Finding, Lane};

pub(super) const COLUMNS: [Column; 7] = [
    number("Lane", 4, 0),
    text("Class", 5, 0, 1),
    text("State", 22, 0, 0),
    number("Lag", 10, 0),
    number("Batch", 11, 2),
    number("Batches/s", 9, 1),
    text("Last error", 10, 1, 0),
];

pub(super) fn rows(sample: &Sample) -> Vec<Row> {
    let lanes = sample.document.delivery.iter().flat_map(|delivery| &delivery.lanes);
    lanes.map(|lane| row(sample, lane)).collect()
}

fn row(sample: &Sample, lane: &Lane) -> Row {
    let rank = if lane.state.is_healthy() { 0 } else { Finding::NotConnected.rank() };
    Row {
        key: format!("{:05}", lane.lane),
        router: String::new(),
        peer: String::new(),
        rank,
        load: lane.lag_s.map_or(u64::MAX, floor_to_u64),
        cells: vec![
            Cell::number(lane.lane.to_string(), f64::from(lane.lane)),
            Cell::text(lane.class.as_str()),
            Cell::text(lane.state.to_string()),
            Cell::seconds(lane.lag_s),
            lane.seq.map_or_else(Cell::unknown, |seq| Cell::number(seq.to_string(), to_f64(seq))),
            Cell::rate(sample.lane_batches(lane)),
            lane.last_error.as_ref().map_or_else(Cell::none, Cell::text),
        ],
    }
}
