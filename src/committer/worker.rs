//! The thread that owns the writer: does what the machine says, and tells how far it is.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::machine::{Event, Machine, Step};
use super::{LogState, Options, Outcome, Progress};
use crate::wal::{SeqNo, Storage, WriteError, Writer};

/// What the handles send.
pub(super) enum Message {
    /// To be logged. The permit is its place in the queue.
    Batch { payload: Vec<u8>, count: u32, room: OwnedSemaphorePermit },
    /// To stand at the head of new segments; in order with the batches.
    Snapshot(Vec<u8>),
    /// Delivered up to here.
    Retire(SeqNo),
    /// Finish.
    Stop,
}

/// What waits, in order.
enum Queued {
    Batch { payload: Vec<u8>, count: u32, _room: OwnedSemaphorePermit },
    Snapshot(Vec<u8>),
}

pub(super) fn first_progress<S: Storage>(writer: &Writer<S>) -> Progress {
    Progress {
        written: writer.durable(),
        durable: writer.durable(),
        end: writer.next().prev(),
        records_durable: 0,
        state: LogState::Running,
        usage: writer.usage(),
        beat: 0,
    }
}

pub(super) fn run<S: Storage>(
    writer: Writer<S>,
    options: Options,
    inbox: &Receiver<Message>,
    told: &watch::Sender<Progress>,
    room: &Semaphore,
) -> Outcome {
    let mut machine = Machine::new(options.sync_interval, options.group_bytes_max);
    let started = Instant::now();
    if writer.group_bytes() > 0 {
        // What a crash left and the start found no room for: it is not durable in the new segment yet, and nobody need
        // send anything for it to become so.
        let (unflushed_bytes, group_bytes) = (writer.unflushed_bytes(), writer.group_bytes());
        machine.on(Event::Appended { unflushed_bytes, group_bytes }, started.elapsed());
    }
    let mut worker = Worker {
        writer,
        machine,
        queue: VecDeque::new(),
        told,
        started,
        state: LogState::Running,
        usage_at: None,
    };
    worker.work(inbox);
    // From here on nobody can wait for room that never comes.
    room.close();
    worker.end(inbox)
}

struct Worker<'a, S: Storage> {
    writer: Writer<S>,
    machine: Machine,
    queue: VecDeque<Queued>,
    told: &'a watch::Sender<Progress>,
    started: Instant,
    state: LogState,
    /// When the disk was last asked how much room there is.
    usage_at: Option<Instant>,
}

/// Asking the file system costs a system call; nobody looks more often.
const USAGE_EVERY: Duration = Duration::from_millis(500);

impl<S: Storage> Worker<'_, S> {
    fn work(&mut self, inbox: &Receiver<Message>) {
        loop {
            self.drain(inbox);
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
                Step::Sync => self.writer.sync(wall_clock()).map(|_| Event::Synced),
                Step::MarkDurable => {
                    self.writer.mark_durable(wall_clock()).map(|()| Event::DurabilityMarkWritten)
                }
                Step::Prepare => Ok(Event::Prepared { more: self.writer.prepare() }),
            };
            let appended = matches!(result, Ok(Event::Appended { .. }));
            self.settle(result);
            if !appended {
                self.publish();
            }
        }
    }

    /// Takes in whatever has come, without waiting.
    fn drain(&mut self, inbox: &Receiver<Message>) {
        loop {
            match inbox.try_recv() {
                Ok(message) => self.take(message),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    return self.machine.on(Event::Stop, self.started.elapsed());
                }
            }
        }
    }

    fn wait(&mut self, inbox: &Receiver<Message>, timeout: Duration) {
        match inbox.recv_timeout(timeout) {
            Ok(message) => self.take(message),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                self.machine.on(Event::Stop, self.started.elapsed());
                // A paused log with nobody left still waits for its patience, and must not spin.
                std::thread::sleep(timeout);
            }
        }
    }

    fn take(&mut self, message: Message) {
        let now = self.started.elapsed();
        match message {
            Message::Batch { payload, count, room } => {
                self.queue.push_back(Queued::Batch { payload, count, _room: room });
            }
            Message::Snapshot(snapshot) => self.queue.push_back(Queued::Snapshot(snapshot)),
            Message::Retire(up_to) => {
                self.writer.retire(up_to);
                self.machine.on(Event::Space, now);
            }
            Message::Stop => self.machine.on(Event::Stop, now),
        }
    }

    /// Appends the head of the queue; it leaves the queue only when the log has it.
    fn append(&mut self) -> Result<Event, WriteError> {
        let result = match self.queue.front_mut() {
            Some(Queued::Batch { payload, count, .. }) => self.writer.append(payload, *count).map(|_| ()),
            Some(Queued::Snapshot(snapshot)) => self.writer.set_snapshot(std::mem::take(snapshot)),
            None => Ok(()),
        };
        match result {
            Ok(()) => {
                self.queue.pop_front();
                Ok(Event::Appended {
                    unflushed_bytes: self.writer.unflushed_bytes(),
                    group_bytes: self.writer.group_bytes(),
                })
            }
            Err(error) => Err(error),
        }
    }

    fn settle(&mut self, result: Result<Event, WriteError>) {
        let event = match result {
            Ok(event) => {
                if !matches!(event, Event::Prepared { .. }) {
                    self.state = LogState::Running;
                }
                event
            }
            Err(WriteError::Full(full)) => {
                self.state = LogState::Paused(full.to_string());
                Event::Full
            }
            // The handles refuse what is too large; that it came through is a fault of ours, and no reason to drop it.
            Err(error @ (WriteError::TooLarge { .. } | WriteError::Failed(_))) => {
                self.state = LogState::Failed(error.to_string());
                Event::Failed
            }
        };
        self.machine.on(event, self.started.elapsed());
    }

    fn publish(&mut self) {
        let ask = self.usage_at.is_none_or(|at| at.elapsed() >= USAGE_EVERY);
        if ask {
            self.usage_at = Some(Instant::now());
        }
        self.told.send_modify(|progress| {
            progress.written = self.writer.flushed();
            progress.durable = self.writer.durable();
            progress.end = self.writer.next().prev();
            progress.records_durable = self.writer.records_durable();
            progress.state.clone_from(&self.state);
            progress.beat += 1;
            if ask {
                progress.usage = self.writer.usage();
            }
        });
    }

    fn end(mut self, inbox: &Receiver<Message>) -> Outcome {
        self.drain(inbox);
        let left = self.queue.iter().filter_map(|queued| match queued {
            Queued::Batch { count, .. } => Some(u64::from(*count)),
            Queued::Snapshot(_) => None,
        });
        let (lost_batches, lost_records) =
            left.fold((0, 0), |(batches, records), count| (batches + 1, records + count));
        let (durable, records_durable) = (self.writer.durable(), self.writer.records_durable());
        let closed = match self.state {
            LogState::Failed(error) => Err(error),
            LogState::Running | LogState::Paused(_) | LogState::Stopped => {
                self.writer.close(wall_clock()).map_err(|error| error.to_string())
            }
        };
        let outcome = Outcome {
            durable: *closed.as_ref().unwrap_or(&durable),
            lost_batches,
            lost_records,
            error: closed.err(),
        };
        self.told.send_modify(|progress| {
            progress.durable = outcome.durable;
            progress.records_durable = progress.records_durable.max(records_durable);
            progress.state = outcome.error.clone().map_or(LogState::Stopped, LogState::Failed);
            progress.beat += 1;
        });
        outcome
    }
}

/// For the times inside the log; nothing is decided by it. A clock before 1970 reads as 0.
fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
