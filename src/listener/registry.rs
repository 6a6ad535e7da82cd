//! Registry of live sessions: identities, router names, and progress. Shared by the connections and the
//! status command.

mod names;
mod refusals;
mod records;
mod slots;
mod source;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::transport::{Meter, SessionTransport, TransportStatus};
use crate::num::to_u64;
use crate::route::{Batch, Timestamp};
use crate::session::{Counters, Summary};
use names::Alarms;
use refusals::Refusals;

pub use names::NameAlarm;
pub(super) use names::{Claim, ClaimedName};
pub use records::{GapTotals, RecordTotals};
pub(super) use refusals::RefusalReason;
pub use refusals::{REFUSAL_LIMITS, RefusalReport, SourceReport};
pub(super) use slots::Admitted;
pub use slots::{SlotUse, Slots};
pub use source::Source;

/// All live sessions, and counters of the listener.
#[derive(Debug)]
pub struct Registry {
    inner: Mutex<Inner>,
    listening: AtomicBool,
    accepted: AtomicU64,
    displaced: AtomicU64,
    not_identified: AtomicU64,
    accept_errors: AtomicU64,
    held_off: AtomicBool,
    hold_offs: AtomicU64,
    appended: AtomicU64,
    records: Mutex<RecordTotals>,
    records_refused: AtomicU64,
    transport: Arc<TransportStatus>,
}

#[derive(Debug)]
struct Inner {
    /// The last identity assigned.
    last_session: Timestamp,
    /// Live sessions by identity.
    live: BTreeMap<Timestamp, LiveSession>,
    /// Number of live sessions by source.
    sources: BTreeMap<Source, usize>,
    refusals: Refusals,
    alarms: Alarms,
    /// Sum of the counters of the sessions that have ended.
    ended: Counters,
    /// Sessions whose task ended without logging the end of the session.
    unfinished: Vec<Timestamp>,
}

#[derive(Debug)]
struct LiveSession {
    address: SocketAddr,
    /// The source as which the connection is counted.
    source: Source,
    /// True once the sender has identified itself as a router.
    is_identified: bool,
    /// Notified when the connection has to give up its slot.
    displaced: Arc<Notify>,
    /// Name under which the router is stored; empty until it is claimed.
    name: String,
    /// True if a router at another address holds the name that this one claims.
    has_conflict: bool,
    /// True if another live session of the same address had the name when one of the two claimed it.
    overlaps: bool,
    /// The summary, and the time at which it was published; `None` until the first message.
    summary: Option<(Arc<Summary>, Instant)>,
    /// Counters of the session; 0 until the sender has identified itself.
    counters: Counters,
    /// Every record received before this time has been handed to the log.
    logged_until: Timestamp,
    meter: Arc<Meter>,
}

/// Counters of the listener since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Whether connections are accepted.
    pub listening: bool,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed for another one, because their senders had not identified themselves.
    pub displaced: u64,
    /// Connections closed because their senders did not identify themselves in time.
    pub not_identified: u64,
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
    pub summary: Arc<Summary>,
    /// Time at which `summary` was published.
    pub published: Instant,
    /// The session's transport.
    pub transport: SessionTransport,
}

/// Keeps a session in the registry; dropping it removes the session.
pub(super) struct SessionEntry {
    registry: Arc<Registry>,
    session: Timestamp,
    address: SocketAddr,
    meter: Arc<Meter>,
    displaced: Arc<Notify>,
    /// True if the end of the session has been logged or need not be.
    is_finished: bool,
}

impl Registry {
    /// An empty registry that assigns session identities greater than `last_session`.
    #[must_use]
    pub fn new(last_session: Timestamp) -> Arc<Self> {
        let inner = Inner {
            last_session,
            live: BTreeMap::new(),
            sources: BTreeMap::new(),
            refusals: Refusals::default(),
            alarms: Alarms::new(),
            ended: Counters::default(),
            unfinished: Vec::new(),
        };
        Arc::new(Self {
            inner: Mutex::new(inner),
            listening: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
            displaced: AtomicU64::new(0),
            not_identified: AtomicU64::new(0),
            accept_errors: AtomicU64::new(0),
            held_off: AtomicBool::new(false),
            hold_offs: AtomicU64::new(0),
            appended: AtomicU64::new(0),
            records: Mutex::default(),
            records_refused: AtomicU64::new(0),
            transport: Arc::default(),
        })
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
            let (summary, published) = live.summary.clone()?;
            Some(SessionView { address, summary, published, transport })
        };
        inner.live.values().filter_map(view).collect()
    }

    /// Sum of the counters of all sessions since the start, at most about one second old.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let inner = self.lock();
        let mut sum = inner.ended;
        inner.live.values().for_each(|live| sum += &live.counters);
        sum
    }

    /// The records that were handed to the log since the start.
    #[must_use]
    pub fn records(&self) -> RecordTotals {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The counters of the listener.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            listening: self.listening.load(Ordering::Relaxed),
            accepted: self.accepted.load(Ordering::Relaxed),
            displaced: self.displaced.load(Ordering::Relaxed),
            not_identified: self.not_identified.load(Ordering::Relaxed),
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

    /// The refused connections since the start.
    #[must_use]
    pub fn refusals(&self) -> RefusalReport {
        let inner = self.lock();
        inner.refusals.report(|source| inner.sources.get(source).copied().unwrap_or_default())
    }

    /// Counts a connection whose sender did not identify itself in time.
    pub(super) fn not_identified(&self) {
        self.not_identified.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts records that the log refused because it was stopping or had failed.
    pub(super) fn records_refused(&self, records: usize) {
        self.records_refused.fetch_add(to_u64(records), Ordering::Relaxed);
    }

    /// Records that connections are accepted from now on.
    pub(super) fn set_listening(&self) {
        self.listening.store(true, Ordering::Relaxed);
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
    pub fn appended(&self, batch: &Batch) {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).add(batch);
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

    /// Records that the sender has identified itself as a router, so that the connection keeps its slot.
    /// Returns false if it has lost the slot already.
    pub(super) fn identify(&self) -> bool {
        let mut inner = self.registry.lock();
        let live = inner.live.get_mut(&self.session);
        live.map(|live| live.is_identified = true).is_some()
    }

    /// Waits until the connection has to give up its slot.
    pub(super) async fn displaced(&self) {
        self.displaced.notified().await;
    }

    /// Publishes the session's summary (`None` before its first message), and that every record received
    /// before `logged_until` has been handed to the log.
    pub(super) fn publish(&self, summary: Option<Summary>, logged_until: Timestamp) {
        if let Some(live) = self.registry.lock().live.get_mut(&self.session) {
            live.counters = summary.as_ref().map_or(live.counters, |summary| summary.counters);
            live.summary = summary.map(|summary| (Arc::new(summary), Instant::now()));
            live.logged_until = logged_until;
        }
    }

    /// Removes the session like [`SessionEntry::finish`]. Its last counters count if it was one of a router.
    pub(super) fn finish_with(self, counters: Counters) {
        let mut inner = self.registry.lock();
        if let Some(live) = inner.live.get_mut(&self.session).filter(|live| live.is_identified) {
            live.counters = counters;
        }
        drop(inner);
        self.finish();
    }

    /// Removes the session after its end has been logged, or if there is none to log.
    pub(super) fn finish(mut self) {
        self.is_finished = true;
    }
}

impl Drop for SessionEntry {
    fn drop(&mut self) {
        let mut inner = self.registry.lock();
        inner.remove(self.session);
        if !self.is_finished {
            inner.unfinished.push(self.session);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Adds a session without limits.
    pub(super) fn begin(registry: &Arc<Registry>, address: SocketAddr, now: Timestamp) -> SessionEntry {
        let (connections_max, per_source_max) = (usize::MAX, usize::MAX);
        let (configured, configured_names) = (BTreeSet::new(), Vec::new());
        let slots = Slots { connections_max, per_source_max, configured, configured_names };
        let admitted = Registry::admit(registry, address, (&slots, &slots.configured), now);
        admitted.map(|admitted| admitted.entry).unwrap()
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn session_identities_increase_even_if_the_clock_does_not() {
        let registry = Registry::new(Timestamp(1_000));
        let ids: Vec<i64> = [500, 2_000, 2_000, 100, 3_000]
            .into_iter()
            .map(|now| begin(&registry, at("192.0.2.1:1"), Timestamp(now)).session().0)
            .collect();
        assert_eq!(ids, [1_001, 2_000, 2_001, 2_002, 3_000]);
    }

    #[test]
    fn the_handed_over_time_is_that_of_the_slowest_session() {
        let registry = Registry::new(Timestamp(0));
        assert_eq!(registry.handed_over_until(Timestamp(9)), Timestamp(9));
        let slow = begin(&registry, at("192.0.2.1:1"), Timestamp(10));
        let fast = begin(&registry, at("192.0.2.2:1"), Timestamp(10));
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
        drop(begin(&registry, at("192.0.2.1:1"), Timestamp(7)));
        assert_eq!(registry.take_unfinished(), [Timestamp(7)]);
        assert_eq!(registry.take_unfinished(), []);
    }
}
