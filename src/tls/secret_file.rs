//! Files with secrets: they must not be accessible to other users.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Maximum size of a file with a secret in bytes.
const BYTES_MAX: u64 = 1 << 20;

/// Directory in which container engines place secrets. Their modes are often 0444 and cannot be chosen, and a
/// container has no other users.
const CONTAINER_SECRETS: &str = "/run/secrets";

/// A file with a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of reading it.
        source: io::Error,
    },
    /// The file is accessible to other users.
    #[error(
        "{} is accessible to other users (mode {mode:04o}): set mode 0600, or 0640 if root owns it",
        path.display()
    )]
    Accessible {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file has no secret.
    #[error("the first line of {} is empty; expected the secret", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// The permissions of a file, if it is accessible to other users than its owner, and its group if root owns
/// it.
#[must_use]
pub fn open_mode(path: &Path, metadata: &Metadata) -> Option<u32> {
    let forbidden = if metadata.uid() == 0 { 0o137 } else { 0o177 };
    let is_open = metadata.mode() & forbidden != 0 && !path.starts_with(CONTAINER_SECRETS);
    is_open.then_some(metadata.mode() & 0o7777)
}

/// Reads a file that only its owner may access, and also its group if root owns it. Files in the directory of
/// container engines for secrets are exempt.
///
/// # Errors
/// The file cannot be read, or is accessible to other users.
pub fn read(path: &Path) -> Result<Vec<u8>, SecretFileError> {
    let unreadable = |source| SecretFileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if let Some(mode) = open_mode(path, &metadata) {
        return Err(SecretFileError::Accessible { path: path.to_owned(), mode });
    }
    let mut contents = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut contents).map_err(unreadable)?;
    Ok(contents)
}

/// Reads the first line of such a file, without the end of the line.
///
/// # Errors
/// The file cannot be read, is not UTF-8, is accessible to other users, or its first line is blank.
pub fn first_line(path: &Path) -> Result<String, SecretFileError> {
    let not_text = |error| SecretFileError::Read {
        path: path.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidData, error),
    };
    let text = String::from_utf8(read(path)?).map_err(|error| not_text(error.utf8_error()))?;
    match text.lines().next() {
        Some(line) if !line.trim().is_empty() => Ok(line.to_owned()),
        _ => Err(SecretFileError::Empty { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_that_others_can_access_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "hunter2 \nmore\n").unwrap();
        let is_of_root = fs::metadata(&path).unwrap().uid() == 0;
        for (mode, is_read) in [
            (0o600, true),
            (0o400, true),
            (0o640, is_of_root),
            (0o440, is_of_root),
            (0o660, false),
            (0o644, false),
            (0o604, false),
            (0o602, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match first_line(&path) {
                Ok(line) => assert_eq!((line.as_str(), is_read), ("hunter2 ", true), "{mode:o}"),
                Err(error) => {
                    let expected = format!("is accessible to other users (mode {mode:04o})");
                    assert!(!is_read && error.to_string().contains(&expected), "{mode:o}: {error}");
                }
            }
        }
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(open_mode(Path::new("/run/secrets/db_password"), &metadata), None);
        assert_eq!(open_mode(Path::new("/run/secretsdb_password"), &metadata), Some(0o602));
    }

    #[test]
    fn a_blank_line_is_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for contents in [&b""[..], b"\n", b" \nhunter2\n", b"\xff\n"] {
            fs::write(&path, contents).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(first_line(&path).is_err(), "{contents:?}");
        }
    }
}
