//! The state changes of peers in one transaction, folded so that each identity of a peer is one row of each
//! argument. Pure.

mod arguments;
mod identities;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::num;
use crate::route::{
    Batch, Event, EventKind, Family, Incarnation, MalformedPdu, Peer, RibView, Router, Timestamp,
};
use crate::sink::copy::copy_rows::bounded_peer_up_detail;
use crate::sink::copy::pg_field::replace_nul;

use super::route_event::Position;
pub(crate) use arguments::PeerArguments;
use arguments::merged;
use identities::{Identities, SentIdentity};

/// Number of the peer's identity in the transaction, and RIB view.
type ViewKey = (u32, RibView);

/// Number of the peer's identity in the transaction, and whether the key stands for the Loc-RIB. All other
/// views of a peer share their state; the Loc-RIB has a state of its own (RFC 9069).
type StateKey = (u32, bool);

/// Name, counters and times of one RIB view.
struct ViewSummary {
    /// Number of the peer's identity in the transaction.
    peer: u32,
    view: RibView,
    /// The peer of the newest incarnation.
    newest: Peer,
    /// Address and session of the router in the newest incarnation.
    router_address: IpAddr,
    session: Timestamp,
    first_seen: Timestamp,
    last_seen: Timestamp,
    announced: u64,
    withdrawn: u64,
    /// Whether all records are of class bulk.
    is_bulk: bool,
    /// The newest incarnation with an announcement, which shows that the peer is up.
    up: Option<Incarnation>,
    /// Oldest incarnation whose routes are valid, if a Peer Down has changed it.
    valid_from: Option<Incarnation>,
}

/// Announcements and withdrawals of a RIB view in one batch.
pub(super) struct RouteCounts {
    /// Incarnation of the routes.
    pub(super) incarnation: Incarnation,
    /// Time of the first route.
    pub(super) first: Timestamp,
    /// Time of the last route.
    pub(super) last: Timestamp,
    pub(super) announced: u64,
    pub(super) withdrawn: u64,
    /// Whether the routes are of class bulk.
    pub(super) is_bulk: bool,
}

/// The last state of a peer, and the events that led to it.
struct StateChange {
    /// Value of `bgp_peers.state`.
    state: &'static str,
    /// Position of the event that set `state`.
    position: Position,
    up_at: Option<Timestamp>,
    down_at: Option<Timestamp>,
    down_reason: Option<u8>,
    stale_at: Option<Timestamp>,
    stale_reason: Option<String>,
    /// Number of Peer Ups.
    ups: u32,
    /// Number of Peer Downs.
    downs: u32,
    /// Fields of the last Peer Up.
    detail: Option<Value>,
    /// Oldest incarnation whose routes are valid, if a Peer Down has changed it.
    valid_from: Option<Incarnation>,
}

/// The last unreadable PDU of an address family. Ordered by position in time.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Suspect {
    incarnation: Incarnation,
    at: Timestamp,
    error: String,
}

/// State of an address family of a RIB view.
#[derive(Default)]
struct FamilyChange {
    /// Incarnation and time of the last End-of-RIB.
    end_of_rib: Option<(Incarnation, Timestamp)>,
    /// Oldest incarnation whose routes are valid, if a sweep has changed it.
    valid_from: Option<Incarnation>,
    suspect: Option<Suspect>,
}

/// All peers of one transaction.
#[derive(Default)]
pub(super) struct PeerChanges {
    identities: Identities,
    /// By index of the view.
    views: Vec<ViewSummary>,
    index_by_view: HashMap<ViewKey, u32>,
    states: HashMap<StateKey, StateChange>,
    families: HashMap<(u32, Family), FamilyChange>,
}

impl PeerChanges {
    /// Returns the index of a RIB view in the transaction, assigned at its first record.
    pub(super) fn view_index(&mut self, router: &Router, peer: &Peer) -> u32 {
        let number = self.identities.number(router, peer);
        let index = match self.index_by_view.entry((number, peer.view)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let index = num::to_u32_saturating(self.views.len());
                let mut view = ViewSummary::new(number, router, peer);
                // A Peer Down that the transaction already has applies to its later views as well.
                let state = self.states.get(&(number, is_loc_rib(peer.view)));
                view.valid_from = state.and_then(|change| change.valid_from);
                self.views.push(view);
                *new.insert(index)
            }
        };
        if let Some(view) = self.views.get_mut(num::u32_to_usize(index))
            && incarnation(router, peer) >= view.incarnation()
        {
            view.session = router.session;
            view.router_address = router.address;
            view.newest.clone_from(peer);
        }
        index
    }

    /// Adds the routes of a RIB view in one batch.
    pub(super) fn count(&mut self, view_index: u32, routes: &RouteCounts) {
        if let Some(view) = self.views.get_mut(num::u32_to_usize(view_index)) {
            view.seen(routes.first);
            view.seen(routes.last);
            view.announced += routes.announced;
            view.withdrawn += routes.withdrawn;
            view.is_bulk &= routes.is_bulk;
            if routes.announced > 0 {
                view.up = view.up.max(Some(routes.incarnation));
            }
        }
    }

    /// Oldest incarnation whose routes are valid, if a Peer Down or a sweep of the transaction changed it.
    pub(super) fn valid_from(&self, view_index: u32, family: Family) -> Option<Incarnation> {
        let of_peer = self.views.get(num::u32_to_usize(view_index)).and_then(|view| view.valid_from);
        of_peer.max(self.swept_from(view_index, family))
    }

    /// Returns the oldest incarnation whose routes a sweep of this transaction has left valid, if any.
    pub(super) fn swept_from(&self, view_index: u32, family: Family) -> Option<Incarnation> {
        self.families.get(&(view_index, family)).and_then(|change| change.valid_from)
    }

    /// Whether another RIB view of the transaction may turn out to be this one, under another identity.
    pub(super) fn may_be_shared(&self, view_index: u32) -> bool {
        let view = self.views.get(num::u32_to_usize(view_index));
        view.is_some_and(|view| self.identities.may_be_shared(view.peer))
    }

    /// Adds an event of a peer, whose RIB view has this index.
    pub(super) fn push(&mut self, view_index: u32, seq: u64, batch: &Batch, peer: &Peer, event: &Event) {
        let Some(view) = self.views.get_mut(num::u32_to_usize(view_index)) else { return };
        view.seen(event.received);
        view.is_bulk = false;
        let key: StateKey = (view.peer, is_loc_rib(peer.view));
        let incarnation = incarnation(&batch.router, peer);
        let position = Position { incarnation, seq, index: event.index };
        match &event.kind {
            EventKind::PeerUp(up) => {
                let detail = bounded_peer_up_detail(up);
                self.change_state(key, position, "up", |change| {
                    change.up_at = Some(event.received);
                    change.detail = Some(detail);
                    change.ups += 1;
                });
            }
            EventKind::PeerUpRepeated(up) => {
                let detail = bounded_peer_up_detail(up);
                self.change_state(key, position, "up", |change| change.detail = Some(detail));
            }
            EventKind::PeerDown { reason, .. } => {
                let generation = peer.generation.saturating_add(1);
                let valid_from = Some(Incarnation { generation, ..incarnation });
                self.change_state(key, position, "down", |change| {
                    change.down_at = Some(event.received);
                    change.down_reason = Some(*reason);
                    change.downs += 1;
                    change.valid_from = change.valid_from.max(valid_from);
                });
                self.end_views(key, valid_from);
            }
            EventKind::PeerStale { end } => {
                self.change_state(key, position, "stale", |change| {
                    change.stale_at = Some(event.received);
                    change.stale_reason = Some(end.to_string());
                });
            }
            EventKind::Malformed { .. } | EventKind::MalformedFields { .. } => {
                let Some(MalformedPdu { error, suspects, .. }) = event.kind.malformed() else { return };
                for scope in suspects {
                    let change = self.families.entry((view_index, Family::from(*scope))).or_default();
                    let suspect = Suspect { incarnation, at: event.received, error: error.to_owned() };
                    change.suspect = change.suspect.take().max(Some(suspect));
                }
            }
            EventKind::Suspect { reason, scope } => {
                let change = self.families.entry((view_index, Family::from(*scope))).or_default();
                let suspect = Suspect { incarnation, at: event.received, error: reason.clone() };
                change.suspect = change.suspect.take().max(Some(suspect));
            }
            EventKind::EndOfRib { family } => {
                let change = self.families.entry((view_index, *family)).or_default();
                change.end_of_rib = change.end_of_rib.max(Some((incarnation, event.received)));
            }
            EventKind::Sweep { family } => {
                let change = self.families.entry((view_index, *family)).or_default();
                change.valid_from = change.valid_from.max(Some(incarnation));
            }
            _ => {}
        }
    }

    /// Ends the routes of the views that a Peer Down applies to: the Loc-RIB, or all other views of the peer.
    fn end_views(&mut self, (peer, of_loc_rib): StateKey, valid_from: Option<Incarnation>) {
        let views = self.views.iter_mut();
        for view in views.filter(|view| view.peer == peer && is_loc_rib(view.view) == of_loc_rib) {
            view.valid_from = valid_from.max(view.valid_from);
        }
    }

    fn change_state(
        &mut self,
        key: StateKey,
        position: Position,
        state: &'static str,
        apply: impl FnOnce(&mut StateChange),
    ) {
        let change = self.states.entry(key).or_insert_with(|| StateChange::new(state, position));
        if position >= change.position {
            change.state = state;
            change.position = position;
        }
        apply(change);
    }

    /// Returns the JSON arguments of `holdfast_merge_peers`.
    pub(super) fn arguments(&self) -> PeerArguments {
        let views = (0_u32..).zip(&self.views).filter_map(|(index, view)| {
            Some(merged(self.identities.get(view.peer)?.json(), view.json(index)))
        });
        let states = self.states.iter().filter_map(|((number, of_loc_rib), change)| {
            Some(merged(self.identities.get(*number)?.json(), change.json(*of_loc_rib)))
        });
        let families = self.families.iter();
        let families = families.map(|((view_index, family), change)| change.json(*view_index, *family));
        let keys = self.views.iter().map(|view| {
            let identity = self.identities.get(view.peer).map(SentIdentity::json).unwrap_or_default();
            format!("{identity} {} {}", view.view, view.session.0)
        });
        let mut arguments = PeerArguments {
            views: views.collect(),
            keys: keys.collect(),
            bulk: self.views.iter().map(|view| view.is_bulk).collect(),
            states: states.collect(),
            families: families.collect(),
        };
        for argument in [&mut arguments.views, &mut arguments.states, &mut arguments.families] {
            replace_nul(argument);
        }
        arguments
    }
}

impl ViewSummary {
    fn new(number: u32, router: &Router, peer: &Peer) -> Self {
        Self {
            peer: number,
            view: peer.view,
            newest: peer.clone(),
            router_address: router.address,
            session: router.session,
            first_seen: Timestamp(i64::MAX),
            last_seen: Timestamp(0),
            announced: 0,
            withdrawn: 0,
            is_bulk: true,
            up: None,
            valid_from: None,
        }
    }

    const fn incarnation(&self) -> Incarnation {
        Incarnation { session: self.session, generation: self.newest.generation }
    }

    fn seen(&mut self, at: Timestamp) {
        self.first_seen = self.first_seen.min(at);
        self.last_seen = self.last_seen.max(at);
    }

    fn json(&self, index: u32) -> Value {
        json!({
            "peer_index": index,
            "rib": self.view.to_string(),
            "bmp_peer_ip": self.router_address,
            "table_name": (!self.newest.table_name.is_empty()).then_some(&self.newest.table_name),
            "session": self.session.0,
            "generation": self.newest.generation,
            "up_session": self.up.map(|up| up.session.0),
            "up_generation": self.up.map(|up| up.generation),
            "first_seen": self.first_seen.min(self.last_seen).0,
            "last_seen": self.last_seen.0,
            "announced": self.announced,
            "withdrawn": self.withdrawn,
        })
    }
}

impl StateChange {
    const fn new(state: &'static str, position: Position) -> Self {
        Self {
            state,
            position,
            up_at: None,
            down_at: None,
            down_reason: None,
            stale_at: None,
            stale_reason: None,
            ups: 0,
            downs: 0,
            detail: None,
            valid_from: None,
        }
    }

    fn json(&self, of_loc_rib: bool) -> Value {
        json!({
            "is_loc_rib": of_loc_rib,
            "state": self.state,
            "session": self.position.incarnation.session.0,
            "generation": self.position.incarnation.generation,
            "seq": num::to_i64_saturating(self.position.seq),
            "idx": self.position.index,
            "up_at": self.up_at.map(|at| at.0),
            "down_at": self.down_at.map(|at| at.0),
            "down_reason": self.down_reason,
            "stale_at": self.stale_at.map(|at| at.0),
            "stale_reason": self.stale_reason,
            "ups": self.ups,
            "downs": self.downs,
            "detail": self.detail,
            "valid_session": self.valid_from.map(|valid| valid.session.0),
            "valid_generation": self.valid_from.map(|valid| valid.generation),
        })
    }
}

impl FamilyChange {
    fn json(&self, view_index: u32, family: Family) -> Value {
        let suspect = self.suspect.as_ref();
        json!({
            "peer_index": view_index,
            "afi": family.afi,
            "safi": family.safi,
            "eor_session": self.end_of_rib.map(|(incarnation, _)| incarnation.session.0),
            "eor_generation": self.end_of_rib.map(|(incarnation, _)| incarnation.generation),
            "eor_at": self.end_of_rib.map(|(_, at)| at.0),
            "valid_session": self.valid_from.map(|valid| valid.session.0),
            "valid_generation": self.valid_from.map(|valid| valid.generation),
            "suspect_session": suspect.map(|suspect| suspect.incarnation.session.0),
            "suspect_generation": suspect.map(|suspect| suspect.incarnation.generation),
            "suspect_at": suspect.map(|suspect| suspect.at.0),
            "suspect_reason": suspect.map(|suspect| &suspect.error),
        })
    }
}

/// The incarnation of a peer in a session.
pub(super) const fn incarnation(router: &Router, peer: &Peer) -> Incarnation {
    Incarnation { session: router.session, generation: peer.generation }
}

pub(super) fn is_loc_rib(view: RibView) -> bool {
    view == RibView::LocRib
}
