//! The session and the current table against an independent model of BMP and BGP.
//!
//! A schedule is a random sequence of what routers, BGP sessions and the collector do. The model predicts
//! from the RFCs alone which records it results in, and Holdfast must make the same ones.
//! `MODEL_SCHEDULES=N` runs N schedules instead of 30, `MODEL_SEED=N` repeats one, and
//! `MODEL_WITHOUT=zeros,repeats` leaves out kinds of steps. A failure prints its seed and the fewest steps
//! that still fail.

#![allow(unreachable_pub, reason = "the modules are those of one test program")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a test that fails should panic, and prints why it is skipped"
)]

#[path = "../common/mod.rs"]
mod common;

mod catalogue;
mod compare;
mod database;
mod drive;
mod encoding;
mod generate;
mod peers;
mod predict;
mod record;
mod schedule;
mod tables;
mod wire;

use common::db::Edition;
use generate::{Without, generate};

/// Schedules of a run that does not say how many.
const SCHEDULES: u64 = 30;

/// Kinds of records that the schedules of a run make: three causes, withdrawals, and nine kinds of events.
const KINDS: usize = 13;

fn new_seed() -> u64 {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    clock.as_nanos() as u64 >> 10
}

/// The seeds of a run: the one that the environment names, or fixed ones and a new one.
fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("MODEL_SEED") {
        return vec![seed];
    }
    let count = number("MODEL_SCHEDULES").unwrap_or(SCHEDULES);
    let new = new_seed();
    println!("schedules: seeds 1 to {count} and {new}");
    (1..=count).chain([new]).collect()
}

#[test]
fn sessions_make_the_records_that_the_model_predicts() {
    let without = Without::from_environment();
    let mut failures = Vec::new();
    let mut counts = compare::Counts::new();
    let seeds = seeds();
    for seed in &seeds {
        let schedule = generate(*seed, &without);
        match compare::session_level(&schedule) {
            Ok(made) => made.into_iter().for_each(|(kind, count)| *counts.entry(kind).or_default() += count),
            Err(_) if failures.len() >= compare::FAILURES_SHOWN => failures.push(seed.to_string()),
            Err(_) => failures.push(compare::explain(&schedule)),
        }
    }
    println!("{} schedules, {} records: {counts:?}", seeds.len(), counts.values().sum::<usize>());
    assert!(
        failures.is_empty(),
        "{} of {} schedules disagree with the model:\n{}",
        failures.len(),
        seeds.len(),
        failures.join("\n")
    );
    assert!(seeds.len() == 1 || counts.len() == KINDS, "only these kinds of records occurred: {counts:?}");
}

#[test]
fn tables_have_the_contents_that_the_model_predicts() {
    let without = Without::from_environment();
    let schedules: Vec<_> = seeds().into_iter().map(|seed| generate(seed, &without)).collect();
    for (edition, lanes) in [(Edition::Timescale, 3), (Edition::Plain, 1)] {
        let failures = database::check(edition, lanes, &schedules);
        assert!(
            failures.is_empty(),
            "{} of {} schedules disagree with the model:\n{}",
            failures.len(),
            schedules.len(),
            failures.join("\n")
        );
    }
}

#[test]
fn legal_updates_are_read_as_the_opens_agree() {
    encoding::check();
}
