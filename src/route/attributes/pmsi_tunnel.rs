//! PMSI_TUNNEL (RFC 6514 section 5).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::hex::Hex;
use crate::route::address::address_from_octets;

/// A provider multicast service interface tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PmsiTunnel {
    /// Flags octet.
    pub flags: u8,
    /// Tunnel type (IANA "P-Multicast Service Interface Tunnel Tunnel Types").
    pub kind: u8,
    /// The 24-bit label field: an MPLS label in its upper 20 bits, or a VNI.
    pub label: u32,
    /// Tunnel identifier; its form depends on the tunnel type.
    pub identifier: Vec<u8>,
}

/// The tunnel type, then both readings of the label field, because only the encapsulation decides between
/// them: `label=257 vni=4113` (RFC 6514 section 5, RFC 8365 section 5.1.3), and the identifier.
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
        write!(f, " label={}", self.label >> 4)?;
        if self.label != 0 {
            write!(f, " vni={}", self.label)?;
        }
        let id = self.identifier.as_slice();
        match (address_from_octets(id), id.split_at_checked(id.len() / 2)) {
            _ if id.is_empty() => Ok(()),
            (Some(address), _) => write!(f, " {address}"),
            (None, Some((source, group))) if matches!(self.kind, 3..=5) => {
                match address_from_octets(source).zip(address_from_octets(group)) {
                    Some((source, group)) => write!(f, " {source} {group}"),
                    None => write!(f, " 0x{}", Hex(id)),
                }
            }
            _ => write!(f, " 0x{}", Hex(id)),
        }
    }
}
