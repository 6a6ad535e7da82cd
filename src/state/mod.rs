//! Rebuildable local state in sled: sessions that are open, peers last seen up, how far it has looked.
//!
//! ```text
//! batch ─► Known (pure) ─► changes ─► sled          at every batch, before it is logged; its end when it is
//!            │
//!            └─► context bytes ─► CONTEXT frames    at every tick
//! ```
//!
//! It is never the authority. Each batch is observed *before* it is appended, so that everything up to a sequence
//! number that the log has written was observed; that number is kept ([`State::observed`]), and a start observes again
//! what the log has behind it. Seeing a batch twice changes nothing. Only the end of a session is observed when it is
//! written ([`State::ending`]): what was forgotten before could be lost with the queue, and nobody would tell it. A sled that does not open is moved aside, and the
//! state comes back from the newest CONTEXT frame of the log and the batches behind that. On a disk that takes nothing
//! sled does not open either: then the state is in memory, from the same source.

mod known;
mod store;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::route::{Batch, PeerKey, SessionEnd, Timestamp};

use known::{Change, Known};
pub use known::{OpenSession, Standing, TrackedPeer};
use store::Store;

/// Why the state could not be kept.
#[derive(Debug)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// What opening found.
#[derive(Debug, PartialEq, Eq)]
pub enum Opened {
    /// Everything was there, or the folder is new.
    Whole,
    /// It did not open for this reason, was moved to this place, and a new one was made: the log must tell the rest.
    MovedAside {
        /// Why.
        why: String,
        /// Where the old one is.
        to: PathBuf,
    },
    /// It did not open for this reason, nor can there be a new one: the state of this run is in memory only. The log must
    /// tell the rest, now and at the next start.
    InMemory {
        /// Why.
        why: String,
    },
}

/// The local state of this collector.
pub struct State {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    known: Known,
    /// None: in memory only.
    store: Option<Store>,
    /// Sequence number up to which everything has been observed.
    observed: u64,
    /// Everything that was received before this time is durable.
    logged_until: Timestamp,
    /// Bytes of `known` for CONTEXT frames; empty when it has changed since.
    encoded: Vec<u8>,
    /// Batches on their way into the log that end something, in order.
    endings: Vec<Under>,
    /// So many there were.
    last_ending: u64,
}

/// A batch that ends something and is not in the log yet.
struct Under {
    way: Ending,
    batch: Batch,
    /// Its sequence number, once it is known; until then, what had been observed when it set out: it gets a greater one.
    seq: Result<u64, u64>,
}

/// Stands for a batch between [`State::ending`] and [`State::logged`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Ending(u64);

/// Version of the context bytes.
const CONTEXT_VERSION: u8 = 0;

impl State {
    /// Opens the state in a folder, or makes a new one there. It never stops a start: a disk that takes nothing now leaves
    /// what is there as it is, and the log is the authority anyway.
    #[must_use]
    pub fn open(dir: &Path) -> (Self, Opened) {
        let opened = match Store::open(dir) {
            Ok(store) => Ok((store, Opened::Whole)),
            Err(error) if error.passes => Err(error.why),
            Err(error) => Self::open_anew(dir, error.why),
        };
        let loaded = opened.and_then(|(store, opened)| match store.load() {
            Ok(loaded) => Ok((loaded, store, opened)),
            Err(error) => Err(error.to_string()),
        });
        let (inner, opened) = match loaded {
            Ok(((known, observed, logged_until), store, opened)) => {
                (Inner { known, store: Some(store), observed, logged_until, ..Inner::default() }, opened)
            }
            Err(why) => (Inner::default(), Opened::InMemory { why }),
        };
        (Self { inner: Mutex::new(inner) }, opened)
    }

    fn open_anew(dir: &Path, why: String) -> Result<(Store, Opened), String> {
        let to = store::move_aside(dir).map_err(|error| format!("{why}, and then: {error}"))?;
        match Store::open(dir) {
            Ok(store) => Ok((store, Opened::MovedAside { why, to })),
            Err(error) => Err(format!("{why}, and then: {}", error.why)),
        }
    }

    /// Takes over what a CONTEXT frame says, in place of everything that was known.
    ///
    /// # Errors
    /// When the bytes are no context, or sled fails; then it holds in memory all the same.
    pub fn restore(&self, context: &[u8]) -> Result<(), Error> {
        let (version, rest) = context.split_first().ok_or_else(|| Error("an empty context".to_owned()))?;
        if *version != CONTEXT_VERSION {
            return Err(Error(format!("a context of version {version}, only {CONTEXT_VERSION} is known")));
        }
        let (observed, logged_until, known): (u64, Timestamp, Known) = bincode::deserialize(rest)
            .map_err(|error| Error(format!("a context that cannot be read: {error}")))?;
        let mut inner = self.lock();
        inner.known = known;
        inner.encoded.clear();
        let replaced = inner.write(Store::replace);
        inner.mark(observed, logged_until).and(replaced)
    }

    /// Learns from a batch that is about to be logged, or was. Seeing one twice changes nothing.
    ///
    /// # Errors
    /// When sled fails; what was learned holds in memory all the same.
    pub fn observe(&self, batch: &Batch) -> Result<(), Error> {
        self.lock().observe(batch)
    }

    /// All that has been observed is in the log: writes down when each open session was last heard, which a mark alone would
    /// leave at its first batch.
    ///
    /// # Errors
    /// When sled fails; what was learned holds in memory all the same.
    pub fn keep(&self) -> Result<(), Error> {
        let mut inner = self.lock();
        inner.encoded.clear();
        let sessions: Vec<_> = inner.known.sessions.keys().map(|session| Change::Session(*session)).collect();
        inner.write(|store, known| store.apply(known, &sessions))
    }

    /// A batch that ends something sets out for the log. It is observed by the tick that finds it written, and not before: a
    /// collector that is killed on the way must find open again what no log has the end of.
    pub fn ending(&self, batch: Batch) -> Ending {
        let mut inner = self.lock();
        inner.last_ending += 1;
        let way = Ending(inner.last_ending);
        let seq = Err(inner.observed);
        inner.endings.push(Under { way, batch, seq });
        way
    }

    /// It will have this sequence number; or it never came into the log.
    pub fn logged(&self, ending: Ending, seq: Option<u64>) {
        let mut inner = self.lock();
        match seq {
            Some(seq) => {
                inner.endings.iter_mut().filter(|one| one.way == ending).for_each(|one| one.seq = Ok(seq))
            }
            None => inner.endings.retain(|one| one.way != ending),
        }
    }

    /// The peers of a router that were up or stale when it was last heard.
    #[must_use]
    pub fn peers(&self, router: &str) -> Vec<PeerKey> {
        self.lock().known.peers(router)
    }

    /// All routers with their peers, for the status command.
    #[must_use]
    pub fn routers(&self) -> BTreeMap<String, Vec<TrackedPeer>> {
        self.lock().known.routers()
    }

    /// The greatest session identity that was ever given. The next must be greater.
    #[must_use]
    pub fn last_session(&self) -> Timestamp {
        self.lock().known.last_session()
    }

    /// Sequence number up to which everything has been observed: a start reads the log from the one behind it.
    #[must_use]
    pub fn observed(&self) -> u64 {
        self.lock().observed
    }

    /// What the end of the last run left open, as records for the log: sessions that were open when the collector
    /// died, with their stale peers, and a gap for every router that could not be heard until now.
    #[must_use]
    pub fn startup_records(&self, now: Timestamp) -> Vec<Batch> {
        let inner = self.lock();
        inner.known.startup_records(inner.logged_until, now)
    }

    /// The end of sessions whose own task cannot tell it any more, as records for the log.
    #[must_use]
    pub fn session_records(&self, sessions: &[Timestamp], end: &SessionEnd, now: Timestamp) -> Vec<Batch> {
        let inner = self.lock();
        sessions.iter().filter_map(|session| inner.known.session_records(*session, end, now)).collect()
    }

    /// Notes that everything up to `written` is in the log and has been observed, endings among it, and that everything received before `logged_until` is
    /// durable. Returns the bytes for the CONTEXT frames that say the same.
    ///
    /// # Errors
    /// When sled fails.
    pub fn tick(&self, written: u64, logged_until: Timestamp) -> Result<Vec<u8>, Error> {
        let mut inner = self.lock();
        let observed = inner.end(written)?;
        inner.mark(observed, logged_until)?;
        if inner.encoded.is_empty() {
            inner.encoded = bincode::serialize(&inner.known).map_err(|error| Error(error.to_string()))?;
        }
        let mut context = vec![CONTEXT_VERSION];
        context.extend(
            bincode::serialize(&(inner.observed, inner.logged_until))
                .map_err(|error| Error(error.to_string()))?,
        );
        context.extend_from_slice(&inner.encoded);
        Ok(context)
    }

    /// The log ends earlier than what has been observed: takes this number for the last one seen.
    ///
    /// # Errors
    /// When sled fails.
    pub fn rewind(&self, observed: u64) -> Result<(), Error> {
        let mut inner = self.lock();
        let logged_until = inner.logged_until;
        inner.mark(observed, logged_until)
    }

    /// Until when everything received is known to be durable.
    #[must_use]
    pub fn logged_until(&self) -> Timestamp {
        self.lock().logged_until
    }

    /// Brings everything to disk.
    ///
    /// # Errors
    /// When sled fails.
    pub fn flush(&self) -> Result<(), Error> {
        self.lock().store.as_ref().map_or(Ok(()), Store::flush)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn observe(&mut self, batch: &Batch) -> Result<(), Error> {
        let changes = self.known.observe(batch);
        if changes.is_empty() {
            return Ok(());
        }
        self.encoded.clear();
        self.write(|store, known| store.apply(known, &changes))
    }

    /// Writes to sled. Once it has failed it is left as it is, with the mark that it has, until the next start: what it missed
    /// would otherwise be behind a later mark, and never be read from the log again.
    fn write(&mut self, write: impl FnOnce(&Store, &Known) -> Result<(), Error>) -> Result<(), Error> {
        let Some(store) = &self.store else { return Ok(()) };
        let written = write(store, &self.known);
        if written.is_err() {
            self.store = None;
        }
        written
    }

    /// Observes the endings that are written. Returns up to where everything has been observed now.
    fn end(&mut self, written: u64) -> Result<u64, Error> {
        let is_written = |one: &mut Under| one.seq.is_ok_and(|seq| seq <= written);
        let mut due: Vec<Under> = self.endings.extract_if(.., is_written).collect();
        due.sort_by_key(|one| one.seq);
        // All of them, also when sled takes one of them not.
        due.iter().map(|one| self.observe(&one.batch)).fold(Ok(()), Result::and)?;
        let unknown = self.endings.iter().filter_map(|one| one.seq.err()).min();
        Ok(unknown.map_or(written, |before| before.min(written)))
    }

    fn mark(&mut self, observed: u64, logged_until: Timestamp) -> Result<(), Error> {
        if (self.observed, self.logged_until) == (observed, logged_until) {
            return Ok(());
        }
        (self.observed, self.logged_until) = (observed, logged_until);
        self.write(|store, known| store.mark(observed, logged_until, known.last_session()))
    }
}

#[cfg(test)]
mod tests;
