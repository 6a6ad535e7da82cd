//! TCP listener: accepts connections within limits and runs one task per router.
//!
//! ```text
//! accept ─► within limits? ─► task: read ─► Buffer ─► Session ─► StateStore ─► Committer::append
//!    ▲                          ▲                                                 │ waits while the
//! transport: sockets, PROXY,    └────────────── no read meanwhile ◄───────────────┘ queue is full
//! TLS, TCP-MD5, active mode
//! ```
//!
//! The wait in `append` is the only back-pressure: a task that waits does not read, and TCP flow control
//! stops the router. From the time at which the log is paused until its usage is below 50 %, new connections
//! are refused: see [`gate`]. The accept loop survives every error: it counts the error, waits, and
//! continues.

mod admission;
mod buffer;
mod connection;
mod gate;
mod options;
mod registry;
mod shared;
mod stats;
mod transport;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;

use crate::committer::Committer;
use crate::state::StateStore;
use crate::telemetry::clock;

use gate::Gate;
use shared::Shared;
use transport::{Incoming, spawn_connectors};

pub use buffer::Buffer;
pub use options::Options;
pub use registry::{Registry, SessionView, Totals};
pub use transport::{
    BindError, Endpoint, HandshakeFailure, Md5Key, Md5KeyError, RemoteState, RemoteStatus, SecretFileError,
    SessionTransport, SocketOptions, Sockets, TlsFiles, TlsServer, TlsSetupError, TransportOptions,
    TransportStatus, TransportView, proxy,
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
        Self { sockets, shared: Arc::new(Shared { options, committer, state, registry }) }
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
        let transport = &shared.options.transport;
        // Their tasks end when they are dropped.
        let helpers = (
            spawn_connectors(
                &transport.remotes,
                &transport.sockets,
                shared.registry.transport(),
                &opener,
                &admitted,
            ),
            transport.tls.clone().map(spawn_reload),
        );
        let mut arrivals = Arrivals { sockets, headers: JoinSet::new(), opened };
        tracing::info!(count = 0, "waiting_for_connections");
        loop {
            tokio::select! {
                biased;
                () = connection::stopped(&mut stopping) => break,
                Some(ended) = tasks.join_next() => shared.reap(ended).await,
                _ = gate_timer.tick(), if shared.options.hold_off => {
                    shared.update_gate(&mut gate, &mut arrivals.sockets, &admits);
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
fn spawn_reload(tls: Arc<TlsServer>) -> JoinSet<()> {
    let mut task = JoinSet::new();
    task.spawn(async move {
        loop {
            tokio::time::sleep(TLS_RELOAD_INTERVAL).await;
            let tls = Arc::clone(&tls);
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
        let transport = &shared.options.transport;
        loop {
            let accepted = tokio::select! {
                Some(read) = self.headers.join_next() => match read {
                    Ok(Some(incoming)) => return Ok(incoming),
                    _ => continue,
                },
                Some(incoming) = self.opened.recv() => return Ok(incoming),
                accepted = self.sockets.accept() => accepted?,
            };
            let tls = transport.tls.clone().filter(|_| accepted.is_tls);
            let incoming = Incoming::new(accepted.stream, accepted.address, tls);
            let proxy = incoming.address.ip();
            if !transport.is_proxy(proxy) {
                return Ok(incoming);
            }
            if self.headers.len() >= PROXY_HEADERS_MAX {
                shared.registry.refused();
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
    /// Closes or reopens the listening sockets as the gate requires.
    fn update_gate(&self, gate: &mut Gate, sockets: &mut Sockets, admits: &watch::Sender<bool>) {
        let is_open = gate.update(&self.committer.progress().borrow());
        match (is_open, *admits.borrow()) {
            (true, false) => {
                for (address, error) in sockets.reopen() {
                    self.registry.accept_failed();
                    tracing::error!(%address, %error, "listen_error");
                }
                if sockets.are_open() {
                    self.registry.set_held_off(false);
                    tracing::info!(address = listed(&sockets.endpoints()), "routers_admitted");
                } else {
                    return;
                }
            }
            (false, true) => {
                self.registry.set_held_off(true);
                let detail = "new connections refused until log usage is below 50 %";
                tracing::warn!(address = listed(&sockets.endpoints()), detail, "routers_held_off");
                sockets.close();
            }
            _ => return,
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
