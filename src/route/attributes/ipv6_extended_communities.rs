//! IPv6 Address Specific Extended Communities (RFC 5701).

use std::fmt;
use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

/// An IPv6 Address Specific Extended Community (RFC 5701 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ipv6ExtendedCommunity {
    /// Type: 0x00 transitive, 0x40 non-transitive.
    pub kind: u8,
    /// Sub-type.
    pub sub: u8,
    /// Global administrator.
    pub global: Ipv6Addr,
    /// Local administrator.
    pub local: u16,
}

/// `RT:2001:db8::1:100`; type and sub-type in hexadecimal for a community without a name.
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
