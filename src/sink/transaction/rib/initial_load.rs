//! Routes that cannot be in the current table yet, and so need no merge. Pure.
//!
//! The merge looks up each staged route in `rib_entries`. For a peer whose row this process has created, the
//! table holds only routes that the lanes of this process have stored. A route that they have not stored is
//! therefore new, and is copied directly into `rib_entries`. That takes half the time of COPY into the
//! staging table, a look-up and an INSERT.
//!
//! [`InitialLoad`] remembers the stored routes of such peers in a filter of a fixed size, up to
//! [`ROUTES_MAX`]. All lanes share it, because they store parts of the same table. The filter never takes a
//! stored route for a new one; few new ones it takes for stored, which are merged. It is emptied after any
//! failure of a lane, so that the routes of peers that are known by then are merged.
//!
//! Another writer may still store routes of the same peer: a retried rejected record, or an old log that is
//! drained by hand. The COPY then violates the primary key, and the lane attaches again and merges.

use std::collections::HashSet;
use std::hash::Hasher as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use siphasher::sip::SipHasher13;

use crate::num;

/// Largest number of remembered routes. Of the last ones, the filter takes 0.14 % for stored.
const ROUTES_MAX: usize = 1_800_000;

/// Bits of the filter: 4 MiB, whatever the number of routes and lanes.
const BITS: u64 = 1 << 25;

/// Bits that are set for each route.
const BITS_PER_ROUTE: u64 = 4;

/// The routes that the lanes of this process have stored for the peers that they have created.
#[derive(Debug, Default)]
pub(crate) struct InitialLoad(RwLock<Load>);

/// The present contents of an [`InitialLoad`].
#[derive(Debug, Default)]
pub(super) struct Load {
    /// The peers, by `bgp_peers.id`.
    peers: HashSet<i64>,
    /// Bloom filter of the routes of all peers; empty before the first one.
    filter: Vec<AtomicU64>,
    /// Number of routes in the filter.
    routes: AtomicUsize,
}

impl InitialLoad {
    fn write(&self) -> RwLockWriteGuard<'_, Load> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to remember the routes of peers that a transaction has created, and returns what is remembered.
    pub(super) fn with_new_peers(&self, peers: impl Iterator<Item = i64>) -> RwLockReadGuard<'_, Load> {
        let mut peers = peers.peekable();
        if peers.peek().is_some() {
            let mut load = self.write();
            load.peers.extend(peers);
            load.filter.resize_with(num::to_usize(BITS / u64::from(u64::BITS)), AtomicU64::default);
        }
        let load = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if load.routes.load(Ordering::Relaxed) <= ROUTES_MAX {
            return load;
        }
        drop(load);
        self.end();
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the initial load of all peers.
    pub(crate) fn end(&self) {
        *self.write() = Load::default();
    }
}

impl Load {
    /// Returns true if the database cannot contain this route of the peer, and remembers the route as stored.
    pub(super) fn is_new(&self, peer: i64, key: &[u8]) -> bool {
        if !self.peers.contains(&peer) {
            return false;
        }
        let mut hasher = SipHasher13::new();
        hasher.write(&peer.to_be_bytes());
        hasher.write(key);
        let hash = hasher.finish();
        // Kirsch and Mitzenmacher: the positions may follow from two hashes.
        let (first, step) = (hash & 0xffff_ffff, (hash >> 32) | 1);
        let mut is_new = false;
        for number in 0..BITS_PER_ROUTE {
            let bit = (first + number * step) % BITS;
            if let Some(word) = self.filter.get(num::to_usize(bit / u64::from(u64::BITS))) {
                let mask = 1 << (bit % u64::from(u64::BITS));
                // No two lanes have transactions with the same route at the same time.
                is_new |= word.fetch_or(mask, Ordering::Relaxed) & mask == 0;
            }
        }
        self.routes.fetch_add(usize::from(is_new), Ordering::Relaxed);
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_new(load: &InitialLoad, peer: i64, key: &[u8]) -> bool {
        load.with_new_peers(std::iter::empty()).is_new(peer, key)
    }

    #[test]
    fn a_route_is_new_once_and_only_of_a_peer_that_was_made_here() {
        let load = InitialLoad::default();
        assert!(!is_new(&load, 1, b"a"));
        drop(load.with_new_peers([1].into_iter()));
        assert!(is_new(&load, 1, b"a") && is_new(&load, 1, b"b"));
        assert!(!is_new(&load, 1, b"a") && !is_new(&load, 2, b"a"));
        drop(load.with_new_peers([1].into_iter()));
        assert!(!is_new(&load, 1, b"a"), "the routes of the peer are kept");
        assert!(load.with_new_peers([2].into_iter()).is_new(2, b"a"), "another peer has the same route");
    }

    #[test]
    fn nothing_is_new_after_the_end() {
        let load = InitialLoad::default();
        assert!(load.with_new_peers([1].into_iter()).is_new(1, b"a"));
        load.end();
        assert!(!is_new(&load, 1, b"b"));
        assert!(load.0.read().unwrap().filter.is_empty());
    }

    #[test]
    fn beyond_its_bound_it_knows_nothing() {
        let load = InitialLoad::default();
        drop(load.with_new_peers([1].into_iter()));
        let (mut new, mut asked) = (0, 0_usize);
        while new <= ROUTES_MAX {
            new += usize::from(is_new(&load, 1, &asked.to_be_bytes()));
            asked += 1;
        }
        // One in a thousand at most is taken for stored.
        assert!(asked - new < ROUTES_MAX / 1_000, "{asked} routes, {new} of them new");
        assert!(!is_new(&load, 1, b"a"));
        assert!(load.0.read().unwrap().filter.is_empty());
    }
}
