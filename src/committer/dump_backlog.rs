//! How far the dump lanes have delivered, and whether they have little left to deliver. Sessions decide by it
//! which peers are moved to class live. Pure.

use std::collections::VecDeque;

use crate::wal::SeqNo;

/// Records of the log, of all classes, up to which the dump lanes have little left to deliver: about what
/// they store in two transactions.
const RECORDS_MAX: u64 = 20_000;

/// Records between two marks.
const MARK_RECORDS: u64 = 1_000;

/// Maximum number of marks. With more, every second one is removed.
const MARKS_MAX: usize = 4_096;

/// Progress of the dump lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DumpProgress {
    /// Last batch that every dump lane has delivered.
    pub delivered: SeqNo,
    /// Whether at most about 20,000 records follow it in the log.
    pub is_nearly_complete: bool,
}

/// Counts the records that the dump lanes have not delivered.
#[derive(Debug)]
pub(super) struct DumpBacklog {
    /// Last batch of the log at the start. The records up to it are not counted.
    start: SeqNo,
    delivered: SeqNo,
    /// Records queued since the start.
    queued: u64,
    /// Records that are known to be delivered.
    delivered_records: u64,
    /// Sequence numbers with the records up to them, oldest first.
    marks: VecDeque<(SeqNo, u64)>,
}

impl DumpBacklog {
    /// A log whose last batch is `start`.
    pub(super) const fn new(start: SeqNo) -> Self {
        Self { start, delivered: SeqNo(0), queued: 0, delivered_records: 0, marks: VecDeque::new() }
    }

    /// Counts a batch that was queued as `seq`.
    pub(super) fn queued(&mut self, seq: SeqNo, records: u32) {
        self.queued = self.queued.saturating_add(u64::from(records));
        let last = self.marks.back().map_or(self.delivered_records, |(_, records)| *records);
        if self.queued.saturating_sub(last) < MARK_RECORDS {
            return;
        }
        if self.marks.len() >= MARKS_MAX {
            let mut is_later = true;
            self.marks.retain(|_| {
                is_later = !is_later;
                is_later
            });
        }
        self.marks.push_back((seq, self.queued));
    }

    /// Sets the last batch that every dump lane has delivered.
    pub(super) fn set_delivered(&mut self, delivered: SeqNo) {
        self.delivered = delivered;
        while let Some((_, records)) = self.marks.pop_front_if(|(seq, _)| *seq <= delivered) {
            self.delivered_records = records;
        }
    }

    pub(super) fn progress(&self) -> DumpProgress {
        let left = self.queued.saturating_sub(self.delivered_records);
        let is_nearly_complete = self.delivered >= self.start && left <= RECORDS_MAX;
        DumpProgress { delivered: self.delivered, is_nearly_complete }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_left_to_deliver_is_counted_until_it_is_delivered() {
        let mut backlog = DumpBacklog::new(SeqNo(10));
        assert!(!backlog.progress().is_nearly_complete, "batches of an earlier run are not delivered");
        backlog.set_delivered(SeqNo(10));
        assert_eq!(backlog.progress(), DumpProgress { delivered: SeqNo(10), is_nearly_complete: true });
        (11..=20).for_each(|seq| backlog.queued(SeqNo(seq), 1_000));
        assert!(backlog.progress().is_nearly_complete);
        (21..=1_020).for_each(|seq| backlog.queued(SeqNo(seq), 1_000));
        assert!(!backlog.progress().is_nearly_complete);
        backlog.set_delivered(SeqNo(999));
        assert!(!backlog.progress().is_nearly_complete);
        backlog.set_delivered(SeqNo(1_000));
        assert!(backlog.progress().is_nearly_complete);
        backlog.set_delivered(SeqNo(5));
        assert!(!backlog.progress().is_nearly_complete, "the database was restored");
    }

    #[test]
    fn small_batches_share_a_mark_and_the_number_of_marks_is_bounded() {
        let mut backlog = DumpBacklog::new(SeqNo(0));
        (1..=999).for_each(|seq| backlog.queued(SeqNo(seq), 1));
        assert!(backlog.marks.is_empty());
        (1_000..=10_000_000).step_by(1_000).for_each(|seq| backlog.queued(SeqNo(seq), 1_000));
        assert!(backlog.marks.len() <= MARKS_MAX);
        assert!(!backlog.progress().is_nearly_complete);
        backlog.set_delivered(SeqNo(10_000_000));
        assert!(backlog.progress().is_nearly_complete);
    }
}
