//! Finds the records of a transaction that the database rejects, by bisection. Pure.

use std::ops::Range;

/// Number of rejected records that is accepted in every transaction.
const REJECTED_MIN: usize = 10;
/// In a large transaction, one rejected record in this many is accepted.
const RECORDS_PER_REJECTED: usize = 100;

/// The next step after a range was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextStep {
    /// The range was halved; continue with [`Bisect::next`].
    Split,
    /// The record with this index is rejected on its own.
    Reject(usize),
    /// Too many records are rejected: the cause is not in the records.
    Systemic,
}

/// A bisection in the order of the log. One rejected record among `n` takes at most 2·log2(n) + 1 attempts.
pub(super) struct Bisect {
    /// Ranges that have not been tried, the next one last.
    pending: Vec<Range<usize>>,
    rejected: usize,
    rejected_max: usize,
}

impl Bisect {
    /// A bisection of `count` records that were rejected together.
    pub(super) fn new(count: usize) -> Self {
        let mut search = Self {
            pending: Vec::new(),
            rejected: 0,
            rejected_max: (count / RECORDS_PER_REJECTED).max(REJECTED_MIN),
        };
        search.split(0..count);
        search
    }

    /// Returns the next range to try.
    pub(super) fn next(&mut self) -> Option<Range<usize>> {
        self.pending.pop()
    }

    /// Number of rejected records.
    pub(super) const fn rejected(&self) -> usize {
        self.rejected
    }

    /// Records that the database rejected the range.
    pub(super) fn on_rejected(&mut self, range: Range<usize>) -> NextStep {
        if range.len() > 1 {
            self.split(range);
            return NextStep::Split;
        }
        self.rejected += 1;
        if self.rejected > self.rejected_max { NextStep::Systemic } else { NextStep::Reject(range.start) }
    }

    fn split(&mut self, range: Range<usize>) {
        let middle = range.start + range.len() / 2;
        for half in [middle..range.end, range.start..middle] {
            if !half.is_empty() {
                self.pending.push(half);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Stored records, rejected records, and the number of attempts; `None` if the rejections are systemic.
    fn run(count: usize, bad: &[usize]) -> Option<(Vec<usize>, Vec<usize>, usize)> {
        let mut search = Bisect::new(count);
        let (mut stored, mut rejected, mut tries) = (Vec::new(), Vec::new(), 0);
        while let Some(range) = search.next() {
            tries += 1;
            if !bad.iter().any(|bad| range.contains(bad)) {
                stored.extend(range);
                continue;
            }
            match search.on_rejected(range) {
                NextStep::Split => {}
                NextStep::Reject(index) => rejected.push(index),
                NextStep::Systemic => return None,
            }
        }
        Some((stored, rejected, tries))
    }

    #[test]
    fn one_bad_record_is_found_in_twice_the_logarithm_of_tries() {
        for bad in [0, 1, 4_999, 5_000, 9_999] {
            let (stored, rejected, tries) = run(10_000, &[bad]).unwrap();
            assert_eq!((stored.len(), rejected), (9_999, vec![bad]));
            assert!(tries <= 29, "{tries}");
        }
    }

    #[test]
    fn more_than_one_in_a_hundred_is_systemic() {
        let every = |step| (0..20_000).step_by(step).collect::<Vec<_>>();
        assert_eq!(run(20_000, &every(100)).unwrap().1.len(), 200);
        assert_eq!(run(20_000, &every(99)), None);
        assert_eq!(
            run(5, &[0, 1, 2, 3, 4]).unwrap().1.len(),
            5,
            "up to REJECTED_MIN records are never systemic"
        );
        assert_eq!(run(11, &(0..11).collect::<Vec<_>>()), None);
    }

    #[test]
    fn nothing_to_search_ends_at_once() {
        assert_eq!(run(0, &[]), Some((vec![], vec![], 0)));
    }

    proptest! {
        #[test]
        fn all_others_are_stored_once_and_in_order(
            count in 1_usize..3000,
            bad in proptest::collection::btree_set(0_usize..3000, 0..10),
        ) {
            let bad: Vec<usize> = bad.into_iter().filter(|bad| *bad < count).collect();
            let (stored, rejected, _) = run(count, &bad).unwrap();
            prop_assert_eq!(&rejected, &bad);
            let good: Vec<usize> = (0..count).filter(|index| !bad.contains(index)).collect();
            prop_assert_eq!(stored, good);
        }
    }
}
