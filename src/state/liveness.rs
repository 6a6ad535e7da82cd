//! Whether peers are up, as batches change it. Pure.

use serde::{Deserialize, Serialize};

use crate::route::{Action, Batch, EventKind, Peer};

/// Whether a tracked peer is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Liveness {
    /// The router reported the peer as up, or announced routes of it, and the session is open.
    Up,
    /// The peer was up when the session ended.
    Stale,
    /// The peer went down. Kept until its session and older ones of the router have ended: late records of an
    /// older session do not bring the peer back, and records without AS number and BGP identifier are not
    /// taken for another peer with its address.
    Down,
}

/// The liveness of peers as a batch changes it: record index, peer, and new liveness, ordered by index.
///
/// An announcement makes a peer up even without a Peer Up before it. Only the first and the last announcement
/// of a peer are returned, so that a batch of a thousand one-prefix messages costs a thousand writes to a
/// small array and no look-up: the first one, because peers with zeros are identified in the order in which
/// they appear, and the last one, because it may follow a Peer Down.
pub(super) fn liveness_changes(batch: &Batch) -> Vec<(u32, &Peer, Liveness)> {
    let mut announced: Vec<Option<(u32, u32)>> = vec![None; batch.peers.len()];
    for group in batch.groups.iter().filter(|group| group.action == Action::Announce) {
        if let Some(range) = announced.get_mut(usize::from(group.peer)) {
            *range = Some((range.map_or(group.index, |(first, _)| first), group.index));
        }
    }
    let routes = announced.iter().zip(&batch.peers).filter_map(|(range, peer)| Some(((*range)?, peer)));
    let mut changes: Vec<_> = routes
        .flat_map(|((first, last), peer)| [first, last].map(|index| (index, peer, Liveness::Up)))
        .collect();
    for event in &batch.events {
        let liveness = match event.kind {
            EventKind::PeerUp(_) | EventKind::PeerUpRepeated(_) => Liveness::Up,
            EventKind::PeerStale { .. } => Liveness::Stale,
            EventKind::PeerDown { .. } => Liveness::Down,
            _ => continue,
        };
        if let Some(peer) = event.peer.and_then(|index| batch.peers.get(usize::from(index))) {
            changes.push((event.index, peer, liveness));
        }
    }
    changes.sort_by_key(|(index, ..)| *index);
    changes
}
