//! EVPN routes (RFC 7432, RFC 9136, RFC 9251, RFC 9572).

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::hex::{Hex, hex_separated};
use crate::route::address::append_address;
use crate::route::text::OrWildcard;
use crate::route::{Prefix, Rd, extended_community_text};

/// An Ethernet Segment Identifier (RFC 7432 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Esi(pub [u8; 10]);

/// Ten octets in hexadecimal, separated by colons.
impl fmt::Display for Esi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex_separated(&self.0, ':'))
    }
}

/// A MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mac(pub [u8; 6]);

/// Six octets in hexadecimal, separated by colons.
impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex_separated(&self.0, ':'))
    }
}

/// An EVPN route.
///
/// Fields that RFC 7432 section 7 excludes from the route key, such as labels, are stored but do not identify
/// the route: see [`EvpnRoute::key`]. A label is the undivided 24-bit field: an MPLS label in its upper 20
/// bits, or a VNI in all 24 bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EvpnRoute {
    /// Type 1, Ethernet Auto-Discovery.
    AutoDiscovery {
        /// Route distinguisher.
        rd: Rd,
        /// Ethernet segment identifier; part of the key.
        esi: Esi,
        /// Ethernet tag ID; part of the key.
        tag: u32,
        /// MPLS label or VNI.
        label: u32,
    },
    /// Type 2, MAC/IP Advertisement.
    MacIp {
        /// Route distinguisher.
        rd: Rd,
        /// Ethernet segment identifier; not part of the key.
        esi: Esi,
        /// Ethernet tag ID; part of the key.
        tag: u32,
        /// MAC address; part of the key.
        mac: Mac,
        /// IP address of the host, if present; part of the key.
        ip: Option<IpAddr>,
        /// First label or VNI.
        label: u32,
        /// Second label or VNI, if present.
        label2: Option<u32>,
    },
    /// Type 3, Inclusive Multicast Ethernet Tag.
    InclusiveMulticast {
        /// Route distinguisher.
        rd: Rd,
        /// Ethernet tag ID; part of the key.
        tag: u32,
        /// Address of the originating router; part of the key.
        originator: IpAddr,
    },
    /// Type 4, Ethernet Segment.
    EthernetSegment {
        /// Route distinguisher.
        rd: Rd,
        /// Ethernet segment identifier; part of the key.
        esi: Esi,
        /// Address of the originating router; part of the key.
        originator: IpAddr,
    },
    /// Type 5, IP Prefix (RFC 9136).
    IpPrefix {
        /// Route distinguisher.
        rd: Rd,
        /// Ethernet segment identifier; not part of the key.
        esi: Esi,
        /// Ethernet tag ID; part of the key.
        tag: u32,
        /// The prefix; part of the key.
        prefix: Prefix,
        /// Gateway IP address; all zeros if there is none. Not part of the key.
        gateway: IpAddr,
        /// MPLS label or VNI.
        label: u32,
    },
    /// Type 6, Selective Multicast Ethernet Tag (RFC 9251). All fields but the flags are part of the key.
    SelectiveMulticast {
        /// Route distinguisher.
        rd: Rd,
        /// Ethernet tag ID.
        tag: u32,
        /// Multicast flow and the router that has receivers for it.
        multicast: MulticastFlow,
        /// IGMP or MLD versions and filter mode (RFC 9251 section 9.1).
        flags: u8,
    },
    /// Types 7 (Multicast Membership Report Synch) and 8 (Multicast Leave Synch, RFC 9251). All fields but
    /// the flags and the response time are part of the key.
    MembershipSynch {
        /// True for type 8, false for type 7.
        leave: bool,
        /// Route distinguisher.
        rd: Rd,
        /// Ethernet segment identifier.
        esi: Esi,
        /// Ethernet tag ID.
        tag: u32,
        /// Multicast flow and the router that has receivers for it.
        multicast: MulticastFlow,
        /// Maximum response time of type 8, in the unit of the IGMP or MLD query; 0 for type 7.
        response_time: u8,
        /// IGMP or MLD versions and filter mode (RFC 9251 section 9.1).
        flags: u8,
    },
    /// Type 9, Per-Region I-PMSI A-D (RFC 9572).
    PerRegion {
        /// Route distinguisher.
        rd: Rd,
        /// Ethernet tag ID.
        tag: u32,
        /// Region ID, encoded as an extended community.
        region: [u8; 8],
    },
    /// Type 10, S-PMSI A-D (RFC 9572).
    SelectivePmsi {
        /// Route distinguisher.
        rd: Rd,
        /// Ethernet tag ID.
        tag: u32,
        /// Multicast flow and the router that forwards it.
        multicast: MulticastFlow,
    },
    /// Type 11, Leaf A-D (RFC 9572): the reply of a router to another route.
    Leaf {
        /// Route key: the whole NLRI of the other route, including type and length.
        key: Vec<u8>,
        /// Address of the originating router.
        originator: IpAddr,
    },
}

/// A multicast flow and the router that originates its route. `None` is a wildcard (RFC 6625).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MulticastFlow {
    /// Address of the source.
    pub source: Option<IpAddr>,
    /// Address of the group.
    pub group: Option<IpAddr>,
    /// Address of the originating router.
    pub originator: IpAddr,
}

impl MulticastFlow {
    fn append_key(self, out: &mut Vec<u8>) {
        for address in [self.source, self.group, Some(self.originator)] {
            // The length in bits separates the addresses.
            out.push(match address {
                None => 0,
                Some(IpAddr::V4(_)) => 32,
                Some(IpAddr::V6(_)) => 128,
            });
            address.iter().for_each(|address| append_address(*address, out));
        }
    }
}

impl fmt::Display for MulticastFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}][{}][{}]", OrWildcard(self.source), OrWildcard(self.group), self.originator)
    }
}

impl EvpnRoute {
    /// The route type, 1..=11.
    #[must_use]
    pub const fn route_type(&self) -> u8 {
        match self {
            Self::AutoDiscovery { .. } => 1,
            Self::MacIp { .. } => 2,
            Self::InclusiveMulticast { .. } => 3,
            Self::EthernetSegment { .. } => 4,
            Self::IpPrefix { .. } => 5,
            Self::SelectiveMulticast { .. } => 6,
            Self::MembershipSynch { leave: false, .. } => 7,
            Self::MembershipSynch { leave: true, .. } => 8,
            Self::PerRegion { .. } => 9,
            Self::SelectivePmsi { .. } => 10,
            Self::Leaf { .. } => 11,
        }
    }

    /// The route distinguisher; `None` for a Leaf A-D route, which has one only inside its route key.
    #[must_use]
    pub const fn rd(&self) -> Option<Rd> {
        match self {
            Self::AutoDiscovery { rd, .. }
            | Self::MacIp { rd, .. }
            | Self::InclusiveMulticast { rd, .. }
            | Self::EthernetSegment { rd, .. }
            | Self::IpPrefix { rd, .. }
            | Self::SelectiveMulticast { rd, .. }
            | Self::MembershipSynch { rd, .. }
            | Self::PerRegion { rd, .. }
            | Self::SelectivePmsi { rd, .. } => Some(*rd),
            Self::Leaf { .. } => None,
        }
    }

    /// Appends the fields that identify the route (RFC 7432 section 7, RFC 9136 section 3.1, RFC 9251 section
    /// 9).
    ///
    /// Labels are excluded: a withdrawal may have other labels than the announcement (FRR sends 0).
    pub fn key(&self, out: &mut Vec<u8>) {
        out.push(self.route_type());
        self.rd().iter().for_each(|rd| out.extend_from_slice(&rd.0));
        match self {
            Self::AutoDiscovery { esi, tag, .. } => {
                out.extend_from_slice(&esi.0);
                out.extend_from_slice(&tag.to_be_bytes());
            }
            Self::MacIp { tag, mac, ip, .. } => {
                out.extend_from_slice(&tag.to_be_bytes());
                out.extend_from_slice(&mac.0);
                ip.iter().for_each(|ip| append_address(*ip, out));
            }
            Self::InclusiveMulticast { tag, originator, .. } => {
                out.extend_from_slice(&tag.to_be_bytes());
                append_address(*originator, out);
            }
            Self::EthernetSegment { esi, originator, .. } => {
                out.extend_from_slice(&esi.0);
                append_address(*originator, out);
            }
            Self::IpPrefix { tag, prefix, .. } => {
                out.extend_from_slice(&tag.to_be_bytes());
                out.push(prefix.length());
                append_address(prefix.address(), out);
            }
            Self::SelectiveMulticast { tag, multicast, .. } | Self::SelectivePmsi { tag, multicast, .. } => {
                out.extend_from_slice(&tag.to_be_bytes());
                multicast.append_key(out);
            }
            Self::MembershipSynch { esi, tag, multicast, .. } => {
                out.extend_from_slice(&esi.0);
                out.extend_from_slice(&tag.to_be_bytes());
                multicast.append_key(out);
            }
            Self::PerRegion { tag, region, .. } => {
                out.extend_from_slice(&tag.to_be_bytes());
                out.extend_from_slice(region);
            }
            Self::Leaf { key, originator } => {
                out.extend_from_slice(key);
                append_address(*originator, out);
            }
        }
    }
}

/// The route type, then the key fields without the RD, in the order of the RFC:
/// `[2][0][02:00:00:00:00:01][10.0.0.1]`.
impl fmt::Display for EvpnRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.route_type())?;
        match self {
            Self::AutoDiscovery { esi, tag, .. } => write!(f, "[{esi}][{tag}]"),
            Self::MacIp { tag, mac, ip, .. } => {
                write!(f, "[{tag}][{mac}]")?;
                ip.iter().try_for_each(|ip| write!(f, "[{ip}]"))
            }
            Self::InclusiveMulticast { tag, originator, .. } => write!(f, "[{tag}][{originator}]"),
            Self::EthernetSegment { esi, originator, .. } => write!(f, "[{esi}][{originator}]"),
            Self::IpPrefix { tag, prefix, .. } => write!(f, "[{tag}][{prefix}]"),
            Self::SelectiveMulticast { tag, multicast, .. } | Self::SelectivePmsi { tag, multicast, .. } => {
                write!(f, "[{tag}]{multicast}")
            }
            Self::MembershipSynch { esi, tag, multicast, .. } => write!(f, "[{esi}][{tag}]{multicast}"),
            Self::PerRegion { tag, region, .. } => {
                write!(f, "[{tag}][{}]", extended_community_text(*region))
            }
            Self::Leaf { key, originator } => {
                write!(f, "[0x{}][{originator}]", Hex(key))
            }
        }
    }
}
