//! A TCP proxy that loses the answer to COMMIT, or cuts the connection in the middle of what is sent.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    dead_code,
    unreachable_pub,
    reason = "test code; what is shared is used in part by each test binary"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the proxy does to connections, changeable at any time.
#[derive(Default)]
pub struct Faults {
    /// So many answers to COMMIT are still to be swallowed, each with the end of its connection.
    pub commits_to_lose: AtomicU64,
    /// So many more bytes go to the server before the connection is cut; negative: no limit.
    pub bytes_until_cut: AtomicI64,
    /// How many faults there were.
    pub done: AtomicU64,
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
                    tokio::spawn(carry(client, server, Arc::clone(&shared)));
                }
            }
        });
        Self { address, faults }
    }
}

/// Carries both ways until either end closes or a fault ends it. Dropping the sockets closes both.
async fn carry(client: TcpStream, server: TcpStream, faults: Arc<Faults>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let shared = Arc::clone(&faults);
    let up = async move {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(length) = from_client.read(&mut buffer).await {
            let left = shared.bytes_until_cut.load(Ordering::SeqCst);
            if length == 0 {
                return;
            }
            if left >= 0 {
                let length = i64::try_from(length).unwrap();
                shared.bytes_until_cut.store((left - length).max(0), Ordering::SeqCst);
                if left <= length {
                    shared.bytes_until_cut.store(-1, Ordering::SeqCst);
                    shared.done.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
            if to_server.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    };
    let down = async move {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(length) = from_server.read(&mut buffer).await {
            let bytes = &buffer[..length];
            // CommandComplete: 'C', length, the tag and its zero.
            let is_commit = bytes.windows(12).any(|window| window == b"C\0\0\0\x0bCOMMIT\0");
            let lose = is_commit
                && faults
                    .commits_to_lose
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                    .is_ok();
            if lose {
                faults.done.fetch_add(1, Ordering::SeqCst);
                return;
            }
            if length == 0 || to_client.write_all(bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}
