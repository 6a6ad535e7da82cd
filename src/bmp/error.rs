//! Errors of framing and decoding BMP messages.

use super::frame::{HEADER_BYTES, MESSAGE_BYTES_MAX, VERSION, VERSION_TLV};
use crate::wire;

/// The byte stream is not BMP at this position. The start of the next message is unknown, so that the session
/// ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The version is neither 3 nor 4.
    #[error("unsupported BMP version {0}, expected {VERSION} or {VERSION_TLV}")]
    Version(u8),
    /// The message length is out of range.
    #[error("invalid BMP message length {length}, expected {HEADER_BYTES} to {MESSAGE_BYTES_MAX}")]
    Length {
        /// Message length in the common header, in bytes.
        length: u32,
    },
}

/// A message cannot be decoded. The next one can: framing does not depend on the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The common header is invalid.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// A field extends beyond its parent, or bytes are left after its end.
    #[error("{0}")]
    Wire(#[from] wire::Error),
    /// A BGP message is shorter than its own header.
    #[error("BGP message at byte {offset}: invalid length {length}, expected at least 19")]
    PduLength {
        /// Byte offset of the BGP message from the start of the BMP message.
        offset: usize,
        /// Length in the BGP message header, in bytes.
        length: u16,
    },
}
