//! Counts the attempts to store transactions, by outcome.

use super::{LaneResources, Task};
use crate::forwarder::error::LaneError;
use crate::forwarder::machine::Step;
use crate::wal::Storage;

impl<S: Storage> Task<S> {
    /// Counts a failure, and the transaction if it failed while it was stored.
    pub(super) fn note_attempt(&self, resources: &mut LaneResources<S>, step: Step, error: &LaneError) {
        self.reporter.failed(error.class());
        if matches!(step, Step::Store | Step::Isolate) {
            resources.is_in_doubt = error.is_without_reply();
            self.report(|status| status.transactions.refused += u64::from(!error.is_without_reply()));
        }
    }

    /// Counts the transactions whose reply was lost: the checkpoint shows which of them are committed.
    pub(super) fn resolve_doubt(&self, resources: &mut LaneResources<S>, last_seq: u64) {
        let (is_in_doubt, has_sent_ahead) =
            (std::mem::take(&mut resources.is_in_doubt), std::mem::take(&mut resources.has_sent_ahead));
        let current = resources.transaction.as_ref();
        // After an error reply to the current one, the server has refused the next one. Without a current
        // one, the connection was lost between the two.
        let next = resources.reading.sealed_ahead();
        let next = next.filter(|_| has_sent_ahead && (is_in_doubt || current.is_none()));
        for sent in current.filter(|_| is_in_doubt).into_iter().chain(next) {
            let (rows, counts, is_committed) = (sent.rows(), sent.counts, sent.last_seq <= last_seq);
            self.report(|status| {
                status.transactions.found_missing += u64::from(!is_committed);
                if is_committed {
                    status.transactions.found_committed += 1;
                    status.rows += rows;
                    status.rejected += counts.quarantined;
                    status.dropped += counts.dropped;
                }
            });
        }
    }
}
