//! BMP version 4: the TLVs of Route Monitoring.

use crate::common::messages::*;
use crate::common::sessions::{options, session};
use holdfast::route::{Batch, EventKind, PathMarking, Record, Timestamp};
use holdfast::session::{RouteTlvCounters, Session};

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
    assert_eq!(holdfast::codec::decode(&bytes).unwrap(), batch);
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
