//! Output of a sender: progress once a second, and the totals at the end.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::failure::Failure;

/// Messages sent by this process, over all connections.
static SENT: AtomicU64 = AtomicU64::new(0);

/// Totals of one run.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Totals {
    /// TCP connections established.
    pub(crate) connections: u64,
    /// Connections lost before everything was sent.
    pub(crate) lost: u64,
    /// BMP messages written to the connection.
    pub(crate) messages: u64,
    /// Routes in those messages, announced and withdrawn; `None` for a replay, which does not decode them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) routes: Option<u64>,
    /// Bytes written to the connection.
    pub(crate) bytes: u64,
    /// Duration of the run, in seconds.
    pub(crate) seconds: f64,
}

impl Totals {
    /// Adds the totals of another connection. The duration is unchanged.
    pub(crate) fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.lost += other.lost;
        self.messages += other.messages;
        self.routes = self.routes.zip(other.routes).map(|(a, b)| a + b);
        self.bytes += other.bytes;
    }

    /// Prints the totals on stdout, as JSON or as text.
    pub(crate) fn print(&self, json: bool) -> Result<(), Failure> {
        let line = if json {
            serde_json::to_string(self).map_err(|error| Failure::Other(error.to_string()))?
        } else {
            let rate = if self.seconds > 0.0 { self.count() as f64 / self.seconds } else { 0.0 };
            let routes = self.routes.map(|routes| format!("{routes} routes in ")).unwrap_or_default();
            format!(
                "sent {routes}{} messages, {} bytes, over {} connections ({} lost) in {:.1} s: {rate:.0}/s",
                self.messages, self.bytes, self.connections, self.lost, self.seconds
            )
        };
        writeln!(io::stdout().lock(), "{line}").map_err(|error| Failure::io("stdout", error))
    }

    fn count(&self) -> u64 {
        self.routes.unwrap_or(self.messages)
    }
}

/// Progress on stderr, at most once a second. On a terminal each line overwrites the previous one.
pub(crate) struct Progress {
    is_shown: bool,
    /// Line end: carriage return on a terminal, else newline.
    end: char,
    last: Instant,
}

impl Progress {
    /// Progress that is shown on a terminal, and elsewhere if requested.
    pub(crate) fn new(requested: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        Self {
            is_shown: requested || terminal,
            end: if terminal { '\r' } else { '\n' },
            last: Instant::now(),
        }
    }

    /// Adds messages to the count, and shows it if a second has passed since it was last shown.
    pub(crate) fn sent(&mut self, messages: u64) {
        let messages = SENT.fetch_add(messages, Ordering::Relaxed) + messages;
        if self.is_shown && self.last.elapsed() >= Duration::from_secs(1) {
            self.last = Instant::now();
            // A closed terminal does not stop the sender.
            write!(io::stderr().lock(), "{messages} messages{}", self.end).unwrap_or_default();
        }
    }

    /// Shows the final count and ends the line.
    pub(crate) fn done(&self) {
        if self.is_shown {
            let messages = SENT.load(Ordering::Relaxed);
            writeln!(io::stderr().lock(), "{messages} messages").unwrap_or_default();
        }
    }
}
