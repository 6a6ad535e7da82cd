//! Active mode: connections that the collector opens to routers that listen (`BMP_CONNECT`).
//!
//! One task per router looks up its name, connects, hands the connection to the accept loop, and waits until
//! it has ended. The delay between attempts doubles from one second to a minute. After the log was full, no
//! attempt is made until its usage is below 50 %.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::incoming::Incoming;
use super::sockets::{Endpoint, SocketOptions};
use super::status::{RemoteState, TransportStatus};
use super::tcp_md5;
use crate::backoff;
use crate::num::to_millis;

/// Delay after the first failure.
const DELAY_FIRST: Duration = Duration::from_secs(1);

/// Longest delay.
const DELAY_LONGEST: Duration = Duration::from_mins(1);

/// Time limit of one attempt to connect to one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that lasted this long was a success: the next attempt follows after the first delay.
const STABLE: Duration = Duration::from_secs(30);

/// Opens the connection to one router, again and again.
#[derive(Debug)]
struct Connector {
    remote: Endpoint,
    /// Index in the status.
    index: usize,
    status: Arc<TransportStatus>,
    options: SocketOptions,
    /// Accepts the open connections.
    opened: mpsc::Sender<Incoming>,
    /// False while no connection is opened, because the log was full.
    admits: watch::Receiver<bool>,
}

/// Starts a task for each router. Each ends when `opened` has no receiver.
pub(in crate::listener) fn spawn(
    remotes: &[Endpoint],
    options: &SocketOptions,
    status: &Arc<TransportStatus>,
    opened: &mpsc::Sender<Incoming>,
    admits: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for remote in remotes {
        let connector = Connector {
            remote: remote.clone(),
            index: status.add_remote(remote.to_string()),
            status: Arc::clone(status),
            options: options.clone(),
            opened: opened.clone(),
            admits: admits.clone(),
        };
        tasks.spawn(connector.run());
    }
    tasks
}

impl Connector {
    async fn run(mut self) {
        let mut failures = 0_u32;
        loop {
            if !self.wait_until_admitted().await {
                return;
            }
            self.update(RemoteState::Connecting, failures);
            let error = match self.connect().await {
                Ok((stream, address)) => {
                    let began = Instant::now();
                    if !self.hand_over(stream, address).await {
                        return;
                    }
                    if began.elapsed() >= STABLE {
                        failures = 0;
                    }
                    None
                }
                Err(error) => Some(error.to_string()),
            };
            failures = failures.saturating_add(1);
            let delay = backoff::delay(DELAY_FIRST, DELAY_LONGEST, failures, backoff::jitter());
            if let Some(error) = error {
                let (router, retry_ms) = (self.remote.to_string(), to_millis(delay));
                tracing::warn!(router, error, retry_ms, "router_connect_failed");
                self.status.update_remote(self.index, |remote| remote.last_error = Some(error));
            }
            self.update(RemoteState::Waiting, failures);
            tokio::time::sleep(delay).await;
        }
    }

    /// Waits while no connection may be opened. Returns false if the listener has ended.
    async fn wait_until_admitted(&mut self) -> bool {
        if !*self.admits.borrow() {
            self.status.update_remote(self.index, |remote| remote.state = RemoteState::HeldOff);
        }
        self.admits.wait_for(|admits| *admits).await.is_ok()
    }

    /// Passes the connection to the accept loop and waits until it has ended. Returns false if the listener
    /// has ended.
    async fn hand_over(&self, stream: TcpStream, address: SocketAddr) -> bool {
        let (opened_by, ended) = oneshot::channel();
        let incoming = Incoming { opened_by: Some(opened_by), ..Incoming::new(stream, address, None) };
        if self.opened.send(incoming).await.is_err() {
            return false;
        }
        self.status.update_remote(self.index, |remote| {
            remote.state = RemoteState::Connected;
            remote.last_error = None;
        });
        // Nothing is ever sent: the error is that the connection has ended.
        drop(ended.await);
        true
    }

    /// Connects to the first address of the router that accepts.
    async fn connect(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
        for address in tokio::net::lookup_host((self.remote.host.as_str(), self.remote.port)).await? {
            match tokio::time::timeout(CONNECT_TIMEOUT, self.connect_to(address)).await {
                Ok(Ok(stream)) => return Ok((stream, address)),
                Ok(Err(error)) => last = io::Error::new(error.kind(), format!("{address}: {error}")),
                Err(_) => {
                    let text = format!("{address}: no answer within {} s", CONNECT_TIMEOUT.as_secs());
                    last = io::Error::new(io::ErrorKind::TimedOut, text);
                }
            }
        }
        Err(last)
    }

    async fn connect_to(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(bytes) = self.options.receive_buffer {
            SockRef::from(&socket).set_recv_buffer_size(bytes)?;
        }
        if let Some(key) = tcp_md5::key_for(&self.options.md5, address.ip()) {
            tcp_md5::set(&socket, address.is_ipv6(), key)?;
        }
        socket.connect(address).await
    }

    fn update(&self, state: RemoteState, failures: u32) {
        self.status.update_remote(self.index, |remote| {
            remote.state = state;
            remote.failures = failures;
        });
    }
}
