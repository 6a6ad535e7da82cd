//! The messages, and which is which.

use std::net::IpAddr;

use super::frame::{self, HEADER_BYTES, VERSION_TLV};
use super::{
    Error, FrameError, IndexedTlv, PeerHeader, Stat, Tlv, mirroring, peer_down, peer_up, route_monitoring,
    statistics, tlv,
};
use crate::wire::{self, Cursor};

/// A BMP message (RFC 7854 section 4.1). Slices are parts of the bytes that were decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Type 0 (section 4.6).
    RouteMonitoring {
        /// Whose route.
        peer: PeerHeader,
        /// The BGP UPDATE, cut by its own length.
        pdu: &'a [u8],
        /// What follows it; in version 4 within the same TLV. RFC 7854 knows nothing there, but Huawei VRP puts enterprise
        /// TLVs.
        trailer: &'a [u8],
        /// BMP version 4: all TLVs but the one that holds the UPDATE.
        tlvs: Vec<IndexedTlv<'a>>,
    },
    /// Type 1 (section 4.8).
    StatisticsReport {
        /// About whom.
        peer: PeerHeader,
        /// The counters.
        stats: Vec<Stat<'a>>,
    },
    /// Type 2 (section 4.9).
    PeerDown {
        /// Who went down.
        peer: PeerHeader,
        /// Why: any number is accepted.
        reason: u8,
        /// What the reason brings: a NOTIFICATION, an FSM event code, TLVs, or nothing.
        data: &'a [u8],
    },
    /// Type 3 (section 4.10).
    PeerUp {
        /// Who came up.
        peer: PeerHeader,
        /// Local address of the BGP session.
        local_address: IpAddr,
        /// Local TCP port.
        local_port: u16,
        /// Remote TCP port.
        remote_port: u16,
        /// The OPEN that the router sent: a whole BGP message.
        sent_open: &'a [u8],
        /// The OPEN that the router received: a whole BGP message.
        received_open: &'a [u8],
        /// Information TLVs.
        tlvs: Vec<Tlv<'a>>,
        /// What follows the last whole TLV; empty unless the message is damaged.
        trailer: &'a [u8],
    },
    /// Type 4 (section 4.3).
    Initiation {
        /// Information TLVs.
        tlvs: Vec<Tlv<'a>>,
    },
    /// Type 5 (section 4.5).
    Termination {
        /// Information TLVs.
        tlvs: Vec<Tlv<'a>>,
    },
    /// Type 6 (section 4.7).
    RouteMirroring {
        /// Whose messages.
        peer: PeerHeader,
        /// Mirrored PDUs and information codes.
        tlvs: Vec<Tlv<'a>>,
    },
    /// Any other type.
    Unknown {
        /// The type.
        kind: u8,
        /// All that follows the common header.
        body: &'a [u8],
    },
}

/// Decodes one whole message, as [`super::frame()`] cuts it.
///
/// # Errors
/// The message contradicts itself. Offsets count from its first byte.
#[inline]
pub fn decode(message: &[u8]) -> Result<Message<'_>, Error> {
    let mut cursor = Cursor::new(message);
    let header = cursor.array::<HEADER_BYTES>("BMP common header")?;
    let mut header = Cursor::new(&header);
    let version = header.u8("BMP version")?;
    if !frame::is_known(version) {
        return Err(FrameError::Version(version).into());
    }
    let length = header.u32("BMP message length")?;
    let kind = header.u8("BMP message type")?;
    let bytes = usize::try_from(length).unwrap_or(usize::MAX);
    if bytes != message.len() {
        let available = message.len();
        return Err(wire::Error { what: "BMP message", offset: 0, needed: bytes, available }.into());
    }
    match kind {
        0 if version == VERSION_TLV => route_monitoring::decode_tlvs(cursor),
        0 => route_monitoring::decode(cursor),
        1 if version == VERSION_TLV => statistics::decode_tlvs(cursor),
        1 => statistics::decode(cursor),
        2 => peer_down::decode(cursor),
        3 => peer_up::decode(cursor),
        4 => Ok(Message::Initiation { tlvs: tlv::decode(cursor)? }),
        5 => Ok(Message::Termination { tlvs: tlv::decode(cursor)? }),
        6 => mirroring::decode(cursor),
        _ => Ok(Message::Unknown { kind, body: cursor.rest() }),
    }
}
