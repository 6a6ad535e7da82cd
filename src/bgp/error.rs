//! Decoding errors of BGP messages.

use crate::wire;

/// A BGP message or a field of routes that cannot be decoded.
///
/// Offsets count from the start of the message or field, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A field extends past the end of its parent, or its parent has trailing bytes.
    #[error("{0}")]
    Wire(#[from] wire::Error),
    /// The marker is not all ones (RFC 4271 section 4.1).
    #[error("invalid BGP marker at byte 0: expected all ones")]
    InvalidMarker,
    /// The length field differs from the number of bytes.
    #[error("invalid BGP message length at byte 16: found {stated}, but the message has {available} bytes")]
    LengthMismatch {
        /// Value of the length field.
        stated: u16,
        /// Number of bytes in the message.
        available: usize,
    },
    /// The message is not an UPDATE.
    #[error("unexpected BGP message type {kind}: expected 2 (UPDATE)")]
    NotUpdate {
        /// Message type.
        kind: u8,
    },
    /// The message is not an OPEN.
    #[error("unexpected BGP message type {kind}: expected 1 (OPEN)")]
    NotOpen {
        /// Message type.
        kind: u8,
    },
    /// MP_REACH_NLRI or MP_UNREACH_NLRI is present twice (RFC 7606 section 3.g).
    #[error("duplicate attribute {code} at byte {offset}")]
    DuplicateAttribute {
        /// Type code, 14 or 15.
        code: u8,
        /// Offset of the second occurrence.
        offset: usize,
    },
    /// A length in bits that the address family or field does not allow.
    #[error("{what} at byte {offset}: invalid length of {length} bits")]
    InvalidBitLength {
        /// Name of the field.
        what: &'static str,
        /// Length in bits.
        length: u8,
        /// Offset of the length.
        offset: usize,
    },
    /// Components are not in ascending order of their types (RFC 8955 section 4.2).
    #[error("{what} of type {kind} at byte {offset}: out of order, expected ascending types")]
    OutOfOrder {
        /// Name of the component.
        what: &'static str,
        /// Type of the component.
        kind: u8,
        /// Offset of the component.
        offset: usize,
    },
    /// The length of an EVPN route does not fit its type (RFC 7432 section 7, RFC 9136 section 3).
    #[error("EVPN route of type {route_type} at byte {offset}: invalid length of {length} bytes")]
    EvpnLength {
        /// Route type.
        route_type: u8,
        /// Length in octets, excluding type and length.
        length: usize,
        /// Offset of the route.
        offset: usize,
    },
}
