//! Batches to bytes and back: the only thing that both sides of the log share.
//!
//! The first byte is the version. A payload of version 0 is
//!
//! ```text
//! 0 │ bincode: router, peers, attributes, events, and the packed rows (groups and NLRI) as one string of bytes
//! ```
//!
//! The dictionaries and the events are rare and structured: bincode (1.3, fixed-width little-endian) writes them. The
//! rows are many and tiny: [`rows`] packs them by hand, at about ten bytes for a message of one prefix and five for a
//! prefix that shares its message. The version and the codec number in the log's frame ([`CODEC`]) are the way out if
//! either ever changes; golden payloads in tests/golden hold version 0.
//!
//! The envelope around the payload (sequence number, checksum) is the log's business and not known here.

mod dictionary;
pub mod json;
mod rows;

use std::fmt;

use crate::route::Batch;

/// Codec number for the log's frames: bincode dictionaries and packed rows.
pub const CODEC: u8 = 1;

/// The version that [`encode`] writes.
pub const VERSION: u8 = 0;

/// Largest payload that is encoded or decoded. A batch closes at about 1,000 routes, far below; a single UPDATE of
/// 64 KiB (RFC 8654) cannot exceed it either.
pub const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// Why a payload could not be encoded or decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub what: String,
    /// Byte offset in the payload, where it is known.
    pub offset: Option<usize>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.offset.map_or(Ok(()), |offset| write!(f, " at byte {offset} of the payload"))
    }
}

impl std::error::Error for Error {}

impl Error {
    fn new(what: impl Into<String>, offset: Option<usize>) -> Self {
        Self { what: what.into(), offset }
    }
}

/// Appends the bytes of a batch.
///
/// # Errors
/// When the batch breaks its own rules (an index into a dictionary that is not there) or is larger than
/// [`PAYLOAD_BYTES_MAX`]. Then `out` is as it was before.
pub fn encode(batch: &Batch, out: &mut Vec<u8>) -> Result<(), Error> {
    let start = out.len();
    out.push(VERSION);
    let result = rows::encode(batch).and_then(|rows| dictionary::encode(batch, &rows, out));
    let result = result.and_then(|()| match out.len() - start {
        bytes if bytes > PAYLOAD_BYTES_MAX => {
            Err(Error::new(format!("batch of {bytes} bytes is too large"), None))
        }
        _ => Ok(()),
    });
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Reads a payload of any version that was ever released.
///
/// # Errors
/// When the version is newer than this program, or the bytes are no payload. Never panics, and never allocates more
/// than a small multiple of the payload.
pub fn decode(payload: &[u8]) -> Result<Batch, Error> {
    match payload.split_first() {
        None => Err(Error::new("empty payload", Some(0))),
        Some((&VERSION, rest)) => {
            let (mut batch, rows) = dictionary::decode(rest)?;
            rows::decode(&mut batch, rows, payload.len() - rows.len())?;
            Ok(batch)
        }
        Some((&version, _)) => {
            Err(Error::new(format!("payload version {version}; this program reads 0 to {VERSION}"), Some(0)))
        }
    }
}

#[cfg(test)]
mod tests;
