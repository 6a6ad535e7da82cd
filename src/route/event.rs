//! What happens to peers and sessions, beside routes.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Family, Timestamp};

/// Something that happened to a peer or to a BMP session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Place among all records of the batch, counted from 0.
    pub index: u32,
    /// Index into the batch's peers; `None` for what concerns the router as a whole.
    pub peer: Option<u16>,
    /// When the collector received it.
    pub received: Timestamp,
    /// The router's own time; 0 when it gave none.
    pub router_time: Timestamp,
    /// What happened.
    pub kind: EventKind,
}

/// The kinds of events. New kinds are added at the end only: the position is the persistent tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// The router introduced itself (Initiation, RFC 7854 section 4.3).
    SessionUp {
        /// sysName (TLV 2); empty when not given.
        sys_name: String,
        /// sysDescr (TLV 1); empty when not given.
        sys_descr: String,
        /// Free-form strings (TLV 0) and unknown TLVs in hex.
        information: Vec<String>,
    },
    /// The BMP session ended. Ends no route: its peers follow as [`EventKind::PeerStale`].
    SessionDown {
        /// Why.
        end: SessionEnd,
    },
    /// A peer came up (RFC 7854 section 4.10): a new generation begins.
    PeerUp(Box<PeerUp>),
    /// A peer went down: ends every route of this peer key, in all of its views, that is of the generation of the
    /// batch's peer entry or of an earlier one. A Loc-RIB has a peer key of its own (type 3), so the Peer Down of an
    /// adjacency never ends it. What comes after belongs to the next generation.
    PeerDown {
        /// Reason code (RFC 7854 section 4.9, RFC 9069), unknown ones kept.
        reason: u8,
        /// What follows the reason: a NOTIFICATION, an FSM event code, or TLVs.
        data: Vec<u8>,
    },
    /// The session that carried this peer was lost: its routes are of unknown standing until they are sent again.
    PeerStale {
        /// How the session ended.
        end: SessionEnd,
    },
    /// End-of-RIB (RFC 4724): the dump of a family is complete, as far as the router says.
    EndOfRib {
        /// Of which family.
        family: Family,
    },
    /// Routes of this family that are older than the peer's generation are gone: End-of-RIB came, and then a
    /// quiet time passed.
    Sweep {
        /// Of which family.
        family: Family,
    },
    /// Statistics Report (RFC 7854 section 4.8).
    Statistics(Vec<Statistic>),
    /// Route Mirroring (RFC 7854 section 4.7): the mirrored PDUs or the information codes.
    Mirror {
        /// Information codes (TLV 1).
        codes: Vec<u16>,
        /// Mirrored PDUs (TLV 0).
        pdus: Vec<Vec<u8>>,
    },
    /// A BGP PDU that could not be decoded, kept as it came.
    Malformed {
        /// What was wrong, with the place in the bytes.
        error: String,
        /// The families whose current table may be incomplete or outdated until they are re-announced; `None` when no
        /// route of the PDU is lost.
        suspect: Option<SuspectScope>,
        /// The PDU.
        pdu: Vec<u8>,
    },
    /// Records are missing: the collector was not running, or died before it had logged what it had read.
    Gap {
        /// Why (`crash`, `stop`).
        reason: String,
        /// From when. The last time that the log knows of.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
}

/// The address families of a RIB view that a PDU which could not be decoded may have concerned.
///
/// Serialized, displayed and stored as a [`Family`]; AFI 0 and SAFI 0 stand for all families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Family", into = "Family")]
pub enum SuspectScope {
    /// One family.
    Family(Family),
    /// Every family of the view: the PDU could not be decoded far enough to identify its families.
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
    /// The name that the database and the tools use.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SessionUp { .. } => "session_up",
            Self::SessionDown { .. } => "session_down",
            Self::PeerUp(_) => "peer_up",
            Self::PeerDown { .. } => "peer_down",
            Self::PeerStale { .. } => "peer_stale",
            Self::EndOfRib { .. } => "end_of_rib",
            Self::Sweep { .. } => "sweep",
            Self::Statistics(_) => "statistics",
            Self::Mirror { .. } => "route_mirroring",
            Self::Malformed { .. } => "malformed",
            Self::Gap { .. } => "gap",
        }
    }
}

/// What a Peer Up tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerUp {
    /// Local address of the monitored BGP session.
    pub local_address: IpAddr,
    /// Local TCP port.
    pub local_port: u16,
    /// Remote TCP port.
    pub remote_port: u16,
    /// The OPEN that the router sent, as a whole BGP message.
    pub sent_open: Vec<u8>,
    /// The OPEN that the router received, as a whole BGP message.
    pub received_open: Vec<u8>,
    /// Hold time from the received OPEN, in seconds.
    pub hold_time_s: u16,
    /// Whether AS numbers are four octets wide on this session.
    pub four_octet_as: bool,
    /// Families for which path identifiers are expected in the views that this Peer Up covers.
    pub add_path: Vec<Family>,
    /// Families that both sides announced.
    pub families: Vec<Family>,
    /// Free-form information TLVs, and unknown TLVs in hex.
    pub information: Vec<String>,
    /// The capabilities of the OPEN that the router sent, as operators read them.
    pub sent_capabilities: Vec<String>,
    /// Those of the OPEN that it received.
    pub received_capabilities: Vec<String>,
}

/// How a BMP session ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionEnd {
    /// The router said so (Termination, RFC 7854 section 4.5), with this reason code if it gave one.
    Terminated(Option<u16>),
    /// The router closed TCP, or TCP failed.
    Lost,
    /// The bytes were no BMP any more; the session was closed by us.
    Protocol,
    /// The collector stopped in order.
    CollectorStop,
    /// The collector died, and found at its next start that this session had been open.
    CollectorCrash,
    /// The session goes on, but this peer is not followed any more: the router names more than there is room for.
    Crowded,
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
            Self::Crowded => f.write_str("too many peers to follow"),
        }
    }
}

/// One counter or gauge of a Statistics Report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistic {
    /// Type by its IANA number, unknown ones too.
    pub kind: u16,
    /// For per-family statistics, which family.
    pub family: Option<Family>,
    /// The number; `None` where the length fits no number.
    pub value: Option<u64>,
    /// The bytes as they came.
    pub raw: Vec<u8>,
}
