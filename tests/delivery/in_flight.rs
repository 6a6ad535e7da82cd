//! Two transactions in flight: the next one is sent before the reply to the COMMIT of the current one.

use std::future::ready;
use std::sync::atomic::Ordering;

use crate::common::batches::{Builder, peer, peer_down};
use crate::common::db::{Database, Edition};
use crate::common::proxy::Proxy;
use crate::common::source::{server_address, target_through};
use crate::common::store::{COLLECTOR, OWNER, Store, lane};
use holdfast::route::{Batch, Cause, Family, RibView};
use holdfast::sink::{Connection, Dedup, Error, Transaction, TransactionBuilder};

/// Waits until a transaction waits for the lock on the ledger.
const WAIT_FOR_WAITER: &str = "DO $$ BEGIN
    WHILE NOT EXISTS (SELECT FROM pg_locks WHERE relation = 'ingest_ledger'::regclass AND NOT granted) LOOP
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$";

/// Routes of a transaction.
const ROUTES: u32 = 5;

/// A batch with routes of its own.
fn batch(seq: u64) -> Batch {
    let first = u32::try_from(seq).unwrap() * ROUTES;
    let from = peer(1, RibView::AdjInPre, 1);
    let at = i64::try_from(seq).unwrap();
    Builder::new("r1", 0).at(at).announce(&from, first..first + ROUTES, &[1]).build()
}

fn transaction_of(seq: u64, batch: &Batch) -> Transaction {
    let mut transaction = TransactionBuilder::new(lane(), seq).with_dedup(Dedup::Always);
    transaction.push(seq, b"payload", batch).unwrap();
    transaction.build()
}

fn transaction(seq: u64) -> Transaction {
    transaction_of(seq, &batch(seq))
}

/// Stores a transaction that waits for a lock, which is released after `then`, and offers the next one
/// meanwhile.
async fn store_both(
    store: &mut Store,
    [current, next]: [&Transaction; 2],
    then: &'static str,
) -> Result<(), Error> {
    let client = store.database.client().await;
    client.batch_execute("BEGIN; LOCK TABLE ingest_ledger IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let unlock = tokio::spawn(async move {
        client.batch_execute(WAIT_FOR_WAITER).await.unwrap();
        client.batch_execute(then).await.unwrap();
        client.batch_execute("ROLLBACK").await.unwrap();
    });
    let stored = store.connection.store_and_send_next(current, ready(Some(next))).await;
    unlock.await.unwrap();
    stored
}

#[tokio::test]
async fn the_next_transaction_is_sent_before_the_reply_to_the_current_one() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "in_flight").await else { continue };
        store.connection.store(&transaction(1)).await.unwrap();
        let (second, third) = (transaction(2), transaction(3));
        store_both(&mut store, [&second, &third], "SELECT 1").await.unwrap();
        assert!(store.connection.has_sent(&third));
        store.connection.store(&third).await.unwrap();
        assert!(!store.connection.has_sent(&third));
        let routes = "SELECT concat_ws(' ', count(*), count(DISTINCT prefix)) FROM route_updates";
        assert_eq!(store.database.texts(routes).await, ["15 15"]);
        store.close().await;
    }
}

#[tokio::test]
async fn a_transaction_waits_if_it_depends_on_the_current_one() {
    let Some(mut store) = Store::open(Edition::Plain, "in_flight_waits").await else { return };
    let mut seq = 0;
    let mut follows = async |store: &mut Store, current: Batch, next: Batch| {
        let (current, next) = (transaction_of(seq + 1, &current), transaction_of(seq + 2, &next));
        store_both(store, [&current, &next], "SELECT 1").await.unwrap();
        let has_sent = store.connection.has_sent(&next);
        store.connection.store(&next).await.unwrap();
        seq += 2;
        has_sent
    };
    let other = |seq: u64| {
        let from = peer(2, RibView::AdjInPre, 1);
        Builder::new("r1", 0).at(9).announce(&from, 0..u32::try_from(seq).unwrap(), &[1]).build()
    };
    let down =
        || Builder::new("r1", 0).at(9).event(Some(&peer(1, RibView::AdjInPre, 1)), peer_down()).build();
    assert!(!follows(&mut store, batch(1), batch(2)).await, "the current one has a new peer");
    assert!(follows(&mut store, batch(3), batch(4)).await, "the peer is known");
    assert!(!follows(&mut store, batch(5), other(7)).await, "the next one has a new peer");
    assert!(!follows(&mut store, down(), batch(6)).await, "a Peer Down changes what the next one expects");
    assert!(follows(&mut store, batch(7), down()).await, "it changes only what comes after it");
    assert!(!follows(&mut store, down(), down()).await);
    // Announcements that are compared need a reply, which has come when it is their turn.
    let again = |seq: u64| {
        let from = peer(2, RibView::AdjInPre, 1);
        let routes = (0..5).map(|number| (None, crate::common::batches::prefix(number)));
        let set = crate::common::batches::attributes(&[1]);
        let at = i64::try_from(seq).unwrap();
        let builder = Builder::new("r1", 0).at(at).routes(&from, Family::IPV4_UNICAST, Some(&set), routes);
        builder.because(Cause::ReDump).build()
    };
    assert!(follows(&mut store, again(20), again(21)).await, "a repeated table");
    let unchanged =
        "SELECT concat_ws(' ', routes, unchanged) FROM ingest_ledger ORDER BY first_seq DESC LIMIT 2";
    assert_eq!(store.database.texts(unchanged).await, ["5 5", "5 5"]);
    store.close().await;
}

#[tokio::test]
async fn the_next_transaction_is_not_stored_if_the_current_one_fails() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "in_flight_fails").await else { continue };
        store.connection.store(&transaction(1)).await.unwrap();
        let cancel = "SELECT pg_cancel_backend(pid) FROM pg_locks
            WHERE relation = 'ingest_ledger'::regclass AND NOT granted";
        let error = store_both(&mut store, [&transaction(2), &transaction(3)], cancel).await.unwrap_err();
        assert_eq!(error.sqlstate().map(tokio_postgres::error::SqlState::code), Some("57014"), "{error}");
        let target = &store.database.target;
        let (connection, attached) = Connection::attach(target, &lane(), OWNER, None).await.unwrap();
        assert_eq!(attached.last_seq, 1);
        store.connection = connection;
        for seq in 2..4 {
            store.connection.store(&transaction(seq)).await.unwrap();
        }
        store.close().await;
    }
}

/// Stores three transactions, two of them in flight at the same time, over a connection that `fault` ends at
/// some time after the first one. Returns the next sequence number and whether the connection has ended.
async fn store_three(database: &Database, proxy: &Proxy, next: u64, fault: impl Fn()) -> (u64, bool) {
    let target = target_through(database, proxy.address);
    let (mut connection, attached) = Connection::attach(&target, &lane(), OWNER, None).await.unwrap();
    assert!(attached.last_seq < next, "nothing is stored that was not sent");
    let first = attached.last_seq + 1;
    connection.store(&transaction(first)).await.unwrap();
    fault();
    let (second, third) = (transaction(first + 1), transaction(first + 2));
    let stored = connection.store_and_send_next(&second, ready(Some(&third))).await;
    let stored = if stored.is_ok() { connection.store(&third).await } else { stored };
    (first + 3, stored.is_err())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_wherever_the_connection_ends() {
    for edition in Edition::ALL {
        let Some(database) = Database::migrated(edition, "in_flight_cut").await else { continue };
        let proxy = Proxy::start(server_address(&database).await).await;
        let faults = &proxy.faults;
        let (mut next, mut cuts, mut at) = (1, 0, 1);
        loop {
            let cut = || faults.bytes_until_cut.store(at, Ordering::SeqCst);
            let (after, has_ended) = store_three(&database, &proxy, next, cut).await;
            (next, cuts, at) = (after, cuts + 1, at + 151);
            if !has_ended {
                break;
            }
        }
        faults.bytes_until_cut.store(-1, Ordering::SeqCst);
        for lost in (1..3).cycle().take(6) {
            // The proxy ends the connection at each lost reply.
            let lose = || faults.commits_to_lose.store(lost, Ordering::SeqCst);
            let (after, has_ended) = store_three(&database, &proxy, next, lose).await;
            assert!(has_ended);
            faults.commits_to_lose.store(0, Ordering::SeqCst);
            next = after;
        }
        println!("{edition:?}: the connection was cut at {cuts} places");
        assert!(cuts > 20, "{cuts}");
        assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
        let stored = "SELECT concat_ws(' ', count(*) = 5 * max(last.seq), count(DISTINCT prefix) = count(*))
            FROM route_updates, (SELECT max(last_seq) AS seq FROM ingest_ledger) last";
        assert_eq!(database.texts(stored).await, ["t t"]);
        database.drop().await;
    }
}
