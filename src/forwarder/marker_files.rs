//! Notes beside the segments: one number each, for the log of which the file names the id.
//!
//! ```text
//! holdfast-NAME 0 ID NUMBER        hexadecimal; 0 is the version of the format
//! ```

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use crate::wal::LogId;

/// The id under which a log that is a copy of another one is delivered.
pub(super) const FORKED: Note = Note { name: "forked", is_synced: true };
/// How far this log was delivered, by the lane that is furthest. Behind the truth after a crash.
pub(super) const DELIVERED: Note = Note { name: "delivered", is_synced: false };

/// A file with one number.
#[derive(Clone, Copy)]
pub(super) struct Note {
    /// Of the file, and of the format.
    pub(super) name: &'static str,
    /// It must outlive a power cut.
    is_synced: bool,
}

impl Note {
    /// The number, if there is one for this log.
    pub(super) fn read(&self, directory: &Path, log_id: LogId) -> io::Result<Option<u128>> {
        let text = match fs::read_to_string(directory.join(self.name)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
        let words = text.trim().strip_prefix(&self.head());
        let mut words = words.ok_or_else(|| broken("its format is not known"))?.split(' ');
        let (Some(""), Some(id), Some(number), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(broken("it has not an id and a number"));
        };
        let number = u128::from_str_radix(number, 16).map_err(|_| broken("its number is none"))?;
        // A log that was begun anew in the same directory is another one.
        Ok((id == hex(log_id)).then_some(number))
    }

    /// Writes the file: whole, or not at all.
    pub(super) fn write(&self, directory: &Path, log_id: LogId, number: u128) -> io::Result<()> {
        let part = directory.join(format!("{}.part", self.name));
        let mut file = File::create(&part)?;
        writeln!(file, "{} {} {number:032x}", self.head(), hex(log_id))?;
        if self.is_synced {
            file.sync_all()?;
        }
        fs::rename(&part, directory.join(self.name))?;
        if self.is_synced { File::open(directory)?.sync_all() } else { Ok(()) }
    }

    fn head(&self) -> String {
        format!("holdfast-{} 0", self.name)
    }
}

fn hex(id: LogId) -> String {
    format!("{:032x}", u128::from_be_bytes(id.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_for_its_own_log_only() {
        let directory = tempfile::tempdir().unwrap();
        let log = LogId([3; 16]);
        for note in [FORKED, DELIVERED] {
            assert_eq!(note.read(directory.path(), log).unwrap(), None);
            note.write(directory.path(), log, u128::MAX - 1).unwrap();
            note.write(directory.path(), log, 70).unwrap();
            assert_eq!(note.read(directory.path(), log).unwrap(), Some(70));
            assert_eq!(note.read(directory.path(), LogId([4; 16])).unwrap(), None);
        }
    }

    #[test]
    fn a_note_of_another_format_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for text in ["", "holdfast-forked 1 a b", "holdfast-forked 0 00", "holdfast-forked 0 00 zz"] {
            fs::write(directory.path().join(FORKED.name), text).unwrap();
            assert!(FORKED.read(directory.path(), LogId([0; 16])).is_err(), "{text:?}");
        }
    }
}
