//! Compaction of the ledger and deletion of unused attribute sets: no row that is still needed is removed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::batches::{Builder, attributes, peer, prefix};
use crate::common::db::{Database, Edition};
use crate::common::store::{COLLECTOR, Store};
use holdfast::route::{Batch, Family, Peer, RibView};
use holdfast::sink::{Connection, Lane, TransactionBuilder, digests, lane_of};
use holdfast::wal::LogId;

fn batch(path: u32) -> Batch {
    Builder::new("r1", 0).announce(&peer(1, RibView::AdjInPre, 1), [1, 2], &[path]).build()
}

/// Number of rows and sums of the ledger.
const LEDGER: &str = "SELECT concat_ws(' ', count(*), min(first_seq), max(last_seq), sum(records), \
    sum(stored), sum(unchanged))
    FROM ingest_ledger";

#[tokio::test]
async fn rows_of_one_hour_of_the_ledger_become_one_with_the_same_sums_and_the_last_digest() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "fold").await else { continue };
        for path in 1..=6 {
            store.put(&[batch(path)]).await;
        }
        let client = store.database.client().await;
        // Three of one hour, two of the next, and one of today.
        let age = "UPDATE ingest_ledger SET committed_at = date_trunc('hour', now() - interval '3 days')
            + CASE WHEN first_seq < 4 THEN interval '1 minute' * first_seq ELSE interval '61 minutes' END \
            WHERE first_seq < 6";
        client.batch_execute(age).await.unwrap();
        assert_eq!(store.database.texts(LEDGER).await, ["6 1 6 12 12 0"]);
        let fold = "SELECT holdfast_fold_ledger(interval '1 day')";
        assert_eq!(store.database.value::<i64>(fold).await, 3);
        assert_eq!(store.database.texts(LEDGER).await, ["3 1 6 12 12 0"], "{edition:?}");
        assert_eq!(store.database.value::<i64>(fold).await, 0);
        let found = digests(&client, COLLECTOR, LogId([7; 16]), 1, 6).await.unwrap();
        let ends: Vec<(u64, u64)> = found.iter().map(|(_, seq, digest)| (*seq, *digest)).collect();
        let expected = [3, 5, 6].map(|seq| (seq, holdfast::sink::digest(seq, b"payload")));
        assert_eq!(ends, expected, "a copy of the log is told by the digests that are left");
        // Delivery continues, and holdfast_verify finds nothing missing.
        store.put(&[batch(7)]).await;
        drop(client);
        store.close().await;
    }
}

#[tokio::test]
async fn what_does_not_follow_on_is_not_folded_over() {
    let Some(mut store) = Store::open(Edition::Plain, "fold_break").await else { return };
    for path in 1..=5 {
        store.put(&[batch(path)]).await;
    }
    let client = store.database.client().await;
    client
        .batch_execute(
            "DELETE FROM ingest_ledger WHERE first_seq = 3; \
             UPDATE ingest_ledger SET committed_at = now() - interval '9 days'",
        )
        .await
        .unwrap();
    let breaks = "SELECT ledger_breaks FROM holdfast_verify('c1')";
    assert_eq!(store.database.value::<i64>(breaks).await, 1);
    client.batch_execute("SELECT holdfast_fold_ledger(interval '1 day')").await.unwrap();
    assert_eq!(
        store.database.texts("SELECT first_seq || '-' || last_seq FROM ingest_ledger ORDER BY 1").await,
        ["1-2", "4-5"]
    );
    assert_eq!(store.database.value::<i64>(breaks).await, 1);
    drop((client, store.connection));
    store.database.drop().await;
}

/// Number of routes whose attribute set does not exist.
const DANGLING: &str = "SELECT count(*) FROM rib_entries e
    WHERE NOT e.is_withdrawn AND NOT EXISTS (SELECT FROM path_attributes a WHERE a.hash = e.attributes)";
const AGE: &str = "UPDATE path_attributes SET used_at = now() - interval '30 days'";
const CLEAN: &str = "SELECT holdfast_clean_attributes(interval '7 days', interval '0')";

#[tokio::test]
async fn attribute_sets_that_no_route_has_go_after_their_grace() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "clean").await else { continue };
        store.put(&[batch(1)]).await;
        store.put(&[batch(2)]).await;
        let client = store.database.client().await;
        assert_eq!(store.database.value::<i64>(CLEAN).await, 0, "within the grace");
        client.batch_execute(AGE).await.unwrap();
        let often = "SELECT holdfast_clean_attributes(interval '7 days', interval '1 hour')";
        assert_eq!(store.database.value::<i64>(often).await, 0, "done a moment ago");
        assert_eq!(store.database.value::<i64>(CLEAN).await, 1, "{edition:?}");
        assert_eq!(store.database.texts("SELECT as_path::text FROM path_attributes").await, ["{2}"]);
        assert_eq!(store.database.value::<i64>(DANGLING).await, 0);
        drop(client);
        store.close().await;
    }
}

/// Waits until a lane waits for a lock.
async fn a_lane_waits(database: &Database) {
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'holdfast' AND wait_event_type = 'Lock'";
    let give_up = Instant::now() + Duration::from_secs(60);
    while database.value::<i64>(waiting).await == 0 {
        assert!(Instant::now() < give_up, "no lane waits");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attribute_set_that_a_lane_is_about_to_use_again_stays() {
    for edition in Edition::ALL {
        // The cleanup runs during the lane's transaction, or is not yet committed when the lane's begins.
        for cleaning_first in [false, true] {
            let Some(mut store) = Store::open(edition, "clean_race").await else { continue };
            store.put(&[batch(1)]).await;
            store.put(&[batch(2)]).await;
            let (blocker, cleaner) = (store.database.client().await, store.database.client().await);
            blocker.batch_execute(AGE).await.unwrap();
            let again = [batch(1)];
            let mut chunk = TransactionBuilder::new(crate::common::store::lane(), store.next);
            chunk.push(store.next, b"payload", &again[0]).unwrap();
            let sealed = chunk.build();
            let (database, connection) = (&store.database, &mut store.connection);
            let (stored, gone) = if cleaning_first {
                let meanwhile = async {
                    cleaner.batch_execute("BEGIN").await.unwrap();
                    let gone: i64 = cleaner.query_one(CLEAN, &[]).await.unwrap().get(0);
                    let lane = connection.store(&sealed);
                    let commit = async {
                        a_lane_waits(database).await;
                        cleaner.batch_execute("COMMIT").await.unwrap();
                    };
                    (tokio::join!(lane, commit).0, gone)
                };
                meanwhile.await
            } else {
                blocker.batch_execute("BEGIN; SELECT FROM rib_entries FOR UPDATE").await.unwrap();
                let lane = connection.store(&sealed);
                let clean = async {
                    a_lane_waits(database).await;
                    let gone: i64 = cleaner.query_one(CLEAN, &[]).await.unwrap().get(0);
                    blocker.batch_execute("COMMIT").await.unwrap();
                    gone
                };
                tokio::join!(lane, clean)
            };
            stored.unwrap();
            assert_eq!(gone, i64::from(cleaning_first), "{edition:?}");
            assert_eq!(
                database.value::<i64>(DANGLING).await,
                0,
                "{edition:?}, cleaning first: {cleaning_first}"
            );
            drop((blocker, cleaner));
            store.next += 1;
            store.close().await;
        }
    }
}

fn peer_of(lane: u32) -> Peer {
    let of = |last| peer(last, RibView::AdjInPre, 1);
    of((1..).find(|last| lane_of("r1", &of(*last).key, 2) == lane).unwrap())
}

/// One lane stores its part of batches that announce the routes of both peers with alternating attribute
/// sets.
async fn deliver(database: &Database, number: u32, first: u64, batches: u64) {
    let lane = Lane { collector: COLLECTOR.to_owned(), log_id: LogId([7; 16]), number, count: 2 };
    let (mut connection, attached) =
        Connection::attach(&database.target, &lane, crate::common::store::OWNER, None).await.unwrap();
    assert_eq!(attached.last_seq + 1, first);
    for seq in first..first + batches {
        let mut builder = Builder::new("r1", 0);
        for route in 0..100 {
            let set = attributes(&[route, (u32::try_from(seq).unwrap() + route) % 7]);
            builder = builder.routes(
                &peer_of(route % 2),
                Family::IPV4_UNICAST,
                Some(&set),
                [(None, prefix(route))],
            );
        }
        let mut chunk = TransactionBuilder::new(lane.clone(), seq);
        chunk.push(seq, b"payload", &builder.build()).unwrap();
        connection.store(&chunk.build()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_attribute_set_goes_while_two_lanes_use_old_ones_again() {
    for edition in Edition::ALL {
        let Some(database) = Database::migrated(edition, "clean_lanes").await else { continue };
        let mut cleaned = 0;
        for round in 0..8 {
            // No lane has an open transaction here, so the ages can be changed.
            database.client().await.batch_execute(AGE).await.unwrap();
            let busy = AtomicBool::new(true);
            let lanes = async {
                let first = round * 12 + 1;
                tokio::join!(deliver(&database, 0, first, 12), deliver(&database, 1, first, 12));
                busy.store(false, Ordering::Relaxed);
            };
            let cleaner = async {
                let client = database.client().await;
                let mut gone = 0;
                while busy.load(Ordering::Relaxed) {
                    gone += client.query_one(CLEAN, &[]).await.unwrap().get::<_, i64>(0);
                }
                gone
            };
            let ((), gone) = tokio::join!(lanes, cleaner);
            cleaned += gone;
            assert_eq!(database.value::<i64>(DANGLING).await, 0, "{edition:?}");
        }
        assert!(cleaned > 0, "nothing was ever cleaned");
        assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
        database.drop().await;
    }
}
