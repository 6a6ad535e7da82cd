//! Registry of live sessions: identities, router names, and progress. Shared by the connections and the
//! status command.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::transport::{Meter, SessionTransport, TransportStatus};
use crate::num::to_u64;
use crate::route::Timestamp;
use crate::session::Summary;

/// All live sessions, and counters of the listener.
#[derive(Debug)]
pub struct Registry {
    inner: Mutex<Inner>,
    accepted: AtomicU64,
    refused: AtomicU64,
    accept_errors: AtomicU64,
    held_off: AtomicBool,
    hold_offs: AtomicU64,
    appended: AtomicU64,
    records_refused: AtomicU64,
    transport: Arc<TransportStatus>,
}

#[derive(Debug)]
struct Inner {
    /// The last identity assigned.
    last_session: Timestamp,
    /// Live sessions by identity.
    live: BTreeMap<Timestamp, LiveSession>,
    /// Sessions whose task ended without logging the end of the session.
    unfinished: Vec<Timestamp>,
}

#[derive(Debug)]
struct LiveSession {
    address: SocketAddr,
    /// Name under which the router is stored; empty until it is claimed.
    name: String,
    /// True if a router at another address holds the name that this one claims.
    has_conflict: bool,
    /// `None` until the first message.
    summary: Option<Summary>,
    /// Every record received before this time has been handed to the log.
    logged_until: Timestamp,
    meter: Arc<Meter>,
}

/// Counters of the listener since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections refused because of BMP_ALLOW or BMP_MAX_CONNECTIONS.
    pub refused: u64,
    /// Errors of accepting a connection.
    pub accept_errors: u64,
    /// True while new connections of unknown routers are held: the log was paused, and its usage is not below
    /// 50 % yet.
    pub held_off: bool,
    /// Number of times that such connections began to be held.
    pub hold_offs: u64,
    /// Received records that the log refused because it was stopping or had failed.
    pub records_refused: u64,
}

/// Status of one live session.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// Address and port of the router.
    pub address: SocketAddr,
    /// The session's state, at most about one second old.
    pub summary: Summary,
    /// The session's transport.
    pub transport: SessionTransport,
}

/// Keeps a session in the registry; dropping it removes the session.
pub(super) struct SessionEntry {
    registry: Arc<Registry>,
    session: Timestamp,
    address: SocketAddr,
    meter: Arc<Meter>,
    /// True if the end of the session has been logged or need not be.
    is_finished: bool,
}

/// Result of claiming a router name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// No other live session has the name.
    Exclusive(String),
    /// A live session from the same address has the name too. Usually that connection is dead and has not
    /// timed out yet, for example after a power failure of the router. Both sessions keep the name; records
    /// of the newer session take precedence, because its identity is greater.
    Overlapping(String),
    /// A live session from another address has the name. This is the distinct name under which the second
    /// router is stored.
    Conflicting(String),
}

impl Registry {
    /// An empty registry that assigns session identities greater than `last_session`.
    #[must_use]
    pub fn new(last_session: Timestamp) -> Arc<Self> {
        let inner = Inner { last_session, live: BTreeMap::new(), unfinished: Vec::new() };
        Arc::new(Self {
            inner: Mutex::new(inner),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            accept_errors: AtomicU64::new(0),
            held_off: AtomicBool::new(false),
            hold_offs: AtomicU64::new(0),
            appended: AtomicU64::new(0),
            records_refused: AtomicU64::new(0),
            transport: Arc::default(),
        })
    }

    /// Adds a session. Its identity is the current time, or one more than the last identity if that is
    /// greater, so that identities increase even if the clock is set back.
    pub(super) fn begin(registry: &Arc<Self>, address: SocketAddr, now: Timestamp) -> SessionEntry {
        registry.accepted.fetch_add(1, Ordering::Relaxed);
        let mut inner = registry.lock();
        let session = now.max(Timestamp(inner.last_session.0.saturating_add(1)));
        inner.last_session = session;
        let meter = Arc::new(Meter::default());
        inner.live.insert(
            session,
            LiveSession {
                address,
                name: String::new(),
                has_conflict: false,
                summary: None,
                logged_until: now,
                meter: Arc::clone(&meter),
            },
        );
        drop(inner);
        SessionEntry { registry: Arc::clone(registry), session, address, meter, is_finished: false }
    }

    /// Number of open connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.lock().live.len()
    }

    /// The live sessions that have sent at least one message.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionView> {
        let inner = self.lock();
        let view = |live: &LiveSession| {
            let (address, transport) = (live.address, live.meter.view());
            Some(SessionView { address, summary: live.summary.clone()?, transport })
        };
        inner.live.values().filter_map(view).collect()
    }

    /// The counters of the listener.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            accepted: self.accepted.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            accept_errors: self.accept_errors.load(Ordering::Relaxed),
            held_off: self.held_off.load(Ordering::Relaxed),
            hold_offs: self.hold_offs.load(Ordering::Relaxed),
            records_refused: self.records_refused.load(Ordering::Relaxed),
        }
    }

    /// Number of batches handed to the log since the start.
    #[must_use]
    pub fn batches_appended(&self) -> u64 {
        self.appended.load(Ordering::Acquire)
    }

    /// The time before which every record received has been handed to the log: the oldest such time of all
    /// sessions, or `now` if there is no session.
    #[must_use]
    pub fn handed_over_until(&self, now: Timestamp) -> Timestamp {
        self.lock().live.values().map(|live| live.logged_until).min().unwrap_or(now).min(now)
    }

    /// The names under which routers are stored that claimed the name of another router.
    #[must_use]
    pub fn conflicts(&self) -> Vec<String> {
        let inner = self.lock();
        inner.live.values().filter(|live| live.has_conflict).map(|live| live.name.clone()).collect()
    }

    /// State of the transports.
    #[must_use]
    pub const fn transport(&self) -> &Arc<TransportStatus> {
        &self.transport
    }

    /// Counts a refused connection.
    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts records that the log refused because it was stopping or had failed.
    pub(super) fn records_refused(&self, records: usize) {
        self.records_refused.fetch_add(to_u64(records), Ordering::Relaxed);
    }

    /// Counts a failed accept.
    pub(super) fn accept_failed(&self) {
        self.accept_errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Records whether new connections of unknown routers are held from now on.
    pub(super) fn set_held_off(&self, held_off: bool) {
        self.held_off.store(held_off, Ordering::Relaxed);
        self.hold_offs.fetch_add(u64::from(held_off), Ordering::Relaxed);
    }

    /// Counts a batch that was handed to the log, by a session or at a start.
    pub fn appended(&self) {
        self.appended.fetch_add(1, Ordering::Release);
    }

    /// Removes and returns the sessions whose task ended without logging the end of the session.
    pub(super) fn take_unfinished(&self) -> Vec<Timestamp> {
        std::mem::take(&mut self.lock().unfinished)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionEntry {
    /// The session's identity.
    pub(super) const fn session(&self) -> Timestamp {
        self.session
    }

    /// Address and port of the router.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Measures the session's connection.
    pub(super) const fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Publishes the session's summary (`None` before its first message), and that every record received
    /// before `logged_until` has been handed to the log.
    pub(super) fn publish(&self, summary: Option<Summary>, logged_until: Timestamp) {
        if let Some(live) = self.registry.lock().live.get_mut(&self.session) {
            live.summary = summary;
            live.logged_until = logged_until;
        }
    }

    /// Removes the session after its end has been logged, or if there is none to log.
    pub(super) fn finish(mut self) {
        self.is_finished = true;
    }
}

impl Registry {
    /// Claims a router name for a session.
    pub(super) fn claim(&self, session: Timestamp, name: &str) -> Claim {
        let mut inner = self.lock();
        let Some(own) = inner.live.get(&session).map(|live| live.address.ip()) else {
            return Claim::Exclusive(name.to_owned());
        };
        let mut others =
            inner.live.iter().filter(|(id, live)| **id != session && live.name == name).peekable();
        let claim = if others.peek().is_none() {
            Claim::Exclusive(name.to_owned())
        } else if others.any(|(_, live)| live.address.ip() == own) {
            Claim::Overlapping(name.to_owned())
        } else {
            Claim::Conflicting(format!("{name}@{own}"))
        };
        if let Some(live) = inner.live.get_mut(&session) {
            claim.name().clone_into(&mut live.name);
            live.has_conflict = matches!(claim, Claim::Conflicting(_));
        }
        claim
    }
}

impl Claim {
    /// The name under which the router is stored.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Exclusive(name) | Self::Overlapping(name) | Self::Conflicting(name) => name,
        }
    }
}

impl Drop for SessionEntry {
    fn drop(&mut self) {
        let mut inner = self.registry.lock();
        inner.live.remove(&self.session);
        if !self.is_finished {
            inner.unfinished.push(self.session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn session_identities_increase_even_if_the_clock_does_not() {
        let registry = Registry::new(Timestamp(1_000));
        let ids: Vec<i64> = [500, 2_000, 2_000, 100, 3_000]
            .into_iter()
            .map(|now| Registry::begin(&registry, at("192.0.2.1:1"), Timestamp(now)).session().0)
            .collect();
        assert_eq!(ids, [1_001, 2_000, 2_001, 2_002, 3_000]);
    }

    #[test]
    fn two_routers_that_claim_one_name_stay_two() {
        let registry = Registry::new(Timestamp(0));
        let first = Registry::begin(&registry, at("192.0.2.1:1"), Timestamp(1));
        let second = Registry::begin(&registry, at("192.0.2.2:1"), Timestamp(2));
        assert_eq!(registry.claim(first.session(), "edge1"), Claim::Exclusive("edge1".to_owned()));
        assert_eq!(
            registry.claim(first.session(), "edge1"),
            Claim::Exclusive("edge1".to_owned()),
            "claimed twice by one session"
        );
        assert_eq!(
            registry.claim(second.session(), "edge1"),
            Claim::Conflicting("edge1@192.0.2.2".to_owned())
        );
        assert_eq!(registry.conflicts(), ["edge1@192.0.2.2"]);
        drop(first);
        let third = Registry::begin(&registry, at("192.0.2.3:1"), Timestamp(3));
        assert_eq!(
            registry.claim(third.session(), "edge1"),
            Claim::Exclusive("edge1".to_owned()),
            "released by the first"
        );
    }

    #[test]
    fn a_router_that_reconnects_before_its_old_connection_times_out_keeps_its_name() {
        let registry = Registry::new(Timestamp(0));
        let old = Registry::begin(&registry, at("192.0.2.1:1"), Timestamp(1));
        registry.claim(old.session(), "edge1");
        let new = Registry::begin(&registry, at("192.0.2.1:2"), Timestamp(2));
        assert_eq!(registry.claim(new.session(), "edge1"), Claim::Overlapping("edge1".to_owned()));
        assert!(registry.conflicts().is_empty());
    }

    #[test]
    fn the_handed_over_time_is_that_of_the_slowest_session() {
        let registry = Registry::new(Timestamp(0));
        assert_eq!(registry.handed_over_until(Timestamp(9)), Timestamp(9));
        let slow = Registry::begin(&registry, at("192.0.2.1:1"), Timestamp(10));
        let fast = Registry::begin(&registry, at("192.0.2.2:1"), Timestamp(10));
        slow.publish(None, Timestamp(20));
        fast.publish(None, Timestamp(30));
        assert_eq!(registry.handed_over_until(Timestamp(40)), Timestamp(20));
        slow.finish();
        assert_eq!(registry.handed_over_until(Timestamp(40)), Timestamp(30));
        assert_eq!(registry.take_unfinished(), []);
    }

    #[test]
    fn a_task_that_ends_without_finishing_its_session_is_reported_once() {
        let registry = Registry::new(Timestamp(0));
        drop(Registry::begin(&registry, at("192.0.2.1:1"), Timestamp(7)));
        assert_eq!(registry.take_unfinished(), [Timestamp(7)]);
        assert_eq!(registry.take_unfinished(), []);
    }
}
