//! Fuzzing on the stable compiler: valid messages are made at random, damaged, and decoded. "It did not panic" is the
//! least of what is checked: every target states what must hold of any answer.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | FUZZ_ITERATIONS | how many inputs per target | 20000 |
//! | FUZZ_SECONDS | how long per target, instead | – |
//! | FUZZ_SEED | where the numbers start | fixed; from the clock with FUZZ_SECONDS |
//!
//! A failure prints the seed of its input: `FUZZ_SEED=… FUZZ_ITERATIONS=1` repeats it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test that says what it did"
)]

mod build;
mod check;
#[path = "../common/families.rs"]
mod families;
mod generate;
mod mutate;
mod session;

use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mutate::Rng;

const ITERATIONS: u64 = 20_000;
const SEED: u64 = 0x0484_7854;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Runs one target: `make` a valid input, damage it, `check` it.
fn fuzz(target: &str, make: impl Fn(&mut Rng) -> Vec<u8>, check: impl Fn(&[u8], &mut Rng)) {
    let seconds = number("FUZZ_SECONDS").map(Duration::from_secs);
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let first = number("FUZZ_SEED").unwrap_or_else(|| if seconds.is_some() { clock() << 24 } else { SEED });
    let iterations = number("FUZZ_ITERATIONS").unwrap_or(ITERATIONS);
    let start = Instant::now();
    let mut done = 0;
    while seconds.map_or(done < iterations, |limit| start.elapsed() < limit) {
        let seed = first.wrapping_add(done);
        let mut rng = Rng(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut input = make(&mut rng);
        mutate::mutate(&mut input, &mut rng);
        if let Err(failure) = panic::catch_unwind(AssertUnwindSafe(|| check(&input, &mut rng))) {
            let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("fuzz {target}: failed, repeat with FUZZ_SEED={seed} FUZZ_ITERATIONS=1, input {hex}");
            panic::resume_unwind(failure);
        }
        done += 1;
    }
    println!("fuzz {target}: {done} inputs from seed {first}");
}

#[test]
fn framing_cuts_whole_messages_or_says_why_not() {
    let stream = |rng: &mut Rng| (0..3).flat_map(|_| generate::bmp(rng)).collect();
    fuzz("framing", stream, |bytes, rng| check::framing(bytes, rng.below(bytes.len() + 1)));
}

#[test]
fn a_bmp_message_stays_within_its_bytes() {
    fuzz("bmp", generate::bmp, |bytes, _| check::bmp(&check::with_length(bytes)));
}

#[test]
fn an_update_stays_within_its_bytes() {
    fuzz("update", generate::update, |bytes, _| check::update(&check::with_pdu_length(bytes)));
}

#[test]
fn an_open_stays_within_its_bytes() {
    fuzz("open", generate::open, |bytes, _| check::open(&check::with_pdu_length(bytes)));
}

#[test]
fn routes_are_read_once_and_write_back_as_they_were() {
    // The first byte says of which family the others are, so that damage there mixes families.
    let form = |byte: u8| {
        let family = generate::FAMILIES[usize::from(byte >> 1) % generate::FAMILIES.len()];
        (family, byte & 1 != 0)
    };
    let make = |rng: &mut Rng| {
        let byte = rng.byte();
        let (family, add_path) = form(byte);
        [vec![byte], build::nlri(&generate::entries(rng, family), add_path)].concat()
    };
    fuzz("nlri", make, |bytes, _| {
        if let Some((byte, bytes)) = bytes.split_first() {
            let (family, add_path) = form(*byte);
            check::nlri(family, bytes, add_path);
        }
    });
}

#[test]
fn a_session_turns_any_stream_into_batches_that_the_log_gives_back() {
    fuzz("session", session::stream, session::check);
}

#[test]
fn bytes_that_are_no_payload_are_refused() {
    let payload = |rng: &mut Rng| session::payload(rng);
    fuzz("record", payload, |bytes, _| session::payload_holds(bytes));
}
