//! The delivery class of each peer: dump until its table is delivered, then live; bulk while it sends many
//! routes.
//!
//! ```text
//!                 dump over, few updates, and all its records logged and (nearly) delivered
//!   Peer Up ──► dump ◄─── event ──── bulk ──────────────────────────────────────────► live
//!                ▲ │                  ▲                                                 │
//!                │ └ 10,000 routes/s ─┘                                                 │
//!                └── Peer Up, Peer Down, new peer or family, updates in bulk ───────────┘
//! ```
//!
//! Peers with the same address and distinguisher change their class together: the database decides from all
//! of them which identity a record belongs to.
//!
//! The order of a peer's records does not depend on when the class changes. A batch names the batch that its
//! records follow ([`Batch::after`](crate::route::Batch::after)), and the lanes wait for that. The conditions
//! here keep that wait short, and make it rare.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;

use super::{PeerState, Peers};
use crate::route::{Class, PeerKey};

/// Routes of a peer within a second, between two ticks, from which on its routes are of class bulk: a table,
/// or as much. A change to class bulk and back makes the dump lanes wait for each other twice, which costs
/// less than it gains only for many routes.
pub const BULK_ROUTES_MIN: u64 = 10_000;

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
    /// Sequence number that the dump lanes must have delivered before the next records of this peer; 0 in
    /// class dump.
    pub(in crate::session) after: u64,
    /// Whether the next record of class dump follows records of class bulk.
    pub(in crate::session) follows_bulk: bool,
    /// Round of the last record of class dump or bulk; 0 if there was none.
    pub(in crate::session) last_dump: u64,
    /// Routes recorded since the last tick.
    recent: u64,
    /// Whether they are so many that the next ones are to be of class bulk.
    is_bulk: bool,
}

/// The dump and bulk batches of the session that were closed at once.
#[derive(Clone, Copy, Default)]
struct LoggedRound {
    /// Number of the round, from 1.
    number: u64,
    /// Sequence number of its last batch in the log.
    seq: u64,
}

/// The progress of the session's dump and bulk batches.
#[derive(Default)]
pub(super) struct DumpProgress {
    /// The last round in the log.
    logged: LoggedRound,
    /// Those in the log that are not known to be delivered, oldest first.
    undelivered: VecDeque<LoggedRound>,
    /// The last one that is delivered.
    delivered: LoggedRound,
    /// Whether the dump lanes have little left to deliver.
    is_nearly_delivered: bool,
    /// Whether a peer may be of another class than dump.
    some_are_not_dump: bool,
    /// Whether a peer of class dump may have sent many routes since the last tick.
    some_send_bulk: bool,
}

impl DumpProgress {
    /// The last round that live records may follow without a long wait.
    const fn limit(&self) -> LoggedRound {
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
        self.placement.follows_bulk |= self.placement.class == Class::Bulk;
        (self.placement.class, self.placement.after) = (Class::Dump, 0);
    }
}

impl Peers {
    /// Records that all dump and bulk batches up to this round are in the log; the last one has this sequence
    /// number, or `None` if it could not be encoded. Moves peers that send many routes to class bulk.
    pub(in crate::session) fn dump_logged(&mut self, round: u64, seq: Option<u64>) {
        let dumps = &mut self.dumps;
        dumps.logged = LoggedRound { number: round, seq: seq.unwrap_or(dumps.logged.seq) };
        if dumps.undelivered.len() >= BATCHES_MAX {
            // Of two batches the later one is kept: it is delivered only after the other one.
            let mut is_later = true;
            dumps.undelivered.retain(|_| {
                is_later = !is_later;
                is_later
            });
        }
        dumps.undelivered.push_back(dumps.logged);
        self.begin_bulk();
    }

    /// Moves the peers to class bulk that have sent many routes since the last tick. Their records of class
    /// dump are in the log.
    fn begin_bulk(&mut self) {
        let dumps = &mut self.dumps;
        if !std::mem::take(&mut dumps.some_send_bulk) {
            return;
        }
        let logged = dumps.logged;
        let sends_bulk = |peer: &&PeerState| {
            peer.placement.class == Class::Dump
                && peer.placement.is_bulk
                && peer.placement.last_dump <= logged.number
        };
        let addresses: HashSet<LaneKey> =
            self.states.iter().filter(sends_bulk).map(|peer| lane_key(&peer.identity.key)).collect();
        // An untracked peer has no state of its own to decide by.
        if self.refusals() > 0 || addresses.is_empty() {
            return;
        }
        self.dumps.some_are_not_dump = true;
        for peer in &mut self.states {
            if addresses.contains(&lane_key(&peer.identity.key)) {
                (peer.placement.class, peer.placement.after) = (Class::Bulk, logged.seq);
            }
        }
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

    /// Counts the routes of a message. Moves a live peer to class dump if it has sent at least `bulk_min`
    /// since the last tick.
    pub(in crate::session) fn count_recent(&mut self, index: usize, routes: u64, bulk_min: u64) {
        let Some(peer) = self.states.get_mut(index) else { return };
        peer.placement.recent = peer.placement.recent.saturating_add(routes);
        if peer.placement.recent < bulk_min {
            return;
        }
        peer.placement.is_bulk = true;
        match peer.placement.class {
            Class::Bulk => {}
            Class::Dump => self.dumps.some_send_bulk = true,
            Class::Live => self.demote(index),
        }
    }

    /// Moves a peer to class dump, with all peers of its address. Its next records follow its live and bulk
    /// ones in the log, and the dump lanes wait for these.
    pub(in crate::session) fn demote(&mut self, index: usize) {
        let Some(key) = self.states.get(index).map(|peer| lane_key(&peer.identity.key)) else { return };
        if self.dumps.some_are_not_dump {
            let same = self.states.iter_mut().filter(|peer| lane_key(&peer.identity.key) == key);
            same.for_each(PeerState::demote);
        }
    }

    /// Moves a peer of class bulk to class dump, as [`Peers::demote`].
    pub(in crate::session) fn end_bulk(&mut self, index: usize) {
        if self.states.get(index).is_some_and(|peer| peer.placement.class == Class::Bulk) {
            self.demote(index);
        }
    }

    /// Moves all peers to class dump.
    pub(in crate::session) fn demote_all(&mut self) {
        self.states.iter_mut().for_each(PeerState::demote);
        self.dumps.some_are_not_dump = false;
    }

    /// Moves all peers to class dump until this round is delivered.
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
            peer.placement.is_bulk = false;
            if is_possible && peer.placement.class != Class::Live {
                let stays = !is_quiet || peer.placement.last_dump > limit.number || !peer.has_no_dump();
                let address = addresses.entry(lane_key(&peer.identity.key)).or_default();
                *address = (address.0 | peer.up, address.1 | stays);
            }
        }
        addresses.retain(|_, (is_up, stays)| *is_up && !*stays);
        if addresses.is_empty() {
            return;
        }
        self.dumps.some_are_not_dump = true;
        for peer in self.states.iter_mut().filter(|peer| peer.placement.class != Class::Live) {
            if addresses.contains_key(&lane_key(&peer.identity.key)) {
                // It may come back to class dump without a live record between.
                peer.placement.follows_bulk |= peer.placement.class == Class::Bulk;
                (peer.placement.class, peer.placement.after) = (Class::Live, limit.seq);
            }
        }
    }
}
