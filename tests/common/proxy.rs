//! A TCP proxy that injects faults: it drops the response to COMMIT, closes connections in the middle of a
//! message, delays, limits the rate, or makes connections half-open. It also counts round trips.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The faults of the proxy, which can be changed at any time, and its counters.
#[derive(Default)]
pub struct Faults {
    /// Number of responses to COMMIT still to be dropped; each closes its connection.
    pub commits_to_lose: AtomicU64,
    /// Bytes that are still sent to the server before the connection is closed; negative: no limit.
    pub bytes_until_cut: AtomicI64,
    /// Delay in both directions, in milliseconds.
    pub delay_ms: AtomicU64,
    /// Rate towards the server in bytes per second; 0: no limit.
    pub bytes_per_second: AtomicU64,
    /// Connections with a lower number are half-open: they transfer no data and are not closed.
    pub swallow_below: AtomicU64,
    /// Whether new connections are half-open. Those that are open are not affected, also by their end.
    pub swallow_new: AtomicBool,
    /// Number of connections so far.
    pub connections: AtomicU64,
    /// Number of injected faults so far.
    pub done: AtomicU64,
    /// Number of times that a client sent something after a response had reached it. With a delay that is
    /// longer than the pauses of a client that does not wait, this is the number of round trips.
    pub round_trips: AtomicU64,
    /// Whether a response has reached the client since it last sent something.
    answered: AtomicBool,
}

pub struct Proxy {
    pub address: SocketAddr,
    pub faults: Arc<Faults>,
}

impl Proxy {
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let faults = Arc::new(Faults::default());
        faults.bytes_until_cut.store(-1, Ordering::SeqCst);
        let shared = Arc::clone(&faults);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(server).await;
                if let Ok(server) = server {
                    let number = shared.connections.fetch_add(1, Ordering::SeqCst);
                    if shared.swallow_new.load(Ordering::SeqCst) {
                        // Keeps both sockets open.
                        tokio::spawn(async move {
                            std::future::pending::<()>().await;
                            drop((client, server));
                        });
                    } else {
                        tokio::spawn(carry(number, client, server, Arc::clone(&shared)));
                    }
                }
            }
        });
        Self { address, faults }
    }
}

impl Faults {
    /// Makes all open connections half-open.
    pub fn swallow(&self) {
        self.swallow_below.store(self.connections.load(Ordering::SeqCst), Ordering::SeqCst);
        self.done.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether the connection ends before these bytes are sent to the server.
    fn cuts(&self, length: usize) -> bool {
        let left = self.bytes_until_cut.load(Ordering::SeqCst);
        let length = i64::try_from(length).unwrap();
        if left < 0 {
            return false;
        }
        self.bytes_until_cut.store(if left <= length { -1 } else { left - length }, Ordering::SeqCst);
        self.done.fetch_add(u64::from(left <= length), Ordering::SeqCst);
        left <= length
    }

    /// Whether these bytes of the server contain a response to COMMIT that is to be dropped.
    fn loses(&self, bytes: &[u8]) -> bool {
        // CommandComplete: 'C', length, command tag, NUL.
        let is_commit = bytes.windows(12).any(|window| window == b"C\0\0\0\x0bCOMMIT\0");
        let one_less = |left: u64| left.checked_sub(1);
        let loses = is_commit
            && self.commits_to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
        self.done.fetch_add(u64::from(loses), Ordering::SeqCst);
        loses
    }
}

/// Forwards both directions until either end closes or a fault ends the connection. Dropping the sockets
/// closes both.
async fn carry(number: u64, client: TcpStream, server: TcpStream, faults: Arc<Faults>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = one_way(number, from_client, to_server, &faults, true) => {}
        () = one_way(number, from_server, to_client, &faults, false) => {}
    }
}

/// Forwards one direction. Reading and writing are separate, so that a delay does not limit the bandwidth.
async fn one_way(number: u64, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, faults: &Faults, is_up: bool) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(256);
    let reading = async move {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(length) = from.read(&mut buffer).await {
            let bytes = &buffer[..length];
            if is_up && faults.answered.swap(false, Ordering::SeqCst) {
                faults.round_trips.fetch_add(1, Ordering::SeqCst);
            }
            if length == 0 || (is_up && faults.cuts(length)) || (!is_up && faults.loses(bytes)) {
                return;
            }
            let at = Instant::now() + Duration::from_millis(faults.delay_ms.load(Ordering::SeqCst));
            if sender.send((at, bytes.to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((at, bytes)) = receiver.recv().await {
            tokio::time::sleep_until(at).await;
            if number < faults.swallow_below.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if !is_up {
                faults.answered.store(true, Ordering::SeqCst);
            }
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let rate = if is_up { faults.bytes_per_second.load(Ordering::SeqCst) } else { 0 };
                let (part, wait) = match 512_000_u64.checked_div(rate) {
                    Some(wait) => (rest.len().min(512), wait),
                    None => (rest.len(), 0),
                };
                if wait > 0 {
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                if to.write_all(&rest[..part]).await.is_err() {
                    return;
                }
                rest = &rest[part..];
            }
        }
    };
    // Data that was read before the end is still written.
    tokio::join!(reading, writing);
}
