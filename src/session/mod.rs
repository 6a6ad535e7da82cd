//! One router's BMP session: turns messages and time into batches. All BMP semantics are here.
//!
//! ```text
//!              first message
//!   (new) ──────────────────────► running ── end() ──► ended: SessionDown, and a PeerStale per live peer
//!                                    │
//!   for each peer key                │
//!     Peer Up, or first announcement ─► up, generation g
//!     Peer Down ──────────────────────► down: routes of generations ≤ g end; the next generation is g + 1
//!     Peer Up while up ───────────────► up, generation g + 1: older routes are stale until swept
//!     End-of-RIB, then quiet time ────► Sweep: routes of the family not re-announced in g end
//! ```
//!
//! An announcement belongs to a dump only if its route has not been announced before in generation g. So a
//! dump has an end also if the router sends no End-of-RIB, and changes during a dump are changes. The quiet
//! time is measured on first announcements, because a full table is never silent.
//!
//! The rules follow from the behaviour of real routers. A route is stored also without a Peer Up before it.
//! The end of the BMP session withdraws no route. End-of-RIB may precede the last routes of a dump. No route
//! ends by time alone. Capabilities are looked up by peer key, without the RIB view, because some routers
//! send one Peer Up for several views; the identity of a route includes the view.
//!
//! Pure: no socket, no clock, no log. Time is an argument; log entries are returned as [`Notice`] values.

mod builder;
mod encoding_evidence;
mod information;
mod limits;
mod messages;
mod overrides;
mod peer_messages;
mod peers;
mod route_monitoring;
mod route_tlvs;
mod summary;
mod update_recorder;

use std::net::IpAddr;

pub use limits::UNIDENTIFIED_BYTES_MAX;
pub use overrides::Overrides;
pub use peers::{BULK_ROUTES_MIN, DUMP_MEMORY_MAX_BYTES, HISTORY_MEMORY_MAX_BYTES, PEER_MEMORY_MAX_BYTES};
pub use summary::{
    Counters, FamilySummary, Level, Notice, PeerSummary, RouteTlvCounters, Summary, ViewSummary,
};

use crate::bmp;
use crate::num;
use crate::route::{Batch, EventKind, PeerIdentity, PeerKey, Router, SessionEnd, Timestamp};
use builder::OpenBatches;
use limits::{HeldMessage, TokenBucket};
use peers::Peers;
use route_tlvs::SequenceTracker;
use summary::ErrorKind;

/// Parameters of a session.
#[derive(Clone, Debug)]
pub struct Options {
    /// Configured router name; takes precedence over the sysName.
    pub router_name: Option<String>,
    /// Source address of the TCP connection.
    pub address: IpAddr,
    /// Source port of the TCP connection.
    pub port: u16,
    /// Start and identity of the session; greater than that of every earlier session in this log.
    pub session: Timestamp,
    /// Number of records at which a batch is full.
    pub batch_records_max: usize,
    /// Quiet time of a family, in microseconds: without a first announcement of a route during this time, a
    /// dump without End-of-RIB is over, and after End-of-RIB the stale routes are swept.
    pub sweep_quiet_us: i64,
    /// Time without a first announcement after which stale routes are swept although the router has sent no
    /// End-of-RIB, in microseconds; `None` to keep them stale.
    pub sweep_without_end_of_rib_us: Option<i64>,
    /// Routes of a peer within a second from which on its routes are of class bulk; [`BULK_ROUTES_MIN`] by
    /// default.
    pub bulk_routes_min: u64,
}

/// State of the collector about a router, looked up by the router's name.
#[derive(Clone, Debug, Default)]
pub struct Introduced {
    /// Name to record: the requested one, or another one if a live session has that name.
    pub name: String,
    /// Peers of the router that were up or stale at the end of its last session.
    pub prior: Vec<PeerIdentity>,
    /// Decoding overrides of the router.
    pub overrides: Overrides,
}

/// Looks up a router by its requested name: the configured name, else its sysName, else its address.
///
/// Called before the first record, and again for each Initiation until the router has a sysName and a peer.
pub type Introduce = Box<dyn FnMut(&str) -> Introduced + Send>;

/// A BMP session.
pub struct Session {
    options: Options,
    introduce: Introduce,
    introduced: bool,
    /// Messages of unknown types received before the router was introduced.
    held_messages: Vec<HeldMessage>,
    initiations: TokenBucket,
    new_peers: TokenBucket,
    sys_name: String,
    sys_descr: String,
    prior: Vec<PeerIdentity>,
    overrides: Overrides,
    peers: Peers,
    batches: OpenBatches,
    counters: Counters,
    sequence: SequenceTracker,
    /// Time of the last message that had a sequence number.
    last_numbered: Timestamp,
    /// Whether a TLV of Route Monitoring that is not interpreted has been reported.
    foreign_tlv_reported: bool,
    notices: Vec<Notice>,
    terminated: Option<SessionEnd>,
    last_message: Timestamp,
}

impl Session {
    /// Returns a session that has received no message.
    #[must_use]
    pub fn new(options: Options, introduce: Introduce) -> Self {
        let name = options.router_name.clone().unwrap_or_else(|| options.address.to_string());
        let router = Router { name, address: options.address, port: options.port, session: options.session };
        Self {
            batches: OpenBatches::new(router),
            options,
            introduce,
            introduced: false,
            held_messages: Vec::new(),
            initiations: limits::initiation_budget(),
            new_peers: limits::new_peer_budget(),
            sys_name: String::new(),
            sys_descr: String::new(),
            prior: Vec::new(),
            overrides: Overrides::default(),
            peers: Peers::default(),
            counters: Counters::default(),
            sequence: SequenceTracker::default(),
            last_numbered: Timestamp(0),
            foreign_tlv_reported: false,
            notices: Vec::new(),
            terminated: None,
            last_message: Timestamp(0),
        }
    }

    /// Processes one whole BMP message, as delimited by [`bmp::frame()`], received at `now`.
    ///
    /// Does not fail: a message that cannot be decoded is counted, reported as a [`Notice`], and, if it may
    /// contain routes, recorded raw.
    pub fn message(&mut self, message: &[u8], now: Timestamp) {
        self.counters.messages += 1;
        self.counters.count_type(message);
        self.counters.bytes += num::to_u64(message.len());
        self.last_message = now;
        self.sequence.note_message();
        match bmp::decode(message) {
            Ok(decoded) => {
                let is_per_peer = !matches!(
                    decoded,
                    bmp::Message::Initiation { .. }
                        | bmp::Message::Termination { .. }
                        | bmp::Message::Unknown { .. }
                );
                if !self.introduced && is_per_peer {
                    self.introduce_as(String::new());
                }
                self.dispatch(&decoded, message, now);
            }
            Err(error) => {
                self.counters.count_error(ErrorKind::Message);
                self.notice(Level::Error, "bmp_parse_error", None, error.to_string(), message);
            }
        }
        self.report_memory_limit();
    }

    /// Updates the counter of untracked peers and reports the first one.
    fn report_memory_limit(&mut self) {
        let refusals = self.peers.refusals();
        if refusals > 0 && self.counters.untracked_peers == 0 {
            self.peers.demote_all();
            let text = format!(
                "router exceeds the tracked peer/family limit ({} MiB per session, 64 families per \
                 RIB view); untracked peers are recorded without negotiated capabilities and VRF \
                 name, and marked stale",
                PEER_MEMORY_MAX_BYTES >> 20
            );
            self.notice(Level::Warning, "session_memory_full", None, text, &[]);
        }
        self.counters.untracked_peers = refusals;
        let refusals = self.peers.dump_refusals();
        if refusals > 0 && self.counters.untracked_dump_routes == 0 {
            let text = format!(
                "dumps of this router exceed {} MiB of fingerprints; repeated announcements of further \
                 routes are recorded as part of the dump until it ends",
                DUMP_MEMORY_MAX_BYTES >> 20
            );
            self.notice(Level::Warning, "dump_memory_full", None, text, &[]);
        }
        self.counters.untracked_dump_routes = refusals;
    }

    /// Records the sweeps that are due at `now`, and the PDUs that have been held for the quiet time. Moves
    /// the peers to class live whose table is delivered. To be called about once a second, also if no message
    /// arrives.
    pub fn tick(&mut self, now: Timestamp) {
        let until = Timestamp(now.0.saturating_sub(self.options.sweep_quiet_us));
        (0..self.peers.len()).for_each(|index| self.settle_held(index, until, now));
        self.sweep(now);
        self.peers.promote();
    }

    /// Records that all batches that were taken are in the log. `seq` is the sequence number of the last one
    /// of class dump or bulk, `None` if it could not be encoded. To be called if there was one.
    pub fn dump_logged(&mut self, seq: Option<u64>) {
        self.peers.dump_logged(self.batches.round() - 1, seq);
    }

    /// Records that the dump lanes have delivered all batches up to `seq`. `is_nearly_complete` states that
    /// they have little left to deliver. To be called before [`Session::tick`].
    pub fn dump_delivered(&mut self, seq: u64, is_nearly_complete: bool) {
        self.peers.dump_delivered(seq, is_nearly_complete);
    }

    /// Records everything in class dump, until a later dump batch is delivered. For a session that does not
    /// have its router's name alone.
    pub fn suspend_live(&mut self) {
        self.peers.suspend_live(self.batches.round());
    }

    /// Ends the session: records one `PeerStale` for each peer that is up, and one `SessionDown`. Withdraws
    /// no route.
    pub fn end(&mut self, end: &SessionEnd, now: Timestamp) {
        if !self.introduced {
            return;
        }
        self.peers.demote_all();
        (0..self.peers.len()).for_each(|index| self.settle_held(index, now, now));
        for index in self.peers.live() {
            self.peer_event(index, now, Timestamp(0), EventKind::PeerStale { end: end.clone() });
        }
        self.batches.session_event(now, Timestamp(0), EventKind::SessionDown { end: end.clone() });
    }

    /// Whether the open batch should be taken without waiting for its maximum delay.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.batches.is_full(self.options.batch_records_max)
    }

    /// Whether there is a record to take.
    #[must_use]
    pub fn has_records(&self) -> bool {
        self.batches.has_records()
    }

    /// Takes all batches, in order and none of them empty. The next record begins a new batch.
    pub fn take_batches(&mut self) -> impl Iterator<Item = Batch> + use<> {
        self.batches.take().into_iter()
    }

    /// Takes the notices since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// The end of the session if the router has sent a Termination. The caller then closes the connection.
    #[must_use]
    pub const fn terminated(&self) -> Option<&SessionEnd> {
        self.terminated.as_ref()
    }

    /// Counts a stream that contains no complete message any more, because a common header is damaged.
    pub fn count_framing_error(&mut self) {
        self.counters.count_error(ErrorKind::Framing);
    }

    /// The counters of the session.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The state of the session for operators.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            router: self.batches.router().clone(),
            sys_name: self.sys_name.clone(),
            sys_descr: self.sys_descr.clone(),
            last_message: self.last_message,
            counters: self.counters,
            peers: self.peers.summaries(),
        }
    }

    /// Looks up the router by its sysName, which is empty if the router sent none.
    fn introduce_as(&mut self, sys_name: String) {
        self.introduced = true;
        let name = self
            .options
            .router_name
            .clone()
            .or_else(|| (!sys_name.is_empty()).then_some(sys_name))
            .unwrap_or_else(|| self.options.address.to_string());
        let introduced = (self.introduce)(&name);
        self.prior = introduced.prior;
        self.overrides = introduced.overrides;
        self.batches.rename(&introduced.name);
        self.record_held_messages();
    }

    fn notice(
        &mut self,
        level: Level,
        event: &'static str,
        peer: Option<PeerKey>,
        text: String,
        bytes: &[u8],
    ) {
        self.notices.push(Notice::new(level, event, peer, text, bytes));
    }

    /// Adds the AS number of a peer, 0 if it is unknown, and the reason of its Peer Down to the last notice.
    fn complete_notice(&mut self, asn: u32, reason_code: Option<u8>) {
        if let Some(notice) = self.notices.last_mut() {
            notice.asn = Some(asn).filter(|asn| *asn != 0);
            notice.reason_code = reason_code;
        }
    }
}
