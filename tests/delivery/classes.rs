//! The classes of batches: a quiet router beside a table, one peer's table in all lanes, and the order of
//! each route.

use std::net::Ipv4Addr;
use std::time::Duration;

use holdfast::forwarder::{self, Forwarder, LaneState};
use holdfast::route::{Batch, Class, RibView, Timestamp};
use holdfast::session::{Options as SessionOptions, Session};
use holdfast::sink::{self, Connection, Dedup, ErrorAction, Lane, TransactionBuilder};
use holdfast::wal::SeqNo;
use tokio_postgres::Client;

use crate::common::batches::{Builder, peer};
use crate::common::db::{Database, Edition};
use crate::common::messages::{self, Header, PEER};
use crate::common::sessions;
use crate::common::simdisk::Dice;
use crate::common::source::{COLLECTOR, PATIENCE, Source, chunk, delivered, lane};

/// Routes of one peer of `router` in one batch. The first 16 bits of their prefixes differ.
fn routes(router: &str, numbers: std::ops::Range<u32>, path: &[u32]) -> Batch {
    let numbers = numbers.map(|number| number << 8);
    Builder::new(router, 0).announce(&peer(1, RibView::AdjInPre, 1), numbers, path).build()
}

fn live(batch: Batch, after: u64) -> Batch {
    Batch { class: Class::Live, after, ..batch }
}

async fn lane_delivered(forwarder: &Forwarder, lane: usize, seq: u64) {
    let mut watch = forwarder.delivered();
    let done =
        watch.wait_for(|status| status.lanes.get(lane).is_some_and(|lane| lane.delivered >= SeqNo(seq)));
    let done = tokio::time::timeout(PATIENCE, done).await.map(|_| ());
    done.unwrap_or_else(|_| panic!("not delivered: {:?}", forwarder.delivered().borrow()));
}

/// Holds the checkpoint of a lane, so that no transaction of the lane begins.
async fn hold(client: &Client, lane: i32) {
    let sql = format!("BEGIN; SELECT FROM ingest_checkpoint WHERE lane = {lane} FOR UPDATE");
    client.batch_execute(&sql).await.unwrap();
}

async fn verify_and_drop(database: Database) {
    assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_stored_while_the_table_of_another_router_is_not() {
    let Some(database) = Database::migrated(Edition::Timescale, "beside").await else { return };
    let source = Source::new();
    source.put(&routes("quiet", 0..10, &[65_001])).await;
    source.put(&routes("big", 0..10, &[65_001])).await;
    let forwarder = source.drain(database.target.clone(), 1, 100);
    delivered(&forwarder, 2).await;
    let holder = database.client().await;
    hold(&holder, 0).await;
    for part in 0..20 {
        source.put(&routes("big", part * 100..part * 100 + 100, &[65_002])).await;
    }
    source.put(&live(routes("quiet", 3..4, &[65_009]), 1)).await;
    lane_delivered(&forwarder, 1, 23).await;
    let stored =
        "SELECT concat_ws(' ', router, seq, count(*)) FROM route_updates WHERE seq > 2 GROUP BY router, seq";
    assert_eq!(database.texts(stored).await, ["quiet 23 1"]);
    let current = "SELECT array_to_string(as_path, ',') FROM route_state WHERE router = 'quiet'
        ORDER BY 1 DESC LIMIT 1";
    assert_eq!(database.texts(current).await, ["65009"]);
    let table = "SELECT count(*) FROM ingest_ledger WHERE lane = 0 AND last_seq > 2";
    assert_eq!(database.value::<i64>(table).await, 0, "the table is not delivered");
    let lanes = "SELECT concat_ws(' ', lane, class, last_seq) FROM lanes ORDER BY lane";
    assert_eq!(database.texts(lanes).await, ["0 dump 2", "1 live 23"]);
    holder.batch_execute("ROLLBACK").await.unwrap();
    delivered(&forwarder, 23).await;
    let classes = forwarder.delivered().borrow().lanes.iter().map(|lane| lane.class).collect::<Vec<_>>();
    assert_eq!(classes, [Class::Dump, Class::Live]);
    assert!(forwarder.stop(PATIENCE).await);
    verify_and_drop(database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_waits_for_the_table_that_it_follows() {
    let Some(database) = Database::migrated(Edition::Plain, "follows").await else { return };
    let source = Source::new();
    source.put(&routes("r", 0..10, &[65_001])).await;
    let forwarder = source.drain(database.target.clone(), 1, 100);
    delivered(&forwarder, 1).await;
    let holder = database.client().await;
    hold(&holder, 0).await;
    source.put(&routes("r", 0..10, &[65_002])).await;
    source.put(&live(routes("other", 0..10, &[65_003]), 1)).await;
    source.put(&live(routes("r", 0..1, &[65_004]), 2)).await;
    // The live lane has stored what precedes the last batch, and has had the time to read that.
    lane_delivered(&forwarder, 1, 3).await;
    assert_eq!(database.value::<i64>("SELECT count(*) FROM route_updates WHERE seq IN (2, 4)").await, 0);
    holder.batch_execute("ROLLBACK").await.unwrap();
    delivered(&forwarder, 4).await;
    let order = "SELECT concat_ws(' ', lane, first_seq, last_seq, stored) FROM ingest_ledger
        WHERE stored > 0 ORDER BY committed_at";
    let ledger = database.texts(order).await;
    let position = |lane: &str| ledger.iter().rposition(|row| row.starts_with(lane)).unwrap();
    assert!(position("0 ") < position("1 "), "{ledger:?}");
    let path =
        "SELECT array_to_string(as_path, ',') FROM route_state WHERE router = 'r' ORDER BY prefix LIMIT 1";
    assert_eq!(database.texts(path).await, ["65004"]);
    let status = forwarder.delivered().borrow().clone();
    assert_eq!(status.lanes[1].transactions.refused, 0, "the live lane sends nothing too early: {status:?}");
    assert!(forwarder.stop(PATIENCE).await);
    verify_and_drop(database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_waits_for_the_changes_before_it() {
    let Some(database) = Database::migrated(Edition::Plain, "before").await else { return };
    let source = Source::new();
    source.put(&routes("r", 0..10, &[65_001])).await;
    let forwarder = source.drain(database.target.clone(), 1, 100);
    delivered(&forwarder, 1).await;
    let holder = database.client().await;
    hold(&holder, 1).await;
    source.put(&live(routes("r", 0..1, &[65_002]), 1)).await;
    source.put(&routes("r", 0..10, &[65_003])).await;
    // The change is sent, and waits for the lock.
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = 'holdfast' AND wait_event_type = 'Lock'";
    let sent = async {
        while database.value::<i64>(waits).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, sent).await.unwrap();
    assert_eq!(database.value::<i64>("SELECT count(*) FROM route_updates WHERE seq > 1").await, 0);
    holder.batch_execute("ROLLBACK").await.unwrap();
    delivered(&forwarder, 3).await;
    let order = "SELECT lane::text FROM ingest_ledger WHERE stored > 0 ORDER BY committed_at";
    assert_eq!(database.texts(order).await, ["0", "1", "0"]);
    assert_eq!(forwarder.delivered().borrow().lanes[0].transactions.refused, 0);
    assert!(forwarder.stop(PATIENCE).await);
    verify_and_drop(database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_lanes_changes_at_a_restart_without_a_drain() {
    let Some(database) = Database::migrated(Edition::Plain, "lane_count").await else { return };
    let mut source = Source::new();
    source.fill(0..40).await;
    // One lane is far behind the others when the collector stops.
    let holder = database.client().await;
    let forwarder = source.drain(database.target.clone(), 2, 10);
    lane_delivered(&forwarder, 0, 40).await;
    delivered(&forwarder, 40).await;
    hold(&holder, 1).await;
    source.fill(40..80).await;
    lane_delivered(&forwarder, 0, 80).await;
    assert!(!forwarder.stop(Duration::from_millis(100)).await);
    holder.batch_execute("ROLLBACK").await.unwrap();
    source.fill(80..120).await;
    for (lanes, last) in [(3, 120), (1, 140), (2, 160)] {
        let forwarder = source.drain(database.target.clone(), lanes, 10);
        delivered(&forwarder, u64::from(last)).await;
        assert_eq!(forwarder.delivered().borrow().lanes.len(), usize::try_from(lanes * 2).unwrap());
        assert!(forwarder.stop(PATIENCE).await);
        source.fill(last..last + 20).await;
    }
    let checkpoints = "SELECT concat_ws(' ', lane, lanes, last_seq, begins_after) FROM ingest_checkpoint
        ORDER BY lane";
    assert_eq!(database.texts(checkpoints).await, ["0 2 160 0", "1 2 160 0", "2 2 160 140", "3 2 160 140"]);
    verify_and_drop(database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_is_lost_while_the_number_of_lanes_changes_is_not_taken_back() {
    let Some(database) = Database::migrated(Edition::Plain, "lane_count_lost").await else { return };
    let mut source = Source::new();
    source.fill(0..40).await;
    let forwarder = source.drain(database.target.clone(), 1, 10);
    delivered(&forwarder, 40).await;
    assert!(forwarder.stop(PATIENCE).await);
    // The live lane is behind, and the fence of its next transaction fails.
    let lose = "UPDATE ingest_checkpoint SET last_seq = 20, digest = 0 WHERE lane = 1;
        DELETE FROM ingest_ledger WHERE lane = 1 AND last_seq > 20;
        UPDATE ingest_ledger SET last_seq = 20 WHERE lane = 1 AND last_seq > 20;
        CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'taken over' USING ERRCODE = 'BM001'; END $$;
        CREATE TRIGGER lose BEFORE INSERT ON ingest_ledger FOR EACH ROW WHEN (NEW.lane = 1)
        EXECUTE FUNCTION lose()";
    database.client().await.batch_execute(lose).await.unwrap();
    source.fill(40..60).await;
    let forwarder = source.drain(database.target.clone(), 2, 10);
    let mut watch = forwarder.delivered();
    let halted = watch.wait_for(|status| status.lanes.iter().any(|lane| lane.state == LaneState::Halted));
    tokio::time::timeout(PATIENCE, halted).await.unwrap().unwrap();
    assert!(!forwarder.stop(PATIENCE).await, "a halted lane has not stopped in order");
    let later = "SELECT count(*) FROM ingest_ledger WHERE last_seq > 40";
    assert_eq!(database.value::<i64>(later).await, 0, "no lane was started again");
    database.drop().await;
}

#[tokio::test]
async fn the_number_of_lanes_is_not_changed_under_another_process_or_before_all_lanes_are_there() {
    let Some(database) = Database::migrated(Edition::Plain, "lane_count_held").await else { return };
    let mut attached = Vec::new();
    for number in 0..2 {
        let lane = Lane { number, ..lane() };
        attached.push(Connection::attach(&database.target, &lane, [1; 16], None).await.unwrap().0);
    }
    attached[0].store(&chunk(1, 3)).await.unwrap();
    let client = database.client().await;
    let change = async |owner: u8, last_seq| {
        let log_id = lane().log_id;
        sink::change_lanes(&client, COLLECTOR, log_id, [owner; 16], (1, 4), last_seq).await
    };
    let refused = change(1, 3).await.unwrap_err();
    assert!(refused.to_string().contains("lane 1 of"), "{refused}");
    assert!(change(2, 3).await.unwrap_err().to_string().contains("lane 0 of"));
    let lanes = "SELECT DISTINCT lanes FROM ingest_checkpoint";
    assert_eq!(database.value::<i32>(lanes).await, 1);
    client.batch_execute("UPDATE ingest_checkpoint SET last_seq = 3").await.unwrap();
    change(1, 3).await.unwrap();
    assert_eq!(database.value::<i32>(lanes).await, 4);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM ingest_checkpoint").await, 8);
    // What the earlier process has sent is refused by the fence, and it cannot attach again.
    drop(attached);
    let refused = Connection::attach(&database.target, &lane(), [1; 16], None).await.err().unwrap();
    assert_eq!(refused.action(), ErrorAction::Alarm, "{refused}");
    database.drop().await;
}

fn bulk(batch: Batch, after: u64) -> Batch {
    Batch { class: Class::Bulk, after, ..batch }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_one_peer_is_stored_by_all_lanes() {
    let Some(database) = Database::migrated(Edition::Plain, "all_lanes").await else { return };
    let source = Source::new();
    source.put(&routes("r", 0..10, &[65_001])).await;
    for part in 0..10 {
        source.put(&bulk(routes("r", part * 100..part * 100 + 100, &[65_002]), 1)).await;
    }
    let last = Batch { after: 11, ..routes("r", 0..1000, &[65_003]) };
    source.put(&last).await;
    let forwarder = source.drain(database.target.clone(), 3, 200);
    delivered(&forwarder, 12).await;
    // Each route of class bulk is stored by one lane, and the last batch by the lane of the peer alone.
    let lanes = "SELECT concat_ws(' ', lane, sum(stored)) FROM ingest_ledger GROUP BY lane
        HAVING sum(stored) > 0 ORDER BY sum(stored)";
    let ledger = database.texts(lanes).await;
    let [first, second, peer] = ledger.as_slice() else { panic!("{ledger:?}") };
    let stored = |row: &str| row.split(' ').nth(1).unwrap().parse::<u32>().unwrap();
    assert!((250..420).contains(&stored(first)) && (250..420).contains(&stored(second)), "{ledger:?}");
    assert_eq!(stored(first) + stored(second) + stored(peer), 2010);
    let path = "SELECT DISTINCT array_to_string(as_path, ',') FROM route_state";
    assert_eq!(database.texts(path).await, ["65003"]);
    let status = forwarder.delivered().borrow().clone();
    assert!(status.lanes.iter().all(|lane| lane.transactions.refused == 0), "{status:?}");
    assert!(forwarder.stop(PATIENCE).await);
    verify_and_drop(database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_before_and_after_a_bulk_wait_for_all_lanes() {
    let Some(database) = Database::migrated(Edition::Plain, "bulk_waits").await else { return };
    let source = Source::new();
    source.put(&routes("r", 0..1000, &[65_001])).await;
    let forwarder = source.drain(database.target.clone(), 2, 100);
    delivered(&forwarder, 1).await;
    let stored = "SELECT concat_ws(' ', seq, count(*)) FROM route_updates WHERE seq > 1 GROUP BY seq";
    let home = database.value::<i32>("SELECT max(lane) FROM ingest_ledger WHERE stored > 0").await;
    let holder = database.client().await;
    // The routes of class bulk wait for the records of class dump before them.
    hold(&holder, home).await;
    source.put(&routes("r", 0..10, &[65_002])).await;
    source.put(&bulk(routes("r", 0..1000, &[65_003]), 2)).await;
    source.put(&live(routes("other", 0..10, &[65_004]), 2)).await;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = 'holdfast' AND wait_event_type = 'Lock'";
    while database.value::<i64>(waits).await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(database.texts(stored).await.is_empty());
    holder.batch_execute("ROLLBACK").await.unwrap();
    delivered(&forwarder, 4).await;
    // The records of class dump wait for the routes of class bulk in the other lane.
    hold(&holder, 1 - home).await;
    source.put(&bulk(routes("r", 0..1000, &[65_005]), 2)).await;
    source.put(&Batch { after: 5, ..routes("r", 0..10, &[65_006]) }).await;
    let own = usize::try_from(home).unwrap();
    lane_delivered(&forwarder, own, 5).await;
    let bulk_rows = database.value::<i64>("SELECT count(*) FROM route_updates WHERE seq = 5").await;
    assert!((400..600).contains(&bulk_rows), "{bulk_rows} rows of one lane");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM route_updates WHERE seq > 5").await, 0);
    holder.batch_execute("ROLLBACK").await.unwrap();
    delivered(&forwarder, 6).await;
    let order = "SELECT min(committed_at) FILTER (WHERE last_seq = 6 AND stored > 0)
        > max(committed_at) FILTER (WHERE last_seq = 5) FROM ingest_ledger";
    assert!(database.value::<bool>(order).await);
    let status = forwarder.delivered().borrow().clone();
    assert!(status.lanes.iter().all(|lane| lane.transactions.refused == 0), "{status:?}");
    assert!(forwarder.stop(PATIENCE).await);
    verify_and_drop(database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_unchanged_whichever_lane_has_stored_it() {
    let Some(database) = Database::migrated(Edition::Plain, "bulk_unchanged").await else { return };
    let source = Source::new();
    source.put(&routes("r", 0..1000, &[65_001])).await;
    source.put(&bulk(routes("r", 0..1000, &[65_001]), 1)).await;
    source.put(&Batch { after: 2, ..routes("r", 0..1000, &[65_001]) }).await;
    let options = forwarder::Options { dedup: Dedup::Always, ..source.options(3, 100) };
    let forwarder = source.drain_with(options, database.target.clone());
    delivered(&forwarder, 3).await;
    let counts = "SELECT concat_ws(' ', sum(routes), sum(stored), sum(unchanged)) FROM ingest_ledger";
    assert_eq!(database.texts(counts).await, ["3000 1000 2000"]);
    assert!(forwarder.stop(PATIENCE).await);
    verify_and_drop(database).await;
}

#[tokio::test]
async fn the_database_refuses_a_transaction_before_the_one_that_it_follows() {
    let Some(database) = Database::migrated(Edition::Plain, "refuses").await else { return };
    let lanes = [lane(), Lane { number: 1, ..lane() }];
    let attach = |lane| Connection::attach(&database.target, lane, [1; 16], None);
    let (mut dump, _) = attach(&lanes[0]).await.unwrap();
    let (mut change, _) = attach(&lanes[1]).await.unwrap();
    let batches = [routes("r", 0..10, &[65_001]), live(routes("r", 0..1, &[65_002]), 1)];
    let transaction = |lane: &Lane| {
        let mut builder = TransactionBuilder::new(lane.clone(), 1);
        (1..).zip(&batches).for_each(|(seq, batch)| builder.push(seq, b"", batch).unwrap());
        builder.build()
    };
    let mut early = transaction(&lanes[1]);
    early.order = vec![(0, 1)];
    let refused = change.store(&early).await.unwrap_err();
    assert!(refused.action() == ErrorAction::Retry && refused.is_unexpected_checkpoint(), "{refused}");
    dump.store(&transaction(&lanes[0])).await.unwrap();
    let (mut change, _) = attach(&lanes[1]).await.unwrap();
    change.store(&early).await.unwrap();
    drop((dump, change));
    verify_and_drop(database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_live_lanes_of_an_earlier_log_begin_where_its_lanes_are() {
    let Some(database) = Database::migrated(Edition::Plain, "earlier").await else { return };
    let mut source = Source::new();
    source.fill(0..10).await;
    let forwarder = source.drain(database.target.clone(), 2, 100);
    delivered(&forwarder, 10).await;
    assert!(forwarder.stop(PATIENCE).await);
    // As an earlier release left the database.
    let client = database.client().await;
    let sql = "DELETE FROM ingest_checkpoint WHERE lane >= lanes; DELETE FROM ingest_ledger WHERE lane >= 2";
    client.batch_execute(sql).await.unwrap();
    source.fill(10..12).await;
    source.put(&live(routes("r", 0..1, &[65_002]), 10)).await;
    let forwarder = source.drain(database.target.clone(), 2, 100);
    delivered(&forwarder, 13).await;
    assert!(forwarder.stop(PATIENCE).await);
    let lanes = "SELECT concat_ws(' ', lane, class, last_seq, begins_after)
        FROM lanes JOIN ingest_checkpoint USING (collector, log_id, lane) ORDER BY lane";
    let expected = ["0 dump 13 0", "1 dump 13 0", "2 live 13 10", "3 live 13 10"];
    assert_eq!(database.texts(&lanes.replace("last_seq", "lanes.last_seq")).await, expected);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM collector_gaps").await, 0);
    verify_and_drop(database).await;
}

/// Batches of sessions with three peers each, whose peers change their class at random.
fn random_batches(seed: u64) -> Vec<Batch> {
    let mut dice = Dice::new(seed);
    let mut now = Timestamp(1_795_392_000_000_000);
    let router = |number: u8| {
        let address = Ipv4Addr::new(192, 0, 2, number).into();
        let session = Timestamp(now.0 + i64::from(number));
        let options = SessionOptions { address, bulk_routes_min: 2, ..sessions::options(session) };
        sessions::session(options)
    };
    let mut routers: Vec<Session> = (0..2).map(router).collect();
    let mut log: Vec<Batch> = Vec::new();
    let mut last_bulk = 0;
    for _ in 0..400 {
        now.0 += 1_000_000;
        let session = &mut routers[usize::try_from(dice.below(2)).unwrap()];
        let last = u8::try_from(dice.below(3)).unwrap();
        let header = Header { address: Ipv4Addr::new(10, 0, 0, last), ..PEER };
        let open = |asn| messages::open(asn, &[messages::four_octet_as(asn), messages::multiprotocol(1, 1)]);
        let nlri = |dice: &mut Dice| messages::v4(10, u8::try_from(dice.below(6)).unwrap(), 0, 24);
        match dice.below(20) {
            0 => session.message(&header.peer_down(1, &[]), now),
            1 => {
                let up = header.peer_up(&open(65_000), &open(65_001), &[]);
                let port = u16::try_from(1 + dice.below(60_000)).unwrap();
                session.message(&messages::from_port(up, port), now);
            }
            2..5 => session.message(&header.route_monitoring(&messages::update(&[], &[], &[])), now),
            5 => now.0 += 61_000_000,
            6..9 => {
                let withdrawn = nlri(&mut dice);
                session.message(&header.route_monitoring(&messages::update(&withdrawn, &[], &[])), now);
            }
            _ => {
                let path = [65_001, 65_100 + u32::try_from(dice.below(3)).unwrap()];
                let pdu = messages::update(&[], &messages::plain_attributes(&path), &nlri(&mut dice));
                session.message(&header.route_monitoring(&pdu), now);
            }
        }
        let logged = u64::try_from(log.len()).unwrap();
        if dice.below(3) == 0 {
            session.dump_delivered(logged.saturating_sub(dice.below(8)), dice.below(4) == 0);
            session.tick(now);
        }
        let mut last_dump = None;
        for mut batch in session.take_batches() {
            let seq = u64::try_from(log.len()).unwrap() + 1;
            if batch.follows_bulk {
                batch.after = batch.after.max(last_bulk);
            }
            last_bulk = if batch.class == Class::Bulk { seq } else { last_bulk };
            last_dump = if batch.class == Class::Live { last_dump } else { Some(seq) };
            log.push(batch);
        }
        if last_dump.is_some() {
            session.dump_logged(last_dump);
        }
    }
    log
}

/// All that is stored, without what depends on the lane or on the time of the run.
async fn contents(database: &Database) -> Vec<String> {
    let tables = [
        "SELECT concat_ws(' ', u.seq, u.idx, u.route_key, u.is_withdrawn, u.as_path) FROM route_updates u",
        "SELECT concat_ws(' ', p.router, p.address, p.rib, p.state, p.session, p.generation, p.state_seq,
            p.state_idx, p.valid_session, p.valid_generation, p.announced, p.withdrawn, p.ups, p.downs)
            FROM bgp_peers p",
        "SELECT concat_ws(' ', p.router, p.address, f.afi, f.safi, f.eor_at, f.valid_session,
            f.valid_generation) FROM peer_families f JOIN bgp_peers p ON p.id = f.peer_id",
        "SELECT concat_ws(' ', p.router, p.address, e.session, e.generation, e.seq, e.idx, e.is_withdrawn,
            e.learn_count, e.withdraw_count, e.first_seen, e.last_seen, e.route_key)
            FROM rib_entries e JOIN bgp_peers p ON p.id = e.peer_id",
        "SELECT concat_ws(' ', sum(routes), sum(stored), sum(unchanged), sum(events)) FROM ingest_ledger",
        "SELECT concat_ws(' ', router, session, last_seen, is_active, sessions) FROM bmp_peers",
    ];
    let mut contents = Vec::new();
    for table in tables {
        contents.extend(database.texts(&format!("{table} ORDER BY 1")).await);
    }
    contents
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_does_not_depend_on_the_class() {
    for seed in 1..=2 {
        let Some(one) = Database::migrated(Edition::Plain, "one_class").await else { return };
        let Some(two) = Database::migrated(Edition::Plain, "two_classes").await else { return };
        let batches = random_batches(seed);
        let count = u64::try_from(batches.len()).unwrap();
        let changes = batches.windows(2).filter(|pair| pair[0].class != pair[1].class).count();
        assert!(changes > 20, "{changes} changes of the class in {count} batches");
        for class in [Class::Dump, Class::Live, Class::Bulk] {
            let batches = batches.iter().filter(|batch| batch.class == class).count();
            assert!(batches > 20, "{batches} batches of class {}", class.name());
        }
        // All classes have a backlog when the database is reached, and the collector restarts in between with
        // another number of lanes.
        for (database, shards, is_one_class) in [(&one, [1, 1, 1], true), (&two, [3, 1, 2], false)] {
            let (mut directory, mut logged) = (tempfile::tempdir().unwrap(), 0);
            for (part, shards) in batches.chunks(batches.len().div_ceil(3)).zip(shards) {
                let source = Source::open(directory);
                for batch in part {
                    let dump = Batch { class: Class::Dump, after: 0, ..batch.clone() };
                    source.put(if is_one_class { &dump } else { batch }).await;
                }
                logged += u64::try_from(part.len()).unwrap();
                let forwarder = source.drain(database.target.clone(), shards, 5);
                delivered(&forwarder, logged).await;
                let status = forwarder.delivered().borrow().clone();
                assert!(status.failures.is_empty(), "no lane is surprised by another one: {status:?}");
                assert!(forwarder.stop(PATIENCE).await);
                directory = source.close().await;
            }
            assert_eq!(
                database.value::<i64>("SELECT min(last_seq) FROM ingest_checkpoint").await.cast_unsigned(),
                count
            );
        }
        let (expected, stored) = (contents(&one).await, contents(&two).await);
        for (expected, stored) in expected.iter().zip(&stored) {
            assert_eq!(expected, stored, "seed {seed}");
        }
        assert_eq!(expected.len(), stored.len());
        verify_and_drop(one).await;
        verify_and_drop(two).await;
    }
}
