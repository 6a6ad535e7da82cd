//! Route Monitoring (RFC 7854 section 4.6), and the delimiting of BGP messages.

use super::{Error, IndexedTlv, Message, PeerHeader};
use crate::wire::{self, Cursor};

/// Length of a BGP message header in bytes (RFC 4271 section 4.1), and of the shortest message.
const BGP_HEADER_BYTES: u16 = 19;

#[inline]
pub(super) fn decode(mut cursor: Cursor<'_>) -> Result<Message<'_>, Error> {
    let peer = PeerHeader::decode(&mut cursor)?;
    let pdu = bgp_message(&mut cursor)?;
    Ok(Message::RouteMonitoring { peer, pdu, trailer: cursor.rest(), tlvs: Vec::new() })
}

/// The marker at the start of every BGP message.
const MARKER: [u8; 16] = [0xff; 16];

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
    let mut pdu = None;
    let mut trailer: &[u8] = &[];
    let mut tlvs = Vec::new();
    while !cursor.is_empty() {
        let kind = cursor.u16("TLV type")?;
        let length = cursor.u16("TLV length")?;
        let index = cursor.u16("TLV index")?;
        let mut value = cursor.sub(usize::from(length), "TLV value")?;
        if pdu.is_none() && value.rest().starts_with(&MARKER) {
            pdu = Some(bgp_message(&mut value)?);
            trailer = value.rest();
        } else {
            tlvs.push(IndexedTlv { kind, index, value: value.rest() });
        }
    }
    let missing =
        wire::Error { what: "TLV with a BGP message", offset: cursor.offset(), needed: 1, available: 0 };
    Ok(Message::RouteMonitoring { peer, pdu: pdu.ok_or(missing)?, trailer, tlvs })
}

/// Reads one BGP message, delimited by its own length: bytes after it must not be decoded as NLRI.
#[inline]
pub(super) fn bgp_message<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], Error> {
    let mut header = *cursor;
    header.take(16, "BGP marker")?;
    let length = header.u16("BGP message length")?;
    if length < BGP_HEADER_BYTES {
        return Err(Error::PduLength { offset: cursor.offset(), length });
    }
    Ok(cursor.take(usize::from(length), "BGP message")?)
}
