//! The open batches of a session: one of each class.
//!
//! The records of a peer in the open live or bulk batch precede those in the open dump batch: a peer is moved
//! to these classes only once its dump records are logged (`Peers::promote`, `Peers::begin_bulk`), and may be
//! moved back at any time. The dump batch is therefore always closed last. No peer has records in both other
//! batches.
//!
//! The dump and bulk batches that are closed at once are a *round*.

use super::{BatchBuilder, PeerSlot};
use crate::route::{Batch, Class, EventKind, Peer, Router, Timestamp};
use crate::session::peers::PeerState;

/// First numbers of live and bulk batches. Batches of two classes share no number, so that a [`PeerSlot`] of
/// one class is never valid in another one.
const LIVE_FIRST: u64 = 1 << 63;
const BULK_FIRST: u64 = 1 << 62;

/// The open batches of a session, and those that were closed and not taken yet.
pub(in crate::session) struct OpenBatches {
    dump: BatchBuilder,
    live: BatchBuilder,
    bulk: BatchBuilder,
    /// Number of the open round, from 1.
    round: u64,
    /// In the order in which they must be logged.
    closed: Vec<Batch>,
}

impl OpenBatches {
    /// Empty batches of `router`.
    pub(in crate::session) fn new(router: Router) -> Self {
        // Another session of the router may have sent routes in bulk before.
        let dump = Batch { follows_bulk: true, ..Batch::new(router.clone()) };
        let live = Batch { class: Class::Live, ..Batch::new(router.clone()) };
        let bulk = Batch { class: Class::Bulk, ..Batch::new(router) };
        Self {
            dump: BatchBuilder::new(dump, 1),
            live: BatchBuilder::new(live, LIVE_FIRST),
            bulk: BatchBuilder::new(bulk, BULK_FIRST),
            round: 1,
            closed: Vec::new(),
        }
    }

    pub(in crate::session) const fn router(&self) -> &Router {
        self.dump.router()
    }

    /// Number of the open round.
    pub(in crate::session) const fn round(&self) -> u64 {
        self.round
    }

    /// Changes the router's name for all later records.
    pub(in crate::session) fn rename(&mut self, name: &str) {
        if self.router().name != name {
            self.close_all();
            self.dump.rename(name.to_owned());
            self.live.rename(name.to_owned());
            self.bulk.rename(name.to_owned());
            // As in new().
            self.dump.batch.follows_bulk = true;
        }
    }

    /// The batch for the next records of a peer.
    pub(in crate::session) fn for_peer(&mut self, peer: &mut PeerState) -> &mut BatchBuilder {
        match peer.placement.class {
            Class::Dump => {
                self.dump.batch.follows_bulk |= std::mem::take(&mut peer.placement.follows_bulk);
                peer.placement.last_dump = self.round;
                &mut self.dump
            }
            Class::Bulk => {
                self.bulk.batch.after = self.bulk.batch.after.max(peer.placement.after);
                peer.placement.last_dump = self.round;
                &mut self.bulk
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
        // An event of a peer of class bulk concerns no route, and has no order with its routes.
        let builder = if peer.placement.class == Class::Bulk {
            self.close_if_dictionary_full(Class::Dump);
            peer.placement.last_dump = self.round;
            &mut self.dump
        } else {
            self.close_if_dictionary_full(peer.placement.class);
            self.for_peer(peer)
        };
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
        is_full(&self.dump) || is_full(&self.live) || is_full(&self.bulk)
    }

    /// Whether there is a record that has not been taken.
    pub(in crate::session) fn has_records(&self) -> bool {
        let open = [&self.dump, &self.live, &self.bulk];
        !self.closed.is_empty() || open.iter().any(|builder| !builder.batch.is_empty())
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
            Class::Dump | Class::Live | Class::Bulk => {}
        }
    }

    fn close_all(&mut self) {
        self.closed.extend(self.live.close());
        let closed = self.closed.len();
        self.closed.extend(self.bulk.close());
        self.closed.extend(self.dump.close());
        self.round += u64::from(self.closed.len() > closed);
    }
}
