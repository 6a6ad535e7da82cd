//! Memory that a damaged stream makes the decoder allocate: bounded by the length of the stream.
//!
//! `holdfast decode` runs with a limit on its address space. The smallest limit at which an empty session
//! decodes is determined first; each hostile stream must then decode to the same output with a slightly
//! larger limit. The test fails if memory for a million statistics is allocated because of their count.

use crate::common::messages;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Size of one buffer in addition to the stream: a message has at most 1 MiB, and buffers double.
const BUFFERS_KIB: usize = 2 * 1024;
/// Maximum memory per byte of the stream: records, their text, and the spare capacity of vectors.
const FACTOR: usize = 64;

/// Decodes a file, optionally with a limit of the address space in KiB.
fn decode(file: &Path, limit_kib: Option<usize>) -> Output {
    let limit = limit_kib.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    Command::new("sh")
        .args(["-c", r#"ulimit -v "$1" && exec "$2" decode "$3""#, "sh", &limit])
        .args([Path::new(env!("CARGO_BIN_EXE_holdfast")), file])
        .output()
        .unwrap()
}

/// The smallest limit, to 256 KiB, at which the decode of a file equals that without a limit.
fn least_limit_kib(file: &Path) -> usize {
    let whole = decode(file, None);
    let is_enough = |limit| decode(file, Some(limit)).stdout == whole.stdout;
    let (mut low, mut high) = (1024, 4 * 1024 * 1024);
    assert!(!whole.stdout.is_empty() && is_enough(high) && !is_enough(low));
    while high - low > 256 {
        let middle = low.midpoint(high);
        if is_enough(middle) { high = middle } else { low = middle }
    }
    high
}

/// A session of one message.
fn smallest(folder: &Path) -> PathBuf {
    let file = folder.join("smallest.bmp");
    fs::write(&file, smallest_bytes()).unwrap();
    file
}

fn smallest_bytes() -> Vec<u8> {
    messages::bmp(4, &messages::tlv(2, b"r"))
}

#[test]
fn a_length_without_data_allocates_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let base = least_limit_kib(&smallest(folder.path()));
    // Each has a length field of 64 KiB or more and a few bytes: attributes, TLVs, the message itself, four
    // billion statistics.
    let claims = [
        messages::PEER.route_monitoring(&messages::update(&[], &[0x50, 8, 0xff, 0xff, 0, 0, 0, 0, 0], &[])),
        messages::bmp(4, &[0, 2, 0xff, 0xff, b'x']),
        [&[3, 0, 15, 0xff, 0xff, 4][..], &[0; 64]].concat(),
        messages::bmp(
            1,
            &[&messages::PEER.bytes()[..], &[0xff, 0xff, 0xff, 0xff, 0, 7, 0, 4, 0, 0, 0, 1]].concat(),
        ),
    ];
    for (number, claim) in claims.iter().enumerate() {
        let file = folder.path().join(format!("{number}.bmp"));
        fs::write(&file, claim).unwrap();
        let (free, bound) = (decode(&file, None), decode(&file, Some(base + 512)));
        assert_eq!((bound.status, bound.stdout), (free.status, free.stdout), "claim {number}");
    }
}

#[test]
fn no_hostile_stream_takes_more_memory_than_its_length_justifies() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/bad");
    let Ok(entries) = fs::read_dir(&corpus) else {
        println!(
            "SKIPPED: no_hostile_stream_takes_more_memory_than_its_length_justifies: no corpus at {}",
            corpus.display()
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let base = least_limit_kib(&smallest(folder.path()));
    let mut streams = 0;
    for file in entries.map(|entry| entry.unwrap().path()) {
        if file.extension().is_none_or(|end| end != "bmp") {
            continue;
        }
        let length = usize::try_from(fs::metadata(&file).unwrap().len()).unwrap();
        let limit = base + BUFFERS_KIB + length * FACTOR / 1024;
        let (free, bound) = (decode(&file, None), decode(&file, Some(limit)));
        assert_eq!((bound.status, bound.stdout), (free.status, free.stdout), "{}", file.display());
        streams += 1;
    }
    println!(
        "{streams} hostile streams decode within {base} KiB of an empty session + {BUFFERS_KIB} KiB \
         + {FACTOR} times their length"
    );
    assert!(streams > 40);
}

#[test]
fn no_number_of_peers_takes_more_memory_than_a_session_may_keep() {
    // Statistics Reports without a statistic, each of another peer: a session keeps about 1000 bytes per
    // peer.
    const PEERS: u64 = 300_000;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("peers.bmp");
    let mut stream = smallest_bytes();
    for distinguisher in 0..PEERS {
        stream.extend(messages::Header { distinguisher, ..messages::PEER }.statistics(&[]));
    }
    fs::write(&file, stream).unwrap();
    let base = least_limit_kib(&smallest(folder.path()));
    let limit = base + BUFFERS_KIB + 2 * holdfast::session::PEER_MEMORY_MAX_BYTES / 1024;
    let count = Command::new("sh")
        .args(["-c", r#"ulimit -v "$1" && "$2" decode "$3" | wc -l"#, "sh", &limit.to_string()])
        .args([Path::new(env!("CARGO_BIN_EXE_holdfast")), &file])
        .output()
        .unwrap();
    let records = String::from_utf8(count.stdout).unwrap();
    assert_eq!(records.trim(), (PEERS + 1).to_string(), "{}", String::from_utf8_lossy(&count.stderr));
    println!("{PEERS} peers within {base} KiB of an empty session + {} KiB", limit - base);
}
