//! Errors of the log.

use std::io;
use std::sync::Arc;

use super::seq::SeqNo;
use crate::wal::storage::is_transient;

/// An I/O error that can be cloned and compared.
///
/// The writer returns the same error again after it has failed for good, so that several callers hold it.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct IoCause(Arc<io::Error>);

impl IoCause {
    /// Kind of the I/O error.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.0.kind()
    }
}

impl From<io::Error> for IoCause {
    fn from(error: io::Error) -> Self {
        Self(Arc::new(error))
    }
}

impl PartialEq for IoCause {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind() && self.0.to_string() == other.0.to_string()
    }
}

impl Eq for IoCause {}

/// Why the log accepts no payload for now. The condition ends by itself or when an operator removes its
/// cause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// The log has reached its size limit and no segment is delivered.
    #[error("the log has reached its limit of {bytes_max} bytes")]
    Cap {
        /// Size limit of the log in bytes.
        bytes_max: u64,
    },
    /// Another segment would use disk space that must stay free.
    #[error("the file system has {free_bytes} bytes free, and {free_bytes_min} must stay free")]
    FreeSpace {
        /// Free bytes of the file system.
        free_bytes: u64,
        /// Bytes that must stay free.
        free_bytes_min: u64,
    },
    /// The operating system rejects the write: file system full or read-only, quota, permissions, open files.
    #[error("{}: {_0}", condition(_0.kind()))]
    Disk(#[source] IoCause),
}

impl Full {
    /// Names of all conditions.
    pub const NAMES: [&str; 3] = ["size_limit", "free_space", "disk"];

    /// The condition in one word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        let [size_limit, free_space, disk] = Self::NAMES;
        match self {
            Self::Cap { .. } => size_limit,
            Self::FreeSpace { .. } => free_space,
            Self::Disk(_) => disk,
        }
    }

    /// The state that a transient I/O error stands for.
    pub(super) fn from_io(error: io::Error) -> Self {
        Self::Disk(error.into())
    }
}

/// The condition of the file system that an I/O error reports.
const fn condition(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::StorageFull => "the file system is full",
        io::ErrorKind::QuotaExceeded => "the disk quota is used up",
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
        io::ErrorKind::FileTooLarge => "the file size limit is reached",
        io::ErrorKind::PermissionDenied => "no permission to write to the log directory",
        _ => "too many open files",
    }
}

/// Why a payload was not appended, flushed or synced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The log accepts nothing for now; nothing was appended. The call can be repeated later.
    #[error(transparent)]
    Full(#[from] Full),
    /// The payload exceeds the size limit and can never be appended.
    #[error("payload of {bytes} bytes exceeds the limit of {bytes_max} bytes")]
    TooLarge {
        /// Length of the payload in bytes.
        bytes: usize,
        /// Size limit of a payload in bytes.
        bytes_max: usize,
    },
    /// Writing failed in the open segment and in a new one. Every later call returns the same error.
    #[error("cannot write the log: {0}")]
    Failed(#[source] IoCause),
}

/// Why the allocator has no file for the next segment.
#[derive(Debug)]
pub(super) enum AllocationError {
    /// A condition that ends; see [`Full`].
    Full(Full),
    /// An I/O error that does not end by itself.
    Io(io::Error),
}

impl From<io::Error> for AllocationError {
    fn from(error: io::Error) -> Self {
        if is_transient(&error) { Self::Full(Full::from_io(error)) } else { Self::Io(error) }
    }
}

impl From<AllocationError> for WriteError {
    fn from(error: AllocationError) -> Self {
        match error {
            AllocationError::Full(full) => Self::Full(full),
            AllocationError::Io(error) => Self::Failed(error.into()),
        }
    }
}

/// Why reading stops. Damaged data is not an error: a reader returns it as a gap.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system returned an error. The call can be repeated.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A segment file cannot be opened. The message names it.
    #[error(transparent)]
    Unopened(IoCause),
    /// A later version of Holdfast wrote the segment in a format that this one cannot read.
    #[error(
        "segment {segment} has format version {version}, which needs a reader of version {oldest_reader} \
         or later"
    )]
    Newer {
        /// Segment number.
        segment: u64,
        /// Format version of the segment.
        version: u16,
        /// Oldest format version whose readers can read the segment.
        oldest_reader: u16,
    },
    /// The segment holds a frame of an unknown kind that must not be skipped.
    #[error("segment {segment} holds a frame of unknown kind {kind}: a later version of Holdfast wrote it")]
    UnknownKind {
        /// Segment number.
        segment: u64,
        /// Frame kind as stored.
        kind: u8,
    },
    /// The payload is stored in an encoding that this version cannot decode.
    #[error("payload {seq} has unknown codec {codec}: a later version of Holdfast wrote it")]
    UnknownCodec {
        /// Sequence number of the payload.
        seq: SeqNo,
        /// Codec id as stored.
        codec: u8,
    },
}

/// Why a log could not be opened for writing.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the log open for writing.
    #[error("the log is in use by process {holder}")]
    Locked {
        /// Process id that the lock file names.
        holder: String,
    },
    /// An option is out of range or contradicts another one.
    #[error("invalid log options: {0}")]
    Options(&'static str),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log cannot be written. A full or read-only file system is not an error here; see
    /// [`WriteError::Full`].
    #[error("cannot write the log: {0}")]
    Write(#[source] IoCause),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Read(ReadError::Io(error))
    }
}

/// Why a damaged log was not copied, or not completely.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    /// No segment of the source has an intact header.
    #[error("source: no segment has a readable header")]
    NothingToRead,
    /// The target directory holds segments.
    #[error("target: the directory already holds a log; specify an empty directory")]
    TargetInUse,
    /// The source cannot be read.
    #[error("source: {0}")]
    Read(#[from] ReadError),
    /// The target cannot be opened.
    #[error("target: {0}")]
    Open(#[from] OpenError),
    /// The target cannot be written.
    #[error("target: {0}")]
    Write(#[from] WriteError),
}
