//! The `route_stats` log event: counts of one session in one interval.

use std::time::{Duration, Instant};

use crate::num::to_millis;
use crate::route::{Batch, Family};
use crate::session::Counters;

/// Counts of the current interval.
#[derive(Debug)]
pub(super) struct Stats {
    began: Instant,
    /// The session's counters at the start of the interval.
    before: Counters,
    /// Routes in closed batches.
    processed: u64,
    /// Of those, routes of AFI 1, of AFI 2, and of EVPN.
    ipv4: u64,
    ipv6: u64,
    evpn: u64,
}

impl Stats {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, before: Counters::default(), processed: 0, ipv4: 0, ipv6: 0, evpn: 0 }
    }

    /// Adds the routes of a batch.
    pub(super) fn add(&mut self, batch: &Batch) {
        for group in &batch.groups {
            let rows = u64::from(group.rows);
            self.processed += rows;
            match group.family {
                Family { afi: 1, .. } => self.ipv4 += rows,
                Family { afi: 2, .. } => self.ipv6 += rows,
                Family::EVPN => self.evpn += rows,
                _ => {}
            }
        }
    }

    /// If the interval is over, logs its counts unless no message was received, and begins the next one.
    pub(super) fn tick(&mut self, router: &str, counters: Counters, interval: Duration, now: Instant) {
        let elapsed = now.duration_since(self.began);
        if elapsed < interval {
            return;
        }
        let received = counters.messages.saturating_sub(self.before.messages);
        if received > 0 {
            let throughput_per_sec = self.processed.saturating_mul(1_000) / to_millis(elapsed).max(1);
            tracing::info!(
                router,
                received,
                processed = self.processed,
                ipv4 = self.ipv4,
                ipv6 = self.ipv6,
                evpn = self.evpn,
                errors = counters.errors.saturating_sub(self.before.errors),
                bytes = counters.bytes.saturating_sub(self.before.bytes),
                throughput_per_sec,
                "route_stats"
            );
        }
        *self = Self { before: counters, ..Self::new(now) };
    }
}
