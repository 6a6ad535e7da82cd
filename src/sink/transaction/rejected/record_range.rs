//! The records of a rejected transaction, kept in memory to be stored in parts. Pure.

use std::ops::Range;

use crate::route::{Batch, Record};
use crate::sink::lanes::Lane;
use crate::sink::transaction::builder::TransactionBuilder;
use crate::sink::transaction::dedup::Dedup;
use crate::sink::transaction::error::EncodeError;
use crate::sink::transaction::route_event::route_key;
use crate::sink::transaction::transaction::Transaction;

use super::probe::ordinary_batch;
use super::quarantine::{Cause, Source};
use super::rows::RejectedRows;

/// A record of the lane, or an unreadable range of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// The records of the lane with their sources, in the order of the log until [`RecordRange::group`].
    /// Unreadable ranges have no source.
    entries: Vec<(Option<Source>, Entry)>,
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
            let peer = peer.and_then(|peer| batch.peers.get(usize::from(peer)));
            let is_owned = match (peer, &record) {
                (None, _) => self.lane.owns_routers(),
                (Some(peer), Record::Event(_)) => self.lane.owns(&batch, &peer.key),
                (Some(peer), Record::Route(route)) => self.lane.owns_route(&batch, &peer.key, || {
                    let mut key = Vec::new();
                    route_key(route.group.family, route.entry, &mut key);
                    key
                }),
            };
            if is_owned {
                let source = Source::new(&batch, peer.map(|peer| &peer.key));
                self.entries.push((Some(source), Entry::Record(batch_index, index)));
            }
        }
        self.batches.push((seq, batch));
    }

    /// Adds the next unreadable range of the log, both ends included.
    pub fn push_gap(&mut self, from: u64, to: u64, reason: &str) {
        self.entries.push((None, Entry::Gap(self.gaps.len())));
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

    /// Sorts the records by router, then by peer. The records of one source stay in the order of the log.
    pub(crate) fn group(&mut self) {
        self.entries.sort();
    }

    /// The source of the record with this index; `None` if it is an unreadable range.
    pub(crate) fn source(&self, index: usize) -> Option<&Source> {
        self.entries.get(index)?.0.as_ref()
    }

    /// The sources in the range with the indexes of their records. The records must be grouped.
    pub(crate) fn sources(&self) -> Vec<(&Source, Range<usize>)> {
        let mut sources: Vec<(&Source, Range<usize>)> = Vec::new();
        for (index, (source, _)) in self.entries.iter().enumerate() {
            let Some(source) = source else { continue };
            match sources.last_mut() {
                Some((last, range)) if *last == source => range.end = index + 1,
                _ => sources.push((source, index..index + 1)),
            }
        }
        sources
    }

    /// Indexes of the records of a source, or of a router with all its peers. The records must be grouped.
    pub(crate) fn range_of(&self, source: &Source) -> Range<usize> {
        let is_of = |(own, _): &(Option<Source>, Entry)| {
            own.as_ref().is_some_and(|own| {
                own.router == source.router && (source.peer.is_none() || own.peer == source.peer)
            })
        };
        let start = self.entries.iter().position(is_of).unwrap_or(self.entries.len());
        let count = self.entries.iter().skip(start).take_while(|entry| is_of(entry)).count();
        start..start + count
    }

    /// A transaction of ordinary records of the same time; `None` if the range has no batch.
    ///
    /// # Errors
    /// A defect of this program.
    pub(crate) fn probe(&self) -> Result<Option<Transaction>, EncodeError> {
        let Some((_, batch)) = self.batches.last() else { return Ok(None) };
        // The only lane of a log stores the records of each peer and router.
        let lane = Lane { number: 0, count: 1, ..self.lane.clone() };
        let mut builder = TransactionBuilder::new(lane, 1);
        builder.push(1, b"", &ordinary_batch(batch))?;
        Ok(Some(builder.build()))
    }

    /// Returns the records with these indexes as a transaction. Its checkpoint fields have no meaning.
    ///
    /// # Errors
    /// The range is out of bounds, or a batch is inconsistent.
    pub(crate) fn part(&self, range: Range<usize>) -> Result<Transaction, EncodeError> {
        let mut builder = TransactionBuilder::new(self.lane.clone(), 1).with_dedup(self.dedup);
        let out_of_bounds = || EncodeError::OutOfBounds { range: range.clone(), length: self.len() };
        let part = self.entries.get(range.clone()).ok_or_else(out_of_bounds)?;
        let mut entries: Vec<Entry> = part.iter().map(|(_, entry)| *entry).collect();
        // The order of the log.
        entries.sort_unstable();
        let mut rest = entries.as_slice();
        while let Some(first) = rest.first() {
            match *first {
                Entry::Gap(number) => {
                    let (from, to, reason) = self.gaps.get(number).ok_or_else(out_of_bounds)?;
                    builder.push_gap(*from, *to, reason);
                    rest = rest.get(1..).unwrap_or_default();
                }
                Entry::Record(batch_index, _) => {
                    let is_of = |entry: &Entry| matches!(entry, Entry::Record(of, _) if *of == batch_index);
                    let (chosen, tail) = rest.split_at(rest.partition_point(is_of));
                    rest = tail;
                    let (seq, batch) = self.batches.get(batch_index).ok_or_else(out_of_bounds)?;
                    let is_chosen = |index| chosen.binary_search(&Entry::Record(batch_index, index)).is_ok();
                    builder.push_records(*seq, batch, is_chosen)?;
                }
            }
        }
        Ok(builder.build())
    }

    /// Adds the records with these indexes to `rows`. Returns whether all of them are records: an unreadable
    /// range cannot be rejected.
    ///
    /// # Errors
    /// The range is out of bounds, or a record cannot be encoded.
    pub(crate) fn reject(
        &self,
        range: Range<usize>,
        cause: &Cause,
        rows: &mut RejectedRows,
    ) -> Result<bool, EncodeError> {
        let out_of_bounds = || EncodeError::OutOfBounds { range: range.clone(), length: self.len() };
        for (_, entry) in self.entries.get(range.clone()).ok_or_else(out_of_bounds)? {
            let Entry::Record(batch_index, index) = *entry else { return Ok(false) };
            let (seq, batch) = self.batches.get(batch_index).ok_or_else(out_of_bounds)?;
            let record = find(batch, index).ok_or_else(out_of_bounds)?;
            rows.push(&self.lane, *seq, batch, &record, cause)?;
        }
        Ok(true)
    }
}

/// Returns the record of a batch with this index.
fn find(batch: &Batch, index: u32) -> Option<Record<'_>> {
    if let Ok(event) = batch.events.binary_search_by_key(&index, |event| event.index) {
        return batch.events.get(event).map(Record::Event);
    }
    batch.routes().find(|route| route.index == index).map(Record::Route)
}
