//! The limit on the memory that a session uses for the state of its peers.
//!
//! A router decides how many peers and address families it reports, so a session limits them. Everything that
//! outlives the message it came with (a peer, an address family of a RIB view, a VRF name with the negotiated
//! capabilities, a held PDU) owns a [`Reservation`] of the session's [`MemoryBudget`] and returns it when
//! dropped. Once the budget is exhausted, new state is not kept; the routes and events of the message are
//! recorded all the same, decoded like those of a peer without a Peer Up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use foldhash::quality::RandomState;

/// Maximum number of bytes that one session uses for the state of its peers.
///
/// A peer with one RIB view and one address family takes about 1,000 bytes.
pub const PEER_MEMORY_MAX_BYTES: usize = 64 << 20;

/// The part of [`PEER_MEMORY_MAX_BYTES`] that new peers may not use. It is left to the families, VRF names
/// and held PDUs of the peers that are tracked already.
pub(in crate::session) const TRACKED_PEERS_MIN_BYTES: usize = PEER_MEMORY_MAX_BYTES / 4;

/// Maximum number of bytes that one session uses for the routes announced during dumps. The IPv4
/// prefixes of a RIB view take at most 4 MiB of them.
pub const DUMP_MEMORY_MAX_BYTES: usize = 256 << 20;

/// Maximum number of bytes that one session uses for the OPENs and the last Peer Downs of its peers. They are
/// shown to operators; nothing is decoded with them.
///
/// Those of a peer take about 1,500 bytes.
pub const HISTORY_MEMORY_MAX_BYTES: usize = 8 << 20;

/// The memory budgets of one session.
#[derive(Clone)]
pub(in crate::session) struct PeerBudgets {
    /// For the state of peers, RIB views and families.
    pub(in crate::session) state: MemoryBudget,
    /// For the routes announced during dumps.
    pub(in crate::session) routes: MemoryBudget,
    /// For the OPENs and the last Peer Downs.
    pub(in crate::session) history: MemoryBudget,
    /// Keys of the hash that identifies announced routes.
    pub(in crate::session) keys: RandomState,
}

impl Default for PeerBudgets {
    fn default() -> Self {
        Self {
            state: MemoryBudget::with_limit(PEER_MEMORY_MAX_BYTES),
            routes: MemoryBudget::with_limit(DUMP_MEMORY_MAX_BYTES),
            history: MemoryBudget::with_limit(HISTORY_MEMORY_MAX_BYTES),
            keys: RandomState::default(),
        }
    }
}

/// A memory budget of one session, shared by its peers and their RIB views.
///
/// Only the session's own task uses it. The counters are atomic because a session moves between threads.
#[derive(Clone)]
pub(in crate::session) struct MemoryBudget(Arc<Inner>);

struct Inner {
    bytes_left: AtomicUsize,
    refusals: AtomicU64,
}

/// Bytes of a [`MemoryBudget`] that are in use until this value is dropped.
pub(in crate::session) struct Reservation {
    budget: MemoryBudget,
    bytes: usize,
}

impl MemoryBudget {
    /// Returns a budget of `bytes` bytes.
    pub(in crate::session) fn with_limit(bytes: usize) -> Self {
        Self(Arc::new(Inner { bytes_left: AtomicUsize::new(bytes), refusals: AtomicU64::new(0) }))
    }

    /// A reservation of no bytes.
    pub(in crate::session) fn reserve_none(&self) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0 }
    }

    /// Reserves `bytes` bytes. Returns `None`, and counts a refusal, if fewer are left.
    pub(in crate::session) fn reserve(&self, bytes: usize) -> Option<Reservation> {
        self.reserve_above(0, bytes)
    }

    /// Reserves `bytes` bytes if at least `min_left` bytes are left afterwards. Returns `None`, and counts a
    /// refusal, otherwise.
    pub(in crate::session) fn reserve_above(&self, min_left: usize, bytes: usize) -> Option<Reservation> {
        let left = self.0.bytes_left.load(Ordering::Relaxed);
        if let Some(left) = left.checked_sub(bytes).filter(|left| *left >= min_left) {
            self.0.bytes_left.store(left, Ordering::Relaxed);
            return Some(Reservation { budget: self.clone(), bytes });
        }
        self.count_refusal();
        None
    }

    /// Counts a refusal for another reason than exhausted memory.
    pub(in crate::session) fn count_refusal(&self) {
        self.0.refusals.fetch_add(1, Ordering::Relaxed);
    }

    /// Number of refusals since the session began.
    pub(in crate::session) fn refusals(&self) -> u64 {
        self.0.refusals.load(Ordering::Relaxed)
    }
}

impl Reservation {
    /// Reserves `bytes` bytes of the same budget in addition. Returns `false`, and counts a refusal, if fewer
    /// are left.
    pub(in crate::session) fn extend(&mut self, bytes: usize) -> bool {
        let Some(mut more) = self.reserve(bytes) else { return false };
        self.bytes += std::mem::take(&mut more.bytes);
        true
    }

    /// Another reservation of the same budget.
    pub(in crate::session) fn reserve(&self, bytes: usize) -> Option<Self> {
        self.budget.reserve(bytes)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.0.bytes_left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_reservation_returns_its_bytes() {
        let budget = MemoryBudget::with_limit(10);
        let first = budget.reserve(7).unwrap();
        assert!(budget.reserve(4).is_none());
        let second = budget.reserve(3).unwrap();
        assert!(budget.reserve(1).is_none());
        drop(first);
        assert!(budget.reserve(8).is_none() && budget.reserve(7).is_some());
        drop(second);
        assert!(budget.reserve(10).is_some());
        assert!(budget.reserve_above(2, 8).is_some() && budget.reserve_above(2, 9).is_none());
        assert_eq!(budget.refusals(), 4);
    }
}
