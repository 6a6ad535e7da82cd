//! Helpers for the tests of the write-ahead log.

use holdfast::wal::{GapReason, Item, LogId, Options, Reader, SeqNo, Storage};

/// A small log: segments of 64 KiB, 32 of them.
pub fn options() -> Options {
    Options {
        segment_bytes: 64 << 10,
        bytes_max: 32 * (64 << 10),
        free_percent_min: 0,
        ..Options::new(LogId([7; 16]), 42, 1_000_000)
    }
}

/// The payload of a sequence number, computed from it, so that every wrong byte is detected.
pub fn payload(seq: u64) -> Vec<u8> {
    let length = usize::try_from(20 + seq * 37 % 150).unwrap();
    (0..length)
        .map(|index| (seq.wrapping_mul(31).wrapping_add(index as u64) % 251).to_le_bytes()[0])
        .collect()
}

/// An item that a reader returned: a sequence number, or a gap as (from, to, reason).
pub type ReadItem = Result<u64, (u64, u64, GapReason)>;

/// Reads to the end of the log and checks every payload.
pub fn read_all<S: Storage>(reader: &mut Reader<S>) -> Vec<ReadItem> {
    let mut items = Vec::new();
    while let Some(item) = reader.next(SeqNo::MAX).unwrap() {
        items.push(match item {
            Item::Data { seq, count, payload: bytes, .. } => {
                assert_eq!(bytes, payload(seq.0), "the payload of {seq} differs from the appended one");
                assert_eq!(u64::from(count), seq.0 % 100);
                Ok(seq.0)
            }
            Item::Gap { from, to, reason } => Err((from.0, to.0, reason)),
        });
    }
    items
}

/// Checks that every sequence number occurs once and in order, as data or in a gap; returns the highest one
/// and those in gaps.
pub fn check_dense(items: &[ReadItem]) -> (u64, Vec<(u64, GapReason)>) {
    let mut next = 1;
    let mut lost = Vec::new();
    for item in items {
        match *item {
            Ok(seq) => {
                assert_eq!(seq, next, "out of order in {items:?}");
                next += 1;
            }
            Err((from, to, reason)) => {
                assert!(from == next && to >= from, "gap {from}..{to} at {next} in {items:?}");
                lost.extend((from..=to).map(|seq| (seq, reason)));
                next = to + 1;
            }
        }
    }
    (next - 1, lost)
}

/// The record count that the tests give the payload of a sequence number.
pub fn count(seq: u64) -> u32 {
    u32::try_from(seq % 100).unwrap()
}
