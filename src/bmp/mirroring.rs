//! Route Mirroring (RFC 7854 section 4.7).

use super::{Error, Message, PeerHeader, tlv};
use crate::wire::Cursor;

pub(super) fn decode(mut cursor: Cursor<'_>) -> Result<Message<'_>, Error> {
    let peer = PeerHeader::decode(&mut cursor)?;
    let (tlvs, trailer) = tlv::decode(cursor);
    Ok(Message::RouteMirroring { peer, tlvs, trailer })
}
