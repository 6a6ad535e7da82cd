//! `bench link`: a TCP proxy with the round-trip time and the rate of a slow link.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::Failure;

/// Bytes that are read at a time.
const READ_BYTES: usize = 64 << 10;
/// Number of reads that are under way at the same time: 32 MiB, more than a link of 80 MB/s and 200 ms holds.
const READS: usize = 512;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Server to which connections are made
    #[arg(long, value_name = "ADDRESS")]
    to: SocketAddr,
    /// Round-trip time in milliseconds; half of it in each direction
    #[arg(long, value_name = "MS", default_value_t = 0)]
    round_trip: u64,
    /// Rate towards the server in bytes per second, of all connections together; 0: no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    bytes_per_second: u32,
}

/// A rate that several connections share: the time at which the next byte may be sent.
struct Rate {
    bytes_per_second: u32,
    free_at: Mutex<Instant>,
}

impl Rate {
    /// The time at which so many bytes have been sent.
    fn reserve(&self, bytes: usize) -> Instant {
        let now = Instant::now();
        if self.bytes_per_second == 0 {
            return now;
        }
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        *free_at = (*free_at).max(now) + Duration::from_secs(1) * bytes / self.bytes_per_second;
        *free_at
    }
}

/// Prints the address of the proxy, and forwards connections until the process ends.
pub(crate) fn run(arguments: &Arguments) -> Result<String, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(forward(arguments))
}

async fn forward(arguments: &Arguments) -> Result<String, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(io::stdout().lock(), "{}", listener.local_addr()?)?;
    io::stdout().lock().flush()?;
    let delay = Duration::from_micros(arguments.round_trip * 500);
    let rate = |bytes_per_second| Arc::new(Rate { bytes_per_second, free_at: Mutex::new(Instant::now()) });
    let (up, down) = (rate(arguments.bytes_per_second), rate(0));
    loop {
        let (client, _) = listener.accept().await?;
        let server = TcpStream::connect(arguments.to).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        tokio::spawn(one_way(from_client, to_server, delay, Arc::clone(&up)));
        tokio::spawn(one_way(from_server, to_client, delay, Arc::clone(&down)));
    }
}

/// Forwards one direction. Reading and writing are separate, so that the delay does not limit the rate.
async fn one_way(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration, rate: Arc<Rate>) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(READS);
    let reading = async move {
        loop {
            let mut bytes = Vec::with_capacity(READ_BYTES);
            match from.read_buf(&mut bytes).await {
                Ok(1..) => {}
                _ => return,
            }
            let sent_at = rate.reserve(bytes.len());
            tokio::time::sleep_until(sent_at).await;
            if sender.send((sent_at + delay, bytes)).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((at, bytes)) = receiver.recv().await {
            tokio::time::sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    // Either end closes both sockets of its direction.
    tokio::join!(reading, writing);
}
