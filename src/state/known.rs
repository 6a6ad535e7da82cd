//! What is known of routers and peers, learned from batches. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::route::{Action, Batch, Event, EventKind, Peer, PeerKey, Router, SessionEnd, Timestamp};

/// How much may be known of the peers of all routers, in the bytes of a context: routers decide how many they name, and
/// under which names. About 75,000 peers.
const KNOWN_BYTES_MAX: usize = 8 << 20;
/// A peer in these bytes, without names.
const PEER_BYTES: usize = 100;

/// A BMP session whose end has not been logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    /// Who.
    pub router: Router,
    /// When its last record that is known of was received.
    pub last_record: Timestamp,
}

/// How a peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It is up, as far as its router says.
    Up,
    /// It was up when its router was last heard.
    Stale,
}

/// A peer that is up or stale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedPeer {
    /// The peer, in the view in which it was last named.
    pub peer: Peer,
    /// The BMP session that spoke of it last.
    pub session: Timestamp,
    /// How it stands.
    pub standing: Standing,
}

/// What one batch changed, so that only that is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The session of this identity began, or ended.
    Session(Timestamp),
    /// This peer of this router.
    Peer(String, PeerKey),
    /// The time at which this router's session was ended by a stop of the collector.
    Stopped(String),
}

/// Everything that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) last_session: Timestamp,
    pub(super) sessions: BTreeMap<Timestamp, OpenSession>,
    pub(super) peers: BTreeMap<String, BTreeMap<PeerKey, TrackedPeer>>,
    /// Routers whose sessions the collector ended itself when it stopped, and when. The gap since then is still to be
    /// logged.
    pub(super) stopped: BTreeMap<String, (Router, Timestamp)>,
}

impl Known {
    pub(super) const fn last_session(&self) -> Timestamp {
        self.last_session
    }

    pub(super) fn peers(&self, router: &str) -> Vec<PeerKey> {
        self.peers.get(router).map(|peers| peers.keys().copied().collect()).unwrap_or_default()
    }

    pub(super) fn routers(&self) -> BTreeMap<String, Vec<TrackedPeer>> {
        self.peers.iter().map(|(name, peers)| (name.clone(), peers.values().cloned().collect())).collect()
    }

    /// Learns from a batch. A peer that is new and finds no room takes that of the stale ones; where there are none, it is
    /// not known here: nobody will say of it that it is stale after a crash, and its next table counts as a first one.
    pub(super) fn observe(&mut self, batch: &Batch) -> Vec<Change> {
        let mut changes = Vec::new();
        self.observe_session(batch, &mut changes);
        // Counted when the first new peer comes.
        let mut bytes_left = None;
        let mut may_forget = true;
        for (_, peer, said) in statements(batch) {
            let before = self.peers.get(&batch.router.name).and_then(|peers| peers.get(&peer.key));
            // An old session that ends late says nothing about what a newer one has spoken of.
            if before.is_some_and(|known| known.session > batch.router.session) {
                continue;
            }
            let after = said.map(|standing| TrackedPeer {
                peer: peer.clone(),
                session: batch.router.session,
                standing,
            });
            let same = match (before, &after) {
                (Some(before), Some(after)) => {
                    before.standing == after.standing
                        && before.session == after.session
                        && before.peer.generation == after.peer.generation
                }
                (None, None) => true,
                _ => false,
            };
            if same {
                continue;
            }
            if let (None, Some(after)) = (before, &after) {
                let bytes = bytes_of(&batch.router.name, after);
                let mut left = bytes_left.unwrap_or_else(|| self.bytes_left());
                if left < bytes && std::mem::take(&mut may_forget) {
                    self.forget_stale(&mut changes);
                    left = self.bytes_left();
                }
                let rest = left.checked_sub(bytes);
                bytes_left = Some(rest.unwrap_or(left));
                if rest.is_none() {
                    continue;
                }
            }
            let peers = self.peers.entry(batch.router.name.clone()).or_default();
            match after {
                Some(after) => peers.insert(peer.key, after),
                None => peers.remove(&peer.key),
            };
            if peers.is_empty() {
                self.peers.remove(&batch.router.name);
            }
            changes.push(Change::Peer(batch.router.name.clone(), peer.key));
        }
        changes
    }

    fn bytes_left(&self) -> usize {
        let of_router = |(router, peers): (&String, &BTreeMap<PeerKey, TrackedPeer>)| -> usize {
            peers.values().map(|known| bytes_of(router, known)).sum()
        };
        KNOWN_BYTES_MAX.saturating_sub(self.peers.iter().map(of_router).sum())
    }

    fn forget_stale(&mut self, changes: &mut Vec<Change>) {
        for (router, peers) in &mut self.peers {
            peers.retain(|key, known| {
                let stays = known.standing == Standing::Up;
                if !stays {
                    changes.push(Change::Peer(router.clone(), *key));
                }
                stays
            });
        }
        self.peers.retain(|_, peers| !peers.is_empty());
    }

    fn observe_session(&mut self, batch: &Batch, changes: &mut Vec<Change>) {
        let session = batch.router.session;
        self.last_session = self.last_session.max(session);
        let down = batch.events.iter().find_map(|event| match &event.kind {
            EventKind::SessionDown { end } => Some((end, event.received)),
            _ => None,
        });
        let gap_told = batch.events.iter().any(|event| matches!(event.kind, EventKind::Gap { .. }));
        if gap_told && self.stopped.remove(&batch.router.name).is_some() {
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
            }
            // A gap is told about a session that is over.
            None if gap_told => {}
            None => {
                let last_record = last_received(batch);
                let known =
                    self.sessions.get_mut(&session).filter(|open| open.router.name == batch.router.name);
                if let Some(open) = known {
                    // Kept in memory only: the tick's mark is nearly as good, and this changes with every batch.
                    open.last_record = last_record;
                } else {
                    let open = OpenSession { router: batch.router.clone(), last_record };
                    let renamed = self.sessions.insert(session, open);
                    changes.push(Change::Session(session));
                    renamed.iter().for_each(|old| self.leave(&old.router, changes));
                }
            }
        }
    }

    /// A session goes on under another name: nobody will speak of its peers under the old one again.
    fn leave(&mut self, old: &Router, changes: &mut Vec<Change>) {
        for (key, known) in self.peers.get_mut(&old.name).into_iter().flatten() {
            if known.session == old.session && known.standing == Standing::Up {
                known.standing = Standing::Stale;
                changes.push(Change::Peer(old.name.clone(), *key));
            }
        }
    }

    /// See [`super::State::startup_records`].
    pub(super) fn startup_records(&self, logged_until: Timestamp, now: Timestamp) -> Vec<Batch> {
        let crashed = self.sessions.values().map(|open| {
            let batch = self.end_of(open, &SessionEnd::CollectorCrash, now);
            (batch, "crash", open.last_record.max(logged_until).min(now))
        });
        let stopped =
            self.stopped.values().map(|(router, at)| (Batch::new(router.clone()), "stop", (*at).min(now)));
        let mut records: Vec<_> = crashed.chain(stopped).collect();
        records.sort_by(|(a, _, from_a), (b, _, from_b)| {
            (&a.router.name, from_a).cmp(&(&b.router.name, from_b))
        });
        // A run that found the log full leaves more than one of a router: what is missing of it is told once.
        let mut behind: Option<(String, Timestamp)> = None;
        for (batch, reason, from) in records.iter_mut().rev() {
            let until = behind.filter(|(name, _)| *name == batch.router.name).map_or(now, |(_, from)| from);
            behind = Some((batch.router.name.clone(), *from));
            let index = u32::try_from(batch.events.len()).unwrap_or(u32::MAX);
            batch.events.push(event(index, None, now, gap(reason, *from, until)));
        }
        records.into_iter().map(|(batch, ..)| batch).collect()
    }

    /// See [`super::State::session_records`].
    pub(super) fn session_records(
        &self,
        session: Timestamp,
        end: &SessionEnd,
        now: Timestamp,
    ) -> Option<Batch> {
        self.sessions.get(&session).map(|open| self.end_of(open, end, now))
    }

    /// What a session itself would have logged at its end: its live peers are stale, and it is down.
    fn end_of(&self, open: &OpenSession, end: &SessionEnd, now: Timestamp) -> Batch {
        let mut batch = Batch::new(open.router.clone());
        let peers = self.peers.get(&open.router.name).into_iter().flat_map(BTreeMap::values);
        let live =
            peers.filter(|known| known.session == open.router.session && known.standing == Standing::Up);
        for (place, known) in (0_u16..).zip(live) {
            batch.peers.push(known.peer.clone());
            let stale = EventKind::PeerStale { end: end.clone() };
            batch.events.push(event(u32::from(place), Some(place), now, stale));
        }
        let index = u32::try_from(batch.events.len()).unwrap_or(u32::MAX);
        batch.events.push(event(index, None, now, EventKind::SessionDown { end: end.clone() }));
        batch
    }
}

/// What a peer takes. The name of its router counts for each, so that a router of one peer takes what it takes.
const fn bytes_of(router: &str, known: &TrackedPeer) -> usize {
    PEER_BYTES + router.len() + known.peer.table_name.len()
}

/// A clock that was set back must not make a gap that ends before it begins.
fn gap(reason: &str, from: Timestamp, until: Timestamp) -> EventKind {
    EventKind::Gap { reason: reason.to_owned(), from: from.min(until), until }
}

const fn event(index: u32, peer: Option<u16>, received: Timestamp, kind: EventKind) -> Event {
    Event { index, peer, received, router_time: Timestamp(0), kind }
}

fn last_received(batch: &Batch) -> Timestamp {
    let route = batch.groups.last().map(|group| group.received);
    let event = batch.events.last().map(|event| event.received);
    route.max(event).unwrap_or_default()
}

/// What a batch says about the standing of its peers, in order; `None` is "down". A peer that announces is up, with or
/// without a Peer Up before. Of the announcements of one peer only the last one counts, so that a batch of a thousand
/// one-prefix messages costs a thousand writes to a small array and no look-up.
fn statements(batch: &Batch) -> Vec<(u32, &Peer, Option<Standing>)> {
    let mut announced: Vec<Option<u32>> = vec![None; batch.peers.len()];
    for group in batch.groups.iter().filter(|group| group.action == Action::Announce) {
        if let Some(last) = announced.get_mut(usize::from(group.peer)) {
            *last = Some(group.index);
        }
    }
    let routes = announced.iter().zip(&batch.peers);
    let mut all: Vec<_> =
        routes.filter_map(|(last, peer)| last.map(|index| (index, peer, Some(Standing::Up)))).collect();
    for event in &batch.events {
        let said = match event.kind {
            EventKind::PeerUp(_) => Some(Standing::Up),
            EventKind::PeerStale { .. } => Some(Standing::Stale),
            EventKind::PeerDown { .. } => None,
            _ => continue,
        };
        if let Some(peer) = event.peer.and_then(|place| batch.peers.get(usize::from(place))) {
            all.push((event.index, peer, said));
        }
    }
    all.sort_by_key(|(index, ..)| *index);
    all
}
