//! The records that were handed to the log, by kind.

use std::collections::BTreeMap;

use crate::num::to_u64;
use crate::route::{Batch, EventKind};

/// Numbers of records since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordTotals {
    /// Routes, announced and withdrawn.
    pub routes: u64,
    /// Events, by the name of their kind.
    pub events: BTreeMap<&'static str, u64>,
    /// Gaps, by the name of their reason.
    pub gaps: BTreeMap<&'static str, GapTotals>,
}

/// Gaps with the same reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GapTotals {
    /// Number of gaps.
    pub count: u64,
    /// Sum of their lengths, in microseconds.
    pub micros: u64,
}

impl RecordTotals {
    /// Adds the records of a batch. The cost does not depend on the number of its routes.
    pub(super) fn add(&mut self, batch: &Batch) {
        self.routes += to_u64(batch.nlri.len());
        for event in &batch.events {
            *self.events.entry(event.kind.name()).or_default() += 1;
            if let EventKind::Gap { reason, from, until } = &event.kind {
                let gaps = self.gaps.entry(gap_name(reason)).or_default();
                gaps.count += 1;
                gaps.micros += u64::try_from(until.0.saturating_sub(from.0)).unwrap_or(0);
            }
        }
    }
}

/// A bounded name for the reason of a gap, whose text may contain numbers.
fn gap_name(reason: &str) -> &'static str {
    match reason {
        "crash" => "crash",
        "stop" => "stop",
        _ if reason.starts_with("router skipped") => "router_skipped",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_reasons_are_bounded() {
        let reasons = ["crash", "stop", "router skipped 7 messages", "disk"];
        assert_eq!(reasons.map(gap_name), ["crash", "stop", "router_skipped", "other"]);
    }
}
