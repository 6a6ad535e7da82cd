//! One lane: does what the machine says.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::machine::{End, Event, Limits, Machine, Step};
use super::reading::Reading;
use super::status::{LaneState, LaneStatus};
use super::{Options, Shared, chance};
use crate::codec;
use crate::committer::Progress;
use crate::sink::{self, Connection, ErrorAction, Lane, MigrateError, Target, Transaction};
use crate::wal::{Log, ReadError, SeqNo, Storage};

/// The lane looks again after so long even if nobody wakes it; nothing depends on that.
const SAFETY_TICK: Duration = Duration::from_secs(10);

/// What to do when rows are refused again and again.
const REFUSED_AGAIN: &str = ": some record was refused in each of the last transactions; see rejected_routes, compare the \
    database's tables, triggers and constraints with docs/SCHEMA.md and mend them: nothing is lost, and delivery goes on \
    by itself";

/// Why a lane could not go on.
#[derive(Debug)]
pub(super) enum Failure {
    Sink(sink::Error),
    /// The schema is not there, and cannot be made.
    Migrate(MigrateError),
    Read(ReadError),
    /// A later version of this program wrote it; it must not be thrown away.
    Newer(u64, codec::Error),
    Inconsistent(sink::InconsistentBatch),
    /// The log gave nothing although it says that there is something.
    Silent(u64),
    /// The task that reads panicked.
    Reader(tokio::task::JoinError),
}

impl Failure {
    fn action(&self) -> ErrorAction {
        match self {
            Self::Sink(error) => error.action(),
            Self::Migrate(error) => error.action(),
            Self::Read(ReadError::Io(_)) | Self::Silent(_) => ErrorAction::Retry,
            Self::Read(_) | Self::Newer(..) | Self::Inconsistent(_) | Self::Reader(_) => ErrorAction::Halt,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sink(error) => error.fmt(f),
            Self::Migrate(error) => error.fmt(f),
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
    reading: Reading<S>,
    sealed: Option<Transaction>,
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
        let reading = Reading::new(Arc::clone(&self.log), self.lane.clone(), self.options.dedup);
        let mut hand = Hand { connection: None, reading, sealed: None, epoch: None, mark: 0 };
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
            let rows_max = machine.rows_max(self.options.rows_max);
            if let Some(connection) = &mut hand.connection {
                connection.set_timeout_factor(machine.patience());
            }
            let result = match step {
                Step::Attach { takeover } => {
                    hand.epoch = hand.epoch.filter(|_| !takeover);
                    self.attach(&mut hand).await.map(Some)
                }
                Step::Begin { after } => {
                    hand.sealed = None;
                    hand.reading.begin(after);
                    Ok(None)
                }
                Step::Read { limit } => hand.reading.read(limit, rows_max).await.map(Some),
                Step::Store => {
                    hand.sealed = hand.sealed.take().or_else(|| hand.reading.seal(durable, rows_max));
                    self.store(&mut hand).await.map(Some)
                }
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
                    let decision = failure.action();
                    machine.on(Event::Failed { decision, chance: chance() }, start.elapsed());
                    self.failed(&failure, machine.is_isolating());
                }
            }
        }
    }

    async fn attach(&self, hand: &mut Hand<S>) -> Result<Event, Failure> {
        hand.connection = None;
        let attach = || Connection::attach(&self.target, &self.lane, self.owner, hand.epoch);
        let (connection, attached) = match attach().await {
            // A database that was made anew: what the log still has is sent again.
            Err(error) if error.lacks_schema() => {
                sink::migrate(
                    &mut self.target.connect().await.map_err(sink::Error::from)?,
                    self.options.chunk_interval_days,
                )
                .await
                .map_err(Failure::Migrate)?;
                attach().await?
            }
            other => other?,
        };
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

    async fn store(&self, hand: &mut Hand<S>) -> Result<Event, Failure> {
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
        let span = hand.reading.span(sealed.first_seq, sealed.last_seq).await?;
        let start = Instant::now();
        let rejected = connection.isolate(sealed, &span).await?;
        let duration_ms = start.elapsed().as_millis();
        let (lane, first_seq, last_seq) = (self.lane.number, sealed.first_seq, sealed.last_seq);
        tracing::error!(lane, first_seq, last_seq, rejected, duration_ms, "records_rejected");
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
        let state = match failure.action() {
            ErrorAction::Retry | ErrorAction::RetrySmaller => {
                tracing::warn!(lane, error, "delivery_failed");
                LaneState::Retrying
            }
            ErrorAction::Reject if is_isolating => {
                tracing::warn!(lane, error, "records_refused");
                LaneState::Retrying
            }
            ErrorAction::Reject => {
                error.push_str(REFUSED_AGAIN);
                tracing::error!(lane, error, "delivery_needs_help");
                LaneState::Alarm
            }
            ErrorAction::Alarm => {
                tracing::error!(lane, error, "delivery_needs_help");
                LaneState::Alarm
            }
            ErrorAction::Halt => {
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
