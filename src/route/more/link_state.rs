//! The BGP-LS Attribute (RFC 9552 section 5.3, RFC 8571, 9085, 9086, 9514).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::{Hex, joined};

/// One TLV.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LinkStateTlv {
    /// Type.
    pub kind: u16,
    /// What it says.
    pub value: LinkStateValue,
}

/// The value of a TLV, by its type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LinkStateValue {
    /// Names of nodes and links.
    Text(String),
    /// Router identifiers and addresses.
    Address(IpAddr),
    /// One number: metrics, flags, groups, delays.
    Number(u32),
    /// Several: SRLGs, route tags, algorithms.
    Numbers(Vec<u32>),
    /// Bandwidths in bytes per second, as the bits of IEEE floats.
    Bandwidths(Vec<u32>),
    /// SIDs of adjacencies, peers and prefixes (RFC 9085, 9086).
    Sid {
        /// Flags.
        flags: u8,
        /// Weight of an adjacency, algorithm of a prefix.
        weight: u8,
        /// Label (of three octets) or index (of four).
        sid: u32,
    },
    /// SR capabilities and local blocks: first label or index, and size of each range (RFC 9085).
    Ranges(Vec<(u32, u32)>),
    /// SRv6 SIDs of adjacencies (RFC 9514 section 4.1).
    EndX {
        /// Endpoint behaviour.
        behavior: u16,
        /// Algorithm.
        algorithm: u8,
        /// Weight.
        weight: u8,
        /// The SID.
        sid: Ipv6Addr,
    },
    /// SRv6 Locator (RFC 9514 section 5.1).
    Locator {
        /// Algorithm.
        algorithm: u8,
        /// Metric.
        metric: u32,
    },
    /// SRv6 Endpoint Behavior (RFC 9514 section 7.1).
    Behavior {
        /// Endpoint behaviour.
        behavior: u16,
        /// Algorithm.
        algorithm: u8,
    },
    /// SRv6 SID Structure: bits of block, node, function and argument (RFC 9514 section 8).
    Structure([u8; 4]),
    /// A type that is not typed here, or whose length is not that of its type.
    Raw(Vec<u8>),
}

/// The name of a TLV (IANA "BGP-LS NLRI and Attribute TLVs"), short; `None` for those that are not known.
#[must_use]
pub const fn link_state_name(kind: u16) -> Option<&'static str> {
    Some(match kind {
        266 => "node-msd",
        267 => "link-msd",
        1024 => "node-flags",
        1025 => "opaque-node",
        1026 => "node-name",
        1027 => "isis-area",
        1028 => "ipv4-router-id",
        1029 => "ipv6-router-id",
        1030 => "remote-ipv4-router-id",
        1031 => "remote-ipv6-router-id",
        1034 => "sr-capabilities",
        1035 => "sr-algorithm",
        1036 => "sr-local-block",
        1037 => "srms-preference",
        1038 => "srv6-capabilities",
        1039 => "flex-algorithm",
        1044 => "flex-algorithm-prefix-metric",
        1088 => "admin-group",
        1089 => "max-bandwidth",
        1090 => "max-reservable-bandwidth",
        1091 => "unreserved-bandwidth",
        1092 => "te-metric",
        1093 => "protection",
        1094 => "mpls-protocols",
        1095 => "igp-metric",
        1096 => "srlg",
        1097 => "opaque-link",
        1098 => "link-name",
        1099 => "adj-sid",
        1100 => "lan-adj-sid",
        1101 => "peer-node-sid",
        1102 => "peer-adj-sid",
        1103 => "peer-set-sid",
        1106 => "srv6-end-x-sid",
        1107 => "isis-srv6-lan-end-x-sid",
        1108 => "ospfv3-srv6-lan-end-x-sid",
        1114 => "delay",
        1115 => "min-max-delay",
        1116 => "delay-variation",
        1117 => "loss",
        1118 => "residual-bandwidth",
        1119 => "available-bandwidth",
        1120 => "utilized-bandwidth",
        1122 => "application-attributes",
        1152 => "igp-flags",
        1153 => "route-tag",
        1154 => "extended-route-tag",
        1155 => "prefix-metric",
        1156 => "ospf-forwarding-address",
        1157 => "opaque-prefix",
        1158 => "prefix-sid",
        1159 => "range",
        1161 => "sid",
        1162 => "srv6-locator",
        1170 => "prefix-flags",
        1171 => "source-router-id",
        1172 => "l2-bundle-member",
        1173 => "extended-admin-group",
        1174 => "source-ospf-router-id",
        1250 => "srv6-endpoint-behavior",
        1251 => "srv6-peer-node-sid",
        1252 => "srv6-sid-structure",
        _ => return None,
    })
}

impl fmt::Display for LinkStateTlv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match link_state_name(self.kind) {
            Some(name) => write!(f, "{name}=")?,
            None => write!(f, "{}=", self.kind)?,
        }
        self.value.fmt(f)
    }
}

impl fmt::Display for LinkStateValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Address(address) => address.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Numbers(numbers) => joined(f, ",", numbers),
            Self::Bandwidths(bits) => {
                joined(f, ",", &bits.iter().map(|bits| f32::from_bits(*bits)).collect::<Vec<_>>())
            }
            Self::Sid { flags, weight, sid } => write!(f, "{sid}(flags {flags:#04x}, {weight})"),
            Self::Ranges(ranges) => ranges.iter().enumerate().try_for_each(|(place, (first, size))| {
                write!(f, "{}{first}+{size}", if place == 0 { "" } else { "," })
            }),
            Self::EndX { behavior, algorithm, weight, sid } => {
                write!(f, "{sid}(behavior {behavior:#06x}, algorithm {algorithm}, weight {weight})")
            }
            Self::Locator { algorithm, metric } => write!(f, "(algorithm {algorithm}, metric {metric})"),
            Self::Behavior { behavior, algorithm } => write!(f, "{behavior:#06x}(algorithm {algorithm})"),
            Self::Structure([block, node, function, argument]) => {
                write!(f, "{block}/{node}/{function}/{argument}")
            }
            Self::Raw(bytes) => Hex(bytes).fmt(f),
        }
    }
}
