//! Persistence of the tracked state in sled, entry by entry.
//!
//! ```text
//! tree "sessions"  session identity        -> OpenSession
//! tree "peers-v1"  (router name, identity) -> TrackedPeer
//! tree "stopped"   router name             -> (Router, Timestamp)
//! tree "addresses" router name             -> LastAddress
//! default tree     "mark"                  -> (observed, logged until, last session)
//! ```
//!
//! Keys and values are encoded with bincode. The order of keys has no meaning. The tree "peers" of earlier
//! versions, whose keys were (router name, peer key), is converted when it is found.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StateError;
use super::tracked::{Change, OpenSession, TrackedPeer, TrackedState};
use crate::route::{PeerIdentity, PeerKey, Timestamp};

/// Time limit for opening sled. It reads a few megabytes; a longer time means that it hangs.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// Time limit for the lock of sled's files. The threads of a closed database hold it for some milliseconds
/// after the close.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause between two attempts to take that lock.
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// Size of sled's cache. The state is at most a few megabytes.
const CACHE_BYTES: u64 = 16 << 20;

/// Name of the tree of peers.
const PEERS: &str = "peers-v1";

/// Name of that tree in earlier versions.
const PEERS_V0: &str = "peers";

/// Key of the mark.
const MARK: &str = "mark";

/// An open sled database.
pub(super) struct SledStore {
    db: sled::Db,
    sessions: sled::Tree,
    peers: sled::Tree,
    stopped: sled::Tree,
    addresses: sled::Tree,
}

/// Why sled did not open.
#[derive(Debug)]
pub(super) struct OpenFailure {
    pub(super) error: StateError,
    /// True if the disk is full, over quota, or read-only, or if another database object holds the lock: the
    /// files may be intact and must not be moved aside.
    pub(super) is_transient: bool,
}

impl OpenFailure {
    fn permanent(error: impl Into<StateError>) -> Self {
        Self { error: error.into(), is_transient: false }
    }

    fn from_io(error: io::Error) -> Self {
        let is_transient = is_transient(&error);
        Self { error: error.into(), is_transient }
    }

    fn from_sled(error: sled::Error) -> Self {
        let is_transient =
            matches!(&error, sled::Error::Io(error) if is_transient(error) || is_locked(error));
        Self { error: error.into(), is_transient }
    }
}

/// True for sled's error about the lock, which has no kind of its own.
fn is_locked(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Other && error.to_string().starts_with("could not acquire lock")
}

fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
}

impl SledStore {
    /// Opens sled on a thread of its own. On damaged files sled may return an error, panic, or hang; none of
    /// these may stop the collector.
    pub(super) fn open(dir: &Path) -> Result<Self, OpenFailure> {
        std::fs::create_dir_all(dir).map_err(OpenFailure::from_io)?;
        let (send, receive) = mpsc::sync_channel(1);
        let path = dir.to_owned();
        let open = move || {
            let opened = open_db(&path, LOCK_TIMEOUT).map_err(OpenFailure::from_sled).and_then(Self::from_db);
            // Fails after a timeout, when the caller has moved the files aside.
            send.send(opened).unwrap_or_default();
        };
        std::thread::Builder::new()
            .name("state-open".to_owned())
            .spawn(open)
            .map_err(OpenFailure::permanent)?;
        match receive.recv_timeout(OPEN_TIMEOUT) {
            Ok(opened) => opened,
            Err(RecvTimeoutError::Timeout) => {
                Err(OpenFailure::permanent(StateError::OpenTimeout { seconds: OPEN_TIMEOUT.as_secs() }))
            }
            Err(RecvTimeoutError::Disconnected) => Err(OpenFailure::permanent(StateError::OpenPanicked)),
        }
    }

    fn from_db(db: sled::Db) -> Result<Self, OpenFailure> {
        let tree = |name: &str| db.open_tree(name).map_err(OpenFailure::from_sled);
        let store = Self {
            sessions: tree("sessions")?,
            peers: tree(PEERS)?,
            stopped: tree("stopped")?,
            addresses: tree("addresses")?,
            db: db.clone(),
        };
        store.convert_peers().map_err(OpenFailure::permanent)?;
        // Reads every entry on this thread, where a panic does not stop the collector.
        store.load().map_err(OpenFailure::permanent)?;
        Ok(store)
    }

    /// Moves the peers of an earlier version to the new tree.
    fn convert_peers(&self) -> Result<(), StateError> {
        if !self.db.tree_names().iter().any(|name| name == PEERS_V0.as_bytes()) {
            return Ok(());
        }
        for pair in &self.db.open_tree(PEERS_V0)? {
            let (key, value) = pair?;
            let (router, _): (String, PeerKey) = decode(&key)?;
            let tracked: TrackedPeer = decode(&value)?;
            put(&self.peers, &(router, tracked.peer.identity()), Some(&tracked))?;
        }
        // The new entries must be on disk before the old ones are deleted.
        self.db.flush()?;
        self.db.drop_tree(PEERS_V0)?;
        Ok(())
    }

    /// Reads the tracked state, the observed sequence number, and the time before which every record is
    /// durable.
    pub(super) fn load(&self) -> Result<(TrackedState, u64, Timestamp), StateError> {
        let mut tracked = TrackedState::default();
        for pair in self.sessions.iter().values() {
            let open: OpenSession = decode(&pair?)?;
            tracked.sessions.insert(open.router.session, open);
        }
        for pair in &self.peers {
            let (key, value) = pair?;
            let (router, peer): (String, PeerIdentity) = decode(&key)?;
            tracked.peers.entry(router).or_default().insert(peer, decode(&value)?);
        }
        for pair in &self.stopped {
            let (name, value) = pair?;
            tracked.stopped.insert(decode(&name)?, decode(&value)?);
        }
        for pair in &self.addresses {
            let (name, value) = pair?;
            tracked.addresses.insert(decode(&name)?, decode(&value)?);
        }
        // Earlier versions stored no addresses.
        tracked.note_known_addresses();
        let mark = self.db.get(bincode::serialize(MARK)?)?;
        let (observed, logged_until, last_session) =
            mark.map_or_else(|| Ok(Default::default()), |mark| decode(&mark))?;
        tracked.last_session = tracked.sessions.keys().copied().max().unwrap_or_default().max(last_session);
        Ok((tracked, observed, logged_until))
    }

    /// Writes the changed entries.
    pub(super) fn apply(&self, tracked: &TrackedState, changes: &[Change]) -> Result<(), StateError> {
        for change in changes {
            match change {
                Change::Session(id) => put(&self.sessions, id, tracked.sessions.get(id))?,
                Change::Peer(router, identity) => {
                    let peer = tracked.peers.get(router).and_then(|peers| peers.get(identity));
                    put(&self.peers, &(router, identity), peer)?;
                }
                Change::Stopped(router) => put(&self.stopped, router, tracked.stopped.get(router))?,
                Change::Address(router) => put(&self.addresses, router, tracked.addresses.get(router))?,
            }
        }
        Ok(())
    }

    /// Replaces all entries but the mark.
    pub(super) fn replace(&self, tracked: &TrackedState) -> Result<(), StateError> {
        let trees = [&self.sessions, &self.peers, &self.stopped, &self.addresses];
        trees.iter().try_for_each(|tree| tree.clear())?;
        let sessions = tracked.sessions.keys().map(|id| Change::Session(*id));
        let peers = tracked
            .peers
            .iter()
            .flat_map(|(router, peers)| peers.keys().map(|key| Change::Peer(router.clone(), *key)));
        let stopped = tracked.stopped.keys().map(|name| Change::Stopped(name.clone()));
        let addresses = tracked.addresses.keys().map(|name| Change::Address(name.clone()));
        self.apply(tracked, &sessions.chain(peers).chain(stopped).chain(addresses).collect::<Vec<_>>())
    }

    /// Writes the mark.
    pub(super) fn mark(
        &self,
        observed: u64,
        logged_until: Timestamp,
        last_session: Timestamp,
    ) -> Result<(), StateError> {
        put(&self.db, MARK, Some(&(observed, logged_until, last_session)))
    }

    /// Syncs sled to disk.
    pub(super) fn flush(&self) -> Result<(), StateError> {
        self.db.flush()?;
        Ok(())
    }
}

/// Opens the database; waits for its lock for at most `lock_timeout`.
fn open_db(dir: &Path, lock_timeout: Duration) -> sled::Result<sled::Db> {
    let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).mode(sled::Mode::LowSpace);
    let started = Instant::now();
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if is_locked(&error) && started.elapsed() < lock_timeout => {
                std::thread::sleep(LOCK_RETRY);
            }
            opened => return opened,
        }
    }
}

fn put<K: Serialize + ?Sized, V: Serialize>(
    tree: &sled::Tree,
    key: &K,
    value: Option<&V>,
) -> Result<(), StateError> {
    let key = bincode::serialize(key)?;
    match value {
        Some(value) => tree.insert(key, bincode::serialize(value)?)?,
        None => tree.remove(key)?,
    };
    Ok(())
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StateError> {
    Ok(bincode::deserialize(bytes)?)
}

/// Renames the directory to `NAME.broken-N` with the first free number, and returns the new path.
pub(super) fn move_aside(dir: &Path) -> Result<PathBuf, StateError> {
    let failed = |source| StateError::MoveAside { path: dir.to_owned(), source };
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let to = (1..u32::MAX)
        .map(|number| dir.with_file_name(format!("{name}.broken-{number}")))
        .find(|path| !path.exists())
        .ok_or_else(|| failed(io::ErrorKind::AlreadyExists.into()))?;
    std::fs::rename(dir, &to).map_err(failed)?;
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_database_is_waited_for_and_never_taken_for_a_damaged_one() {
        let folder = tempfile::tempdir().unwrap();
        let held = sled::open(folder.path()).unwrap();
        let error = open_db(folder.path(), Duration::ZERO).unwrap_err();
        let failure = OpenFailure::from_sled(error);
        assert!(failure.is_transient, "{}", failure.error);

        let dir = folder.path().to_owned();
        let (started, start) = mpsc::sync_channel(0);
        let waiting = std::thread::spawn(move || {
            started.send(()).unwrap();
            SledStore::open(&dir).map(|_| ())
        });
        start.recv().unwrap();
        drop(held);
        waiting.join().unwrap().unwrap();
    }
}
