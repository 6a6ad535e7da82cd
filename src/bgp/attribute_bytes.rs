//! The path attribute section of an UPDATE, divided into attributes.

use crate::wire::{self, Cursor};

/// Flag bit: the length has two octets (RFC 4271 section 4.3).
const EXTENDED_LENGTH: u8 = 0x10;

/// One undecoded path attribute (RFC 4271 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Flags octet.
    pub flags: u8,
    /// Type code.
    pub code: u8,
    /// Value.
    pub value: &'a [u8],
    /// Byte offset of the attribute from the start of the BGP message.
    pub offset: usize,
}

impl<'a> Attribute<'a> {
    /// Reads flags, type code, length and value.
    #[inline]
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, wire::Error> {
        let offset = cursor.offset();
        let [flags, code, length] = cursor.array("attribute flags, type and length")?;
        let length = if flags & EXTENDED_LENGTH == 0 {
            u16::from(length)
        } else {
            u16::from_be_bytes([length, cursor.u8("second octet of the attribute length")?])
        };
        let value = cursor.take(usize::from(length), "attribute value")?;
        Ok(Self { flags, code, value, offset })
    }

    /// A cursor over the value, which ends at byte offset `end` of the BGP message.
    #[inline]
    pub(super) fn cursor(&self, end: usize) -> Cursor<'a> {
        Cursor::with_offset(self.value, end - self.value.len())
    }
}

/// All path attributes except MP_REACH_NLRI and MP_UNREACH_NLRI, in the order sent.
///
/// Removing those two leaves at most three runs of bytes, which identify an attribute set without decoding it
/// ([`super::Update::key`]).
#[derive(Clone, Copy, Debug, Default)]
pub struct AttributeBytes<'a> {
    pub(super) runs: [Cursor<'a>; 3],
}

impl<'a> AttributeBytes<'a> {
    /// Attributes in one contiguous run.
    pub(super) fn from_run(run: Cursor<'a>) -> Self {
        Self { runs: [run, Cursor::default(), Cursor::default()] }
    }

    /// The attributes, up to the first one that extends past the end of the section.
    #[must_use]
    pub fn iter(&self) -> AttributeIter<'a> {
        let [run, second, third] = self.runs;
        AttributeIter { run, later: [second, third] }
    }

    /// True if there are no attributes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        let [a, b, c] = &self.runs;
        a.is_empty() && b.is_empty() && c.is_empty()
    }
}

impl<'a> IntoIterator for &AttributeBytes<'a> {
    type Item = Attribute<'a>;
    type IntoIter = AttributeIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterator over [`AttributeBytes`].
#[derive(Clone, Debug)]
pub struct AttributeIter<'a> {
    run: Cursor<'a>,
    later: [Cursor<'a>; 2],
}

impl<'a> Iterator for AttributeIter<'a> {
    type Item = Attribute<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        while self.run.is_empty() {
            let [second, third] = self.later;
            (self.run, self.later) = (second, [third, Cursor::default()]);
            if self.run.is_empty() && third.is_empty() {
                return None;
            }
        }
        if let Ok(attribute) = Attribute::read(&mut self.run) {
            return Some(attribute);
        }
        // The start of the next attribute is unknown, so the iteration ends.
        *self = Self { run: Cursor::default(), later: [Cursor::default(); 2] };
        None
    }
}
