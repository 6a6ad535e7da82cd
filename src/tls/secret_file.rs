//! Files with secrets: they must not be accessible to other users.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Maximum size of a file with a secret in bytes.
const BYTES_MAX: u64 = 1 << 20;

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
}

/// Reads a file that only its owner may access, and also its group if root owns it.
///
/// # Errors
/// The file cannot be read, or is accessible to other users.
pub fn read(path: &Path) -> Result<Vec<u8>, SecretFileError> {
    let unreadable = |source| SecretFileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let forbidden = if metadata.uid() == 0 { 0o137 } else { 0o177 };
    if metadata.mode() & forbidden != 0 {
        return Err(SecretFileError::Accessible { path: path.to_owned(), mode: metadata.mode() & 0o7777 });
    }
    let mut contents = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut contents).map_err(unreadable)?;
    Ok(contents)
}
