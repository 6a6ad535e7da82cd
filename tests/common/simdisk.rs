//! A simulated disk with two images: the written data, and the durable data that a power cut leaves.
//!
//! `sync` makes the bytes of a file durable, `sync_dir` the names. In a power cut, each sector that was not
//! synced survives, is lost or contains garbage, and each name operation that was not synced happened or did
//! not. A sync that fails marks the pages clean without writing them, as on Linux.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use holdfast::wal::{Space, Storage, StorageFile};

pub const SECTOR: usize = 512;

/// The result of a power cut for one sector that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Survives,
    Lost,
    Garbage,
}

/// An error of the chosen operation, and of all later ones if `forever`.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Index of the operation, from 1, counting create, write, sync, rename, remove and sync_dir.
    pub at: u64,
    pub kind: io::ErrorKind,
    pub forever: bool,
}

#[derive(Clone, Default)]
struct Inode {
    written: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

#[derive(Clone)]
enum NameOp {
    Link(String, u64),
    Rename(String, String),
    Remove(String),
}

#[derive(Clone, Default)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    name_ops: Vec<NameOp>,
    inode_next: u64,
    ops: u64,
    fault: Option<Fault>,
    capacity: u64,
    /// Unreadable sectors as (inode, sector).
    unreadable: BTreeSet<(u64, usize)>,
    /// Maximum number of bytes of one write; longer writes are short.
    write_bytes_max: Option<usize>,
}

/// The simulated disk; clones share its state.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    locked: Arc<Mutex<bool>>,
}

pub struct SimFile {
    state: Arc<Mutex<State>>,
    inode: u64,
}

pub struct SimLock(Arc<Mutex<bool>>);

impl Drop for SimLock {
    fn drop(&mut self) {
        *self.0.lock().unwrap() = false;
    }
}

impl State {
    fn op(&mut self) -> io::Result<()> {
        self.ops += 1;
        match self.fault {
            Some(fault) if fault.at == self.ops || (fault.forever && self.ops > fault.at) => {
                Err(fault.kind.into())
            }
            _ => Ok(()),
        }
    }

    fn apply(names: &mut BTreeMap<String, u64>, op: &NameOp) {
        match op {
            NameOp::Link(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            NameOp::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            NameOp::Remove(name) => {
                names.remove(name);
            }
        }
    }

    fn used(&self) -> u64 {
        self.inodes.values().map(|inode| inode.written.len() as u64).sum()
    }

    fn sync(&mut self, inode: u64) {
        let Some(inode) = self.inodes.get_mut(&inode) else { return };
        inode.durable.resize(inode.written.len(), 0);
        for sector in std::mem::take(&mut inode.dirty) {
            let range = sector * SECTOR..((sector + 1) * SECTOR).min(inode.written.len());
            inode.durable[range.clone()].copy_from_slice(&inode.written[range]);
        }
    }
}

impl SimDisk {
    pub fn new() -> Self {
        Self::with_state(State { capacity: 1 << 40, ..State::default() })
    }

    fn with_state(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)), locked: Arc::new(Mutex::new(false)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Number of modifying operations so far.
    pub fn ops(&self) -> u64 {
        self.state().ops
    }

    pub fn set_fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity = bytes;
    }

    pub fn set_write_bytes_max(&self, bytes: usize) {
        self.state().write_bytes_max = Some(bytes);
    }

    /// The disk after the process was killed: it contains all written data.
    pub fn after_kill(&self) -> Self {
        let mut state = self.state().clone();
        state.fault = None;
        Self::with_state(state)
    }

    /// The disk after a power cut; `fate` decides each sector that was not synced, `happened` each name
    /// operation.
    pub fn after_power_cut(
        &self,
        mut fate: impl FnMut() -> Fate,
        mut happened: impl FnMut() -> bool,
    ) -> Self {
        let mut state = self.state().clone();
        state.fault = None;
        let mut names = state.durable_names.clone();
        for op in std::mem::take(&mut state.name_ops) {
            if happened() {
                State::apply(&mut names, &op);
            }
        }
        for inode in state.inodes.values_mut() {
            for sector in std::mem::take(&mut inode.dirty) {
                let fate = fate();
                if fate == Fate::Lost {
                    continue;
                }
                let range = sector * SECTOR..((sector + 1) * SECTOR).min(inode.written.len());
                if inode.durable.len() < range.end {
                    inode.durable.resize(range.end, 0);
                }
                match fate {
                    Fate::Survives => inode.durable[range.clone()].copy_from_slice(&inode.written[range]),
                    Fate::Garbage => inode.durable[range].fill(0xa5),
                    Fate::Lost => {}
                }
            }
            inode.written.clone_from(&inode.durable);
        }
        state.durable_names.clone_from(&names);
        state.names = names;
        Self::with_state(state)
    }

    /// Number of sectors that are written and not synced.
    pub fn dirty_sectors(&self) -> usize {
        self.state().inodes.values().map(|inode| inode.dirty.len()).sum()
    }

    pub fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// The written contents of a file.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.inodes[&state.names[name]].written.clone()
    }

    /// Changes a file in both images, or creates it.
    pub fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let number = match state.names.get(name) {
            Some(number) => *number,
            None => {
                state.inode_next += 1;
                let number = state.inode_next;
                state.names.insert(name.to_owned(), number);
                state.durable_names.insert(name.to_owned(), number);
                number
            }
        };
        let inode = state.inodes.entry(number).or_default();
        change(&mut inode.written);
        inode.durable.clone_from(&inode.written);
        inode.dirty.clear();
    }

    /// Makes the sector at `offset` of a file unreadable (EIO).
    pub fn break_sector(&self, name: &str, offset: usize) {
        let mut state = self.state();
        let inode = state.names[name];
        state.unreadable.insert((inode, offset / SECTOR));
    }
}

impl Storage for SimDisk {
    type File = SimFile;
    type Lock = SimLock;

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn create(&self, name: &str) -> io::Result<SimFile> {
        let mut state = self.state();
        state.op()?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.inode_next += 1;
        let inode = state.inode_next;
        state.inodes.insert(inode, Inode::default());
        let op = NameOp::Link(name.to_owned(), inode);
        State::apply(&mut state.names, &op);
        state.name_ops.push(op);
        Ok(SimFile { state: Arc::clone(&self.state), inode })
    }

    fn open(&self, name: &str) -> io::Result<SimFile> {
        let inode = self.state().names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(SimFile { state: Arc::clone(&self.state), inode })
    }

    fn open_write(&self, name: &str) -> io::Result<SimFile> {
        self.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.op()?;
        if !state.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let op = NameOp::Rename(from.to_owned(), to.to_owned());
        State::apply(&mut state.names, &op);
        state.name_ops.push(op);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.op()?;
        let op = NameOp::Remove(name.to_owned());
        State::apply(&mut state.names, &op);
        state.name_ops.push(op);
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state();
        state.op()?;
        state.name_ops.clear();
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn lock(&self, _name: &str) -> io::Result<Result<SimLock, String>> {
        let mut locked = self.locked.lock().unwrap();
        if *locked {
            return Ok(Err("1".to_owned()));
        }
        *locked = true;
        Ok(Ok(SimLock(Arc::clone(&self.locked))))
    }

    fn space(&self) -> io::Result<Space> {
        let state = self.state();
        Ok(Space { total_bytes: state.capacity, free_bytes: state.capacity.saturating_sub(state.used()) })
    }
}

impl StorageFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().unwrap().inodes[&self.inode].written.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.state.lock().unwrap();
        let bytes = &state.inodes[&self.inode].written;
        let start = usize::try_from(offset).unwrap().min(bytes.len());
        let end = (start + buffer.len()).min(bytes.len());
        if (start / SECTOR..end.div_ceil(SECTOR))
            .any(|sector| state.unreadable.contains(&(self.inode, sector)))
        {
            return Err(io::Error::from_raw_os_error(5));
        }
        buffer[..end - start].copy_from_slice(&bytes[start..end]);
        Ok(end - start)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        state.op()?;
        let bytes = &bytes[..bytes.len().min(state.write_bytes_max.unwrap_or(usize::MAX))];
        let start = usize::try_from(offset).unwrap();
        let (used, capacity) = (state.used(), state.capacity);
        let inode = state.inodes.get_mut(&self.inode).unwrap();
        let end = start + bytes.len();
        let growth = end.saturating_sub(inode.written.len()) as u64;
        if growth > 0 && used + growth > capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if inode.written.len() < end {
            inode.written.resize(end, 0);
        }
        inode.written[start..end].copy_from_slice(bytes);
        inode.dirty.extend(start / SECTOR..end.div_ceil(SECTOR));
        Ok(bytes.len())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        if let Err(error) = state.op() {
            // The pages are marked clean, so that a second sync succeeds without writing them.
            if let Some(inode) = state.inodes.get_mut(&self.inode) {
                inode.dirty.clear();
            }
            return Err(error);
        }
        state.sync(self.inode);
        Ok(())
    }
}

/// A reproducible random number generator: xorshift64*.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        (self.roll() >> 11) % limit
    }
}
