//! Errors of building and encoding a transaction. Each is a defect of this program.

use std::ops::Range;

/// A record refers to a peer or an attribute set that its batch does not contain.
///
/// Decoding rejects such a batch, so that this is a defect of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {index} of batch {seq} refers to a peer or an attribute set that the batch does not contain")]
pub struct InconsistentBatch {
    /// Sequence number of the batch.
    pub seq: u64,
    /// Index of the record in the batch.
    pub index: u32,
}

/// A row could not be encoded completely. Nothing of it may be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The database assigned no id to a peer of the transaction.
    #[error("holdfast_merge_peers returned no id for peer {0} of the transaction")]
    PeerWithoutId(u32),
    /// The database returned a row number that was not sent.
    #[error("the database returned row {number} of dedup_candidates, which has {rows} rows")]
    UnknownCandidate {
        /// The row number that was returned.
        number: i32,
        /// Number of rows that were sent.
        rows: u64,
    },
    /// A row refers to bytes outside its buffer, or a part to records outside its range.
    #[error("{range:?} exceeds the length {length} of a buffer of rows or records")]
    OutOfBounds {
        /// What was referred to.
        range: Range<usize>,
        /// Length of the buffer.
        length: usize,
    },
    /// An argument cannot be encoded as the type of its parameter.
    #[error("arguments of the statement {statement}: {message}")]
    Argument {
        /// Name of the statement.
        statement: &'static str,
        /// Why the argument cannot be encoded.
        message: String,
    },
    /// A record of a part is inconsistent.
    #[error(transparent)]
    Inconsistent(#[from] InconsistentBatch),
}

/// Returns a part of a buffer.
pub(super) fn part<'a>(buffer: &'a [u8], range: &Range<usize>) -> Result<&'a [u8], EncodeError> {
    let out_of_bounds = || EncodeError::OutOfBounds { range: range.clone(), length: buffer.len() };
    buffer.get(range.clone()).ok_or_else(out_of_bounds)
}
