//! BGP capabilities (RFC 5492).

use crate::route::Family;
use crate::wire::{self, Cursor};

/// One capability of an OPEN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Multiprotocol Extensions (1, RFC 4760).
    Multiprotocol(Family),
    /// Four-octet AS numbers (65, RFC 6793).
    FourOctetAs(u32),
    /// ADD-PATH (69, RFC 7911).
    AddPath(Vec<AddPath>),
    /// Multiple Labels (8, RFC 8277): families, each with the maximum number of labels per route that the
    /// speaker can receive.
    MultipleLabels(Vec<(Family, u8)>),
    /// A capability with another code, or whose length does not fit its code.
    Other {
        /// Capability code.
        code: u8,
        /// Undecoded value.
        value: Vec<u8>,
    },
}

/// One family of an ADD-PATH capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddPath {
    /// Address family.
    pub family: Family,
    /// True if the speaker can send several paths per prefix.
    pub send: bool,
    /// True if the speaker can receive several paths per prefix.
    pub receive: bool,
}

/// Decodes a single capability, as in the stateless-parsing TLV of BMP version 4 (draft-ietf-grow-bmp-tlv).
/// `None` if the bytes are not exactly one capability.
#[must_use]
pub fn capability(bytes: &[u8]) -> Option<Capability> {
    let mut cursor = Cursor::new(bytes);
    Capability::read(&mut cursor).ok().filter(|_| cursor.is_empty())
}

const MULTIPROTOCOL: u8 = 1;
const FOUR_OCTET_AS: u8 = 65;
const ADD_PATH: u8 = 69;
const MULTIPLE_LABELS: u8 = 8;

impl Capability {
    /// Reads `code 1, length 1, value`.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, wire::Error> {
        let code = cursor.u8("capability code")?;
        let length = cursor.u8("capability length")?;
        let value = cursor.take(usize::from(length), "capability value")?;
        Ok(match (code, value) {
            (MULTIPROTOCOL, &[a, b, _reserved, safi]) => Self::Multiprotocol(family([a, b], safi)),
            (FOUR_OCTET_AS, &[a, b, c, d]) => Self::FourOctetAs(u32::from_be_bytes([a, b, c, d])),
            (ADD_PATH, _) if value.len().is_multiple_of(4) => Self::AddPath(add_path(value)),
            (MULTIPLE_LABELS, _) if value.len().is_multiple_of(4) => {
                Self::MultipleLabels(multiple_labels(value))
            }
            _ => Self::Other { code, value: value.to_vec() },
        })
    }
}

fn family(afi: [u8; 2], safi: u8) -> Family {
    Family { afi: u16::from_be_bytes(afi), safi }
}

/// Decodes ADD-PATH. Mode 1 is receive, 2 send, 3 both; families with any other mode are ignored (RFC 7911
/// section 4).
fn add_path(value: &[u8]) -> Vec<AddPath> {
    let (tuples, _) = value.as_chunks::<4>();
    tuples
        .iter()
        .filter(|[.., mode]| (1..=3).contains(mode))
        .map(|&[a, b, safi, mode]| AddPath {
            family: family([a, b], safi),
            send: mode & 2 != 0,
            receive: mode & 1 != 0,
        })
        .collect()
}

/// Decodes Multiple Labels. Families with a count of 0 or 1 are ignored (RFC 8277 section 2.1).
fn multiple_labels(value: &[u8]) -> Vec<(Family, u8)> {
    let (triples, _) = value.as_chunks::<4>();
    triples
        .iter()
        .filter(|[.., count]| *count > 1)
        .map(|&[a, b, safi, count]| (family([a, b], safi), count))
        .collect()
}
