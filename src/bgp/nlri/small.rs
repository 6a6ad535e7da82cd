//! Families whose NLRI is one fixed form: VPLS, route targets, SR policies, MDT.

use super::{Error, address_of, other};
use crate::route::{Detail, Mdt, Nlri, Rd, RouteTarget, SrPolicy, Vpls};
use crate::wire::Cursor;

/// `length 2, RD 8, VE ID 2, VE block offset 2, size 2, label base 3` (RFC 4761 section 3.2.2), or
/// `length 2, RD 8, PE address 4` (RFC 6074 section 3.2.2.1). Any other length is kept raw.
pub(super) fn vpls(cursor: &mut Cursor<'_>) -> Result<Nlri, Error> {
    let start = cursor.rest();
    let length = usize::from(cursor.u16("VPLS NLRI length")?);
    let mut body = cursor.sub(length, "VPLS NLRI")?;
    let bytes = start.get(..2 + length).unwrap_or(start);
    let route = match length {
        17 => Vpls::Block {
            rd: Rd(body.array("RD")?),
            ve_id: body.u16("VE ID")?,
            offset: body.u16("VE block offset")?,
            size: body.u16("VE block size")?,
            label_base: {
                let [a, b, c] = body.array("label base")?;
                u32::from_be_bytes([0, a, b, c]) >> 4
            },
        },
        12 => Vpls::Discovery { rd: Rd(body.array("RD")?), pe: body.u32("PE address")?.into() },
        _ => return Ok(Nlri::Raw(bytes.into())),
    };
    Ok(other(bytes, Detail::Vpls(route)))
}

/// `length in bits 1, origin AS 4, route target 8`, cut to that length (RFC 4684 section 4): none of it for all
/// targets, the AS in any case else.
pub(super) fn route_target(cursor: &mut Cursor<'_>) -> Result<Nlri, Error> {
    let offset = cursor.offset();
    let bits = cursor.u8("route target length")?;
    if !matches!(bits, 0 | 32..=96) {
        return Err(Error::Bits { what: "route target membership", length: bits, offset });
    }
    let bytes = cursor.take(usize::from(bits.div_ceil(8)), "route target membership")?;
    let all = bytes
        .iter()
        .zip((0..96).step_by(8).rev())
        .fold(0_u128, |all, (byte, shift)| all | u128::from(*byte) << shift);
    let all = if bits == 0 { 0 } else { all & (u128::MAX << (96 - u32::from(bits))) };
    let [_, _, _, _, a, b, c, d, target @ ..] = all.to_be_bytes();
    let route = RouteTarget { bits, origin_as: u32::from_be_bytes([a, b, c, d]), target };
    // The bits that do not count are cleared in the key too.
    let key = [&[bits, a, b, c, d][..], &target].concat();
    Ok(other(key.get(..=bytes.len()).unwrap_or(&key), Detail::RouteTarget(route)))
}

/// `length in bits 1, distinguisher 4, color 4, endpoint 4 or 16` (RFC 9830 section 2.1).
pub(super) fn sr_policy(cursor: &mut Cursor<'_>, is_v6: bool) -> Result<Nlri, Error> {
    let (start, offset) = (cursor.rest(), cursor.offset());
    let length = cursor.u8("SR policy length")?;
    if length != if is_v6 { 192 } else { 96 } {
        return Err(Error::Bits { what: "SR policy", length, offset });
    }
    let bytes = usize::from(length / 8);
    let mut body = cursor.sub(bytes, "SR policy")?;
    let route = SrPolicy {
        distinguisher: body.u32("distinguisher")?,
        color: body.u32("color")?,
        endpoint: address_of(&mut body, is_v6, "endpoint")?,
    };
    Ok(other(start.get(..=bytes).unwrap_or(start), Detail::SrPolicy(route)))
}

/// `length in bits 1, RD 8, PE address 4 or 16, group 4 or 16` (RFC 6037 section 5.1.2).
pub(super) fn mdt(cursor: &mut Cursor<'_>, is_v6: bool) -> Result<Nlri, Error> {
    let (start, offset) = (cursor.rest(), cursor.offset());
    let length = cursor.u8("MDT length")?;
    let bytes = if is_v6 { 40 } else { 16 };
    // A length in bits does not hold that of IPv6 (320), which is then given in octets.
    if usize::from(length) != bytes && usize::from(length) != bytes * 8 {
        return Err(Error::Bits { what: "MDT", length, offset });
    }
    let mut body = cursor.sub(bytes, "MDT")?;
    let route = Mdt {
        rd: Rd(body.array("RD")?),
        pe: address_of(&mut body, is_v6, "PE address")?,
        group: address_of(&mut body, is_v6, "group")?,
    };
    Ok(other(start.get(..=bytes).unwrap_or(start), Detail::Mdt(route)))
}
