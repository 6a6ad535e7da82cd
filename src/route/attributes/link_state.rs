//! The BGP-LS Attribute (RFC 9552 section 5.3, RFC 8571, RFC 9085, RFC 9086, RFC 9514).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::hex::Hex;
use crate::route::text::{LabelRange, write_joined};

/// One TLV of a BGP-LS attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LinkStateTlv {
    /// TLV type (IANA "BGP-LS NLRI and Attribute TLVs").
    pub kind: u16,
    /// Value.
    pub value: LinkStateValue,
}

/// The value of a BGP-LS attribute TLV, decoded by its type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LinkStateValue {
    /// Name of a node or link.
    Text(String),
    /// Router identifier or address.
    Address(IpAddr),
    /// One number: a metric, flags, a group, or a delay or loss of 24 bits below its flags.
    Number(u32),
    /// Several numbers: SRLGs, route tags, algorithms, or minimum and maximum delay.
    Numbers(Vec<u32>),
    /// Bandwidths in bytes per second, as the bit patterns of IEEE 754 single-precision numbers.
    Bandwidths(Vec<u32>),
    /// SID of an adjacency, peer or prefix (RFC 9085 sections 2.2.1 and 2.3.1, RFC 9086 section 5).
    Sid {
        /// Flags octet.
        flags: u8,
        /// Weight of an adjacency or peer, or algorithm of a prefix.
        weight: u8,
        /// 20-bit label (value of three octets) or 32-bit index (value of four octets).
        sid: u32,
    },
    /// SR Capabilities or SR Local Block: first label or index, and size of each range (RFC 9085 sections
    /// 2.1.2 and 2.1.4).
    Ranges(Vec<(u32, u32)>),
    /// SRv6 End.X SID (RFC 9514 section 4.1).
    EndX {
        /// Endpoint behavior (IANA "SRv6 Endpoint Behaviors").
        behavior: u16,
        /// IGP algorithm.
        algorithm: u8,
        /// Weight for load balancing.
        weight: u8,
        /// SRv6 SID.
        sid: Ipv6Addr,
    },
    /// SRv6 Locator (RFC 9514 section 5.1).
    Locator {
        /// IGP algorithm.
        algorithm: u8,
        /// Metric of the locator.
        metric: u32,
    },
    /// SRv6 Endpoint Behavior (RFC 9514 section 7.1).
    Behavior {
        /// Endpoint behavior (IANA "SRv6 Endpoint Behaviors").
        behavior: u16,
        /// IGP algorithm.
        algorithm: u8,
    },
    /// SRv6 SID Structure: lengths in bits of locator block, locator node, function and argument (RFC 9514
    /// section 8).
    Structure([u8; 4]),
    /// Undecoded value: of a type without a decoder, or of a length that does not fit the type.
    Raw(Vec<u8>),
}

/// Bits of a delay, delay variation or loss (RFC 8571 section 2).
const MEASUREMENT_BITS: u32 = 0xff_ffff;
/// The A bit: the measurement exceeds its configured maximum.
const ANOMALOUS: u32 = 1 << 31;

/// A short name of a BGP-LS attribute TLV; `None` for a type without a name.
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
        match (self.kind, &self.value) {
            (1114 | 1117, LinkStateValue::Number(field)) => write_measured(f, &[*field]),
            // A delay variation has no A bit (RFC 8571 section 2.3).
            (1116, LinkStateValue::Number(field)) => (field & MEASUREMENT_BITS).fmt(f),
            (1115, LinkStateValue::Numbers(fields)) => write_measured(f, fields),
            _ => self.value.fmt(f),
        }
    }
}

/// Writes measurements of 24 bits (RFC 8571 section 2), whose upper octet has the A bit, in the first field,
/// and reserved bits.
fn write_measured(f: &mut fmt::Formatter<'_>, fields: &[u32]) -> fmt::Result {
    write_joined(f, ",", fields.iter().map(|field| field & MEASUREMENT_BITS))?;
    match fields.first() {
        Some(first) if first & ANOMALOUS != 0 => f.write_str("(anomalous)"),
        _ => Ok(()),
    }
}

impl fmt::Display for LinkStateValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Address(address) => address.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Numbers(numbers) => write_joined(f, ",", numbers),
            Self::Bandwidths(bits) => write_joined(f, ",", bits.iter().copied().map(f32::from_bits)),
            Self::Sid { flags, weight, sid } => write!(f, "{sid}(flags {flags:#04x}, {weight})"),
            Self::Ranges(ranges) => write_joined(f, ",", ranges.iter().copied().map(LabelRange)),
            Self::EndX { behavior, algorithm, weight, sid } => {
                write!(f, "{sid}(behavior {behavior:#06x}, algorithm {algorithm}, weight {weight})")
            }
            Self::Locator { algorithm, metric } => write!(f, "(algorithm {algorithm}, metric {metric})"),
            Self::Behavior { behavior, algorithm } => write!(f, "{behavior:#06x}(algorithm {algorithm})"),
            Self::Structure([block, node, function, argument]) => {
                write!(f, "{block}/{node}/{function}/{argument}")
            }
            Self::Raw(bytes) => write!(f, "0x{}", Hex(bytes)),
        }
    }
}
