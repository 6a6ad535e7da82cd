//! EVPN routes (RFC 7432, RFC 9136).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use super::Prefix;

/// A route distinguisher (RFC 4364 section 4.2), its eight octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rd(pub [u8; 8]);

/// `65000:1` (types 0 and 2) or `192.0.2.1:1` (type 1); any other type in hex.
impl fmt::Display for Rd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [t0, t1, a, b, c, d, e, g] = self.0;
        match u16::from_be_bytes([t0, t1]) {
            0 => write!(f, "{}:{}", u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, g])),
            1 => write!(f, "{}:{}", Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([e, g])),
            2 => write!(f, "{}:{}", u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, g])),
            _ => write!(f, "0x{:016x}", u64::from_be_bytes(self.0)),
        }
    }
}

/// An Ethernet segment identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Esi(pub [u8; 10]);

/// Ten octets in hex, with colons.
impl fmt::Display for Esi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        colon_hex(f, &self.0)
    }
}

/// A MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mac(pub [u8; 6]);

/// Six octets in hex, with colons.
impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        colon_hex(f, &self.0)
    }
}

fn colon_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for (place, byte) in bytes.iter().enumerate() {
        write!(f, "{}{byte:02x}", if place == 0 { "" } else { ":" })?;
    }
    Ok(())
}

/// An EVPN route. Labels, and what RFC 7432 section 7 leaves out of the key, are stored but do not identify the route:
/// see [`EvpnRoute::key`]. A label is the 24-bit field as it came: an MPLS label sits in its upper 20 bits, a VNI fills
/// it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EvpnRoute {
    /// Type 1, Ethernet Auto-Discovery.
    AutoDiscovery {
        /// Route distinguisher.
        rd: Rd,
        /// Ethernet segment; part of the key.
        esi: Esi,
        /// Ethernet tag; part of the key.
        tag: u32,
        /// MPLS label or VNI.
        label: u32,
    },
    /// Type 2, MAC/IP Advertisement.
    MacIp {
        /// Route distinguisher.
        rd: Rd,
        /// Ethernet segment; not part of the key.
        esi: Esi,
        /// Ethernet tag; part of the key.
        tag: u32,
        /// MAC address; part of the key.
        mac: Mac,
        /// IP address, if any; part of the key.
        ip: Option<IpAddr>,
        /// First label or VNI.
        label: u32,
        /// Second label or VNI, if any.
        label2: Option<u32>,
    },
    /// Type 3, Inclusive Multicast Ethernet Tag.
    InclusiveMulticast {
        /// Route distinguisher.
        rd: Rd,
        /// Ethernet tag; part of the key.
        tag: u32,
        /// Originating router; part of the key.
        originator: IpAddr,
    },
    /// Type 4, Ethernet Segment.
    EthernetSegment {
        /// Route distinguisher.
        rd: Rd,
        /// Ethernet segment; part of the key.
        esi: Esi,
        /// Originating router; part of the key.
        originator: IpAddr,
    },
    /// Type 5, IP Prefix (RFC 9136).
    IpPrefix {
        /// Route distinguisher.
        rd: Rd,
        /// Ethernet segment; not part of the key.
        esi: Esi,
        /// Ethernet tag; part of the key.
        tag: u32,
        /// The prefix; part of the key.
        prefix: Prefix,
        /// Gateway address; all zeros when there is none.
        gateway: IpAddr,
        /// MPLS label or VNI.
        label: u32,
    },
}

impl EvpnRoute {
    /// The route type, 1..=5.
    #[must_use]
    pub const fn route_type(&self) -> u8 {
        match self {
            Self::AutoDiscovery { .. } => 1,
            Self::MacIp { .. } => 2,
            Self::InclusiveMulticast { .. } => 3,
            Self::EthernetSegment { .. } => 4,
            Self::IpPrefix { .. } => 5,
        }
    }

    /// The route distinguisher.
    #[must_use]
    pub const fn rd(&self) -> Rd {
        match self {
            Self::AutoDiscovery { rd, .. }
            | Self::MacIp { rd, .. }
            | Self::InclusiveMulticast { rd, .. }
            | Self::EthernetSegment { rd, .. }
            | Self::IpPrefix { rd, .. } => *rd,
        }
    }

    /// Appends the key fields of RFC 7432 section 7 and RFC 9136 section 3.1, and only those: two routes are the same
    /// route when their keys are equal. Withdrawals carry other labels than announcements do (FRR sends 0), so labels
    /// must not be here.
    pub fn key(&self, out: &mut Vec<u8>) {
        out.push(self.route_type());
        out.extend_from_slice(&self.rd().0);
        match self {
            Self::AutoDiscovery { esi, tag, .. } => {
                out.extend_from_slice(&esi.0);
                out.extend_from_slice(&tag.to_be_bytes());
            }
            Self::MacIp { tag, mac, ip, .. } => {
                out.extend_from_slice(&tag.to_be_bytes());
                out.extend_from_slice(&mac.0);
                ip.iter().for_each(|ip| address_key(*ip, out));
            }
            Self::InclusiveMulticast { tag, originator, .. } => {
                out.extend_from_slice(&tag.to_be_bytes());
                address_key(*originator, out);
            }
            Self::EthernetSegment { esi, originator, .. } => {
                out.extend_from_slice(&esi.0);
                address_key(*originator, out);
            }
            Self::IpPrefix { tag, prefix, .. } => {
                out.extend_from_slice(&tag.to_be_bytes());
                out.push(prefix.length());
                address_key(prefix.address(), out);
            }
        }
    }
}

fn address_key(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
        IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
    }
}
