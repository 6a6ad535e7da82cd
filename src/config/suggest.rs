//! "Did you mean": the known name that is nearest to an unknown one.

/// The nearest of the candidates, when it is near enough to be what was meant.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, candidate) = candidates
        .map(|candidate| (distance(name, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= (name.len() / 3).max(1)).then_some(candidate)
}

/// Damerau-Levenshtein distance in its restricted form: insertions, deletions, replacements and swaps of
/// neighbours each cost one.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut previous = None;
    for (row, letter) in from.chars().enumerate() {
        let mut next = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let at = |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX - 1);
            let mut best = (at(&last, column) + usize::from(letter != *other))
                .min(at(&last, column + 1) + 1)
                .min(at(&next, column) + 1);
            let swapped = column
                .checked_sub(1)
                .filter(|left| to.get(*left) == Some(&letter) && previous == Some(*other));
            if let Some(left) = swapped {
                best = best.min(at(&before, left) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut last, next);
        previous = Some(letter);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_slip_costs_one() {
        for (from, to, cost) in [
            ("DB_HOST", "DB_HOST", 0),
            ("DB_HOTS", "DB_HOST", 1),
            ("DB_HOSTT", "DB_HOST", 1),
            ("DB_HOS", "DB_HOST", 1),
            ("DB_GOST", "DB_HOST", 1),
            ("", "DB", 2),
        ] {
            assert_eq!(distance(from, to), cost, "{from} to {to}");
        }
    }

    #[test]
    fn what_is_far_from_everything_gets_no_suggestion() {
        assert_eq!(nearest("WAL_XYZZY", ["DB_HOST", "WAL_BYTES_MAX"].into_iter()), None);
        assert_eq!(nearest("WAL_BYTE_MAX", ["DB_HOST", "WAL_BYTES_MAX"].into_iter()), Some("WAL_BYTES_MAX"));
    }
}
