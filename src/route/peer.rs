//! Routers, peers and RIB views.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch, UTC. As the timestamp of a per-peer header, 0 means that the router
/// sent none (RFC 7854 section 4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

/// A monitored router in one BMP session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Router {
    /// Name that identifies the router across sessions: the configured name, else the sysName, else the
    /// source address.
    pub name: String,
    /// Source address of the BMP session.
    pub address: IpAddr,
    /// Source port of the BMP session.
    pub port: u16,
    /// Start of this BMP session, which also identifies it: strictly greater than that of every session that
    /// the log has recorded before, even if the clock was set back.
    pub session: Timestamp,
}

/// A RIB view: one of the tables of a peer, before or after policy (RFC 7854, RFC 8671, RFC 9069).
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
    /// The peer type is not assigned by any RFC, so that the view cannot be derived.
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

/// Address of a peer within a router (RFC 7854 section 4.2): type, distinguisher and address.
///
/// Several peers may share a key, such as unnumbered neighbours behind one link-local address;
/// [`PeerIdentity`] distinguishes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerKey {
    /// BMP peer type: 0 global instance, 1 RD instance, 2 local instance, 3 Loc-RIB; other values are kept.
    pub peer_type: u8,
    /// Peer distinguisher as a 64-bit number: the RD of a peer in a VRF, else 0.
    pub distinguisher: u64,
    /// Peer address; all zeros for a Loc-RIB.
    pub address: IpAddr,
}

/// Identity of a peer within a router: its key, AS number and BGP identifier.
///
/// Some routers send an AS number or BGP identifier of zero (FRR in an early Peer Down, GoBGP in its last
/// Loc-RIB messages), so zero stands for any value. A Loc-RIB is identified by distinguisher and BGP
/// identifier alone (RFC 9069 section 6.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerIdentity {
    /// Type, distinguisher and address.
    pub key: PeerKey,
    /// AS number; 0 if unknown.
    pub asn: u32,
    /// BGP identifier; 0.0.0.0 if unknown.
    pub bgp_id: Ipv4Addr,
}

impl PeerIdentity {
    /// Whether both may be the same peer: the keys are equal, and neither AS numbers nor BGP identifiers
    /// contradict each other.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        let is_loc_rib = self.key.peer_type == PeerKey::LOC_RIB;
        let same_asn = is_loc_rib || self.asn == other.asn || self.asn == 0 || other.asn == 0;
        let is_unknown = self.bgp_id.is_unspecified() || other.bgp_id.is_unspecified();
        self.key == other.key && same_asn && (is_unknown || self.bgp_id == other.bgp_id)
    }

    /// Whether the BGP identifier is unknown, or the AS number of a peer that is not a Loc-RIB.
    #[must_use]
    pub const fn has_zeros(&self) -> bool {
        self.bgp_id.is_unspecified() || (self.asn == 0 && self.key.peer_type != PeerKey::LOC_RIB)
    }

    /// Whether both are the same identity: equal, except for the AS number of a Loc-RIB.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let same_asn = self.key.peer_type == PeerKey::LOC_RIB || self.asn == other.asn;
        self.key == other.key && same_asn && self.bgp_id == other.bgp_id
    }

    /// Returns the index of the known peer that this identity belongs to: the one with the same identity,
    /// else the only one that matches. If several match, it belongs to none of them.
    ///
    /// The first record of an identity with zeros decides for the rest of the session, also if a second peer
    /// that matches appears later.
    pub fn find<'a>(&self, known: impl Iterator<Item = &'a Self>) -> Option<usize> {
        let mut only = None;
        let mut is_ambiguous = false;
        for (index, other) in known.enumerate().filter(|(_, other)| self.matches(other)) {
            if self.is_same(other) {
                return Some(index);
            }
            is_ambiguous |= only.replace(index).is_some();
        }
        only.filter(|_| !is_ambiguous)
    }

    /// Replaces zeros by the AS number and BGP identifier of a matching identity, and the AS number of a
    /// Loc-RIB by the newer one.
    pub const fn complete(&mut self, newer: &Self) {
        if newer.asn != 0 {
            self.asn = newer.asn;
        }
        if !newer.bgp_id.is_unspecified() {
            self.bgp_id = newer.bgp_id;
        }
    }
}

/// The period between two Peer Ups or Peer Downs of a peer: the BMP session and the generation of the peer
/// within it.
///
/// Ordered by session, then generation, which is the order in which incarnations of one peer begin. A Peer
/// Down ends all routes of its incarnation and of earlier ones; a Peer Up begins a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation {
    /// Start of the BMP session, which identifies it.
    pub session: Timestamp,
    /// Number of Peer Ups and Peer Downs of the peer in that session; see [`Peer::generation`].
    pub generation: u32,
}

impl PeerKey {
    /// Peer type of a Loc-RIB instance (RFC 9069 section 4.1).
    pub const LOC_RIB: u8 = 3;
}

impl Peer {
    /// The identity of the peer.
    #[must_use]
    pub const fn identity(&self) -> PeerIdentity {
        PeerIdentity { key: self.key, asn: self.asn, bgp_id: self.bgp_id }
    }
}

/// One RIB view of one peer in one generation. Rows and events of a batch refer to it by its index in
/// [`Batch::peers`](super::Batch::peers).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Peer {
    /// Identity within the router.
    pub key: PeerKey,
    /// RIB view.
    pub view: RibView,
    /// AS number of the peer from the per-peer header; 0 if the router sent none.
    pub asn: u32,
    /// BGP identifier of the peer from the per-peer header; 0.0.0.0 if the router sent none.
    pub bgp_id: Ipv4Addr,
    /// VRF or table name (RFC 9069 section 5.2.1, RFC 9736); empty if the router sent none.
    pub table_name: String,
    /// Number of Peer Ups and Peer Downs of this peer within the BMP session: 0 before the first one. Rows
    /// are ordered by (session, generation, sequence number, record index).
    pub generation: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_that_identifies_the_peer_counts_as_zero() {
        let identity = |peer_type, asn, bgp_id: u32| PeerIdentity {
            key: PeerKey { peer_type, distinguisher: 0, address: Ipv4Addr::new(192, 0, 2, 1).into() },
            asn,
            bgp_id: bgp_id.into(),
        };
        assert!(!identity(0, 65_001, 1).has_zeros());
        assert!(identity(0, 0, 1).has_zeros());
        assert!(identity(0, 65_001, 0).has_zeros());
        // The AS number of a Loc-RIB does not identify it.
        assert!(!identity(PeerKey::LOC_RIB, 0, 1).has_zeros());
        assert!(identity(PeerKey::LOC_RIB, 65_001, 0).has_zeros());
    }
}
