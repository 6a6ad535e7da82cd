//! What runs, in which order it is started, and in which it is stopped.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle as Task;

use super::Error;
use super::housekeeping::Housekeeping;
use super::notify::Notifier;
use super::snapshot::{Rates, Snapshot};
use super::startup::{self, Found};
use crate::committer::{self, Committer, LogState, Outcome};
use crate::config::{Config, Database};
use crate::forwarder::{self, Forwarder};
use crate::listener::{self, Listener, Registry};
use crate::sink::Retention;
use crate::state::StateStore;
use crate::telemetry::{self, Telemetry, status};
use crate::wal::{Disk, Writer};

/// How long the sessions may take to log their ends.
const SESSIONS_TIME: Duration = Duration::from_secs(5);

/// How long the log may take to write and sync what is queued.
const LOG_TIME: Duration = Duration::from_secs(15);

/// How long the forwarder may go on with what is durable. The rest stays in the log.
const DELIVERY_TIME: Duration = Duration::from_secs(5);

/// Everything that runs.
pub(super) struct Daemon {
    committer: Committer,
    log_thread: JoinHandle<Outcome>,
    forwarder: Option<Forwarder>,
    notifier: Arc<Notifier>,
    state: Arc<StateStore>,
    stop: watch::Sender<bool>,
    listening: Task<()>,
    housekeeping: Task<()>,
    status: Task<()>,
}

impl Daemon {
    pub(super) async fn start(
        config: &Config,
        writer: Writer<Disk>,
        found: &Found,
        state: Arc<StateStore>,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self, Error> {
        let notifier = Arc::new(Notifier::of_process());
        let registry = Registry::new(state.last_session());
        // Bound first, so that a port that is taken ends the start before anything is logged.
        let socket = bind(config).await?;
        let address = socket.local_addr().map_err(|error| Error::new("the listening socket", &error))?;
        let status = status::bind(&config.status_socket).map_err(|error| {
            Error::new(format!("the status socket {}", config.status_socket.display()), &error)
        })?;
        let options = committer::Options { sync_interval: config.wal.sync_interval, ..Default::default() };
        let (committer, log_thread) =
            committer::spawn(writer, options).map_err(|error| Error::new("the log's thread", &error))?;
        let forwarder = match &config.database {
            Some(database) => Some(deliver(config, database, found, &committer)?),
            None => {
                tracing::warn!(detail = "no database is configured, nothing is delivered", "store_only_mode");
                None
            }
        };
        let snapshot =
            Arc::new(snapshot_of(config, found, address, &registry, &state, &committer, forwarder.as_ref()));
        let (stop, stopping) = watch::channel(false);
        let listener = Listener::new(
            socket,
            listening(config),
            committer.clone(),
            Arc::clone(&state),
            Arc::clone(&registry),
        )
        .map_err(|error| Error::new("the listening socket", &error))?;
        let keeper = Housekeeping::new(
            Arc::clone(&snapshot),
            Arc::clone(&notifier),
            telemetry,
            committer.clone(),
            found.recovered.next.prev().0,
        );
        let answer = Arc::clone(&snapshot);
        Ok(Self {
            listening: tokio::spawn(listen(
                listener,
                Arc::clone(&state),
                committer.clone(),
                registry,
                stopping,
            )),
            housekeeping: tokio::spawn(keeper.run()),
            status: tokio::spawn(status.run(move || answer.document())),
            committer,
            log_thread,
            forwarder,
            notifier,
            state,
            stop,
        })
    }

    /// Runs until a signal, or the end of the log, and then stops in order.
    pub(super) async fn serve(self) -> Result<(), Error> {
        self.notifier.send("READY=1");
        let failed = self.wait().await?;
        self.notifier.send("STOPPING=1");
        tracing::info!("shutdown_initiated");
        let Self {
            committer, log_thread, forwarder, state, stop, mut listening, housekeeping, status, ..
        } = self;
        // Whoever waits for this has it, even when the task is gone.
        stop.send_replace(true);
        if tokio::time::timeout(SESSIONS_TIME, &mut listening).await.is_err() {
            tracing::warn!("sessions_cut_off");
            listening.abort();
        }
        committer.stop();
        let outcome = tokio::time::timeout(LOG_TIME, tokio::task::spawn_blocking(|| log_thread.join())).await;
        if let Some(forwarder) = forwarder {
            let all_delivered = forwarder.stop(DELIVERY_TIME).await;
            tracing::info!(all_delivered, "forwarder_stopped");
        }
        housekeeping.abort();
        status.abort();
        let lost = match outcome {
            Ok(Ok(Ok(Outcome { durable, lost_batches: 0, error: None, .. }))) => {
                tracing::info!(durable_seq = durable.0, "log_closed");
                remember(&state, durable.0);
                None
            }
            Ok(Ok(Ok(Outcome { lost_records, error, .. }))) => {
                Some(format!("{lost_records} records not logged, {}", error.unwrap_or_default()))
            }
            Ok(_) => Some("its thread panicked".to_owned()),
            Err(_) => Some("it did not finish in time".to_owned()),
        };
        match (failed, lost) {
            (Some(why), _) | (None, Some(why)) => Err(Error::new("the log", &why)),
            (None, None) => Ok(()),
        }
    }

    /// Waits for a reason to stop; `Some` when it is that the log has failed.
    async fn wait(&self) -> Result<Option<String>, Error> {
        let no_signal = |error: io::Error| Error::new("signals", &error);
        let mut terminate = signal(SignalKind::terminate()).map_err(no_signal)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signal)?;
        // There is nothing to load anew yet, and a terminal that goes away must not cut a session off.
        let mut hangup = signal(SignalKind::hangup()).map_err(no_signal)?;
        let mut progress = self.committer.progress();
        let ended =
            progress.wait_for(|progress| matches!(progress.state, LogState::Failed(_) | LogState::Stopped));
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            _ = hangup.recv() => "SIGHUP",
            ended = ended => {
                let why = ended.map_or_else(|_| "its thread has gone".to_owned(), |progress| match &progress.state {
                    LogState::Failed(why) => why.clone(),
                    _ => "it ended".to_owned(),
                });
                tracing::error!(error = why, "log_failed");
                return Ok(Some(why));
            }
        };
        tracing::info!(signal = name, "signal_received");
        Ok(None)
    }
}

async fn bind(config: &Config) -> Result<TcpListener, Error> {
    let (host, port) = (&config.listen.host, config.listen.port);
    listener::bind(host, port)
        .await
        .map_err(|error| Error::new(format!("listening on {host} port {port}"), &error))
}

/// Logs what the last run left open, and only then hears routers.
async fn listen(
    listener: Listener,
    state: Arc<StateStore>,
    committer: Committer,
    registry: Arc<Registry>,
    stopping: watch::Receiver<bool>,
) {
    let address = listener.address();
    if let Err(error) = startup::log_records(&state, &committer, &registry).await {
        tracing::error!(%error, "startup_records_not_logged");
        return;
    }
    tracing::info!(host = %address.ip(), port = address.port(), address = %address, "bmp_listener_started");
    listener.run(stopping).await;
}

/// Everything in the log has been observed, and everything received is in the log.
fn remember(state: &StateStore, durable: u64) {
    let kept = state.mark_observed(durable, telemetry::clock::now()).and_then(|_| state.flush());
    if let Err(error) = kept {
        tracing::error!(%error, "state_error");
    }
}

/// Starts the drain. The database need not be there.
fn deliver(
    config: &Config,
    database: &Database,
    found: &Found,
    committer: &Committer,
) -> Result<Forwarder, Error> {
    let target = database.target().map_err(|error| Error::new("TLS to the database", &error))?;
    let options = forwarder::Options {
        lanes: u32::from(config.delivery.lanes),
        rows_max: u64::try_from(config.delivery.drain_max_rows).unwrap_or(u64::MAX),
        delay: config.delivery.drain_max_delay,
        dedup: config.delivery.history_dedup,
        chunk_interval_days: config.delivery.chunk_interval_days,
        retention: Retention {
            routes_days: config.delivery.retention_routes_days,
            events_days: config.delivery.retention_events_days,
        },
        pool_size_max: database.pool_max_size,
        directory: Some(config.wal.dir.clone()),
    };
    let collector = config.collector.clone();
    Ok(forwarder::spawn(
        options,
        target,
        collector,
        found.recovered.log_id,
        Arc::clone(&found.log),
        committer.clone(),
    ))
}

fn listening(config: &Config) -> listener::Options {
    listener::Options {
        allow: config.listen.allow.clone(),
        connections_max: config.listen.max_connections,
        router_names: config.listen.router_names.clone(),
        overrides: config.listen.overrides.clone(),
        first_message: config.listen.first_message,
        keepalive: config.listen.keepalive,
        user_timeout: config.listen.user_timeout,
        sweep_quiet: config.listen.sweep_quiet,
        batch_routes_max: config.delivery.batch_max_routes,
        batch_delay_max: config.delivery.batch_max_delay,
        stats_interval: config.logging.stats_interval,
        hold_off: !config.wal.drop_oldest,
    }
}

fn snapshot_of(
    config: &Config,
    found: &Found,
    address: SocketAddr,
    registry: &Arc<Registry>,
    state: &Arc<StateStore>,
    committer: &Committer,
    forwarder: Option<&Forwarder>,
) -> Snapshot {
    Snapshot {
        collector: config.collector.clone(),
        address,
        connections_max: config.listen.max_connections,
        wal_dir: config.wal.dir.clone(),
        log_id: found.recovered.log_id.to_string(),
        records_copied: found.records_copied,
        started: Instant::now(),
        registry: Arc::clone(registry),
        state: Arc::clone(state),
        progress: committer.progress(),
        delivered: forwarder.map(Forwarder::delivered),
        rates: Mutex::new(Rates::new(found.recovered.next.prev().0)),
    }
}
