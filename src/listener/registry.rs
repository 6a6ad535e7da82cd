//! The sessions that are live: who they say they are, how they are doing. Shared by the tasks and the status command.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::route::Timestamp;
use crate::session::Summary;

/// All live sessions.
#[derive(Debug)]
pub struct Registry {
    inner: Mutex<Inner>,
    accepted: AtomicU64,
    refused: AtomicU64,
    accept_errors: AtomicU64,
    held_off: AtomicBool,
    hold_offs: AtomicU64,
    appended: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    last_session: Timestamp,
    live: BTreeMap<Timestamp, Live>,
    /// Sessions whose task ended without logging it.
    lost: Vec<Timestamp>,
}

#[derive(Debug)]
struct Live {
    address: SocketAddr,
    name: String,
    /// Another router has the name that this one claims.
    conflict: bool,
    summary: Option<Summary>,
    logged_until: Timestamp,
}

/// Counters of the listener since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections taken.
    pub accepted: u64,
    /// Connections refused: not allowed, or too many.
    pub refused: u64,
    /// Errors that the kernel gave in place of a connection.
    pub accept_errors: u64,
    /// Nothing listens now, because the log was full and is not yet half free.
    pub held_off: bool,
    /// How often that has begun.
    pub hold_offs: u64,
}

/// One live session.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// Where it comes from.
    pub address: SocketAddr,
    /// The session as it was about a second ago.
    pub summary: Summary,
}

/// A session's place in the registry; leaving it is dropping it.
pub(super) struct Entry {
    registry: Arc<Registry>,
    session: Timestamp,
    address: SocketAddr,
    finished: bool,
}

/// What became of a claimed name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is this session's alone.
    Own(String),
    /// A live session from the same address has it too. Most often that one is dead and TCP has not noticed yet: a
    /// router that lost power comes back before its old connection times out. Both keep the name; what the newer
    /// session says wins, because its identity is greater.
    Again(String),
    /// A live session from another address has it. The two stay two routers; this is the name of the second.
    Taken(String),
}

impl Registry {
    /// A registry that gives out session identities above this one.
    #[must_use]
    pub fn new(last_session: Timestamp) -> Arc<Self> {
        let inner = Inner { last_session, live: BTreeMap::new(), lost: Vec::new() };
        Arc::new(Self {
            inner: Mutex::new(inner),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            accept_errors: AtomicU64::new(0),
            held_off: AtomicBool::new(false),
            hold_offs: AtomicU64::new(0),
            appended: AtomicU64::new(0),
        })
    }

    /// A session begins. Its identity is the time, or one more than the last identity where the clock stands still or
    /// went back.
    pub(super) fn begin(registry: &Arc<Self>, address: SocketAddr, now: Timestamp) -> Entry {
        registry.accepted.fetch_add(1, Ordering::Relaxed);
        let mut inner = registry.lock();
        let session = now.max(Timestamp(inner.last_session.0.saturating_add(1)));
        inner.last_session = session;
        inner.live.insert(
            session,
            Live { address, name: String::new(), conflict: false, summary: None, logged_until: now },
        );
        drop(inner);
        Entry { registry: Arc::clone(registry), session, address, finished: false }
    }

    /// Connections open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.lock().live.len()
    }

    /// The sessions that have sent a message.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionView> {
        let inner = self.lock();
        let view = |live: &Live| Some(SessionView { address: live.address, summary: live.summary.clone()? });
        inner.live.values().filter_map(view).collect()
    }

    /// Counters since the start.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            accepted: self.accepted.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            accept_errors: self.accept_errors.load(Ordering::Relaxed),
            held_off: self.held_off.load(Ordering::Relaxed),
            hold_offs: self.hold_offs.load(Ordering::Relaxed),
        }
    }

    /// Batches handed to the log since the start.
    #[must_use]
    pub fn batches_appended(&self) -> u64 {
        self.appended.load(Ordering::Acquire)
    }

    /// Everything that routers sent before this time has been handed to the log: the oldest such time of all sessions,
    /// `now` when there is none.
    #[must_use]
    pub fn handed_over_until(&self, now: Timestamp) -> Timestamp {
        self.lock().live.values().map(|live| live.logged_until).min().unwrap_or(now).min(now)
    }

    /// Names under which routers are stored that claim another router's name.
    #[must_use]
    pub fn conflicts(&self) -> Vec<String> {
        let inner = self.lock();
        inner.live.values().filter(|live| live.conflict).map(|live| live.name.clone()).collect()
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn accept_failed(&self) {
        self.accept_errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether routers are held off from now on.
    pub(super) fn hold_off(&self, held_off: bool) {
        self.held_off.store(held_off, Ordering::Relaxed);
        self.hold_offs.fetch_add(u64::from(held_off), Ordering::Relaxed);
    }

    /// Counts a batch of any origin that was handed to the log.
    pub fn appended(&self) {
        self.appended.fetch_add(1, Ordering::Release);
    }

    /// The sessions whose tasks ended without logging it, once.
    pub(super) fn lost(&self) -> Vec<Timestamp> {
        std::mem::take(&mut self.lock().lost)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// The session's identity.
    pub(super) const fn session(&self) -> Timestamp {
        self.session
    }

    /// Where it comes from.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Publishes how the session is, and that what came before `logged_until` has been handed to the log.
    pub(super) fn publish(&self, summary: Option<Summary>, logged_until: Timestamp) {
        if let Some(live) = self.registry.lock().live.get_mut(&self.session) {
            live.summary = summary;
            live.logged_until = logged_until;
        }
    }

    /// The end of the session has been logged, or there is none to log.
    pub(super) fn finish(mut self) {
        self.finished = true;
    }
}

impl Registry {
    /// Takes a name for a session.
    pub(super) fn claim(&self, session: Timestamp, name: &str) -> Claim {
        let mut inner = self.lock();
        let Some(own) = inner.live.get(&session).map(|live| live.address.ip()) else {
            return Claim::Own(name.to_owned());
        };
        let mut others =
            inner.live.iter().filter(|(id, live)| **id != session && live.name == name).peekable();
        let claim = if others.peek().is_none() {
            Claim::Own(name.to_owned())
        } else if others.any(|(_, live)| live.address.ip() == own) {
            Claim::Again(name.to_owned())
        } else {
            Claim::Taken(format!("{name}@{own}"))
        };
        if let Some(live) = inner.live.get_mut(&session) {
            claim.name().clone_into(&mut live.name);
            live.conflict = matches!(claim, Claim::Taken(_));
        }
        claim
    }
}

impl Claim {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Own(name) | Self::Again(name) | Self::Taken(name) => name,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut inner = self.registry.lock();
        inner.live.remove(&self.session);
        if !self.finished {
            inner.lost.push(self.session);
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
    fn session_identities_grow_even_when_the_clock_does_not() {
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
        assert_eq!(registry.claim(first.session(), "edge1"), Claim::Own("edge1".to_owned()));
        assert_eq!(registry.claim(first.session(), "edge1"), Claim::Own("edge1".to_owned()), "claimed again");
        assert_eq!(registry.claim(second.session(), "edge1"), Claim::Taken("edge1@192.0.2.2".to_owned()));
        assert_eq!(registry.conflicts(), ["edge1@192.0.2.2"]);
        drop(first);
        let third = Registry::begin(&registry, at("192.0.2.3:1"), Timestamp(3));
        assert_eq!(registry.claim(third.session(), "edge1"), Claim::Own("edge1".to_owned()), "free again");
    }

    #[test]
    fn a_router_that_comes_back_before_its_old_connection_is_dead_keeps_its_name() {
        let registry = Registry::new(Timestamp(0));
        let old = Registry::begin(&registry, at("192.0.2.1:1"), Timestamp(1));
        registry.claim(old.session(), "edge1");
        let new = Registry::begin(&registry, at("192.0.2.1:2"), Timestamp(2));
        assert_eq!(registry.claim(new.session(), "edge1"), Claim::Again("edge1".to_owned()));
        assert!(registry.conflicts().is_empty());
    }

    #[test]
    fn what_is_handed_over_is_as_old_as_the_slowest_session() {
        let registry = Registry::new(Timestamp(0));
        assert_eq!(registry.handed_over_until(Timestamp(9)), Timestamp(9));
        let slow = Registry::begin(&registry, at("192.0.2.1:1"), Timestamp(10));
        let fast = Registry::begin(&registry, at("192.0.2.2:1"), Timestamp(10));
        slow.publish(None, Timestamp(20));
        fast.publish(None, Timestamp(30));
        assert_eq!(registry.handed_over_until(Timestamp(40)), Timestamp(20));
        slow.finish();
        assert_eq!(registry.handed_over_until(Timestamp(40)), Timestamp(30));
        assert_eq!(registry.lost(), []);
    }

    #[test]
    fn a_task_that_ends_without_a_word_is_noticed() {
        let registry = Registry::new(Timestamp(0));
        drop(Registry::begin(&registry, at("192.0.2.1:1"), Timestamp(7)));
        assert_eq!(registry.lost(), [Timestamp(7)]);
        assert_eq!(registry.lost(), []);
    }
}
