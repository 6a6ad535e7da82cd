//! Output of a sender: a rate-limited TCP connection or a file, with large writes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use holdfast::num::floor_to_u64;

use crate::failure::Failure;
use crate::report::{Progress, Totals};

/// Buffered bytes at which the buffer is written: large enough that system calls do not limit the rate.
const WRITE_BYTES: usize = 256 << 10;
/// Shortest sleep of a rate-limited sender; the largest burst is the rate times this.
const SLEEP_MIN: Duration = Duration::from_millis(2);
/// Interval between two attempts to connect.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Arguments for the connection and the output.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Target {
    /// Address of the collector
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) to: Option<String>,
    /// Source address, so that several senders on one host appear as different routers
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) from: Option<IpAddr>,
    /// After a lost connection, connect again and restart from the beginning, as a router does
    #[arg(long)]
    pub(crate) reconnect: bool,
    /// Time limit for connecting
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) connect_seconds: u64,
    /// Print the number of sent messages once a second, even if stderr is not a terminal
    #[arg(long)]
    progress: bool,
    /// Print the totals as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

enum Output {
    Tcp(TcpStream),
    File(File),
}

/// An open output with its own rate limit.
pub(crate) struct Link {
    output: Output,
    /// Bytes to write.
    pending: Vec<u8>,
    limit: RateLimit,
    progress: Progress,
    /// Messages already added to the progress.
    reported: u64,
    /// Totals of this link so far.
    pub(crate) totals: Totals,
}

impl Target {
    /// Connects, with retries until `connect_seconds` have passed.
    pub(crate) fn connect(&self, rate: Option<f64>) -> Result<Link, Failure> {
        let to = self.to.as_deref().ok_or_else(|| {
            Failure::Other("missing option: --to HOST:PORT (or --out FILE for a table)".into())
        })?;
        let deadline = Instant::now() + Duration::from_secs(self.connect_seconds);
        loop {
            match self.connect_once(to) {
                Ok(stream) => return Ok(Link::new(Output::Tcp(stream), rate, self.progress)),
                Err(error) if Instant::now() >= deadline => return Err(Failure::io(to, error)),
                Err(_) => thread::sleep(RETRY_INTERVAL),
            }
        }
    }

    fn connect_once(&self, to: &str) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
        for address in to.to_socket_addrs()? {
            match self.connect_address(address) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn connect_address(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let Some(from) = self.from else { return TcpStream::connect(address) };
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::STREAM,
            Some(socket2::Protocol::TCP),
        )?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
        socket.connect(&address.into())?;
        Ok(socket.into())
    }
}

impl Link {
    /// A link that writes to a file, without a rate limit.
    pub(crate) fn file(file: File) -> Self {
        Self::new(Output::File(file), None, false)
    }

    fn new(output: Output, rate: Option<f64>, progress: bool) -> Self {
        Self {
            output,
            pending: Vec::with_capacity(WRITE_BYTES * 2),
            limit: RateLimit::new(rate),
            progress: Progress::new(progress),
            reported: 0,
            totals: Totals { connections: 1, ..Totals::default() },
        }
    }

    /// Sets the rate from now on. Has no effect on a file.
    pub(crate) fn set_rate(&mut self, rate: f64) {
        if matches!(self.output, Output::Tcp(_)) {
            self.limit = RateLimit::new(Some(rate));
        }
    }

    /// Waits until the rate limit admits `count` more. Buffered bytes are written before each sleep.
    pub(crate) fn wait(&mut self, count: u64) -> Result<(), Failure> {
        while !self.limit.take(count) {
            self.flush()?;
            thread::sleep(self.limit.sleep());
        }
        Ok(())
    }

    /// The buffer for whole messages. [`Link::sent`] must be called after appending.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.pending
    }

    /// Counts messages appended to the buffer, and writes the buffer if it is large enough.
    pub(crate) fn sent(&mut self, messages: u64) -> Result<(), Failure> {
        self.totals.messages += messages;
        if self.pending.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes the buffer.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        if self.pending.is_empty() {
            return Ok(());
        }
        match &mut self.output {
            Output::Tcp(stream) => stream.write_all(&self.pending).map_err(Failure::Lost)?,
            Output::File(file) => {
                file.write_all(&self.pending).map_err(|error| Failure::io("output file", error))?
            }
        }
        self.totals.bytes += self.pending.len() as u64;
        self.pending.clear();
        self.progress.sent(self.totals.messages - self.reported);
        self.reported = self.totals.messages;
        Ok(())
    }

    /// Keeps the connection open for `time` without sending, as a router with a stable table.
    ///
    /// # Errors
    /// The collector closed the connection.
    pub(crate) fn hold(&mut self, time: Duration) -> Result<(), Failure> {
        self.flush()?;
        let Output::Tcp(stream) = &mut self.output else { return Ok(()) };
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            stream.set_read_timeout(Some(left)).map_err(Failure::Lost)?;
            match stream.read(&mut [0; 64]) {
                Ok(0) => return Err(Failure::Lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Lost(error)),
            }
        }
    }

    /// Writes the buffer, shuts down the sending side, and waits until the collector has read everything and
    /// closed.
    ///
    /// # Errors
    /// The connection was reset: the collector ended with unread bytes.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        self.flush()?;
        self.progress.done();
        let Output::Tcp(stream) = &mut self.output else { return Ok(()) };
        stream.shutdown(Shutdown::Write).map_err(Failure::Lost)?;
        stream.set_read_timeout(None).map_err(Failure::Lost)?;
        loop {
            match stream.read(&mut [0; 64]) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Lost(error)),
            }
        }
    }
}

/// Admits `rate` items per second on average since its start, in bursts no longer than one sleep.
struct RateLimit {
    /// Items per second; `None` is unlimited.
    rate: Option<f64>,
    start: Instant,
    /// Items admitted so far.
    taken: u64,
    /// Items that may be admitted so far, as last computed.
    allowed: u64,
}

impl RateLimit {
    fn new(rate: Option<f64>) -> Self {
        Self { rate, start: Instant::now(), taken: 0, allowed: 0 }
    }

    /// Admits `count` items, or returns false if none are due yet.
    fn take(&mut self, count: u64) -> bool {
        let Some(rate) = self.rate else { return true };
        if self.taken >= self.allowed {
            self.allowed = due(self.start.elapsed(), rate);
        }
        let is_due = self.taken < self.allowed;
        if is_due {
            self.taken += count;
        }
        is_due
    }

    /// Time until the next item is due, at least [`SLEEP_MIN`].
    fn sleep(&self) -> Duration {
        let rate = self.rate.unwrap_or(f64::INFINITY);
        let next = Duration::try_from_secs_f64((self.taken + 1) as f64 / rate).unwrap_or(SLEEP_MIN);
        next.saturating_sub(self.start.elapsed()).max(SLEEP_MIN)
    }
}

/// Number of items due after `elapsed`.
fn due(elapsed: Duration, rate: f64) -> u64 {
    floor_to_u64(elapsed.as_secs_f64() * rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_due_items_grows_with_time_and_rate() {
        assert_eq!(due(Duration::from_millis(1500), 20_000.0), 30_000);
        assert_eq!(due(Duration::ZERO, 20_000.0), 0);
    }

    #[test]
    fn without_a_rate_everything_is_admitted_at_once() {
        let mut limit = RateLimit::new(None);
        assert!((0..1000).all(|_| limit.take(1_000_000)));
    }

    #[test]
    fn a_rate_limit_admits_no_more_than_is_due() {
        let mut limit = RateLimit::new(Some(1.0));
        limit.start = Instant::now() + Duration::from_secs(3600);
        assert!(!limit.take(1), "nothing is due before the start");
    }
}
