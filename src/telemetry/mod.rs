//! Log lines, Sentry, the status socket.
//!
//! A log line is a `tracing` event whose message is the *name* of what happened (`bmp_peer_up`) and whose fields say
//! the rest. [`init`] installs the one subscriber: JSON for machines or text for people, repeated warnings and errors
//! folded into a count, errors to Sentry when it is configured. [`status`] answers `holdfast status`.

pub mod clock;
mod rate_limit;
mod line;
mod sentry;
pub mod status;

use std::io::{IsTerminal as _, Write};

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::{LogFormat, Logging, Sentry};

pub use line::Lines;

/// A line for a terminal, without what would move its cursor or end the line: names and errors hold what routers and
/// servers said.
#[must_use]
pub fn printable(line: &str) -> String {
    line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Keeps telemetry alive; what is still to be sent goes out when it is dropped.
pub struct Telemetry {
    lines: Lines,
    _reports: Option<::sentry::ClientInitGuard>,
}

impl Telemetry {
    /// Writes the counts of repeated lines whose time is over. Call about once a second.
    pub fn tick(&self) {
        self.lines.tick();
    }

    /// Writes all counts that are still held back.
    pub fn finish(&self) {
        self.lines.finish();
    }
}

/// Installs the subscriber of this process, writing to `out`.
///
/// # Errors
/// When one is installed already.
pub fn init(
    logging: &Logging,
    sentry: Option<&Sentry>,
    out: Box<dyn Write + Send>,
) -> Result<Telemetry, TryInitError> {
    let json = match logging.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stdout().is_terminal(),
    };
    let reports = sentry.map(sentry::start);
    let lines = Lines::new(json, out);
    tracing_subscriber::registry()
        .with(lines.clone().with_filter(LevelFilter::from_level(logging.level)))
        .with(reports.as_ref().map(|_| sentry::spans()))
        .try_init()?;
    match sentry {
        Some(sentry) => tracing::info!(environment = sentry.environment, "sentry_initialized"),
        None => tracing::debug!("sentry_disabled"),
    }
    Ok(Telemetry { lines, _reports: reports })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_cannot_draw_on_the_terminal() {
        assert_eq!(printable("edge\u{1b}[2J\n1\u{9b}2J"), "edge [2J 1 2J");
        assert_eq!(printable("größe"), "größe");
    }
}
