//! The time before which every message of a session has been read and processed. Pure.
//!
//! The state records this time once a second, and a gap after a crash begins there: a time that is too late
//! would hide lost messages.
//!
//! ```text
//!  read that empties the kernel's buffer at t      everything before t
//!  no read between two ticks                       everything before the first of them
//!  reading paused (a session that is slowed)       nothing new, until one interval after the pause
//! ```

use crate::route::Timestamp;

/// See the module.
#[derive(Debug)]
pub(super) struct Drained {
    until: Timestamp,
    last_tick: Timestamp,
    /// True if the session was read, or not readable, since the last tick.
    was_busy: bool,
}

impl Drained {
    /// A session that begins at `now`.
    pub(super) const fn new(now: Timestamp) -> Self {
        Self { until: now, last_tick: now, was_busy: false }
    }

    /// Every message that the router sent before this time has been read and processed.
    pub(super) const fn until(&self) -> Timestamp {
        self.until
    }

    /// Bytes were read at `now`. `is_empty` if they were the last ones and all of them are processed.
    pub(super) const fn read(&mut self, now: Timestamp, is_empty: bool) {
        self.was_busy = true;
        if is_empty {
            self.until = now;
        }
    }

    /// The session is read again after a pause, in which messages may have arrived: the next tick does not
    /// end a quiet second.
    pub(super) const fn resume(&mut self) {
        self.was_busy = true;
    }

    /// One second has passed. `is_empty` if all bytes that were read are processed, `is_paused` if the
    /// session is not read at present.
    pub(super) fn tick(&mut self, now: Timestamp, is_empty: bool, is_paused: bool) {
        if !std::mem::take(&mut self.was_busy) && !is_paused && is_empty {
            self.until = self.until.max(self.last_tick);
        }
        self.last_tick = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds)
    }

    #[test]
    fn a_quiet_second_covers_everything_before_its_begin() {
        let mut drained = Drained::new(at(1));
        drained.tick(at(2), true, false);
        assert_eq!(drained.until(), at(1));
        drained.tick(at(3), true, false);
        assert_eq!(drained.until(), at(2));
        drained.read(at(3), false);
        drained.tick(at(4), false, false);
        drained.tick(at(5), false, false);
        assert_eq!(drained.until(), at(2), "a part of a message is in the buffer");
        drained.read(at(6), true);
        assert_eq!(drained.until(), at(6));
    }

    #[test]
    fn messages_that_arrive_while_a_session_is_not_read_are_not_covered() {
        let mut drained = Drained::new(at(1));
        drained.read(at(2), true);
        // The pause begins at 2. The router sends at 3; the message is read after the tick at 6.
        drained.tick(at(3), true, true);
        drained.tick(at(4), true, true);
        drained.resume();
        drained.tick(at(6), true, false);
        assert_eq!(drained.until(), at(2));
        drained.read(at(7), true);
        assert_eq!(drained.until(), at(7));
    }

    #[test]
    fn a_quiet_session_is_covered_again_after_a_pause() {
        let mut drained = Drained::new(at(1));
        drained.tick(at(2), true, true);
        drained.resume();
        drained.tick(at(3), true, false);
        drained.tick(at(4), true, false);
        assert_eq!(drained.until(), at(3));
    }
}
