//! Start and stop order, and the command line.
//!
//! ```text
//! start: config ─► telemetry ─► log (lock, recovery) ─► state ─► committer ─► status ─► forwarder
//!        ─► records of what the last run left open ─► listener ─► READY=1
//! stop:  listener closed ─► sessions end, their ends logged ─► log synced and sealed ─► forwarder ─► exit
//! ```
//!
//! The database has no part in a start: the forwarder finds it, or goes on looking.

pub mod cli;
mod daemon;
mod housekeeping;
mod notify;
mod snapshot;
mod startup;
mod rates;

use std::fmt::{self, Display};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::telemetry::{self, Telemetry};
use daemon::Daemon;

/// Why the daemon did not start, or ended.
#[derive(Debug)]
pub struct Error {
    what: String,
    why: String,
}

impl Error {
    fn new(what: impl Into<String>, why: &dyn Display) -> Self {
        Self { what: what.into(), why: why.to_string() }
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl std::error::Error for Error {}

/// Runs the collector until it is told to stop. What is wrong has been logged when this returns.
///
/// # Errors
/// When it could not start, or the log has failed.
pub fn run(config: &Config) -> Result<(), Error> {
    let telemetry = telemetry::init(&config.logging, config.sentry.as_ref(), Box::new(io::stdout()))
        .map_err(|error| Error::new("log lines", &error))?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        collector = config.collector,
        listen_host = config.listen.host,
        listen_port = config.listen.port,
        log_level = %config.logging.level,
        "holdfast_starting"
    );
    let telemetry = Arc::new(telemetry);
    let result = prepare_and_serve(config, &telemetry);
    match &result {
        Ok(()) => tracing::info!("holdfast_stopped"),
        Err(error) => tracing::error!(%error, "startup_error"),
    }
    telemetry.finish();
    result
}

/// The part of a start that blocks, then the part that does not.
fn prepare_and_serve(config: &Config, telemetry: &Arc<Telemetry>) -> Result<(), Error> {
    let (writer, found) = startup::open_log(config)?;
    let state = Arc::new(startup::open_state(config, &found)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new("the runtime", &error))?;
    let result = runtime.block_on(async {
        let daemon = Daemon::start(config, writer, &found, state, Arc::clone(telemetry)).await?;
        daemon.serve().await
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}
