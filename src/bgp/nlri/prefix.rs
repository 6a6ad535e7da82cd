//! Prefixes (RFC 4271 section 4.3): a length in bits, then as many bytes as it needs.

use super::Error;
use crate::route::Prefix;
use crate::wire::Cursor;

#[inline]
pub(super) fn v4(cursor: &mut Cursor<'_>) -> Result<Prefix, Error> {
    let offset = cursor.offset();
    let (length, octets) = octets::<4>(cursor)?;
    Prefix::v4(u32::from_be_bytes(octets), length).ok_or(too_long("IPv4 prefix", length, offset))
}

#[inline]
pub(super) fn v6(cursor: &mut Cursor<'_>) -> Result<Prefix, Error> {
    let offset = cursor.offset();
    let (length, octets) = octets::<16>(cursor)?;
    Prefix::v6(u128::from_be_bytes(octets), length).ok_or(too_long("IPv6 prefix", length, offset))
}

const fn too_long(what: &'static str, length: u8, offset: usize) -> Error {
    Error::Bits { what, length, offset }
}

/// The length, and the bytes it stands for, the rest zero. A length that no address has takes no bytes: it is the
/// caller's to refuse.
#[inline]
fn octets<const N: usize>(cursor: &mut Cursor<'_>) -> Result<(u8, [u8; N]), Error> {
    let length = cursor.u8("prefix length")?;
    let bytes = usize::from(length).div_ceil(8);
    let mut octets = [0; N];
    if let Some(octets) = octets.get_mut(..bytes) {
        octets.copy_from_slice(cursor.take(bytes, "prefix")?);
    }
    Ok((length, octets))
}
