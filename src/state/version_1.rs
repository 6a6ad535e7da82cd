//! The state in snapshots of version 1.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::tracked::{OpenSession, TrackedPeer, TrackedState};
use crate::route::{PeerIdentity, Router, Timestamp};

/// [`TrackedState`] in snapshots of version 1, without the addresses of routers.
#[derive(Deserialize)]
pub(super) struct TrackedStateV1 {
    pub(super) last_session: Timestamp,
    pub(super) sessions: BTreeMap<Timestamp, OpenSession>,
    pub(super) peers: BTreeMap<String, BTreeMap<PeerIdentity, TrackedPeer>>,
    pub(super) stopped: BTreeMap<String, (Router, Timestamp)>,
}

impl From<TrackedStateV1> for TrackedState {
    fn from(old: TrackedStateV1) -> Self {
        let TrackedStateV1 { last_session, sessions, peers, stopped } = old;
        let mut state = Self { last_session, sessions, peers, stopped, ..Self::default() };
        state.note_known_addresses();
        state
    }
}
