//! The client of the status socket.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Document;

/// Maximum time between two parts of the answer.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The status document could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The daemon does not run or does not answer.
    #[error("no daemon answers on {}: {source}", path.display())]
    NoAnswer {
        /// Path of the socket.
        path: PathBuf,
        /// Error of the socket.
        source: io::Error,
    },
    /// The answer is not a status document of this version.
    #[error("malformed status document from {}: {source}; use a client of the same version", path.display())]
    Malformed {
        /// Path of the socket.
        path: PathBuf,
        /// Error of the parser.
        source: serde_json::Error,
    },
}

/// Fetches the status document of the daemon whose status socket is at `path`.
///
/// # Errors
/// Fails if no daemon answers in time, or if the answer is malformed.
pub fn fetch(path: &Path) -> Result<Document, FetchError> {
    let answer = || -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = answer().map_err(|source| FetchError::NoAnswer { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes).map_err(|source| FetchError::Malformed { path: path.to_owned(), source })
}
