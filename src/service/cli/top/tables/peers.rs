//! The table of peers.

use super::super::sample::{Sample, peer_key, table_key};
use super::super::table::{Cell, Column, Row, number, text};
use super::Scope;
use crate::num::to_u64;
use crate::telemetry::status::{Family, Finding, Peer, PeerState};

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
    let count = |is: fn(&Family) -> bool| to_u64(peer.tables().filter(|(_, one)| is(one)).count());
    let (missing, suspect) = (count(|one| one.missing), count(|one| one.suspect));
    let findings = [
        (missing > 0).then_some(Finding::TablesMissing(missing)),
        (suspect > 0).then_some(Finding::TablesSuspect(suspect)),
        (peer.state == PeerState::Stale && is_connected).then_some(Finding::PeersStale(1)),
        (peer.state == PeerState::Down).then_some(Finding::PeersDown(1)),
    ];
    let findings: Vec<Finding> = findings.into_iter().flatten().collect();
    let mut attention: Vec<String> = Vec::new();
    attention.extend(peer.reason.map(|reason| reason.to_string()));
    // The state column has the other findings.
    let in_tables = |one: &&Finding| matches!(one, Finding::TablesMissing(_) | Finding::TablesSuspect(_));
    attention.extend(findings.iter().filter(in_tables).map(Finding::to_string));
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
            Cell::text(name(peer)),
            Cell::number(peer.asn.to_string(), f64::from(peer.asn)),
            Cell::text(peer.state.to_string()),
            of_session(Cell::rate(rate)),
            of_session(Cell::count(records)),
            of_session(Cell::text(views.join(" "))),
            of_session(Cell::count(to_u64(peer.tables().count()))),
            Cell::text(attention.join(", ")),
        ],
    }
}

/// The address of a peer, with its distinguisher if there is one.
pub(super) fn name(peer: &Peer) -> String {
    match peer.distinguisher.as_str() {
        "0:0" => peer.address.clone(),
        distinguisher => format!("{} rd {distinguisher}", peer.address),
    }
}
