//! Ordinary records, which distinguish a fault of the schema from one of the records. Pure.

use std::net::{IpAddr, Ipv4Addr};

use crate::route::{
    Action, AsPath, AsPathSegment, Attributes, Batch, Cause, Event, EventKind, Family, NO_ATTRIBUTES, Nlri,
    NlriEntry, Peer, PeerKey, PeerUp, Prefix, RibView, Router, RowGroup, SegmentKind, Statistic, Timestamp,
};

/// Name of the router. Its rows are never kept.
const ROUTER: &str = "holdfast-probe";
/// Addresses and AS number for documentation (RFC 5737, RFC 5398).
const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const ASN: u32 = 64_496;

/// A batch of one session with a peer, an announcement, a withdrawal and statistics. Session and times are
/// those of `batch`, so that the rows go to the same chunks.
pub(super) fn ordinary_batch(batch: &Batch) -> Batch {
    let received = batch.groups.first().map(|group| group.received);
    let received = received.or_else(|| batch.events.first().map(|event| event.received));
    let received = received.unwrap_or(batch.router.session);
    let address = IpAddr::V4(ADDRESS);
    let router = Router { name: ROUTER.to_owned(), address, port: 0, session: batch.router.session };
    let mut ordinary = Batch::new(router);
    ordinary.peers.push(Peer {
        key: PeerKey { peer_type: 0, distinguisher: 0, address },
        view: RibView::AdjInPre,
        asn: ASN,
        bgp_id: ADDRESS,
        table_name: String::new(),
        generation: 1,
    });
    ordinary.attributes.push(Attributes {
        origin: Some(0),
        as_path: Some(AsPath {
            asns: vec![ASN],
            segments: vec![AsPathSegment { kind: SegmentKind::Sequence, count: 1 }],
        }),
        next_hop: Some(address),
        ..Attributes::default()
    });
    let event = |index, peer, kind| Event { index, peer, received, router_time: Timestamp(0), kind };
    let (sys_name, sys_descr, information) = (ROUTER.to_owned(), String::new(), Vec::new());
    ordinary.events = vec![
        event(0, None, EventKind::SessionUp { sys_name, sys_descr, information }),
        event(1, Some(0), EventKind::PeerUp(Box::new(peer_up(address)))),
        event(4, Some(0), EventKind::Statistics(vec![statistic()])),
    ];
    for (index, action, attributes) in [(2, Action::Announce, 0), (3, Action::Withdraw, NO_ATTRIBUTES)] {
        ordinary.groups.push(RowGroup {
            peer: 0,
            attributes,
            family: Family::IPV4_UNICAST,
            action,
            cause: Cause::Update,
            add_path: false,
            index,
            rows: 1,
            received,
            router_time: Timestamp(0),
            marking: None,
        });
        // A prefix of 24 bits always exists.
        let prefix = Prefix::v4(ADDRESS.to_bits() & 0xffff_ff00, 24);
        ordinary.nlri.extend(prefix.map(|prefix| NlriEntry { path_id: 0, nlri: Nlri::Prefix(prefix) }));
    }
    ordinary
}

fn peer_up(address: IpAddr) -> PeerUp {
    PeerUp {
        local_address: address,
        local_port: 179,
        remote_port: 179,
        sent_open: Vec::new(),
        received_open: Vec::new(),
        hold_time_s: 90,
        four_octet_as: true,
        add_path: Vec::new(),
        families: vec![Family::IPV4_UNICAST],
        information: Vec::new(),
        sent_capabilities: Vec::new(),
        received_capabilities: Vec::new(),
    }
}

const fn statistic() -> Statistic {
    Statistic { kind: 7, family: None, value: Some(1), raw: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Record;

    #[test]
    fn the_records_are_numbered_without_gaps() {
        let session = Timestamp(7);
        let address = [192, 0, 2, 9].into();
        let real = Batch::new(Router { name: "edge1".to_owned(), address, port: 1, session });
        let probe = ordinary_batch(&real);
        let index = |record: Record<'_>| match record {
            Record::Route(route) => route.index,
            Record::Event(event) => event.index,
        };
        assert_eq!(probe.iter().map(index).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(probe.router.session, session);
    }
}
