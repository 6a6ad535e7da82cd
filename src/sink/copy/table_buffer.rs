//! Rows of one table in binary COPY format. Pure.

use bytes::Bytes;

use super::pg_field as field;
use super::reserved::Reserved as _;

/// The rows of one table while they are being encoded.
pub(crate) struct TableBuffer {
    /// Header and rows; the trailer is appended by [`TableBuffer::finish`].
    pub(crate) bytes: Vec<u8>,
    /// Number of rows in `bytes`.
    pub(crate) rows: u64,
}

impl Default for TableBuffer {
    fn default() -> Self {
        Self { bytes: field::HEADER.to_vec(), rows: 0 }
    }
}

impl TableBuffer {
    /// A buffer for a table that has many rows in a transaction.
    pub(crate) fn large() -> Self {
        let mut bytes = Vec::new();
        bytes.reserved().extend_from_slice(field::HEADER);
        Self { bytes, rows: 0 }
    }
}

impl TableBuffer {
    /// Appends the trailer.
    pub(crate) fn finish(mut self) -> CopyRows {
        if self.rows == 0 {
            return CopyRows { bytes: Bytes::new(), rows: 0 };
        }
        self.bytes.extend_from_slice(field::TRAILER);
        CopyRows { bytes: self.bytes.into(), rows: self.rows }
    }
}

/// A complete COPY stream.
#[derive(Clone)]
pub(crate) struct CopyRows {
    /// Header, rows and trailer; empty if there are no rows.
    pub(crate) bytes: Bytes,
    /// Number of rows in `bytes`.
    pub(crate) rows: u64,
}
