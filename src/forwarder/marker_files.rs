//! Marker files beside the segments: one number each, for the log whose id the file names.
//!
//! ```text
//! holdfast-NAME 1 LOG_ID NUMBER CRC    in hexadecimal: 32, 32 and 8 digits; 1 is the version of the format
//! holdfast-NAME 0 LOG_ID NUMBER        version 0, without a checksum; it is read, and no longer written
//! ```
//!
//! CRC is the CRC-32 of the text before it, without the space in between.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::hex::Hex;
use crate::wal::{LogId, safe_open};

/// Names of the marker files. A copy of a log directory must include them.
pub const MARKER_FILES: [&str; 2] = [FORKED.name, DELIVERED.name];

/// The id under which a forked log is delivered. Synced, because losing it would deliver the fork under a
/// third id.
pub(super) const FORKED: MarkerFile =
    MarkerFile { name: "forked", number: "id of the fork", is_synced: true };
/// Last sequence number that the fastest lane has delivered. Not synced: after a power cut it may be too low
/// or unreadable, and an unreadable file counts as absent ([`delivered_seq`]).
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
        let text = match safe_open::open(&path).and_then(io::read_to_string) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) if source.kind() != io::ErrorKind::InvalidData => {
                return Err(MarkerFileError::Io { path, source });
            }
            // Bytes that are not UTF-8 are malformed like any other text.
            Err(_) => String::new(),
        };
        let Some((id, number)) = self.parse(&text) else {
            let expected = format!("{} <log id> <{}> <checksum>", self.head(1), self.number);
            return Err(MarkerFileError::Malformed { path, expected });
        };
        Ok((id == Hex(&log_id.0).to_string()).then_some(number))
    }

    /// The log id and the number of an intact file of either version.
    fn parse<'a>(&self, text: &'a str) -> Option<(&'a str, u128)> {
        let text = text.trim();
        let words = if let Some(words) = text.strip_prefix(&self.head(0)) {
            words
        } else {
            let (covered, crc) = text.rsplit_once(' ')?;
            covered.strip_prefix(&self.head(1)).filter(|_| crc == checksum(covered))?
        };
        let (id, number) = words.strip_prefix(' ')?.split_once(' ')?;
        let is_whole = [id, number].iter().all(|word| word.len() == 32);
        // `from_str_radix` accepts a sign.
        let is_number = is_whole && number.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_number.then(|| u128::from_str_radix(number, 16).ok().map(|number| (id, number)))?
    }

    /// Replaces the file atomically.
    pub(super) fn write(&self, directory: &Path, log_id: LogId, number: u128) -> Result<(), MarkerFileError> {
        self.replace(directory, log_id, number)
            .map_err(|source| MarkerFileError::Io { path: directory.join(self.name), source })
    }

    fn replace(&self, directory: &Path, log_id: LogId, number: u128) -> io::Result<()> {
        let part = directory.join(format!("{}.part", self.name));
        let mut file = safe_open::create(&part)?;
        let text = format!("{} {} {number:032x}", self.head(1), Hex(&log_id.0));
        writeln!(file, "{text} {}", checksum(&text))?;
        if self.is_synced {
            file.sync_all()?;
        }
        fs::rename(&part, directory.join(self.name))?;
        if self.is_synced { File::open(directory)?.sync_all() } else { Ok(()) }
    }

    /// The words before the log id.
    fn head(&self, version: u8) -> String {
        format!("holdfast-{} {version}", self.name)
    }
}

/// Checksum of a marker file's text, as the file has it.
fn checksum(text: &str) -> String {
    format!("{:08x}", crc32fast::hash(text.as_bytes()))
}

/// Last sequence number that the fastest lane has delivered, as the `delivered` marker file of this log says.
///
/// `None` also if the file is unreadable, which is logged as `delivered_marker_unreadable`: the next
/// transaction replaces it, and until then the comparison with the database goes without it.
pub(super) fn delivered_seq(directory: &Path, log_id: LogId) -> Option<u128> {
    DELIVERED.read(directory, log_id).unwrap_or_else(|error| {
        tracing::warn!(%error, "delivered_marker_unreadable");
        None
    })
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
    fn a_planted_link_is_neither_read_nor_written_through() {
        let directory = tempfile::tempdir().unwrap();
        let victim = directory.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        for name in [DELIVERED.name.to_owned(), format!("{}.part", DELIVERED.name)] {
            let path = directory.path().join(name);
            std::os::unix::fs::symlink(&victim, &path).unwrap();
            let error = match DELIVERED.read(directory.path(), LogId([3; 16])) {
                Ok(None) => DELIVERED.write(directory.path(), LogId([3; 16]), 1).unwrap_err(),
                read => read.unwrap_err(),
            };
            assert!(error.to_string().contains("is a symbolic link; expected a regular file"), "{error}");
            assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
            fs::remove_file(path).unwrap();
        }
    }

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
        let (covered, crc) = text.trim_end().rsplit_once(' ').unwrap();
        assert_eq!(covered, format!("holdfast-delivered 1 {id} {:032x}", 70), "the format never changes");
        assert_eq!(crc, checksum(covered));
    }

    #[test]
    fn a_marker_file_of_version_0_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let (log, path) = (LogId([3; 16]), directory.path().join(FORKED.name));
        fs::write(&path, format!("holdfast-forked 0 {} {:032x}\n", "03".repeat(16), 71)).unwrap();
        assert_eq!(FORKED.read(directory.path(), log).unwrap(), Some(71));
    }

    /// Every flipped bit and every truncation of a `forked` file is an error, or leaves its number; of a
    /// `delivered` file, the file then counts as absent.
    #[test]
    fn no_flipped_bit_and_no_truncation_of_a_marker_file_gives_another_number() {
        let directory = tempfile::tempdir().unwrap();
        let (log, number) = (LogId([0x3a; 16]), 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef_u128);
        for marker in [FORKED, DELIVERED] {
            marker.write(directory.path(), log, number).unwrap();
            let path = directory.path().join(marker.name);
            let intact = fs::read(&path).unwrap();
            let flipped = (0..intact.len() * 8).map(|bit| {
                let mut bytes = intact.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                bytes
            });
            let cut = (0..intact.len()).map(|length| intact[..length].to_vec());
            for bytes in flipped.chain(cut) {
                fs::write(&path, &bytes).unwrap();
                let text = String::from_utf8_lossy(&bytes).into_owned();
                // Only the line break at the end is not covered by the checksum.
                if let Ok(read) = marker.read(directory.path(), log) {
                    assert_eq!((read, text.trim_end()), (Some(number), text.trim()), "{text:?}");
                    assert!(bytes.starts_with(&intact[..intact.len() - 1]), "{text:?}");
                }
            }
        }
        fs::write(directory.path().join(DELIVERED.name), "").unwrap();
        assert_eq!(delivered_seq(directory.path(), log), None);
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
            let expected =
                "malformed marker file: expected \"holdfast-forked 1 <log id> <id of the fork> <checksum>\"";
            assert!(error.contains(expected) && error.starts_with(&path.display().to_string()), "{error}");
        }
    }
}
