//! What a session records before its sender is known to be a router, and of floods of Initiations and of new
//! peers.

use std::time::Duration;

use holdfast::route::{Batch, EventKind, SessionEnd, Timestamp};
use holdfast::session::UNIDENTIFIED_BYTES_MAX;

use crate::common::messages::{Header, PEER, bmp, initiation, open, termination};
use crate::common::sessions::{options, session};

const START: Timestamp = Timestamp(1_790_000_000_000_000);

fn event_names(batches: impl IntoIterator<Item = Batch>) -> Vec<&'static str> {
    batches.into_iter().flat_map(|batch| batch.events).map(|event| event.kind.name()).collect()
}

fn peer_up() -> Vec<u8> {
    PEER.peer_up(&open(65_001, &[]), &open(65_002, &[]), &[])
}

#[test]
fn unknown_messages_wait_until_the_sender_identifies_itself() {
    for (identity, second) in [(initiation("edge1"), "session_up"), (peer_up(), "peer_up")] {
        let mut session = session(options(START));
        session.message(&bmp(100, &[1]), START);
        session.message(&bmp(3, &[0; 10]), START);
        assert!(!session.is_identified() && !session.has_records());
        session.message(&identity, Timestamp(START.0 + 5));
        assert!(session.is_identified());
        let batches: Vec<Batch> = session.take_batches().collect();
        assert_eq!(batches[0].events[0].received, START);
        assert_eq!(event_names(batches), ["unknown_message", second]);
    }
}

#[test]
fn a_sender_without_identity_leaves_no_record() {
    let mut session = session(options(START));
    for _ in 0..2 * UNIDENTIFIED_BYTES_MAX / 1_000 {
        session.message(&bmp(100, &[0; 994]), START);
    }
    session.message(&termination(0), START);
    assert_eq!(session.terminated(), Some(&SessionEnd::Terminated(Some(0))));
    session.end(&SessionEnd::Lost, START);
    assert!(!session.has_records());
    // No more than the limit was held.
    session.message(&initiation("edge1"), START);
    let held = session.take_batches().flat_map(|batch| batch.events);
    let is_held = |kind: &EventKind| matches!(kind, EventKind::UnknownMessage { .. });
    let held = held.filter(|event| is_held(&event.kind)).count();
    assert_eq!(held, UNIDENTIFIED_BYTES_MAX / 1_000);
}

#[test]
fn a_flood_of_initiations_is_bounded_in_records_and_notices() {
    let mut session = session(options(START));
    session.message(&peer_up(), START);
    for second in 0..120 {
        for number in 0..100 {
            let name = format!("edge{number}");
            session.message(&initiation(&name), Timestamp(START.0 + second * 1_000_000));
        }
    }
    let counters = session.summary().counters;
    assert_eq!((counters.messages, counters.ignored_initiations), (12_001, 12_000 - 11));
    let events = event_names(session.take_batches());
    assert_eq!(events.iter().filter(|name| **name == "session_up").count(), 11);
    let notices = session.take_notices();
    let about = |event: &str| notices.iter().filter(|notice| notice.event == event).count();
    assert_eq!((about("initiations_ignored"), about("bmp_session_up")), (1, 11));
}

#[test]
fn new_peers_beyond_ten_thousand_are_recorded_and_have_to_be_waited_for() {
    let mut session = session(options(START));
    let peer = |number: u64| Header { distinguisher: number, ..PEER };
    let up = |number| peer(number).peer_up(&open(65_001, &[]), &open(65_002, &[]), &[]);
    (0..10_000).for_each(|number| session.message(&up(number), START));
    assert_eq!((session.new_peers_wait(START), session.counters().excess_peers), (Duration::ZERO, 0));
    (10_000..10_050).for_each(|number| session.message(&up(number), START));
    // Peers that are known cost nothing.
    (0..100).for_each(|number| session.message(&peer(number).peer_down(1, &[]), START));
    (0..100).for_each(|number| session.message(&up(number), START));
    assert_eq!((session.new_peers_wait(START).as_millis(), session.counters().excess_peers), (500, 50));
    let later = Timestamp(START.0 + 500_000);
    assert_eq!(session.new_peers_wait(later), Duration::ZERO);
    let events = event_names(session.take_batches());
    assert_eq!(events.iter().filter(|name| **name == "peer_up").count(), 10_150, "nothing is lost");
    let notices = session.take_notices();
    assert_eq!(notices.iter().filter(|notice| notice.event == "session_slowed").count(), 1);
}
