//! Delivery through a real PgBouncer: session mode works, and transaction and statement mode are refused
//! before anything is changed on the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::db::{Database, Edition, connect};
use crate::common::pooler::{PgBouncer, RELEASES};
use crate::common::source::{COLLECTOR, PATIENCE, RECORDS_PER_BATCH, Source, delivered, lane};
use holdfast::forwarder::Forwarder;
use holdfast::sink::{Connection, Error, ErrorAction};

/// Wakes a delivery that waits for the operator.
fn retry(forwarder: &Forwarder) {
    forwarder.settings().send_modify(|_| {});
}

/// Waits until the delivery has an error, and returns it.
async fn blocked(forwarder: &Forwarder) -> String {
    let mut watch = forwarder.delivered();
    let error = watch.wait_for(|status| status.last_error.is_some());
    let status = tokio::time::timeout(PATIENCE, error).await.unwrap().unwrap();
    status.last_error.clone().unwrap()
}

async fn stored(database: &Database) -> i64 {
    database.value("SELECT count(*) FROM stored_records").await
}

#[tokio::test]
async fn a_pooler_in_session_mode_delivers_exactly_once() {
    for release in RELEASES {
        let Some(database) = Database::migrated(Edition::Timescale, &format!("session_{release}")).await
        else {
            return;
        };
        let Some(pooler) = PgBouncer::start(&database, "session", release, "session") else { continue };
        let mut source = Source::new();
        source.fill(1..41).await;
        let forwarder = source.drain(pooler.target(&database), 2, 30);
        delivered(&forwarder, 40).await;
        assert!(forwarder.stop(PATIENCE).await);
        assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0), "{release}");
        assert_eq!(stored(&database).await, 40 * RECORDS_PER_BATCH, "{release}");
        drop(pooler);
        database.drop().await;
    }
}

#[tokio::test]
async fn transaction_and_statement_mode_are_refused_before_anything_is_changed() {
    for release in RELEASES {
        for mode in ["transaction", "statement"] {
            let Some(database) =
                Database::migrated(Edition::Plain, &format!("refused_{release}_{mode}")).await
            else {
                return;
            };
            let Some(pooler) = PgBouncer::start(&database, "refused", release, mode) else { continue };
            let neighbour = connect(&pooler.config(&database)).await;
            let attached = Connection::attach(&pooler.target(&database), &lane(), [1; 16], None).await;
            let error = attached.err().unwrap();
            assert!(matches!(error, Error::SharedProcess), "{release}, {mode}: {error}");
            assert_eq!((error.action(), error.class()), (ErrorAction::Alarm, "pooler"));
            let pool = pooler.target(&database).pool(1).unwrap();
            let error = Error::from(pool.get().await.err().unwrap());
            assert!(matches!(error, Error::SharedProcess), "pool, {release}, {mode}: {error}");
            for part in ["PgBouncer", "pool_mode = transaction or statement", "set pool_mode = session"] {
                assert!(error.to_string().contains(part), "{error}");
            }
            // The server processes are those of the neighbour as well.
            let left = "SELECT count(*) FROM pg_settings WHERE source = 'session' AND name IN ('search_path',
                    'enable_seqscan', 'lock_timeout', 'default_transaction_read_only')
                UNION ALL SELECT count(*) FROM pg_class WHERE relpersistence = 't'
                UNION ALL SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%holdfast%'";
            let messages = neighbour.simple_query(left).await.unwrap();
            let counts = messages.iter().filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            });
            assert_eq!(counts.collect::<Vec<_>>(), ["0", "0", "0"], "{release}, {mode}");
            assert_eq!(database.value::<i64>("SELECT count(*) FROM ingest_checkpoint").await, 0);
            drop((neighbour, pool, pooler));
            database.drop().await;
        }
    }
}

/// A pool from which other clients take connections between two transactions of the check.
#[tokio::test]
async fn transaction_mode_is_recognised_in_a_busy_pool() {
    let Some(database) = Database::migrated(Edition::Plain, "busy_pool").await else { return };
    let Some(pooler) = PgBouncer::start(&database, "busy", "trixie", "transaction") else { return };
    let stop = Arc::new(AtomicBool::new(false));
    let mut others = Vec::new();
    for _ in 0..6 {
        let (client, stop) = (connect(&pooler.config(&database)).await, Arc::clone(&stop));
        others.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                client.simple_query("SELECT count(*) FROM generate_series(1, 2000)").await.unwrap();
            }
        }));
    }
    for _ in 0..30 {
        let refused = pooler.target(&database).connect().await.err().unwrap();
        assert!(matches!(refused, Error::SharedProcess), "{refused}");
    }
    stop.store(true, Ordering::Relaxed);
    for other in others {
        other.await.unwrap();
    }
    drop(pooler);
    database.drop().await;
}

#[tokio::test]
async fn a_refused_delivery_continues_in_session_mode_and_survives_a_change_of_mode() {
    for release in RELEASES {
        let Some(database) = Database::migrated(Edition::Timescale, &format!("modes_{release}")).await else {
            return;
        };
        let Some(pooler) = PgBouncer::start(&database, "modes", release, "transaction") else { continue };
        let mut source = Source::new();
        source.fill(1..21).await;
        let forwarder = source.drain(pooler.target(&database), 2, 30);
        let error = blocked(&forwarder).await;
        assert!(error.contains("PgBouncer") && error.contains("pool_mode = session"), "{release}: {error}");
        assert_eq!(stored(&database).await, 0, "{release}");
        pooler.set_mode("session");
        retry(&forwarder);
        delivered(&forwarder, 20).await;
        // Under the lanes: whatever happens to their transactions, each record is stored once.
        pooler.set_mode("transaction");
        source.fill(21..41).await;
        pooler.set_mode("session");
        retry(&forwarder);
        delivered(&forwarder, 40).await;
        assert!(forwarder.stop(PATIENCE).await);
        assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0), "{release}");
        assert_eq!(stored(&database).await, 40 * RECORDS_PER_BATCH, "{release}");
        drop(pooler);
        database.drop().await;
    }
}
