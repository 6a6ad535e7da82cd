//! Route Monitoring (RFC 7854 section 4.6), and the cutting of BGP messages.

use super::{Error, Message, PeerHeader};
use crate::wire::Cursor;

/// Length of a BGP message header (RFC 4271 section 4.1), and so of the shortest message.
const BGP_HEADER_BYTES: u16 = 19;

#[inline]
pub(super) fn decode(mut cursor: Cursor<'_>) -> Result<Message<'_>, Error> {
    let peer = PeerHeader::decode(&mut cursor)?;
    let pdu = bgp_message(&mut cursor)?;
    Ok(Message::RouteMonitoring { peer, pdu, trailer: cursor.rest() })
}

/// One BGP message, cut by its own length: what a router puts behind it must not become NLRI.
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
