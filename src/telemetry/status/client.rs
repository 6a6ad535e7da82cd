//! The command's end of the status socket.

use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

use super::Document;

/// How long the daemon may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// No daemon answered.
#[derive(Debug)]
pub struct Unreachable {
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no daemon answers on {}: {}", self.path.display(), self.error)
    }
}

impl std::error::Error for Unreachable {}

/// Asks the daemon for its document.
///
/// # Errors
/// When none answers in time, or not in these words.
pub fn ask(path: &Path) -> Result<Document, Unreachable> {
    let answer = || -> io::Result<Document> {
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(ANSWER_TIME))?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(serde_json::from_slice(&bytes)?)
    };
    answer().map_err(|error| Unreachable { path: path.to_owned(), error })
}
