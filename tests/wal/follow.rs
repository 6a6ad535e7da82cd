//! A reader that follows a log of another process reads only what is new.
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::logs::{count, options, payload, read_all};
use holdfast::wal::{Disk, Reader, SeqNo, Space, Storage, StorageFile, Writer, recover};

/// A directory that counts the bytes that are read, and the files that are opened.
#[derive(Clone)]
struct Counted {
    disk: Disk,
    bytes: Arc<AtomicU64>,
    opened: Arc<AtomicU64>,
}

struct CountedFile {
    file: File,
    bytes: Arc<AtomicU64>,
}

impl Counted {
    fn new(disk: Disk) -> Self {
        Self { disk, bytes: Arc::default(), opened: Arc::default() }
    }

    /// Bytes read and files opened since the last call.
    fn take(&self) -> (u64, u64) {
        (self.bytes.swap(0, Ordering::Relaxed), self.opened.swap(0, Ordering::Relaxed))
    }
}

impl Storage for Counted {
    type File = CountedFile;
    type Lock = File;

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn create(&self, _: &str) -> io::Result<CountedFile> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn open(&self, name: &str) -> io::Result<CountedFile> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(CountedFile { file: self.disk.open(name)?, bytes: Arc::clone(&self.bytes) })
    }

    fn open_write(&self, _: &str) -> io::Result<CountedFile> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }

    fn lock(&self, name: &str) -> io::Result<Result<File, String>> {
        self.disk.lock(name)
    }

    fn space(&self) -> io::Result<Space> {
        self.disk.space()
    }
}

impl StorageFile for CountedFile {
    fn len(&self) -> io::Result<u64> {
        StorageFile::len(&self.file)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = StorageFile::read_at(&self.file, buffer, offset)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        StorageFile::write_at(&self.file, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        StorageFile::sync(&self.file)
    }
}

/// Appends and syncs batches up to `last`.
fn append(writer: &mut Writer<Disk>, last: u64) {
    while writer.next() <= SeqNo(last) {
        let seq = writer.next().0;
        writer.append(&payload(seq), count(seq)).unwrap();
        writer.sync(1_000_000).unwrap();
    }
}

fn sequence(first: u64, last: u64) -> Vec<Result<u64, (u64, u64, holdfast::wal::GapReason)>> {
    (first..=last).map(Ok).collect()
}

#[test]
fn a_reader_at_the_end_of_the_log_reads_48_bytes_per_look() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::create(directory.path()).unwrap();
    let (mut writer, _) = recover(disk.clone(), options()).unwrap();
    append(&mut writer, 30);
    let storage = Counted::new(disk);
    let mut reader = Reader::open(storage.clone(), SeqNo(1)).unwrap();
    assert_eq!(read_all(&mut reader), sequence(1, 30));
    // The search for frames behind the last one has moved the window.
    assert_eq!(read_all(&mut reader), []);
    storage.take();
    for _ in 0..100 {
        assert_eq!(read_all(&mut reader), []);
    }
    // Before and after the directory is listed.
    assert_eq!(storage.take(), (100 * 2 * 48, 0));
    // One batch more costs one window of the file, and not the rest of the segment.
    append(&mut writer, 31);
    assert_eq!(read_all(&mut reader), sequence(31, 31));
    let (bytes, opened) = storage.take();
    assert!(bytes <= (64 << 10) + 4 * 48 && opened == 0, "{bytes} bytes of {opened} files");
}

#[test]
fn a_follower_sees_every_batch_of_a_writer_that_recycles_segments() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::create(directory.path()).unwrap();
    let wal = holdfast::wal::Options { bytes_max: 6 * (64 << 10), keep_bytes: 0, ..options() };
    let (mut writer, _) = recover(disk.clone(), wal).unwrap();
    let mut reader = Reader::open(disk, SeqNo(1)).unwrap();
    for seq in 1..=400 {
        // Each group appears in two steps: without and with the frame that ends it.
        writer.append(&payload(seq), count(seq)).unwrap();
        assert_eq!(read_all(&mut reader), [], "batch {seq} is not written yet");
        writer.flush().unwrap();
        assert_eq!(read_all(&mut reader), sequence(seq, seq));
        writer.sync(1_000_000).unwrap();
        assert_eq!(read_all(&mut reader), []);
        writer.retire(SeqNo(seq));
    }
    assert!(writer.usage().oldest > SeqNo(300), "{:?}", writer.usage());
}
