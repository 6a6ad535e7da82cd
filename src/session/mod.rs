//! One router's BMP session: messages and time in, batches out. All semantics live here.
//!
//! ```text
//!              first message
//!   (new) ──────────────────────► running ── end() ──► ended: SessionDown, and one PeerStale for each live peer
//!                                    │
//!   for each peer key                │
//!     Peer Up, or its first route ──► live, generation g
//!     Peer Down ────────────────────► down: ends every adjacency route of generation ≤ g; what comes next is g + 1
//!     Peer Up while live ───────────► live, generation g + 1: older routes are stale until they are swept
//!     End-of-RIB, then quiet ───────► Sweep: what this family did not send again in generation g is gone
//! ```
//!
//! The rules are those that real routers force on a collector: Peer Up is no precondition for storing and Peer Down no
//! promise; the end of the BMP session withdraws nothing; End-of-RIB is a hint, not the end of the table; nothing is
//! swept by time alone. Capabilities are looked up by peer key alone, because some routers send one Peer Up for
//! several views; the identity of a route keeps the view.
//!
//! Pure: no socket, no clock, no log. Time comes in as an argument, what deserves a log line goes out as a [`Notice`].

mod negotiated;
mod builder;
mod messages;
mod encoding_evidence;
mod overrides;
mod peers;
mod memory_budget;
mod route_monitoring;
mod summary;

use std::collections::HashSet;
use std::net::IpAddr;

pub use memory_budget::PEER_MEMORY_MAX_BYTES;
pub use overrides::Overrides;
pub use summary::{Counters, FamilySummary, Level, Notice, PeerSummary, Summary, ViewSummary};

use crate::bmp;
use crate::route::{Batch, EventKind, Family, PeerKey, Router, SessionEnd, Timestamp};
use builder::Builder;
use peers::Peers;

/// In the place of a family: a PDU could not be read so far that its families are known.
pub const ANY_FAMILY: Family = Family { afi: 0, safi: 0 };

/// What a session needs to know before its first byte.
#[derive(Clone, Debug)]
pub struct Options {
    /// A configured name, which wins over the sysName.
    pub router_name: Option<String>,
    /// Source address of the TCP connection.
    pub address: IpAddr,
    /// Source port of the TCP connection.
    pub port: u16,
    /// Start and identity of the session; must be greater than that of every earlier session of this log.
    pub session: Timestamp,
    /// A batch is full at this many records.
    pub batch_records_max: usize,
    /// How long a family must be quiet after End-of-RIB before what is older is swept, in microseconds.
    pub sweep_quiet_us: i64,
}

/// What the rest of the collector knows about a router when it introduces itself.
#[derive(Clone, Debug, Default)]
pub struct Introduced {
    /// The name to use: normally the one claimed, another one when a second live session claims the same.
    pub name: String,
    /// Peers of that router that were up or stale when it was last heard.
    pub prior: Vec<PeerKey>,
    /// What the operator says of how to read it.
    pub overrides: Overrides,
}

/// Asked with the name that a router claims. Called once with the first message and again when an Initiation brings
/// another name.
pub type Introduce = Box<dyn FnMut(&str) -> Introduced + Send>;

/// One BMP session.
pub struct Session {
    options: Options,
    introduce: Introduce,
    introduced: bool,
    sys_name: String,
    sys_descr: String,
    prior: HashSet<PeerKey>,
    overrides: Overrides,
    peers: Peers,
    builder: Builder,
    counters: Counters,
    notices: Vec<Notice>,
    terminated: Option<SessionEnd>,
    last_message: Timestamp,
}

impl Session {
    /// A session that has seen nothing yet.
    #[must_use]
    pub fn new(options: Options, introduce: Introduce) -> Self {
        let name = options.router_name.clone().unwrap_or_else(|| options.address.to_string());
        let router = Router { name, address: options.address, port: options.port, session: options.session };
        Self {
            builder: Builder::new(router),
            options,
            introduce,
            introduced: false,
            sys_name: String::new(),
            sys_descr: String::new(),
            prior: HashSet::new(),
            overrides: Overrides::default(),
            peers: Peers::default(),
            counters: Counters::default(),
            notices: Vec::new(),
            terminated: None,
            last_message: Timestamp(0),
        }
    }

    /// Takes one whole BMP message, as [`bmp::frame`] cuts it. Never fails: what cannot be decoded is counted, kept
    /// raw where it may be a route, and leaves a [`Notice`].
    pub fn message(&mut self, message: &[u8], now: Timestamp) {
        self.counters.messages += 1;
        self.counters.bytes += u64::try_from(message.len()).unwrap_or(u64::MAX);
        self.last_message = now;
        match bmp::decode(message) {
            Ok(decoded) => {
                if !self.introduced && !matches!(decoded, bmp::Message::Initiation { .. }) {
                    self.introduce_as(String::new());
                }
                self.dispatch(&decoded, message, now);
            }
            Err(error) => {
                self.counters.errors += 1;
                self.notice(Level::Error, "bmp_parse_error", None, error.to_string(), message);
            }
        }
        self.tell_of_room();
    }

    /// Counts what was not kept for want of room, and says so once.
    fn tell_of_room(&mut self) {
        let refused = self.peers.refused();
        if refused > 0 && self.counters.not_kept == 0 {
            let text = format!(
                "the router names more peers and families than fit {PEER_MEMORY_MAX_BYTES} bytes; the others are read as if nothing \
                 had been said of them, and are marked stale"
            );
            self.notice(Level::Warning, "session_memory_full", None, text, &[]);
        }
        self.counters.not_kept = refused;
    }

    /// Lets time pass: sweeps what is due. Call about once a second, also when nothing arrives.
    pub fn tick(&mut self, now: Timestamp) {
        self.sweep(now);
    }

    /// Ends the session: one `SessionDown`, and one `PeerStale` for each live peer. Withdraws nothing.
    pub fn end(&mut self, end: &SessionEnd, now: Timestamp) {
        if !self.introduced {
            return;
        }
        for index in self.peers.live() {
            self.peer_event(index, now, Timestamp(0), EventKind::PeerStale { end: end.clone() });
        }
        self.builder.event(None, now, Timestamp(0), EventKind::SessionDown { end: end.clone() });
    }

    /// True when the open batch should be taken now, without waiting for its time.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.builder.records() >= self.options.batch_records_max || self.builder.is_crowded()
    }

    /// True when there is something to take.
    #[must_use]
    pub fn has_records(&self) -> bool {
        self.builder.has_records()
    }

    /// The batches so far, in order, none of them empty. What comes next begins a new batch.
    pub fn take_batches(&mut self) -> impl Iterator<Item = Batch> + use<> {
        self.builder.take().into_iter()
    }

    /// What deserves a log line since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Set once the router has said that it ends the session: the connection is to be closed.
    #[must_use]
    pub const fn terminated(&self) -> Option<&SessionEnd> {
        self.terminated.as_ref()
    }

    /// What has been counted so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The session as an operator wants to see it.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            router: self.builder.router().clone(),
            sys_name: self.sys_name.clone(),
            sys_descr: self.sys_descr.clone(),
            last_message: self.last_message,
            counters: self.counters,
            peers: self.peers.summaries(),
        }
    }

    /// Learns what is known of the router by this claimed name; empty when it gave none.
    fn introduce_as(&mut self, claimed: String) {
        self.introduced = true;
        let claimed = self
            .options
            .router_name
            .clone()
            .or_else(|| (!claimed.is_empty()).then_some(claimed))
            .unwrap_or_else(|| self.options.address.to_string());
        let introduced = (self.introduce)(&claimed);
        self.prior = introduced.prior.into_iter().collect();
        self.overrides = introduced.overrides;
        self.builder.rename(introduced.name);
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
}
