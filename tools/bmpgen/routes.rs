//! The synthetic table: prefixes and their attributes, as a pure function of the seed.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A RIB view of a peer's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum View {
    /// Adj-RIB-In, pre-policy.
    Pre,
    /// Adj-RIB-In, post-policy.
    Post,
    /// Loc-RIB (RFC 9069).
    Loc,
}

impl View {
    /// The view's name in the database.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pre => "adj-in-pre",
            Self::Post => "adj-in-post",
            Self::Loc => "loc-rib",
        }
    }
}

/// A prefix of the table: address bits and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// IPv4.
    V4(u32, u8),
    /// IPv6.
    V6(u128, u8),
}

/// Number of IPv4 /24 prefixes from 1.0.0.0 to 223.255.255.0, without 10/8 and 127/8.
pub(crate) const IPV4_MAX: u32 = (223 - 2) << 16;

impl Prefix {
    /// IPv4 prefix number `index`: a /24, starting at 1.0.0.0, without 10/8 and 127/8.
    pub(crate) fn v4(index: u32) -> Self {
        let block = (1 << 16) + index;
        let block = if block >= 10 << 16 { block + (1 << 16) } else { block };
        let block = if block >= 127 << 16 { block + (1 << 16) } else { block };
        Self::V4(block << 8, 24)
    }

    /// IPv6 prefix number `index`: a /48, starting at 2400::.
    pub(crate) fn v6(index: u32) -> Self {
        Self::V6((0x2400 << 112) | (u128::from(index) << 80), 48)
    }

    /// True for IPv6.
    pub(crate) const fn is_ipv6(self) -> bool {
        matches!(self, Self::V6(..))
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::V4(address, length) => write!(f, "{}/{length}", Ipv4Addr::from_bits(address)),
            Self::V6(address, length) => write!(f, "{}/{length}", Ipv6Addr::from_bits(address)),
        }
    }
}

/// The path attributes that a group of neighbouring prefixes shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttributeSet {
    /// ORIGIN.
    pub(crate) origin: u8,
    /// AS_PATH: one AS_SEQUENCE of 3 to 5 AS numbers, starting with the peer's.
    pub(crate) path: Vec<u32>,
    /// Next hop of IPv4 routes.
    pub(crate) next_hop: Ipv4Addr,
    /// MULTI_EXIT_DISC.
    pub(crate) med: Option<u32>,
    /// COMMUNITIES: 1 to 3 values.
    pub(crate) communities: Vec<u32>,
    /// LARGE_COMMUNITY: one value in every fifth set.
    pub(crate) large: Option<[u32; 3]>,
}

impl AttributeSet {
    /// The attributes of a group of prefixes of a peer, after `version` changes.
    pub(crate) fn new(seed: u64, peer_asn: u32, peer: u16, group: u32, version: u32) -> Self {
        let key = (u64::from(peer) << 56) ^ (u64::from(group) << 24) ^ u64::from(version);
        let mut random = Random(seed ^ key.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut path = vec![peer_asn];
        // Transit networks come from a small range, origins from large ones. Two of three origins have a
        // 4-octet AS number, one of them above 2^31.
        for _ in 0..=random.below(2) {
            path.push(64_496 + random.below(15));
        }
        path.push(match group % 3 {
            0 => 64_512 + random.below(1_000),
            1 => 131_072 + random.below(300_000),
            _ => 4_200_000_000 + random.below(90_000_000),
        });
        if group.is_multiple_of(7) {
            // One path in seven is prepended.
            path.extend(path.last().copied());
        }
        let count = random.below(3);
        let communities =
            (0..=count).map(|number| (64_500 << 16) | (number << 12) | random.below(4_096)).collect();
        Self {
            origin: u8::try_from(random.below(8)).map_or(0, |value| if value == 7 { 2 } else { 0 }),
            communities,
            next_hop: Ipv4Addr::from_bits((192 << 24) | (2 << 8) | u32::from(peer % 250 + 1)),
            med: (group % 4 == 1).then(|| random.next()),
            large: group
                .is_multiple_of(5)
                .then(|| [4_200_000_000 + random.below(1_000), random.next(), version]),
            path,
        }
    }

    /// LOCAL_PREF: present after the import policy only.
    pub(crate) const fn local_pref(&self, view: View) -> Option<u32> {
        match view {
            View::Pre => None,
            View::Post | View::Loc => Some(if self.origin == 0 { 100 } else { 90 }),
        }
    }

    /// Next hop of IPv6 routes.
    pub(crate) fn next_hop_v6(&self) -> Ipv6Addr {
        Ipv6Addr::from_bits((0x2001_0db8 << 96) | u128::from(self.next_hop.to_bits()))
    }

    /// The attributes as members of a JSON object of the ground truth.
    pub(crate) fn json(&self, ipv6: bool, view: View) -> String {
        let mut out = String::with_capacity(256);
        let origin = ["igp", "egp", "incomplete"].get(usize::from(self.origin)).copied().unwrap_or_default();
        let next_hop = if ipv6 { self.next_hop_v6().to_string() } else { self.next_hop.to_string() };
        append(&mut out, format_args!("\"origin\":\"{origin}\",\"next_hop\":\"{next_hop}\""));
        out.push_str(",\"as_path\":[[\"AS_SEQUENCE\",[");
        list(&mut out, &self.path, |out, asn| append(out, format_args!("{asn}")));
        out.push_str("]]]");
        if let Some(med) = self.med {
            append(&mut out, format_args!(",\"med\":{med}"));
        }
        if let Some(local_pref) = self.local_pref(view) {
            append(&mut out, format_args!(",\"local_pref\":{local_pref}"));
        }
        out.push_str(",\"communities\":[");
        list(&mut out, &self.communities, |out, value| {
            append(out, format_args!("\"{}:{}\"", value >> 16, value & 0xffff));
        });
        out.push(']');
        if let Some([global, one, two]) = self.large {
            append(&mut out, format_args!(",\"large_communities\":[\"{global}:{one}:{two}\"]"));
        }
        out
    }
}

fn append(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    out.write_fmt(arguments).unwrap_or_default();
}

/// Appends the values as `one` writes them, separated by commas.
fn list<T>(out: &mut String, values: &[T], mut one: impl FnMut(&mut String, &T)) {
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        one(out, value);
    }
}

/// SplitMix64. Its sequence is fixed, which a library's generator does not guarantee across versions.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// 32 random bits.
    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((value ^ (value >> 31)) >> 32).unwrap_or(u32::MAX)
    }

    /// A random number below `end`; 0 if `end` is 0.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        let wide = u64::from(self.next()) * u64::from(end);
        u32::try_from(wide >> 32).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_exclude_private_and_loopback_networks() {
        assert_eq!(Prefix::v4(0).to_string(), "1.0.0.0/24");
        assert_eq!(Prefix::v4((9 << 16) - 1).to_string(), "9.255.255.0/24");
        assert_eq!(Prefix::v4(9 << 16).to_string(), "11.0.0.0/24");
        assert_eq!(Prefix::v4((125 << 16) - 1).to_string(), "126.255.255.0/24");
        assert_eq!(Prefix::v4(125 << 16).to_string(), "128.0.0.0/24");
        assert_eq!(Prefix::v4(IPV4_MAX - 1).to_string(), "223.255.255.0/24");
        assert_eq!(Prefix::v6(0x0001_0002).to_string(), "2400:1:2::/48");
    }

    #[test]
    fn a_set_depends_on_seed_and_version_only() {
        let set = |seed, version| AttributeSet::new(seed, 65_001, 0, 42, version);
        assert_eq!(set(1, 0), set(1, 0));
        assert_ne!(set(1, 0), set(1, 1));
        assert_ne!(set(1, 0), set(2, 0));
    }

    #[test]
    fn sets_resemble_a_real_table() {
        for group in 0..10_000 {
            let set = AttributeSet::new(1, 65_001, 0, group, 0);
            assert!((3..=5).contains(&set.path.len()), "{:?}", set.path);
            assert!((1..=3).contains(&set.communities.len()));
            assert_eq!(set.large.is_some(), group % 5 == 0);
        }
    }
}
