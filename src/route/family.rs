//! Address families.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An address family (RFC 4760): AFI and SAFI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Family {
    /// Address Family Identifier (IANA "Address Family Numbers").
    pub afi: u16,
    /// Subsequent Address Family Identifier (IANA "SAFI Values").
    pub safi: u8,
}

/// AFI, SAFI and name of each family that Holdfast names.
const NAMES: [(u16, u8, &str); 27] = [
    (1, 1, "ipv4_unicast"),
    (2, 1, "ipv6_unicast"),
    (1, 2, "ipv4_multicast"),
    (2, 2, "ipv6_multicast"),
    (1, 4, "ipv4_labelled_unicast"),
    (2, 4, "ipv6_labelled_unicast"),
    (1, 5, "ipv4_mvpn"),
    (2, 5, "ipv6_mvpn"),
    (1, 66, "ipv4_mdt"),
    (2, 66, "ipv6_mdt"),
    (1, 73, "ipv4_sr_policy"),
    (2, 73, "ipv6_sr_policy"),
    (1, 85, "ipv4_mup"),
    (2, 85, "ipv6_mup"),
    (1, 128, "ipv4_vpn"),
    (2, 128, "ipv6_vpn"),
    (1, 129, "ipv4_vpn_multicast"),
    (2, 129, "ipv6_vpn_multicast"),
    (1, 132, "route_target"),
    (1, 133, "ipv4_flowspec"),
    (2, 133, "ipv6_flowspec"),
    (1, 134, "ipv4_vpn_flowspec"),
    (2, 134, "ipv6_vpn_flowspec"),
    (25, 65, "vpls"),
    (25, 70, "evpn"),
    (16_388, 71, "link_state"),
    (16_388, 72, "link_state_vpn"),
];

impl Family {
    /// IPv4 unicast (1/1).
    pub const IPV4_UNICAST: Self = Self { afi: 1, safi: 1 };
    /// IPv6 unicast (2/1).
    pub const IPV6_UNICAST: Self = Self { afi: 2, safi: 1 };
    /// IPv4 multicast (1/2).
    pub const IPV4_MULTICAST: Self = Self { afi: 1, safi: 2 };
    /// IPv6 multicast (2/2).
    pub const IPV6_MULTICAST: Self = Self { afi: 2, safi: 2 };
    /// EVPN (25/70).
    pub const EVPN: Self = Self { afi: 25, safi: 70 };

    /// True for flow specifications of any protocol, SAFI 133 and 134 (RFC 8955).
    #[must_use]
    #[inline]
    pub const fn is_flow_specification(self) -> bool {
        matches!(self.safi, 133 | 134)
    }

    /// The family with a name such as `ipv4_unicast`; `None` if there is no such name.
    #[must_use]
    pub fn from_name(text: &str) -> Option<Self> {
        let family = NAMES.iter().find(|(.., name)| *name == text);
        family.map(|(afi, safi, _)| Self { afi: *afi, safi: *safi })
    }
}

/// The name in the database and the tools, such as `ipv4_unicast`; for a family without a name, AFI and SAFI
/// as `afi/safi`.
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(afi, safi, _)| (*afi, *safi) == (self.afi, self.safi)) {
            Some((.., name)) => f.write_str(name),
            None => write!(f, "{}/{}", self.afi, self.safi),
        }
    }
}
