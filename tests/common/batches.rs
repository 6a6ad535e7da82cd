//! Builds batches like those of a session.

use std::net::{IpAddr, Ipv4Addr};

use holdfast::route::{
    Action, AsPath, AsPathSegment, Attributes, Batch, Cause, Event, EventKind, Family, NO_ATTRIBUTES, Nlri,
    NlriEntry, PathMarking, Peer, PeerKey, Prefix, RibView, Router, RowGroup, SegmentKind, Timestamp,
};

/// 2026-11-23 00:00:00 UTC.
pub const NOW: i64 = 1_795_392_000_000_000;

pub fn router(name: &str, session: i64) -> Router {
    Router {
        name: name.to_owned(),
        address: [192, 0, 2, 1].into(),
        port: 4242,
        session: Timestamp(NOW + session),
    }
}

pub fn peer(last: u8, view: RibView, generation: u32) -> Peer {
    Peer {
        key: PeerKey {
            peer_type: if view == RibView::LocRib { 3 } else { 0 },
            distinguisher: 0,
            address: address(last),
        },
        view,
        asn: 65_001,
        bgp_id: Ipv4Addr::new(10, 0, 0, last),
        table_name: String::new(),
        generation,
    }
}

pub fn address(last: u8) -> IpAddr {
    [198, 51, 100, last].into()
}

pub fn attributes(path: &[u32]) -> Attributes {
    Attributes {
        origin: Some(0),
        as_path: Some(AsPath {
            asns: path.to_vec(),
            segments: vec![AsPathSegment {
                kind: SegmentKind::Sequence,
                count: u16::try_from(path.len()).unwrap(),
            }],
        }),
        next_hop: Some([198, 51, 100, 254].into()),
        communities: vec![0xfde8_0064, 0xfde8_0065],
        large_communities: vec![[4_200_000_000, 1, 2]],
        ..Attributes::default()
    }
}

pub fn prefix(number: u32) -> Nlri {
    Nlri::Prefix(Prefix::v4(0x0100_0000 + (number << 8), 24).unwrap())
}

/// Builds a batch record by record, in the order of the router's messages.
pub struct Builder {
    pub batch: Batch,
    index: u32,
    pub now: i64,
}

impl Builder {
    pub fn new(name: &str, session: i64) -> Self {
        Self { batch: Batch::new(router(name, session)), index: 0, now: NOW }
    }

    pub fn at(mut self, now: i64) -> Self {
        self.now = NOW + now;
        self
    }

    fn peer(&mut self, peer: &Peer) -> u16 {
        let known = self.batch.peers.iter().position(|known| known == peer);
        u16::try_from(known.unwrap_or_else(|| {
            self.batch.peers.push(peer.clone());
            self.batch.peers.len() - 1
        }))
        .unwrap()
    }

    pub fn routes(
        mut self,
        peer: &Peer,
        family: Family,
        announced: Option<&Attributes>,
        entries: impl IntoIterator<Item = (Option<u32>, Nlri)>,
    ) -> Self {
        let peer = self.peer(peer);
        let attributes = announced.map_or(NO_ATTRIBUTES, |attributes| {
            let known = self.batch.attributes.iter().position(|known| known == attributes);
            u16::try_from(known.unwrap_or_else(|| {
                self.batch.attributes.push(attributes.clone());
                self.batch.attributes.len() - 1
            }))
            .unwrap()
        });
        let (mut rows, mut add_path) = (0, false);
        for (path_id, nlri) in entries {
            add_path |= path_id.is_some();
            self.batch.nlri.push(NlriEntry { path_id: path_id.unwrap_or(0), nlri });
            rows += 1;
        }
        self.batch.groups.push(RowGroup {
            peer,
            attributes,
            family,
            action: if announced.is_some() { Action::Announce } else { Action::Withdraw },
            cause: Cause::Update,
            add_path,
            index: self.index,
            rows,
            received: Timestamp(self.now),
            router_time: Timestamp(0),
            marking: None,
        });
        self.index += rows;
        self
    }

    pub fn announce(self, peer: &Peer, numbers: impl IntoIterator<Item = u32>, path: &[u32]) -> Self {
        let entries = numbers.into_iter().map(|number| (None, prefix(number)));
        self.routes(peer, Family::IPV4_UNICAST, Some(&attributes(path)), entries)
    }

    pub fn withdraw(self, peer: &Peer, numbers: impl IntoIterator<Item = u32>) -> Self {
        let entries = numbers.into_iter().map(|number| (None, prefix(number)));
        self.routes(peer, Family::IPV4_UNICAST, None, entries)
    }

    /// Sets the cause of the last group of routes.
    pub fn because(mut self, cause: Cause) -> Self {
        self.batch.groups.last_mut().unwrap().cause = cause;
        self
    }

    /// Sets the path marking of the last group of routes.
    pub fn marked(mut self, status: u32, reason: Option<u16>) -> Self {
        self.batch.groups.last_mut().unwrap().marking = Some(PathMarking { status, reason });
        self
    }

    pub fn event(mut self, peer: Option<&Peer>, kind: EventKind) -> Self {
        let peer = peer.map(|peer| self.peer(peer));
        let (received, router_time) = (Timestamp(self.now), Timestamp(0));
        self.batch.events.push(Event { index: self.index, peer, received, router_time, kind });
        self.index += 1;
        self
    }

    pub fn build(self) -> Batch {
        self.batch
    }
}

pub fn peer_up() -> EventKind {
    EventKind::PeerUp(Box::new(holdfast::route::PeerUp {
        local_address: [198, 51, 100, 1].into(),
        local_port: 179,
        remote_port: 40_000,
        sent_open: vec![0xff; 29],
        received_open: vec![0xff; 29],
        hold_time_s: 90,
        four_octet_as: true,
        add_path: vec![],
        families: vec![Family::IPV4_UNICAST],
        information: vec!["nul \0 inside".to_owned()],
        sent_capabilities: vec!["route-refresh".to_owned()],
        received_capabilities: Vec::new(),
    }))
}

pub fn peer_down() -> EventKind {
    EventKind::PeerDown { reason: 2, data: vec![0, 1] }
}
