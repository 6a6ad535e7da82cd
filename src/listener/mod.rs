//! TCP: accept, limits, one task per router.
//!
//! ```text
//! accept ─► allowed? room? ─► task: read ─► Buffer ─► Session ─► Batch ─► State::observe ─► Committer::append
//!                               ▲                                                              │ waits while the
//!                               └────────────── nothing is read meanwhile ◄────────────────────┘ log is behind
//! ```
//!
//! The wait in `append` is the whole back-pressure: a task that waits does not read, and TCP does the rest. While the log
//! is paused, and until half of it is free, nothing listens at all: see [`gate`]. The accept loop never gives up: an error
//! is counted, and after a rest it goes on.

mod buffer;
mod connection;
mod gate;
mod registry;
mod stats;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;

use crate::codec;
use crate::committer::{AppendError, Committer};
use crate::route::{Batch, Prefix, SessionEnd, Timestamp};
use crate::session::Overrides;
use crate::state::StateStore;
use crate::telemetry::clock;

use gate::Gate;

pub use buffer::Buffer;
pub use registry::{Registry, SessionView, Totals};

/// Rest after an error of accept: with all descriptors in use, trying at once would be a busy loop.
const ERROR_REST: Duration = Duration::from_millis(500);

/// How often the log is asked whether routers may connect. A pause that is shorter than this drives no router away.
const LOOK: Duration = Duration::from_millis(250);

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1_024;

/// What a listener is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who may connect; empty is everybody.
    pub allow: Vec<Prefix>,
    /// How many may be connected at once.
    pub connections_max: usize,
    /// Fixed names by source address.
    pub router_names: BTreeMap<IpAddr, String>,
    /// How to read what routers send, by the router's name.
    pub overrides: BTreeMap<String, Overrides>,
    /// Time within which the first whole message must have come.
    pub first_message: Duration,
    /// Quiet time before TCP keepalive probes.
    pub keepalive: Duration,
    /// Time without an answer after which the router is gone.
    pub user_timeout: Duration,
    /// Quiet time after End-of-RIB before a sweep.
    pub sweep_quiet: Duration,
    /// Routes at which a batch is closed.
    pub batch_routes_max: usize,
    /// Age at which a batch is closed.
    pub batch_delay_max: Duration,
    /// How often `route_stats` is logged for a session.
    pub stats_interval: Duration,
    /// Routers are held off while the log is paused, and until half of it is free.
    pub hold_off: bool,
}

/// What all connections share.
pub(crate) struct Shared {
    options: Options,
    committer: Committer,
    state: Arc<StateStore>,
    registry: Arc<Registry>,
}

/// A bound listener.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// Binds a listening socket to the first address of `host` that takes it.
///
/// # Errors
/// When the name has no address, or none can be bound.
pub async fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        match bind_one(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // After a restart the routers' old connections still wait in the kernel.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Listener {
    /// A listener over a bound socket.
    ///
    /// # Errors
    /// When the socket does not know its address.
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

    /// Where routers connect.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until `stop` says so, then closes the socket and waits until every session has ended in order.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let Self { socket, address, shared } = self;
        let mut socket = Some(socket);
        let mut gate = Gate::default();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tasks = JoinSet::new();
        let mut stopping = stop.clone();
        tracing::info!(count = 0, "waiting_for_connections");
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut stopping) => break,
                Some(ended) = tasks.join_next() => shared.reap(ended).await,
                _ = look.tick(), if shared.options.hold_off => {
                    socket = shared.hold_off(&mut gate, socket, address);
                }
                accepted = accept(socket.as_ref()) => match accepted {
                    Ok((stream, address)) => shared.take(stream, address, &mut tasks, &stop),
                    Err(error) => {
                        shared.registry.accept_failed();
                        tracing::warn!(%error, "connection_error");
                        tokio::time::sleep(ERROR_REST).await;
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

/// The next connection; never, where nothing listens.
async fn accept(socket: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match socket {
        Some(socket) => socket.accept().await,
        None => std::future::pending().await,
    }
}

/// Waits until the value is true, or nobody is left to make it so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that the sender is gone, which is the same.
    drop(stop.wait_for(|stop| *stop).await);
}

impl Shared {
    /// Closes the listening socket, or opens it again, as the log has room.
    fn hold_off(
        &self,
        gate: &mut Gate,
        socket: Option<TcpListener>,
        address: SocketAddr,
    ) -> Option<TcpListener> {
        let is_open = gate.look(&self.committer.progress().borrow());
        match (is_open, socket) {
            (true, None) => match bind_one(address) {
                Ok(socket) => {
                    self.registry.hold_off(false);
                    tracing::info!(%address, "routers_let_in_again");
                    Some(socket)
                }
                Err(error) => {
                    self.registry.accept_failed();
                    tracing::error!(%address, %error, "listen_error");
                    None
                }
            },
            (false, Some(_closed)) => {
                self.registry.hold_off(true);
                tracing::warn!(%address, "routers_held_off");
                None
            }
            (_, unchanged) => unchanged,
        }
    }

    fn take(
        self: &Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        tasks: &mut JoinSet<()>,
        stop: &watch::Receiver<bool>,
    ) {
        // IPv4 over a socket for both comes as ::ffff:a.b.c.d.
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let Options { allow, connections_max, .. } = &self.options;
        if !allow.is_empty() && !allow.iter().any(|prefix| covers(prefix, address.ip())) {
            self.registry.refused();
            tracing::warn!(peer = %address.ip(), reason = "not in BMP_ALLOW", "connection_refused");
            return;
        }
        if self.registry.connections() >= *connections_max {
            self.registry.refused();
            tracing::error!(peer = %address.ip(), reason = "BMP_MAX_CONNECTIONS", connections_max, "connection_refused");
            return;
        }
        if let Err(error) = self.prepare(&stream) {
            tracing::warn!(peer = %address.ip(), %error, "socket_option_error");
        }
        let entry = Registry::begin(&self.registry, address, clock::now());
        let shared = Arc::clone(self);
        tasks.spawn(connection::run(shared, stream, entry, stop.clone()));
    }

    fn prepare(&self, stream: &TcpStream) -> io::Result<()> {
        let socket = SockRef::from(stream);
        let Options { keepalive, user_timeout, .. } = self.options;
        let interval = (user_timeout.saturating_sub(keepalive) / 3).max(Duration::from_secs(1));
        socket.set_tcp_keepalive(
            &TcpKeepalive::new().with_time(keepalive).with_interval(interval).with_retries(3),
        )?;
        socket.set_tcp_user_timeout(Some(user_timeout))
    }

    /// A task that ended by itself has logged the end of its session. One that panicked has not: that is done here,
    /// from what the state knows.
    async fn reap(&self, ended: Result<(), JoinError>) {
        let Err(error) = ended else { return };
        tracing::error!(%error, "session_task_failed");
        for batch in
            self.state.session_end_batches(&self.registry.lost(), &SessionEnd::Protocol, clock::now())
        {
            self.log_end(&batch, &mut 0).await;
        }
    }

    /// As [`Shared::log`], a batch that ends a session.
    async fn log_end(&self, batch: &Batch, bytes: &mut usize) -> bool {
        let ending = self.state.begin_end(batch.clone());
        let seq = self.log(batch, bytes).await;
        self.state.end_logged(ending, seq.unwrap_or_default());
        seq.is_ok()
    }

    /// Encodes a batch and hands it to the log; returns its number, if it gets one. An error: the log has ended. `bytes` is how
    /// long the last payload was, and then how long this one is.
    async fn log(&self, batch: &Batch, bytes: &mut usize) -> Result<Option<u64>, AppendError> {
        let mut payload = Vec::with_capacity(*bytes + *bytes / 8);
        if let Err(error) = codec::encode(batch, &mut payload) {
            tracing::error!(router = batch.router.name, records = batch.records(), %error, "batch_encode_failed");
            return Ok(None);
        }
        *bytes = payload.len();
        let count = u32::try_from(batch.records()).unwrap_or(u32::MAX);
        match self.committer.append(payload, count).await {
            Ok(seq) => {
                self.registry.appended();
                Ok(Some(seq.0))
            }
            Err(AppendError::Stopped) => Err(AppendError::Stopped),
            // The bound on a batch's bytes is far below the log's: this is a fault of ours, and must be heard of.
            Err(error @ AppendError::TooLarge { .. }) => {
                tracing::error!(router = batch.router.name, records = batch.records(), %error, "batch_lost");
                Ok(None)
            }
        }
    }
}

fn covers(prefix: &Prefix, address: IpAddr) -> bool {
    let same_length = match address {
        IpAddr::V4(v4) => Prefix::v4(v4.to_bits(), prefix.length()),
        IpAddr::V6(v6) => Prefix::v6(v6.to_bits(), prefix.length()),
    };
    same_length.as_ref() == Some(prefix)
}

/// A time some seconds from now, for sweeps, in the unit of the session.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// How long ago a time was.
fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(now.0.saturating_sub(then.0)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_covers_its_own_family_only() {
        let v4 = Prefix::v4(0xc000_0200, 24).unwrap();
        let v6 = Prefix::v6(0x2001_0db8 << 96, 32).unwrap();
        let all = Prefix::v4(0, 0).unwrap();
        for (prefix, address, covered) in [
            (v4, "192.0.2.255", true),
            (v4, "192.0.3.0", false),
            (v4, "2001:db8::1", false),
            (v6, "2001:db8:ffff::1", true),
            (v6, "2001:db9::", false),
            (all, "203.0.113.1", true),
            (all, "::", false),
        ] {
            assert_eq!(covers(&prefix, address.parse().unwrap()), covered, "{address} in {prefix}");
        }
    }
}
