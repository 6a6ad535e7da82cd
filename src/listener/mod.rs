//! TCP listener: accepts connections within limits and runs one task per router.
//!
//! ```text
//! accept ─► within limits? ─► task: read ─► Buffer ─► Session ─► StateStore ─► Committer::append
//!                               ▲                                                 │ waits while the
//!                               └────────────── no read meanwhile ◄───────────────┘ queue is full
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

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;

use crate::committer::Committer;
use crate::state::StateStore;

use gate::Gate;
use shared::Shared;

pub use buffer::Buffer;
pub use options::Options;
pub use registry::{Registry, SessionView, Totals};

/// Delay after a failed accept. If no file descriptor is available, retrying at once would be a busy loop.
const ACCEPT_ERROR_DELAY: Duration = Duration::from_millis(500);

/// Interval at which the gate is updated. A shorter pause of the log does not close it.
const GATE_INTERVAL: Duration = Duration::from_millis(250);

/// Maximum number of connections that the kernel queues until they are accepted.
const BACKLOG: u32 = 1_024;

/// A bound listener.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// Binds a listening socket to the first address of `host` that can be bound.
///
/// # Errors
/// The name has no address, or none of its addresses can be bound; the error is that of the last one.
pub async fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        match bind_address(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind_address(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // After a restart, connections of the previous process are still in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Listener {
    /// A listener on a bound socket.
    ///
    /// # Errors
    /// The local address of the socket cannot be determined.
    pub fn new(
        socket: TcpListener,
        options: Options,
        committer: Committer,
        state: Arc<StateStore>,
        registry: Arc<Registry>,
    ) -> io::Result<Self> {
        let address = socket.local_addr()?;
        Ok(Self { socket, address, shared: Arc::new(Shared { options, committer, state, registry }) })
    }

    /// The local address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts connections until `stop` becomes true, then closes the socket and waits until every session
    /// has logged its end.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let Self { socket, address, shared } = self;
        let mut socket = Some(socket);
        let mut gate = Gate::default();
        let mut gate_timer = tokio::time::interval(GATE_INTERVAL);
        gate_timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tasks = JoinSet::new();
        let mut stopping = stop.clone();
        tracing::info!(count = 0, "waiting_for_connections");
        loop {
            tokio::select! {
                biased;
                () = connection::stopped(&mut stopping) => break,
                Some(ended) = tasks.join_next() => shared.reap(ended).await,
                _ = gate_timer.tick(), if shared.options.hold_off => {
                    socket = shared.update_gate(&mut gate, socket, address);
                }
                accepted = accept(socket.as_ref()) => match accepted {
                    Ok((stream, address)) => shared.accepted(stream, address, &mut tasks, &stop),
                    Err(error) => {
                        shared.registry.accept_failed();
                        tracing::warn!(%error, "connection_error");
                        tokio::time::sleep(ACCEPT_ERROR_DELAY).await;
                    }
                },
            }
        }
        drop(socket);
        tracing::info!(sessions = tasks.len(), "bmp_listener_stopping");
        while let Some(ended) = tasks.join_next().await {
            shared.reap(ended).await;
        }
        tracing::info!("bmp_listener_stopped");
    }
}

/// Waits for the next connection; waits forever if there is no listening socket.
async fn accept(socket: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match socket {
        Some(socket) => socket.accept().await,
        None => std::future::pending().await,
    }
}

impl Shared {
    /// Closes or reopens the listening socket as the gate requires. Returns the socket, if it is open.
    fn update_gate(
        &self,
        gate: &mut Gate,
        socket: Option<TcpListener>,
        address: SocketAddr,
    ) -> Option<TcpListener> {
        let is_open = gate.update(&self.committer.progress().borrow());
        match (is_open, socket) {
            (true, None) => match bind_address(address) {
                Ok(socket) => {
                    self.registry.set_held_off(false);
                    tracing::info!(%address, "routers_admitted");
                    Some(socket)
                }
                Err(error) => {
                    self.registry.accept_failed();
                    tracing::error!(%address, %error, "listen_error");
                    None
                }
            },
            (false, Some(_closed)) => {
                self.registry.set_held_off(true);
                let detail = "new connections refused until log usage is below 50 %";
                tracing::warn!(%address, detail, "routers_held_off");
                None
            }
            (_, unchanged) => unchanged,
        }
    }

    /// Handles the end of a connection's task. A task that panicked has not logged the end of its session.
    async fn reap(&self, ended: Result<(), JoinError>) {
        let Err(error) = ended else { return };
        tracing::error!(%error, "session_task_failed");
        self.end_unfinished_sessions().await;
    }
}
