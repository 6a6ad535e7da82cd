//! Transactions: each value of a record is in the column of its name in the COPY bytes; the size limits.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use crate::common::batches::{Builder, attributes, peer, prefix};
use holdfast::route::{
    Aggregator, AsPath, AsPathSegment, Attributes, Batch, Esi, EvpnRoute, Family, Mac, Nlri, Prefix,
    RawAttribute, Rd, Record, RibView, SegmentKind,
};
use holdfast::sink::{Dedup, Lane, TransactionBuilder, columns};
use holdfast::wal::LogId;
use holdfast::{bgp, codec};

/// An attribute set with all attributes.
fn full() -> Attributes {
    Attributes {
        as_path: Some(AsPath {
            asns: vec![1, 2],
            segments: vec![
                AsPathSegment { kind: SegmentKind::Set, count: 1 },
                AsPathSegment { kind: SegmentKind::Sequence, count: 1 },
            ],
        }),
        next_hop_link_local: Some("fe80::1".parse().unwrap()),
        med: Some(1),
        local_pref: Some(2),
        atomic_aggregate: true,
        aggregator: Some(Aggregator { asn: 3, address: Ipv4Addr::LOCALHOST }),
        extended_communities: vec![[0, 2, 0, 1, 0, 0, 0, 1]],
        originator_id: Some(Ipv4Addr::LOCALHOST),
        cluster_list: vec![Ipv4Addr::LOCALHOST],
        aigp: Some(9),
        only_to_customer: Some(5),
        raw: vec![RawAttribute { flags: 0xc0, code: 99, value: vec![1, 2, 3] }],
        discarded: vec!["why".to_owned()],
        ..attributes(&[1])
    }
}

fn batch() -> Batch {
    let mut named = peer(1, RibView::LocRib, 3);
    named.table_name = "blue".to_owned();
    let rd = Rd([0, 0, 0, 1, 0, 0, 0, 2]);
    let (esi, mac, ip) = (Esi([1; 10]), Mac([2; 6]), IpAddr::from([10, 0, 0, 1]));
    let network = Prefix::v4(0x0a00_0000, 8).unwrap();
    let evpn = [
        EvpnRoute::AutoDiscovery { rd, esi, tag: 1, label: 2 },
        EvpnRoute::MacIp { rd, esi, tag: 1, mac, ip: Some(ip), label: 2, label2: Some(3) },
        EvpnRoute::MacIp { rd, esi, tag: 1, mac, ip: None, label: 2, label2: None },
        EvpnRoute::InclusiveMulticast { rd, tag: 1, originator: ip },
        EvpnRoute::EthernetSegment { rd, esi, originator: ip },
        EvpnRoute::IpPrefix { rd, esi, tag: 1, prefix: network, gateway: ip, label: 2 },
    ];
    let stack = bgp::Encoding { add_path: false, multiple_labels: true };
    let mut builder = Builder::new("r1", 5);
    for sample in crate::common::nlri_samples::samples() {
        let routes =
            bgp::nlri(sample.family, &sample.bytes, stack, false).map(|entry| (None, entry.unwrap().nlri));
        builder =
            builder.routes(&named, sample.family, Some(&attributes(&[1, 2])), routes.collect::<Vec<_>>());
    }
    builder
        .routes(&named, Family::IPV4_UNICAST, Some(&full()), [(Some(7), prefix(1))])
        .marked(0x1004, Some(3))
        .announce(&named, [2], &[1, 2])
        .marked(2, None)
        .routes(
            &named,
            Family::EVPN,
            Some(&attributes(&[1, 2])),
            evpn.map(|route| (None, Nlri::Evpn(Box::new(route)))),
        )
        .routes(
            &peer(2, RibView::AdjInPre, 0),
            Family { afi: 16388, safi: 71 },
            None,
            [(None, Nlri::Raw([1].into()))],
        )
        .build()
}

/// The columns that have a value, row by row.
fn rows(mut bytes: &[u8], blocks: &[&[&'static str]]) -> Vec<BTreeMap<&'static str, Vec<u8>>> {
    let mut take = |length: usize| {
        let (head, tail) = bytes.split_at(length);
        bytes = tail;
        head
    };
    assert_eq!(take(19), b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
    let mut rows = Vec::new();
    loop {
        let count = i16::from_be_bytes(take(2).try_into().unwrap());
        if count == -1 {
            break;
        }
        let names = blocks.concat();
        assert_eq!(usize::try_from(count).unwrap(), names.len());
        let mut row = BTreeMap::new();
        for name in names {
            let length = i32::from_be_bytes(take(4).try_into().unwrap());
            if length >= 0 {
                row.insert(name, take(usize::try_from(length).unwrap()).to_vec());
            }
        }
        rows.push(row);
    }
    assert!(take(0).is_empty() && bytes.is_empty(), "bytes behind the trailer");
    rows
}

#[test]
fn each_value_of_a_record_is_in_the_column_of_its_name() {
    let batch = batch();
    for (is_whole, layout) in [(false, columns::ROUTE_RECORDS), (true, columns::WHOLE_ROUTE_RECORDS)] {
        let lane = Lane { collector: "c".to_owned(), log_id: LogId([1; 16]), number: 0, count: 1 };
        let mut chunk = TransactionBuilder::new(lane, 1).with_dedup(Dedup::Off).with_whole_rows(is_whole);
        chunk.push(1, b"", &batch).unwrap();
        let [routes, sets, incarnations] = chunk.build().history_bytes().unwrap();
        let records = rows(&routes, layout);
        let sets = rows(&sets, columns::ATTRIBUTE_SETS);
        let incarnations = rows(&incarnations, columns::INCARNATIONS);
        assert_eq!((records.len(), incarnations.len()), (batch.records(), 2));
        for (stored, record) in records.iter().zip(batch.iter()) {
            let mut row: BTreeSet<_> = stored.keys().copied().collect();
            let incarnation = incarnations.iter().find(|row| row["id"] == stored["incarnation"]).unwrap();
            row.extend(incarnation.keys());
            assert!(!is_whole || !stored.contains_key("attributes"), "{record:?}");
            if let Some(hash) = stored.get("attributes") {
                row.extend(sets.iter().find(|row| row["hash"] == *hash).unwrap().keys());
            }
            for key in ["incarnation", "id", "used_at", "attributes", "hash", "route_key"] {
                row.remove(key);
            }
            let json = codec::json::object(&batch, &record);
            let mut expected: BTreeSet<&str> = json
                .keys()
                .map(String::as_str)
                .filter(|key| !["record", "mpls_labels", "family"].contains(key))
                .collect();
            // Set from the log; the database derives family, and mpls_labels in the view route_state.
            expected.extend(["collector", "log_id", "seq"]);
            // The text form is stored only if as_path alone is ambiguous: in the first row.
            if !row.contains("path_id") {
                expected.remove("as_path_text");
            }
            assert_eq!(row, expected);
            let is_plain =
                matches!(&record, Record::Route(route) if matches!(route.entry.nlri, Nlri::Prefix(_)));
            assert_eq!(stored.contains_key("route_key"), !is_plain, "{record:?}");
        }
    }
}

#[test]
fn a_chunk_that_has_read_sixteen_transactions_of_other_lanes_is_full() {
    let peer = peer(1, RibView::AdjInPre, 1);
    let batch = |routes: u32| Builder::new("r", 0).announce(&peer, 0..routes, &[65_000]).build();
    let owner = Lane { collector: "c".to_owned(), log_id: LogId([1; 16]), number: 0, count: 2 };
    let number = u32::from(owner.owns(&batch(1), &peer.key));
    let mut idle = TransactionBuilder::new(Lane { number, ..owner }, 1);
    for seq in 1..=15 {
        idle.push(seq, b"", &batch(10)).unwrap();
    }
    idle.push(16, b"", &batch(9)).unwrap();
    assert_eq!((idle.rows(), idle.is_full(10)), (0, false), "159 routes of another lane");
    idle.push(17, b"", &batch(1)).unwrap();
    assert_eq!((idle.rows(), idle.is_full(10)), (0, true), "160 routes of another lane");
}
