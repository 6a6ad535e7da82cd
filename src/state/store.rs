//! The sled side: the same state, key by key.
//!
//! ```text
//! tree "sessions"  session identity        -> OpenSession
//! tree "peers"     (router name, peer key) -> TrackedPeer
//! tree "stopped"   router name             -> (Router, Timestamp)
//! default tree     "mark"                  -> (observed, logged until, last session)
//! ```
//!
//! Keys and values are bincode. Nothing depends on the order of keys.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Error;
use super::known::{Change, Known};
use crate::route::{PeerKey, Timestamp};

/// How long sled may take to open. It reads a file of a few megabytes; beyond this it hangs.
const OPEN_TIME: Duration = Duration::from_secs(30);

/// There is little in it.
const CACHE_BYTES: u64 = 16 << 20;

const MARK: &str = "mark";

pub(super) struct Store {
    db: sled::Db,
    sessions: sled::Tree,
    peers: sled::Tree,
    stopped: sled::Tree,
}

fn failed(error: impl Display) -> Error {
    Error(error.to_string())
}

/// Why sled did not open.
#[derive(Debug)]
pub(super) struct NotOpened {
    pub(super) why: String,
    /// It is the disk that takes nothing now; the files may be sound.
    pub(super) passes: bool,
}

impl NotOpened {
    fn broken(why: impl Display) -> Self {
        Self { why: why.to_string(), passes: false }
    }

    fn io(error: &io::Error) -> Self {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let passes = matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem);
        Self { why: error.to_string(), passes }
    }

    fn sled(error: &sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => Self::io(error),
            error => Self::broken(error),
        }
    }
}

impl Store {
    /// Opens sled in a thread of its own: on a damaged file it may return an error, panic, or hang, and none of these
    /// must stop the collector.
    pub(super) fn open(dir: &Path) -> Result<Self, NotOpened> {
        std::fs::create_dir_all(dir).map_err(|error| NotOpened::io(&error))?;
        let (send, receive) = mpsc::sync_channel(1);
        let path = dir.to_owned();
        let open = move || {
            let opened = sled::Config::new()
                .path(path)
                .cache_capacity(CACHE_BYTES)
                .mode(sled::Mode::LowSpace)
                .open()
                .map_err(|error| NotOpened::sled(&error))
                .and_then(Self::of);
            // When nobody waits any more, the files have been moved aside.
            send.send(opened).unwrap_or_default();
        };
        std::thread::Builder::new().name("state-open".to_owned()).spawn(open).map_err(NotOpened::broken)?;
        match receive.recv_timeout(OPEN_TIME) {
            Ok(opened) => opened,
            Err(RecvTimeoutError::Timeout) => Err(NotOpened::broken("sled hangs while it opens")),
            Err(RecvTimeoutError::Disconnected) => Err(NotOpened::broken("sled panicked while it opened")),
        }
    }

    fn of(db: sled::Db) -> Result<Self, NotOpened> {
        let tree = |name: &str| db.open_tree(name).map_err(|error| NotOpened::sled(&error));
        let store = Self {
            sessions: tree("sessions")?,
            peers: tree("peers")?,
            stopped: tree("stopped")?,
            db: db.clone(),
        };
        // Everything is read once here, where a panic is caught.
        store.load().map_err(NotOpened::broken)?;
        Ok(store)
    }

    /// Everything: what is known, the observed sequence number, the time until which all is logged.
    pub(super) fn load(&self) -> Result<(Known, u64, Timestamp), Error> {
        let mut known = Known::default();
        for pair in self.sessions.iter().values() {
            let open: super::OpenSession = read(&pair.map_err(failed)?)?;
            known.sessions.insert(open.router.session, open);
        }
        for pair in &self.peers {
            let (key, value) = pair.map_err(failed)?;
            let (router, peer): (String, PeerKey) = read(&key)?;
            known.peers.entry(router).or_default().insert(peer, read(&value)?);
        }
        for pair in &self.stopped {
            let (name, value) = pair.map_err(failed)?;
            known.stopped.insert(read(&name)?, read(&value)?);
        }
        let mark = self.db.get(bincode::serialize(MARK).map_err(failed)?).map_err(failed)?;
        let (observed, logged_until, last_session) =
            mark.map_or_else(|| Ok(Default::default()), |mark| read(&mark))?;
        known.last_session = known.sessions.keys().copied().max().unwrap_or_default().max(last_session);
        Ok((known, observed, logged_until))
    }

    /// Writes what changed.
    pub(super) fn apply(&self, known: &Known, changes: &[Change]) -> Result<(), Error> {
        for change in changes {
            match change {
                Change::Session(id) => put(&self.sessions, id, known.sessions.get(id))?,
                Change::Peer(router, key) => {
                    let peer = known.peers.get(router).and_then(|peers| peers.get(key));
                    put(&self.peers, &(router, key), peer)?;
                }
                Change::Stopped(router) => put(&self.stopped, router, known.stopped.get(router))?,
            }
        }
        Ok(())
    }

    /// Writes everything, in place of what was there.
    pub(super) fn replace(&self, known: &Known) -> Result<(), Error> {
        [&self.sessions, &self.peers, &self.stopped]
            .iter()
            .try_for_each(|tree| tree.clear().map_err(failed))?;
        let sessions = known.sessions.keys().map(|id| Change::Session(*id));
        let peers = known
            .peers
            .iter()
            .flat_map(|(router, peers)| peers.keys().map(|key| Change::Peer(router.clone(), *key)));
        let stopped = known.stopped.keys().map(|name| Change::Stopped(name.clone()));
        self.apply(known, &sessions.chain(peers).chain(stopped).collect::<Vec<_>>())
    }

    pub(super) fn mark(&self, observed: u64, logged_until: Timestamp, last: Timestamp) -> Result<(), Error> {
        put(&self.db, MARK, Some(&(observed, logged_until, last)))
    }

    pub(super) fn flush(&self) -> Result<(), Error> {
        self.db.flush().map(|_| ()).map_err(failed)
    }
}

fn put<K: Serialize + ?Sized, V: Serialize>(
    tree: &sled::Tree,
    key: &K,
    value: Option<&V>,
) -> Result<(), Error> {
    let key = bincode::serialize(key).map_err(failed)?;
    match value {
        Some(value) => tree.insert(key, bincode::serialize(value).map_err(failed)?).map_err(failed)?,
        None => tree.remove(key).map_err(failed)?,
    };
    Ok(())
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    bincode::deserialize(bytes).map_err(failed)
}

/// Renames the folder to `NAME.broken-N` and returns where it is now.
pub(super) fn move_aside(dir: &Path) -> Result<PathBuf, Error> {
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let to = (1..u32::MAX)
        .map(|number| dir.with_file_name(format!("{name}.broken-{number}")))
        .find(|path| !path.exists())
        .ok_or_else(|| Error("there is no free name to move it to".to_owned()))?;
    std::fs::rename(dir, &to)
        .map_err(|error| Error(format!("{} cannot be moved aside: {error}", dir.display())))?;
    Ok(to)
}
