//! The state of a session for operators: counters, notices, and the summary for `holdfast status`.

use std::net::Ipv4Addr;

use crate::route::{Family, PeerKey, RibView, Router, TEXT_MAX_BYTES, Timestamp, bounded_name};

/// Counters of one BMP session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// BMP messages of all types.
    pub messages: u64,
    /// Bytes of these messages.
    pub bytes: u64,
    /// Routes announced.
    pub announced: u64,
    /// Routes withdrawn, explicitly or by treat-as-withdraw.
    pub withdrawn: u64,
    /// Messages and PDUs that could not be decoded.
    pub errors: u64,
    /// Messages of an unknown type, which are recorded raw.
    pub unknown_messages: u64,
    /// Initiations that were not recorded, because there were too many.
    pub ignored_initiations: u64,
    /// New peers that were reported faster than the session may report them, so that it was not read for a
    /// while.
    pub excess_peers: u64,
    /// Announcements treated as withdrawals (RFC 7606).
    pub treated_as_withdraw: u64,
    /// Attributes discarded (RFC 7606).
    pub attributes_discarded: u64,
    /// Messages with bytes after their BGP PDU.
    pub trailers: u64,
    /// Attribute sets whose AS_PATH was decoded with the AS number width that was not announced.
    pub as_width_mismatches: u64,
    /// NLRI fields that changed a family to the encoding opposite to the expected one: with or without path
    /// IDs.
    pub add_path_mismatches: u64,
    /// Peers that announced routes without a Peer Up.
    pub implicit_peers: u64,
    /// Peer Downs of peers that were not up.
    pub unexpected_peer_downs: u64,
    /// Messages whose per-peer header contains neither an AS number nor a BGP identifier.
    pub zero_identities: u64,
    /// How often a peer, an address family, a VRF name or a PDU was not tracked, because the session exceeded
    /// its limit ([`super::PEER_MEMORY_MAX_BYTES`], or 64 families per RIB view).
    pub untracked_peers: u64,
    /// Announcements during dumps whose routes were not remembered, because the session exceeded
    /// [`super::DUMP_MEMORY_MAX_BYTES`].
    pub untracked_dump_routes: u64,
    /// Holes in the router's sequence numbers (BMP version 4), each recorded as a gap.
    pub sequence_gaps: u64,
    /// Messages that the router skipped, by its sequence numbers.
    pub skipped_messages: u64,
    /// Sequence numbers that were not higher than an earlier one.
    pub sequence_repeats: u64,
    /// TLVs without a meaning of their own of Statistics Reports, Peer Downs and Route Mirroring messages,
    /// which are recorded by number.
    pub message_tlvs: u64,
    /// TLVs of Route Monitoring messages (BMP version 4).
    pub route_tlvs: RouteTlvCounters,
}

/// Counters of the TLVs of Route Monitoring messages (BMP version 4), except those that contain an UPDATE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteTlvCounters {
    /// Sequence number.
    pub sequence_numbers: u64,
    /// Extended flags, which are not interpreted.
    pub extended_flags: u64,
    /// Timestamp, which is not interpreted.
    pub timestamps: u64,
    /// Group of NLRI.
    pub groups: u64,
    /// VRF or table name.
    pub table_names: u64,
    /// Stateless parsing.
    pub stateless_parsing: u64,
    /// Path status.
    pub path_statuses: u64,
    /// TLVs of a vendor (enterprise bit), which are not interpreted.
    pub vendor: u64,
    /// TLVs of an unknown type.
    pub unknown: u64,
    /// TLVs with an invalid value.
    pub malformed: u64,
    /// TLVs whose type and index an earlier TLV of the message has; the first one applies. Further BGP
    /// messages are recorded raw.
    pub repeated: u64,
    /// Path statuses of routes that were not recorded as announced: their index names no announced route of
    /// the UPDATE, or their group is not defined. Those of held PDUs are included until they are recorded.
    pub unapplied: u64,
}

impl RouteTlvCounters {
    /// The counters with their names in `holdfast status`.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); 12] {
        [
            ("sequence-number", self.sequence_numbers),
            ("extended-flags", self.extended_flags),
            ("timestamp", self.timestamps),
            ("group", self.groups),
            ("table-name", self.table_names),
            ("stateless-parsing", self.stateless_parsing),
            ("path-status", self.path_statuses),
            ("vendor", self.vendor),
            ("unknown", self.unknown),
            ("malformed", self.malformed),
            ("repeated", self.repeated),
            ("unapplied", self.unapplied),
        ]
    }
}

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
