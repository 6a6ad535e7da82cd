//! The path attribute section as bytes, and the cutting of one attribute.

use crate::wire::{self, Cursor};

/// Flag bit: the length has two octets (RFC 4271 section 4.3).
const EXTENDED_LENGTH: u8 = 0x10;

/// One path attribute, not yet looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Flags octet.
    pub flags: u8,
    /// Type code.
    pub code: u8,
    /// Value.
    pub value: &'a [u8],
    /// Where the attribute begins, from the start of the BGP message.
    pub offset: usize,
}

impl<'a> Attribute<'a> {
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

    /// A cursor over the value.
    #[inline]
    pub(super) fn cursor(&self, end: usize) -> Cursor<'a> {
        Cursor::at(self.value, end - self.value.len())
    }
}

/// All path attributes but MP_REACH_NLRI and MP_UNREACH_NLRI, in the order sent.
///
/// Cutting those two out leaves at most three runs of bytes. The runs are what makes an attribute set recognisable
/// without decoding it ([`super::Update::key`]).
#[derive(Clone, Copy, Debug, Default)]
pub struct AttributeBytes<'a> {
    pub(super) runs: [Cursor<'a>; 3],
}

impl<'a> AttributeBytes<'a> {
    /// All attributes in one run.
    pub(super) fn of(run: Cursor<'a>) -> Self {
        Self { runs: [run, Cursor::default(), Cursor::default()] }
    }

    /// The attributes, up to the end or to the first that runs past the section.
    #[must_use]
    pub fn iter(&self) -> AttributeIter<'a> {
        let [run, second, third] = self.runs;
        AttributeIter { run, later: [second, third] }
    }

    /// True when there is none.
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
        // What overruns the section also ends it: there is no next attribute to be found.
        *self = Self { run: Cursor::default(), later: [Cursor::default(); 2] };
        None
    }
}
