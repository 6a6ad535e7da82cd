//! Attributes that few routes have. Each function says no when the encoding is malformed, with the reason.

use super::{Decoder, as_path_width_fits};
use crate::bgp::Update;
use crate::bgp::attribute_bytes::AttributeBytes;
use crate::route::{
    Ipv6ExtendedCommunity, LinkStateTlv, LinkStateValue, More, PmsiTunnel, PrefixSidTlv, ServiceSid, Tunnel,
    TunnelTlv,
};
use crate::wire::{self, Cursor};

/// How deep attribute sets may stand in attribute sets: a set in a set is kept raw.
const DEPTH_MAX: u8 = 1;

fn text(error: wire::Error) -> String {
    error.to_string()
}

/// PMSI_TUNNEL: `flags 1, type 1, label 3, identifier` (RFC 6514 section 5).
pub(super) fn pmsi_tunnel(value: &[u8]) -> Result<More, String> {
    let mut cursor = Cursor::new(value);
    let [flags, kind, a, b, c] = cursor.array("PMSI tunnel flags, type and label").map_err(text)?;
    let label = u32::from_be_bytes([0, a, b, c]);
    Ok(More::PmsiTunnel(PmsiTunnel { flags, kind, label, identifier: cursor.rest().to_vec() }))
}

/// Tunnels of `type 2, length 2`, sub-TLVs of `type 1, length 1 (below 128) or 2` (RFC 9012 section 2).
pub(super) fn tunnel_encapsulation(value: &[u8]) -> Result<More, String> {
    let mut cursor = Cursor::new(value);
    let mut tunnels = Vec::new();
    while !cursor.is_empty() {
        let kind = cursor.u16("tunnel type").map_err(text)?;
        let length = cursor.u16("tunnel length").map_err(text)?;
        let mut body = cursor.sub(usize::from(length), "tunnel").map_err(text)?;
        let mut tlvs = Vec::new();
        while !body.is_empty() {
            let kind = body.u8("sub-TLV type").map_err(text)?;
            let length = if kind < 128 {
                u16::from(body.u8("sub-TLV length").map_err(text)?)
            } else {
                body.u16("sub-TLV length").map_err(text)?
            };
            let value = body.take(usize::from(length), "sub-TLV").map_err(text)?;
            tlvs.push(TunnelTlv { kind, value: value.to_vec() });
        }
        tunnels.push(Tunnel { kind, tlvs });
    }
    Ok(More::TunnelEncapsulation(tunnels))
}

/// Twenty octets each (RFC 5701 section 2, RFC 7606 section 7.15).
pub(super) fn ipv6_extended_communities(value: &[u8]) -> Result<More, String> {
    let (communities, []) = value.as_chunks::<20>() else {
        return Err(format!("{} bytes long, not a multiple of 20", value.len()));
    };
    if communities.is_empty() {
        return Err("empty".to_owned());
    }
    let one = |&[kind, sub, global @ .., a, b]: &[u8; 20]| Ipv6ExtendedCommunity {
        kind,
        sub,
        global: <[u8; 16]>::into(global),
        local: u16::from_be_bytes([a, b]),
    };
    Ok(More::Ipv6ExtendedCommunities(communities.iter().map(one).collect()))
}

/// `origin AS 4`, then attributes as in an UPDATE with four-octet AS numbers (RFC 6368 section 5). Malformed when one
/// inside is (RFC 7606 section 7.16). `None`: too deep, to be kept raw.
pub(super) fn attr_set(value: &[u8], depth: u8) -> Result<Option<More>, String> {
    if depth >= DEPTH_MAX {
        return Ok(None);
    }
    let mut cursor = Cursor::new(value);
    let origin_as = cursor.u32("origin AS").map_err(text)?;
    let mut whole = cursor;
    while !whole.is_empty() {
        super::Attribute::read(&mut whole).map_err(text)?;
    }
    let bytes = AttributeBytes::of(cursor);
    // Four octets by RFC 6793 section 3; what an old speaker wrote with two fits only two.
    let four_octet_as = as_path_width_fits(&Update { attributes: bytes, ..Update::default() }, true);
    let mut decoder = Decoder { four_octet_as, depth: depth + 1, ..Decoder::default() };
    bytes.iter().for_each(|attribute| decoder.attribute(&attribute));
    match decoder.withdraw {
        Some(reason) => Err(reason),
        None => Ok(Some(More::AttrSet { origin_as, attributes: Box::new(decoder.out) })),
    }
}

/// `type 1, length 2, value` (RFC 8669 section 3). Malformed when a TLV runs past the end.
pub(super) fn prefix_sid(value: &[u8]) -> Result<More, String> {
    let mut cursor = Cursor::new(value);
    let mut tlvs = Vec::new();
    while !cursor.is_empty() {
        let kind = cursor.u8("TLV type").map_err(text)?;
        let length = cursor.u16("TLV length").map_err(text)?;
        let body = cursor.sub(usize::from(length), "TLV").map_err(text)?;
        let raw = || PrefixSidTlv::Raw { kind, value: body.rest().to_vec() };
        tlvs.push(match kind {
            1 => label_index(body.rest()).unwrap_or_else(raw),
            3 => srgb(body.rest()).unwrap_or_else(raw),
            5 | 6 => service(body, kind == 6).unwrap_or_else(|_| raw()),
            _ => raw(),
        });
    }
    Ok(More::PrefixSid(tlvs))
}

/// `reserved 1, flags 2, index 4`.
fn label_index(value: &[u8]) -> Option<PrefixSidTlv> {
    match *value {
        [_, _, _, a, b, c, d] => Some(PrefixSidTlv::LabelIndex(u32::from_be_bytes([a, b, c, d]))),
        _ => None,
    }
}

/// `flags 2`, then ranges of `base 3, size 3`.
fn srgb(value: &[u8]) -> Option<PrefixSidTlv> {
    let (_, ranges) = value.split_first_chunk::<2>()?;
    let (ranges, []) = ranges.as_chunks::<6>() else { return None };
    let range =
        |&[a, b, c, d, e, f]: &[u8; 6]| (u32::from_be_bytes([0, a, b, c]), u32::from_be_bytes([0, d, e, f]));
    Some(PrefixSidTlv::Srgb(ranges.iter().map(range).collect()))
}

/// `reserved 1`, then sub-TLVs of `type 1, length 2`; type 1 is SID Information: `reserved 1, SID 16, flags 1,
/// behaviour 2, reserved 1`, then sub-sub-TLVs, of which type 1 is the structure.
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
        let behavior = sub.u16("endpoint behaviour")?;
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

/// `type 2, length 2, value` (RFC 9552 section 5.3). Malformed when a TLV runs past the end (section 8.2.2).
pub(super) fn link_state(value: &[u8]) -> Result<More, String> {
    let mut cursor = Cursor::new(value);
    let mut tlvs = Vec::new();
    while !cursor.is_empty() {
        let kind = cursor.u16("TLV type").map_err(text)?;
        let length = cursor.u16("TLV length").map_err(text)?;
        let bytes = cursor.take(usize::from(length), "TLV").map_err(text)?;
        let value = link_state_value(kind, bytes).unwrap_or_else(|| LinkStateValue::Raw(bytes.to_vec()));
        tlvs.push(LinkStateTlv { kind, value });
    }
    Ok(More::LinkState(tlvs))
}

/// `None` for a type without a form here, and for a length that the type does not have.
fn link_state_value(kind: u16, value: &[u8]) -> Option<LinkStateValue> {
    use LinkStateValue::{
        Address, Bandwidths, Behavior, EndX, Locator, Number, Numbers, Ranges, Structure, Text,
    };
    let words = || {
        let (words, []) = value.as_chunks::<4>() else { return None };
        Some(words.iter().map(|word| u32::from_be_bytes(*word)).collect::<Vec<_>>())
    };
    Some(match kind {
        1026 | 1098 => Text(String::from_utf8_lossy(value).replace('\0', "\u{fffd}")),
        1028 | 1030 => Address(<[u8; 4]>::try_from(value).ok()?.into()),
        1029 | 1031 => Address(<[u8; 16]>::try_from(value).ok()?.into()),
        1156 | 1171 => super::super::mp::plain_address(value).map(Address)?,
        1024 | 1037 | 1094 | 1152 | 1170 if value.len() == 1 => Number(number(value)?),
        1088 | 1092 | 1114 | 1116 | 1117 | 1155 | 1174 if value.len() == 4 => Number(number(value)?),
        1093 if value.len() == 2 => Number(number(value)?),
        1095 if matches!(value.len(), 1..=3) => Number(number(value)?),
        1035 => Numbers(value.iter().map(|algorithm| u32::from(*algorithm)).collect()),
        1096 | 1115 | 1153 | 1173 => Numbers(words()?),
        1089..=1091 | 1118..=1120 => Bandwidths(words()?),
        1099 | 1101..=1103 | 1158 => sid(value)?,
        1034 | 1036 => Ranges(ranges(value)?),
        1106 => match *value {
            [a, b, _, algorithm, weight, _, ref rest @ ..] => EndX {
                behavior: u16::from_be_bytes([a, b]),
                algorithm,
                weight,
                sid: (*rest.first_chunk::<16>()?).into(),
            },
            _ => return None,
        },
        1162 => match *value {
            [_, algorithm, _, _, a, b, c, d, ..] => {
                Locator { algorithm, metric: u32::from_be_bytes([a, b, c, d]) }
            }
            _ => return None,
        },
        1250 => match *value {
            [a, b, _, algorithm] => Behavior { behavior: u16::from_be_bytes([a, b]), algorithm },
            _ => return None,
        },
        1252 => Structure(value.try_into().ok()?),
        _ => return None,
    })
}

/// Up to four octets.
fn number(value: &[u8]) -> Option<u32> {
    (value.len() <= 4).then(|| value.iter().fold(0, |number, octet| number << 8 | u32::from(*octet)))
}

/// `flags 1, weight or algorithm 1, reserved 2, label 3 or index 4` (RFC 9085 sections 2.2.1 and 2.3.1).
fn sid(value: &[u8]) -> Option<LinkStateValue> {
    let [flags, weight, _, _, sid @ ..] = value else { return None };
    let sid = number(sid).filter(|_| matches!(sid.len(), 3 | 4))?;
    // Twenty bits of the three octets count.
    let sid = if value.len() == 7 { sid & 0x0f_ffff } else { sid };
    Some(LinkStateValue::Sid { flags: *flags, weight: *weight, sid })
}

/// `flags 1, reserved 1`, then `size 3` and a SID/Label TLV (1161) each (RFC 9085 section 2.1.2).
fn ranges(value: &[u8]) -> Option<Vec<(u32, u32)>> {
    let (_, mut rest) = value.split_first_chunk::<2>()?;
    let mut ranges = Vec::new();
    while !rest.is_empty() {
        let (&[a, b, c, t0, t1, l0, l1], tail) = rest.split_first_chunk::<7>()?;
        if u16::from_be_bytes([t0, t1]) != 1161 {
            return None;
        }
        let (first, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        ranges.push((number(first)?, u32::from_be_bytes([0, a, b, c])));
        rest = tail;
    }
    Some(ranges)
}
