//! What can be wrong with BMP bytes.

use std::fmt;

use super::frame::{HEADER_BYTES, MESSAGE_BYTES_MAX, VERSION, VERSION_TLV};
use crate::wire;

/// The byte stream is no BMP at this place. There is no way to find the next message: the session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The version is neither 3 nor 4.
    Version(u8),
    /// The length cannot be that of a message.
    Length {
        /// What the header says.
        length: u32,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => {
                write!(f, "BMP version {version}, known are {VERSION} and {VERSION_TLV}")
            }
            Self::Length { length } => {
                write!(f, "BMP message length {length}, allowed are {HEADER_BYTES} to {MESSAGE_BYTES_MAX}")
            }
        }
    }
}

impl std::error::Error for FrameError {}

/// One message cannot be decoded. The next one can: framing does not depend on the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The common header is wrong.
    Frame(FrameError),
    /// A field runs past its parent, or bytes are left over.
    Wire(wire::Error),
    /// A BGP message inside is shorter than its own header.
    PduLength {
        /// Where the BGP message begins, from the start of the BMP message.
        offset: usize,
        /// What its header says.
        length: u16,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => error.fmt(f),
            Self::Wire(error) => error.fmt(f),
            Self::PduLength { offset, length } => {
                write!(f, "BGP message at byte {offset}: its length {length} is less than 19")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Frame(error) => Some(error),
            Self::Wire(error) => Some(error),
            Self::PduLength { .. } => None,
        }
    }
}

impl From<FrameError> for Error {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

impl From<wire::Error> for Error {
    fn from(error: wire::Error) -> Self {
        Self::Wire(error)
    }
}
