//! Bounds-checked reading of big-endian fields. Errors contain the byte offset.
//!
//! A [`Cursor`] counts its offset from the start of the decoded message, so that an error in a nested field
//! gives the offset to look up in a hex dump. A nested length creates a sub-cursor ([`Cursor::sub`]), which
//! cannot read beyond its parent. No method panics or allocates.

mod cursor;
mod error;

pub use cursor::Cursor;
pub use error::Error;
