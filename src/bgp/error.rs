//! What can be wrong with a BGP message.

use std::fmt;

use crate::wire;

/// A BGP message, or a field of routes, cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// A field runs past its parent, or bytes are left over.
    Wire(wire::Error),
    /// The marker is not all ones (RFC 4271 section 4.1).
    Marker,
    /// The length field is not the length of the message.
    Length {
        /// What the header says.
        stated: u16,
        /// How many bytes there are.
        available: usize,
    },
    /// A message of another type than UPDATE.
    NotUpdate {
        /// Its type.
        kind: u8,
    },
    /// A message of another type than OPEN.
    NotOpen {
        /// Its type.
        kind: u8,
    },
    /// MP_REACH_NLRI or MP_UNREACH_NLRI twice (RFC 7606 section 3.g).
    Repeated {
        /// The type code, 14 or 15.
        code: u8,
        /// Where the second one begins.
        offset: usize,
    },
    /// A length in bits that its family does not have.
    Bits {
        /// Of what.
        what: &'static str,
        /// What it says.
        length: u8,
        /// Where it stands.
        offset: usize,
    },
    /// A part that stands where its type must not stand (RFC 8955 section 4.2).
    Order {
        /// Of what.
        what: &'static str,
        /// Its type.
        kind: u8,
        /// Where it begins.
        offset: usize,
    },
    /// An EVPN route that is not as long as its type (RFC 7432 section 7, RFC 9136 section 3).
    EvpnLength {
        /// The route type.
        route_type: u8,
        /// Its length.
        length: usize,
        /// Where the route begins.
        offset: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire(error) => error.fmt(f),
            Self::Marker => f.write_str("BGP marker at byte 0: not all ones"),
            Self::Length { stated, available } => {
                write!(f, "BGP message length at byte 16: says {stated}, there are {available}")
            }
            Self::NotUpdate { kind } => write!(f, "BGP message of type {kind}, an UPDATE has 2"),
            Self::NotOpen { kind } => write!(f, "BGP message of type {kind}, an OPEN has 1"),
            Self::Repeated { code, offset } => {
                write!(f, "attribute {code} at byte {offset}: there is one already")
            }
            Self::Bits { what, length, offset } => write!(f, "{what} at byte {offset}: {length} bits"),
            Self::Order { what, kind, offset } => {
                write!(f, "{what} of type {kind} at byte {offset}: out of order")
            }
            Self::EvpnLength { route_type, length, offset } => {
                write!(f, "EVPN route of type {route_type} at byte {offset}: {length} bytes long")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Wire(error) => Some(error),
            _ => None,
        }
    }
}

impl From<wire::Error> for Error {
    #[inline]
    fn from(error: wire::Error) -> Self {
        Self::Wire(error)
    }
}
