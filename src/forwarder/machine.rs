//! The state machine of one lane: decides the next step. Pure: uses no clock, no database, and no log.
//!
//! ```text
//!             ┌──────────── failed, after a delay ───────────┐
//!             ▼                                              │
//!   Attach ─► Begin ─► Read ─► (Wait) ─► Store or Isolate ───┤
//!             ▲          ▲        │        │ stored          │
//!             │          └────────┘        │                 ▼
//!             └────────────────────────────┘                End (fenced out, fork, internal error)
//! ```
//!
//! The caller asks [`Machine::next`] for a [`Step`], carries it out, and reports the outcome as an [`Event`].
//!
//! | state | meaning | next steps |
//! |---|---|---|
//! | detached | no connection holds the lane | Wait until the delay is over, Attach |
//! | attached, no open transaction | the lane is held; the checkpoint is at `stored` | Begin |
//! | attached, open transaction | batches after `stored` are being collected | Read, Wait, Store, Isolate |
//! | ended | the lane delivers nothing more | End |
//!
//! **Rejected rows.** If the database rejects rows of a transaction, the transaction is stored once more with
//! Isolate in place of Store, which leaves out the rejected rows and quarantines a source that has too many
//! of them. If records were rejected in both of the last two transactions, the cause may be in the schema
//! ([`Machine::is_doubtful`]), and Isolate checks that. The lane is blocked only if the schema is at fault,
//! until an operator has repaired it.
//!
//! **In-doubt commits.** After a failed store it is unknown whether the transaction was committed. The lane
//! attaches again and reads the checkpoint: if it is at the start of the transaction, the transaction is
//! stored again; if it is at its end, the transaction was committed; if elsewhere, reading resumes there.

mod steps;

use std::time::Duration;

use super::backoff;
use crate::sink::ErrorAction;
pub use steps::{End, Event, Step};

/// Number of consecutive transactions with rejected rows from which the schema may be at fault.
const REJECTING_MAX: u32 = 2;

/// Limits the size of a transaction from below: `rows_max` divided by two to this power.
const HALVINGS_MAX: u32 = 8;
/// Halvings after one transaction that took too long. Four such transactions reach the smallest size.
const HALVINGS_STEP: u32 = 2;
/// Limits the timeout from above: two to this power times the usual one. A batch is never split, so that a
/// transaction of a single batch that takes too long gets a longer timeout instead.
const DOUBLINGS_MAX: u32 = 6;
/// Number of transactions in time after which one halving or doubling is taken back.
const IN_TIME_MIN: u32 = 16;

/// Limits of a transaction.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Age of its first record at which a transaction is stored.
    pub delay: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Detached,
    Attached,
    Ended(End),
}

/// State of one lane.
#[derive(Clone, Debug)]
pub struct Machine {
    limits: Limits,
    phase: Phase,
    /// True once this process has attached to the lane.
    has_taken_over: bool,
    /// Last durable batch of the log.
    durable: u64,
    /// Last batch that the lane may read before the other lane of its shard.
    allowed: u64,
    /// Last batch of the log. Greater than `durable` after a crash if there was no space to copy the last
    /// group: that group may have been delivered before the crash.
    log_end: u64,
    /// Last batch that is known to be stored.
    stored: u64,
    /// Last batch in the open transaction, which begins after `stored`. Equal to `stored` if it is empty;
    /// `None` if no transaction is open.
    collected: Option<u64>,
    /// True if the open transaction has reached its size limit.
    is_full: bool,
    /// True once storing has been attempted: the transaction accepts no further batches.
    is_sealed: bool,
    /// Time at which the first batch was read into the open transaction.
    first_read_at: Option<Duration>,
    /// Number of times that the transaction size is halved, because a transaction took too long.
    halvings: u32,
    /// Number of times that the timeout is doubled, because a transaction that cannot be made smaller took
    /// too long.
    doublings: u32,
    /// Transactions stored in time since the last change of `halvings` or `doublings`.
    in_time: u32,
    /// True if the database rejected rows of the open transaction.
    is_isolating: bool,
    /// Consecutive transactions in which rows were rejected.
    rejecting: u32,
    /// Consecutive failures.
    failures: u32,
    /// Earliest time of the next attachment.
    retry_at: Option<Duration>,
    is_stopping: bool,
}

impl Machine {
    /// A detached lane over a log whose last durable batch is `durable`.
    #[must_use]
    pub const fn new(limits: Limits, durable: u64) -> Self {
        Self {
            limits,
            phase: Phase::Detached,
            has_taken_over: false,
            durable,
            log_end: durable,
            allowed: u64::MAX,
            stored: 0,
            collected: None,
            is_full: false,
            is_sealed: false,
            first_read_at: None,
            halvings: 0,
            doublings: 0,
            in_time: 0,
            is_isolating: false,
            rejecting: 0,
            failures: 0,
            retry_at: None,
            is_stopping: false,
        }
    }

    /// Changes the limits, also of the open transaction, and ends the delay after a failure.
    pub const fn reload(&mut self, limits: Limits) {
        (self.limits, self.retry_at) = (limits, None);
    }

    /// Sequence number of the last batch that is known to be stored.
    #[must_use]
    pub const fn stored(&self) -> u64 {
        self.stored
    }

    /// Last batch that the lane may read now.
    #[must_use]
    pub fn readable(&self) -> u64 {
        self.durable.min(self.allowed)
    }

    /// The current size limit of a transaction: the configured `rows_max`, reduced while transactions take
    /// too long. At least 1.
    #[must_use]
    pub fn rows_max(&self, rows_max: u64) -> u64 {
        (rows_max >> self.halvings).max(1)
    }

    /// The factor by which the usual timeout of a transaction is multiplied now.
    #[must_use]
    pub const fn timeout_factor(&self) -> u32 {
        1 << self.doublings
    }

    /// True if the open transaction is to be stored without its rejected rows.
    #[must_use]
    pub const fn is_isolating(&self) -> bool {
        self.is_isolating
    }

    /// True if records were rejected in each of the last transactions, so that the schema may be at fault.
    #[must_use]
    pub const fn is_doubtful(&self) -> bool {
        self.rejecting >= REJECTING_MAX
    }

    /// True if every durable batch is stored.
    #[must_use]
    pub const fn is_caught_up(&self) -> bool {
        self.stored >= self.durable
    }

    /// Applies an event that occurred at time `now`.
    pub fn on(&mut self, event: Event, now: Duration) {
        match event {
            Event::Durable(seq) => self.durable = self.durable.max(seq),
            Event::LogEnd(seq) => self.log_end = self.log_end.max(seq),
            Event::Allowed(seq) => self.allowed = seq,
            Event::Attached { last_seq } => self.attached(last_seq),
            Event::Read { last_seq, is_full } => {
                if self.collected.is_some_and(|collected| last_seq > collected)
                    && self.first_read_at.is_none()
                {
                    self.first_read_at = Some(now);
                }
                self.collected = Some(last_seq);
                self.is_full = is_full;
                self.failures = 0;
            }
            Event::Stored => self.committed(0),
            Event::Isolated { rejected } => self.committed(rejected),
            Event::Failed { action, jitter } => self.failed(action, jitter, now),
            Event::Stop => self.is_stopping = true,
        }
    }

    fn committed(&mut self, rejected: u64) {
        self.stored = self.collected.unwrap_or(self.stored);
        self.discard_transaction();
        self.failures = 0;
        self.in_time += 1;
        if self.in_time >= IN_TIME_MIN {
            self.in_time = 0;
            let reduced = if self.doublings > 0 { &mut self.doublings } else { &mut self.halvings };
            *reduced = reduced.saturating_sub(1);
        }
        self.rejecting = if rejected == 0 { 0 } else { self.rejecting.saturating_add(1) };
    }

    fn attached(&mut self, last_seq: u64) {
        if last_seq > self.durable.max(self.log_end) {
            self.phase = Phase::Ended(End::Fork { database_seq: last_seq, durable_seq: self.durable });
            return;
        }
        let is_at_transaction_start = self.has_taken_over && last_seq == self.stored;
        self.phase = Phase::Attached;
        self.has_taken_over = true;
        self.retry_at = None;
        self.stored = last_seq;
        if !is_at_transaction_start {
            self.discard_transaction();
        }
    }

    fn failed(&mut self, action: ErrorAction, jitter: u64, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        let delay = match action {
            ErrorAction::Retry => backoff::delay(self.failures, jitter),
            ErrorAction::RetrySmaller => {
                self.reduce_load();
                // The transaction is read again, smaller. If it was committed after all, the checkpoint shows
                // it.
                self.discard_transaction();
                backoff::delay(self.failures, jitter)
            }
            ErrorAction::Reject if !self.is_isolating => {
                self.is_isolating = true;
                Duration::ZERO
            }
            ErrorAction::Reject | ErrorAction::Alarm => {
                // Once the cause is removed, the transaction is expected to pass as a whole.
                self.is_isolating = false;
                backoff::BLOCKED
            }
            ErrorAction::Halt => {
                self.phase = Phase::Ended(End::Halted);
                return;
            }
        };
        self.phase = Phase::Detached;
        self.retry_at = Some(now + delay);
    }

    /// Makes the next transaction smaller, or its timeout longer if it cannot be made smaller.
    fn reduce_load(&mut self) {
        // A timeout before storing, as while attaching, does not depend on the size of the transaction.
        if !self.is_sealed {
            return;
        }
        self.in_time = 0;
        let is_one_batch = self.collected <= Some(self.stored + 1);
        if is_one_batch || self.halvings == HALVINGS_MAX {
            self.doublings = (self.doublings + 1).min(DOUBLINGS_MAX);
        } else {
            self.halvings = (self.halvings + HALVINGS_STEP).min(HALVINGS_MAX);
        }
    }

    fn discard_transaction(&mut self) {
        self.collected = None;
        self.is_full = false;
        self.is_sealed = false;
        self.is_isolating = false;
        self.first_read_at = None;
    }

    /// The step to take at time `now`.
    pub fn next(&mut self, now: Duration) -> Step {
        match self.phase {
            Phase::Ended(end) => return Step::End(end),
            // A stop does not wait for the database: undelivered batches stay in the log.
            Phase::Detached if self.is_stopping => return Step::End(End::Stopped),
            Phase::Detached => {
                return match self.retry_at {
                    Some(at) if at > now => Step::Wait { until: Some(at) },
                    _ => Step::Attach { takeover: !self.has_taken_over },
                };
            }
            Phase::Attached => {}
        }
        let Some(collected) = self.collected else {
            self.collected = Some(self.stored);
            return Step::Begin { after: self.stored };
        };
        let is_empty = collected == self.stored;
        let readable = self.readable();
        let has_more = readable > collected && !self.is_full && !self.is_sealed;
        let due_at = self.first_read_at.map(|at| at + self.limits.delay);
        if !is_empty && (self.is_full || self.is_sealed || due_at.is_some_and(|due| due <= now)) {
            return self.seal();
        }
        if has_more {
            return Step::Read { limit: readable };
        }
        match (is_empty, self.is_stopping) {
            (true, true) if self.durable > collected => Step::Wait { until: None },
            (true, true) => Step::End(End::Stopped),
            (false, true) => self.seal(),
            _ => Step::Wait { until: due_at },
        }
    }

    fn seal(&mut self) -> Step {
        self.is_sealed = true;
        if self.is_isolating { Step::Isolate } else { Step::Store }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(500);

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn attached(durable: u64, last_seq: u64) -> Machine {
        let mut machine = Machine::new(Limits { delay: DELAY }, durable);
        assert_eq!(machine.next(at(0)), Step::Attach { takeover: true });
        machine.on(Event::Attached { last_seq }, at(0));
        assert_eq!(machine.next(at(0)), Step::Begin { after: last_seq });
        machine
    }

    #[test]
    fn a_reload_changes_the_delay_of_the_open_transaction_and_ends_that_after_a_failure() {
        let mut machine = attached(9, 4);
        assert_eq!(machine.next(at(0)), Step::Read { limit: 9 });
        machine.on(Event::Read { last_seq: 9, is_full: false }, at(0));
        assert_eq!(machine.next(at(10)), Step::Wait { until: Some(DELAY) });
        machine.reload(Limits { delay: at(5) });
        assert_eq!(machine.next(at(10)), Step::Store);
        machine.on(Event::Failed { action: ErrorAction::Alarm, jitter: 0 }, at(20));
        assert!(matches!(machine.next(at(30)), Step::Wait { until: Some(_) }));
        machine.reload(Limits { delay: at(5) });
        assert_eq!(machine.next(at(30)), Step::Attach { takeover: false });
    }

    fn storing() -> Machine {
        let mut machine = attached(9, 4);
        assert_eq!(machine.next(at(0)), Step::Read { limit: 9 });
        machine.on(Event::Read { last_seq: 7, is_full: true }, at(0));
        assert_eq!(machine.next(at(0)), Step::Store);
        machine
    }

    fn fail(machine: &mut Machine, action: ErrorAction) {
        machine.on(Event::Failed { action, jitter: 0 }, at(1000));
    }

    #[test]
    fn a_full_transaction_is_stored_at_once_and_the_next_begins_after_it() {
        let mut machine = storing();
        machine.on(Event::Stored, at(10));
        assert_eq!(machine.stored(), 7);
        assert_eq!(machine.next(at(10)), Step::Begin { after: 7 });
        assert_eq!(machine.next(at(10)), Step::Read { limit: 9 });
    }

    #[test]
    fn a_small_transaction_waits_for_more_but_no_longer_than_the_delay() {
        let mut machine = attached(5, 4);
        machine.on(Event::Read { last_seq: 5, is_full: false }, at(100));
        assert_eq!(machine.next(at(100)), Step::Wait { until: Some(at(600)) });
        machine.on(Event::Durable(6), at(200));
        assert_eq!(machine.next(at(200)), Step::Read { limit: 6 });
        machine.on(Event::Read { last_seq: 6, is_full: false }, at(200));
        assert_eq!(machine.next(at(600)), Step::Store);
    }

    #[test]
    fn batches_that_wait_for_the_other_lane_are_not_read_and_a_stop_waits_for_them() {
        let mut machine = attached(9, 4);
        machine.on(Event::Allowed(4), at(0));
        assert_eq!(machine.next(at(0)), Step::Wait { until: None });
        assert!(!machine.is_caught_up());
        machine.on(Event::Stop, at(0));
        assert_eq!(machine.next(at(0)), Step::Wait { until: None });
        machine.on(Event::Allowed(6), at(0));
        assert_eq!(machine.next(at(0)), Step::Read { limit: 6 });
        machine.on(Event::Read { last_seq: 6, is_full: false }, at(0));
        assert_eq!(machine.next(at(0)), Step::Store);
        machine.on(Event::Stored, at(0));
        assert_eq!(machine.next(at(0)), Step::Begin { after: 6 });
        assert_eq!(machine.next(at(0)), Step::Wait { until: None });
        machine.on(Event::Allowed(2), at(0));
        assert_eq!(machine.next(at(0)), Step::Wait { until: None }, "the other lane delivers again");
        machine.on(Event::Allowed(u64::MAX), at(0));
        assert_eq!(machine.next(at(0)), Step::Read { limit: 9 });
    }

    #[test]
    fn when_caught_up_it_waits_for_the_log() {
        let mut machine = attached(4, 4);
        assert_eq!(machine.next(at(0)), Step::Wait { until: None });
        assert!(machine.is_caught_up());
    }

    #[test]
    fn a_transaction_that_was_not_committed_is_stored_again() {
        let mut machine = storing();
        fail(&mut machine, ErrorAction::Retry);
        assert_eq!(machine.next(at(1000)), Step::Wait { until: Some(at(1100)) });
        assert_eq!(machine.next(at(1100)), Step::Attach { takeover: false });
        machine.on(Event::Attached { last_seq: 4 }, at(1100));
        assert_eq!(machine.next(at(1100)), Step::Store);
    }

    #[test]
    fn a_transaction_that_was_committed_without_an_answer_is_not_stored_again() {
        let mut machine = storing();
        fail(&mut machine, ErrorAction::Retry);
        machine.on(Event::Attached { last_seq: 7 }, at(1100));
        assert_eq!(machine.next(at(1100)), Step::Begin { after: 7 });
    }

    #[test]
    fn delivery_resumes_at_the_checkpoint_of_a_database_that_was_restored() {
        let mut machine = storing();
        fail(&mut machine, ErrorAction::Retry);
        machine.on(Event::Attached { last_seq: 2 }, at(1100));
        assert_eq!(machine.next(at(1100)), Step::Begin { after: 2 });
    }

    #[test]
    fn a_database_ahead_of_the_log_is_a_fork() {
        let mut machine = Machine::new(Limits { delay: DELAY }, 3);
        machine.on(Event::Attached { last_seq: 4 }, at(0));
        assert_eq!(machine.next(at(0)), Step::End(End::Fork { database_seq: 4, durable_seq: 3 }));
    }

    #[test]
    fn a_checkpoint_within_the_unreadable_end_of_the_log_is_not_a_fork() {
        let mut machine = Machine::new(Limits { delay: DELAY }, 3);
        machine.on(Event::LogEnd(6), at(0));
        machine.on(Event::Attached { last_seq: 5 }, at(0));
        assert_eq!(machine.next(at(0)), Step::Begin { after: 5 });
        assert_eq!(machine.next(at(0)), Step::Wait { until: None });
        machine.on(Event::Durable(6), at(0));
        assert_eq!(machine.next(at(0)), Step::Read { limit: 6 });
    }

    #[test]
    fn a_blocked_lane_retries_once_a_minute() {
        let mut machine = storing();
        fail(&mut machine, ErrorAction::Alarm);
        assert_eq!(machine.next(at(1000)), Step::Wait { until: Some(at(61_000)) });
    }

    /// Stores the open transaction, of which some rows are rejected.
    fn isolate(machine: &mut Machine, last_seq: u64) {
        fail(machine, ErrorAction::Reject);
        assert_eq!(machine.next(at(1000)), Step::Attach { takeover: false });
        machine.on(Event::Attached { last_seq: machine.stored() }, at(1000));
        assert_eq!(machine.next(at(1000)), Step::Isolate);
        machine.on(Event::Isolated { rejected: 1 }, at(1000));
        assert_eq!(machine.next(at(1000)), Step::Begin { after: last_seq });
    }

    fn store_next(machine: &mut Machine, last_seq: u64) {
        machine.on(Event::Durable(last_seq), at(1000));
        machine.on(Event::Read { last_seq, is_full: true }, at(1000));
        assert_eq!(machine.next(at(1000)), Step::Store);
    }

    #[test]
    fn a_rejected_transaction_is_stored_at_once_without_the_rejected_rows() {
        let mut machine = storing();
        isolate(&mut machine, 7);
        assert_eq!(machine.stored(), 7);
        store_next(&mut machine, 9);
        machine.on(Event::Stored, at(1000));
        assert_eq!(machine.stored(), 9);
    }

    #[test]
    fn a_connection_that_breaks_while_isolating_isolates_again() {
        let mut machine = storing();
        fail(&mut machine, ErrorAction::Reject);
        fail(&mut machine, ErrorAction::Retry);
        machine.on(Event::Attached { last_seq: 4 }, at(2000));
        assert_eq!(machine.next(at(2000)), Step::Isolate);
        machine.on(Event::Attached { last_seq: 7 }, at(2000));
        assert_eq!(machine.next(at(2000)), Step::Begin { after: 7 });
        assert!(!machine.is_isolating());
    }

    #[test]
    fn the_third_consecutive_transaction_with_rejected_rows_casts_doubt_on_the_schema() {
        let mut machine = storing();
        isolate(&mut machine, 7);
        store_next(&mut machine, 8);
        assert!(!machine.is_doubtful());
        isolate(&mut machine, 8);
        store_next(&mut machine, 9);
        assert!(machine.is_doubtful());
        fail(&mut machine, ErrorAction::Reject);
        machine.on(Event::Attached { last_seq: 8 }, at(1000));
        assert_eq!(machine.next(at(1000)), Step::Isolate);
        fail(&mut machine, ErrorAction::Alarm);
        assert_eq!(machine.next(at(1000)), Step::Wait { until: Some(at(61_000)) });
        // Isolating starts over once a transaction without rejected rows has been stored.
        machine.on(Event::Attached { last_seq: 8 }, at(61_000));
        assert_eq!(machine.next(at(61_000)), Step::Store);
        machine.on(Event::Stored, at(61_000));
        assert!(!machine.is_doubtful());
        machine.next(at(61_000));
        store_next(&mut machine, 12);
        fail(&mut machine, ErrorAction::Reject);
        assert!(machine.is_isolating());
    }

    /// A transaction up to `last_seq` takes too long to store; the checkpoint is at `stored`.
    fn too_slow(machine: &mut Machine, stored: u64, last_seq: u64) {
        machine.on(Event::Attached { last_seq: stored }, at(2000));
        assert_eq!(machine.next(at(2000)), Step::Begin { after: stored });
        store_next(machine, last_seq);
        fail(machine, ErrorAction::RetrySmaller);
    }

    #[test]
    fn a_transaction_that_takes_too_long_is_made_smaller_and_grows_again_later() {
        let mut machine = storing();
        fail(&mut machine, ErrorAction::RetrySmaller);
        assert_eq!(machine.rows_max(20_000), 5000);
        // A timeout while attaching does not depend on the size of a transaction.
        fail(&mut machine, ErrorAction::RetrySmaller);
        assert_eq!(machine.rows_max(20_000), 5000);
        for _ in 0..3 {
            too_slow(&mut machine, 4, 9);
        }
        assert_eq!((machine.rows_max(20_000), machine.timeout_factor()), (78, 1));
        for _ in 0..16 {
            machine.on(Event::Stored, at(2000));
        }
        assert_eq!(machine.rows_max(20_000), 156);
        assert_eq!(machine.rows_max(1), 1);
    }

    #[test]
    fn a_transaction_that_cannot_be_made_smaller_gets_a_longer_timeout() {
        let mut machine = storing();
        fail(&mut machine, ErrorAction::RetrySmaller);
        too_slow(&mut machine, 4, 5);
        assert_eq!((machine.rows_max(20_000), machine.timeout_factor()), (5000, 2), "a batch is not split");
        for _ in 0..3 {
            too_slow(&mut machine, 4, 9);
        }
        assert_eq!((machine.rows_max(20_000), machine.timeout_factor()), (78, 2));
        for _ in 0..20 {
            too_slow(&mut machine, 4, 9);
        }
        assert_eq!((machine.rows_max(20_000), machine.timeout_factor()), (78, 64));
        for _ in 0..16 * 7 {
            machine.on(Event::Stored, at(2000));
        }
        assert_eq!(
            (machine.rows_max(20_000), machine.timeout_factor()),
            (156, 1),
            "doublings are taken back before halvings"
        );
    }

    #[test]
    fn a_fenced_lane_stays_ended() {
        let mut machine = storing();
        fail(&mut machine, ErrorAction::Halt);
        assert_eq!(machine.next(at(1_000_000)), Step::End(End::Halted));
    }

    #[test]
    fn stopping_delivers_what_is_durable_and_ends() {
        let mut machine = attached(6, 4);
        machine.on(Event::Stop, at(0));
        assert_eq!(machine.next(at(0)), Step::Read { limit: 6 });
        machine.on(Event::Read { last_seq: 6, is_full: false }, at(0));
        assert_eq!(machine.next(at(0)), Step::Store);
        machine.on(Event::Stored, at(0));
        assert_eq!(machine.next(at(0)), Step::Begin { after: 6 });
        assert_eq!(machine.next(at(0)), Step::End(End::Stopped));
    }

    #[test]
    fn stopping_without_a_database_ends_at_once() {
        let mut machine = Machine::new(Limits { delay: DELAY }, 3);
        machine.on(Event::Stop, at(0));
        assert_eq!(machine.next(at(0)), Step::End(End::Stopped));
    }
}
