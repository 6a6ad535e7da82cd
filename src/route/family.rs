//! Address families.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An address family: AFI and SAFI by their IANA numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Family {
    /// Address Family Identifier.
    pub afi: u16,
    /// Subsequent Address Family Identifier.
    pub safi: u8,
}

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
}

/// The name that the database and the tools use: `ipv4_unicast`, `evpn`, or `afi/safi` in numbers for a family
/// that has no name here.
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IPV4_UNICAST => f.write_str("ipv4_unicast"),
            Self::IPV6_UNICAST => f.write_str("ipv6_unicast"),
            Self::IPV4_MULTICAST => f.write_str("ipv4_multicast"),
            Self::IPV6_MULTICAST => f.write_str("ipv6_multicast"),
            Self::EVPN => f.write_str("evpn"),
            Self { afi, safi } => write!(f, "{afi}/{safi}"),
        }
    }
}
