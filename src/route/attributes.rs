//! Path attributes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::More;

/// One set of path attributes, as the router sent it. What was absent is `None` or empty; nothing is repaired.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attributes {
    /// ORIGIN (RFC 4271): 0 IGP, 1 EGP, 2 INCOMPLETE.
    pub origin: Option<u8>,
    /// AS_PATH with AS4_PATH merged in where the session is 2-octet (RFC 6793). `None` when absent.
    pub as_path: Option<AsPath>,
    /// NEXT_HOP, or the next hop of MP_REACH_NLRI (its global address).
    pub next_hop: Option<IpAddr>,
    /// The link-local next hop that RFC 2545 allows beside the global one.
    pub next_hop_link_local: Option<Ipv6Addr>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF.
    pub local_pref: Option<u32>,
    /// ATOMIC_AGGREGATE was there.
    pub atomic_aggregate: bool,
    /// AGGREGATOR, with AS4_AGGREGATOR merged in.
    pub aggregator: Option<Aggregator>,
    /// COMMUNITIES (RFC 1997), in the order sent.
    pub communities: Vec<u32>,
    /// EXTENDED COMMUNITIES (RFC 4360), in the order sent.
    pub extended_communities: Vec<[u8; 8]>,
    /// LARGE_COMMUNITIES (RFC 8092), in the order sent.
    pub large_communities: Vec<[u32; 3]>,
    /// ORIGINATOR_ID (RFC 4456).
    pub originator_id: Option<Ipv4Addr>,
    /// CLUSTER_LIST (RFC 4456).
    pub cluster_list: Vec<Ipv4Addr>,
    /// AIGP metric (RFC 7311, TLV 1).
    pub aigp: Option<u64>,
    /// Only to Customer (RFC 9234).
    pub only_to_customer: Option<u32>,
    /// Every attribute that is not named above, as it came.
    pub raw: Vec<RawAttribute>,
    /// Those of them that are understood.
    pub more: Vec<More>,
    /// Mandatory attributes that were not there, by type code: ORIGIN, AS_PATH, NEXT_HOP.
    pub missing: Vec<u8>,
    /// Why an attribute was left out (RFC 7606 attribute-discard), and why the routes count as withdrawn
    /// (treat-as-withdraw): text with the type code and the place. Empty when nothing was wrong.
    pub discarded: Vec<String>,
}

/// AGGREGATOR (RFC 4271 section 5.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Aggregator {
    /// The AS that formed the aggregate.
    pub asn: u32,
    /// The BGP speaker that did.
    pub address: Ipv4Addr,
}

/// An attribute kept as bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RawAttribute {
    /// Flags octet.
    pub flags: u8,
    /// Type code.
    pub code: u8,
    /// Value.
    pub value: Vec<u8>,
}

/// An AS path: the AS numbers in one row, and how they are cut into segments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AsPath {
    /// All AS numbers, segment after segment.
    pub asns: Vec<u32>,
    /// The segments. Their counts sum to `asns.len()`. Zero segments is the empty path of a local route.
    pub segments: Vec<Segment>,
}

/// One segment of an AS path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Segment {
    /// Its kind.
    pub kind: SegmentKind,
    /// How many AS numbers it has.
    pub count: u16,
}

/// Kinds of AS path segments (RFC 4271, RFC 5065).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
#[repr(u8)]
pub enum SegmentKind {
    /// AS_SET.
    Set = 1,
    /// AS_SEQUENCE.
    Sequence = 2,
    /// AS_CONFED_SEQUENCE.
    ConfedSequence = 3,
    /// AS_CONFED_SET.
    ConfedSet = 4,
}

impl From<SegmentKind> for u8 {
    fn from(kind: SegmentKind) -> Self {
        kind as Self
    }
}

impl TryFrom<u8> for SegmentKind {
    type Error = &'static str;

    fn try_from(value: u8) -> Result<Self, Self::Error> {
        Ok(match value {
            1 => Self::Set,
            2 => Self::Sequence,
            3 => Self::ConfedSequence,
            4 => Self::ConfedSet,
            _ => return Err("AS path segment type out of range 1..=4"),
        })
    }
}

impl AsPath {
    /// The segments, each with its AS numbers.
    pub fn iter(&self) -> impl Iterator<Item = (SegmentKind, &[u32])> {
        let mut rest = self.asns.as_slice();
        self.segments.iter().map(move |segment| {
            let (head, tail) = rest.split_at_checked(usize::from(segment.count)).unwrap_or((rest, &[]));
            rest = tail;
            (segment.kind, head)
        })
    }

    /// The AS that originated the route: the last AS of the path when it ends in a sequence. `None` for an empty path
    /// or one that ends in a set, whose origin is not known.
    #[must_use]
    pub fn origin_as(&self) -> Option<u32> {
        let (kind, asns) = self.iter().last()?;
        (kind == SegmentKind::Sequence).then_some(asns.last().copied()).flatten()
    }
}

/// As operators write it: `65001 65002 {65003,65004} (65005 65006) [65007,65008]`, braces for sets, round brackets for
/// confederation sequences, square ones for confederation sets.
impl fmt::Display for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (kind, asns)) in self.iter().enumerate() {
            let (open, between, close) = match kind {
                SegmentKind::Set => ("{", ",", "}"),
                SegmentKind::Sequence => ("", " ", ""),
                SegmentKind::ConfedSequence => ("(", " ", ")"),
                SegmentKind::ConfedSet => ("[", ",", "]"),
            };
            f.write_str(if number == 0 { "" } else { " " })?;
            f.write_str(open)?;
            for (place, asn) in asns.iter().enumerate() {
                write!(f, "{}{asn}", if place == 0 { "" } else { between })?;
            }
            f.write_str(close)?;
        }
        Ok(())
    }
}
