//! The batch being filled, with its dictionaries.

use std::collections::HashMap;

use crate::bgp;
use crate::route::{Attributes, Batch, Event, EventKind, Group, NlriEntry, Peer, Router, Timestamp};

/// A dictionary index is a `u16` whose last value is taken, and a single message adds few entries; so a batch is
/// closed long before an index could overflow.
const DICTIONARY_MAX: usize = 60_000;

/// Where a peer view stands in the dictionary of one batch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PeerSlot {
    batch: u64,
    index: u16,
}

/// An attribute set of the open batch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Set {
    /// Its index in the batch's dictionary.
    pub(super) index: u16,
    /// Routes that come with it count as withdrawn (RFC 7606).
    pub(super) withdraws: bool,
}

pub(super) struct Builder {
    batch: Batch,
    /// Batches closed before their time, waiting to be taken.
    closed: Vec<Batch>,
    /// Counts batches from 1, so that a [`PeerSlot`] of an older one is recognised.
    number: u64,
    /// Attribute bytes → the set in the batch's dictionary. Cleared with each batch.
    interned: HashMap<Box<[u8]>, Set>,
    /// Key and index of the last attribute set: routers send runs of prefixes that share one.
    last_key: Vec<u8>,
    last: Set,
    /// Scratch for the key at hand.
    key: Vec<u8>,
}

impl Builder {
    pub(super) fn new(router: Router) -> Self {
        Self {
            batch: Batch::new(router),
            closed: Vec::new(),
            number: 1,
            interned: HashMap::new(),
            last_key: Vec::new(),
            last: Set::default(),
            key: Vec::new(),
        }
    }

    pub(super) const fn router(&self) -> &Router {
        &self.batch.router
    }

    pub(super) fn rename(&mut self, name: String) {
        if self.batch.router.name != name {
            self.close();
            self.batch.router.name = name;
        }
    }

    pub(super) fn records(&self) -> usize {
        self.batch.records()
    }

    pub(super) fn is_crowded(&self) -> bool {
        self.batch.attributes.len().max(self.batch.peers.len()) >= DICTIONARY_MAX
    }

    pub(super) fn has_records(&self) -> bool {
        !self.closed.is_empty() || !self.batch.is_empty()
    }

    pub(super) fn take(&mut self) -> Vec<Batch> {
        self.close();
        std::mem::take(&mut self.closed)
    }

    /// Closes a batch whose dictionary is nearly full: the end of a session may tell of more peers than one can hold.
    pub(super) fn make_room(&mut self) {
        if self.is_crowded() {
            self.close();
        }
    }

    fn close(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let rows = self.batch.nlri.len();
        let mut next = Batch::new(self.batch.router.clone());
        // The next batch of a busy session is about as large as this one.
        next.nlri.reserve(rows);
        next.groups.reserve(self.batch.groups.len());
        self.closed.push(std::mem::replace(&mut self.batch, next));
        self.number += 1;
        self.interned.clear();
        self.last_key.clear();
    }

    /// Index of a peer view in the open batch; `peer` is asked for only when it is not there yet.
    pub(super) fn peer(&mut self, slot: &mut PeerSlot, peer: impl FnOnce() -> Peer) -> u16 {
        if slot.batch != self.number {
            let index = index_u16(self.batch.peers.len());
            self.batch.peers.push(peer());
            *slot = PeerSlot { batch: self.number, index };
        }
        slot.index
    }

    /// An attribute set of the open batch. The bytes of the UPDATE decide whether it is already there; `decode` is asked
    /// only when it is not, and says too whether its routes count as withdrawn.
    pub(super) fn attributes(
        &mut self,
        update: &bgp::Update<'_>,
        four_octet_as: bool,
        decode: impl FnOnce() -> (Attributes, bool),
    ) -> Set {
        self.key.clear();
        self.key.push(u8::from(four_octet_as));
        update.key(&mut self.key);
        if self.key == self.last_key {
            return self.last;
        }
        let set = if let Some(set) = self.interned.get(self.key.as_slice()) {
            *set
        } else {
            let (attributes, withdraws) = decode();
            let set = Set { index: index_u16(self.batch.attributes.len()), withdraws };
            self.batch.attributes.push(attributes);
            self.interned.insert(self.key.as_slice().into(), set);
            set
        };
        std::mem::swap(&mut self.key, &mut self.last_key);
        self.last = set;
        set
    }

    /// The last thing that was wrong with an attribute set.
    pub(super) fn last_flaw(&self, index: u16) -> &str {
        let set = self.batch.attributes.get(usize::from(index));
        set.and_then(|set| set.discarded.last()).map_or("", String::as_str)
    }

    /// Adds the rows of a group, all or none. `group.index` and `group.rows` are set here. Returns how many rows there
    /// were.
    pub(super) fn rows<E>(
        &mut self,
        mut group: Group,
        rows: impl Iterator<Item = Result<NlriEntry, E>>,
    ) -> Result<u32, E> {
        let start = self.batch.nlri.len();
        group.index = u32::try_from(self.batch.records()).unwrap_or(u32::MAX);
        for row in rows {
            match row {
                Ok(entry) => self.batch.nlri.push(entry),
                Err(error) => {
                    self.batch.nlri.truncate(start);
                    return Err(error);
                }
            }
        }
        group.rows = u32::try_from(self.batch.nlri.len() - start).unwrap_or(u32::MAX);
        if group.rows > 0 {
            self.batch.groups.push(group);
        }
        Ok(group.rows)
    }

    pub(super) fn event(
        &mut self,
        peer: Option<u16>,
        received: Timestamp,
        router_time: Timestamp,
        kind: EventKind,
    ) {
        let index = u32::try_from(self.batch.records()).unwrap_or(u32::MAX);
        self.batch.events.push(Event { index, peer, received, router_time, kind });
    }
}

/// See [`DICTIONARY_MAX`]: the index always fits.
fn index_u16(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX - 1)
}
