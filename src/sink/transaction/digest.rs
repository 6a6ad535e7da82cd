//! Hashes that the database stores: the digest of a batch and the key of an attribute set. Pure.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13 as SipHasher64;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

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
/// the other.
pub(super) fn row_hash(lane: &Lane, encoded: &[u8]) -> [u8; 16] {
    let mut hasher = SipHasher13::new_with_keys(KEY, u64::from(lane.number));
    hasher.write(lane.collector.as_bytes());
    hasher.write_u8(0xff);
    hasher.write(encoded);
    hasher.finish128().as_bytes()
}
