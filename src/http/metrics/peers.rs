//! Single peers, unless there are too many.

use super::{Metric, Samples, Scrape, flag};
use crate::num::{to_f64, to_u64};
use crate::telemetry::status::{Completeness, Family, Peer, PeerState, Router};

/// Labels that identify a peer.
const PEER: [&str; 6] = ["router", "peer", "asn", "distinguisher", "bgp_id", "type"];

/// Labels that identify a table of a peer.
const TABLE: [&str; 8] = ["router", "peer", "asn", "distinguisher", "bgp_id", "type", "view", "family"];

pub(super) const METRICS: &[Metric] = &[
    Metric::gauge(
        "peer_up",
        &PEER,
        "1 if the BGP session of the peer is established, 0 if it is down or the peer is stale",
        |scrape, samples| peers(scrape, samples, |peer| flag(peer.state == PeerState::Up)),
    ),
    Metric::counter("peer_downs", &PEER, "Peer Downs of the peer while it was up", |scrape, samples| {
        peers(scrape, samples, |peer| to_f64(peer.downs))
    }),
    Metric::counter(
        "peer_routes",
        &TABLE,
        "Route records of the table: announcements and withdrawals since the last Peer Up",
        |scrape, samples| tables(scrape, samples, |family| to_f64(family.routes)),
    ),
    Metric::gauge(
        "peer_table_complete",
        &TABLE,
        "1 if End-of-RIB was received, so that the table is complete",
        |scrape, samples| {
            tables(scrape, samples, |family| flag(family.completeness == Completeness::Complete));
        },
    ),
    Metric::gauge(
        "peer_table_missing",
        &TABLE,
        "1 if the family is negotiated, without routes or End-of-RIB minutes after Peer Up",
        |scrape, samples| tables(scrape, samples, |family| flag(family.missing)),
    ),
    Metric::gauge(
        "peer_table_suspect",
        &TABLE,
        "1 if the table may be wrong until the next complete dump",
        |scrape, samples| tables(scrape, samples, |family| flag(family.suspect)),
    ),
    Metric::gauge(
        "peer_series_omitted",
        &[],
        "Peers without series, because there are more than HTTP_METRICS_PEERS_MAX",
        |scrape, samples| {
            let count = peer_count(scrape);
            samples.count(if count > scrape.peers_max { to_u64(count) } else { 0 });
        },
    ),
];

fn peer_count(scrape: &Scrape) -> usize {
    scrape.routers.iter().map(|router| router.peers.len()).sum()
}

/// The peers that have series.
fn shown(scrape: &Scrape) -> impl Iterator<Item = (&Router, &Peer)> {
    let routers = if peer_count(scrape) > scrape.peers_max { &[] } else { scrape.routers.as_slice() };
    routers.iter().flat_map(|router| router.peers.iter().map(move |peer| (router, peer)))
}

fn peers(scrape: &Scrape, samples: &mut Samples, value: impl Fn(&Peer) -> f64) {
    for (router, peer) in shown(scrape) {
        let (asn, kind) = (peer.asn.to_string(), peer.peer_type.to_string());
        let labels = [&router.name, &peer.address, &asn, &peer.distinguisher, &peer.bgp_id, &kind];
        samples.with(labels.map(String::as_str), value(peer));
    }
}

fn tables(scrape: &Scrape, samples: &mut Samples, value: impl Fn(&Family) -> f64) {
    for (router, peer) in shown(scrape) {
        let (asn, kind) = (peer.asn.to_string(), peer.peer_type.to_string());
        let [router, address, asn, distinguisher, bgp_id, kind] =
            [&router.name, &peer.address, &asn, &peer.distinguisher, &peer.bgp_id, &kind].map(String::as_str);
        for (view, family) in peer.tables() {
            let labels = [router, address, asn, distinguisher, bgp_id, kind, view, &family.family];
            samples.with(labels, value(family));
        }
    }
}
