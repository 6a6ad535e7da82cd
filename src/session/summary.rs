//! The state of a session for operators: notices, and the summary for `holdfast status`.

mod counters;

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::route::{
    Family, Opens, PeerDownRecord, PeerKey, RibView, Router, TEXT_MAX_BYTES, Timestamp, bounded_name,
};

pub(super) use counters::ErrorKind;
pub use counters::{Counters, RouteTlvCounters};

/// Severity of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Detail for tracing a problem.
    Debug,
    /// Normal operation.
    Info,
    /// Unexpected input; nothing was lost.
    Warning,
    /// Data was lost, or an operator has to act.
    Error,
}

/// A log entry that a session asks its caller to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Severity.
    pub level: Level,
    /// Name of the log event.
    pub event: &'static str,
    /// The peer concerned; `None` for the session as a whole.
    pub peer: Option<PeerKey>,
    /// AS number of the peer, if the notice is about its state and the number is known.
    pub asn: Option<u32>,
    /// Reason code of a Peer Down.
    pub reason_code: Option<u8>,
    /// Message text, of at most twice [`TEXT_MAX_BYTES`]: it may contain a sysName and a sysDescr.
    pub text: String,
    /// The beginning of the bytes concerned, at most [`Notice::MAX_BYTES`].
    pub bytes: Vec<u8>,
}

impl Notice {
    /// Maximum length of [`Notice::bytes`].
    pub const MAX_BYTES: usize = 256;

    pub(super) fn new(
        level: Level,
        event: &'static str,
        peer: Option<PeerKey>,
        text: String,
        bytes: &[u8],
    ) -> Self {
        let text = bounded_name(text, 2 * TEXT_MAX_BYTES);
        let bytes = bytes.iter().take(Self::MAX_BYTES).copied().collect();
        Self { level, event, peer, asn: None, reason_code: None, text, bytes }
    }
}

/// The state of one session.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The router, and the start of the session.
    pub router: Router,
    /// The router's sysName; empty if absent.
    pub sys_name: String,
    /// The router's sysDescr; empty if absent.
    pub sys_descr: String,
    /// Time of the last message; 0 if none was received.
    pub last_message: Timestamp,
    /// Counters of the session.
    pub counters: Counters,
    /// The peers of the session.
    pub peers: Vec<PeerSummary>,
}

/// The state of one peer.
#[derive(Clone, Debug)]
pub struct PeerSummary {
    /// Identity within the router.
    pub key: PeerKey,
    /// AS number.
    pub asn: u32,
    /// BGP identifier.
    pub bgp_id: Ipv4Addr,
    /// VRF or table name; empty if absent.
    pub table_name: String,
    /// Whether the peer is up, by its last Peer Up, Peer Down or announcement.
    pub up: bool,
    /// Time of the last Peer Up in this session; `None` if there was none.
    pub up_since: Option<Timestamp>,
    /// Address families that both OPENs contain.
    pub negotiated: Vec<Family>,
    /// Number of Peer Ups and Peer Downs in this session.
    pub generation: u32,
    /// BMP messages about this peer.
    pub messages: u64,
    /// PDUs of this peer that could not be decoded.
    pub errors: u64,
    /// Peer Downs of this peer in this session while it was up.
    pub downs: u64,
    /// The OPENs of the last Peer Up in this session; `None` without one, and if
    /// [`HISTORY_MEMORY_MAX_BYTES`](super::HISTORY_MEMORY_MAX_BYTES) is exhausted.
    pub opens: Option<Arc<Opens>>,
    /// The last of these Peer Downs, at most [`PeerDownRecord::KEPT_MAX`], the newest last.
    pub last_downs: Arc<[PeerDownRecord]>,
    /// Time of the last message about this peer.
    pub last_message: Timestamp,
    /// RIB views of this peer.
    pub views: Vec<ViewSummary>,
}

/// The state of one RIB view of a peer.
#[derive(Clone, Debug)]
pub struct ViewSummary {
    /// The RIB view.
    pub view: RibView,
    /// Address families of the view.
    pub families: Vec<FamilySummary>,
}

/// The state of one address family of a RIB view, in the current generation.
#[derive(Clone, Copy, Debug)]
pub struct FamilySummary {
    /// The address family.
    pub family: Family,
    /// Routes announced.
    pub announced: u64,
    /// Routes withdrawn.
    pub withdrawn: u64,
    /// Time of the last End-of-RIB; `None` if none was received.
    pub end_of_rib: Option<Timestamp>,
    /// Whether routes may be missing or outdated, because a PDU could not be decoded, until the next complete
    /// dump.
    pub suspect: bool,
    /// Whether routes of earlier generations or sessions that were not re-announced have yet to be swept.
    pub awaits_sweep: bool,
}
