//! BGP Prefix-SID (RFC 8669 section 3, RFC 9252 section 2).

use crate::route::{PrefixSidTlv, ServiceSid};
use crate::wire::{self, Cursor};

/// Decodes TLVs of `type 1, length 2, value`. A TLV that extends past the end makes the attribute malformed.
pub(super) fn decode(value: &[u8]) -> Result<Vec<PrefixSidTlv>, wire::Error> {
    let mut cursor = Cursor::new(value);
    let mut tlvs = Vec::new();
    while !cursor.is_empty() {
        let kind = cursor.u8("TLV type")?;
        let length = cursor.u16("TLV length")?;
        let body = cursor.sub(usize::from(length), "TLV")?;
        let raw = || PrefixSidTlv::Raw { kind, value: body.rest().to_vec() };
        tlvs.push(match kind {
            1 => label_index(body.rest()).unwrap_or_else(raw),
            3 => srgb(body.rest()).unwrap_or_else(raw),
            5 | 6 => service(body, kind == 6).unwrap_or_else(|_| raw()),
            _ => raw(),
        });
    }
    Ok(tlvs)
}

/// Decodes a Label-Index TLV: `reserved 1, flags 2, index 4`.
fn label_index(value: &[u8]) -> Option<PrefixSidTlv> {
    match *value {
        [_, _, _, a, b, c, d] => Some(PrefixSidTlv::LabelIndex(u32::from_be_bytes([a, b, c, d]))),
        _ => None,
    }
}

/// Decodes an Originator SRGB TLV: `flags 2`, then ranges of `base 3, size 3`.
fn srgb(value: &[u8]) -> Option<PrefixSidTlv> {
    let (_, ranges) = value.split_first_chunk::<2>()?;
    let (ranges, []) = ranges.as_chunks::<6>() else { return None };
    let range =
        |&[a, b, c, d, e, f]: &[u8; 6]| (u32::from_be_bytes([0, a, b, c]), u32::from_be_bytes([0, d, e, f]));
    Some(PrefixSidTlv::Srgb(ranges.iter().map(range).collect()))
}

/// Decodes an SRv6 Service TLV (RFC 9252 section 2): `reserved 1`, then sub-TLVs of `type 1, length 2,
/// value`.
///
/// Sub-TLV type 1 is SRv6 SID Information: `reserved 1, SID 16, flags 1, endpoint behavior 2, reserved 1`,
/// then sub-sub-TLVs, of which type 1 is the SID structure. Other sub-TLVs are ignored.
fn service(mut body: Cursor<'_>, layer2: bool) -> Result<PrefixSidTlv, wire::Error> {
    body.u8("reserved octet")?;
    let mut sids = Vec::new();
    while !body.is_empty() {
        let kind = body.u8("sub-TLV type")?;
        let length = body.u16("sub-TLV length")?;
        let mut sub = body.sub(usize::from(length), "sub-TLV")?;
        if kind != 1 {
            continue;
        }
        sub.u8("reserved octet")?;
        let sid = sub.u128("SID")?.into();
        sub.u8("SID flags")?;
        let behavior = sub.u16("endpoint behavior")?;
        sub.u8("reserved octet")?;
        let mut structure = None;
        while !sub.is_empty() {
            let kind = sub.u8("sub-sub-TLV type")?;
            let length = sub.u16("sub-sub-TLV length")?;
            let value = sub.take(usize::from(length), "sub-sub-TLV")?;
            structure = structure.or_else(|| value.try_into().ok().filter(|_| kind == 1));
        }
        sids.push(ServiceSid { sid, behavior, structure });
    }
    Ok(PrefixSidTlv::Service { layer2, sids })
}
