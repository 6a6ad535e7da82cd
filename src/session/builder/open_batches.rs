//! The open batches of a session: one of class dump and one of class live.
//!
//! The records of a peer in the open live batch precede those in the open dump batch: a peer is moved to
//! class live only once its dump records are logged (`Peers::promote`), and may be moved back at any time.
//! The live batch is therefore always closed before the dump batch.

use super::{BatchBuilder, PeerSlot};
use crate::route::{Batch, Class, EventKind, Peer, Router, Timestamp};
use crate::session::peers::PeerState;

/// First number of a live batch. Live and dump batches share no number, so that a [`PeerSlot`] of one class
/// is never valid in the other one.
const LIVE_FIRST: u64 = 1 << 63;

/// The open batches of a session, and those that were closed and not taken yet.
pub(in crate::session) struct OpenBatches {
    dump: BatchBuilder,
    live: BatchBuilder,
    /// In the order in which they must be logged.
    closed: Vec<Batch>,
}

impl OpenBatches {
    /// Empty batches of `router`.
    pub(in crate::session) fn new(router: Router) -> Self {
        let dump = BatchBuilder::new(Batch::new(router.clone()), 1);
        let live = Batch { class: Class::Live, ..Batch::new(router) };
        Self { dump, live: BatchBuilder::new(live, LIVE_FIRST), closed: Vec::new() }
    }

    pub(in crate::session) const fn router(&self) -> &Router {
        self.dump.router()
    }

    /// Number of the open batch of class dump.
    pub(in crate::session) const fn dump_number(&self) -> u64 {
        self.dump.number
    }

    /// Changes the router's name for all later records.
    pub(in crate::session) fn rename(&mut self, name: &str) {
        if self.router().name != name {
            self.close_all();
            self.dump.rename(name.to_owned());
            self.live.rename(name.to_owned());
        }
    }

    /// The batch for the next records of a peer.
    pub(in crate::session) fn for_peer(&mut self, peer: &mut PeerState) -> &mut BatchBuilder {
        match peer.placement.class {
            Class::Dump => {
                peer.placement.last_dump = self.dump.number;
                &mut self.dump
            }
            Class::Live => {
                self.live.batch.after = self.live.batch.after.max(peer.placement.after);
                &mut self.live
            }
        }
    }

    /// Adds an event of a peer, whose dictionary entry `entry` returns. Returns the peer's slot.
    pub(in crate::session) fn peer_event(
        &mut self,
        peer: &mut PeerState,
        mut slot: PeerSlot,
        entry: impl FnOnce(&PeerState) -> Peer,
        (received, router_time, kind): (Timestamp, Timestamp, EventKind),
    ) -> PeerSlot {
        self.close_if_dictionary_full(peer.placement.class);
        let builder = self.for_peer(peer);
        let index = builder.peer(&mut slot, || entry(peer));
        builder.event(Some(index), received, router_time, kind);
        slot
    }

    /// Adds an event of the whole session.
    pub(in crate::session) fn session_event(
        &mut self,
        received: Timestamp,
        router_time: Timestamp,
        kind: EventKind,
    ) {
        self.dump.event(None, received, router_time, kind);
    }

    /// Whether a batch has `records_max` records or a full dictionary.
    pub(in crate::session) fn is_full(&self, records_max: usize) -> bool {
        let is_full =
            |builder: &BatchBuilder| builder.batch.records() >= records_max || builder.is_dictionary_full();
        is_full(&self.dump) || is_full(&self.live)
    }

    /// Whether there is a record that has not been taken.
    pub(in crate::session) fn has_records(&self) -> bool {
        !self.closed.is_empty() || !self.dump.batch.is_empty() || !self.live.batch.is_empty()
    }

    /// Closes the open batches and returns all batches, in the order in which they must be logged.
    pub(in crate::session) fn take(&mut self) -> Vec<Batch> {
        self.close_all();
        std::mem::take(&mut self.closed)
    }

    /// Closes the open batch of a class if a dictionary is full. The end of a session can mark more peers
    /// stale than one dictionary holds.
    fn close_if_dictionary_full(&mut self, class: Class) {
        match class {
            Class::Dump if self.dump.is_dictionary_full() => self.close_all(),
            Class::Live if self.live.is_dictionary_full() => self.closed.extend(self.live.close()),
            Class::Dump | Class::Live => {}
        }
    }

    fn close_all(&mut self) {
        self.closed.extend(self.live.close());
        self.closed.extend(self.dump.close());
    }
}
