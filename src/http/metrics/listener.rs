//! The listener for BMP connections.

use super::{Metric, flag};
use crate::num::{to_f64, to_u64};
use crate::telemetry::status::{REFUSAL_REASONS, RemoteState};

pub(super) const METRICS: &[Metric] = &[
    Metric::gauge("listener_up", &[], "1 while BMP connections are accepted", |scrape, samples| {
        samples.one(flag(scrape.listener.listening));
    }),
    Metric::gauge("listener_connections", &[], "Open BMP connections", |scrape, samples| {
        samples.count(to_u64(scrape.listener.connections));
    }),
    Metric::gauge(
        "listener_connections_max",
        &[],
        "Maximum number of open BMP connections (BMP_MAX_CONNECTIONS)",
        |scrape, samples| samples.count(to_u64(scrape.listener.connections_max)),
    ),
    Metric::gauge(
        "listener_connections_unidentified",
        &[],
        "Open connections that have sent neither an Initiation nor a per-peer message",
        |scrape, samples| samples.count(to_u64(scrape.listener.unidentified)),
    ),
    Metric::counter("listener_accepted", &[], "BMP connections accepted", |scrape, samples| {
        samples.count(scrape.listener.accepted);
    }),
    Metric::counter(
        "listener_refused",
        &["reason"],
        "BMP connections refused, by the limit that refused them",
        |scrape, samples| {
            for reason in REFUSAL_REASONS {
                let refused = scrape.listener.refused_by.get(reason).copied().unwrap_or_default();
                samples.with([reason], to_f64(refused));
            }
        },
    ),
    Metric::counter(
        "listener_configured_refused",
        &[],
        "BMP connections of configured routers refused",
        |scrape, samples| samples.count(scrape.listener.configured_refused),
    ),
    Metric::counter(
        "listener_displaced",
        &[],
        "Connections closed for another one, because they had not identified themselves as a router",
        |scrape, samples| samples.count(scrape.listener.displaced),
    ),
    Metric::counter(
        "listener_not_identified",
        &[],
        "Connections closed because they did not identify themselves as a router in time",
        |scrape, samples| samples.count(scrape.listener.not_identified),
    ),
    Metric::counter(
        "listener_handshakes_failed",
        &[],
        "Failed TLS handshakes, and connections of proxies without an acceptable PROXY header",
        |scrape, samples| samples.count(scrape.listener.transport.handshakes_failed),
    ),
    Metric::gauge(
        "listener_remotes",
        &["state"],
        "Routers to which the collector connects (BMP_CONNECT), by the state of the connection",
        |scrape, samples| {
            for state in RemoteState::ALL {
                let remotes = &scrape.listener.transport.remotes;
                let count = remotes.iter().filter(|remote| remote.state == state).count();
                samples.with([state.to_string()], to_f64(to_u64(count)));
            }
        },
    ),
    Metric::counter("listener_accept_errors", &[], "Failed accept calls", |scrape, samples| {
        samples.count(scrape.listener.accept_errors);
    }),
    Metric::gauge(
        "listener_held_off",
        &[],
        "1 while new connections of unknown routers wait because the log was full",
        |scrape, samples| samples.one(flag(scrape.listener.held_off)),
    ),
    Metric::counter(
        "listener_hold_offs",
        &[],
        "Periods in which new connections of unknown routers waited because the log was full",
        |scrape, samples| samples.count(scrape.listener.hold_offs),
    ),
];
