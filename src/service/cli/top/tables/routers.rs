//! The table of routers.

use super::super::sample::{Observed, Sample};
use super::super::table::{Cell, Column, Row, load, number, text};
use crate::num::{to_f64, to_u64};
use crate::telemetry::status::{PeerState, router_state};

pub(super) const COLUMNS: [Column; 15] = [
    text("Router", 14, 2, 0),
    text("State", 24, 1, 0),
    number("Peers up", 8, 3),
    number("Records/s", 9, 0),
    number("Msgs/s", 8, 5),
    number("Bytes/s", 10, 4),
    number("Queue", 9, 1),
    number("Blocked", 7, 6),
    number("Backlog", 10, 2),
    number("Last msg", 9, 7),
    number("Records", 8, 8),
    number("Errors", 7, 9),
    text("Address", 22, 0, 10),
    text("Transport", 14, 0, 11),
    text("Description", 12, 2, 12),
];

pub(super) fn rows(sample: &Sample) -> Vec<Row> {
    sample.routers.iter().map(|observed| row(sample, observed)).collect()
}

fn row(sample: &Sample, observed: &Observed) -> Row {
    let router = &observed.now;
    let findings = sample.context.findings(router);
    let up = to_u64(router.peers.iter().filter(|peer| peer.state == PeerState::Up).count());
    let queue = router.transport.receive_queue_bytes;
    let blocked = sample
        .blocked_share(router)
        .map_or_else(Cell::unknown, |share| Cell::number(format!("{:.0} %", share * 100.0), share));
    // The values of a session that does not exist are neither 0 nor unknown.
    let of_session = |cell: Cell| if router.connected { cell } else { Cell::none() };
    let security = router.transport.security.as_str();
    Row {
        key: router.name.clone(),
        router: router.name.clone(),
        peer: String::new(),
        rank: findings.first().map_or(0, |finding| finding.rank()),
        load: load(queue.saturating_add(router.log_bytes)),
        cells: vec![
            Cell::text(&router.name),
            Cell::text(router_state(router, &findings)),
            Cell::number(format!("{up}/{}", router.peers.len()), to_f64(up)),
            of_session(Cell::rate(observed.records())),
            of_session(Cell::rate(observed.messages())),
            of_session(Cell::byte_rate(observed.bytes())),
            of_session(Cell::bytes(queue)),
            of_session(blocked),
            Cell::bytes(router.log_bytes),
            of_session(Cell::seconds(router.last_message_age_s)),
            of_session(Cell::count(router.routes)),
            of_session(Cell::count(router.errors)),
            router.address.as_ref().map_or_else(Cell::none, Cell::text),
            of_session(Cell::text(if security.is_empty() { "TCP" } else { security })),
            Cell::text(&router.sys_descr),
        ],
    }
}
