//! Bounds-checked reading of big-endian bytes; errors carry the place.
//!
//! A [`Cursor`] knows how far it is from the start of what is being decoded, so that an error deep inside a nested
//! field still names the byte that a person finds in a hex dump. A nested length makes a sub-cursor
//! ([`Cursor::sub`]): nothing can read past its parent. No method panics, and none allocates.

mod cursor;
mod error;

pub use cursor::Cursor;
pub use error::Error;
