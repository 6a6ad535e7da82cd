//! The records of a rejected transaction, kept in memory to be stored in parts. Pure.

use std::ops::Range;

use crate::codec;
use crate::route::{Batch, Record};
use crate::sink::lanes::Lane;

use super::builder::TransactionBuilder;
use super::dedup::Dedup;
use super::error::EncodeError;
use super::transaction::Transaction;

/// A record of the lane, or an unreadable range of the log.
#[derive(Clone, Copy)]
enum Entry {
    /// Index into [`RecordRange::batches`], and index of the record in the batch.
    Record(usize, u32),
    /// Index into [`RecordRange::gaps`].
    Gap(usize),
}

/// The batches of a contiguous range of the log, and the records of one lane in them.
pub struct RecordRange {
    lane: Lane,
    dedup: Dedup,
    /// Sequence numbers and batches.
    batches: Vec<(u64, Batch)>,
    /// First and last sequence number of each unreadable range, and the reason.
    gaps: Vec<(u64, u64, String)>,
    /// The records of the lane, in the order of the log.
    entries: Vec<Entry>,
}

/// A record to be stored in `rejected_routes`.
pub(crate) struct SingleRecord {
    /// Sequence number of the batch.
    pub(crate) seq: u64,
    /// Index of the record in the batch.
    pub(crate) index: u32,
    /// The record as a JSON object.
    pub(crate) json: String,
    /// A batch with only this record, in the log's encoding.
    pub(crate) payload: Vec<u8>,
    /// Whether the record is an announcement or a withdrawal.
    pub(crate) is_route: bool,
}

impl RecordRange {
    /// An empty range. For `dedup` see [`TransactionBuilder::with_dedup`].
    #[must_use]
    pub const fn new(lane: Lane, dedup: Dedup) -> Self {
        Self { lane, dedup, batches: Vec::new(), gaps: Vec::new(), entries: Vec::new() }
    }

    /// Adds the next batch of the log.
    pub fn push(&mut self, seq: u64, batch: Batch) {
        let batch_index = self.batches.len();
        for record in batch.iter() {
            let (peer, index) = match &record {
                Record::Route(route) => (Some(route.group.peer), route.index),
                Record::Event(event) => (event.peer, event.index),
            };
            let is_owned = match peer.and_then(|peer| batch.peers.get(usize::from(peer))) {
                Some(peer) => self.lane.owns(&batch.router.name, &peer.key),
                None => self.lane.owns_routers(),
            };
            if is_owned {
                self.entries.push(Entry::Record(batch_index, index));
            }
        }
        self.batches.push((seq, batch));
    }

    /// Adds the next unreadable range of the log, both ends included.
    pub fn push_gap(&mut self, from: u64, to: u64, reason: &str) {
        self.entries.push(Entry::Gap(self.gaps.len()));
        self.gaps.push((from, to, reason.to_owned()));
    }

    /// Number of records of the lane, counting each unreadable range as one.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the lane has no record in the range.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the records with these indexes as a transaction. Its checkpoint fields have no meaning.
    ///
    /// # Errors
    /// The range is out of bounds, or a batch is inconsistent.
    pub(crate) fn part(&self, range: Range<usize>) -> Result<Transaction, EncodeError> {
        let mut builder = TransactionBuilder::new(self.lane.clone(), 1).with_dedup(self.dedup);
        let out_of_bounds = || EncodeError::OutOfBounds { range: range.clone(), length: self.len() };
        let mut rest = self.entries.get(range.clone()).ok_or_else(out_of_bounds)?;
        while let Some((first, tail)) = rest.split_first() {
            rest = tail;
            match *first {
                Entry::Gap(number) => {
                    let (from, to, reason) = self.gaps.get(number).ok_or_else(out_of_bounds)?;
                    builder.push_gap(*from, *to, reason);
                }
                Entry::Record(batch_index, from) => {
                    let mut until = from;
                    while let Some((Entry::Record(next, index), tail)) = rest.split_first()
                        && *next == batch_index
                    {
                        (until, rest) = (*index, tail);
                    }
                    let (seq, batch) = self.batches.get(batch_index).ok_or_else(out_of_bounds)?;
                    builder.push_records(*seq, batch, from..=until)?;
                }
            }
        }
        Ok(builder.build())
    }

    /// Returns the record with this index; `None` if it is an unreadable range.
    pub(crate) fn single_record(&self, index: usize) -> Option<SingleRecord> {
        let Some(Entry::Record(batch_index, index)) = self.entries.get(index).copied() else { return None };
        let (seq, batch) = self.batches.get(batch_index)?;
        let record = batch.iter().find(|record| match record {
            Record::Route(route) => route.index == index,
            Record::Event(event) => event.index == index,
        })?;
        let json = serde_json::Value::Object(codec::json::object(batch, &record)).to_string();
        let mut payload = Vec::new();
        codec::encode(&batch.extract(&record), &mut payload).ok()?;
        Some(SingleRecord { seq: *seq, index, json, payload, is_route: matches!(record, Record::Route(_)) })
    }
}
