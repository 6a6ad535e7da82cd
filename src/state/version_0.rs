//! The state in snapshots of version 0.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::tracked::{OpenSession, TrackedPeer, TrackedState};
use super::version_1::TrackedStateV1;
use crate::route::{PeerKey, Router, Timestamp};

/// [`TrackedState`] in snapshots of version 0, in which a peer was identified by its address alone.
#[derive(Deserialize)]
pub(super) struct TrackedStateV0 {
    last_session: Timestamp,
    sessions: BTreeMap<Timestamp, OpenSession>,
    peers: BTreeMap<String, BTreeMap<PeerKey, TrackedPeer>>,
    stopped: BTreeMap<String, (Router, Timestamp)>,
}

impl From<TrackedStateV0> for TrackedState {
    fn from(old: TrackedStateV0) -> Self {
        let by_identity = |peers: BTreeMap<PeerKey, TrackedPeer>| {
            peers.into_values().map(|tracked| (tracked.peer.identity(), tracked)).collect()
        };
        TrackedStateV1 {
            last_session: old.last_session,
            sessions: old.sessions,
            peers: old.peers.into_iter().map(|(router, peers)| (router, by_identity(peers))).collect(),
            stopped: old.stopped,
        }
        .into()
    }
}
