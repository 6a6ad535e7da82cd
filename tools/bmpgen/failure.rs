//! Errors of a run.

use std::io;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The connection was lost; with `--reconnect` the sender connects again.
    #[error("connection lost: {0}")]
    Lost(#[source] io::Error),
    /// A file or address could not be used.
    #[error("{name}: {source}")]
    Io {
        /// Name of the file or address.
        name: String,
        source: io::Error,
    },
    /// Any other error, as a complete message.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// An error at a file or address.
    pub(crate) fn io(name: impl Into<String>, source: io::Error) -> Self {
        Self::Io { name: name.into(), source }
    }
}
