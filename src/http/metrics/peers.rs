//! Single peers, unless there are too many.

use std::borrow::Cow;

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

fn peers<'a>(scrape: &'a Scrape, samples: &mut Samples<'a>, value: impl Fn(&Peer) -> f64) {
    for (router, peer) in shown(scrape) {
        samples.with(labels(router, peer), value(peer));
    }
}

fn tables<'a>(scrape: &'a Scrape, samples: &mut Samples<'a>, value: impl Fn(&Family) -> f64) {
    for (router, peer) in shown(scrape) {
        for (view, family) in peer.tables() {
            let [router, address, asn, distinguisher, bgp_id, kind] = labels(router, peer);
            let (view, name) = (Cow::from(view), Cow::from(&family.family));
            samples.with([router, address, asn, distinguisher, bgp_id, kind, view, name], value(family));
        }
    }
}

/// The values of the labels [`PEER`].
fn labels<'a>(router: &'a Router, peer: &'a Peer) -> [Cow<'a, str>; 6] {
    [
        Cow::from(&router.name),
        Cow::from(&peer.address),
        peer.asn.to_string().into(),
        Cow::from(&peer.distinguisher),
        Cow::from(&peer.bgp_id),
        peer.peer_type.to_string().into(),
    ]
}
