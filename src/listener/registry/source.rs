//! The source of a connection, for limits and reports.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Bits of an IPv6 address that identify its source: one host can use every address of its /64.
const SOURCE_MASK: u128 = u128::MAX << 64;

/// The source of a connection, for limits and reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A single address.
    Address(IpAddr),
    /// The network address of an IPv6 /64.
    Network(Ipv6Addr),
}

impl Source {
    pub(super) fn new(address: IpAddr, is_configured: bool) -> Self {
        match address {
            IpAddr::V6(v6) if !is_configured => {
                Self::Network(Ipv6Addr::from_bits(v6.to_bits() & SOURCE_MASK))
            }
            _ => Self::Address(address),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Network(network) => write!(f, "{network}/64"),
        }
    }
}
