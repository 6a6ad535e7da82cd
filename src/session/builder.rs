//! The batches that a session fills, with their dictionaries of peers and attribute sets.

mod open_batches;

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::bgp;
use crate::num;
use crate::route::{
    Attributes, Batch, Cause, Event, EventKind, NlriEntry, PathMarking, Peer, Router, RowGroup, Timestamp,
};
pub(super) use open_batches::OpenBatches;

/// Number of entries at which a dictionary is closed. A dictionary index is a `u16` whose last value is
/// reserved, and one message adds few entries, so an index never overflows.
const DICTIONARY_MAX_ENTRIES: usize = 60_000;

/// The dictionary index of a RIB view of a peer, and the batch for which it is valid.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PeerSlot {
    batch: u64,
    index: u16,
}

/// An attribute set in the dictionary of the open batch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InternedSet {
    /// Index in the batch's dictionary.
    pub(super) index: u16,
    /// Whether an announcement with this set is treated as a withdrawal (RFC 7606).
    pub(super) treat_as_withdraw: bool,
}

/// Builds the batches of one class from rows and events.
pub(super) struct BatchBuilder {
    /// The open batch.
    batch: Batch,
    /// Number of the open batch, one greater than that of the closed one before it. A [`PeerSlot`] with
    /// another number is out of date.
    number: u64,
    /// The sets in the open batch's dictionary, by their attribute bytes. Keys that a router chose to collide
    /// cost at most the comparisons of one batch, so that a fast hash with a random seed is enough.
    interned: HashMap<Box<[u8]>, InternedSet, RandomState>,
    /// Attribute bytes of the last set. Routers send runs of prefixes with the same attributes.
    last_key: Vec<u8>,
    /// The last set.
    last: InternedSet,
    /// Buffer for the attribute bytes of the current UPDATE.
    key: Vec<u8>,
}

impl BatchBuilder {
    /// Returns a builder with an empty batch, whose number is `number`.
    fn new(batch: Batch, number: u64) -> Self {
        Self {
            batch,
            number,
            interned: HashMap::default(),
            last_key: Vec::new(),
            last: InternedSet::default(),
            key: Vec::new(),
        }
    }

    const fn router(&self) -> &Router {
        &self.batch.router
    }

    /// Changes the router's name. The open batch must be empty.
    fn rename(&mut self, name: String) {
        self.batch.router.name = name;
    }

    /// Whether a dictionary of the open batch has reached its maximum.
    fn is_dictionary_full(&self) -> bool {
        self.batch.attributes.len().max(self.batch.peers.len()) >= DICTIONARY_MAX_ENTRIES
    }

    /// Closes and returns the open batch, unless it is empty.
    fn close(&mut self) -> Option<Batch> {
        if self.batch.is_empty() {
            return None;
        }
        let rows = self.batch.nlri.len();
        let mut next = Batch { class: self.batch.class, ..Batch::new(self.batch.router.clone()) };
        // The next batch of a busy session has about the same size.
        next.nlri.reserve(rows);
        next.groups.reserve(self.batch.groups.len());
        self.number += 1;
        self.interned.clear();
        self.last_key.clear();
        Some(std::mem::replace(&mut self.batch, next))
    }

    /// Returns the dictionary index of a RIB view of a peer; calls `peer` for a new entry.
    pub(super) fn peer(&mut self, slot: &mut PeerSlot, peer: impl FnOnce() -> Peer) -> u16 {
        if slot.batch != self.number {
            let index = dictionary_index(self.batch.peers.len());
            self.batch.peers.push(peer());
            *slot = PeerSlot { batch: self.number, index };
        }
        slot.index
    }

    /// Returns the attribute set of an UPDATE, identified by its bytes. For a new set, calls `decode`, which
    /// returns the set and whether its announcements are treated as withdrawals.
    pub(super) fn attributes(
        &mut self,
        update: &bgp::Update<'_>,
        four_octet_as: bool,
        decode: impl FnOnce() -> (Attributes, bool),
    ) -> InternedSet {
        if let Some((width, key)) = self.last_key.split_first()
            && *width == u8::from(four_octet_as)
            && update.has_key(key)
        {
            return self.last;
        }
        self.key.clear();
        self.key.push(u8::from(four_octet_as));
        update.key(&mut self.key);
        let set = if let Some(set) = self.interned.get(self.key.as_slice()) {
            *set
        } else {
            let (attributes, treat_as_withdraw) = decode();
            let index = dictionary_index(self.batch.attributes.len());
            let set = InternedSet { index, treat_as_withdraw };
            self.batch.attributes.push(attributes);
            self.interned.insert(self.key.as_slice().into(), set);
            set
        };
        std::mem::swap(&mut self.key, &mut self.last_key);
        self.last = set;
        set
    }

    /// Why the last discarded attribute of a set was discarded; empty if none was.
    pub(super) fn last_discard_reason(&self, index: u16) -> &str {
        let set = self.batch.attributes.get(usize::from(index));
        set.and_then(|set| set.discarded.last()).map_or("", String::as_str)
    }

    /// Adds rows and returns their number: one group for each run of rows with the same cause, which
    /// `cause_of` returns. The groups are equal to `group` except for `index`, `rows` and `cause`.
    ///
    /// # Errors
    /// The first error of `rows`. Then no row is added, and `cause_of` is not called.
    pub(super) fn rows<E>(
        &mut self,
        group: RowGroup,
        rows: impl Iterator<Item = Result<NlriEntry, E>>,
        mut cause_of: impl FnMut(&NlriEntry) -> Cause,
    ) -> Result<u32, E> {
        let start = self.batch.nlri.len();
        let first = num::to_u32_saturating(self.batch.records());
        for row in rows {
            match row {
                Ok(entry) => self.batch.nlri.push(entry),
                Err(error) => {
                    self.batch.nlri.truncate(start);
                    return Err(error);
                }
            }
        }
        let rows = self.batch.nlri.get(start..).unwrap_or_default();
        let mut last_cause = None;
        for (index, row) in (first..).zip(rows) {
            let cause = cause_of(row);
            match self.batch.groups.last_mut() {
                Some(open) if last_cause == Some(cause) => open.rows += 1,
                _ => self.batch.groups.push(RowGroup { cause, index, rows: 1, ..group }),
            }
            last_cause = Some(cause);
        }
        Ok(num::to_u32_saturating(rows.len()))
    }

    /// Sets the path marking of the last `rows` rows. `marking_of` returns that of the row at a position
    /// among them. Groups are divided where it changes.
    pub(super) fn mark(&mut self, rows: u32, mut marking_of: impl FnMut(u32) -> Option<PathMarking>) {
        let (mut groups, mut covered) = (Vec::new(), 0_u32);
        while covered < rows
            && let Some(group) = self.batch.groups.pop()
        {
            covered = covered.saturating_add(group.rows);
            groups.push(group);
        }
        let mut position = 0;
        for group in groups.into_iter().rev() {
            let mut open: Option<RowGroup> = None;
            for index in (group.index..).take(num::u32_to_usize(group.rows)) {
                let marking = marking_of(position);
                position += 1;
                match &mut open {
                    Some(open) if open.marking == marking => open.rows += 1,
                    _ => {
                        self.batch.groups.extend(open.replace(RowGroup { marking, index, rows: 1, ..group }))
                    }
                }
            }
            self.batch.groups.extend(open);
        }
    }

    /// Adds an event. `peer` is an index into the dictionary of peers; `None` for an event of the whole
    /// session.
    pub(super) fn event(
        &mut self,
        peer: Option<u16>,
        received: Timestamp,
        router_time: Timestamp,
        kind: EventKind,
    ) {
        let index = num::to_u32_saturating(self.batch.records());
        self.batch.events.push(Event { index, peer, received, router_time, kind });
    }
}

/// A dictionary index. It always fits: see [`DICTIONARY_MAX_ENTRIES`].
fn dictionary_index(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX - 1)
}
