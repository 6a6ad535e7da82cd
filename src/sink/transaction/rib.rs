//! The changes that one transaction makes to the current table: for each route its last event, and how often
//! it was learned and withdrawn. Pure.

mod deferred;
mod initial_load;
mod route_change;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Deref;

use crate::num;
use crate::route::{Event, Peer, Router};
use crate::sink::copy::{Reserved as _, TableBuffer};

use super::dedup::{LookUp, Predecessor};
use super::error::{EncodeError, part};
use super::route_event::{RouteEvent, StoredPeer, StoredPeers};
use deferred::{DeferredEvents, ResolvedEvent};
pub(in crate::sink) use initial_load::InitialLoad;
use route_change::RouteChange;

/// Rows of the current table.
pub(super) struct RibRows {
    /// Rows of the temporary table `staged`, which the merge looks up.
    pub(super) staged: TableBuffer,
    /// Rows of `rib_entries`, which cannot be there yet.
    pub(super) new: TableBuffer,
    /// Rows of `swept_routes`: states that a sweep ended within the transaction.
    pub(super) swept: TableBuffer,
    /// The look-up of each candidate of deduplication, by its number.
    pub(super) look_ups: Vec<LookUp>,
}

/// The changes of all routes of one transaction.
#[derive(Default)]
pub(crate) struct RibChanges {
    /// Index in `changes`, by index of the RIB view and route key.
    indexes: HashMap<(u32, Box<[u8]>), usize>,
    changes: Vec<RouteChange>,
    /// Events that are folded once the database has identified their peers. Those of a RIB view follow its
    /// other events in the log.
    deferred: DeferredEvents,
    nlri_blocks: Vec<u8>,
}

/// A change of a route of a stored peer.
struct StoredChange<'a> {
    peer: &'a StoredPeer,
    key: &'a [u8],
    change: Folded<'a>,
    /// Index among the deferred events, if it is one.
    deferred: Option<usize>,
}

/// A folded change. As a `Cow`, but small: there is one for each route.
enum Folded<'a> {
    /// Folded while the transaction was filled.
    Before(&'a RouteChange),
    /// Folded once the peers are known.
    Now(Box<RouteChange>),
}

impl Deref for Folded<'_> {
    type Target = RouteChange;

    fn deref(&self) -> &RouteChange {
        match self {
            Self::Before(change) => change,
            Self::Now(change) => change,
        }
    }
}

impl RibChanges {
    /// Adds an event. Returns the last earlier event of the same route, if it is known. Events of one peer
    /// must come in the order of the log.
    pub(super) fn push(&mut self, event: &RouteEvent<'_>) -> Option<Predecessor> {
        let start = self.nlri_blocks.len();
        if event.may_be_shared {
            self.nlri_blocks.reserved().extend_from_slice(event.nlri_block);
            self.deferred.push(event, RouteChange::new(event, start..self.nlri_blocks.len()));
            return None;
        }
        match self.indexes.entry((event.view_index, event.key.into())) {
            Entry::Vacant(vacant) => {
                self.nlri_blocks.reserved().extend_from_slice(event.nlri_block);
                vacant.insert(self.changes.len());
                self.changes.reserved().push(RouteChange::new(event, start..self.nlri_blocks.len()));
                None
            }
            Entry::Occupied(occupied) => {
                let change = self.changes.get_mut(*occupied.get())?;
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

    /// Adds an event of a peer, whose RIB view has this index.
    pub(super) fn push_peer_event(&mut self, view_index: u32, router: &Router, peer: &Peer, event: &Event) {
        self.deferred.push_end(view_index, router, peer, event);
    }

    /// All changes, ordered by the primary key of the current table, and those of one route by their order in
    /// the log.
    fn stored<'a>(&'a self, peers: &'a StoredPeers) -> Result<Vec<StoredChange<'a>>, EncodeError> {
        let mut rows = Vec::new();
        rows.reserved();
        for ((view_index, key), index) in &self.indexes {
            let peer = peers.get(*view_index)?;
            let change = self.changes.get(*index).map(Folded::Before);
            rows.extend(change.map(|change| StoredChange { peer, key, change, deferred: None }));
        }
        for (index, event) in self.deferred.resolve(peers)?.into_iter().enumerate() {
            let ResolvedEvent { peer, key, change } = event;
            rows.push(StoredChange { peer, key, change: Folded::Now(change.into()), deferred: Some(index) });
        }
        rows.sort_unstable_by_key(|row| (row.peer.id, row.key, row.deferred, row.change.position));
        Ok(rows)
    }

    /// Returns the rows, ordered by the primary key of the current table, and the look-ups of `candidates`
    /// candidates of deduplication. Without `initial_load`, all rows are staged.
    pub(super) fn encode(
        &self,
        peers: &StoredPeers,
        candidates: usize,
        initial_load: Option<&InitialLoad>,
    ) -> Result<RibRows, EncodeError> {
        let created = peers.0.values().filter(|peer| peer.is_new).map(|peer| peer.id);
        let load = initial_load.map(|load| load.with_new_peers(created));
        let (staged, new) = (TableBuffer::large(), TableBuffer::large());
        let mut out = RibRows { staged, new, swept: TableBuffer::default(), look_ups: Vec::new() };
        out.look_ups.reserved().resize(candidates, LookUp::Candidate);
        let mut rows = self.stored(peers)?.into_iter().peekable();
        while let Some(row) = rows.next() {
            out.defer(&row, None);
            let StoredChange { peer, key, mut change, .. } = row;
            // The database may know two identities of the transaction as one peer.
            while let Some(later) = rows.next_if(|next| (next.peer.id, next.key) == (peer.id, key)) {
                let predecessor = self.predecessor(&change, &later.change)?;
                out.defer(&later, Some(predecessor));
                if later.change.position > change.position {
                    change = Folded::Now(change.followed_by(&later.change).into());
                } else {
                    change = Folded::Now(RouteChange { is_single: false, ..change.clone() }.into());
                }
            }
            let is_new = load.as_ref().is_some_and(|load| load.is_new(peer.id, key));
            let look_up = change.candidate.and_then(|number| out.look_ups.get_mut(num::u32_to_usize(number)));
            if let Some(look_up) = look_up.filter(|_| is_new || change.is_single) {
                *look_up = if is_new { LookUp::Changed } else { LookUp::Staged };
            }
            out.swept.rows += change.encode_swept(peer, key, &mut out.swept.bytes);
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

    /// The earlier of two changes of one route, as seen from the later one.
    fn predecessor(&self, earlier: &RouteChange, later: &RouteChange) -> Result<Predecessor, EncodeError> {
        let incarnation = earlier.position.incarnation;
        let is_same = later.position > earlier.position
            && !earlier.is_withdrawn
            && later.valid_from <= Some(incarnation)
            && earlier.attributes == later.attributes
            && part(&self.nlri_blocks, &earlier.nlri_block)? == part(&self.nlri_blocks, &later.nlri_block)?;
        Ok(Predecessor { incarnation, is_same })
    }
}

impl RibRows {
    /// Sets the look-up of a deferred event, if it is a candidate of deduplication.
    fn defer(
        &mut self,
        StoredChange { change, deferred, .. }: &StoredChange<'_>,
        earlier: Option<Predecessor>,
    ) {
        let number = change.candidate.filter(|_| deferred.is_some()).map(num::u32_to_usize);
        if let Some(look_up) = number.and_then(|number| self.look_ups.get_mut(number)) {
            *look_up = if earlier.is_none_or(|earlier| earlier.may_repeat(change.position)) {
                LookUp::Deferred { predecessor: earlier, valid_from: change.valid_from }
            } else {
                LookUp::Changed
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Family, Incarnation, Timestamp};
    use crate::sink::transaction::route_event::Position;

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
            swept_from: None,
            candidate: None,
            of_loc_rib: false,
            may_be_shared: false,
        }
    }

    fn only(rib: &RibChanges) -> &RouteChange {
        assert_eq!(rib.changes.len(), 1);
        rib.changes.first().unwrap()
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
            peer_number: 1,
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
            peer_number: 1,
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
