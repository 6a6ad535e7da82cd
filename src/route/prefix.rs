//! IP prefixes whose host bits are zero.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::address::append_address;

/// An IPv4 or IPv6 prefix whose host bits are zero, as PostgreSQL's type `cidr` requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Bits")]
pub struct Prefix(Bits);

/// The persistent form: the order of variants and fields is part of the log format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Bits {
    /// Network address, length in bits (0 to 32).
    V4(u32, u8),
    /// Network address, length in bits (0 to 128).
    V6(u128, u8),
}

/// The reason why a text is not an IP prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// The part before the slash is not an IP address.
    #[error("invalid IP address: expected an IPv4 or IPv6 address, such as 192.0.2.0/24 or 2001:db8::/32")]
    Address,
    /// The part after the slash is not a length that the address family has.
    #[error("invalid prefix length: expected 0 to {max}")]
    Length {
        /// Length of an address of that family in bits: 32 or 128.
        max: u8,
    },
}

impl Prefix {
    /// An IPv4 prefix with its host bits cleared; `None` if `length` is greater than 32.
    #[must_use]
    #[inline]
    pub const fn v4(address: u32, length: u8) -> Option<Self> {
        match length {
            0 => Some(Self(Bits::V4(0, 0))),
            1..=32 => Some(Self(Bits::V4(address & (u32::MAX << (32 - length)), length))),
            _ => None,
        }
    }

    /// An IPv6 prefix with its host bits cleared; `None` if `length` is greater than 128.
    #[must_use]
    #[inline]
    pub const fn v6(address: u128, length: u8) -> Option<Self> {
        match length {
            0 => Some(Self(Bits::V6(0, 0))),
            1..=128 => Some(Self(Bits::V6(address & (u128::MAX << (128 - length)), length))),
            _ => None,
        }
    }

    /// The prefix of `length` bits that contains `address`; `None` if the address is shorter than `length`.
    #[must_use]
    pub const fn from_address(address: IpAddr, length: u8) -> Option<Self> {
        match address {
            IpAddr::V4(v4) => Self::v4(v4.to_bits(), length),
            IpAddr::V6(v6) => Self::v6(v6.to_bits(), length),
        }
    }

    /// The network address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        match self.0 {
            Bits::V4(address, _) => IpAddr::V4(Ipv4Addr::from_bits(address)),
            Bits::V6(address, _) => IpAddr::V6(Ipv6Addr::from_bits(address)),
        }
    }

    /// The length in bits: 0 to 32 for IPv4, 0 to 128 for IPv6.
    #[must_use]
    #[inline]
    pub const fn length(&self) -> u8 {
        match self.0 {
            Bits::V4(_, length) | Bits::V6(_, length) => length,
        }
    }

    /// The network address of an IPv4 prefix as a number; `None` for IPv6.
    #[must_use]
    #[inline]
    pub const fn v4_bits(&self) -> Option<u32> {
        match self.0 {
            Bits::V4(address, _) => Some(address),
            Bits::V6(..) => None,
        }
    }

    /// True for an IPv4 prefix.
    #[must_use]
    #[inline]
    pub const fn is_ipv4(&self) -> bool {
        matches!(self.0, Bits::V4(..))
    }

    /// True if `address` is of the same address family and lies within the prefix.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::from_address(address, self.length()) == Some(*self)
    }

    /// True if `other` is this prefix or a more specific one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.length() >= self.length() && self.contains(other.address())
    }

    /// Appends address and length, which identify the prefix within its address family.
    pub(super) fn append_key(&self, out: &mut Vec<u8>) {
        append_address(self.address(), out);
        out.push(self.length());
    }
}

/// Rejects a length that the address family does not have, and clears host bits.
impl TryFrom<Bits> for Prefix {
    type Error = PrefixError;

    fn try_from(bits: Bits) -> Result<Self, Self::Error> {
        match bits {
            Bits::V4(address, length) => Self::v4(address, length).ok_or(PrefixError::Length { max: 32 }),
            Bits::V6(address, length) => Self::v6(address, length).ok_or(PrefixError::Length { max: 128 }),
        }
    }
}

/// Parses `address/length` or a bare address, which is a host prefix. Host bits are cleared.
impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| PrefixError::Address)?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            Some(length) => length.trim().parse().map_err(|_| PrefixError::Length { max })?,
            None => max,
        };
        Self::from_address(address, length).ok_or(PrefixError::Length { max })
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
        assert_eq!(Prefix::try_from(Bits::V4(0, 33)), Err(PrefixError::Length { max: 32 }));
        assert_eq!(Prefix::try_from(Bits::V6(0, 129)), Err(PrefixError::Length { max: 128 }));
        assert_eq!(Prefix::try_from(Bits::V4(1, 24)).unwrap(), Prefix::v4(0, 24).unwrap());
    }

    #[test]
    fn text_is_parsed_with_and_without_a_length() {
        for (text, expected) in [
            ("192.0.2.1/24", Ok("192.0.2.0/24")),
            (" 192.0.2.1 ", Ok("192.0.2.1/32")),
            ("2001:db8::1/ 32", Ok("2001:db8::/32")),
            ("::", Ok("::/128")),
            ("192.0.2.0/33", Err(PrefixError::Length { max: 32 })),
            ("2001:db8::/129", Err(PrefixError::Length { max: 128 })),
            ("192.0.2.0/", Err(PrefixError::Length { max: 32 })),
            ("192.0.2/24", Err(PrefixError::Address)),
            ("", Err(PrefixError::Address)),
        ] {
            let parsed = text.parse::<Prefix>().map(|prefix| prefix.to_string());
            assert_eq!(parsed, expected.map(str::to_owned), "{text:?}");
        }
    }

    #[test]
    fn a_prefix_contains_addresses_and_covers_prefixes_of_its_own_family_only() {
        let parse = |text: &str| text.parse::<Prefix>().unwrap();
        for (prefix, inner, expected) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.0/24", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("0.0.0.0/0", "::", false),
        ] {
            assert_eq!(parse(prefix).contains(inner.parse().unwrap()), expected, "{inner} in {prefix}");
            assert_eq!(parse(prefix).covers(&parse(inner)), expected, "{inner} in {prefix}");
        }
        assert!(parse("192.0.2.0/24").covers(&parse("192.0.2.0/24")));
        assert!(!parse("192.0.2.0/24").covers(&parse("192.0.0.0/16")));
    }
}
