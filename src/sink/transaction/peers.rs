//! The state changes of peers in one transaction, folded so that each peer is one row of each argument. Pure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::num;
use crate::route::{
    Batch, Event, EventKind, Family, Incarnation, MalformedPdu, Peer, PeerKey, Rd, RibView, Router, Timestamp,
};
use crate::sink::copy::copy_rows::peer_up_detail;
use crate::sink::copy::pg_field::replace_nul;

use super::route_event::Position;

/// Router name, peer and RIB view.
type ViewKey = (String, PeerKey, RibView);

/// Router name, peer, and whether the key stands for the Loc-RIB. All other views of a peer share their
/// state; the Loc-RIB has a state of its own (RFC 9069).
type StateKey = (String, PeerKey, bool);

/// Name, counters and times of one RIB view.
struct ViewSummary {
    /// Index of the view in the transaction.
    index: u32,
    /// The peer of the newest incarnation.
    newest: Peer,
    /// Address and session of the router in the newest incarnation.
    router_address: IpAddr,
    session: Timestamp,
    first_seen: Timestamp,
    last_seen: Timestamp,
    announced: u64,
    withdrawn: u64,
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

/// JSON arguments of `holdfast_merge_peers`.
pub(crate) struct PeerArguments {
    /// `peers`: one element per RIB view.
    pub(crate) views: Value,
    /// `changes`: one element per peer whose state changes.
    pub(crate) states: Value,
    /// `families`: one element per RIB view and address family that changes.
    pub(crate) families: Value,
}

/// All peers of one transaction.
#[derive(Default)]
pub(super) struct PeerChanges {
    views: HashMap<ViewKey, ViewSummary>,
    /// By index of the view: oldest incarnation whose routes are valid, if a Peer Down has changed it.
    valid_from: Vec<Option<Incarnation>>,
    states: HashMap<StateKey, StateChange>,
    families: HashMap<(u32, Family), FamilyChange>,
}

impl PeerChanges {
    /// Returns the index of a RIB view in the transaction, assigned at its first record.
    pub(super) fn view_index(&mut self, router: &Router, peer: &Peer) -> u32 {
        let view = match self.views.entry((router.name.clone(), peer.key, peer.view)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let index = num::to_u32_saturating(self.valid_from.len());
                self.valid_from.push(None);
                new.insert(ViewSummary::new(index, router, peer))
            }
        };
        if incarnation(router, peer) >= view.incarnation() {
            view.session = router.session;
            view.router_address = router.address;
            view.newest.clone_from(peer);
        }
        view.index
    }

    /// Adds numbers of announcements and withdrawals of a RIB view, the last of them received at `seen`.
    pub(super) fn count(
        &mut self,
        router: &Router,
        peer: &Peer,
        seen: Timestamp,
        announced: u64,
        withdrawn: u64,
    ) {
        if let Some(view) = self.views.get_mut(&(router.name.clone(), peer.key, peer.view)) {
            view.first_seen = view.first_seen.min(seen);
            view.last_seen = view.last_seen.max(seen);
            view.announced += announced;
            view.withdrawn += withdrawn;
        }
    }

    /// Returns the oldest incarnation whose routes are valid, if a Peer Down or a sweep of this transaction
    /// has changed it.
    pub(super) fn valid_from(&self, view_index: u32, family: Family) -> Option<Incarnation> {
        let of_peer = self.valid_from.get(num::u32_to_usize(view_index)).copied().flatten();
        let of_family = self.families.get(&(view_index, family)).and_then(|change| change.valid_from);
        of_peer.max(of_family)
    }

    /// Adds an event of a peer.
    pub(super) fn push(&mut self, seq: u64, batch: &Batch, peer: &Peer, event: &Event) {
        let view_index = self.view_index(&batch.router, peer);
        self.count(&batch.router, peer, event.received, 0, 0);
        let incarnation = incarnation(&batch.router, peer);
        let position = Position { incarnation, seq, index: event.index };
        match &event.kind {
            EventKind::PeerUp(up) => {
                let detail = peer_up_detail(up);
                self.change_state(batch, peer, position, "up", |change| {
                    change.up_at = Some(event.received);
                    change.detail = Some(detail);
                    change.ups += 1;
                });
            }
            EventKind::PeerUpRepeated(up) => {
                let detail = peer_up_detail(up);
                self.change_state(batch, peer, position, "up", |change| change.detail = Some(detail));
            }
            EventKind::PeerDown { reason, .. } => {
                let generation = peer.generation.saturating_add(1);
                let valid_from = Some(Incarnation { generation, ..incarnation });
                self.change_state(batch, peer, position, "down", |change| {
                    change.down_at = Some(event.received);
                    change.down_reason = Some(*reason);
                    change.downs += 1;
                    change.valid_from = change.valid_from.max(valid_from);
                });
                self.end_views(&batch.router.name, peer, valid_from);
            }
            EventKind::PeerStale { end } => {
                self.change_state(batch, peer, position, "stale", |change| {
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
    fn end_views(&mut self, router: &str, peer: &Peer, valid_from: Option<Incarnation>) {
        for ((name, key, view), summary) in &self.views {
            let applies = name == router && *key == peer.key && is_loc_rib(*view) == is_loc_rib(peer.view);
            if applies && let Some(known) = self.valid_from.get_mut(num::u32_to_usize(summary.index)) {
                *known = valid_from.max(*known);
            }
        }
    }

    fn change_state(
        &mut self,
        batch: &Batch,
        peer: &Peer,
        position: Position,
        state: &'static str,
        apply: impl FnOnce(&mut StateChange),
    ) {
        let key = (batch.router.name.clone(), peer.key, is_loc_rib(peer.view));
        let change = self.states.entry(key).or_insert_with(|| StateChange::new(state, position));
        if position >= change.position {
            change.state = state;
            change.position = position;
        }
        apply(change);
    }

    /// Returns the JSON arguments of `holdfast_merge_peers`.
    pub(super) fn arguments(&self) -> PeerArguments {
        let views = self.views.iter().map(|((router, key, view), summary)| summary.json(router, key, *view));
        let states = self.states.iter();
        let states = states.map(|((router, key, is_loc_rib), change)| change.json(router, key, *is_loc_rib));
        let families = self.families.iter();
        let families = families.map(|((view_index, family), change)| change.json(*view_index, *family));
        let mut arguments =
            PeerArguments { views: views.collect(), states: states.collect(), families: families.collect() };
        for argument in [&mut arguments.views, &mut arguments.states, &mut arguments.families] {
            replace_nul(argument);
        }
        arguments
    }
}

impl ViewSummary {
    fn new(index: u32, router: &Router, peer: &Peer) -> Self {
        Self {
            index,
            newest: peer.clone(),
            router_address: router.address,
            session: router.session,
            first_seen: Timestamp(i64::MAX),
            last_seen: Timestamp(0),
            announced: 0,
            withdrawn: 0,
        }
    }

    const fn incarnation(&self) -> Incarnation {
        Incarnation { session: self.session, generation: self.newest.generation }
    }

    fn json(&self, router: &str, key: &PeerKey, view: RibView) -> Value {
        json!({
            "peer_index": self.index,
            "router": router,
            "peer_type": key.peer_type,
            "distinguisher": format!("{:016x}", key.distinguisher),
            "peer_distinguisher": Rd(key.distinguisher.to_be_bytes()).to_string(),
            "address": key.address,
            "rib": view.to_string(),
            "bmp_peer_ip": self.router_address,
            "asn": self.newest.asn,
            "bgp_id": self.newest.bgp_id,
            "table_name": (!self.newest.table_name.is_empty()).then_some(&self.newest.table_name),
            "session": self.session.0,
            "generation": self.newest.generation,
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

    fn json(&self, router: &str, key: &PeerKey, is_loc_rib: bool) -> Value {
        json!({
            "router": router,
            "peer_type": key.peer_type,
            "distinguisher": format!("{:016x}", key.distinguisher),
            "address": key.address,
            "is_loc_rib": is_loc_rib,
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

const fn incarnation(router: &Router, peer: &Peer) -> Incarnation {
    Incarnation { session: router.session, generation: peer.generation }
}

fn is_loc_rib(view: RibView) -> bool {
    view == RibView::LocRib
}
