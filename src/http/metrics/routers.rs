//! Routers.

use std::borrow::Cow;

use super::{Metric, Samples, Scrape, flag};
use crate::num::{to_f64, to_u64};
use crate::telemetry::status::{Completeness, Family, PeerState, Router};

pub(super) const METRICS: &[Metric] = &[
    Metric::gauge(
        "routers",
        &["state"],
        "Routers that are connected, and those that are known or expected and are not",
        |scrape, samples| {
            let connected = scrape.routers.iter().filter(|router| router.connected).count();
            samples.with(["connected"], to_f64(to_u64(connected)));
            samples.with(["disconnected"], to_f64(to_u64(scrape.routers.len().saturating_sub(connected))));
        },
    ),
    Metric::gauge("router_up", &["router"], "1 if the router is connected", |scrape, samples| {
        of(scrape, samples, |router| flag(router.connected));
    }),
    Metric::counter("router_messages", &["router"], "BMP messages received", |scrape, samples| {
        connected(scrape, samples, |router| router.messages);
    }),
    Metric::counter("router_bytes", &["router"], "Bytes received", |scrape, samples| {
        connected(scrape, samples, |router| router.bytes);
    }),
    Metric::counter("router_routes", &["router"], "Route records decoded", |scrape, samples| {
        connected(scrape, samples, |router| router.routes);
    }),
    Metric::counter(
        "router_errors",
        &["router"],
        "Messages and PDUs that could not be decoded, or only in part",
        |scrape, samples| connected(scrape, samples, |router| router.errors),
    ),
    Metric::counter(
        "router_skipped_messages",
        &["router"],
        "Messages that the router skipped, by its sequence numbers (BMP version 4)",
        |scrape, samples| connected(scrape, samples, |router| router.skipped_messages),
    ),
    Metric::gauge(
        "router_last_message_age_seconds",
        &["router"],
        "Time since the last message of a connected router",
        |scrape, samples| {
            for router in &scrape.routers {
                router.last_message_age_s.into_iter().for_each(|age| samples.with([&router.name], age));
            }
        },
    ),
    Metric::gauge(
        "router_receive_queue_bytes",
        &["router"],
        "Bytes that have arrived and were not read yet",
        |scrape, samples| connected(scrape, samples, |router| router.transport.receive_queue_bytes),
    ),
    Metric::counter(
        "router_blocked_seconds",
        &["router"],
        "Time during which nothing was read from the router, because the log did not accept a batch",
        |scrape, samples| {
            for router in scrape.routers.iter().filter(|router| router.connected) {
                samples.with([&router.name], router.transport.blocked_s);
            }
        },
    ),
    Metric::gauge(
        "router_log_bytes",
        &["router"],
        "Undelivered bytes of the router in the log, without those of earlier runs of the daemon",
        |scrape, samples| of(scrape, samples, |router| to_f64(router.log_bytes)),
    ),
    Metric::gauge(
        "router_log_paused",
        &["router"],
        "1 while the router is stopped at its share of the log (ROUTER_LOG_SHARE)",
        |scrape, samples| of(scrape, samples, |router| flag(router.log_paused_s.is_some())),
    ),
    Metric::gauge(
        "router_untracked_peers",
        &["router"],
        "Peers and address families beyond the tracked peer/family limit",
        |scrape, samples| connected(scrape, samples, |router| router.untracked_peers),
    ),
    Metric::gauge("router_peers", &["router", "state"], "Peers by state", |scrape, samples| {
        for router in &scrape.routers {
            for state in [PeerState::Up, PeerState::Down, PeerState::Stale] {
                let count = router.peers.iter().filter(|peer| peer.state == state).count();
                let labels = [Cow::from(&router.name), state.to_string().into()];
                samples.with(labels, to_f64(to_u64(count)));
            }
        }
    }),
    Metric::counter(
        "router_peer_downs",
        &["router"],
        "Peer Downs of peers that were up, over all peers",
        |scrape, samples| {
            let downs = |router: &Router| router.peers.iter().map(|peer| peer.downs).sum();
            connected(scrape, samples, downs);
        },
    ),
    Metric::gauge(
        "router_incomplete_tables",
        &["router"],
        "Address families of peers without a complete table",
        |scrape, samples| {
            of(scrape, samples, |router| {
                families(router, |family| family.completeness != Completeness::Complete)
            });
        },
    ),
    Metric::gauge(
        "router_missing_tables",
        &["router"],
        "Negotiated address families without routes or End-of-RIB minutes after Peer Up",
        |scrape, samples| of(scrape, samples, |router| families(router, |family| family.missing)),
    ),
    Metric::gauge(
        "router_suspect_tables",
        &["router"],
        "Address families of peers that may be wrong until the next complete dump",
        |scrape, samples| of(scrape, samples, |router| families(router, |family| family.suspect)),
    ),
    Metric::gauge(
        "router_end_of_rib_pending",
        &["router"],
        "Address families of peers with routes and without End-of-RIB in this session",
        |scrape, samples| {
            of(scrape, samples, |router| families(router, |family| !family.end_of_rib && family.routes > 0));
        },
    ),
];

fn of<'a>(scrape: &'a Scrape, samples: &mut Samples<'a>, value: impl Fn(&Router) -> f64) {
    scrape.routers.iter().for_each(|router| samples.with([&router.name], value(router)));
}

/// Adds a number of the current session of each connected router.
fn connected<'a>(scrape: &'a Scrape, samples: &mut Samples<'a>, value: impl Fn(&Router) -> u64) {
    for router in scrape.routers.iter().filter(|router| router.connected) {
        samples.with([&router.name], to_f64(value(router)));
    }
}

fn families(router: &Router, is_counted: impl Fn(&Family) -> bool) -> f64 {
    let families = router.peers.iter().flat_map(|peer| peer.tables());
    to_f64(to_u64(families.filter(|(_, family)| is_counted(family)).count()))
}
