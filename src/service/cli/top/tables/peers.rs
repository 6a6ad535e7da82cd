//! The table of peers.

use super::super::sample::{Sample, peer_key, table_key};
use super::super::table::{Cell, Column, Row, number, text};
use super::Scope;
use crate::num::to_u64;
use crate::telemetry::status::{Peer, PeerState, peer_attention, peer_findings};

pub(super) const COLUMNS: [Column; 9] = [
    text("Router", 14, 2, 0),
    text("Peer", 15, 1, 0),
    number("AS", 10, 4),
    text("State", 6, 0, 0),
    number("Records/s", 9, 1),
    number("Records", 8, 2),
    text("Views", 10, 2, 3),
    number("Tables", 6, 5),
    text("Attention", 16, 3, 0),
];

pub(super) fn rows(sample: &Sample, scope: &Scope) -> Vec<Row> {
    let routers = sample.routers.iter().filter(|one| scope.has_router(&one.now.name));
    let rows = routers.flat_map(|observed| {
        let rates = observed.tables();
        let peers = observed.now.peers.iter();
        peers
            .map(|peer| {
                let keys = peer.tables().map(|(view, one)| table_key(peer, view, &one.family));
                let rate = keys.map(|key| rates.get(&key).copied()).sum::<Option<f64>>();
                row(&observed.now.name, observed.now.connected, peer, rate)
            })
            .collect::<Vec<_>>()
    });
    rows.collect()
}

/// The row of a peer with this number of route records per second.
fn row(router: &str, is_connected: bool, peer: &Peer, rate: Option<f64>) -> Row {
    let findings = peer_findings(peer, is_connected);
    let records = peer.tables().map(|(_, one)| one.routes).fold(0, u64::saturating_add);
    let views: Vec<&str> = peer.views.keys().map(String::as_str).collect();
    let of_session = |cell: Cell| if peer.state == PeerState::Stale { Cell::none() } else { cell };
    Row {
        key: format!("{router} {}", peer_key(peer)),
        router: router.to_owned(),
        peer: peer_key(peer),
        rank: findings.first().map_or(u8::from(peer.state == PeerState::Stale), |one| one.rank()),
        load: 0,
        cells: vec![
            Cell::text(router),
            Cell::text(peer.name()),
            Cell::number(peer.asn.to_string(), f64::from(peer.asn)),
            Cell::text(peer.state.to_string()),
            of_session(Cell::rate(rate)),
            of_session(Cell::count(records)),
            of_session(Cell::text(views.join(" "))),
            of_session(Cell::count(to_u64(peer.tables().count()))),
            Cell::text(peer_attention(peer, &findings)),
        ],
    }
}
