//! Which records of a chunk the database refuses: halves of what was refused, until one is left. Pure.

use std::ops::Range;

/// So many refusals may stand in any transaction, however small.
const REJECTED_MIN: usize = 10;
/// Of a large one, one in so many.
const REJECTED_PART: usize = 100;

/// What to do after a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sink) enum Refused {
    /// Go on with the next range.
    Split,
    /// This one alone is refused.
    Reject(usize),
    /// Too many: it is not about rows.
    Systemic,
}

/// The search, in the order of the log. With one bad record among `n`, `next` is called 2·log2(n) + 1 times at most.
pub(in crate::sink) struct Bisect {
    /// Still to be tried, the next one last.
    pending: Vec<Range<usize>>,
    rejected: usize,
    rejected_max: usize,
}

impl Bisect {
    /// Over `count` records that were refused together.
    pub(in crate::sink) fn new(count: usize) -> Self {
        let mut search = Self {
            pending: Vec::new(),
            rejected: 0,
            rejected_max: (count / REJECTED_PART).max(REJECTED_MIN),
        };
        search.split(0..count);
        search
    }

    /// What to try next.
    pub(in crate::sink) fn next(&mut self) -> Option<Range<usize>> {
        self.pending.pop()
    }

    /// How many were rejected.
    pub(in crate::sink) const fn rejected(&self) -> usize {
        self.rejected
    }

    /// The range was refused.
    pub(in crate::sink) fn refused(&mut self, range: Range<usize>) -> Refused {
        if range.len() > 1 {
            self.split(range);
            return Refused::Split;
        }
        self.rejected += 1;
        if self.rejected > self.rejected_max { Refused::Systemic } else { Refused::Reject(range.start) }
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

    /// What is stored, what is rejected, and how many tries it took; `None` when it was systemic.
    fn run(count: usize, bad: &[usize]) -> Option<(Vec<usize>, Vec<usize>, usize)> {
        let mut search = Bisect::new(count);
        let (mut stored, mut rejected, mut tries) = (Vec::new(), Vec::new(), 0);
        while let Some(range) = search.next() {
            tries += 1;
            if !bad.iter().any(|bad| range.contains(bad)) {
                stored.extend(range);
                continue;
            }
            match search.refused(range) {
                Refused::Split => {}
                Refused::Reject(place) => rejected.push(place),
                Refused::Systemic => return None,
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
            "a few are never systemic by their share alone"
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
            let good: Vec<usize> = (0..count).filter(|place| !bad.contains(place)).collect();
            prop_assert_eq!(stored, good);
        }
    }
}
