//! What a lane does next. Pure: no clock, no database, no log.
//!
//! ```text
//!             ┌────────── failed, after a wait ──────────┐
//!             ▼                                          │
//!   Attach ─► Begin ─► Read ─► (Wait) ─► Store ──────────┤
//!             ▲          ▲        │        │ stored      │
//!             │          └────────┘        │             │
//!             └────────────────────────────┘           Halt (fenced, fork, our bug)
//! ```
//!
//! A chunk with rows that the database refuses is stored with Isolate in place of Store: all but those rows. Too many of
//! them, or some in each of three transactions in a row, are no matter of rows: the lane waits for a person.
//!
//! After a failed store nobody knows whether it was stored. The lane attaches again, and the checkpoint row decides: it
//! stands before the chunk (store it again), at its end (it was stored), or elsewhere (begin there).

use std::time::Duration;

use super::backoff;
use crate::sink::ErrorAction;

/// So many transactions in a row may have rows that are refused.
const REJECTING_MAX: u32 = 2;

/// A transaction is never made smaller than the limit divided by two to this power, a quarter at a time: how slow
/// a link is has been found out after four transactions.
const HALVINGS_MAX: u32 = 8;
const HALVINGS_STEP: u32 = 2;
/// Nor is a batch ever split: one that is too slow by itself gets more time, at most two to this power as much.
const DOUBLINGS_MAX: u32 = 6;
/// After so many transactions in time, half of that is taken back.
const IN_TIME_MIN: u32 = 16;

/// Sizes of transactions.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A chunk is stored when its first record has waited so long.
    pub delay: Duration,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The log is durable up to here.
    Durable(u64),
    /// The log has numbers up to here, of which the last may not be shown yet.
    Known(u64),
    /// The lane is ours, and everything up to here is stored.
    Attached {
        /// From the checkpoint row.
        last_seq: u64,
    },
    /// Reading added to the chunk.
    Read {
        /// Last sequence number in the chunk.
        last_seq: u64,
        /// It should take no more.
        is_full: bool,
    },
    /// The chunk was stored, and the answer came.
    Stored,
    /// The chunk was stored but for the records that were refused, and the answer came.
    Isolated {
        /// How many were refused.
        rejected: u64,
    },
    /// Attaching, storing or reading failed.
    Failed {
        /// What to do.
        decision: ErrorAction,
        /// Any number.
        chance: u64,
    },
    /// What is durable is to be delivered now, without waiting for more; then the lane ends.
    Stop,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Connect and take the lane. `takeover` once per process.
    Attach {
        /// Fence out whoever held the lane.
        takeover: bool,
    },
    /// Begin an empty chunk behind this sequence number.
    Begin {
        /// Last sequence number that is stored.
        after: u64,
    },
    /// Read into the chunk, up to this sequence number.
    Read {
        /// What is durable.
        limit: u64,
    },
    /// Store the chunk.
    Store,
    /// Store the chunk but for the records that the database refuses.
    Isolate,
    /// Wait for an event, or until then.
    Wait {
        /// In the machine's time; `None` for as long as nothing happens.
        until: Option<Duration>,
    },
    /// The end of this lane.
    End(End),
}

/// How a lane ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was told to.
    Stopped,
    /// Going on could do harm.
    Halted,
    /// The database is ahead of the log: this log is not the one that was delivered.
    Fork {
        /// What the database has.
        database: u64,
        /// What the log has.
        durable: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Detached,
    Attached,
    Ended(End),
}

/// One lane.
#[derive(Clone, Debug)]
pub struct Machine {
    limits: Limits,
    phase: Phase,
    has_taken_over: bool,
    durable: u64,
    /// The log has numbers up to here. More than `durable` after a crash that left no room for the copy of the last group:
    /// that group may well have been delivered.
    known: u64,
    /// Everything up to here is stored, as far as we know.
    stored: u64,
    /// The chunk holds what is behind `stored` up to here. `None`: there is no chunk yet.
    held: Option<u64>,
    is_full: bool,
    /// The chunk was closed for storing; it takes no more.
    is_closed: bool,
    /// When the first record came into the chunk.
    since: Option<Duration>,
    /// How often transactions were halved because one took too long.
    halvings: u32,
    /// How often the time for one was doubled because it could not be made smaller.
    doublings: u32,
    /// Transactions in a row that did not.
    in_time: u32,
    /// Some row of the chunk is refused.
    is_refused: bool,
    /// So many transactions in a row had rows that were refused.
    rejecting: u32,
    failures: u32,
    retry_at: Option<Duration>,
    is_stopping: bool,
}

impl Machine {
    /// A lane that knows nothing yet but how far the log is durable.
    #[must_use]
    pub const fn new(limits: Limits, durable: u64) -> Self {
        Self {
            limits,
            phase: Phase::Detached,
            has_taken_over: false,
            durable,
            known: durable,
            stored: 0,
            held: None,
            is_full: false,
            is_closed: false,
            since: None,
            halvings: 0,
            doublings: 0,
            in_time: 0,
            is_refused: false,
            rejecting: 0,
            failures: 0,
            retry_at: None,
            is_stopping: false,
        }
    }

    /// Everything up to here is stored.
    #[must_use]
    pub const fn stored(&self) -> u64 {
        self.stored
    }

    /// Of `rows_max`, what a transaction should have now: less on a link or a server that is too slow for it.
    #[must_use]
    pub fn rows_max(&self, rows_max: u64) -> u64 {
        (rows_max >> self.halvings).max(1)
    }

    /// So many times the usual limit a transaction may take now.
    #[must_use]
    pub const fn patience(&self) -> u32 {
        1 << self.doublings
    }

    /// True when the chunk has rows that are refused and is to be stored without them.
    #[must_use]
    pub const fn is_isolating(&self) -> bool {
        self.is_refused
    }

    /// True when everything durable is stored.
    #[must_use]
    pub const fn is_caught_up(&self) -> bool {
        self.stored >= self.durable
    }

    /// Takes what happened.
    pub fn on(&mut self, event: Event, now: Duration) {
        match event {
            Event::Durable(seq) => self.durable = self.durable.max(seq),
            Event::Known(seq) => self.known = self.known.max(seq),
            Event::Attached { last_seq } => self.attached(last_seq),
            Event::Read { last_seq, is_full } => {
                if self.held.is_some_and(|held| last_seq > held) && self.since.is_none() {
                    self.since = Some(now);
                }
                self.held = Some(last_seq);
                self.is_full = is_full;
                self.failures = 0;
            }
            Event::Stored => self.finish(0),
            Event::Isolated { rejected } => self.finish(rejected),
            Event::Failed { decision, chance } => self.failed(decision, chance, now),
            Event::Stop => self.is_stopping = true,
        }
    }

    fn finish(&mut self, rejected: u64) {
        self.stored = self.held.unwrap_or(self.stored);
        self.drop_chunk();
        self.failures = 0;
        self.in_time += 1;
        if self.in_time >= IN_TIME_MIN {
            self.in_time = 0;
            let taken_back = if self.doublings > 0 { &mut self.doublings } else { &mut self.halvings };
            *taken_back = taken_back.saturating_sub(1);
        }
        self.rejecting = if rejected == 0 { 0 } else { self.rejecting.saturating_add(1) };
    }

    fn attached(&mut self, last_seq: u64) {
        if last_seq > self.durable.max(self.known) {
            self.phase = Phase::Ended(End::Fork { database: last_seq, durable: self.durable });
            return;
        }
        let stands_before_chunk = self.has_taken_over && last_seq == self.stored;
        self.phase = Phase::Attached;
        self.has_taken_over = true;
        self.retry_at = None;
        self.stored = last_seq;
        if !stands_before_chunk {
            self.drop_chunk();
        }
    }

    fn failed(&mut self, decision: ErrorAction, chance: u64, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        let delay = match decision {
            ErrorAction::Retry => backoff::delay(self.failures, chance),
            ErrorAction::RetrySmaller => {
                self.too_slow();
                // The chunk is read anew, smaller; if it was stored after all, the row will say so.
                self.drop_chunk();
                backoff::delay(self.failures, chance)
            }
            ErrorAction::Reject if !self.is_refused && self.rejecting < REJECTING_MAX => {
                self.is_refused = true;
                Duration::ZERO
            }
            ErrorAction::Reject | ErrorAction::Alarm => {
                // Whoever mended it did so for all rows.
                self.is_refused = false;
                backoff::ALARM
            }
            ErrorAction::Halt => {
                self.phase = Phase::Ended(End::Halted);
                return;
            }
        };
        self.phase = Phase::Detached;
        self.retry_at = Some(now + delay);
    }

    /// Attaching says nothing about the size of transactions.
    fn too_slow(&mut self) {
        if !self.is_closed {
            return;
        }
        self.in_time = 0;
        let is_one_batch = self.held <= Some(self.stored + 1);
        if is_one_batch || self.halvings == HALVINGS_MAX {
            self.doublings = (self.doublings + 1).min(DOUBLINGS_MAX);
        } else {
            self.halvings = (self.halvings + HALVINGS_STEP).min(HALVINGS_MAX);
        }
    }

    fn drop_chunk(&mut self) {
        self.held = None;
        self.is_full = false;
        self.is_closed = false;
        self.is_refused = false;
        self.since = None;
    }

    /// What to do now.
    pub fn next(&mut self, now: Duration) -> Step {
        match self.phase {
            Phase::Ended(end) => return Step::End(end),
            // Nothing more can be delivered in order to stop: what is durable stays in the log.
            Phase::Detached if self.is_stopping => return Step::End(End::Stopped),
            Phase::Detached => {
                return match self.retry_at {
                    Some(at) if at > now => Step::Wait { until: Some(at) },
                    _ => Step::Attach { takeover: !self.has_taken_over },
                };
            }
            Phase::Attached => {}
        }
        let Some(held) = self.held else {
            self.held = Some(self.stored);
            return Step::Begin { after: self.stored };
        };
        let is_empty = held == self.stored;
        let has_more = self.durable > held && !self.is_full && !self.is_closed;
        let due_at = self.since.map(|since| since + self.limits.delay);
        if !is_empty && (self.is_full || self.is_closed || due_at.is_some_and(|due| due <= now)) {
            return self.store();
        }
        if has_more {
            return Step::Read { limit: self.durable };
        }
        match (is_empty, self.is_stopping) {
            (true, true) => Step::End(End::Stopped),
            (false, true) => self.store(),
            _ => Step::Wait { until: due_at },
        }
    }

    fn store(&mut self) -> Step {
        self.is_closed = true;
        if self.is_refused { Step::Isolate } else { Step::Store }
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

    fn storing() -> Machine {
        let mut machine = attached(9, 4);
        assert_eq!(machine.next(at(0)), Step::Read { limit: 9 });
        machine.on(Event::Read { last_seq: 7, is_full: true }, at(0));
        assert_eq!(machine.next(at(0)), Step::Store);
        machine
    }

    fn fail(machine: &mut Machine, decision: ErrorAction) {
        machine.on(Event::Failed { decision, chance: 0 }, at(1000));
    }

    #[test]
    fn a_full_chunk_is_stored_at_once_and_the_next_begins_behind_it() {
        let mut machine = storing();
        machine.on(Event::Stored, at(10));
        assert_eq!(machine.stored(), 7);
        assert_eq!(machine.next(at(10)), Step::Begin { after: 7 });
        assert_eq!(machine.next(at(10)), Step::Read { limit: 9 });
    }

    #[test]
    fn a_small_chunk_waits_for_more_but_no_longer_than_the_delay() {
        let mut machine = attached(5, 4);
        machine.on(Event::Read { last_seq: 5, is_full: false }, at(100));
        assert_eq!(machine.next(at(100)), Step::Wait { until: Some(at(600)) });
        machine.on(Event::Durable(6), at(200));
        assert_eq!(machine.next(at(200)), Step::Read { limit: 6 });
        machine.on(Event::Read { last_seq: 6, is_full: false }, at(200));
        assert_eq!(machine.next(at(600)), Step::Store);
    }

    #[test]
    fn when_caught_up_it_waits_for_the_log() {
        let mut machine = attached(4, 4);
        assert_eq!(machine.next(at(0)), Step::Wait { until: None });
        assert!(machine.is_caught_up());
    }

    #[test]
    fn a_failed_store_that_was_not_stored_is_stored_again() {
        let mut machine = storing();
        fail(&mut machine, ErrorAction::Retry);
        assert_eq!(machine.next(at(1000)), Step::Wait { until: Some(at(1100)) });
        assert_eq!(machine.next(at(1100)), Step::Attach { takeover: false });
        machine.on(Event::Attached { last_seq: 4 }, at(1100));
        assert_eq!(machine.next(at(1100)), Step::Store);
    }

    #[test]
    fn a_failed_store_that_was_stored_is_not_stored_again() {
        let mut machine = storing();
        fail(&mut machine, ErrorAction::Retry);
        machine.on(Event::Attached { last_seq: 7 }, at(1100));
        assert_eq!(machine.next(at(1100)), Step::Begin { after: 7 });
    }

    #[test]
    fn a_database_that_came_back_older_is_believed() {
        let mut machine = storing();
        fail(&mut machine, ErrorAction::Retry);
        machine.on(Event::Attached { last_seq: 2 }, at(1100));
        assert_eq!(machine.next(at(1100)), Step::Begin { after: 2 });
    }

    #[test]
    fn a_database_ahead_of_the_log_is_a_fork() {
        let mut machine = Machine::new(Limits { delay: DELAY }, 3);
        machine.on(Event::Attached { last_seq: 4 }, at(0));
        assert_eq!(machine.next(at(0)), Step::End(End::Fork { database: 4, durable: 3 }));
    }

    #[test]
    fn a_database_that_has_what_the_log_cannot_show_yet_is_no_fork() {
        let mut machine = Machine::new(Limits { delay: DELAY }, 3);
        machine.on(Event::Known(6), at(0));
        machine.on(Event::Attached { last_seq: 5 }, at(0));
        assert_eq!(machine.next(at(0)), Step::Begin { after: 5 });
        assert_eq!(machine.next(at(0)), Step::Wait { until: None });
        machine.on(Event::Durable(6), at(0));
        assert_eq!(machine.next(at(0)), Step::Read { limit: 6 });
    }

    #[test]
    fn what_a_person_must_mend_is_looked_at_once_a_minute() {
        let mut machine = storing();
        fail(&mut machine, ErrorAction::Alarm);
        assert_eq!(machine.next(at(1000)), Step::Wait { until: Some(at(61_000)) });
    }

    /// Stores the next chunk, of which some rows are refused.
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
    fn a_refused_chunk_is_stored_at_once_but_for_the_rows_that_are_refused() {
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
    fn the_third_transaction_in_a_row_with_refused_rows_waits_for_a_person() {
        let mut machine = storing();
        isolate(&mut machine, 7);
        store_next(&mut machine, 8);
        isolate(&mut machine, 8);
        store_next(&mut machine, 9);
        fail(&mut machine, ErrorAction::Reject);
        assert_eq!(machine.next(at(1000)), Step::Wait { until: Some(at(61_000)) });
        // And so it does again after that minute, until a transaction has none.
        machine.on(Event::Attached { last_seq: 8 }, at(61_000));
        assert_eq!(machine.next(at(61_000)), Step::Store);
        machine.on(Event::Stored, at(61_000));
        machine.next(at(61_000));
        store_next(&mut machine, 12);
        fail(&mut machine, ErrorAction::Reject);
        assert!(machine.is_isolating());
    }

    /// A chunk up to `last_seq` is begun, stored, and takes too long; `stored` is what the database has.
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
        // What takes too long before anything is stored says nothing of that.
        fail(&mut machine, ErrorAction::RetrySmaller);
        assert_eq!(machine.rows_max(20_000), 5000);
        for _ in 0..3 {
            too_slow(&mut machine, 4, 9);
        }
        assert_eq!((machine.rows_max(20_000), machine.patience()), (78, 1));
        for _ in 0..16 {
            machine.on(Event::Stored, at(2000));
        }
        assert_eq!(machine.rows_max(20_000), 156);
        assert_eq!(machine.rows_max(1), 1);
    }

    #[test]
    fn what_cannot_be_made_smaller_gets_more_time() {
        let mut machine = storing();
        fail(&mut machine, ErrorAction::RetrySmaller);
        too_slow(&mut machine, 4, 5);
        assert_eq!((machine.rows_max(20_000), machine.patience()), (5000, 2), "a batch is not split");
        for _ in 0..3 {
            too_slow(&mut machine, 4, 9);
        }
        assert_eq!((machine.rows_max(20_000), machine.patience()), (78, 2));
        for _ in 0..20 {
            too_slow(&mut machine, 4, 9);
        }
        assert_eq!((machine.rows_max(20_000), machine.patience()), (78, 64));
        for _ in 0..16 * 7 {
            machine.on(Event::Stored, at(2000));
        }
        assert_eq!((machine.rows_max(20_000), machine.patience()), (156, 1), "time is taken back first");
    }

    #[test]
    fn a_fenced_lane_never_comes_back() {
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
