//! Folding of repeated lines: the first is written, the following ones of the same kind are counted for a while.

use std::collections::BTreeMap;

use crate::route::Timestamp;

/// How long repetitions are only counted.
pub(super) const WINDOW_US: i64 = 10_000_000;

/// Kinds that are watched at once. Beyond it lines are written unfolded, so that memory stays bounded whatever a
/// hostile sender makes up.
const KINDS_MAX: usize = 4_096;

/// What makes two lines the same kind: the event, and whom it is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub(super) event: String,
    pub(super) about: String,
}

#[derive(Debug)]
struct Window {
    since: Timestamp,
    held_back: u64,
}

/// What to do with a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Write it; so many like it were held back before.
    Write { held_back: u64 },
    /// It is counted.
    HoldBack,
}

#[derive(Debug, Default)]
pub(super) struct Limiter {
    windows: BTreeMap<Kind, Window>,
}

impl Limiter {
    pub(super) fn admit(&mut self, kind: &Kind, now: Timestamp) -> Verdict {
        if let Some(window) = self.windows.get_mut(kind) {
            // A clock that goes back ends the window too.
            if (0..WINDOW_US).contains(&now.0.saturating_sub(window.since.0)) {
                window.held_back += 1;
                return Verdict::HoldBack;
            }
            let held_back = std::mem::take(&mut window.held_back);
            window.since = now;
            return Verdict::Write { held_back };
        }
        if self.windows.len() < KINDS_MAX {
            self.windows.insert(kind.clone(), Window { since: now, held_back: 0 });
        }
        Verdict::Write { held_back: 0 }
    }

    /// Ends the windows whose time is over; of each that held lines back, the kind and the count.
    pub(super) fn expired(&mut self, now: Timestamp) -> Vec<(Kind, u64)> {
        let mut counts = Vec::new();
        self.windows.retain(|kind, window| {
            let open = (0..WINDOW_US).contains(&now.0.saturating_sub(window.since.0));
            if !open && window.held_back > 0 {
                counts.push((kind.clone(), window.held_back));
            }
            open
        });
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(about: &str) -> Kind {
        Kind { event: "bmp_parse_error".to_owned(), about: about.to_owned() }
    }

    #[test]
    fn the_first_line_is_written_and_the_rest_are_counted() {
        let mut limiter = Limiter::default();
        assert_eq!(limiter.admit(&kind("a"), Timestamp(0)), Verdict::Write { held_back: 0 });
        assert_eq!(limiter.admit(&kind("a"), Timestamp(1)), Verdict::HoldBack);
        assert_eq!(limiter.admit(&kind("b"), Timestamp(1)), Verdict::Write { held_back: 0 });
        assert_eq!(limiter.admit(&kind("a"), Timestamp(WINDOW_US - 1)), Verdict::HoldBack);
        assert_eq!(limiter.admit(&kind("a"), Timestamp(WINDOW_US)), Verdict::Write { held_back: 2 });
        assert_eq!(limiter.admit(&kind("a"), Timestamp(WINDOW_US + 1)), Verdict::HoldBack);
    }

    #[test]
    fn a_count_comes_out_even_when_nothing_follows() {
        let mut limiter = Limiter::default();
        limiter.admit(&kind("a"), Timestamp(0));
        limiter.admit(&kind("a"), Timestamp(1));
        limiter.admit(&kind("b"), Timestamp(1));
        assert_eq!(limiter.expired(Timestamp(2)), []);
        assert_eq!(limiter.expired(Timestamp(WINDOW_US + 1)), [(kind("a"), 1)]);
        assert_eq!(limiter.expired(Timestamp(WINDOW_US + 2)), []);
    }

    #[test]
    fn made_up_kinds_do_not_fill_memory() {
        let mut limiter = Limiter::default();
        for number in 0..KINDS_MAX * 2 {
            assert_eq!(
                limiter.admit(&kind(&number.to_string()), Timestamp(0)),
                Verdict::Write { held_back: 0 }
            );
        }
        assert_eq!(limiter.windows.len(), KINDS_MAX);
    }

    #[test]
    fn a_clock_that_goes_back_does_not_silence_a_line() {
        let mut limiter = Limiter::default();
        limiter.admit(&kind("a"), Timestamp(i64::MAX));
        assert_eq!(limiter.admit(&kind("a"), Timestamp(0)), Verdict::Write { held_back: 0 });
    }
}
