//! MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760), cut but not decoded, and next hops by their length.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::route::Family;
use crate::wire::{self, Cursor};

/// Type code of MP_REACH_NLRI.
pub(super) const MP_REACH: u8 = 14;
/// Type code of MP_UNREACH_NLRI.
pub(super) const MP_UNREACH: u8 = 15;

/// MP_REACH_NLRI (RFC 4760 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MpReach<'a> {
    /// Of which family the routes are.
    pub family: Family,
    /// The next hop field as it came.
    pub next_hop: &'a [u8],
    /// The announced routes.
    pub nlri: &'a [u8],
}

/// MP_UNREACH_NLRI (RFC 4760 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MpUnreach<'a> {
    /// Of which family the routes are.
    pub family: Family,
    /// The withdrawn routes.
    pub nlri: &'a [u8],
}

#[inline]
fn family(cursor: &mut Cursor<'_>) -> Result<Family, wire::Error> {
    let [a, b, safi] = cursor.array("AFI and SAFI")?;
    Ok(Family { afi: u16::from_be_bytes([a, b]), safi })
}

impl<'a> MpReach<'a> {
    /// ```text
    /// +-- 2 --+-- 1 --+-- 1 ---+-- length -+-- 1 ------+-- - -
    /// |  AFI  | SAFI  | length | next hop  | reserved  | NLRI
    /// +-------+-------+--------+-----------+-----------+-- - -
    /// ```
    #[inline]
    pub(super) fn decode(mut cursor: Cursor<'a>) -> Result<Self, wire::Error> {
        let family = family(&mut cursor)?;
        let length = cursor.u8("MP_REACH_NLRI next hop length")?;
        let next_hop = cursor.take(usize::from(length), "MP_REACH_NLRI next hop")?;
        cursor.u8("MP_REACH_NLRI reserved octet")?;
        Ok(Self { family, next_hop, nlri: cursor.rest() })
    }
}

impl<'a> MpUnreach<'a> {
    #[inline]
    pub(super) fn decode(mut cursor: Cursor<'a>) -> Result<Self, wire::Error> {
        let family = family(&mut cursor)?;
        Ok(Self { family, nlri: cursor.rest() })
    }
}

/// An address alone, of four octets or sixteen.
pub(super) fn plain_address(bytes: &[u8]) -> Option<IpAddr> {
    next_hop(bytes).map(|(address, _)| address).filter(|_| matches!(bytes.len(), 4 | 16))
}

/// A next hop and, beside an IPv6 one, a link-local one. The length alone says which it is: real routers put IPv6
/// next hops before IPv4 routes (RFC 8950), and leave out the RD that RFC 4364 and 4659 want before VPN ones.
///
/// ```text
///  4  IPv4          16  IPv6          32  IPv6, link-local
/// 12  RD, IPv4      24  RD, IPv6      48  RD, IPv6, RD, link-local
/// ```
///
/// `None` for any other length.
pub(super) fn next_hop(bytes: &[u8]) -> Option<(IpAddr, Option<Ipv6Addr>)> {
    let mut cursor = Cursor::new(bytes);
    let with_rd = matches!(bytes.len(), 12 | 24 | 48);
    let mut v6 = |what| {
        if with_rd {
            cursor.u64("next hop RD").ok()?;
        }
        cursor.u128(what).ok().map(Ipv6Addr::from_bits)
    };
    match *bytes {
        [a, b, c, d] | [_, _, _, _, _, _, _, _, a, b, c, d] => Some((Ipv4Addr::new(a, b, c, d).into(), None)),
        _ if matches!(bytes.len(), 16 | 24) => Some((v6("next hop")?.into(), None)),
        _ if matches!(bytes.len(), 32 | 48) => {
            let global = v6("next hop")?;
            Some((global.into(), Some(v6("link-local next hop")?)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const RD: [u8; 8] = [0, 0, 0xfd, 0xe8, 0, 0, 0, 1];

    #[test]
    fn the_length_of_a_next_hop_says_what_it_is() {
        let (v4, global, local) = (V4.octets(), GLOBAL.octets(), LOCAL.octets());
        for (parts, expected) in [
            (vec![v4.as_slice()], (V4.into(), None)),
            (vec![&RD, &v4], (V4.into(), None)),
            (vec![&global], (GLOBAL.into(), None)),
            (vec![&RD, &global], (GLOBAL.into(), None)),
            (vec![&global, &local], (GLOBAL.into(), Some(LOCAL))),
            (vec![&RD, &global, &RD, &local], (GLOBAL.into(), Some(LOCAL))),
        ] {
            let bytes = parts.concat();
            assert_eq!(next_hop(&bytes), Some(expected), "{} bytes", bytes.len());
        }
    }

    #[test]
    fn any_other_length_is_no_next_hop() {
        for length in (0..=64).filter(|length| ![4, 12, 16, 24, 32, 48].contains(length)) {
            assert_eq!(next_hop(&vec![1; length]), None, "{length} bytes");
        }
    }
}
