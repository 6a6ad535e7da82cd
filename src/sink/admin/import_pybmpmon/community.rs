//! Text forms of communities and octets as pybmpmon writes them, read back into bytes. Pure.

use std::net::Ipv4Addr;

/// Parses a standard community `AS:VALUE`.
pub(super) fn standard(text: &str) -> Option<u32> {
    let (high, low) = text.split_once(':')?;
    let (high, low): (u16, u16) = (high.parse().ok()?, low.parse().ok()?);
    Some(u32::from(high) << 16 | u32::from(low))
}

/// Parses an extended community. `None` if pybmpmon's text does not contain all of its octets: it omits the
/// sub-type of opaque communities and of redirects, and flags and sequence numbers of EVPN ones.
pub(super) fn extended(text: &str) -> Option<[u8; 8]> {
    let (name, value) = text.split_once(':')?;
    match name {
        "RT" => administrator(value, [(0x00, 0x02), (0x01, 0x02), (0x02, 0x02)]),
        // pybmpmon gives this name to sub-type 0 of types 2 and 3, and to type 10.
        "RO" => administrator(value, [(0x02, 0x00), (0x03, 0x00), (0x0a, 0x02)]),
        // pybmpmon gives this name to tunnel encapsulations, and omits two octets that are reserved.
        "OSPF-Domain" => {
            let [a, b, c, d] = value.parse::<Ipv4Addr>().ok()?.octets();
            Some([0x03, 0x0c, 0, 0, a, b, c, d])
        }
        "EVPN-ES-Import" => {
            let [a, b, c, d, e, f] = octets(value)?;
            Some([0x06, 0x02, a, b, c, d, e, f])
        }
        _ => {
            if let Some(kind) = name.strip_prefix("Unknown-") {
                let all: [u8; 8] = digits(value)?;
                return (digits(kind)? == [all[0]]).then_some(all);
            }
            let [sub] = digits(name.strip_prefix("EVPN-")?)?;
            let [a, b, c, d, e, f] = digits(value)?;
            Some([0x06, sub, a, b, c, d, e, f])
        }
    }
}

/// Parses `AS:NUMBER` or `ADDRESS:NUMBER`. `types` are type and sub-type for an AS number of two octets, an
/// IPv4 address, and an AS number of four octets.
fn administrator(text: &str, types: [(u8, u8); 3]) -> Option<[u8; 8]> {
    let (administrator, number) = text.split_once(':')?;
    let [two_octet, address, four_octet] = types;
    let (kind, value) = if let Ok(ip) = administrator.parse::<Ipv4Addr>() {
        (address, u64::from(u32::from(ip)) << 16 | u64::from(number.parse::<u16>().ok()?))
    } else {
        let asn: u32 = administrator.parse().ok()?;
        match u16::try_from(asn) {
            Ok(asn) => (two_octet, u64::from(asn) << 32 | u64::from(number.parse::<u32>().ok()?)),
            Err(_) => (four_octet, u64::from(asn) << 16 | u64::from(number.parse::<u16>().ok()?)),
        }
    };
    Some((u64::from(kind.0) << 56 | u64::from(kind.1) << 48 | value).to_be_bytes())
}

/// Parses octets in hexadecimal, separated by colons.
pub(super) fn octets<const N: usize>(text: &str) -> Option<[u8; N]> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.iter().any(|part| part.len() != 2) {
        return None;
    }
    digits(&parts.concat())
}

/// Parses octets in hexadecimal without separators.
fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::extended_community_text;

    #[test]
    fn extended_communities_are_read_where_the_text_has_all_octets() {
        for (text, expected) in [
            ("RT:65000:100", Some("RT:65000:100")),
            ("RT:192.0.2.1:100", Some("RT:192.0.2.1:100")),
            ("RT:4200000000:100", Some("RT:4200000000:100")),
            ("OSPF-Domain:0.0.0.8", Some("Encapsulation:VXLAN")),
            ("EVPN-ES-Import:02:00:00:00:00:01", Some("EVPN-ES-Import:02:00:00:00:00:01")),
            ("EVPN-03:020000000001", Some("EVPN-Router-MAC:02:00:00:00:00:01")),
            ("Unknown-00:0003fde800000064", Some("RO:65000:100")),
            ("Unknown-00:0103fde800000064", None),
            ("Opaque:000000000064", None),
            ("EVPN-MAC-Mobility:5", None),
            ("EVPN-ESI-Label:100", None),
            ("Redirect:65000:100", None),
            ("RT:4200000000:70000", None),
            ("RT:x:1", None),
            ("", None),
        ] {
            let found = extended(text).map(extended_community_text);
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn octets_have_two_digits_each() {
        assert_eq!(octets("02:0a"), Some([2, 10]));
        for wrong in ["2:0a", "02:0a:00", "020a", "+2:0a", "", "02:é"] {
            assert_eq!(octets::<2>(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn standard_communities_have_two_numbers() {
        assert_eq!(standard("65000:100"), Some(65_000 << 16 | 100));
        for wrong in ["65536:1", "1", "1:2:3", "no-export", ""] {
            assert_eq!(standard(wrong), None, "{wrong}");
        }
    }
}
