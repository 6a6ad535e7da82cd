//! A bar on standard error while long work goes on: on a terminal only, and never in the way of the output.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::output::size;

/// Work shorter than this shows nothing; and the bar moves no more often.
const EVERY: Duration = Duration::from_millis(200);
const WIDTH: u64 = 30;

/// How far some work is.
pub(crate) struct Progress {
    what: &'static str,
    total: u64,
    done: u64,
    started: Instant,
    shown: Option<Instant>,
    is_wanted: bool,
}

impl Progress {
    /// Of `total` bytes; 0 shows no bar at all.
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        let is_wanted = total > 0 && io::stderr().is_terminal();
        Self { what, total, done: 0, started: Instant::now(), shown: None, is_wanted }
    }

    /// So many bytes more are done.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.set(self.done + bytes);
    }

    /// So many bytes are done.
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
        let (done, total) = (size(self.done), size(self.total));
        drop(write!(io::stderr().lock(), "\r\x1b[K{} {bar} {done} of {total}, {left:.0} s left", self.what));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
