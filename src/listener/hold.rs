//! Connections that are accepted, and not read for now.
//!
//! ```text
//!  accepted ──► router paused, or gate closed to it? ── no ──► session
//!                     │ yes                                       ▲
//!                     └──► held: open, unread ── neither any more ┘
//!                              └── a newer connection from its address: closed
//! ```
//!
//! Some routers close a connection that is not read from, reconnect, and send their tables from the start. If
//! such a router were read at once, it would fill any space that delivery frees with the beginning of another
//! initial dump, be stopped in the middle again, and never complete one. Therefore the connections of these
//! routers are held:
//!
//! * a router that is paused at its share of the log, until it holds less than half of it;
//! * while the [`super::gate`] is closed, a router that is not known: one that has neither sent a message
//!   since the start nor has a name in BMP_ROUTER_NAMES. Without limits per router, it is every router.
//!
//! A held connection loses nothing. The router's messages wait in the buffers of the kernels, and TCP stops
//! the router. The alternatives lose data or affect other routers:
//!
//! * A connection that is accepted and closed discards the messages that the router has sent by then, which
//!   BIRD does not send again.
//! * A closed listening socket refuses every router, also those for which there is space.
//!
//! The close of a held connection is not visible: the router's FIN is queued behind bytes that are not read.
//! A router that gives up connects again, however, so that a new connection replaces the held one from the
//! same address, and a router occupies one connection while it is held.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::options::Options;
use super::registry::SessionEntry;
use crate::committer::fair_share::FairShare;
use crate::route::Timestamp;
use crate::telemetry::clock;

/// Interval at which a held connection is considered again.
const INTERVAL: Duration = Duration::from_millis(250);

/// Maximum number of addresses that are remembered as known.
const KNOWN_MAX: usize = 16_384;

/// Waits until `stop` becomes true or its sender is dropped.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which also means stop.
    drop(stop.wait_for(|stop| *stop).await);
}

/// The held connections, and the addresses of the known routers.
#[derive(Debug)]
pub(super) struct Hold {
    /// Whether connections are held at all.
    is_on: bool,
    fair_share: Arc<FairShare>,
    /// Routers that are not known are held.
    is_closed: AtomicBool,
    /// The held connection of each address, by its session's identity.
    held: Mutex<BTreeMap<IpAddr, Timestamp>>,
    /// Addresses that have a configured name, or have sent a BMP message since the start.
    known: Mutex<BTreeSet<IpAddr>>,
}

impl Hold {
    pub(super) fn new(options: &Options, fair_share: Arc<FairShare>) -> Self {
        Self {
            is_on: options.hold_off,
            fair_share,
            is_closed: AtomicBool::new(false),
            held: Mutex::default(),
            known: Mutex::new(options.router_names.keys().copied().collect()),
        }
    }

    /// Sets whether routers that are not known are held from now on.
    pub(super) fn set_closed(&self, is_closed: bool) {
        self.is_closed.store(is_closed, Ordering::Relaxed);
    }

    /// Records that a router at this address has sent a BMP message.
    pub(super) fn learn(&self, address: IpAddr) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < KNOWN_MAX {
            known.insert(address);
        }
    }

    fn is_known(&self, address: IpAddr) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&address)
            || self.fair_share.knows(address)
    }

    fn begin(&self, address: IpAddr, session: Timestamp) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(address, session);
    }

    fn is_held(&self, address: IpAddr, session: Timestamp) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).get(&address) == Some(&session)
    }

    /// Ends the hold of this session's connection, unless another one has replaced it.
    fn end(&self, address: IpAddr, session: Timestamp) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.get(&address) == Some(&session) {
            held.remove(&address);
        }
    }

    /// Waits until the connection may be read. Returns false if it must be closed instead, unread: a newer
    /// one has replaced it, or the collector stops.
    pub(super) async fn admit(&self, entry: &SessionEntry, stop: &mut watch::Receiver<bool>) -> bool {
        let address = entry.address().ip();
        let Some(reason) = self.reason(address) else { return true };
        let session = entry.session();
        self.begin(address, session);
        tracing::info!(reason, "connection_held");
        let mut timer = tokio::time::interval(INTERVAL);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let is_admitted = loop {
            tokio::select! {
                biased;
                () = stopped(stop) => break false,
                () = entry.displaced() => break false,
                _ = timer.tick() => {}
            }
            if !self.is_held(address, session) {
                tracing::info!("held_connection_replaced");
                break false;
            }
            if self.reason(address).is_none() {
                tracing::info!("connection_admitted");
                break true;
            }
            // Nothing was received yet.
            entry.publish(None, clock::now());
        };
        self.end(address, session);
        is_admitted
    }

    /// Why a connection from this address is not read for now; `None` if it is.
    fn reason(&self, address: IpAddr) -> Option<&'static str> {
        if !self.is_on {
            return None;
        }
        if self.fair_share.is_paused(address) {
            return Some("router paused at its share of the log");
        }
        if !self.is_closed.load(Ordering::Relaxed) {
            return None;
        }
        if !self.fair_share.is_limited() {
            Some("log was full")
        } else if self.is_known(address) {
            None
        } else {
            Some("log was full, and router not known")
        }
    }
}
