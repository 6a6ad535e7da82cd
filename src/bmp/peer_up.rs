//! Peer Up (RFC 7854 section 4.10).

use super::route_monitoring::{MARKER, bgp_message};
use super::{Error, Message, PeerHeader, PeerUp, tlv};
use crate::wire::Cursor;

pub(super) fn decode(mut cursor: Cursor<'_>) -> Result<Message<'_>, Error> {
    let peer = PeerHeader::decode(&mut cursor)?;
    let local_address = peer.address_like(cursor.u128("local address")?);
    let local_port = cursor.u16("local port")?;
    let remote_port = cursor.u16("remote port")?;
    let (sent_open, sent_is_whole) = open(&mut cursor);
    let (received_open, received_is_whole) = open(&mut cursor);
    // Behind an OPEN that cannot be delimited, no TLVs can be found.
    let (tlvs, trailer) =
        if sent_is_whole && received_is_whole { tlv::decode(cursor) } else { (Vec::new(), cursor.rest()) };
    Ok(Message::PeerUp(PeerUp {
        peer,
        local_address,
        local_port,
        remote_port,
        sent_open,
        received_open,
        tlvs,
        trailer,
    }))
}

/// Reads one OPEN, and whether it is whole. If it cannot be delimited, it is the bytes up to the next BGP
/// marker, where the other OPEN begins, or up to the end.
fn open<'a>(cursor: &mut Cursor<'a>) -> (&'a [u8], bool) {
    if let Some(open) = bgp_message(cursor) {
        return (open, true);
    }
    let rest = cursor.rest();
    let next = rest.windows(MARKER.len()).skip(MARKER.len()).position(|bytes| bytes == MARKER);
    let length = next.map_or(rest.len(), |position| position + MARKER.len());
    (cursor.take(length, "bytes before a BGP marker").unwrap_or_default(), false)
}
