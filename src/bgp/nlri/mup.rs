//! MUP routes (draft-ietf-bess-mup-safi section 3.1): `architecture 1, type 2, length 1`, then the fields of
//! the type.

use super::prefix;
use crate::bgp::address::{read_address, read_sized_address};
use crate::bgp::error::Error;
use crate::route::{MupKind, MupRoute, Nlri, NlriDetail, Prefix, Rd};
use crate::wire::Cursor;

/// Architecture type: 3GPP 5G.
const FIVE_G: u8 = 1;

/// Decodes one MUP route. A route of another architecture or an unassigned type stays undecoded.
pub(super) fn decode(cursor: &mut Cursor<'_>, is_v6: bool) -> Result<Nlri, Error> {
    let start = cursor.rest();
    let [architecture, a, b, length] = cursor.array("MUP architecture, route type and length")?;
    let length = usize::from(length);
    let mut body = cursor.sub(length, "MUP route")?;
    let bytes = start.get(..4 + length).unwrap_or(start);
    let decode: fn(&mut Cursor<'_>, bool) -> Result<MupKind, Error> =
        match (architecture, u16::from_be_bytes([a, b])) {
            (FIVE_G, 1) => |body, is_v6| Ok(MupKind::InterworkSegment(user_prefix(body, is_v6)?)),
            (FIVE_G, 2) => |body, is_v6| Ok(MupKind::DirectSegment(read_address(body, is_v6, "address")?)),
            (FIVE_G, 3) => session1,
            (FIVE_G, 4) => session2,
            _ => return Ok(Nlri::Raw(bytes.into())),
        };
    let rd = Rd(body.array("RD")?);
    let kind = decode(&mut body, is_v6)?;
    body.finish("MUP route")?;
    let mut key = bytes.to_vec();
    match kind {
        MupKind::InterworkSegment(prefix) => {
            prefix::clear_trailing_bits(&mut key, bytes.len(), prefix.length());
        }
        MupKind::Session2 { teid_bits, .. } => {
            prefix::clear_trailing_bits(&mut key, bytes.len(), teid_bits);
        }
        MupKind::DirectSegment(_) | MupKind::Session1 { .. } => {}
    }
    Ok(Nlri::structured(key, NlriDetail::Mup(MupRoute { rd, kind })))
}

/// Reads a prefix of the address family.
fn user_prefix(body: &mut Cursor<'_>, is_v6: bool) -> Result<Prefix, Error> {
    if is_v6 { prefix::v6(body) } else { prefix::v4(body) }
}

/// Decodes type 3: `prefix, TEID 4, QFI 1, endpoint length in bits 1, endpoint, source length in bits 1,
/// source`. Versions of the draft before -04 end with the endpoint.
fn session1(body: &mut Cursor<'_>, is_v6: bool) -> Result<MupKind, Error> {
    let prefix = user_prefix(body, is_v6)?;
    let teid = body.u32("TEID")?;
    let qfi = body.u8("QFI")?;
    let offset = body.offset();
    let endpoint = read_sized_address(body, "endpoint")?.ok_or(Error::InvalidBitLength {
        what: "MUP endpoint",
        length: 0,
        offset,
    })?;
    let source = if body.is_empty() { None } else { read_sized_address(body, "source")? };
    Ok(MupKind::Session1 { prefix, teid, qfi, endpoint, source })
}

/// Decodes type 4: `length of endpoint and TEID in bits 1, endpoint, TEID truncated to the length`.
fn session2(body: &mut Cursor<'_>, is_v6: bool) -> Result<MupKind, Error> {
    let offset = body.offset();
    let length = body.u8("endpoint length")?;
    let invalid_length = Error::InvalidBitLength { what: "MUP endpoint", length, offset };
    let teid_bits = length.checked_sub(if is_v6 { 128 } else { 32 }).ok_or(invalid_length)?;
    let endpoint = read_address(body, is_v6, "endpoint")?;
    let octets = body.take(usize::from(teid_bits.div_ceil(8)), "TEID")?;
    // A TEID has 32 bits like an IPv4 address, and bits beyond the length are cleared in the same way.
    let teid = Prefix::v4(prefix::left_aligned(octets), teid_bits).and_then(|teid| teid.v4_bits());
    Ok(MupKind::Session2 { endpoint, teid: teid.ok_or(invalid_length)?, teid_bits })
}
