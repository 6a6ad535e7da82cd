//! The table of address families: one row for each table of a peer.

use super::super::sample::{Sample, peer_key, table_key};
use super::super::table::{Cell, Column, Row, number, text};
use super::Scope;
use crate::telemetry::status::{Family, Finding, Peer};

pub(super) const COLUMNS: [Column; 8] = [
    text("Router", 12, 2, 0),
    text("Peer", 13, 1, 0),
    number("AS", 10, 4),
    text("View", 11, 0, 2),
    text("Family", 13, 1, 0),
    number("Records/s", 9, 1),
    number("Records", 8, 3),
    text("Table", 16, 3, 0),
];

pub(super) fn rows(sample: &Sample, scope: &Scope) -> Vec<Row> {
    let mut rows = Vec::new();
    for observed in sample.routers.iter().filter(|one| scope.has_router(&one.now.name)) {
        let rates = observed.tables();
        for peer in observed.now.peers.iter().filter(|peer| scope.has_peer(&peer_key(peer))) {
            for (view, table) in peer.tables() {
                let key = table_key(peer, view, &table.family);
                let rate = rates.get(&key).copied();
                rows.push(row(&observed.now.name, peer, view, table, rate));
            }
        }
    }
    rows
}

fn row(router: &str, peer: &Peer, view: &str, table: &Family, rate: Option<f64>) -> Row {
    Row {
        key: format!("{router} {}", table_key(peer, view, &table.family)),
        router: router.to_owned(),
        peer: peer_key(peer),
        rank: match table {
            Family { missing: true, .. } => Finding::TablesMissing(1).rank(),
            Family { suspect: true, .. } => Finding::TablesSuspect(1).rank(),
            table => u8::from(table.stale.is_some()),
        },
        load: 0,
        cells: vec![
            Cell::text(router),
            Cell::text(peer.name()),
            Cell::number(peer.asn.to_string(), f64::from(peer.asn)),
            Cell::text(view),
            Cell::text(&table.family),
            Cell::rate(rate),
            Cell::count(table.routes),
            Cell::text(state(table)),
        ],
    }
}

/// How complete a table is, and what needs attention about it.
fn state(table: &Family) -> String {
    let mut parts = Vec::new();
    if table.missing {
        parts.push("MISSING".to_owned());
    } else {
        parts.push(table.completeness.to_string());
    }
    if table.suspect {
        parts.push("SUSPECT".to_owned());
    }
    parts.extend(table.stale.map(|reason| format!("stale routes: {reason}")));
    parts.join(", ")
}
