//! What a session accepts before the sender is known to be a router, how many Initiations of it are recorded,
//! and how fast it may report new peers.

mod token_bucket;

use std::time::Duration;

use super::Session;
use super::summary::Level;
use crate::num;
use crate::route::{EventKind, Timestamp};

pub(super) use token_bucket::TokenBucket;

/// Bytes within which a sender has to identify itself as a router by an Initiation or a per-peer message. A
/// caller should close a connection that sends more without it.
pub const UNIDENTIFIED_BYTES_MAX: usize = 256 << 10;

/// Number of Initiations that are recorded at once.
const INITIATIONS_MAX: i64 = 10;

/// Time after which one more Initiation is recorded, in microseconds.
const INITIATION_INTERVAL_US: i64 = 60_000_000;

/// Number of new peers that a session may report at once. A route server or reflector has hundreds of peers,
/// few have thousands.
const NEW_PEERS_MAX: i64 = 10_000;

/// Time after which one more new peer may be reported, in microseconds.
const NEW_PEER_INTERVAL_US: i64 = 10_000;

/// The number of Initiations that may still be recorded. A router sends one, and another one if its sysName
/// or sysDescr changes.
pub(super) const fn initiation_budget() -> TokenBucket {
    TokenBucket::new(INITIATIONS_MAX, INITIATION_INTERVAL_US)
}

/// The number of new peers that may still be reported without a wait.
pub(super) const fn new_peer_budget() -> TokenBucket {
    TokenBucket::new(NEW_PEERS_MAX, NEW_PEER_INTERVAL_US)
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
            self.batches.session_event(now, Timestamp(0), kind);
        } else if self.counters.bytes <= num::to_u64(UNIDENTIFIED_BYTES_MAX) {
            self.held_messages.push(HeldMessage { kind, body: body.to_vec(), received: now });
        }
    }

    /// Records the messages that were held until the sender identified itself.
    pub(super) fn record_held_messages(&mut self) {
        for HeldMessage { kind, body, received } in std::mem::take(&mut self.held_messages) {
            let kind = EventKind::UnknownMessage { message_type: kind, body };
            self.batches.session_event(received, Timestamp(0), kind);
        }
    }

    /// Whether an Initiation is to be recorded. One that is not is counted.
    pub(super) fn may_record_initiation(&mut self, now: Timestamp) -> bool {
        if self.initiations.take(now) {
            return true;
        }
        if self.counters.ignored_initiations == 0 {
            let text = format!(
                "more than {INITIATIONS_MAX} Initiations at once, or more than one in {} s after that; \
                 further ones are ignored and counted",
                INITIATION_INTERVAL_US / 1_000_000
            );
            self.notice(Level::Warning, "initiations_ignored", None, text, &[]);
        }
        self.counters.ignored_initiations += 1;
        false
    }

    /// Time for which the session should not be read, because it reports new peers too fast.
    ///
    /// Each peer is a row of several tables and memory here, for as long as the collector lives; without a
    /// limit, one router with made-up peers would take the database's time from all others. Nothing is lost:
    /// the messages wait at the router.
    #[must_use]
    pub fn new_peers_wait(&self, now: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.new_peers.wait_us(now)).unwrap_or(0))
    }

    /// Counts a peer that the session did not know.
    pub(super) fn count_new_peer(&mut self, now: Timestamp) {
        if self.new_peers.spend(now) {
            return;
        }
        if self.counters.excess_peers == 0 {
            let text = format!(
                "more than {NEW_PEERS_MAX} new peers, faster than {} a second; the session is read no faster \
                 than that",
                1_000_000 / NEW_PEER_INTERVAL_US
            );
            self.notice(Level::Warning, "session_slowed", None, text, &[]);
        }
        self.counters.excess_peers += 1;
    }
}
