//! The records that a power loss would cost. Pure: the time is an argument.

use std::collections::VecDeque;
use std::time::Instant;

use crate::wal::SeqNo;

/// The batches that were queued and are not durable.
#[derive(Debug)]
pub(super) struct Unsynced {
    /// Sequence number, number of records and time of queuing of each batch, in order.
    batches: VecDeque<(SeqNo, u32, Instant)>,
    /// Number of records in `batches`.
    records: u64,
    /// Sequence number of the next batch.
    next: SeqNo,
}

impl Unsynced {
    /// `next` is the sequence number of the first batch that will be queued.
    pub(super) const fn new(next: SeqNo) -> Self {
        Self { batches: VecDeque::new(), records: 0, next }
    }

    /// Adds a batch with `count` records.
    pub(super) fn queued(&mut self, count: u32, now: Instant) {
        self.batches.push_back((self.next, count, now));
        self.records += u64::from(count);
        self.next = self.next.next();
    }

    /// Removes the batches up to `durable`.
    pub(super) fn synced(&mut self, durable: SeqNo) {
        while let Some((_, count, _)) = self.batches.pop_front_if(|(seq, ..)| *seq <= durable) {
            self.records -= u64::from(count);
        }
    }

    /// Number of records.
    pub(super) const fn records(&self) -> u64 {
        self.records
    }

    /// Time at which the oldest batch was queued.
    pub(super) fn since(&self) -> Option<Instant> {
        self.batches.front().map(|(_, _, queued)| *queued)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_sync_removes_what_it_made_durable() {
        let start = Instant::now();
        let mut unsynced = Unsynced::new(SeqNo(8));
        assert_eq!((unsynced.records(), unsynced.since()), (0, None));
        for (count, second) in [(5, 0), (7, 1), (11, 2)] {
            unsynced.queued(count, start + Duration::from_secs(second));
        }
        unsynced.synced(SeqNo(7));
        assert_eq!((unsynced.records(), unsynced.since()), (23, Some(start)));
        unsynced.synced(SeqNo(9));
        assert_eq!((unsynced.records(), unsynced.since()), (11, Some(start + Duration::from_secs(2))));
        unsynced.synced(SeqNo(10));
        assert_eq!((unsynced.records(), unsynced.since()), (0, None));
    }
}
