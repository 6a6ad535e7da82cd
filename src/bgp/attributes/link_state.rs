//! The BGP-LS Attribute (RFC 9552 section 5.3).

use crate::bgp::address::address_from_octets;
use crate::route::{LinkStateTlv, LinkStateValue};
use crate::wire::{self, Cursor};

/// Decodes TLVs of `type 2, length 2, value`. A TLV that extends past the end makes the attribute malformed
/// (RFC 9552 section 8.2.2).
pub(super) fn decode(value: &[u8]) -> Result<Vec<LinkStateTlv>, wire::Error> {
    let mut cursor = Cursor::new(value);
    let mut tlvs = Vec::new();
    while !cursor.is_empty() {
        let kind = cursor.u16("TLV type")?;
        let length = cursor.u16("TLV length")?;
        let bytes = cursor.take(usize::from(length), "TLV")?;
        let value = typed_value(kind, bytes).unwrap_or_else(|| LinkStateValue::Raw(bytes.to_vec()));
        tlvs.push(LinkStateTlv { kind, value });
    }
    Ok(tlvs)
}

/// Decodes a value by its TLV type; `None` for a type without a decoder, and for a length that does not fit
/// the type.
fn typed_value(kind: u16, value: &[u8]) -> Option<LinkStateValue> {
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
        1156 | 1171 => address_from_octets(value).map(Address)?,
        1024 | 1037 | 1094 | 1152 | 1170 if value.len() == 1 => Number(number(value)?),
        1088 | 1092 | 1114 | 1116 | 1117 | 1155 | 1174 if value.len() == 4 => Number(number(value)?),
        // The second octet is reserved (RFC 5307 section 1.2).
        1093 if value.len() == 2 => Number(number(value.get(..1)?)?),
        // The upper two bits of a narrow metric of IS-IS are reserved (RFC 9552 section 5.3.2.4).
        1095 if value.len() == 1 => Number(number(value)? & 0x3f),
        1095 if matches!(value.len(), 2 | 3) => Number(number(value)?),
        1035 => Numbers(value.iter().map(|algorithm| u32::from(*algorithm)).collect()),
        1115 if value.len() == 8 => Numbers(words()?),
        1096 | 1153 | 1173 => Numbers(words()?),
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

/// A big-endian number of up to four octets; `None` for more.
fn number(value: &[u8]) -> Option<u32> {
    (value.len() <= 4).then(|| value.iter().fold(0, |number, octet| number << 8 | u32::from(*octet)))
}

/// Decodes `flags 1, weight or algorithm 1, reserved 2, label 3 or index 4` (RFC 9085 sections 2.2.1 and
/// 2.3.1).
fn sid(value: &[u8]) -> Option<LinkStateValue> {
    let [flags, weight, _, _, sid @ ..] = value else { return None };
    Some(LinkStateValue::Sid { flags: *flags, weight: *weight, sid: label_or_index(sid)? })
}

/// Decodes a SID (RFC 9085 section 2.1.1): an index of four octets, or three octets whose lower 20 bits are a
/// label. `None` for another length.
fn label_or_index(value: &[u8]) -> Option<u32> {
    match value.len() {
        3 => number(value).map(|label| label & 0x0f_ffff),
        4 => number(value),
        _ => None,
    }
}

/// Decodes `flags 1, reserved 1`, then ranges of `size 3` and a SID/Label TLV (type 1161, RFC 9085 section
/// 2.1.2).
fn ranges(value: &[u8]) -> Option<Vec<(u32, u32)>> {
    let (_, mut rest) = value.split_first_chunk::<2>()?;
    let mut ranges = Vec::new();
    while !rest.is_empty() {
        let (&[a, b, c, t0, t1, l0, l1], tail) = rest.split_first_chunk::<7>()?;
        if u16::from_be_bytes([t0, t1]) != 1161 {
            return None;
        }
        let (first, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        ranges.push((label_or_index(first)?, u32::from_be_bytes([0, a, b, c])));
        rest = tail;
    }
    Some(ranges)
}
