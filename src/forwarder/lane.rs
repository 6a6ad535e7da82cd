//! The task of one lane: carries out the steps that the state machine decides on.

mod attach;
mod attempts;
mod order;
mod outcome;
mod positions;
mod quarantine;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::backoff::{self, Outage};
use super::error::LaneError;
use super::machine::{End, Event, Limits, Machine, Step};
use super::options::Settings;
use super::reading::Reading;
use super::reporter::Reporter;
use super::status::{LaneState, LaneStatus, QUARANTINED_MAX, QuarantinedSource};
use crate::committer::Progress;
use crate::num::to_millis;
use crate::sink::{Connection, Lane, Offender, SharedPeers, Transaction};
use crate::wal::{Log, SeqNo, Storage};
pub(super) use positions::{Position, Positions};
use quarantine::QuarantinePolicy;

/// Longest wait before the progress of the log is checked again. A safeguard: every change also wakes the
/// lane.
const SAFETY_TICK: Duration = Duration::from_secs(10);

/// One lane's inputs.
pub(super) struct Task<S: Storage> {
    pub(super) settings: watch::Receiver<Settings>,
    pub(super) lane: Lane,
    /// The random id under which this process holds its lanes.
    pub(super) owner: [u8; 16],
    pub(super) log: Arc<Log<S>>,
    /// Progress of the log writer.
    pub(super) progress: watch::Receiver<Progress>,
    /// Last batch to deliver; `None` to deliver all.
    pub(super) until: Option<u64>,
    /// Becomes true when the lane is to stop.
    pub(super) stop: watch::Receiver<bool>,
    pub(super) reporter: Arc<Reporter>,
    /// How far each lane is.
    pub(super) positions: Arc<Positions>,
    pub(super) position_changes: watch::Receiver<Vec<Position>>,
    /// Peers that one lane stores and another one remembers.
    pub(super) shared_peers: Arc<SharedPeers>,
}

/// The connection, log reader and transaction that a lane holds between steps.
struct LaneResources<S: Storage> {
    /// `None` while the lane is detached.
    connection: Option<Connection>,
    reading: Reading<S>,
    /// The transaction to store, kept until it is known to be committed.
    transaction: Option<Transaction>,
    /// The fencing epoch under which this process holds the lane; `None` before the first attachment.
    epoch: Option<i64>,
    /// Last sequence number that is known to be stored.
    stored: u64,
    /// Whether the transaction was sent without a reply, so that it may be committed.
    is_in_doubt: bool,
    /// Whether the transaction after the last one that was stored or attempted was sent as well.
    has_sent_ahead: bool,
    outage: Outage,
    quarantine: QuarantinePolicy,
}

impl<S: Storage> Task<S> {
    /// Runs until the lane ends.
    pub(super) async fn run(mut self) {
        let start = Instant::now();
        let Settings { options, .. } = self.settings.borrow().clone();
        let limits = Limits { delay: options.delay };
        let mut machine = Machine::new(limits, self.progress.borrow().durable.0);
        let reading = Reading::new(Arc::clone(&self.log), self.lane.clone(), options.dedup);
        let mut resources = LaneResources::new(reading);
        loop {
            let durable = self.observe(&mut machine, &resources, start.elapsed());
            if self.until.is_some_and(|until| resources.connection.is_some() && machine.stored() >= until) {
                return self.ended(End::Stopped);
            }
            let step = machine.next(start.elapsed());
            let rows_max = machine.rows_max(self.settings.borrow().options.rows_max);
            if let Some(connection) = &mut resources.connection {
                connection.set_timeout_factor(machine.timeout_factor());
            }
            let result = match step {
                Step::Attach { takeover } => {
                    resources.epoch = resources.epoch.filter(|_| !takeover);
                    self.attach(&mut resources).await.map(Some)
                }
                Step::Begin { after } => {
                    self.begin(&mut resources, after, start.elapsed()).await.map(|()| None)
                }
                Step::Read { limit } => {
                    let passed = self.passed_by_dump_lanes();
                    resources.reading.read(limit, rows_max, passed).await.map(Some)
                }
                Step::Store => {
                    let (sealed, passed) = (resources.transaction.take(), self.passed_by_dump_lanes());
                    let seal = || resources.reading.seal(machine.readable(), rows_max, passed);
                    resources.transaction = sealed.or_else(seal);
                    self.store(&mut resources, rows_max).await.map(Some)
                }
                Step::Isolate => {
                    let now = start.elapsed();
                    self.isolate(&mut resources, machine.is_doubtful(), now).await.map(Some)
                }
                Step::Wait { until } => {
                    if machine.is_caught_up() && resources.connection.is_some() {
                        resources.outage.end(Some(self.lane.number));
                    }
                    if *self.stop.borrow() && self.waits_for_ended_lane(&resources, durable) {
                        return self.ended(End::Stopped);
                    }
                    let until = until.map(|until| start + until);
                    self.wait(&mut resources, until, machine.is_caught_up()).await;
                    self.check_connection(&resources).await.map(|()| None)
                }
                Step::End(end) => return self.ended(end),
            };
            match result {
                Ok(None) => {}
                Ok(Some(event)) => machine.on(event, start.elapsed()),
                Err(error) => {
                    self.doubt_other_lanes(&error);
                    self.note_attempt(&mut resources, step, &error);
                    resources.connection = None;
                    resources.outage.failed();
                    let action = error.action();
                    machine.on(Event::Failed { action, jitter: backoff::jitter() }, start.elapsed());
                    self.failed(&error, machine.is_isolating());
                }
            }
            self.publish_position(&resources, machine.stored());
        }
    }

    /// Passes changes outside the lane to the machine. Returns the last durable batch.
    fn observe(&mut self, machine: &mut Machine, resources: &LaneResources<S>, now: Duration) -> u64 {
        let (durable, log_end) = {
            let progress = self.progress.borrow_and_update();
            (progress.durable.0, progress.end.0)
        };
        machine.on(Event::LogEnd(log_end), now);
        let durable = durable.min(self.until.unwrap_or(u64::MAX));
        machine.on(Event::Durable(durable), now);
        if *self.stop.borrow_and_update() {
            machine.on(Event::Stop, now);
        }
        self.apply_settings(machine);
        // Before the positions are read, so that no later change is missed.
        self.position_changes.mark_unchanged();
        machine.on(Event::Allowed(self.allowed(resources)), now);
        durable
    }

    fn apply_settings(&mut self, machine: &mut Machine) {
        if self.settings.has_changed().unwrap_or_default() {
            machine.reload(Limits { delay: self.settings.borrow_and_update().options.delay });
        }
    }

    /// Begins a transaction after batch `after`.
    async fn begin(
        &self,
        resources: &mut LaneResources<S>,
        after: u64,
        now: Duration,
    ) -> Result<(), LaneError> {
        resources.transaction = None;
        let released = self.release(resources, now).await;
        resources.reading.begin(after);
        released
    }

    async fn store(&self, resources: &mut LaneResources<S>, rows_max: u64) -> Result<Event, LaneError> {
        let is_quarantining = resources.quarantine.quarantined().next().is_some();
        let Some((connection, transaction)) =
            resources.connection.as_mut().zip(resources.transaction.as_mut())
        else {
            return Err(LaneError::NothingRead(resources.stored + 1));
        };
        if !connection.has_sent(transaction) {
            self.note_order(Some(transaction))?;
        }
        let transaction = &*transaction;
        let span = tracing::info_span!(
            "db.batch_write",
            lane = self.lane.number,
            first_seq = transaction.first_seq,
            last_seq = transaction.last_seq,
            routes_count = transaction.counts.routes,
            events_count = transaction.counts.events,
            duration_ms = tracing::field::Empty,
        );
        let start = Instant::now();
        let reading = &mut resources.reading;
        let next = async {
            // With a quarantine, the connection may be needed between two transactions.
            let next = if is_quarantining { None } else { reading.seal_ahead(rows_max).await }?;
            self.note_order(Some(next)).is_ok().then_some(&*next)
        };
        let stored = connection.store_and_send_next(transaction, next).instrument(span.clone()).await;
        resources.has_sent_ahead =
            resources.reading.sealed_ahead().is_some_and(|next| connection.has_sent(next));
        stored?;
        let duration_ms = to_millis(start.elapsed());
        span.record("duration_ms", duration_ms);
        span.in_scope(|| tracing::debug!("transaction_stored"));
        let counts = transaction.counts;
        self.committed(resources, counts.quarantined);
        self.report(|status| {
            status.transactions.stored += 1;
            status.dropped += counts.dropped;
        });
        Ok(Event::Stored)
    }

    /// `rejected` is the number of records of the transaction that went to `rejected_routes`.
    fn committed(&self, resources: &mut LaneResources<S>, rejected: u64) {
        let Some(transaction) = resources.transaction.take() else { return };
        resources.stored = transaction.last_seq;
        resources.outage.end(Some(self.lane.number));
        self.report(|status| {
            status.delivered = SeqNo(transaction.last_seq);
            status.rows += transaction.rows();
            status.rejected += rejected;
            status.state = LaneState::Draining;
        });
    }

    /// Stores the transaction without the records that the database rejects, which are read from the log once
    /// more. Sources with too many of them are quarantined.
    async fn isolate(
        &self,
        resources: &mut LaneResources<S>,
        is_doubtful: bool,
        now: Duration,
    ) -> Result<Event, LaneError> {
        self.note_order(resources.transaction.as_mut())?;
        let (_, transaction) = resources.connection_and_transaction()?;
        let (first_seq, last_seq) = (transaction.first_seq, transaction.last_seq);
        let records = resources.reading.record_range(first_seq, last_seq).await?;
        let quarantine = resources.quarantine.current();
        let (connection, transaction) = resources.connection_and_transaction()?;
        let start = Instant::now();
        let isolated = connection.isolate(transaction, records, &quarantine, is_doubtful).await?;
        let duration_ms = to_millis(start.elapsed());
        let (lane, rejected) = (self.lane.number, isolated.rejected);
        tracing::error!(lane, first_seq, last_seq, rejected, duration_ms, "records_rejected");
        self.committed(resources, rejected);
        self.report(|status| status.transactions.isolated += 1);
        let rejecting = if isolated.offenders.is_empty() { 0 } else { rejected };
        self.quarantine(resources, isolated.offenders, now);
        Ok(Event::Isolated { rejected: rejecting })
    }

    /// Quarantines the sources that a transaction has given up.
    fn quarantine(&self, resources: &mut LaneResources<S>, offenders: Vec<Offender>, now: Duration) {
        let given_up = resources.quarantine.on_rejected(offenders, now);
        for (source, cause) in resources.quarantine.quarantined() {
            if given_up.contains(source) {
                let (lane, router, peer) = (self.lane.number, &source.router, source.peer_text());
                let error = cause.to_string();
                tracing::error!(lane, router, peer, error, "source_quarantined");
            }
        }
        if !given_up.is_empty() {
            self.quarantine_changed(resources);
        }
    }

    /// Ends the quarantines that are over, and checks whether `rejected_routes` has room for the others.
    async fn release(&self, resources: &mut LaneResources<S>, now: Duration) -> Result<(), LaneError> {
        let released = resources.quarantine.advance(now);
        for source in &released {
            let (lane, router, peer) = (self.lane.number, &source.router, source.peer_text());
            tracing::info!(lane, router, peer, "source_released");
        }
        if !released.is_empty() {
            self.quarantine_changed(resources);
        }
        if resources.quarantine.must_check_size(now)
            && let Some(connection) = &resources.connection
        {
            let bytes = connection.rejected_bytes().await?;
            let bytes_max = self.settings.borrow().options.rejected_max_bytes;
            if resources.quarantine.set_full(bytes >= bytes_max) {
                let lane = self.lane.number;
                if bytes >= bytes_max {
                    tracing::error!(lane, bytes, bytes_max, "rejected_routes_full");
                } else {
                    tracing::info!(lane, bytes, bytes_max, "rejected_routes_not_full");
                }
                resources.reading.set_quarantine(resources.quarantine.current());
            }
        }
        Ok(())
    }

    fn quarantine_changed(&self, resources: &mut LaneResources<S>) {
        resources.reading.set_quarantine(resources.quarantine.current());
        let quarantined = || resources.quarantine.quarantined();
        let sources = quarantined().take(QUARANTINED_MAX).map(|(source, cause)| QuarantinedSource {
            router: source.router.clone(),
            peer: source.peer_text(),
            error: cause.to_string(),
        });
        self.report(|status| {
            status.quarantined = quarantined().count();
            status.quarantined_sources = sources.collect();
        });
    }

    async fn wait(&mut self, resources: &mut LaneResources<S>, until: Option<Instant>, is_caught_up: bool) {
        let keep_going = async {
            match &mut resources.connection {
                Some(connection) => connection.keep_going().await,
                None => std::future::pending().await,
            }
        };
        if is_caught_up {
            self.report(|status| {
                if status.state == LaneState::Draining {
                    status.state = LaneState::CaughtUp;
                }
            });
        }
        let until = until.unwrap_or_else(|| Instant::now() + SAFETY_TICK);
        tokio::select! {
            // A channel whose sender is gone returns an error at once; that must not become a busy loop.
            Ok(()) = self.progress.changed() => {}
            Ok(()) = self.position_changes.changed() => {}
            Ok(()) = self.stop.changed() => {}
            Ok(()) = self.settings.changed() => self.settings.mark_changed(),
            () = tokio::time::sleep_until(until) => {}
            () = keep_going => {}
        }
    }

    fn report(&self, change: impl FnOnce(&mut LaneStatus)) {
        self.reporter.update_lane(self.lane.number, change);
    }
}

impl<S: Storage> LaneResources<S> {
    fn new(reading: Reading<S>) -> Self {
        Self {
            connection: None,
            reading,
            transaction: None,
            epoch: None,
            stored: 0,
            is_in_doubt: false,
            has_sent_ahead: false,
            outage: Outage::default(),
            quarantine: QuarantinePolicy::default(),
        }
    }

    /// The connection and the transaction to store on it.
    fn connection_and_transaction(&mut self) -> Result<(&mut Connection, &Transaction), LaneError> {
        match (self.connection.as_mut(), self.transaction.as_ref()) {
            (Some(connection), Some(transaction)) => Ok((connection, transaction)),
            _ => Err(LaneError::NothingRead(self.stored + 1)),
        }
    }
}
