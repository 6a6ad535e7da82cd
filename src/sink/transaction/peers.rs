//! What one transaction says of routers and peers: folded, so that each is one row of a set. Pure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::{Value, json};

use crate::route::{Batch, Event, EventKind, Family, Peer, PeerKey, RibView, Router, Timestamp};
use crate::sink::copy::copy_rows::{is_loc_rib, peer_up_detail, seq_number};
use crate::sink::transaction::rib::Position;

/// A view of a peer of a router.
type ViewKey = (String, PeerKey, RibView);

struct View {
    place: u32,
    newest: Peer,
    address: std::net::IpAddr,
    session: Timestamp,
    first_seen: Timestamp,
    last_seen: Timestamp,
    announced: u64,
    withdrawn: u64,
}

/// The last state change of a peer key, and what happened on the way to it.
struct Change {
    state: &'static str,
    position: Position,
    up_at: Option<Timestamp>,
    down_at: Option<Timestamp>,
    down_reason: Option<u8>,
    stale_at: Option<Timestamp>,
    stale_reason: Option<String>,
    ups: u32,
    downs: u32,
    detail: Option<Value>,
    /// Session and generation from which on routes count, when a Peer Down moved it.
    valid: Option<(Timestamp, u32)>,
}

#[derive(Default)]
struct FamilyChange {
    end_of_rib: Option<(Timestamp, u32, Timestamp)>,
    valid: Option<(Timestamp, u32)>,
    /// Session, generation, time and error of the last PDU that could not be read.
    suspect: Option<(Timestamp, u32, Timestamp, String)>,
}

/// All peers of one transaction.
#[derive(Default)]
pub(in crate::sink) struct Peers {
    views: HashMap<ViewKey, View>,
    /// By place: from which session and generation on routes count, where a Peer Down has moved it.
    ends: Vec<Option<(Timestamp, u32)>>,
    changes: HashMap<(String, PeerKey, bool), Change>,
    families: HashMap<(u32, Family), FamilyChange>,
}

impl Peers {
    /// The place of a view within the transaction, given on its first sight.
    pub(in crate::sink) fn place(&mut self, router: &Router, peer: &Peer) -> u32 {
        let view = match self.views.entry((router.name.clone(), peer.key, peer.view)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let place = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
                self.ends.push(None);
                new.insert(View::new(place, router, peer))
            }
        };
        if (router.session, peer.generation) >= (view.session, view.newest.generation) {
            view.session = router.session;
            view.address = router.address;
            view.newest.clone_from(peer);
        }
        view.place
    }

    /// TransactionCounts rows of a view.
    pub(in crate::sink) fn count(
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

    /// From which session and generation on routes count, where this transaction has moved it so far.
    pub(in crate::sink) fn ended(&self, place: u32, family: Family) -> Option<(Timestamp, u32)> {
        let of_peer = usize::try_from(place).ok().and_then(|place| self.ends.get(place)).copied().flatten();
        let of_family = self.families.get(&(place, family)).and_then(|change| change.valid);
        of_peer.max(of_family)
    }

    /// Takes one event of a peer.
    pub(in crate::sink) fn event(&mut self, seq: u64, batch: &Batch, peer: &Peer, event: &Event) {
        let place = self.place(&batch.router, peer);
        self.count(&batch.router, peer, event.received, 0, 0);
        let session = batch.router.session;
        let position = Position { session, generation: peer.generation, seq, index: event.index };
        match &event.kind {
            EventKind::PeerUp(up) => {
                let detail = peer_up_detail(up);
                self.change(batch, peer, position, "up", |change| {
                    change.up_at = Some(event.received);
                    change.detail = Some(detail);
                    change.ups += 1;
                });
            }
            EventKind::PeerDown { reason, .. } => {
                let valid = Some((session, peer.generation.saturating_add(1)));
                self.change(batch, peer, position, "down", |change| {
                    change.down_at = Some(event.received);
                    change.down_reason = Some(*reason);
                    change.downs += 1;
                    change.valid = change.valid.max(valid);
                });
                self.end(&batch.router.name, peer, valid);
            }
            EventKind::PeerStale { end } => {
                self.change(batch, peer, position, "stale", |change| {
                    change.stale_at = Some(event.received);
                    change.stale_reason = Some(end.to_string());
                });
            }
            EventKind::Malformed { error, suspect: Some(scope), .. } => {
                let change = self.families.entry((place, Family::from(*scope))).or_default();
                let suspect = Some((session, peer.generation, event.received, error.clone()));
                change.suspect = change.suspect.take().max(suspect);
            }
            EventKind::EndOfRib { family } => {
                let change = self.families.entry((place, *family)).or_default();
                change.end_of_rib = change.end_of_rib.max(Some((session, peer.generation, event.received)));
            }
            EventKind::Sweep { family } => {
                let change = self.families.entry((place, *family)).or_default();
                change.valid = change.valid.max(Some((session, peer.generation)));
            }
            _ => {}
        }
    }

    /// A Peer Down concerns all views of the peer but the Loc-RIB, or the Loc-RIB alone.
    fn end(&mut self, router: &str, peer: &Peer, valid: Option<(Timestamp, u32)>) {
        for ((name, key, view), known) in &self.views {
            let concerned = name == router && *key == peer.key && is_loc_rib(*view) == is_loc_rib(peer.view);
            let place = usize::try_from(known.place).ok().filter(|_| concerned);
            if let Some(ends) = place.and_then(|place| self.ends.get_mut(place)) {
                *ends = valid.max(*ends);
            }
        }
    }

    fn change(
        &mut self,
        batch: &Batch,
        peer: &Peer,
        position: Position,
        state: &'static str,
        apply: impl FnOnce(&mut Change),
    ) {
        let key = (batch.router.name.clone(), peer.key, is_loc_rib(peer.view));
        let change = self.changes.entry(key).or_insert_with(|| Change::new(state, position));
        if position >= change.position {
            change.state = state;
            change.position = position;
        }
        apply(change);
    }

    /// The arguments `peers`, `changes` and `families` of `holdfast_merge_peers`.
    pub(in crate::sink) fn arguments(&self) -> [Value; 3] {
        let peers =
            self.views.iter().map(|((router, key, view), known)| known.json(router, key, *view)).collect();
        let changes =
            self.changes.iter().map(|((router, key, loc_rib), change)| change.json(router, key, *loc_rib));
        let families = self.families.iter().map(|((place, family), change)| {
            json!({
                "peer_index": place, "afi": family.afi, "safi": family.safi,
                "eor_session": change.end_of_rib.map(|(session, ..)| session.0),
                "eor_generation": change.end_of_rib.map(|(_, generation, _)| generation),
                "eor_at": change.end_of_rib.map(|(.., at)| at.0),
                "valid_session": change.valid.map(|(session, _)| session.0),
                "valid_generation": change.valid.map(|(_, generation)| generation),
                "suspect_session": change.suspect.as_ref().map(|(session, ..)| session.0),
                "suspect_generation": change.suspect.as_ref().map(|(_, generation, ..)| generation),
                "suspect_at": change.suspect.as_ref().map(|(_, _, at, _)| at.0),
                "suspect_reason": change.suspect.as_ref().map(|(.., error)| error),
            })
        });
        [peers, changes.collect(), families.collect()]
    }
}

impl View {
    fn new(place: u32, router: &Router, peer: &Peer) -> Self {
        Self {
            place,
            newest: peer.clone(),
            address: router.address,
            session: router.session,
            first_seen: Timestamp(i64::MAX),
            last_seen: Timestamp(0),
            announced: 0,
            withdrawn: 0,
        }
    }

    fn json(&self, router: &str, key: &PeerKey, view: RibView) -> Value {
        json!({
            "peer_index": self.place, "router": router, "peer_type": key.peer_type,
            "distinguisher": format!("{:016x}", key.distinguisher),
            "peer_distinguisher": crate::route::Rd(key.distinguisher.to_be_bytes()).to_string(),
            "address": key.address, "rib": view.to_string(), "bmp_peer_ip": self.address,
            "asn": self.newest.asn, "bgp_id": self.newest.bgp_id,
            "table_name": (!self.newest.table_name.is_empty()).then_some(&self.newest.table_name),
            "session": self.session.0, "generation": self.newest.generation,
            "first_seen": self.first_seen.min(self.last_seen).0, "last_seen": self.last_seen.0,
            "announced": self.announced, "withdrawn": self.withdrawn,
        })
    }
}

impl Change {
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
            valid: None,
        }
    }

    fn json(&self, router: &str, key: &PeerKey, is_loc_rib: bool) -> Value {
        json!({
            "router": router, "peer_type": key.peer_type, "distinguisher": format!("{:016x}", key.distinguisher),
            "address": key.address, "is_loc_rib": is_loc_rib, "state": self.state,
            "session": self.position.session.0, "generation": self.position.generation,
            "seq": seq_number(self.position.seq), "idx": self.position.index,
            "up_at": self.up_at.map(|at| at.0), "down_at": self.down_at.map(|at| at.0), "down_reason": self.down_reason,
            "stale_at": self.stale_at.map(|at| at.0), "stale_reason": self.stale_reason, "ups": self.ups, "downs": self.downs, "detail": self.detail,
            "valid_session": self.valid.map(|(session, _)| session.0),
            "valid_generation": self.valid.map(|(_, generation)| generation),
        })
    }
}

struct Seen {
    router: Router,
    first_seen: Timestamp,
    last_seen: Timestamp,
    introduction: Option<(String, String, Vec<String>)>,
    ended: Option<(Timestamp, String)>,
}

/// All routers of one transaction.
#[derive(Default)]
pub(in crate::sink) struct Routers(HashMap<String, Seen>);

impl Routers {
    /// Takes what a batch says of its router.
    pub(in crate::sink) fn batch(&mut self, batch: &Batch) {
        let times = batch.groups.iter().map(|group| group.received);
        let mut times = times.chain(batch.events.iter().map(|event| event.received));
        let first = times.next().unwrap_or(batch.router.session);
        let last = times.fold(first, Timestamp::max);
        let seen = self.0.entry(batch.router.name.clone()).or_insert_with(|| Seen::new(&batch.router, first));
        if batch.router.session > seen.router.session {
            *seen = Seen { first_seen: seen.first_seen, ..Seen::new(&batch.router, first) };
        }
        if batch.router.session < seen.router.session {
            return;
        }
        seen.last_seen = seen.last_seen.max(last);
        for event in &batch.events {
            match &event.kind {
                EventKind::SessionUp { sys_name, sys_descr, information } => {
                    seen.introduction = Some((sys_name.clone(), sys_descr.clone(), information.clone()));
                }
                EventKind::SessionDown { end } => seen.ended = Some((event.received, end.to_string())),
                _ => {}
            }
        }
    }

    /// The argument `routers` of `holdfast_merge_routers`.
    pub(in crate::sink) fn argument(&self) -> Value {
        self.0.values().map(Seen::json).collect()
    }
}

impl Seen {
    fn new(router: &Router, first_seen: Timestamp) -> Self {
        Self { router: router.clone(), first_seen, last_seen: first_seen, introduction: None, ended: None }
    }

    fn json(&self) -> Value {
        let introduction = self.introduction.as_ref();
        json!({
            "router": self.router.name, "peer_ip": self.router.address, "port": self.router.port,
            "session": self.router.session.0, "first_seen": self.first_seen.0, "last_seen": self.last_seen.0,
            "sys_name": introduction.map(|(name, ..)| name), "sys_descr": introduction.map(|(_, descr, _)| descr),
            "information": introduction.map(|(.., information)| information),
            "ended_at": self.ended.as_ref().map(|(at, _)| at.0), "end_reason": self.ended.as_ref().map(|(_, end)| end),
        })
    }
}
