//! Marker files beside the segments: one number each, for the log whose id the file names.
//!
//! ```text
//! holdfast-NAME 0 LOG_ID NUMBER        both in hexadecimal, 32 digits; 0 is the version of the format
//! ```

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::hex::Hex;
use crate::wal::LogId;

/// Names of the marker files. A copy of a log directory must include them.
pub const MARKER_FILES: [&str; 2] = [FORKED.name, DELIVERED.name];

/// The id under which a forked log is delivered. Synced, because losing it would deliver the fork under a
/// third id.
pub(super) const FORKED: MarkerFile =
    MarkerFile { name: "forked", number: "id of the fork", is_synced: true };
/// Last sequence number that the fastest lane has delivered. Not synced: after a power cut it may be too low.
pub(super) const DELIVERED: MarkerFile =
    MarkerFile { name: "delivered", number: "sequence", is_synced: false };

/// Why a marker file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MarkerFileError {
    /// The file system returned an error.
    #[error("{}: {source}", path.display())]
    Io {
        /// The marker file.
        path: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
    /// The file's contents do not have the expected form.
    #[error(
        "{}: malformed marker file: expected \"{expected}\"; restore the file, or move it away \
         and compare the log with the database (walctl diff)",
        path.display()
    )]
    Malformed {
        /// The marker file.
        path: PathBuf,
        /// The form of a valid file.
        expected: String,
    },
}

/// One kind of marker file.
#[derive(Clone, Copy)]
pub(super) struct MarkerFile {
    /// Name of the file in the log's directory, and part of its first word.
    name: &'static str,
    /// Meaning of the number, for error messages.
    number: &'static str,
    /// True if the file must survive a power cut.
    is_synced: bool,
}

impl MarkerFile {
    /// Reads the number. `None` if there is no file, or if it names another log: the directory was reused for
    /// a new log.
    pub(super) fn read(&self, directory: &Path, log_id: LogId) -> Result<Option<u128>, MarkerFileError> {
        let path = directory.join(self.name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) if source.kind() != io::ErrorKind::InvalidData => {
                return Err(MarkerFileError::Io { path, source });
            }
            // Bytes that are not UTF-8 are malformed like any other text.
            Err(_) => String::new(),
        };
        let Some((id, number)) = self.parse(&text) else {
            let expected = format!("{} <log id> <{}>", self.head(), self.number);
            return Err(MarkerFileError::Malformed { path, expected });
        };
        Ok((id == Hex(&log_id.0).to_string()).then_some(number))
    }

    /// The log id and the number of a well-formed file.
    fn parse<'a>(&self, text: &'a str) -> Option<(&'a str, u128)> {
        let rest = text.trim().strip_prefix(&self.head())?.strip_prefix(' ')?;
        let (id, number) = rest.split_once(' ')?;
        Some((id, u128::from_str_radix(number, 16).ok()?))
    }

    /// Replaces the file atomically.
    pub(super) fn write(&self, directory: &Path, log_id: LogId, number: u128) -> Result<(), MarkerFileError> {
        self.replace(directory, log_id, number)
            .map_err(|source| MarkerFileError::Io { path: directory.join(self.name), source })
    }

    fn replace(&self, directory: &Path, log_id: LogId, number: u128) -> io::Result<()> {
        let part = directory.join(format!("{}.part", self.name));
        let mut file = File::create(&part)?;
        writeln!(file, "{} {} {number:032x}", self.head(), Hex(&log_id.0))?;
        if self.is_synced {
            file.sync_all()?;
        }
        fs::rename(&part, directory.join(self.name))?;
        if self.is_synced { File::open(directory)?.sync_all() } else { Ok(()) }
    }

    /// The words before the log id.
    fn head(&self) -> String {
        format!("holdfast-{} 0", self.name)
    }
}

/// The id under which the log in this directory is delivered: the id in its `forked` marker file if there is
/// one, else its own.
///
/// # Errors
/// The marker file exists, but cannot be read or is malformed.
pub fn delivered_as(directory: &Path, log_id: LogId) -> Result<LogId, MarkerFileError> {
    let fork = FORKED.read(directory, log_id)?;
    Ok(fork.map_or(log_id, |id| LogId(id.to_be_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_file_is_read_back_for_its_own_log_only() {
        let directory = tempfile::tempdir().unwrap();
        let log = LogId([3; 16]);
        for marker in [FORKED, DELIVERED] {
            assert_eq!(marker.read(directory.path(), log).unwrap(), None);
            marker.write(directory.path(), log, u128::MAX - 1).unwrap();
            marker.write(directory.path(), log, 70).unwrap();
            assert_eq!(marker.read(directory.path(), log).unwrap(), Some(70));
            assert_eq!(marker.read(directory.path(), LogId([4; 16])).unwrap(), None);
        }
        let text = fs::read_to_string(directory.path().join("delivered")).unwrap();
        let id = "03".repeat(16);
        assert_eq!(text, format!("holdfast-delivered 0 {id} {:032x}\n", 70), "the format never changes");
    }

    #[test]
    fn a_malformed_marker_file_is_an_error_that_names_file_and_form() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FORKED.name);
        let texts: [&[u8]; 7] = [
            b"",
            b"holdfast-forked 1 a b",
            b"holdfast-forked 0 00",
            b"holdfast-forked 0 00 zz",
            b"holdfast-forked 0 00 1 2",
            b"holdfast-forked 01 00 1",
            b"\xff",
        ];
        for text in texts {
            fs::write(&path, text).unwrap();
            let error = FORKED.read(directory.path(), LogId([0; 16])).unwrap_err().to_string();
            let expected = "malformed marker file: expected \"holdfast-forked 0 <log id> <id of the fork>\"";
            assert!(error.contains(expected) && error.starts_with(&path.display().to_string()), "{error}");
        }
    }
}
