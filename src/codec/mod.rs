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
//! markings is encoded in version 0, which earlier releases read. Both are of class dump.
//!
//! Version 2 is a batch of class live, version 3 one of class bulk, and version 4 one of class dump that must
//! wait:
//!
//! ```text
//! 2, 3 or 4 │ Batch::after, u64 little-endian │ as version 1
//! ```
//!
//! A lane decides by this head alone whether a batch is of its class ([`head`]), and decodes no other one.
//!
//! Dictionaries and events are few and structured; they are encoded with bincode (1.3, fixed-width
//! little-endian). Rows are many and small; [`rows`] packs them, in about 10 bytes for a message with one
//! prefix and 5 bytes for each further prefix of a message. The version, and the codec number in the log's
//! frame ([`CODEC`]), allow both formats to change. The golden payloads in tests/golden contain all
//! versions.
//!
//! The frame around the payload (sequence number, checksum) belongs to the log.

mod dictionary;
pub mod json;
mod rows;

use crate::route::{Batch, Class};

/// Codec number in the log's frames: bincode dictionaries and packed rows.
pub const CODEC: u8 = 1;

/// Newest payload version. [`encode`] produces the lowest version that has what the batch needs.
pub const VERSION: u8 = 4;

/// Payload version of class live. Versions from this one on have [`Batch::after`].
const LIVE_VERSION: u8 = 2;

/// Payload version of class bulk.
const BULK_VERSION: u8 = 3;

/// Payload version of class dump with [`Batch::after`].
const ORDERED_DUMP_VERSION: u8 = 4;

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
    /// The payload ends within its head.
    #[error("payload of {0} bytes ends within its head")]
    Head(usize),
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
    let version = match batch.class {
        Class::Dump if batch.after == 0 => u8::from(batch.groups.iter().any(|group| group.marking.is_some())),
        Class::Dump => ORDERED_DUMP_VERSION,
        Class::Live => LIVE_VERSION,
        Class::Bulk => BULK_VERSION,
    };
    out.push(version);
    if version >= LIVE_VERSION {
        out.extend_from_slice(&batch.after.to_le_bytes());
    }
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

/// What a lane needs to know of a batch before it decodes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// [`Batch::class`].
    pub class: Class,
    /// [`Batch::after`].
    pub after: u64,
}

/// Returns the head of a payload, without decoding the rest.
///
/// # Errors
/// The version is not supported, or the payload is too short for its head.
pub fn head(payload: &[u8]) -> Result<Head, Error> {
    split_head(payload).map(|(_, head, _)| head)
}

/// Splits a payload into version, head and body.
fn split_head(payload: &[u8]) -> Result<(u8, Head, &[u8]), Error> {
    match payload.split_first() {
        None => Err(Error::Empty),
        Some((&version @ ..LIVE_VERSION, body)) => Ok((version, Head { class: Class::Dump, after: 0 }, body)),
        Some((&version @ ..=VERSION, rest)) => {
            let (after, body) = rest.split_first_chunk().ok_or(Error::Head(payload.len()))?;
            let class = match version {
                LIVE_VERSION => Class::Live,
                BULK_VERSION => Class::Bulk,
                _ => Class::Dump,
            };
            Ok((version, Head { class, after: u64::from_le_bytes(*after) }, body))
        }
        Some((&version, _)) => Err(Error::Version(version)),
    }
}

/// Decodes a payload of any released version.
///
/// # Errors
/// The version is not supported, or the payload is malformed. Memory use is limited to a small multiple of
/// the payload's length.
pub fn decode(payload: &[u8]) -> Result<Batch, Error> {
    let (version, Head { class, after }, body) = split_head(payload)?;
    let (mut batch, rows) = dictionary::decode(body)?;
    (batch.class, batch.after) = (class, after);
    rows::decode(&mut batch, rows, payload.len() - rows.len(), version)?;
    Ok(batch)
}

#[cfg(test)]
mod tests;
