//! Standard output as one locked, buffered writer; failures; and the formatting of sizes and times.

use std::fmt::Display;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use holdfast::num::to_micros;
use holdfast::route::Timestamp;
use holdfast::telemetry::printable;
use holdfast::wal::ReadError;
use serde_json::Value;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The reader of standard output closed the pipe. The command ends with success.
    OutputClosed,
    /// Any other failure, as the message to print.
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
    /// A failure that concerns `subject`: a path, a command line option, the database.
    pub(crate) fn new(subject: &dyn Display, cause: &dyn Display) -> Self {
        Self::Other(format!("{subject}: {cause}"))
    }
}

/// Standard output.
pub(crate) struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    /// Locks standard output for the life of the program.
    pub(crate) fn locked() -> Self {
        Self(BufWriter::with_capacity(64 << 10, io::stdout().lock()))
    }

    /// Writes one line of text; control characters are replaced by spaces.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        Ok(writeln!(self.0, "{}", printable(line))?)
    }

    /// The writer itself, for formats other than lines of text.
    pub(crate) const fn writer(&mut self) -> &mut dyn Write {
        &mut self.0
    }

    /// Writes one JSON value on a line of its own.
    pub(crate) fn json(&mut self, value: &Value) -> Result<(), Failure> {
        Ok(writeln!(self.0, "{value}")?)
    }

    /// Flushes all buffered output.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        Ok(self.0.flush()?)
    }
}

/// Prints a message on standard error. An error in doing so is ignored: the exit code still reports the
/// failure.
pub(crate) fn print_error(message: &str) {
    drop(writeln!(io::stderr().lock(), "walctl: {message}"));
}

/// Wall-clock time in microseconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    to_micros(since)
}

/// A time (microseconds since the epoch) as an RFC 3339 JSON string; `null` for 0.
pub(crate) fn time(us: i64) -> Value {
    holdfast::codec::json::time_value(Timestamp(us))
}

/// A time (microseconds since the epoch) as RFC 3339 text; `-` for 0.
pub(crate) fn time_text(us: i64) -> String {
    time(us).as_str().map_or_else(|| "-".to_owned(), str::to_owned)
}

/// A number of bytes in the largest binary unit that fits, with one decimal digit.
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
