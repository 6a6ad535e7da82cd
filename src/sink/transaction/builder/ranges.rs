//! Adds batches and ranges of the log without records of the lane.

use crate::route::Class;
use crate::sink::transaction::digest::digest;
use crate::sink::transaction::transaction::LogGap;

use super::TransactionBuilder;

impl TransactionBuilder {
    /// Batch up to which the other dump lanes must have delivered before an unreadable range that begins at
    /// `from`: a dump lane does not know what the batches after it follow.
    #[must_use]
    pub fn after_gap(&self, from: u64) -> u64 {
        match self.lane.class() {
            Class::Dump | Class::Bulk => from.saturating_sub(1),
            Class::Live => 0,
        }
    }

    /// Adds an unreadable range of the log, both ends included.
    pub fn push_gap(&mut self, from: u64, to: u64, reason: &str) {
        self.after = self.after.max(self.after_gap(from));
        (self.digest, self.next_seq) = (0, to + 1);
        self.records_read += 1;
        self.first_row_seq.get_or_insert(from);
        self.log_gaps.push(LogGap { from, to, reason: reason.to_owned() });
        self.counts.gaps += 1;
    }

    /// Adds a batch of which the lane stores nothing ([`Lane::reads`](crate::sink::Lane::reads)).
    pub fn skip(&mut self, seq: u64, payload: &[u8]) {
        (self.digest, self.next_seq) = (digest(seq, payload), seq + 1);
        self.records_read += 1;
    }

    /// The last batch up to which the transaction has no row, so that nothing before it waits for this
    /// transaction.
    #[must_use]
    pub fn empty_up_to(&self) -> u64 {
        self.first_row_seq.unwrap_or(self.next_seq) - 1
    }
}
