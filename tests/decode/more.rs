//! Rare parts of messages: attributes with sub-TLVs, capabilities, extended communities, statistics, BMP
//! version 4.

use crate::common::encoder;
use std::collections::HashSet;

use crate::common::nlri_samples::tlv;
use holdfast::bgp::{self, AttributeOutcome};
use holdfast::bmp::{self, IndexedTlv, Message, peer_down_reason, statistic_name};
use holdfast::route::{
    Attributes, Family, LinkStateTlv, LinkStateValue, PmsiTunnel, PrefixSidTlv, RareAttribute, ServiceSid,
    Tunnel, TunnelTlv, attribute_name, extended_community_name, extended_community_text, link_state_name,
};

fn decode(section: &[u8]) -> (Attributes, AttributeOutcome) {
    bgp::attributes(&bgp::split(&encoder::update(&[], section, &[])).unwrap(), true)
}

/// The text of the one typed attribute; its bytes are in `raw` as well.
fn more(flags: u8, code: u8, value: &[u8]) -> (RareAttribute, String) {
    let (mut set, verdict) = decode(&encoder::attribute(flags, code, value));
    assert_eq!(verdict, AttributeOutcome::Accepted);
    assert_eq!((set.raw[0].code, set.raw[0].value.as_slice(), set.rare.len()), (code, value, 1));
    let more = set.rare.remove(0);
    let text = more.to_string();
    (more, text)
}

/// `type 1, length 2, value`.
fn sid_tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    [&[kind][..], &length.to_be_bytes(), value].concat()
}

#[test]
fn a_pmsi_tunnel_has_type_label_and_end() {
    let value = [0, 6, 0x00, 0x13, 0x88, 192, 0, 2, 1];
    let (decoded, text) = more(0xc0, 22, &value);
    let identifier = vec![192, 0, 2, 1];
    assert_eq!(decoded, RareAttribute::PmsiTunnel(PmsiTunnel { flags: 0, kind: 6, label: 5000, identifier }));
    // The label is in the upper 20 bits (RFC 6514 section 5); a VNI takes all 24 (RFC 8365 section 5.1.3).
    assert_eq!(text, "PMSI_TUNNEL ingress-replication label=312 vni=5000 192.0.2.1");
    let pim = [1, 3, 0, 0, 0, 10, 0, 0, 1, 232, 1, 1, 1];
    assert_eq!(more(0xc0, 22, &pim).1, "PMSI_TUNNEL pim-ssm label=0 10.0.0.1 232.1.1.1");
    assert_eq!(more(0xc0, 22, &[0, 0, 0, 0, 0]).1, "PMSI_TUNNEL none label=0");
    assert_eq!(more(0xc0, 22, &[0, 99, 0, 0, 1, 7]).1, "PMSI_TUNNEL type 99 label=0 vni=1 0x07");
    // Only PIM tunnels have two addresses.
    let mldp = [0, 2, 0, 0, 0, 10, 0, 0, 1, 232, 1, 1, 1];
    assert_eq!(more(0xc0, 22, &mldp).1, "PMSI_TUNNEL mldp-p2mp label=0 0x0a000001e8010101");
}

#[test]
fn tunnels_and_their_parts_have_names() {
    let endpoint = [&[6, 10, 0, 0, 0, 0, 0, 1][..], &[192, 0, 2, 7]].concat();
    let color = [4, 8, 3, 0x0b, 0, 0, 0, 0, 0, 100];
    let vxlan = tlv(8, &[&endpoint[..], &color].concat());
    let name = [&[129, 0, 4, 0][..], b"abc"].concat();
    let policy = tlv(15, &[&[12, 6, 0, 0, 0, 0, 0, 200][..], &[15, 2, 5, 0], &name, &[77, 1, 9]].concat());
    let (decoded, text) = more(0xc0, 23, &[vxlan, policy].concat());
    let RareAttribute::TunnelEncapsulation(tunnels) = decoded else { panic!("no tunnels") };
    assert_eq!(tunnels.len(), 2);
    // An endpoint without an address is the next hop; an invalid address is kept raw.
    for (endpoint, text) in [(&[][..], "self"), (&[192, 0], "0x000000000000c000")] {
        let length = u8::try_from(6 + endpoint.len()).unwrap();
        let value = tlv(8, &[&[6, length, 0, 0, 0, 0, 0, 0], endpoint].concat());
        assert_eq!(more(0xc0, 23, &value).1, format!("TUNNEL_ENCAPSULATION VXLAN egress-endpoint={text}"));
    }
    // From type 128 on, the length has two octets (RFC 9012 section 2).
    for (kind, length) in [(127, &[3][..]), (128, &[0, 3])] {
        let (decoded, _) = more(0xc0, 23, &tlv(8, &[&[kind], length, b"abc"].concat()));
        let one = Tunnel { kind: 8, tlvs: vec![TunnelTlv { kind, value: b"abc".to_vec() }] };
        assert_eq!(decoded, RareAttribute::TunnelEncapsulation(vec![one]));
    }
    let first = TunnelTlv { kind: 6, value: vec![0, 0, 0, 0, 0, 1, 192, 0, 2, 7] };
    assert_eq!(
        tunnels[0],
        Tunnel { kind: 8, tlvs: vec![first, TunnelTlv { kind: 4, value: color[2..].to_vec() }] }
    );
    assert_eq!(
        text,
        "TUNNEL_ENCAPSULATION VXLAN egress-endpoint=192.0.2.7 color=100; \
         SR-Policy preference=200 priority=5 candidate-path-name=abc 77=0x09"
    );
}

#[test]
fn ipv6_extended_communities_read_like_the_others() {
    let address = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let one = |kind, sub| [&[kind, sub][..], &address, &[0, 100]].concat();
    let (_, text) = more(0xc0, 25, &[one(0, 2), one(0x40, 9)].concat());
    assert_eq!(text, "IPV6_EXTENDED_COMMUNITIES RT:2001:db8::1:100 0x4009:2001:db8::1:100");
}

#[test]
fn a_prefix_sid_has_index_ranges_and_services() {
    let address = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
    let structure = sid_tlv(1, &[40, 24, 16, 0, 16, 64]);
    let information = sid_tlv(1, &[&[0][..], &address, &[0, 0, 18, 0], &structure].concat());
    let value = [
        sid_tlv(1, &[0, 0, 0, 0, 0, 0, 9]),
        sid_tlv(3, &[0, 0, 0, 0x3e, 0x80, 0, 0x1f, 0x40]),
        sid_tlv(5, &[&[0][..], &information].concat()),
        sid_tlv(77, &[1]),
    ]
    .concat();
    let (decoded, text) = more(0xc0, 40, &value);
    let sid = ServiceSid { sid: address.into(), behavior: 18, structure: Some([40, 24, 16, 0, 16, 64]) };
    assert_eq!(
        decoded,
        RareAttribute::PrefixSid(vec![
            PrefixSidTlv::LabelIndex(9),
            PrefixSidTlv::Srgb(vec![(16_000, 8_000)]),
            PrefixSidTlv::Service { layer2: false, sids: vec![sid] },
            PrefixSidTlv::Raw { kind: 77, value: vec![1] },
        ])
    );
    assert_eq!(
        text,
        "PREFIX_SID label-index=9 srgb=16000+8000 srv6-l3=2001:db8::5 behavior 0x0012 \
         structure 40/24/16/0 77=0x01"
    );
}

#[test]
fn the_link_state_attribute_has_typed_values_and_keeps_the_others() {
    use LinkStateValue::{
        Address, Bandwidths, Behavior, EndX, Locator, Number, Numbers, Ranges, Raw, Sid, Structure, Text,
    };
    let sid6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
    let label_tlv = tlv(1161, &[0, 0x3e, 0x80]);
    let cases: Vec<(u16, Vec<u8>, LinkStateValue, &str)> = vec![
        (1026, b"core1".to_vec(), Text("core1".to_owned()), "node-name=\"core1\""),
        (1028, vec![192, 0, 2, 1], Address([192, 0, 2, 1].into()), "ipv4-router-id=192.0.2.1"),
        (1095, vec![0, 0, 10], Number(10), "igp-metric=10"),
        (1155, vec![0, 0, 0, 20], Number(20), "prefix-metric=20"),
        (1096, vec![0, 0, 0, 1, 0, 0, 0, 2], Numbers(vec![1, 2]), "srlg=1,2"),
        (1035, vec![0, 128], Numbers(vec![0, 128]), "sr-algorithm=0,128"),
        (
            1089,
            1.25e9_f32.to_be_bytes().to_vec(),
            Bandwidths(vec![1.25e9_f32.to_bits()]),
            "max-bandwidth=1250000000",
        ),
        (
            1099,
            vec![0x30, 1, 0, 0, 0, 0x5d, 0xc1],
            Sid { flags: 0x30, weight: 1, sid: 24_001 },
            "adj-sid=24001(flags 0x30, 1)",
        ),
        (
            1158,
            vec![0, 0, 0, 0, 0, 0, 0, 7],
            Sid { flags: 0, weight: 0, sid: 7 },
            "prefix-sid=7(flags 0x00, 0)",
        ),
        (
            1034,
            [&[0x80, 0, 0, 0x1f, 0x40][..], &label_tlv].concat(),
            Ranges(vec![(16_000, 8_000)]),
            "sr-capabilities=16000+8000",
        ),
        (
            1106,
            [&[0, 5, 0, 128, 1, 0][..], &sid6].concat(),
            EndX { behavior: 5, algorithm: 128, weight: 1, sid: sid6.into() },
            "srv6-end-x-sid=2001:db8::5(behavior 0x0005, algorithm 128, weight 1)",
        ),
        (
            1162,
            vec![0, 128, 0, 0, 0, 0, 0, 9],
            Locator { algorithm: 128, metric: 9 },
            "srv6-locator=(algorithm 128, metric 9)",
        ),
        (
            1250,
            vec![0, 1, 0, 0],
            Behavior { behavior: 1, algorithm: 0 },
            "srv6-endpoint-behavior=0x0001(algorithm 0)",
        ),
        (1252, vec![40, 24, 16, 0], Structure([40, 24, 16, 0]), "srv6-sid-structure=40/24/16/0"),
        (1028, vec![1, 2], Raw(vec![1, 2]), "ipv4-router-id=0x0102"),
        (60_000, vec![9], Raw(vec![9]), "60000=0x09"),
    ];
    for (kind, value, expected, text) in cases {
        let (decoded, whole) = more(0x80, 29, &tlv(kind, &value));
        assert_eq!(decoded, RareAttribute::LinkState(vec![LinkStateTlv { kind, value: expected }]));
        assert_eq!(whole, format!("BGP_LS {text}"));
    }
    assert_eq!(link_state_name(60_000), None);
}

#[test]
fn link_state_addresses_and_numbers_are_typed_by_their_length() {
    use LinkStateValue::{Address, Number};
    let six = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
    let min_max = LinkStateValue::Numbers(vec![0x8000_000a, 0x7f00_0014]);
    let cases: [(u16, &[u8], LinkStateValue, &str); 17] = [
        (1029, &six, Address(six.into()), "ipv6-router-id=2001:db8::5"),
        (1031, &six, Address(six.into()), "remote-ipv6-router-id=2001:db8::5"),
        (1156, &[192, 0, 2, 1], Address([192, 0, 2, 1].into()), "ospf-forwarding-address=192.0.2.1"),
        (1171, &six, Address(six.into()), "source-router-id=2001:db8::5"),
        (1024, &[0x80], Number(128), "node-flags=128"),
        // The second octet of the protection is reserved (RFC 5307 section 1.2).
        (1093, &[4, 0], Number(4), "protection=4"),
        (1093, &[0xc0, 0xff], Number(0xc0), "protection=192"),
        // A narrow metric has six bits, one of OSPF 16 and a wide one 24 (RFC 9552 section 5.3.2.4).
        (1095, &[63], Number(63), "igp-metric=63"),
        (1095, &[0xff], Number(63), "igp-metric=63"),
        (1095, &[0xff, 0xfe], Number(0xfffe), "igp-metric=65534"),
        (1095, &[0xff, 0xff, 0xfe], Number(0xff_fffe), "igp-metric=16777214"),
        // Delays and loss have 24 bits, beside the A bit and reserved bits (RFC 8571 section 2).
        (1114, &[0, 0, 0x27, 0x10], Number(10_000), "delay=10000"),
        (1114, &[0x80, 0, 0x27, 0x10], Number(0x8000_2710), "delay=10000(anomalous)"),
        (1114, &[0x7f, 0xff, 0xff, 0xff], Number(0x7fff_ffff), "delay=16777215"),
        (1115, &[0x80, 0, 0, 10, 0x7f, 0, 0, 20], min_max, "min-max-delay=10,20(anomalous)"),
        (1116, &[0xff, 0, 0, 5], Number(0xff00_0005), "delay-variation=5"),
        (1117, &[0x80, 0, 0, 100], Number(0x8000_0064), "loss=100(anomalous)"),
    ];
    for (kind, bytes, value, text) in cases {
        let (decoded, whole) = more(0x80, 29, &tlv(kind, bytes));
        assert_eq!(decoded, RareAttribute::LinkState(vec![LinkStateTlv { kind, value }]));
        assert_eq!(whole, format!("BGP_LS {text}"));
    }
}

#[test]
fn a_sid_of_three_octets_is_a_label_of_twenty_bits_and_one_of_four_an_index() {
    for (sid, expected) in [(&[0xff, 0x5d, 0xc1][..], 0x0f_5dc1), (&[0, 0xff, 0x5d, 0xc1], 0xff_5dc1)] {
        let (decoded, _) = more(0x80, 29, &tlv(1099, &[&[0, 0, 0, 0], sid].concat()));
        let value = LinkStateValue::Sid { flags: 0, weight: 0, sid: expected };
        assert_eq!(decoded, RareAttribute::LinkState(vec![LinkStateTlv { kind: 1099, value }]));
        for kind in [1034, 1036] {
            let range = [&[0x80, 0, 0, 0x1f, 0x40][..], &tlv(1161, sid)].concat();
            let (decoded, _) = more(0x80, 29, &tlv(kind, &range));
            let value = LinkStateValue::Ranges(vec![(expected, 8_000)]);
            assert_eq!(decoded, RareAttribute::LinkState(vec![LinkStateTlv { kind, value }]));
        }
    }
    for sid in [&[1, 2][..], &[1, 2, 3, 4, 5]] {
        let value = [&[0x80, 0, 0, 0x1f, 0x40][..], &tlv(1161, sid)].concat();
        let (decoded, _) = more(0x80, 29, &tlv(1034, &value));
        let value = LinkStateValue::Raw(value);
        assert_eq!(decoded, RareAttribute::LinkState(vec![LinkStateTlv { kind: 1034, value }]));
    }
}

#[test]
fn a_link_state_value_of_a_length_that_its_type_does_not_have_is_kept_raw() {
    for (kind, length) in [
        (1024, 2),
        (1037, 0),
        (1088, 3),
        (1174, 8),
        (1093, 1),
        (1093, 3),
        (1095, 0),
        (1095, 4),
        (1114, 3),
        (1115, 4),
        (1115, 12),
        (1117, 5),
        (1029, 4),
        (1156, 5),
        (1171, 24),
    ] {
        let value = vec![1; length];
        let (decoded, _) = more(0x80, 29, &tlv(kind, &value));
        assert_eq!(
            decoded,
            RareAttribute::LinkState(vec![LinkStateTlv { kind, value: LinkStateValue::Raw(value) }])
        );
    }
}

#[test]
fn an_attribute_set_holds_attributes_of_its_own_and_no_second_set() {
    let inner = [
        encoder::attribute(0x40, 1, &[0]),
        encoder::attribute(0x40, 2, &[2, 1, 0, 1, 0, 0]),
        encoder::attribute(0x40, 5, &[0, 0, 0, 44]),
        encoder::attribute(0xc0, 128, &[0, 0, 0, 1]),
    ]
    .concat();
    let (decoded, text) = more(0xc0, 128, &[&[0, 0, 0xfd, 0xe9], &inner[..]].concat());
    let RareAttribute::AttrSet { origin_as, attributes } = decoded else { panic!("no set") };
    assert_eq!((origin_as, attributes.local_pref, attributes.raw[0].code), (65_001, Some(44), 128));
    assert!(attributes.rare.is_empty(), "the set inside stays raw");
    assert_eq!(text, "ATTR_SET origin-as=65001 as-path=\"65536\" local-pref=44");
    // Attributes of a two-octet speaker are decoded with two octets.
    let old = [&[0, 0, 0xfd, 0xe9][..], &encoder::attribute(0x40, 2, &[2, 1, 0x15, 0xb3])].concat();
    assert_eq!(more(0xc0, 128, &old).1, "ATTR_SET origin-as=65001 as-path=\"5555\"");
}

#[test]
fn a_malformed_attribute_has_the_effect_that_its_rfc_prescribes() {
    let verdict = |flags, code, value: &[u8]| decode(&encoder::attribute(flags, code, value));
    for (flags, code, value) in [
        (0xc0, 22, [0, 6, 0, 0].as_slice()),
        (0xc0, 23, &[0, 8, 0, 9, 1]),
        (0xc0, 23, &[0, 8, 0, 2, 1, 9]),
        (0xc0, 25, &[0; 19]),
        (0xc0, 25, &[]),
        (0xc0, 128, &[0, 0, 0]),
        (0xc0, 128, &[0, 0, 0, 1, 0x40, 1, 1, 7]),
        (0xc0, 128, &[0, 0, 0, 1, 0x40, 1, 9, 0]),
    ] {
        let (set, verdict) = verdict(flags, code, value);
        assert!(matches!(verdict, AttributeOutcome::TreatAsWithdraw(_)), "{code} {value:?}: {verdict:?}");
        assert!(set.rare.is_empty());
    }
    let AttributeOutcome::TreatAsWithdraw(reason) = verdict(0xc0, 23, &[0, 8, 0, 2, 1, 9]).1 else {
        panic!()
    };
    assert!(reason.ends_with("sub-TLV at byte 6: expected 9 bytes, found 0"), "{reason}");
    for (flags, code, value) in [
        (0x80, 29, [0x04, 2, 0, 9, 1].as_slice()),
        (0xc0, 40, &[1, 0, 7, 0]),
        (0xc0, 29, &[]),
        (0x80, 40, &[]),
    ] {
        let (set, verdict) = verdict(flags, code, value);
        assert_eq!((verdict, set.discarded.len()), (AttributeOutcome::Discarded, 1), "{code} {value:?}");
    }
}

#[test]
fn a_missing_mandatory_attribute_is_reported_and_withdraws_nothing() {
    let of = |section: &[u8], nlri: &[u8]| {
        let pdu = encoder::update(&[], section, nlri);
        let (set, verdict) = bgp::attributes(&bgp::split(&pdu).unwrap(), true);
        assert_eq!(verdict, AttributeOutcome::Accepted);
        set.missing
    };
    let origin = encoder::attribute(0x40, 1, &[0]);
    let path = encoder::attribute(0x40, 2, &[]);
    let hop = encoder::attribute(0x40, 3, &[192, 0, 2, 1]);
    assert_eq!(of(&origin, &[8, 10]), [2, 3]);
    assert_eq!(of(&[origin.clone(), path.clone()].concat(), &[8, 10]), [3]);
    assert_eq!(of(&[origin.clone(), path.clone(), hop].concat(), &[8, 10]), Vec::<u8>::new());
    let reach = encoder::mp_reach(holdfast::route::Family::EVPN, &[192, 0, 2, 1], &[12, 0]);
    assert_eq!(
        of(&[origin, path, reach.clone()].concat(), &[]),
        Vec::<u8>::new(),
        "its next hop is in MP_REACH_NLRI"
    );
    assert_eq!(of(&reach, &[]), [1, 2]);
    assert_eq!(of(&[], &[]), Vec::<u8>::new(), "nothing is announced");
}

#[test]
fn capabilities_read_as_operators_know_them() {
    let texts = |capabilities: &[(u8, Vec<u8>)]| -> Vec<String> {
        let open = bgp::open(&encoder::open(65_001, capabilities, false)).unwrap();
        open.capabilities.iter().map(ToString::to_string).collect()
    };
    let cases: Vec<(u8, Vec<u8>, &str)> = vec![
        (1, vec![0, 25, 0, 70], "multiprotocol evpn"),
        (2, vec![], "route-refresh"),
        (5, vec![0, 1, 0, 1, 0, 2], "extended-next-hop ipv4_unicast:afi2"),
        (6, vec![], "extended-message"),
        (8, vec![0, 1, 4, 3], "multiple-labels ipv4_labelled_unicast:3"),
        (9, vec![3], "role customer"),
        (9, vec![9], "role 9"),
        (
            64,
            vec![0x80, 120, 0, 1, 1, 0x80, 0, 2, 1, 0],
            "graceful-restart 120s restarted ipv4_unicast:preserved ipv6_unicast",
        ),
        (65, vec![0xfa, 0x56, 0xea, 0], "four-octet-as 4200000000"),
        (69, vec![0, 1, 1, 3, 0, 2, 1, 1], "add-path ipv4_unicast:both ipv6_unicast:receive"),
        (70, vec![], "enhanced-route-refresh"),
        (71, vec![0, 1, 1, 0, 0, 0x0e, 0x10], "long-lived-graceful-restart ipv4_unicast:3600s"),
        (73, [&[2][..], b"r1", &[7], b"example"].concat(), "fqdn r1.example"),
        (73, vec![9, 1], "fqdn 0x0901"),
        (75, [&[6][..], b"FRR/10"].concat(), "software-version FRR/10"),
        // Incomplete tuples of AFI and SAFI are ignored.
        (5, vec![0, 1, 0, 1, 0, 2, 9], "extended-next-hop 0x00010001000209"),
        (64, vec![0, 120, 0, 1, 1], "graceful-restart 0x0078000101"),
        (71, vec![0, 1, 1, 0, 0, 0x0e, 0x10, 9], "long-lived-graceful-restart 0x00010100000e1009"),
        (200, vec![1, 2], "capability 200 0x0102"),
    ];
    for (code, value, text) in cases {
        assert_eq!(texts(&[(code, value)]), [text]);
    }
    // IANA "Capability Codes". A value of 1 to 3 octets is invalid for all capabilities with a decoded value.
    for (code, text) in [
        (1, "multiprotocol 0x010203"),
        (3, "outbound-route-filtering 0x010203"),
        (7, "bgpsec 0x010203"),
        (8, "multiple-labels 0x010203"),
        (65, "four-octet-as 0x010203"),
        (67, "dynamic 0x010203"),
        (68, "multisession 0x010203"),
        (69, "add-path 0x010203"),
        (72, "routing-policy-distribution 0x010203"),
        (74, "bfd-strict 0x010203"),
        (76, "paths-limit 0x010203"),
        (128, "route-refresh-cisco 0x010203"),
    ] {
        assert_eq!(texts(&[(code, vec![1, 2, 3])]), [text]);
    }
}

/// Type, sub-type and name of the registry "BGP Extended Communities" (RFC 7153 and later ones), by
/// type. The name is compared loosely: the table's names are shorter.
const REGISTRY: &str = "
0x00 02 route target|0x00 03 route origin|0x00 04 link bandwidth|0x00 05 ospf domain|0x00 08 data collection
0x00 09 source as|0x00 0a l2vpn id|0x00 10 vpn distinguisher|0x00 13 route target record
0x00 80 virtual network identifier|0x01 02 route target|0x01 03 route origin|0x01 05 ospf domain
0x01 07 ospf router id|0x01 09 node target|0x01 0a l2vpn id|0x01 0b vrf route import|0x01 0c redirect ip
0x01 10 vpn distinguisher|0x01 12 p2mp next hop|0x01 13 route target record|0x01 14 vrf next hop
0x01 20 mvpn sa rp|0x02 02 route target|0x02 03 route origin|0x02 04 generic|0x02 05 ospf domain
0x02 08 data collection|0x02 09 source as|0x02 10 vpn distinguisher|0x02 13 route target record|0x03 01 cost
0x03 03 cp orf|0x03 04 extranet source|0x03 05 extranet separation|0x03 06 ospf route type|0x03 07 pmsi flags
0x03 08 context label space|0x03 0b color|0x03 0c encapsulation|0x03 0d default gateway|0x03 0e ppmp label
0x06 00 evpn mac mobility|0x06 01 evpn esi label|0x06 02 evpn es import|0x06 03 evpn router mac
0x06 04 evpn l2 attributes|0x06 05 evpn e tree|0x06 06 evpn df election|0x06 07 evpn i sid|0x06 08 evpn arp nd
0x06 09 evpn multicast flags|0x06 0a evpn evi rt 0|0x06 0b evpn evi rt 1|0x06 0c evpn evi rt 2
0x06 0d evpn evi rt 3|0x06 0e evpn attachment circuit|0x06 0f evpn service carving|0x06 10 evpn link bandwidth
0x08 00 redirect next hop|0x09 00 redirect indirection|0x0a 02 transport class|0x0b 01 sfir pool
0x0b 02 sfc label stack|0x0c 00 mup direct segment|0x40 04 link bandwidth|0x42 04 generic
0x43 00 validation state|0x43 01 cost|0x4a 02 transport class|0x80 00 ospf route type|0x80 01 ospf router id
0x80 05 ospf domain|0x80 06 traffic rate|0x80 07 traffic action|0x80 08 redirect|0x80 09 traffic marking
0x80 0a l2 info|0x80 0b e tree info|0x80 0c traffic rate packets|0x80 0d sfc classifier|0x81 08 redirect
0x82 08 redirect";

#[test]
fn extended_communities_have_the_names_of_the_registry_and_no_others() {
    let mut registered = 0;
    for entry in REGISTRY.split(['|', '\n']).filter(|entry| !entry.is_empty()) {
        let [kind, sub, name] = entry.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{entry}") };
        let kind = u8::from_str_radix(kind.strip_prefix("0x").unwrap(), 16).unwrap();
        let sub = u8::from_str_radix(sub, 16).unwrap();
        let short = match name {
            "route target" => "rt",
            "route origin" => "ro",
            "route target record" => "rt record",
            "virtual network identifier" => "vni",
            name => name,
        };
        let ours = extended_community_name(kind, sub).unwrap_or_else(|| panic!("{entry} has no name"));
        // Of two communities with one name and one form, the rarer one is marked with its transitivity.
        let ours = ours.trim_start_matches("Non-").trim_start_matches("Transitive-");
        assert_eq!(ours.to_lowercase().replace('-', " "), short);
        registered += 1;
    }
    let named = (0..=u8::MAX)
        .flat_map(|kind| (0..=u8::MAX).filter_map(move |sub| extended_community_name(kind, sub)));
    assert_eq!(named.count(), registered);
}

#[test]
fn extended_communities_read_by_their_form() {
    for (bytes, text) in [
        ([0x01, 0x0b, 192, 0, 2, 1, 0, 5], "VRF-Route-Import:192.0.2.1:5"),
        ([0x00, 0x0a, 0xfd, 0xe8, 0, 0, 0, 9], "L2VPN-ID:65000:9"),
        ([0x82, 0x08, 0xfa, 0x56, 0xea, 0x00, 0, 5], "Redirect:4200000000:5"),
        ([0x81, 0x08, 192, 0, 2, 1, 0, 5], "Redirect:192.0.2.1:5"),
        ([0x80, 0x06, 0, 0, 0x4b, 0x18, 0x96, 0x80], "Traffic-Rate:0:10000000"),
        ([0x40, 0x04, 0xfd, 0xe8, 0x4b, 0x18, 0x96, 0x80], "Link-Bandwidth:65000:10000000"),
        ([0x80, 0x09, 0, 0, 0, 0, 0, 46], "Traffic-Marking:46"),
        ([0x06, 0x01, 1, 0, 0, 0, 0x13, 0x81], "EVPN-ESI-Label:312:single-active"),
        ([0x06, 0x02, 0, 1, 2, 3, 4, 5], "EVPN-ES-Import:00:01:02:03:04:05"),
        ([0x06, 0x01, 0, 0, 0, 0, 0x13, 0x88], "EVPN-ESI-Label:312:0x000000001388"),
        ([0x06, 0x01, 2, 0, 0, 0, 0x13, 0x81], "EVPN-ESI-Label:312:0x020000001381"),
        ([0x03, 0x0d, 0, 0, 0, 0, 0, 0], "Default-Gateway"),
        ([0x43, 0x00, 0, 0, 0, 0, 0, 2], "Validation-State:2"),
        ([0x80, 0x0a, 4, 1, 5, 0xdc, 0, 0], "L2-Info:0x040105dc0000"),
    ] {
        assert_eq!(extended_community_text(bytes), text);
    }
}

#[test]
fn registered_numbers_have_names_and_others_none() {
    for (afi, safi) in [(1, 1), (2, 129), (25, 70), (16_388, 72)] {
        let family = Family { afi, safi };
        assert_eq!(Family::from_name(&family.to_string()), Some(family));
    }
    assert_eq!(
        (Family::from_name("ipv4"), Family { afi: 1, safi: 200 }.to_string()),
        (None, "1/200".to_owned())
    );
    let known: Vec<u16> = (0..=u16::MAX).filter(|kind| statistic_name(*kind).is_some()).collect();
    assert_eq!(known, [(0..=23).collect::<Vec<_>>(), (26..=43).collect()].concat());
    assert_eq!(statistic_name(7), Some("routes in Adj-RIB-In"));
    let known: Vec<u8> = (0..=u8::MAX).filter(|reason| peer_down_reason(*reason).is_some()).collect();
    assert_eq!(known, [1, 2, 3, 4, 5, 6]);
    assert_eq!(peer_down_reason(5), Some("no longer monitored"));
    assert_eq!((attribute_name(40), attribute_name(200)), (Some("PREFIX_SID"), None));
    let known: Vec<u8> = (0..=u8::MAX).filter(|code| attribute_name(*code).is_some()).collect();
    let registered = [
        (1..=10).collect(),
        (14..=18).collect(),
        (22..=27).collect(),
        vec![29],
        (32..=41).collect(),
        vec![128],
    ];
    assert_eq!(known, registered.concat());
    // IANA "BGP-LS NLRI and Attribute TLVs": those of attributes, without proprietary and deprecated ones.
    let known: Vec<u16> = (0..=u16::MAX).filter(|kind| link_state_name(*kind).is_some()).collect();
    let registered = [
        vec![266, 267],
        (1024..=1031).collect(),
        (1034..=1039).collect(),
        vec![1044],
        (1088..=1103).collect(),
        (1106..=1108).collect(),
        (1114..=1120).collect(),
        vec![1122],
        (1152..=1159).collect(),
        vec![1161, 1162],
        (1170..=1174).collect(),
        (1250..=1252).collect(),
    ];
    assert_eq!(known, registered.concat());
    let names: HashSet<_> = known.iter().filter_map(|kind| link_state_name(*kind)).collect();
    assert_eq!(names.len(), known.len(), "no name stands for two");
}

#[test]
fn sql_and_decoder_have_one_list_of_statistics() {
    let sql = include_str!("../../migrations/functions/16_peers.sql");
    let function = sql.split("FUNCTION holdfast_statistic_name").nth(1).unwrap().split("END").next().unwrap();
    let of_sql: Vec<(u16, &str)> = function
        .lines()
        .filter_map(|line| line.trim().strip_prefix("WHEN ")?.strip_suffix('\'')?.split_once(" THEN '"))
        .map(|(kind, name)| (kind.parse().unwrap(), name))
        .collect();
    let ours: Vec<(u16, &str)> =
        (0..=u16::MAX).filter_map(|kind| Some((kind, statistic_name(kind)?))).collect();
    assert_eq!(of_sql, ours);
    assert_eq!(function.matches("WHEN").count(), ours.len());
}

#[test]
fn tunnels_and_sub_tlvs_that_are_registered_have_names() {
    // A text begins with the name, or with the number if there is no name.
    let is_named = |kind: u16, sub: u8| {
        let length = if sub < 128 { &[4][..] } else { &[0, 4] };
        let text = more(0xc0, 23, &tlv(kind, &[&[sub], length, &[0; 4]].concat())).1;
        let (tunnel, sub) = text.strip_prefix("TUNNEL_ENCAPSULATION ").unwrap().rsplit_once(' ').unwrap();
        (!tunnel.starts_with("type "), !sub.starts_with(|first: char| first.is_ascii_digit()))
    };
    let tunnels: Vec<u16> = (0..300).filter(|kind| is_named(*kind, 4).0).collect();
    assert_eq!(tunnels, [vec![1, 2], (7..=15).collect(), (17..=19).collect(), vec![25]].concat());
    let subs: Vec<u8> = (0..=u8::MAX).filter(|sub| is_named(8, *sub).1).collect();
    assert_eq!(subs, [vec![1, 2], (4..=15).collect(), vec![20], (128..=130).collect()].concat());
}

#[test]
fn version_4_has_the_update_in_a_tlv_of_any_number() {
    let update = encoder::update(&[], &[], &[8, 10]);
    for kind in [4, 7] {
        let tlvs = [
            encoder::indexed(1, 0x8001, &[0, 1, 0, 2]),
            encoder::indexed(kind, 0, &update),
            encoder::indexed(2, 0, b"blue"),
        ]
        .concat();
        let message = encoder::version_4(0, &[&encoder::peer_v4(), &tlvs]);
        assert_eq!(bmp::frame(&message), Ok(Some(message.as_slice())));
        let Ok(Message::RouteMonitoring { pdu, trailer, tlvs, .. }) = bmp::decode(&message) else {
            panic!("refused")
        };
        assert_eq!((pdu, trailer), (update.as_slice(), [].as_slice()));
        let group = IndexedTlv { kind: 1, index: 0x8001, value: &[0, 1, 0, 2] };
        assert_eq!(tlvs, [group, IndexedTlv { kind: 2, index: 0, value: b"blue" }]);
    }
    // Bytes after the UPDATE in a TLV must neither be decoded as NLRI nor be discarded without a report.
    let behind = encoder::indexed(4, 0, &[&update[..], &[8, 11]].concat());
    let message = encoder::version_4(0, &[&encoder::peer_v4(), &behind]);
    let Ok(Message::RouteMonitoring { pdu, trailer, .. }) = bmp::decode(&message) else { panic!("refused") };
    assert_eq!((pdu, trailer), (update.as_slice(), [8, 11].as_slice()));
    let without = encoder::version_4(0, &[&encoder::peer_v4(), &encoder::indexed(2, 0, b"blue")]);
    let Ok(Message::RouteMonitoring { pdu, .. }) = bmp::decode(&without) else { panic!("refused") };
    assert_eq!(pdu, encoder::indexed(2, 0, b"blue"), "the bytes are kept");
    assert!(bgp::split(pdu).is_err());
    // Damage after the UPDATE does not discard it.
    let damaged = [encoder::indexed(4, 0, &update), encoder::indexed(2, 0, b"blue")[..9].to_vec()].concat();
    let message = encoder::version_4(0, &[&encoder::peer_v4(), &damaged]);
    let Ok(Message::RouteMonitoring { pdu, trailer, .. }) = bmp::decode(&message) else { panic!("refused") };
    assert_eq!((pdu, trailer.len()), (update.as_slice(), 9));
}

#[test]
fn version_4_has_no_trailer_behind_an_update_that_cannot_be_delimited() {
    let mut damaged = encoder::update(&[], &[], &[8, 10]);
    damaged[17] = 1;
    let message = encoder::version_4(0, &[&encoder::peer_v4(), &encoder::indexed(4, 0, &damaged)]);
    let Ok(Message::RouteMonitoring { pdu, trailer, .. }) = bmp::decode(&message) else { panic!("refused") };
    assert_eq!((pdu, trailer), (damaged.as_slice(), [].as_slice()));
}

#[test]
fn version_4_has_statistics_in_a_tlv() {
    let body = [&1_u32.to_be_bytes()[..], &tlv(7, &[0, 0, 0, 0, 0, 0, 0, 9])].concat();
    let message = encoder::version_4(1, &[&encoder::peer_v4(), &tlv(9, &[1]), &tlv(1, &body)]);
    let Ok(Message::StatisticsReport { stats, tlvs, .. }) = bmp::decode(&message) else { panic!("refused") };
    assert_eq!((stats.len(), stats[0].kind, stats[0].number()), (1, 7, Some(9)));
    assert_eq!(tlvs, [bmp::Tlv { kind: 9, value: &[1] }]);
    // A container that is too short does not discard the other one.
    let message = encoder::version_4(1, &[&encoder::peer_v4(), &tlv(1, &body), &tlv(1, &[0, 0])]);
    let Ok(Message::StatisticsReport { stats, count, trailer, .. }) = bmp::decode(&message) else {
        panic!("refused")
    };
    assert_eq!((stats.len(), count, trailer), (1, 1, [0, 0].as_slice()));
}

#[test]
fn version_4_has_the_body_of_version_3_in_earlier_revisions() {
    let stats = [tlv(7, &[0, 0, 0, 0, 0, 0, 0, 9]), tlv(1, &[0, 0, 0, 4])].concat();
    for count in [0_u32, 1, 2] {
        let stats = if count == 0 { &[] } else { &stats[..12 + 8 * usize::from(count == 2)] };
        let message = encoder::version_4(1, &[&encoder::peer_v4(), &count.to_be_bytes(), stats]);
        let Ok(Message::StatisticsReport { stats, count: stated, tlvs, trailer, .. }) = bmp::decode(&message)
        else {
            panic!("refused")
        };
        let kinds: Vec<u16> = stats.iter().map(|stat| stat.kind).collect();
        assert_eq!(kinds, [7, 1][..usize::try_from(count).unwrap()]);
        assert_eq!((stated, tlvs.len(), trailer.len()), (count, 0, 0));
    }
}

#[test]
fn the_tlvs_of_a_peer_down_follow_the_data_of_its_reason() {
    let name = tlv(3, b"blue");
    let notification = [&[0xff; 16][..], &[0, 21, 3, 6, 2]].concat();
    let none: &[u8] = &[];
    // Version, reason, its data, and whether TLVs follow.
    let cases: [(u8, u8, &[u8], bool); 10] = [
        (3, 6, none, true),
        (4, 6, none, true),
        (4, 1, &notification, true),
        (4, 3, &notification, true),
        (4, 2, &[0, 9], true),
        (4, 4, none, true),
        (4, 5, none, true),
        (3, 1, &notification, false),
        (3, 2, &[0, 9], false),
        (4, 200, none, false),
    ];
    for (version, reason, data, has_tlvs) in cases {
        for trailer in [none, &[0, 3]] {
            let data = [data, &name, trailer].concat();
            let mut message = encoder::version_4(2, &[&encoder::peer_v4(), &[reason], &data]);
            message[0] = version;
            let Ok(Message::PeerDown { data: all, tlvs, trailer: rest, .. }) = bmp::decode(&message) else {
                panic!("refused")
            };
            assert_eq!(all, data);
            let expected = [bmp::Tlv { kind: 3, value: b"blue" }];
            let case = format!("version {version}, reason {reason}");
            assert_eq!(tlvs, expected[..usize::from(has_tlvs)], "{case}");
            assert_eq!(rest, if has_tlvs { trailer } else { none }, "{case}");
        }
    }
}

#[test]
fn version_4_messages_cut_anywhere_are_not_misread() {
    let update = encoder::update(&[], &[], &[8, 10]);
    let body = [&1_u32.to_be_bytes()[..], &tlv(7, &[0, 0, 0, 9])].concat();
    for (kind, rest) in [(0, encoder::indexed(4, 0, &update)), (1, tlv(1, &body))] {
        for short in 1..rest.len() {
            let message = encoder::version_4(kind, &[&encoder::peer_v4(), &rest[..short]]);
            match bmp::decode(&message) {
                Ok(Message::RouteMonitoring { pdu, .. }) => assert!(bgp::split(pdu).is_err()),
                Ok(Message::StatisticsReport { stats, .. }) => assert!(stats.is_empty()),
                other => assert!(other.is_err(), "type {kind}, {short} bytes"),
            }
        }
    }
}
