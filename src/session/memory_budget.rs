//! How much a session keeps of its peers: a router decides how many it names, so there is a limit.
//!
//! Whatever outlives the message that brought it (a peer, a family of one of its views, its table name and what its OPENs
//! agree on, a PDU aside) holds a [`Reservation`] of one [`MemoryBudget`], and gives it back when it goes. What finds no room is not
//! kept, and loses nothing else: its routes and events are recorded like those of a peer of which nothing was said before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How many bytes one session may keep of its peers. A peer with a view of one family takes about a thousand.
pub const PEER_MEMORY_MAX_BYTES: usize = 64 << 20;

/// A part of it is for what is told of the peers that are kept: new ones do not get it.
pub(super) const RESERVE_BYTES: usize = PEER_MEMORY_MAX_BYTES / 4;

/// The room of one session. Only its own task uses it; a session moves between threads, hence the atomics.
#[derive(Clone)]
pub(super) struct MemoryBudget(Arc<Inner>);

struct Inner {
    bytes_left: AtomicUsize,
    refused: AtomicU64,
}

/// Bytes of a [`MemoryBudget`] that are in use as long as this lives.
pub(super) struct Reservation {
    room: MemoryBudget,
    bytes: usize,
}

impl MemoryBudget {
    pub(super) fn of(bytes: usize) -> Self {
        Self(Arc::new(Inner { bytes_left: AtomicUsize::new(bytes), refused: AtomicU64::new(0) }))
    }

    /// So many bytes; `None` when there are fewer left.
    pub(super) fn share(&self, bytes: usize) -> Option<Reservation> {
        self.share_beside(0, bytes)
    }

    /// So many bytes, where this reserve stays.
    pub(super) fn share_beside(&self, reserve: usize, bytes: usize) -> Option<Reservation> {
        let left = self.0.bytes_left.load(Ordering::Relaxed);
        if let Some(left) = left.checked_sub(bytes).filter(|left| *left >= reserve) {
            self.0.bytes_left.store(left, Ordering::Relaxed);
            return Some(Reservation { room: self.clone(), bytes });
        }
        self.refuse();
        None
    }

    /// Counts something for which there is no room.
    pub(super) fn refuse(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// How often something found no room.
    pub(super) fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.room.0.bytes_left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_gives_its_room_back() {
        let room = MemoryBudget::of(10);
        let first = room.share(7).unwrap();
        assert!(room.share(4).is_none());
        let second = room.share(3).unwrap();
        assert!(room.share(1).is_none());
        drop(first);
        assert!(room.share(8).is_none() && room.share(7).is_some());
        drop(second);
        assert!(room.share(10).is_some());
        assert!(room.share_beside(2, 8).is_some() && room.share_beside(2, 9).is_none());
        assert_eq!(room.refused(), 4);
    }
}
