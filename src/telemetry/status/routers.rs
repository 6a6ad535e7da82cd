//! The routers and peers of the status document.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::transport::SessionTransport;
use crate::route::{Opens, PeerDownRecord};

/// A router.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Router {
    /// Name that identifies the router in the database.
    pub name: String,
    /// Source address and port of the session; `None` if the router is not connected.
    pub address: Option<String>,
    /// Start of the current session, else of the last one that is known, in ISO 8601; `None` if no session is
    /// known.
    pub session: Option<String>,
    /// Whether the router is connected.
    pub connected: bool,
    /// Whether EXPECTED_ROUTERS names the router.
    #[serde(default)]
    pub expected: bool,
    /// The router's sysDescr.
    pub sys_descr: String,
    /// Seconds since the last message; `None` if the router is not connected.
    pub last_message_age_s: Option<f64>,
    /// Milliseconds from the start of the daemon to the time at which the counters of this session were read,
    /// at most about one second before the document; `None` if the router is not connected.
    #[serde(default)]
    pub counted_ms: Option<u64>,
    /// Bytes received in this session.
    pub bytes: u64,
    /// BMP messages received in this session.
    pub messages: u64,
    /// Route records of this session.
    pub routes: u64,
    /// Messages and PDUs of this session that could not be decoded.
    pub errors: u64,
    /// Initiations of this session that were not recorded, because there were too many.
    #[serde(default)]
    pub ignored_initiations: u64,
    /// Peers and address families of this session beyond the tracked peer/family limit. Their routes are
    /// recorded, but may remain stale.
    pub untracked_peers: u64,
    /// Announcements during dumps whose routes were not remembered (`dump_memory_full`): repetitions of such
    /// a route count as part of the dump.
    #[serde(default)]
    pub untracked_dump_routes: u64,
    /// Messages that the router skipped in this session, by its sequence numbers (BMP version 4).
    #[serde(default)]
    pub skipped_messages: u64,
    /// TLVs of Route Monitoring messages of this session by type (BMP version 4); without those that are 0.
    #[serde(default)]
    pub route_tlvs: std::collections::BTreeMap<String, u64>,
    /// Bytes of the router in the log that are not delivered; those of earlier runs of the daemon are not
    /// counted.
    #[serde(default)]
    pub log_bytes: u64,
    /// Bytes per second that the router appends to the log, averaged over about 10 s.
    #[serde(default)]
    pub log_bytes_per_s: u64,
    /// Seconds since the router was stopped at its share of the log (ROUTER_LOG_SHARE); `None` if it is not
    /// paused. It is paused until it holds less than half of its share.
    #[serde(default)]
    pub log_paused_s: Option<f64>,
    /// Whether the router has announced a route in this session. BIRD does not re-send its table after a mere
    /// reconnect.
    pub dump_seen: bool,
    /// Transport of the session.
    #[serde(default)]
    pub transport: SessionTransport,
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
    /// Peer distinguisher, written as a route distinguisher; `0:0` for the global instance.
    pub distinguisher: String,
    /// AS number.
    pub asn: u32,
    /// BGP identifier.
    pub bgp_id: String,
    /// State of the peer.
    pub state: PeerState,
    /// Reason why the peer is stale; `None` if it is not.
    pub reason: Option<StaleReason>,
    /// Peer Downs of this session while the peer was up.
    #[serde(default)]
    pub downs: u64,
    /// The BGP session of the peer.
    #[serde(default)]
    pub bgp_session: BgpSession,
    /// Address families by RIB view.
    pub views: BTreeMap<String, Vec<Family>>,
}

/// The BGP session of a peer, as far as the current BMP session has messages about it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BgpSession {
    /// VRF or table name; empty if the router sent none.
    pub table_name: String,
    /// Time of the last Peer Up, in ISO 8601; `None` if there was none.
    pub up_since: Option<String>,
    /// The OPENs of that Peer Up; `None` if they are not kept. The document as JSON does not contain them.
    #[serde(skip)]
    pub opens: Option<Arc<Opens>>,
    /// The last Peer Downs while the peer was up, the newest last; at most [`PeerDownRecord::KEPT_MAX`]. The
    /// document as JSON does not contain them.
    #[serde(skip)]
    pub last_downs: Arc<[PeerDownRecord]>,
}

impl Peer {
    /// The address, with the distinguisher if there is one.
    #[must_use]
    pub fn name(&self) -> String {
        match self.distinguisher.as_str() {
            "0:0" => self.address.clone(),
            distinguisher => format!("{} rd {distinguisher}", self.address),
        }
    }

    /// The tables of the peer: the name of the RIB view, and the address family.
    pub fn tables(&self) -> impl Iterator<Item = (&str, &Family)> {
        self.views.iter().flat_map(|(view, families)| families.iter().map(move |one| (view.as_str(), one)))
    }
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

impl fmt::Display for Completeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Complete => "complete",
            Self::Assumed => "assumed complete",
            Self::Partial => "changes only",
            Self::None => "incomplete",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_read_alike_in_text_and_in_json() {
        for state in [PeerState::Up, PeerState::Down, PeerState::Stale] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.to_string());
        }
        for reason in [StaleReason::RouterNotConnected, StaleReason::NotReannounced] {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.to_string());
        }
    }
}
