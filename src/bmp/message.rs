//! The BMP messages.

use std::net::IpAddr;

use super::{PeerHeader, Tlv};

/// A BMP message (RFC 7854 section 4.1). Slices borrow from the decoded bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Route Monitoring, type 0 (section 4.6).
    RouteMonitoring {
        /// The peer and RIB view of the routes.
        peer: PeerHeader,
        /// The BGP UPDATE, delimited by its own length. If that is not possible, all bytes after the per-peer
        /// header.
        pdu: &'a [u8],
        /// Bytes after the UPDATE, in version 4 within the same TLV, or after the last complete TLV. RFC 7854
        /// defines none; Huawei VRP appends enterprise TLVs.
        trailer: &'a [u8],
        /// In BMP version 4, the TLVs except the one that contains the UPDATE.
        tlvs: Vec<IndexedTlv<'a>>,
        /// In BMP version 4, the type of the TLV that contains the UPDATE; else 0.
        update_tlv: u16,
    },
    /// Statistics Report, type 1 (section 4.8).
    StatisticsReport {
        /// The peer and RIB view of the statistics.
        peer: PeerHeader,
        /// Counters and gauges: all that are complete, whatever number the message states.
        stats: Vec<Stat<'a>>,
        /// Number of counters and gauges that the message states.
        count: u32,
        /// In BMP version 4, the TLVs that contain no counters and gauges.
        tlvs: Vec<Tlv<'a>>,
        /// Bytes after the last complete statistic; empty unless the message is malformed.
        trailer: &'a [u8],
    },
    /// Peer Down, type 2 (section 4.9).
    PeerDown {
        /// The peer that went down.
        peer: PeerHeader,
        /// Reason code; unknown ones are accepted.
        reason: u8,
        /// Everything after the reason code: a NOTIFICATION or an FSM event code, then TLVs, or nothing.
        data: &'a [u8],
        /// The TLVs in the data: those of reason 6, and in BMP version 4 of every registered reason.
        tlvs: Vec<Tlv<'a>>,
        /// Bytes after the last complete TLV; empty unless the message is malformed.
        trailer: &'a [u8],
    },
    /// Peer Up, type 3 (section 4.10).
    PeerUp(PeerUp<'a>),
    /// Initiation, type 4 (section 4.3).
    Initiation {
        /// Information TLVs.
        tlvs: Vec<Tlv<'a>>,
        /// Bytes after the last complete TLV; empty unless the message is malformed.
        trailer: &'a [u8],
    },
    /// Termination, type 5 (section 4.5).
    Termination {
        /// Information TLVs.
        tlvs: Vec<Tlv<'a>>,
        /// Bytes after the last complete TLV; empty unless the message is malformed.
        trailer: &'a [u8],
    },
    /// Route Mirroring, type 6 (section 4.7).
    RouteMirroring {
        /// The peer of the mirrored messages.
        peer: PeerHeader,
        /// Mirrored PDUs and information codes.
        tlvs: Vec<Tlv<'a>>,
        /// Bytes after the last complete TLV; empty unless the message is malformed.
        trailer: &'a [u8],
    },
    /// A message of another type.
    Unknown {
        /// Message type.
        kind: u8,
        /// Bytes after the common header.
        body: &'a [u8],
    },
}

/// A TLV of BMP version 4, with the NLRI of the UPDATE to which it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedTlv<'a> {
    /// Type, including the enterprise bit 0x8000. Its meaning depends on the revision of the draft; see
    /// [`IndexedTlv::content`].
    pub kind: u16,
    /// Index of the NLRI, from 1; 0 for all NLRI; with the bit 0x8000, number of a group of NLRI.
    pub index: u16,
    /// Value.
    pub value: &'a [u8],
}

/// A counter or gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat<'a> {
    /// IANA statistics type; unknown ones are kept.
    pub kind: u16,
    /// Value as received.
    pub value: &'a [u8],
}

/// A Peer Up message (RFC 7854 section 4.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerUp<'a> {
    /// The peer that came up.
    pub peer: PeerHeader,
    /// Local address of the BGP session.
    pub local_address: IpAddr,
    /// Local TCP port.
    pub local_port: u16,
    /// Remote TCP port.
    pub remote_port: u16,
    /// The OPEN that the router sent, a complete BGP message, or the bytes in its position if it
    /// cannot be delimited.
    pub sent_open: &'a [u8],
    /// The OPEN that the router received, a complete BGP message, or the bytes in its position if it
    /// cannot be delimited.
    pub received_open: &'a [u8],
    /// Information TLVs.
    pub tlvs: Vec<Tlv<'a>>,
    /// Bytes that belong to no OPEN and no complete TLV; empty unless the message is malformed.
    pub trailer: &'a [u8],
}
