//! Peer Down (RFC 7854 section 4.9, RFC 9069 section 5.3).

use super::{Error, Message, PeerHeader};
use crate::wire::Cursor;

/// The data is not cut by the reason: reasons 1 and 3 bring a NOTIFICATION, 2 an FSM event code, 6 TLVs, and those to
/// come whatever they bring.
pub(super) fn decode(mut cursor: Cursor<'_>) -> Result<Message<'_>, Error> {
    let peer = PeerHeader::decode(&mut cursor)?;
    let reason = cursor.u8("Peer Down reason")?;
    Ok(Message::PeerDown { peer, reason, data: cursor.rest() })
}
