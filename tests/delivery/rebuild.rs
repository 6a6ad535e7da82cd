//! `holdfast rebuild-state`: compares the current table with history, and repairs every row that differs.

use std::net::IpAddr;

use crate::common::batches::{Builder, attributes, peer, peer_down, peer_up, prefix};
use crate::common::db::{Database, Edition};
use crate::common::store::{COLLECTOR, Store};
use holdfast::route::{
    Batch, Cause, Esi, EventKind, EvpnRoute, Family, Mac, Nlri, Peer, Rd, RibView, SessionEnd,
};
use holdfast::sink::{Dedup, Retention, maintain, rebuild_state};

fn pre(generation: u32) -> Peer {
    peer(1, RibView::AdjInPre, generation)
}

fn mac_route() -> (Option<u32>, Nlri) {
    let route = EvpnRoute::MacIp {
        rd: Rd([0, 0, 0xfd, 0xe8, 0, 0, 0, 1]),
        esi: Esi([0; 10]),
        tag: 0,
        mac: Mac([2, 0, 0, 0, 0, 1]),
        ip: Some(IpAddr::from([10, 0, 0, 1])),
        label: 100,
        label2: None,
    };
    (None, Nlri::Evpn(Box::new(route)))
}

/// Routes announced, changed, withdrawn, ended by a Peer Down, re-announced unchanged, and swept; several
/// views.
fn story() -> Vec<Batch> {
    let at = |minute: i64, session: i64| Builder::new("r1", session).at(minute * 60_000_000);
    let post = peer(1, RibView::AdjInPost, 1);
    let other = peer(2, RibView::AdjInPre, 1);
    let (lost, again) = (EventKind::PeerStale { end: SessionEnd::Lost }, 100);
    let redump = |peer: &Peer| {
        at(8, again).event(Some(peer), peer_up()).announce(peer, 2..5, &[3]).because(Cause::ReDump).build()
    };
    vec![
        at(1, 0)
            .event(Some(&pre(1)), peer_up())
            .announce(&pre(1), 0..6, &[1])
            .announce(&post, 0..3, &[1])
            .build(),
        at(2, 0).withdraw(&pre(1), [1]).announce(&pre(1), [2], &[2]).build(),
        at(3, 0).event(Some(&pre(1)), peer_down()).build(),
        at(4, 0).event(Some(&pre(2)), peer_up()).announce(&pre(2), 2..6, &[3]).build(),
        at(5, 0)
            .event(Some(&other), peer_up())
            .routes(&other, Family::EVPN, Some(&attributes(&[9])), [mac_route()])
            .routes(
                &other,
                Family::IPV4_UNICAST,
                Some(&attributes(&[8])),
                [(Some(7), prefix(1)), (Some(8), prefix(1))],
            )
            .build(),
        at(6, 0).event(Some(&pre(2)), lost).build(),
        redump(&pre(1)),
        at(9, again)
            .event(Some(&pre(1)), EventKind::EndOfRib { family: Family::IPV4_UNICAST })
            .event(Some(&pre(1)), EventKind::Sweep { family: Family::IPV4_UNICAST })
            .build(),
        at(10, again).announce(&pre(1), [2], &[4]).withdraw(&pre(1), [0]).build(),
    ]
}

async fn verdicts(database: &Database, mend: bool) -> Vec<String> {
    let found = rebuild_state(&mut database.client().await, COLLECTOR, mend).await.unwrap();
    found.iter().map(|verdict| format!("{} {}", verdict.name, verdict.routes)).collect()
}

async fn told(edition: Edition, test: &str, dedup: Dedup) -> Option<Store> {
    let mut store = Store::open(edition, test).await?;
    store.dedup = dedup;
    for batch in story() {
        store.put(&[batch]).await;
    }
    Some(store)
}

/// The routes without times, and without the attributes of withdrawn ones, which the repair does not restore.
const ROUTES: &str =
    "SELECT concat_ws(' ', bgp_peer_ip, rib, family, coalesce(prefix::text, mac_address), path_id, is_stale,
    learn_count, withdraw_count, CASE WHEN is_withdrawn THEN 'withdrawn' ELSE
    concat_ws(' ', as_path, communities, large_communities, next_hop, labels, nlri, evpn_rd) END)
    FROM route_state ORDER BY peer_id, route_key";

#[tokio::test]
async fn the_current_table_is_what_history_says_and_refreshed_routes_are_told_apart() {
    for edition in Edition::ALL {
        for (dedup, expected) in
            [(Dedup::Off, ["equal 12"].as_slice()), (Dedup::ReDumps, &["equal 10", "refreshed 2"])]
        {
            let Some(store) = told(edition, &format!("proof_{dedup:?}").to_lowercase(), dedup).await else {
                continue;
            };
            assert_eq!(verdicts(&store.database, false).await, expected, "{edition:?}");
            store.close().await;
        }
    }
}

/// Damage to the table, and the expected result of the comparison.
const PLANTED: &[(&str, &[&str])] = &[
    (
        "UPDATE rib_entries SET attributes = (SELECT hash FROM path_attributes WHERE as_path = '{9}') \
        WHERE is_withdrawn IS FALSE
        AND prefix = '1.0.2.0/24' AND peer_id = 1",
        &["different 1", "equal 11"],
    ),
    (
        "UPDATE rib_entries SET is_withdrawn = NOT is_withdrawn WHERE prefix = '1.0.1.0/24' \
        AND peer_id = 1",
        &["different 1", "equal 11"],
    ),
    ("UPDATE rib_entries SET labels = '{5}' WHERE mac_address IS NOT NULL", &["different 1", "equal 11"]),
    ("UPDATE rib_entries SET seq = seq - 1 WHERE mac_address IS NOT NULL", &["different 1", "equal 11"]),
    ("DELETE FROM rib_entries WHERE prefix = '1.0.2.0/24'", &["equal 10", "missing 2"]),
    ("DELETE FROM path_attributes WHERE as_path = '{8}'", &["different 2", "equal 10"]),
    (
        "INSERT INTO rib_entries SELECT (jsonb_populate_record(e, '{\"route_key\": \"\\\\x00\"}')).* \
        FROM rib_entries e
        WHERE mac_address IS NOT NULL",
        &["equal 12", "unfounded 1"],
    ),
    (
        "UPDATE bgp_peers SET valid_session = '-infinity' WHERE rib = 'adj-in-post'",
        &["different 3", "equal 9"],
    ),
    ("UPDATE peer_families SET valid_session = '-infinity' WHERE afi = 1", &["different 1", "equal 11"]),
    // A position that cannot come from a re-dump, because the ledger has counted no unchanged route.
    (
        "UPDATE rib_entries SET seq = seq + 1 WHERE mac_address IS NOT NULL",
        &["equal 11", "excess 1", "refreshed 1"],
    ),
    ("DELETE FROM rib_entries", &["missing 12"]),
];

#[tokio::test]
async fn every_planted_row_is_found_and_mended() {
    for edition in Edition::ALL {
        let Some(store) = told(edition, "planted", Dedup::Off).await else { continue };
        let before = store.database.texts(ROUTES).await;
        let client = store.database.client().await;
        for (plant, expected) in PLANTED {
            client.batch_execute(plant).await.unwrap();
            assert_eq!(verdicts(&store.database, false).await, *expected, "{edition:?}: {plant}");
            if plant.contains("seq + 1") {
                client
                    .batch_execute("UPDATE rib_entries SET seq = seq - 1 WHERE mac_address IS NOT NULL")
                    .await
                    .unwrap();
                continue;
            }
            assert_eq!(verdicts(&store.database, true).await, *expected, "{edition:?}: {plant}");
            assert_eq!(verdicts(&store.database, false).await, ["equal 12"], "{edition:?}: mended: {plant}");
            assert_eq!(store.database.texts(ROUTES).await, before, "{edition:?}: {plant}");
        }
        drop(client);
        store.close().await;
    }
}

#[tokio::test]
async fn delivery_goes_on_over_a_rebuilt_table_and_after_retention() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "rebuilt").await else { continue };
        let year = 365 * 86_400_000_000;
        let old = Builder::new("r1", 0).at(-3 * year).announce(&pre(1), 0..3, &[1]).build();
        store.put(&[old, Builder::new("r1", 0).at(-3 * year + 1).withdraw(&pre(1), [0]).build()]).await;
        store.put(&[Builder::new("r1", 0).announce(&pre(1), [1], &[2]).build()]).await;
        let pool = store.database.target.pool(2).unwrap();
        maintain(&pool, Retention { routes_days: Some(500), events_days: None }).await.unwrap();
        assert_eq!(store.database.value::<i64>("SELECT count(*) FROM route_updates").await, 1);
        assert_eq!(verdicts(&store.database, false).await, ["equal 2", "forgotten 1"], "{edition:?}");
        let client = store.database.client().await;
        client.batch_execute("DELETE FROM rib_entries").await.unwrap();
        assert_eq!(verdicts(&store.database, true).await, ["missing 2"]);
        store.put(&[Builder::new("r1", 0).at(5).announce(&pre(1), [1, 2], &[2]).build()]).await;
        assert_eq!(
            store.current().await,
            ["198.51.100.1 adj-in-pre 1.0.1.0/24 2", "198.51.100.1 adj-in-pre 1.0.2.0/24 2"]
        );
        assert_eq!(verdicts(&store.database, false).await, ["equal 2"]);
        drop((client, pool));
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_is_compared_at_one_moment_and_mended_while_a_lane_stores() {
    let Some(mut store) = told(Edition::Timescale, "meanwhile", Dedup::Off).await else { return };
    let client = store.database.client().await;
    let database = &store.database;
    let checks = async {
        for mend in [false, true, false, true, false] {
            client.batch_execute("DELETE FROM rib_entries WHERE mac_address IS NOT NULL").await.unwrap();
            let found = verdicts(database, mend).await;
            assert_eq!(found.last().map(String::as_str), Some("missing 1"), "{found:?}");
            verdicts(database, true).await;
            assert!(verdicts(database, false).await.iter().all(|verdict| verdict.starts_with("equal")));
        }
    };
    let mut next = store.next;
    let connection = &mut store.connection;
    let stores = async {
        for round in 0..60 {
            let batch = Builder::new("r1", 100).at(700_000_000 + round).announce(
                &pre(1),
                0..40,
                &[u32::try_from(round).unwrap()],
            );
            let mut chunk = holdfast::sink::TransactionBuilder::new(crate::common::store::lane(), next);
            chunk.push(next, b"payload", &batch.build()).unwrap();
            connection.store(&chunk.build()).await.unwrap();
            next += 1;
        }
    };
    tokio::join!(checks, stores);
    drop(client);
    store.close().await;
}

/// `holdfast rebuild-state` on this database.
fn command(database: &Database, words: &[&str]) -> (Option<i32>, String) {
    let (code, out, error) = database.command(None, COLLECTOR, &[&["rebuild-state"], words].concat());
    (code, out + &error)
}

#[tokio::test]
async fn the_command_says_what_differs_and_ends_with_a_code() {
    let Some(store) = told(Edition::Plain, "rebuild_command", Dedup::Off).await else { return };
    assert_eq!(
        command(&store.database, &[]),
        (Some(0), "12 routes compared, 0 differ\nequal               12\n".to_owned())
    );
    let client = store.database.client().await;
    client
        .batch_execute("UPDATE rib_entries SET labels = '{5}' WHERE prefix = '1.0.1.0/24' AND path_id = 7")
        .await
        .unwrap();
    let differs = "12 routes compared, 1 differ\n\
        different            1  for example 198.51.100.2 adj-in-pre 1.0.1.0/24\nequal               11\n";
    assert_eq!(command(&store.database, &[]), (Some(1), differs.to_owned()));
    let (code, said) = command(&store.database, &["--write"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.ends_with("after the repair:\n12 routes compared, 0 differ\nequal               12\n"),
        "{said}"
    );
    drop(client);
    store.close().await;
}
