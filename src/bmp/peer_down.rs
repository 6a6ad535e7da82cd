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

/// The reason of a Peer Down as text, with its NOTIFICATION or FSM event code, in the words of the SQL
/// function `holdfast_down_reason`. A shutdown communication (RFC 9003) follows in quotation marks.
#[must_use]
pub fn down_reason_text(reason: u8, data: &[u8]) -> String {
    let text = match reason {
        1 => "closed locally",
        2 => "closed locally, FSM event",
        3 => "closed by the peer",
        4 => "connection lost",
        5 => "no longer monitored",
        6 => "Loc-RIB down",
        reason => return format!("reason {reason}"),
    };
    match (reason, data) {
        (2, [high, low, ..]) => format!("{text} {}", u16::from_be_bytes([*high, *low])),
        (1 | 3, _) => match data.get(NOTIFICATION_OFFSET..) {
            Some([code, subcode, rest @ ..]) => {
                format!("{text}: {}", notification(*code, *subcode, rest))
            }
            _ => text.to_owned(),
        },
        _ => text.to_owned(),
    }
}

/// Offset of the error code in a NOTIFICATION, behind the BGP header.
const NOTIFICATION_OFFSET: usize = 19;

/// The error of a NOTIFICATION (RFC 4271 section 4.5, RFC 4486, RFC 8538, RFC 9384).
fn notification(code: u8, subcode: u8, data: &[u8]) -> String {
    let name = match code {
        1 => "message header error",
        2 => "OPEN message error",
        3 => "UPDATE message error",
        4 => "hold timer expired",
        5 => "finite state machine error",
        6 => "cease",
        code => return format!("{code}/{subcode}"),
    };
    if code != 6 {
        return name.to_owned();
    }
    let detail = match subcode {
        1 => "maximum number of prefixes",
        2 => "administrative shutdown",
        3 => "peer de-configured",
        4 => "administrative reset",
        5 => "connection rejected",
        6 => "other configuration change",
        7 => "connection collision",
        8 => "out of resources",
        9 => "hard reset",
        10 => "BFD down",
        subcode => return format!("{name}, {subcode}"),
    };
    match (subcode, data) {
        (2 | 4, [length, rest @ ..]) => match rest.get(..usize::from(*length)) {
            Some(text) if !text.is_empty() => {
                format!("{name}, {detail} \"{}\"", String::from_utf8_lossy(text))
            }
            _ => format!("{name}, {detail}"),
        },
        _ => format!("{name}, {detail}"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn data(code: u8, subcode: u8, rest: &[u8]) -> Vec<u8> {
        [&[0xff; 16][..], &[0, 21, 3, code, subcode], rest].concat()
    }

    #[test]
    fn reasons_are_those_of_the_database_function() {
        for (reason, data, text) in [
            (1, data(6, 2, b""), "closed locally: cease, administrative shutdown"),
            (1, data(6, 4, b"\x05maint"), "closed locally: cease, administrative reset \"maint\""),
            (1, data(6, 4, b"\x06maint"), "closed locally: cease, administrative reset"),
            (1, vec![], "closed locally"),
            (2, vec![0, 24], "closed locally, FSM event 24"),
            (2, vec![0], "closed locally, FSM event"),
            (3, data(4, 0, b""), "closed by the peer: hold timer expired"),
            (3, data(6, 77, b""), "closed by the peer: cease, 77"),
            (3, data(9, 1, b""), "closed by the peer: 9/1"),
            (4, data(4, 0, b""), "connection lost"),
            (5, vec![], "no longer monitored"),
            (6, vec![0, 3], "Loc-RIB down"),
            (200, vec![1], "reason 200"),
        ] {
            assert_eq!(down_reason_text(reason, &data), text);
        }
    }
}
