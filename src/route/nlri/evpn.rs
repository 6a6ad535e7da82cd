//! EVPN routes (RFC 7432, RFC 9136, RFC 9251, RFC 9572).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use super::{Fields, Wild, address_key};
use crate::route::Prefix;

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
    /// Type 6, Selective Multicast Ethernet Tag (RFC 9251). All but the flags is the key.
    SelectiveMulticast {
        /// Route distinguisher.
        rd: Rd,
        /// Ethernet tag.
        tag: u32,
        /// Who receives what.
        multicast: Multicast,
        /// IGMP or MLD versions and mode.
        flags: u8,
    },
    /// Types 7 (Multicast Membership Report Synch) and 8 (Multicast Leave Synch, RFC 9251). All but flags and time is
    /// the key.
    MembershipSynch {
        /// Type 8.
        leave: bool,
        /// Route distinguisher.
        rd: Rd,
        /// Ethernet segment.
        esi: Esi,
        /// Ethernet tag.
        tag: u32,
        /// Who receives what.
        multicast: Multicast,
        /// Type 8: maximum response time, in the unit of the query.
        response_time: u8,
        /// IGMP or MLD versions and mode.
        flags: u8,
    },
    /// Type 9, Per-Region I-PMSI A-D (RFC 9572).
    PerRegion {
        /// Route distinguisher.
        rd: Rd,
        /// Ethernet tag.
        tag: u32,
        /// Region ID, an extended community.
        region: [u8; 8],
    },
    /// Type 10, S-PMSI A-D (RFC 9572).
    SelectivePmsi {
        /// Route distinguisher.
        rd: Rd,
        /// Ethernet tag.
        tag: u32,
        /// Who sends what.
        multicast: Multicast,
    },
    /// Type 11, Leaf A-D (RFC 9572): the route that it answers, and who answers.
    Leaf {
        /// Route key: a whole EVPN NLRI, type and length included.
        key: Vec<u8>,
        /// Originating router.
        originator: IpAddr,
    },
}

/// A multicast flow and who speaks of it. `None` is a wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Multicast {
    /// Source.
    pub source: Option<IpAddr>,
    /// Group.
    pub group: Option<IpAddr>,
    /// Originating router.
    pub originator: IpAddr,
}

impl Multicast {
    fn key(self, out: &mut Vec<u8>) {
        for address in [self.source, self.group, Some(self.originator)] {
            // With its length before it, so that no two of them run into each other.
            out.push(match address {
                None => 0,
                Some(IpAddr::V4(_)) => 32,
                Some(IpAddr::V6(_)) => 128,
            });
            address.iter().for_each(|address| address_key(*address, out));
        }
    }
}

impl fmt::Display for Multicast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}][{}][{}]", Wild(self.source), Wild(self.group), self.originator)
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

    /// The route distinguisher; a Leaf A-D has one only inside its key.
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

    /// What has a column.
    pub(super) fn fields(&self) -> Fields<'static> {
        let common = Fields { rd: self.rd(), evpn_route_type: Some(self.route_type()), ..Fields::default() };
        match *self {
            Self::AutoDiscovery { esi, tag, label, .. } => {
                Fields { esi: Some(esi), tag: Some(tag), labels: vec![label], ..common }
            }
            Self::MacIp { esi, tag, mac, ip, label, label2, .. } => {
                let labels = std::iter::once(label).chain(label2).collect();
                Fields { esi: Some(esi), tag: Some(tag), mac: Some(mac), ip, labels, ..common }
            }
            Self::InclusiveMulticast { tag, originator, .. } => {
                Fields { tag: Some(tag), ip: Some(originator), ..common }
            }
            Self::EthernetSegment { esi, originator, .. } => {
                Fields { esi: Some(esi), ip: Some(originator), ..common }
            }
            Self::IpPrefix { esi, tag, prefix, gateway, label, .. } => Fields {
                prefix: Some(prefix),
                esi: Some(esi),
                tag: Some(tag),
                gateway: (!gateway.is_unspecified()).then_some(gateway),
                labels: vec![label],
                ..common
            },
            Self::SelectiveMulticast { tag, multicast, .. } | Self::SelectivePmsi { tag, multicast, .. } => {
                Fields { tag: Some(tag), ip: Some(multicast.originator), ..common }
            }
            Self::MembershipSynch { esi, tag, multicast, .. } => {
                Fields { esi: Some(esi), tag: Some(tag), ip: Some(multicast.originator), ..common }
            }
            Self::PerRegion { tag, .. } => Fields { tag: Some(tag), ..common },
            Self::Leaf { originator, .. } => Fields { ip: Some(originator), ..common },
        }
    }

    /// Appends the key fields of RFC 7432 section 7, RFC 9136 section 3.1 and RFC 9251 section 9, and only those: two routes are the same
    /// route when their keys are equal. Withdrawals carry other labels than announcements do (FRR sends 0), so labels
    /// must not be here.
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
            Self::SelectiveMulticast { tag, multicast, .. } | Self::SelectivePmsi { tag, multicast, .. } => {
                out.extend_from_slice(&tag.to_be_bytes());
                multicast.key(out);
            }
            Self::MembershipSynch { esi, tag, multicast, .. } => {
                out.extend_from_slice(&esi.0);
                out.extend_from_slice(&tag.to_be_bytes());
                multicast.key(out);
            }
            Self::PerRegion { tag, region, .. } => {
                out.extend_from_slice(&tag.to_be_bytes());
                out.extend_from_slice(region);
            }
            Self::Leaf { key, originator } => {
                out.extend_from_slice(key);
                address_key(*originator, out);
            }
        }
    }
}

/// The type, then the key fields in the order of the RFC, without the RD: `[2][0][02:00:00:00:00:01][10.0.0.1]`.
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
                write!(f, "[{tag}][{}]", crate::route::extended_community_text(*region))
            }
            Self::Leaf { key, originator } => {
                f.write_str("[0x")?;
                key.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                write!(f, "][{originator}]")
            }
        }
    }
}
