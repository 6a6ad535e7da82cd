//! What the daemon says about itself. Names are stable; new ones may come.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The whole answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Document {
    /// Version of the daemon.
    pub version: String,
    /// Which collector this is.
    pub collector: String,
    /// Its process id.
    pub pid: u32,
    /// When the answer was made, ISO 8601.
    pub time: String,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// How it is.
    pub state: Health,
    /// Why it is not healthy; empty when it is.
    pub reasons: Vec<String>,
    /// The TCP side.
    pub listener: Listener,
    /// The routers connected now, and those that have been and have peers that are stale.
    pub routers: Vec<Router>,
    /// The log on disk.
    pub wal: Wal,
    /// The database side; nothing in store-only mode.
    pub delivery: Option<Delivery>,
}

/// How the daemon is. The numbers are the exit codes of `holdfast status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// All is well.
    Healthy,
    /// It works, and something needs a look.
    Degraded,
    /// It does not collect.
    Down,
}

impl Health {
    /// The exit code that says it.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Degraded => 1,
            Self::Down => 2,
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Down => "down",
        })
    }
}

/// The TCP side.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Listener {
    /// Address and port on which routers connect.
    pub address: String,
    /// Connections open now.
    pub connections: usize,
    /// Connections that may be open.
    pub connections_max: usize,
    /// Connections taken since the start.
    pub accepted: u64,
    /// Connections refused: not allowed, or too many.
    pub refused: u64,
    /// Times that the kernel gave an error in place of a connection.
    pub accept_errors: u64,
    /// Nothing listens now, because the log was full and is not yet half free.
    pub held_off: bool,
    /// How often that has begun since the start.
    pub hold_offs: u64,
}

/// One router.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Router {
    /// Its identity.
    pub name: String,
    /// Source address and port of the session.
    pub address: String,
    /// When the session began, ISO 8601.
    pub session: String,
    /// It is connected now.
    pub connected: bool,
    /// sysDescr.
    pub sys_descr: String,
    /// Seconds since its last message.
    pub last_message_age_s: f64,
    /// Bytes in this session.
    pub bytes: u64,
    /// BMP messages in this session.
    pub messages: u64,
    /// Route records in this session.
    pub routes: u64,
    /// Messages or PDUs in this session that could not be decoded.
    pub errors: u64,
    /// How often in this session a peer or a family found no room to be kept in mind; no route is lost by that, but a
    /// table may stand as stale.
    pub untracked_peers: u64,
    /// A table has been sent in this session. BIRD sends none after a mere reconnect of the collector.
    pub dump_seen: bool,
    /// Its peers.
    pub peers: Vec<Peer>,
}

/// One peer of a router.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Peer {
    /// Peer address.
    pub address: String,
    /// BMP peer type.
    pub peer_type: u8,
    /// Peer distinguisher.
    pub distinguisher: u64,
    /// AS number.
    pub asn: u32,
    /// BGP identifier.
    pub bgp_id: String,
    /// `up`, `down` or `stale`.
    pub state: String,
    /// Why it is stale; nothing when it is not.
    pub reason: Option<String>,
    /// The RIB views seen, each with its families.
    pub views: BTreeMap<String, Vec<Family>>,
}

/// One family in one view of a peer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Family {
    /// Name.
    pub family: String,
    /// End-of-RIB has been seen in this session.
    pub end_of_rib: bool,
    /// Route records in this session.
    pub routes: u64,
    /// A PDU could not be read: routes may be missing or too many until the next whole table.
    pub suspect: bool,
}

/// The log on disk.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Wal {
    /// Identity of the log.
    pub log_id: String,
    /// Its folder.
    pub dir: String,
    /// Last batch written.
    pub written: u64,
    /// Last batch that is safe on disk.
    pub durable: u64,
    /// Batches given up undelivered since the start, to make room for newer ones (`WAL_FULL=drop-oldest`).
    pub dropped: u64,
    /// Records made durable since the start.
    pub records_durable: u64,
    /// Files.
    pub segments: u64,
    /// Bytes taken.
    pub bytes: u64,
    /// Bytes that may be taken.
    pub bytes_max: u64,
    /// Bytes free on its file system.
    pub free_bytes: u64,
    /// Hours until the log is full, at the rate of the last minutes and with no delivery. Nothing when it does not grow.
    pub hours_left: Option<f64>,
    /// Why writing waits; nothing when it does not.
    pub paused: Option<String>,
    /// Last segment that was abandoned after an I/O error since the start.
    #[serde(default)]
    pub failed_segment: Option<FailedSegment>,
}

/// A segment that was abandoned after an I/O error.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FailedSegment {
    /// Segment number.
    pub segment: u64,
    /// File name in the log directory.
    pub file: String,
    /// Text of the I/O error.
    pub error: String,
    /// Time of the failure (ISO 8601, UTC).
    pub time: String,
}

/// The database side.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Delivery {
    /// Last batch that every lane has delivered.
    pub delivered: u64,
    /// Durable batches that wait.
    pub lag_batches: u64,
    /// Route and event records that wait.
    pub lag_routes: u64,
    /// Age of the oldest record that waits, in seconds.
    pub lag_s: f64,
    /// Records that the database refused since the start; they are in `rejected_routes`.
    pub rejected: u64,
    /// The lanes.
    pub lanes: Vec<Lane>,
    /// Last error of any lane, with its time; nothing when there was none.
    pub last_error: Option<String>,
}

/// One lane.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Lane {
    /// Number, from 0.
    pub lane: u16,
    /// Last batch delivered.
    pub seq: u64,
    /// What it does.
    pub state: String,
    /// Its last error.
    pub last_error: Option<String>,
}
