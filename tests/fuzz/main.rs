//! Fuzzing on the stable compiler: valid messages are generated at random or taken from the stored inputs,
//! mutated, and decoded. Besides the absence of panics, every target checks invariants of the result.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | FUZZ_ITERATIONS | inputs per target | 20000 |
//! | FUZZ_SECONDS | seconds per target, instead of a number of inputs | – |
//! | FUZZ_SEED | seed of the random numbers | fixed; from the clock with FUZZ_SECONDS |
//!
//! A failure prints the seed of its input: `FUZZ_SEED=… FUZZ_ITERATIONS=1` repeats it. `tools/fuzz` runs the
//! same targets for longer with coverage guidance and finds the inputs to be stored.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test that says what it did"
)]

#[path = "../common/mod.rs"]
mod common;

mod check;
mod generate;
mod mutate;
mod session;
mod targets;

use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mutate::Rng;
use targets::Target;

const ITERATIONS: u64 = 20_000;
const SEED: u64 = 0x0484_7854;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Checks one input; `how` describes how to reproduce it.
fn run(target: &Target, input: &[u8], how: &str) {
    if let Err(failure) = panic::catch_unwind(AssertUnwindSafe(|| target.check(input))) {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!("fuzz {}: failed, repeat with {how}, input {hex}", target.name);
        panic::resume_unwind(failure);
    }
}

/// Runs one target: the stored inputs unchanged, then mutations of valid or stored ones.
fn fuzz(target: &Target) {
    let kept = target.kept();
    kept.iter().enumerate().for_each(|(line, input)| run(target, input, &format!("kept input {}", line + 1)));
    let seconds = number("FUZZ_SECONDS").map(Duration::from_secs);
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let first = number("FUZZ_SEED").unwrap_or_else(|| if seconds.is_some() { clock() << 24 } else { SEED });
    let iterations = number("FUZZ_ITERATIONS").unwrap_or(ITERATIONS);
    let start = Instant::now();
    let mut done = 0;
    while seconds.map_or(done < iterations, |limit| start.elapsed() < limit) {
        let seed = first.wrapping_add(done);
        let mut rng = Rng(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut input = if kept.is_empty() || rng.is_one_in(2) {
            (target.make)(&mut rng)
        } else {
            kept[rng.below(kept.len())].clone()
        };
        mutate::mutate(&mut input, &mut rng);
        run(target, &input, &format!("FUZZ_SEED={seed} FUZZ_ITERATIONS=1"));
        done += 1;
    }
    println!("fuzz {}: {} kept inputs, {done} made from seed {first}", target.name, kept.len());
}

#[test]
fn framing_returns_whole_messages_or_an_error() {
    fuzz(&targets::FRAMING);
}

#[test]
fn a_bmp_message_stays_within_its_bytes() {
    fuzz(&targets::BMP);
}

#[test]
fn an_update_stays_within_its_bytes() {
    fuzz(&targets::UPDATE);
}

#[test]
fn an_open_stays_within_its_bytes() {
    fuzz(&targets::OPEN);
}

#[test]
fn routes_are_read_once_and_write_back_as_they_were() {
    fuzz(&targets::NLRI);
}

#[test]
fn a_session_turns_any_stream_into_batches_that_the_log_gives_back() {
    fuzz(&targets::SESSION);
}

#[test]
fn sessions_do_not_depend_on_each_other() {
    fuzz(&targets::SESSIONS);
}

#[test]
fn bytes_that_are_no_payload_are_refused() {
    fuzz(&targets::RECORD);
}

#[test]
fn a_proxy_header_is_whole_or_incomplete_or_refused() {
    fuzz(&targets::PROXY);
}

#[test]
fn the_targets_have_different_names() {
    let names: std::collections::BTreeSet<_> = targets::ALL.iter().map(|target| target.name).collect();
    assert_eq!(names.len(), targets::ALL.len());
}
