//! MUP routes (draft-ietf-bess-mup-safi section 3.1): `architecture 1, type 2, length 1`, then what the type has.

use super::{Error, address_of, other, prefix};
use crate::route::{Detail, MupKind, MupRoute, Nlri, Prefix, Rd};
use crate::wire::Cursor;

/// Architecture type: 3GPP 5G.
const FIVE_G: u8 = 1;

pub(super) fn route(cursor: &mut Cursor<'_>, is_v6: bool) -> Result<Nlri, Error> {
    let start = cursor.rest();
    let [architecture, a, b, length] = cursor.array("MUP architecture, route type and length")?;
    let length = usize::from(length);
    let mut body = cursor.sub(length, "MUP route")?;
    let bytes = start.get(..4 + length).unwrap_or(start);
    let kind: fn(&mut Cursor<'_>, bool) -> Result<MupKind, Error> =
        match (architecture, u16::from_be_bytes([a, b])) {
            (FIVE_G, 1) => |body, is_v6| Ok(MupKind::InterworkSegment(user_prefix(body, is_v6)?)),
            (FIVE_G, 2) => |body, is_v6| Ok(MupKind::DirectSegment(address_of(body, is_v6, "address")?)),
            (FIVE_G, 3) => session1,
            (FIVE_G, 4) => session2,
            _ => return Ok(Nlri::Raw(bytes.into())),
        };
    let rd = Rd(body.array("RD")?);
    let kind = kind(&mut body, is_v6)?;
    body.finish("MUP route")?;
    Ok(other(bytes, Detail::Mup(MupRoute { rd, kind })))
}

fn user_prefix(body: &mut Cursor<'_>, is_v6: bool) -> Result<Prefix, Error> {
    if is_v6 { prefix::v6(body) } else { prefix::v4(body) }
}

/// `prefix, TEID 4, QFI 1, endpoint length in bits 1, endpoint, source length in bits 1, source`; drafts before -04 end
/// with the endpoint.
fn session1(body: &mut Cursor<'_>, is_v6: bool) -> Result<MupKind, Error> {
    let prefix = user_prefix(body, is_v6)?;
    let teid = body.u32("TEID")?;
    let qfi = body.u8("QFI")?;
    let offset = body.offset();
    let endpoint = super::flow_address(body, "endpoint")?.ok_or(Error::Bits {
        what: "MUP endpoint",
        length: 0,
        offset,
    })?;
    let source = if body.is_empty() { None } else { super::flow_address(body, "source")? };
    Ok(MupKind::Session1 { prefix, teid, qfi, endpoint, source })
}

/// `bits of endpoint and TEID together 1, endpoint, TEID as far as it counts`.
fn session2(body: &mut Cursor<'_>, is_v6: bool) -> Result<MupKind, Error> {
    let offset = body.offset();
    let length = body.u8("endpoint length")?;
    let impossible = Error::Bits { what: "MUP endpoint", length, offset };
    let teid_bits = length.checked_sub(if is_v6 { 128 } else { 32 }).ok_or(impossible)?;
    let endpoint = address_of(body, is_v6, "endpoint")?;
    let octets = body.take(usize::from(teid_bits.div_ceil(8)), "TEID")?;
    // A TEID is as wide as an IPv4 address, and cut the same way.
    match Prefix::v4(prefix::left_aligned(octets), teid_bits) {
        Some(Prefix::V4(teid, _)) => Ok(MupKind::Session2 { endpoint, teid, teid_bits }),
        _ => Err(impossible),
    }
}
