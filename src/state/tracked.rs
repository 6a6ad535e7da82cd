//! Open sessions and live or stale peers, derived from batches. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::addresses::{self, Addresses};
use super::liveness::{Liveness, liveness_changes};
use crate::num::to_u32_saturating;
use crate::route::{Batch, Event, EventKind, Peer, PeerIdentity, Router, SessionEnd, Timestamp};

/// Largest size of all tracked peers in the bytes of a snapshot, about 75,000 peers. The number of peers and
/// the length of their names are chosen by the routers and must be bounded.
const TRACKED_BYTES_MAX: usize = 8 << 20;
/// Size of one peer in a snapshot, without names.
const PEER_BYTES: usize = 100;

/// A BMP session whose end has not been logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    /// The router, with the identity of the session.
    pub router: Router,
    /// Reception time of its last observed record.
    pub last_record: Timestamp,
}

/// A peer that is up or stale, or went down in a session that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedPeer {
    /// The peer, with the RIB view and generation of its last record.
    pub peer: Peer,
    /// Identity of the BMP session of its last record.
    pub session: Timestamp,
    /// Whether the peer is up.
    pub liveness: Liveness,
}

/// An entry that a batch changed, so that only changed entries are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The session with this identity began or ended.
    Session(Timestamp),
    /// This peer of this router.
    Peer(String, PeerIdentity),
    /// The time at which a stop of the collector ended this router's session.
    Stopped(String),
    /// The source address of this router.
    Address(String),
}

/// The tracked sessions and peers. Its encoding is that of snapshots: the order of the fields must not
/// change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TrackedState {
    /// The greatest session identity assigned so far.
    pub(super) last_session: Timestamp,
    /// Open sessions by identity.
    pub(super) sessions: BTreeMap<Timestamp, OpenSession>,
    /// Peers by the router's name.
    pub(super) peers: BTreeMap<String, BTreeMap<PeerIdentity, TrackedPeer>>,
    /// Routers whose session a stop of the collector ended, with the time of the stop. The gap since then is
    /// not logged yet.
    pub(super) stopped: BTreeMap<String, (Router, Timestamp)>,
    /// Source address of the last session of each router.
    pub(super) addresses: Addresses,
}

/// What remains of the memory budget while one batch is observed.
struct Budget {
    /// Computed at the first new peer of the batch.
    bytes_left: Option<usize>,
    may_drop_down: bool,
    may_drop_stale: bool,
}

impl TrackedState {
    /// The peers of a router that are up or stale.
    pub(super) fn peers(&self, router: &str) -> Vec<PeerIdentity> {
        let peers = self.peers.get(router).into_iter().flatten();
        peers.filter(|(_, peer)| peer.liveness != Liveness::Down).map(|(identity, _)| *identity).collect()
    }

    /// The peers of all routers that are up or stale.
    pub(super) fn routers(&self) -> BTreeMap<String, Vec<TrackedPeer>> {
        let listed = |peers: &BTreeMap<PeerIdentity, TrackedPeer>| -> Vec<TrackedPeer> {
            peers.values().filter(|peer| peer.liveness != Liveness::Down).cloned().collect()
        };
        let routers = self.peers.iter().map(|(name, peers)| (name.clone(), listed(peers)));
        routers.filter(|(_, peers)| !peers.is_empty()).collect()
    }

    /// Updates the state from a batch, and returns the changed entries.
    ///
    /// If the memory budget does not suffice for a new peer, all peers that are down are dropped, and then
    /// all stale ones unless the new peer is down itself. If that does not suffice, the new peer is not
    /// tracked: it is not marked stale after a crash, and its next table counts as an initial dump.
    pub(super) fn observe(&mut self, batch: &Batch) -> Vec<Change> {
        let mut changes = Vec::new();
        self.note_address(&batch.router, &mut changes);
        let without_session = self.observe_session(batch, &mut changes);
        let mut budget = Budget { bytes_left: None, may_drop_down: true, may_drop_stale: true };
        for (_, peer, liveness) in liveness_changes(batch) {
            self.observe_peer(&batch.router, peer, liveness, &mut budget, &mut changes);
        }
        if let Some(router) = without_session {
            self.forget_down(&router, &mut changes);
        }
        changes
    }

    /// Notes the source address of the router.
    fn note_address(&mut self, router: &Router, changes: &mut Vec<Change>) {
        let Self { addresses, peers, .. } = self;
        let (is_changed, removed) = addresses::note(addresses, router, |name| peers.contains_key(name));
        changes.extend(removed.map(Change::Address));
        if is_changed {
            changes.push(Change::Address(router.name.clone()));
        }
    }

    /// Notes the addresses of the routers whose session is open or was ended by a stop of the collector.
    pub(super) fn note_known_addresses(&mut self) {
        let open = self.sessions.values().map(|open| &open.router);
        let routers: Vec<Router> =
            open.chain(self.stopped.values().map(|(router, _)| router)).cloned().collect();
        routers.iter().for_each(|router| self.note_address(router, &mut Vec::new()));
    }

    fn observe_peer(
        &mut self,
        router: &Router,
        peer: &Peer,
        liveness: Liveness,
        budget: &mut Budget,
        changes: &mut Vec<Change>,
    ) {
        let known = self.identity_of(&router.name, peer);
        let before = known.and_then(|identity| self.peers.get(&router.name)?.get(&identity));
        // A late record of an older session does not override a newer session.
        if before.is_some_and(|before| before.session > router.session) {
            return;
        }
        let mut identity = known.unwrap_or_else(|| peer.identity());
        identity.complete(&peer.identity());
        let is_kept = liveness != Liveness::Down || self.has_open_session(router);
        let after = is_kept.then(|| {
            let peer = Peer { asn: identity.asn, bgp_id: identity.bgp_id, ..peer.clone() };
            TrackedPeer { peer, session: router.session, liveness }
        });
        let is_unchanged = match (before, &after) {
            (Some(before), Some(after)) => {
                before.liveness == after.liveness
                    && before.session == after.session
                    && before.peer.generation == after.peer.generation
                    && known == Some(identity)
            }
            (None, None) => true,
            _ => false,
        };
        if is_unchanged {
            return;
        }
        if let (None, Some(after)) = (before, &after)
            && !self.reserve(peer_bytes(&router.name, after), liveness, budget, changes)
        {
            return;
        }
        let peers = self.peers.entry(router.name.clone()).or_default();
        if let Some(known) = known {
            peers.remove(&known);
            changes.push(Change::Peer(router.name.clone(), known));
        }
        if let Some(after) = after {
            peers.insert(identity, after);
            changes.push(Change::Peer(router.name.clone(), identity));
        }
        if peers.is_empty() {
            self.peers.remove(&router.name);
        }
    }

    /// The identity under which a peer is tracked; `None` if it is not.
    fn identity_of(&self, router: &str, peer: &Peer) -> Option<PeerIdentity> {
        let first = PeerIdentity { key: peer.key, asn: 0, bgp_id: Ipv4Addr::UNSPECIFIED };
        let last = PeerIdentity { key: peer.key, asn: u32::MAX, bgp_id: Ipv4Addr::BROADCAST };
        let same_key = || self.peers.get(router).into_iter().flat_map(|peers| peers.range(first..=last));
        let index = peer.identity().find(same_key().map(|(identity, _)| identity))?;
        same_key().nth(index).map(|(identity, _)| *identity)
    }

    /// Whether this session of the router, or an older one, is open.
    fn has_open_session(&self, router: &Router) -> bool {
        self.sessions.range(..=router.session).any(|(_, open)| open.router.name == router.name)
    }

    /// Removes peers that are down once neither their session nor an older one of the router is open.
    fn forget_down(&mut self, router: &str, changes: &mut Vec<Change>) {
        let oldest = self.sessions.values().find(|open| open.router.name == router);
        let oldest = oldest.map_or(Timestamp(i64::MAX), |open| open.router.session);
        let Some(peers) = self.peers.get_mut(router) else { return };
        peers.retain(|identity, tracked| {
            let is_kept = tracked.liveness != Liveness::Down || tracked.session >= oldest;
            if !is_kept {
                changes.push(Change::Peer(router.to_owned(), *identity));
            }
            is_kept
        });
        if peers.is_empty() {
            self.peers.remove(router);
        }
    }

    /// Reserves memory for a new peer. Returns false if there is not enough.
    fn reserve(
        &mut self,
        bytes: usize,
        liveness: Liveness,
        budget: &mut Budget,
        changes: &mut Vec<Change>,
    ) -> bool {
        let mut left = budget.bytes_left.unwrap_or_else(|| self.bytes_left());
        if left < bytes && std::mem::take(&mut budget.may_drop_down) {
            self.retain(|kept| kept != Liveness::Down, changes);
            left = self.bytes_left();
        }
        let may_drop_stale = left < bytes && liveness != Liveness::Down;
        if may_drop_stale && std::mem::take(&mut budget.may_drop_stale) {
            self.retain(|kept| kept == Liveness::Up, changes);
            left = self.bytes_left();
        }
        let rest = left.checked_sub(bytes);
        budget.bytes_left = Some(rest.unwrap_or(left));
        rest.is_some()
    }

    /// Bytes of the memory budget that no tracked peer uses.
    fn bytes_left(&self) -> usize {
        let router_bytes = |(router, peers): (&String, &BTreeMap<PeerIdentity, TrackedPeer>)| -> usize {
            peers.values().map(|tracked| peer_bytes(router, tracked)).sum()
        };
        TRACKED_BYTES_MAX.saturating_sub(self.peers.iter().map(router_bytes).sum())
    }

    /// Drops the peers of all routers whose liveness is not to be kept.
    fn retain(&mut self, is_kept: impl Fn(Liveness) -> bool, changes: &mut Vec<Change>) {
        for (router, peers) in &mut self.peers {
            peers.retain(|identity, tracked| {
                let is_kept = is_kept(tracked.liveness);
                if !is_kept {
                    changes.push(Change::Peer(router.clone(), *identity));
                }
                is_kept
            });
        }
        self.peers.retain(|_, peers| !peers.is_empty());
    }

    /// Updates the open sessions. Returns the name of the router if one of its sessions ends.
    fn observe_session(&mut self, batch: &Batch, changes: &mut Vec<Change>) -> Option<String> {
        let session = batch.router.session;
        self.last_session = self.last_session.max(session);
        let down = batch.events.iter().find_map(|event| match &event.kind {
            EventKind::SessionDown { end } => Some((end, event.received)),
            _ => None,
        });
        let is_gap = batch.events.iter().any(|event| matches!(event.kind, EventKind::Gap { .. }));
        if is_gap && self.stopped.remove(&batch.router.name).is_some() {
            changes.push(Change::Stopped(batch.router.name.clone()));
        }
        match down {
            Some((end, at)) => {
                if self.sessions.remove(&session).is_some() {
                    changes.push(Change::Session(session));
                }
                if *end == SessionEnd::CollectorStop {
                    self.stopped.insert(batch.router.name.clone(), (batch.router.clone(), at));
                    changes.push(Change::Stopped(batch.router.name.clone()));
                }
                Some(batch.router.name.clone())
            }
            // A gap without another record belongs to a session that has ended; one that a router caused is
            // recorded with the message after it.
            None if is_gap && batch.records() == 1 => None,
            None => {
                let last_record = last_received(batch);
                let open =
                    self.sessions.get_mut(&session).filter(|open| open.router.name == batch.router.name);
                if let Some(open) = open {
                    // Not written to sled: it changes with every batch, and the mark written at each tick is
                    // almost as recent.
                    open.last_record = open.last_record.max(last_record);
                    None
                } else {
                    let open = OpenSession { router: batch.router.clone(), last_record };
                    let renamed = self.sessions.insert(session, open);
                    changes.push(Change::Session(session));
                    renamed.map(|old| {
                        self.mark_stale(&old.router, changes);
                        old.router.name
                    })
                }
            }
        }
    }

    /// Marks the session's peers under its previous router name as stale: the session continues under another
    /// name, so that no further record refers to them.
    fn mark_stale(&mut self, old: &Router, changes: &mut Vec<Change>) {
        for (identity, tracked) in self.peers.get_mut(&old.name).into_iter().flatten() {
            if tracked.session == old.session && tracked.liveness == Liveness::Up {
                tracked.liveness = Liveness::Stale;
                changes.push(Change::Peer(old.name.clone(), *identity));
            }
        }
    }

    /// See [`super::StateStore::startup_batches`].
    pub(super) fn startup_batches(&self, logged_until: Timestamp, now: Timestamp) -> Vec<Batch> {
        let crashed = self.sessions.values().map(|open| {
            let batch = self.end_batch(open, &SessionEnd::CollectorCrash, now);
            (batch, "crash", open.last_record.max(logged_until).min(now))
        });
        let stopped =
            self.stopped.values().map(|(router, at)| (Batch::new(router.clone()), "stop", (*at).min(now)));
        let mut batches: Vec<_> = crashed.chain(stopped).collect();
        batches.sort_by(|(a, _, from_a), (b, _, from_b)| {
            (&a.router.name, from_a).cmp(&(&b.router.name, from_b))
        });
        // A run that could not log its startup batches leaves several entries of one router. Each gap ends
        // where the next one of the router begins, so that no time is covered twice.
        let mut next: Option<(String, Timestamp)> = None;
        for (batch, reason, from) in batches.iter_mut().rev() {
            let until = next.filter(|(name, _)| *name == batch.router.name).map_or(now, |(_, from)| from);
            next = Some((batch.router.name.clone(), *from));
            let index = to_u32_saturating(batch.events.len());
            batch.events.push(event(index, None, now, gap(reason, *from, until)));
        }
        batches.into_iter().map(|(batch, ..)| batch).collect()
    }

    /// See [`super::StateStore::session_end_batches`].
    pub(super) fn session_end_batch(
        &self,
        session: Timestamp,
        end: &SessionEnd,
        now: Timestamp,
    ) -> Option<Batch> {
        self.sessions.get(&session).map(|open| self.end_batch(open, end, now))
    }

    /// The batch that the session itself would have logged at its end: a stale mark per live peer, and the
    /// session's end.
    fn end_batch(&self, open: &OpenSession, end: &SessionEnd, now: Timestamp) -> Batch {
        let mut batch = Batch::new(open.router.clone());
        let peers = self.peers.get(&open.router.name).into_iter().flat_map(BTreeMap::values);
        let live = peers.filter(|peer| peer.session == open.router.session && peer.liveness == Liveness::Up);
        for (index, tracked) in (0_u16..).zip(live) {
            batch.peers.push(tracked.peer.clone());
            let stale = EventKind::PeerStale { end: end.clone() };
            batch.events.push(event(u32::from(index), Some(index), now, stale));
        }
        let index = to_u32_saturating(batch.events.len());
        batch.events.push(event(index, None, now, EventKind::SessionDown { end: end.clone() }));
        batch
    }
}

/// Size of a tracked peer in a snapshot. The router's name is counted for every peer, so that the names of
/// routers with few peers are bounded too.
const fn peer_bytes(router: &str, tracked: &TrackedPeer) -> usize {
    PEER_BYTES + router.len() + tracked.peer.table_name.len()
}

/// A gap event. If the clock was set back, the gap is empty instead of ending before it begins.
fn gap(reason: &str, from: Timestamp, until: Timestamp) -> EventKind {
    EventKind::Gap { reason: reason.to_owned(), from: from.min(until), until }
}

/// An event without a router timestamp.
const fn event(index: u32, peer: Option<u16>, received: Timestamp, kind: EventKind) -> Event {
    Event { index, peer, received, router_time: Timestamp(0), kind }
}

/// Reception time of the last record of a batch.
fn last_received(batch: &Batch) -> Timestamp {
    let route = batch.groups.last().map(|group| group.received);
    let event = batch.events.last().map(|event| event.received);
    route.max(event).unwrap_or_default()
}
