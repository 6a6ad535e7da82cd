//! The status document. Its field names are stable; new fields may be added.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Status of the daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Document {
    /// Version of the daemon.
    pub version: String,
    /// Identity of the collector (COLLECTOR_ID).
    pub collector: String,
    /// Process id.
    pub pid: u32,
    /// Time of this document, in ISO 8601.
    pub time: String,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Overall health.
    pub state: Health,
    /// Conditions that make the daemon degraded or down; empty if it is healthy.
    pub reasons: Vec<String>,
    /// BMP listener.
    pub listener: Listener,
    /// Connected routers, and disconnected ones that have stale peers.
    pub routers: Vec<Router>,
    /// Write-ahead log.
    pub wal: Wal,
    /// Delivery to the database; `None` in store-only mode.
    pub delivery: Option<Delivery>,
}

/// Health of the daemon, from best to worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// No condition needs attention.
    #[default]
    Healthy,
    /// The daemon works; a condition needs attention.
    Degraded,
    /// The daemon does not collect.
    Down,
}

impl Health {
    /// The exit code of `holdfast status`.
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

/// BMP listener.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Listener {
    /// Address and port that routers connect to.
    pub address: String,
    /// Open connections.
    pub connections: usize,
    /// Maximum number of open connections.
    pub connections_max: usize,
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Connections refused since the start, because of BMP_ALLOW or BMP_MAX_CONNECTIONS.
    pub refused: u64,
    /// Failed accept calls since the start.
    pub accept_errors: u64,
    /// New connections are refused, because the log was full and its usage is not yet below 50 %.
    pub held_off: bool,
    /// Number of periods with `held_off` since the start.
    pub hold_offs: u64,
}

/// A router.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Router {
    /// Name that identifies the router in the database.
    pub name: String,
    /// Source address and port of the session; empty if the router is not connected.
    pub address: String,
    /// Start of the current session, else of the last one, in ISO 8601.
    pub session: String,
    /// Whether the router is connected.
    pub connected: bool,
    /// The router's sysDescr.
    pub sys_descr: String,
    /// Seconds since the last message.
    pub last_message_age_s: f64,
    /// Bytes received in this session.
    pub bytes: u64,
    /// BMP messages received in this session.
    pub messages: u64,
    /// Route records of this session.
    pub routes: u64,
    /// Messages and PDUs of this session that could not be decoded.
    pub errors: u64,
    /// Peers and address families of this session beyond the tracked peer/family limit. Their routes are
    /// recorded, but may remain stale.
    pub untracked_peers: u64,
    /// Announcements during dumps whose routes were not remembered (`dump_memory_full`): repetitions of such
    /// a route count as part of the dump.
    #[serde(default)]
    pub untracked_dump_routes: u64,
    /// Whether the router has announced a route in this session. BIRD does not re-send its table after a mere
    /// reconnect.
    pub dump_seen: bool,
    /// Peers of the router.
    pub peers: Vec<Peer>,
}

/// A peer of a router.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// State of the peer.
    pub state: PeerState,
    /// Reason why the peer is stale; `None` if it is not.
    pub reason: Option<StaleReason>,
    /// Address families by RIB view.
    pub views: BTreeMap<String, Vec<Family>>,
}

/// State of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerState {
    /// The BGP session is established.
    Up,
    /// The BGP session is down.
    Down,
    /// The routes of the peer are from an earlier BMP session.
    Stale,
}

impl fmt::Display for PeerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Stale => "stale",
        })
    }
}

/// Reason why a peer is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StaleReason {
    /// The router is not connected.
    #[serde(rename = "router not connected")]
    RouterNotConnected,
    /// The router has reconnected and has not sent a message about the peer since.
    #[serde(rename = "not re-announced since reconnect")]
    NotReannounced,
}

impl fmt::Display for StaleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RouterNotConnected => "router not connected",
            Self::NotReannounced => "not re-announced since reconnect",
        })
    }
}

/// An address family in a RIB view of a peer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Family {
    /// Name of the address family.
    pub family: String,
    /// Whether End-of-RIB was received in this session.
    pub end_of_rib: bool,
    /// Route records of this session.
    pub routes: u64,
    /// A PDU could not be decoded: routes may be missing, or withdrawn routes present, until the next
    /// complete dump.
    pub suspect: bool,
    /// How complete the table is.
    #[serde(default)]
    pub completeness: Completeness,
    /// Whether the family is negotiated, but neither routes nor End-of-RIB were received minutes after Peer
    /// Up.
    #[serde(default)]
    pub missing: bool,
    /// Reason why routes that were not re-announced since the reconnect are still current; `None` if there
    /// can be no such routes.
    #[serde(default)]
    pub stale: Option<StaleRoutes>,
}

/// Reason why routes that were not re-announced since a reconnect have not been ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StaleRoutes {
    /// The router has sent no End-of-RIB.
    NoEndOfRib,
    /// End-of-RIB was received; the time without a first announcement of a route has not passed.
    AwaitingQuiet,
}

impl fmt::Display for StaleRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoEndOfRib => "no End-of-RIB since the reconnect (SWEEP_WITHOUT_END_OF_RIB_S)",
            Self::AwaitingQuiet => "no time without a new route yet after End-of-RIB (SWEEP_QUIET_S)",
        })
    }
}

/// How complete the table of an address family is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Completeness {
    /// End-of-RIB was received.
    Complete,
    /// Routes were received, but no End-of-RIB minutes after Peer Up, or within a minute of silence.
    Assumed,
    /// The router sends only changes of the table.
    Partial,
    /// The table was not received, or its dump goes on.
    #[default]
    None,
}

/// Write-ahead log.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Wal {
    /// Identity of the log.
    pub log_id: String,
    /// Directory of the log.
    pub dir: String,
    /// Sequence number of the last batch written.
    pub written: u64,
    /// Sequence number of the last batch synced to disk.
    pub durable: u64,
    /// Undelivered batches dropped since the start (`WAL_FULL=drop-oldest`).
    pub dropped: u64,
    /// Records synced to disk since the start.
    pub records_durable: u64,
    /// Number of segment files.
    pub segments: u64,
    /// Size of the log in bytes.
    pub bytes: u64,
    /// Maximum size of the log in bytes.
    pub bytes_max: u64,
    /// Free bytes of the file system.
    pub free_bytes: u64,
    /// Hours until the log is full at the growth rate of the last minutes; `None` if it does not grow.
    pub hours_left: Option<f64>,
    /// Reason why the log is not writable; `None` if it is.
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

/// Delivery to the database.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Delivery {
    /// Sequence number of the last batch that all lanes have delivered.
    pub delivered: u64,
    /// Durable batches not yet delivered by all lanes.
    pub lag_batches: u64,
    /// Estimated number of route and event records in these batches.
    pub lag_routes: u64,
    /// Seconds since the oldest undelivered record was received.
    pub lag_s: f64,
    /// Records rejected by the database since the start; they are in the table `rejected_routes`.
    pub rejected: u64,
    /// Lanes; empty until the database was reached for the first time.
    pub lanes: Vec<Lane>,
    /// Last error that concerns all lanes; `None` if there was none.
    pub last_error: Option<String>,
}

/// A lane of the delivery.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Lane {
    /// Number of the lane, from 0.
    pub lane: u16,
    /// Sequence number of the last batch delivered.
    pub seq: u64,
    /// State of the lane.
    pub state: LaneState,
    /// Last error, also after recovery from it; `None` if there was none.
    pub last_error: Option<String>,
}

/// State of a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LaneState {
    /// The lane has not attached to the database yet.
    #[default]
    #[serde(rename = "connecting")]
    Connecting,
    /// The lane delivers a backlog.
    #[serde(rename = "draining")]
    Draining,
    /// All durable batches are delivered.
    #[serde(rename = "caught up")]
    CaughtUp,
    /// The last attempt failed; the lane retries by itself.
    #[serde(rename = "retrying")]
    Retrying,
    /// An operator must remove a cause; the lane retries once a minute.
    #[serde(rename = "needs operator action")]
    NeedsOperator,
    /// The lane is stopped until the next start of the daemon.
    #[serde(rename = "halted until restart")]
    Halted,
    /// The daemon has stopped the lane.
    #[serde(rename = "stopped")]
    Stopped,
}

impl LaneState {
    /// Whether the lane delivers, or has nothing to deliver.
    #[must_use]
    pub const fn is_healthy(self) -> bool {
        matches!(self, Self::Draining | Self::CaughtUp)
    }
}

impl fmt::Display for LaneState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::Draining => "draining",
            Self::CaughtUp => "caught up",
            Self::Retrying => "retrying",
            Self::NeedsOperator => "needs operator action",
            Self::Halted => "halted until restart",
            Self::Stopped => "stopped",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_read_alike_in_text_and_in_json() {
        fn check<T: fmt::Display + Serialize + Copy>(values: &[T]) {
            for value in values {
                assert_eq!(serde_json::to_value(value).unwrap(), value.to_string());
            }
        }
        check(&[Health::Healthy, Health::Degraded, Health::Down]);
        check(&[PeerState::Up, PeerState::Down, PeerState::Stale]);
        check(&[StaleReason::RouterNotConnected, StaleReason::NotReannounced]);
        check(&[
            LaneState::Connecting,
            LaneState::Draining,
            LaneState::CaughtUp,
            LaneState::Retrying,
            LaneState::NeedsOperator,
            LaneState::Halted,
            LaneState::Stopped,
        ]);
    }
}
