//! How far each lane is, by which the lanes keep the order of the log.
//!
//! ```text
//!   log           D1  D2  L3(after 2)  D4  B5(after 4)  D6
//!   dump lanes    read D4 once the live lane has passed 3, and B5 once all of them have passed 4
//!   live lane     stores L3 once the dump lanes have passed 2
//! ```
//!
//! A lane has *passed* a batch if every record of its own up to that batch is committed. It has passed
//! batches without one as soon as it has read them, although its checkpoint follows later. The lane that
//! holds the oldest undelivered batch never waits for another one, so that they cannot block each other: each
//! batch waits only for batches before it.

use tokio::sync::watch;

use crate::num::u32_to_usize;

/// How far one lane is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::forwarder) struct Position {
    /// Checkpoint of the lane; `None` until it is attached, and once the database may have lost it.
    pub(super) committed: Option<u64>,
    /// Last batch that the lane has passed, if it is attached.
    pub(super) passed: u64,
    /// Whether the lane must attach again, because the database may be another one.
    must_attach: bool,
    /// Whether the lane has ended.
    pub(super) has_ended: bool,
}

/// The positions of all lanes of a log.
pub(in crate::forwarder) struct Positions(watch::Sender<Vec<Position>>);

impl Positions {
    /// The positions of `count` lanes that are not attached.
    pub(in crate::forwarder) fn new(count: u32) -> Self {
        Self(watch::channel(vec![Position::default(); u32_to_usize(count)]).0)
    }

    /// Notifications of changes.
    pub(in crate::forwarder) fn subscribe(&self) -> watch::Receiver<Vec<Position>> {
        self.0.subscribe()
    }

    pub(super) fn of(&self, lane: u32) -> Position {
        self.0.borrow().get(u32_to_usize(lane)).copied().unwrap_or_default()
    }

    /// Last batch that the lane has passed; 0 if it is not known.
    pub(super) fn passed(&self, lane: u32) -> u64 {
        let position = self.of(lane);
        position.committed.map_or(0, |_| position.passed)
    }

    fn change(&self, lane: u32, change: impl FnOnce(&mut Position)) {
        self.0.send_if_modified(|positions| {
            let Some(position) = positions.get_mut(u32_to_usize(lane)) else { return false };
            let before = *position;
            change(position);
            *position != before
        });
    }

    /// Sets the checkpoint with which a lane was attached. It can be less than before.
    pub(super) fn attached(&self, lane: u32, last_seq: u64) {
        self.change(lane, |position| {
            let has_ended = position.has_ended;
            *position =
                Position { committed: Some(last_seq), passed: last_seq, must_attach: false, has_ended };
        });
    }

    /// Sets how far an attached lane is.
    pub(super) fn advance(&self, lane: u32, committed: u64, passed: u64) {
        self.change(lane, |position| {
            if position.committed.is_some() {
                position.committed = position.committed.max(Some(committed));
                position.passed = position.passed.max(passed).max(committed);
            }
        });
    }

    /// Makes a lane attach again before another one relies on its position.
    pub(super) fn revoke(&self, lane: u32) {
        self.change(lane, |position| {
            position.must_attach |= position.committed.take().is_some();
        });
    }

    /// Whether the lane must attach again.
    pub(super) fn must_attach(&self, lane: u32) -> bool {
        self.of(lane).must_attach
    }

    pub(super) fn end(&self, lane: u32) {
        self.change(lane, |position| position.has_ended = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_advances_until_the_lane_attaches_again() {
        let positions = Positions::new(2);
        positions.advance(0, 7, 9);
        assert_eq!(positions.of(0), Position::default(), "the lane is not attached");
        positions.attached(0, 5);
        positions.advance(0, 5, 9);
        positions.advance(0, 6, 7);
        assert_eq!((positions.of(0).committed, positions.of(0).passed), (Some(6), 9));
        positions.revoke(0);
        assert!(positions.must_attach(0) && positions.of(0).committed.is_none());
        positions.attached(0, 3);
        assert_eq!((positions.of(0).committed, positions.of(0).passed), (Some(3), 3));
        assert!(!positions.must_attach(0));
        positions.revoke(1);
        assert!(!positions.must_attach(1), "a lane that is not attached attaches anyway");
    }
}
