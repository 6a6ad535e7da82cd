//! Tunnel Encapsulation (RFC 9012), with the sub-TLVs of SR policies (RFC 9830).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::hex::Hex;
use crate::route::address::address_from_octets;

/// One tunnel of a Tunnel Encapsulation attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tunnel {
    /// Tunnel type (IANA "BGP Tunnel Encapsulation Attribute Tunnel Types").
    pub kind: u16,
    /// Sub-TLVs in the order sent.
    pub tlvs: Vec<TunnelTlv>,
}

/// One sub-TLV of a tunnel, undecoded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TunnelTlv {
    /// Sub-TLV type (IANA "BGP Tunnel Encapsulation Attribute Sub-TLVs").
    pub kind: u8,
    /// Value.
    pub value: Vec<u8>,
}

/// The name of a tunnel type; `None` for a type without a name.
#[must_use]
pub const fn tunnel_name(kind: u16) -> Option<&'static str> {
    Some(match kind {
        1 => "L2TPv3",
        2 => "GRE",
        7 => "IP-in-IP",
        8 => "VXLAN",
        9 => "NVGRE",
        10 => "MPLS",
        11 => "MPLS-in-GRE",
        12 => "VXLAN-GPE",
        13 => "MPLS-in-UDP",
        14 => "IPv6-Tunnel",
        15 => "SR-Policy",
        17 => "Bare",
        18 => "SR-Tunnel",
        19 => "GENEVE",
        25 => "ANY-Encapsulation",
        _ => return None,
    })
}

/// The name of a sub-TLV type; `None` for a type without a name.
const fn sub_tlv_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        1 => "encapsulation",
        2 => "protocol-type",
        4 => "color",
        5 => "load-balancing-block",
        6 => "egress-endpoint",
        7 => "ds-field",
        8 => "udp-port",
        9 => "embedded-label-handling",
        10 => "label-stack",
        11 => "prefix-sid",
        12 => "preference",
        13 => "binding-sid",
        14 => "enlp",
        15 => "priority",
        20 => "srv6-binding-sid",
        128 => "segment-list",
        129 => "candidate-path-name",
        130 => "policy-name",
        _ => return None,
    })
}

impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match tunnel_name(self.kind) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "type {}", self.kind)?,
        }
        self.tlvs.iter().try_for_each(|tlv| write!(f, " {tlv}"))
    }
}

impl fmt::Display for TunnelTlv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match sub_tlv_name(self.kind) {
            Some(name) => write!(f, "{name}=")?,
            None => write!(f, "{}=", self.kind)?,
        }
        match (self.kind, self.value.as_slice()) {
            // RFC 9012 section 3.4.2: the value of a Color sub-TLV is a Color Extended Community.
            (4, &[_, _, _, _, a, b, c, d]) | (12, &[_, _, a, b, c, d]) => {
                u32::from_be_bytes([a, b, c, d]).fmt(f)
            }
            (8, &[a, b]) => u16::from_be_bytes([a, b]).fmt(f),
            (15, &[priority, _]) => priority.fmt(f),
            (6, [_, _, _, _, _, _, endpoint @ ..]) => match address_from_octets(endpoint) {
                Some(endpoint) => endpoint.fmt(f),
                None if endpoint.is_empty() => f.write_str("self"),
                None => write!(f, "0x{}", Hex(&self.value)),
            },
            (129 | 130, [_, name @ ..]) => String::from_utf8_lossy(name).replace('\0', "\u{fffd}").fmt(f),
            (_, value) => write!(f, "0x{}", Hex(value)),
        }
    }
}
