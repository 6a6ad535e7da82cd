//! Segments of earlier format versions stay readable, and the current version is written byte for byte.
//! `GOLDEN_WRITE=1` regenerates the segment of the current version: only before that version is released.
use std::path::{Path, PathBuf};

use crate::common::logs::{count, options, payload, read_all};
use crate::common::simdisk::SimDisk;
use holdfast::forwarder::delivered_as;
use holdfast::wal::{LogId, SeqNo, recover};

const NAME: &str = "0000000000000001.wal";
const PAYLOADS: u64 = 12;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wal-v0").join(NAME)
}

/// The log of the golden segment: four groups, a durability mark and a seal. Pages of zeros at the end are
/// removed.
fn written_today() -> Vec<u8> {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), options()).unwrap();
    for seq in 1..=PAYLOADS {
        writer.append(&payload(seq), count(seq)).unwrap();
        if seq.is_multiple_of(3) {
            writer.sync(1_700_000_000_000_000).unwrap();
        }
    }
    writer.mark_durable(1_700_000_001_000_000).unwrap();
    writer.close(1_700_000_002_000_000).unwrap();
    let mut bytes = disk.bytes(NAME);
    bytes.truncate((bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1).next_multiple_of(4096));
    bytes
}

#[test]
fn the_segment_of_version_0_reads_as_it_was_written() {
    if std::env::var_os("GOLDEN_WRITE").is_some() {
        std::fs::create_dir_all(golden().parent().unwrap()).unwrap();
        std::fs::write(golden(), written_today()).unwrap();
    }
    let disk = SimDisk::new();
    disk.tamper(NAME, |bytes| *bytes = std::fs::read(golden()).unwrap());
    let (writer, recovered) = recover(disk, options()).unwrap();
    assert!(recovered.was_closed && recovered.damage.is_empty());
    assert_eq!(recovered.last_commit, 1_700_000_002_000_000);
    assert_eq!(read_all(&mut writer.log().reader(SeqNo(1))), (1..=PAYLOADS).map(Ok).collect::<Vec<_>>());
}

#[test]
fn version_0_is_still_written_byte_for_byte() {
    assert!(written_today() == std::fs::read(golden()).unwrap(), "the format changed, and VERSION did not");
}

/// Marker files as versions 1 and 0 of the format have them.
const FORKED: [&str; 2] = [
    "holdfast-forked 1 07070707070707070707070707070707 0123456789abcdef0123456789abcdef 78798143\n",
    "holdfast-forked 0 07070707070707070707070707070707 0123456789abcdef0123456789abcdef\n",
];

#[test]
fn marker_files_of_both_versions_are_read_and_no_flipped_bit_gives_another_id() {
    let directory = tempfile::tempdir().unwrap();
    let (path, log) = (directory.path().join("forked"), LogId([7; 16]));
    let fork = LogId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef_u128.to_be_bytes());
    for text in FORKED {
        std::fs::write(&path, text).unwrap();
        assert_eq!(delivered_as(directory.path(), log).unwrap(), fork, "{text}");
    }
    let intact = FORKED[0].as_bytes();
    for bit in 0..intact.len() * 8 {
        let mut bytes = intact.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &bytes).unwrap();
        let read = delivered_as(directory.path(), log);
        assert!(read.is_err() || read.is_ok_and(|id| id == fork), "bit {bit}");
    }
}
