//! A bar on standard error while long work goes on: on a terminal only, and never in the way of the output.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use holdfast::wal::inspect::{overview, totals};
use holdfast::wal::{Disk, SeqNo};

use crate::output::size;

/// Work shorter than this shows nothing; and the bar moves no more often.
const EVERY: Duration = Duration::from_millis(200);
const WIDTH: u64 = 30;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Batches,
}

/// How far some work is.
pub(crate) struct Progress {
    what: &'static str,
    unit: Unit,
    total: u64,
    done: u64,
    started: Instant,
    shown: Option<Instant>,
    is_wanted: bool,
}

impl Progress {
    /// Of so much; 0 shows no bar at all.
    pub(crate) fn new(what: &'static str, total: u64, unit: Unit) -> Self {
        let is_wanted = total > 0 && io::stderr().is_terminal();
        Self { what, unit, total, done: 0, started: Instant::now(), shown: None, is_wanted }
    }

    /// So much more is done.
    pub(crate) fn add(&mut self, more: u64) {
        self.set(self.done + more);
    }

    /// So much is done.
    pub(crate) fn set(&mut self, done: u64) {
        self.done = done.min(self.total);
        if self.is_wanted && self.shown.unwrap_or(self.started).elapsed() >= EVERY {
            self.shown = Some(Instant::now());
            self.show();
        }
    }

    /// Takes the bar away.
    pub(crate) fn end(&mut self) {
        if self.shown.take().is_some() {
            drop(write!(io::stderr().lock(), "\r\x1b[K"));
        }
        self.is_wanted = false;
    }

    fn show(&self) {
        let full = self.done * WIDTH / self.total.max(1);
        let bar: String = (0..WIDTH).map(|at| if at < full { '█' } else { '·' }).collect();
        let seconds = self.started.elapsed().as_secs_f64();
        let left = (self.total - self.done) as f64 / (self.done.max(1) as f64 / seconds);
        let (done, total) = match self.unit {
            Unit::Bytes => (size(self.done), size(self.total)),
            Unit::Batches => (self.done.to_string(), format!("{} batches", self.total)),
        };
        drop(write!(io::stderr().lock(), "\r\x1b[K{} {bar} {done} of {total}, {left:.0} s left", self.what));
    }
}

/// How many batches the log has between two numbers, by its headers and SEALs. 0 when they cannot be read: a bar is worth no
/// error.
pub(crate) fn batches(disk: &Disk, from: SeqNo, to: SeqNo) -> u64 {
    let end = || {
        let last =
            overview(disk).ok()?.segments.into_iter().rev().find(|segment| segment.header.is_some())?;
        Some(last.header?.first_seq.0 + totals(disk, &last).ok()??.payloads)
    };
    end().map_or(0, |end| end.min(to.next().0).saturating_sub(from.0))
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
