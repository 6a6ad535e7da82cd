//! What a session shows of itself: counters, notices, and the summary for the status command.

use std::net::Ipv4Addr;

use crate::route::{Family, PeerKey, RibView, Router, Timestamp};

/// Counters of one BMP session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// BMP messages of every type.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Routes announced.
    pub announced: u64,
    /// Routes withdrawn, explicitly or by treat-as-withdraw.
    pub withdrawn: u64,
    /// Messages or PDUs that could not be decoded.
    pub errors: u64,
    /// Messages of a type that this program does not know (RFC 7854 section 4.1: skipped).
    pub unknown_messages: u64,
    /// UPDATEs treated as withdrawals (RFC 7606).
    pub treated_as_withdraw: u64,
    /// Attributes left out (RFC 7606).
    pub attributes_discarded: u64,
    /// Messages with bytes behind their BGP PDU.
    pub trailers: u64,
    /// Attribute sets whose AS path fits only the width that was not announced.
    pub as_width_mismatches: u64,
    /// Fields of routes that were read against what the OPENs agree on path identifiers.
    pub add_path_mismatches: u64,
    /// Peers that sent routes without a Peer Up.
    pub implicit_peers: u64,
    /// Peer Downs of peers that were not up.
    pub unexpected_peer_downs: u64,
    /// Messages whose per-peer header has neither AS nor BGP identifier.
    pub zero_identities: u64,
    /// Peers, families and messages that were not kept in mind, because there was no room ([`super::PEER_MEMORY_MAX_BYTES`]).
    pub not_kept: u64,
}

/// How loud a notice is. `Warning`: no loss. `Error`: something was lost, or a person is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For tracing a problem.
    Debug,
    /// Normal life.
    Info,
    /// Odd, but nothing is lost.
    Warning,
    /// Something was lost, or a person is needed.
    Error,
}

/// Something that deserves a log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How loud.
    pub level: Level,
    /// Name of the log event.
    pub event: &'static str,
    /// Which peer, if one.
    pub peer: Option<PeerKey>,
    /// For people.
    pub text: String,
    /// The first bytes of what it is about, [`Notice::BYTES_MAX`] at most.
    pub bytes: Vec<u8>,
}

impl Notice {
    /// How many bytes a notice keeps.
    pub const BYTES_MAX: usize = 256;

    pub(super) fn new(
        level: Level,
        event: &'static str,
        peer: Option<PeerKey>,
        text: String,
        bytes: &[u8],
    ) -> Self {
        let bytes = bytes.iter().take(Self::BYTES_MAX).copied().collect();
        Self { level, event, peer, text, bytes }
    }
}

/// A session as an operator wants to see it.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Who, and since when.
    pub router: Router,
    /// sysName; empty when not given.
    pub sys_name: String,
    /// sysDescr; empty when not given.
    pub sys_descr: String,
    /// When the last message came; 0 when none did.
    pub last_message: Timestamp,
    /// Counters of the session.
    pub counters: Counters,
    /// The peers seen in this session.
    pub peers: Vec<PeerSummary>,
}

/// One peer of a session.
#[derive(Clone, Debug)]
pub struct PeerSummary {
    /// Identity within the router.
    pub key: PeerKey,
    /// AS number.
    pub asn: u32,
    /// BGP identifier.
    pub bgp_id: Ipv4Addr,
    /// VRF or table name; empty when not given.
    pub table_name: String,
    /// Up, as far as the router says.
    pub up: bool,
    /// Current generation.
    pub generation: u32,
    /// BMP messages about this peer.
    pub messages: u64,
    /// PDUs of this peer that could not be decoded.
    pub errors: u64,
    /// When the last message about it came.
    pub last_message: Timestamp,
    /// Its RIB views.
    pub views: Vec<ViewSummary>,
}

/// One RIB view of a peer.
#[derive(Clone, Debug)]
pub struct ViewSummary {
    /// Which.
    pub view: RibView,
    /// Its families.
    pub families: Vec<FamilySummary>,
}

/// One family of a RIB view, in the current generation.
#[derive(Clone, Copy, Debug)]
pub struct FamilySummary {
    /// Which.
    pub family: Family,
    /// Routes announced.
    pub announced: u64,
    /// Routes withdrawn.
    pub withdrawn: u64,
    /// When End-of-RIB came, if it did.
    pub end_of_rib: Option<Timestamp>,
    /// A PDU could not be read: routes may be missing or too many until the next whole table.
    pub suspect: bool,
}
