//! First tables: routes that are known to be new go straight into the current table. Pure.
//!
//! The merge asks for each staged route whether the database has it. Of a peer whose row this connection has made, it has
//! what this connection has put there and nothing else; so a key that was not put there is new, and COPY into
//! `rib_entries` does for it what COPY into the staging table, a look-up and an INSERT do for the others, in half the time.
//!
//! The knowledge is one small number per route, bounded, and gone with the connection: after any failure the merge asks
//! again.
//! Somebody else may write of the same peer all the same (a rejected record that is retried, an old log that is drained by
//! hand): then COPY violates the primary key, and the lane attaches anew and asks.

use std::collections::{HashMap, HashSet};
use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

/// More routes than this are not kept in mind: 13 MB, as a set of more would double.
const ROUTES_MAX: usize = 1_800_000;

/// A route, by the hash of its key. Of two million routes two, as a rule, share it with another, and each costs a look-up.
type Short = [u8; 5];

/// What a connection knows of the peers that it has made.
#[derive(Default)]
pub(in crate::sink) struct InitialLoad {
    /// By the peer's id, the routes that it has.
    peers: HashMap<i64, HashSet<Short>>,
    routes: usize,
}

impl InitialLoad {
    /// The transaction makes this peer.
    pub(in crate::sink) fn begin(&mut self, peer: i64) {
        self.peers.entry(peer).or_default();
    }

    /// True when the database cannot have this route of the peer; from now on it has.
    pub(in crate::sink) fn is_new(&mut self, peer: i64, key: &[u8]) -> bool {
        let Some(routes) = self.peers.get_mut(&peer) else { return false };
        let is_new = routes.insert(short(key));
        self.routes += usize::from(is_new);
        if self.routes > ROUTES_MAX {
            *self = Self::default();
        }
        is_new
    }
}

fn short(key: &[u8]) -> Short {
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
        let mut tables = InitialLoad::default();
        assert!(!tables.is_new(1, b"a"));
        tables.begin(1);
        assert!(tables.is_new(1, b"a") && tables.is_new(1, b"b"));
        assert!(!tables.is_new(1, b"a") && !tables.is_new(2, b"a"));
        tables.begin(1);
        assert!(!tables.is_new(1, b"a"), "what is known stays known");
    }

    #[test]
    fn beyond_its_bound_it_knows_nothing() {
        let mut tables = InitialLoad::default();
        tables.begin(1);
        // Among so many a few share their short form.
        let taken_for_known = 10;
        let keys = (0..ROUTES_MAX + taken_for_known).map(|number: usize| number.to_be_bytes());
        let new = keys.filter(|key| tables.is_new(1, key)).count();
        assert_eq!(new, ROUTES_MAX + 1);
        assert!(!tables.is_new(1, b"a"));
        assert_eq!(tables.routes, 0);
    }
}
