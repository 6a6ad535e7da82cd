//! The log thread: performs the steps of the state machine on the writer, and publishes the progress.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::fair_share::{FairShare, Reservation};
use super::machine::{Event, Machine, Step};
use super::unsynced::Unsynced;
use super::{Limits, LogState, Options, Outcome, Progress, SegmentFailure, SyncTimes};
use crate::num::{to_micros, to_u64};
use crate::wal::{AbandonedSegment, SeqNo, Storage, WriteError, Writer};

/// A message to the log thread.
pub(super) enum Message {
    /// Append a payload with `count` records. The permit is its slots in the queue; the reservation is that
    /// of its router.
    Batch { payload: Vec<u8>, count: u32, slots: OwnedSemaphorePermit, reservation: Option<Reservation> },
    /// Set the state snapshot for new segments, after the batches sent before.
    Snapshot(Vec<u8>),
    /// Everything up to this sequence number is delivered.
    Retire(SeqNo),
    /// Change the limits of the log.
    Limits(Limits),
    /// Finish the queue and end.
    Stop,
}

/// An entry of the queue.
enum Queued {
    Batch { payload: Vec<u8>, count: u32, _slots: OwnedSemaphorePermit, reservation: Option<Reservation> },
    Snapshot(Vec<u8>),
}

pub(super) fn first_progress<S: Storage>(writer: &Writer<S>) -> Progress {
    Progress {
        written: writer.durable(),
        durable: writer.durable(),
        end: writer.next().prev(),
        records_durable: 0,
        unsynced_records: 0,
        unsynced_since: None,
        state: LogState::Running,
        paused_by: None,
        sync_times: SyncTimes::default(),
        usage: writer.usage(),
        segment_failure: None,
        beat: 0,
    }
}

pub(super) fn run<S: Storage>(
    writer: Writer<S>,
    options: Options,
    inbox: &Receiver<Message>,
    publisher: &watch::Sender<Progress>,
    slots: &Semaphore,
    fair_share: &FairShare,
) -> Outcome {
    let mut machine = Machine::new(options.sync_interval, options.group_bytes_max);
    let started = Instant::now();
    if writer.group_bytes() > 0 {
        // The group of a crashed process that could not be relocated for lack of space: it must become
        // durable also if no payload follows.
        let (unflushed_bytes, group_bytes) = (writer.unflushed_bytes(), writer.group_bytes());
        machine.on(Event::Appended { unflushed_bytes, group_bytes }, started.elapsed());
    }
    let unsynced = Unsynced::new(writer.next());
    let mut worker = Worker {
        writer,
        machine,
        queue: VecDeque::new(),
        unsynced,
        publisher,
        fair_share,
        started,
        state: LogState::Running,
        paused_by: None,
        sync_times: SyncTimes::default(),
        usage_updated: None,
    };
    worker.work(inbox);
    // Ends all waits for a free slot, and for space.
    slots.close();
    fair_share.close();
    worker.end(inbox)
}

struct Worker<'a, S: Storage> {
    writer: Writer<S>,
    machine: Machine,
    queue: VecDeque<Queued>,
    unsynced: Unsynced,
    publisher: &'a watch::Sender<Progress>,
    fair_share: &'a FairShare,
    started: Instant,
    state: LogState,
    /// See [`Progress::paused_by`].
    paused_by: Option<&'static str>,
    sync_times: SyncTimes,
    /// Time of the last update of [`Progress::usage`].
    usage_updated: Option<Instant>,
}

/// Interval of updates of [`Progress::usage`], which cost a system call.
const USAGE_INTERVAL: Duration = Duration::from_millis(500);

impl<S: Storage> Worker<'_, S> {
    fn work(&mut self, inbox: &Receiver<Message>) {
        loop {
            self.receive_all(inbox);
            let now = self.started.elapsed();
            let result = match self.machine.next(self.queue.len(), now) {
                Step::End => return,
                Step::Wait(timeout) => {
                    self.publish();
                    self.wait(inbox, timeout);
                    continue;
                }
                Step::Append => self.append(),
                Step::Flush => self.writer.flush().map(|_| Event::Flushed),
                Step::Sync => self.sync(),
                Step::MarkDurable => {
                    self.writer.mark_durable(wall_clock()).map(|()| Event::DurabilityMarkWritten)
                }
                Step::Prepare => Ok(Event::Prepared { more: self.writer.prepare() }),
            };
            self.report_abandoned();
            let appended = matches!(result, Ok(Event::Appended { .. }));
            self.apply(result);
            if !appended {
                self.publish();
            }
        }
    }

    /// Receives all pending messages, without waiting.
    fn receive_all(&mut self, inbox: &Receiver<Message>) {
        loop {
            match inbox.try_recv() {
                Ok(message) => self.receive(message),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    return self.machine.on(Event::Stop, self.started.elapsed());
                }
            }
        }
    }

    fn wait(&mut self, inbox: &Receiver<Message>, timeout: Duration) {
        match inbox.recv_timeout(timeout) {
            Ok(message) => self.receive(message),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                self.machine.on(Event::Stop, self.started.elapsed());
                // A full log is retried until the stop times out; sleeping avoids a busy loop.
                std::thread::sleep(timeout);
            }
        }
    }

    fn receive(&mut self, message: Message) {
        let now = self.started.elapsed();
        match message {
            Message::Batch { payload, count, slots, reservation } => {
                self.unsynced.queued(count, Instant::now());
                self.queue.push_back(Queued::Batch { payload, count, _slots: slots, reservation });
            }
            Message::Snapshot(snapshot) => self.queue.push_back(Queued::Snapshot(snapshot)),
            Message::Retire(up_to) => {
                self.writer.retire(up_to);
                self.machine.on(Event::Space, now);
                if self.fair_share.delivered(up_to.min(self.writer.durable())) {
                    self.fair_share.sample(&self.writer.usage());
                }
            }
            Message::Limits(limits) => {
                self.writer.set_space_limits(limits.bytes_max, limits.free_percent_min);
                // A log that is paused because it is full may have space now.
                self.machine.on(Event::Space, now);
                self.fair_share.set_share(limits.router_share_percent);
                self.fair_share.sample(&self.writer.usage());
            }
            Message::Stop => self.machine.on(Event::Stop, now),
        }
    }

    fn sync(&mut self) -> Result<Event, WriteError> {
        let began = Instant::now();
        self.writer.sync(wall_clock())?;
        self.sync_times.add(began.elapsed());
        Ok(Event::Synced)
    }

    /// Appends the oldest entry of the queue. It stays in the queue if that fails.
    fn append(&mut self) -> Result<Event, WriteError> {
        let (durable, group_bytes) = (self.writer.durable(), self.writer.group_bytes());
        match self.queue.front_mut() {
            Some(Queued::Batch { payload, count, reservation, .. }) => {
                let seq = self.writer.append(payload, *count)?;
                if let Some(reservation) = reservation.take() {
                    // A rotation has ended the group before, which made it durable.
                    let before = if self.writer.durable() == durable { group_bytes } else { 0 };
                    let bytes = self.writer.group_bytes().saturating_sub(before);
                    reservation.appended(seq, to_u64(bytes));
                }
            }
            Some(Queued::Snapshot(snapshot)) => self.writer.set_snapshot(std::mem::take(snapshot))?,
            None => {}
        }
        self.queue.pop_front();
        Ok(Event::Appended {
            unflushed_bytes: self.writer.unflushed_bytes(),
            group_bytes: self.writer.group_bytes(),
        })
    }

    /// Logs and publishes the segments that the last step abandoned.
    fn report_abandoned(&mut self) {
        for abandoned in self.writer.take_abandoned() {
            let file = abandoned.file_name();
            let AbandonedSegment { number: segment, error } = &abandoned;
            tracing::error!(segment, file, %error, "log_segment_abandoned");
            let failure =
                SegmentFailure { segment: *segment, file, error: error.to_string(), time: wall_clock() };
            self.publisher.send_modify(|progress| progress.segment_failure = Some(failure));
        }
    }

    fn apply(&mut self, result: Result<Event, WriteError>) {
        let event = match result {
            Ok(event) => {
                if !matches!(event, Event::Prepared { .. }) {
                    self.state = LogState::Running;
                    self.paused_by = None;
                }
                event
            }
            Err(WriteError::Full(full)) => {
                self.state = LogState::Paused(full.to_string());
                self.paused_by = Some(full.name());
                Event::Full
            }
            // `Committer::append` checks the size, so `TooLarge` is an internal error. The payload must not
            // be dropped.
            Err(error @ (WriteError::TooLarge { .. } | WriteError::Failed(_))) => {
                self.state = LogState::Failed(error.to_string());
                Event::Failed
            }
        };
        self.machine.on(event, self.started.elapsed());
    }

    fn publish(&mut self) {
        let updates_usage = self.usage_updated.is_none_or(|updated| updated.elapsed() >= USAGE_INTERVAL);
        if updates_usage {
            self.usage_updated = Some(Instant::now());
        }
        self.unsynced.synced(self.writer.durable());
        let usage = updates_usage.then(|| self.writer.usage());
        if let Some(usage) = &usage {
            self.fair_share.sample(usage);
        }
        self.publisher.send_modify(|progress| {
            progress.written = self.writer.flushed();
            progress.durable = self.writer.durable();
            progress.unsynced_records = self.unsynced.records();
            progress.unsynced_since = self.unsynced.since();
            progress.end = self.writer.next().prev();
            progress.records_durable = self.writer.records_durable();
            progress.state.clone_from(&self.state);
            progress.paused_by = self.paused_by;
            progress.sync_times = self.sync_times;
            progress.beat += 1;
            if let Some(usage) = usage {
                progress.usage = usage;
            }
        });
    }

    fn end(mut self, inbox: &Receiver<Message>) -> Outcome {
        self.receive_all(inbox);
        let (mut lost_batches, mut lost_records) = (0, 0);
        for queued in &self.queue {
            if let Queued::Batch { count, .. } = queued {
                lost_batches += 1;
                lost_records += u64::from(*count);
            }
        }
        let state = std::mem::replace(&mut self.state, LogState::Stopped);
        let paused = match &state {
            LogState::Paused(reason) => Some(reason.clone()),
            LogState::Running | LogState::Failed(_) | LogState::Stopped => None,
        };
        let closed = match state {
            LogState::Failed(error) => Err(error),
            LogState::Running | LogState::Paused(_) | LogState::Stopped => {
                // Closing consumes the writer: an error of the last sync is reported before.
                let synced = self.writer.sync(wall_clock());
                self.report_abandoned();
                synced.map_err(|error| error.to_string())
            }
        };
        let (durable, records_durable) = (self.writer.durable(), self.writer.records_durable());
        let closed = closed.and_then(|_| self.writer.close(wall_clock()).map_err(|error| error.to_string()));
        let outcome = Outcome {
            durable: *closed.as_ref().unwrap_or(&durable),
            lost_batches,
            lost_records,
            paused,
            error: closed.err(),
        };
        self.unsynced.synced(outcome.durable);
        self.publisher.send_modify(|progress| {
            progress.durable = outcome.durable;
            progress.unsynced_records = self.unsynced.records();
            progress.unsynced_since = self.unsynced.since();
            progress.records_durable = progress.records_durable.max(records_durable);
            progress.state = outcome.error.clone().map_or(LogState::Stopped, LogState::Failed);
            progress.beat += 1;
        });
        outcome
    }
}

/// Wall clock in µs since the Unix epoch; 0 for a clock before 1970.
fn wall_clock() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    to_micros(since_epoch)
}
