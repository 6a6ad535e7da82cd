//! Builds transactions from the log. The next transaction is built while the current one is stored.
//!
//! ```text
//! store      │ transaction 1 │ transaction 2 │
//! build   1  │ 2     │       │ 3     │
//! ```
//!
//! The server works while the next transaction is decoded and encoded. A transaction that was built ahead is
//! used only if the lane continues where it begins. After a failure the lane may continue elsewhere; the
//! transaction is then discarded and built again. Once it is full, it is sealed ahead, so that it can be sent
//! before the current one is known to be stored; the one after it is built only then.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::error::LaneError;
use super::machine::Event;
use crate::codec;
use crate::route::Batch;
use crate::sink::{Dedup, Lane, Quarantine, RecordRange, Transaction, TransactionBuilder};
use crate::wal::{Item, Log, Reader, SeqNo, Storage};

/// A batch that waits for dump lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Barrier {
    /// Sequence number of the batch.
    pub(super) seq: u64,
    /// Sequence number that the other dump lanes must have passed before.
    pub(super) after: u64,
}

/// Reason of a gap for a batch that is intact but cannot be decoded.
const UNDECODABLE: &str = "undecodable";

/// The log reader and the open transaction of one lane.
pub(super) struct Reading<S: Storage> {
    log: Arc<Log<S>>,
    lane: Lane,
    dedup: Dedup,
    /// Whether history rows have their attributes themselves.
    is_whole: bool,
    /// Sources whose records are set aside.
    quarantine: Arc<Quarantine>,
    /// The last batch that had to wait for dump lanes; it may have been read since.
    barrier: Option<Barrier>,
    /// The open transaction; `None` while it is built on another thread.
    open: Option<OpenTransaction<S>>,
    /// The transaction that is built while the current one is stored.
    ahead: Option<Ahead<S>>,
}

/// A transaction that is being built, with the reader that continues after its last batch.
struct OpenTransaction<S: Storage> {
    reader: Reader<S>,
    builder: TransactionBuilder,
    /// The batch at which the last reading ended.
    barrier: Option<Barrier>,
}

/// The task that adds batches to a transaction.
type Building<S> = JoinHandle<(OpenTransaction<S>, Result<(), LaneError>)>;

/// The transaction after the current one.
struct Ahead<S: Storage> {
    /// First batch of the transaction.
    first_seq: u64,
    state: AheadState<S>,
}

enum AheadState<S: Storage> {
    Building(Building<S>),
    Built(Box<OpenTransaction<S>>, Result<(), LaneError>),
    /// With the reader that continues after it.
    Sealed(Box<Transaction>, Reader<S>),
}

impl<S: Storage> Reading<S> {
    pub(super) fn new(log: Arc<Log<S>>, lane: Lane, dedup: Dedup) -> Self {
        Self {
            log,
            lane,
            dedup,
            is_whole: false,
            quarantine: Arc::default(),
            barrier: None,
            open: None,
            ahead: None,
        }
    }

    /// Sets whether the history rows of further transactions have their attributes themselves.
    pub(super) const fn set_whole_rows(&mut self, is_whole: bool) {
        self.is_whole = is_whole;
    }

    /// Sets the sources whose records the next transaction sets aside. A transaction that was built ahead
    /// with other ones is discarded.
    pub(super) fn set_quarantine(&mut self, quarantine: Arc<Quarantine>) {
        self.quarantine = quarantine;
        self.ahead = None;
    }

    /// An empty transaction that begins at `first_seq`. Reuses `reader` if it is positioned there.
    fn open(&self, first_seq: u64, reader: Option<Reader<S>>) -> OpenTransaction<S> {
        let reader = reader.filter(|reader| reader.position() == SeqNo(first_seq));
        let reader = reader.unwrap_or_else(|| self.log.reader(SeqNo(first_seq)));
        let builder = TransactionBuilder::new(self.lane.clone(), first_seq)
            .with_dedup(self.dedup)
            .with_whole_rows(self.is_whole)
            .with_quarantine(Arc::clone(&self.quarantine));
        OpenTransaction { reader, builder, barrier: None }
    }

    /// The last batch that had to wait for dump lanes; it may have been read since.
    pub(super) const fn barrier(&self) -> Option<Barrier> {
        self.barrier
    }

    /// The last batch up to which the open transaction has no row; `None` while it is built ahead.
    pub(super) fn empty_up_to(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.builder.empty_up_to())
    }

    /// Begins a transaction after batch `after`, unless that transaction has been built ahead.
    pub(super) fn begin(&mut self, after: u64) {
        let first_seq = after.saturating_add(1);
        self.ahead = self.ahead.take().filter(|ahead| ahead.first_seq == first_seq);
        let reader = self.open.take().map(|open| open.reader);
        if self.ahead.is_none() {
            self.open = Some(self.open(first_seq, reader));
        }
    }

    /// Adds batches up to `limit` to the transaction, or takes over the transaction that was built ahead.
    /// `passed` is the last batch that all other dump lanes have passed.
    pub(super) async fn read(&mut self, limit: u64, rows_max: u64, passed: u64) -> Result<Event, LaneError> {
        if let Some(sealed) = self.sealed_ahead() {
            return Ok(Event::Read { last_seq: sealed.last_seq, is_full: true });
        }
        let (before, (open, result)) = match (self.ahead.take(), self.open.take()) {
            (Some(Ahead { first_seq, state }), _) => (first_seq, state.built().await?),
            (None, Some(open)) => {
                let before = open.builder.next_seq();
                (before, AheadState::Building(build(open, limit, rows_max, passed)).built().await?)
            }
            (None, None) => return Err(LaneError::NothingRead(limit)),
        };
        let (next, is_full) = (open.builder.next_seq(), open.builder.is_full(rows_max));
        let open = self.open.insert(open);
        result?;
        if let Some(barrier) = open.barrier.take() {
            self.barrier = Some(barrier);
            open.reader = self.log.reader(SeqNo(next));
            if next == before {
                return Ok(Event::Allowed(next - 1));
            }
            // What has been read is stored without waiting for the barrier.
            return Ok(Event::Read { last_seq: next - 1, is_full: true });
        }
        if next == before {
            // The transaction is kept. A new reader lists the segments again.
            open.reader = self.log.reader(SeqNo(next));
            return Err(LaneError::NothingRead(next));
        }
        Ok(Event::Read { last_seq: next - 1, is_full })
    }

    /// Waits until the transaction ahead is built, and seals it if it is full. Can be cancelled.
    pub(super) async fn seal_ahead(&mut self, rows_max: u64) -> Option<&mut Transaction> {
        let ahead = self.ahead.as_mut()?;
        if let AheadState::Building(building) = &mut ahead.state {
            // A panic is met again when it is the turn of the transaction.
            let (open, result) = building.await.ok()?;
            ahead.state = AheadState::Built(Box::new(open), result);
        }
        match self.ahead.take()? {
            Ahead { first_seq, state: AheadState::Built(open, Ok(())) }
                if open.barrier.is_none() && open.builder.is_full(rows_max) =>
            {
                let OpenTransaction { reader, builder, .. } = *open;
                let state = AheadState::Sealed(Box::new(builder.build()), reader);
                self.ahead = Some(Ahead { first_seq, state });
            }
            other => self.ahead = Some(other),
        }
        match &mut self.ahead.as_mut()?.state {
            AheadState::Sealed(transaction, _) => Some(transaction),
            _ => None,
        }
    }

    /// The transaction ahead, if it is sealed.
    pub(super) fn sealed_ahead(&self) -> Option<&Transaction> {
        match &self.ahead.as_ref()?.state {
            AheadState::Sealed(transaction, _) => Some(transaction),
            _ => None,
        }
    }

    /// Seals the open transaction or takes the one that was sealed ahead, and starts to build the next one if
    /// the log has batches up to `limit` after it.
    pub(super) fn seal(&mut self, limit: u64, rows_max: u64, passed: u64) -> Option<Transaction> {
        let (transaction, reader) = match (self.ahead.take(), self.open.take()) {
            (Some(Ahead { state: AheadState::Sealed(transaction, reader), .. }), _) => (*transaction, reader),
            (_, Some(OpenTransaction { reader, builder, .. })) => (builder.build(), reader),
            (_, None) => return None,
        };
        let first_seq = transaction.last_seq + 1;
        let open = self.open(first_seq, Some(reader));
        if transaction.last_seq < limit {
            let state = AheadState::Building(build(open, limit, rows_max, passed));
            self.ahead = Some(Ahead { first_seq, state });
        } else {
            self.open = Some(open);
        }
        Some(transaction)
    }

    /// Reads the batches `first` to `last` again, as single records.
    pub(super) async fn record_range(&self, first: u64, last: u64) -> Result<RecordRange, LaneError> {
        let mut reader = self.log.reader(SeqNo(first));
        let lane = self.lane.clone();
        let mut records = RecordRange::new(lane.clone(), self.dedup);
        let reading = move || {
            while let Some(item) = reader.next(SeqNo(last)).map_err(LaneError::Read)? {
                match item {
                    Item::Gap { from, to, reason } => records.push_gap(from.0, to.0, reason.name()),
                    Item::Data { payload, .. }
                        if codec::head(payload).is_ok_and(|head| !lane.reads(head.class)) => {}
                    Item::Data { seq, payload, .. } => match codec::decode(payload) {
                        Ok(batch) => records.push(seq.0, batch),
                        Err(_) => records.push_gap(seq.0, seq.0, UNDECODABLE),
                    },
                }
            }
            Ok(records)
        };
        tokio::task::spawn_blocking(reading).await.map_err(LaneError::Panicked)?
    }
}

impl<S: Storage> AheadState<S> {
    /// The open transaction and the outcome of reading, once it is built.
    async fn built(self) -> Result<(OpenTransaction<S>, Result<(), LaneError>), LaneError> {
        match self {
            Self::Building(building) => building.await.map_err(LaneError::Panicked),
            Self::Built(open, result) => Ok((*open, result)),
            Self::Sealed(transaction, _) => Err(LaneError::NothingRead(transaction.first_seq)),
        }
    }
}

/// Adds batches to the transaction on a blocking thread, until it is full or `limit` is reached.
fn build<S: Storage>(mut open: OpenTransaction<S>, limit: u64, rows_max: u64, passed: u64) -> Building<S> {
    tokio::task::spawn_blocking(move || {
        let result = open.build(SeqNo(limit), rows_max, passed);
        (open, result)
    })
}

impl<S: Storage> OpenTransaction<S> {
    fn build(&mut self, limit: SeqNo, rows_max: u64, passed: u64) -> Result<(), LaneError> {
        let Self { reader, builder, barrier } = self;
        while !builder.is_full(rows_max) {
            match reader.next(limit).map_err(LaneError::Read)? {
                None => break,
                // The gap may hold the batch by which later ones follow routes of class bulk.
                Some(Item::Gap { from, .. }) if builder.after_gap(from.0) > passed => {
                    *barrier = Some(Barrier { seq: from.0, after: builder.after_gap(from.0) });
                    break;
                }
                Some(Item::Gap { from, to, reason }) => {
                    builder.push_gap(from.0, to.0, reason.name());
                    reader.report_loss();
                }
                Some(Item::Data { seq, payload, .. }) => match Self::read_batch(builder, payload) {
                    Ok(None) => builder.skip(seq.0, payload),
                    Ok(Some(batch)) if builder.lane().stores(batch.class) && batch.after > passed => {
                        *barrier = Some(Barrier { seq: seq.0, after: batch.after });
                        break;
                    }
                    Ok(Some(batch)) => {
                        builder.push(seq.0, payload, &batch).map_err(LaneError::Inconsistent)?
                    }
                    Err(error) if payload.first().is_some_and(|version| *version > codec::VERSION) => {
                        return Err(LaneError::NewerVersion { seq: seq.0, error });
                    }
                    // The checksum is valid, so that an undecodable batch is a bug of the encoder or decoder.
                    // One such batch must not block all batches after it.
                    Err(error) => {
                        tracing::error!(seq = seq.0, %error, "batch_undecodable");
                        builder.push_gap(seq.0, seq.0, UNDECODABLE);
                    }
                },
            }
        }
        Ok(())
    }

    /// Decodes a batch; `None` if the lane stores nothing of it.
    fn read_batch(builder: &TransactionBuilder, payload: &[u8]) -> Result<Option<Batch>, codec::Error> {
        let head = codec::head(payload)?;
        if builder.lane().reads(head.class) { codec::decode(payload).map(Some) } else { Ok(None) }
    }
}
