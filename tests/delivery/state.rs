//! The contents of the tables after routes and events, on each edition of the server.

use std::net::IpAddr;

use crate::common::batches::{Builder, attributes, peer, peer_down, peer_up, prefix};
use crate::common::db::Edition;
use crate::common::store::{Store, each_way};
use holdfast::route::{
    AsPath, AsPathSegment, Esi, EventKind, EvpnRoute, Family, Mac, Nlri, Peer, PeerKey, Rd, RibView,
    SegmentKind, SessionEnd, Statistic,
};

fn pre(generation: u32) -> Peer {
    peer(1, RibView::AdjInPre, generation)
}

#[tokio::test]
async fn announced_then_withdrawn_routes_are_gone_and_counted() {
    let batches = [
        Builder::new("r1", 0).announce(&pre(1), 0..3, &[65_001]).build(),
        Builder::new("r1", 0).at(1).withdraw(&pre(1), 1..2).announce(&pre(1), 2..3, &[65_002]).build(),
    ];
    let expected = ["198.51.100.1 adj-in-pre 1.0.0.0/24 65001", "198.51.100.1 adj-in-pre 1.0.2.0/24 65002"];
    each_way("withdraw", &batches, &expected).await;
}

#[tokio::test]
async fn duplicates_in_one_batch_leave_the_last_word_and_all_history() {
    let Some(mut store) = Store::open(Edition::Timescale, "duplicates").await else { return };
    let batch = Builder::new("r1", 0).announce(&pre(1), [5, 5, 5], &[1]).withdraw(&pre(1), [5]).announce(
        &pre(1),
        [5],
        &[2],
    );
    store.put(&[batch.build()]).await;
    assert_eq!(store.current().await, ["198.51.100.1 adj-in-pre 1.0.5.0/24 2"]);
    assert_eq!(store.database.value::<i64>("SELECT count(*) FROM route_updates").await, 5);
    let counts = "SELECT learn_count || ' ' || withdraw_count FROM route_state";
    assert_eq!(store.database.texts(counts).await, ["2 1"]);
    store.close().await;
}

#[tokio::test]
async fn the_largest_numbers_are_stored() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "largest").await else { continue };
        let mut wide = attributes(&[u32::MAX, 4_200_000_000]);
        (wide.med, wide.local_pref, wide.aigp) = (Some(u32::MAX), Some(u32::MAX), Some(u64::MAX));
        let mut big = pre(u32::MAX);
        (big.asn, big.key.distinguisher) = (u32::MAX, u64::MAX);
        let entries = [(Some(u32::MAX), prefix(0))];
        store
            .put(&[Builder::new("r1", 0).routes(&big, Family::IPV4_UNICAST, Some(&wide), entries).build()])
            .await;
        for table in ["route_updates", "route_state"] {
            let sql = format!(
                "SELECT concat_ws(' ', bgp_peer_asn, as_path, med, local_pref, aigp, path_id, generation, \
                    origin_as) FROM {table}"
            );
            assert_eq!(
                store.database.texts(&sql).await,
                ["4294967295 {4294967295,4200000000} 4294967295 4294967295 18446744073709551615 \
                        4294967295 4294967295 4200000000"]
            );
        }
        store.close().await;
    }
}

#[tokio::test]
async fn vrfs_and_policy_views_never_overwrite_each_other() {
    let mut vrf = pre(1);
    vrf.key = PeerKey { peer_type: 1, distinguisher: 0x0000_fde8_0000_0001, ..vrf.key };
    let batches = [Builder::new("r1", 0)
        .announce(&pre(1), [0], &[1])
        .announce(&peer(1, RibView::AdjInPost, 1), [0], &[2])
        .announce(&vrf, [0], &[3])
        .announce(&peer(1, RibView::LocRib, 1), [0], &[4])
        .build()];
    let Some(mut store) = Store::open(Edition::Timescale, "views").await else { return };
    store.put(&batches).await;
    let sql = "SELECT concat_ws(' ', peer_distinguisher, rib, as_path) FROM route_state ORDER BY as_path";
    assert_eq!(
        store.database.texts(sql).await,
        ["0:0 adj-in-pre {1}", "0:0 adj-in-post {2}", "65000:1 adj-in-pre {3}", "0:0 loc-rib {4}"]
    );
    store.close().await;
}

#[tokio::test]
async fn peer_down_ends_the_adjacency_views_of_this_peer_only() {
    let post = peer(1, RibView::AdjInPost, 1);
    let other = peer(2, RibView::AdjInPre, 1);
    let mut local = peer(1, RibView::LocRib, 1);
    local.key.address = IpAddr::from([0, 0, 0, 0]);
    let batches = [
        Builder::new("r1", 0)
            .event(Some(&pre(1)), peer_up())
            .announce(&pre(1), [0], &[1])
            .announce(&post, [0], &[1])
            .announce(&other, [0], &[2])
            .announce(&local, [0], &[3])
            .build(),
        Builder::new("r1", 0).at(1).event(Some(&pre(1)), peer_down()).build(),
    ];
    each_way(
        "peer_down",
        &batches,
        &["0.0.0.0 loc-rib 1.0.0.0/24 3", "198.51.100.2 adj-in-pre 1.0.0.0/24 2"],
    )
    .await;
}

#[tokio::test]
async fn routes_after_a_new_peer_up_stand_and_are_learnt_again() {
    let batches = [
        Builder::new("r1", 0).event(Some(&pre(1)), peer_up()).announce(&pre(1), 0..2, &[1]).build(),
        Builder::new("r1", 0).at(1).event(Some(&pre(1)), peer_down()).build(),
        Builder::new("r1", 0).at(2).event(Some(&pre(2)), peer_up()).announce(&pre(2), 0..1, &[1]).build(),
    ];
    each_way("peer_up_again", &batches, &["198.51.100.1 adj-in-pre 1.0.0.0/24 1"]).await;
    let Some(mut store) = Store::open(Edition::Timescale, "learnt_again").await else { return };
    for batch in batches {
        store.put(&[batch]).await;
    }
    let sql = "SELECT concat_ws(' ', prefix, learn_count, withdraw_count) FROM route_state ORDER BY prefix";
    assert_eq!(store.database.texts(sql).await, ["1.0.0.0/24 2 0", "1.0.1.0/24 1 0"]);
    let peers = "SELECT concat_ws(' ', state, ups, downs, down_reason, generation) FROM bgp_peers";
    assert_eq!(store.database.texts(peers).await, ["up 2 1 2 2"]);
    store.close().await;
}

#[tokio::test]
async fn a_lost_session_makes_routes_stale_until_they_come_again_or_are_swept() {
    let stale = EventKind::PeerStale { end: SessionEnd::Lost };
    let end_of_rib = EventKind::EndOfRib { family: Family::IPV4_UNICAST };
    let sweep = EventKind::Sweep { family: Family::IPV4_UNICAST };
    let first = Builder::new("r1", 0).event(Some(&pre(1)), peer_up()).announce(&pre(1), 0..2, &[1]).build();
    let lost = Builder::new("r1", 0)
        .at(1)
        .event(None, EventKind::SessionDown { end: SessionEnd::Lost })
        .event(Some(&pre(1)), stale)
        .build();
    let again =
        Builder::new("r1", 10).at(2).event(Some(&pre(1)), peer_up()).announce(&pre(1), 0..1, &[1]).build();
    let swept =
        Builder::new("r1", 10).at(3).event(Some(&pre(1)), end_of_rib).event(Some(&pre(1)), sweep).build();
    let all = [first, lost, again, swept];
    let (a, b) = ("198.51.100.1 adj-in-pre 1.0.0.0/24 1", "198.51.100.1 adj-in-pre 1.0.1.0/24 1");
    let (stale_a, stale_b) = (format!("{a} stale"), format!("{b} stale"));
    each_way("stale_1", &all[..1], &[a, b]).await;
    each_way("stale_2", &all[..2], &[&stale_a, &stale_b]).await;
    each_way("stale_3", &all[..3], &[a, &stale_b]).await;
    each_way("stale_4", &all, &[a]).await;
}

#[tokio::test]
async fn an_old_session_that_ends_late_touches_nothing_that_is_newer() {
    let batches = [
        Builder::new("r1", 0).event(Some(&pre(7)), peer_up()).announce(&pre(7), 0..2, &[1]).build(),
        Builder::new("r1", 10).at(1).event(Some(&pre(1)), peer_up()).announce(&pre(1), 0..2, &[2]).build(),
        Builder::new("r1", 0)
            .at(2)
            .withdraw(&pre(7), 0..1)
            .announce(&pre(7), 1..2, &[3])
            .event(Some(&pre(7)), peer_down())
            .event(None, EventKind::SessionDown { end: SessionEnd::Lost })
            .build(),
    ];
    let expected = ["198.51.100.1 adj-in-pre 1.0.0.0/24 2", "198.51.100.1 adj-in-pre 1.0.1.0/24 2"];
    each_way("late", &batches, &expected).await;
    let Some(mut store) = Store::open(Edition::Timescale, "late_router").await else { return };
    for batch in &batches {
        store.put(std::slice::from_ref(batch)).await;
    }
    assert_eq!(store.database.texts("SELECT state || ' ' || generation FROM bgp_peers").await, ["up 1"]);
    assert!(store.database.value::<bool>("SELECT is_active FROM bmp_peers").await);
    store.close().await;
}

#[tokio::test]
async fn a_withdrawn_route_keeps_its_last_attributes() {
    let Some(mut store) = Store::open(Edition::Plain, "withdrawn_path").await else { return };
    store.put(&[Builder::new("r1", 0).announce(&pre(1), [0], &[7]).build()]).await;
    store.put(&[Builder::new("r1", 0).at(1).withdraw(&pre(1), [0]).build()]).await;
    let path = "SELECT is_withdrawn || ' ' || as_path[1] FROM route_state";
    assert_eq!(store.database.texts(path).await, ["true 7"]);
    store.close().await;
}

#[tokio::test]
async fn a_withdrawal_before_any_announcement_keeps_older_ones_out() {
    let batches = [
        Builder::new("r1", 10).withdraw(&pre(1), [0]).build(),
        Builder::new("r1", 0).announce(&pre(1), [0], &[1]).build(),
    ];
    each_way("withdraw_first", &batches, &[]).await;
}

#[tokio::test]
async fn evpn_keys_ignore_labels() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "evpn").await else { continue };
        let route = |label, last| {
            let rd = Rd([0, 0, 0xfd, 0xe8, 0, 0, 0, 1]);
            let mac = Mac([2, 0, 0, 0, 0, last]);
            let (ip, label2) = (Some(IpAddr::from([10, 0, 0, last])), None);
            (
                None,
                Nlri::Evpn(Box::new(EvpnRoute::MacIp {
                    rd,
                    esi: Esi([0; 10]),
                    tag: 0,
                    mac,
                    ip,
                    label,
                    label2,
                })),
            )
        };
        store
            .put(&[Builder::new("r1", 0)
                .routes(&pre(1), Family::EVPN, Some(&attributes(&[1])), [route(100, 1), route(200, 2)])
                .routes(&pre(1), Family::EVPN, None, [route(0, 1)])
                .build()])
            .await;
        let sql = "SELECT concat_ws(' ', family, evpn_rd, mac_address, host(evpn_ip), labels, is_withdrawn)
            FROM route_state ORDER BY mac_address";
        assert_eq!(
            store.database.texts(sql).await,
            [
                "evpn 65000:1 02:00:00:00:00:01 10.0.0.1 {100} t",
                "evpn 65000:1 02:00:00:00:00:02 10.0.0.2 {200} f"
            ]
        );
        // The next update of a route replaces the text of an earlier release.
        let old = "UPDATE rib_entries SET rd = 'old', evpn_rd = 'old'";
        store.database.client().await.batch_execute(old).await.unwrap();
        let again = [route(300, 1)];
        store
            .put(&[Builder::new("r1", 0)
                .routes(&pre(1), Family::EVPN, Some(&attributes(&[2])), again)
                .routes(&pre(1), Family::EVPN, None, [route(0, 2)])
                .build()])
            .await;
        let sql = "SELECT concat_ws(' ', rd, evpn_rd, labels) FROM route_state ORDER BY mac_address";
        assert_eq!(store.database.texts(sql).await, ["65000:1 65000:1 {300}", "65000:1 65000:1 {200}"]);
        store.close().await;
    }
}

#[tokio::test]
async fn each_record_is_in_one_table_and_text_with_zero_bytes_is_stored() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "records").await else { continue };
        let statistic = Statistic { kind: 7, family: None, value: Some(u64::MAX), raw: vec![255; 8] };
        let gap = EventKind::Gap {
            reason: "crash".to_owned(),
            from: holdfast::route::Timestamp(0),
            until: holdfast::route::Timestamp(i64::MAX),
        };
        let session_up = EventKind::SessionUp {
            sys_name: "r\u{0}1".to_owned(),
            sys_descr: "quote \" and \0".to_owned(),
            information: vec![String::new()],
        };
        store
            .put(&[Builder::new("r\u{0}1", 0)
                .event(None, session_up)
                .event(Some(&pre(1)), peer_up())
                .event(Some(&pre(1)), EventKind::Statistics(vec![statistic]))
                .event(None, gap)
                .event(
                    Some(&pre(1)),
                    EventKind::RouteMirroring { codes: vec![1], pdus: vec![vec![1, 2], vec![3]] },
                )
                .event(
                    Some(&pre(1)),
                    EventKind::Malformed { error: "bad".to_owned(), suspect: None, pdu: vec![9] },
                )
                .announce(&pre(1), [0], &[1])
                .build()])
            .await;
        let sql = "SELECT concat_ws(' ', event_type, idx, data) FROM peer_events ORDER BY idx";
        assert_eq!(
            store.database.texts(sql).await,
            ["session_up 0", "peer_up 1", "route_mirroring 4 \\x010203", "malformed 5 \\x09"]
        );
        assert_eq!(
            store.database.texts("SELECT concat_ws(' ', type, value, raw) FROM peer_statistics").await,
            ["7 18446744073709551615 \\xffffffffffffffff"]
        );
        assert_eq!(store.database.texts("SELECT reason || idx FROM collector_gaps").await, ["crash3"]);
        store.close().await;
    }
}

#[tokio::test]
async fn as_paths_keep_their_segments() {
    let Some(mut store) = Store::open(Edition::Timescale, "segments").await else { return };
    let mut set = attributes(&[]);
    set.as_path = Some(AsPath {
        asns: vec![1, 2, 3],
        segments: vec![
            AsPathSegment { kind: SegmentKind::Sequence, count: 1 },
            AsPathSegment { kind: SegmentKind::Set, count: 2 },
        ],
    });
    let mut local = attributes(&[]);
    local.as_path = Some(AsPath::default());
    store
        .put(&[Builder::new("r1", 0)
            .routes(&pre(1), Family::IPV4_UNICAST, Some(&set), [(None, prefix(0))])
            .routes(&pre(1), Family::IPV4_UNICAST, Some(&local), [(None, prefix(1))])
            .announce(&pre(1), [2], &[4, 5])
            .build()])
        .await;
    let sql = "SELECT concat_ws('|', as_path, as_path_text, origin_as) FROM route_updates ORDER BY idx";
    assert_eq!(store.database.texts(sql).await, ["{1,2,3}|1 {2,3}", "{}", "{4,5}|5"]);
    store.close().await;
}

#[tokio::test]
async fn implausible_times_are_stored() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "times").await else { continue };
        for now in [-crate::common::batches::NOW, 0, 3_000_000_000_000_000, 8_000_000_000_000_000_000] {
            let batch =
                Builder::new("r1", 0).at(now).announce(&pre(1), [1], &[1]).event(Some(&pre(1)), peer_up());
            store.put(&[batch.build()]).await;
        }
        assert_eq!(store.database.value::<i64>("SELECT count(*) FROM route_updates").await, 4);
        store.close().await;
    }
}

fn end_of_rib(family: Family) -> EventKind {
    EventKind::EndOfRib { family }
}

fn malformed(family: Family) -> EventKind {
    EventKind::Malformed { error: "cut short".to_owned(), suspect: Some(family.into()), pdu: vec![9] }
}

#[tokio::test]
async fn a_family_is_suspect_until_its_next_whole_table_or_a_peer_down() {
    let suspects = "SELECT concat_ws(' ', family, suspect_reason) FROM family_state \
        WHERE suspect_since IS NOT NULL ORDER BY family";
    let (v4, v6, any) = (Family::IPV4_UNICAST, Family::IPV6_UNICAST, Family { afi: 0, safi: 0 });
    let ends = |session, generation: u32| {
        let peer = pre(generation);
        let builder = Builder::new("r1", session).at(session).event(Some(&peer), peer_up());
        builder.event(Some(&peer), end_of_rib(v4)).event(Some(&peer), end_of_rib(v6))
    };
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "suspect").await else { continue };
        let in_the_dump = Builder::new("r1", 0).event(Some(&pre(1)), malformed(v4));
        store.put(&[in_the_dump.build(), ends(0, 1).build()]).await;
        assert_eq!(store.database.texts(suspects).await, ["ipv4_unicast cut short"], "in its own table");
        store.put(&[ends(1, 1).build()]).await;
        assert_eq!(store.database.texts(suspects).await, [""; 0]);
        store.put(&[Builder::new("r1", 1).at(2).event(Some(&pre(1)), malformed(any)).build()]).await;
        assert_eq!(store.database.texts(suspects).await.len(), 3, "each family, and the unknown one");
        store.put(&[Builder::new("r1", 1).at(3).event(Some(&pre(1)), peer_down()).build()]).await;
        assert_eq!(store.database.texts(suspects).await, [""; 0]);
        // A late PDU of an older session does not affect routes announced since.
        store.put(&[ends(4, 1).build()]).await;
        store.put(&[Builder::new("r1", 1).at(5).event(Some(&pre(2)), malformed(v4)).build()]).await;
        assert_eq!(store.database.texts(suspects).await, [""; 0]);
        store.close().await;
    }
}

#[tokio::test]
async fn a_peer_that_is_not_told_again_stays_stale_with_the_reason() {
    let stale = "SELECT concat_ws(', ', rib, peer_state, stale_reason) FROM family_state ORDER BY rib";
    let lost = EventKind::PeerStale { end: SessionEnd::Lost };
    let session_down = EventKind::SessionDown { end: SessionEnd::Lost };
    let session_up =
        EventKind::SessionUp { sys_name: "r1".to_owned(), sys_descr: String::new(), information: vec![] };
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "not_again").await else { continue };
        let first = Builder::new("r1", 0).event(Some(&pre(1)), peer_up()).announce(&pre(1), [0], &[1]);
        let first = first.event(Some(&pre(1)), lost.clone()).event(None, session_down.clone());
        store.put(&[first.build()]).await;
        assert_eq!(store.database.texts(stale).await, ["adj-in-pre, stale, connection lost"]);
        // BIRD 3 sends only its Initiation message.
        store.put(&[Builder::new("r1", 5).at(5).event(None, session_up.clone()).build()]).await;
        let waiting = "adj-in-pre, stale, not re-announced since reconnect";
        assert_eq!(store.database.texts(stale).await, [waiting]);
        assert_eq!(store.current().await, ["198.51.100.1 adj-in-pre 1.0.0.0/24 1 stale"]);
        store.put(&[Builder::new("r1", 5).at(6).event(Some(&pre(1)), peer_up()).build()]).await;
        assert_eq!(store.database.texts(stale).await, ["adj-in-pre, up"]);
        store.close().await;
    }
}
