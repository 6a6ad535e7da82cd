//! The changes that one transaction makes to the current table: for each route its last event, and how often
//! it was learned and withdrawn. Pure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use crate::num;
use crate::route::{Family, Incarnation, Timestamp};
use crate::sink::copy::pg_field as field;
use crate::sink::copy::{TableBuffer, columns};

use super::dedup::{LookUp, Predecessor};
use super::error::{EncodeError, part};
use super::initial_load::InitialLoad;
use super::route_event::{Position, RouteEvent, StoredPeer, StoredPeers};

/// All events of one route, folded.
struct RouteChange {
    family: Family,
    path_id: Option<u32>,
    /// Range of [`RibChanges::nlri_blocks`].
    nlri_block: Range<usize>,
    /// Time of the first event.
    first_seen: Timestamp,
    /// Time of the last event.
    last_seen: Timestamp,
    /// Time of the last change between announced and withdrawn within the transaction, if there was one.
    last_state_change: Option<Timestamp>,
    /// Whether the first event is a withdrawal.
    begins_withdrawn: bool,
    /// Whether the last event is a withdrawal.
    is_withdrawn: bool,
    /// Changes to announced, counting a first announcement. The merge subtracts that one if the route was
    /// announced.
    learn_count: u32,
    /// Changes to withdrawn, not counting a first withdrawal. The merge adds that one if the route was
    /// announced.
    withdraw_count: u32,
    /// Position of the last event.
    position: Position,
    /// Attribute set of the last announcement.
    attributes: Option<[u8; 16]>,
    /// Oldest valid incarnation just before the first event; see [`RouteEvent::valid_from`].
    valid_from: Option<Incarnation>,
    /// Number of the first event among the candidates of deduplication, if it is one.
    candidate: Option<u32>,
    /// Whether there is only one event.
    is_single: bool,
}

/// Rows of the current table.
#[derive(Default)]
pub(super) struct RibRows {
    /// Rows of the temporary table `staged`, which the merge looks up.
    pub(super) staged: TableBuffer,
    /// Rows of `rib_entries`, which cannot be there yet.
    pub(super) new: TableBuffer,
    /// The look-up of each candidate of deduplication, by its number.
    pub(super) look_ups: Vec<LookUp>,
}

/// The changes of all routes of one transaction.
#[derive(Default)]
pub(crate) struct RibChanges {
    /// By index of the RIB view and route key.
    changes: HashMap<(u32, Box<[u8]>), RouteChange>,
    nlri_blocks: Vec<u8>,
}

impl RibChanges {
    /// Adds an event. Returns the last earlier event of the same route. Events of one peer must come in the
    /// order of the log.
    pub(super) fn push(&mut self, event: &RouteEvent<'_>) -> Option<Predecessor> {
        let start = self.nlri_blocks.len();
        match self.changes.entry((event.view_index, event.key.into())) {
            Entry::Vacant(vacant) => {
                self.nlri_blocks.extend_from_slice(event.nlri_block);
                vacant.insert(RouteChange::new(event, start..self.nlri_blocks.len()));
                None
            }
            Entry::Occupied(mut occupied) => {
                let change = occupied.get_mut();
                change.is_single = false;
                let incarnation = change.position.incarnation;
                if event.position <= change.position {
                    return Some(Predecessor { incarnation, is_same: false });
                }
                // Labels are not part of the key, and those of a withdrawal are meaningless.
                let differs = self.nlri_blocks.get(change.nlri_block.clone()) != Some(event.nlri_block);
                if event.attributes.is_some() && differs {
                    self.nlri_blocks.extend_from_slice(event.nlri_block);
                    change.nlri_block = start..self.nlri_blocks.len();
                }
                Some(Predecessor { incarnation, is_same: change.apply(event) && !differs })
            }
        }
    }

    /// Number of routes.
    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    /// Returns the rows, ordered by the primary key of the current table, and the look-ups of `candidates`
    /// candidates of deduplication. Without `initial_load`, all rows are staged.
    pub(super) fn encode(
        &self,
        peers: &StoredPeers,
        candidates: usize,
        mut initial_load: Option<&mut InitialLoad>,
    ) -> Result<RibRows, EncodeError> {
        if let Some(load) = &mut initial_load {
            peers.0.values().filter(|peer| peer.is_new).for_each(|peer| load.begin(peer.id));
        }
        let mut rows: Vec<(&StoredPeer, &[u8], &RouteChange)> = Vec::with_capacity(self.len());
        for ((view_index, key), change) in &self.changes {
            rows.push((peers.get(*view_index)?, key, change));
        }
        rows.sort_unstable_by_key(|(peer, key, change)| (peer.id, *key, change.position));
        let mut out = RibRows { look_ups: vec![LookUp::Candidate; candidates], ..RibRows::default() };
        let mut rows = rows.into_iter().peekable();
        while let Some((peer, key, change)) = rows.next() {
            let mut followed;
            let mut change = change;
            // The database may know two views of the transaction as one.
            while let Some((_, _, later)) = rows.next_if(|next| (next.0.id, next.1) == (peer.id, key)) {
                followed = change.followed_by(later);
                change = &followed;
            }
            let is_new = initial_load.as_mut().is_some_and(|load| load.is_new(peer.id, key));
            let look_up = change.candidate.and_then(|number| out.look_ups.get_mut(num::u32_to_usize(number)));
            if let Some(look_up) = look_up.filter(|_| is_new || change.is_single) {
                *look_up = if is_new { LookUp::Absent } else { LookUp::Staged };
            }
            let table = if is_new {
                change.encode_new(peer, key, &mut out.new.bytes);
                &mut out.new
            } else {
                change.encode_staged(peer, key, &mut out.staged.bytes);
                &mut out.staged
            };
            table.bytes.extend_from_slice(part(&self.nlri_blocks, &change.nlri_block)?);
            table.rows += 1;
        }
        Ok(out)
    }
}

impl RouteChange {
    /// The change by the first event of a route.
    fn new(event: &RouteEvent<'_>, nlri_block: Range<usize>) -> Self {
        let is_withdrawn = event.attributes.is_none();
        Self {
            family: event.family,
            path_id: event.path_id,
            nlri_block,
            first_seen: event.received,
            last_seen: event.received,
            last_state_change: None,
            begins_withdrawn: is_withdrawn,
            is_withdrawn,
            learn_count: u32::from(!is_withdrawn),
            withdraw_count: 0,
            position: event.position,
            attributes: event.attributes,
            valid_from: event.valid_from,
            candidate: event.candidate,
            is_single: true,
        }
    }

    /// Adds a later event. Returns true if it repeats the announcement of a route that was still valid.
    fn apply(&mut self, event: &RouteEvent<'_>) -> bool {
        let is_withdrawn = event.attributes.is_none();
        // A Peer Down or a sweep since the last event has ended the route without a withdrawal.
        let was_ended = event.valid_from > Some(self.position.incarnation);
        let was_withdrawn = self.is_withdrawn || was_ended;
        let is_same = !was_withdrawn && self.attributes == event.attributes;
        if was_withdrawn != is_withdrawn {
            self.last_state_change = Some(event.received);
            *(if is_withdrawn { &mut self.withdraw_count } else { &mut self.learn_count }) += 1;
        }
        self.is_withdrawn = is_withdrawn;
        self.last_seen = event.received;
        self.position = event.position;
        // A withdrawn route keeps its last attributes.
        self.attributes = event.attributes.or(self.attributes);
        is_same
    }

    /// The change by the events of this one and then those of another one of the same route.
    fn followed_by(&self, later: &Self) -> Self {
        let was_ended = later.valid_from > Some(self.position.incarnation);
        let was_withdrawn = self.is_withdrawn || was_ended;
        let begins_with_change = was_withdrawn != later.begins_withdrawn;
        let began = begins_with_change.then_some(later.first_seen).or(self.last_state_change);
        Self {
            family: later.family,
            path_id: later.path_id,
            // A withdrawn route keeps its last attributes and labels.
            nlri_block: if later.attributes.is_some() { &later.nlri_block } else { &self.nlri_block }.clone(),
            first_seen: self.first_seen,
            last_seen: later.last_seen,
            last_state_change: later.last_state_change.or(began),
            begins_withdrawn: self.begins_withdrawn,
            is_withdrawn: later.is_withdrawn,
            // `later` counts a first announcement, and does not count a first withdrawal.
            learn_count: (self.learn_count + later.learn_count)
                .saturating_sub(u32::from(!later.begins_withdrawn && !begins_with_change)),
            withdraw_count: self.withdraw_count
                + later.withdraw_count
                + u32::from(later.begins_withdrawn && begins_with_change),
            position: later.position,
            attributes: later.attributes.or(self.attributes),
            valid_from: self.valid_from,
            // The events are compared with the current table one by one.
            candidate: None,
            is_single: false,
        }
    }

    /// Appends a row of `staged` up to the NLRI block.
    fn encode_staged(&self, peer: &StoredPeer, key: &[u8], out: &mut Vec<u8>) {
        field::row(out, columns::count(columns::STAGED));
        self.encode_route(peer, key, self.last_state_change, out);
        field::optional(out, self.candidate.filter(|_| self.is_single), field::int4);
        field::boolean(out, self.begins_withdrawn);
        peer.valid_from(self.family, self.valid_from).encode(out);
    }

    /// Appends a row of `rib_entries`, equal to the one that the merge would insert, up to the NLRI block.
    fn encode_new(&self, peer: &StoredPeer, key: &[u8], out: &mut Vec<u8>) {
        field::row(out, columns::count(columns::RIB_ENTRIES));
        self.encode_route(peer, key, self.last_state_change.or(Some(self.first_seen)), out);
    }

    /// Appends the columns that both tables share, except those of the NLRI.
    fn encode_route(
        &self,
        peer: &StoredPeer,
        key: &[u8],
        last_state_change: Option<Timestamp>,
        out: &mut Vec<u8>,
    ) {
        field::int8(out, peer.id);
        field::bytea(out, key);
        field::int4(out, u32::from(self.family.afi));
        field::int2(out, i16::from(self.family.safi));
        field::optional(out, self.path_id, |out, path_id| field::int8(out, i64::from(path_id)));
        field::timestamp(out, self.first_seen);
        field::timestamp(out, self.last_seen);
        field::optional(out, last_state_change, field::timestamp);
        self.position.encode(out);
        field::int4(out, self.learn_count);
        field::int4(out, self.withdraw_count);
        field::boolean(out, self.is_withdrawn);
        field::optional(out, self.attributes, field::uuid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incarnation(generation: u32) -> Incarnation {
        Incarnation { session: Timestamp(1), generation }
    }

    fn event(announced: bool, seq: u64, generation: u32) -> RouteEvent<'static> {
        RouteEvent {
            view_index: 0,
            family: Family::IPV4_UNICAST,
            path_id: None,
            key: b"key",
            nlri_block: &[],
            attributes: announced.then_some([1; 16]),
            received: Timestamp(i64::try_from(seq).unwrap()),
            position: Position { incarnation: incarnation(generation), seq, index: 0 },
            valid_from: (generation > 1).then(|| incarnation(generation)),
            candidate: None,
        }
    }

    fn only(rib: &RibChanges) -> &RouteChange {
        assert_eq!(rib.len(), 1);
        rib.changes.values().next().unwrap()
    }

    #[test]
    fn the_last_event_wins_and_flips_are_counted() {
        let mut rib = RibChanges::default();
        for (seq, announced) in [(1, true), (2, true), (3, false), (4, true), (5, false)] {
            rib.push(&event(announced, seq, 1));
        }
        let change = only(&rib);
        assert!(change.is_withdrawn && !change.begins_withdrawn);
        assert_eq!((change.learn_count, change.withdraw_count), (2, 2));
        assert_eq!((change.last_state_change, change.attributes), (Some(Timestamp(5)), Some([1; 16])));
    }

    #[test]
    fn an_older_event_changes_nothing() {
        let mut rib = RibChanges::default();
        rib.push(&event(false, 9, 1));
        rib.push(&event(true, 8, 1));
        assert!(only(&rib).is_withdrawn);
    }

    #[test]
    fn a_route_that_a_peer_down_ended_is_learnt_again() {
        let mut rib = RibChanges::default();
        rib.push(&event(true, 1, 1));
        assert_eq!(rib.push(&event(true, 3, 2)), earlier(1, false));
        assert_eq!((only(&rib).learn_count, only(&rib).withdraw_count), (2, 0));
    }

    #[expect(clippy::unnecessary_wraps, reason = "compared with the result of push")]
    fn earlier(generation: u32, is_same: bool) -> Option<Predecessor> {
        Some(Predecessor { incarnation: incarnation(generation), is_same })
    }

    #[test]
    fn a_repetition_is_known_as_one() {
        let mut rib = RibChanges::default();
        let push = |rib: &mut RibChanges, seq, announced| rib.push(&event(announced, seq, 1));
        assert_eq!(push(&mut rib, 1, true), None);
        assert_eq!(push(&mut rib, 2, true), earlier(1, true));
        assert_eq!(push(&mut rib, 2, true), earlier(1, false), "not later");
        let mut labelled = event(true, 3, 1);
        labelled.nlri_block = &[1];
        assert_eq!(rib.push(&labelled), earlier(1, false));
        labelled.position.seq = 4;
        assert_eq!(rib.push(&labelled), earlier(1, true));
        labelled.position.seq = 5;
        labelled.attributes = Some([2; 16]);
        assert_eq!(rib.push(&labelled), earlier(1, false));
        assert_eq!(push(&mut rib, 6, false), earlier(1, false));
        assert_eq!(push(&mut rib, 7, true), earlier(1, false), "announced after a withdrawal");
    }

    #[test]
    fn two_views_that_the_database_knows_as_one_are_one_row() {
        let sequence = [(1, true), (2, false), (3, true), (4, true), (5, false), (6, false), (7, true)];
        let mut folded = RibChanges::default();
        for (seq, announced) in sequence {
            folded.push(&event(announced, seq, 1));
        }
        let expected = only(&folded);
        for cut in 1..sequence.len() {
            let halves = [&sequence[..cut], &sequence[cut..]].map(|events| {
                let mut rib = RibChanges::default();
                events.iter().for_each(|(seq, announced)| {
                    rib.push(&event(*announced, *seq, 1));
                });
                rib
            });
            let both = only(&halves[0]).followed_by(only(&halves[1]));
            let counts = |change: &RouteChange| {
                let times = (change.first_seen, change.last_seen, change.last_state_change);
                (times, change.learn_count, change.withdraw_count, change.is_withdrawn, change.position)
            };
            assert_eq!(counts(&both), counts(expected), "cut after {cut}");
            assert_eq!((both.attributes, both.begins_withdrawn), (Some([1; 16]), false));
        }

        let mut rib = RibChanges::default();
        rib.push(&event(true, 1, 1));
        rib.push(&RouteEvent { view_index: 1, ..event(true, 2, 1) });
        let peer = StoredPeer {
            id: 1,
            is_new: false,
            valid_from: super::super::StoredIncarnation::BEFORE_ALL,
            families: Vec::new(),
        };
        let peers = StoredPeers(HashMap::from([(0, peer.clone()), (1, peer)]));
        let rows = rib.encode(&peers, 0, None).unwrap();
        assert_eq!((rows.staged.rows, rows.new.rows), (1, 0));
    }

    #[test]
    fn a_missing_nlri_block_is_an_error() {
        let mut rib = RibChanges::default();
        let mut with_block = event(true, 1, 1);
        with_block.nlri_block = &[1];
        rib.push(&with_block);
        rib.nlri_blocks.clear();
        let peer = StoredPeer {
            id: 1,
            is_new: false,
            valid_from: super::super::StoredIncarnation::BEFORE_ALL,
            families: Vec::new(),
        };
        let peers = StoredPeers(HashMap::from([(0, peer)]));
        assert_eq!(
            rib.encode(&peers, 0, None).err(),
            Some(EncodeError::OutOfBounds { range: 0..1, length: 0 })
        );
    }
}
