//! Local state in sled: open sessions, peers that are up or stale, and the sequence number up to which both
//! are current.
//!
//! ```text
//! batch ─► TrackedState (pure) ─► changes ─► sled      at every batch, before it is logged
//!            │                                         (at the end of a session: once it is logged)
//!            └─► snapshot bytes ─► SNAPSHOT frames     at every tick
//! ```
//!
//! The log is the authority; the state can be rebuilt from it. Three rules keep the state consistent with the
//! log:
//!
//! * A batch is observed **before** it is appended. Every batch that the log has written has therefore been
//!   observed, and [`StateStore::observed`] records up to which sequence number. A start observes the batches
//!   after it again; observing a batch twice has no effect.
//! * A batch that ends a session is observed only **after** it is written ([`StateStore::begin_end`]). If it
//!   were observed earlier, a crash could lose the batch while the state no longer lists the session as open,
//!   and the end would never be logged.
//! * After a failed write sled is not written again until the next start, which reads the missing batches
//!   from the log.
//!
//! If sled does not open, its directory is moved aside and the state is rebuilt from the newest SNAPSHOT
//! frame and the batches after it. If the disk is full or read-only, the state of this run is kept in memory,
//! rebuilt the same way.

mod addresses;
mod error;
mod liveness;
mod store;
mod tracked;
mod version_0;
mod version_1;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::route::{Batch, PeerIdentity, SessionEnd, Timestamp};

pub use error::StateError;
pub use liveness::Liveness;
use store::SledStore;
use tracked::{Change, TrackedState};
pub use tracked::{OpenSession, TrackedPeer};
use version_0::TrackedStateV0;
use version_1::TrackedStateV1;

/// How the state was opened.
#[derive(Debug)]
pub enum OpenOutcome {
    /// The existing state was read, or the directory is new.
    Intact,
    /// The existing state did not open and was moved aside; the state is empty and must be rebuilt from the
    /// log.
    Recreated {
        /// Why the existing state did not open.
        reason: StateError,
        /// Path of the directory that was moved aside.
        moved_to: PathBuf,
    },
    /// Neither the existing state nor a new one could be opened. The state of this run is kept in memory and
    /// must be rebuilt from the log, now and at the next start.
    InMemory {
        /// Why no state could be opened.
        reason: StateError,
    },
}

/// The local state of this collector.
pub struct StateStore {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    tracked: TrackedState,
    /// `None` if the state is kept in memory only.
    store: Option<SledStore>,
    /// Sequence number up to which every batch has been observed.
    observed: u64,
    /// Every record received before this time is durable.
    logged_until: Timestamp,
    /// Encoded form of `tracked` for SNAPSHOT frames. Empty if `tracked` has changed since.
    encoded: Vec<u8>,
    /// Batches that end sessions and are not written yet, in the order of their tickets.
    pending_ends: Vec<PendingEnd>,
    /// Number of the last ticket issued.
    last_ticket: u64,
}

/// A batch that ends a session and is not written to the log yet.
struct PendingEnd {
    ticket: EndTicket,
    batch: Batch,
    seq: EndSeq,
}

/// Sequence number of a batch that ends a session.
#[derive(Clone, Copy)]
enum EndSeq {
    /// The log assigned this number.
    Assigned(u64),
    /// No number is assigned yet; it will be greater than this one.
    After(u64),
}

impl EndSeq {
    /// The assigned number, if it is at most `written`.
    const fn written(self, written: u64) -> Option<u64> {
        match self {
            Self::Assigned(seq) if seq <= written => Some(seq),
            Self::Assigned(_) | Self::After(_) => None,
        }
    }
}

/// Identifies a batch that ends a session between [`StateStore::begin_end`] and [`StateStore::end_logged`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct EndTicket(u64);

/// Format version of the snapshot bytes. Version 0, which identified peers by address alone, and version 1,
/// without the addresses of routers, are still read.
const SNAPSHOT_VERSION: u8 = 2;

impl StateStore {
    /// Opens the state in a directory, or creates it there. Always succeeds: see [`OpenOutcome`]. On a full
    /// or read-only disk the existing files are left unchanged.
    #[must_use]
    pub fn open(dir: &Path) -> (Self, OpenOutcome) {
        let opened = match SledStore::open(dir) {
            Ok(store) => Ok((store, OpenOutcome::Intact)),
            Err(failure) if failure.is_transient => Err(failure.error),
            Err(failure) => Self::recreate(dir, failure.error),
        };
        let loaded = opened.and_then(|(store, outcome)| Ok((store.load()?, store, outcome)));
        let (inner, outcome) = match loaded {
            Ok(((tracked, observed, logged_until), store, outcome)) => {
                (Inner { tracked, store: Some(store), observed, logged_until, ..Inner::default() }, outcome)
            }
            Err(reason) => (Inner::default(), OpenOutcome::InMemory { reason }),
        };
        (Self { inner: Mutex::new(inner) }, outcome)
    }

    fn recreate(dir: &Path, reason: StateError) -> Result<(SledStore, OpenOutcome), StateError> {
        let created = store::move_aside(dir).and_then(|moved_to| {
            let store = SledStore::open(dir).map_err(|failure| failure.error)?;
            Ok((store, moved_to))
        });
        match created {
            Ok((store, moved_to)) => Ok((store, OpenOutcome::Recreated { reason, moved_to })),
            Err(creating) => {
                Err(StateError::Recreate { opening: Box::new(reason), creating: Box::new(creating) })
            }
        }
    }

    /// Replaces the whole state by the contents of a SNAPSHOT frame.
    ///
    /// # Errors
    /// The bytes are not a snapshot (the state is unchanged), or sled failed (the state is replaced in
    /// memory).
    pub fn restore(&self, snapshot: &[u8]) -> Result<(), StateError> {
        let (&found, rest) = snapshot.split_first().ok_or(StateError::SnapshotEmpty)?;
        let decoded = match found {
            SNAPSHOT_VERSION => bincode::deserialize(rest),
            1 => bincode::deserialize::<(_, _, TrackedStateV1)>(rest)
                .map(|(observed, logged_until, old)| (observed, logged_until, old.into())),
            0 => bincode::deserialize::<(_, _, TrackedStateV0)>(rest)
                .map(|(observed, logged_until, old)| (observed, logged_until, old.into())),
            _ => return Err(StateError::SnapshotVersion { found, expected: SNAPSHOT_VERSION }),
        };
        let (observed, logged_until, tracked): (u64, Timestamp, TrackedState) =
            decoded.map_err(StateError::SnapshotContents)?;
        let mut inner = self.lock();
        inner.tracked = tracked;
        inner.encoded.clear();
        let replaced = inner.write(SledStore::replace);
        inner.set_mark(observed, logged_until).and(replaced)
    }

    /// Updates the state from a batch that is about to be logged, or was logged. Observing a batch twice has
    /// no effect.
    ///
    /// # Errors
    /// sled failed; the state is updated in memory.
    pub fn observe(&self, batch: &Batch) -> Result<(), StateError> {
        self.lock().observe(batch)
    }

    /// Stores the time of the last record of each open session. [`StateStore::observe`] keeps that time in
    /// memory only, so that after a replay of the log sled would hold the time of the first batch of each
    /// session.
    ///
    /// # Errors
    /// sled failed; the state is unchanged in memory.
    pub fn store_sessions(&self) -> Result<(), StateError> {
        let mut inner = self.lock();
        inner.encoded.clear();
        let sessions: Vec<_> =
            inner.tracked.sessions.keys().map(|session| Change::Session(*session)).collect();
        inner.write(|store, tracked| store.apply(tracked, &sessions))
    }

    /// Registers a batch that ends a session, before it is appended. The first [`StateStore::mark_observed`]
    /// after the batch is written observes it. Until then the session counts as open, so that the next start
    /// ends it if a crash loses the batch.
    pub fn begin_end(&self, batch: Batch) -> EndTicket {
        let mut inner = self.lock();
        inner.last_ticket += 1;
        let ticket = EndTicket(inner.last_ticket);
        let seq = EndSeq::After(inner.observed);
        inner.pending_ends.push(PendingEnd { ticket, batch, seq });
        ticket
    }

    /// Records the sequence number that the log assigned to a registered batch, or with `None` that it was
    /// not accepted.
    pub fn end_logged(&self, ticket: EndTicket, seq: Option<u64>) {
        let mut inner = self.lock();
        match seq {
            Some(seq) => inner
                .pending_ends
                .iter_mut()
                .filter(|pending| pending.ticket == ticket)
                .for_each(|pending| pending.seq = EndSeq::Assigned(seq)),
            None => inner.pending_ends.retain(|pending| pending.ticket != ticket),
        }
    }

    /// The tracked peers of a router, up and stale.
    #[must_use]
    pub fn peers(&self, router: &str) -> Vec<PeerIdentity> {
        self.lock().tracked.peers(router)
    }

    /// The tracked peers of all routers, by the router's name.
    #[must_use]
    pub fn routers(&self) -> BTreeMap<String, Vec<TrackedPeer>> {
        self.lock().tracked.routers()
    }

    /// The source address of the last recorded session of a router; `None` if it is not known.
    #[must_use]
    pub fn last_address(&self, router: &str) -> Option<IpAddr> {
        self.lock().tracked.addresses.get(router).map(|last| last.address)
    }

    /// The greatest session identity assigned so far. The next one must be greater.
    #[must_use]
    pub fn last_session(&self) -> Timestamp {
        self.lock().tracked.last_session
    }

    /// Sequence number up to which every batch has been observed. A start replays the log from the next one
    /// on.
    #[must_use]
    pub fn observed(&self) -> u64 {
        self.lock().observed
    }

    /// The batches to log at a start. For each session that was open when the collector crashed: stale marks
    /// for its live peers, the end of the session, and the gap until `now`. For each session that was ended
    /// by a stop of the collector: the gap until `now`.
    #[must_use]
    pub fn startup_batches(&self, now: Timestamp) -> Vec<Batch> {
        let inner = self.lock();
        inner.tracked.startup_batches(inner.logged_until, now)
    }

    /// The batches that end these sessions, for sessions whose task can no longer log their end.
    #[must_use]
    pub fn session_end_batches(
        &self,
        sessions: &[Timestamp],
        end: &SessionEnd,
        now: Timestamp,
    ) -> Vec<Batch> {
        let inner = self.lock();
        sessions.iter().filter_map(|session| inner.tracked.session_end_batch(*session, end, now)).collect()
    }

    /// Records that every batch up to `written` is in the log and that every record received before
    /// `logged_until` is durable. Observes the registered ends of sessions up to `written`.
    ///
    /// Returns the snapshot bytes for SNAPSHOT frames.
    ///
    /// # Errors
    /// sled failed, or the state could not be encoded.
    pub fn mark_observed(&self, written: u64, logged_until: Timestamp) -> Result<Vec<u8>, StateError> {
        let mut inner = self.lock();
        let observed = inner.observe_ends(written)?;
        inner.set_mark(observed, logged_until)?;
        if inner.encoded.is_empty() {
            inner.encoded = bincode::serialize(&inner.tracked)?;
        }
        let mut snapshot = vec![SNAPSHOT_VERSION];
        snapshot.extend(bincode::serialize(&(inner.observed, inner.logged_until))?);
        snapshot.extend_from_slice(&inner.encoded);
        Ok(snapshot)
    }

    /// Sets the observed sequence number back to the end of a log that is shorter than the state has seen.
    ///
    /// # Errors
    /// sled failed; the number is set in memory.
    pub fn rewind(&self, observed: u64) -> Result<(), StateError> {
        let mut inner = self.lock();
        let logged_until = inner.logged_until;
        inner.set_mark(observed, logged_until)
    }

    /// The time before which every received record is durable.
    #[must_use]
    pub fn logged_until(&self) -> Timestamp {
        self.lock().logged_until
    }

    /// Syncs sled to disk.
    ///
    /// # Errors
    /// sled failed.
    pub fn flush(&self) -> Result<(), StateError> {
        self.lock().store.as_ref().map_or(Ok(()), SledStore::flush)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn observe(&mut self, batch: &Batch) -> Result<(), StateError> {
        let changes = self.tracked.observe(batch);
        if changes.is_empty() {
            return Ok(());
        }
        self.encoded.clear();
        self.write(|store, tracked| store.apply(tracked, &changes))
    }

    /// Writes to sled. After the first failure sled is closed, with the last mark that it holds: a later mark
    /// would cover the changes that were not written, so that the next start would not read them from the log
    /// again.
    fn write(
        &mut self,
        write: impl FnOnce(&SledStore, &TrackedState) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let Some(store) = &self.store else { return Ok(()) };
        let written = write(store, &self.tracked);
        if written.is_err() {
            self.store = None;
        }
        written
    }

    /// Observes the pending ends up to `written`. Returns the sequence number up to which every batch is
    /// observed.
    fn observe_ends(&mut self, written: u64) -> Result<u64, StateError> {
        let is_due = |pending: &mut PendingEnd| pending.seq.written(written).is_some();
        let mut due: Vec<PendingEnd> = self.pending_ends.extract_if(.., is_due).collect();
        due.sort_by_key(|pending| pending.seq.written(written));
        // Observes all of them, even if sled fails for one.
        due.iter().map(|pending| self.observe(&pending.batch)).fold(Ok(()), Result::and)?;
        let unassigned = self.pending_ends.iter().filter_map(|pending| match pending.seq {
            EndSeq::After(seq) => Some(seq),
            EndSeq::Assigned(_) => None,
        });
        Ok(unassigned.min().map_or(written, |after| after.min(written)))
    }

    fn set_mark(&mut self, observed: u64, logged_until: Timestamp) -> Result<(), StateError> {
        if (self.observed, self.logged_until) == (observed, logged_until) {
            return Ok(());
        }
        (self.observed, self.logged_until) = (observed, logged_until);
        self.write(|store, tracked| store.mark(observed, logged_until, tracked.last_session))
    }
}

#[cfg(test)]
mod tests;
