//! The decoder of BMP messages: the common header, and the dispatch by message type.

use super::frame::{self, HEADER_BYTES, VERSION_TLV};
use super::{Error, FrameError, Message, mirroring, peer_down, peer_up, route_monitoring, statistics, tlv};
use crate::num;
use crate::wire::{self, Cursor};

/// Decodes one complete message, as delimited by [`super::frame()`].
///
/// Damage behind the fields that identify the message does not discard them: the bytes that cannot be decoded
/// are returned as its trailer.
///
/// # Errors
/// The common header, the per-peer header or a fixed field is invalid. Offsets count from the first byte of
/// the message.
#[inline]
pub fn decode(message: &[u8]) -> Result<Message<'_>, Error> {
    let mut cursor = Cursor::new(message);
    let header = cursor.array::<HEADER_BYTES>("BMP common header")?;
    let mut header = Cursor::new(&header);
    let version = header.u8("BMP version")?;
    if !frame::is_supported(version) {
        return Err(FrameError::Version(version).into());
    }
    let length = header.u32("BMP message length")?;
    let kind = header.u8("BMP message type")?;
    let bytes = num::u32_to_usize(length);
    if bytes != message.len() {
        let available = message.len();
        return Err(wire::Error { what: "BMP message", offset: 0, needed: bytes, available }.into());
    }
    match kind {
        0 if version == VERSION_TLV => route_monitoring::decode_tlvs(cursor),
        0 => route_monitoring::decode(cursor),
        1 if version == VERSION_TLV => statistics::decode_tlvs(cursor),
        1 => statistics::decode(cursor),
        2 => peer_down::decode(cursor, version == VERSION_TLV),
        3 => peer_up::decode(cursor),
        4 => {
            let (tlvs, trailer) = tlv::decode(cursor);
            Ok(Message::Initiation { tlvs, trailer })
        }
        5 => {
            let (tlvs, trailer) = tlv::decode(cursor);
            Ok(Message::Termination { tlvs, trailer })
        }
        6 => mirroring::decode(cursor),
        _ => Ok(Message::Unknown { kind, body: cursor.rest() }),
    }
}
