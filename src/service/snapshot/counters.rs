//! Counters of the status document.

use std::collections::BTreeMap;

use super::seconds;
use crate::committer::SyncTimes;
use crate::forwarder::LaneStatus;
use crate::listener::Registry;
use crate::num::to_f64;
use crate::telemetry::status::{Gaps, Sessions, Syncs, Transactions};

/// The counters of all sessions, and the records that were handed to the log.
pub(super) fn sessions(registry: &Registry) -> Sessions {
    let counters = registry.counters();
    let records = registry.records();
    Sessions {
        messages: named(counters.messages_named()),
        bytes: counters.bytes,
        announced: counters.announced,
        withdrawn: counters.withdrawn,
        errors: named(counters.errors_named()),
        overridden: named(counters.overridden_named()),
        irregularities: named(counters.irregularities_named()),
        routes_logged: records.routes,
        events_logged: named(records.events),
        gaps: records
            .gaps
            .into_iter()
            .map(|(reason, gaps)| {
                (reason.to_owned(), Gaps { count: gaps.count, seconds: to_f64(gaps.micros) / 1e6 })
            })
            .collect(),
    }
}

pub(super) fn syncs(times: &SyncTimes) -> Syncs {
    Syncs {
        count: times.count,
        seconds: times.sum.as_secs_f64(),
        buckets: times.buckets().map(|(bound, count)| (seconds(bound), count)).collect(),
    }
}

/// The transactions of all lanes.
pub(super) fn transactions(lanes: &[LaneStatus]) -> Transactions {
    let mut sum = Transactions::default();
    for LaneStatus { transactions, .. } in lanes {
        sum.stored += transactions.stored;
        sum.isolated += transactions.isolated;
        sum.found_committed += transactions.found_committed;
        sum.found_missing += transactions.found_missing;
        sum.refused += transactions.refused;
    }
    sum
}

pub(super) fn named(counts: impl IntoIterator<Item = (&'static str, u64)>) -> BTreeMap<String, u64> {
    counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

#[cfg(test)]
mod tests {
    use crate::listener::REFUSAL_LIMITS;
    use crate::telemetry::status::{PAUSE_REASONS, REFUSAL_REASONS};
    use crate::wal::Full;

    #[test]
    fn the_names_in_the_status_are_those_of_the_components() {
        assert_eq!(PAUSE_REASONS, Full::NAMES);
        assert_eq!(REFUSAL_REASONS, REFUSAL_LIMITS);
    }
}
