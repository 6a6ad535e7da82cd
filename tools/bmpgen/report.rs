//! What a sender says: a line a second on a terminal, and the totals at the end.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Failure;

/// Messages that this process has sent over all its connections.
static SENT: AtomicU64 = AtomicU64::new(0);

/// Totals of one run.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Totals {
    /// TCP connections that were made.
    pub(crate) connections: u64,
    /// Connections that ended before all was sent.
    pub(crate) lost: u64,
    /// BMP messages handed to the network.
    pub(crate) messages: u64,
    /// Routes in them (announced and withdrawn); not known for a replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) routes: Option<u64>,
    /// Bytes handed to the network.
    pub(crate) bytes: u64,
    /// How long it took.
    pub(crate) seconds: f64,
}

impl Totals {
    /// Adds the totals of a connection that ran beside this one.
    pub(crate) fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.lost += other.lost;
        self.messages += other.messages;
        self.routes = self.routes.zip(other.routes).map(|(a, b)| a + b);
        self.bytes += other.bytes;
    }

    /// Prints the totals on stdout, as JSON or as a line for people.
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
        writeln!(io::stdout().lock(), "{line}").map_err(|error| Failure::at("stdout", &error))
    }

    fn count(&self) -> u64 {
        self.routes.unwrap_or(self.messages)
    }
}

/// Progress on stderr, at most once a second: over and over in one line for a person, line after line for a script.
pub(crate) struct Progress {
    shown: bool,
    end: char,
    last: Instant,
}

impl Progress {
    /// Shown on a terminal, and elsewhere when asked for.
    pub(crate) fn new(asked: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        Self { shown: asked || terminal, end: if terminal { '\r' } else { '\n' }, last: Instant::now() }
    }

    /// Counts, and shows the count when a second has passed since the last time.
    pub(crate) fn sent(&mut self, messages: u64) {
        let messages = SENT.fetch_add(messages, Ordering::Relaxed) + messages;
        if self.shown && self.last.elapsed() >= Duration::from_secs(1) {
            self.last = Instant::now();
            // Progress is a courtesy: a terminal that went away does not stop the sender.
            write!(io::stderr().lock(), "{messages} messages{}", self.end).unwrap_or_default();
        }
    }

    /// Says the last count and ends the line.
    pub(crate) fn done(&self) {
        if self.shown {
            let messages = SENT.load(Ordering::Relaxed);
            writeln!(io::stderr().lock(), "{messages} messages").unwrap_or_default();
        }
    }
}
