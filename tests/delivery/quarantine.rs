//! A source whose rows the database refuses is set aside, and harms no other source.

use std::time::Duration;

use crate::common::batches::{Builder, peer};
use crate::common::db::{Database, Edition};
use crate::common::source::{COLLECTOR, PATIENCE, Source, delivered, lane};
use holdfast::forwarder::{self, LaneState, LaneStatus};
use holdfast::route::{Batch, RibView};
use holdfast::sink::{
    Cause, Connection, Dedup, ErrorAction, Quarantine, RecordRange, RetryCounts, TransactionBuilder,
    retry_rejected,
};

const LEDGER: &str =
    "SELECT concat_ws(' ', sum(routes), sum(stored), sum(unchanged), sum(rejected)) FROM ingest_ledger";
const REFUSE_ROUTER: &str = "ALTER TABLE incarnations ADD CONSTRAINT poison CHECK (router <> 'hostile')";
const REFUSE_PEER: &str = "ALTER TABLE attribute_sets ADD CONSTRAINT poison CHECK (as_path[1] <> 666)";
const CURED: &str = "ALTER TABLE route_records DROP CONSTRAINT IF EXISTS poison;
    ALTER TABLE incarnations DROP CONSTRAINT IF EXISTS poison;
    ALTER TABLE attribute_sets DROP CONSTRAINT IF EXISTS poison";

/// Batch `number` of a log in which four routers alternate. Each has six peers that announce four routes and
/// withdraw one of them.
fn batch(number: u32) -> Batch {
    let router = ["edge1", "edge2", "hostile", "edge3"][usize::try_from(number % 4).unwrap()];
    let mut builder = Builder::new(router, 0).at(i64::from(number));
    for last in 1..=6 {
        let peer = peer(last, RibView::AdjInPre, 1);
        let routes = number * 10..number * 10 + 4;
        builder = builder.announce(&peer, routes.clone(), &[65_000 + number]).withdraw(&peer, routes.take(1));
    }
    builder.build()
}

/// Records of a batch, and routes that it leaves announced.
const RECORDS: i64 = 30;
const ROUTES: i64 = 18;

/// One router: peer 66 announces one route with the refused AS number in each batch, and nine others.
fn poisoned(number: u32) -> Batch {
    let (bad, good) = (peer(66, RibView::AdjInPre, 1), peer(1, RibView::AdjInPre, 1));
    let routes = number * 10..number * 10 + 9;
    Builder::new("edge1", 0)
        .at(i64::from(number))
        .announce(&good, routes.clone(), &[65_001])
        .announce(&bad, routes, &[65_002])
        .announce(&bad, [number * 10 + 9], &[666])
        .build()
}

async fn put(source: &mut Source, batches: impl IntoIterator<Item = Batch>) -> u64 {
    let mut last = source.progress.borrow().durable.0;
    for batch in batches {
        source.put(&batch).await;
        last += 1;
    }
    source.progress.wait_for(|progress| progress.durable.0 >= last).await.unwrap().durable.0
}

async fn sql(database: &Database, sql: &str) {
    database.client().await.batch_execute(sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_whose_every_row_is_refused_stops_no_other_router() {
    for edition in Edition::ALL {
        let Some(database) = Database::migrated(edition, "one_router_refused").await else { continue };
        sql(&database, REFUSE_ROUTER).await;
        let mut source = Source::new();
        let count: u32 = 40;
        put(&mut source, (0..count).map(batch)).await;
        let forwarder = source.drain(database.target.clone(), 1, 100);
        delivered(&forwarder, u64::from(count)).await;
        let status: LaneStatus = forwarder.delivered().borrow().lanes[0].clone();
        assert!(forwarder.delivered().borrow().is_healthy(), "the lane has not stopped: {status:?}");
        let hostile = i64::from(count / 4) * RECORDS;
        assert_eq!(status.rejected, u64::try_from(hostile).unwrap());
        assert_eq!(status.quarantined, 1, "{status:?}");
        let quarantined = &status.quarantined_sources[0];
        assert_eq!((quarantined.router.as_str(), &quarantined.peer), ("hostile", &None));
        assert!(quarantined.error.contains("poison") && quarantined.error.contains("23514"), "{status:?}");
        // A set-aside record costs no attempt: few transactions were isolated, with few attempts each.
        let reasons = "SELECT concat_ws(' ', sqlstate, count(*)) FROM rejected_routes GROUP BY sqlstate";
        assert_eq!(database.texts(reasons).await, [format!("23514 {hostile}")]);

        // The others: complete, in the order of the log, exactly once.
        let total = i64::from(count) * RECORDS;
        let ledger = format!("{total} {} 0 {hostile}", total - hostile);
        assert_eq!(database.texts(LEDGER).await, [ledger]);
        assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
        let routers = "SELECT concat_ws(' ', router, count(*)) FROM route_updates GROUP BY router ORDER BY 1";
        let healthy = i64::from(count / 4) * RECORDS;
        let expected = ["edge1", "edge2", "edge3"].map(|router| format!("{router} {healthy}"));
        assert_eq!(database.texts(routers).await, expected);
        let present = "SELECT count(*) FROM route_state WHERE NOT is_withdrawn";
        assert_eq!(database.value::<i64>(present).await, i64::from(count / 4) * 3 * ROUTES);

        // The cause is removed: nothing is lost.
        sql(&database, CURED).await;
        let retried = retry_rejected(&database.target, COLLECTOR).await.unwrap();
        assert_eq!(retried, RetryCounts { stored: u64::try_from(hostile).unwrap(), rejected: 0 });
        assert_eq!(database.value::<i64>(present).await, i64::from(count) * ROUTES);
        assert_eq!(database.texts(LEDGER).await, [format!("{total} {total} 0 0")]);
        assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
        assert!(forwarder.stop(PATIENCE).await);
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_with_a_refused_row_in_every_transaction_is_set_aside_alone() {
    let Some(database) = Database::migrated(Edition::Timescale, "one_peer_refused").await else { return };
    sql(&database, REFUSE_PEER).await;
    let mut source = Source::new();
    let last = put(&mut source, (0..12).map(poisoned)).await;
    // One batch a transaction.
    let forwarder = source.drain(database.target.clone(), 1, 1);
    delivered(&forwarder, last).await;
    let status = forwarder.delivered().borrow().lanes[0].clone();
    assert_eq!(status.quarantined, 1, "{status:?}");
    let quarantined = &status.quarantined_sources[0];
    assert_eq!((quarantined.router.as_str(), quarantined.peer.as_deref()), ("edge1", Some("198.51.100.66")));
    let good = "SELECT count(*) FROM route_updates WHERE bgp_peer_ip = '198.51.100.1'";
    assert_eq!(database.value::<i64>(good).await, 12 * 9, "the other peer of the router is stored");
    assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
    sql(&database, CURED).await;
    let retried = retry_rejected(&database.target, COLLECTOR).await.unwrap();
    assert_eq!((retried.stored, retried.rejected), (status.rejected, 0));
    let present = "SELECT count(*) FROM route_state WHERE NOT is_withdrawn";
    assert_eq!(database.value::<i64>(present).await, 12 * 19);
    assert!(forwarder.stop(PATIENCE).await);
    database.drop().await;
}

/// With one router, numbers do not tell a fault of the router from one of the schema.
#[tokio::test(flavor = "multi_thread")]
async fn the_only_router_is_set_aside_and_a_fault_of_the_schema_stops_the_lane() {
    for (poison, is_systemic) in [(REFUSE_ROUTER, false), ("CHECK (cause < 0)", true)] {
        let Some(database) = Database::migrated(Edition::Timescale, "only_router").await else { return };
        let add = "ALTER TABLE route_records ADD CONSTRAINT poison";
        sql(&database, &if is_systemic { format!("{add} {poison}") } else { poison.to_owned() }).await;
        let mut source = Source::new();
        let last = put(&mut source, (0..8).map(|number| batch(number * 4 + 2))).await;
        let forwarder = source.drain(database.target.clone(), 1, 60);
        if is_systemic {
            let mut watch = forwarder.delivered();
            let blocked = watch
                .wait_for(|status| status.lanes.first().is_some_and(|lane| lane.state == LaneState::Blocked));
            let status = tokio::time::timeout(PATIENCE, blocked).await.unwrap().unwrap().lanes[0].clone();
            assert_eq!((status.rejected, status.delivered.0, status.quarantined), (0, 0, 0));
            let error = status.last_error.unwrap();
            assert!(error.contains("ordinary rows are rejected as well"), "{error}");
            forwarder.stop(Duration::from_secs(1)).await;
        } else {
            delivered(&forwarder, last).await;
            let status = forwarder.delivered().borrow().lanes[0].clone();
            assert_eq!((status.rejected, status.quarantined), (8 * 30, 1));
            assert!(forwarder.stop(PATIENCE).await);
            sql(&database, CURED).await;
            assert_eq!(retry_rejected(&database.target, COLLECTOR).await.unwrap().stored, 8 * 30);
        }
        assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
        database.drop().await;
    }
}

/// A transaction of `batches` that is isolated.
async fn isolate(
    connection: &mut Connection,
    first_seq: u64,
    batches: &[Batch],
    quarantine: &Quarantine,
) -> Result<holdfast::sink::Isolated, holdfast::sink::Error> {
    let mut transaction = TransactionBuilder::new(lane(), first_seq);
    let mut records = RecordRange::new(lane(), Dedup::default());
    for batch in batches {
        let seq = transaction.next_seq();
        transaction.push(seq, b"", batch).unwrap();
        records.push(seq, batch.clone());
    }
    connection.isolate(&transaction.build(), records, quarantine, false).await
}

#[tokio::test]
async fn a_suspect_is_given_up_at_its_first_refused_record() {
    let Some(database) = Database::migrated(Edition::Timescale, "suspect").await else { return };
    sql(&database, REFUSE_PEER).await;
    let (mut connection, _) = Connection::attach(&database.target, &lane(), [1; 16], None).await.unwrap();
    let first = isolate(&mut connection, 1, &[poisoned(0)], &Quarantine::default()).await.unwrap();
    assert_eq!((first.rejected, first.offenders.len()), (1, 1));
    assert!(!first.offenders[0].is_given_up, "one record in nineteen is no reason");
    let mut quarantine = Quarantine::default();
    quarantine.set_suspect(&first.offenders[0].source, true);
    let second = isolate(&mut connection, 2, &[poisoned(1)], &quarantine).await.unwrap();
    assert!(second.offenders[0].is_given_up);
    assert_eq!(second.offenders[0].source.to_string(), "edge1 peer 198.51.100.66");
    // A quarantined source is rejected without an attempt, even if nothing is wrong with it any more.
    quarantine.insert(&second.offenders[0].source, Cause::new("23514", "earlier").into());
    sql(&database, CURED).await;
    let third = isolate(&mut connection, 3, &[poisoned(2)], &quarantine).await.unwrap();
    assert_eq!((third.rejected, third.offenders.len()), (10, 0));
    let errors = "SELECT DISTINCT error FROM rejected_routes WHERE seq = 3";
    assert_eq!(database.texts(errors).await, ["earlier"]);
    assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
    drop(connection);
    database.drop().await;
}

#[tokio::test]
async fn most_rows_of_three_routers_are_a_fault_of_the_schema() {
    let Some(database) = Database::migrated(Edition::Timescale, "three_routers").await else { return };
    // Ordinary rows pass.
    let poison = "ALTER TABLE incarnations ADD CONSTRAINT poison
        CHECK (router NOT IN ('edge1', 'edge2', 'hostile'))";
    sql(&database, poison).await;
    let (mut connection, _) = Connection::attach(&database.target, &lane(), [1; 16], None).await.unwrap();
    let batches: Vec<Batch> = (0..4).map(batch).collect();
    let error = isolate(&mut connection, 1, &batches, &Quarantine::default()).await.unwrap_err();
    assert_eq!(error.action(), ErrorAction::Alarm);
    assert!(error.to_string().contains("most records of several routers"), "{error}");
    drop(connection);
    let (mut connection, attached) =
        Connection::attach(&database.target, &lane(), [1; 16], Some(1)).await.unwrap();
    assert_eq!(attached.last_seq, 0, "nothing was stored");
    // Two of four routers are not.
    sql(&database, &format!("{CURED}; {}", poison.replace(", 'hostile'", ""))).await;
    let isolated = isolate(&mut connection, 1, &batches, &Quarantine::default()).await.unwrap();
    assert_eq!(isolated.rejected, 60);
    let whole = isolated.offenders.iter().filter(|offender| offender.source.peer.is_none());
    let names: Vec<&str> = whole.map(|offender| offender.source.router.as_str()).collect();
    assert_eq!(names, ["edge1", "edge2"], "a router with many offending peers is given up as a whole");
    assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
    drop(connection);
    database.drop().await;
}

#[tokio::test]
async fn beyond_the_size_of_rejected_routes_records_become_a_gap() {
    let Some(database) = Database::migrated(Edition::Timescale, "rejected_full").await else { return };
    sql(&database, REFUSE_ROUTER).await;
    let mut source = Source::new();
    let last = put(&mut source, (0..40).map(batch)).await;
    let options = forwarder::Options { rejected_max_bytes: 1, ..source.options(1, 100) };
    let forwarder = source.drain_with(options, database.target.clone());
    delivered(&forwarder, last).await;
    let status = forwarder.delivered().borrow().lanes[0].clone();
    assert_eq!(status.rejected, 10 * 30);
    assert!(status.dropped > 100, "{status:?}");
    let kept = database.value::<i64>("SELECT count(*) FROM rejected_routes").await;
    assert_eq!(kept, i64::try_from(status.rejected - status.dropped).unwrap());
    let gaps = "SELECT concat_ws(' ', router, reason, records) FROM collector_gaps";
    assert_eq!(database.texts(gaps).await, [format!("hostile rejected records dropped {}", status.dropped)]);
    assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
    let healthy = "SELECT count(*) FROM route_updates WHERE router <> 'hostile'";
    assert_eq!(database.value::<i64>(healthy).await, 30 * 30);
    assert!(forwarder.stop(PATIENCE).await);
    database.drop().await;
}
