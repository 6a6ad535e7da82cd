//! `route_stats`: what one session did in one interval.

use std::time::{Duration, Instant};

use crate::route::{Batch, Family};
use crate::session::Counters;

/// Counts over one interval.
#[derive(Debug)]
pub(super) struct Stats {
    began: Instant,
    before: Counters,
    processed: u64,
    ipv4: u64,
    ipv6: u64,
    evpn: u64,
}

impl Stats {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, before: Counters::default(), processed: 0, ipv4: 0, ipv6: 0, evpn: 0 }
    }

    /// Counts the routes of a batch.
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

    /// When the interval is over, logs it if anything came, and begins the next.
    pub(super) fn tick(&mut self, router: &str, counters: Counters, interval: Duration, now: Instant) {
        let elapsed = now.duration_since(self.began);
        if elapsed < interval {
            return;
        }
        let received = counters.messages.saturating_sub(self.before.messages);
        if received > 0 {
            let seconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
            let per_second = self.processed.saturating_mul(1_000) / seconds;
            tracing::info!(
                router,
                received,
                processed = self.processed,
                ipv4 = self.ipv4,
                ipv6 = self.ipv6,
                evpn = self.evpn,
                errors = counters.errors.saturating_sub(self.before.errors),
                bytes = counters.bytes.saturating_sub(self.before.bytes),
                throughput_per_sec = per_second,
                "route_stats"
            );
        }
        *self = Self { before: counters, ..Self::new(now) };
    }
}
