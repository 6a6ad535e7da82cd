//! Peer Down (RFC 7854 section 4.9, RFC 9069 section 5.3).

use super::route_monitoring::bgp_message;
use super::{Error, Message, PeerHeader, tlv};
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

/// Decodes a Peer Down. Its data is a NOTIFICATION for the reasons 1 and 3, an FSM event code for 2, nothing
/// for 4 and 5, TLVs for 6, and undefined for unknown reasons. In BMP version 4, TLVs may follow in each case
/// that is defined (draft-ietf-grow-bmp-tlv section 5.3).
pub(super) fn decode(mut cursor: Cursor<'_>, is_version_4: bool) -> Result<Message<'_>, Error> {
    let peer = PeerHeader::decode(&mut cursor)?;
    let reason = cursor.u8("Peer Down reason")?;
    let data = cursor.rest();
    let is_followed_by_tlvs = match reason {
        1 | 3 => is_version_4 && bgp_message(&mut cursor).is_some(),
        2 => is_version_4 && cursor.u16("FSM event code").is_ok(),
        4 | 5 => is_version_4,
        6 => true,
        _ => false,
    };
    let (tlvs, trailer) = if is_followed_by_tlvs { tlv::decode(cursor) } else { (Vec::new(), &[][..]) };
    Ok(Message::PeerDown { peer, reason, data, tlvs, trailer })
}
