//! Sequence numbers.

use std::fmt;

/// Sequence number of a payload: 1 for the first payload of a log, and one more for each that follows.
///
/// 0 ([`SeqNo::NONE`]) means "no payload".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeqNo(pub u64);

impl SeqNo {
    /// Below every payload.
    pub const NONE: Self = Self(0);
    /// Above every payload: a reader with this limit reads everything that is durable.
    pub const MAX: Self = Self(u64::MAX);

    /// The next higher sequence number; saturates at the maximum.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The next lower sequence number; saturates at 0.
    #[must_use]
    pub const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for SeqNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
