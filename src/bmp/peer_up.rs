//! Peer Up (RFC 7854 section 4.10).

use super::route_monitoring::bgp_message;
use super::{Error, Message, PeerHeader, tlv};
use crate::wire::Cursor;

pub(super) fn decode(mut cursor: Cursor<'_>) -> Result<Message<'_>, Error> {
    let peer = PeerHeader::decode(&mut cursor)?;
    let local_address = peer.address_like(cursor.u128("local address")?);
    let local_port = cursor.u16("local port")?;
    let remote_port = cursor.u16("remote port")?;
    let sent_open = bgp_message(&mut cursor)?;
    let received_open = bgp_message(&mut cursor)?;
    // Later UPDATEs are decoded according to the OPENs, so that malformed TLVs after them must not discard
    // them.
    let (tlvs, trailer) = tlv::decode_complete(cursor);
    Ok(Message::PeerUp {
        peer,
        local_address,
        local_port,
        remote_port,
        sent_open,
        received_open,
        tlvs,
        trailer,
    })
}
