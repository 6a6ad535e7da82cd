//! The TLVs of Route Monitoring in BMP version 4 (draft-ietf-grow-bmp-tlv-20 section 5,
//! draft-ietf-grow-bmp-path-marking-tlv-05).
//!
//! No type number is assigned by IANA yet, and the numbers differ between the revisions of the draft. The
//! number of the TLV that contains the UPDATE identifies the numbering:
//!
//! ```text
//!                       earlier revisions   revision 20
//! sequence number               –                1
//! extended flags                –                2
//! timestamp                     –                3
//! group                         2                4
//! VRF/table name                3                5
//! stateless parsing             1                6
//! BGP message                   4                7
//! path status                   5                5, as path-marking-05 still has it
//! ```
//!
//! In revision 20 the number 5 is used twice. Text is a table name, and 4 or 6 other octets are a path
//! status: a status as text would have bits set that are not assigned.

use crate::bmp::IndexedTlv;

/// Enterprise bit of a type: the value begins with the enterprise number of a vendor.
const ENTERPRISE: u16 = 0x8000;
/// Longest table name in octets (RFC 9069 section 5.2.1).
const TABLE_NAME_MAX_BYTES: usize = 255;

/// The content of a TLV of Route Monitoring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteTlv<'a> {
    /// Number of the message within the BMP session.
    SequenceNumber {
        /// The number.
        number: u64,
        /// Width of the number in bits, after which it begins at 0 again: 32 or 64.
        bits: u32,
    },
    /// Further flags of the per-peer header.
    ExtendedFlags,
    /// Time of an event that concerns the message.
    Timestamp,
    /// Indexes of NLRI, two octets each; the index of the TLV is the number of the group.
    Group(&'a [u8]),
    /// VRF or table name.
    TableName(&'a [u8]),
    /// One capability, as in an OPEN.
    StatelessParsing,
    /// Path status.
    PathStatus {
        /// Status bits.
        status: u32,
        /// Reason code; `None` if absent.
        reason: Option<u16>,
    },
    /// A further BGP message. A Route Monitoring message contains one.
    BgpMessage(&'a [u8]),
    /// A TLV of a vendor (enterprise bit).
    Vendor,
    /// A TLV of an unknown type.
    Unknown,
    /// A TLV of a known type whose value is invalid.
    Malformed,
}

impl<'a> IndexedTlv<'a> {
    /// Bit of [`IndexedTlv::index`] that marks the number of a group.
    pub const GROUP: u16 = 0x8000;

    /// The content of the TLV. `update_tlv` is the type of the TLV that contains the UPDATE.
    #[must_use]
    pub fn content(&self, update_tlv: u16) -> RouteTlv<'a> {
        if self.kind & ENTERPRISE != 0 {
            return RouteTlv::Vendor;
        }
        if self.kind == update_tlv {
            return RouteTlv::BgpMessage(self.value);
        }
        match (update_tlv, self.kind) {
            (7, 1) => sequence_number(self.value),
            (7, 2) => RouteTlv::ExtendedFlags,
            (7, 3) => RouteTlv::Timestamp,
            (4, 2) | (7, 4) => self.group(),
            (4, 3) => table_name(self.value),
            (4, 1) | (7, 6) => RouteTlv::StatelessParsing,
            (4, 5) => path_status(self.value),
            (7, 5) => match table_name(self.value) {
                RouteTlv::Malformed => path_status(self.value),
                name => name,
            },
            _ => RouteTlv::Unknown,
        }
    }

    fn group(&self) -> RouteTlv<'a> {
        let is_valid = self.index & Self::GROUP != 0 && self.value.len().is_multiple_of(2);
        if is_valid { RouteTlv::Group(self.value) } else { RouteTlv::Malformed }
    }
}

fn sequence_number(value: &[u8]) -> RouteTlv<'_> {
    match *value {
        [a, b, c, d] => {
            RouteTlv::SequenceNumber { number: u64::from(u32::from_be_bytes([a, b, c, d])), bits: 32 }
        }
        [a, b, c, d, e, f, g, h] => {
            RouteTlv::SequenceNumber { number: u64::from_be_bytes([a, b, c, d, e, f, g, h]), bits: 64 }
        }
        _ => RouteTlv::Malformed,
    }
}

fn table_name(value: &[u8]) -> RouteTlv<'_> {
    let is_text = std::str::from_utf8(value).is_ok_and(|text| !text.chars().any(char::is_control));
    let is_name = is_text && (1..=TABLE_NAME_MAX_BYTES).contains(&value.len());
    if is_name { RouteTlv::TableName(value) } else { RouteTlv::Malformed }
}

fn path_status(value: &[u8]) -> RouteTlv<'_> {
    match *value {
        [a, b, c, d] => RouteTlv::PathStatus { status: u32::from_be_bytes([a, b, c, d]), reason: None },
        [a, b, c, d, e, f] => RouteTlv::PathStatus {
            status: u32::from_be_bytes([a, b, c, d]),
            reason: Some(u16::from_be_bytes([e, f])),
        },
        _ => RouteTlv::Malformed,
    }
}
