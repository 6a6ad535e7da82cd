//! Batches of imported rows. Pure.
//!
//! The batches of a router are those of an artificial BMP session:
//!
//! ```text
//! SessionUp │ rows of peer_events │ rows of route_updates, day by day │ PeerDown of each peer │ SessionDown
//! ```
//!
//! Each part has batches of its own, of 1,000 rows. Rows that are not converted count as well, so that a
//! sequence number belongs to the same rows in every run.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use crate::route::{
    Action, Attributes, Batch, Cause, Event, EventKind, NO_ATTRIBUTES, NlriEntry, Peer, PeerKey, RibView,
    Router, RowGroup, SessionEnd, Timestamp,
};

use super::convert::ImportedRoute;
use super::source::SourceEvent;

/// Rows of the source in one batch.
pub(super) const BATCH_ROWS: u64 = 1_000;

/// sysDescr of an imported router.
const DESCRIPTION: &str = "history of pybmpmon, imported by Holdfast";

/// Text behind the reason code of the Peer Down that ends an imported peer.
const END: &[u8] = b"end of the history of pybmpmon";

/// Message types of BMP (RFC 7854 section 4.1).
const PEER_DOWN: u8 = 2;
const PEER_UP: u8 = 3;

/// Address and AS number of an imported peer.
pub(super) type ImportedPeer = (IpAddr, u32);

/// A batch that is being filled.
pub(super) struct BatchBuilder {
    batch: Batch,
    peers: HashMap<ImportedPeer, u16>,
    attributes: HashMap<Attributes, u16>,
    /// Index of the next record.
    next: u32,
}

impl BatchBuilder {
    pub(super) fn new(router: &Router) -> Self {
        let batch = Batch::new(router.clone());
        Self { batch, peers: HashMap::new(), attributes: HashMap::new(), next: 0 }
    }

    /// Index of a peer in the dictionary.
    fn peer(&mut self, peer: ImportedPeer) -> u16 {
        let (address, asn) = peer;
        if let Some(index) = self.peers.get(&peer) {
            return *index;
        }
        let index = dictionary_index(self.batch.peers.len());
        self.batch.peers.push(Peer {
            key: PeerKey { peer_type: 0, distinguisher: 0, address },
            // pybmpmon ignores the flags that name the view.
            view: RibView::Unknown,
            asn,
            bgp_id: Ipv4Addr::UNSPECIFIED,
            table_name: String::new(),
            generation: 0,
        });
        self.peers.insert(peer, index);
        index
    }

    pub(super) fn route(&mut self, route: ImportedRoute) {
        let peer = self.peer((route.peer, route.peer_asn));
        let (action, attributes) = match route.attributes {
            None => (Action::Withdraw, NO_ATTRIBUTES),
            Some(set) => (Action::Announce, self.attribute_set(set)),
        };
        let is_same = |group: &RowGroup| {
            (group.peer, group.attributes, group.family, group.action, group.received)
                == (peer, attributes, route.family, action, route.time)
        };
        match self.batch.groups.last_mut().filter(|group| is_same(group)) {
            Some(group) => group.rows += 1,
            None => self.batch.groups.push(RowGroup {
                peer,
                attributes,
                family: route.family,
                action,
                cause: Cause::Update,
                add_path: false,
                index: self.next,
                rows: 1,
                received: route.time,
                router_time: Timestamp(0),
                marking: None,
            }),
        }
        self.batch.nlri.push(NlriEntry { path_id: 0, nlri: route.nlri });
        self.next += 1;
    }

    fn attribute_set(&mut self, set: Attributes) -> u16 {
        if let Some(index) = self.attributes.get(&set) {
            return *index;
        }
        let index = dictionary_index(self.batch.attributes.len());
        self.batch.attributes.push(set.clone());
        self.attributes.insert(set, index);
        index
    }

    fn push_event(&mut self, peer: Option<u16>, received: Timestamp, kind: EventKind) {
        let event = Event { index: self.next, peer, received, router_time: Timestamp(0), kind };
        self.batch.events.push(event);
        self.next += 1;
    }

    /// Adds a Peer Up or Peer Down of a peer that pybmpmon did not record: a message of the router whose
    /// contents are unknown but for the reason code.
    pub(super) fn event(&mut self, event: &SourceEvent) {
        let message_type = if event.event_type == "peer_up" { PEER_UP } else { PEER_DOWN };
        let body = event.reason.and_then(|reason| u8::try_from(reason).ok()).into_iter().collect();
        self.push_event(None, event.time, EventKind::UnknownMessage { message_type, body });
    }

    pub(super) fn session_up(&mut self, at: Timestamp) {
        let kind = EventKind::SessionUp {
            sys_name: String::new(),
            sys_descr: DESCRIPTION.to_owned(),
            information: Vec::new(),
        };
        self.push_event(None, at, kind);
    }

    /// Ends a peer, so that none of its routes counts as current.
    pub(super) fn peer_down(&mut self, at: Timestamp, peer: ImportedPeer) {
        let index = self.peer(peer);
        self.push_event(Some(index), at, EventKind::PeerDown { reason: 0, data: END.to_vec() });
    }

    pub(super) fn session_down(&mut self, at: Timestamp) {
        self.push_event(None, at, EventKind::SessionDown { end: SessionEnd::CollectorStop });
    }

    pub(super) fn build(self) -> Batch {
        self.batch
    }
}

/// Index of the next entry of a dictionary. A batch has at most [`BATCH_ROWS`] rows, so that the index fits.
fn dictionary_index(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}
