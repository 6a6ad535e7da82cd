//! The records of a chunk that was refused, to be stored piece by piece. Pure.

use std::ops::Range;

use crate::codec;
use crate::route::{Batch, Record};
use crate::sink::lanes::Lane;
use crate::sink::transaction::builder::{InconsistentBatch, TransactionBuilder};
use crate::sink::transaction::sealed::Transaction;

/// Where a record of the lane stands.
#[derive(Clone, Copy)]
enum Place {
    /// In `batches`: which, and the record's index.
    Record(usize, u32),
    /// In `gaps`.
    Gap(usize),
}

/// A range of the log in memory, and the places of the lane's records in it.
pub struct RecordRange {
    lane: Lane,
    dedup: bool,
    batches: Vec<(u64, Batch)>,
    gaps: Vec<(u64, u64, String)>,
    places: Vec<Place>,
}

/// One record on its own.
pub(in crate::sink) struct SingleRecord {
    pub(in crate::sink) seq: u64,
    pub(in crate::sink) index: u32,
    /// As one JSON object.
    pub(in crate::sink) text: String,
    /// As the log would hold it.
    pub(in crate::sink) payload: Vec<u8>,
    pub(in crate::sink) is_route: bool,
}

impl RecordRange {
    /// An empty one. `dedup` as in [`TransactionBuilder::with_dedup`].
    #[must_use]
    pub const fn new(lane: Lane, dedup: bool) -> Self {
        Self { lane, dedup, batches: Vec::new(), gaps: Vec::new(), places: Vec::new() }
    }

    /// Takes the next batch of the log.
    pub fn push(&mut self, seq: u64, batch: Batch) {
        let number = self.batches.len();
        for record in batch.iter() {
            let (peer, index) = match &record {
                Record::Route(route) => (Some(route.group.peer), route.index),
                Record::Event(event) => (event.peer, event.index),
            };
            let is_ours = match peer.and_then(|peer| batch.peers.get(usize::from(peer))) {
                Some(peer) => self.lane.owns(&batch.router.name, &peer.key),
                None => self.lane.owns_routers(),
            };
            if is_ours {
                self.places.push(Place::Record(number, index));
            }
        }
        self.batches.push((seq, batch));
    }

    /// Takes the next range of the log that cannot be read.
    pub fn push_gap(&mut self, from: u64, to: u64, reason: &str) {
        self.places.push(Place::Gap(self.gaps.len()));
        self.gaps.push((from, to, reason.to_owned()));
    }

    /// How many records of the lane there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.places.len()
    }

    /// True when there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Some of the records, as a chunk of their own.
    pub(in crate::sink) fn piece(&self, range: Range<usize>) -> Result<Transaction, InconsistentBatch> {
        let mut chunk = TransactionBuilder::new(self.lane.clone(), 1).with_dedup(self.dedup);
        let mut rest = self.places.get(range).unwrap_or_default();
        while let Some((first, behind)) = rest.split_first() {
            rest = behind;
            match *first {
                Place::Gap(number) => {
                    if let Some((from, to, reason)) = self.gaps.get(number) {
                        chunk.push_gap(*from, *to, reason);
                    }
                }
                Place::Record(number, from) => {
                    let mut until = from;
                    while let Some((Place::Record(next, index), behind)) = rest.split_first()
                        && *next == number
                    {
                        (until, rest) = (*index, behind);
                    }
                    if let Some((seq, batch)) = self.batches.get(number) {
                        chunk.push_records(*seq, batch, from..=until)?;
                    }
                }
            }
        }
        Ok(chunk.build())
    }

    /// One record; `None` for a gap.
    pub(in crate::sink) fn lone(&self, place: usize) -> Option<SingleRecord> {
        let Some(Place::Record(number, index)) = self.places.get(place).copied() else { return None };
        let (seq, batch) = self.batches.get(number)?;
        let found = batch.iter().find(|record| match record {
            Record::Route(route) => route.index == index,
            Record::Event(event) => event.index == index,
        })?;
        let text = serde_json::Value::Object(codec::json::object(batch, &found)).to_string();
        let mut payload = Vec::new();
        codec::encode(&batch.extract(&found), &mut payload).ok()?;
        Some(SingleRecord { seq: *seq, index, text, payload, is_route: matches!(found, Record::Route(_)) })
    }
}
