//! Peers that one lane of a shard stores while the other one remembers their state.
//!
//! The two lanes of a shard store the same peers, one after the other. What a connection remembers of a peer,
//! its state ([`KnownPeers`]) and its routes ([`InitialLoad`]), ends when the other lane stores records of
//! it. Without this note the server would notice it, and the lane would have to attach again.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::route::Class;
use crate::sink::transaction::{InitialLoad, StoredPeers};

use super::known_peers::KnownPeers;

/// A RIB view: `bgp_peers.id`, and the number of its peer.
type View = (i64, i64);

/// RIB views that each lane of a shard has stored records of, until the other one has forgotten them.
#[derive(Debug, Default)]
pub struct SharedPeers {
    by_dump: Mutex<HashSet<View>>,
    by_live: Mutex<HashSet<View>>,
}

impl SharedPeers {
    fn stored_by(&self, class: Class) -> MutexGuard<'_, HashSet<View>> {
        let views = match class {
            Class::Dump => &self.by_dump,
            Class::Live => &self.by_live,
        };
        views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the peers of a transaction of the lane of `class`, before it is committed.
    pub(super) fn note(&self, class: Class, peers: &StoredPeers) {
        self.stored_by(class).extend(peers.0.values().map(|peer| (peer.id, peer.peer_number)));
    }

    /// Forgets what the lane of `class` remembers of the peers that the other lane has stored.
    pub(super) fn forget(&self, class: Class, known: &mut KnownPeers, load: &mut InitialLoad) {
        let stored = std::mem::take(&mut *self.stored_by(class.other()));
        if !stored.is_empty() {
            load.end(stored.iter().map(|(id, _)| *id));
            known.forget(&stored.into_iter().map(|(_, number)| number).collect());
        }
    }
}
