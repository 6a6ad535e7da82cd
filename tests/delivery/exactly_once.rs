//! Exactly-once delivery: each batch of the log is stored once, despite lost connections and other
//! collectors.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::common::db::{Database, Edition};
use crate::common::proxy::Proxy;
use crate::common::source::{
    COLLECTOR, PATIENCE, RECORDS_PER_BATCH, Source, batch, chunk, delivered, lane, server_address,
    target_through,
};
use holdfast::forwarder::LaneState;
use holdfast::sink::{Connection, ErrorAction, Lane, TransactionBuilder};
use holdfast::wal::SeqNo;

#[tokio::test]
async fn a_stale_epoch_is_refused_and_a_reconnect_does_not_win_it_back() {
    let Some(database) = Database::migrated(Edition::Timescale, "fence").await else { return };
    let (mut older, first) = Connection::attach(&database.target, &lane(), [1; 16], None).await.unwrap();
    older.store(&chunk(1, 2)).await.unwrap();
    let (mut newer, second) = Connection::attach(&database.target, &lane(), [2; 16], None).await.unwrap();
    assert_eq!((first.epoch, second.epoch, second.last_seq), (1, 2, 2));
    let refused = older.store(&chunk(3, 1)).await.unwrap_err();
    assert_eq!(refused.action(), ErrorAction::Halt, "{refused}");
    let again =
        Connection::attach(&database.target, &lane(), [1; 16], Some(first.epoch)).await.err().unwrap();
    assert_eq!(again.action(), ErrorAction::Halt, "{again}");
    newer.store(&chunk(3, 1)).await.unwrap();
    let gone = newer.store(&chunk(3, 1)).await.unwrap_err();
    assert_eq!(gone.action(), ErrorAction::Retry, "a range that is stored already: {gone}");
    assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
    assert_eq!(database.value::<i64>("SELECT count(*) FROM stored_records").await, 3 * RECORDS_PER_BATCH);
    drop((older, newer));
    database.drop().await;
}

#[tokio::test]
async fn a_zombie_that_holds_the_row_is_ended() {
    let Some(database) = Database::migrated(Edition::Timescale, "zombie").await else { return };
    let (_held, _) = Connection::attach(&database.target, &lane(), [1; 16], None).await.unwrap();
    let zombie = database.client().await;
    let sql = "BEGIN; UPDATE ingest_checkpoint SET backend_pid = pg_backend_pid(), backend_start =
        (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()); COMMIT;
        BEGIN; SELECT * FROM ingest_checkpoint FOR UPDATE";
    zombie.batch_execute(sql).await.unwrap();
    let (_connection, attached) = Connection::attach(&database.target, &lane(), [2; 16], None).await.unwrap();
    assert_eq!(attached.epoch, 2);
    assert!(zombie.batch_execute("COMMIT").await.is_err());
    drop((_held, _connection));
    database.drop().await;
}

#[tokio::test]
async fn a_lane_of_another_owner_or_epoch_stores_nothing() {
    // As in a database restored in part: only one of the two.
    for (number, other) in ["owner = gen_random_uuid()", "epoch = epoch + 1"].into_iter().enumerate() {
        let Some(database) = Database::migrated(Edition::Plain, &format!("owner_{number}")).await else {
            return;
        };
        let (mut connection, _) = Connection::attach(&database.target, &lane(), [1; 16], None).await.unwrap();
        let client = database.client().await;
        client.batch_execute(&format!("UPDATE ingest_checkpoint SET {other}")).await.unwrap();
        let refused = connection.store(&chunk(1, 1)).await.unwrap_err();
        assert_eq!(refused.action(), ErrorAction::Halt, "{other}: {refused}");
        assert_eq!(database.value::<i64>("SELECT count(*) FROM stored_records").await, 0);
        drop(connection);
        database.drop().await;
    }
}

#[tokio::test]
async fn a_lane_of_another_number_of_lanes_is_refused() {
    let Some(database) = Database::migrated(Edition::Plain, "lanes").await else { return };
    let (connection, _) = Connection::attach(&database.target, &lane(), [1; 16], None).await.unwrap();
    let other = Lane { count: 2, ..lane() };
    let refused = Connection::attach(&database.target, &other, [1; 16], None).await.err().unwrap();
    assert_eq!(refused.action(), ErrorAction::Alarm, "{refused}");
    drop(connection);
    database.drop().await;
}

#[tokio::test]
async fn a_planted_duplicate_and_a_planted_loss_are_found() {
    let Some(database) = Database::migrated(Edition::Timescale, "planted").await else { return };
    let (mut connection, _) = Connection::attach(&database.target, &lane(), [1; 16], None).await.unwrap();
    connection.store(&chunk(1, 3)).await.unwrap();
    assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
    let client = database.client().await;
    client
        .batch_execute("INSERT INTO route_records SELECT * FROM route_records WHERE seq = 2 AND idx = 5")
        .await
        .unwrap();
    assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 1));
    client.batch_execute("DELETE FROM route_records WHERE seq = 1 AND idx = 7").await.unwrap();
    assert_eq!(database.missing_and_doubled(COLLECTOR).await, (1, 1));
    // The missing row is detected even if the ledger omits it.
    for sign in ['-', '+'] {
        let forge = format!(
            "UPDATE ingest_ledger SET records = records {sign} 1, routes = routes {sign} 1, \
             stored = stored {sign} 1"
        );
        client.batch_execute(&forge).await.unwrap();
        assert_eq!(database.missing_and_doubled(COLLECTOR).await, (1, 1), "{sign}");
    }
    client.batch_execute("DELETE FROM route_records WHERE seq = 2").await.unwrap();
    assert_eq!(database.missing_and_doubled(COLLECTOR).await.0, 14);
    drop((connection, client));
    database.drop().await;
}

/// Input of a lane: a batch, or an unreadable range of the log.
#[derive(Clone, Copy)]
enum Given {
    Batch(u64),
    Gap(u64, u64),
}

#[tokio::test]
async fn what_one_lane_read_and_another_could_not_is_a_gap_and_told_once() {
    use Given::{Batch, Gap};
    for edition in Edition::ALL {
        let Some(database) = Database::migrated(edition, "lane_gaps").await else { continue };
        let lanes = [0, 1].map(|number| Lane { number, count: 2, ..lane() });
        let mut connections = Vec::new();
        for lane in &lanes {
            connections.push(Connection::attach(&database.target, lane, [1; 16], None).await.unwrap().0);
        }
        for (number, given) in [
            // Corruption between the reads of lane 0 and lane 1.
            (0, [Batch(1), Batch(2)]),
            (1, [Gap(1, 1), Batch(2)]),
            // Both lanes find the same range, in either order.
            (1, [Gap(3, 5), Batch(6)]),
            (0, [Gap(3, 5), Batch(6)]),
            // More corruption, before and after the range that the other lane has recorded.
            (0, [Batch(7), Gap(8, 9)]),
            (1, [Gap(7, 10), Batch(11)]),
            (0, [Batch(10), Batch(11)]),
        ] {
            let first = match given[0] {
                Batch(seq) | Gap(seq, _) => seq,
            };
            let mut chunk = TransactionBuilder::new(lanes[number].clone(), first);
            for given in given {
                match given {
                    Batch(seq) => chunk.push(seq, b"", &batch(u32::try_from(seq).unwrap())).unwrap(),
                    Gap(from, to) => chunk.push_gap(from, to, "rot"),
                }
            }
            connections[number].store(&chunk.build()).await.unwrap();
        }
        let gaps = "SELECT concat_ws(' ', first_seq, last_seq, reason) FROM collector_gaps \
            WHERE first_seq IS NOT NULL
            ORDER BY first_seq";
        assert_eq!(database.texts(gaps).await, ["1 1 rot", "3 5 rot", "7 7 rot", "8 9 rot", "10 10 rot"]);
        assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0), "{edition:?}");
        drop(connections);
        database.drop().await;
    }
}

async fn check_and_drop(database: Database, batches: i64) {
    assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
    let stored = database.value::<i64>("SELECT count(*) FROM stored_records").await;
    assert_eq!(stored, batches * RECORDS_PER_BATCH);
    // Each batch announces 10 routes of its own and withdraws 3 of them.
    assert_eq!(
        database.value::<i64>("SELECT count(*) FROM route_state WHERE NOT is_withdrawn").await,
        batches * 7
    );
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_drained_in_lanes_and_the_schema_made_on_the_way() {
    for edition in Edition::ALL {
        let Some(database) = Database::empty(edition, "drain").await else { continue };
        let mut source = Source::new();
        source.fill(0..200).await;
        let forwarder = source.drain(database.target.clone(), 3, 500);
        delivered(&forwarder, 200).await;
        source.fill(200..230).await;
        delivered(&forwarder, 230).await;
        assert!(forwarder.delivered().borrow().is_healthy());
        assert!(forwarder.stop(PATIENCE).await);
        let routes = "SELECT count(DISTINCT lane) FROM ingest_ledger WHERE routes > 0";
        assert_eq!(database.value::<i64>(routes).await, 3);
        check_and_drop(database, 230).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_killed_in_the_middle_lose_and_double_nothing() {
    for edition in Edition::ALL {
        let Some(database) = Database::migrated(edition, "killed").await else { continue };
        let mut source = Source::new();
        let mut filled = 2000;
        source.fill(0..filled).await;
        let forwarder = source.drain(database.target.clone(), 2, 300);
        let killer = database.client().await;
        let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE application_name = 'holdfast' AND datname = current_database()";
        let mut kills: i64 = 0;
        // Kills go on until everything is delivered; the drain must get through between them.
        while kills <= 3 || forwarder.delivered().borrow().seq() < SeqNo(u64::from(filled)) {
            if forwarder.delivered().borrow().seq() == SeqNo(u64::from(filled)) {
                // Delivery was complete before the planned number of kills.
                source.fill(filled..filled + 2000).await;
                filled += 2000;
            }
            kills += killer.query_one(kill, &[]).await.unwrap().get::<_, i64>(0);
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        assert!(forwarder.stop(PATIENCE).await);
        drop(killer);
        check_and_drop(database, filled.into()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_commit_answers_are_settled_by_the_checkpoint_row() {
    let Some(database) = Database::migrated(Edition::Timescale, "lost_commit").await else { return };
    let proxy = Proxy::start(server_address(&database).await).await;
    let mut source = Source::new();
    source.fill(0..400).await;
    proxy.faults.commits_to_lose.store(20, Ordering::SeqCst);
    let forwarder = source.drain(target_through(&database, proxy.address), 2, 150);
    delivered(&forwarder, 400).await;
    assert_eq!(proxy.faults.done.load(Ordering::SeqCst), 20);
    assert!(forwarder.stop(PATIENCE).await);
    check_and_drop(database, 400).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_cut_at_any_byte_lose_and_double_nothing() {
    let Some(database) = Database::migrated(Edition::Timescale, "cut_bytes").await else { return };
    let proxy = Proxy::start(server_address(&database).await).await;
    let mut source = Source::new();
    source.fill(0..400).await;
    let forwarder = source.drain(target_through(&database, proxy.address), 1, 300);
    let mut watch = forwarder.delivered();
    for round in 1..=12 {
        proxy.faults.bytes_until_cut.store(round * 61_234, Ordering::SeqCst);
        let before = proxy.faults.done.load(Ordering::SeqCst);
        let cut_or_done = async {
            while proxy.faults.done.load(Ordering::SeqCst) == before && watch.borrow().seq() < SeqNo(400) {
                drop(tokio::time::timeout(Duration::from_millis(20), watch.changed()).await);
            }
        };
        tokio::time::timeout(PATIENCE, cut_or_done).await.unwrap();
    }
    proxy.faults.bytes_until_cut.store(-1, Ordering::SeqCst);
    assert!(proxy.faults.done.load(Ordering::SeqCst) > 2);
    delivered(&forwarder, 400).await;
    assert!(forwarder.stop(PATIENCE).await);
    check_and_drop(database, 400).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_was_taken_while_its_connection_was_lost_is_not_won_back() {
    let Some(database) = Database::migrated(Edition::Plain, "won_back").await else { return };
    let mut source = Source::new();
    source.fill(0..10).await;
    let forwarder = source.drain(database.target.clone(), 1, 100);
    delivered(&forwarder, 10).await;
    let (other, attached) = Connection::attach(&database.target, &lane(), [9; 16], None).await.unwrap();
    // All connections except that of the other collector.
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holdfast'
        AND datname = current_database() AND pid NOT IN (SELECT backend_pid FROM ingest_checkpoint)";
    database.client().await.execute(cut, &[]).await.unwrap();
    source.fill(10..12).await;
    let mut watch = forwarder.delivered();
    let halted = watch.wait_for(|delivered| delivered.lanes[0].state == LaneState::Halted);
    let seen = tokio::time::timeout(PATIENCE, halted).await.unwrap().unwrap().lanes[0].clone();
    assert_eq!(seen.delivered, SeqNo(10));
    assert_eq!(
        database.value::<i64>("SELECT epoch FROM ingest_checkpoint WHERE lane = 0").await,
        attached.epoch
    );
    forwarder.stop(PATIENCE).await;
    drop(other);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_collector_fences_the_first_out() {
    let Some(database) = Database::migrated(Edition::Plain, "second").await else { return };
    let mut source = Source::new();
    source.fill(0..20).await;
    let first = source.drain(database.target.clone(), 1, 100);
    delivered(&first, 20).await;
    let second = source.drain(database.target.clone(), 1, 100);
    delivered(&second, 20).await;
    source.fill(20..40).await;
    delivered(&second, 40).await;
    let mut watch = first.delivered();
    let halted = watch.wait_for(|delivered| delivered.lanes[0].state == LaneState::Halted);
    drop(tokio::time::timeout(PATIENCE, halted).await.expect("the first is still draining").unwrap());
    assert!(second.delivered().borrow().is_healthy());
    assert!(second.stop(PATIENCE).await);
    assert!(!first.stop(PATIENCE).await);
    check_and_drop(database, 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_down_at_the_start_gets_everything_later() {
    let Some(database) = Database::empty(Edition::Timescale, "down").await else { return };
    // No process listens on this port before the proxy.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut source = Source::new();
    let forwarder = source.drain(target_through(&database, address), 2, 500);
    source.fill(0..50).await;
    let mut watch = forwarder.delivered();
    drop(watch.wait_for(|delivered| delivered.last_error.is_some()).await.unwrap());
    let server = server_address(&database).await;
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut upstream = tokio::net::TcpStream::connect(server).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut upstream).await });
        }
    });
    delivered(&forwarder, 50).await;
    assert!(forwarder.stop(PATIENCE).await);
    check_and_drop(database, 50).await;
}
