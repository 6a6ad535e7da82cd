//! IP prefixes with their host bits cleared.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// An IPv4 or IPv6 prefix. Host bits are always zero, so that a database `cidr` never refuses one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Prefix {
    /// IPv4: address and length 0..=32.
    V4(u32, u8),
    /// IPv6: address and length 0..=128.
    V6(u128, u8),
}

impl Prefix {
    /// An IPv4 prefix, its host bits cleared; `None` when `length` is over 32.
    #[must_use]
    pub const fn v4(address: u32, length: u8) -> Option<Self> {
        match length {
            0 => Some(Self::V4(0, 0)),
            1..=32 => Some(Self::V4(address & (u32::MAX << (32 - length)), length)),
            _ => None,
        }
    }

    /// An IPv6 prefix, its host bits cleared; `None` when `length` is over 128.
    #[must_use]
    pub const fn v6(address: u128, length: u8) -> Option<Self> {
        match length {
            0 => Some(Self::V6(0, 0)),
            1..=128 => Some(Self::V6(address & (u128::MAX << (128 - length)), length)),
            _ => None,
        }
    }

    /// The network address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        match *self {
            Self::V4(address, _) => IpAddr::V4(Ipv4Addr::from_bits(address)),
            Self::V6(address, _) => IpAddr::V6(Ipv6Addr::from_bits(address)),
        }
    }

    /// The length in bits.
    #[must_use]
    pub const fn length(&self) -> u8 {
        match *self {
            Self::V4(_, length) | Self::V6(_, length) => length,
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(), self.length())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_bits_are_cleared() {
        assert_eq!(Prefix::v4(0x0a00_0100, 23).unwrap().to_string(), "10.0.0.0/23");
        assert_eq!(Prefix::v6(u128::MAX, 3).unwrap().to_string(), "e000::/3");
        assert_eq!(Prefix::v4(u32::MAX, 0).unwrap().to_string(), "0.0.0.0/0");
        assert_eq!(Prefix::v6(u128::MAX, 128).unwrap().length(), 128);
    }

    #[test]
    fn impossible_lengths_are_refused() {
        assert_eq!(Prefix::v4(0, 33), None);
        assert_eq!(Prefix::v6(0, 129), None);
    }
}
