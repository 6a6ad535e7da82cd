//! `holdfast forget` and FORGET_AFTER_DAYS: what is gone for good leaves the current tables; its history
//! stays.

use crate::common::batches::{Builder, NOW, peer, peer_down, peer_up};
use crate::common::db::{Database, Edition};
use crate::common::store::{COLLECTOR, OWNER, Store};
use holdfast::route::{Batch, EventKind, Peer, RibView, SessionEnd};
use holdfast::sink::{
    Connection, ForgetRequest, Lane, TransactionBuilder, forget, forget_older, lane_of, rebuild_state,
};
use holdfast::wal::LogId;
use tokio_postgres::error::SqlState;

fn pre(last: u8) -> Peer {
    peer(last, RibView::AdjInPre, 0)
}

fn lost() -> EventKind {
    EventKind::SessionDown { end: SessionEnd::Lost }
}

fn stale() -> EventKind {
    EventKind::PeerStale { end: SessionEnd::Lost }
}

/// A session with two peers.
fn session(router: &str, origin: u32) -> Batch {
    Builder::new(router, 0)
        .event(None, session_up(router))
        .event(Some(&pre(1)), peer_up())
        .announce(&pre(1), 0..3, &[origin])
        .announce(&peer(1, RibView::AdjInPost, 0), 0..1, &[origin])
        .announce(&pre(2), 0..1, &[origin])
        .build()
}

fn session_up(router: &str) -> EventKind {
    EventKind::SessionUp { sys_name: router.to_owned(), sys_descr: String::new(), information: Vec::new() }
}

/// The end of that session.
fn end(router: &str) -> Batch {
    Builder::new(router, 0)
        .at(60_000_000)
        .event(Some(&pre(1)), stale())
        .event(Some(&pre(2)), stale())
        .event(None, lost())
        .build()
}

async fn assert_is_consistent(database: &Database) {
    let found = rebuild_state(&mut database.client().await, COLLECTOR, false).await.unwrap();
    assert!(found.iter().all(|comparison| comparison.is_consistent()), "{found:?}");
}

/// Exit code, standard output and standard error of `holdfast forget`.
fn command(database: &Database, words: &[&str]) -> (Option<i32>, String, String) {
    database.command(None, COLLECTOR, &[&["forget"], words].concat())
}

fn refused(database: &Database, words: &[&str], error: &str) {
    let found = command(database, words);
    assert_eq!(found, (Some(1), String::new(), format!("holdfast: {error}\n")), "{words:?}");
}

const MOAS: &str = "SELECT concat_ws(' ', prefix, array_to_string(origins, ',')) FROM moas() ORDER BY 1";

#[tokio::test]
async fn a_router_under_its_old_name_is_forgotten_and_conflicts_with_nothing() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "forget_router").await else { continue };
        store.put(&[session("old", 1), end("old"), session("new", 2)]).await;
        let conflicts = ["1.0.0.0/24 1,2", "1.0.1.0/24 1,2", "1.0.2.0/24 1,2"];
        assert_eq!(store.database.texts(MOAS).await, conflicts);
        let database = &store.database;
        refused(database, &["Old"], "unknown router \"Old\"; routers of this collector: new, old");
        let live = "router \"new\" is connected in the database; use --force to forget it nevertheless";
        refused(database, &["new"], live);
        let (code, out, error) = command(database, &["old"]);
        assert_eq!((code, error.as_str()), (Some(0), ""));
        assert_eq!(
            out,
            "peer 198.51.100.1 AS65001 10.0.0.1: 2 RIB views, 4 routes\n\
             peer 198.51.100.2 AS65001 10.0.0.2: 1 RIB views, 1 routes\n\
             forgot router old: 2 peers, 3 RIB views, 5 routes; the history remains\n"
        );
        assert_eq!(database.texts(MOAS).await, Vec::<String>::new());
        for table in ["bgp_peers", "bmp_peers"] {
            let sql = format!("SELECT count(*) FROM {table} WHERE router = 'old'");
            assert_eq!(database.value::<i64>(&sql).await, 0, "{table}");
        }
        let history = "SELECT count(*) FROM route_updates WHERE router = 'old'";
        assert_eq!(database.value::<i64>(history).await, 5);
        refused(database, &["old"], "unknown router \"old\"; routers of this collector: new");
        assert_is_consistent(database).await;
        rebuild_state(&mut database.client().await, COLLECTOR, true).await.unwrap();
        assert_eq!(database.value::<i64>("SELECT count(*) FROM rib_entries").await, 5, "nothing comes back");

        // The router comes back: its peers are new ones, and the table of a time before is known.
        let again = Builder::new("old", 90_000_000).at(90_000_000).announce(&pre(1), [7], &[9]).build();
        store.put(&[again]).await;
        let current = "SELECT concat_ws(' ', route, path) FROM current_routes WHERE router = 'old'";
        assert_eq!(store.database.texts(current).await, ["1.0.7.0/24 9"]);
        assert_is_consistent(&store.database).await;
        let at = |time: &str| {
            format!(
                "SELECT concat_ws(' ', route, path) FROM rib_at('old 198.51.100.1', {time}, 'adj-in-pre')
                ORDER BY 1"
            )
        };
        let before = ["1.0.0.0/24 1", "1.0.1.0/24 1", "1.0.2.0/24 1"];
        let past = at("timestamptz '2026-11-23 00:00:30+00'");
        assert_eq!(store.database.texts(&past).await, before, "{edition:?}");
        assert_eq!(store.database.texts(&at("'infinity'")).await, ["1.0.7.0/24 9"]);
        store.close().await;
    }
}

#[tokio::test]
async fn one_peer_is_forgotten_and_the_others_of_its_router_stay() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "forget_peer").await else { continue };
        let mut neighbour = pre(1);
        (neighbour.asn, neighbour.bgp_id) = (65_009, [9, 9, 9, 9].into());
        let also = Builder::new("r1", 0)
            .at(1)
            .announce(&neighbour, 0..2, &[5])
            .event(Some(&pre(1)), peer_down())
            .build();
        store.put(&[session("r1", 1), also]).await;
        let database = &store.database;
        let known =
            "198.51.100.1 AS65001 10.0.0.1, 198.51.100.1 AS65009 9.9.9.9, 198.51.100.2 AS65001 10.0.0.2";
        let unknown = format!("router \"r1\" has no peer \"198.51.100.9\"; its peers: {known}");
        refused(database, &["r1", "198.51.100.9"], &unknown);
        let live = "peer 198.51.100.1 AS65009 9.9.9.9 of \"r1\" is up in the database; \
            use --force to forget it nevertheless";
        refused(database, &["r1", "198.51.100.1"], live);
        let (code, out, error) = command(database, &["r1", "198.51.100.1", "AS65001"]);
        assert_eq!((code, error.as_str()), (Some(0), ""), "{edition:?}");
        assert!(
            out.ends_with("forgot peers of router r1: 1 peers, 2 RIB views, 4 routes; the history remains\n")
        );
        let left = "SELECT concat_ws(' ', peer_as, host(bgp_id), state) FROM peers() ORDER BY 1";
        assert_eq!(database.texts(left).await, ["65001 10.0.0.2 up", "65009 9.9.9.9 up"]);
        assert_eq!(database.value::<i64>("SELECT count(*) FROM bmp_peers").await, 1);
        assert_is_consistent(database).await;
        // Forgotten although it is up; its next record brings it back, without its earlier routes.
        let (code, ..) = command(database, &["r1", "bgp-id=9.9.9.9", "--force"]);
        assert_eq!(code, Some(0));
        assert_is_consistent(database).await;
        store.put(&[Builder::new("r1", 0).at(2).announce(&neighbour, [1], &[6]).build()]).await;
        let current = "SELECT concat_ws(' ', route, path) FROM current_routes WHERE peer_as = 65009";
        assert_eq!(store.database.texts(current).await, ["1.0.1.0/24 6"]);
        assert_is_consistent(&store.database).await;
        store.close().await;
    }
}

fn lane(number: u32) -> Lane {
    Lane { collector: COLLECTOR.to_owned(), log_id: LogId([7; 16]), number, count: 2 }
}

async fn put(database: &Database, connection: &mut Connection, number: u32, first: u64, batches: &[Batch]) {
    let mut transaction = TransactionBuilder::new(lane(number), first);
    for batch in batches {
        transaction.push(transaction.next_seq(), b"payload", batch).unwrap();
    }
    let transaction = transaction.build();
    if let Err(error) = connection.store(&transaction).await {
        // A peer was forgotten: as a lane does, attach again, and then ask for its state.
        assert_eq!(error.sqlstate().map(SqlState::code), Some("BM004"), "{error}");
        *connection = Connection::attach(&database.target, &lane(number), OWNER, None).await.unwrap().0;
        connection.store(&transaction).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_lane_delivers_later_counts_and_what_it_had_delivered_does_not() {
    let Some(database) = Database::migrated(Edition::Plain, "forget_lanes").await else { return };
    let peers: Vec<Peer> = [0, 1]
        .map(|number| (1..).map(pre).find(|peer| lane_of("r1", &peer.key, 2) == number).unwrap())
        .to_vec();
    let mut connections = Vec::new();
    for number in 0..2 {
        connections.push(Connection::attach(&database.target, &lane(number), OWNER, None).await.unwrap().0);
    }
    let batches: Vec<Batch> = (0..4)
        .map(|number| {
            let builder = Builder::new("r1", 0).at(i64::from(number));
            builder.announce(&peers[0], [number], &[1]).announce(&peers[1], [number], &[2]).build()
        })
        .collect();
    // Lane 0 is two batches ahead of lane 1.
    put(&database, &mut connections[0], 0, 1, &batches[..3]).await;
    put(&database, &mut connections[1], 1, 1, &batches[..1]).await;
    let request = ForgetRequest { router: "r1", peer: None, force: true };
    let forgotten = forget(&mut database.client().await, COLLECTOR, request).await.unwrap();
    assert_eq!(forgotten.iter().map(|peer| peer.routes).sum::<u64>(), 4);
    assert_is_consistent(&database).await;
    put(&database, &mut connections[0], 0, 4, &batches[3..]).await;
    put(&database, &mut connections[1], 1, 2, &batches[1..]).await;
    let current = "SELECT concat_ws(' ', path, route) FROM current_routes ORDER BY 1";
    let expected = ["1 1.0.3.0/24", "2 1.0.1.0/24", "2 1.0.2.0/24", "2 1.0.3.0/24"];
    assert_eq!(database.texts(current).await, expected);
    assert_is_consistent(&database).await;
    drop(connections);
    database.drop().await;
}

#[tokio::test]
async fn old_peers_and_routers_leave_by_themselves() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "forget_older").await else { continue };
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let days = |days: i64| i64::try_from(since.as_micros()).unwrap() - NOW - days * 86_400_000_000;
        let at = |router: &str, age: i64| Builder::new(router, days(age)).at(days(age));
        store
            .put(&[
                // Gone for 40 days, gone for 5 days, and connected with an old peer that is down.
                at("gone", 40)
                    .announce(&pre(1), 0..2, &[1])
                    .event(Some(&pre(1)), stale())
                    .event(None, lost())
                    .build(),
                at("lost", 5)
                    .announce(&pre(1), 0..2, &[1])
                    .event(Some(&pre(1)), stale())
                    .event(None, lost())
                    .build(),
                at("live", 40)
                    .announce(&pre(1), 0..2, &[1])
                    .announce(&pre(2), 0..2, &[1])
                    .event(Some(&pre(1)), peer_down())
                    .build(),
            ])
            .await;
        let mut client = store.database.client().await;
        for (age, expected) in [
            (60, &["gone", "live", "live", "lost"][..]),
            (30, &["live", "lost"]),
            (30, &["live", "lost"]),
            (3, &["live"]),
        ] {
            forget_older(&mut client, COLLECTOR, age).await.unwrap();
            let left = "SELECT router FROM bgp_peers ORDER BY 1";
            assert_eq!(store.database.texts(left).await, expected, "{edition:?}: older than {age} days");
            assert_is_consistent(&store.database).await;
        }
        let routers = "SELECT router FROM bmp_peers ORDER BY 1";
        assert_eq!(store.database.texts(routers).await, ["live"]);
        assert_eq!(store.database.value::<i64>("SELECT count(*) FROM route_updates").await, 8);
        drop(client);
        store.close().await;
    }
}
