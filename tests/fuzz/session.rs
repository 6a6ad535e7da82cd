//! A whole session: from a stream of messages, some mutated, to batches and their log encoding.

use crate::common::sessions::{options, session};
use holdfast::bmp;
use holdfast::codec;
use holdfast::route::{Batch, Record, SessionEnd, Timestamp};
use holdfast::session::{Options, Session};

use super::mutate::Rng;
use super::{check, generate};

/// The byte stream of one session; each message is mutated with a probability of one in four.
pub(crate) fn stream(rng: &mut Rng) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..=rng.below(12) {
        let mut message = generate::bmp(rng);
        if rng.below(4) == 0 {
            super::mutate::mutate(&mut message, rng);
        }
        stream.extend(check::with_length(&message));
    }
    stream
}

const NOW: Timestamp = Timestamp(1_790_000_000_000_000);

fn new_session(batch_records_max: usize) -> Session {
    session(Options { batch_records_max, sweep_quiet_us: 50, ..options(NOW) })
}

/// Checks the invariants of any session: it never fails, its batches are valid, and they survive the log
/// encoding unchanged.
pub(crate) fn check(mut stream: &[u8], rng: &mut Rng) {
    let mut session = new_session(8);
    let mut now = NOW;
    let mut messages = 0;
    while let Ok(Some(message)) = bmp::frame(stream) {
        stream = &stream[message.len()..];
        messages += 1;
        now.0 += i64::try_from(rng.below(100)).unwrap();
        session.message(message, now);
        session.tick(now);
        if session.is_full() {
            session.take_batches().for_each(|batch| batch_holds(&batch));
        }
        drop(session.take_notices());
    }
    session.end(&SessionEnd::Lost, now);
    session.take_batches().for_each(|batch| batch_holds(&batch));
    assert!(!session.has_records());
    let counters = session.summary().counters;
    assert_eq!(counters.messages, messages);
}

/// Number of sessions of [`check_interleaved`].
const SESSIONS: usize = 3;

/// Messages of several sessions, mutated as in [`stream`]. The byte before each message selects its session.
pub(crate) fn interleaved(rng: &mut Rng) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..=rng.below(24) {
        let mut message = generate::bmp(rng);
        if rng.below(4) == 0 {
            super::mutate::mutate(&mut message, rng);
        }
        stream.push(rng.byte());
        stream.extend(check::with_length(&message));
    }
    stream
}

/// Checks that the batches of a session are the same, whatever other sessions receive between its messages.
pub(crate) fn check_interleaved(mut stream: &[u8], rng: &mut Rng) {
    let mut messages = Vec::new();
    let mut now = NOW;
    while let Some((selected, rest)) = stream.split_first() {
        let Ok(Some(message)) = bmp::frame(rest) else { break };
        now.0 += i64::try_from(rng.below(100)).unwrap();
        messages.push((usize::from(*selected) % SESSIONS, message, now));
        stream = &rest[message.len()..];
    }
    let batches = |is_chosen: &dyn Fn(usize) -> bool| {
        let mut sessions: Vec<Session> = (0..SESSIONS).map(|_| new_session(8)).collect();
        let mut batches = vec![Vec::new(); SESSIONS];
        for (number, message, now) in messages.iter().filter(|(number, ..)| is_chosen(*number)) {
            sessions[*number].message(message, *now);
            sessions[*number].tick(*now);
            if sessions[*number].is_full() {
                batches[*number].extend(sessions[*number].take_batches());
            }
        }
        for (session, batches) in sessions.iter_mut().zip(&mut batches) {
            session.end(&SessionEnd::Lost, now);
            batches.extend(session.take_batches());
        }
        batches
    };
    let together = batches(&|_| true);
    for (number, expected) in together.iter().enumerate() {
        assert_eq!(
            batches(&|chosen| chosen == number)[number],
            *expected,
            "session {number} depends on others"
        );
        expected.iter().for_each(batch_holds);
    }
}

fn batch_holds(batch: &Batch) {
    assert!(!batch.is_empty(), "an empty batch");
    let places = batch.iter().map(|record| match record {
        Record::Route(route) => route.index,
        Record::Event(event) => event.index,
    });
    assert!(places.eq(0..u32::try_from(batch.records()).unwrap()), "indexes are not dense");
    let mut bytes = Vec::new();
    codec::encode(batch, &mut bytes).unwrap();
    let logged = Batch { follows_bulk: false, ..batch.clone() };
    assert_eq!(codec::decode(&bytes).unwrap(), logged, "the log gives back something else");
    for record in batch.iter() {
        let object = codec::json::object(batch, &record);
        assert!(object.contains_key("idx"));
    }
}

/// A payload that a session of valid messages writes.
pub(crate) fn payload(rng: &mut Rng) -> Vec<u8> {
    let mut session = new_session(1000);
    (0..=rng.below(12)).for_each(|_| session.message(&generate::bmp(rng), NOW));
    let mut bytes = Vec::new();
    for batch in session.take_batches().take(1) {
        codec::encode(&batch, &mut bytes).unwrap();
    }
    bytes
}

/// Checks that a mutated payload is refused, or decodes to a batch that is consistent enough to be printed.
pub(crate) fn payload_holds(bytes: &[u8]) {
    let Ok(batch) = codec::decode(bytes) else { return };
    assert!(batch.nlri.len() <= bytes.len(), "more rows than bytes");
    assert_eq!(batch.iter().count(), batch.records());
    batch.iter().for_each(|record| drop(codec::json::object(&batch, &record)));
}
