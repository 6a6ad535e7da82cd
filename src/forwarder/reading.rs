//! Chunks out of the log: the next one is filled while the one before it is stored.
//!
//! ```text
//! store      │ chunk 1     │ chunk 2     │
//! fill   1   │ 2     │     │ 3     │
//! ```
//!
//! The server works while we decode and encode. What was filled ahead counts only if it begins where the lane goes on; after
//! a failure that may be elsewhere, and then it is thrown away and read once more.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::lane::Failure;
use super::machine::Event;
use crate::codec;
use crate::sink::{Lane, RecordRange, Transaction, TransactionBuilder};
use crate::wal::{Item, Log, Reader, SeqNo, Storage};

/// What a lane reads.
pub(super) struct Reading<S: Storage> {
    log: Arc<Log<S>>,
    lane: Lane,
    dedup: bool,
    /// `None` while it is being filled.
    open: Option<Open<S>>,
    ahead: Option<Ahead<S>>,
}

/// A chunk that is being filled, and from where.
struct Open<S: Storage> {
    reader: Reader<S>,
    chunk: TransactionBuilder,
}

type Filling<S> = JoinHandle<(Open<S>, Result<(), Failure>)>;

struct Ahead<S: Storage> {
    first_seq: u64,
    filling: Filling<S>,
}

impl<S: Storage> Reading<S> {
    pub(super) const fn new(log: Arc<Log<S>>, lane: Lane, dedup: bool) -> Self {
        Self { log, lane, dedup, open: None, ahead: None }
    }

    fn open(&self, next: u64, reader: Option<Reader<S>>) -> Open<S> {
        let reader = reader.filter(|reader| reader.position() == SeqNo(next));
        let reader = reader.unwrap_or_else(|| self.log.reader(SeqNo(next)));
        Open { reader, chunk: TransactionBuilder::new(self.lane.clone(), next).with_dedup(self.dedup) }
    }

    /// Begins a chunk behind `after`, or finds the one that was filled ahead.
    pub(super) fn begin(&mut self, after: u64) {
        let next = after.saturating_add(1);
        self.ahead = self.ahead.take().filter(|ahead| ahead.first_seq == next);
        let reader = self.open.take().map(|open| open.reader);
        if self.ahead.is_none() {
            self.open = Some(self.open(next, reader));
        }
    }

    /// Adds to the chunk: what was filled ahead, or what the log has up to `limit`.
    pub(super) async fn read(&mut self, limit: u64, rows_max: u64) -> Result<Event, Failure> {
        let (before, filling) = match (self.ahead.take(), self.open.take()) {
            (Some(ahead), _) => (ahead.first_seq, ahead.filling),
            (None, Some(open)) => (open.chunk.next_seq(), fill(open, limit, rows_max)),
            (None, None) => return Err(Failure::Silent(limit)),
        };
        let (open, result) = filling.await.map_err(Failure::Reader)?;
        let (next, is_full) = (open.chunk.next_seq(), open.chunk.is_full(rows_max));
        let open = self.open.insert(open);
        result?;
        if next == before {
            // The chunk stays; a new reader looks afresh.
            open.reader = self.log.reader(SeqNo(next));
            return Err(Failure::Silent(next));
        }
        Ok(Event::Read { last_seq: next - 1, is_full })
    }

    /// Closes the chunk, and goes on with the one behind it if the log has more.
    pub(super) fn seal(&mut self, limit: u64, rows_max: u64) -> Option<Transaction> {
        let Open { reader, chunk } = self.open.take()?;
        let sealed = chunk.build();
        let first_seq = sealed.last_seq + 1;
        let open = self.open(first_seq, Some(reader));
        if sealed.last_seq < limit {
            self.ahead = Some(Ahead { first_seq, filling: fill(open, limit, rows_max) });
        } else {
            self.open = Some(open);
        }
        Some(sealed)
    }

    /// A range of the log once more, record by record.
    pub(super) async fn span(&self, first: u64, last: u64) -> Result<RecordRange, Failure> {
        let mut reader = self.log.reader(SeqNo(first));
        let mut span = RecordRange::new(self.lane.clone(), self.dedup);
        let reading = move || {
            while let Some(item) = reader.next(SeqNo(last)).map_err(Failure::Read)? {
                match item {
                    Item::Gap { from, to, reason } => span.push_gap(from.0, to.0, reason.name()),
                    Item::Data { seq, payload, .. } => match codec::decode(payload) {
                        Ok(batch) => span.push(seq.0, batch),
                        Err(_) => span.push_gap(seq.0, seq.0, "undecodable"),
                    },
                }
            }
            Ok(span)
        };
        tokio::task::spawn_blocking(reading).await.map_err(Failure::Reader)?
    }
}

/// Reads, decodes and encodes on a thread that may block, until the chunk is full or there is no more.
fn fill<S: Storage>(mut open: Open<S>, limit: u64, rows_max: u64) -> Filling<S> {
    tokio::task::spawn_blocking(move || {
        let result = open.fill(SeqNo(limit), rows_max);
        (open, result)
    })
}

impl<S: Storage> Open<S> {
    fn fill(&mut self, limit: SeqNo, rows_max: u64) -> Result<(), Failure> {
        let Self { reader, chunk } = self;
        while !chunk.is_full(rows_max) {
            match reader.next(limit).map_err(Failure::Read)? {
                None => break,
                Some(Item::Gap { from, to, reason }) => chunk.push_gap(from.0, to.0, reason.name()),
                Some(Item::Data { seq, payload, .. }) => match codec::decode(payload) {
                    Ok(batch) => chunk.push(seq.0, payload, &batch).map_err(Failure::Inconsistent)?,
                    Err(error) if payload.first().is_some_and(|version| *version > codec::VERSION) => {
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
}
