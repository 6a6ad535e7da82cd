//! TCP listener: accepts connections within limits and runs one task per router.
//!
//! ```text
//! accept ─► within limits? ─► task: held? ─► read ─► Buffer ─► Session ─► StateStore ─► Committer::append
//!    ▲                                        ▲                                   │ waits at the router's
//! transport: sockets, PROXY,                  │                                   │ share of the log, and
//! TLS, TCP-MD5, active mode                   └─────── no read meanwhile ◄────────┘ while the queue is full
//! ```
//!
//! The wait in `append` is the only back-pressure: a task that waits does not read, and TCP flow control
//! stops the router. A new connection of a router that is paused at its share of the log is not read either,
//! nor, after the log was full, that of an unknown router: see [`hold`]. The accept loop survives every
//! error: it counts the error, waits, and continues.

mod admission;
mod buffer;
mod connection;
mod gate;
mod hold;
mod introduction;
mod notices;
mod options;
mod registry;
mod shared;
mod stats;
mod transport;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;

use crate::committer::Committer;
use crate::state::StateStore;
use crate::telemetry::clock;

use gate::Gate;
use hold::Hold;
use shared::Shared;
use transport::{Incoming, spawn_connectors};

pub use buffer::Buffer;
pub use options::Options;
pub use registry::{
    GapTotals, NameAlarm, REFUSAL_LIMITS, RecordTotals, RefusalReport, Registry, SessionView, SlotUse, Slots,
    Source, SourceReport, Totals,
};
pub use transport::{
    BindError, Endpoint, HandshakeFailure, Md5Key, Md5KeyError, RemoteState, RemoteStatus, SessionTransport,
    SocketOptions, Sockets, TransportOptions, TransportStatus, TransportView, proxy,
};

/// Delay after a failed accept. If no file descriptor is available, retrying at once would be a busy loop.
const ACCEPT_ERROR_DELAY: Duration = Duration::from_millis(500);

/// Interval at which the gate is updated. A shorter pause of the log does not close it.
const GATE_INTERVAL: Duration = Duration::from_millis(250);

/// Interval at which the files of TLS are compared with those in use, besides each handshake.
const TLS_RELOAD_INTERVAL: Duration = Duration::from_mins(1);

/// Maximum number of connections of proxies whose header is awaited.
const PROXY_HEADERS_MAX: usize = 1_024;

/// A bound listener.
pub struct Listener {
    sockets: Sockets,
    shared: Arc<Shared>,
}

/// The settings of a running listener.
pub struct ListenerSettings(Arc<Shared>);

impl ListenerSettings {
    /// The present settings.
    #[must_use]
    pub fn get(&self) -> Arc<Options> {
        self.0.options()
    }

    /// Replaces the settings. Open connections keep those that apply to new ones.
    pub fn replace(&self, options: Options) {
        options.router_names.keys().for_each(|address| self.0.hold.learn(*address));
        if let (Some(tls), Some(former)) = (&options.transport.tls, &self.get().transport.tls) {
            tls.log_replacement_of(former);
        }
        self.0.registry.transport().set_tls(options.transport.tls.clone());
        self.0.options.send_replace(Arc::new(options));
    }
}

/// Connections on their way to admission.
struct Arrivals {
    sockets: Sockets,
    /// Tasks that read the headers of proxies.
    headers: JoinSet<Option<Incoming>>,
    /// Connections that the collector has opened.
    opened: mpsc::Receiver<Incoming>,
}

impl Listener {
    /// A listener on bound sockets.
    #[must_use]
    pub fn new(
        sockets: Sockets,
        options: Options,
        committer: Committer,
        state: Arc<StateStore>,
        registry: Arc<Registry>,
    ) -> Self {
        registry.transport().set_tls(options.transport.tls.clone());
        let hold = Hold::new(&options, committer.fair_share());
        let (options, _) = watch::channel(Arc::new(options));
        let last_bulk = AtomicU64::new(committer.progress().borrow().end.0);
        Self { sockets, shared: Arc::new(Shared { options, committer, state, registry, hold, last_bulk }) }
    }

    /// Access to the settings, which may be replaced at any time. `hold_off`, the options of the sockets and
    /// the routers to connect to are those at the start.
    #[must_use]
    pub fn settings(&self) -> ListenerSettings {
        ListenerSettings(Arc::clone(&self.shared))
    }

    /// The local addresses.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.sockets.endpoints()
    }

    /// Accepts connections until `stop` becomes true, then closes the sockets and waits until every session
    /// has logged its end.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let Self { sockets, shared } = self;
        let mut gate = Gate::default();
        let mut gate_timer = tokio::time::interval(GATE_INTERVAL);
        gate_timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tasks = JoinSet::new();
        let mut stopping = stop.clone();
        let (admits, admitted) = watch::channel(true);
        let (opener, opened) = mpsc::channel(1);
        let options = shared.options();
        let transport = &options.transport;
        // Their tasks end when they are dropped.
        let helpers = (
            spawn_connectors(
                &transport.remotes,
                &transport.sockets,
                shared.registry.transport(),
                &opener,
                &admitted,
            ),
            transport.tls.is_some().then(|| spawn_reload(Arc::clone(&shared))),
        );
        let mut arrivals = Arrivals { sockets, headers: JoinSet::new(), opened };
        shared.registry.set_listening();
        tracing::info!(count = 0, "waiting_for_connections");
        loop {
            tokio::select! {
                biased;
                () = hold::stopped(&mut stopping) => break,
                Some(ended) = tasks.join_next() => shared.reap(ended).await,
                _ = gate_timer.tick(), if options.hold_off => {
                    shared.update_gate(&mut gate, &admits);
                }
                arrived = arrivals.next(&shared) => match arrived {
                    Ok(incoming) => shared.accepted(incoming, &mut tasks, &stop),
                    Err(error) => {
                        shared.registry.accept_failed();
                        tracing::warn!(%error, "connection_error");
                        tokio::time::sleep(ACCEPT_ERROR_DELAY).await;
                    }
                },
            }
        }
        drop((arrivals, helpers));
        shared.committer.fair_share().lift();
        tracing::info!(sessions = tasks.len(), "bmp_listener_stopping");
        while let Some(ended) = tasks.join_next().await {
            shared.reap(ended).await;
        }
        tracing::info!("bmp_listener_stopped");
    }
}

/// The endpoints in the form of BMP_LISTEN.
#[must_use]
pub fn listed(endpoints: &[Endpoint]) -> String {
    endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Starts the task that reads changed files of TLS also if no router connects.
fn spawn_reload(shared: Arc<Shared>) -> JoinSet<()> {
    let mut task = JoinSet::new();
    task.spawn(async move {
        loop {
            tokio::time::sleep(TLS_RELOAD_INTERVAL).await;
            let Some(tls) = shared.options().transport.tls.clone() else { continue };
            // An error is a panic, which its handler has reported.
            drop(tokio::task::spawn_blocking(move || tls.reload()).await);
        }
    });
    task
}

impl Arrivals {
    /// Waits for the next connection whose router is known by address.
    ///
    /// Cancel safe: no connection is lost if the future is dropped.
    async fn next(&mut self, shared: &Shared) -> io::Result<Incoming> {
        loop {
            let accepted = tokio::select! {
                Some(read) = self.headers.join_next() => match read {
                    Ok(Some(incoming)) => return Ok(incoming),
                    _ => continue,
                },
                Some(incoming) = self.opened.recv() => return Ok(incoming),
                accepted = self.sockets.accept() => accepted?,
            };
            let options = shared.options();
            let transport = &options.transport;
            let tls = transport.tls.clone().filter(|_| accepted.is_tls);
            let incoming = Incoming::new(accepted.stream, accepted.address, tls);
            let proxy = incoming.address.ip();
            if !transport.is_proxy(proxy) {
                return Ok(incoming);
            }
            if self.headers.len() >= PROXY_HEADERS_MAX {
                shared.registry.refuse(registry::RefusalReason::ProxyHeaders, proxy);
                tracing::error!(peer = %proxy, reason = "PROXY headers awaited", "connection_refused");
                continue;
            }
            let (registry, limit) = (Arc::clone(&shared.registry), transport.handshake_timeout);
            self.headers.spawn(async move {
                let read = incoming.read_proxy_header(limit).await;
                read.unwrap_or_else(|error| {
                    tracing::warn!(peer = %proxy, %error, "proxy_header_failed");
                    registry.transport().handshake_failed(proxy, error.to_string(), clock::now());
                    None
                })
            });
        }
    }
}

impl Shared {
    /// Holds new connections of unknown routers, or admits them, as the gate requires. No router that listens
    /// is connected to while the gate is closed.
    fn update_gate(&self, gate: &mut Gate, admits: &watch::Sender<bool>) {
        let was_open = *admits.borrow();
        let is_open = gate.update(&self.committer.progress().borrow());
        if is_open == was_open {
            return;
        }
        self.hold.set_closed(!is_open);
        self.registry.set_held_off(!is_open);
        if is_open {
            tracing::info!("routers_admitted");
        } else {
            let detail = "new connections of unknown routers wait until log usage is below 50 %";
            tracing::warn!(detail, "routers_held_off");
        }
        admits.send_replace(is_open);
    }

    /// Handles the end of a connection's task. A task that panicked has not logged the end of its session.
    async fn reap(&self, ended: Result<(), JoinError>) {
        let Err(error) = ended else { return };
        tracing::error!(%error, "session_task_failed");
        self.end_unfinished_sessions().await;
    }
}
