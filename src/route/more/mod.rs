//! Path attributes that few routes have: typed, and told as text.
//!
//! ```text
//! More ─┬─ PmsiTunnel                 22   RFC 6514
//!       ├─ TunnelEncapsulation        23   RFC 9012, RFC 9830 (SR policies)
//!       ├─ Ipv6ExtendedCommunities    25   RFC 5701
//!       ├─ LinkState                  29   RFC 9552, 9085, 9086, 9514
//!       ├─ PrefixSid                  40   RFC 8669, RFC 9252
//!       └─ AttrSet                   128   RFC 6368: a whole set of its own
//! ```

mod link_state;
mod prefix_sid;
mod tunnel;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::Attributes;

pub use link_state::{LinkStateTlv, LinkStateValue, link_state_name};
pub use prefix_sid::{PrefixSidTlv, ServiceSid};
pub use tunnel::{Tunnel, TunnelTlv, tunnel_name};

/// One attribute. Its bytes stand in [`Attributes::raw`] too.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum More {
    /// PMSI_TUNNEL.
    PmsiTunnel(PmsiTunnel),
    /// Tunnel Encapsulation.
    TunnelEncapsulation(Vec<Tunnel>),
    /// IPv6 Address Specific Extended Communities, in the order sent.
    Ipv6ExtendedCommunities(Vec<Ipv6ExtendedCommunity>),
    /// BGP-LS Attribute.
    LinkState(Vec<LinkStateTlv>),
    /// BGP Prefix-SID.
    PrefixSid(Vec<PrefixSidTlv>),
    /// ATTR_SET.
    AttrSet {
        /// AS of the customer network.
        origin_as: u32,
        /// Its attributes.
        attributes: Box<Attributes>,
    },
}

/// PMSI_TUNNEL (RFC 6514 section 5).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PmsiTunnel {
    /// Flags.
    pub flags: u8,
    /// Tunnel type by its IANA number.
    pub kind: u8,
    /// The 24-bit field as it came: an MPLS label in its upper 20 bits, or a VNI.
    pub label: u32,
    /// Tunnel identifier; its form depends on the type.
    pub identifier: Vec<u8>,
}

/// An IPv6 Address Specific Extended Community (RFC 5701 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ipv6ExtendedCommunity {
    /// 0x00 transitive, 0x40 not.
    pub kind: u8,
    /// Sub-type.
    pub sub: u8,
    /// Global administrator.
    pub global: Ipv6Addr,
    /// Local administrator.
    pub local: u16,
}

/// The IANA name of a path attribute; `None` for a code that is not registered.
#[must_use]
pub const fn attribute_name(code: u8) -> Option<&'static str> {
    Some(match code {
        1 => "ORIGIN",
        2 => "AS_PATH",
        3 => "NEXT_HOP",
        4 => "MULTI_EXIT_DISC",
        5 => "LOCAL_PREF",
        6 => "ATOMIC_AGGREGATE",
        7 => "AGGREGATOR",
        8 => "COMMUNITIES",
        9 => "ORIGINATOR_ID",
        10 => "CLUSTER_LIST",
        14 => "MP_REACH_NLRI",
        15 => "MP_UNREACH_NLRI",
        16 => "EXTENDED_COMMUNITIES",
        17 => "AS4_PATH",
        18 => "AS4_AGGREGATOR",
        22 => "PMSI_TUNNEL",
        23 => "TUNNEL_ENCAPSULATION",
        24 => "TRAFFIC_ENGINEERING",
        25 => "IPV6_EXTENDED_COMMUNITIES",
        26 => "AIGP",
        27 => "PE_DISTINGUISHER_LABELS",
        29 => "BGP_LS",
        32 => "LARGE_COMMUNITIES",
        33 => "BGPSEC_PATH",
        34 => "COMMUNITY_CONTAINER",
        35 => "ONLY_TO_CUSTOMER",
        36 => "D_PATH",
        37 => "SFP",
        38 => "BFD_DISCRIMINATOR",
        39 => "ROUTER_CAPABILITIES",
        40 => "PREFIX_SID",
        41 => "BIER",
        128 => "ATTR_SET",
        _ => return None,
    })
}

/// Bytes in hex behind `0x`.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An address of four or sixteen octets.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

fn joined<T: fmt::Display>(f: &mut fmt::Formatter<'_>, between: &str, items: &[T]) -> fmt::Result {
    items.iter().enumerate().try_for_each(|(place, item)| {
        f.write_str(if place == 0 { "" } else { between })?;
        item.fmt(f)
    })
}

/// The name of the attribute, then what it says.
impl fmt::Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PmsiTunnel(tunnel) => write!(f, "PMSI_TUNNEL {tunnel}"),
            Self::TunnelEncapsulation(tunnels) => {
                f.write_str("TUNNEL_ENCAPSULATION ")?;
                joined(f, "; ", tunnels)
            }
            Self::Ipv6ExtendedCommunities(communities) => {
                f.write_str("IPV6_EXTENDED_COMMUNITIES ")?;
                joined(f, " ", communities)
            }
            Self::LinkState(tlvs) => {
                f.write_str("BGP_LS ")?;
                joined(f, " ", tlvs)
            }
            Self::PrefixSid(tlvs) => {
                f.write_str("PREFIX_SID ")?;
                joined(f, " ", tlvs)
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

impl fmt::Display for PmsiTunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            0 => f.write_str("none"),
            1 => f.write_str("rsvp-te-p2mp"),
            2 => f.write_str("mldp-p2mp"),
            3 => f.write_str("pim-ssm"),
            4 => f.write_str("pim-sm"),
            5 => f.write_str("bidir-pim"),
            6 => f.write_str("ingress-replication"),
            7 => f.write_str("mldp-mp2mp"),
            8 => f.write_str("transport-tunnel"),
            10 => f.write_str("assisted-replication"),
            11 => f.write_str("bier"),
            kind => write!(f, "type {kind}"),
        }?;
        write!(f, " label={}", self.label)?;
        let id = self.identifier.as_slice();
        match (address(id), id.split_at_checked(id.len() / 2)) {
            _ if id.is_empty() => Ok(()),
            (Some(address), _) => write!(f, " {address}"),
            (None, Some((source, group))) if matches!(self.kind, 3..=5) => {
                match address(source).zip(address(group)) {
                    Some((source, group)) => write!(f, " {source} {group}"),
                    None => write!(f, " {}", Hex(id)),
                }
            }
            _ => write!(f, " {}", Hex(id)),
        }
    }
}

/// `RT:2001:db8::1:100`; what is not named as hex of type and sub-type.
impl fmt::Display for Ipv6ExtendedCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.sub) {
            (0, 0x02) => f.write_str("RT"),
            (0, 0x03) => f.write_str("RO"),
            (0, 0x0b) => f.write_str("VRF-Route-Import"),
            (0, 0x0c) => f.write_str("Redirect-IP"),
            (0, 0x0d) => f.write_str("Redirect"),
            (0, 0x12) => f.write_str("P2MP-Next-Hop"),
            (kind, sub) => write!(f, "0x{kind:02x}{sub:02x}"),
        }?;
        write!(f, ":{}:{}", self.global, self.local)
    }
}
