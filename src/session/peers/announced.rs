//! The routes announced in one generation, as fingerprints.
//!
//! A dump announces each route once. Another announcement of the same route is a change, also while the dump
//! continues. Routers that send no End-of-RIB (GoBGP) or send changes during the dump make this distinction
//! necessary for each route.
//!
//! A route is represented by 48 bits of a keyed hash, which takes about 7 to 14 bytes: a table of 1.2 million
//! routes takes at most 16 MB. Among n announced routes, a new one is mistaken for one of them with a
//! probability of n / 2⁴⁸, which is 4·10⁻⁹ for 1.2 million; in a dump of that size, about one in 400 dumps
//! has one such route. That route is then recorded with the cause `update`.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher};

use foldhash::quality::RandomState;

use super::memory_budget::{MemoryBudget, Reservation};
use crate::route::{Nlri, NlriEntry};

/// Memory of one fingerprint in the hash table: the fingerprint and a control byte.
const FINGERPRINT_BYTES: usize = size_of::<[u8; 6]>() + 1;
/// Number of fingerprints for which the first table has space.
const FIRST_CAPACITY: usize = 28;

/// Hashes a fingerprint, which is a hash already, to itself.
#[derive(Default)]
struct FingerprintHasher(u64);

impl Hasher for FingerprintHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Ok([a, b, c, d, e, f]) = <[u8; 6]>::try_from(bytes) {
            self.0 = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        }
    }

    /// The length of the array, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        // The table uses the highest bits as well; a fingerprint has 48.
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// A set of routes of one family and RIB view.
pub(in crate::session) struct AnnouncedRoutes {
    fingerprints: HashSet<[u8; 6], BuildHasherDefault<FingerprintHasher>>,
    /// Keys of the hash, which no router can predict.
    keys: RandomState,
    budget: MemoryBudget,
    /// The memory of the table.
    reservation: Option<Reservation>,
    /// Buffer for the key of a route.
    key: Vec<u8>,
}

impl AnnouncedRoutes {
    /// An empty set, whose memory is reserved from `budget`.
    pub(in crate::session) fn new(keys: RandomState, budget: MemoryBudget) -> Self {
        Self { fingerprints: HashSet::default(), keys, budget, reservation: None, key: Vec::new() }
    }

    /// Adds a route. Returns whether it is new. When the memory budget is exhausted, a new route is not added,
    /// and its next announcement is taken for the first one again.
    pub(in crate::session) fn insert(&mut self, route: &NlriEntry) -> bool {
        let hash = match &route.nlri {
            Nlri::Prefix(prefix) => self.keys.hash_one((route.path_id, prefix)),
            other => {
                self.key.clear();
                other.key(&mut self.key);
                self.keys.hash_one((route.path_id, self.key.as_slice()))
            }
        };
        let [fingerprint @ .., _, _] = hash.to_be_bytes();
        if self.fingerprints.len() == self.fingerprints.capacity() {
            return !self.fingerprints.contains(&fingerprint) && {
                if self.grow() {
                    self.fingerprints.insert(fingerprint);
                }
                true
            };
        }
        self.fingerprints.insert(fingerprint)
    }

    /// Doubles the table. Returns `false` if the memory budget is exhausted.
    fn grow(&mut self) -> bool {
        let len = self.fingerprints.len();
        let additional = len.max(FIRST_CAPACITY);
        // A table has a power of two of slots, of which 7/8 are used.
        let slots = ((len + additional) * 8).div_ceil(7).next_power_of_two();
        let Some(reservation) = self.budget.reserve(size_of::<Self>() + slots * FINGERPRINT_BYTES) else {
            return false;
        };
        self.fingerprints.reserve(additional);
        self.reservation = Some(reservation);
        true
    }

    /// Number of routes.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.fingerprints.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Nlri, Prefix};

    fn route(path_id: u32, address: u32) -> NlriEntry {
        NlriEntry { path_id, nlri: Nlri::Prefix(Prefix::v4(address, 32).unwrap()) }
    }

    fn routes(budget: &MemoryBudget) -> AnnouncedRoutes {
        AnnouncedRoutes::new(RandomState::default(), budget.clone())
    }

    #[test]
    fn a_route_is_new_once_and_path_ids_are_part_of_it() {
        let mut set = routes(&MemoryBudget::with_limit(1 << 20));
        assert!(set.insert(&route(0, 1)) && set.insert(&route(1, 1)) && set.insert(&route(0, 2)));
        assert!(!set.insert(&route(0, 1)) && !set.insert(&route(1, 1)));
    }

    #[test]
    fn a_full_table_takes_at_most_16_mb_and_returns_them() {
        let budget = MemoryBudget::with_limit(24 << 20);
        let mut set = routes(&budget);
        let new = (0..1_200_000).filter(|address| set.insert(&route(0, *address))).count();
        assert!((1_199_999..=1_200_000).contains(&new), "{new}");
        assert_eq!(budget.refusals(), 0, "the old and the new table fit during growth");
        assert!(budget.reserve(8 << 20).is_some());
        drop(set);
        assert!(budget.reserve(24 << 20).is_some());
    }

    #[test]
    fn beyond_the_budget_known_routes_stay_known_and_new_ones_stay_new() {
        let budget = MemoryBudget::with_limit(2 * size_of::<AnnouncedRoutes>() + 100 * FINGERPRINT_BYTES);
        let mut set = routes(&budget);
        (0..100).for_each(|address| assert!(set.insert(&route(0, address))));
        let kept = set.len();
        assert!((28..100).contains(&kept), "{kept}");
        assert!(!set.insert(&route(0, 0)) && set.insert(&route(0, 99)));
        assert!(budget.refusals() > 0);
    }
}
