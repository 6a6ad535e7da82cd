//! Tests of the codec: round trips, damaged payloads, and the golden payload.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::route::{
    Action, AsPath, AsPathSegment, Attributes, Cause, Class, Event, EventKind, EvpnRoute, Family, Mac,
    NO_ATTRIBUTES, Nlri, NlriEntry, PathMarking, Peer, PeerKey, Prefix, Rd, RibView, Router, RowGroup,
    SegmentKind, SessionEnd, SuspectScope, Timestamp,
};

const SESSION: Timestamp = Timestamp(1_790_000_000_000_000);

fn peer(view: RibView) -> Peer {
    Peer {
        key: PeerKey { peer_type: 0, distinguisher: 7, address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)) },
        view,
        asn: 4_200_000_000,
        bgp_id: Ipv4Addr::new(192, 0, 2, 1),
        table_name: String::new(),
        generation: 1,
    }
}

fn attributes() -> Attributes {
    Attributes {
        origin: Some(0),
        as_path: Some(AsPath {
            asns: vec![65_001, 4_200_000_000],
            segments: vec![AsPathSegment { kind: SegmentKind::Sequence, count: 2 }],
        }),
        next_hop: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9))),
        med: Some(u32::MAX),
        communities: vec![0xfde8_0001],
        ..Attributes::default()
    }
}

fn batch() -> Batch {
    let router = Router {
        name: "edge1".to_owned(),
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254)),
        port: 40_000,
        session: SESSION,
    };
    let group = |index, rows, action, family| RowGroup {
        peer: u16::from(index > 1),
        attributes: if action == Action::Announce { 0 } else { NO_ATTRIBUTES },
        family,
        action,
        cause: Cause::ReDump,
        add_path: index == 1,
        index,
        rows,
        received: Timestamp(SESSION.0 + i64::from(index)),
        router_time: Timestamp(0),
        marking: None,
    };
    let event =
        |index, kind| Event { index, peer: Some(0), received: SESSION, router_time: Timestamp(5), kind };
    let v4 = |path_id, address, length| NlriEntry {
        path_id,
        nlri: Nlri::Prefix(Prefix::v4(address, length).unwrap()),
    };
    let evpn = EvpnRoute::MacIp {
        rd: Rd([0, 0, 0xfd, 0xe8, 0, 0, 0, 1]),
        esi: crate::route::Esi([0; 10]),
        tag: 0,
        mac: Mac([2, 0, 0, 0, 0, 1]),
        ip: None,
        label: 5000,
        label2: None,
    };
    Batch {
        follows_bulk: false,
        router,
        class: Class::Dump,
        after: 0,
        peers: vec![peer(RibView::AdjInPre), peer(RibView::LocRib)],
        attributes: vec![attributes()],
        groups: vec![
            group(1, 2, Action::Announce, Family::IPV4_UNICAST),
            group(4, 1, Action::Withdraw, Family::EVPN),
            group(5, 1, Action::Withdraw, Family::IPV6_UNICAST),
        ],
        nlri: vec![
            v4(1, 0x0a01_0200, 24),
            v4(2, 0, 0),
            NlriEntry { path_id: 0, nlri: Nlri::Evpn(Box::new(evpn)) },
            NlriEntry { path_id: 0, nlri: Nlri::Prefix(Prefix::v6(0x2001_0db8 << 96, 32).unwrap()) },
        ],
        events: vec![
            event(0, EventKind::SessionDown { end: SessionEnd::Terminated(Some(1)) }),
            event(3, EventKind::EndOfRib { family: Family::IPV4_UNICAST }),
        ],
    }
}

fn encoded(batch: &Batch) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(batch, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_batch_comes_back_as_it_was() {
    assert_eq!(decode(&encoded(&batch())).unwrap(), batch());
}

#[test]
fn records_come_in_the_order_of_their_index() {
    let batch = batch();
    let indexes: Vec<u32> = batch
        .iter()
        .map(|record| match record {
            crate::route::Record::Route(route) => route.index,
            crate::route::Record::Event(event) => event.index,
        })
        .collect();
    assert_eq!(indexes, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_payload_of_version_0_is_read_for_ever() {
    if std::env::var_os("HOLDFAST_WRITE_GOLDEN").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/record-v0.bin"), encoded(&batch()))
            .unwrap();
    }
    let golden = include_bytes!("../../tests/golden/record-v0.bin");
    assert_eq!(decode(golden).unwrap(), batch());
    assert_eq!(encoded(&batch()), golden, "the format changed: that needs a new version");
}

/// A batch with path markings, with and without a reason.
fn marked() -> Batch {
    let mut batch = batch();
    batch.groups[0].marking = Some(PathMarking { status: u32::MAX, reason: Some(u16::MAX) });
    batch.groups[1].marking = Some(PathMarking { status: 2, reason: None });
    batch
}

#[test]
fn a_payload_of_version_1_is_read_for_ever() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/record-v1.bin");
    if std::env::var_os("HOLDFAST_WRITE_GOLDEN").is_some() {
        std::fs::write(path, encoded(&marked())).unwrap();
    }
    let golden = std::fs::read(path).unwrap();
    assert_eq!(golden[0], 1);
    assert_eq!(decode(&golden).unwrap(), marked());
    assert_eq!(encoded(&marked()), golden, "the format changed: that needs a new version");
}

/// A batch of class live, with and without path markings.
fn live() -> Batch {
    Batch { class: Class::Live, after: 0x0102_0304_0506_0708, ..marked() }
}

/// A batch of class bulk, and one of class dump that follows another batch.
fn ordered() -> [(u8, Batch); 2] {
    [(3, Batch { class: Class::Bulk, ..live() }), (4, Batch { class: Class::Dump, after: 7, ..batch() })]
}

#[test]
fn payloads_of_versions_3_and_4_are_read_for_ever() {
    for (version, batch) in ordered() {
        let path = format!("tests/golden/record-v{version}.bin");
        if std::env::var_os("HOLDFAST_WRITE_GOLDEN").is_some() {
            std::fs::write(&path, encoded(&batch)).unwrap();
        }
        let golden = std::fs::read(&path).unwrap();
        assert_eq!(golden[0], version);
        assert_eq!(decode(&golden).unwrap(), batch);
        assert_eq!(encoded(&batch), golden, "the format changed: that needs a new version");
        assert_eq!(head(&golden).unwrap(), Head { class: batch.class, after: batch.after });
    }
}

#[test]
fn a_payload_of_version_2_is_read_for_ever() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/record-v2.bin");
    if std::env::var_os("HOLDFAST_WRITE_GOLDEN").is_some() {
        std::fs::write(path, encoded(&live())).unwrap();
    }
    let golden = std::fs::read(path).unwrap();
    assert_eq!(golden[..9], [2, 8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(decode(&golden).unwrap(), live());
    assert_eq!(encoded(&live()), golden, "the format changed: that needs a new version");
}

#[test]
fn the_head_has_the_class_and_what_the_batch_waits_for() {
    let dump = Head { class: Class::Dump, after: 0 };
    assert_eq!(head(include_bytes!("../../tests/golden/record-v0.bin")).unwrap(), dump);
    assert_eq!(head(include_bytes!("../../tests/golden/record-v1.bin")).unwrap(), dump);
    assert_eq!(head(&encoded(&live())).unwrap(), Head { class: Class::Live, after: 0x0102_0304_0506_0708 });
    let unmarked = Batch { class: Class::Live, after: 7, ..batch() };
    assert_eq!(decode(&encoded(&unmarked)).unwrap(), unmarked);
    assert_eq!(head(&[]).unwrap_err().to_string(), "empty payload, expected a version byte");
    assert_eq!(head(&[2, 0, 0]).unwrap_err().to_string(), "payload of 3 bytes ends within its head");
    assert!(head(&[9]).is_err());
}

#[test]
fn a_path_marking_is_refused_in_version_0() {
    let mut bytes = encoded(&marked());
    bytes[0] = 0;
    assert!(decode(&bytes).unwrap_err().to_string().starts_with("reserved flag set in a group"));
}

/// The kinds of events, by their tag in the log.
fn kinds() -> Vec<EventKind> {
    let (family, suspect) = (Family::EVPN, SuspectScope::Family(Family::IPV4_UNICAST));
    let (text, bytes) = (|| "x".to_owned(), || vec![1, 2]);
    let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let up = crate::route::PeerUp {
        local_address: address,
        local_port: 179,
        remote_port: 40_000,
        sent_open: bytes(),
        received_open: bytes(),
        hold_time_s: 180,
        four_octet_as: true,
        add_path: vec![family],
        families: vec![family],
        information: vec![text()],
        sent_capabilities: vec![text()],
        received_capabilities: vec![text()],
    };
    let statistic = crate::route::Statistic { kind: 7, family: Some(family), value: Some(1), raw: bytes() };
    let (from, until) = (SESSION, Timestamp(SESSION.0 + 1));
    vec![
        EventKind::SessionUp { sys_name: text(), sys_descr: text(), information: vec![text()] },
        EventKind::SessionDown { end: SessionEnd::Lost },
        EventKind::PeerUp(Box::new(up.clone())),
        EventKind::PeerDown { reason: 1, data: bytes() },
        EventKind::PeerStale { end: SessionEnd::PeerLimitExceeded },
        EventKind::EndOfRib { family },
        EventKind::Sweep { family },
        EventKind::Statistics(vec![statistic]),
        EventKind::RouteMirroring { codes: vec![1], pdus: vec![bytes()] },
        EventKind::Malformed { error: text(), suspect: Some(suspect), pdu: bytes() },
        EventKind::Gap { reason: text(), from, until },
        EventKind::PeerUpRepeated(Box::new(up)),
        EventKind::MalformedFields { error: text(), suspects: vec![suspect; 2], pdu: bytes() },
        EventKind::UnknownMessage { message_type: 100, body: bytes() },
        EventKind::MessageTlvs { message_type: 2, information: vec![text()] },
        EventKind::Suspect { reason: text(), scope: suspect },
    ]
}

#[test]
fn every_kind_of_event_comes_back_and_keeps_its_tag() {
    for (tag, kind) in (0_u32..).zip(kinds()) {
        assert_eq!(bincode::serialize(&kind).unwrap()[..4], tag.to_le_bytes(), "{}", kind.name());
        let mut batch = batch();
        batch.events[0].kind = kind;
        assert_eq!(decode(&encoded(&batch)).unwrap(), batch);
    }
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let error = decode(&[9, 1, 2]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "unsupported payload version 9, expected 0 to 4; decode it with a newer Holdfast"
    );
}

#[test]
fn every_cut_is_an_error_and_no_flip_panics() {
    let bytes = encoded(&live());
    for end in 0..bytes.len() {
        assert!(decode(&bytes[..end]).is_err(), "cut at {end} was accepted");
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        drop(decode(&flipped));
    }
}

#[test]
fn a_group_that_points_nowhere_is_refused_and_leaves_no_bytes() {
    let mut wrong = batch();
    wrong.groups[0].attributes = 5;
    let mut out = vec![1, 2, 3];
    assert!(encode(&wrong, &mut out).is_err());
    assert_eq!(out, [1, 2, 3]);
}

#[test]
fn a_lone_prefix_costs_ten_bytes() {
    let mut one = batch();
    one.events.clear();
    one.groups.clear();
    one.nlri.clear();
    let empty = encoded(&one).len();
    for row in 0..100_u32 {
        one.groups.push(RowGroup {
            peer: 0,
            attributes: 0,
            family: Family::IPV4_UNICAST,
            action: Action::Announce,
            cause: Cause::Update,
            add_path: false,
            index: row,
            rows: 1,
            received: Timestamp(SESSION.0 + i64::from(row)),
            router_time: Timestamp(SESSION.0 + i64::from(row)),
            marking: None,
        });
        one.nlri.push(NlriEntry { path_id: 0, nlri: Nlri::Prefix(Prefix::v4(row << 8, 24).unwrap()) });
    }
    let bytes = encoded(&one);
    assert_eq!(decode(&bytes).unwrap(), one);
    assert!((bytes.len() - empty) <= 1000, "{} bytes", bytes.len() - empty);
}

proptest! {
    #[test]
    fn bytes_that_are_no_payload_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(decode(&bytes));
        for version in 0..=VERSION {
            drop(decode(&[&[version], bytes.as_slice()].concat()));
        }
    }

    #[test]
    fn any_rows_come_back(
        rows in proptest::collection::vec(
            (any::<u32>(), 0_u8..=32, any::<u32>(), any::<i64>(), any::<bool>()),
            1..50,
        )
    ) {
        let mut any = batch();
        any.events.clear();
        any.groups.clear();
        any.nlri.clear();
        for (index, (address, length, path_id, time, withdraw)) in (0_u32..).zip(rows) {
            any.groups.push(RowGroup {
                peer: u16::from(time > 0),
                attributes: if withdraw { NO_ATTRIBUTES } else { 0 },
                family: Family::IPV4_UNICAST,
                action: if withdraw { Action::Withdraw } else { Action::Announce },
                cause: Cause::Update,
                add_path: true,
                index,
                rows: 1,
                received: Timestamp(time),
                router_time: Timestamp(time.wrapping_mul(3)),
                marking: None,
            });
            any.nlri.push(NlriEntry { path_id, nlri: Nlri::Prefix(Prefix::v4(address, length).unwrap()) });
        }
        prop_assert_eq!(decode(&encoded(&any)).unwrap(), any);
    }
}

#[test]
fn a_suspect_scope_is_stored_as_the_family_that_version_0_used() {
    let bytes = |scope: SuspectScope| bincode::serialize(&scope).unwrap();
    assert_eq!(bytes(SuspectScope::AllFamilies), bincode::serialize(&Family { afi: 0, safi: 0 }).unwrap());
    let evpn = Family { afi: 25, safi: 70 };
    assert_eq!(bytes(SuspectScope::Family(evpn)), bincode::serialize(&evpn).unwrap());
    for scope in [SuspectScope::AllFamilies, SuspectScope::Family(evpn)] {
        assert_eq!(bincode::deserialize::<SuspectScope>(&bytes(scope)).unwrap(), scope);
    }
}
