//! Prefixes (RFC 4271 section 4.3): a length in bits, then the minimum number of octets that contain these
//! bits.
//!
//! This is the innermost loop of the collector. If enough octets follow, a whole address is loaded at once;
//! the excess bits are cleared together with the host bits.

use crate::bgp::error::Error;
use crate::route::Prefix;
use crate::wire::Cursor;

/// Reads an IPv4 prefix.
#[inline]
pub(super) fn v4(cursor: &mut Cursor<'_>) -> Result<Prefix, Error> {
    let offset = cursor.offset();
    let length = cursor.u8("prefix length")?;
    if length > 32 {
        return Err(too_long("IPv4 prefix", length, offset));
    }
    let whole = cursor.rest().first_chunk::<4>();
    let octets = cursor.take(usize::from(length.div_ceil(8)), "prefix")?;
    let bits = whole.map_or_else(|| left_aligned(octets), |whole| u32::from_be_bytes(*whole));
    Prefix::v4(bits, length).ok_or_else(|| too_long("IPv4 prefix", length, offset))
}

/// Reads an IPv6 prefix.
#[inline]
pub(super) fn v6(cursor: &mut Cursor<'_>) -> Result<Prefix, Error> {
    let offset = cursor.offset();
    let length = cursor.u8("prefix length")?;
    if length > 128 {
        return Err(too_long("IPv6 prefix", length, offset));
    }
    let whole = cursor.rest().first_chunk::<16>();
    let octets = cursor.take(usize::from(length.div_ceil(8)), "prefix")?;
    let bits = whole.map_or_else(|| left_aligned_v6(octets), |whole| u128::from_be_bytes(*whole));
    Prefix::v6(bits, length).ok_or_else(|| too_long("IPv6 prefix", length, offset))
}

/// An IPv4 address that begins with `octets`; octets beyond the fourth are ignored.
#[inline]
pub(super) fn left_aligned(octets: &[u8]) -> u32 {
    u32::from_be_bytes(match *octets {
        [] => [0; 4],
        [a] => [a, 0, 0, 0],
        [a, b] => [a, b, 0, 0],
        [a, b, c] => [a, b, c, 0],
        [a, b, c, d, ..] => [a, b, c, d],
    })
}

/// An IPv6 address that begins with `octets`, at most 16. Prefixes of up to eight octets, the majority, are
/// assembled in one register.
#[inline]
pub(super) fn left_aligned_v6(octets: &[u8]) -> u128 {
    let (upper, lower) = octets.split_at_checked(8).unwrap_or((octets, &[]));
    (u128::from(left_aligned_u64(upper)) << 64) | u128::from(left_aligned_u64(lower))
}

/// A number whose most significant octets are `octets`, at most 8.
#[inline]
fn left_aligned_u64(octets: &[u8]) -> u64 {
    octets
        .iter()
        .zip((0..u64::BITS).step_by(8).rev())
        .fold(0, |bits, (octet, shift)| bits | u64::from(*octet) << shift)
}

/// Clears the bits of the octet before `end` that are beyond a prefix of `bits` bits. Their value is
/// irrelevant (RFC 4271 section 4.3), and equal prefixes must have equal keys.
pub(super) fn clear_trailing_bits(octets: &mut [u8], end: usize, bits: u8) {
    let used = bits % 8;
    if used != 0
        && let Some(last) = end.checked_sub(1).and_then(|index| octets.get_mut(index))
    {
        *last &= !(0xff >> used);
    }
}

#[cold]
const fn too_long(what: &'static str, length: u8, offset: usize) -> Error {
    Error::InvalidBitLength { what, length, offset }
}
