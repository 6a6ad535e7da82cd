//! BGP-LS NLRI (RFC 9552 section 5.2, RFC 9514 section 6).

use super::prefix;
use crate::bgp::error::Error;
use crate::route::{
    Descriptor, DescriptorScope, DescriptorValue, LinkStateRoute, Nlri, NlriDetail, Prefix, Rd,
};
use crate::wire::{self, Cursor};

/// TLV type of Local Node Descriptors.
const LOCAL_NODE: u16 = 256;
/// TLV type of Remote Node Descriptors.
const REMOTE_NODE: u16 = 257;

/// Decodes one BGP-LS route.
///
/// ```text
/// +-- 2 --+-- 2 ----+-- 8 (72) --+-- 1 -------+-- 8 --------+-- type 2, length 2, value
/// | type  | length  | RD         | protocol   | identifier  | descriptor TLVs
/// +-------+---------+------------+------------+-------------+-- - - -
/// ```
///
/// A route of an unassigned type stays undecoded (RFC 9552 section 5.2).
pub(super) fn decode(cursor: &mut Cursor<'_>, has_rd: bool) -> Result<Nlri, Error> {
    let (start, origin) = (cursor.rest(), cursor.offset());
    let kind = cursor.u16("BGP-LS NLRI type")?;
    let length = usize::from(cursor.u16("BGP-LS NLRI length")?);
    let mut body = cursor.sub(length, "BGP-LS NLRI")?;
    let bytes = start.get(..4 + length).unwrap_or(start);
    if !matches!(kind, 1..=4 | 6) {
        return Ok(Nlri::Raw(bytes.into()));
    }
    let rd = if has_rd { Some(Rd(body.array("RD")?)) } else { None };
    let protocol = body.u8("protocol ID")?;
    let identifier = body.u64("identifier")?;
    let mut key = bytes.to_vec();
    let mut descriptors = Vec::new();
    while !body.is_empty() {
        let (code, mut value) = tlv(&mut body)?;
        match code {
            LOCAL_NODE | REMOTE_NODE => {
                let scope =
                    if code == LOCAL_NODE { DescriptorScope::LocalNode } else { DescriptorScope::RemoteNode };
                while !value.is_empty() {
                    let (code, value) = tlv(&mut value)?;
                    descriptors.push(descriptor(scope, code, value.rest(), kind));
                }
            }
            _ => {
                let descriptor = descriptor(DescriptorScope::Object, code, value.rest(), kind);
                if let DescriptorValue::Prefix(prefix) = descriptor.value {
                    prefix::clear_trailing_bits(&mut key, body.offset() - origin, prefix.length());
                }
                descriptors.push(descriptor);
            }
        }
    }
    Ok(Nlri::structured(
        key,
        NlriDetail::LinkState(LinkStateRoute { rd, kind, protocol, identifier, descriptors }),
    ))
}

/// Reads `type 2, length 2, value`.
fn tlv<'a>(body: &mut Cursor<'a>) -> Result<(u16, Cursor<'a>), wire::Error> {
    let code = body.u16("descriptor type")?;
    let length = body.u16("descriptor length")?;
    Ok((code, body.sub(usize::from(length), "descriptor")?))
}

/// Decodes a descriptor TLV; its value stays undecoded if it does not fit the type.
fn descriptor(scope: DescriptorScope, kind: u16, value: &[u8], nlri_kind: u16) -> Descriptor {
    let value = typed_value(kind, value, nlri_kind).unwrap_or_else(|| DescriptorValue::Raw(value.to_vec()));
    Descriptor { scope, kind, value }
}

/// Decodes a value by its TLV type; `None` for a type without a decoder, and for a length that does not fit
/// the type.
fn typed_value(kind: u16, value: &[u8], nlri_kind: u16) -> Option<DescriptorValue> {
    let v4 = || Some(DescriptorValue::Address(<[u8; 4]>::try_from(value).ok()?.into()));
    let v6 = |value: &[u8]| Some(<[u8; 16]>::try_from(value).ok()?.into());
    Some(match kind {
        258 => {
            let (halves, []) = value.as_chunks::<4>() else { return None };
            let &[local, remote] = halves else { return None };
            DescriptorValue::LinkIds(u32::from_be_bytes(local), u32::from_be_bytes(remote))
        }
        259 | 260 | 516 => return v4(),
        261 | 262 => DescriptorValue::Address(v6(value)?),
        263 => {
            let (ids, []) = value.as_chunks::<2>() else { return None };
            DescriptorValue::Topologies(ids.iter().map(|id| u16::from_be_bytes(*id)).collect())
        }
        264 => DescriptorValue::Number(u32::from(*value.first().filter(|_| value.len() == 1)?)),
        265 => DescriptorValue::Prefix(reachability(value, nlri_kind)?),
        512 | 513 | 514 | 517 => DescriptorValue::Number(u32::from_be_bytes(value.try_into().ok()?)),
        515 if matches!(value.len(), 4 | 6..=8) => DescriptorValue::RouterId(value.to_vec()),
        518 => {
            let (sids, []) = value.as_chunks::<16>() else { return None };
            DescriptorValue::Sids(sids.iter().map(|sid| (*sid).into()).collect())
        }
        _ => return None,
    })
}

/// Decodes IP Reachability Information: an IPv4 prefix in NLRI type 3, else an IPv6 prefix.
fn reachability(value: &[u8], nlri_kind: u16) -> Option<Prefix> {
    let mut cursor = Cursor::new(value);
    let prefix = if nlri_kind == 3 { prefix::v4(&mut cursor) } else { prefix::v6(&mut cursor) }.ok()?;
    cursor.is_empty().then_some(prefix)
}
