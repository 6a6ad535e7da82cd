//! The batches that readers could not read, and where the damage is.

use std::collections::BTreeMap;

use crate::wal::format::GapReason;
use crate::wal::seq::SeqNo;

/// Maximum number of losses that are kept with their place. Further ones are counted only.
const KEPT_MAX: usize = 4_096;

/// A range of batches that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// First missing sequence number.
    pub from: SeqNo,
    /// Last missing sequence number.
    pub to: SeqNo,
    /// Why the batches are missing.
    pub reason: GapReason,
    /// Name of the segment file; `None` if no segment is left that could hold the batches.
    pub file: Option<String>,
    /// Offsets of the first corrupt byte and of the next intact frame in that file; `None` if unknown.
    pub bytes: Option<(u64, u64)>,
}

impl Loss {
    /// Number of missing batches.
    #[must_use]
    pub const fn batches(&self) -> u64 {
        self.to.0.saturating_sub(self.from.0).saturating_add(1)
    }
}

/// The losses that were reported since the start, each batch once.
#[derive(Debug, Default)]
pub(in crate::wal) struct Losses {
    /// By first sequence number; disjoint.
    known: BTreeMap<SeqNo, Loss>,
    /// Number of batches by reason.
    batches: BTreeMap<GapReason, u64>,
    /// Losses that were not taken by [`Losses::take_new`] yet.
    new: Vec<Loss>,
}

impl Losses {
    /// Adds the batches of `loss` that no earlier loss has.
    pub(in crate::wal) fn add(&mut self, loss: Loss) {
        let mut from = loss.from;
        while from <= loss.to && from < SeqNo::MAX {
            let before = self.known.range(..=from).next_back().filter(|(_, known)| known.to >= from);
            if let Some((_, known)) = before {
                from = known.to.next();
                continue;
            }
            let after = self.known.range(from..=loss.to).next().map(|(start, _)| start.prev());
            let part = Loss { from, to: after.unwrap_or(loss.to), ..loss.clone() };
            from = part.to.next();
            self.insert(part);
        }
    }

    fn insert(&mut self, loss: Loss) {
        *self.batches.entry(loss.reason).or_default() += loss.batches();
        if self.new.len() < KEPT_MAX {
            self.new.push(loss.clone());
        }
        if self.known.len() == KEPT_MAX {
            // The oldest batches were read first; they are the last ones to be read again.
            self.known.pop_first();
        }
        self.known.insert(loss.from, loss);
    }

    /// The losses that were added since the last call.
    pub(in crate::wal) fn take_new(&mut self) -> Vec<Loss> {
        std::mem::take(&mut self.new)
    }

    /// Number of missing batches by reason.
    pub(in crate::wal) fn batches(&self) -> BTreeMap<GapReason, u64> {
        self.batches.clone()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::num::to_u64;

    fn loss(from: u64, to: u64) -> Loss {
        Loss { from: SeqNo(from), to: SeqNo(to), reason: GapReason::Rot, file: None, bytes: None }
    }

    #[test]
    fn a_loss_that_several_readers_report_counts_once() {
        let mut losses = Losses::default();
        losses.add(loss(5, 9));
        losses.add(loss(5, 9));
        losses.add(loss(7, 12));
        losses.add(loss(1, 20));
        let parts: Vec<_> = losses.take_new().iter().map(|one| (one.from.0, one.to.0)).collect();
        assert_eq!(parts, [(5, 9), (10, 12), (1, 4), (13, 20)]);
        assert_eq!(losses.take_new(), []);
        assert_eq!(losses.batches(), BTreeMap::from([(GapReason::Rot, 20)]));
    }

    proptest! {
        #[test]
        fn the_counts_are_those_of_the_union(ranges in prop::collection::vec((1_u64..60, 0_u64..12), 0..30)) {
            let mut losses = Losses::default();
            let mut union = std::collections::BTreeSet::new();
            for (from, length) in ranges {
                losses.add(loss(from, from + length));
                union.extend(from..=from + length);
            }
            let counted = losses.batches().values().sum::<u64>();
            prop_assert_eq!(counted, to_u64(union.len()));
            let new: Vec<u64> = losses.take_new().iter().flat_map(|one| one.from.0..=one.to.0).collect();
            prop_assert_eq!(new.len(), union.len());
            prop_assert_eq!(new.into_iter().collect::<std::collections::BTreeSet<_>>(), union);
        }
    }
}
