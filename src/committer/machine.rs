//! What the log thread does next. Pure: time comes in, steps go out.
//!
//! ```text
//!            queue not empty              64 KiB or queue empty          interval, 4 MiB, or stop
//!  Wait ─────────────────────► Append ─────────────────────────► Flush ─────────────────────────► Sync ──► Wait
//!   ▲                             │ full                                                          │ full
//!   └──── retry time ─── Paused ◄─┴───────────────────────────────────────────────────────────────┘
//! ```

use std::time::Duration;

/// Handed to the page cache at the latest when so much is open.
const FLUSH_BYTES: usize = 64 << 10;
/// After the log said that it is full, it is asked again at this pace.
const RETRY: Duration = Duration::from_millis(100);
/// A group without a successor gets its beacon after this time.
const DURABILITY_MARK: Duration = Duration::from_secs(1);
/// The thread shows that it lives at least this often.
const BEAT: Duration = Duration::from_millis(500);
/// A stop in a paused log gives up after this time.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Append the oldest payload of the queue.
    Append,
    /// Hand what is open to the page cache.
    Flush,
    /// End the group and make it durable.
    Sync,
    /// Write the beacon.
    MarkDurable,
    /// Do a bit of the work for the next segment.
    Prepare,
    /// Wait for a message, but not longer than this.
    Wait(Duration),
    /// Seal the log and end; what is still queued is lost.
    End,
}

/// What became of a step, and what came from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The payload is in the open group, and so much is not in the page cache and not durable.
    Appended {
        /// Not in the page cache.
        unflushed_bytes: usize,
        /// Not durable.
        group_bytes: usize,
    },
    /// The open group is in the page cache.
    Flushed,
    /// All that was appended is durable.
    Synced,
    /// The beacon is written.
    DurabilityMarkWritten,
    /// There is more, or no more, to do for the next segment.
    Prepared {
        /// More.
        more: bool,
    },
    /// The log is full: nothing was taken.
    Full,
    /// Space may have become free: a paused log is asked at once.
    Space,
    /// Take no more, finish.
    Stop,
    /// The disk is broken.
    Failed,
}

/// The state between two steps. Times are from any fixed moment on, and never go back.
#[derive(Clone, Debug)]
pub struct Machine {
    sync_interval: Duration,
    group_bytes_max: usize,
    unflushed_bytes: usize,
    group_bytes: usize,
    /// When the oldest payload of the open group came.
    group_since: Duration,
    /// When the last group became durable; `None` once its beacon is written.
    mark_from: Option<Duration>,
    /// The log is full; it is asked again at this time.
    paused_until: Option<Duration>,
    stopping_since: Option<Duration>,
    /// There is work left for the next segment.
    prepare: bool,
    /// A bit of it was not yet done since the last sync: under load it must keep pace with the segment being filled.
    prepare_owed: bool,
    failed: bool,
}

impl Machine {
    /// A log with nothing open.
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

    /// True while the log said that it is full.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.paused_until.is_some()
    }

    /// Takes in what happened.
    pub fn on(&mut self, event: Event, now: Duration) {
        match event {
            Event::Appended { unflushed_bytes, group_bytes } => {
                // A switch of segments made the earlier part durable on the way.
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
                // A beacon that found no room is not worth another try.
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

    /// What to do now, with this many payloads in the queue.
    #[must_use]
    pub fn next(&self, queued: usize, now: Duration) -> Step {
        if self.failed {
            return Step::End;
        }
        if let Some(until) = self.paused_until {
            if self.stopping_since.is_some_and(|since| now.saturating_sub(since) >= STOP_PATIENCE) {
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

    /// With an interval of 0 all that was waiting shares one sync; a group is never held open for more to come.
    fn sync_is_due(&self, queued: usize, now: Duration) -> bool {
        let full = self.group_bytes >= self.group_bytes_max;
        let last = queued == 0 && (self.sync_interval.is_zero() || self.stopping_since.is_some());
        let old = !self.sync_interval.is_zero() && now >= self.group_since.saturating_add(self.sync_interval);
        full || last || old
    }

    fn idle(&self, now: Duration) -> Step {
        let mut wait = BEAT;
        if self.group_bytes > 0 {
            wait = wait.min(self.group_since.saturating_add(self.sync_interval).saturating_sub(now));
        } else if let Some(from) = self.mark_from {
            let due = from.saturating_add(DURABILITY_MARK);
            if now >= due {
                return Step::MarkDurable;
            }
            wait = wait.min(due.saturating_sub(now));
        }
        Step::Wait(wait)
    }
}
