//! The file system operations that the log uses, as traits: synchronous, and replaceable by a simulation.

pub(in crate::wal) mod disk;
pub mod safe_open;

use std::io;

use crate::num::to_u64;

/// Size of the file system that holds the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Total size in bytes.
    pub total_bytes: u64,
    /// Bytes that an unprivileged process can still allocate.
    pub free_bytes: u64,
}

/// A directory of regular files. File names have no path separator.
///
/// Created, renamed and removed names are durable after [`Storage::sync_dir`]; file contents after
/// [`StorageFile::sync`].
pub trait Storage: Send + Sync + 'static {
    /// An open file.
    type File: StorageFile;
    /// An exclusive lock; dropping it releases the lock.
    type Lock: Send + 'static;

    /// Lists the names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Creates a file and opens it for reading and writing. Fails if the name exists.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// Opens a file for reading.
    fn open(&self, name: &str) -> io::Result<Self::File>;
    /// Opens an existing file for reading and writing.
    fn open_write(&self, name: &str) -> io::Result<Self::File>;
    /// Renames a file; an existing file with the new name is replaced.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes all names durable.
    fn sync_dir(&self) -> io::Result<()>;
    /// Takes the exclusive lock of this name; `Ok(Err(holder))` if the process `holder` has it.
    fn lock(&self, name: &str) -> io::Result<Result<Self::Lock, String>>;
    /// Returns the size of the file system.
    fn space(&self) -> io::Result<Space>;
}

/// An open file. Every read and write has an explicit offset, so that several readers can share a handle.
pub trait StorageFile: Send + Sync + 'static {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Reads up to `buffer.len()` bytes; 0 means end of file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes up to `bytes.len()` bytes and extends the file if needed.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Makes contents and length durable. After an error, all writes since the last successful sync may be
    /// lost.
    fn sync(&self) -> io::Result<()>;
}

/// Writes `bytes` from index `*done` on. `*done` is advanced by what was written, also when an error is
/// returned.
pub(in crate::wal) fn write_all<F: StorageFile>(
    file: &F,
    bytes: &[u8],
    offset: u64,
    done: &mut usize,
) -> io::Result<()> {
    while let Some(rest) = bytes.get(*done..).filter(|rest| !rest.is_empty()) {
        match file.write_at(rest, offset + to_u64(*done)) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => *done += written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fills `buffer` up to the end of the file. Returns the number of bytes read.
pub(in crate::wal) fn read_all<F: StorageFile>(
    file: &F,
    buffer: &mut [u8],
    offset: u64,
) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + to_u64(done)) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Whether the condition behind an I/O error ends by itself or by an operator's action: no space, no
/// permission, no file descriptors. Such an error pauses the log; any other write error means a broken disk.
pub(in crate::wal) fn is_transient(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::PermissionDenied
    ) || matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// Whether a write failed for lack of space. Bytes counted before the failure are written, and the rest can
/// be written again at the same offset. This does not apply to a failed sync.
pub(in crate::wal) fn is_lack_of_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
