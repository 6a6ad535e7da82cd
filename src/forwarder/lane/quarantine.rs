//! Decides which sources of a lane are quarantined, and for how long. Pure: the time is an argument.
//!
//! A source is quarantined if a transaction had too many rejected records of it, or if it is a suspect and
//! has one more: for a minute, and for twice as long each further time, up to 32 minutes. It is a suspect
//! after its quarantine, and after three transactions with rejected records, until ten minutes without any
//! have passed.
//!
//! The end of a quarantine is the test whether the cause has been removed: a suspect is stored like any other
//! source, and quarantined again at its first rejected record.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::sink::{Cause, Offender, Quarantine, Source};

/// Transactions with rejected records that make a peer a suspect.
const PEER_STRIKES: u32 = 3;
/// Transactions with rejected records that make a whole router a suspect.
const ROUTER_STRIKES: u32 = 9;
/// Time without rejected records after which they are forgotten.
const MEMORY: Duration = Duration::from_mins(10);
/// Duration of the first quarantine.
const FIRST: Duration = Duration::from_mins(1);
/// Number of times that the duration is doubled at most.
const DOUBLINGS_MAX: u32 = 5;
/// Time between two checks of the size of `rejected_routes`.
const SIZE_INTERVAL: Duration = Duration::from_secs(10);
/// Number of sources that are remembered at most.
const SOURCES_MAX: usize = 4096;

/// The sources of one lane that had rejected records.
#[derive(Default)]
pub(super) struct QuarantinePolicy {
    current: Arc<Quarantine>,
    sources: BTreeMap<Source, History>,
    /// Time of the last check of the size of `rejected_routes`.
    checked: Option<Duration>,
}

/// The rejected records of one source.
struct History {
    /// Transactions with rejected records.
    strikes: u32,
    /// Number of quarantines.
    quarantines: u32,
    /// End of the quarantine; `None` if the source is not quarantined.
    until: Option<Duration>,
    /// Time of the last rejected record, or of the end of the last quarantine.
    last: Duration,
    /// Why a record was rejected last.
    cause: Arc<Cause>,
}

impl QuarantinePolicy {
    /// The quarantine for the next transaction.
    pub(super) fn current(&self) -> Arc<Quarantine> {
        Arc::clone(&self.current)
    }

    /// Sets whether `rejected_routes` has reached its maximum size. Returns whether that is a change.
    pub(super) fn set_full(&mut self, is_full: bool) -> bool {
        let changes = self.current.is_full() != is_full;
        if changes {
            Arc::make_mut(&mut self.current).set_full(is_full);
        }
        changes
    }

    /// Whether the size of `rejected_routes` must be checked now.
    pub(super) fn must_check_size(&mut self, now: Duration) -> bool {
        let is_due = self.checked.is_none_or(|checked| now.saturating_sub(checked) >= SIZE_INTERVAL);
        let must_check = is_due && (!self.current.is_empty() || self.current.is_full());
        if must_check {
            self.checked = Some(now);
        }
        must_check
    }

    /// The quarantined sources, and why each is.
    pub(super) fn quarantined(&self) -> impl Iterator<Item = (&Source, &Cause)> {
        let quarantined = self.sources.iter().filter(|(_, history)| history.until.is_some());
        quarantined.map(|(source, history)| (source, &*history.cause))
    }

    /// Records the sources with rejected records in a transaction. Returns those that are quarantined now.
    pub(super) fn on_rejected(&mut self, offenders: Vec<Offender>, now: Duration) -> Vec<Source> {
        let mut routers = BTreeMap::new();
        let whole = offenders.iter().filter(|offender| offender.source.peer.is_none());
        let whole: BTreeMap<Source, bool> =
            whole.map(|offender| (offender.source.clone(), offender.is_given_up)).collect();
        let mut quarantined = Vec::new();
        for Offender { source, cause, is_given_up } in offenders {
            let cause = Arc::new(cause);
            let router = source.whole_router();
            match whole.get(&router) {
                // The quarantine of a router includes its peers.
                Some(true) if source.peer.is_some() => continue,
                Some(_) => {}
                None => drop(routers.entry(router).or_insert_with(|| Arc::clone(&cause))),
            }
            self.strike(&source, &cause, now);
            if is_given_up {
                self.quarantine(&source, now);
                quarantined.push(source);
            }
        }
        routers.iter().for_each(|(router, cause)| self.strike(router, cause, now));
        self.forget_oldest();
        quarantined
    }

    fn strike(&mut self, source: &Source, cause: &Arc<Cause>, now: Duration) {
        let cause = Arc::clone(cause);
        let history = self.sources.entry(source.clone()).or_insert_with(|| History {
            strikes: 0,
            quarantines: 0,
            until: None,
            last: now,
            cause: Arc::clone(&cause),
        });
        (history.strikes, history.last, history.cause) = (history.strikes.saturating_add(1), now, cause);
        let strikes_max = if source.peer.is_none() { ROUTER_STRIKES } else { PEER_STRIKES };
        if history.strikes >= strikes_max {
            Arc::make_mut(&mut self.current).set_suspect(source, true);
        }
    }

    fn quarantine(&mut self, source: &Source, now: Duration) {
        if source.peer.is_none() {
            let peers = self.sources.keys().filter(|own| is_peer_of(own, source));
            let peers: Vec<Source> = peers.cloned().collect();
            peers.iter().for_each(|peer| self.forget(peer));
        }
        let Some(history) = self.sources.get_mut(source) else { return };
        let duration = FIRST * (1 << history.quarantines.min(DOUBLINGS_MAX));
        history.quarantines = history.quarantines.saturating_add(1);
        history.until = Some(now + duration);
        Arc::make_mut(&mut self.current).insert(source, Arc::clone(&history.cause));
    }

    /// Ends the quarantines that are over, and forgets sources without rejected records. Returns the sources
    /// that are stored again.
    pub(super) fn advance(&mut self, now: Duration) -> Vec<Source> {
        let mut released = Vec::new();
        for (source, history) in &mut self.sources {
            if history.until.is_some_and(|until| until <= now) {
                (history.until, history.last) = (None, now);
                let current = Arc::make_mut(&mut self.current);
                current.remove(source);
                current.set_suspect(source, true);
                released.push(source.clone());
            }
        }
        let is_over =
            |history: &History| history.until.is_none() && now.saturating_sub(history.last) > MEMORY;
        let over = self.sources.iter().filter(|(_, history)| is_over(history));
        let over: Vec<Source> = over.map(|(source, _)| source.clone()).collect();
        over.iter().for_each(|source| self.forget(source));
        released
    }

    fn forget(&mut self, source: &Source) {
        self.sources.remove(source);
        let current = Arc::make_mut(&mut self.current);
        current.remove(source);
        current.set_suspect(source, false);
    }

    /// Keeps the number of sources within its bound. A source that is forgotten has to be found again.
    fn forget_oldest(&mut self) {
        while self.sources.len() > SOURCES_MAX {
            let age = |history: &History| (history.until.is_some(), history.last);
            let oldest = self.sources.iter().min_by_key(|(_, history)| age(history));
            let Some(source) = oldest.map(|(source, _)| source.clone()) else { return };
            self.forget(&source);
        }
    }
}

fn is_peer_of(own: &Source, router: &Source) -> bool {
    own.peer.is_some() && own.router == router.router
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(peer: Option<u8>) -> Source {
        let peer = peer.map(|last| (0, std::net::IpAddr::from([192, 0, 2, last])));
        Source { router: "edge1".to_owned(), peer }
    }

    fn offender(source: Source, is_given_up: bool) -> Offender {
        Offender { source, cause: Cause::new("23514", "no"), is_given_up }
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn names(policy: &QuarantinePolicy) -> Vec<String> {
        policy.quarantined().map(|(source, _)| source.to_string()).collect()
    }

    #[test]
    fn a_quarantine_ends_after_a_minute_and_the_next_one_lasts_twice_as_long() {
        let mut policy = QuarantinePolicy::default();
        let peer = source(Some(1));
        let mut now = at(5);
        for minutes in [1, 2, 4, 8, 16, 32, 32] {
            let quarantined = policy.on_rejected(vec![offender(peer.clone(), true)], now);
            assert_eq!(quarantined, std::slice::from_ref(&peer));
            assert_eq!(names(&policy), ["edge1 peer 192.0.2.1"]);
            assert!(policy.current().cause_of(&peer).is_some());
            now += Duration::from_mins(minutes);
            assert!(policy.advance(now - at(1)).is_empty());
            assert_eq!(policy.advance(now), std::slice::from_ref(&peer));
            assert!(names(&policy).is_empty() && policy.current().is_empty());
            assert_eq!(policy.current().suspect(&peer), Some(peer.clone()));
        }
        now += MEMORY + at(1);
        assert!(policy.advance(now).is_empty());
        assert_eq!(policy.current().suspect(&peer), None);
        assert!(policy.sources.is_empty());
    }

    #[test]
    fn rejected_records_in_three_transactions_make_a_peer_a_suspect() {
        let mut policy = QuarantinePolicy::default();
        for strike in 1..=3 {
            assert!(policy.on_rejected(vec![offender(source(Some(1)), false)], at(strike)).is_empty());
            assert_eq!(policy.current().suspect(&source(Some(1))).is_some(), strike == 3);
        }
        assert_eq!(policy.current().suspect(&source(Some(2))), None);
        for strike in 4..=9 {
            let peer = source(Some(u8::try_from(strike).unwrap()));
            policy.on_rejected(vec![offender(peer, false)], at(strike));
        }
        assert_eq!(policy.current().suspect(&source(Some(99))), Some(source(None)));
    }

    #[test]
    fn the_quarantine_of_a_router_replaces_those_of_its_peers() {
        let mut policy = QuarantinePolicy::default();
        policy.on_rejected(vec![offender(source(Some(1)), true)], at(0));
        policy.on_rejected(vec![offender(source(Some(2)), true), offender(source(None), true)], at(1));
        assert_eq!(names(&policy), ["edge1"]);
        assert_eq!(policy.advance(at(61)), [source(None)]);
        assert!(policy.current().is_empty());
    }

    #[test]
    fn the_number_of_sources_is_bounded() {
        let mut policy = QuarantinePolicy::default();
        for number in 0..u32::try_from(SOURCES_MAX).unwrap() + 10 {
            let source = Source { router: format!("r{number}"), peer: None };
            policy.on_rejected(vec![offender(source, number == 0)], at(u64::from(number)));
        }
        assert_eq!(policy.sources.len(), SOURCES_MAX);
        assert_eq!(names(&policy), ["r0"], "a quarantined source is forgotten last");
    }
}
