//! Routes that cannot be in the current table yet, and so need no merge. Pure.
//!
//! The merge looks up each staged route in `rib_entries`. For a peer whose row this connection has created,
//! the table holds only routes that this connection has stored. A route that it has not stored is therefore
//! new, and is copied directly into `rib_entries`. That takes half the time of COPY into the staging table, a
//! look-up and an INSERT.
//!
//! [`InitialLoad`] remembers the stored routes of such peers, five bytes each, up to [`ROUTES_MAX`]. It is
//! dropped with the connection, so that after any failure all routes are merged.
//!
//! Another writer may still store routes of the same peer: a retried rejected record, or an old log that is
//! drained by hand. The COPY then violates the primary key, and the lane attaches again and merges.

use std::collections::{HashMap, HashSet};
use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

/// Largest number of remembered routes, which take 13 MB. A hash set of more would double its memory.
const ROUTES_MAX: usize = 1_800_000;

/// Hash of a route key. Of two million routes, about two share their hash with another one; each is then
/// merged.
type ShortHash = [u8; 5];

/// The routes that this connection has stored for the peers that it has created.
#[derive(Default)]
pub(crate) struct InitialLoad {
    /// Routes of each peer, by `bgp_peers.id`.
    peers: HashMap<i64, HashSet<ShortHash>>,
    /// Number of routes of all peers.
    routes: usize,
}

impl InitialLoad {
    /// Begins to remember the routes of a peer that the transaction has created.
    pub(super) fn begin(&mut self, peer: i64) {
        self.peers.entry(peer).or_default();
    }

    /// Ends the initial load of peers of which another connection stores routes.
    pub(crate) fn end(&mut self, peers: impl Iterator<Item = i64>) {
        for routes in peers.filter_map(|peer| self.peers.remove(&peer)) {
            self.routes = self.routes.saturating_sub(routes.len());
        }
    }

    /// Returns true if the database cannot contain this route of the peer, and remembers the route as stored.
    pub(super) fn is_new(&mut self, peer: i64, key: &[u8]) -> bool {
        let Some(routes) = self.peers.get_mut(&peer) else { return false };
        let is_new = routes.insert(short_hash(key));
        self.routes += usize::from(is_new);
        if self.routes > ROUTES_MAX {
            *self = Self::default();
        }
        is_new
    }
}

fn short_hash(key: &[u8]) -> ShortHash {
    let mut hasher = SipHasher13::new();
    hasher.write(key);
    let [a, b, c, d, e, ..] = hasher.finish().to_le_bytes();
    [a, b, c, d, e]
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
    }

    #[test]
    fn nothing_is_new_of_a_peer_that_another_connection_stores() {
        let mut load = InitialLoad::default();
        load.begin(1);
        load.begin(2);
        assert!(load.is_new(1, b"a") && load.is_new(2, b"a"));
        load.end([1, 7].into_iter());
        assert!(!load.is_new(1, b"b") && load.is_new(2, b"b"));
        assert_eq!(load.routes, 2);
    }

    #[test]
    fn beyond_its_bound_it_knows_nothing() {
        let mut load = InitialLoad::default();
        load.begin(1);
        // With this many keys, a few share their hash and are not reported as new.
        let collisions_max = 10;
        let keys = (0..ROUTES_MAX + collisions_max).map(|number: usize| number.to_be_bytes());
        let new = keys.filter(|key| load.is_new(1, key)).count();
        assert_eq!(new, ROUTES_MAX + 1);
        assert!(!load.is_new(1, b"a"));
        assert_eq!(load.routes, 0);
    }
}
