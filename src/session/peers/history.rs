//! The OPENs and the last Peer Downs of a peer, which operators look up.

use std::sync::Arc;

use super::PeerState;
use super::memory_budget::{MemoryBudget, Reservation};
use crate::route::{Opens, PeerDownRecord};

/// The OPENs and the last Peer Downs of a peer. Summaries of the session share them.
#[derive(Default)]
pub(super) struct PeerHistory {
    opens: Option<Arc<Opens>>,
    downs: Arc<[PeerDownRecord]>,
    reservation: Option<Reservation>,
}

impl PeerHistory {
    /// The OPENs of the last Peer Up; `None` without one, and if the memory budget is exhausted.
    pub(super) fn opens(&self) -> Option<Arc<Opens>> {
        self.opens.clone()
    }

    /// The last Peer Downs, the newest last.
    pub(super) fn downs(&self) -> Arc<[PeerDownRecord]> {
        Arc::clone(&self.downs)
    }

    /// Reserves memory for the contents. Discards them if there is not enough.
    fn reserve(&mut self, budget: &MemoryBudget) {
        let opens = self.opens.as_ref().map_or(0, |opens| opens.heap_bytes());
        let downs = self.downs.iter().map(|down| size_of::<PeerDownRecord>() + down.reason.len());
        self.reservation = None;
        self.reservation = budget.reserve(opens + downs.sum::<usize>());
        if self.reservation.is_none() {
            *self = Self::default();
        }
    }
}

impl PeerState {
    /// Keeps the OPENs of a Peer Up.
    pub(in crate::session) fn keep_opens(&mut self, opens: Opens) {
        self.history.opens = Some(Arc::new(opens));
        self.history.reserve(&self.budget.history);
    }

    /// Keeps a Peer Down, in place of the oldest one if there are many.
    pub(in crate::session) fn keep_down(&mut self, down: PeerDownRecord) {
        let before = self.history.downs.iter();
        let skipped = (self.history.downs.len() + 1).saturating_sub(PeerDownRecord::KEPT_MAX);
        self.history.downs = before.skip(skipped).cloned().chain([down]).collect();
        self.history.reserve(&self.budget.history);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Timestamp;

    fn down(time: i64) -> PeerDownRecord {
        PeerDownRecord { time: Timestamp(time), up_since: None, reason_code: 4, reason: "lost".to_owned() }
    }

    #[test]
    fn exhausted_memory_discards_the_contents_and_is_returned() {
        let budget = MemoryBudget::with_limit(100);
        let mut history = PeerHistory { downs: Arc::new([down(1)]), ..PeerHistory::default() };
        history.reserve(&budget);
        assert_eq!(history.downs().len(), 1);
        history.downs = Arc::new([down(1), down(2)]);
        history.reserve(&budget);
        assert_eq!(history.downs().len(), 0);
        assert!(budget.reserve(100).is_some());
    }
}
