//! What is fuzzed: how a valid input of each target is made, and what must hold of any.

use std::path::Path;

use crate::common::encoder;
use crate::mutate::Rng;
use crate::{check, generate, session};

/// One decoder, or a whole session.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// A valid input, from which damage starts.
    pub(crate) make: fn(&mut Rng) -> Vec<u8>,
    /// Panics when something does not hold. The numbers come from the input, so that an input alone repeats a
    /// failure.
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

pub(crate) const RECORD: Target =
    Target { name: "record", make: session::payload, check: |bytes, _| session::payload_holds(bytes) };

pub(crate) const ALL: [Target; 7] = [FRAMING, BMP, UPDATE, OPEN, NLRI, SESSION, RECORD];

/// The first byte of an input says of which family the others are, so that damage there mixes families.
fn form(byte: u8) -> (holdfast::route::Family, bool) {
    (generate::FAMILIES[usize::from(byte >> 1) % generate::FAMILIES.len()], byte & 1 != 0)
}

impl Target {
    pub(crate) fn check(&self, input: &[u8]) {
        // FNV-1a: any mixing will do.
        let seed = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        (self.check)(input, &mut Rng(seed));
    }

    /// The inputs that `tools/fuzz` found to reach something of their own, one in hex on each line.
    pub(crate) fn kept(&self) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
        let text = std::fs::read_to_string(folder.join(self.name).with_extension("hex")).unwrap_or_default();
        let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        text.lines().map(|line| line.as_bytes().chunks(2).map(octet).collect()).collect()
    }
}
