//! BMP version 4: the TLVs of Route Monitoring.

use crate::common::messages::*;
use crate::common::sessions::{options, session};
use holdfast::route::{Batch, Event, EventKind, Nlri, PathMarking, Record, SuspectScope, Timestamp};
use holdfast::session::{RouteTlvCounters, Session};
use std::net::Ipv4Addr;

const NOW: Timestamp = Timestamp(1_790_000_000_000_000);
const GROUP: u16 = 0x8000;

/// Status and reason of a route.
type Marking = Option<(u32, Option<u16>)>;

fn indexed(kind: u16, index: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&kind.to_be_bytes()[..], &length, &index.to_be_bytes(), value].concat()
}

fn status(kind: u16, index: u16, status: u32, reason: Option<u16>) -> Vec<u8> {
    let reason = reason.map_or_else(Vec::new, |reason| reason.to_be_bytes().to_vec());
    indexed(kind, index, &[&status.to_be_bytes()[..], &reason].concat())
}

/// A Route Monitoring message of version 4 with the UPDATE in a TLV of type `update_tlv`.
fn monitoring(update_tlv: u16, update: &[u8], tlvs: &[Vec<u8>]) -> Vec<u8> {
    let body = [PEER.bytes(), tlvs.concat(), indexed(update_tlv, 0, update)].concat();
    let mut message = bmp(0, &body);
    message[0] = 4;
    message
}

fn three() -> Vec<u8> {
    let nlri = [v4(10, 0, 1, 24), v4(10, 0, 2, 24), v4(10, 0, 3, 24)].concat();
    update(&[], &plain_attributes(&[65_001]), &nlri)
}

fn batch(session: &mut Session) -> Batch {
    let mut batches: Vec<Batch> = session.take_batches().collect();
    assert_eq!(batches.len(), 1);
    batches.remove(0)
}

/// The status and reason of each route of the batch.
fn markings(batch: &Batch) -> Vec<Marking> {
    batch
        .routes()
        .map(|route| route.group.marking.map(|PathMarking { status, reason }| (status, reason)))
        .collect()
}

/// The markings of the routes of one message, and the counters of its TLVs.
fn of(message: &[u8]) -> (Vec<Marking>, RouteTlvCounters) {
    let mut session = session(options(NOW));
    session.message(message, NOW);
    let batch = batch(&mut session);
    let indexes: Vec<u32> = batch
        .iter()
        .filter_map(|record| match record {
            Record::Route(route) => Some(route.index),
            Record::Event(_) => None,
        })
        .collect();
    assert!(indexes.is_sorted() && indexes.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{indexes:?}");
    let mut bytes = Vec::new();
    holdfast::codec::encode(&batch, &mut bytes).unwrap();
    let logged = Batch { follows_bulk: false, ..batch.clone() };
    assert_eq!(holdfast::codec::decode(&bytes).unwrap(), logged);
    (markings(&batch), session.counters().route_tlvs)
}

#[test]
fn a_path_status_applies_to_all_routes_to_one_or_to_a_group() {
    let best = Some((2, None));
    for (update_tlv, group) in [(4, 2), (7, 4)] {
        let all = of(&monitoring(update_tlv, &three(), &[status(5, 0, 2, None)]));
        assert_eq!(all.0, [best; 3]);
        let one = of(&monitoring(update_tlv, &three(), &[status(5, 2, 0xf004, Some(8))]));
        assert_eq!(one.0, [None, Some((0xf004, Some(8))), None]);
        let tlvs = [
            status(5, GROUP | 1, 4, Some(3)),
            status(5, 0, 2, None),
            indexed(group, GROUP | 1, &[0, 1, 0, 3, 0, 99]),
            status(5, 3, 8, None),
        ];
        let (marked, counters) = of(&monitoring(update_tlv, &three(), &tlvs));
        assert_eq!(marked, [Some((4, Some(3))), best, Some((8, None))]);
        assert_eq!((counters.path_statuses, counters.groups, counters.unapplied), (3, 1, 1), "index 99");
    }
}

#[test]
fn damaged_repeated_and_foreign_tlvs_are_counted_and_the_others_apply() {
    let tlvs = [
        status(5, 0, 2, None),
        status(5, 0, 1, None),
        indexed(5, 0, &[0, 0, 2]),
        indexed(5, 1, &[0, 0, 0, 1, 0]),
        indexed(5, 1, &[]),
        indexed(4, 1, &[0, 1]),
        indexed(4, GROUP | 7, &[0]),
        status(5, GROUP | 9, 1, None),
        indexed(0x8005, 0, &[0, 0, 7, 0xdb, 1]),
        indexed(77, 0, b"x"),
        indexed(2, 0, &[0, 1]),
        indexed(3, 0, &[0; 8]),
        indexed(1, 0, &[0, 0, 1]),
    ];
    let (marked, counters) = of(&monitoring(7, &three(), &tlvs));
    assert_eq!(marked, [Some((2, None)); 3]);
    let expected = RouteTlvCounters {
        path_statuses: 3,
        repeated: 1,
        malformed: 6,
        unapplied: 1,
        vendor: 1,
        unknown: 1,
        extended_flags: 1,
        timestamps: 1,
        ..RouteTlvCounters::default()
    };
    assert_eq!(counters, expected);
    // The TLVs before the damage of a message that is cut apply.
    let whole = monitoring(4, &three(), &[status(5, 0, 2, None)]);
    let cut = [&whole[..], &indexed(5, 1, &[0, 0, 0, 1])[..9]].concat();
    let mut cut = bmp(0, &cut[6..]);
    cut[0] = 4;
    assert_eq!(of(&cut).0, [Some((2, None)); 3]);
    // An UPDATE in a TLV of another number: the numbering is not known, and nothing is assumed.
    let (marked, counters) = of(&monitoring(1, &three(), &[status(5, 0, 2, None)]));
    assert_eq!((marked, counters.unknown), (vec![None; 3], 1));
}

#[test]
fn indexes_count_the_routes_of_all_fields_and_withdrawals_have_no_marking() {
    let attributes =
        [plain_attributes(&[65_001]), mp_reach(2, 1, &[0; 16], &[16, 0x20, 1, 16, 0x20, 2])].concat();
    let update = update(&v4(10, 9, 9, 24), &attributes, &v4(10, 0, 1, 24));
    let tlvs: Vec<_> = (1..=4).map(|index| status(5, index, u32::from(index), None)).collect();
    let (marked, counters) = of(&monitoring(4, &update, &tlvs));
    // Recorded are the withdrawal, the NLRI field, and MP_REACH_NLRI, which is before it in the message.
    assert_eq!(marked, [None, Some((4, None)), Some((2, None)), Some((3, None))]);
    assert_eq!(counters.unapplied, 1, "the withdrawal");
}

#[test]
fn a_table_name_names_the_table_of_the_peer() {
    for (update_tlv, kind) in [(4, 3), (7, 5)] {
        let mut session = session(options(NOW));
        session.message(&monitoring(update_tlv, &three(), &[indexed(kind, 0, b"blue")]), NOW);
        session.message(&monitoring(update_tlv, &three(), &[status(5, 0, 2, None)]), NOW);
        let batch = batch(&mut session);
        assert_eq!(batch.peers.iter().map(|peer| peer.table_name.as_str()).collect::<Vec<_>>(), ["blue"]);
        assert_eq!(session.counters().route_tlvs.path_statuses, 1);
    }
}

#[test]
fn a_hole_in_the_sequence_numbers_is_a_gap() {
    let mut session = session(options(NOW));
    let mut reasons = Vec::new();
    for (step, number) in (0_i64..).zip([u32::MAX - 1, u32::MAX, 0, 4, 4, 3, 5]) {
        let now = Timestamp(NOW.0 + step);
        session.message(&monitoring(7, &three(), &[indexed(1, 0, &number.to_be_bytes())]), now);
    }
    for batch in session.take_batches() {
        for event in batch.events {
            if let EventKind::Gap { reason, from, until } = event.kind {
                reasons.push((reason, from.0 - NOW.0, until.0 - NOW.0, event.peer));
            }
        }
    }
    assert_eq!(reasons, [("router skipped 3 messages".to_owned(), 2, 3, None)]);
    let counters = session.counters();
    assert_eq!((counters.sequence_gaps, counters.skipped_messages, counters.sequence_repeats), (1, 3, 2));
}

#[test]
fn both_versions_in_one_session_are_read_by_their_own_rules() {
    let mut session = session(options(NOW));
    session.message(&monitoring(4, &three(), &[status(5, 0, 2, None)]), NOW);
    session.message(&PEER.route_monitoring(&three()), NOW);
    let mut expected = vec![Some((2, None)); 3];
    expected.extend([None; 3]);
    assert_eq!(markings(&batch(&mut session)), expected);
}

/// A Route Monitoring message with one announcement of these NLRI, and TLVs.
fn announcing(nlri: &[u8], tlvs: &[Vec<u8>]) -> Vec<u8> {
    monitoring(4, &update(&[], &plain_attributes(&[65_001]), nlri), tlvs)
}

/// A stateless-parsing TLV with the ADD-PATH capability of IPv4 unicast. `mode` is 1 to receive, 2 to send.
fn stateless_parsing(mode: u8) -> Vec<u8> {
    indexed(1, 0, &[69, 4, 0, 1, 1, mode])
}

/// A session after a Peer Up without ADD-PATH.
fn negotiated() -> Session {
    let mut session = session(options(NOW));
    let open = |asn| open(asn, &[four_octet_as(asn), multiprotocol(1, 1)]);
    session.message(&PEER.peer_up(&open(65_000), &open(65_001), &[]), NOW);
    session
}

/// Path ID, prefix and marking of each route.
fn routes(batch: &Batch) -> Vec<(u32, String, Marking)> {
    let prefix = |nlri: &Nlri| match nlri {
        Nlri::Prefix(prefix) => prefix.to_string(),
        other => format!("{other:?}"),
    };
    let routes = batch.routes().map(|route| (route.entry.path_id, prefix(&route.entry.nlri)));
    routes.zip(markings(batch)).map(|((id, prefix), marking)| (id, prefix, marking)).collect()
}

fn route(id: u32, prefix: &str, marking: Marking) -> (u32, String, Marking) {
    (id, prefix.to_owned(), marking)
}

#[test]
fn paths_with_ids_have_markings_of_their_own() {
    let mut session = negotiated();
    let paths = [v4_path(1, 10, 0, 1, 24), v4_path(2, 10, 0, 1, 24), v4_path(7, 10, 0, 2, 24)].concat();
    let tlvs = [stateless_parsing(1), status(5, 1, 2, None), status(5, 2, 4, Some(6)), status(5, 9, 1, None)];
    session.message(&announcing(&paths, &tlvs), NOW);
    let best = Some((2, None));
    let expected = [
        route(1, "10.0.1.0/24", best),
        route(2, "10.0.1.0/24", Some((4, Some(6)))),
        route(7, "10.0.2.0/24", None),
    ];
    assert_eq!(routes(&batch(&mut session)), expected);
    let tlvs = session.counters().route_tlvs;
    assert_eq!((tlvs.stateless_parsing, tlvs.path_statuses, tlvs.unapplied), (1, 3, 1), "index 9");
}

#[test]
fn a_held_update_is_recorded_with_its_markings() {
    let mut session = negotiated();
    // Path IDs that are neither negotiated nor declared: the second message confirms the first one.
    let first = [v4_path(1, 10, 0, 1, 24), v4_path(2, 10, 0, 1, 24)].concat();
    session.message(&announcing(&first, &[status(5, 0, 2, None), status(5, 2, 4, Some(6))]), NOW);
    assert_eq!(session.counters().route_tlvs.unapplied, 1, "not recorded yet");
    let second = v4_path(3, 10, 0, 1, 24);
    session.message(&announcing(&second, &[status(5, 1, 8, None), status(5, 2, 8, None)]), NOW);
    let expected = [
        route(1, "10.0.1.0/24", Some((2, None))),
        route(2, "10.0.1.0/24", Some((4, Some(6)))),
        route(3, "10.0.1.0/24", Some((8, None))),
    ];
    assert_eq!(routes(&batch(&mut session)), expected);
    assert_eq!(session.counters().route_tlvs.unapplied, 1, "index 2 of the second message");
}

#[test]
fn a_held_update_is_read_as_it_declares() {
    let mut session = negotiated();
    let declared = |nlri: &[u8]| announcing(nlri, &[stateless_parsing(1), status(5, 1, 2, None)]);
    // Declared are path IDs. The first message has none, the second may have one, the third has one: the
    // first one is malformed, and the second one has the path ID that it declares.
    session.message(&declared(&v4(10, 0, 1, 24)), NOW);
    session.message(&declared(&[24, 10, 1, 4, 24, 10, 1, 5]), NOW);
    assert_eq!(session.counters().announced, 0);
    session.message(&declared(&v4_path(3, 10, 0, 1, 24)), NOW);
    let best = Some((2, None));
    let expected = [route(0x180a_0104, "10.1.5.0/24", best), route(3, "10.0.1.0/24", best)];
    assert_eq!(routes(&batch(&mut session)), expected);
    assert_eq!(session.counters().route_tlvs.unapplied, 1, "the malformed message");
}

#[test]
fn a_status_of_a_message_that_cannot_be_read_is_not_applied() {
    let malformed = update(&[], &plain_attributes(&[65_001]), &[33, 1, 2, 3, 4, 5]);
    let tlvs = [status(5, 1, 2, None), status(5, 2, 2, None)];
    assert_eq!(of(&monitoring(4, &malformed, &tlvs)).1.unapplied, 2);
    let mut not_update = malformed;
    not_update[18] = 5;
    assert_eq!(of(&monitoring(4, &not_update, &tlvs)).1.unapplied, 2);
}

fn version_4(mut message: Vec<u8>) -> Vec<u8> {
    message[0] = 4;
    message
}

/// The TLVs that are recorded beside the event of a message.
fn message_tlvs(batch: &Batch) -> Vec<(u8, Vec<String>)> {
    let of = |event: &Event| match &event.kind {
        EventKind::MessageTlvs { message_type, information } => Some((*message_type, information.clone())),
        _ => None,
    };
    batch.events.iter().filter_map(of).collect()
}

#[test]
fn tlvs_of_other_messages_are_recorded_by_number_and_counted() {
    let mut session = session(options(NOW));
    let stats = [&[0, 0, 0, 1][..], &tlv(7, &[0, 0, 0, 9])].concat();
    let statistics = [PEER.bytes(), tlv(9, &[1, 2]), tlv(1, &stats), tlv(0x8001, &[3])].concat();
    session.message(&version_4(bmp(1, &statistics)), NOW);
    // Route Mirroring: another type, a code of three octets, and bytes behind the last TLV.
    let tlvs = [tlv(1, &[0, 1]), tlv(1, &[0, 1, 2]), tlv(77, b"x"), vec![9]].concat();
    session.message(&PEER.mirror(&tlvs), NOW);
    let notification = [&[0xff; 16][..], &[0, 21, 3, 6, 2]].concat();
    let data = [&notification, &tlv(3, b"blue")[..], &tlv(0, b"why"), &tlv(9, &[1])].concat();
    session.message(&version_4(PEER.peer_down(1, &data)), NOW);
    session.message(&PEER.peer_down(6, &[tlv(3, b"red"), vec![0, 3]].concat()), NOW);
    // Nothing beside the event of the message.
    session.message(&PEER.peer_down(1, &data), NOW);
    let batch = batch(&mut session);
    let texts = |all: &[&str]| all.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let expected = [
        (1, texts(&["9:0102", "32769:03"])),
        (6, texts(&["1:000102", "77:78", "incomplete TLV:09"])),
        (2, texts(&["VRF/table name: blue", "why", "9:01"])),
        (2, texts(&["VRF/table name: red", "incomplete TLV:0003"])),
    ];
    assert_eq!(message_tlvs(&batch), expected);
    let counters = session.counters();
    assert_eq!((counters.message_tlvs, counters.trailers, counters.errors), (8, 2, 0));
    // They belong to the peer as it was when it went down.
    let generations =
        batch.events.iter().map(|event| batch.peers[usize::from(event.peer.unwrap())].generation);
    assert_eq!(generations.collect::<Vec<_>>(), [0, 0, 0, 0, 0, 0, 1, 1, 2]);
}

#[test]
fn skipped_messages_make_the_tables_of_all_peers_suspect_until_their_next_dump() {
    let mut session = session(options(NOW));
    let other = Header { address: Ipv4Addr::new(192, 0, 2, 9), ..PEER };
    session.message(&other.route_monitoring(&three()), NOW);
    let number = |number: u32| indexed(1, 0, &number.to_be_bytes());
    let suspects = |session: &mut Session, next: u32| {
        session.message(&monitoring(7, &three(), &[number(next)]), NOW);
        let mut suspects = Vec::new();
        for batch in session.take_batches() {
            for event in &batch.events {
                if let EventKind::Suspect { reason, scope } = &event.kind {
                    assert_eq!(*scope, SuspectScope::AllFamilies);
                    let peer = &batch.peers[usize::from(event.peer.unwrap())];
                    suspects.push(format!("{} {}: {reason}", peer.key.address, peer.view));
                }
            }
        }
        suspects.sort();
        suspects
    };
    let is_suspect = |session: &Session| {
        let peers = session.summary().peers;
        peers.iter().flat_map(|peer| &peer.views).map(|view| view.families[0].suspect).collect::<Vec<_>>()
    };
    assert_eq!(suspects(&mut session, 4), [""; 0]);
    assert_eq!(is_suspect(&session), [false, false]);
    let expected = ["192.0.2.1 adj-in-pre", "192.0.2.9 adj-in-pre"];
    assert_eq!(suspects(&mut session, 9), expected.map(|view| format!("{view}: router skipped 4 messages")));
    assert_eq!(is_suspect(&session), [true, true]);
    // They are suspect already, and so is a family of theirs that appears later.
    assert_eq!(suspects(&mut session, 20), [""; 0]);
    let reach = mp_reach(2, 1, &[0; 16], &[16, 0x20, 1]);
    let later = update(&[], &[plain_attributes(&[65_001]), reach].concat(), &[]);
    session.message(&PEER.route_monitoring(&later), NOW);
    assert!(session.summary().peers[1].views[0].families[1].suspect);
    // A new generation of one peer with a complete dump.
    let open = |asn| open(asn, &[four_octet_as(asn), multiprotocol(1, 1)]);
    session.message(&PEER.peer_up(&open(65_000), &open(65_001), &[]), NOW);
    assert_eq!(suspects(&mut session, 22), [""; 0]);
    session.message(&PEER.route_monitoring(&update(&[], &[], &[])), NOW);
    assert_eq!(is_suspect(&session), [true, false]);
    assert_eq!(suspects(&mut session, 30), ["192.0.2.1 adj-in-pre: router skipped 6 messages"]);
}

#[test]
fn the_first_tlv_that_is_not_interpreted_is_reported_with_its_bytes() {
    let mut session = session(options(NOW));
    let vendor = indexed(0x8005, 0, &[0, 0, 7, 0xdb, 1]);
    session.message(&monitoring(7, &three(), &[status(5, 0, 2, None), vendor, indexed(77, 0, b"x")]), NOW);
    session.message(&monitoring(7, &three(), &[indexed(77, 0, b"x")]), NOW);
    let mut notices = session.take_notices();
    notices.retain(|notice| notice.event == "route_tlv_not_interpreted");
    assert_eq!(notices.len(), 1);
    assert_eq!(notices[0].text, "Route Monitoring TLV of type 0x8005 counted and not interpreted");
    assert_eq!(notices[0].bytes, [0, 0, 7, 0xdb, 1]);
}

#[test]
fn a_second_update_in_a_message_is_recorded_raw() {
    let second = update(&[], &plain_attributes(&[65_001]), &v4(10, 9, 9, 24));
    let message = monitoring(4, &three(), &[]);
    let mut message = bmp(0, &[&message[6..], &indexed(4, 0, &second)].concat());
    message[0] = 4;
    let mut session = session(options(NOW));
    session.message(&message, NOW);
    let batch = batch(&mut session);
    assert_eq!(markings(&batch), [None; 3]);
    let EventKind::Malformed { error, pdu, suspect } = &batch.events[0].kind else { panic!("not recorded") };
    assert_eq!(error, "another BGP message in a Route Monitoring message, which contains one");
    assert_eq!((pdu, suspect), (&second, &Some(SuspectScope::AllFamilies)));
    let counters = session.counters();
    assert_eq!((counters.errors, counters.route_tlvs.repeated, counters.route_tlvs.unknown), (1, 1, 0));
}
