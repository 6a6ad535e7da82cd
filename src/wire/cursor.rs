//! The reader of big-endian fields.

use super::Error;

/// A read position in a byte slice. A copy keeps the position at which it was made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    /// Returns a cursor at the start of `bytes`, with offset 0.
    #[inline]
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self::with_offset(bytes, 0)
    }

    /// Returns a cursor at the start of `bytes`, which begin at byte `offset` of the message.
    #[inline]
    #[must_use]
    pub const fn with_offset(bytes: &'a [u8], offset: usize) -> Self {
        Self { rest: bytes, offset }
    }

    /// Byte offset of the position from the start of the message.
    #[inline]
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Number of bytes left.
    #[inline]
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether no byte is left.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes left. The position does not change.
    #[inline]
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads the next `N` bytes.
    ///
    /// # Errors
    /// Fewer bytes are left. The position does not change.
    #[inline]
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        let Some((head, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.error(what, N));
        };
        self.rest = rest;
        self.offset += N;
        Ok(*head)
    }

    /// Reads the next byte.
    ///
    /// # Errors
    /// No byte is left.
    #[inline]
    pub fn u8(&mut self, what: &'static str) -> Result<u8, Error> {
        self.array(what).map(u8::from_be_bytes)
    }

    /// Reads the next two bytes as an integer.
    ///
    /// # Errors
    /// Fewer bytes are left. The position does not change.
    #[inline]
    pub fn u16(&mut self, what: &'static str) -> Result<u16, Error> {
        self.array(what).map(u16::from_be_bytes)
    }

    /// Reads the next four bytes as an integer.
    ///
    /// # Errors
    /// Fewer bytes are left. The position does not change.
    #[inline]
    pub fn u32(&mut self, what: &'static str) -> Result<u32, Error> {
        self.array(what).map(u32::from_be_bytes)
    }

    /// Reads the next eight bytes as an integer.
    ///
    /// # Errors
    /// Fewer bytes are left. The position does not change.
    #[inline]
    pub fn u64(&mut self, what: &'static str) -> Result<u64, Error> {
        self.array(what).map(u64::from_be_bytes)
    }

    /// Reads the next sixteen bytes as an integer.
    ///
    /// # Errors
    /// Fewer bytes are left. The position does not change.
    #[inline]
    pub fn u128(&mut self, what: &'static str) -> Result<u128, Error> {
        self.array(what).map(u128::from_be_bytes)
    }

    /// Reads the next `length` bytes.
    ///
    /// # Errors
    /// Fewer bytes are left. The position does not change.
    #[inline]
    pub fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], Error> {
        let Some((head, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.error(what, length));
        };
        self.rest = rest;
        self.offset += length;
        Ok(head)
    }

    /// Returns a cursor over the next `length` bytes, and moves this one past them.
    ///
    /// # Errors
    /// Fewer bytes are left. The position does not change.
    #[inline]
    pub fn sub(&mut self, length: usize, what: &'static str) -> Result<Self, Error> {
        let offset = self.offset;
        self.take(length, what).map(|bytes| Self::with_offset(bytes, offset))
    }

    /// Checks that no byte is left. `what` names the bytes that would be.
    ///
    /// # Errors
    /// Bytes are left.
    #[inline]
    pub fn finish(self, what: &'static str) -> Result<(), Error> {
        if self.is_empty() { Ok(()) } else { Err(self.error(what, 0)) }
    }

    #[cold]
    const fn error(&self, what: &'static str, needed: usize) -> Error {
        Error { what, offset: self.offset, needed, available: self.rest.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_network_order() {
        let bytes: Vec<u8> = (1..=31).collect();
        let mut cursor = Cursor::new(&bytes);
        assert_eq!(cursor.u8("a"), Ok(1));
        assert_eq!(cursor.u16("b"), Ok(0x0203));
        assert_eq!(cursor.u32("c"), Ok(0x0405_0607));
        assert_eq!(cursor.u64("d"), Ok(0x0809_0a0b_0c0d_0e0f));
        assert_eq!(cursor.u128("e"), Ok(0x1011_1213_1415_1617_1819_1a1b_1c1d_1e1f));
        assert_eq!(cursor.offset(), 31);
        assert_eq!(cursor.finish("end"), Ok(()));
    }

    #[test]
    fn a_short_read_returns_its_offset_and_does_not_move() {
        let mut cursor = Cursor::with_offset(&[1, 2, 3], 100);
        assert_eq!(cursor.u8("first"), Ok(1));
        let error = cursor.u32("length").unwrap_err();
        assert_eq!(error, Error { what: "length", offset: 101, needed: 4, available: 2 });
        assert_eq!(error.to_string(), "length at byte 101: expected 4 bytes, found 2");
        assert_eq!(cursor.take(3, "value").unwrap_err().offset, 101);
        assert_eq!(cursor.rest(), [2, 3]);
    }

    #[test]
    fn a_sub_cursor_ends_with_its_field_and_keeps_the_offset() {
        let mut cursor = Cursor::with_offset(&[1, 2, 3, 4], 10);
        let mut sub = cursor.sub(2, "field").unwrap();
        assert_eq!((sub.offset(), sub.u16("inside")), (10, Ok(0x0102)));
        assert!(sub.u8("inside").is_err());
        assert_eq!((cursor.offset(), cursor.rest()), (12, [3, 4].as_slice()));
        assert_eq!(
            cursor.finish("message").unwrap_err(),
            Error { what: "message", offset: 12, needed: 0, available: 2 }
        );
        assert_eq!(
            cursor.finish("message").unwrap_err().to_string(),
            "message at byte 12: expected no further bytes, found 2"
        );
    }
}
