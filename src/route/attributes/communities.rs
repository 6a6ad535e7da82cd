//! Text forms of communities (RFC 1997), extended communities (RFC 4360) and large communities (RFC 8092).

use std::fmt;
use std::net::Ipv4Addr;

use super::tunnel_encapsulation::tunnel_name;
use crate::hex::{Hex, hex_separated};
use crate::route::text::FourOctetAs;

/// The text form of a community, such as `65000:100` (RFC 1997).
#[must_use]
pub fn community_text(community: u32) -> String {
    format!("{}:{}", community >> 16, community & 0xffff)
}

/// The text form of a large community, such as `65000:1:2` (RFC 8092 section 4).
#[must_use]
pub fn large_community_text([global, local1, local2]: [u32; 3]) -> String {
    format!("{global}:{local1}:{local2}")
}

/// The text form of the six-octet value of an extended community.
#[derive(Clone, Copy)]
enum Form {
    /// Global administrator (two-octet AS, IPv4 address or four-octet AS, by the type) and local
    /// administrator.
    Administrator,
    /// The last four octets as a number.
    Number,
    /// All six octets as a MAC address.
    Mac,
    /// Two-octet AS, then an IEEE 754 single-precision number.
    Rate,
    /// The last four octets as a number, followed by this flag name if the lowest bit of the first octet is
    /// set.
    Flagged(&'static str),
    /// A 24-bit field whose upper 20 bits are an MPLS label (RFC 7432 section 7.5), then `single-active` if
    /// the lowest bit of the first octet is set. Of the lower four bits, only the bottom-of-stack bit is
    /// usual; a field of zero means that there is no label.
    EsiLabel,
    /// Area, route type and options (RFC 4577 section 4.2.6).
    OspfRouteType,
    /// The last octet as a number.
    Octet,
    /// The last two octets as a tunnel type.
    Tunnel,
    /// The name alone.
    Bare,
    /// All six octets in hexadecimal.
    Hex,
}

/// Bits of a 24-bit label field below the label: traffic class and bottom of stack.
const LABEL_LOW_BITS: u32 = 0xf;
/// Bit of a 24-bit label field: bottom of stack.
const BOTTOM_OF_STACK: u32 = 1;

/// Type, sub-type, name and text form of extended communities (IANA "Border Gateway Protocol (BGP) Extended
/// Communities"). A name in common use, such as `RT`, takes precedence over that of the registry.
///
/// Where the registry gives the same name to a transitive and a non-transitive community of equal form, the
/// rarer one is marked.
const EXTENDED: &[(u8, u8, &str, Form)] = &[
    (0x00, 0x02, "RT", Form::Administrator),
    (0x00, 0x03, "RO", Form::Administrator),
    (0x00, 0x04, "Transitive-Link-Bandwidth", Form::Rate),
    (0x00, 0x05, "OSPF-Domain", Form::Administrator),
    (0x00, 0x08, "Data-Collection", Form::Administrator),
    (0x00, 0x09, "Source-AS", Form::Administrator),
    (0x00, 0x0a, "L2VPN-ID", Form::Administrator),
    (0x00, 0x10, "VPN-Distinguisher", Form::Administrator),
    (0x00, 0x13, "RT-Record", Form::Administrator),
    (0x00, 0x80, "VNI", Form::Hex),
    (0x01, 0x02, "RT", Form::Administrator),
    (0x01, 0x03, "RO", Form::Administrator),
    (0x01, 0x05, "OSPF-Domain", Form::Administrator),
    (0x01, 0x07, "OSPF-Router-ID", Form::Administrator),
    (0x01, 0x09, "Node-Target", Form::Administrator),
    (0x01, 0x0a, "L2VPN-ID", Form::Administrator),
    (0x01, 0x0b, "VRF-Route-Import", Form::Administrator),
    (0x01, 0x0c, "Redirect-IP", Form::Administrator),
    (0x01, 0x10, "VPN-Distinguisher", Form::Administrator),
    (0x01, 0x12, "P2MP-Next-Hop", Form::Administrator),
    (0x01, 0x13, "RT-Record", Form::Administrator),
    (0x01, 0x14, "VRF-Next-Hop", Form::Administrator),
    (0x01, 0x20, "MVPN-SA-RP", Form::Administrator),
    (0x02, 0x02, "RT", Form::Administrator),
    (0x02, 0x03, "RO", Form::Administrator),
    (0x02, 0x04, "Generic", Form::Administrator),
    (0x02, 0x05, "OSPF-Domain", Form::Administrator),
    (0x02, 0x08, "Data-Collection", Form::Administrator),
    (0x02, 0x09, "Source-AS", Form::Administrator),
    (0x02, 0x10, "VPN-Distinguisher", Form::Administrator),
    (0x02, 0x13, "RT-Record", Form::Administrator),
    (0x03, 0x01, "Transitive-Cost", Form::Hex),
    (0x03, 0x03, "CP-ORF", Form::Bare),
    (0x03, 0x04, "Extranet-Source", Form::Bare),
    (0x03, 0x05, "Extranet-Separation", Form::Bare),
    (0x03, 0x06, "OSPF-Route-Type", Form::OspfRouteType),
    (0x03, 0x07, "PMSI-Flags", Form::Hex),
    (0x03, 0x08, "Context-Label-Space", Form::Hex),
    (0x03, 0x0b, "Color", Form::Number),
    (0x03, 0x0c, "Encapsulation", Form::Tunnel),
    (0x03, 0x0d, "Default-Gateway", Form::Bare),
    (0x03, 0x0e, "PPMP-Label", Form::Hex),
    (0x06, 0x00, "EVPN-MAC-Mobility", Form::Flagged("sticky")),
    (0x06, 0x01, "EVPN-ESI-Label", Form::EsiLabel),
    (0x06, 0x02, "EVPN-ES-Import", Form::Mac),
    (0x06, 0x03, "EVPN-Router-MAC", Form::Mac),
    (0x06, 0x04, "EVPN-L2-Attributes", Form::Hex),
    (0x06, 0x05, "EVPN-E-Tree", Form::Hex),
    (0x06, 0x06, "EVPN-DF-Election", Form::Hex),
    (0x06, 0x07, "EVPN-I-SID", Form::Hex),
    (0x06, 0x08, "EVPN-ARP-ND", Form::Hex),
    (0x06, 0x09, "EVPN-Multicast-Flags", Form::Hex),
    (0x06, 0x0a, "EVPN-EVI-RT-0", Form::Hex),
    (0x06, 0x0b, "EVPN-EVI-RT-1", Form::Hex),
    (0x06, 0x0c, "EVPN-EVI-RT-2", Form::Hex),
    (0x06, 0x0d, "EVPN-EVI-RT-3", Form::Hex),
    (0x06, 0x0e, "EVPN-Attachment-Circuit", Form::Hex),
    (0x06, 0x0f, "EVPN-Service-Carving", Form::Hex),
    (0x06, 0x10, "EVPN-Link-Bandwidth", Form::Hex),
    (0x08, 0x00, "Redirect-Next-Hop", Form::Octet),
    (0x09, 0x00, "Redirect-Indirection", Form::Hex),
    (0x0a, 0x02, "Transport-Class", Form::Number),
    (0x0b, 0x01, "SFIR-Pool", Form::Hex),
    (0x0b, 0x02, "SFC-Label-Stack", Form::Hex),
    (0x0c, 0x00, "MUP-Direct-Segment", Form::Hex),
    (0x40, 0x04, "Link-Bandwidth", Form::Rate),
    (0x42, 0x04, "Non-Transitive-Generic", Form::Administrator),
    (0x43, 0x00, "Validation-State", Form::Octet),
    (0x43, 0x01, "Cost", Form::Hex),
    (0x4a, 0x02, "Non-Transitive-Transport-Class", Form::Number),
    (0x80, 0x00, "OSPF-Route-Type", Form::Hex),
    (0x80, 0x01, "OSPF-Router-ID", Form::Hex),
    (0x80, 0x05, "OSPF-Domain", Form::Hex),
    (0x80, 0x06, "Traffic-Rate", Form::Rate),
    (0x80, 0x07, "Traffic-Action", Form::Hex),
    (0x80, 0x08, "Redirect", Form::Administrator),
    (0x80, 0x09, "Traffic-Marking", Form::Octet),
    (0x80, 0x0a, "L2-Info", Form::Hex),
    (0x80, 0x0b, "E-Tree-Info", Form::Hex),
    (0x80, 0x0c, "Traffic-Rate-Packets", Form::Rate),
    (0x80, 0x0d, "SFC-Classifier", Form::Hex),
    (0x81, 0x08, "Redirect", Form::Administrator),
    (0x82, 0x08, "Redirect", Form::Administrator),
];

/// The name of an extended community; `None` for a type and sub-type without a name.
#[must_use]
pub fn extended_community_name(kind: u8, sub: u8) -> Option<&'static str> {
    find(kind, sub).map(|(name, _)| name)
}

fn find(kind: u8, sub: u8) -> Option<(&'static str, Form)> {
    EXTENDED.iter().find(|(k, s, ..)| (*k, *s) == (kind, sub)).map(|(_, _, name, form)| (*name, *form))
}

/// The text form of an extended community, such as `RT:65000:100`. Equal texts mean equal communities.
///
/// One without a name is written in hexadecimal: type and sub-type, then the value. Bits that the text form
/// does not show, such as the flags of a color, are zero; otherwise all six octets of the value follow in
/// hexadecimal: `Color:100:0x400000000064`.
#[must_use]
pub fn extended_community_text(community: [u8; 8]) -> String {
    ExtendedCommunity(community).to_string()
}

/// An extended community, to be formatted.
struct ExtendedCommunity([u8; 8]);

impl fmt::Display for ExtendedCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kind, sub, value @ ..] = self.0;
        let Some((name, form)) = find(kind, sub) else {
            return write!(f, "0x{kind:02x}{sub:02x}:0x{}", Hex(&value));
        };
        f.write_str(name)?;
        // Bits 0x40 (non-transitive) and 0x80 (generic) do not change the form of the value (RFC 4360 section
        // 2).
        if form.write(f, kind & 0x3f, value)? { Ok(()) } else { write!(f, ":0x{}", Hex(&value)) }
    }
}

impl Form {
    /// Writes a value. Returns whether the text shows every bit that is not zero.
    fn write(self, f: &mut fmt::Formatter<'_>, kind: u8, value: [u8; 6]) -> Result<bool, fmt::Error> {
        let [a, b, c, d, e, g] = value;
        let number = u32::from_be_bytes([c, d, e, g]);
        let last = u16::from_be_bytes([e, g]);
        let is_zero = |octets: &[u8]| octets.iter().all(|octet| *octet == 0);
        let write_flag = |f: &mut fmt::Formatter<'_>, flag: &str| {
            if a & 1 == 1 { write!(f, ":{flag}") } else { Ok(()) }
        };
        match self {
            Self::Administrator => {
                match kind {
                    1 => write!(f, ":{}:{last}", Ipv4Addr::new(a, b, c, d)),
                    2 => write!(f, ":{}:{last}", FourOctetAs(u32::from_be_bytes([a, b, c, d]))),
                    _ => write!(f, ":{}:{number}", u16::from_be_bytes([a, b])),
                }?;
                Ok(true)
            }
            Self::Number => write!(f, ":{number}").map(|()| is_zero(&[a, b])),
            Self::Mac => write!(f, ":{}", hex_separated(&value, ':')).map(|()| true),
            Self::Rate => {
                let rate = f32::from_bits(number);
                write!(f, ":{}:{rate}", u16::from_be_bytes([a, b])).map(|()| !rate.is_nan())
            }
            Self::Flagged(flag) => {
                write!(f, ":{number}")?;
                write_flag(f, flag)?;
                Ok(is_zero(&[a & !1, b]))
            }
            Self::EsiLabel => {
                let field = u32::from_be_bytes([0, d, e, g]);
                write!(f, ":{}", field >> 4)?;
                write_flag(f, "single-active")?;
                let is_label = field == 0 || (field & LABEL_LOW_BITS == BOTTOM_OF_STACK && field >> 4 != 0);
                Ok(is_label && is_zero(&[a & !1, b, c]))
            }
            Self::OspfRouteType => write!(f, ":{}:{e}:{g}", Ipv4Addr::new(a, b, c, d)).map(|()| true),
            Self::Octet => write!(f, ":{g}").map(|()| is_zero(&[a, b, c, d, e])),
            Self::Tunnel => {
                match tunnel_name(last) {
                    Some(tunnel) => write!(f, ":{tunnel}"),
                    None => write!(f, ":{last}"),
                }?;
                Ok(is_zero(&[a, b, c, d]))
            }
            Self::Bare => Ok(is_zero(&value)),
            Self::Hex => write!(f, ":0x{}", Hex(&value)).map(|()| true),
        }
    }
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
