//! Peer and session events: all records that are not routes.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Family, Timestamp};

/// An event of a peer or of the BMP session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Record index within the batch, from 0.
    pub index: u32,
    /// Index into the peers of the batch; `None` for an event of the whole BMP session.
    pub peer: Option<u16>,
    /// Time at which the collector received the message or observed the event.
    pub received: Timestamp,
    /// Timestamp of the BMP per-peer header; 0 if the router sent none.
    pub router_time: Timestamp,
    /// Kind of event with its data.
    pub kind: EventKind,
}

/// The kinds of events. The position of a kind is its tag in the log: new kinds are appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// BMP Initiation (RFC 7854 section 4.3).
    SessionUp {
        /// sysName (TLV 2); empty if absent.
        sys_name: String,
        /// sysDescr (TLV 1); empty if absent.
        sys_descr: String,
        /// Free-form strings (TLV 0), and unknown TLVs in hexadecimal.
        information: Vec<String>,
    },
    /// The BMP session ended. Its routes remain; one [`EventKind::PeerStale`] per peer follows.
    SessionDown {
        /// How the session ended.
        end: SessionEnd,
    },
    /// Peer Up (RFC 7854 section 4.10). A new generation of the peer begins.
    PeerUp(Box<PeerUp>),
    /// Peer Down (RFC 7854 section 4.9). Ends every route of this peer key, in all of its RIB views, that is
    /// of the generation of the event's peer entry or of an earlier one. A Loc-RIB has its own peer key (type
    /// 3) and is not affected by the Peer Down of an adjacency. Later records belong to the next generation.
    PeerDown {
        /// Reason code (RFC 7854 section 4.9, RFC 9069 section 5.3); unassigned values are kept.
        reason: u8,
        /// Bytes after the reason code: a NOTIFICATION, an FSM event code, or TLVs.
        data: Vec<u8>,
    },
    /// The BMP session of this peer ended: its routes are stale until they are announced again.
    PeerStale {
        /// How the session ended.
        end: SessionEnd,
    },
    /// End-of-RIB (RFC 4724 section 2): the router has sent its complete table of a family.
    EndOfRib {
        /// Address family of the table.
        family: Family,
    },
    /// Ends the routes of this family that are older than the generation of the peer entry. Recorded when an
    /// End-of-RIB has been followed by the quiet time.
    Sweep {
        /// Address family of the routes.
        family: Family,
    },
    /// Statistics Report (RFC 7854 section 4.8).
    Statistics(Vec<Statistic>),
    /// Route Mirroring (RFC 7854 section 4.7).
    RouteMirroring {
        /// Information codes (TLV 1).
        codes: Vec<u16>,
        /// Mirrored BGP messages (TLV 0).
        pdus: Vec<Vec<u8>>,
    },
    /// A BGP message that could not be decoded, or only in part.
    Malformed {
        /// The decoding error, with its byte offset in the message.
        error: String,
        /// Address families whose table may be wrong until their next complete dump. `None` if all routes of
        /// the message were decoded, or may still be.
        suspect: Option<SuspectScope>,
        /// The whole BGP message.
        pdu: Vec<u8>,
    },
    /// Records may be missing: the collector was not running, or crashed before it had logged all messages it
    /// had read.
    Gap {
        /// Cause: `crash` or `stop`.
        reason: String,
        /// Start of the gap: the time of the last record in the log.
        from: Timestamp,
        /// End of the gap.
        until: Timestamp,
    },
    /// A Peer Up of a peer that is up, for the same BGP session: routers send one for each RIB view, or for
    /// each address family of a Loc-RIB (RFC 9069 section 6.1.1). No generation begins. Families are those of
    /// all Peer Ups of the generation.
    PeerUpRepeated(Box<PeerUp>),
    /// A BGP message of which several fields could not be decoded.
    MalformedFields {
        /// The decoding errors, with their byte offsets in the message.
        error: String,
        /// Address families whose table may be wrong until their next complete dump.
        suspects: Vec<SuspectScope>,
        /// The whole BGP message.
        pdu: Vec<u8>,
    },
    /// A BMP message of a type that is not decoded, such as those of drafts and vendors (RFC 7854 section
    /// 4.1).
    UnknownMessage {
        /// Message type.
        message_type: u8,
        /// The message after its common header.
        body: Vec<u8>,
    },
    /// TLVs of a message about a peer that no other event contains, recorded beside the event of the message.
    MessageTlvs {
        /// Message type (RFC 7854 section 4.1).
        message_type: u8,
        /// The VRF or table name of a Peer Down, free-form strings, other TLVs as `type:hexadecimal`, and the
        /// bytes after the last complete TLV.
        information: Vec<String>,
    },
    /// The tables of a RIB view may be wrong until their next complete dump, although no message about them
    /// was malformed: the router has skipped messages.
    Suspect {
        /// Why they may be wrong.
        reason: String,
        /// Address families concerned.
        scope: SuspectScope,
    },
}

/// A BGP message that could not be decoded, or only in part, of one or more fields.
#[derive(Clone, Copy, Debug)]
pub struct MalformedPdu<'a> {
    /// The decoding errors.
    pub error: &'a str,
    /// Address families whose table may be wrong.
    pub suspects: &'a [SuspectScope],
    /// The whole BGP message.
    pub pdu: &'a [u8],
}

/// The address families of a RIB view whose table may be wrong after a BGP message that could not be decoded.
///
/// Serialized, displayed and stored as a [`Family`]; AFI 0 and SAFI 0 stand for all families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Family", into = "Family")]
pub enum SuspectScope {
    /// One address family.
    Family(Family),
    /// All address families of the RIB view: those of the message are unknown.
    AllFamilies,
}

impl SuspectScope {
    /// The reserved family (RFC 4760 section 8) under which [`SuspectScope::AllFamilies`] is stored.
    const ALL: Family = Family { afi: 0, safi: 0 };
}

impl From<Family> for SuspectScope {
    fn from(family: Family) -> Self {
        if family == Self::ALL { Self::AllFamilies } else { Self::Family(family) }
    }
}

impl From<SuspectScope> for Family {
    fn from(scope: SuspectScope) -> Self {
        match scope {
            SuspectScope::Family(family) => family,
            SuspectScope::AllFamilies => SuspectScope::ALL,
        }
    }
}

impl fmt::Display for SuspectScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Family::from(*self).fmt(f)
    }
}

impl EventKind {
    /// The name in the database and the tools.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SessionUp { .. } => "session_up",
            Self::SessionDown { .. } => "session_down",
            Self::PeerUp(_) | Self::PeerUpRepeated(_) => "peer_up",
            Self::PeerDown { .. } => "peer_down",
            Self::PeerStale { .. } => "peer_stale",
            Self::EndOfRib { .. } => "end_of_rib",
            Self::Sweep { .. } => "sweep",
            Self::Statistics(_) => "statistics",
            Self::RouteMirroring { .. } => "route_mirroring",
            Self::Malformed { .. } | Self::MalformedFields { .. } => "malformed",
            Self::UnknownMessage { .. } => "unknown_message",
            Self::MessageTlvs { .. } => "message_tlvs",
            Self::Suspect { .. } => "suspect",
            Self::Gap { .. } => "gap",
        }
    }

    /// The contents of a Peer Up, repeated or not.
    #[must_use]
    pub const fn peer_up(&self) -> Option<&PeerUp> {
        match self {
            Self::PeerUp(up) | Self::PeerUpRepeated(up) => Some(up),
            _ => None,
        }
    }

    /// The BGP message of this event if it could not be decoded.
    #[must_use]
    pub fn malformed(&self) -> Option<MalformedPdu<'_>> {
        match self {
            Self::Malformed { error, suspect, pdu } => {
                Some(MalformedPdu { error, suspects: suspect.as_slice(), pdu })
            }
            Self::MalformedFields { error, suspects, pdu } => Some(MalformedPdu { error, suspects, pdu }),
            _ => None,
        }
    }
}

/// The contents of a Peer Up message (RFC 7854 section 4.10).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerUp {
    /// Local address of the monitored BGP session.
    pub local_address: IpAddr,
    /// Local TCP port.
    pub local_port: u16,
    /// Remote TCP port.
    pub remote_port: u16,
    /// OPEN sent by the router, as a whole BGP message.
    pub sent_open: Vec<u8>,
    /// OPEN received by the router, as a whole BGP message.
    pub received_open: Vec<u8>,
    /// Hold time in the received OPEN, in seconds.
    pub hold_time_s: u16,
    /// True if AS numbers have four octets on this session (RFC 6793).
    pub four_octet_as: bool,
    /// Address families with ADD-PATH in the RIB views that this Peer Up covers (RFC 7911).
    pub add_path: Vec<Family>,
    /// Address families in both OPENs (RFC 4760 section 8).
    pub families: Vec<Family>,
    /// Free-form information TLVs, and unknown TLVs in hexadecimal.
    pub information: Vec<String>,
    /// Text forms of the capabilities in the sent OPEN.
    pub sent_capabilities: Vec<String>,
    /// Text forms of the capabilities in the received OPEN.
    pub received_capabilities: Vec<String>,
}

/// How a BMP session ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionEnd {
    /// The router sent a Termination (RFC 7854 section 4.5), with this reason code if it contained one.
    Terminated(Option<u16>),
    /// The TCP connection was closed by the router or failed.
    Lost,
    /// The collector closed the connection, because the stream was not valid BMP.
    Protocol,
    /// The collector was stopped.
    CollectorStop,
    /// The collector crashed. Recorded at its next start for each session that was open.
    CollectorCrash,
    /// The session continues, but this peer is no longer tracked: the router exceeds the limit of tracked
    /// peers.
    PeerLimitExceeded,
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Terminated(Some(reason)) => write!(f, "terminated by the router, reason {reason}"),
            Self::Terminated(None) => f.write_str("terminated by the router"),
            Self::Lost => f.write_str("connection lost"),
            Self::Protocol => f.write_str("protocol error"),
            Self::CollectorStop => f.write_str("collector stopped"),
            Self::CollectorCrash => f.write_str("collector died"),
            Self::PeerLimitExceeded => f.write_str("peer limit exceeded"),
        }
    }
}

/// One counter or gauge of a Statistics Report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistic {
    /// Statistics type by its IANA number; unassigned types are kept.
    pub kind: u16,
    /// Address family of a per-family statistic; `None` for all other types.
    pub family: Option<Family>,
    /// The counter or gauge; `None` if the length of the value is not that of a number.
    pub value: Option<u64>,
    /// The undecoded value.
    pub raw: Vec<u8>,
}
