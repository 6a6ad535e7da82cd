//! A progress bar on standard error. It appears only on a terminal and only for work that takes a while.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use holdfast::wal::inspect::{overview, totals};
use holdfast::wal::{Disk, SeqNo};

use crate::output::size;

/// Delay before the bar first appears, and the interval between updates.
const UPDATE_INTERVAL: Duration = Duration::from_millis(200);
/// Width of the bar, in characters.
const WIDTH: u64 = 30;

/// Unit of the progress count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Batches,
}

/// Progress of one command.
pub(crate) struct Progress {
    label: &'static str,
    unit: Unit,
    total: u64,
    done: u64,
    started: Instant,
    shown: Option<Instant>,
    is_enabled: bool,
}

impl Progress {
    /// Progress towards `total` units. A total of 0 disables the bar.
    pub(crate) fn new(label: &'static str, total: u64, unit: Unit) -> Self {
        let is_enabled = total > 0 && io::stderr().is_terminal();
        Self { label, unit, total, done: 0, started: Instant::now(), shown: None, is_enabled }
    }

    /// Adds units to those completed.
    pub(crate) fn add(&mut self, more: u64) {
        self.set(self.done + more);
    }

    /// Sets the number of completed units.
    pub(crate) fn set(&mut self, done: u64) {
        self.done = done.min(self.total);
        if self.is_enabled && self.shown.unwrap_or(self.started).elapsed() >= UPDATE_INTERVAL {
            self.shown = Some(Instant::now());
            self.show();
        }
    }

    /// Removes the bar from the terminal.
    pub(crate) fn end(&mut self) {
        if self.shown.take().is_some() {
            drop(write!(io::stderr().lock(), "\r\x1b[K"));
        }
        self.is_enabled = false;
    }

    fn show(&self) {
        let full = self.done * WIDTH / self.total.max(1);
        let bar: String = (0..WIDTH).map(|column| if column < full { '█' } else { '·' }).collect();
        let seconds = self.started.elapsed().as_secs_f64();
        let left = (self.total - self.done) as f64 / (self.done.max(1) as f64 / seconds);
        let (done, total) = match self.unit {
            Unit::Bytes => (size(self.done), size(self.total)),
            Unit::Batches => (self.done.to_string(), format!("{} batches", self.total)),
        };
        drop(write!(io::stderr().lock(), "\r\x1b[K{} {bar} {done} of {total}, {left:.0} s left", self.label));
    }
}

/// Number of batches in the log from `from` to `to`, estimated from segment headers and seals.
///
/// Returns 0, which disables the bar, if they cannot be read; the command itself reports that error.
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
