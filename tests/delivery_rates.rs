//! Rates of the database side, printed. Not run with the other tests:
//! `cargo test --release --test delivery_rates -- --ignored --nocapture`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    dead_code,
    unreachable_pub,
    reason = "test code; what is shared is used in part by each test binary"
)]

#[path = "common/batches.rs"]
mod batches;
#[path = "common/db.rs"]
mod db;

use std::process::Command;
use std::time::{Duration, Instant};

use batches::{Builder, attributes, peer, prefix};
use bytes::Bytes;
use db::{Database, Edition};
use futures_util::SinkExt as _;
use holdfast::route::{Batch, Family, RibView};
use holdfast::sink::{Chunk, Connection, Lane, Sealed, columns};

const ROUTES: u32 = 200_000;
const ROWS_PER_CHUNK: u32 = 20_000;
const ROUTES_PER_BATCH: u32 = 1000;

fn lane(number: u32, count: u32) -> Lane {
    Lane { collector: "bench".to_owned(), log_id: [1; 16], number, count }
}

/// One prefix per message, six prefixes per attribute set, as FRR sends a full table.
fn batch(last: u8, first: u32, salt: u32) -> Batch {
    let peer = peer(last, RibView::AdjInPre, 1);
    let mut builder = Builder::new("r1", 0).at(i64::from(first) + i64::from(salt) * 1_000_000);
    for number in first..first + ROUTES_PER_BATCH {
        let set = number / 6;
        let mut attributes =
            attributes(&[65_000, 60_000 + set % 500, 1000 + set % 7919, 4_200_000_000 - set]);
        attributes.communities.truncate(usize::try_from(set % 3).unwrap());
        attributes.med = Some(salt);
        if set % 5 != 0 {
            attributes.large_communities.clear();
        }
        builder = builder.routes(&peer, Family::IPV4_UNICAST, Some(&attributes), [(None, prefix(number))]);
    }
    builder.build()
}

fn batches_of(last: u8, salt: u32) -> Vec<Batch> {
    (0..ROUTES / ROUTES_PER_BATCH).map(|number| batch(last, number * ROUTES_PER_BATCH, salt)).collect()
}

fn chunks(lane: &Lane, batches: &[Batch], mut seq: u64) -> Vec<Sealed> {
    let per_chunk = usize::try_from(ROWS_PER_CHUNK / ROUTES_PER_BATCH).unwrap();
    let fill = |batches: &[Batch]| {
        let mut chunk = Chunk::new(lane.clone(), seq, 0);
        for batch in batches {
            chunk.push(chunk.next_seq(), b"", batch).unwrap();
        }
        seq = chunk.next_seq();
        chunk.seal()
    };
    batches.chunks(per_chunk).map(fill).collect()
}

fn rate(rows: u32, took: Duration) -> String {
    format!("{:.0} k rows/s", f64::from(rows) / took.as_secs_f64() / 1000.0)
}

/// Stores the same routes three times: new, unchanged, with other attributes.
async fn load(database: &Database, lane: Lane, last: u8) -> [Duration; 3] {
    let (mut connection, _) = Connection::attach(&database.target, &lane, [1; 16], true).await.unwrap();
    let mut times = [Duration::ZERO; 3];
    let mut seq = 1;
    for (time, salt) in times.iter_mut().zip([0, 0, 1]) {
        let sealed = chunks(&lane, &batches_of(last, salt), seq);
        let start = Instant::now();
        for chunk in &sealed {
            connection.store(chunk).await.unwrap();
        }
        *time = start.elapsed();
        seq = sealed.last().unwrap().last_seq + 1;
    }
    times
}

async fn copy(client: &tokio_postgres::Client, statement: &str, bytes: Bytes) {
    let mut sink = Box::pin(client.copy_in(statement).await.unwrap());
    let mut rest = bytes;
    while !rest.is_empty() {
        sink.send(rest.split_to(rest.len().min(256 << 10))).await.unwrap();
    }
    sink.as_mut().finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, not a test"]
async fn rates() {
    let lanes = [lane(0, 1)];
    let prepared = batches_of(1, 0);
    let start = Instant::now();
    let sealed = chunks(&lanes[0], &prepared, 1);
    println!("encode (one core, history + state folded): {}", rate(ROUTES, start.elapsed()));

    let Some(database) = Database::migrated(Edition::Timescale, "rates").await else { return };
    let statement = columns::copy_statement("route_updates", columns::ROUTE_UPDATES);
    let directory = tempfile::tempdir().unwrap();
    let url = format!(
        "postgres://postgres@127.0.0.1:{}/{}",
        database.config.get_ports()[0],
        database.config.get_dbname().unwrap()
    );
    for (number, chunk) in sealed.iter().enumerate() {
        std::fs::write(directory.path().join(number.to_string()), chunk.route_bytes()).unwrap();
    }
    let script: String = (0..sealed.len())
        .map(|number| {
            let path = directory.path().join(number.to_string());
            format!(
                "\\{}\n",
                statement.replace("STDIN", &format!("'{}'", path.display())).replace("COPY", "copy")
            )
        })
        .collect();
    std::fs::write(directory.path().join("script"), script).unwrap();
    let client = database.client().await;
    for _ in 0..3 {
        client.batch_execute("TRUNCATE route_updates").await.unwrap();
        let start = Instant::now();
        let status =
            Command::new("psql").args(["-q", "-d", &url, "-f"]).arg(directory.path().join("script")).status();
        assert!(status.unwrap().success());
        let bare = start.elapsed();
        client.batch_execute("TRUNCATE route_updates").await.unwrap();
        let start = Instant::now();
        for chunk in &sealed {
            copy(&client, &statement, chunk.route_bytes()).await;
        }
        let ours = start.elapsed();
        println!("history only: psql \\copy {}, own COPY {}", rate(ROUTES, bare), rate(ROUTES, ours));
    }
    drop(client);
    database.drop().await;

    let Some(database) = Database::migrated(Edition::Timescale, "rates_1").await else { return };
    let [first, same, changed] = load(&database, lane(0, 1), 1).await;
    println!(
        "one lane, history + state: first load {}, unchanged {}, changed {}",
        rate(ROUTES, first),
        rate(ROUTES, same),
        rate(ROUTES, changed)
    );
    let hot = "SELECT concat_ws(' ', n_tup_ins, n_tup_upd, n_tup_hot_upd) FROM pg_stat_user_tables
        WHERE relname = 'rib_entries'";
    println!("rib_entries inserted, updated, HOT: {:?}", database.texts(hot).await);
    println!("missing, doubled: {:?}", database.missing_and_doubled("bench").await);
    database.drop().await;

    let Some(database) = Database::migrated(Edition::Timescale, "rates_2").await else { return };
    // Two peers that two lanes own.
    let owner = |number| {
        let mine = |last: &u8| lane(number, 2).owns("r1", &peer(*last, RibView::AdjInPre, 1).key);
        (0..=255).find(mine).unwrap()
    };
    let start = Instant::now();
    let (zero, one) =
        tokio::join!(load(&database, lane(0, 2), owner(0)), load(&database, lane(1, 2), owner(1)));
    for (what, place) in [("first load", 0), ("unchanged", 1), ("changed", 2)] {
        println!("two lanes, {what}: {}", rate(ROUTES * 2, zero[place].max(one[place])));
    }
    println!("two lanes, all with making of chunks: {:?}", start.elapsed());
    database.drop().await;
}
