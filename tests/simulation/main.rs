//! The whole collector under one seed: routers, sessions, committer, log, lanes and a database, in virtual time on one
//! thread, with crashes of each, power cuts, failing disks, lost answers, zombies, a second collector, a database that
//! comes back older and a log directory that does.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | SIM_SEEDS | how many schedules | 300 |
//! | SIM_SEED | the first one; a failure prints its own | 1 |
//!
//! What must hold, whatever happens:
//!
//! 1. What was told to be durable comes out of the log with its bytes, or stands in a gap that has a cause.
//! 2. In the end it is in the database once, in order per peer, and dense up to the checkpoint.
//! 3. What is missing lies inside exactly one gap row, and no gap row covers anything that is there.
//!
//! The step machines and the log are the product's; the shells around them, the disk and the database are adapters that
//! can be told to break one rule (`bugs`). Each of those faults must be caught.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    dead_code,
    reason = "a test that fails should panic, and says what it did"
)]

#[path = "../common/mod.rs"]
mod common;

mod bugs;
mod database;
mod disk;
mod process;
mod world;

use std::panic::{self, AssertUnwindSafe};

use bugs::Bug;
use world::World;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Why the schedule of a seed fails; `None` when it does not.
fn failure(seed: u64, bug: Bug) -> Option<String> {
    let run = AssertUnwindSafe(|| World::new(seed, bug).run());
    let error = panic::catch_unwind(run).err()?;
    let text = error.downcast_ref::<String>().cloned();
    Some(text.or_else(|| error.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
}

#[test]
fn whatever_happens_what_was_durable_is_stored_once() {
    let (first, count) = (number("SIM_SEED", 1), number("SIM_SEEDS", 300));
    for seed in first..first + count {
        if let Some(why) = failure(seed, Bug::None) {
            panic!("seed={seed}: {why} (repeat with SIM_SEED={seed} SIM_SEEDS=1)");
        }
    }
    println!("simulation: {count} schedules from seed {first}, no violation");
}

#[test]
fn each_planted_fault_is_caught() {
    // The panics of the schedules are the point; their traces are not.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    // What fails without a planted fault proves nothing.
    let good: Vec<u64> = (1..200).filter(|seed| failure(*seed, Bug::None).is_none()).collect();
    let caught: Vec<_> = bugs::ALL
        .into_iter()
        .map(|bug| (bug, good.iter().find_map(|seed| Some((*seed, failure(*seed, bug)?)))))
        .collect();
    panic::set_hook(hook);
    for (bug, by) in &caught {
        match by {
            Some((seed, why)) => println!("{bug:?}: seed {seed}: {}", why.lines().next().unwrap_or_default()),
            None => println!("{bug:?}: SURVIVES"),
        }
    }
    let survivors: Vec<_> = caught.iter().filter(|(_, by)| by.is_none()).map(|(bug, _)| bug).collect();
    println!("planted faults caught: {} of {}", caught.len() - survivors.len(), caught.len());
    assert!(survivors.is_empty(), "not caught: {survivors:?}");
}
