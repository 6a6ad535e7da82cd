//! One way out: a paced TCP connection (or a file), written in big pieces.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::report::{Progress, Totals};

/// Bytes gathered before one write: large enough that system calls do not limit the rate.
const WRITE_BYTES: usize = 256 << 10;
/// Shortest sleep of a paced sender: the burst that one sleep lets gather is rate × this.
const SLEEP_MIN: Duration = Duration::from_millis(2);
/// Time between two attempts to connect.
const RETRY: Duration = Duration::from_millis(100);

/// Where to send, and how fast.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Target {
    /// Collector to send to.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) to: Option<String>,
    /// Source address, so that several senders on one host are several routers.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) from: Option<IpAddr>,
    /// Connect again when the connection is lost, and begin anew as a router does.
    #[arg(long)]
    pub(crate) reconnect: bool,
    /// Give up when no connection comes about for so long.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) connect_seconds: u64,
    /// Say every second how many messages were sent, also when stderr is no terminal.
    #[arg(long)]
    progress: bool,
    /// Print the totals as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

enum Way {
    Tcp(TcpStream),
    File(File),
}

/// An open way out with its own pace.
pub(crate) struct Link {
    way: Way,
    pending: Vec<u8>,
    pace: Pace,
    progress: Progress,
    /// Messages that the progress knows of.
    told: u64,
    /// What went out so far on this link.
    pub(crate) totals: Totals,
}

impl Target {
    /// Connects; tries again until `connect_seconds` have passed.
    pub(crate) fn connect(&self, rate: Option<f64>) -> Result<Link, Failure> {
        let to = self.to.as_deref().ok_or_else(|| Failure::Other("--to HOST:PORT is missing".into()))?;
        let deadline = Instant::now() + Duration::from_secs(self.connect_seconds);
        loop {
            match self.connect_once(to) {
                Ok(stream) => return Ok(Link::new(Way::Tcp(stream), rate, self.progress)),
                Err(error) if Instant::now() >= deadline => return Err(Failure::at(to, &error)),
                Err(_) => thread::sleep(RETRY),
            }
        }
    }

    fn connect_once(&self, to: &str) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no address of that name");
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
    /// A file instead of a connection.
    pub(crate) fn file(file: File) -> Self {
        Self::new(Way::File(file), None, false)
    }

    fn new(way: Way, rate: Option<f64>, progress: bool) -> Self {
        Self {
            way,
            pending: Vec::with_capacity(WRITE_BYTES * 2),
            pace: Pace::new(rate),
            progress: Progress::new(progress),
            told: 0,
            totals: Totals { connections: 1, ..Totals::default() },
        }
    }

    /// Sets another rate from now on. A file has none.
    pub(crate) fn set_rate(&mut self, rate: f64) {
        if matches!(self.way, Way::Tcp(_)) {
            self.pace = Pace::new(Some(rate));
        }
    }

    /// Waits until the pace allows `count` more; what is gathered goes out before it sleeps.
    pub(crate) fn wait(&mut self, count: u64) -> Result<(), Failure> {
        while !self.pace.take(count) {
            self.flush()?;
            thread::sleep(self.pace.sleep());
        }
        Ok(())
    }

    /// The buffer to append whole messages to; call [`Link::sent`] afterwards.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.pending
    }

    /// Counts messages that were appended, and writes when enough is gathered.
    pub(crate) fn sent(&mut self, messages: u64) -> Result<(), Failure> {
        self.totals.messages += messages;
        if self.pending.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes all that is gathered.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        if self.pending.is_empty() {
            return Ok(());
        }
        match &mut self.way {
            Way::Tcp(stream) => stream.write_all(&self.pending).map_err(Failure::Lost)?,
            Way::File(file) => {
                file.write_all(&self.pending).map_err(|error| Failure::at("output", &error))?
            }
        }
        self.totals.bytes += self.pending.len() as u64;
        self.pending.clear();
        self.progress.sent(self.totals.messages - self.told);
        self.told = self.totals.messages;
        Ok(())
    }

    /// Says nothing for so long, as a router with a quiet table; notices when the other side goes away.
    pub(crate) fn hold(&mut self, time: Duration) -> Result<(), Failure> {
        self.flush()?;
        let Way::Tcp(stream) = &mut self.way else { return Ok(()) };
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

    /// Sends the rest, says that no more comes, and waits until the other side has read to the end and closed too.
    /// A reset instead means that it died with bytes of ours unread.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        self.flush()?;
        self.progress.done();
        let Way::Tcp(stream) = &mut self.way else { return Ok(()) };
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

/// Allows `rate` per second on average since its start, in bursts no longer than a sleep.
struct Pace {
    rate: Option<f64>,
    start: Instant,
    taken: u64,
    allowed: u64,
}

impl Pace {
    fn new(rate: Option<f64>) -> Self {
        Self { rate, start: Instant::now(), taken: 0, allowed: 0 }
    }

    fn take(&mut self, count: u64) -> bool {
        let Some(rate) = self.rate else { return true };
        if self.taken >= self.allowed {
            self.allowed = due(self.start.elapsed(), rate);
        }
        let may = self.taken < self.allowed;
        if may {
            self.taken += count;
        }
        may
    }

    /// Until the next one is due, but not so short that the sleeping itself costs.
    fn sleep(&self) -> Duration {
        let rate = self.rate.unwrap_or(f64::INFINITY);
        let next = Duration::try_from_secs_f64((self.taken + 1) as f64 / rate).unwrap_or(SLEEP_MIN);
        next.saturating_sub(self.start.elapsed()).max(SLEEP_MIN)
    }
}

/// How many are due after so long.
#[allow(
    clippy::cast_possible_truncation,
    reason = "a float becomes a count: `as` saturates, which is what is meant"
)]
#[allow(clippy::cast_sign_loss, reason = "time and rate are not negative")]
fn due(elapsed: Duration, rate: f64) -> u64 {
    (elapsed.as_secs_f64() * rate) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_grows_with_time_and_rate() {
        assert_eq!(due(Duration::from_millis(1500), 20_000.0), 30_000);
        assert_eq!(due(Duration::ZERO, 20_000.0), 0);
    }

    #[test]
    fn without_a_rate_everything_is_allowed_at_once() {
        let mut pace = Pace::new(None);
        assert!((0..1000).all(|_| pace.take(1_000_000)));
    }

    #[test]
    fn a_pace_gives_out_no_more_than_is_due() {
        let mut pace = Pace::new(Some(1.0));
        pace.start = Instant::now() + Duration::from_secs(3600);
        assert!(!pace.take(1), "nothing is due before the start");
    }
}
