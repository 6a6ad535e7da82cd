//! The identity of peers, repeated Peer Ups, and damage that must not discard what is whole.

use std::net::Ipv4Addr;

use crate::common::messages::*;
use crate::common::sessions::{options, session};
use holdfast::route::{Batch, EventKind, Family, PeerUp, RibView, SessionEnd, SuspectScope, Timestamp};
use holdfast::session::{Options, Session};

const NOW: Timestamp = Timestamp(1_790_000_000_000_000);

struct Router {
    session: Session,
    now: Timestamp,
}

impl Router {
    fn new() -> Self {
        Self { session: session(Options { batch_records_max: 1_000_000, ..options(NOW) }), now: NOW }
    }

    fn sends(&mut self, message: &[u8]) -> &mut Self {
        self.session.message(message, self.now);
        self
    }

    fn batch(&mut self) -> Batch {
        let mut batches: Vec<Batch> = self.session.take_batches().collect();
        assert!(batches.len() <= 1);
        batches.pop().unwrap_or_else(|| Batch::new(self.session.summary().router))
    }

    /// The rows as `AS, BGP ID, generation, prefix with path ID`.
    fn rows(&mut self) -> Vec<String> {
        let batch = self.batch();
        let row = |route: holdfast::route::RouteRecord<'_>| {
            let peer = batch.peer_of(route.group).unwrap();
            let prefix = route.entry.nlri.columns().prefix.unwrap();
            let path = if route.group.add_path { format!(" {}", route.entry.path_id) } else { String::new() };
            format!("{} {} g{} {prefix}{path}", peer.asn, peer.bgp_id, peer.generation)
        };
        batch.routes().map(row).collect()
    }
}

fn capabilities(asn: u32) -> Vec<u8> {
    open(asn, &[four_octet_as(asn), multiprotocol(1, 1)])
}

fn announce(header: &Header, third: u8) -> Vec<u8> {
    header.route_monitoring(&update(&[], &plain_attributes(&[65_001]), &v4(10, 1, third, 24)))
}

/// Two neighbours behind one address, which differ in AS number, in BGP identifier, or in both.
fn neighbours() -> [(Header, Header); 3] {
    let first = Header { asn: 65_101, bgp_id: 0xc000_0265, ..PEER };
    [
        (first, Header { asn: 65_102, bgp_id: 0xc000_0266, ..PEER }),
        (first, Header { bgp_id: 0xc000_0266, ..first }),
        (first, Header { asn: 65_102, ..first }),
    ]
}

#[test]
fn two_neighbours_behind_one_address_are_two_peers() {
    for (first, second) in neighbours() {
        let mut router = Router::new();
        for header in [first, second] {
            router.sends(&header.peer_up(&capabilities(65_000), &capabilities(header.asn), &[]));
        }
        router.sends(&announce(&first, 1)).sends(&announce(&second, 2)).sends(&announce(&first, 3));
        router.sends(&second.peer_down(1, &[])).sends(&announce(&first, 4)).sends(&announce(&second, 5));
        let who = |header: Header| format!("{} {}", header.asn, Ipv4Addr::from(header.bgp_id));
        let (one, two) = (who(first), who(second));
        assert_eq!(
            router.rows(),
            [
                format!("{one} g1 10.1.1.0/24"),
                format!("{two} g1 10.1.2.0/24"),
                format!("{one} g1 10.1.3.0/24"),
                format!("{one} g1 10.1.4.0/24"),
                format!("{two} g2 10.1.5.0/24"),
            ]
        );
        router.session.end(&SessionEnd::Lost, NOW);
        let stale = router.batch().events.iter().filter(|event| event.kind.name() == "peer_stale").count();
        assert_eq!(stale, 2);
    }
}

#[test]
fn without_peer_ups_two_neighbours_are_two_peers_as_well() {
    for (first, second) in neighbours() {
        let mut router = Router::new();
        router.sends(&announce(&first, 1)).sends(&announce(&second, 2));
        assert_eq!(router.session.summary().peers.len(), 2);
        let batch = router.batch();
        assert_eq!(batch.peers.len(), 2);
        assert!(batch.peers[0].identity() != batch.peers[1].identity());
    }
}

#[test]
fn zeros_that_were_recorded_belong_to_the_same_peer_for_the_rest_of_the_session() {
    for (first, second) in neighbours() {
        for zeros in
            [Header { asn: 0, bgp_id: 0, ..first }, Header { bgp_id: 0, ..first }, Header { asn: 0, ..first }]
        {
            let mut router = Router::new();
            // Recorded with zeros, because no neighbour is known yet.
            router.sends(&announce(&zeros, 1)).sends(&zeros.peer_down(1, &[]));
            router.sends(&announce(&first, 2)).sends(&announce(&second, 3)).sends(&announce(&zeros, 4));
            let first = format!("{} {}", first.asn, Ipv4Addr::from_bits(first.bgp_id));
            let second = format!("{} {}", second.asn, Ipv4Addr::from_bits(second.bgp_id));
            let zeros = format!("{} {}", zeros.asn, Ipv4Addr::from_bits(zeros.bgp_id));
            let rows = [
                format!("{zeros} g0 10.1.1.0/24"),
                format!("{first} g1 10.1.2.0/24"),
                format!("{second} g0 10.1.3.0/24"),
                format!("{first} g1 10.1.4.0/24"),
            ];
            assert_eq!(router.rows(), rows);
        }
    }
}

#[test]
fn zeros_are_the_only_known_peer_or_one_of_their_own() {
    let (first, second) = neighbours()[0];
    let zeros = Header { asn: 0, bgp_id: 0, ..first };
    let mut router = Router::new();
    router.sends(&announce(&first, 1)).sends(&announce(&zeros, 2));
    assert_eq!(router.rows(), ["65101 192.0.2.101 g0 10.1.1.0/24", "65101 192.0.2.101 g0 10.1.2.0/24"]);
    // Of two peers it may be either: none of them is ended or changed.
    router.sends(&announce(&second, 3)).sends(&zeros.peer_down(2, &[0, 0])).sends(&announce(&first, 4));
    router.sends(&announce(&second, 5));
    let batch = router.batch();
    let down = batch.events.iter().find(|event| event.kind.name() == "peer_down").unwrap();
    assert_eq!(batch.peers[usize::from(down.peer.unwrap())].asn, 0);
    assert!(batch.routes().all(|route| batch.peer_of(route.group).unwrap().generation == 0));
    // A peer first seen with zeros takes the values of the first message that has them.
    let mut router = Router::new();
    router.sends(&announce(&zeros, 1)).sends(&announce(&Header { asn: 65_101, ..zeros }, 2));
    router.sends(&announce(&first, 3));
    assert_eq!(router.session.summary().peers.len(), 1);
    assert_eq!(
        router.rows(),
        ["0 0.0.0.0 g0 10.1.1.0/24", "65101 0.0.0.0 g0 10.1.2.0/24", "65101 192.0.2.101 g0 10.1.3.0/24"]
    );
}

#[test]
fn a_loc_rib_is_identified_by_distinguisher_and_bgp_identifier() {
    let loc = Header { peer_type: 3, address: Ipv4Addr::UNSPECIFIED, ..PEER };
    let mut router = Router::new();
    for header in [loc, Header { asn: 65_009, ..loc }, Header { bgp_id: 7, ..loc }] {
        router.sends(&announce(&header, 1));
    }
    router.sends(&announce(&Header { distinguisher: 5, ..loc }, 1));
    assert_eq!(router.session.summary().peers.len(), 3);
    let asns: Vec<_> = router.batch().peers.iter().map(|peer| (peer.asn, peer.view)).collect();
    assert_eq!(
        asns[..2],
        [(65_001, RibView::LocRib), (65_009, RibView::LocRib)],
        "each record has its own AS"
    );
}

/// The Peer Up events of a batch, and whether they are repeated.
fn peer_ups(batch: &Batch) -> Vec<(&PeerUp, bool)> {
    let is_repeated = |kind: &EventKind| matches!(kind, EventKind::PeerUpRepeated(_));
    let ups = batch.events.iter().filter_map(|event| Some((event.kind.peer_up()?, is_repeated(&event.kind))));
    ups.collect()
}

#[test]
fn a_repeated_peer_up_begins_no_session() {
    let up = |header: Header| header.peer_up(&capabilities(65_000), &capabilities(65_001), &[]);
    let post = Header { flags: POST_POLICY, ..PEER };
    for repetition in [
        up(PEER),
        up(post),
        up(Header { flags: ADJ_RIB_OUT, ..PEER }),
        from_port(up(PEER), 0),
        PEER.peer_up(&capabilities(65_000), &capabilities(65_001), &tlv(3, b"blue")),
    ] {
        let mut router = Router::new();
        router.sends(&up(PEER)).sends(&announce(&PEER, 1));
        (0..7).for_each(|_| {
            router.sends(&repetition);
        });
        router.sends(&announce(&PEER, 2));
        let batch = router.batch();
        let repeated: Vec<_> = peer_ups(&batch).iter().map(|(_, repeated)| *repeated).collect();
        assert_eq!(repeated, [&[false][..], &[true; 7]].concat());
        assert!(batch.peers.iter().all(|peer| peer.generation == 1));
        assert_eq!(
            batch
                .routes()
                .filter(|route| route.group.cause.name(route.group.action) == "initial-dump")
                .count(),
            2
        );
        // Nothing is stale, so that End-of-RIB sweeps nothing.
        router.sends(&PEER.route_monitoring(&update(&[], &[], &[])));
        router.now.0 += 1_000_000_000;
        router.session.tick(router.now);
        assert!(router.batch().events.iter().all(|event| event.kind.name() != "sweep"));
    }
}

#[test]
fn another_bgp_session_begins_a_generation() {
    let up = |sent: &[u8], received: &[u8]| PEER.peer_up(sent, received, &[]);
    let (sent, received) = (capabilities(65_000), capabilities(65_001));
    let other = open(65_001, &[four_octet_as(65_001), multiprotocol(2, 1)]);
    for second in [
        from_port(up(&sent, &received), 40_180),
        up(&sent, &other),
        up(&other, &received),
        up(&sent, &received[..19]),
        up(&sent, &[]),
    ] {
        let mut router = Router::new();
        router.sends(&up(&sent, &received)).sends(&second).sends(&announce(&PEER, 2));
        assert_eq!(router.rows(), ["65001 192.0.2.1 g2 10.1.2.0/24"]);
        // Also after a Peer Down, if both Peer Ups are equal.
        let mut router = Router::new();
        router.sends(&up(&sent, &received)).sends(&PEER.peer_down(1, &[])).sends(&up(&sent, &received));
        router.sends(&announce(&PEER, 2));
        assert_eq!(router.rows(), ["65001 192.0.2.1 g3 10.1.2.0/24"]);
    }
}

#[test]
fn the_peer_ups_of_the_families_of_a_loc_rib_add_up() {
    let loc = Header { peer_type: 3, address: Ipv4Addr::UNSPECIFIED, ..PEER };
    let family_open = |afi: u16, safi: u8| {
        open(65_000, &[four_octet_as(65_000), multiprotocol(afi, safi), add_path(afi, safi, 3)])
    };
    let mut router = Router::new();
    for (afi, safi) in [(1, 1), (2, 1), (1, 4), (1, 1)] {
        let open = family_open(afi, safi);
        router.sends(&loc.peer_up(&open, &open, &tlv(3, b"global")));
    }
    let nlri = v4_path(7, 10, 1, 2, 24);
    router.sends(&loc.route_monitoring(&update(&[], &plain_attributes(&[65_001]), &nlri)));
    let batch = router.batch();
    let all = [Family { afi: 1, safi: 1 }, Family { afi: 1, safi: 4 }, Family { afi: 2, safi: 1 }];
    let (last, repeated) = *peer_ups(&batch).last().unwrap();
    assert!(repeated);
    assert_eq!((last.families.as_slice(), last.add_path.as_slice()), (&all[..], &all[..]));
    let route = batch.routes().next().unwrap();
    assert_eq!((route.entry.path_id, batch.peer_of(route.group).unwrap().generation), (7, 1));
    assert_eq!(batch.peer_of(route.group).unwrap().table_name, "global");
}

#[test]
fn a_table_name_of_a_repeated_peer_up_applies_from_then_on() {
    let up = |tlvs: &[u8]| PEER.peer_up(&capabilities(65_000), &capabilities(65_001), tlvs);
    let mut router = Router::new();
    router.sends(&up(&tlv(3, b"blue"))).sends(&announce(&PEER, 1)).sends(&up(&tlv(3, b"red")));
    router.sends(&announce(&PEER, 2)).sends(&up(&[])).sends(&announce(&PEER, 3));
    let batch = router.batch();
    let names: Vec<_> =
        batch.routes().map(|route| batch.peer_of(route.group).unwrap().table_name.clone()).collect();
    assert_eq!(names, ["blue", "red", "red"]);
    // A second name in one Peer Up is kept.
    let mut router = Router::new();
    router.sends(&up(&[tlv(3, b"blue"), tlv(3, b"red")].concat()));
    assert_eq!(peer_ups(&router.batch())[0].0.information, ["another VRF/table name: red"]);
}

#[test]
fn one_readable_open_is_kept_without_the_other() {
    let whole = capabilities(65_000);
    let header_only = bgp(1, &[]);
    for (sent, received) in [(&whole, &header_only), (&header_only, &whole)] {
        let mut router = Router::new();
        router.sends(&PEER.peer_up(sent, received, &[])).sends(&announce(&PEER, 1));
        let batch = router.batch();
        let (up, _) = peer_ups(&batch)[0];
        assert_eq!((&up.sent_open, &up.received_open), (sent, received));
        let counts = (up.sent_capabilities.len(), up.received_capabilities.len());
        assert_eq!(counts, if sent == &whole { (2, 0) } else { (0, 2) });
        assert_eq!(batch.peers[0].generation, 1);
        assert_eq!(router.session.counters().errors, 1);
    }
}

#[test]
fn bytes_behind_the_last_tlv_discard_nothing_and_are_kept() {
    let body = [tlv(2, b"edge1"), tlv(1, b"test router"), vec![7]].concat();
    let mut router = Router::new();
    router.sends(&bmp(4, &body)).sends(&announce(&PEER, 1));
    let batch = router.batch();
    assert_eq!(batch.router.name, "edge1");
    let EventKind::SessionUp { information, .. } = &batch.events[0].kind else { panic!() };
    assert_eq!(information, &["incomplete TLV:07"]);
    assert_eq!(router.session.counters().trailers, 1);
    let termination = [tlv(1, &[0, 1]), vec![0, 0, 0, 9]].concat();
    router.sends(&bmp(5, &termination));
    assert_eq!(router.session.terminated(), Some(&SessionEnd::Terminated(Some(1))));
    assert_eq!(router.session.counters().trailers, 2);
}

#[test]
fn sys_names_that_differ_in_one_octet_are_two_names() {
    let name = |octets: &[u8]| {
        let mut router = Router::new();
        router.sends(&bmp(4, &tlv(2, octets)));
        router.batch().router.name
    };
    assert_eq!(name("café".as_bytes()), "café");
    assert_eq!(name(b"caf\xe9-1"), r"caf\xe9-1");
    assert_eq!(name(b"caf\0"), r"caf\x00");
    let distinct: [&[u8]; 7] =
        [b"caf\xe9", b"caf\xe8", b"caf\xc3\xa9", br"caf\xe9", br"caf\x5cxe9", b"caf\0", br"caf\x00"];
    let names: std::collections::BTreeSet<_> = distinct.iter().map(|octets| name(octets)).collect();
    assert_eq!(names.len(), distinct.len(), "{names:?}");
    assert_eq!(name(br"C:\router"), r"C:\router");
}

#[test]
fn every_unreadable_field_is_named_and_makes_its_family_suspect() {
    let v6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let attributes =
        [plain_attributes(&[65_001]), mp_reach(2, 1, &v6, &[129, 1]), mp_unreach(1, 2, &[33])].concat();
    let mut router = Router::new();
    router.sends(&PEER.route_monitoring(&update(&[], &attributes, &[33, 1, 2, 3, 4, 5])));
    let batch = router.batch();
    assert_eq!(batch.events.len(), 1);
    let malformed = batch.events[0].kind.malformed().unwrap();
    let families = [(1, 2), (1, 1), (2, 1)].map(|(afi, safi)| SuspectScope::Family(Family { afi, safi }));
    assert_eq!(malformed.suspects, families);
    for family in ["ipv4_unicast", "ipv6_unicast", "ipv4_multicast"] {
        assert!(malformed.error.contains(family), "{}", malformed.error);
    }
    let summary = router.session.summary();
    let suspects = summary.peers[0].views[0].families.iter().filter(|family| family.suspect).count();
    assert_eq!(suspects, 3);
}

#[test]
fn messages_without_routes_make_no_table_suspect() {
    for (kind, body) in [(5, &[0, 1, 0, 1][..]), (4, &[]), (3, &[6, 2])] {
        let mut router = Router::new();
        router.sends(&announce(&PEER, 1)).sends(&PEER.route_monitoring(&bgp(kind, body)));
        let batch = router.batch();
        let malformed = batch.events[0].kind.malformed().unwrap();
        assert_eq!((malformed.suspects, malformed.pdu), (&[][..], bgp(kind, body).as_slice()));
    }
    // An unassigned type may be a damaged UPDATE, and so may a message that cannot be delimited.
    for pdu in [bgp(9, &[]), bgp(2, &[0])[..19].to_vec(), vec![0xff; 15]] {
        let mut router = Router::new();
        router.sends(&announce(&PEER, 1)).sends(&PEER.route_monitoring(&pdu));
        let batch = router.batch();
        let malformed = batch.events[0].kind.malformed().unwrap();
        assert_eq!((malformed.suspects, malformed.pdu), (&[SuspectScope::AllFamilies][..], pdu.as_slice()));
    }
}

#[test]
fn a_filtered_loc_rib_is_recorded_as_such_with_each_route() {
    let loc = Header { peer_type: 3, address: Ipv4Addr::UNSPECIFIED, ..PEER };
    let filtered = Header { flags: 0x80, ..loc };
    let mut router = Router::new();
    router.sends(&announce(&filtered, 1));
    router.sends(&filtered.peer_up(&capabilities(65_000), &capabilities(65_000), &tlv(3, b"global")));
    router.sends(&announce(&filtered, 2)).sends(&announce(&loc, 3));
    // The bit has another meaning for other peer types.
    router.sends(&announce(&Header { flags: 0x80, ..PEER }, 4));
    let batch = router.batch();
    let name =
        |route: holdfast::route::RouteRecord<'_>| batch.peer_of(route.group).unwrap().table_name.clone();
    assert_eq!(
        batch.routes().map(name).collect::<Vec<_>>(),
        ["(filtered)", "global (filtered)", "global", ""]
    );
    assert_eq!(router.session.summary().peers.len(), 2);
}

#[test]
fn a_peer_up_without_ports_keeps_those_of_the_one_before() {
    let mut router = Router::new();
    let (sent, received) = (capabilities(65_000), capabilities(65_001));
    let up = PEER.peer_up(&sent, &received, &[]);
    // Both ports are behind the local address.
    let with_ports = |local: u16, remote: u16| {
        let mut up = up.clone();
        up[64..66].copy_from_slice(&local.to_be_bytes());
        up[66..68].copy_from_slice(&remote.to_be_bytes());
        up
    };
    for up in [with_ports(179, 40_001), with_ports(0, 0), with_ports(179, 40_002)] {
        router.sends(&up);
    }
    let batch = router.batch();
    let generations: Vec<u32> = batch
        .events
        .iter()
        .filter_map(|event| Some(batch.peers[usize::from(event.peer?)].generation))
        .collect();
    assert_eq!(generations, [1, 1, 2]);
}

#[test]
fn names_of_any_length_are_bounded_and_distinct_and_whole_in_their_events() {
    let named = |name: &str, table: &str| {
        let mut router = Router::new();
        let opens = (open(65_001, &[]), open(65_002, &[]));
        router.sends(&initiation(name));
        router.sends(&PEER.peer_up(&opens.0, &opens.1, &tlv(3, table.as_bytes())));
        let batch = router.batch();
        let EventKind::SessionUp { sys_name, .. } = &batch.events[0].kind else { panic!() };
        assert_eq!(sys_name, name);
        let EventKind::PeerUp(up) = &batch.events[1].kind else { panic!() };
        let whole = format!("whole VRF/table name: {table}");
        assert_eq!(up.information.contains(&whole), table.len() > 255, "{:?}", up.information);
        let summary = router.session.summary();
        assert_eq!(summary.sys_name, batch.router.name);
        (batch.router.name.clone(), batch.peers[0].table_name.clone())
    };
    let long = |last: char| format!("{}{last}", "n".repeat(3_000));
    assert_eq!(named(&"n".repeat(255), "red"), ("n".repeat(255), "red".to_owned()));
    let (first, second) = (named(&long('1'), &long('1')), named(&long('2'), &long('2')));
    assert!(first.0 != second.0 && first.1 != second.1, "{first:?}");
    for name in [first.0, first.1, second.0, second.1] {
        assert_eq!(name.len(), 255);
    }
}

#[test]
fn the_notices_of_a_peer_have_its_as_number_unless_that_is_unknown() {
    let mut router = Router::new();
    for asn in [65_001, 0] {
        let peer = Header { asn, distinguisher: u64::from(asn), ..PEER };
        router.sends(&peer.peer_up(&open(65_000, &[]), &open(65_001, &[]), &[]));
        router.sends(&peer.peer_down(4, &[]));
    }
    let notices = router.session.take_notices();
    let about = notices.iter().filter(|notice| ["bmp_peer_up", "bmp_peer_down"].contains(&notice.event));
    let found: Vec<_> = about.map(|notice| (notice.event, notice.asn, notice.reason_code)).collect();
    let (up, down) = ("bmp_peer_up", "bmp_peer_down");
    let (known, reason) = (Some(65_001), Some(4));
    assert_eq!(found, [(up, known, None), (down, known, reason), (up, None, None), (down, None, reason)]);
}
