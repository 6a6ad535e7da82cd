//! MDT routes (RFC 6037 section 5.1.2).

use crate::bgp::address::read_address;
use crate::bgp::error::Error;
use crate::route::{MdtRoute, Nlri, NlriDetail, Rd};
use crate::wire::Cursor;

/// Length of the IPv4 form in bits.
const V4_BITS: u8 = 128;

/// Decodes `length 1, RD 8, PE address 4 or 16, group 4 or 16`. The length is in bits or in octets.
pub(super) fn decode(cursor: &mut Cursor<'_>, is_v6: bool) -> Result<Nlri, Error> {
    let (start, offset) = (cursor.rest(), cursor.offset());
    let length = cursor.u8("MDT length")?;
    let bytes = if is_v6 { 40 } else { 16 };
    // The IPv6 form has 320 bits, which one octet cannot express; routers send its length in octets.
    if usize::from(length) != bytes && usize::from(length) != bytes * 8 {
        return Err(Error::InvalidBitLength { what: "MDT", length, offset });
    }
    let mut body = cursor.sub(bytes, "MDT")?;
    let route = MdtRoute {
        rd: Rd(body.array("RD")?),
        pe: read_address(&mut body, is_v6, "PE address")?,
        group: read_address(&mut body, is_v6, "group")?,
    };
    let mut key = start.get(..=bytes).unwrap_or(start).to_vec();
    // Both units of the length denote the same route.
    if let Some(length) = key.first_mut().filter(|_| !is_v6) {
        *length = V4_BITS;
    }
    Ok(Nlri::structured(key, NlriDetail::Mdt(route)))
}
