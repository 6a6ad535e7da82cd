//! The order between the two lanes of a shard: how far a lane may read, and what its transaction relies on.

use super::{LaneResources, Task};
use crate::forwarder::error::LaneError;
use crate::route::Class;
use crate::sink::Transaction;
use crate::wal::Storage;

impl<S: Storage> Task<S> {
    /// Last batch that the lane may read now.
    pub(super) fn allowed(&self, resources: &LaneResources<S>) -> u64 {
        match (self.lane.class(), resources.reading.barrier()) {
            (Class::Dump, _) => self.passed_by_sibling(),
            (Class::Live, Some(barrier)) if barrier.after > self.committed_by_sibling() => barrier.seq - 1,
            (Class::Live, _) => u64::MAX,
        }
    }

    /// Last batch that the other lane of the shard has committed; 0 if it is not known.
    pub(super) fn committed_by_sibling(&self) -> u64 {
        self.positions.of(self.lane.sibling()).committed.unwrap_or_default()
    }

    fn passed_by_sibling(&self) -> u64 {
        let position = self.positions.of(self.lane.sibling());
        position.committed.map_or(0, |_| position.passed)
    }

    /// Whether the lane waits for one that has ended.
    pub(super) fn waits_for_ended_lane(&self, resources: &LaneResources<S>, durable: u64) -> bool {
        self.positions.of(self.lane.sibling()).has_ended && self.allowed(resources) < durable
    }

    /// Publishes how far the lane is.
    pub(super) fn publish_position(&self, resources: &LaneResources<S>, stored: u64) {
        // While a transaction is being stored, nothing behind it is passed.
        let is_storing = resources.transaction.is_some();
        let passed = resources.reading.empty_up_to().filter(|_| !is_storing).unwrap_or(stored);
        self.positions.advance(self.lane.number, stored, passed);
    }

    /// Sets the batch of the other lane that a transaction relies on, which the database checks.
    pub(super) fn note_order(&self, transaction: Option<&mut Transaction>) -> Result<(), LaneError> {
        let Some(transaction) = transaction else { return Ok(()) };
        let position = self.positions.of(self.lane.sibling());
        match (self.lane.class(), position.committed) {
            (Class::Live, _) => Ok(()),
            (Class::Dump, Some(committed)) if position.passed >= transaction.last_seq => {
                transaction.after = committed;
                Ok(())
            }
            (Class::Dump, _) => Err(LaneError::SiblingBehind),
        }
    }

    /// After an error that shows that the database is not as expected, the other lane attaches again as well.
    pub(super) fn doubt_sibling(&self, error: &LaneError) {
        if error.is_unexpected_checkpoint() {
            self.positions.revoke(self.lane.sibling());
        }
    }
}
