//! NLRI: the routes of one field.

mod evpn;
mod prefix;

use super::Error;
use crate::route::{Family, Nlri, NlriEntry};
use crate::wire::Cursor;

/// How the NLRI of a family are written.
#[derive(Clone, Copy, Debug)]
enum Form {
    V4,
    V6,
    Evpn,
    Unknown,
}

/// The routes of a field, one by one. Ends after the first error: what follows it cannot be found.
#[derive(Clone, Debug)]
pub struct NlriIter<'a> {
    cursor: Cursor<'a>,
    form: Form,
    add_path: bool,
    withdraw: bool,
}

/// Decodes one field of routes of one family. `add_path`: each has a path identifier before it (RFC 7911).
/// `withdraw`: they are withdrawn, and their labels say nothing. Offsets of errors count from the start of the field.
///
/// Unicast and multicast prefixes take no memory. EVPN types 1 to 5 are decoded, other types and the whole field of
/// any other family come as [`Nlri::Raw`].
#[inline]
#[must_use]
pub fn nlri(family: Family, bytes: &[u8], add_path: bool, withdraw: bool) -> NlriIter<'_> {
    let form = match family {
        Family::IPV4_UNICAST | Family::IPV4_MULTICAST => Form::V4,
        Family::IPV6_UNICAST | Family::IPV6_MULTICAST => Form::V6,
        Family::EVPN => Form::Evpn,
        _ => Form::Unknown,
    };
    NlriIter { cursor: Cursor::new(bytes), form, add_path, withdraw }
}

/// True when the whole field decodes. A field is to be believed as a whole or not at all (RFC 7606 section 5.3): read
/// with ADD-PATH decided wrongly, it begins with prefixes that nobody announced, `0.0.0.0/0` first of all.
#[inline]
#[must_use]
pub fn nlri_fits(family: Family, bytes: &[u8], add_path: bool) -> bool {
    nlri(family, bytes, add_path, false).all(|entry| entry.is_ok())
}

impl NlriIter<'_> {
    #[inline(always)]
    fn read(&mut self) -> Result<NlriEntry, Error> {
        let has_path_id = self.add_path && !matches!(self.form, Form::Unknown);
        let path_id = if has_path_id { self.cursor.u32("path identifier")? } else { 0 };
        let nlri = match self.form {
            Form::V4 => Nlri::Prefix(prefix::v4(&mut self.cursor)?),
            Form::V6 => Nlri::Prefix(prefix::v6(&mut self.cursor)?),
            Form::Evpn => evpn::route(&mut self.cursor, self.withdraw)?,
            Form::Unknown => Nlri::Raw(self.cursor.take(self.cursor.remaining(), "NLRI")?.into()),
        };
        Ok(NlriEntry { path_id, nlri })
    }
}

impl Iterator for NlriIter<'_> {
    type Item = Result<NlriEntry, Error>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_empty() {
            return None;
        }
        let entry = self.read();
        if entry.is_err() {
            self.cursor = Cursor::default();
        }
        Some(entry)
    }
}

impl std::iter::FusedIterator for NlriIter<'_> {}
