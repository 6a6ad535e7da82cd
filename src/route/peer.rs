//! Who said it: routers, peers and RIB views.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A monitored router, as one BMP session shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Router {
    /// Identity across sessions: the configured name, else the sysName, else the source address.
    pub name: String,
    /// Source address of the BMP session.
    pub address: IpAddr,
    /// Source port of the BMP session.
    pub port: u16,
    /// When this BMP session began, in microseconds since the epoch, and at the same time its identity: the collector
    /// makes it strictly greater than that of every session it has logged before, even when the clock went back.
    pub session: Timestamp,
}

/// A RIB view: which table, before or after which policy (RFC 7854, 8671, 9069).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
#[repr(u8)]
pub enum RibView {
    /// Adj-RIB-In before import policy.
    AdjInPre = 0,
    /// Adj-RIB-In after import policy.
    AdjInPost = 1,
    /// Adj-RIB-Out before export policy (RFC 8671).
    AdjOutPre = 2,
    /// Adj-RIB-Out after export policy (RFC 8671).
    AdjOutPost = 3,
    /// Loc-RIB (RFC 9069).
    LocRib = 4,
    /// A peer type that no RFC defines: the view cannot be known.
    Unknown = 5,
}

impl From<RibView> for u8 {
    fn from(view: RibView) -> Self {
        view as Self
    }
}

impl TryFrom<u8> for RibView {
    type Error = &'static str;

    fn try_from(value: u8) -> Result<Self, Self::Error> {
        Ok(match value {
            0 => Self::AdjInPre,
            1 => Self::AdjInPost,
            2 => Self::AdjOutPre,
            3 => Self::AdjOutPost,
            4 => Self::LocRib,
            5 => Self::Unknown,
            _ => return Err("RIB view out of range 0..=5"),
        })
    }
}

impl fmt::Display for RibView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AdjInPre => "adj-in-pre",
            Self::AdjInPost => "adj-in-post",
            Self::AdjOutPre => "adj-out-pre",
            Self::AdjOutPost => "adj-out-post",
            Self::LocRib => "loc-rib",
            Self::Unknown => "unknown",
        })
    }
}

/// What identifies a peer within a router (RFC 7854 section 4.2): type, distinguisher and address. AS and BGP ID are
/// not part of it, because real routers send 0 for them at times (FRR's early Peer Down, GoBGP's Loc-RIB at exit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerKey {
    /// BMP peer type: 0 global, 1 RD, 2 local instance, 3 Loc-RIB; others are kept by number.
    pub peer_type: u8,
    /// Peer distinguisher (the RD of a VRF peer), as the 64-bit number on the wire.
    pub distinguisher: u64,
    /// Peer address; all zeros for a Loc-RIB.
    pub address: IpAddr,
}

/// One life of a peer: the BMP session and the generation of the peer within it.
///
/// Ordered by session, then generation, which is the order in which incarnations of one peer begin. A Peer Down ends all
/// routes of its incarnation and of earlier ones; a Peer Up begins a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation {
    /// Start of the BMP session, which identifies it.
    pub session: Timestamp,
    /// Number of Peer Ups and Peer Downs of the peer in that session; see [`Peer::generation`].
    pub generation: u32,
}

/// One view of one peer in one generation, as a batch names it. Rows point to these by index.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Peer {
    /// Identity within the router.
    pub key: PeerKey,
    /// Which of the peer's RIBs.
    pub view: RibView,
    /// AS number of the peer, as the per-peer header gives it.
    pub asn: u32,
    /// BGP identifier of the peer.
    pub bgp_id: Ipv4Addr,
    /// VRF or table name (RFC 9069 section 5.2.1, RFC 9736); empty when the router gave none.
    pub table_name: String,
    /// Session generation: 0 before the first Peer Up of this peer, then counted up within the BMP session at every
    /// Peer Up. Rows are ordered by (session, generation, seq, index).
    pub generation: u32,
}
