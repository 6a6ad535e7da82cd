//! Decoding faults of other collectors, one test each. Each test was verified to fail when the code that it
//! guards is broken.

use crate::common::encoder;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use holdfast::bgp::{self, AttributeOutcome, Encoding, Error, Update};
use holdfast::bmp::{self, Message};
use holdfast::route::{
    AsPath, AsPathSegment, Attributes, Esi, EvpnRoute, Family, Mac, Nlri, NlriEntry, Prefix, Rd, SegmentKind,
};

const SEQUENCE: SegmentKind = SegmentKind::Sequence;

fn routes(family: Family, bytes: &[u8], add_path: bool) -> Vec<NlriEntry> {
    bgp::nlri(family, bytes, Encoding { add_path, ..Encoding::PLAIN }, false).map(Result::unwrap).collect()
}

fn texts(family: Family, bytes: &[u8], add_path: bool) -> Vec<String> {
    routes(family, bytes, add_path)
        .into_iter()
        .map(|entry| match entry.nlri {
            Nlri::Prefix(prefix) if add_path => format!("{} {prefix}", entry.path_id),
            Nlri::Prefix(prefix) => prefix.to_string(),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn good(pdu: &[u8], four_octet_as: bool) -> Attributes {
    let (attributes, verdict) = bgp::attributes(&bgp::split(pdu).unwrap(), four_octet_as);
    assert_eq!(verdict, AttributeOutcome::Accepted);
    attributes
}

fn path(segments: &[(SegmentKind, &[u32])]) -> AsPath {
    AsPath {
        asns: segments.iter().flat_map(|(_, asns)| *asns).copied().collect(),
        segments: segments
            .iter()
            .map(|(kind, asns)| AsPathSegment { kind: *kind, count: u16::try_from(asns.len()).unwrap() })
            .collect(),
    }
}

#[test]
fn an_as_number_over_two_to_the_31_is_kept() {
    let sent = Attributes {
        as_path: Some(path(&[(SEQUENCE, &[4_200_000_000, u32::MAX])])),
        ..Attributes::default()
    };
    let decoded = good(&encoder::update(&[], &encoder::attributes(&sent, true), &[]), true);
    assert_eq!(decoded.as_path.unwrap().to_string(), "4200000000 4294967295");
}

#[test]
fn a_med_of_two_to_the_32_less_one_is_kept() {
    let sent = Attributes { med: Some(u32::MAX), local_pref: Some(u32::MAX), ..Attributes::default() };
    assert_eq!(good(&encoder::update(&[], &encoder::attributes(&sent, true), &[]), true), sent);
}

#[test]
fn host_bits_of_a_prefix_are_cleared() {
    assert_eq!(
        texts(Family::IPV4_UNICAST, &[23, 10, 0, 1, 9, 10, 0xff], false),
        ["10.0.0.0/23", "10.128.0.0/9"]
    );
    assert_eq!(texts(Family::IPV6_UNICAST, &[33, 0x20, 1, 0x0d, 0xb8, 0xff], false), ["2001:db8:8000::/33"]);
}

#[test]
fn an_unknown_bmp_type_is_cut_by_its_length_and_kept() {
    let unknown = encoder::bmp(100, &[&[1, 2, 3]]);
    let stream = [unknown.clone(), encoder::bmp(4, &[])].concat();
    let first = bmp::frame(&stream).unwrap().unwrap();
    assert_eq!(bmp::decode(first), Ok(Message::Unknown { kind: 100, body: &[1, 2, 3] }));
    let second = bmp::frame(&stream[first.len()..]).unwrap().unwrap();
    assert_eq!(bmp::decode(second), Ok(Message::Initiation { tlvs: Vec::new(), trailer: &[] }));
}

#[test]
fn route_mirroring_is_decoded() {
    let pdu = encoder::update(&[], &[], &[]);
    let message = encoder::bmp(6, &[&encoder::peer_v4(), &encoder::tlv(1, &[0, 1]), &encoder::tlv(0, &pdu)]);
    let Ok(Message::RouteMirroring { peer, tlvs, .. }) = bmp::decode(&message) else {
        panic!("no Route Mirroring")
    };
    assert_eq!(peer.address, IpAddr::from([192, 0, 2, 2]));
    assert_eq!(tlvs, [bmp::Tlv { kind: 1, value: &[0, 1] }, bmp::Tlv { kind: 0, value: &pdu }]);
}

#[test]
fn peer_down_of_any_reason_is_accepted() {
    for reason in [0, 1, 6, 250] {
        let message = encoder::bmp(2, &[&encoder::peer_v4(), &[reason, 9, 9]]);
        let Ok(Message::PeerDown { reason: decoded, data, .. }) = bmp::decode(&message) else {
            panic!("no Peer Down for reason {reason}")
        };
        assert_eq!((decoded, data), (reason, [9, 9].as_slice()));
    }
}

#[test]
fn an_ipv4_withdraw_only_update_is_no_end_of_rib_and_has_its_routes() {
    let pdu = encoder::update(&[24, 198, 51, 100], &[], &[]);
    let update = bgp::split(&pdu).unwrap();
    assert_eq!(update.end_of_rib(), None);
    assert_eq!(texts(Family::IPV4_UNICAST, update.withdrawn, false), ["198.51.100.0/24"]);
    assert!(update.nlri.is_empty() && update.mp_unreach.is_none());
}

#[test]
fn each_field_of_an_update_has_its_own_family() {
    let attributes = [
        encoder::mp_unreach(Family::IPV6_MULTICAST, &[16, 0x20, 2]),
        encoder::mp_reach(Family::IPV6_UNICAST, &[1; 16], &[32, 0x20, 1, 0x0d, 0xb8]),
    ]
    .concat();
    let pdu = encoder::update(&[8, 10], &attributes, &[8, 11]);
    let Update { withdrawn, nlri, mp_reach: Some(reach), mp_unreach: Some(unreach), .. } =
        bgp::split(&pdu).unwrap()
    else {
        panic!("a field is missing")
    };
    assert_eq!(texts(Family::IPV4_UNICAST, withdrawn, false), ["10.0.0.0/8"]);
    assert_eq!(texts(Family::IPV4_UNICAST, nlri, false), ["11.0.0.0/8"]);
    assert_eq!((reach.family, unreach.family), (Family::IPV6_UNICAST, Family::IPV6_MULTICAST));
    assert_eq!(texts(reach.family, reach.nlri, false), ["2001:db8::/32"]);
    assert_eq!(texts(unreach.family, unreach.nlri, false), ["2002::/16"]);
}

#[test]
fn a_path_identifier_is_no_prefix() {
    let bytes = [0, 0, 0, 1, 24, 10, 1, 2, 0, 0, 0, 2, 24, 10, 1, 2];
    assert_eq!(texts(Family::IPV4_UNICAST, &bytes, true), ["1 10.1.2.0/24", "2 10.1.2.0/24"]);
    // The NLRI of osrg/gobgp issue 2879: decoded without ADD-PATH, it begins with default routes.
    let arista = [0, 0, 0x0b, 0xf2, 31, 10, 40, 3, 232];
    assert_eq!(texts(Family::IPV4_UNICAST, &arista, true), ["3058 10.40.3.232/31"]);
    let is_convincing = |encoding| bgp::nlri_convincing(Family::IPV4_UNICAST, &arista, encoding, false);
    assert!(is_convincing(Encoding::ADD_PATH) && !is_convincing(Encoding::PLAIN));
}

#[test]
fn a_field_of_prefixes_is_plausible_when_a_router_can_have_meant_it() {
    let (v4, v6) = (Family::IPV4_UNICAST, Family::IPV6_UNICAST);
    let (plain, add_path) = (Encoding::PLAIN, Encoding::ADD_PATH);
    // Whether the field is plausible, and whether it outweighs another encoding that was expected. Bits
    // beyond the length are irrelevant (RFC 4271 section 4.3), but speakers rarely set them.
    let cases: [(Family, Encoding, &[u8], bool, bool); 18] = [
        (v4, plain, &[24, 10, 1, 2], true, true),
        (v4, plain, &[23, 10, 1, 2], true, true),
        (v4, plain, &[23, 10, 1, 3], true, false),
        (v4, plain, &[23, 10, 1, 3, 8, 10], true, false),
        (v4, plain, &[8, 10, 23, 10, 1, 3], true, false),
        (v4, plain, &[8, 10, 8, 10], true, false),
        (v4, plain, &[32, 10, 1, 2, 3], true, true),
        (v4, plain, &[33, 10, 1, 2, 3, 0], false, false),
        (v4, plain, &[33, 10, 1, 2, 3, 0, 8, 10], false, false),
        (v4, plain, &[24, 10, 1], false, false),
        (v4, plain, &[0], true, true),
        (v4, plain, &[0, 8, 10], true, true),
        (v4, plain, &[0, 8, 10, 0], false, false),
        (v4, add_path, &[0, 0, 0, 1, 0, 0, 0, 0, 2, 0], true, true),
        (v4, add_path, &[0, 0, 0, 1, 23, 10, 1, 3], true, false),
        (v6, plain, &[32, 0x20, 1, 0xd, 0xb8], true, true),
        (v6, plain, &[31, 0x20, 1, 0xd, 0xb9], true, false),
        (v6, plain, &[0, 0, 32, 0x20, 1, 0xd, 0xb8], false, false),
    ];
    for (family, encoding, bytes, plausible, convincing) in cases {
        assert_eq!(bgp::nlri_plausible(family, bytes, encoding, false), plausible, "{family} {bytes:?}");
        assert_eq!(bgp::nlri_convincing(family, bytes, encoding, false), convincing, "{family} {bytes:?}");
    }
    let labelled = |last| [&[47][..], &[0, 1, 0x11, 10, 1, last]].concat();
    let family = Family { afi: 1, safi: 4 };
    assert!(bgp::nlri_convincing(family, &labelled(2), plain, false));
    assert!(!bgp::nlri_convincing(family, &labelled(3), plain, false));
    let too_long = [&[129][..], &[0; 17]].concat();
    assert!(!bgp::nlri_plausible(v6, &too_long, plain, false));
}

#[test]
fn a_two_octet_path_of_several_segments_keeps_them() {
    let sent =
        path(&[(SEQUENCE, &[65001, 65002]), (SegmentKind::Set, &[65003, 65004]), (SEQUENCE, &[65005])]);
    let attributes = encoder::attribute(0x40, 2, &encoder::as_path(&sent, false));
    let pdu = encoder::update(&[], &attributes, &[]);
    let update = bgp::split(&pdu).unwrap();
    assert!(bgp::as_path_width_fits(&update, false) && !bgp::as_path_width_fits(&update, true));
    let decoded = good(&pdu, false).as_path.unwrap();
    assert_eq!(decoded, sent);
    assert_eq!(decoded.to_string(), "65001 65002 {65003,65004} 65005");
}

fn mac_ip(tag: u32, last: u8, label: u32) -> EvpnRoute {
    EvpnRoute::MacIp {
        rd: Rd([0, 0, 0xfd, 0xe8, 0, 0, 0, 1]),
        esi: Esi([last; 10]),
        tag,
        mac: Mac([2, 0, 0, 0, 0, last]),
        ip: Some(IpAddr::from([10, 0, 0, last])),
        label,
        label2: Some(label),
    }
}

fn evpn_routes() -> Vec<EvpnRoute> {
    let rd = Rd([0, 1, 192, 0, 2, 1, 0, 7]);
    let esi = Esi([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let originator = IpAddr::from([192, 0, 2, 1]);
    let v6 = IpAddr::from([0x20; 16]);
    let prefix6 = Prefix::v6(0x2001_0db8 << 96, 64).unwrap();
    vec![
        EvpnRoute::AutoDiscovery { rd, esi, tag: u32::MAX, label: 0x00_1388 },
        mac_ip(7, 1, 0xff_ffff),
        EvpnRoute::MacIp { rd, esi, tag: 0, mac: Mac([2; 6]), ip: None, label: 16, label2: None },
        EvpnRoute::MacIp { rd, esi, tag: 0, mac: Mac([2; 6]), ip: Some(v6), label: 16, label2: None },
        EvpnRoute::InclusiveMulticast { rd, tag: 0, originator },
        EvpnRoute::InclusiveMulticast { rd, tag: 0, originator: v6 },
        EvpnRoute::EthernetSegment { rd, esi, originator },
        EvpnRoute::EthernetSegment { rd, esi, originator: v6 },
        EvpnRoute::IpPrefix {
            rd,
            esi,
            tag: 0,
            prefix: Prefix::v4(0x0a01_0000, 16).unwrap(),
            gateway: originator,
            label: 5000,
        },
        EvpnRoute::IpPrefix { rd, esi, tag: 0, prefix: prefix6, gateway: v6, label: 5000 },
    ]
}

#[test]
fn evpn_types_1_to_5_keep_every_field() {
    let routes_sent = evpn_routes();
    let bytes: Vec<u8> = routes_sent.iter().flat_map(encoder::evpn).collect();
    let decoded: Vec<_> = routes(Family::EVPN, &bytes, false).into_iter().map(|entry| entry.nlri).collect();
    let expected: Vec<_> = routes_sent.into_iter().map(|route| Nlri::Evpn(Box::new(route))).collect();
    assert_eq!(decoded, expected);
}

#[test]
fn the_withdrawal_of_an_evpn_route_has_the_key_of_its_announcement() {
    let key = |bytes: &[u8], withdraw| {
        let mut key = Vec::new();
        match bgp::nlri(Family::EVPN, bytes, Encoding::PLAIN, withdraw).next() {
            Some(Ok(NlriEntry { nlri: Nlri::Evpn(route), .. })) => route.key(&mut key),
            other => panic!("{other:?}"),
        }
        key
    };
    let announced = key(&encoder::evpn(&mac_ip(7, 1, 0x00_1388)), false);
    assert_eq!(key(&encoder::evpn(&mac_ip(7, 1, 0)), true), announced);
    assert_eq!(key(&encoder::evpn(&mac_ip(7, 1, 0x80_0000)), true), announced);
    assert_ne!(key(&encoder::evpn(&mac_ip(8, 1, 0x00_1388)), true), announced, "the tag is part of the key");
    assert_ne!(key(&encoder::evpn(&mac_ip(7, 2, 0x00_1388)), true), announced, "so are MAC and IP");
    let same_ip = |last| match mac_ip(7, last, 0) {
        EvpnRoute::MacIp { rd, esi, tag, mac, label, label2, .. } => {
            EvpnRoute::MacIp { rd, esi, tag, mac, ip: None, label, label2 }
        }
        other => other,
    };
    assert_ne!(
        key(&encoder::evpn(&same_ip(1)), true),
        key(&encoder::evpn(&same_ip(2)), true),
        "the MAC alone"
    );
    let mut keys: Vec<_> = evpn_routes().iter().map(|route| key(&encoder::evpn(route), false)).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), evpn_routes().len());
}

#[test]
fn the_label_of_a_withdrawn_evpn_route_is_ignored() {
    let bytes = encoder::evpn(&mac_ip(7, 1, 0x80_0000));
    let withdrawn = bgp::nlri(Family::EVPN, &bytes, Encoding::PLAIN, true).next().unwrap().unwrap();
    assert_eq!(withdrawn.nlri, Nlri::Evpn(Box::new(mac_ip(7, 1, 0))));
}

#[test]
fn an_evpn_route_of_another_type_is_kept_raw() {
    let bytes = [&[12, 3, 1, 2, 3][..], &encoder::evpn(&mac_ip(7, 1, 2)), &[0, 0]].concat();
    let decoded: Vec<_> = routes(Family::EVPN, &bytes, false).into_iter().map(|entry| entry.nlri).collect();
    let raw = |bytes: &[u8]| Nlri::Raw(bytes.into());
    assert_eq!(decoded, [raw(&[12, 3, 1, 2, 3]), Nlri::Evpn(Box::new(mac_ip(7, 1, 2))), raw(&[0, 0])]);
}

#[test]
fn an_evpn_route_is_as_long_as_its_type_or_refused() {
    for route in evpn_routes() {
        let whole = encoder::evpn(&route);
        for change in [-1_isize, 1, 4] {
            let mut bytes = whole.clone();
            bytes.resize(whole.len().saturating_add_signed(change), 0);
            bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
            let decoded = bgp::nlri(Family::EVPN, &bytes, Encoding::PLAIN, false).next().unwrap();
            assert_eq!(
                decoded,
                Err(Error::EvpnLength { route_type: bytes[0], length: bytes.len() - 2, offset: 0 }),
                "{route:?} {change:+}"
            );
        }
    }
}

#[test]
fn ipv4_routes_have_an_ipv6_next_hop() {
    let global = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    let next_hop = [global.octets(), local.octets()].concat();
    let pdu = encoder::update(&[], &encoder::mp_reach(Family::IPV4_UNICAST, &next_hop, &[24, 10, 1, 2]), &[]);
    let decoded = good(&pdu, true);
    assert_eq!(decoded.next_hop, Some(global.into()));
    assert_eq!(decoded.next_hop_link_local, Some(local));
    let reach = bgp::split(&pdu).unwrap().mp_reach.unwrap();
    assert_eq!(texts(reach.family, reach.nlri, false), ["10.1.2.0/24"]);
}

#[test]
fn an_update_that_announces_twice_has_two_next_hops_and_two_keys() {
    let v4 = Ipv4Addr::new(192, 0, 2, 9);
    let attributes = [
        encoder::mp_reach(Family::IPV6_UNICAST, &[0x20; 16], &[8, 0x20]),
        encoder::attribute(0x40, 3, &v4.octets()),
    ]
    .concat();
    let pdu = encoder::update(&[], &attributes, &[8, 10]);
    let update = bgp::split(&pdu).unwrap();
    assert_eq!(bgp::attributes(&update, true).0.next_hop, Some(IpAddr::from([0x20; 16])));
    assert_eq!(bgp::attributes(&update.without_mp_reach(), true).0.next_hop, Some(v4.into()));
    let (mut with, mut without) = (Vec::new(), Vec::new());
    update.key(&mut with);
    update.without_mp_reach().key(&mut without);
    assert_ne!(with, without);
}

#[test]
fn bytes_after_the_bgp_message_are_a_trailer() {
    let pdu = encoder::update(&[], &[], &[8, 10]);
    let huawei = [0xea, 0x62, 0, 4, 0, 0, 0, 1];
    let message = encoder::bmp(0, &[&encoder::peer_v4(), &pdu, &huawei]);
    let Ok(Message::RouteMonitoring { pdu: cut, trailer, .. }) = bmp::decode(&message) else {
        panic!("refused")
    };
    assert_eq!((cut, trailer), (pdu.as_slice(), huawei.as_slice()));
}
