//! What a session accepts before the sender is known to be a router, and how many Initiations of it are
//! recorded.

use super::Session;
use super::summary::Level;
use crate::num;
use crate::route::{EventKind, Timestamp};

/// Bytes within which a sender has to identify itself as a router by an Initiation or a per-peer message. A
/// caller should close a connection that sends more without it.
pub const UNIDENTIFIED_BYTES_MAX: usize = 256 << 10;

/// Number of Initiations that are recorded at once.
const INITIATIONS_MAX: i64 = 10;

/// Time after which one more Initiation is recorded, in microseconds.
const INITIATION_INTERVAL_US: i64 = 60_000_000;

/// The number of Initiations that may still be recorded: a token bucket. A router sends one, and another one
/// if its sysName or sysDescr changes.
#[derive(Debug)]
pub(super) struct InitiationBudget {
    left: i64,
    /// Time up to which `left` has grown.
    refilled: Timestamp,
}

impl Default for InitiationBudget {
    fn default() -> Self {
        Self { left: INITIATIONS_MAX, refilled: Timestamp(0) }
    }
}

impl InitiationBudget {
    /// Takes one Initiation out of the budget. Returns false if none is left.
    fn take(&mut self, now: Timestamp) -> bool {
        // If the clock was set back, the time up to `refilled` counts again.
        let elapsed = now.0.saturating_sub(self.refilled.0).max(0);
        let earned = elapsed / INITIATION_INTERVAL_US;
        self.left = self.left.saturating_add(earned).min(INITIATIONS_MAX);
        let is_full = self.left == INITIATIONS_MAX;
        self.refilled = if is_full || now < self.refilled {
            now
        } else {
            Timestamp(self.refilled.0.saturating_add(earned.saturating_mul(INITIATION_INTERVAL_US)))
        };
        let may_record = self.left > 0;
        self.left -= i64::from(may_record);
        may_record
    }
}

/// A message of an unknown type that was received before the sender identified itself.
#[derive(Debug)]
pub(super) struct HeldMessage {
    kind: u8,
    body: Vec<u8>,
    received: Timestamp,
}

impl Session {
    /// Whether the sender has identified itself as a router, by an Initiation or a per-peer message. Before
    /// that nothing is recorded.
    #[must_use]
    pub const fn is_identified(&self) -> bool {
        self.introduced
    }

    /// Counts a message of an unknown type, and records it, or holds it until the sender identifies itself.
    pub(super) fn unknown_message(&mut self, kind: u8, body: &[u8], message: &[u8], now: Timestamp) {
        self.counters.unknown_messages += 1;
        let text = format!("message of unknown type {kind} recorded raw");
        self.notice(Level::Debug, "bmp_unknown_message", None, text, message);
        if self.introduced {
            let kind = EventKind::UnknownMessage { message_type: kind, body: body.to_vec() };
            self.builder.event(None, now, Timestamp(0), kind);
        } else if self.counters.bytes <= num::to_u64(UNIDENTIFIED_BYTES_MAX) {
            self.held_messages.push(HeldMessage { kind, body: body.to_vec(), received: now });
        }
    }

    /// Records the messages that were held until the sender identified itself.
    pub(super) fn record_held_messages(&mut self) {
        for HeldMessage { kind, body, received } in std::mem::take(&mut self.held_messages) {
            let kind = EventKind::UnknownMessage { message_type: kind, body };
            self.builder.event(None, received, Timestamp(0), kind);
        }
    }

    /// Whether an Initiation is to be recorded. One that is not is counted.
    pub(super) fn may_record_initiation(&mut self, now: Timestamp) -> bool {
        if self.initiations.take(now) {
            return true;
        }
        if self.counters.ignored_initiations == 0 {
            let text = format!(
                "more than {INITIATIONS_MAX} Initiations, and more than one in {} s; further ones are \
                 counted and not recorded",
                INITIATION_INTERVAL_US / 1_000_000
            );
            self.notice(Level::Warning, "initiations_ignored", None, text, &[]);
        }
        self.counters.ignored_initiations += 1;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn the_budget_is_ten_at_once_and_one_a_minute() {
        let mut budget = InitiationBudget::default();
        let mut taken = |at: i64, count: usize| (0..count).filter(|_| budget.take(Timestamp(at))).count();
        let start = 1_790_000_000 * SECOND;
        assert_eq!(taken(start, 100), 10);
        assert_eq!(taken(start + 59 * SECOND, 100), 0);
        assert_eq!(taken(start + 60 * SECOND, 100), 1);
        // Parts of a minute are not lost.
        assert_eq!(taken(start + 119 * SECOND, 100), 0);
        assert_eq!(taken(start + 120 * SECOND, 100), 1);
        assert_eq!(taken(start + 3_600 * SECOND, 100), 10, "at most ten");
        // A clock that is set back neither blocks nor fills the budget.
        assert_eq!(taken(start, 100), 0);
        assert_eq!(taken(start + 60 * SECOND, 100), 1);
    }
}
