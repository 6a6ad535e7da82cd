//! Log lines, error reports to Sentry, and the status socket.
//!
//! A log line is a `tracing` event whose message is the name of the event (`bmp_peer_up`) and whose fields
//! are its details. [`init`] installs the subscriber of the process, which formats lines as JSON or text,
//! suppresses repeated lines (`rate_limit`), and reports errors to Sentry if it is configured. [`status`]
//! serves `holdfast status`.

pub mod clock;
mod log_layer;
mod log_line;
mod rate_limit;
mod sentry;
pub mod status;

use std::io::{IsTerminal as _, Write};

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::{LogFormat, Logging, Sentry};
use log_layer::LogLayer;

/// Replaces control characters by spaces. Names and error messages contain text from routers and servers,
/// which must not control a terminal or end a line.
#[must_use]
pub fn printable(line: &str) -> String {
    line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// The installed log output. Dropping it sends the pending reports to Sentry.
pub struct Telemetry {
    layer: LogLayer,
    _sentry: Option<::sentry::ClientInitGuard>,
}

impl Telemetry {
    /// Writes the counts of suppressed lines whose interval has ended. To be called about once per second.
    pub fn tick(&self) {
        self.layer.tick();
    }

    /// Writes the counts of all suppressed lines.
    pub fn finish(&self) {
        self.layer.finish();
    }
}

/// Installs the subscriber of this process, which writes log lines to `out`.
///
/// # Errors
/// Fails if a subscriber is already installed.
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
    let client = sentry.map(sentry::start);
    let layer = LogLayer::new(json, out);
    tracing_subscriber::registry()
        .with(layer.clone().with_filter(LevelFilter::from_level(logging.level)))
        .with(client.as_ref().map(|_| sentry::trace_layer()))
        .try_init()?;
    match sentry {
        Some(sentry) => tracing::info!(environment = sentry.environment, "sentry_initialized"),
        None => tracing::debug!("sentry_disabled"),
    }
    Ok(Telemetry { layer, _sentry: client })
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
