//! Route Monitoring (RFC 7854 section 4.6), and the delimiting of BGP messages.

mod route_tlv;

pub use route_tlv::RouteTlv;

use super::{Error, IndexedTlv, Message, PeerHeader};
use crate::wire::{self, Cursor};

/// Length of a BGP message header in bytes (RFC 4271 section 4.1), and of the shortest message.
const BGP_HEADER_BYTES: u16 = 19;

#[inline]
pub(super) fn decode(mut cursor: Cursor<'_>) -> Result<Message<'_>, Error> {
    let peer = PeerHeader::decode(&mut cursor)?;
    let all = cursor.rest();
    let (pdu, trailer) = bgp_message(&mut cursor).map_or((all, &[][..]), |pdu| (pdu, cursor.rest()));
    Ok(Message::RouteMonitoring { peer, pdu, trailer, tlvs: Vec::new(), update_tlv: 0 })
}

/// The marker at the start of every BGP message.
pub(super) const MARKER: [u8; 16] = [0xff; 16];

/// Decodes a message of version 4 (draft-ietf-grow-bmp-tlv section 4.3).
///
/// ```text
/// +-- 42 ------------+-- 2 --+-- 2 -----+-- 2 ---+-- length -+-- - -
/// | per-peer header  | type  | length   | index  | value     | more TLVs
/// +------------------+-------+----------+--------+-----------+-- - -
/// ```
///
/// The UPDATE is the value of one TLV. It is recognized by its marker, because its type number depends on the
/// revision of the draft.
pub(super) fn decode_tlvs(mut cursor: Cursor<'_>) -> Result<Message<'_>, Error> {
    let peer = PeerHeader::decode(&mut cursor)?;
    let all = cursor.rest();
    let mut pdu = None;
    let mut trailer: &[u8] = &[];
    let mut tlvs = Vec::new();
    let mut update_tlv = 0;
    while !cursor.is_empty() {
        let rest = cursor.rest();
        let Ok(tlv) = indexed_tlv(&mut cursor) else {
            trailer = if trailer.is_empty() { rest } else { trailer };
            break;
        };
        if pdu.is_none() && tlv.value.starts_with(&MARKER) {
            let mut value = Cursor::new(tlv.value);
            // An UPDATE that cannot be delimited is the whole value.
            let (message, rest) =
                bgp_message(&mut value).map_or((tlv.value, &[][..]), |message| (message, value.rest()));
            (pdu, trailer, update_tlv) = (Some(message), rest, tlv.kind);
        } else {
            tlvs.push(tlv);
        }
    }
    Ok(match pdu {
        Some(pdu) => Message::RouteMonitoring { peer, pdu, trailer, tlvs, update_tlv },
        None => Message::RouteMonitoring { peer, pdu: all, trailer: &[], tlvs: Vec::new(), update_tlv },
    })
}

fn indexed_tlv<'a>(cursor: &mut Cursor<'a>) -> Result<IndexedTlv<'a>, wire::Error> {
    let kind = cursor.u16("TLV type")?;
    let length = cursor.u16("TLV length")?;
    let index = cursor.u16("TLV index")?;
    Ok(IndexedTlv { kind, index, value: cursor.take(usize::from(length), "TLV value")? })
}

/// Reads one BGP message, delimited by its own length: bytes after it must not be decoded as NLRI. Returns
/// `None`, without moving the cursor, if the length is that of no BGP message or exceeds the bytes.
#[inline]
pub(super) fn bgp_message<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let mut header = *cursor;
    header.take(16, "BGP marker").ok()?;
    let length = header.u16("BGP message length").ok()?;
    if length < BGP_HEADER_BYTES {
        return None;
    }
    cursor.take(usize::from(length), "BGP message").ok()
}
