//! Text forms of communities, as operators write them.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// `65000:100` (RFC 1997).
#[must_use]
pub fn community_text(community: u32) -> String {
    format!("{}:{}", community >> 16, community & 0xffff)
}

/// `65000:1:2` (RFC 8092).
#[must_use]
pub fn large_community_text([global, local1, local2]: [u32; 3]) -> String {
    format!("{global}:{local1}:{local2}")
}

/// An extended community by type and sub-type (IANA "BGP Extended Communities"); what is not named here is written
/// `type-subtype:` and its value in hex, so that nothing is ever given a wrong name.
#[must_use]
pub fn extended_community_text(community: [u8; 8]) -> String {
    let [kind, sub, a, b, c, d, e, f] = community;
    let two_four = || format!("{}:{}", u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]));
    let address_two = || format!("{}:{}", Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([e, f]));
    let four_two = || format!("{}:{}", u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f]));
    // Bit 0x40 says "non-transitive": the meaning of the rest is the same (RFC 4360 section 2).
    let administrator = |name: &str, kind: u8| match kind & 0x3f {
        0 => Some(format!("{name}:{}", two_four())),
        1 => Some(format!("{name}:{}", address_two())),
        2 => Some(format!("{name}:{}", four_two())),
        _ => None,
    };
    let named = match (kind, sub) {
        (0x00..=0x02, 0x02) => administrator("RT", kind),
        (0x00..=0x02, 0x03) => administrator("RO", kind),
        (0x00..=0x02, 0x05) => administrator("OSPF-Domain", kind),
        (0x03, 0x0b) => Some(format!("Color:{}", u32::from_be_bytes([c, d, e, f]))),
        (0x03, 0x0c) => Some(format!("Encapsulation:{}", tunnel_type(u16::from_be_bytes([e, f])))),
        (0x03, 0x0d) => Some("Default-Gateway".to_owned()),
        (0x06, 0x00) => Some(format!(
            "EVPN-MAC-Mobility:{}{}",
            u32::from_be_bytes([c, d, e, f]),
            if a & 1 == 1 { ":sticky" } else { "" }
        )),
        (0x06, 0x01) => Some(format!(
            "EVPN-ESI-Label:{}{}",
            u32::from_be_bytes([0, d, e, f]),
            if a & 1 == 1 { ":single-active" } else { "" }
        )),
        (0x06, 0x02) => Some(format!("EVPN-ES-Import:{}", hex(&[a, b, c, d, e, f], ":"))),
        (0x06, 0x03) => Some(format!("EVPN-Router-MAC:{}", hex(&[a, b, c, d, e, f], ":"))),
        (0x80, 0x06) => {
            Some(format!("Traffic-Rate:{}:{}", u16::from_be_bytes([a, b]), f32::from_be_bytes([c, d, e, f])))
        }
        (0x80, 0x08) => Some(format!("Redirect:{}", two_four())),
        (0x81, 0x08) => Some(format!("Redirect:{}", address_two())),
        (0x82, 0x08) => Some(format!("Redirect:{}", four_two())),
        (0x40, 0x04) => Some(format!(
            "Link-Bandwidth:{}:{}",
            u16::from_be_bytes([a, b]),
            f32::from_be_bytes([c, d, e, f])
        )),
        (0x43, 0x00) => Some(format!("Validation-State:{f}")),
        _ => None,
    };
    named.unwrap_or_else(|| format!("0x{kind:02x}{sub:02x}:0x{}", hex(&[a, b, c, d, e, f], "")))
}

/// Tunnel types of the Encapsulation community (IANA "BGP Tunnel Encapsulation Attribute Tunnel Types").
fn tunnel_type(number: u16) -> String {
    match number {
        1 => "L2TPv3".to_owned(),
        2 => "GRE".to_owned(),
        7 => "IP-in-IP".to_owned(),
        8 => "VXLAN".to_owned(),
        9 => "NVGRE".to_owned(),
        10 => "MPLS".to_owned(),
        11 => "MPLS-in-GRE".to_owned(),
        12 => "VXLAN-GPE".to_owned(),
        13 => "MPLS-in-UDP".to_owned(),
        19 => "GENEVE".to_owned(),
        other => other.to_string(),
    }
}

fn hex(bytes: &[u8], between: &str) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (place, byte) in bytes.iter().enumerate() {
        if place > 0 {
            text.push_str(between);
        }
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_read_as_operators_write_them() {
        assert_eq!(community_text(0xfde8_0064), "65000:100");
        assert_eq!(large_community_text([4_200_000_000, 1, 2]), "4200000000:1:2");
    }

    #[test]
    fn extended_communities_are_named_by_type_and_sub_type() {
        for (bytes, text) in [
            ([0x00, 0x02, 0xfd, 0xe8, 0, 0, 0, 100], "RT:65000:100"),
            ([0x01, 0x02, 192, 0, 2, 1, 0, 5], "RT:192.0.2.1:5"),
            ([0x02, 0x02, 0xfa, 0x56, 0xea, 0x00, 0, 5], "RT:4200000000:5"),
            ([0x00, 0x03, 0xfd, 0xe8, 0, 0, 0, 7], "RO:65000:7"),
            ([0x03, 0x0c, 0, 0, 0, 0, 0, 8], "Encapsulation:VXLAN"),
            ([0x03, 0x0c, 0, 0, 0, 0, 1, 1], "Encapsulation:257"),
            ([0x06, 0x00, 1, 0, 0, 0, 0, 9], "EVPN-MAC-Mobility:9:sticky"),
            ([0x06, 0x03, 0, 1, 2, 3, 4, 5], "EVPN-Router-MAC:00:01:02:03:04:05"),
            ([0x00, 0x05, 0, 0, 0, 0, 0, 8], "OSPF-Domain:0:8"),
            ([0x77, 0x01, 1, 2, 3, 4, 5, 6], "0x7701:0x010203040506"),
        ] {
            assert_eq!(extended_community_text(bytes), text);
        }
    }
}
