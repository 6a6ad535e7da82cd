//! The one way out: a locked, buffered writer, and what can go wrong with it.

use std::fmt::Display;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use holdfast::route::Timestamp;
use holdfast::telemetry::printable;
use holdfast::wal::ReadError;
use serde_json::Value;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The reader of our output has gone: nothing is left to do, and nothing is wrong.
    OutputClosed,
    /// Anything else, in words.
    Other(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Other(error.to_string()),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Other(error.to_string())
    }
}

impl Failure {
    /// With what it is about.
    pub(crate) fn about(what: &dyn Display, why: &dyn Display) -> Self {
        Self::Other(format!("{what}: {why}"))
    }
}

/// Standard output.
pub(crate) struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    pub(crate) fn locked() -> Self {
        Self(BufWriter::with_capacity(64 << 10, io::stdout().lock()))
    }

    /// A line for people.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        Ok(writeln!(self.0, "{}", printable(line))?)
    }

    pub(crate) const fn writer(&mut self) -> &mut dyn Write {
        &mut self.0
    }

    pub(crate) fn json(&mut self, value: &Value) -> Result<(), Failure> {
        Ok(writeln!(self.0, "{value}")?)
    }

    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        Ok(self.0.flush()?)
    }
}

/// Says what went wrong. When nobody can hear that either, the exit code is left to tell it.
pub(crate) fn complain(what: &str) {
    drop(writeln!(io::stderr().lock(), "walctl: {what}"));
}

/// The wall clock, µs since the epoch.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// A time for JSON; null when not known.
pub(crate) fn time(us: i64) -> Value {
    holdfast::codec::json::time_value(Timestamp(us))
}

/// A time for people.
pub(crate) fn time_text(us: i64) -> String {
    time(us).as_str().map_or_else(|| "-".to_owned(), str::to_owned)
}

/// Bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units.into_iter().find(|(_, shift)| bytes >> shift > 0);
    unit.map_or_else(
        || format!("{bytes} B"),
        |(name, shift)| {
            let tenths = (u128::from(bytes) * 10) >> shift;
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        },
    )
}
