//! The semantics of a session: which messages become rows, which become events, and which become neither.

use std::net::{IpAddr, Ipv4Addr};

use crate::common::messages::*;
use crate::common::sessions::options;
use holdfast::route::{
    Action, Batch, Cause, EventKind, Family, Nlri, PeerIdentity, PeerKey, RibView, SessionEnd, SuspectScope,
    Timestamp,
};
use holdfast::session::{Introduce, Introduced, Options, Overrides, PeerSummary, Session};

const NOW: Timestamp = Timestamp(1_790_000_000_000_000);
const QUIET_US: i64 = 60_000_000;

struct Router {
    session: Session,
    now: Timestamp,
}

impl Router {
    fn new() -> Self {
        Self::known(Vec::new())
    }

    /// A router whose last session had these peers.
    fn known(prior: Vec<PeerKey>) -> Self {
        let unknown = Ipv4Addr::UNSPECIFIED;
        let prior: Vec<_> =
            prior.into_iter().map(|key| PeerIdentity { key, asn: 0, bgp_id: unknown }).collect();
        Self::introduced(Box::new(move |name: &str| Introduced {
            name: name.to_owned(),
            prior: prior.clone(),
            ..Introduced::default()
        }))
    }

    fn introduced(introduce: Introduce) -> Self {
        Self::with(1000, introduce)
    }

    /// A router whose batches are full at 1,000,000 records.
    fn with_large_batches() -> Self {
        let introduce = |name: &str| Introduced { name: name.to_owned(), ..Introduced::default() };
        Self::with(1_000_000, Box::new(introduce))
    }

    fn with(batch_records_max: usize, introduce: Introduce) -> Self {
        let options = Options { batch_records_max, sweep_quiet_us: QUIET_US, ..options(NOW) };
        Self { session: Session::new(options, introduce), now: NOW }
    }

    fn sends(&mut self, message: &[u8]) -> &mut Self {
        self.session.message(message, self.now);
        self
    }

    fn after(&mut self, us: i64) -> &mut Self {
        self.now.0 += us;
        self.session.tick(self.now);
        self
    }

    fn batch(&mut self) -> Batch {
        let mut batches: Vec<Batch> = self.session.take_batches().collect();
        assert_eq!(batches.len(), 1, "one batch expected");
        batches.remove(0)
    }

    fn nothing(&mut self) {
        assert_eq!(self.session.take_batches().count(), 0, "no record expected");
    }
}

fn up() -> Vec<u8> {
    let open = |asn| open(asn, &[four_octet_as(asn), multiprotocol(1, 1), multiprotocol(2, 1)]);
    PEER.peer_up(&open(65_000), &open(65_001), &[])
}

fn announce(prefix: &[u8]) -> Vec<u8> {
    update(&[], &plain_attributes(&[65_001, 4_200_000_000]), prefix)
}

fn key() -> PeerKey {
    PeerKey { peer_type: 0, distinguisher: 0, address: IpAddr::V4(PEER.address) }
}

/// `action prefix view generation cause`, row by row.
fn rows(batch: &Batch) -> Vec<String> {
    let row = |route: holdfast::route::RouteRecord<'_>| {
        let peer = batch.peer_of(route.group).unwrap();
        let what = match &route.entry.nlri {
            Nlri::Prefix(prefix) => prefix.to_string(),
            other => format!("{other:?}"),
        };
        let action = if route.group.action == Action::Announce { "+" } else { "-" };
        let path =
            if route.group.add_path { format!(" path {}", route.entry.path_id) } else { String::new() };
        format!(
            "{action}{what}{path} {} {} g{} {}",
            route.group.family,
            peer.view,
            peer.generation,
            route.group.cause.name(route.group.action)
        )
    };
    batch.routes().map(row).collect()
}

fn events(batch: &Batch) -> Vec<&'static str> {
    batch.events.iter().map(|event| event.kind.name()).collect()
}

#[test]
fn a_route_carries_peer_view_generation_and_both_times() {
    let mut router = Router::new();
    router
        .sends(&initiation("edge1"))
        .sends(&up())
        .sends(&PEER.route_monitoring(&announce(&v4(10, 1, 2, 24))));
    let batch = router.batch();
    assert_eq!(batch.router.name, "edge1");
    assert_eq!(events(&batch), ["session_up", "peer_up"]);
    assert_eq!(rows(&batch), ["+10.1.2.0/24 ipv4_unicast adj-in-pre g1 initial-dump"]);
    let group = &batch.groups[0];
    assert_eq!((group.index, group.received, group.router_time), (2, NOW, Timestamp(1_790_000_000_000_000)));
    let path = batch.attributes_of(group).unwrap().as_path.clone().unwrap();
    assert_eq!(path.asns, [65_001, 4_200_000_000]);
}

#[test]
fn a_peer_up_event_has_both_opens_the_common_families_and_the_tlvs() {
    let sent = open(65_000, &[four_octet_as(65_000), multiprotocol(1, 1), multiprotocol(25, 70)]);
    let received = open(65_001, &[multiprotocol(1, 1), multiprotocol(2, 1), add_path(1, 1, 2)]);
    let tlvs = [tlv(3, b"blue"), tlv(0, b"uplink"), tlv(9, &[1, 0xab])].concat();
    let mut router = Router::new();
    router.sends(&initiation("edge1")).sends(&PEER.peer_up(&sent, &received, &tlvs));
    let batch = router.batch();
    let EventKind::SessionUp { sys_name, sys_descr, information } = &batch.events[0].kind else { panic!() };
    assert_eq!((sys_name.as_str(), sys_descr.as_str(), information.len()), ("edge1", "test router", 0));
    let EventKind::PeerUp(up) = &batch.events[1].kind else { panic!() };
    assert_eq!(
        up.sent_capabilities,
        ["four-octet-as 65000", "multiprotocol ipv4_unicast", "multiprotocol evpn"]
    );
    assert_eq!(
        up.received_capabilities,
        ["multiprotocol ipv4_unicast", "multiprotocol ipv6_unicast", "add-path ipv4_unicast:send"]
    );
    assert_eq!((&up.sent_open, &up.received_open), (&sent, &received));
    assert_eq!(
        (up.families.as_slice(), up.information.as_slice()),
        (&[Family::IPV4_UNICAST][..], &["uplink".to_owned(), "9:01ab".to_owned()][..])
    );
    assert_eq!((up.four_octet_as, up.add_path.len(), up.hold_time_s), (false, 0, 180));
    assert_eq!((up.local_port, up.remote_port), (179, 40_179));
    assert_eq!(batch.peers[0].table_name, "blue");
}

#[test]
fn vrfs_and_policy_views_stay_apart() {
    let mut router = Router::new();
    let vrf = Header { peer_type: 1, distinguisher: 0x0000_fde8_0000_0001, ..PEER };
    for header in [
        PEER,
        Header { flags: POST_POLICY, ..PEER },
        Header { flags: ADJ_RIB_OUT, ..PEER },
        Header { flags: ADJ_RIB_OUT | POST_POLICY, ..PEER },
        vrf,
        Header { peer_type: 3, address: Ipv4Addr::UNSPECIFIED, ..PEER },
    ] {
        router.sends(&header.route_monitoring(&announce(&v4(10, 0, 0, 8))));
    }
    let batch = router.batch();
    let views: Vec<_> =
        batch.peers.iter().map(|peer| (peer.key.peer_type, peer.key.distinguisher, peer.view)).collect();
    assert_eq!(
        views,
        [
            (0, 0, RibView::AdjInPre),
            (0, 0, RibView::AdjInPost),
            (0, 0, RibView::AdjOutPre),
            (0, 0, RibView::AdjOutPost),
            (1, vrf.distinguisher, RibView::AdjInPre),
            (3, 0, RibView::LocRib),
        ]
    );
    assert_eq!(batch.nlri.len(), 6);
}

#[test]
fn a_withdraw_only_update_is_ipv4_unicast() {
    let mut router = Router::new();
    router.sends(&up()).sends(&PEER.route_monitoring(&update(&v4(10, 1, 2, 24), &[], &[])));
    assert_eq!(rows(&router.batch()), ["-10.1.2.0/24 ipv4_unicast adj-in-pre g1 withdraw"]);
}

#[test]
fn every_nlri_of_one_update_has_its_own_family() {
    let next_hop = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let attributes =
        [plain_attributes(&[65_001]), mp_reach(2, 1, &next_hop, &[32, 0x20, 1, 0xd, 0xb8])].concat();
    let mut router = Router::new();
    router.sends(&PEER.route_monitoring(&update(&v4(10, 9, 0, 16), &attributes, &v4(10, 1, 2, 24))));
    let batch = router.batch();
    assert_eq!(
        rows(&batch),
        [
            "-10.9.0.0/16 ipv4_unicast adj-in-pre g0 withdraw",
            "+10.1.2.0/24 ipv4_unicast adj-in-pre g0 initial-dump",
            "+2001:db8::/32 ipv6_unicast adj-in-pre g0 initial-dump",
        ]
    );
    let hops: Vec<_> = batch.attributes.iter().map(|set| set.next_hop.unwrap().to_string()).collect();
    assert_eq!(hops, ["192.0.2.9", "2001:db8::1"]);
}

#[test]
fn a_prefix_that_one_update_withdraws_and_announces_is_announced() {
    let mut router = Router::new();
    let both = update(&v4(10, 1, 2, 24), &plain_attributes(&[65_001]), &v4(10, 1, 2, 24));
    router.sends(&PEER.route_monitoring(&both));
    let batch = router.batch();
    assert_eq!(batch.routes().last().unwrap().group.action, Action::Announce);
}

#[test]
fn add_path_needs_the_right_direction_of_both_opens() {
    // (sent mode, received mode, path ids in Adj-RIB-In, path ids in Adj-RIB-Out); 1 receive, 2 send, 3 both.
    for (sent, received, inbound, outbound) in [
        (1, 2, true, false),
        (2, 1, false, true),
        (3, 3, true, true),
        (1, 1, false, false),
        (2, 2, false, false),
    ] {
        let open = |asn, mode| open(asn, &[four_octet_as(asn), multiprotocol(1, 1), add_path(1, 1, mode)]);
        for (flags, path_ids) in [(0, inbound), (ADJ_RIB_OUT, outbound)] {
            let header = Header { flags, ..PEER };
            let nlri = if path_ids { v4_path(7, 10, 1, 2, 24) } else { v4(10, 1, 2, 24) };
            let mut router = Router::new();
            // One Peer Up without the O flag serves both directions.
            router.sends(&PEER.peer_up(&open(65_000, sent), &open(65_001, received), &[]));
            router.sends(&header.route_monitoring(&announce(&nlri)));
            let batch = router.batch();
            assert_eq!(batch.nlri.len(), 1, "sent {sent} received {received} flags {flags}");
            let route = batch.routes().next().unwrap();
            assert_eq!(route.group.add_path, path_ids);
            assert_eq!(route.entry.path_id, if path_ids { 7 } else { 0 });
            assert!(rows(&batch)[0].starts_with("+10.1.2.0/24"));
            assert_eq!(router.session.summary().counters.add_path_mismatches, 0, "the OPENs decide");
        }
    }
}

#[test]
fn unknown_types_and_bad_bodies_do_not_end_the_session() {
    let mut router = Router::new();
    router.sends(&initiation("edge1")).sends(&bmp(100, &[1, 2, 3])).sends(&bmp(3, &[0; 10]));
    router.sends(&PEER.route_monitoring(&announce(&v4(10, 1, 2, 24))));
    let batch = router.batch();
    assert_eq!(rows(&batch).len(), 1);
    assert_eq!(batch.events[1].kind, EventKind::UnknownMessage { message_type: 100, body: vec![1, 2, 3] });
    let counters = router.session.summary().counters;
    assert_eq!((counters.unknown_messages, counters.errors, counters.messages), (1, 1, 4));
}

#[test]
fn route_mirroring_is_kept_with_its_pdu() {
    let mut router = Router::new();
    let pdu = announce(&v4(10, 1, 2, 24));
    router.sends(&PEER.mirror(&[tlv(1, &[0, 1]), tlv(0, &pdu)].concat()));
    let batch = router.batch();
    assert_eq!(batch.events[0].kind, EventKind::RouteMirroring { codes: vec![1], pdus: vec![pdu] });
    assert!(batch.nlri.is_empty());
}

#[test]
fn any_peer_down_reason_is_kept_and_the_next_route_is_of_a_new_generation() {
    let mut router = Router::new();
    router.sends(&up()).sends(&PEER.route_monitoring(&announce(&v4(10, 1, 2, 24))));
    router.sends(&PEER.peer_down(6, &[1, 2])).sends(&PEER.peer_down(200, &[]));
    router.sends(&up()).sends(&PEER.route_monitoring(&announce(&v4(10, 1, 2, 24))));
    let batch = router.batch();
    assert_eq!(events(&batch), ["peer_up", "peer_down", "message_tlvs", "peer_down", "peer_up"]);
    assert_eq!(batch.events[1].kind, EventKind::PeerDown { reason: 6, data: vec![1, 2] });
    let information = vec!["incomplete TLV:0102".to_owned()];
    assert_eq!(batch.events[2].kind, EventKind::MessageTlvs { message_type: 2, information });
    // A Peer Down ends the routes up to the generation in its dictionary entry.
    assert_eq!(batch.peers[usize::from(batch.events[1].peer.unwrap())].generation, 1);
    assert_eq!(
        rows(&batch),
        [
            "+10.1.2.0/24 ipv4_unicast adj-in-pre g1 initial-dump",
            "+10.1.2.0/24 ipv4_unicast adj-in-pre g4 initial-dump",
        ]
    );
}

#[test]
fn a_peer_that_is_no_longer_monitored_is_reported_as_such() {
    let mut router = Router::new();
    router
        .sends(&up())
        .sends(&PEER.route_monitoring(&announce(&v4(10, 1, 2, 24))))
        .sends(&PEER.peer_down(5, &[]));
    let batch = router.batch();
    assert_eq!(batch.events[1].kind, EventKind::PeerDown { reason: 5, data: vec![] });
    assert_eq!(notices(&mut router, "bmp_peer_down"), ["reason 5: no longer monitored"]);
    let peer = &router.session.summary().peers[0];
    assert!(!peer.up);
    router.session.end(&SessionEnd::Lost, router.now);
    assert_eq!(
        events(&router.batch()),
        ["session_down"],
        "a peer that is not monitored does not become stale"
    );
}

#[test]
fn a_lost_session_withdraws_nothing_and_marks_every_live_peer_stale() {
    let mut router = Router::new();
    let other = Header { address: Ipv4Addr::new(192, 0, 2, 2), ..PEER };
    let loc = Header { peer_type: 3, address: Ipv4Addr::UNSPECIFIED, ..PEER };
    router
        .sends(&up())
        .sends(&other.peer_down(1, &[]))
        .sends(&loc.route_monitoring(&announce(&v4(10, 1, 2, 24))));
    router.batch();
    router.session.end(&SessionEnd::Lost, router.now);
    let batch = router.batch();
    assert_eq!(events(&batch), ["peer_stale", "peer_stale", "session_down"]);
    let who: Vec<_> = batch.peers.iter().map(|peer| peer.view).collect();
    assert_eq!(who, [RibView::AdjInPre, RibView::LocRib]);
    assert!(batch.nlri.is_empty());
}

#[test]
fn a_repeated_table_is_marked_as_one_until_end_of_rib() {
    let mut router = Router::known(vec![key()]);
    router
        .sends(&initiation("edge1"))
        .sends(&up())
        .sends(&PEER.route_monitoring(&announce(&v4(10, 1, 2, 24))));
    router.sends(&PEER.route_monitoring(&update(&[], &[], &[])));
    router.sends(&PEER.route_monitoring(&announce(&v4(10, 1, 3, 24))));
    let batch = router.batch();
    assert_eq!(events(&batch), ["session_up", "peer_up", "end_of_rib"]);
    assert_eq!(
        rows(&batch),
        ["+10.1.2.0/24 ipv4_unicast adj-in-pre g1 re-dump", "+10.1.3.0/24 ipv4_unicast adj-in-pre g1 update",]
    );
    assert_eq!(batch.groups[1].cause, Cause::Update);
}

#[test]
fn the_sweep_waits_for_end_of_rib_and_for_quiet_and_comes_once() {
    let mut router = Router::known(vec![key()]);
    router.sends(&up()).sends(&PEER.route_monitoring(&announce(&v4(10, 1, 2, 24))));
    router.batch();
    // No End-of-RIB: time alone sweeps nothing.
    router.after(10 * QUIET_US).nothing();
    router.sends(&PEER.route_monitoring(&update(&[], &[], &[])));
    router.batch();
    router.after(QUIET_US - 1).nothing();
    // A route after End-of-RIB restarts the quiet time.
    router.sends(&PEER.route_monitoring(&announce(&v4(10, 1, 3, 24))));
    router.batch();
    router.after(QUIET_US - 1).nothing();
    router.after(1);
    let batch = router.batch();
    assert_eq!(batch.events[0].kind, EventKind::Sweep { family: Family::IPV4_UNICAST });
    assert_eq!(batch.peers[0].generation, 1);
    router.after(10 * QUIET_US).nothing();
}

#[test]
fn every_peer_is_swept_after_its_own_quiet_time() {
    let other = Header { address: Ipv4Addr::new(192, 0, 2, 2), ..PEER };
    let second = PeerKey { address: IpAddr::V4(other.address), ..key() };
    let mut router = Router::known(vec![key(), second]);
    let end = update(&[], &[], &[]);
    router.sends(&PEER.route_monitoring(&end)).after(1).sends(&other.route_monitoring(&end));
    router.batch();
    router.after(QUIET_US - 1);
    assert_eq!(router.batch().peers[0].key, key());
    router.after(1);
    assert_eq!(router.batch().peers[0].key, second);
}

#[test]
fn a_dump_without_end_of_rib_ends_with_the_quiet_time() {
    let mut router = Router::new();
    router.sends(&up()).sends(&PEER.route_monitoring(&announce(&v4(10, 1, 2, 24))));
    router.after(QUIET_US - 1).sends(&PEER.route_monitoring(&announce(&v4(10, 1, 3, 24))));
    router.after(QUIET_US).sends(&PEER.route_monitoring(&announce(&v4(10, 1, 4, 24))));
    assert_eq!(
        rows(&router.batch()),
        [
            "+10.1.2.0/24 ipv4_unicast adj-in-pre g1 initial-dump",
            "+10.1.3.0/24 ipv4_unicast adj-in-pre g1 initial-dump",
            "+10.1.4.0/24 ipv4_unicast adj-in-pre g1 update",
        ]
    );
}

#[test]
fn a_batch_is_full_at_its_maximum_or_before_its_dictionary_overflows() {
    let mut router = Router::new();
    assert!(!router.session.has_records() && !router.session.is_full());
    let prefixes = |count: u8| (0..count).flat_map(|third| v4(10, 1, third, 24)).collect::<Vec<_>>();
    router.sends(&up());
    assert!(router.session.has_records());
    (0..9).for_each(|_| {
        router.sends(&PEER.route_monitoring(&announce(&prefixes(110))));
    });
    router.sends(&PEER.route_monitoring(&announce(&prefixes(8))));
    assert!(!router.session.is_full(), "999 records");
    router.sends(&PEER.route_monitoring(&announce(&prefixes(1))));
    assert!(router.session.is_full());
    assert_eq!(router.batch().records(), 1000);
    assert!(!router.session.has_records() && !router.session.is_full());

    let mut router = Router::with_large_batches();
    let mut sets = 0;
    while !router.session.is_full() {
        let pdu = update(&[], &plain_attributes(&[65_001, sets]), &v4(10, 1, 2, 24));
        router.sends(&PEER.route_monitoring(&pdu));
        sets += 1;
    }
    assert_eq!(sets, 60_000, "an index into the dictionary has two octets");
}

#[test]
fn a_field_without_routes_leaves_no_rows() {
    let mut router = Router::new();
    let attributes = [plain_attributes(&[65_001]), mp_reach(2, 1, &[0; 16], &[])].concat();
    router.sends(&PEER.route_monitoring(&update(&[], &attributes, &v4(10, 1, 2, 24))));
    let batch = router.batch();
    assert_eq!((batch.groups.len(), batch.nlri.len()), (1, 1));
}

#[test]
fn nothing_is_swept_when_nothing_was_known_before() {
    let mut router = Router::new();
    router.sends(&up()).sends(&PEER.route_monitoring(&update(&[], &[], &[])));
    router.batch();
    router.after(10 * QUIET_US).nothing();
}

#[test]
fn one_attribute_set_serves_every_message_that_repeats_it() {
    let mut router = Router::new();
    for third in 0..50 {
        let path = [65_001, 65_100 + u32::from(third / 6)];
        let pdu = update(&[], &plain_attributes(&path), &v4(10, 1, third, 24));
        router.sends(&PEER.route_monitoring(&pdu));
    }
    let batch = router.batch();
    assert_eq!((batch.nlri.len(), batch.attributes.len(), batch.peers.len()), (50, 9, 1));
    for route in batch.routes() {
        let Nlri::Prefix(prefix) = route.entry.nlri else { panic!("no prefix") };
        let address = prefix.v4_bits().unwrap();
        let path = batch.attributes_of(route.group).unwrap().as_path.clone().unwrap();
        assert_eq!(path.asns[1], 65_100 + ((address >> 8) & 0xff) / 6);
    }
}

#[test]
fn the_width_that_fits_is_used_when_the_flag_is_wrong() {
    let two_octets = |asns: &[u16]| {
        let mut segment = vec![2, u8::try_from(asns.len()).unwrap()];
        asns.iter().for_each(|asn| segment.extend(asn.to_be_bytes()));
        [attribute(0x40, 1, &[0]), attribute(0x40, 2, &segment), attribute(0x40, 3, &[192, 0, 2, 9])].concat()
    };
    let mut router = Router::new();
    // The A flag is clear, but the path is 2-octet (FRR 8.0.1).
    router.sends(&PEER.route_monitoring(&update(
        &[],
        &two_octets(&[65_001, 65_002, 65_003]),
        &v4(10, 0, 0, 8),
    )));
    // The A flag is set, and the path is 2-octet.
    let header = Header { flags: TWO_OCTET_AS, ..PEER };
    router.sends(&header.route_monitoring(&update(&[], &two_octets(&[65_001]), &v4(11, 0, 0, 8))));
    let batch = router.batch();
    let paths: Vec<_> = batch.attributes.iter().map(|set| set.as_path.clone().unwrap().asns).collect();
    assert_eq!(paths, [vec![65_001, 65_002, 65_003], vec![65_001]]);
    assert_eq!(router.session.summary().counters.as_width_mismatches, 1);
    assert_eq!(notices(&mut router, "as_path_width_mismatch").len(), 1);
    // Another one is counted but not reported.
    router.sends(&PEER.route_monitoring(&update(&[], &two_octets(&[65_009]), &v4(12, 0, 0, 8))));
    assert_eq!(router.session.summary().counters.as_width_mismatches, 2);
    assert_eq!(notices(&mut router, "as_path_width_mismatch").len(), 0);
}

#[test]
fn a_path_that_fits_both_widths_or_none_is_no_width_mismatch() {
    let attributes = |path: &[u8]| {
        let origin_and_hop = [attribute(0x40, 1, &[0]), attribute(0x40, 3, &[192, 0, 2, 9])].concat();
        [origin_and_hop, attribute(0x40, 2, path)].concat()
    };
    let mut router = Router::new();
    for path in [&[][..], &[2, 2, 0, 1, 2, 1, 0, 2, 0, 3], &[2, 1, 0], &[9, 1, 0, 0, 0, 1]] {
        router.sends(&PEER.route_monitoring(&update(&[], &attributes(path), &v4(10, 0, 0, 8))));
    }
    assert_eq!(router.session.summary().counters.as_width_mismatches, 0);
    assert_eq!(notices(&mut router, "as_path_width_mismatch").len(), 0);
}

#[test]
fn routes_without_a_peer_up_are_reported_once_and_make_the_peer_live() {
    let mut router = Router::new();
    let nothing = [plain_attributes(&[65_001]), mp_reach(2, 1, &[0; 16], &[])].concat();
    router.sends(&PEER.route_monitoring(&update(&[], &nothing, &[])));
    assert!(!router.session.summary().peers[0].up, "nothing was announced");
    let message = PEER.route_monitoring(&announce(&v4(10, 1, 2, 24)));
    router.sends(&message).sends(&message);
    let summary = router.session.summary();
    assert!(summary.peers[0].up);
    assert_eq!((summary.counters.implicit_peers, summary.counters.trailers), (1, 0));
    assert_eq!(notices(&mut router, "implicit_peer").len(), 1);
    let mut router = Router::new();
    router.sends(&up()).sends(&message);
    assert_eq!(router.session.summary().counters.implicit_peers, 0);
}

#[test]
fn a_malformed_attribute_withdraws_and_keeps_the_reason() {
    let attributes =
        [attribute(0x40, 1, &[7]), attribute(0x40, 2, &[]), attribute(0x40, 3, &[192, 0, 2, 9])].concat();
    let mut router = Router::new();
    router.sends(&up()).sends(&PEER.route_monitoring(&update(&[], &attributes, &v4(10, 1, 2, 24))));
    let batch = router.batch();
    assert_eq!(rows(&batch), ["-10.1.2.0/24 ipv4_unicast adj-in-pre g1 treat-as-withdraw"]);
    assert_eq!(events(&batch), ["peer_up", "malformed"]);
    assert_eq!(router.session.summary().counters.treated_as_withdraw, 1);
    let set = batch.attributes_of(&batch.groups[0]).unwrap();
    assert_eq!(
        set.discarded,
        ["ORIGIN (1) at byte 23: invalid value 7: expected 0, 1 or 2"],
        "the reason is recorded with the route"
    );
    assert_eq!(set.next_hop, Some([192, 0, 2, 9].into()), "and so are the valid attributes");
    let EventKind::Malformed { error, suspect: None, .. } = &batch.events[1].kind else {
        panic!("no route is missing")
    };
    assert_eq!(error, "treated as withdrawal: ORIGIN (1) at byte 23: invalid value 7: expected 0, 1 or 2");
}

#[test]
fn truncated_attributes_with_no_route_before_the_cut_are_recorded() {
    // ORIGIN, and a CLUSTER_LIST whose length exceeds the field: it may cover attributes with routes.
    let attributes = [attribute(0x40, 1, &[0]), vec![0x80, 10, 37, 1, 2, 3, 4]].concat();
    let mut router = Router::new();
    router.sends(&up()).sends(&PEER.route_monitoring(&update(&[], &attributes, &[])));
    let batch = router.batch();
    assert_eq!(events(&batch), ["peer_up", "malformed"]);
    let EventKind::Malformed { error, suspect, .. } = &batch.events[1].kind else { panic!() };
    assert!(error.starts_with("path attributes: ") && error.contains("byte 30"), "{error}");
    assert!(suspect.is_some(), "it is unknown which routes are missing");
    assert_eq!(router.session.summary().counters.errors, 1);
}

/// The texts of the notices with this event name.
fn notices(router: &mut Router, event: &str) -> Vec<String> {
    router
        .session
        .take_notices()
        .into_iter()
        .filter(|notice| notice.event == event)
        .map(|notice| notice.text)
        .collect()
}

#[test]
fn path_ids_that_were_not_negotiated_do_not_become_routes() {
    let mut router = Router::new();
    router.sends(&up());
    let two = [v4_path(1, 10, 1, 2, 24), v4_path(2, 10, 1, 2, 24)].concat();
    router.sends(&PEER.route_monitoring(&announce(&two)));
    router.sends(&PEER.route_monitoring(&announce(&v4_path(3, 10, 1, 3, 24))));
    router.sends(&PEER.route_monitoring(&update(&v4_path(1, 10, 1, 2, 24), &[], &[])));
    let batch = router.batch();
    assert_eq!(
        rows(&batch),
        [
            "+10.1.2.0/24 path 1 ipv4_unicast adj-in-pre g1 initial-dump",
            "+10.1.2.0/24 path 2 ipv4_unicast adj-in-pre g1 initial-dump",
            "+10.1.3.0/24 path 3 ipv4_unicast adj-in-pre g1 initial-dump",
            "-10.1.2.0/24 path 1 ipv4_unicast adj-in-pre g1 withdraw",
        ]
    );
    assert_eq!(router.session.summary().counters.add_path_mismatches, 1);
    assert_eq!(notices(&mut router, "add_path_mismatch").len(), 1);
}

#[test]
fn routes_without_the_negotiated_path_ids_are_recorded() {
    let open = |asn, mode| open(asn, &[four_octet_as(asn), multiprotocol(1, 1), add_path(1, 1, mode)]);
    let mut router = Router::new();
    router.sends(&PEER.peer_up(&open(65_000, 3), &open(65_001, 3), &[]));
    router.sends(&PEER.route_monitoring(&announce(&v4(10, 1, 2, 24))));
    router.sends(&PEER.route_monitoring(&announce(&v4(10, 1, 3, 24))));
    router.sends(&PEER.route_monitoring(&announce(&[v4(10, 1, 4, 24), v4(10, 1, 5, 24)].concat())));
    assert_eq!(
        rows(&router.batch()),
        [
            "+10.1.2.0/24 ipv4_unicast adj-in-pre g1 initial-dump",
            "+10.1.3.0/24 ipv4_unicast adj-in-pre g1 initial-dump",
            "+10.1.4.0/24 ipv4_unicast adj-in-pre g1 initial-dump",
            "+10.1.5.0/24 ipv4_unicast adj-in-pre g1 initial-dump",
        ]
    );
    // Another view of the same peer has its own encoding.
    let post = Header { flags: POST_POLICY, ..PEER };
    router.sends(&post.route_monitoring(&announce(&v4_path(9, 10, 1, 2, 24))));
    assert_eq!(rows(&router.batch()), ["+10.1.2.0/24 path 9 ipv4_unicast adj-in-post g1 initial-dump"]);
    assert_eq!(router.session.summary().counters.add_path_mismatches, 1);
}

#[test]
fn overrides_take_precedence_over_opens_flags_and_evidence() {
    let overrides =
        Overrides { four_octet_as: Some(false), add_path: vec![(Some(Family::IPV4_UNICAST), true)] };
    let introduce = move |name: &str| Introduced {
        name: name.to_owned(),
        overrides: overrides.clone(),
        ..Introduced::default()
    };
    let mut router = Router::introduced(Box::new(introduce));
    let path = [attribute(0x40, 1, &[0]), attribute(0x40, 2, &[2, 2, 0xfd, 0xe9, 0xfd, 0xea])].concat();
    router.sends(&up()).sends(&PEER.route_monitoring(&update(&[], &path, &v4_path(7, 10, 1, 2, 24))));
    // A field without path IDs contradicts the override and is malformed.
    router.sends(&PEER.route_monitoring(&update(&[], &path, &v4(10, 1, 3, 24))));
    let batch = router.batch();
    assert_eq!(rows(&batch), ["+10.1.2.0/24 path 7 ipv4_unicast adj-in-pre g1 initial-dump"]);
    assert_eq!(batch.attributes[0].as_path.as_ref().unwrap().asns, [65_001, 65_002]);
    let counters = router.session.summary().counters;
    assert_eq!((counters.as_width_mismatches, counters.add_path_mismatches, counters.errors), (0, 0, 1));
}

#[test]
fn overrides_are_set_once_and_that_of_a_family_takes_precedence() {
    let (v4, v6) = (Family::IPV4_UNICAST, Family::IPV6_UNICAST);
    let mut overrides = Overrides { four_octet_as: Some(false), ..Overrides::default() };
    assert_eq!(overrides.add_path_of(v4), None);
    assert_eq!(overrides.set_add_path(None, true), Ok(()));
    assert_eq!(overrides.set_add_path(Some(v4), false), Ok(()));
    assert!(overrides.set_add_path(None, false).is_err() && overrides.set_add_path(Some(v4), true).is_err());
    assert_eq!((overrides.add_path_of(v4), overrides.add_path_of(v6)), (Some(false), Some(true)));
    assert_eq!(overrides.to_string(), "as-width=2 ipv4_unicast:add-path=off add-path=on");
}

#[test]
fn a_family_is_suspect_from_a_malformed_pdu_to_its_next_complete_dump() {
    let suspects = |router: &Router| -> Vec<Family> {
        let summary = router.session.summary();
        let families = summary.peers[0].views[0].families.iter();
        families.filter(|family| family.suspect).map(|family| family.family).collect()
    };
    let mut router = Router::new();
    router.sends(&up()).sends(&PEER.route_monitoring(&announce(&v4(10, 1, 2, 24))));
    assert_eq!(suspects(&router), []);
    router.sends(&PEER.route_monitoring(&announce(&[33, 1, 2, 3, 4, 5])));
    assert_eq!(suspects(&router), [Family::IPV4_UNICAST]);
    let batch = router.batch();
    let suspect = Some(SuspectScope::Family(Family::IPV4_UNICAST));
    assert!(matches!(
        &batch.events.last().unwrap().kind,
        EventKind::Malformed { suspect: of, .. } if *of == suspect
    ));
    router.sends(&PEER.route_monitoring(&update(&[], &[], &[])));
    assert_eq!(
        suspects(&router),
        [Family::IPV4_UNICAST],
        "the dump that ends here lacks the routes of that PDU"
    );
    router.sends(&from_port(up(), 40_180));
    assert_eq!(suspects(&router), [Family::IPV4_UNICAST], "the next dump is not complete");
    router.sends(&PEER.route_monitoring(&update(&[], &[], &[])));
    assert_eq!(suspects(&router), [], "End-of-RIB of the next dump");
    // The families of a PDU that cannot be split are unknown.
    router.sends(&PEER.route_monitoring(&bgp(2, &[0, 9, 1])));
    assert_eq!(suspects(&router), [Family::IPV4_UNICAST]);
    router.sends(&PEER.peer_down(2, &[0, 0])).sends(&PEER.route_monitoring(&announce(&v4(10, 1, 2, 24))));
    assert_eq!(suspects(&router), [], "Peer Down ended all routes of that table");
}

#[test]
fn trailing_bytes_are_counted_and_reported_once() {
    let mut router = Router::new();
    let message =
        PEER.route_monitoring(&[announce(&v4(10, 1, 2, 24)), vec![0xea, 0x62, 0, 4, 0, 0, 0, 2]].concat());
    router.sends(&up()).sends(&message);
    assert_eq!(notices(&mut router, "trailing_bytes").len(), 1);
    router.sends(&message);
    assert_eq!(router.batch().nlri.len(), 2);
    assert_eq!(router.session.summary().counters.trailers, 2);
    assert_eq!(notices(&mut router, "trailing_bytes").len(), 0);
}

#[test]
fn zero_identities_and_unexpected_peer_downs_are_counted() {
    let zeros = Header { asn: 0, bgp_id: 0, ..PEER };
    let mut router = Router::new();
    router.sends(&zeros.peer_down(2, &[0, 0])).sends(&zeros.peer_down(2, &[0, 0])).sends(&up());
    let counters = router.session.summary().counters;
    assert_eq!((counters.zero_identities, counters.unexpected_peer_downs), (2, 2));
    assert_eq!(notices(&mut router, "zero_identity").len(), 1);
    // One of the two may be zero: the AS number of FRR's Loc-RIB, or a BGP identifier that is not set yet.
    for header in [Header { asn: 0, ..PEER }, Header { bgp_id: 0, ..PEER }] {
        router.sends(&header.peer_down(2, &[0, 0]));
    }
    assert_eq!(router.session.summary().counters.zero_identities, 2);
    router.sends(&zeros.peer_down(2, &[0, 0]));
    assert_eq!(notices(&mut router, "zero_identity").len(), 0, "reported once");
    assert_eq!(
        events(&router.batch()),
        ["peer_down", "peer_down", "peer_up", "peer_down", "peer_down", "peer_down"],
        "all are recorded"
    );
}

#[test]
fn a_version_4_message_can_declare_its_path_ids() {
    let indexed = |kind: u16, value: &[u8]| {
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&kind.to_be_bytes()[..], &length, &[0, 0], value].concat()
    };
    // ADD-PATH (69) for IPv4 unicast, as in an OPEN.
    // The mode (1 receive, 2 send, 3 both) is that of the router: what it receives is in Adj-RIB-In.
    let (loc, out) = (Header { peer_type: 3, ..PEER }, Header { flags: ADJ_RIB_OUT, ..PEER });
    for (mode, header, path_ids) in [
        (3, PEER, true),
        (1, PEER, true),
        (2, PEER, false),
        (3, out, true),
        (2, out, true),
        (1, out, false),
        (1, loc, true),
        (2, loc, true),
    ] {
        let nlri = if path_ids { v4_path(7, 10, 1, 2, 24) } else { v4(10, 1, 2, 24) };
        for withdraw in [false, true] {
            let pdu = if withdraw { update(&nlri, &[], &[]) } else { announce(&nlri) };
            let body = [indexed(3, &[69, 4, 0, 1, 1, mode]), indexed(4, &pdu)].concat();
            let mut message = header.route_monitoring(&body);
            message[0] = 4;
            let mut router = Router::new();
            router.sends(&up()).sends(&message);
            let batch = router.batch();
            let route = batch.routes().next().unwrap();
            assert_eq!((route.group.add_path, rows(&batch).len()), (path_ids, 1), "mode {mode}");
            assert_eq!(router.session.summary().counters.add_path_mismatches, 0);
        }
    }
}

#[test]
fn nlri_that_cannot_be_read_keep_the_pdu_and_add_no_row() {
    let mut router = Router::new();
    let pdu = announce(&[v4(10, 1, 2, 24), vec![33, 1, 2, 3, 4, 5]].concat());
    router.sends(&PEER.route_monitoring(&pdu)).sends(&PEER.route_monitoring(&announce(&v4(10, 1, 3, 24))));
    let batch = router.batch();
    assert_eq!(rows(&batch), ["+10.1.3.0/24 ipv4_unicast adj-in-pre g0 initial-dump"]);
    assert!(matches!(&batch.events[0].kind, EventKind::Malformed { pdu: kept, .. } if *kept == pdu));
}

#[test]
fn a_second_loc_rib_header_with_zeros_is_the_same_instance() {
    let loc = Header { peer_type: 3, address: Ipv4Addr::UNSPECIFIED, ..PEER };
    let zeros = Header { asn: 0, bgp_id: 0, ..loc };
    let mut router = Router::new();
    router.sends(&loc.route_monitoring(&announce(&v4(10, 1, 2, 24))));
    router.sends(&zeros.route_monitoring(&update(&v4(10, 1, 2, 24), &[], &[])));
    let batch = router.batch();
    assert_eq!(batch.peers.len(), 1);
    assert_eq!(batch.peers[0].asn, 65_001);
}

#[test]
fn termination_is_remembered_and_names_the_end() {
    let mut router = Router::new();
    router.sends(&initiation("edge1")).sends(&termination(1));
    assert_eq!(router.session.terminated(), Some(&SessionEnd::Terminated(Some(1))));
    // The texts of `end_reason` and `stale_reason` in the database.
    for (end, text) in [
        (SessionEnd::Terminated(Some(1)), "terminated by the router, reason 1"),
        (SessionEnd::Terminated(None), "terminated by the router"),
        (SessionEnd::Lost, "connection lost"),
        (SessionEnd::Protocol, "protocol error"),
        (SessionEnd::CollectorStop, "collector stopped"),
        (SessionEnd::CollectorCrash, "collector died"),
    ] {
        assert_eq!(end.to_string(), text);
    }
}

#[test]
fn records_before_the_initiation_keep_the_address_as_name() {
    let mut router = Router::new();
    router
        .sends(&up())
        .sends(&initiation("edge1"))
        .sends(&PEER.route_monitoring(&announce(&v4(10, 1, 2, 24))));
    let names: Vec<_> = router.session.take_batches().map(|batch| batch.router.name).collect();
    assert_eq!(names, ["192.0.2.254", "edge1"]);
}

#[test]
fn a_later_initiation_does_not_rename_the_router() {
    let mut router = Router::new();
    let route = PEER.route_monitoring(&announce(&v4(10, 1, 2, 24)));
    // Before the first peer, the last sysName counts.
    router.sends(&initiation("edge0")).sends(&initiation("edge1"));
    assert_eq!(
        router.session.take_batches().map(|batch| batch.router.name).collect::<Vec<_>>(),
        ["edge0", "edge1"]
    );
    router.sends(&up()).sends(&route);
    // A free-form string only, and another sysName.
    router.sends(&bmp(4, &tlv(0, b"maintenance"))).sends(&route).sends(&initiation("edge9")).sends(&route);
    assert_eq!(
        notices(&mut router, "sys_name_changed"),
        ["sysName changed from edge1 to edge9; the router's name changes with its next session"]
    );
    let batch = router.batch();
    assert_eq!((batch.router.name.as_str(), rows(&batch).len()), ("edge1", 3));
    let names = batch.events.iter().filter_map(|event| match &event.kind {
        EventKind::SessionUp { sys_name, sys_descr, information } => {
            Some(format!("{sys_name} {sys_descr} {information:?}"))
        }
        _ => None,
    });
    let expected = [r#"edge1 test router ["maintenance"]"#, "edge9 test router []"];
    assert_eq!(names.collect::<Vec<_>>(), expected);
}

#[test]
fn a_connection_without_messages_leaves_no_record() {
    let mut router = Router::new();
    router.session.end(&SessionEnd::Lost, NOW);
    router.nothing();
}

#[test]
fn statistics_are_kept_by_number_also_unknown_ones() {
    let mut router = Router::new();
    router.sends(&PEER.statistics(&[
        (0, &[0, 0, 0, 5]),
        (65_531, &[0, 0, 0, 9]),
        (9, &[0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 7]),
    ]));
    let batch = router.batch();
    let EventKind::Statistics(statistics) = &batch.events[0].kind else { panic!("no statistics") };
    let seen: Vec<_> = statistics.iter().map(|stat| (stat.kind, stat.family, stat.value)).collect();
    assert_eq!(seen, [(0, None, Some(5)), (65_531, None, Some(9)), (9, Some(Family::IPV4_UNICAST), Some(7))]);
}

/// The header of a peer with this distinguisher.
fn numbered(number: u32) -> Header {
    Header { distinguisher: u64::from(number), ..PEER }
}

/// Peer Up of a peer with ADD-PATH both ways.
fn numbered_up(number: u32) -> Vec<u8> {
    let open = |asn| open(asn, &[four_octet_as(asn), multiprotocol(1, 1), add_path(1, 1, 3)]);
    numbered(number).peer_up(&open(65_000), &open(65_001), &tlv(3, b"blue"))
}

/// Sends Peer Ups until the limit is exceeded. Returns the number of the next peer.
fn fill(router: &mut Router) -> u32 {
    for number in 0..1_000_000 {
        router.sends(&numbered_up(number));
        if router.session.counters().untracked_peers > 0 {
            return number + 1;
        }
        if number % 1000 == 0 {
            assert!(router.session.take_batches().count() > 0);
        }
    }
    panic!("1,000,000 peers did not exceed the limit")
}

#[test]
fn a_table_name_beyond_the_memory_limit_is_not_kept() {
    let mut router = Router::with_large_batches();
    let name = [b'x'; 255];
    let mut has_name = |number| {
        router.sends(&numbered(number).peer_up(&open(65_000, &[]), &open(65_001, &[]), &tlv(3, &name)));
        let batch = router.batch();
        batch.events.len() == 1 && !batch.peers[0].table_name.is_empty()
    };
    // New peers may use three quarters of 64 MiB, names included; beyond that a peer or its name is not kept.
    let first_without = (0..200_000).find(|number| !has_name(*number));
    assert!(first_without.is_some_and(|number| number > 1_000), "{first_without:?}");
}

#[test]
fn peers_beyond_the_limit_of_a_session_lose_no_route_and_no_order() {
    let mut router = Router::with_large_batches();
    let first = fill(&mut router);
    assert_eq!(notices(&mut router, "session_memory_full").len(), 1);
    assert_eq!(
        router.session.summary().peers.len(),
        usize::try_from(first).unwrap(),
        "the last one is untracked"
    );
    router.session.take_batches().for_each(drop);
    // Three untracked peers in turn: their routes are recorded, with path IDs as the fields show, in
    // increasing generations.
    let route = |number| numbered(number).route_monitoring(&announce(&v4_path(7, 10, 1, 2, 24)));
    let untracked = [first, first + 1, first + 2];
    let mut generations = [0; 3];
    for round in 0..3 {
        for (index, number) in untracked.into_iter().enumerate() {
            router
                .sends(&numbered_up(number))
                .sends(&route(number))
                .sends(&numbered(number).peer_down(1, &[]));
            router.sends(&route(number));
            let batch = router.batch();
            let seen: Vec<_> = batch.routes().map(|row| batch.peer_of(row.group).unwrap().clone()).collect();
            assert_eq!(seen.len(), 2, "round {round}");
            assert!(seen.iter().all(|peer| peer.key.distinguisher == u64::from(number)));
            assert!(batch.routes().all(|row| row.group.add_path && row.entry.path_id == 7));
            assert!(generations[index] < seen[0].generation && seen[0].generation < seen[1].generation);
            generations[index] = seen[1].generation;
        }
    }
    // An untracked peer that was up when the next one replaced it is marked stale.
    router.sends(&route(first));
    let batch = router.batch();
    let stale = &batch.events[0];
    assert_eq!(stale.kind, EventKind::PeerStale { end: SessionEnd::PeerLimitExceeded });
    assert_eq!(batch.peers[usize::from(stale.peer.unwrap())].key.distinguisher, u64::from(first + 2));
    assert!(notices(&mut router, "session_memory_full").is_empty(), "reported once");
    // The tracked peers are unchanged.
    router.sends(&numbered(0).route_monitoring(&announce(&v4_path(9, 10, 1, 3, 24))));
    let batch = router.batch();
    assert_eq!(rows(&batch), ["+10.1.3.0/24 path 9 ipv4_unicast adj-in-pre g1 initial-dump"]);
    assert_eq!(batch.peer_of(&batch.groups[0]).unwrap().table_name, "blue");
    // The memory of peers that go down is used for the next new one. The family of the first peer has taken
    // some of it.
    let kept = first + 3;
    for number in 1..4 {
        router.sends(&numbered(number).peer_down(1, &[]));
    }
    for number in kept..kept + 4 {
        router.sends(&numbered_up(number));
    }
    let refusals = router.session.counters().untracked_peers;
    router.sends(&route(kept)).sends(&route(0)).sends(&route(kept));
    assert_eq!(router.session.counters().untracked_peers, refusals, "it is tracked now");
    let is_kept = |peer: &PeerSummary| peer.key.distinguisher == u64::from(kept);
    assert!(router.session.summary().peers.iter().any(is_kept));
}

#[test]
fn a_sweep_of_more_tables_than_a_dictionary_holds_names_each_of_them() {
    let peers = 17_000;
    let key = |number| PeerKey { distinguisher: number, ..key() };
    let mut router = Router::known((0..peers).map(key).collect());
    let end_of_rib = update(&[], &[], &[]);
    for distinguisher in 0..peers {
        for flags in [0, POST_POLICY, ADJ_RIB_OUT, POST_POLICY | ADJ_RIB_OUT] {
            let peer = Header { distinguisher, flags, ..PEER };
            router.sends(&peer.route_monitoring(&end_of_rib));
        }
        if distinguisher % 1000 == 0 {
            router.session.take_batches().for_each(drop);
        }
    }
    router.session.take_batches().for_each(drop);
    router.after(QUIET_US);
    let mut named = std::collections::BTreeSet::new();
    for batch in router.session.take_batches() {
        for event in batch.events.iter().filter(|event| event.kind.name() == "sweep") {
            let peer = &batch.peers[usize::from(event.peer.unwrap())];
            named.insert((peer.key.distinguisher, peer.view.to_string()));
        }
    }
    assert_eq!(named.len(), 4 * usize::try_from(peers).unwrap());
}

#[test]
fn families_beyond_the_limit_lose_no_route() {
    let mut router = Router::with_large_batches();
    router.sends(&up());
    // Each message has another family, none of which has a decoder.
    for number in 0..1000 {
        let attributes = mp_reach(0x8000 | number, 200, &[192, 0, 2, 9], &[1, 2, 3]);
        router.sends(&PEER.route_monitoring(&update(&[], &attributes, &[])));
    }
    assert_eq!(router.batch().nlri.len(), 1000);
    assert_eq!(router.session.summary().peers[0].views[0].families.len(), 64);
    assert!(router.session.counters().untracked_peers >= 1000 - 64);
    assert_eq!(notices(&mut router, "session_memory_full").len(), 1);
    // An untracked family with a decoder is decoded.
    router.sends(&PEER.route_monitoring(&announce(&v4(10, 1, 2, 24))));
    assert_eq!(self::rows(&router.batch()), ["+10.1.2.0/24 ipv4_unicast adj-in-pre g1 update"]);
    // A message that contradicts the OPENs cannot be held, and is malformed.
    router.sends(&PEER.route_monitoring(&announce(&v4_path(7, 10, 1, 2, 24))));
    let batch = router.batch();
    let EventKind::Malformed { suspect, error, .. } = &batch.events[0].kind else {
        panic!("not recorded raw")
    };
    assert_eq!(*suspect, Some(SuspectScope::Family(Family::IPV4_UNICAST)));
    assert!(error.contains("not held: peer/family limit exceeded"), "{error}");
    // A Peer Up releases the memory of the previous generation, and its family is tracked again.
    router.sends(&from_port(up(), 40_180)).sends(&PEER.route_monitoring(&announce(&v4(10, 1, 3, 24))));
    assert_eq!(self::rows(&router.batch()), ["+10.1.3.0/24 ipv4_unicast adj-in-pre g2 re-dump"]);
}
