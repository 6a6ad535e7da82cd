//! The fuzz targets: a generator of valid inputs and a check for each.

use std::path::Path;

use crate::common::encoder;
use crate::mutate::Rng;
use crate::{check, generate, session};

/// A fuzz target: one decoder, or a whole session.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Generates a valid input, from which the mutations start.
    pub(crate) make: fn(&mut Rng) -> Vec<u8>,
    /// Panics if an invariant is violated. The random numbers depend only on the input, so that the input
    /// alone reproduces a failure.
    check: fn(&[u8], &mut Rng),
}

pub(crate) const FRAMING: Target = Target {
    name: "framing",
    make: |rng| (0..3).flat_map(|_| generate::bmp(rng)).collect(),
    check: |bytes, rng| check::framing(bytes, rng.below(bytes.len() + 1)),
};

pub(crate) const BMP: Target =
    Target { name: "bmp", make: generate::bmp, check: |bytes, _| check::bmp(&check::with_length(bytes)) };

pub(crate) const UPDATE: Target = Target {
    name: "update",
    make: generate::update,
    check: |bytes, _| check::update(&check::with_pdu_length(bytes)),
};

pub(crate) const OPEN: Target = Target {
    name: "open",
    make: generate::open,
    check: |bytes, _| check::open(&check::with_pdu_length(bytes)),
};

pub(crate) const NLRI: Target = Target {
    name: "nlri",
    make: |rng| {
        let byte = rng.byte();
        let (family, add_path) = form(byte);
        [vec![byte], encoder::nlri(&generate::entries(rng, family), add_path)].concat()
    },
    check: |bytes, _| {
        if let Some((byte, bytes)) = bytes.split_first() {
            let (family, add_path) = form(*byte);
            check::nlri(family, bytes, add_path);
        }
    },
};

pub(crate) const SESSION: Target = Target { name: "session", make: session::stream, check: session::check };

pub(crate) const SESSIONS: Target =
    Target { name: "sessions", make: session::interleaved, check: session::check_interleaved };

pub(crate) const RECORD: Target =
    Target { name: "record", make: session::payload, check: |bytes, _| session::payload_holds(bytes) };

pub(crate) const PROXY: Target = Target { name: "proxy", make: proxy_header, check: check::proxy };

pub(crate) const ALL: [Target; 9] = [FRAMING, BMP, UPDATE, OPEN, NLRI, SESSION, SESSIONS, RECORD, PROXY];

/// A PROXY header of version 2 with a source of either address family and a TLV.
fn proxy_header(rng: &mut Rng) -> Vec<u8> {
    let (family, length) = if rng.byte() & 1 == 0 { (0x11, 12) } else { (0x21, 36) };
    let tlv: Vec<u8> = (0..rng.below(32)).map(|_| rng.byte()).collect();
    let block: Vec<u8> = (0..length).map(|_| rng.byte()).chain(tlv).collect();
    let length = u8::try_from(block.len()).unwrap();
    [&holdfast::listener::proxy::MAGIC[..], &[0x21 - (rng.byte() & 1), family, 0, length], &block].concat()
}

/// The first byte of an input selects the family of the others, so that mutations of it mix families.
fn form(byte: u8) -> (holdfast::route::Family, bool) {
    (generate::FAMILIES[usize::from(byte >> 1) % generate::FAMILIES.len()], byte & 1 != 0)
}

impl Target {
    pub(crate) fn check(&self, input: &[u8]) {
        // FNV-1a; any hash is sufficient.
        let seed = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        (self.check)(input, &mut Rng(seed));
    }

    /// The inputs of `tools/fuzz` that reach code of their own, one in hexadecimal per line.
    pub(crate) fn kept(&self) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
        let text = std::fs::read_to_string(folder.join(self.name).with_extension("hex")).unwrap_or_default();
        let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        text.lines().map(|line| line.as_bytes().chunks(2).map(octet).collect()).collect()
    }
}
