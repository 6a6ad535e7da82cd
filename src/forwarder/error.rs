//! Errors of the delivery and the action that each one requires.

use tokio::task::JoinError;

use super::marker_files::MarkerFileError;
use crate::codec;
use crate::sink::{self, ErrorAction, InconsistentBatch, MigrateError};
use crate::wal::ReadError;

/// Class of errors of reading the log.
const LOG: &str = "log";

/// Why the log id to deliver under could not be determined.
#[derive(Debug, thiserror::Error)]
pub(super) enum IdentityError {
    #[error(transparent)]
    MarkerFile(#[from] MarkerFileError),
    #[error("reading the log: {0}")]
    Read(#[source] ReadError),
    /// The thread that reads the log panicked.
    #[error("reading the log: {0}")]
    Panicked(#[source] JoinError),
    #[error(transparent)]
    Sink(#[from] sink::Error),
}

/// Why the lanes could not be started yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrepareError {
    #[error(transparent)]
    Connect(sink::Error),
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl PrepareError {
    /// The action to take.
    pub(super) fn action(&self) -> ErrorAction {
        match self {
            Self::Connect(error) => error.action(),
            Self::Migrate(error) => error.action(),
            Self::Identity(IdentityError::Sink(error)) => error.action(),
            Self::Identity(IdentityError::Read(ReadError::Io(_))) => ErrorAction::Retry,
            Self::Identity(_) => ErrorAction::Alarm,
        }
    }

    /// Class of the error, as [`sink::Error::class`].
    pub(super) fn class(&self) -> &'static str {
        match self {
            Self::Connect(error) | Self::Identity(IdentityError::Sink(error)) => error.class(),
            Self::Migrate(error) => error.class(),
            Self::Identity(_) => LOG,
        }
    }
}

/// Why a lane could not continue.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaneError {
    #[error(transparent)]
    Sink(#[from] sink::Error),
    /// The schema is missing and could not be created.
    #[error(transparent)]
    Migrate(MigrateError),
    #[error("reading the log: {0}")]
    Read(#[source] ReadError),
    /// Written by a later version of Holdfast. The batch must be kept until that version delivers it.
    #[error("batch {seq} was written by a later version of Holdfast: {error}")]
    NewerVersion {
        seq: u64,
        #[source]
        error: codec::Error,
    },
    #[error(transparent)]
    Inconsistent(InconsistentBatch),
    /// The log returned nothing although the batch is durable.
    #[error("batch {0} is durable, but the log reader returned nothing")]
    NothingRead(u64),
    /// The thread that reads the log panicked.
    #[error("reading the log: {0}")]
    Panicked(#[source] JoinError),
    /// The transaction was built when another lane was further than it is now.
    #[error("the transaction follows batches that another lane has to deliver again")]
    OtherLaneBehind,
}

impl LaneError {
    /// The action to take.
    pub(super) fn action(&self) -> ErrorAction {
        match self {
            Self::Sink(error) => error.action(),
            Self::Migrate(error) => error.action(),
            Self::Read(ReadError::Io(_)) | Self::NothingRead(_) | Self::OtherLaneBehind => ErrorAction::Retry,
            Self::Read(_) | Self::NewerVersion { .. } | Self::Inconsistent(_) | Self::Panicked(_) => {
                ErrorAction::Halt
            }
        }
    }

    /// Class of the error, as [`sink::Error::class`]; `log` if it is in reading the log.
    pub(super) fn class(&self) -> &'static str {
        match self {
            Self::Sink(error) => error.class(),
            Self::Migrate(error) => error.class(),
            _ => LOG,
        }
    }

    /// Whether the database has another checkpoint than this process expects, as after a restore.
    pub(super) fn is_unexpected_checkpoint(&self) -> bool {
        matches!(self, Self::Sink(error) if error.is_unexpected_checkpoint())
    }

    /// Whether the error leaves open whether the server has committed.
    pub(super) fn is_without_reply(&self) -> bool {
        matches!(self, Self::Sink(error) if error.is_without_reply())
    }
}
