//! One lane: does what the machine says.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::machine::{End, Event, Limits, Machine, Step};
use super::status::{LaneState, LaneStatus};
use super::{Options, Shared, chance};
use crate::committer::Progress;
use crate::record;
use crate::sink::{self, Chunk, Connection, Decision, Lane, Sealed, Span, Target};
use crate::wal::{Item, Log, ReadError, Reader, SeqNo, Storage};

/// The lane looks again after so long even if nobody wakes it; nothing depends on that.
const SAFETY_TICK: Duration = Duration::from_secs(10);

/// What to do when rows are refused again and again.
const REFUSED_AGAIN: &str = ": some record was refused in each of the last transactions; see rejected_routes, compare the \
    database's tables, triggers and constraints with docs/SCHEMA.md and mend them: nothing is lost, and delivery goes on \
    by itself";

/// Why a lane could not go on.
#[derive(Debug)]
enum Failure {
    Sink(sink::Error),
    Read(ReadError),
    /// A later version of this program wrote it; it must not be thrown away.
    Newer(u64, record::Error),
    Inconsistent(sink::Inconsistent),
    /// The log gave nothing although it says that there is something.
    Silent(u64),
    /// The task that reads panicked.
    Reader(tokio::task::JoinError),
}

impl Failure {
    fn decision(&self) -> Decision {
        match self {
            Self::Sink(error) => error.decision(),
            Self::Read(ReadError::Io(_)) | Self::Silent(_) => Decision::Retry,
            Self::Read(_) | Self::Newer(..) | Self::Inconsistent(_) | Self::Reader(_) => Decision::Halt,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sink(error) => error.fmt(f),
            Self::Read(error) => write!(f, "reading the log: {error}"),
            Self::Newer(seq, error) => write!(f, "batch {seq}: {error}"),
            Self::Inconsistent(error) => error.fmt(f),
            Self::Silent(seq) => write!(f, "the log does not give batch {seq}"),
            Self::Reader(error) => write!(f, "reading the log: {error}"),
        }
    }
}

impl From<sink::Error> for Failure {
    fn from(error: sink::Error) -> Self {
        Self::Sink(error)
    }
}

/// What a lane needs.
pub(super) struct Task<S: Storage> {
    pub(super) options: Options,
    pub(super) target: Target,
    pub(super) lane: Lane,
    pub(super) owner: [u8; 16],
    pub(super) log: Arc<Log<S>>,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) shared: Arc<Shared>,
}

/// What a lane has at hand.
struct Hand<S: Storage> {
    connection: Option<Connection>,
    reader: Option<Reader<S>>,
    chunk: Option<Chunk>,
    sealed: Option<Sealed>,
    /// The epoch under which this process holds the lane.
    epoch: Option<i64>,
    /// The last sequence number that is known to be stored.
    mark: u64,
}

impl<S: Storage> Task<S> {
    /// Runs until the lane ends.
    pub(super) async fn run(mut self) {
        let start = Instant::now();
        let limits = Limits { delay: self.options.delay };
        let mut machine = Machine::new(limits, self.progress.borrow().durable.0);
        let mut hand =
            Hand { connection: None, reader: None, chunk: None, sealed: None, epoch: None, mark: 0 };
        loop {
            let (durable, known) = {
                let progress = self.progress.borrow_and_update();
                (progress.durable.0, progress.end.0)
            };
            machine.on(Event::Known(known), start.elapsed());
            machine.on(Event::Durable(durable), start.elapsed());
            if *self.stop.borrow_and_update() {
                machine.on(Event::Stop, start.elapsed());
            }
            let step = machine.next(start.elapsed());
            let result = match step {
                Step::Attach { takeover } => {
                    hand.epoch = hand.epoch.filter(|_| !takeover);
                    self.attach(&mut hand).await.map(Some)
                }
                Step::Begin { after } => {
                    self.begin(&mut hand, after);
                    Ok(None)
                }
                Step::Read { limit } => {
                    let rows_max = machine.rows_max(self.options.rows_max);
                    self.read(&mut hand, limit, rows_max).await.map(Some)
                }
                Step::Store => self.store(&mut hand).await.map(Some),
                Step::Isolate => self.isolate(&mut hand).await.map(Some),
                Step::Wait { until } => {
                    self.wait(until.map(|until| start + until), machine.is_caught_up()).await;
                    Ok(None)
                }
                Step::End(end) => return self.ended(end),
            };
            match result {
                Ok(None) => {}
                Ok(Some(event)) => machine.on(event, start.elapsed()),
                Err(failure) => {
                    hand.connection = None;
                    let decision = failure.decision();
                    machine.on(Event::Failed { decision, chance: chance() }, start.elapsed());
                    self.failed(&failure, machine.is_isolating());
                }
            }
        }
    }

    async fn attach(&self, hand: &mut Hand<S>) -> Result<Event, Failure> {
        hand.connection = None;
        let (connection, attached) =
            Connection::attach(&self.target, &self.lane, self.owner, hand.epoch).await?;
        hand.connection = Some(connection);
        (hand.epoch, hand.mark) = (Some(attached.epoch), attached.last_seq);
        tracing::info!(
            lane = self.lane.number,
            epoch = attached.epoch,
            last_seq = attached.last_seq,
            "lane_attached"
        );
        self.report(|status| {
            status.state = LaneState::Draining;
            status.delivered = SeqNo(attached.last_seq);
        });
        Ok(Event::Attached { last_seq: attached.last_seq })
    }

    fn begin(&self, hand: &mut Hand<S>, after: u64) {
        let next = SeqNo(after.saturating_add(1));
        hand.sealed = None;
        hand.chunk = Some(Chunk::new(self.lane.clone(), next.0).with_dedup(self.options.dedup));
        if hand.reader.as_ref().is_none_or(|reader| reader.position() != next) {
            hand.reader = Some(self.log.reader(next));
        }
    }

    /// Reads, decodes and encodes on a thread that may block.
    async fn read(&self, hand: &mut Hand<S>, limit: u64, rows_max: u64) -> Result<Event, Failure> {
        let (Some(mut reader), Some(mut chunk)) = (hand.reader.take(), hand.chunk.take()) else {
            return Err(Failure::Silent(hand.mark));
        };
        let before = chunk.next_seq();
        let filling = move || {
            let result = fill(&mut reader, &mut chunk, SeqNo(limit), rows_max);
            (reader, chunk, result)
        };
        let (reader, chunk, result) = tokio::task::spawn_blocking(filling).await.map_err(Failure::Reader)?;
        let (next, is_full) = (chunk.next_seq(), chunk.is_full(rows_max));
        hand.chunk = Some(chunk);
        hand.reader = Some(reader);
        result?;
        if next == before {
            // The chunk stays; a new reader looks afresh.
            hand.reader = Some(self.log.reader(SeqNo(next)));
            return Err(Failure::Silent(next));
        }
        Ok(Event::Read { last_seq: next - 1, is_full })
    }

    async fn store(&self, hand: &mut Hand<S>) -> Result<Event, Failure> {
        if let Some(chunk) = hand.chunk.take() {
            hand.sealed = Some(chunk.seal());
        }
        let (Some(connection), Some(sealed)) = (hand.connection.as_mut(), hand.sealed.as_ref()) else {
            return Err(Failure::Silent(hand.mark));
        };
        let span = tracing::info_span!(
            "db.batch_write",
            lane = self.lane.number,
            first_seq = sealed.first_seq,
            last_seq = sealed.last_seq,
            routes_count = sealed.counts.routes,
            events_count = sealed.counts.events,
            duration_ms = tracing::field::Empty,
        );
        let start = Instant::now();
        connection.store(sealed).instrument(span.clone()).await?;
        span.record("duration_ms", u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX));
        self.stored(hand);
        Ok(Event::Stored)
    }

    fn stored(&self, hand: &mut Hand<S>) {
        let Some(sealed) = hand.sealed.take() else { return };
        hand.mark = sealed.last_seq;
        self.report(|status| {
            status.delivered = SeqNo(sealed.last_seq);
            status.rows += sealed.rows();
            status.transactions += 1;
            status.received = status.received.max(sealed.received);
            status.state = LaneState::Draining;
        });
    }

    /// Stores the chunk but for the records that the database refuses. They are read from the log once more.
    async fn isolate(&self, hand: &mut Hand<S>) -> Result<Event, Failure> {
        let (Some(connection), Some(sealed)) = (hand.connection.as_mut(), hand.sealed.as_ref()) else {
            return Err(Failure::Silent(hand.mark));
        };
        let mut reader = self.log.reader(SeqNo(sealed.first_seq));
        let (empty, last) = (Span::new(self.lane.clone(), self.options.dedup), SeqNo(sealed.last_seq));
        let reading = tokio::task::spawn_blocking(move || span(&mut reader, empty, last));
        let span = reading.await.map_err(Failure::Reader)??;
        let start = Instant::now();
        let rejected = connection.isolate(sealed, &span).await?;
        let duration_ms = start.elapsed().as_millis();
        let (lane, first_seq) = (self.lane.number, sealed.first_seq);
        tracing::error!(lane, first_seq, last_seq = last.0, rejected, duration_ms, "records_rejected");
        self.report(|status| status.rejected += rejected);
        self.stored(hand);
        Ok(Event::Isolated { rejected })
    }

    async fn wait(&mut self, until: Option<Instant>, is_caught_up: bool) {
        if is_caught_up {
            self.report(|status| {
                if status.state == LaneState::Draining {
                    status.state = LaneState::CaughtUp;
                }
            });
        }
        let until = until.unwrap_or_else(|| Instant::now() + SAFETY_TICK);
        tokio::select! {
            // When the log has ended nothing new comes; an error must not make this a busy loop.
            Ok(()) = self.progress.changed() => {}
            Ok(()) = self.stop.changed() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    fn failed(&self, failure: &Failure, is_isolating: bool) {
        let (lane, mut error) = (self.lane.number, failure.to_string());
        let state = match failure.decision() {
            Decision::Retry | Decision::Slow => {
                tracing::warn!(lane, error, "delivery_failed");
                LaneState::Retrying
            }
            Decision::Reject if is_isolating => {
                tracing::warn!(lane, error, "records_refused");
                LaneState::Retrying
            }
            Decision::Reject => {
                error.push_str(REFUSED_AGAIN);
                tracing::error!(lane, error, "delivery_needs_help");
                LaneState::Alarm
            }
            Decision::Alarm => {
                tracing::error!(lane, error, "delivery_needs_help");
                LaneState::Alarm
            }
            Decision::Halt => {
                tracing::error!(lane, error, "delivery_halted");
                LaneState::Halted
            }
        };
        self.report(|status| {
            status.state = state;
            status.last_error = Some(error);
        });
    }

    fn ended(&self, end: End) {
        let lane = self.lane.number;
        match end {
            End::Stopped => self.report(|status| status.state = LaneState::Stopped),
            End::Halted => {}
            End::Fork { database, durable } => {
                let error = format!(
                    "the database has this log up to {database}, the log ends at {durable}: it was copied or restored"
                );
                tracing::error!(lane, error, "delivery_halted");
                self.report(|status| {
                    status.state = LaneState::Halted;
                    status.last_error = Some(error);
                });
            }
        }
    }

    fn report(&self, change: impl FnOnce(&mut LaneStatus)) {
        self.shared.report(self.lane.number, change);
    }
}

/// Fills the chunk from the log until it is full or there is no more.
fn fill<S: Storage>(
    reader: &mut Reader<S>,
    chunk: &mut Chunk,
    limit: SeqNo,
    rows_max: u64,
) -> Result<(), Failure> {
    while !chunk.is_full(rows_max) {
        match reader.next(limit).map_err(Failure::Read)? {
            None => break,
            Some(Item::Gap { from, to, reason }) => chunk.push_gap(from.0, to.0, reason.name()),
            Some(Item::Data { seq, payload, .. }) => match record::decode(payload) {
                Ok(batch) => chunk.push(seq.0, payload, &batch).map_err(Failure::Inconsistent)?,
                Err(error) if payload.first().is_some_and(|version| *version > record::VERSION) => {
                    return Err(Failure::Newer(seq.0, error));
                }
                // Whole, as the checksum says, and yet no batch: our bug. One batch must not stop all behind it.
                Err(error) => {
                    tracing::error!(seq = seq.0, error = %error, "batch_undecodable");
                    chunk.push_gap(seq.0, seq.0, "undecodable");
                }
            },
        }
    }
    Ok(())
}

/// A range of the log up to `last`, as `fill` took it.
fn span<S: Storage>(reader: &mut Reader<S>, mut span: Span, last: SeqNo) -> Result<Span, Failure> {
    while let Some(item) = reader.next(last).map_err(Failure::Read)? {
        match item {
            Item::Gap { from, to, reason } => span.push_gap(from.0, to.0, reason.name()),
            Item::Data { seq, payload, .. } => match record::decode(payload) {
                Ok(batch) => span.push(seq.0, batch),
                Err(_) => span.push_gap(seq.0, seq.0, "undecodable"),
            },
        }
    }
    Ok(span)
}
