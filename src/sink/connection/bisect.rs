//! Finds the records of a transaction that the database rejects, by bisection. Pure.

use std::ops::Range;

/// Number of rejected records that is accepted in every transaction.
const REJECTED_MIN: usize = 10;
/// In a large transaction, one rejected record in this many is accepted.
const RECORDS_PER_REJECTED: usize = 100;

/// Number of rejected records up to which a transaction of `records` records is searched for single ones.
pub(super) fn rejected_max(records: usize) -> usize {
    (records / RECORDS_PER_REJECTED).max(REJECTED_MIN)
}

/// A bisection in the order of the records. One rejected record among `n` takes at most 2·log2(n) + 1
/// attempts.
pub(super) struct Bisect {
    /// Ranges that have not been tried, the next one last.
    pending: Vec<Range<usize>>,
}

impl Bisect {
    /// A bisection of `count` records that were rejected together.
    pub(super) fn new(count: usize) -> Self {
        let mut search = Self { pending: Vec::new() };
        search.split(0..count);
        search
    }

    /// Returns the next range to try.
    pub(super) fn next(&mut self) -> Option<Range<usize>> {
        self.pending.pop()
    }

    /// Halves a range of several records that the database rejected.
    pub(super) fn split(&mut self, range: Range<usize>) {
        let middle = range.start + range.len() / 2;
        for half in [middle..range.end, range.start..middle] {
            if !half.is_empty() {
                self.pending.push(half);
            }
        }
    }

    /// Tries the record with this index next, if it has not been tried.
    pub(super) fn prefer(&mut self, index: usize) {
        let untried = self.exclude(&(index..index + 1));
        self.pending.extend(untried);
    }

    /// Excludes a range from the search. Returns those of its parts that have not been tried.
    pub(super) fn exclude(&mut self, excluded: &Range<usize>) -> Vec<Range<usize>> {
        let mut untried = Vec::new();
        for range in std::mem::take(&mut self.pending) {
            let before = range.start..range.end.min(excluded.start);
            let inside = range.start.max(excluded.start)..range.end.min(excluded.end);
            let after = range.start.max(excluded.end)..range.end;
            // The next range is the last one.
            self.pending.extend([after, before].into_iter().filter(|part| !part.is_empty()));
            untried.extend(Some(inside).filter(|part| !part.is_empty()));
        }
        untried
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Stored records, rejected records, and the number of attempts.
    fn run(count: usize, bad: &[usize]) -> (Vec<usize>, Vec<usize>, usize) {
        let mut search = Bisect::new(count);
        let (mut stored, mut rejected, mut tries) = (Vec::new(), Vec::new(), 0);
        while let Some(range) = search.next() {
            tries += 1;
            if !bad.iter().any(|bad| range.contains(bad)) {
                stored.extend(range);
            } else if range.len() > 1 {
                search.split(range);
            } else {
                rejected.push(range.start);
            }
        }
        (stored, rejected, tries)
    }

    #[test]
    fn one_bad_record_is_found_in_twice_the_logarithm_of_tries() {
        for bad in [0, 1, 4_999, 5_000, 9_999] {
            let (stored, rejected, tries) = run(10_000, &[bad]);
            assert_eq!((stored.len(), rejected), (9_999, vec![bad]));
            assert!(tries <= 29, "{tries}");
        }
    }

    #[test]
    fn one_in_a_hundred_and_at_least_ten_are_searched_for() {
        assert_eq!([0, 5, 1_000, 1_099, 20_000].map(rejected_max), [10, 10, 10, 10, 200]);
    }

    #[test]
    fn nothing_to_search_ends_at_once() {
        assert_eq!(run(0, &[]), (vec![], vec![], 0));
    }

    #[test]
    fn a_preferred_record_is_tried_next_and_once() {
        let mut search = Bisect::new(8);
        search.prefer(6);
        assert_eq!(search.next(), Some(6..7));
        search.prefer(6);
        let rest: Vec<_> = std::iter::from_fn(|| search.next()).collect();
        assert_eq!(rest, [0..4, 4..6, 7..8]);
    }

    proptest! {
        #[test]
        fn all_others_are_stored_once_and_in_order(
            count in 1_usize..3000,
            bad in proptest::collection::btree_set(0_usize..3000, 0..10),
        ) {
            let bad: Vec<usize> = bad.into_iter().filter(|bad| *bad < count).collect();
            let (stored, rejected, _) = run(count, &bad);
            prop_assert_eq!(&rejected, &bad);
            let good: Vec<usize> = (0..count).filter(|index| !bad.contains(index)).collect();
            prop_assert_eq!(stored, good);
        }

        /// Each record is either tried or excluded, whenever ranges are excluded.
        #[test]
        fn an_excluded_range_is_not_tried_any_more(
            count in 1_usize..300,
            excluded in proptest::collection::vec((0_usize..300, 0_usize..100, 0_usize..20), 0..4),
        ) {
            let mut search = Bisect::new(count);
            let mut seen = vec![0; count];
            let mut tries = 0;
            loop {
                for (start, length, at) in &excluded {
                    if *at == tries {
                        let parts = search.exclude(&(*start..start + length));
                        for index in parts.into_iter().flatten() {
                            prop_assert!((*start..start + length).contains(&index));
                            seen[index] += 1;
                        }
                    }
                }
                let Some(range) = search.next() else { break };
                tries += 1;
                for (start, length, at) in &excluded {
                    let is_excluded = |index: usize| (*start..start + length).contains(&index);
                    prop_assert!(*at >= tries || !range.clone().any(is_excluded));
                }
                if range.len() > 1 {
                    search.split(range);
                } else {
                    seen[range.start] += 1;
                }
            }
            prop_assert!(seen.iter().all(|count| *count == 1), "{seen:?}");
        }
    }
}
