//! The byte streams that are compared: recordings of the repository, malformed messages of our own, and the
//! corpus.
//!
//! The corpus (../shared/corpus) is not part of the repository. Without it, its tests print SKIPPED.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::GzDecoder;
use holdfast::bmp;
use serde_json::Value;

use crate::common::messages::{PEER, attribute, bgp, plain_attributes, update, v4};

/// The bytes of one TCP connection of one router.
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// Sampling interval: one in `every` Route Monitoring messages is compared.
    pub(crate) every: usize,
}

impl Stream {
    /// The messages up to the first invalid header, which ends a session (RFC 7854 section 3.2).
    pub(crate) fn messages(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let message = bmp::frame(rest).ok()??;
            rest = &rest[message.len()..];
            Some(message)
        })
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The recordings of the repository.
pub(crate) fn captures() -> Vec<Stream> {
    let mut streams = Vec::new();
    for router in sorted(&root().join("tests/fixtures/captures")).into_iter().filter(|path| path.is_dir()) {
        for path in sorted(&router) {
            let name = path.file_name().unwrap().to_str().unwrap();
            if let Some(number) = name.strip_suffix(".bmp.gz") {
                let name = format!("{}/{number}", router.file_name().unwrap().to_str().unwrap());
                let mut bytes = Vec::new();
                GzDecoder::new(File::open(&path).unwrap()).read_to_end(&mut bytes).unwrap();
                streams.push(Stream { name, bytes, every: 1 });
            }
        }
    }
    assert!(streams.len() >= 8, "captures are missing");
    streams
}

/// Malformed UPDATEs of our own, one per stream: cases of the corpus of hostile streams, for clones without
/// it.
pub(crate) fn malformed() -> Vec<Stream> {
    let prefix = v4(198, 51, 100, 24);
    let with = |attributes: &[Vec<u8>]| update(&[], &attributes.concat(), &prefix);
    let (origin, path) = (attribute(0x40, 1, &[0]), attribute(0x40, 2, &[2, 1, 0, 0, 0xfd, 0xe9]));
    let next_hop = attribute(0x40, 3, &[192, 0, 2, 9]);
    let plain = plain_attributes(&[65_001]);
    let mut long = with(std::slice::from_ref(&plain));
    long[17] += 40;
    let cases = [
        ("valid", with(std::slice::from_ref(&plain))),
        ("origin-twice", with(&[origin.clone(), attribute(0x40, 1, &[1]), path.clone(), next_hop.clone()])),
        ("origin-value-7", with(&[attribute(0x40, 1, &[7]), path.clone(), next_hop.clone()])),
        ("as-path-overrun", with(&[origin.clone(), attribute(0x40, 2, &[2, 9, 0, 0]), next_hop.clone()])),
        ("as-path-empty-segment", with(&[origin.clone(), attribute(0x40, 2, &[2, 0]), next_hop])),
        ("pdu-longer-than-message", long),
        ("pdu-type-9", bgp(9, &[0, 0, 0, 0])),
        ("prefix-length-33", update(&[], &plain, &[33, 198, 51, 100, 0, 0])),
        ("prefix-truncated", update(&[], &plain, &[24, 198, 51])),
    ];
    let stream = |(name, pdu): (&str, Vec<u8>)| Stream {
        name: format!("own-{name}"),
        bytes: PEER.route_monitoring(&pdu),
        every: 1,
    };
    cases.into_iter().map(stream).collect()
}

/// A folder of the corpus, or `None` after a printed SKIPPED.
fn folder(name: &str, test: &str) -> Option<PathBuf> {
    let path = root().join("../shared/corpus").join(name);
    if path.is_dir() {
        return Some(path);
    }
    println!("SKIPPED: {test}: no corpus at {}", path.display());
    None
}

/// Public recordings of many vendors, from the corpus.
pub(crate) fn corpus() -> Option<Vec<Stream>> {
    folder("streams", "streams_of_many_vendors_read_the_same_by_other_decoders").map(|folder| plain(&folder))
}

/// Hostile and damaged streams, from the corpus.
pub(crate) fn bad() -> Option<Vec<Stream>> {
    folder("bad", "hostile_streams_read_the_same_by_other_decoders_or_have_a_verdict")
        .map(|folder| plain(&folder))
}

fn plain(folder: &Path) -> Vec<Stream> {
    let paths = sorted(folder).into_iter().filter(|path| path.extension().is_some_and(|end| end == "bmp"));
    let stream = |path: PathBuf| Stream {
        name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
        bytes: fs::read(&path).unwrap(),
        every: 1,
    };
    paths.map(stream).collect()
}

/// UPDATEs from the test suites of other projects, each in a stream of its own, from the corpus.
pub(crate) fn updates() -> Option<Vec<Stream>> {
    let test = "vectors_of_other_projects_read_the_same_by_other_decoders_or_have_a_verdict";
    let folder = folder("updates", test)?;
    let mut streams = Vec::new();
    for path in sorted(&folder).into_iter().filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
    {
        for line in fs::read_to_string(path).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let Some(pdu) = line["hex_message"].as_str().map(from_hex) else { continue };
            if pdu.get(18) == Some(&2) {
                let name = line["id"].as_str().unwrap().to_owned();
                streams.push(Stream { name, bytes: PEER.route_monitoring(&pdu), every: 1 });
            }
        }
    }
    Some(streams)
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(digits).collect()
}

/// Large recordings of one FRR, from the corpus. The full table consists of a million similar messages, of
/// which a part is compared.
pub(crate) fn frr() -> Option<Vec<Stream>> {
    let test = "large_frr_captures_read_the_same_by_other_decoders";
    let folder = folder("frr", test)?;
    let mut streams = Vec::new();
    for (name, every) in [("frr-churn", 1), ("frr-full-dump", 23)] {
        let path = folder.join(format!("{name}.bmp.zst"));
        let Ok(unpacked) = Command::new("zstd").arg("-dcq").arg(path).output() else {
            println!("SKIPPED: {test}: zstd not found; run: apt-get install zstd");
            return None;
        };
        assert!(unpacked.status.success(), "zstd: {}", String::from_utf8_lossy(&unpacked.stderr));
        streams.push(Stream { name: name.to_owned(), bytes: unpacked.stdout, every });
    }
    Some(streams)
}
