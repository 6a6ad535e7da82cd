//! What the lanes of a log know of each other's peers.
//!
//! Several lanes store records of one peer, in turn or, in class bulk, at the same time but of different
//! routes. What a connection remembers of the state of a peer ([`KnownPeers`]) ends when another lane stores
//! records of it that may change that state; those of class bulk do not. Without this note the server would
//! notice it, and the lane would have to attach again. All lanes share the routes of the initial load.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::num;
use crate::sink::transaction::{InitialLoad, PeerArguments, StoredPeers};

use super::known_peers::KnownPeers;

/// The peers that the lanes of a log have stored.
#[derive(Debug, Default)]
pub struct SharedPeers {
    /// For each lane the numbers of the peers that other lanes have stored since the lane has forgotten them.
    stored_by_others: Vec<Mutex<HashSet<i64>>>,
    initial_load: Arc<InitialLoad>,
}

impl SharedPeers {
    /// The peers of a log with `count` lanes.
    #[must_use]
    pub fn new(count: u32) -> Self {
        Self {
            stored_by_others: (0..count).map(|_| Mutex::default()).collect(),
            initial_load: Arc::default(),
        }
    }

    /// The routes of the initial load.
    pub(super) fn initial_load(&self) -> Arc<InitialLoad> {
        Arc::clone(&self.initial_load)
    }

    /// Notes the peers of a transaction of a lane before it is sent.
    pub(super) fn note(&self, lane: u32, peers: &StoredPeers, arguments: &PeerArguments) {
        let changing = peers.0.iter().filter(|(index, _)| !arguments.is_bulk(**index));
        let numbers: HashSet<i64> = changing.map(|(_, peer)| peer.peer_number).collect();
        for (_, stored) in (0..).zip(&self.stored_by_others).filter(|(number, _)| *number != lane) {
            locked(stored).extend(&numbers);
        }
    }

    /// Forgets what a lane remembers of the peers that others have stored.
    pub(super) fn forget(&self, lane: u32, known: &mut KnownPeers) {
        let stored = self.stored_by_others.get(num::u32_to_usize(lane));
        let stored = stored.map(|stored| std::mem::take(&mut *locked(stored))).unwrap_or_default();
        if !stored.is_empty() {
            known.forget(&stored);
        }
    }
}

fn locked(stored: &Mutex<HashSet<i64>>) -> MutexGuard<'_, HashSet<i64>> {
    stored.lock().unwrap_or_else(PoisonError::into_inner)
}
