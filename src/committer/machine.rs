//! State machine of the log thread. Pure: the time is an argument, and the result is the next step.
//!
//! ```text
//!           queue not empty          64 KiB or queue empty         interval, 4 MiB, or stop
//!  Wait ───────────────────► Append ──────────────────────► Flush ──────────────────────► Sync ──► Wait
//!   ▲                          │ full                                                       │ full
//!   └─── retry time ─── Paused ┴────────────────────────────────────────────────────────────┘
//! ```

use std::time::Duration;

/// Unflushed bytes at which the open group is written to the page cache.
const FLUSH_BYTES: usize = 64 << 10;
/// Interval of retries while the log is full.
const RETRY: Duration = Duration::from_millis(100);
/// Idle time after a sync before the durability mark is written.
const MARK_DELAY: Duration = Duration::from_secs(1);
/// Maximum interval between two heartbeats of the thread.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Time after which a stop ends although the log is still full.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Append the oldest payload of the queue to the open group.
    Append,
    /// Write the open group to the page cache.
    Flush,
    /// End the open group and make it durable.
    Sync,
    /// Write a durability mark.
    MarkDurable,
    /// Perform one step of preparing the next segment.
    Prepare,
    /// Wait for a message, at most this long.
    Wait(Duration),
    /// Seal the log and end the thread; queued payloads lost.
    End,
}

/// The result of a step, or a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The payload is in the open group.
    Appended {
        /// Bytes of the group that are not in the page cache.
        unflushed_bytes: usize,
        /// Bytes of the group.
        group_bytes: usize,
    },
    /// The open group is in the page cache.
    Flushed,
    /// Every appended payload is durable.
    Synced,
    /// The durability mark is written.
    DurabilityMarkWritten,
    /// One step of preparing the next segment is done.
    Prepared {
        /// More steps are needed.
        more: bool,
    },
    /// The log is full: the step had no effect.
    Full,
    /// Space may have become free: a full log is retried at once.
    Space,
    /// Finish the queue and end.
    Stop,
    /// The log failed for good.
    Failed,
}

/// State of the log thread between two steps. Times are measured from a fixed moment and never decrease.
#[derive(Clone, Debug)]
pub struct Machine {
    sync_interval: Duration,
    group_bytes_max: usize,
    unflushed_bytes: usize,
    group_bytes: usize,
    /// Time at which the oldest payload of the open group was appended.
    group_since: Duration,
    /// Time of the last sync; `None` once its durability mark is written.
    mark_from: Option<Duration>,
    /// Time of the next retry while the log is full.
    paused_until: Option<Duration>,
    stopping_since: Option<Duration>,
    /// The next segment is not ready.
    prepare: bool,
    /// No step of preparing it was done since the last sync: under load, preparation must keep pace with
    /// writing.
    prepare_owed: bool,
    failed: bool,
}

impl Machine {
    /// The state with an empty group. Groups are synced after `sync_interval`, or at `group_bytes_max` bytes.
    #[must_use]
    pub const fn new(sync_interval: Duration, group_bytes_max: usize) -> Self {
        Self {
            sync_interval,
            group_bytes_max,
            unflushed_bytes: 0,
            group_bytes: 0,
            group_since: Duration::ZERO,
            mark_from: None,
            paused_until: None,
            stopping_since: None,
            prepare: true,
            prepare_owed: false,
            failed: false,
        }
    }

    /// Whether the log is full.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.paused_until.is_some()
    }

    /// Applies an event.
    pub fn on(&mut self, event: Event, now: Duration) {
        match event {
            Event::Appended { unflushed_bytes, group_bytes } => {
                // A smaller group: a rotation has synced the earlier payloads.
                if self.group_bytes == 0 || group_bytes < self.group_bytes {
                    self.group_since = now;
                }
                (self.unflushed_bytes, self.group_bytes) = (unflushed_bytes, group_bytes);
                self.paused_until = None;
            }
            Event::Flushed => {
                self.unflushed_bytes = 0;
                self.paused_until = None;
            }
            Event::Synced => {
                (self.unflushed_bytes, self.group_bytes) = (0, 0);
                self.paused_until = None;
                self.mark_from = Some(now);
                (self.prepare, self.prepare_owed) = (true, true);
            }
            Event::DurabilityMarkWritten => self.mark_from = None,
            Event::Prepared { more } => (self.prepare, self.prepare_owed) = (more, false),
            Event::Full => {
                self.paused_until = Some(now.saturating_add(RETRY));
                // The mark is optional, and not retried.
                self.mark_from = None;
            }
            Event::Space => {
                self.paused_until = self.paused_until.map(|_| now);
                self.prepare = true;
            }
            Event::Stop => self.stopping_since = self.stopping_since.or(Some(now)),
            Event::Failed => self.failed = true,
        }
    }

    /// The next step, with `queued` payloads in the queue.
    #[must_use]
    pub fn next(&self, queued: usize, now: Duration) -> Step {
        if self.failed {
            return Step::End;
        }
        if let Some(until) = self.paused_until {
            if self.stopping_since.is_some_and(|since| now.saturating_sub(since) >= STOP_TIMEOUT) {
                return Step::End;
            }
            if now < until {
                return Step::Wait(until.saturating_sub(now));
            }
        }
        if self.group_bytes > 0 && self.sync_is_due(queued, now) {
            return Step::Sync;
        }
        if self.unflushed_bytes >= FLUSH_BYTES || (self.unflushed_bytes > 0 && queued == 0) {
            return Step::Flush;
        }
        if queued > 0 {
            return if self.prepare_owed { Step::Prepare } else { Step::Append };
        }
        if self.stopping_since.is_some() {
            return Step::End;
        }
        if self.prepare {
            return Step::Prepare;
        }
        self.idle(now)
    }

    /// With an interval of 0, all queued payloads share one sync, and an empty queue ends the group.
    fn sync_is_due(&self, queued: usize, now: Duration) -> bool {
        let full = self.group_bytes >= self.group_bytes_max;
        let last = queued == 0 && (self.sync_interval.is_zero() || self.stopping_since.is_some());
        let old = !self.sync_interval.is_zero() && now >= self.group_since.saturating_add(self.sync_interval);
        full || last || old
    }

    fn idle(&self, now: Duration) -> Step {
        let mut wait = HEARTBEAT;
        if self.group_bytes > 0 {
            wait = wait.min(self.group_since.saturating_add(self.sync_interval).saturating_sub(now));
        } else if let Some(from) = self.mark_from {
            let due = from.saturating_add(MARK_DELAY);
            if now >= due {
                return Step::MarkDurable;
            }
            wait = wait.min(due.saturating_sub(now));
        }
        Step::Wait(wait)
    }
}
