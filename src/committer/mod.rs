//! The one owner of the log writer: queue, append, sync once, answer all.
//!
//! ```text
//!  append ──► queue (bounded: full = the caller waits) ──► thread "wal": Machine says, Writer does ──► Progress
//! ```
//!
//! [`machine`] decides and knows neither disk nor clock nor thread; the thread in [`worker`] does what it says.

pub mod machine;
mod worker;

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fmt, io};

use tokio::sync::{Semaphore, watch};

use crate::wal::{SeqNo, Storage, Usage, Writer};
use worker::Message;

/// How the queue and the groups are sized.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A group is synced when its first payload is this old; 0 = every payload that was waiting, at once.
    pub sync_interval: Duration,
    /// So many payloads wait at most; then [`Committer::append`] waits.
    pub queue_batches: usize,
    /// A group is synced when it has this many bytes.
    pub group_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { sync_interval: Duration::from_millis(200), queue_batches: 64, group_bytes_max: 4 << 20 }
    }
}

/// Whether the log takes anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogState {
    /// It does.
    Running,
    /// Not now, and why; it goes on by itself.
    Paused(String),
    /// Never again, and why: the process should end.
    Failed(String),
    /// It was stopped in order.
    Stopped,
}

/// How far the log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Up to here a killed process loses nothing.
    pub written: SeqNo,
    /// Up to here a power cut loses nothing.
    pub durable: SeqNo,
    /// Last number that the log has, shown or not: more than `durable` while a group is open, and while the last group that a
    /// crash left has found no room for its copy (docs/WAL.md, recovery).
    pub end: SeqNo,
    /// Records in what became durable since the start.
    pub records_durable: u64,
    /// Whether the log takes anything.
    pub state: LogState,
    /// Room.
    pub usage: Usage,
    /// Moves at least once a second while the thread lives and the disk answers.
    pub beat: u64,
}

/// Why a payload was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// The log has ended, in order or not: see [`Progress::state`].
    Stopped,
    /// It can never be logged; the caller must cut it up.
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("the log takes no more"),
            Self::TooLarge { bytes, bytes_max } => {
                write!(f, "a payload of {bytes} bytes is above the limit of {bytes_max}")
            }
        }
    }
}

impl std::error::Error for AppendError {}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Last durable number.
    pub durable: SeqNo,
    /// Payloads that were in the queue and could not be logged.
    pub lost_batches: u64,
    /// Records in them.
    pub lost_records: u64,
    /// What was in the way, if anything.
    pub error: Option<String>,
}

/// A handle for everybody who logs or watches.
#[derive(Clone)]
pub struct Committer {
    messages: Sender<Message>,
    room: Arc<Semaphore>,
    progress: watch::Receiver<Progress>,
    payload_bytes_max: usize,
    /// Number of the last payload that was queued: each gets the next one, in this order.
    last: Arc<Mutex<SeqNo>>,
}

/// Starts the thread that owns `writer`.
pub fn spawn<S: Storage>(
    writer: Writer<S>,
    options: Options,
) -> io::Result<(Committer, JoinHandle<Outcome>)> {
    let room = Arc::new(Semaphore::new(options.queue_batches.max(1)));
    let (messages, inbox) = std::sync::mpsc::channel();
    let payload_bytes_max = writer.payload_bytes_max();
    let (told, progress) = watch::channel(worker::first_progress(&writer));
    let last = Arc::new(Mutex::new(writer.next().prev()));
    let closing = Arc::clone(&room);
    let thread = std::thread::Builder::new()
        .name("wal".to_owned())
        .spawn(move || worker::run(writer, options, &inbox, &told, &closing))?;
    Ok((Committer { messages, room, progress, payload_bytes_max, last }, thread))
}

impl Committer {
    /// Queues a payload with `count` records. Waits while the queue is full: that is the back-pressure. The order of
    /// one caller's payloads is kept. Returns the number that it will have: in the log it is when [`Progress::written`] has
    /// reached that.
    pub async fn append(&self, payload: Vec<u8>, count: u32) -> Result<SeqNo, AppendError> {
        let (bytes, bytes_max) = (payload.len(), self.payload_bytes_max);
        if bytes > bytes_max {
            return Err(AppendError::TooLarge { bytes, bytes_max });
        }
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(|_| AppendError::Stopped)?;
        // Both under the lock, or another caller's payload could come in between.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        self.messages.send(Message::Batch { payload, count, room }).map_err(|_| AppendError::Stopped)?;
        *last = last.next();
        Ok(*last)
    }

    /// How far the log is, now and at each change.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Everything up to here is delivered: its space may be used again.
    pub fn retire(&self, up_to: SeqNo) {
        self.tell(Message::Retire(up_to));
    }

    /// These bytes stand at the head of each new segment from now on. They tell the state after what is queued so far.
    pub fn set_snapshot(&self, snapshot: Vec<u8>) {
        self.tell(Message::Snapshot(snapshot));
    }

    /// Takes no more, logs what is queued, makes it durable, seals the log and ends the thread.
    pub fn stop(&self) {
        self.room.close();
        self.tell(Message::Stop);
    }

    /// After the end there is nobody to tell, and nothing to be told.
    fn tell(&self, message: Message) {
        drop(self.messages.send(message));
    }
}
