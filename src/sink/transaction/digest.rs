//! Hashes that the database stores: the digest of a batch and the key of an attribute set. Pure.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13 as SipHasher64;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::route::Class;
use crate::sink::lanes::Lane;

/// First half of the SipHash key. Fixed: stored hashes would no longer match another one.
const KEY: u64 = 0x686f_6c64_6661_7374;

/// Returns the digest by which a batch of the log is recognized. Never 0, which stands for an unreadable
/// range.
#[must_use]
pub fn digest(seq: u64, payload: &[u8]) -> u64 {
    let mut hasher = SipHasher64::new_with_keys(KEY, seq);
    hasher.write(payload);
    hasher.finish().max(1)
}

/// Returns the key of an attribute set in `path_attributes` and `attribute_sets`, or that of a row of
/// `incarnations`.
///
/// Collector and lane are part of the hash, so that two lanes never insert the same row and neither waits for
/// the other. The hashes of the lanes of a collector differ in the last byte only: a set that several have
/// stored is recognized by the others (sql/changed.sql).
pub(super) fn row_hash(lane: &Lane, encoded: &[u8]) -> [u8; 16] {
    let mut hasher = SipHasher13::new_with_keys(KEY, 0);
    hasher.write(lane.collector.as_bytes());
    hasher.write_u8(0xff);
    hasher.write(encoded);
    let mut hash = hasher.finish128().as_bytes();
    let [.., last] = &mut hash;
    // Shards are fewer than 128.
    let [shard, ..] = lane.shard().to_le_bytes();
    *last ^= if lane.class() == Class::Live { !shard } else { shard };
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_id::LogId;

    #[test]
    fn the_lanes_of_a_collector_have_hashes_that_differ_in_the_last_byte() {
        let lane = |number| Lane { collector: "c".to_owned(), log_id: LogId::default(), number, count: 2 };
        let hash = |number, encoded: &[u8]| row_hash(&lane(number), encoded);
        let sets: Vec<[u8; 16]> = (0..4).map(|number| hash(number, b"a")).collect();
        let last: std::collections::HashSet<u8> = sets.iter().map(|set| set[15]).collect();
        assert!(last.len() == 4 && sets.iter().all(|set| set[..15] == sets[0][..15]));
        assert!(sets[0][..15] != hash(0, b"b")[..15]);
    }
}
