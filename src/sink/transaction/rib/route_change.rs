//! The events of one route in one transaction, folded to one change of the current table. Pure.

use std::ops::Range;

use crate::num;
use crate::route::{Family, Incarnation, Timestamp};
use crate::sink::copy::columns;
use crate::sink::copy::pg_field as field;

use super::super::route_event::{Position, RouteEvent, StoredPeer};

/// A state of a route that a sweep ended within the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SweptState {
    /// Incarnation in which the route was last announced before the sweep.
    pub(super) incarnation: Incarnation,
    /// Time of the next event of the route.
    pub(super) until: Timestamp,
}

/// All events of one route, folded.
#[derive(Clone)]
pub(super) struct RouteChange {
    pub(super) family: Family,
    pub(super) path_id: Option<u32>,
    /// Range of [`super::RibChanges::nlri_blocks`].
    pub(super) nlri_block: Range<usize>,
    /// Time of the first event.
    pub(super) first_seen: Timestamp,
    /// Time of the last event.
    pub(super) last_seen: Timestamp,
    /// Time of the last change between announced and withdrawn within the transaction, if there was one.
    pub(super) last_state_change: Option<Timestamp>,
    /// Whether the first event is a withdrawal.
    pub(super) begins_withdrawn: bool,
    /// Whether the last event is a withdrawal.
    pub(super) is_withdrawn: bool,
    /// Changes to announced, counting a first announcement. The merge subtracts that one if the route was
    /// announced.
    pub(super) learn_count: u32,
    /// Changes to withdrawn, not counting a first withdrawal. The merge adds that one if the route was
    /// announced.
    pub(super) withdraw_count: u32,
    /// Position of the last event.
    pub(super) position: Position,
    /// Attribute set of the last announcement.
    pub(super) attributes: Option<[u8; 16]>,
    /// Oldest valid incarnation just before the first event; see [`RouteEvent::valid_from`].
    pub(super) valid_from: Option<Incarnation>,
    /// The same by sweeps alone; see [`RouteEvent::swept_from`].
    pub(super) swept_from: Option<Incarnation>,
    /// States that a sweep ended between two of the events.
    pub(super) swept: Vec<SweptState>,
    /// Number of the first event among the candidates of deduplication, if it is one.
    pub(super) candidate: Option<u32>,
    /// Whether there is only one event.
    pub(super) is_single: bool,
}

impl RouteChange {
    /// The change by the first event of a route.
    pub(super) fn new(event: &RouteEvent<'_>, nlri_block: Range<usize>) -> Self {
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
            swept_from: event.swept_from,
            swept: Vec::new(),
            candidate: event.candidate,
            is_single: true,
        }
    }

    /// Adds a later event. Returns true if it repeats the announcement of a route that was still valid.
    pub(super) fn apply(&mut self, event: &RouteEvent<'_>) -> bool {
        let is_withdrawn = event.attributes.is_none();
        // A Peer Down or a sweep since the last event has ended the route without a withdrawal.
        let was_ended = event.valid_from > Some(self.position.incarnation);
        let was_withdrawn = self.is_withdrawn || was_ended;
        let is_same = !was_withdrawn && self.attributes == event.attributes;
        self.swept.extend(self.swept_state(event.swept_from, event.received));
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

    /// The state that a sweep has ended before an event at `until`, if one has.
    fn swept_state(&self, swept_from: Option<Incarnation>, until: Timestamp) -> Option<SweptState> {
        let incarnation = self.position.incarnation;
        (!self.is_withdrawn && swept_from > Some(incarnation)).then_some(SweptState { incarnation, until })
    }

    /// The change by the events of this one and then those of another one of the same route.
    pub(super) fn followed_by(&self, later: &Self) -> Self {
        let was_ended = later.valid_from > Some(self.position.incarnation);
        let was_withdrawn = self.is_withdrawn || was_ended;
        let begins_with_change = was_withdrawn != later.begins_withdrawn;
        let began = begins_with_change.then_some(later.first_seen).or(self.last_state_change);
        let between = self.swept_state(later.swept_from, later.first_seen);
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
            swept_from: self.swept_from,
            swept: self.swept.iter().copied().chain(between).chain(later.swept.iter().copied()).collect(),
            // The events are compared with the current table one by one.
            candidate: None,
            is_single: false,
        }
    }

    /// Appends a row of `staged` up to the NLRI block.
    pub(super) fn encode_staged(&self, peer: &StoredPeer, key: &[u8], out: &mut Vec<u8>) {
        field::row(out, columns::count(columns::STAGED));
        self.encode_route(peer, key, self.last_state_change, out);
        field::optional(out, self.candidate.filter(|_| self.is_single), field::int4);
        field::boolean(out, self.begins_withdrawn);
        peer.valid_from(self.family, self.valid_from).encode(out);
    }

    /// Appends a row of `rib_entries`, equal to the one that the merge would insert, up to the NLRI block.
    pub(super) fn encode_new(&self, peer: &StoredPeer, key: &[u8], out: &mut Vec<u8>) {
        field::row(out, columns::count(columns::RIB_ENTRIES));
        self.encode_route(peer, key, self.last_state_change.or(Some(self.first_seen)), out);
    }

    /// Appends the rows of `swept_routes`, and returns their number.
    pub(super) fn encode_swept(&self, peer: &StoredPeer, key: &[u8], out: &mut Vec<u8>) -> u64 {
        for state in &self.swept {
            field::row(out, columns::count(columns::SWEPT_ROUTES));
            field::int8(out, peer.id);
            field::bytea(out, key);
            field::int4(out, u32::from(self.family.afi));
            field::int2(out, i16::from(self.family.safi));
            field::timestamp(out, state.incarnation.session);
            field::int8(out, i64::from(state.incarnation.generation));
            field::timestamp(out, state.until);
        }
        num::to_u64(self.swept.len())
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
