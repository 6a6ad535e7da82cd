//! The encoding of a batch as bytes: the payload of a log record, and the only type that both sides of the
//! log share.
//!
//! The first byte is the version. A payload of version 0 is
//!
//! ```text
//! 0 │ bincode: router, peers, attributes, events, and the packed rows (groups and NLRI) as one byte string
//! ```
//!
//! Version 1 is the same, except that groups may have a path marking (BMP version 4). A batch without path
//! markings is encoded in version 0, which earlier releases read.
//!
//! Dictionaries and events are few and structured; they are encoded with bincode (1.3, fixed-width
//! little-endian). Rows are many and small; [`rows`] packs them, in about 10 bytes for a message with one
//! prefix and 5 bytes for each further prefix of a message. The version, and the codec number in the log's
//! frame ([`CODEC`]), allow both formats to change. The golden payloads in tests/golden contain both
//! versions.
//!
//! The frame around the payload (sequence number, checksum) belongs to the log.

mod dictionary;
pub mod json;
mod rows;

use crate::route::Batch;

/// Codec number in the log's frames: bincode dictionaries and packed rows.
pub const CODEC: u8 = 1;

/// Newest payload version. [`encode`] produces it for batches with path markings, and version 0 for others.
pub const VERSION: u8 = 1;

/// Maximum length of a payload in bytes, for encoding and decoding.
///
/// A batch closes at about 1,000 routes, far below; one UPDATE of 64 KiB (RFC 8654) cannot exceed it either.
pub const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// A payload that could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The payload is empty.
    #[error("empty payload, expected a version byte")]
    Empty,
    /// The payload has a version that this program does not support.
    #[error("unsupported payload version {0}, expected 0 to {VERSION}; decode it with a newer Holdfast")]
    Version(u8),
    /// The dictionaries or the events are not valid bincode.
    #[error(transparent)]
    Bincode(#[from] bincode::Error),
    /// The packed rows are malformed.
    #[error("{what} at byte {offset} of the payload")]
    Rows {
        /// What was found.
        what: &'static str,
        /// Byte offset from the start of the payload.
        offset: usize,
    },
    /// An NLRI in the rows is not valid bincode.
    #[error("malformed NLRI at byte {offset} of the payload: {error}")]
    Nlri {
        /// Byte offset from the start of the payload.
        offset: usize,
        /// Error of bincode.
        error: bincode::Error,
    },
    /// The batch to encode violates an invariant of [`Batch`].
    #[error("inconsistent batch: {0}")]
    Inconsistent(&'static str),
    /// The batch to encode is too large.
    #[error("batch of {0} bytes exceeds the maximum of {PAYLOAD_BYTES_MAX} bytes")]
    TooLarge(usize),
}

/// Appends the payload of a batch to `out`.
///
/// # Errors
/// The batch is inconsistent (an index is outside its dictionary) or larger than [`PAYLOAD_BYTES_MAX`]. Then
/// `out` is unchanged.
pub fn encode(batch: &Batch, out: &mut Vec<u8>) -> Result<(), Error> {
    let start = out.len();
    out.push(u8::from(batch.groups.iter().any(|group| group.marking.is_some())));
    let result = rows::encode(batch).and_then(|rows| dictionary::encode(batch, &rows, out));
    let result = result.and_then(|()| match out.len() - start {
        bytes if bytes > PAYLOAD_BYTES_MAX => Err(Error::TooLarge(bytes)),
        _ => Ok(()),
    });
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Decodes a payload of any released version.
///
/// # Errors
/// The version is not supported, or the payload is malformed. Memory use is limited to a small multiple of
/// the payload's length.
pub fn decode(payload: &[u8]) -> Result<Batch, Error> {
    match payload.split_first() {
        None => Err(Error::Empty),
        Some((&version @ ..=VERSION, rest)) => {
            let (mut batch, rows) = dictionary::decode(rest)?;
            rows::decode(&mut batch, rows, payload.len() - rows.len(), version)?;
            Ok(batch)
        }
        Some((&version, _)) => Err(Error::Version(version)),
    }
}

#[cfg(test)]
mod tests;
