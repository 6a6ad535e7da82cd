//! IP addresses whose address family follows from their length, among them next hops.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::error::Error;
use crate::wire::{self, Cursor};

/// Reads an address of 16 octets if `is_v6`, else of 4. `field` names it in errors.
pub(super) fn read_address(
    cursor: &mut Cursor<'_>,
    is_v6: bool,
    field: &'static str,
) -> Result<IpAddr, wire::Error> {
    Ok(if is_v6 {
        Ipv6Addr::from_bits(cursor.u128(field)?).into()
    } else {
        Ipv4Addr::from_bits(cursor.u32(field)?).into()
    })
}

/// Reads an address preceded by its length in bits (one octet): 32, 128, or 0 for no address.
pub(super) fn read_sized_address(
    cursor: &mut Cursor<'_>,
    field: &'static str,
) -> Result<Option<IpAddr>, Error> {
    let offset = cursor.offset();
    match cursor.u8(field)? {
        0 => Ok(None),
        length @ (32 | 128) => Ok(Some(read_address(cursor, length == 128, field)?)),
        length => Err(Error::InvalidBitLength { what: field, length, offset }),
    }
}

/// The address that 4 or 16 octets stand for; `None` for any other number of octets.
pub(super) fn address_from_octets(bytes: &[u8]) -> Option<IpAddr> {
    next_hop(bytes).map(|(address, _)| address).filter(|_| matches!(bytes.len(), 4 | 16))
}

/// Decodes a next hop into its global address and, for IPv6, an optional link-local address.
///
/// Only the length determines the form: routers send IPv6 next hops for IPv4 routes (RFC 8950), and omit the
/// RD that RFC 4364 and RFC 4659 require for VPN routes. `None` for any other length.
///
/// ```text
///  4  IPv4          16  IPv6          32  IPv6, link-local
/// 12  RD, IPv4      24  RD, IPv6      48  RD, IPv6, RD, link-local
/// ```
pub(super) fn next_hop(bytes: &[u8]) -> Option<(IpAddr, Option<Ipv6Addr>)> {
    let mut cursor = Cursor::new(bytes);
    let with_rd = matches!(bytes.len(), 12 | 24 | 48);
    let mut v6 = |field| {
        if with_rd {
            cursor.u64("next hop RD").ok()?;
        }
        cursor.u128(field).ok().map(Ipv6Addr::from_bits)
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
    fn a_next_hop_is_decoded_by_its_length() {
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
    fn any_other_length_is_rejected() {
        for length in (0..=64).filter(|length| ![4, 12, 16, 24, 32, 48].contains(length)) {
            assert_eq!(next_hop(&vec![1; length]), None, "{length} bytes");
        }
    }
}
