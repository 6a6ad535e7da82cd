//! No value that a router sends makes a name, a notice or a field of the status larger than its bound.

use crate::common::extremes;
use crate::common::messages::{PEER, bmp, tlv};
use crate::common::sessions::{options, session};
use holdfast::codec;
use holdfast::route::{
    Batch, EventKind, NAME_MAX_BYTES, ROUTER_NAME_MAX_BYTES, TABLE_NAME_MAX_BYTES, TEXT_MAX_BYTES, Timestamp,
};
use holdfast::session::{Notice, Session};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(1_790_000_000_000_000);

/// Longest text of a notice: a sysName and a sysDescr, and a few words.
const NOTICE_MAX_BYTES: usize = 2 * TEXT_MAX_BYTES;

/// Sends the messages; returns the batches.
fn sent(messages: &[Vec<u8>]) -> (Session, Vec<Batch>) {
    let mut session = session(options(NOW));
    let mut batches = Vec::new();
    for message in messages {
        session.message(message, NOW);
        batches.extend(session.take_batches());
        assert_notices_are_bounded(&mut session);
    }
    (session, batches)
}

fn assert_notices_are_bounded(session: &mut Session) {
    for notice in session.take_notices() {
        assert!(notice.text.len() <= NOTICE_MAX_BYTES, "{}: {}", notice.event, notice.text.len());
        assert!(notice.bytes.len() <= Notice::MAX_BYTES, "{}", notice.event);
    }
}

fn assert_all_is_bounded(session: &Session, batches: &[Batch]) {
    for batch in batches {
        assert!(batch.router.name.len() <= ROUTER_NAME_MAX_BYTES, "{}", batch.router.name);
        assert!(batch.peers.iter().all(|peer| peer.table_name.len() <= TABLE_NAME_MAX_BYTES));
        let mut payload = Vec::new();
        codec::encode(batch, &mut payload).unwrap();
        assert!(payload.len() <= codec::PAYLOAD_BYTES_MAX, "{}", payload.len());
    }
    let summary = session.summary();
    assert!(summary.sys_name.len() <= NAME_MAX_BYTES && summary.sys_descr.len() <= TEXT_MAX_BYTES);
    assert!(summary.peers.iter().all(|peer| peer.table_name.len() <= TABLE_NAME_MAX_BYTES));
}

#[test]
fn the_largest_messages_of_each_kind_stay_within_the_bounds() {
    let (session, batches) = sent(&extremes::messages(1));
    assert_all_is_bounded(&session, &batches);
    let events = || batches.iter().flat_map(|batch| &batch.events);
    // The event has the whole text, once.
    let whole = events().any(|event| match &event.kind {
        EventKind::SessionUp { sys_name, sys_descr, .. } => {
            sys_name.len() >= 60_000 && sys_descr.len() >= 60_000
        }
        _ => false,
    });
    assert!(whole);
    assert!(batches.iter().map(|batch| batch.nlri.len()).sum::<usize>() > 20);
}

/// A BMP message with TLVs, a mutated extreme message, or any octets.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..64),
        2 => (250_usize..260, any::<u8>()).prop_map(|(length, octet)| vec![octet; length]),
        1 => (0_usize..60_000, any::<u64>()).prop_map(|(length, seed)| extremes::noise(length, seed)),
    ];
    let tlvs = proptest::collection::vec((0_u16..6, value), 0..8)
        .prop_map(|tlvs| tlvs.iter().flat_map(|(kind, value)| tlv(*kind, value)).collect::<Vec<u8>>());
    let all = extremes::messages(2);
    let mutated =
        (0..all.len(), proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4))
            .prop_map(move |(index, changes)| {
                let mut message = all[index].clone();
                for (at, octet) in changes {
                    // The header delimits the message.
                    let at = 6 + at.index(message.len() - 6);
                    message[at] = octet;
                }
                message
            });
    prop_oneof![
        (prop_oneof![Just(4_u8), Just(5), 0..8_u8], tlvs.clone()).prop_map(|(kind, tlvs)| bmp(kind, &tlvs)),
        tlvs.clone().prop_map(|tlvs| PEER.peer_down(6, &tlvs)),
        tlvs.prop_map(|tlvs| PEER.mirror(&tlvs)),
        mutated,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_message_makes_a_value_larger_than_its_bound(
        messages in proptest::collection::vec(message(), 1..12),
    ) {
        let (session, batches) = sent(&messages);
        assert_all_is_bounded(&session, &batches);
    }
}
