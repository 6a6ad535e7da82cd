//! Errors of the local state.

use std::io;
use std::path::PathBuf;

/// Why the local state could not be opened, read, or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// sled returned an error.
    #[error(transparent)]
    Sled(#[from] sled::Error),
    /// An entry cannot be encoded or decoded.
    #[error("state entry cannot be encoded or decoded: {0}")]
    Encoding(#[from] bincode::Error),
    /// The directory could not be created, or the thread that opens sled could not be started.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// sled did not open in time.
    #[error("sled did not open within {seconds} s")]
    OpenTimeout {
        /// The time limit.
        seconds: u64,
    },
    /// sled panicked while it opened.
    #[error("sled panicked while it opened its files")]
    OpenPanicked,
    /// A damaged directory could not be moved aside.
    #[error("{} could not be moved aside: {source}", path.display())]
    MoveAside {
        /// The directory.
        path: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
    /// A damaged directory could not be replaced by an empty one.
    #[error("{opening}; creating an empty state failed: {creating}")]
    Recreate {
        /// Why the existing directory did not open.
        opening: Box<StateError>,
        /// Why no new directory could be created.
        #[source]
        creating: Box<StateError>,
    },
    /// A SNAPSHOT frame has a form that this version cannot read.
    #[error("snapshot of format version {found}; expected version {expected}")]
    SnapshotVersion {
        /// Version of the snapshot.
        found: u8,
        /// The version that is understood.
        expected: u8,
    },
    /// A SNAPSHOT frame is empty.
    #[error("empty snapshot; expected a format version and its contents")]
    SnapshotEmpty,
    /// The contents of a SNAPSHOT frame cannot be decoded.
    #[error("snapshot cannot be decoded: {0}")]
    SnapshotContents(#[source] bincode::Error),
}
