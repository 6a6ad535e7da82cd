//! The disk as the log sees it: small, synchronous, and all of it can be made to fail.

use std::io;

/// Room on the file system that holds the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Size of the file system.
    pub total_bytes: u64,
    /// What a process like ours may still allocate.
    pub free_bytes: u64,
}

/// One directory of plain files. A name has no path in it.
///
/// New, renamed and removed names are durable only after [`Storage::sync_dir`]; bytes only after
/// [`StorageFile::sync`].
pub trait Storage: Send + Sync + 'static {
    /// An open file.
    type File: StorageFile;
    /// Held as long as the log is open for writing; dropping it lets go.
    type Lock: Send + 'static;

    /// Names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Makes a new file, for reading and writing. Fails when the name is taken.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// Opens a file for reading.
    fn open(&self, name: &str) -> io::Result<Self::File>;
    /// Opens an existing file for reading and writing.
    fn open_write(&self, name: &str) -> io::Result<Self::File>;
    /// Gives a file another name; a file that had it is gone.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes the names durable.
    fn sync_dir(&self) -> io::Result<()>;
    /// Takes the lock of that name, or says who holds it (`Ok(Err(holder))`).
    fn lock(&self, name: &str) -> io::Result<Result<Self::Lock, String>>;
    /// How much room there is.
    fn space(&self) -> io::Result<Space>;
}

/// An open file. Reads and writes name their offset, so that one handle serves several readers.
pub trait StorageFile: Send + Sync + 'static {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// True when the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Reads some bytes; 0 means end of file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes some bytes, extending the file where needed.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Makes bytes and length durable. After an error nothing is known about what was written since the last success.
    fn sync(&self) -> io::Result<()>;
}

/// Writes all of `bytes`; `done` counts what went through, also when an error ends it.
pub(super) fn write_all<F: StorageFile>(
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

/// Fills `buffer` as far as the file reaches; returns how much that was.
pub(super) fn read_all<F: StorageFile>(file: &F, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
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

/// Errors that pass by themselves or by a hand outside: no room, no right to write, no descriptor left. They pause
/// the log; everything else about a write is a broken disk.
pub(super) fn is_passing(error: &io::Error) -> bool {
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

/// Widening that is lossless on every supported machine.
pub(super) fn to_u64(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}
