//! The client of the status socket.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Document, Health};

/// Maximum time between two parts of the answer.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Exit code of `holdfast status` if the status is unknown.
const UNKNOWN_CODE: u8 = 3;

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
    /// The socket cannot be reached, so that nothing is known about the daemon: no permission, for example.
    #[error("status unknown: cannot connect to {}: {source}", path.display())]
    Unreachable {
        /// Path of the socket.
        path: PathBuf,
        /// Error of the socket.
        source: io::Error,
    },
    /// The daemon ended or gave up before it had sent the whole answer.
    #[error("status unknown: the answer from {} ends after {bytes} bytes", path.display())]
    Incomplete {
        /// Path of the socket.
        path: PathBuf,
        /// Number of bytes received.
        bytes: usize,
    },
    /// The answer is not a status document of this version.
    #[error(
        "status unknown: malformed document from {}: {source}; use a client of the same version",
        path.display()
    )]
    Malformed {
        /// Path of the socket.
        path: PathBuf,
        /// Error of the parser.
        source: serde_json::Error,
    },
}

impl FetchError {
    /// Sorts an error of connecting. A socket that is missing or on which nobody listens means that no daemon
    /// runs; any other error says nothing about the daemon.
    fn from_connect(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Self::NoAnswer { path, source },
            _ => Self::Unreachable { path, source },
        }
    }

    /// The exit code of `holdfast status`: 2 if the daemon is down, 3 if its status is unknown.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::NoAnswer { .. } => Health::Down.code(),
            Self::Unreachable { .. } | Self::Incomplete { .. } | Self::Malformed { .. } => UNKNOWN_CODE,
        }
    }
}

/// Fetches the status document of the daemon whose status socket is at `path`.
///
/// # Errors
/// Fails if no daemon answers in time, if the socket cannot be reached, or if the answer is malformed.
pub fn fetch(path: &Path) -> Result<Document, FetchError> {
    let mut stream = UnixStream::connect(path).map_err(|error| FetchError::from_connect(path, error))?;
    let mut answer = || -> io::Result<Vec<u8>> {
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = answer().map_err(|source| FetchError::NoAnswer { path: path.to_owned(), source })?;
    match serde_json::from_slice(&bytes) {
        Ok(document) => Ok(document),
        Err(error) if error.is_eof() => {
            Err(FetchError::Incomplete { path: path.to_owned(), bytes: bytes.len() })
        }
        Err(source) => Err(FetchError::Malformed { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_cut_is_not_one_of_another_version() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let daemon = std::thread::spawn(move || {
            for answer in ["{\"version\": \"0.1.0\", \"coll", "", "[1]\n"] {
                std::io::Write::write_all(&mut listener.accept().unwrap().0, answer.as_bytes()).unwrap();
            }
        });
        let message = || {
            let error = fetch(&path).unwrap_err();
            assert_eq!(error.code(), UNKNOWN_CODE);
            error.to_string()
        };
        assert!(message().ends_with("status.sock ends after 26 bytes"));
        assert!(message().ends_with("status.sock ends after 0 bytes"));
        assert!(message().contains("malformed document"));
        daemon.join().unwrap();
    }

    #[test]
    fn only_an_absent_listener_means_that_the_daemon_is_down() {
        let code = |kind: io::ErrorKind| FetchError::from_connect(Path::new("x"), kind.into()).code();
        assert_eq!([io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused].map(code), [2, 2]);
        let unknown = [
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::NotADirectory,
            io::ErrorKind::InvalidInput,
            io::ErrorKind::WouldBlock,
            io::ErrorKind::Other,
        ];
        assert_eq!(unknown.map(code), [3; 5]);
    }
}
