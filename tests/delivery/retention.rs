//! Retention: dropped rows are neither reported missing by holdfast_verify nor needed for later tables.

use crate::common::batches::{Builder, peer, peer_down, peer_up};
use crate::common::db::Edition;
use crate::common::store::Store;
use holdfast::route::{Batch, Peer, RibView};
use holdfast::sink::{Retention, maintain};

const DAY: i64 = 86_400_000_000;

fn pre(generation: u32) -> Peer {
    peer(1, RibView::AdjInPre, generation)
}

/// A batch whose time is this many days before the server's time.
fn ago(days: i64) -> Builder {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = i64::try_from(since.as_micros()).unwrap() - crate::common::batches::NOW;
    Builder::new("r1", 0).at(now - days * DAY)
}

/// Routes ended, announced, or withdrawn before the retention period; one changed since; and new ones.
fn story() -> [Batch; 4] {
    [
        ago(300).event(Some(&pre(1)), peer_up()).announce(&pre(1), 0..1, &[9]).build(),
        ago(250).event(Some(&pre(1)), peer_down()).build(),
        ago(200)
            .event(Some(&pre(2)), peer_up())
            .announce(&pre(2), 1..4, &[1])
            .announce(&pre(2), [1], &[2])
            .withdraw(&pre(2), [3])
            .build(),
        ago(10).announce(&pre(2), [2, 4], &[5]).build(),
    ]
}

async fn table(store: &Store, days: i64) -> Vec<String> {
    let sql = format!(
        "SELECT split_part(route, '.', 3) || ':' || path \
            FROM rib_at('AS65001', now() - interval '{days} days') ORDER BY 1"
    );
    store.database.texts(&sql).await
}

#[tokio::test]
async fn routes_older_than_retention_are_in_tables_of_later_times() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "retention").await else { continue };
        for batch in story() {
            store.put(&[batch]).await;
        }
        let pool = store.database.target.pool(2).unwrap();
        let now = ["1:2", "2:5", "4:5"];
        for dropped in [false, true] {
            if dropped {
                let retention = Retention { routes_days: Some(100), events_days: Some(50) };
                maintain(&pool, retention).await.unwrap();
                let left = "SELECT count(*) FROM route_updates";
                assert_eq!(store.database.value::<i64>(left).await, 2, "{edition:?}");
                assert_eq!(store.database.value::<i64>("SELECT count(*) FROM peer_events").await, 0);
            }
            assert_eq!(table(&store, 20).await, ["1:2", "2:1"], "{edition:?}, dropped: {dropped}");
            assert_eq!(table(&store, 0).await, now, "{edition:?}, dropped: {dropped}");
            assert_eq!(
                store.database.missing_and_doubled(crate::common::store::COLLECTOR).await,
                (0, 0),
                "{edition:?}"
            );
        }
        let client = store.database.client().await;
        let early = client.query("SELECT * FROM rib_at('AS65001', now() - interval '150 days')", &[]).await;
        assert!(early.is_err(), "a table from before the history");
        // Rows missing in addition to the dropped ones are still detected.
        client.batch_execute("DELETE FROM route_records WHERE seq = 4 AND idx = 0").await.unwrap();
        assert_eq!(
            store.database.missing_and_doubled(crate::common::store::COLLECTOR).await,
            (1, 0),
            "{edition:?}"
        );
        drop((client, pool));
        drop(store.connection);
        store.database.drop().await;
    }
}

/// A native partition from 260 to 160 days ago.
const OLD_PARTITION: &str = "DO $$
    DECLARE
        starts timestamptz := date_trunc('day', now() - interval '260 days');
        ends timestamptz := date_trunc('day', now() - interval '160 days');
    BEGIN
        EXECUTE format('CREATE TABLE route_records_old PARTITION OF route_records
            FOR VALUES FROM (%L) TO (%L)', starts, ends);
        INSERT INTO time_partitions VALUES ('route_records', 'route_records_old', starts, ends);
    END
    $$";

/// Dropping a chunk needs a lock that conflicts with readers, and whoever reads meanwhile waits behind it.
#[tokio::test]
async fn a_long_reader_postpones_retention_and_freezes_nobody() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "lock_timeout").await else { continue };
        if edition == Edition::Plain {
            // Rows of the default partition are deleted, which conflicts with no reader.
            store.database.client().await.batch_execute(OLD_PARTITION).await.unwrap();
        }
        for batch in story() {
            store.put(&[batch]).await;
        }
        let pool = store.database.target.pool(1).unwrap();
        let retention = Retention { routes_days: Some(150), events_days: None };
        maintain(&pool, Retention::default()).await.unwrap();
        let mut reader = store.database.client().await;
        let reading = reader.transaction().await.unwrap();
        let rows: i64 = reading.query_one("SELECT count(*) FROM route_updates", &[]).await.unwrap().get(0);
        let refused = maintain(&pool, retention).await.unwrap_err().to_string();
        assert!(refused.starts_with("retention of route_records: "), "{edition:?}: {refused}");
        assert!(refused.contains("lock timeout (55P03); a long query or pg_dump"), "{edition:?}: {refused}");
        // Nothing waits any more, and nothing was dropped.
        let count = "SELECT count(*) FROM route_updates";
        assert_eq!(store.database.value::<i64>(count).await, rows, "{edition:?}");
        reading.commit().await.unwrap();
        maintain(&pool, retention).await.unwrap();
        assert!(store.database.value::<i64>(count).await < rows, "{edition:?}");
        drop((reader, pool));
        store.close().await;
    }
}
