//! The program: start, operation and stop of the daemon, and the command line.
//!
//! ```text
//! start: config ─► telemetry ─► signals ─► log (lock, recovery) ─► state ─► committer ─► status ─► forwarder
//!        ─► records for the sessions left open by the last run ─► listener ─► READY=1
//! stop:  listener closed ─► ends of sessions logged ─► log synced and sealed ─► forwarder ─► exit
//! ```
//!
//! A start does not depend on the database: the forwarder connects to it in the background, and retries until
//! it succeeds.

mod backlog;
pub mod cli;
mod daemon;
mod housekeeping;
mod notify;
mod reports;
mod scrub;
mod signals;
mod snapshot;
mod startup;
mod transport;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::umask;

use crate::config::{Config, RawSettings};
use crate::listener::{self, BindError as ListenError, Md5KeyError};
use crate::sink::TargetError;
use crate::state::StateStore;
use crate::telemetry::status::BindError;
use crate::telemetry::{self, InitError, Telemetry};
use crate::tls::TlsSetupError;
use crate::wal::safe_open::DIRECTORY_MODE;
use crate::wal::{Disk, OpenError, ReadError, Writer};
use daemon::{Daemon, SettingsInUse};
use signals::Signals;
pub use startup::DirectoryError;
use startup::OpenedLog;

/// The daemon could not start, or has failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Log lines cannot be written.
    #[error("cannot install the log output: {0}")]
    Telemetry(#[source] InitError),
    /// Other users can replace the files of the daemon.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The directory of the log cannot be created.
    #[error("cannot create the log directory {}: {source}", dir.display())]
    CreateLog {
        /// Directory of the log.
        dir: PathBuf,
        /// Error of the file system.
        source: io::Error,
    },
    /// The log cannot be opened.
    #[error("cannot open the log in {}: {source}", dir.display())]
    OpenLog {
        /// Directory of the log.
        dir: PathBuf,
        /// Error of recovery.
        source: OpenError,
    },
    /// The batches that the local state has not observed cannot be read.
    #[error("cannot read the log to update the local state: {0}")]
    Replay(#[source] ReadError),
    /// The threads of the runtime cannot be started.
    #[error("cannot start the asynchronous runtime: {0}")]
    Runtime(#[source] io::Error),
    /// A BMP listener cannot be bound.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// TLS of a server is not possible as configured.
    #[error(transparent)]
    ServerTls(#[from] TlsSetupError),
    /// A key of TCP-MD5 cannot be used.
    #[error("BMP_MD5: {0}")]
    Md5Key(#[from] Md5KeyError),
    /// The HTTP server cannot be bound.
    #[error("HTTP_LISTEN: cannot listen on {host} port {port}: {source}")]
    HttpListen {
        /// Host in HTTP_LISTEN.
        host: String,
        /// Port in HTTP_LISTEN.
        port: u16,
        /// Error of the network stack.
        source: io::Error,
    },
    /// The status socket cannot be bound.
    #[error(transparent)]
    StatusSocket(#[from] BindError),
    /// The thread that writes the log cannot be started.
    #[error("cannot start the thread that writes the log: {0}")]
    LogThread(#[source] io::Error),
    /// TLS to the database is not possible as configured.
    #[error("cannot use the TLS settings of the database: {0}")]
    Tls(#[source] TargetError),
    /// Signal handlers cannot be installed.
    #[error("cannot install a signal handler: {0}")]
    Signals(#[source] io::Error),
    /// The log has failed while the daemon was running.
    #[error("the log has failed: {0}")]
    LogFailed(String),
    /// The log could not be closed in order.
    #[error("the log was not closed: {0}")]
    LogNotClosed(String),
}

/// Runs the daemon until it is stopped by a signal. Errors are logged before this returns. A reload reads
/// `env_file` again, like [`Inputs::from_process`](crate::config::Inputs::from_process).
///
/// # Errors
/// Fails if the daemon cannot start, or if the log fails.
pub fn run(raw: RawSettings, config: Config, env_file: Option<PathBuf>) -> Result<(), Error> {
    let settings = SettingsInUse { env_file, raw, config };
    let config = &settings.config;
    // sled creates its files with the modes that this leaves.
    umask(Mode::from_raw_mode(!DIRECTORY_MODE & 0o777));
    let telemetry = telemetry::init(&config.logging, config.sentry.as_ref()).map_err(Error::Telemetry)?;
    let first = config.listen.transport.listen.first();
    let (listen_host, listen_port) = first.map(|address| (&*address.host, address.port)).unzip();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        collector = config.collector,
        listen_host,
        listen_port,
        listen = listener::listed(&transport::endpoints(&config.listen.transport.listen)),
        log_level = %config.logging.level,
        "holdfast_starting"
    );
    log_warnings(config);
    let telemetry = Arc::new(telemetry);
    let result = start_and_serve(&settings, &telemetry);
    telemetry.write_suppressed();
    match &result {
        Ok(()) => tracing::info!("holdfast_stopped"),
        Err(error @ (Error::LogFailed(_) | Error::LogNotClosed(_))) => {
            tracing::error!(%error, "holdfast_failed");
        }
        Err(error) => tracing::error!(%error, "startup_error"),
    }
    telemetry.finish();
    result
}

/// Logs the warnings of the configuration, if there are any.
fn log_warnings(config: &Config) {
    if !config.warnings.is_empty() {
        // One line, because further lines of an event are suppressed for some time.
        let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
        tracing::warn!(count = warnings.len(), warnings = warnings.join("; "), "config_warnings");
    }
}

/// Installs the signal handlers, opens the log and the state, and then runs the daemon.
fn start_and_serve(settings: &SettingsInUse, telemetry: &Arc<Telemetry>) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::Runtime)?;
    let result = runtime.block_on(async {
        let (mut signals, hangup) = Signals::install().map_err(Error::Signals)?;
        // Recovery reads files, which blocks. A stop does not wait for it: the log is as safe as after a
        // crash.
        let config_of_start = settings.config.clone();
        let opening = tokio::task::spawn_blocking(move || open(&config_of_start));
        let (writer, opened, state) = tokio::select! {
            opened = opening => opened.map_err(|error| Error::Runtime(error.into()))??,
            name = signals.stop() => {
                tracing::info!(signal = name, "signal_received");
                return Ok(());
            }
        };
        let daemon = Daemon::start(settings, writer, &opened, state, Arc::clone(telemetry)).await?;
        daemon.serve(&mut signals, hangup).await
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// Opens the log and the state.
fn open(config: &Config) -> Result<(Writer<Disk>, OpenedLog, Arc<StateStore>), Error> {
    let (writer, opened) = startup::open_log(config)?;
    let state = Arc::new(startup::open_state(config, &opened)?);
    Ok((writer, opened, state))
}
