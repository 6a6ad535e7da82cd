//! The routes announced in one generation, in bounded memory.
//!
//! A dump announces each route once. Another announcement of the same route is a change, also while the dump
//! continues. Routers that send no End-of-RIB (GoBGP) or send changes during the dump make this distinction
//! necessary for each route.
//!
//! ```text
//! IPv4 prefix up to /24 without path identifier ──► one bit, in pages of 4 KiB: at most 4 MiB, no error
//! every other route ──────────────────────────────► 48 bits of a keyed hash: 7 to 14 bytes each
//! ```
//!
//! Dumps in the order of prefixes stay within one page for long. Of
//! n hashed routes, a new one is mistaken for one of them with a probability of n / 2⁴⁸: 4·10⁻⁹ for 1.2
//! million. That route is then recorded with the cause `update`. In one of 400 dumps of that size there is
//! one such route.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher};

use foldhash::quality::RandomState;

use super::memory_budget::{MemoryBudget, Reservation};
use crate::num;
use crate::route::{Nlri, NlriEntry, Prefix};

/// Memory of one fingerprint in the hash table: the fingerprint and a control byte.
const FINGERPRINT_BYTES: usize = size_of::<[u8; 6]>() + 1;
/// Number of fingerprints for which the first table has space.
const FIRST_CAPACITY: usize = 28;
/// Longest IPv4 prefix that has a bit of its own.
const BITMAP_LENGTH_MAX: u8 = 24;
/// Number of words of 64 bits in a page of the bitmap.
const PAGE_WORDS: usize = 512;
/// Number of pages for all prefixes up to [`BITMAP_LENGTH_MAX`]: a prefix of length n has an index from 2ⁿ to
/// 2ⁿ⁺¹ - 1.
const PAGES: usize = (2 << BITMAP_LENGTH_MAX) / (PAGE_WORDS * 64);

/// A part of the bitmap; `None` if none of its prefixes is in the set.
type Page = Option<Box<[u64; PAGE_WORDS]>>;

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
    /// The bitmap of IPv4 prefixes; empty before the first one.
    pages: Vec<Page>,
    /// The fingerprints of all other routes.
    fingerprints: HashSet<[u8; 6], BuildHasherDefault<FingerprintHasher>>,
    /// Keys of the hash, which no router can predict.
    keys: RandomState,
    /// The memory of the bitmap and the hash table.
    bitmap_memory: Reservation,
    table_memory: Reservation,
    /// Buffer for the key of a route.
    key: Vec<u8>,
}

impl AnnouncedRoutes {
    /// An empty set, whose memory is reserved from `budget`.
    pub(in crate::session) fn new(keys: RandomState, budget: &MemoryBudget) -> Self {
        Self {
            pages: Vec::new(),
            fingerprints: HashSet::default(),
            keys,
            bitmap_memory: budget.reserve_none(),
            table_memory: budget.reserve_none(),
            key: Vec::new(),
        }
    }

    /// Adds a route. Returns whether it is new. When the memory budget is exhausted, a new route is not
    /// added, and its next announcement is taken for the first one again.
    pub(in crate::session) fn insert(&mut self, route: &NlriEntry) -> bool {
        let hash = match &route.nlri {
            Nlri::Prefix(prefix) => match bit(*prefix) {
                Some(bit) if route.path_id == 0 => return self.set_bit(bit),
                _ => self.keys.hash_one((route.path_id, prefix)),
            },
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

    /// Sets a bit of the bitmap. Returns whether it was clear.
    #[inline]
    fn set_bit(&mut self, bit: u32) -> bool {
        let bit = num::u32_to_usize(bit);
        let (page, word, mask) = (bit / (PAGE_WORDS * 64), bit / 64 % PAGE_WORDS, 1 << (bit % 64));
        if let Some(Some(words)) = self.pages.get_mut(page)
            && let Some(word) = words.get_mut(word)
        {
            let was_clear = *word & mask == 0;
            *word |= mask;
            return was_clear;
        }
        if self.add_page(page) {
            self.set_bit(num::to_u32_saturating(bit));
        }
        true
    }

    /// Adds a page of the bitmap. Returns `false` if the memory budget is exhausted.
    #[cold]
    fn add_page(&mut self, page: usize) -> bool {
        let directory = if self.pages.is_empty() { PAGES * size_of::<Page>() } else { 0 };
        if !self.bitmap_memory.extend(directory + PAGE_WORDS * size_of::<u64>()) {
            return false;
        }
        self.pages.resize_with(PAGES, || None);
        if let Some(slot) = self.pages.get_mut(page) {
            *slot = Some(Box::new([0; PAGE_WORDS]));
        }
        true
    }

    /// Doubles the hash table. Returns `false` if the memory budget is exhausted.
    #[cold]
    fn grow(&mut self) -> bool {
        let len = self.fingerprints.len();
        let additional = len.max(FIRST_CAPACITY);
        // A table has a power of two of slots, of which 7/8 are used. The old one is released afterwards.
        let slots = ((len + additional) * 8).div_ceil(7).next_power_of_two();
        let Some(memory) = self.table_memory.reserve(slots * FINGERPRINT_BYTES) else { return false };
        self.fingerprints.reserve(additional);
        self.table_memory = memory;
        true
    }
}

/// The bit of a prefix: its address after a one, in the prefix length and one bits. `None` for IPv6 and for
/// prefixes longer than [`BITMAP_LENGTH_MAX`].
#[inline]
fn bit(prefix: Prefix) -> Option<u32> {
    let address = prefix.v4_bits()?;
    let length = prefix.length();
    (length <= BITMAP_LENGTH_MAX)
        .then(|| 1 << length | address.checked_shr(32 - u32::from(length)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(path_id: u32, address: u32, length: u8) -> NlriEntry {
        NlriEntry { path_id, nlri: Nlri::Prefix(Prefix::v4(address, length).unwrap()) }
    }

    fn host(address: u32) -> NlriEntry {
        v4(0, address, 32)
    }

    fn routes(budget: &MemoryBudget) -> AnnouncedRoutes {
        AnnouncedRoutes::new(RandomState::default(), budget)
    }

    #[test]
    fn a_route_is_new_once_and_path_ids_are_part_of_it() {
        let mut set = routes(&MemoryBudget::with_limit(1 << 20));
        for length in 0..=32 {
            for path_id in 0..3 {
                assert!(set.insert(&v4(path_id, 0, length)), "{length} {path_id}");
                assert!(!set.insert(&v4(path_id, 0, length)), "{length} {path_id}");
                assert!(length == 0 || set.insert(&v4(path_id, u32::MAX, length)), "{length} {path_id}");
            }
        }
        let v6 = |length| NlriEntry { path_id: 0, nlri: Nlri::Prefix(Prefix::v6(0, length).unwrap()) };
        assert!((0..=128).all(|length| set.insert(&v6(length)) && !set.insert(&v6(length))));
        assert_eq!(set.fingerprints.len(), 129 + 2 * 2 * 25 - 2 + 3 * 2 * 8);
    }

    #[test]
    fn every_prefix_up_to_24_bits_has_a_bit_of_its_own() {
        let of_length = |length: u8| (0..1_u32 << length).map(move |top| (top, length));
        let mut bits: Vec<u32> = (0..=16)
            .flat_map(of_length)
            .map(|(top, length)| bit(Prefix::v4(top.unbounded_shl(32 - u32::from(length)), length).unwrap()))
            .map(Option::unwrap)
            .collect();
        let count = bits.len();
        bits.dedup();
        assert_eq!((bits.len(), bits.iter().max()), (count, Some(&((2 << 16) - 1))));
        assert_eq!(bit(Prefix::v4(u32::MAX, 24).unwrap()), Some((2 << 24) - 1));
        assert_eq!((bit(Prefix::v4(0, 25).unwrap()), bit(Prefix::v6(0, 0).unwrap())), (None, None));
    }

    #[test]
    fn a_full_table_fits_and_its_memory_returns() {
        let budget = MemoryBudget::with_limit(24 << 20);
        let mut set = routes(&budget);
        assert!((0..1 << 24).all(|top| set.insert(&v4(0, top << 8, 24))));
        assert!(budget.reserve(20 << 20).is_some(), "IPv4 takes at most 4 MiB");
        let new = (0..1_000_000).filter(|address| set.insert(&host(*address))).count();
        assert!((999_999..=1_000_000).contains(&new), "{new}");
        assert_eq!(budget.refusals(), 0, "the old and the new table fit during growth");
        drop(set);
        assert!(budget.reserve(24 << 20).is_some());
    }

    #[test]
    fn beyond_the_budget_known_routes_stay_known_and_new_ones_stay_new() {
        let budget = MemoryBudget::with_limit(100 * FINGERPRINT_BYTES);
        let mut set = routes(&budget);
        (0..100).for_each(|address| assert!(set.insert(&host(address))));
        let kept = set.fingerprints.len();
        assert!((28..100).contains(&kept), "{kept}");
        assert!(!set.insert(&host(0)) && set.insert(&host(99)));
        let refusals = budget.refusals();
        assert!(refusals > 0 && set.insert(&v4(0, 0, 8)) && set.insert(&v4(0, 0, 8)));
        assert_eq!(budget.refusals(), refusals + 2);
    }
}
