//! The components of the running daemon, and the order in which they are started and stopped.

mod http;
mod options;
mod reload;

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::task::JoinHandle as Task;

use super::Error;
use super::housekeeping::Housekeeping;
use super::notify::Notifier;
use super::reports::Reports;
use super::signals::Signals;
use super::snapshot::{Observed, ShownSettings, Snapshot};
use super::startup::{self, OpenedLog};
use super::transport;
use crate::committer::{self, Committer, LogState, Outcome};
use crate::config::Config;
use crate::forwarder::{self, Forwarder, Settings};
use crate::listener::{self, Endpoint, Listener, Registry, Sockets};
use crate::state::StateStore;
use crate::telemetry::{Telemetry, clock, status};
use crate::tls::TlsServer;
use crate::wal::{Disk, Writer};
use reload::Reloader;

pub(super) use reload::SettingsInUse;

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
    reloader: Reloader,
    state: Arc<StateStore>,
    registry: Arc<Registry>,
    stop: watch::Sender<bool>,
    listening: Task<()>,
    housekeeping: Task<()>,
    status: Task<()>,
    /// The HTTP server, if it is configured.
    http: Option<Task<()>>,
    /// The task that reports how current the database is.
    reports: Option<Task<()>>,
}

impl Daemon {
    pub(super) async fn start(
        settings: &SettingsInUse,
        writer: Writer<Disk>,
        opened_log: &OpenedLog,
        state: Arc<StateStore>,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self, Error> {
        let config = &settings.config;
        let notifier = Arc::new(Notifier::from_env());
        let registry = Registry::new(state.last_session());
        // The sockets are bound first, so that a port in use ends the start before anything is appended to
        // the log.
        let transport = transport::options(&config.listen.transport)?;
        let endpoints = transport::endpoints(&config.listen.transport.listen);
        let sockets = Sockets::bind(&endpoints, transport.sockets.clone()).await?;
        let status = status::bind(&config.status_socket)?;
        let (http_tls, http_tls_now) = watch::channel(transport::http(config.http.as_ref())?);
        let http_socket = http::bind(config.http.as_ref()).await?;
        let (committer, log_thread) =
            committer::spawn(writer, options::committer(&config.wal)).map_err(Error::LogThread)?;
        let forwarder = spawn_forwarder(config, opened_log, &committer)?;
        let observed = Components {
            registry: &registry,
            state: &state,
            committer: &committer,
            forwarder: forwarder.as_ref(),
            telemetry: &telemetry,
            http_tls: &http_tls_now,
        };
        let (shown, shown_now) = watch::channel(shown(config));
        let snapshot = Arc::new(snapshot(config, opened_log, sockets.endpoints(), &observed, shown_now));
        let (stop, stopping) = watch::channel(false);
        let listener = Listener::new(
            sockets,
            options::listener(config, transport),
            committer.clone(),
            Arc::clone(&state),
            Arc::clone(&registry),
        );
        let reloader = Reloader {
            settings: settings.clone(),
            listener: listener.settings(),
            committer: committer.clone(),
            delivery: forwarder.as_ref().map(Forwarder::settings),
            telemetry: Arc::clone(&telemetry),
            http_tls,
            shown,
            notifier: Arc::clone(&notifier),
        };
        let housekeeping = Housekeeping::new(
            Arc::clone(&snapshot),
            Arc::clone(&notifier),
            telemetry,
            committer.clone(),
            &opened_log.recovered,
        );
        let published = Arc::clone(&snapshot);
        let listening =
            listen(listener, Arc::clone(&state), committer.clone(), Arc::clone(&registry), stopping);
        Ok(Self {
            listening: tokio::spawn(listening),
            housekeeping: tokio::spawn(housekeeping.run()),
            status: tokio::spawn(status.run(move || published.document())),
            http: http::serve(http_socket, config.http.as_ref(), &snapshot, reloader.delivery.clone()),
            reports: forwarder.as_ref().map(|forwarder| {
                let (collector, state) = (config.collector.clone(), Arc::clone(&state));
                tokio::spawn(Reports::new(forwarder, collector, state, committer.progress()).run())
            }),
            committer,
            log_thread,
            forwarder,
            notifier,
            reloader,
            state,
            registry,
            stop,
        })
    }

    /// Runs until a signal arrives or the log fails, and then stops the components in order. The settings are
    /// reloaded at each `hangup`.
    pub(super) async fn serve(self, signals: &mut Signals, hangup: Signal) -> Result<(), Error> {
        let Self {
            committer,
            log_thread,
            forwarder,
            notifier,
            reloader,
            state,
            registry,
            stop,
            mut listening,
            housekeeping,
            status,
            http,
            reports,
        } = self;
        notifier.send("READY=1");
        let reloading = tokio::spawn(reloader.run(hangup));
        let failed = wait(&committer, signals).await;
        reloading.abort();
        notifier.send("STOPPING=1");
        tracing::info!("shutdown_initiated");
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
        http.iter().for_each(Task::abort);
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
}

/// Waits for a signal or the end of the log. Returns the reason if the log has failed.
async fn wait(committer: &Committer, signals: &mut Signals) -> Option<String> {
    let mut progress = committer.progress();
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

/// Starts the forwarder, if a database is configured. The database may be unreachable.
fn spawn_forwarder(
    config: &Config,
    opened_log: &OpenedLog,
    committer: &Committer,
) -> Result<Option<Forwarder>, Error> {
    let Some(database) = &config.database else {
        let detail = "no database is configured; batches are only buffered locally";
        tracing::warn!(detail, "store_only_mode");
        return Ok(None);
    };
    let Settings { options, target } = options::delivery(config, database)?;
    let collector = config.collector.clone();
    let (log_id, log) = (opened_log.recovered.log_id, Arc::clone(&opened_log.log));
    Ok(Some(forwarder::spawn(options, target, collector, log_id, log, committer.clone())))
}

/// The settings that the status depends on.
fn shown(config: &Config) -> ShownSettings {
    ShownSettings {
        slots: options::slots(config),
        expected_routers: config.listen.expected_routers.clone(),
        reload: status::Reload::default(),
    }
}

/// The components whose state is in the status.
struct Components<'a> {
    registry: &'a Arc<Registry>,
    state: &'a Arc<StateStore>,
    committer: &'a Committer,
    forwarder: Option<&'a Forwarder>,
    telemetry: &'a Arc<Telemetry>,
    http_tls: &'a watch::Receiver<Option<Arc<TlsServer>>>,
}

fn snapshot(
    config: &Config,
    opened_log: &OpenedLog,
    endpoints: Vec<Endpoint>,
    components: &Components<'_>,
    settings: watch::Receiver<ShownSettings>,
) -> Snapshot {
    let Components { registry, state, committer, forwarder, telemetry, http_tls } = components;
    Snapshot {
        collector: config.collector.clone(),
        endpoints,
        settings,
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
        http_tls: (*http_tls).clone(),
        observed: Mutex::new(Observed::new(opened_log.recovered.next.prev().0)),
    }
}
