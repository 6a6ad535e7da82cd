//! The one error of reading: not as many bytes as needed.

use std::fmt;

/// A field did not get the bytes it needs, or left bytes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Error {
    /// What was being read.
    pub what: &'static str,
    /// Where it begins, counted from the start of what is being decoded.
    pub offset: usize,
    /// How many bytes it needs.
    pub needed: usize,
    /// How many bytes there are.
    pub available: usize,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, offset, needed, available } = self;
        write!(f, "{what} at byte {offset}: needed {needed}, there are {available}")
    }
}

impl std::error::Error for Error {}
