//! [`Storage`] on a directory of the operating system: pwrite, fdatasync, flock.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::wal::storage::{Space, Storage, StorageFile, safe_open};

/// A directory of the operating system.
#[derive(Clone, Debug)]
pub struct Disk {
    directory: PathBuf,
    /// Kept open, so that the directory can be synced when no file descriptor is left.
    handle: Arc<File>,
}

impl Disk {
    /// Opens the directory for the daemon. A missing one is created, without access for others (mode 0750).
    pub fn create(directory: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(safe_open::DIRECTORY_MODE).create(directory)?;
        if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Self::open(directory)
    }

    /// Opens an existing directory.
    pub fn open(directory: &Path) -> io::Result<Self> {
        fs::read_dir(directory)?;
        Ok(Self { directory: directory.to_owned(), handle: Arc::new(File::open(directory)?) })
    }

    /// Path of the directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Storage for Disk {
    type File = File;
    type Lock = File;

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let file = safe_open::open_with(&self.path(name), options.read(true).write(true).create_new(true))?;
        safe_open::set_mode(&file)?;
        Ok(file)
    }

    fn open(&self, name: &str) -> io::Result<File> {
        safe_open::open(&self.path(name))
    }

    fn open_write(&self, name: &str) -> io::Result<File> {
        safe_open::open_with(&self.path(name), OpenOptions::new().read(true).write(true))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn lock(&self, name: &str) -> io::Result<Result<File, String>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = match safe_open::open_with(&self.path(name), &mut options) {
            // A log on a read-only file system can still be delivered, so it must be locked as well.
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                safe_open::open(&self.path(name)).map_err(|_| error)?
            }
            file => file?,
        };
        match file.try_lock() {
            Ok(()) => {
                // The mode of a file of another user, or on a read-only file system, remains as it is.
                drop(safe_open::set_mode(&file));
                // The process id is only for error messages: a full disk must not prevent the start.
                drop(file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())));
                Ok(Ok(file))
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder)?;
                Ok(Err(holder.trim().to_owned()))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn space(&self) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(&self.directory)?;
        Ok(Space {
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }
}

impl StorageFile for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
