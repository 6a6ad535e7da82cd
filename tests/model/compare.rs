//! Compares a run with the model, and shortens a schedule that fails.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::drive;
use crate::predict::predict;
use crate::record::{self, Record};
use crate::schedule::{Schedule, Step};

/// Number of records of each kind.
pub type Counts = BTreeMap<&'static str, usize>;

/// Failing schedules that are shortened and shown.
pub const FAILURES_SHOWN: usize = 3;

/// Runs a schedule without a database. Returns the number of records of each kind, or the differences.
pub fn session_level(schedule: &Schedule) -> Result<Counts, String> {
    let prediction = predict(schedule);
    let run = AssertUnwindSafe(|| drive::records(&drive::drive(schedule, &prediction.actions)));
    let mut made = catch_unwind(run).map_err(|_| "panicked".to_owned())?;
    let mut predicted = prediction.records;
    record::sort(&mut predicted);
    record::sort(&mut made);
    let mut counts = Counts::new();
    predicted.iter().for_each(|record| *counts.entry(record.what.name()).or_default() += 1);
    differences(&predicted, &made).map_or(Ok(counts), Err)
}

/// The first records that differ, with the ones before them; `None` if all are equal.
fn differences(predicted: &[Record], made: &[Record]) -> Option<String> {
    let index = predicted
        .iter()
        .zip(made)
        .position(|(predicted, made)| predicted != made)
        .or_else(|| (predicted.len() != made.len()).then(|| predicted.len().min(made.len())))?;
    let around = |records: &[Record]| {
        let lines: Vec<String> = records
            .iter()
            .skip(index.saturating_sub(2))
            .take(5)
            .map(|record| format!("      {record}\n"))
            .collect();
        lines.concat()
    };
    Some(format!("    the model predicts\n{}    Holdfast makes\n{}", around(predicted), around(made)))
}

/// The seed of a failing schedule, the fewest steps that fail, and the differences they show.
pub fn explain(schedule: &Schedule) -> String {
    let seed = schedule.seed;
    let short = shorten(schedule, usize::MAX, |schedule| session_level(schedule).is_err());
    let difference = session_level(&short).err().unwrap_or_default();
    format!("MODEL_SEED={seed} fails with these steps:\n{short}{difference}")
}

/// Removes steps and parts of steps as long as the schedule fails, in so many attempts at most.
pub fn shorten(
    schedule: &Schedule,
    mut attempts: usize,
    mut fails: impl FnMut(&Schedule) -> bool,
) -> Schedule {
    let mut fails = |schedule: &Schedule| {
        attempts = attempts.saturating_sub(1);
        attempts > 0 && fails(schedule)
    };
    let mut short = schedule.clone();
    let mut size = short.steps.len().div_ceil(2);
    while size > 0 {
        let mut from = 0;
        let mut has_removed = false;
        while from < short.steps.len() {
            let mut fewer = short.clone();
            fewer.steps.drain(from..(from + size).min(short.steps.len()));
            if fails(&fewer) {
                short = fewer;
                has_removed = true;
            } else {
                from += size;
            }
        }
        if !has_removed || size > 1 {
            size /= 2;
        }
    }
    for index in 0..short.steps.len() {
        simplify(&mut short, index, &mut fails);
    }
    short
}

/// Removes the routes of an UPDATE that the failure does not need.
fn simplify(short: &mut Schedule, index: usize, fails: &mut impl FnMut(&Schedule) -> bool) {
    let mut attempt = |change: &dyn Fn(&mut crate::schedule::Update)| -> bool {
        let mut simpler = short.clone();
        let Step::Update(update) = &mut simpler.steps[index] else { return false };
        let before = update.clone();
        change(update);
        if update.announced.is_empty() && update.withdrawn.is_empty() || *update == before {
            return false;
        }
        let is_failing = fails(&simpler);
        if is_failing {
            *short = simpler;
        }
        is_failing
    };
    attempt(&|update| update.noise = 0);
    while attempt(&|update| update.announced.truncate(update.announced.len().saturating_sub(1))) {}
    while attempt(&|update| update.withdrawn.truncate(update.withdrawn.len().saturating_sub(1))) {}
    while attempt(&|update| {
        if update.announced.len() > 1 {
            update.announced.remove(0);
        }
    }) {}
}
