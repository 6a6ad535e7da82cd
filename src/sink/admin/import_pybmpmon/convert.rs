//! One row of pybmpmon's `route_updates` as a route of Holdfast. Pure.
//!
//! pybmpmon stores a part of each route: not the RIB view, the route distinguisher and BGP identifier of the
//! peer, path identifiers, ORIGIN, the structure of AS_PATH, Ethernet tags and labels. What it does not store
//! stays unknown here; of EVPN routes, tag and label are 0. A row that does not identify its route is not
//! converted, with the reason.

use std::net::{IpAddr, Ipv4Addr};

use crate::route::{
    AsPath, AsPathSegment, Attributes, Esi, EvpnRoute, Family, Mac, Nlri, Prefix, Rd, SegmentKind, Timestamp,
};

use super::community;

/// One row of `route_updates` as pybmpmon stores it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SourceRoute {
    pub(super) time: Timestamp,
    /// Address of the BGP peer, as text.
    pub(super) peer: String,
    pub(super) peer_asn: Option<i64>,
    pub(super) family: String,
    pub(super) prefix: Option<String>,
    pub(super) next_hop: Option<String>,
    pub(super) as_path: Option<Vec<Option<i64>>>,
    pub(super) communities: Option<Vec<Option<String>>>,
    pub(super) extended_communities: Option<Vec<Option<String>>>,
    pub(super) med: Option<i64>,
    pub(super) local_pref: Option<i64>,
    pub(super) is_withdrawn: bool,
    pub(super) evpn_route_type: Option<i32>,
    pub(super) evpn_rd: Option<String>,
    pub(super) evpn_esi: Option<String>,
    pub(super) mac_address: Option<String>,
}

/// A converted row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ImportedRoute {
    pub(super) time: Timestamp,
    pub(super) peer: IpAddr,
    /// 0 if unknown.
    pub(super) peer_asn: u32,
    pub(super) family: Family,
    pub(super) nlri: Nlri,
    /// `None` for a withdrawal.
    pub(super) attributes: Option<Attributes>,
    /// Whether the row has another family than its prefix.
    pub(super) is_family_corrected: bool,
}

/// Why a row cannot be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(super) enum Unusable {
    #[error("EVPN route of type {0}: pybmpmon stores only the type")]
    EvpnType(i32),
    #[error("EVPN route of type 2 without a valid route distinguisher, ESI or MAC address")]
    EvpnKey,
    #[error("no prefix and no EVPN route type")]
    NoPrefix,
    #[error("invalid prefix or address")]
    Address,
    #[error("AS number, MED or LOCAL_PREF outside 0 to 4294967295")]
    Number,
    #[error("community that is not of the form AS:VALUE")]
    Community,
}

/// Converts a row.
pub(super) fn convert(row: &SourceRoute) -> Result<ImportedRoute, Unusable> {
    let (family, nlri) = match (row.evpn_route_type, &row.prefix) {
        (Some(2), _) => (Family::EVPN, Nlri::Evpn(Box::new(mac_ip(row).ok_or(Unusable::EvpnKey)?))),
        (Some(number), _) => return Err(Unusable::EvpnType(number)),
        (None, Some(prefix)) => {
            let prefix: Prefix = prefix.parse().map_err(|_| Unusable::Address)?;
            let family = if prefix.is_ipv4() { Family::IPV4_UNICAST } else { Family::IPV6_UNICAST };
            (family, Nlri::Prefix(prefix))
        }
        (None, None) => return Err(Unusable::NoPrefix),
    };
    Ok(ImportedRoute {
        time: row.time,
        peer: row.peer.parse().map_err(|_| Unusable::Address)?,
        peer_asn: row.peer_asn.map_or(Ok(0), number)?,
        is_family_corrected: Family::from_name(&row.family) != Some(family),
        family,
        nlri,
        attributes: if row.is_withdrawn { None } else { Some(attributes(row)?) },
    })
}

fn number(value: i64) -> Result<u32, Unusable> {
    u32::try_from(value).map_err(|_| Unusable::Number)
}

fn mac_ip(row: &SourceRoute) -> Option<EvpnRoute> {
    let ip = match &row.prefix {
        None => None,
        Some(prefix) => Some(prefix.parse::<Prefix>().ok()?.address()),
    };
    Some(EvpnRoute::MacIp {
        rd: route_distinguisher(row.evpn_rd.as_deref()?)?,
        esi: Esi(community::octets(row.evpn_esi.as_deref()?)?),
        tag: 0,
        mac: Mac(community::octets(row.mac_address.as_deref()?)?),
        ip,
        label: 0,
        label2: None,
    })
}

/// Parses `65000:1`, `192.0.2.1:1`, or 16 hexadecimal digits for other types. pybmpmon writes types 0 and 2
/// alike; an AS number of two octets is read as type 0.
fn route_distinguisher(text: &str) -> Option<Rd> {
    let Some((administrator, assigned)) = text.split_once(':') else {
        return (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten().map(to_rd);
    };
    if let Ok(address) = administrator.parse::<Ipv4Addr>() {
        let assigned: u16 = assigned.parse().ok()?;
        return Some(to_rd(1 << 48 | u64::from(u32::from(address)) << 16 | u64::from(assigned)));
    }
    let asn: u32 = administrator.parse().ok()?;
    if let Ok(asn) = u16::try_from(asn) {
        let assigned: u32 = assigned.parse().ok()?;
        return Some(to_rd(u64::from(asn) << 32 | u64::from(assigned)));
    }
    let assigned: u16 = assigned.parse().ok()?;
    Some(to_rd(2 << 48 | u64::from(asn) << 16 | u64::from(assigned)))
}

const fn to_rd(value: u64) -> Rd {
    Rd(value.to_be_bytes())
}

fn attributes(row: &SourceRoute) -> Result<Attributes, Unusable> {
    let mut attributes = Attributes {
        as_path: row.as_path.as_deref().map(as_path).transpose()?,
        next_hop: match &row.next_hop {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| Unusable::Address)?),
        },
        med: row.med.map(number).transpose()?,
        local_pref: row.local_pref.map(number).transpose()?,
        ..Attributes::default()
    };
    for text in row.communities.iter().flatten() {
        let community = text.as_deref().and_then(community::standard).ok_or(Unusable::Community)?;
        attributes.communities.push(community);
    }
    for text in row.extended_communities.iter().flatten().flatten() {
        match community::extended(text) {
            Some(community) => attributes.extended_communities.push(community),
            // As for an attribute of a router that was left out, the reason is kept with the route.
            None => attributes.discarded.push(format!(
                "EXTENDED_COMMUNITIES (16): pybmpmon stored only \"{text}\" of this community"
            )),
        }
    }
    Ok(attributes)
}

/// pybmpmon stores the AS numbers of all segments as one list, which is read as one AS_SEQUENCE.
fn as_path(numbers: &[Option<i64>]) -> Result<AsPath, Unusable> {
    let asns: Vec<u32> =
        numbers.iter().map(|asn| asn.ok_or(Unusable::Number).and_then(number)).collect::<Result<_, _>>()?;
    let count = u16::try_from(asns.len()).map_err(|_| Unusable::Number)?;
    let segment = AsPathSegment { kind: SegmentKind::Sequence, count };
    Ok(AsPath { segments: if count == 0 { Vec::new() } else { vec![segment] }, asns })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unicast(prefix: &str) -> SourceRoute {
        SourceRoute {
            peer: "192.0.2.9".to_owned(),
            family: "ipv4_unicast".to_owned(),
            prefix: Some(prefix.to_owned()),
            ..SourceRoute::default()
        }
    }

    fn evpn() -> SourceRoute {
        SourceRoute {
            family: "evpn".to_owned(),
            evpn_route_type: Some(2),
            evpn_rd: Some("65000:100".to_owned()),
            evpn_esi: Some("00:11:22:33:44:55:66:77:88:99".to_owned()),
            mac_address: Some("02:00:00:00:00:01".to_owned()),
            ..unicast("198.51.100.7/32")
        }
    }

    #[test]
    fn the_family_is_that_of_the_prefix() {
        for (family, prefix, expected, is_corrected) in [
            ("ipv4_unicast", "192.0.2.0/24", Family::IPV4_UNICAST, false),
            ("ipv6_unicast", "2001:db8::/32", Family::IPV6_UNICAST, false),
            ("unknown", "192.0.2.0/24", Family::IPV4_UNICAST, true),
            ("ipv6_unicast", "192.0.2.0/24", Family::IPV4_UNICAST, true),
            ("evpn", "192.0.2.0/24", Family::IPV4_UNICAST, true),
        ] {
            let route = convert(&SourceRoute { family: family.to_owned(), ..unicast(prefix) }).unwrap();
            assert_eq!(
                (route.family, route.is_family_corrected),
                (expected, is_corrected),
                "{family} {prefix}"
            );
        }
    }

    #[test]
    fn attributes_that_are_not_stored_stay_unknown() {
        let row = SourceRoute {
            as_path: Some(vec![Some(65_001), Some(4_200_000_000)]),
            communities: Some(vec![Some("65000:1".to_owned())]),
            extended_communities: Some(vec![
                Some("RT:65000:1".to_owned()),
                Some("Opaque:000000000001".to_owned()),
            ]),
            med: Some(5),
            next_hop: Some("192.0.2.1".to_owned()),
            ..unicast("192.0.2.0/24")
        };
        let attributes = convert(&row).unwrap().attributes.unwrap();
        assert_eq!(attributes.as_path.as_ref().unwrap().to_string(), "65001 4200000000");
        assert_eq!(attributes.communities, [65_000 << 16 | 1]);
        assert_eq!(attributes.extended_communities, [[0, 2, 0xfd, 0xe8, 0, 0, 0, 1]]);
        assert_eq!(attributes.discarded.len(), 1);
        assert_eq!((attributes.origin, attributes.med, attributes.local_pref), (None, Some(5), None));
        assert!(attributes.missing.is_empty(), "it is not known which are missing");
        let withdrawal = convert(&SourceRoute { is_withdrawn: true, ..row }).unwrap();
        assert_eq!(withdrawal.attributes, None);
    }

    #[test]
    fn a_mac_ip_route_keeps_its_key() {
        let Nlri::Evpn(route) = convert(&evpn()).unwrap().nlri else { panic!("EVPN") };
        let EvpnRoute::MacIp { rd, esi, mac, ip, .. } = *route else { panic!("type 2") };
        assert_eq!(
            (rd.to_string(), mac.to_string()),
            ("65000:100".to_owned(), "02:00:00:00:00:01".to_owned())
        );
        assert_eq!(esi.to_string(), "00:11:22:33:44:55:66:77:88:99");
        assert_eq!(ip, Some("198.51.100.7".parse().unwrap()));
    }

    #[test]
    fn route_distinguishers_are_read_as_they_are_written() {
        for (text, expected) in [
            ("65000:1", Some("65000:1")),
            ("0:4294967295", Some("0:4294967295")),
            ("192.0.2.1:7", Some("192.0.2.1:7")),
            ("4200000000:7", Some("4200000000:7")),
            ("4200000000:70000", None),
            ("0003000000000001", Some("0x0003000000000001")),
            ("00030000", None),
            ("a:b", None),
            ("", None),
        ] {
            let found = route_distinguisher(text).map(|rd| rd.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_row_that_does_not_identify_its_route_is_not_converted() {
        let changed = |change: fn(&mut SourceRoute)| {
            let mut row = evpn();
            change(&mut row);
            convert(&row).unwrap_err()
        };
        assert_eq!(changed(|row| row.evpn_route_type = Some(3)), Unusable::EvpnType(3));
        assert_eq!(changed(|row| row.mac_address = None), Unusable::EvpnKey);
        assert_eq!(changed(|row| row.evpn_rd = Some("x".to_owned())), Unusable::EvpnKey);
        assert_eq!(changed(|row| row.med = Some(-1)), Unusable::Number);
        assert_eq!(changed(|row| row.as_path = Some(vec![None])), Unusable::Number);
        assert_eq!(changed(|row| row.communities = Some(vec![Some("x".to_owned())])), Unusable::Community);
        let nothing = |row: &mut SourceRoute| (row.evpn_route_type, row.prefix) = (None, None);
        assert_eq!(changed(nothing), Unusable::NoPrefix);
    }
}
