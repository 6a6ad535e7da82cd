//! The largest values that a router can send are delivered: no rejected row, and no index row that is too
//! large.

use crate::common::db::Edition;
use crate::common::extremes;
use crate::common::sessions::{options, session};
use crate::common::store::{Store, lane};
use holdfast::codec;
use holdfast::route::{Batch, Timestamp};
use holdfast::sink::{Cause, Quarantine, Source, TransactionBuilder};

use crate::common::batches::NOW;

/// Size that PostgreSQL accepts for a row of a btree index: a third of a page.
const INDEX_ROW_MAX_BYTES: i64 = 2_704;

/// The batches of a session in which each message is as large as it can be.
fn batches(seed: u64) -> Vec<Batch> {
    let now = Timestamp(NOW);
    let mut session = session(options(now));
    let mut batches = Vec::new();
    for message in extremes::messages(seed) {
        session.message(&message, now);
        batches.extend(session.take_batches());
    }
    session.end(&holdfast::route::SessionEnd::Lost, now);
    batches.extend(session.take_batches());
    // As from the log.
    let read = |batch: &Batch| {
        let mut payload = Vec::new();
        codec::encode(batch, &mut payload).unwrap();
        codec::decode(&payload).unwrap()
    };
    batches.iter().map(read).collect()
}

/// For each btree index of the schema, the largest row and the size of its key columns.
const INDEX_KEYS: &str = "
    SELECT format('SELECT %L AS name, coalesce(max(pg_column_size(ROW(%s))), 0)::bigint AS bytes FROM %s',
        i.indexrelid::regclass, string_agg(pg_get_indexdef(i.indexrelid, k, true), ', ' ORDER BY k),
        i.indrelid::regclass)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
    CROSS JOIN LATERAL generate_series(1, i.indnkeyatts) k
    WHERE a.amname = 'btree' AND c.relnamespace = 'holdfast'::regnamespace GROUP BY i.indexrelid, i.indrelid";

#[tokio::test]
async fn the_largest_values_are_stored_without_a_rejected_row() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "largest_values").await else { continue };
        for seed in [1, 2] {
            store.put(&batches(seed)).await;
        }
        let queries = store.database.texts(INDEX_KEYS).await;
        assert!(queries.len() > 20, "{queries:?}");
        let sizes = format!(
            "SELECT concat_ws(' ', bytes, name) FROM ({}) s ORDER BY bytes DESC",
            queries.join(" UNION ALL ")
        );
        let sizes = store.database.texts(&sizes).await;
        println!("{edition:?}: largest index rows: {:?}", sizes.get(..5));
        let largest: i64 = sizes[0].split_once(' ').unwrap().0.parse().unwrap();
        assert!(largest < INDEX_ROW_MAX_BYTES, "{sizes:?}");
        let rejected = store.database.value::<i64>("SELECT count(*) FROM rejected_routes").await;
        assert_eq!(rejected, 0);
        // What is outside of the events is bounded.
        let routers = "SELECT max(length(sys_name)) <= 255 AND max(length(sys_descr)) <= 1024
            AND max(cardinality(information)) <= 256 AND max(pg_column_size(information)) <= 256 * 1032
            FROM bmp_peers";
        assert!(store.database.value::<bool>(routers).await);
        let peers = "SELECT max(length(detail::text)) < 5 * 256 * 1040 AND max(length(table_name)) <= 266
            AND max(jsonb_array_length(detail -> 'information')) <= 256
            AND max(jsonb_array_length(detail -> 'sent_capabilities')) <= 256 FROM bgp_peers";
        assert!(store.database.value::<bool>(peers).await);
        store.close().await;
    }
}

#[tokio::test]
async fn the_largest_values_can_be_rejected() {
    let Some(mut store) = Store::open(Edition::Timescale, "largest_rejected").await else { return };
    let poison = "ALTER TABLE route_records ADD CONSTRAINT poison CHECK (seq < 0);
        ALTER TABLE peer_events ADD CONSTRAINT poison CHECK (event_type <> 'session_up')";
    store.database.client().await.batch_execute(poison).await.unwrap();
    let batches = batches(3);
    let mut quarantine = Quarantine::default();
    let whole = Source { router: batches.last().unwrap().router.name.clone(), peer: None };
    quarantine.insert(&whole, Cause::new("23514", &"no".repeat(5_000)).into());
    let mut transaction = TransactionBuilder::new(lane(), 1).with_quarantine(quarantine.into());
    for batch in &batches {
        transaction.push(transaction.next_seq(), b"payload", batch).unwrap();
    }
    let transaction = transaction.build();
    assert!(transaction.counts.quarantined > 100, "{:?}", transaction.counts);
    store.connection.store(&transaction).await.unwrap();
    let sizes = "SELECT max(length(record)) <= 20000 AND max(length(error)) = 1024
        AND max(length(payload)) < 2 * 1048576 FROM rejected_routes";
    assert!(store.database.value::<bool>(sizes).await);
    store.close().await;
}
