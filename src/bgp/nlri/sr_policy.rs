//! SR policies (RFC 9830 section 2.1).

use crate::bgp::address::read_address;
use crate::bgp::error::Error;
use crate::route::{Nlri, NlriDetail, SrPolicyRoute};
use crate::wire::Cursor;

/// Decodes `length in bits 1, distinguisher 4, color 4, endpoint 4 or 16`.
pub(super) fn decode(cursor: &mut Cursor<'_>, is_v6: bool) -> Result<Nlri, Error> {
    let (start, offset) = (cursor.rest(), cursor.offset());
    let length = cursor.u8("SR policy length")?;
    if length != if is_v6 { 192 } else { 96 } {
        return Err(Error::InvalidBitLength { what: "SR policy", length, offset });
    }
    let bytes = usize::from(length / 8);
    let mut body = cursor.sub(bytes, "SR policy")?;
    let route = SrPolicyRoute {
        distinguisher: body.u32("distinguisher")?,
        color: body.u32("color")?,
        endpoint: read_address(&mut body, is_v6, "endpoint")?,
    };
    Ok(Nlri::structured(start.get(..=bytes).unwrap_or(start), NlriDetail::SrPolicy(route)))
}
