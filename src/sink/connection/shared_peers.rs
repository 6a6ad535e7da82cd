//! Peers that one lane stores while others remember their state.
//!
//! Several lanes store records of one peer, in turn or, in class bulk, at the same time but of different
//! routes. What a connection remembers of a peer, its state ([`KnownPeers`]) and its routes ([`InitialLoad`]),
//! ends when another lane stores records of it. Without this note the server would notice it, and the lane
//! would have to attach again.
//!
//! Records of class bulk change no state, and a lane stores only routes in that class that no other one does
//! until the next records of other classes: until then, what a connection remembers stays valid.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::num;
use crate::sink::transaction::{InitialLoad, PeerArguments, StoredPeers};

use super::known_peers::KnownPeers;

/// What other lanes have stored since the lane has forgotten it.
#[derive(Debug, Default)]
struct StoredByOthers {
    /// RIB views with records of class dump or live: `bgp_peers.id`, and the number of the peer.
    views: HashSet<(i64, i64)>,
    /// RIB views with routes of class bulk: `bgp_peers.id`.
    bulk_views: HashSet<i64>,
}

/// The peers that the lanes of a log have stored, for each lane.
#[derive(Debug, Default)]
pub struct SharedPeers(Vec<Mutex<StoredByOthers>>);

impl SharedPeers {
    /// The peers of a log with `count` lanes.
    #[must_use]
    pub fn new(count: u32) -> Self {
        Self((0..count).map(|_| Mutex::default()).collect())
    }

    fn of(&self, lane: u32) -> Option<MutexGuard<'_, StoredByOthers>> {
        let stored = self.0.get(num::u32_to_usize(lane))?;
        Some(stored.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes the peers of a transaction of a lane before it is sent. `load` ends for those of which it has
    /// records that another lane may have stored in class bulk.
    pub(super) fn note(
        &self,
        lane: u32,
        peers: &StoredPeers,
        arguments: &PeerArguments,
        load: Option<&mut InitialLoad>,
    ) {
        let (bulk, other): (Vec<_>, Vec<_>) =
            peers.0.iter().partition(|(index, _)| arguments.is_bulk(**index));
        if let (Some(mut own), Some(load)) = (self.of(lane), load) {
            let stored = other.iter().map(|(_, peer)| peer.id).filter(|id| own.bulk_views.remove(id));
            load.end(stored);
        }
        for number in (0..num::to_u32_saturating(self.0.len())).filter(|number| *number != lane) {
            let Some(mut stored) = self.of(number) else { continue };
            stored.views.extend(other.iter().map(|(_, peer)| (peer.id, peer.peer_number)));
            stored.bulk_views.extend(bulk.iter().map(|(_, peer)| peer.id));
        }
    }

    /// Forgets what a lane remembers of the peers that others have stored.
    pub(super) fn forget(&self, lane: u32, known: &mut KnownPeers, load: &mut InitialLoad) {
        let stored = self.of(lane).map(|mut own| std::mem::take(&mut own.views)).unwrap_or_default();
        if !stored.is_empty() {
            load.end(stored.iter().map(|(id, _)| *id));
            known.forget(&stored.into_iter().map(|(_, number)| number).collect());
        }
    }
}
