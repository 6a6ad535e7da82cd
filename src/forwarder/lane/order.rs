//! The order between lanes: how far a lane may read, and what its transaction relies on.

use super::{LaneResources, Task};
use crate::forwarder::error::LaneError;
use crate::route::Class;
use crate::sink::Transaction;
use crate::wal::Storage;

impl<S: Storage> Task<S> {
    /// Last batch that the lane may read now.
    pub(super) fn allowed(&self, resources: &LaneResources<S>) -> u64 {
        let by_barrier = match resources.reading.barrier() {
            Some(barrier) if barrier.after > self.passed_by_dump_lanes() => barrier.seq - 1,
            _ => u64::MAX,
        };
        match self.lane.class() {
            Class::Dump | Class::Bulk => by_barrier.min(self.positions.passed(self.lane.live_lane())),
            Class::Live => by_barrier,
        }
    }

    /// Last batch that all other dump lanes have passed.
    pub(super) fn passed_by_dump_lanes(&self) -> u64 {
        let passed = self.lane.other_dump_lanes().map(|lane| self.positions.passed(lane));
        passed.min().unwrap_or(u64::MAX)
    }

    /// The lanes that this one may have to wait for.
    fn leaders(&self) -> impl Iterator<Item = u32> {
        let live = (self.lane.class() == Class::Dump).then_some(self.lane.live_lane());
        self.lane.other_dump_lanes().chain(live)
    }

    /// Whether the lane waits for one that has ended.
    pub(super) fn waits_for_ended_lane(&self, resources: &LaneResources<S>, durable: u64) -> bool {
        self.allowed(resources) < durable && self.leaders().any(|lane| self.positions.of(lane).has_ended)
    }

    /// Publishes how far the lane is.
    pub(super) fn publish_position(&self, resources: &LaneResources<S>, stored: u64) {
        // While a transaction is being stored, nothing behind it is passed.
        let is_storing = resources.transaction.is_some();
        let passed = resources.reading.empty_up_to().filter(|_| !is_storing).unwrap_or(stored);
        self.positions.advance(self.lane.number, stored, passed);
    }

    /// Sets the checkpoints that a transaction relies on, which the database checks.
    pub(super) fn note_order(&self, transaction: Option<&mut Transaction>) -> Result<(), LaneError> {
        let Some(transaction) = transaction else { return Ok(()) };
        transaction.order.clear();
        if self.lane.class() == Class::Dump {
            self.rely_on(self.lane.live_lane(), transaction.last_seq, transaction)?;
        }
        if transaction.after > 0 {
            for lane in self.lane.other_dump_lanes() {
                self.rely_on(lane, transaction.after, transaction)?;
            }
        }
        Ok(())
    }

    /// Adds the checkpoint from which it follows that a lane has passed batch `seq`.
    fn rely_on(&self, lane: u32, seq: u64, transaction: &mut Transaction) -> Result<(), LaneError> {
        let position = self.positions.of(lane);
        match position.committed {
            Some(committed) if position.passed >= seq => {
                // No database can lack a checkpoint of 0.
                if committed > 0 {
                    transaction.order.push((lane, committed));
                }
                Ok(())
            }
            _ => Err(LaneError::OtherLaneBehind),
        }
    }

    /// After an error that shows that the database is not as expected, the lanes that this one relies on
    /// attach again as well.
    pub(super) fn doubt_other_lanes(&self, error: &LaneError) {
        if error.is_unexpected_checkpoint() {
            self.leaders().for_each(|lane| self.positions.revoke(lane));
        }
    }
}
