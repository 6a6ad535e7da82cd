//! Peers at one address are distinguished by AS number and BGP identifier; zeros stand for any value.

use std::net::Ipv4Addr;

use crate::common::batches::{Builder, peer, peer_down, peer_up};
use crate::common::db::{Database, Edition};
use crate::common::store::{COLLECTOR, Store};
use holdfast::route::{Batch, EventKind, Family, Peer, RibView, SessionEnd};
use holdfast::sink::{ForgetRequest, Layout, Retention, forget, maintain, migrate, rebuild_state};

/// A neighbour behind fe80::1.
fn behind(asn: u32, bgp_id: u8, view: RibView, generation: u32) -> Peer {
    let mut peer = peer(1, view, generation);
    peer.key.address = "fe80::1".parse().unwrap();
    (peer.asn, peer.bgp_id) = (asn, Ipv4Addr::new(bgp_id, 0, 0, bgp_id));
    peer
}

fn pre(asn: u32, bgp_id: u8, generation: u32) -> Peer {
    behind(asn, bgp_id, RibView::AdjInPre, generation)
}

fn loc_rib(asn: u32, bgp_id: u8) -> Peer {
    behind(asn, bgp_id, RibView::LocRib, 0)
}

/// The current routes with the identity of their peers, one line each.
const ROUTES: &str = "SELECT concat_ws(' ', bgp_peer_asn, host(bgp_id), rib, prefix,
    array_to_string(as_path, ','), CASE WHEN is_stale THEN 'stale' END)
    FROM route_state WHERE NOT is_withdrawn ORDER BY 1";

/// The RIB views with their states, one line each.
const VIEWS: &str = "SELECT concat_ws(' ', asn, host(bgp_id), rib, state) FROM bgp_peers ORDER BY 1";

/// Compares routes and peers, with each batch in its own transaction and with all in one, and the current
/// table with history.
async fn each_way(test: &str, batches: &[Batch], routes: &[&str], views: &[&str]) {
    for edition in Edition::ALL {
        for together in [false, true] {
            let name = format!("id_{test}_{together}");
            let Some(mut store) = Store::open(edition, &name).await else { continue };
            if together {
                store.put(batches).await;
            } else {
                for batch in batches {
                    store.put(std::slice::from_ref(batch)).await;
                }
            }
            assert_eq!(store.database.texts(ROUTES).await, routes, "{edition:?}, together: {together}");
            assert_eq!(store.database.texts(VIEWS).await, views, "{edition:?}, together: {together}");
            assert_is_consistent(&store.database).await;
            store.database.client().await.batch_execute("DELETE FROM rib_entries").await.unwrap();
            rebuild_state(&mut store.database.client().await, COLLECTOR, true).await.unwrap();
            assert_eq!(store.database.texts(ROUTES).await, routes, "{edition:?}, rebuilt");
            store.close().await;
        }
    }
}

async fn assert_is_consistent(database: &Database) {
    let found = rebuild_state(&mut database.client().await, COLLECTOR, false).await.unwrap();
    assert!(found.iter().all(|comparison| comparison.is_consistent()), "{found:?}");
}

#[tokio::test]
async fn a_peer_down_of_one_neighbour_ends_no_route_of_another_one_at_the_same_address() {
    let (a, b) = (pre(65_101, 1, 0), pre(65_102, 2, 0));
    let same_as = pre(65_101, 3, 0);
    let batches = [
        Builder::new("r1", 0)
            .event(Some(&a), peer_up())
            .event(Some(&b), peer_up())
            .event(Some(&same_as), peer_up())
            .announce(&a, 0..2, &[1])
            .announce(&b, 0..2, &[2])
            .announce(&same_as, 0..1, &[3])
            .announce(&behind(65_101, 1, RibView::AdjInPost, 0), 0..1, &[1])
            .announce(&behind(65_102, 2, RibView::AdjInPost, 0), 0..1, &[2])
            .build(),
        Builder::new("r1", 0).at(1).withdraw(&b, [1]).event(Some(&a), peer_down()).build(),
        Builder::new("r1", 0).at(2).announce(&same_as, [1], &[3]).build(),
    ];
    each_way(
        "down",
        &batches,
        &[
            "65101 3.0.0.3 adj-in-pre 1.0.0.0/24 3",
            "65101 3.0.0.3 adj-in-pre 1.0.1.0/24 3",
            "65102 2.0.0.2 adj-in-post 1.0.0.0/24 2",
            "65102 2.0.0.2 adj-in-pre 1.0.0.0/24 2",
        ],
        &[
            "65101 1.0.0.1 adj-in-post down",
            "65101 1.0.0.1 adj-in-pre down",
            "65101 3.0.0.3 adj-in-pre up",
            "65102 2.0.0.2 adj-in-post up",
            "65102 2.0.0.2 adj-in-pre up",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_sweep_of_one_neighbour_ends_no_route_of_another_one() {
    let (a, b) = (pre(65_101, 1, 0), pre(65_102, 2, 0));
    let sweep = EventKind::Sweep { family: Family::IPV4_UNICAST };
    let batches = [
        Builder::new("r1", 0).announce(&a, 0..2, &[1]).announce(&b, 0..2, &[2]).build(),
        Builder::new("r1", 9).at(1).announce(&a, 0..1, &[1]).event(Some(&a), sweep).build(),
    ];
    each_way(
        "sweep",
        &batches,
        &[
            "65101 1.0.0.1 adj-in-pre 1.0.0.0/24 1",
            "65102 2.0.0.2 adj-in-pre 1.0.0.0/24 2",
            "65102 2.0.0.2 adj-in-pre 1.0.1.0/24 2",
        ],
        &["65101 1.0.0.1 adj-in-pre up", "65102 2.0.0.2 adj-in-pre up"],
    )
    .await;
}

#[tokio::test]
async fn a_loc_rib_is_identified_by_its_bgp_identifier_whatever_its_as() {
    let (zeros, a, b) = (loc_rib(0, 1), loc_rib(65_101, 1), loc_rib(65_101, 2));
    let batches = [
        Builder::new("r1", 0).event(Some(&zeros), peer_up()).announce(&zeros, 0..2, &[1]).build(),
        Builder::new("r1", 0)
            .at(1)
            .announce(&a, 1..3, &[2])
            .withdraw(&loc_rib(65_999, 1), [2])
            .announce(&b, 0..1, &[3])
            .build(),
        Builder::new("r1", 0).at(2).event(Some(&b), peer_down()).build(),
    ];
    each_way(
        "loc",
        &batches,
        &["65999 1.0.0.1 loc-rib 1.0.0.0/24 1", "65999 1.0.0.1 loc-rib 1.0.1.0/24 2"],
        &["65101 2.0.0.2 loc-rib down", "65999 1.0.0.1 loc-rib up"],
    )
    .await;
}

#[tokio::test]
async fn zeros_are_those_of_the_only_peer_that_they_match() {
    // FRR: a Peer Down with zeros comes first. GoBGP: the last messages of a Loc-RIB have zeros.
    let (zeros, a) = (pre(65_101, 0, 0), pre(65_101, 1, 1));
    let batches = [
        Builder::new("r1", 0).event(Some(&zeros), peer_down()).build(),
        Builder::new("r1", 0).at(1).event(Some(&a), peer_up()).announce(&a, 0..3, &[1]).build(),
        Builder::new("r1", 0).at(2).withdraw(&pre(65_101, 0, 1), [1]).build(),
        Builder::new("r1", 0).at(3).withdraw(&pre(0, 0, 1), [2]).announce(&pre(0, 1, 1), [3], &[4]).build(),
    ];
    let routes = ["65101 1.0.0.1 adj-in-pre 1.0.0.0/24 1", "65101 1.0.0.1 adj-in-pre 1.0.3.0/24 4"];
    each_way("zeros", &batches, &routes, &["65101 1.0.0.1 adj-in-pre up"]).await;
    let ended = Builder::new("r1", 0).at(4).event(Some(&pre(0, 0, 1)), peer_down()).build();
    let batches = [&batches[..], &[ended]].concat();
    each_way("zeros_down", &batches, &[], &["65101 1.0.0.1 adj-in-pre down"]).await;
}

#[tokio::test]
async fn zeros_that_match_several_peers_are_a_peer_of_their_own() {
    let (zeros, a, b) = (pre(65_101, 0, 0), pre(65_101, 1, 0), pre(65_101, 2, 0));
    let batches = [
        // Seen while there was no other one, so that it becomes the first of them.
        Builder::new("r1", 0).announce(&zeros, 4..6, &[1]).build(),
        Builder::new("r1", 5)
            .at(1)
            .announce(&a, 0..1, &[1])
            .withdraw(&a, [4])
            .announce(&b, 0..1, &[2])
            .build(),
        Builder::new("r1", 9).at(2).event(Some(&pre(65_101, 0, 3)), peer_down()).build(),
        Builder::new("r1", 9).at(3).announce(&pre(65_101, 0, 4), [0], &[9]).build(),
    ];
    each_way(
        "several",
        &batches,
        &[
            "65101 0.0.0.0 adj-in-pre 1.0.0.0/24 9",
            "65101 1.0.0.1 adj-in-pre 1.0.0.0/24 1",
            "65101 1.0.0.1 adj-in-pre 1.0.5.0/24 1 stale",
            "65101 2.0.0.2 adj-in-pre 1.0.0.0/24 2",
        ],
        &["65101 0.0.0.0 adj-in-pre up", "65101 1.0.0.1 adj-in-pre up", "65101 2.0.0.2 adj-in-pre up"],
    )
    .await;
}

#[tokio::test]
async fn zeros_of_a_forgotten_peer_are_those_of_the_same_peer_again() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "id_forgotten").await else { continue };
        let (a, zeros) = (pre(65_101, 1, 0), pre(65_101, 0, 0));
        store.put(&[Builder::new("r1", 0).announce(&a, 0..2, &[1]).build()]).await;
        let request = ForgetRequest { router: "r1", peer: Some("fe80::1"), force: true };
        let forgotten = forget(&mut store.database.client().await, COLLECTOR, request).await.unwrap();
        assert_eq!(forgotten.len(), 1);
        assert!(store.database.texts(VIEWS).await.is_empty());
        store.put(&[Builder::new("r1", 1).at(1).announce(&zeros, 1..2, &[2]).build()]).await;
        assert_eq!(store.database.texts(VIEWS).await, ["65101 1.0.0.1 adj-in-pre up"], "{edition:?}");
        assert_eq!(store.database.texts(ROUTES).await, ["65101 1.0.0.1 adj-in-pre 1.0.1.0/24 2"]);
        assert_is_consistent(&store.database).await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_peer_that_changes_its_as_keeps_a_history_that_either_names() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "id_change").await else { continue };
        let minute = 60_000_000;
        let (before, after) = (pre(65_001, 1, 0), pre(65_002, 9, 2));
        store
            .put(&[
                Builder::new("r1", 0).event(Some(&before), peer_up()).announce(&before, 0..2, &[1]).build(),
                Builder::new("r1", 0).at(minute).event(Some(&before), peer_down()).build(),
                Builder::new("r1", 0)
                    .at(2 * minute)
                    .event(Some(&after), peer_up())
                    .announce(&after, 0..1, &[2])
                    .build(),
            ])
            .await;
        store.put(&[Builder::new("r1", 0).at(3 * minute).withdraw(&after, [0]).build()]).await;
        let table = async |selector: &str, at: i64| {
            let sql = format!(
                "SELECT concat_ws(' ', peer_as, host(bgp_id), route, path) FROM rib_at('{selector}',
                    timestamptz '2026-11-23 00:00:30+00' + {at} * interval '1 minute') ORDER BY 1"
            );
            store.database.texts(&sql).await
        };
        let first = ["65001 1.0.0.1 1.0.0.0/24 1", "65001 1.0.0.1 1.0.1.0/24 1"];
        let second = ["65002 9.0.0.9 1.0.0.0/24 2"];
        for (selector, at, expected) in [
            ("fe80::1", 0, &first[..]),
            ("AS65001", 0, &first),
            ("fe80::1 bgp-id=1.0.0.1", 0, &first),
            ("AS65002", 0, &[]),
            ("fe80::1", 1, &[]),
            ("fe80::1", 2, &second),
            ("fe80::1 as65002 r1", 2, &second),
            ("bgp-id=9.0.0.9", 2, &second),
            ("fe80::1 AS65001", 2, &[]),
            ("fe80::1", 3, &[]),
        ] {
            assert_eq!(table(selector, at).await, expected, "{edition:?}: {selector} at {at}");
        }
        let timeline = "SELECT concat_ws(' ', peer_as, event) FROM prefix_timeline('1.0.0.0/24',
            until => '2026-11-24', of_peer => 'AS65002')";
        let expected = ["65002 peer_up", "65002 announce", "65002 withdraw"];
        assert_eq!(store.database.texts(timeline).await, expected);
        let flaps = "SELECT concat_ws(' ', peer_as, event, was_up) FROM peer_flaps('100 years')";
        let expected = ["65001 peer_up", "65001 peer_down 00:01:00", "65002 peer_up"];
        assert_eq!(store.database.texts(flaps).await, expected);
        assert_is_consistent(&store.database).await;
        store.close().await;
    }
}

#[tokio::test]
async fn retention_keeps_the_routes_of_both_neighbours_and_the_ends_of_each() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "id_retention").await else { continue };
        let (a, b) = (pre(65_101, 1, 0), pre(65_102, 2, 0));
        let year = 365 * 86_400_000_000;
        store
            .put(&[
                Builder::new("r1", 0)
                    .at(-3 * year)
                    .announce(&pre(0, 0, 0), 8..9, &[9])
                    .announce(&a, 0..3, &[1])
                    .withdraw(&a, [8])
                    .announce(&b, 0..3, &[2])
                    .build(),
                Builder::new("r1", 0).at(-3 * year + 1).event(Some(&a), peer_down()).build(),
                Builder::new("r1", 0).at(-3 * year + 2).withdraw(&b, [0]).build(),
            ])
            .await;
        let pool = store.database.target.pool(2).unwrap();
        maintain(&pool, Retention { routes_days: Some(500), events_days: Some(500) }).await.unwrap();
        assert_eq!(store.database.value::<i64>("SELECT count(*) FROM route_updates").await, 0);
        let kept = "SELECT concat_ws(' ', bgp_peer_asn, prefix) FROM kept_routes ORDER BY 1";
        let expected = [
            "65101 1.0.0.0/24",
            "65101 1.0.1.0/24",
            "65101 1.0.2.0/24",
            "65102 1.0.1.0/24",
            "65102 1.0.2.0/24",
        ];
        assert_eq!(store.database.texts(kept).await, expected, "{edition:?}");
        let routes = ["65102 2.0.0.2 adj-in-pre 1.0.1.0/24 2", "65102 2.0.0.2 adj-in-pre 1.0.2.0/24 2"];
        assert_eq!(store.database.texts(ROUTES).await, routes);
        assert_is_consistent(&store.database).await;
        let at = "SELECT concat_ws(' ', peer_as, route) FROM rib_at('fe80::1', 'infinity') ORDER BY 1";
        assert_eq!(store.database.texts(at).await, ["65102 1.0.1.0/24", "65102 1.0.2.0/24"]);
        drop(pool);
        store.close().await;
    }
}

/// Statements that an earlier release would have left: its migrations, one view and one function.
async fn migrate_to_4(database: &Database) {
    crate::slim_history::migrate_to(database, 4).await;
    let client = database.client().await;
    client
        .batch_execute(
            "CREATE VIEW chosen_peers AS SELECT *, peer_distinguisher AS vrf FROM bgp_peers;
            CREATE VIEW current_routes AS
                SELECT e.* FROM rib_entries e JOIN chosen_peers p ON p.id = e.peer_id;
            CREATE FUNCTION peers(peer text DEFAULT NULL) RETURNS TABLE (id bigint, router text)
                LANGUAGE sql STABLE AS 'SELECT p.id, p.router FROM chosen_peers p'",
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn peers_of_an_earlier_release_keep_their_routes_and_are_told_apart_from_then_on() {
    for edition in Edition::ALL {
        let Some(database) = Database::empty(edition, "id_upgrade").await else { continue };
        migrate_to_4(&database).await;
        let client = database.client().await;
        // Two neighbours that were one peer: its identity is the last one.
        client
            .batch_execute(
                "INSERT INTO bgp_peers (collector, router, peer_type, distinguisher, address, rib,
                    peer_distinguisher, bmp_peer_ip, asn, bgp_id, state, session, generation, state_seq,
                    state_idx, valid_session, valid_generation, first_seen, last_seen)
                SELECT 'c1', 'r1', 0, '\\x0000000000000000', 'fe80::1', rib, '0:0', '192.0.2.1', 65102,
                    '2.0.0.2', 'up', '2026-11-22', 0, 0, 0, '-infinity', 0, '2026-11-22', '2026-11-22'
                FROM unnest(ARRAY['adj-in-pre', 'adj-in-post']) AS rib;
                INSERT INTO rib_entries (peer_id, first_seen, last_seen, last_state_change, session,
                    generation, seq, idx, learn_count, withdraw_count, afi, safi, is_withdrawn,
                    route_key, prefix)
                VALUES (1, '2026-11-22', '2026-11-22', '2026-11-22', '2026-11-22', 0, 1, 0, 1, 0, 1, 1, false,
                    '\\x01', '9.0.0.0/24');
                INSERT INTO route_updates (time, bmp_peer_ip, bgp_peer_ip, bgp_peer_asn, family, prefix,
                    is_withdrawn, collector, log_id, seq, idx, session, generation, router, peer_type,
                    peer_distinguisher, bgp_id, rib, afi, safi, cause, route_key)
                VALUES ('2026-11-22', '192.0.2.1', 'fe80::1', 65101, 'ipv4_unicast', '9.0.0.0/24', false,
                    'c1', '07070707-0707-0707-0707-070707070707', 1, 0, '2026-11-22', 0, 'r1', 0, '0:0',
                    '1.0.0.1',
                    'adj-in-pre', 1, 1, 'update', '\\x01')",
            )
            .await
            .unwrap();
        let applied = migrate(&mut database.client().await, &Layout::default(), 7).await.unwrap();
        assert!(applied.versions.contains(&5) && applied.has_replaced_functions);
        assert_is_consistent(&database).await;
        let (a, b) = (pre(65_101, 1, 0), pre(65_102, 2, 0));
        let stale = EventKind::PeerStale { end: SessionEnd::CollectorStop };
        let mut store = Store::with(database).await;
        store
            .put(&[
                Builder::new("r1", -86_400_000_000).event(Some(&a), stale).build(),
                Builder::new("r1", 0)
                    .event(Some(&a), peer_up())
                    .event(Some(&b), peer_up())
                    .announce(&a, 0..1, &[1])
                    .announce(&b, 0..1, &[2])
                    .build(),
            ])
            .await;
        let routes = [
            "65101 1.0.0.1 adj-in-pre 1.0.0.0/24 1",
            "65102 2.0.0.2 adj-in-pre 1.0.0.0/24 2",
            "65102 2.0.0.2 adj-in-pre 9.0.0.0/24 stale",
        ];
        assert_eq!(store.database.texts(ROUTES).await, routes, "{edition:?}");
        assert_is_consistent(&store.database).await;
        store.put(&[Builder::new("r1", 0).at(1).event(Some(&b), peer_down()).build()]).await;
        assert_eq!(store.database.texts(ROUTES).await, routes[..1], "{edition:?}");
        assert_is_consistent(&store.database).await;
        drop((client, store.connection));
        store.database.drop().await;
    }
}
