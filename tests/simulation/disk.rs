//! The simulated disk behind an adapter that can violate one of its guarantees.

use std::io;

use holdfast::wal::{Space, Storage, StorageFile};

use super::bugs::Bug;
use crate::common::simdisk::{SimDisk, SimFile};

#[derive(Clone)]
pub(crate) struct BuggyDisk {
    pub(crate) disk: SimDisk,
    pub(crate) bug: Bug,
}

pub(crate) struct BuggyFile {
    file: SimFile,
    bug: Bug,
}

impl Storage for BuggyDisk {
    type File = BuggyFile;
    type Lock = <SimDisk as Storage>::Lock;

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn create(&self, name: &str) -> io::Result<BuggyFile> {
        Ok(BuggyFile { file: self.disk.create(name)?, bug: self.bug })
    }

    fn open(&self, name: &str) -> io::Result<BuggyFile> {
        Ok(BuggyFile { file: self.disk.open(name)?, bug: self.bug })
    }

    fn open_write(&self, name: &str) -> io::Result<BuggyFile> {
        Ok(BuggyFile { file: self.disk.open_write(name)?, bug: self.bug })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        if self.bug == Bug::NoDirectorySync { Ok(()) } else { self.disk.sync_dir() }
    }

    fn lock(&self, name: &str) -> io::Result<Result<Self::Lock, String>> {
        self.disk.lock(name)
    }

    fn space(&self) -> io::Result<Space> {
        self.disk.space()
    }
}

impl StorageFile for BuggyFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        match (self.bug, self.file.write_at(bytes, offset)) {
            (Bug::WriteErrorsAreIgnored, Err(error)) if error.kind() == io::ErrorKind::Other => {
                Ok(bytes.len())
            }
            (Bug::ShortWritesAreComplete, Ok(_)) => Ok(bytes.len()),
            (_, result) => result,
        }
    }

    fn sync(&self) -> io::Result<()> {
        match self.bug {
            Bug::SyncHasNoEffect => Ok(()),
            Bug::SyncIsRetried => self.file.sync().or_else(|_| self.file.sync()),
            _ => self.file.sync(),
        }
    }
}
