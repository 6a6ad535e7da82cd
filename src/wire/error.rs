//! The error of a bounds-checked read.

use std::fmt;

/// A field was truncated, or bytes were left after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub struct Error {
    /// Name of the field.
    pub what: &'static str,
    /// Byte offset of the field from the start of the decoded message.
    pub offset: usize,
    /// Number of bytes that the field needs; 0 if the end of the message or field was expected.
    pub needed: usize,
    /// Number of bytes available at `offset`.
    pub available: usize,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, offset, needed, available } = self;
        if *needed == 0 {
            write!(f, "{what} at byte {offset}: expected no further bytes, found {available}")
        } else {
            let plural = if *needed == 1 { "" } else { "s" };
            write!(f, "{what} at byte {offset}: expected {needed} byte{plural}, found {available}")
        }
    }
}
