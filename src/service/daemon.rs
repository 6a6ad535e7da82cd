//! The components of the running daemon, and the order in which they are started and stopped.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle as Task;

use super::Error;
use super::housekeeping::Housekeeping;
use super::notify::Notifier;
use super::reports::Reports;
use super::signals::Signals;
use super::snapshot::{Observed, Snapshot};
use super::startup::{self, OpenedLog};
use super::transport;
use crate::committer::{self, Committer, LogState, Outcome};
use crate::config::{self, Config, Database};
use crate::forwarder::{self, Forwarder};
use crate::listener::{self, Endpoint, Listener, Registry, Sockets, TransportOptions};
use crate::num::to_u64;
use crate::sink::Retention;
use crate::state::StateStore;
use crate::telemetry::{Telemetry, clock, status};
use crate::wal::{Disk, Writer};

/// Time limit for the sessions to log their ends.
const SESSIONS_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit for the sessions to end after the log has refused their records.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(1);

/// Time limit for the log to write and sync the queued batches.
const LOG_TIMEOUT: Duration = Duration::from_secs(15);

/// Time limit for the forwarder to deliver durable batches. The rest remains in the log.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(5);

/// Explains the event `records_not_logged`.
const NOT_LOGGED_DETAIL: &str =
    "the next start records a gap from this time for each router that was connected";

/// Explains the event `log_not_sealed`.
const NOT_SEALED_DETAIL: &str = "no record is lost; the next start recovers the log as after a crash";

/// The running components.
pub(super) struct Daemon {
    committer: Committer,
    log_thread: JoinHandle<Outcome>,
    forwarder: Option<Forwarder>,
    notifier: Arc<Notifier>,
    state: Arc<StateStore>,
    registry: Arc<Registry>,
    stop: watch::Sender<bool>,
    listening: Task<()>,
    housekeeping: Task<()>,
    status: Task<()>,
    /// The task that reports how current the database is.
    reports: Option<Task<()>>,
}

impl Daemon {
    pub(super) async fn start(
        config: &Config,
        writer: Writer<Disk>,
        opened_log: &OpenedLog,
        state: Arc<StateStore>,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self, Error> {
        let notifier = Arc::new(Notifier::from_env());
        let registry = Registry::new(state.last_session());
        // The sockets are bound first, so that a port in use ends the start before anything is appended to
        // the log.
        let transport = transport::options(&config.listen.transport)?;
        let endpoints = transport::endpoints(&config.listen.transport.listen);
        let sockets = Sockets::bind(&endpoints, transport.sockets.clone()).await?;
        let status = status::bind(&config.status_socket)?;
        let options = committer_options(&config.wal);
        let (committer, log_thread) = committer::spawn(writer, options).map_err(Error::LogThread)?;
        let forwarder = match &config.database {
            Some(database) => Some(spawn_forwarder(config, database, opened_log, &committer)?),
            None => {
                tracing::warn!(
                    detail = "no database is configured; batches are only buffered locally",
                    "store_only_mode"
                );
                None
            }
        };
        let reports = reports(config, &state, &committer, forwarder.as_ref())?;
        let observed = Components {
            registry: &registry,
            state: &state,
            committer: &committer,
            forwarder: forwarder.as_ref(),
            telemetry: &telemetry,
        };
        let snapshot = Arc::new(snapshot(config, opened_log, sockets.endpoints(), &observed));
        let (stop, stopping) = watch::channel(false);
        let listener = Listener::new(
            sockets,
            listener_options(config, transport),
            committer.clone(),
            Arc::clone(&state),
            Arc::clone(&registry),
        );
        let housekeeping = Housekeeping::new(
            Arc::clone(&snapshot),
            Arc::clone(&notifier),
            telemetry,
            committer.clone(),
            &opened_log.recovered,
        );
        let published = Arc::clone(&snapshot);
        Ok(Self {
            listening: tokio::spawn(listen(
                listener,
                Arc::clone(&state),
                committer.clone(),
                Arc::clone(&registry),
                stopping,
            )),
            housekeeping: tokio::spawn(housekeeping.run()),
            status: tokio::spawn(status.run(move || published.document())),
            reports: reports.map(|reports| tokio::spawn(reports.run())),
            committer,
            log_thread,
            forwarder,
            notifier,
            state,
            registry,
            stop,
        })
    }

    /// Runs until a signal arrives or the log fails, and then stops the components in order.
    pub(super) async fn serve(self, signals: &mut Signals) -> Result<(), Error> {
        self.notifier.send("READY=1");
        let failed = self.wait(signals).await;
        self.notifier.send("STOPPING=1");
        tracing::info!("shutdown_initiated");
        let Self {
            committer,
            log_thread,
            forwarder,
            state,
            registry,
            stop,
            mut listening,
            housekeeping,
            status,
            reports,
            ..
        } = self;
        reports.iter().for_each(Task::abort);
        // Unlike `send`, this does not fail if the task has already ended.
        stop.send_replace(true);
        let sessions_ended = tokio::time::timeout(SESSIONS_TIMEOUT, &mut listening).await;
        committer.stop();
        // Sessions that wait for the log learn from the stop that it accepts nothing more, and count their
        // records.
        if sessions_ended.is_err() && tokio::time::timeout(REFUSED_TIMEOUT, &mut listening).await.is_err() {
            tracing::error!(sessions = registry.connections(), "sessions_aborted");
            listening.abort();
        }
        let outcome =
            tokio::time::timeout(LOG_TIMEOUT, tokio::task::spawn_blocking(|| log_thread.join())).await;
        if let Some(forwarder) = forwarder {
            let all_delivered = forwarder.stop(DELIVERY_TIMEOUT).await;
            tracing::info!(all_delivered, "forwarder_stopped");
        }
        housekeeping.abort();
        status.abort();
        let lost = match outcome {
            Ok(Ok(Ok(outcome))) => log_ended(&outcome, registry.totals().records_refused, &state),
            Ok(_) => Some("the thread that writes it panicked".to_owned()),
            Err(_) => Some(format!("not finished within {} s", LOG_TIMEOUT.as_secs())),
        };
        match (failed, lost) {
            (Some(reason), _) => Err(Error::LogFailed(reason)),
            (None, Some(reason)) => Err(Error::LogNotClosed(reason)),
            (None, None) => Ok(()),
        }
    }

    /// Waits for a signal or the end of the log. Returns the reason if the log has failed.
    async fn wait(&self, signals: &mut Signals) -> Option<String> {
        let mut progress = self.committer.progress();
        let ended =
            progress.wait_for(|progress| matches!(progress.state, LogState::Failed(_) | LogState::Stopped));
        let reason = tokio::select! {
            name = signals.stop() => {
                tracing::info!(signal = name, "signal_received");
                return None;
            }
            ended = ended => ended.map_or_else(
                |_| "the thread that writes it has ended".to_owned(),
                |progress| match &progress.state {
                    LogState::Failed(reason) => reason.clone(),
                    _ => "it was closed".to_owned(),
                },
            ),
        };
        tracing::error!(error = reason, "log_failed");
        Some(reason)
    }
}

/// Appends the records for the sessions that the last run left open, and then accepts connections.
async fn listen(
    listener: Listener,
    state: Arc<StateStore>,
    committer: Committer,
    registry: Arc<Registry>,
    stopping: watch::Receiver<bool>,
) {
    let endpoints = listener.endpoints();
    if let Err(error) = startup::log_records(&state, &committer, &registry).await {
        tracing::error!(%error, "startup_records_not_logged");
        return;
    }
    let address = listener::listed(&endpoints);
    let (host, port) = endpoints.into_iter().next().map(|Endpoint { host, port, .. }| (host, port)).unzip();
    tracing::info!(host, port, address, "bmp_listener_started");
    listener.run(stopping).await;
}

/// Logs the end of the log. Returns the reason why it was not closed, if records were lost or it was not
/// sealed. `refused` records were received, and refused by the log because it was stopping.
fn log_ended(outcome: &Outcome, refused: u64, state: &StateStore) -> Option<String> {
    let records = outcome.lost_records.saturating_add(refused);
    let reason = outcome.error.as_ref().or(outcome.paused.as_ref());
    if records > 0 {
        let reason = reason.map_or("the log was stopped", String::as_str);
        let gap_from = clock::iso8601(state.logged_until());
        tracing::error!(records, reason, gap_from, detail = NOT_LOGGED_DETAIL, "records_not_logged");
        return Some(format!("{records} received records were not logged: {reason}"));
    }
    if let Some(error) = &outcome.error {
        tracing::error!(error, detail = NOT_SEALED_DETAIL, "log_not_sealed");
        return Some(format!("it was not sealed: {error}"));
    }
    tracing::info!(durable_seq = outcome.durable.0, "log_closed");
    store_final_position(state, outcome.durable.0);
    None
}

/// Records in the state that it has observed the whole log, and that everything received is in the log.
fn store_final_position(state: &StateStore, durable: u64) {
    let stored = state.mark_observed(durable, clock::now()).and_then(|_| state.flush());
    if let Err(error) = stored {
        tracing::error!(%error, "state_error");
    }
}

/// Starts the forwarder. The database may be unreachable.
fn spawn_forwarder(
    config: &Config,
    database: &Database,
    opened_log: &OpenedLog,
    committer: &Committer,
) -> Result<Forwarder, Error> {
    let target = database.target().map_err(Error::Tls)?;
    let options = forwarder::Options {
        lanes: u32::from(config.delivery.lanes),
        rows_max: to_u64(config.delivery.drain_max_rows),
        delay: config.delivery.drain_max_delay,
        dedup: config.delivery.history_dedup,
        chunk_interval_days: config.delivery.chunk_interval_days,
        retention: Retention {
            routes_days: config.delivery.retention_routes_days,
            events_days: config.delivery.retention_events_days,
        },
        forget_after_days: config.delivery.forget_after_days,
        pool_size_max: database.pool_max_size,
        directory: Some(config.wal.dir.clone()),
        ..forwarder::Options::default()
    };
    let collector = config.collector.clone();
    Ok(forwarder::spawn(
        options,
        target,
        collector,
        opened_log.recovered.log_id,
        Arc::clone(&opened_log.log),
        committer.clone(),
    ))
}

/// The reports to the database, if one is configured.
fn reports(
    config: &Config,
    state: &Arc<StateStore>,
    committer: &Committer,
    forwarder: Option<&Forwarder>,
) -> Result<Option<Reports>, Error> {
    let Some((database, forwarder)) = config.database.as_ref().zip(forwarder) else { return Ok(None) };
    let target = database.target().map_err(Error::Tls)?;
    let (collector, state) = (config.collector.clone(), Arc::clone(state));
    Ok(Some(Reports::new(target, collector, state, committer.progress(), forwarder.delivered())))
}

fn committer_options(wal: &config::Wal) -> committer::Options {
    committer::Options {
        sync_interval: wal.sync_interval,
        // A log that drops its oldest batches makes no router wait.
        router_share_percent: if wal.drop_oldest { 100 } else { wal.router_share_percent },
        ..committer::Options::default()
    }
}

/// The limits of connections. A configured router is one with a name, an address, or both.
fn slots(config: &Config) -> listener::Slots {
    let is_name = |router: &&String| router.parse::<IpAddr>().is_err();
    listener::Slots {
        connections_max: config.listen.max_connections,
        per_source_max: config.listen.max_connections_per_address,
        configured: config.listen.configured_addresses(),
        configured_names: config.listen.expected_routers.iter().filter(is_name).cloned().collect(),
    }
}

fn listener_options(config: &Config, transport: TransportOptions) -> listener::Options {
    listener::Options {
        allow: config.listen.allow.clone(),
        slots: slots(config),
        moves_denied: config.listen.moves_denied,
        router_names: config.listen.router_names.clone(),
        overrides: config.listen.overrides.clone(),
        first_message: config.listen.first_message,
        keepalive: config.listen.keepalive,
        user_timeout: config.listen.user_timeout,
        sweep_quiet: config.listen.sweep_quiet,
        sweep_without_end_of_rib: config.listen.sweep_without_end_of_rib,
        batch_routes_max: config.delivery.batch_max_routes,
        batch_delay_max: config.delivery.batch_max_delay,
        stats_interval: config.logging.stats_interval,
        hold_off: !config.wal.drop_oldest,
        transport,
    }
}

/// The components whose state is in the status.
struct Components<'a> {
    registry: &'a Arc<Registry>,
    state: &'a Arc<StateStore>,
    committer: &'a Committer,
    forwarder: Option<&'a Forwarder>,
    telemetry: &'a Arc<Telemetry>,
}

fn snapshot(
    config: &Config,
    opened_log: &OpenedLog,
    endpoints: Vec<Endpoint>,
    components: &Components<'_>,
) -> Snapshot {
    let Components { registry, state, committer, forwarder, telemetry } = components;
    Snapshot {
        collector: config.collector.clone(),
        endpoints,
        slots: slots(config),
        expected_routers: config.listen.expected_routers.clone(),
        wal_dir: config.wal.dir.clone(),
        log: Arc::clone(&opened_log.log),
        damage_at_start: opened_log.damage(),
        log_id: opened_log.recovered.log_id.to_string(),
        records_copied: opened_log.records_copied,
        started: Instant::now(),
        registry: Arc::clone(registry),
        state: Arc::clone(state),
        progress: committer.progress(),
        fair_share: committer.fair_share(),
        delivered: forwarder.map(Forwarder::delivered),
        telemetry: Arc::clone(telemetry),
        observed: Mutex::new(Observed::new(opened_log.recovered.next.prev().0)),
    }
}
