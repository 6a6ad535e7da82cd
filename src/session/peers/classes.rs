//! The delivery class of each peer: dump until its table is delivered, then live.
//!
//! ```text
//!                 dump over, few updates, and all its dump records logged and (nearly) delivered
//!   Peer Up ──► dump ──────────────────────────────────────────────────────────────► live
//!                ▲                                                                      │
//!                └── Peer Up, Peer Down, new peer or family, updates in bulk ───────────┘
//! ```
//!
//! Peers with the same address and distinguisher change their class together: the database decides from all
//! of them which identity a record belongs to.
//!
//! The order of a peer's records does not depend on when the class changes. A live batch names the last dump
//! batch that it follows ([`Batch::after`](crate::route::Batch::after)), and the live lanes wait for that.
//! The conditions here keep that wait short.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use super::{PeerState, Peers};
use crate::route::{Class, PeerKey};

/// Records of a live peer between two ticks at which it is moved to class dump: a table that is sent again
/// without a Peer Up (Route Refresh), or as much.
const BULK_RECORDS_MIN: u64 = 10_000;

/// Records between two ticks with which a peer may still be moved to class live.
const LIVE_RECORDS_MAX: u64 = 1_000;

/// Maximum number of remembered dump batches. With more, every second one is forgotten.
const BATCHES_MAX: usize = 1024;

/// Peers for which this is equal change their class together.
type LaneKey = (u64, IpAddr);

const fn lane_key(key: &PeerKey) -> LaneKey {
    (key.distinguisher, key.address)
}

/// The class of a peer, and what a change of it depends on.
#[derive(Default)]
pub(in crate::session) struct Placement {
    /// Class of the peer's next records.
    pub(in crate::session) class: Class,
    /// Sequence number that the dump lanes must have delivered before the live records of this peer; 0 in
    /// class dump.
    pub(in crate::session) after: u64,
    /// Number of the last dump batch with a record of this peer; 0 if there was none.
    pub(in crate::session) last_dump: u64,
    /// Routes recorded since the last tick.
    recent: u64,
}

/// A dump batch of the session, and one of the log.
#[derive(Clone, Copy, Default)]
struct LoggedBatch {
    /// Number among the dump batches of the session, from 1.
    number: u64,
    /// Sequence number in the log.
    seq: u64,
}

/// The progress of the session's dump batches.
#[derive(Default)]
pub(super) struct DumpProgress {
    /// The last one in the log.
    logged: LoggedBatch,
    /// Those in the log that are not known to be delivered, oldest first.
    undelivered: VecDeque<LoggedBatch>,
    /// The last one that is delivered.
    delivered: LoggedBatch,
    /// Whether the dump lanes have little left to deliver.
    is_nearly_delivered: bool,
    /// Whether a peer may be in class live.
    some_are_live: bool,
}

impl DumpProgress {
    /// The last dump batch that live records may follow without a long wait.
    const fn limit(&self) -> LoggedBatch {
        if self.is_nearly_delivered { self.logged } else { self.delivered }
    }
}

impl PeerState {
    /// Whether the peer is up and its table has been sent; true for a peer that is down.
    fn has_no_dump(&self) -> bool {
        let mut families = self.views.iter().flat_map(|view| view.families()).peekable();
        !self.up || (families.peek().is_some() && families.all(|family| !family.dumping))
    }

    fn demote(&mut self) {
        (self.placement.class, self.placement.after) = (Class::Dump, 0);
    }
}

impl Peers {
    /// Records that the next dump batch is in the log, with this sequence number; `None` if it could not be
    /// encoded.
    pub(in crate::session) fn dump_logged(&mut self, seq: Option<u64>) {
        let dumps = &mut self.dumps;
        dumps.logged.number += 1;
        dumps.logged.seq = seq.unwrap_or(dumps.logged.seq);
        if dumps.undelivered.len() >= BATCHES_MAX {
            // Of two batches the later one is kept: it is delivered only after the other one.
            let mut is_later = true;
            dumps.undelivered.retain(|_| {
                is_later = !is_later;
                is_later
            });
        }
        dumps.undelivered.push_back(dumps.logged);
    }

    /// Records that the dump lanes have delivered all batches up to `seq`. `is_nearly_complete` states that
    /// they have little left to deliver.
    pub(in crate::session) fn dump_delivered(&mut self, seq: u64, is_nearly_complete: bool) {
        let dumps = &mut self.dumps;
        while let Some(batch) = dumps.undelivered.pop_front_if(|batch| batch.seq <= seq) {
            dumps.delivered = batch;
        }
        dumps.is_nearly_delivered = is_nearly_complete;
    }

    /// Counts the routes of a message. Moves the peer to class dump if they come in bulk.
    pub(in crate::session) fn count_recent(&mut self, index: usize, routes: u64) {
        let Some(peer) = self.states.get_mut(index) else { return };
        peer.placement.recent = peer.placement.recent.saturating_add(routes);
        if peer.placement.class == Class::Live && peer.placement.recent >= BULK_RECORDS_MIN {
            self.demote(index);
        }
    }

    /// Moves a peer to class dump, with all peers of its address. Its next records follow its live ones in
    /// the log, and the dump lanes wait for these.
    pub(in crate::session) fn demote(&mut self, index: usize) {
        let Some(key) = self.states.get(index).map(|peer| lane_key(&peer.identity.key)) else { return };
        if self.dumps.some_are_live {
            let same = self.states.iter_mut().filter(|peer| lane_key(&peer.identity.key) == key);
            same.for_each(PeerState::demote);
        }
    }

    /// Moves all peers to class dump.
    pub(in crate::session) fn demote_all(&mut self) {
        self.states.iter_mut().for_each(PeerState::demote);
        self.dumps.some_are_live = false;
    }

    /// Moves all peers to class dump until the dump batch with this number is delivered.
    pub(in crate::session) fn suspend_live(&mut self, until: u64) {
        self.demote_all();
        self.states.iter_mut().for_each(|peer| peer.placement.last_dump = until);
    }

    /// Moves the peers to class live whose table is sent and delivered. To be called once a second.
    pub(in crate::session) fn promote(&mut self) {
        let limit = self.dumps.limit();
        // An untracked peer has no state of its own to decide by.
        let is_possible = limit.number > 0 && self.refusals() == 0;
        // Whether a peer of the address is up, and whether a peer of the address must stay in class dump.
        let mut addresses: HashMap<LaneKey, (bool, bool)> = HashMap::new();
        for peer in &mut self.states {
            let is_quiet = std::mem::take(&mut peer.placement.recent) <= LIVE_RECORDS_MAX;
            if is_possible && peer.placement.class == Class::Dump {
                let stays = !is_quiet || peer.placement.last_dump > limit.number || !peer.has_no_dump();
                let address = addresses.entry(lane_key(&peer.identity.key)).or_default();
                *address = (address.0 | peer.up, address.1 | stays);
            }
        }
        addresses.retain(|_, (is_up, stays)| *is_up && !*stays);
        if addresses.is_empty() {
            return;
        }
        self.dumps.some_are_live = true;
        for peer in self.states.iter_mut().filter(|peer| peer.placement.class == Class::Dump) {
            if addresses.contains_key(&lane_key(&peer.identity.key)) {
                (peer.placement.class, peer.placement.after) = (Class::Live, limit.seq);
            }
        }
    }
}
