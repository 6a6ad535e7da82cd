//! The JSON text of each attribute, from the bytes of a Route Monitoring message through a whole session.

use crate::common::messages::*;
use crate::common::sessions::{options, session};
use holdfast::codec::json;
use holdfast::route::{Record, Timestamp};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp(1_790_000_000_000_000);

/// The one route of an UPDATE, as JSON, from a peer with this flag byte.
fn row(flags: u8, pdu: &[u8]) -> json::Object {
    let mut session = session(options(NOW));
    session.message(&Header { flags, ..PEER }.route_monitoring(pdu), NOW);
    let batch = session.take_batches().next().unwrap();
    let mut rows = batch.iter().filter(|record| matches!(record, Record::Route(_)));
    let row = json::object(&batch, &rows.next().unwrap());
    assert!(rows.next().is_none(), "one route expected");
    row
}

/// The values of the row for these keys, without those that are absent.
fn says(row: &json::Object, keys: &Value) -> Value {
    let keys = keys.as_object().unwrap().keys();
    Value::Object(keys.filter_map(|key| Some((key.clone(), row.get(key)?.clone()))).collect())
}

/// Flags, code, value, and the expected values of the row.
type Case = (u8, u8, Vec<u8>, Value);

/// The four-octet AS number 4200000000.
const WIDE: [u8; 4] = [0xfa, 0x56, 0xea, 0x00];

/// Attributes 1 to 10.
fn plain() -> Vec<Case> {
    vec![
        (0x40, 1, vec![2], json!({ "origin": 2 })),
        (
            0x40,
            2,
            [&[2, 2, 0, 0, 0xfd, 0xe9][..], &WIDE, &[1, 2, 0, 0, 0, 7, 0, 0, 0, 8]].concat(),
            json!({ "as_path": [65_001, 4_200_000_000_u32, 7, 8], "as_path_text": "65001 4200000000 {7,8}" }),
        ),
        // Confederation segments (RFC 5065): AS_CONFED_SEQUENCE is 3, AS_CONFED_SET is 4.
        (
            0x40,
            2,
            vec![3, 1, 0, 0, 0xfd, 0xe9, 4, 2, 0, 0, 0, 1, 0, 0, 0, 2, 2, 1, 0, 0, 0, 9],
            json!({ "as_path_text": "(65001) [1,2] 9", "origin_as": 9 }),
        ),
        (0x40, 3, vec![192, 0, 2, 7], json!({ "next_hop": "192.0.2.7" })),
        (0x80, 4, vec![0xff; 4], json!({ "med": u32::MAX })),
        (0x40, 5, vec![0, 0, 0, 222], json!({ "local_pref": 222 })),
        (0x40, 6, vec![], json!({ "atomic_aggregate": true })),
        (
            0xc0,
            7,
            [&WIDE[..], &[192, 0, 2, 3]].concat(),
            json!({ "aggregator_asn": 4_200_000_000_u32, "aggregator_address": "192.0.2.3" }),
        ),
        (
            0xc0,
            8,
            vec![0xfd, 0xe9, 0, 100, 0xff, 0xff, 0xff, 1],
            json!({ "communities": ["65001:100", "65535:65281"] }),
        ),
        (0x80, 9, vec![10, 0, 0, 1], json!({ "originator_id": "10.0.0.1" })),
        (0x80, 10, vec![10, 0, 0, 2, 10, 0, 0, 3], json!({ "cluster_list": ["10.0.0.2", "10.0.0.3"] })),
    ]
}

/// Attributes of later RFCs.
fn later() -> Vec<Case> {
    vec![
        (
            0xc0,
            16,
            vec![0, 2, 0xfd, 0xe9, 0, 0, 0, 5, 0x03, 0x99, 1, 2, 3, 4, 5, 6],
            json!({ "extended_communities": ["RT:65001:5", "0x0399:0x010203040506"] }),
        ),
        (
            0xc0,
            22,
            vec![0, 6, 0x00, 0x13, 0x88, 192, 0, 2, 1],
            json!({ "attributes_more": ["PMSI_TUNNEL ingress-replication label=312 vni=5000 192.0.2.1"] }),
        ),
        (
            0xc0,
            23,
            vec![0, 8, 0, 10, 4, 8, 3, 0x0b, 0, 0, 0, 0, 0, 100],
            json!({ "attributes_more": ["TUNNEL_ENCAPSULATION VXLAN color=100"] }),
        ),
        (
            0xc0,
            25,
            vec![0, 2, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 100],
            json!({ "attributes_more": ["IPV6_EXTENDED_COMMUNITIES RT:2001:db8::1:100"] }),
        ),
        (0x80, 26, vec![1, 0, 11, 0, 0, 0, 1, 0, 0, 0, 2], json!({ "aigp": (1_u64 << 32) + 2 })),
        (0x80, 29, vec![4, 71, 0, 3, 0, 0, 10], json!({ "attributes_more": ["BGP_LS igp-metric=10"] })),
        (
            0xc0,
            32,
            [&WIDE[..], &[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]].concat(),
            json!({ "large_communities": ["4200000000:1:4294967295"] }),
        ),
        (0xc0, 35, WIDE.to_vec(), json!({ "otc": 4_200_000_000_u32 })),
        (
            0xc0,
            40,
            vec![1, 0, 7, 0, 0, 0, 0, 0, 0, 9],
            json!({ "attributes_more": ["PREFIX_SID label-index=9"] }),
        ),
        (
            0xc0,
            128,
            vec![0, 0, 0xfd, 0xe9, 0x40, 5, 4, 0, 0, 0, 44],
            json!({ "attributes_more": ["ATTR_SET origin-as=65001 local-pref=44"] }),
        ),
        // An unknown attribute: flags, code and value.
        (0xe0, 200, vec![1, 2, 3], json!({ "attributes_raw": ["e0c8010203"] })),
    ]
}

#[test]
fn every_attribute_reads_as_operators_write_it() {
    for (flags, code, value, expected) in [plain(), later()].concat() {
        let row = row(0, &update(&[], &attribute(flags, code, &value), &v4(10, 1, 2, 24)));
        assert_eq!(says(&row, &expected), expected, "attribute {code}");
        assert_eq!((&row["prefix"], &row["is_withdrawn"]), (&json!("10.1.2.0/24"), &json!(false)));
        assert!(!row.contains_key("discarded"), "attribute {code}: {}", row["discarded"]);
    }
}

#[test]
fn an_evpn_route_has_its_label_field_and_the_mpls_label_apart() {
    // Type 1: RD, ESI, tag, label field 0x001011; and type 3, which has no label.
    let with_label = [&[1, 25][..], &[0; 22], &[0x00, 0x10, 0x11]].concat();
    let without = [&[3, 17][..], &[0; 12], &[32, 192, 0, 2, 1]].concat();
    for (nlri, expected) in
        [(with_label, json!({ "labels": [4113], "mpls_labels": [257] })), (without, json!({}))]
    {
        let row = row(0, &update(&[], &mp_reach(25, 70, &[192, 0, 2, 7], &nlri), &[]));
        assert_eq!(says(&row, &json!({ "labels": 0, "mpls_labels": 0 })), expected);
    }
    // Labels of other families have 20 bits already.
    let vpn = [&[112, 0x00, 0x5d, 0xc1, 0, 0, 0xfd, 0xe8, 0, 0, 0, 1], &[10, 1, 2][..]].concat();
    let row = row(0, &update(&[], &mp_reach(1, 128, &[192, 0, 2, 7], &vpn), &[]));
    assert_eq!(says(&row, &json!({ "labels": 0, "mpls_labels": 0 })), json!({ "labels": [1500] }));
}

#[test]
fn a_path_of_two_octets_is_completed_and_one_of_four_is_not() {
    let old = [2, 3, 0xfd, 0xe9, 0x5b, 0xa0, 0, 9];
    let new = [2, 2, 0xfa, 0x56, 0xea, 0, 0, 0, 0, 9];
    let aggregator = |asn: &[u8]| [asn, &[192, 0, 2, 3]].concat();
    let pdu = |path: &[u8], asn: &[u8]| {
        let attributes = [
            attribute(0x40, 2, path),
            attribute(0xc0, 7, &aggregator(asn)),
            attribute(0xc0, 17, &new),
            attribute(0xc0, 18, &aggregator(&[0xfa, 0x56, 0xea, 1])),
        ];
        update(&[], &attributes.concat(), &v4(10, 1, 2, 24))
    };
    let merged = row(TWO_OCTET_AS, &pdu(&old, &[0x5b, 0xa0]));
    let expected = json!({ "as_path_text": "65001 4200000000 9", "aggregator_asn": 4_200_000_001_u32 });
    assert_eq!(says(&merged, &expected), expected);
    // On a four-octet session AS_PATH is complete: AS4_PATH is discarded, and that is reported.
    let wide = [2, 3, 0, 0, 0xfd, 0xe9, 0, 0, 0x5b, 0xa0, 0, 0, 0, 9];
    let alone = row(0, &pdu(&wide, &[0, 0, 0x5b, 0xa0]));
    let expected = json!({ "as_path_text": "65001 23456 9", "aggregator_asn": 23_456 });
    assert_eq!(says(&alone, &expected), expected);
    assert_eq!(alone["discarded"].as_array().unwrap().len(), 1);
}

#[test]
fn a_next_hop_reads_by_its_length_in_every_kind_of_family() {
    let global = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let local = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let rd = [0; 8];
    let (v4_route, v6_route) = (v4(10, 1, 2, 24), vec![32, 0x20, 1, 0xd, 0xb8]);
    // Length in bits, label 1500 with its bit S, RD 65000:1, prefix.
    let vpn = |prefix: &[u8], bits: u8| {
        [&[88 + bits, 0x00, 0x5d, 0xc1, 0, 0, 0xfd, 0xe8, 0, 0, 0, 1], prefix].concat()
    };
    let (vpn4, vpn6) = (vpn(&[10, 1, 2], 24), vpn(&[0x20, 1, 0xd, 0xb8], 32));
    let six = json!({ "next_hop": "2001:db8::1" });
    let both = json!({ "next_hop": "2001:db8::1", "next_hop_link_local": "fe80::1" });
    let four = json!({ "next_hop": "192.0.2.7" });
    for (afi, safi, hop, nlri, expected) in [
        (2, 1, global.to_vec(), &v6_route, &six),
        (2, 1, [global, local].concat(), &v6_route, &both),
        // RFC 8950.
        (1, 1, global.to_vec(), &v4_route, &six),
        (1, 1, [global, local].concat(), &v4_route, &both),
        // VPN, with the RD of RFC 4364 and 4659 and without.
        (1, 128, [&rd[..], &[192, 0, 2, 7]].concat(), &vpn4, &four),
        (1, 128, vec![192, 0, 2, 7], &vpn4, &four),
        (1, 128, [&rd[..], &global].concat(), &vpn4, &six),
        (1, 128, global.to_vec(), &vpn4, &six),
        (2, 128, [&rd[..], &global].concat(), &vpn6, &six),
        (2, 128, [&rd[..], &global, &rd, &local].concat(), &vpn6, &both),
    ] {
        let row = row(0, &update(&[], &mp_reach(afi, safi, &hop, nlri), &[]));
        assert_eq!(&says(&row, &both), expected, "{afi}/{safi}, {} octets", hop.len());
        let prefix = if afi == 1 { "10.1.2.0/24" } else { "2001:db8::/32" };
        assert_eq!(row["prefix"], prefix);
        if safi == 128 {
            assert_eq!((&row["rd"], &row["labels"]), (&json!("65000:1"), &json!([1500])));
        }
    }
}
