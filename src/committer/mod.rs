//! Group commit: a bounded queue of payloads, and one thread that owns the log writer.
//!
//! ```text
//!  append_from ──► router below its limit? ──► its part of the queue ──► queue ──► thread "wal" ──► Progress
//!                  (else the caller waits)     (4 MiB, else waits)      (bounded)  Machine, Writer
//! ```
//!
//! [`machine`] decides the next step, without disk, clock or thread; [`worker`] is the thread that performs
//! it. [`accounts`] has the rule by which routers share the log. A caller takes slots of the queue last, so
//! that a router that waits for its own limits holds up no other; the slots are given in the order of the
//! requests, of which each session has one at most, so that routers that fill the queue take turns.

pub mod accounts;
mod dump_backlog;
pub mod fair_share;
pub mod machine;
mod sync_times;
mod unsynced;
mod worker;

use std::io;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};

use crate::num::to_u32_saturating;
use crate::wal::{SeqNo, Storage, Usage, Writer};
use dump_backlog::DumpBacklog;
use fair_share::{FairShare, Reservation, Source};
use worker::Message;

pub use dump_backlog::DumpProgress;
pub use sync_times::SyncTimes;

/// Bytes of a payload for which it takes one slot of the queue.
const SLOT_BYTES: usize = 256 << 10;

/// Sizes of the queue and of sync groups.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Maximum age of the first payload of a group before the group is synced. 0 syncs all queued payloads at
    /// once.
    pub sync_interval: Duration,
    /// Maximum number of queued payloads; [`Committer::append`] waits at this limit. A payload of more than
    /// 256 KiB counts once for each 256 KiB.
    pub queue_batches: usize,
    /// Size of a group, in bytes, at which it is synced.
    pub group_bytes_max: usize,
    /// Percentage of the log that the undelivered batches of one router may fill; 100 for no limit. See
    /// [`accounts`].
    pub router_share_percent: u8,
}

/// Limits that may be changed while the log thread runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum size of all segment files together, in bytes; at least that of six segments. A log that is
    /// larger is not cut: it accepts nothing until enough of it is delivered.
    pub bytes_max: u64,
    /// Percentage of the file system that must stay free.
    pub free_percent_min: u8,
    /// See [`Options::router_share_percent`].
    pub router_share_percent: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sync_interval: Duration::from_millis(200),
            queue_batches: 64,
            group_bytes_max: 4 << 20,
            router_share_percent: 75,
        }
    }
}

/// State of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogState {
    /// The log accepts batches.
    Running,
    /// The log accepts no batches until the condition in this text ends. It is retried automatically.
    Paused(String),
    /// Writing failed for good, with the error in this text. The process should end.
    Failed(String),
    /// The log was sealed.
    Stopped,
}

/// A segment that was abandoned after an I/O error. Its undecided payloads are in another segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFailure {
    /// Segment number.
    pub segment: u64,
    /// File name of the segment.
    pub file: String,
    /// Text of the I/O error.
    pub error: String,
    /// Time of the failure in µs since the Unix epoch.
    pub time: i64,
}

/// Progress of the log, published after every step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Last sequence number that survives the end of this process.
    pub written: SeqNo,
    /// Last sequence number that survives a power loss.
    pub durable: SeqNo,
    /// Last sequence number in the log, visible to readers or not. It is above `durable` while a group is
    /// open, and while the last group of a crashed process cannot be relocated for lack of space
    /// (docs/WAL.md, recovery).
    pub end: SeqNo,
    /// Records in the payloads that became durable since the start.
    pub records_durable: u64,
    /// Records that were queued or written and are not durable: those that a power loss would cost.
    pub unsynced_records: u64,
    /// Time at which the oldest of these records was queued; `None` if there is none.
    pub unsynced_since: Option<Instant>,
    /// State of the log.
    pub state: LogState,
    /// Why the log is paused, in one word; `None` if it is not.
    pub paused_by: Option<&'static str>,
    /// Durations of the syncs that ended a group by its age or size.
    pub sync_times: SyncTimes,
    /// Disk usage of the log, at most half a second old.
    pub usage: Usage,
    /// The last segment that was abandoned since the start; `None` if there was none.
    pub segment_failure: Option<SegmentFailure>,
    /// Heartbeat counter: increases at least once a second while the thread runs and the disk responds.
    pub beat: u64,
}

/// Why a payload was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The log was stopped or has failed; see [`Progress::state`].
    #[error("the log is closed")]
    Stopped,
    /// The payload exceeds the size limit. The caller must split it.
    #[error("payload of {bytes} bytes exceeds the limit of {bytes_max} bytes")]
    TooLarge {
        /// Length of the payload in bytes.
        bytes: usize,
        /// Size limit of a payload in bytes.
        bytes_max: usize,
    },
}

/// Result of the log thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Last durable sequence number.
    pub durable: SeqNo,
    /// Number of payloads that were queued and not logged.
    pub lost_batches: u64,
    /// Number of records in these payloads.
    pub lost_records: u64,
    /// Condition because of which the log did not accept these payloads; `None` if it accepted all.
    pub paused: Option<String>,
    /// Text of the error that ended the thread or kept the log from being sealed.
    pub error: Option<String>,
}

/// A handle to the log thread.
#[derive(Clone)]
pub struct Committer {
    messages: Sender<Message>,
    /// One permit for each free slot of the queue.
    slots: Arc<Semaphore>,
    /// Number of slots.
    slots_max: usize,
    fair_share: Arc<FairShare>,
    progress: watch::Receiver<Progress>,
    payload_bytes_max: usize,
    queued: Arc<Mutex<Queued>>,
}

/// What was queued, and what of it the dump lanes have delivered.
struct Queued {
    /// Sequence number of the last payload.
    last: SeqNo,
    backlog: DumpBacklog,
}

/// Starts the log thread, which owns `writer`.
///
/// # Errors
/// If the thread cannot be created.
pub fn spawn<S: Storage>(
    writer: Writer<S>,
    options: Options,
) -> io::Result<(Committer, JoinHandle<Outcome>)> {
    let slots_max = options.queue_batches.max(1);
    let slots = Arc::new(Semaphore::new(slots_max));
    let fair_share = FairShare::new(options.router_share_percent, &writer.usage());
    let (messages, inbox) = std::sync::mpsc::channel();
    let payload_bytes_max = writer.payload_bytes_max();
    let (publisher, progress) = watch::channel(worker::first_progress(&writer));
    let last = writer.next().prev();
    let queued = Arc::new(Mutex::new(Queued { last, backlog: DumpBacklog::new(last) }));
    let (thread_slots, thread_share) = (Arc::clone(&slots), Arc::clone(&fair_share));
    let thread = std::thread::Builder::new()
        .name("wal".to_owned())
        .spawn(move || worker::run(writer, options, &inbox, &publisher, &thread_slots, &thread_share))?;
    Ok((Committer { messages, slots, slots_max, fair_share, progress, payload_bytes_max, queued }, thread))
}

impl Committer {
    /// Queues a payload of a router, like [`Committer::append`]. Waits while the router is at its limit, or
    /// has 4 MiB in the queue.
    ///
    /// # Errors
    /// [`AppendError`]; the payload is then not queued.
    pub async fn append_from(
        &self,
        source: Source<'_>,
        payload: Vec<u8>,
        count: u32,
    ) -> Result<SeqNo, AppendError> {
        self.check_size(&payload)?;
        let reservation = self.fair_share.reserve(source, payload.len()).await;
        self.queue(payload, count, Some(reservation)).await
    }

    /// Queues a payload with `count` records, and returns its sequence number. Waits while the queue is full.
    ///
    /// The payloads of one caller keep their order. The payload is in the log once [`Progress::written`] has
    /// reached its sequence number.
    ///
    /// # Errors
    /// [`AppendError`]; the payload is then not queued.
    pub async fn append(&self, payload: Vec<u8>, count: u32) -> Result<SeqNo, AppendError> {
        self.check_size(&payload)?;
        self.queue(payload, count, None).await
    }

    const fn check_size(&self, payload: &[u8]) -> Result<(), AppendError> {
        let (bytes, bytes_max) = (payload.len(), self.payload_bytes_max);
        if bytes > bytes_max { Err(AppendError::TooLarge { bytes, bytes_max }) } else { Ok(()) }
    }

    async fn queue(
        &self,
        payload: Vec<u8>,
        count: u32,
        reservation: Option<Reservation>,
    ) -> Result<SeqNo, AppendError> {
        let slots = payload.len().div_ceil(SLOT_BYTES).clamp(1, self.slots_max);
        let slots = Arc::clone(&self.slots).acquire_many_owned(to_u32_saturating(slots)).await;
        let slots = slots.map_err(|_| AppendError::Stopped)?;
        // Sending under the lock keeps the numbers in the order of the queue.
        let mut queued = self.queued();
        let batch = Message::Batch { payload, count, slots, reservation };
        self.messages.send(batch).map_err(|_| AppendError::Stopped)?;
        let seq = queued.last.next();
        queued.last = seq;
        queued.backlog.queued(seq, count);
        Ok(seq)
    }

    fn queued(&self) -> MutexGuard<'_, Queued> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the last batch that every dump lane has delivered.
    pub fn set_dump_delivered(&self, delivered: SeqNo) {
        self.queued().backlog.set_delivered(delivered);
    }

    /// Progress of the dump lanes.
    #[must_use]
    pub fn dump_progress(&self) -> DumpProgress {
        self.queued().backlog.progress()
    }

    /// Use of the log by each router.
    #[must_use]
    pub fn fair_share(&self) -> Arc<FairShare> {
        Arc::clone(&self.fair_share)
    }

    /// The current progress, and notifications of changes.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Declares everything up to `up_to` delivered: its space may be recycled.
    pub fn retire(&self, up_to: SeqNo) {
        self.send(Message::Retire(up_to));
    }

    /// Sets the state snapshot for the head of each new segment. It describes the state after all queued
    /// payloads.
    pub fn set_snapshot(&self, snapshot: Vec<u8>) {
        self.send(Message::Snapshot(snapshot));
    }

    /// Changes the limits of the log, from now on.
    pub fn set_limits(&self, limits: Limits) {
        self.send(Message::Limits(limits));
    }

    /// Rejects new payloads, logs the queued ones, makes them durable, seals the log and ends the thread.
    pub fn stop(&self) {
        self.slots.close();
        self.fair_share.close();
        self.send(Message::Stop);
    }

    /// Sends a message. After the end of the thread it has no effect.
    fn send(&self, message: Message) {
        drop(self.messages.send(message));
    }
}
