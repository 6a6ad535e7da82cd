//! Path attributes: one attribute set, and the attributes that few routes have.
//!
//! ```text
//! Attributes ─┬─ one field for each attribute of unicast routes
//!             ├─ raw     [ RawAttribute, … ]    attributes without a field, undecoded
//!             └─ rare    [ RareAttribute, … ]   the decoded ones of these:
//!                  ├─ PmsiTunnel                 22   RFC 6514
//!                  ├─ TunnelEncapsulation        23   RFC 9012, RFC 9830 (SR policies)
//!                  ├─ Ipv6ExtendedCommunities    25   RFC 5701
//!                  ├─ LinkState                  29   RFC 9552, RFC 9085, RFC 9086, RFC 9514
//!                  ├─ PrefixSid                  40   RFC 8669, RFC 9252
//!                  └─ AttrSet                   128   RFC 6368: a nested attribute set
//! ```

mod as_path;
pub mod attribute_code;
mod communities;
mod ipv6_extended_communities;
mod link_state;
mod pmsi_tunnel;
mod prefix_sid;
mod tunnel_encapsulation;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::text::write_joined;

pub use as_path::{AsPath, AsPathSegment, SegmentKind};
pub use attribute_code::attribute_name;
pub use communities::{
    community_text, extended_community_name, extended_community_text, large_community_text,
};
pub use ipv6_extended_communities::Ipv6ExtendedCommunity;
pub use link_state::{LinkStateTlv, LinkStateValue, link_state_name};
pub use pmsi_tunnel::PmsiTunnel;
pub use prefix_sid::{PrefixSidTlv, ServiceSid};
pub use tunnel_encapsulation::{Tunnel, TunnelTlv, tunnel_name};

/// One set of path attributes as the router sent it. An absent attribute is `None` or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attributes {
    /// ORIGIN (RFC 4271 section 5.1.1): 0 IGP, 1 EGP, 2 INCOMPLETE.
    pub origin: Option<u8>,
    /// AS_PATH, with AS4_PATH merged in on a session with two-octet AS numbers (RFC 6793 section 4.2.3).
    pub as_path: Option<AsPath>,
    /// Next hop: the global address in MP_REACH_NLRI, else NEXT_HOP.
    pub next_hop: Option<IpAddr>,
    /// Link-local address beside the global next hop (RFC 2545 section 3).
    pub next_hop_link_local: Option<Ipv6Addr>,
    /// MULTI_EXIT_DISC (RFC 4271 section 5.1.4).
    pub med: Option<u32>,
    /// LOCAL_PREF (RFC 4271 section 5.1.5).
    pub local_pref: Option<u32>,
    /// True if ATOMIC_AGGREGATE is present (RFC 4271 section 5.1.6).
    pub atomic_aggregate: bool,
    /// AGGREGATOR, with AS4_AGGREGATOR merged in on a session with two-octet AS numbers.
    pub aggregator: Option<Aggregator>,
    /// COMMUNITIES (RFC 1997), in the order sent.
    pub communities: Vec<u32>,
    /// EXTENDED COMMUNITIES (RFC 4360), in the order sent.
    pub extended_communities: Vec<[u8; 8]>,
    /// LARGE_COMMUNITY (RFC 8092), in the order sent.
    pub large_communities: Vec<[u32; 3]>,
    /// ORIGINATOR_ID (RFC 4456 section 8).
    pub originator_id: Option<Ipv4Addr>,
    /// CLUSTER_LIST (RFC 4456 section 8), in the order sent.
    pub cluster_list: Vec<Ipv4Addr>,
    /// Accumulated IGP metric: the first AIGP TLV (RFC 7311 section 3).
    pub aigp: Option<u64>,
    /// Only to Customer: the AS that attached it (RFC 9234 section 5).
    pub only_to_customer: Option<u32>,
    /// Undecoded bytes of every attribute that has no field above, in the order sent.
    pub raw: Vec<RawAttribute>,
    /// Decoded forms of attributes in `raw`, in the order sent.
    pub rare: Vec<RareAttribute>,
    /// Type codes of absent mandatory attributes: ORIGIN, AS_PATH, NEXT_HOP (RFC 4271 section 5).
    pub missing: Vec<u8>,
    /// One reason per attribute that was left out (attribute-discard, RFC 7606), and the reason why the
    /// routes count as withdrawn (treat-as-withdraw). A reason names the attribute, its type code and its
    /// byte offset.
    pub discarded: Vec<String>,
}

/// AGGREGATOR (RFC 4271 section 5.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Aggregator {
    /// AS number of the aggregating speaker.
    pub asn: u32,
    /// Address of the aggregating speaker.
    pub address: Ipv4Addr,
}

/// An undecoded attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RawAttribute {
    /// Flags octet (RFC 4271 section 4.3).
    pub flags: u8,
    /// Type code.
    pub code: u8,
    /// Value.
    pub value: Vec<u8>,
}

/// A decoded attribute that few routes have. Its bytes are in [`Attributes::raw`] as well.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RareAttribute {
    /// PMSI_TUNNEL (RFC 6514 section 5).
    PmsiTunnel(PmsiTunnel),
    /// Tunnel Encapsulation (RFC 9012 section 2), in the order sent.
    TunnelEncapsulation(Vec<Tunnel>),
    /// IPv6 Address Specific Extended Communities (RFC 5701), in the order sent.
    Ipv6ExtendedCommunities(Vec<Ipv6ExtendedCommunity>),
    /// BGP-LS Attribute (RFC 9552 section 5.3): its TLVs in the order sent.
    LinkState(Vec<LinkStateTlv>),
    /// BGP Prefix-SID (RFC 8669 section 3): its TLVs in the order sent.
    PrefixSid(Vec<PrefixSidTlv>),
    /// ATTR_SET (RFC 6368 section 5).
    AttrSet {
        /// AS number of the customer network.
        origin_as: u32,
        /// Attributes of the route within the customer network.
        attributes: Box<Attributes>,
    },
}

/// The name of the attribute, then its contents.
impl fmt::Display for RareAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PmsiTunnel(tunnel) => write!(f, "PMSI_TUNNEL {tunnel}"),
            Self::TunnelEncapsulation(tunnels) => {
                f.write_str("TUNNEL_ENCAPSULATION ")?;
                write_joined(f, "; ", tunnels)
            }
            Self::Ipv6ExtendedCommunities(communities) => {
                f.write_str("IPV6_EXTENDED_COMMUNITIES ")?;
                write_joined(f, " ", communities)
            }
            Self::LinkState(tlvs) => {
                f.write_str("BGP_LS ")?;
                write_joined(f, " ", tlvs)
            }
            Self::PrefixSid(tlvs) => {
                f.write_str("PREFIX_SID ")?;
                write_joined(f, " ", tlvs)
            }
            Self::AttrSet { origin_as, attributes } => {
                write!(f, "ATTR_SET origin-as={origin_as}")?;
                if let Some(path) = &attributes.as_path {
                    write!(f, " as-path=\"{path}\"")?;
                }
                attributes.local_pref.iter().try_for_each(|pref| write!(f, " local-pref={pref}"))?;
                attributes.med.iter().try_for_each(|med| write!(f, " med={med}"))
            }
        }
    }
}
