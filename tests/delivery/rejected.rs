//! Records that the database rejects: isolated one by one, listed, and stored by a retry without the cause.

use crate::common::batches::{Builder, peer};
use crate::common::db::{Database, Edition};
use crate::common::source::{COLLECTOR, PATIENCE, RECORDS_PER_BATCH, Source, delivered, lane};
use holdfast::forwarder::LaneState;
use holdfast::route::{Batch, Class, RibView};
use holdfast::sink::{
    Connection, Dedup, ErrorAction, Quarantine, RecordRange, RetryCounts, Transaction, TransactionBuilder,
    retry_rejected,
};

/// A cause of rejected history rows, and the statement that removes it.
const POISON: &str =
    "ALTER TABLE route_records ADD CONSTRAINT poison CHECK (prefix <> '1.0.13.0/24' OR is_withdrawn)";
const CURED: &str = "ALTER TABLE route_records DROP CONSTRAINT poison";
const LEDGER: &str =
    "SELECT concat_ws(' ', sum(routes), sum(stored), sum(unchanged), sum(rejected)) FROM ingest_ledger";

/// A connection that stores one transaction after another.
struct Lane {
    database: Database,
    connection: Connection,
    next: u64,
}

impl Lane {
    async fn open(test: &str) -> Option<Self> {
        let database = Database::migrated(Edition::Timescale, test).await?;
        let (connection, _) = Connection::attach(&database.target, &lane(), [1; 16], None).await.unwrap();
        Some(Self { database, connection, next: 1 })
    }

    fn chunk(&self, batches: &[Batch]) -> (Transaction, RecordRange) {
        let (mut chunk, mut span) =
            (TransactionBuilder::new(lane(), self.next), RecordRange::new(lane(), Dedup::default()));
        for batch in batches {
            let seq = chunk.next_seq();
            chunk.push(seq, b"", batch).unwrap();
            span.push(seq, batch.clone());
        }
        (chunk.build(), span)
    }

    async fn store(&mut self, batches: &[Batch]) {
        let (chunk, _) = self.chunk(batches);
        self.connection.store(&chunk).await.unwrap();
        self.next = chunk.last_seq + 1;
    }

    /// Stores a transaction that is rejected at first, without the rejected records.
    async fn isolate(&mut self, batches: &[Batch]) -> u64 {
        let (chunk, span) = self.chunk(batches);
        let refused = self.connection.store(&chunk).await.unwrap_err();
        assert_eq!(refused.action(), ErrorAction::Reject, "{refused}");
        (self.connection, _) =
            Connection::attach(&self.database.target, &lane(), [1; 16], Some(1)).await.unwrap();
        let isolated = self.connection.isolate(&chunk, span, &Quarantine::default(), false).await.unwrap();
        self.next = chunk.last_seq + 1;
        isolated.rejected
    }

    async fn sql(&self, sql: &str) {
        self.database.client().await.batch_execute(sql).await.unwrap();
    }

    async fn present(&self) -> Vec<String> {
        let sql =
            "SELECT concat_ws(' ', prefix, as_path) FROM route_state WHERE NOT is_withdrawn ORDER BY prefix";
        self.database.texts(sql).await
    }

    async fn retry_rejected(&self) -> (u64, u64) {
        let RetryCounts { stored, rejected: refused } =
            retry_rejected(&self.database.target, COLLECTOR).await.unwrap();
        (stored, refused)
    }

    async fn close(self) {
        assert_eq!(self.database.missing_and_doubled(COLLECTOR).await, (0, 0));
        drop(self.connection);
        self.database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_row_is_put_aside_and_delivered_when_the_cause_is_gone() {
    for edition in Edition::ALL {
        let Some(database) = Database::migrated(edition, "one_bad_row").await else { continue };
        database.client().await.batch_execute(POISON).await.unwrap();
        let mut source = Source::new();
        source.fill(0..200).await;
        let forwarder = source.drain(database.target.clone(), 2, 500);
        delivered(&forwarder, 200).await;
        assert!(forwarder.delivered().borrow().is_healthy());
        assert_eq!(forwarder.delivered().borrow().lanes.iter().map(|lane| lane.rejected).sum::<u64>(), 1);
        assert!(forwarder.stop(PATIENCE).await);
        assert_eq!(database.texts(LEDGER).await, ["2600 2599 0 1"]);
        let rows = "SELECT concat_ws(' ', seq, idx, sqlstate, error, record::jsonb ->> 'prefix') \
            FROM rejected_routes";
        let seen = database.texts(rows).await;
        assert_eq!(seen.len(), 1);
        assert!(seen[0].starts_with("2 4 23514 ") && seen[0].ends_with(" 1.0.13.0/24"), "{seen:?}");
        let present = "SELECT count(*) FROM route_state WHERE NOT is_withdrawn";
        assert_eq!(database.value::<i64>(present).await, 200 * 7 - 1);
        assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));

        let still = retry_rejected(&database.target, COLLECTOR).await.unwrap();
        assert_eq!(still, RetryCounts { stored: 0, rejected: 1 });
        database.client().await.batch_execute(CURED).await.unwrap();
        let cured = retry_rejected(&database.target, COLLECTOR).await.unwrap();
        assert_eq!(cured, RetryCounts { stored: 1, rejected: 0 });
        assert_eq!(database.texts(LEDGER).await, ["2600 2600 0 0"]);
        assert_eq!(database.value::<i64>(present).await, 200 * 7);
        assert_eq!(database.value::<i64>("SELECT count(*) FROM rejected_routes").await, 0);
        let stored = database.value::<i64>("SELECT count(*) FROM stored_records").await;
        assert_eq!(stored, 200 * RECORDS_PER_BATCH);
        assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
        database.drop().await;
    }
}

#[tokio::test]
async fn a_retried_row_never_takes_the_present_back() {
    let Some(mut lane) = Lane::open("retry_order").await else { return };
    let pre = peer(1, RibView::AdjInPre, 1);
    lane.sql(POISON).await;
    let old = Builder::new("r1", 0).announce(&pre, [13, 14], &[1]).build();
    assert_eq!(lane.isolate(&[old]).await, 1);
    assert_eq!(lane.present().await, ["1.0.14.0/24 {1}"]);
    lane.sql(CURED).await;
    lane.store(&[Builder::new("r1", 0).at(1).announce(&pre, [13], &[2]).build()]).await;
    assert_eq!(lane.retry_rejected().await, (1, 0));
    assert_eq!(lane.present().await, ["1.0.13.0/24 {2}", "1.0.14.0/24 {1}"]);
    let history = "SELECT as_path::text FROM route_updates WHERE prefix = '1.0.13.0/24' ORDER BY seq";
    assert_eq!(lane.database.texts(history).await, ["{1}", "{2}"]);
    lane.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_a_lane_that_was_removed_is_retried() {
    let Some(database) = Database::migrated(Edition::Plain, "retry_lane").await else { return };
    database.client().await.batch_execute(POISON).await.unwrap();
    let mut source = Source::new();
    source.fill(0..1).await;
    for address in 1..=4 {
        let peer = peer(address, RibView::AdjInPre, 1);
        let batch = Builder::new("r1", 0).announce(&peer, [13, 14], &[1]).build();
        source.put(&Batch { class: Class::Live, after: 1, ..batch }).await;
    }
    for (lanes, last) in [(3, 5), (1, 6), (2, 7)] {
        let forwarder = source.drain(database.target.clone(), lanes, 500);
        delivered(&forwarder, u64::from(last)).await;
        assert!(forwarder.stop(PATIENCE).await);
        source.fill(last..last + 1).await;
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM rejected_routes").await, 4);
    assert!(database.value::<i32>("SELECT max(lane) FROM rejected_routes").await > 3);
    database.client().await.batch_execute(CURED).await.unwrap();
    let cured = retry_rejected(&database.target, COLLECTOR).await.unwrap();
    assert_eq!(cured, RetryCounts { stored: 4, rejected: 0 });
    let stored = "SELECT count(*) FROM route_updates WHERE prefix = '1.0.13.0/24' AND seq BETWEEN 2 AND 5";
    assert_eq!(database.value::<i64>(stored).await, 4);
    assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
    database.drop().await;
}

#[tokio::test]
async fn what_the_current_table_alone_refuses_is_in_neither_table() {
    let Some(mut lane) = Lane::open("present_refuses").await else { return };
    lane.sql("ALTER TABLE rib_entries ADD CONSTRAINT poison CHECK (prefix <> '1.0.13.0/24')").await;
    let pre = peer(1, RibView::AdjInPre, 1);
    let batch = Builder::new("r1", 0).announce(&pre, 10..20, &[1]).build();
    assert_eq!(lane.isolate(&[batch]).await, 1);
    assert_eq!(lane.present().await.len(), 9);
    assert_eq!(lane.database.value::<i64>("SELECT count(*) FROM route_updates").await, 9);
    lane.sql("ALTER TABLE rib_entries DROP CONSTRAINT poison").await;
    assert_eq!(lane.retry_rejected().await, (1, 0));
    assert_eq!(lane.present().await.len(), 10);
    lane.close().await;
}

#[tokio::test]
async fn events_that_are_refused_are_put_aside_too() {
    let Some(mut lane) = Lane::open("event_refused").await else { return };
    lane.sql("ALTER TABLE peer_events ADD CONSTRAINT poison CHECK (event_type <> 'peer_down')").await;
    let pre = peer(1, RibView::AdjInPre, 1);
    let batch = Builder::new("r1", 0)
        .event(Some(&pre), crate::common::batches::peer_up())
        .announce(&pre, 0..3, &[1])
        .event(Some(&pre), crate::common::batches::peer_down())
        .build();
    assert_eq!(lane.isolate(&[batch]).await, 1);
    // The current table agrees with the history.
    assert_eq!(lane.present().await.len(), 3);
    assert_eq!(lane.database.texts(LEDGER).await, ["3 3 0 0"]);
    lane.sql("ALTER TABLE peer_events DROP CONSTRAINT poison").await;
    assert_eq!(lane.retry_rejected().await, (1, 0));
    assert!(lane.present().await.is_empty());
    lane.close().await;
}

#[tokio::test]
async fn a_cause_that_concerns_all_rows_stores_nothing_and_says_what_to_do() {
    let Some(mut lane) = Lane::open("systemic").await else { return };
    lane.sql("ALTER TABLE route_records ADD CONSTRAINT poison CHECK (safi < 0)").await;
    let batches: Vec<Batch> = (0..20).map(crate::common::source::batch).collect();
    let (chunk, span) = lane.chunk(&batches);
    let refused = lane.connection.isolate(&chunk, span, &Quarantine::default(), false).await.unwrap_err();
    assert_eq!(refused.action(), ErrorAction::Alarm);
    let text = refused.to_string();
    assert!(text.starts_with("11 of 300 records rejected, the first with: new row"), "{text}");
    assert!(text.contains("(23514)") && text.contains("ordinary rows are rejected as well"), "{text}");
    assert!(text.contains("nothing is lost"), "{text}");
    (lane.connection, _) =
        Connection::attach(&lane.database.target, &crate::common::source::lane(), [1; 16], Some(1))
            .await
            .unwrap();
    assert_eq!(lane.database.value::<i64>("SELECT count(*) FROM stored_records").await, 0);
    lane.sql(CURED).await;
    lane.store(&batches).await;
    assert_eq!(lane.retry_rejected().await, (0, 0));
    lane.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_in_every_transaction_stop_the_drain_with_an_alarm() {
    let Some(database) = Database::migrated(Edition::Timescale, "refused_again").await else { return };
    // Ordinary rows, which are tried from the third transaction with a rejected record on, have this one too.
    let poison = "ALTER TABLE route_records ADD CONSTRAINT poison CHECK (idx <> 2)";
    database.client().await.batch_execute(poison).await.unwrap();
    let mut source = Source::new();
    source.fill(0..100).await;
    let forwarder = source.drain(database.target.clone(), 1, RECORDS_PER_BATCH.cast_unsigned());
    let mut watch = forwarder.delivered();
    let alarmed = watch
        .wait_for(|delivered| delivered.lanes.first().is_some_and(|lane| lane.state == LaneState::Blocked));
    let lane = tokio::time::timeout(PATIENCE, alarmed).await.unwrap().unwrap().lanes[0].clone();
    assert_eq!((lane.delivered.0, lane.rejected), (2, 2));
    assert!(lane.last_error.unwrap().contains("nothing is lost"));
    forwarder.stop(PATIENCE).await;
    assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
    database.drop().await;
}
