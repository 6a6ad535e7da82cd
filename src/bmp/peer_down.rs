//! Peer Down (RFC 7854 section 4.9, RFC 9069 section 5.3).

use super::{Error, Message, PeerHeader};
use crate::wire::Cursor;

/// The meaning of a reason code (IANA "BMP Peer Down Reason Codes"); `None` if it is not registered.
#[must_use]
pub const fn peer_down_reason(reason: u8) -> Option<&'static str> {
    Some(match reason {
        1 => "local system closed, NOTIFICATION sent",
        2 => "local system closed, no NOTIFICATION",
        3 => "remote system closed, NOTIFICATION received",
        4 => "remote system closed, no NOTIFICATION",
        5 => "no longer monitored",
        6 => "local system closed, TLVs follow",
        _ => return None,
    })
}

/// Decodes a Peer Down. The data stays bytes: a NOTIFICATION for the reasons 1 and 3, an FSM event code for
/// 2, TLVs for 6, and undefined for unknown reasons.
pub(super) fn decode(mut cursor: Cursor<'_>) -> Result<Message<'_>, Error> {
    let peer = PeerHeader::decode(&mut cursor)?;
    let reason = cursor.u8("Peer Down reason")?;
    Ok(Message::PeerDown { peer, reason, data: cursor.rest() })
}
