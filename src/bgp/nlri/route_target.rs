//! Route target membership (RFC 4684 section 4).

use crate::bgp::error::Error;
use crate::route::{Nlri, NlriDetail, RouteTargetMembership};
use crate::wire::Cursor;

/// Decodes `length in bits 1, origin AS 4, route target 8`, truncated to the length: 0 for all route targets,
/// else 32 to 96.
pub(super) fn decode(cursor: &mut Cursor<'_>) -> Result<Nlri, Error> {
    let offset = cursor.offset();
    let bits = cursor.u8("route target length")?;
    if !matches!(bits, 0 | 32..=96) {
        return Err(Error::InvalidBitLength { what: "route target membership", length: bits, offset });
    }
    let bytes = cursor.take(usize::from(bits.div_ceil(8)), "route target membership")?;
    let all = bytes
        .iter()
        .zip((0..96).step_by(8).rev())
        .fold(0_u128, |all, (byte, shift)| all | u128::from(*byte) << shift);
    let all = if bits == 0 { 0 } else { all & (u128::MAX << (96 - u32::from(bits))) };
    let [_, _, _, _, a, b, c, d, target @ ..] = all.to_be_bytes();
    let route = RouteTargetMembership { bits, origin_as: u32::from_be_bytes([a, b, c, d]), target };
    // Bits beyond the length are cleared in the key as well, so that equal prefixes have equal keys.
    let key = [&[bits, a, b, c, d][..], &target].concat();
    Ok(Nlri::structured(key.get(..=bytes.len()).unwrap_or(&key), NlriDetail::RouteTarget(route)))
}
