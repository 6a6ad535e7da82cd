//! What the tests of the log share.

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

/// The bytes of a payload follow from its number, so that a wrong byte is seen anywhere.
pub fn payload(seq: u64) -> Vec<u8> {
    let length = usize::try_from(20 + seq * 37 % 150).unwrap();
    (0..length).map(|at| (seq.wrapping_mul(31).wrapping_add(at as u64) % 251).to_le_bytes()[0]).collect()
}

/// What a reader said: numbers, or gaps.
pub type Told = Result<u64, (u64, u64, GapReason)>;

/// Reads to the end and checks every byte on the way.
pub fn read_all<S: Storage>(reader: &mut Reader<S>) -> Vec<Told> {
    let mut told = Vec::new();
    while let Some(item) = reader.next(SeqNo::MAX).unwrap() {
        told.push(match item {
            Item::Data { seq, count, payload: bytes, .. } => {
                assert_eq!(bytes, payload(seq.0), "the bytes of {seq} are not those that were appended");
                assert_eq!(u64::from(count), seq.0 % 100);
                Ok(seq.0)
            }
            Item::Gap { from, to, reason } => Err((from.0, to.0, reason)),
        });
    }
    told
}

/// All numbers in order, each once, as data or in a gap; returns the highest one and the lost ones.
pub fn check_dense(told: &[Told]) -> (u64, Vec<(u64, GapReason)>) {
    let mut next = 1;
    let mut lost = Vec::new();
    for item in told {
        match *item {
            Ok(seq) => {
                assert_eq!(seq, next, "out of order in {told:?}");
                next += 1;
            }
            Err((from, to, reason)) => {
                assert!(from == next && to >= from, "gap {from}..{to} at {next} in {told:?}");
                lost.extend((from..=to).map(|seq| (seq, reason)));
                next = to + 1;
            }
        }
    }
    (next - 1, lost)
}

/// Records of a payload, as the tests count them.
pub fn count(seq: u64) -> u32 {
    u32::try_from(seq % 100).unwrap()
}
