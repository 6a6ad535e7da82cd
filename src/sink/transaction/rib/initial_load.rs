//! Routes that cannot be in the current table yet, and so need no merge. Pure.
//!
//! The merge looks up each staged route in `rib_entries`. For a peer whose row this connection has created,
//! the table holds only routes that this connection has stored. A route that it has not stored is therefore
//! new, and is copied directly into `rib_entries`. That takes half the time of COPY into the staging table, a
//! look-up and an INSERT.
//!
//! [`InitialLoad`] remembers the stored routes of such peers in a filter of a fixed size, up to
//! [`ROUTES_MAX`]. The filter never takes a stored route for a new one; few new ones it takes for stored,
//! which are merged. It is dropped with the connection, so that after any failure all routes are merged.
//!
//! Another writer may still store routes of the same peer: a retried rejected record, or an old log that is
//! drained by hand. The COPY then violates the primary key, and the lane attaches again and merges.

use std::collections::HashSet;
use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use crate::num;

/// Largest number of remembered routes. Of the last ones, the filter takes 0.14 % for stored.
const ROUTES_MAX: usize = 1_800_000;

/// Bits of the filter: 4 MiB, whatever the number of routes.
const BITS: u64 = 1 << 25;

/// Bits that are set for each route.
const BITS_PER_ROUTE: u64 = 4;

/// The routes that this connection has stored for the peers that it has created.
#[derive(Default)]
pub(crate) struct InitialLoad {
    /// The peers, by `bgp_peers.id`.
    peers: HashSet<i64>,
    /// Bloom filter of the routes of all peers; empty before the first one.
    filter: Vec<u64>,
    /// Number of routes in the filter.
    routes: usize,
}

impl InitialLoad {
    /// Begins to remember the routes of a peer that the transaction has created.
    pub(super) fn begin(&mut self, peer: i64) {
        self.peers.insert(peer);
    }

    /// Ends the initial load of peers of which another connection stores routes.
    pub(crate) fn end(&mut self, peers: impl Iterator<Item = i64>) {
        for peer in peers {
            self.peers.remove(&peer);
        }
    }

    /// Returns true if the database cannot contain this route of the peer, and remembers the route as stored.
    pub(super) fn is_new(&mut self, peer: i64, key: &[u8]) -> bool {
        if !self.peers.contains(&peer) {
            return false;
        }
        if self.filter.is_empty() {
            self.filter.resize(num::to_usize(BITS / u64::from(u64::BITS)), 0);
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
            if let Some(word) = self.filter.get_mut(num::to_usize(bit / u64::from(u64::BITS))) {
                let mask = 1 << (bit % u64::from(u64::BITS));
                is_new |= *word & mask == 0;
                *word |= mask;
            }
        }
        self.routes += usize::from(is_new);
        if self.routes > ROUTES_MAX {
            *self = Self::default();
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_new_once_and_only_of_a_peer_that_was_made_here() {
        let mut load = InitialLoad::default();
        assert!(!load.is_new(1, b"a"));
        load.begin(1);
        assert!(load.is_new(1, b"a") && load.is_new(1, b"b"));
        assert!(!load.is_new(1, b"a") && !load.is_new(2, b"a"));
        load.begin(1);
        assert!(!load.is_new(1, b"a"), "begin() keeps the routes of the peer");
        load.begin(2);
        assert!(load.is_new(2, b"a"), "another peer has the same route");
    }

    #[test]
    fn nothing_is_new_of_a_peer_that_another_connection_stores() {
        let mut load = InitialLoad::default();
        load.begin(1);
        load.begin(2);
        assert!(load.is_new(1, b"a") && load.is_new(2, b"a"));
        load.end([1, 7].into_iter());
        assert!(!load.is_new(1, b"b") && load.is_new(2, b"b"));
    }

    #[test]
    fn beyond_its_bound_it_knows_nothing() {
        let mut load = InitialLoad::default();
        load.begin(1);
        let (mut new, mut asked) = (0, 0_usize);
        while new <= ROUTES_MAX {
            new += usize::from(load.is_new(1, &asked.to_be_bytes()));
            asked += 1;
        }
        // One in a thousand at most is taken for stored.
        assert!(asked - new < ROUTES_MAX / 1_000, "{asked} routes, {new} of them new");
        assert!(!load.is_new(1, b"a"));
        assert_eq!((load.routes, load.filter.len()), (0, 0));
    }
}
