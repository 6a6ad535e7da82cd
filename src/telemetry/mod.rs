//! Log lines, error reports to Sentry, and the status socket.
//!
//! A log line is a `tracing` event whose message is the name of the event (`bmp_peer_up`) and whose fields
//! are its details. [`init`] installs the subscriber of the process, which formats lines as JSON or text,
//! suppresses repeated lines (`rate_limit`) and lines beyond the budget of the output (`budget`), and reports
//! errors to Sentry if it is configured. [`status`] serves `holdfast status`.

mod budget;
pub mod clock;
mod fields;
mod level;
mod log_layer;
mod log_line;
mod output;
mod rate_limit;
mod sentry;
pub mod status;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::panic::PanicHookInfo;
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Layer as _, Registry, reload};

use crate::config::{LogFormat, Logging, Sentry};
use level::EventLevel;
use log_layer::LogLayer;
use log_line::LineFormat;
pub use output::OutputState;

/// Name of the event of a panic.
const PANICKED: &str = "panicked";

/// Time limit for writing the last lines at the end of the process.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// The log output cannot be installed.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Standard output cannot be used.
    #[error("cannot open standard output: {0}")]
    Output(#[source] io::Error),
    /// The thread that writes log lines cannot be started.
    #[error("cannot start the thread that writes log lines: {0}")]
    Thread(#[source] io::Error),
    /// A subscriber for log lines is already installed.
    #[error(transparent)]
    Installed(#[from] TryInitError),
}

/// Replaces control characters by spaces. Names and error messages contain text from routers and servers,
/// which must not control a terminal or end a line.
#[must_use]
pub fn printable(line: &str) -> String {
    line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// The installed log output. Dropping it sends the pending reports to Sentry.
pub struct Telemetry {
    layer: LogLayer,
    level: reload::Handle<EventLevel, Registry>,
    sentry: Option<sentry::Client>,
}

impl Telemetry {
    /// Writes the counts of suppressed lines whose interval has ended. To be called about once per second.
    pub fn tick(&self) {
        self.layer.tick();
        self.sentry.iter().for_each(sentry::Client::tick);
    }

    /// Writes the counts of all suppressed lines.
    pub fn write_suppressed(&self) {
        self.layer.write_all_suppressed();
    }

    /// Writes the counts of all suppressed lines, and waits until the output has accepted all lines, at most
    /// for a few seconds.
    pub fn finish(&self) {
        self.layer.finish(FINISH_TIMEOUT);
    }

    /// Changes the minimum level and the budget of the log output.
    pub fn reload(&self, logging: &Logging) {
        // It fails only if the subscriber is gone, which lives as long as the process.
        self.level.reload(EventLevel(logging.level)).unwrap_or_default();
        self.layer.set_budget(logging.bytes_per_second);
    }

    /// State of the log output.
    #[must_use]
    pub fn output(&self) -> OutputState {
        let reports_suppressed = self.sentry.as_ref().map_or(0, sentry::Client::suppressed);
        OutputState { reports_suppressed, ..self.layer.output() }
    }
}

/// Installs the subscriber of this process, which writes log lines to standard output.
///
/// # Errors
/// Fails if standard output cannot be used, a thread cannot be started, or a subscriber is already installed.
pub fn init(logging: &Logging, sentry: Option<&Sentry>) -> Result<Telemetry, InitError> {
    let json = match logging.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !io::stdout().is_terminal(),
    };
    // Unlike `io::stdout`, a file has no buffer, so that it is known which bytes were written.
    let out = io::stdout().as_fd().try_clone_to_owned().map(File::from).map_err(InitError::Output)?;
    let journal = std::env::var("JOURNAL_STREAM").ok();
    let priorities = journal.is_some_and(|stream| is_stream(&out, &stream));
    // Before Sentry, which calls this hook after its own.
    std::panic::set_hook(Box::new(log_panic));
    let client = sentry.map(sentry::start);
    let format = LineFormat { json, priorities };
    let layer = LogLayer::new(format, logging.bytes_per_second, Box::new(out)).map_err(InitError::Thread)?;
    let (level, handle) = reload::Layer::new(EventLevel(logging.level));
    tracing_subscriber::registry()
        .with(layer.clone().with_filter(level))
        .with(client.as_ref().map(|_| sentry::trace_layer()))
        .try_init()?;
    match sentry {
        Some(sentry) => tracing::info!(environment = sentry.environment, "sentry_initialized"),
        None => tracing::debug!("sentry_disabled"),
    }
    Ok(Telemetry { layer, level: handle, sentry: client })
}

/// Logs a panic. The default hook would write it to standard error, which may be the same output and blocked.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let error = panic.payload_as_str();
    let location = panic.location().map(ToString::to_string);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    let thread = std::thread::current().name().map(str::to_owned);
    tracing::error!(error, location, thread, backtrace, "panicked");
}

/// Whether a file is the stream that `JOURNAL_STREAM` names by its device and inode. systemd sets the
/// variable also for processes whose output has been redirected elsewhere.
fn is_stream(file: &File, stream: &str) -> bool {
    file.metadata().is_ok_and(|metadata| stream == format!("{}:{}", metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stream_of_the_journal_is_its_stream() {
        let (journal, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let metadata = journal.metadata().unwrap();
        let stream = format!("{}:{}", metadata.dev(), metadata.ino());
        assert!(is_stream(&journal, &stream));
        assert!(!is_stream(&other, &stream));
        assert!(!is_stream(&journal, ""));
    }

    #[test]
    fn a_router_cannot_draw_on_the_terminal() {
        assert_eq!(printable("edge\u{1b}[2J\n1\u{9b}2J"), "edge [2J 1 2J");
        assert_eq!(printable("größe"), "größe");
    }
}
