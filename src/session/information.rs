//! Information TLVs: their types, and their text.

use crate::bmp::Tlv;
use crate::hex::Hex;
use crate::route::{NAME_MAX_BYTES, bounded_name};

/// Types of information TLVs (RFC 7854 section 4.4, RFC 9069 section 5.2.1).
pub(super) const TLV_STRING: u16 = 0;
pub(super) const TLV_SYS_DESCR: u16 = 1;
pub(super) const TLV_SYS_NAME: u16 = 2;
pub(super) const TLV_TABLE_NAME: u16 = 3;

/// The TLVs except those of the types `excluded`: free-form strings as text, others as `type:hex`; and the
/// bytes after the last complete TLV.
pub(super) fn information(tlvs: &[Tlv<'_>], excluded: &[u16], trailer: &[u8]) -> Vec<String> {
    let all = tlvs.iter().filter(|tlv| !excluded.contains(&tlv.kind)).map(|tlv| match tlv.kind {
        TLV_STRING => text(tlv.value),
        kind => format!("{kind}:{}", Hex(tlv.value)),
    });
    all.chain(incomplete(trailer)).collect()
}

/// The TLVs of a Peer Down (RFC 9069 section 5.3): the VRF or table name and free-form strings as text.
pub(super) fn peer_information(tlvs: &[Tlv<'_>], trailer: &[u8]) -> Vec<String> {
    let (names, others): (Vec<_>, Vec<_>) = tlvs.iter().partition(|tlv| tlv.kind == TLV_TABLE_NAME);
    let mut all: Vec<String> =
        names.iter().map(|tlv: &Tlv<'_>| format!("VRF/table name: {}", text(tlv.value))).collect();
    all.extend(information(&others, &[], trailer));
    all
}

/// TLVs of a message whose types have no meaning here, as `type:hex`, and the bytes after the last one.
pub(super) fn numbered(tlvs: &[Tlv<'_>], trailer: &[u8]) -> Vec<String> {
    let all = tlvs.iter().map(|tlv| format!("{}:{}", tlv.kind, Hex(tlv.value)));
    all.chain(incomplete(trailer)).collect()
}

fn incomplete(trailer: &[u8]) -> Option<String> {
    (!trailer.is_empty()).then(|| format!("incomplete TLV:{}", Hex(trailer)))
}

/// A string as text. Octets that are not UTF-8, and NUL, which PostgreSQL's `text` cannot store, are written
/// as `\x` and two hexadecimal digits, and so is a backslash before an `x`: different octets stay different.
pub(super) fn text(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().replace("\\x", "\\x5cx").chars() {
            match character {
                '\0' => text.push_str("\\x00"),
                other => text.push(other),
            }
        }
        chunk.invalid().iter().for_each(|octet| text.push_str(&format!("\\x{octet:02x}")));
    }
    text
}

/// A VRF or table name as text of at most [`NAME_MAX_BYTES`].
pub(super) fn table_name(value: &[u8]) -> String {
    bounded_name(text(value), NAME_MAX_BYTES)
}
