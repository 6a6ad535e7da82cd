//! Events of routes whose peer is not known before the transaction is stored. Pure.
//!
//! An identity with zeros may be the same peer as another identity of the transaction, or a peer of its own;
//! only the database knows, because it depends on the peers stored before. The events of such peers are kept
//! one by one, with the Peer Downs and sweeps among them, and are folded once the database has replied.

use std::collections::HashMap;

use crate::route::{Event, EventKind, Family, Incarnation, Peer, Router};

use super::super::error::EncodeError;
use super::super::peers::{incarnation, is_loc_rib};
use super::super::route_event::{RouteEvent, StoredPeer, StoredPeers};
use super::route_change::RouteChange;

/// An event of a route.
struct DeferredEvent {
    view_index: u32,
    of_loc_rib: bool,
    key: Box<[u8]>,
    change: RouteChange,
    /// Number of Peer Downs and sweeps before the event.
    ends_before: usize,
}

/// Routes that a Peer Down or a sweep ends.
#[derive(Clone, Copy)]
enum EndScope {
    /// Those of the Loc-RIB, or those of all other RIB views of the peer.
    Peer { of_loc_rib: bool },
    /// Those of one address family of a RIB view.
    Family(Family),
}

/// A Peer Down or a sweep.
struct RouteEnd {
    view_index: u32,
    scope: EndScope,
    /// Oldest incarnation whose routes remain valid.
    valid_from: Incarnation,
}

/// The events, in the order of the log.
#[derive(Default)]
pub(super) struct DeferredEvents {
    events: Vec<DeferredEvent>,
    /// Those of all peers: an identity with zeros may appear later.
    ends: Vec<RouteEnd>,
}

/// An event whose peer is known.
pub(super) struct ResolvedEvent<'a> {
    pub(super) peer: &'a StoredPeer,
    pub(super) key: &'a [u8],
    pub(super) change: RouteChange,
}

impl DeferredEvents {
    /// Adds an event of a route, as a change of its own.
    pub(super) fn push(&mut self, event: &RouteEvent<'_>, change: RouteChange) {
        self.events.push(DeferredEvent {
            view_index: event.view_index,
            of_loc_rib: event.of_loc_rib,
            key: event.key.into(),
            change,
            ends_before: self.ends.len(),
        });
    }

    /// Adds an event of a peer. Only a Peer Down and a sweep have an effect.
    pub(super) fn push_end(&mut self, view_index: u32, router: &Router, peer: &Peer, event: &Event) {
        let incarnation = incarnation(router, peer);
        let (scope, generation) = match &event.kind {
            EventKind::PeerDown { .. } => {
                let of_loc_rib = is_loc_rib(peer.view);
                (EndScope::Peer { of_loc_rib }, incarnation.generation.saturating_add(1))
            }
            EventKind::Sweep { family } => (EndScope::Family(*family), incarnation.generation),
            _ => return,
        };
        let valid_from = Incarnation { generation, ..incarnation };
        self.ends.push(RouteEnd { view_index, scope, valid_from });
    }

    /// Returns the events with their peers, each with the oldest incarnation that was valid just before it.
    pub(super) fn resolve<'a>(
        &'a self,
        peers: &'a StoredPeers,
    ) -> Result<Vec<ResolvedEvent<'a>>, EncodeError> {
        let mut resolved = Vec::with_capacity(self.events.len());
        // The oldest valid incarnations, as the Peer Downs and sweeps before the event have left them.
        let mut of_peers: HashMap<(i64, bool), Incarnation> = HashMap::new();
        let mut of_families: HashMap<(i64, Family), Incarnation> = HashMap::new();
        let mut ends = self.ends.iter().enumerate().peekable();
        for event in &self.events {
            while let Some((_, end)) = ends.next_if(|(index, _)| *index < event.ends_before) {
                let ended = peers.get(end.view_index)?;
                let valid_from = match end.scope {
                    EndScope::Peer { of_loc_rib } => {
                        of_peers.entry((ended.peer_number, of_loc_rib)).or_insert(end.valid_from)
                    }
                    EndScope::Family(family) => {
                        of_families.entry((ended.id, family)).or_insert(end.valid_from)
                    }
                };
                *valid_from = end.valid_from.max(*valid_from);
            }
            let peer = peers.get(event.view_index)?;
            let of_peer = of_peers.get(&(peer.peer_number, event.of_loc_rib));
            let swept_from = of_families.get(&(peer.id, event.change.family)).copied();
            let valid_from = swept_from.max(of_peer.copied());
            let change = RouteChange { valid_from, swept_from, ..event.change.clone() };
            resolved.push(ResolvedEvent { peer, key: &event.key, change });
        }
        Ok(resolved)
    }
}
