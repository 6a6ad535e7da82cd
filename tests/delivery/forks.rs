//! Copied or restored logs, and databases restored to an earlier state: no batch is skipped silently.

use std::path::Path;
use std::time::Duration;

use crate::common::db::{Database, Edition};
use crate::common::source::{COLLECTOR, PATIENCE, RECORDS_PER_BATCH, Source, delivered};

fn copy(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

async fn drain(source: &Source, database: &Database, seq: u64) {
    let forwarder = source.drain(database.target.clone(), 2, 100);
    delivered(&forwarder, seq).await;
    assert!(forwarder.stop(PATIENCE).await);
}

/// Records per log, the older log first.
const LOGS: &str = "SELECT count(*)::text FROM stored_records GROUP BY log_id \
    ORDER BY log_id <> '05050505-0505-0505-0505-050505050505'";
/// Asserts that every record is stored, under either log id.
const PUT: &str = "SELECT count(DISTINCT as_path) FROM route_updates WHERE NOT is_withdrawn";

async fn check_fork(database: &Database, common: i64, first: i64, second: i64) {
    assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
    let records = |batches: i64| (batches * RECORDS_PER_BATCH).to_string();
    assert_eq!(database.texts(LOGS).await, [records(first), records(second - common)]);
    assert_eq!(database.value::<i64>(PUT).await, first + second - common);
}

/// A copy is made at 50 batches; the original continues to 70, and the copy continues with other batches.
async fn forked(database: &Database) -> (tempfile::TempDir, Source) {
    let mut source = Source::new();
    source.fill(0..50).await;
    drain(&source, database, 50).await;
    let directory = source.close().await;
    let copied = Source::open(copy(directory.path()));
    let mut original = Source::open(directory);
    original.fill(50..70).await;
    drain(&original, database, 70).await;
    (original.close().await, copied)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_behind_the_database_is_delivered_under_a_new_id() {
    let Some(database) = Database::migrated(Edition::Timescale, "fork_behind").await else { return };
    let (_original, mut copied) = forked(&database).await;
    copied.fill(1000..1010).await;
    drain(&copied, &database, 60).await;
    check_fork(&database, 50, 70, 60).await;
    // The next start continues after the last stored batch, under the same id.
    let mut copied = Source::open(copied.close().await);
    copied.fill(1010..1020).await;
    drain(&copied, &database, 70).await;
    check_fork(&database, 50, 70, 70).await;
    database.drop().await;
}

/// The common batches end within a transaction of the original, whose end alone the ledger has.
#[tokio::test(flavor = "multi_thread")]
async fn batches_of_a_transaction_that_a_copy_has_in_part_are_stored_once() {
    for edition in [Edition::Timescale, Edition::Plain] {
        let Some(database) = Database::migrated(edition, "fork_within").await else { return };
        let mut source = Source::new();
        source.fill(0..20).await;
        drain(&source, &database, 20).await;
        source.fill(20..50).await;
        let directory = source.close().await;
        let mut copied = Source::open(copy(directory.path()));
        let mut original = Source::open(directory);
        original.fill(50..70).await;
        let forwarder = original.drain(database.target.clone(), 2, 1_000_000);
        delivered(&forwarder, 70).await;
        assert!(forwarder.stop(PATIENCE).await);
        let ends = "SELECT string_agg(last_seq::text, ' ' ORDER BY last_seq) FROM ingest_ledger \
            WHERE last_seq > 20 GROUP BY lane";
        assert_eq!(database.texts(ends).await, ["70"; 4], "one transaction of each lane");
        copied.fill(1000..1010).await;
        drain(&copied, &database, 60).await;
        check_fork(&database, 50, 70, 60).await;
        let starts = "SELECT string_agg(forked_at::text, ' ') FROM ingest_checkpoint WHERE forked_at > 0";
        assert_eq!(database.texts(starts).await, ["50 50 50 50"]);
        database.drop().await;
    }
}

/// Numbers of records that are stored under any log id, and of those that are stored more than once.
const COPIES: &str = "SELECT count(*) || ' ' || count(*) - count(DISTINCT (time, router, idx, as_path)) \
    FROM route_updates";

/// Damaged contents of a marker file; `None` is a file that is missing.
///
/// `MARKER_DAMAGES=all` tries every bit and every truncation, some 1,800 starts of a lane, instead of one bit
/// of each word and three truncations. `src/forwarder/marker_files.rs` always reads all of them: each is an
/// error, or changes nothing.
fn marker_damages(intact: &[u8]) -> Vec<Option<Vec<u8>>> {
    let flipped = |bit: usize| {
        let mut bytes = intact.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        Some(bytes)
    };
    let cut = |length: usize| Some(intact[..length].to_vec());
    let length = intact.len();
    let (bits, lengths) = if std::env::var("MARKER_DAMAGES").is_ok_and(|value| value == "all") {
        ((0..length * 8).collect(), (0..length).collect())
    } else {
        (vec![27, 137, 201, 484, length * 8 - 28], vec![0, 40, length - 3])
    };
    let changed = bits.into_iter().map(flipped).chain(lengths.into_iter().map(cut));
    changed.chain([None]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_or_missing_marker_file_stores_nothing_twice_and_does_not_stop_the_delivery() {
    let Some(database) = Database::migrated(Edition::Plain, "fork_marker").await else { return };
    let (_original, mut copied) = forked(&database).await;
    copied.fill(1000..1010).await;
    drain(&copied, &database, 60).await;
    let mut directory = copied.close().await;
    let intact = ["forked", "delivered"].map(|name| std::fs::read(directory.path().join(name)).unwrap());
    // One damage after the other, each beside a further batch.
    let mut end = 60;
    for number in [0, 1] {
        for damaged in marker_damages(&intact[number]) {
            let path = directory.path().join(["forked", "delivered"][number]);
            match damaged {
                Some(bytes) => std::fs::write(&path, bytes).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            let mut source = Source::open(directory);
            source.fill(2000 + end..2001 + end).await;
            end += 1;
            drain(&source, &database, u64::from(end)).await;
            directory = source.close().await;
            let forked = std::fs::read(directory.path().join("forked")).unwrap();
            // White space at its end is not part of it.
            let [forked, intact] = [&forked, &intact[0]].map(|bytes| String::from_utf8_lossy(bytes));
            assert_eq!(forked.trim_end(), intact.trim_end(), "the marker file is restored");
        }
    }
    println!("{} damages, one start each", end - 60);
    let batches = i64::from(end) + 20;
    check_fork(&database, 50, 70, i64::from(end)).await;
    assert_eq!(database.texts(COPIES).await, [format!("{} 0", batches * 13)]);
    database.drop().await;
}

/// File names of the segments, the oldest first.
fn segments(directory: &Path) -> Vec<std::ffi::OsString> {
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.filter(|name| name.to_string_lossy().ends_with(".wal")).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_that_no_longer_has_the_batches_of_the_original_restores_its_marker_file() {
    let Some(database) = Database::migrated(Edition::Plain, "fork_retired").await else { return };
    let (_original, mut copied) = forked(&database).await;
    copied.fill(1000..1010).await;
    let mut copied = Source::sized(copied.close().await, 64 << 10, 4 << 20);
    copied.fill(1010..1110).await;
    let (mut end, first) = (160, segments(copied.directory.path()));
    // The batch at the checkpoint of the original, 70, is in one of these segments.
    while segments(copied.directory.path()).iter().any(|name| first.contains(name)) {
        copied.fill(2000 + end..2000 + end + 100).await;
        end += 100;
        drain(&copied, &database, u64::from(end)).await;
    }
    let directory = copied.close().await;
    let path = directory.path().join("forked");
    let intact = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut copied = Source::open(directory);
    copied.fill(2000 + end..2001 + end).await;
    drain(&copied, &database, u64::from(end + 1)).await;
    check_fork(&database, 50, 70, i64::from(end + 1)).await;
    let directory = copied.close().await;
    assert_eq!(std::fs::read(directory.path().join("forked")).unwrap(), intact);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_whose_start_was_interrupted_is_not_delivered_from_the_beginning() {
    let Some(database) = Database::migrated(Edition::Plain, "fork_interrupted").await else { return };
    let (_original, copied) = forked(&database).await;
    // The marker file was written, and the process ended before the id was registered.
    let text = format!("holdfast-forked 1 {} {}", "05".repeat(16), "4d".repeat(16));
    let crc = crc32fast::hash(text.as_bytes());
    std::fs::write(copied.directory.path().join("forked"), format!("{text} {crc:08x}\n")).unwrap();
    let mut copied = copied;
    copied.fill(1000..1010).await;
    drain(&copied, &database, 60).await;
    check_fork(&database, 50, 70, 60).await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_two_log_ids_of_a_collector_have_are_counted_as_doubled() {
    let Some(database) = Database::migrated(Edition::Plain, "fork_doubled").await else { return };
    let mut source = Source::new();
    source.fill(0..20).await;
    drain(&source, &database, 20).await;
    assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
    // The history of the other log refers to incarnations of its own.
    let records = "INSERT INTO route_records SELECT (jsonb_populate_record(t, \
                   jsonb_build_object('incarnation', md5(incarnation::text)))).* FROM route_records t";
    let incarnations = "INSERT INTO incarnations \
                        SELECT (jsonb_populate_record(t, jsonb_build_object('id', md5(id::text), 'log_id', \
                        '99999999-9999-9999-9999-999999999999'))).* FROM incarnations t";
    database.client().await.batch_execute(records).await.unwrap();
    database.client().await.batch_execute(incarnations).await.unwrap();
    for table in ["peer_events", "ingest_ledger", "ingest_checkpoint"] {
        let sql = format!(
            "INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object('log_id', \
             '99999999-9999-9999-9999-999999999999'))).* FROM {table} t"
        );
        database.client().await.batch_execute(&sql).await.unwrap();
    }
    assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 20 * RECORDS_PER_BATCH));
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_ahead_of_the_database_is_recognised_by_the_digest() {
    let Some(database) = Database::migrated(Edition::Plain, "fork_ahead").await else { return };
    let (original, mut copied) = forked(&database).await;
    copied.fill(1000..1040).await;
    drain(&copied, &database, 90).await;
    check_fork(&database, 50, 70, 90).await;
    // The original was not disturbed.
    let mut original = Source::open(original);
    original.fill(70..75).await;
    drain(&original, &database, 75).await;
    check_fork(&database, 50, 75, 90).await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_starts_does_not_fence_the_original_out() {
    let Some(database) = Database::migrated(Edition::Timescale, "fork_fence").await else { return };
    let (original, mut copied) = forked(&database).await;
    let mut original = Source::open(original);
    let running = original.drain(database.target.clone(), 2, 100);
    original.fill(70..71).await;
    delivered(&running, 71).await;
    copied.fill(1000..1001).await;
    drain(&copied, &database, 51).await;
    original.fill(71..80).await;
    delivered(&running, 80).await;
    assert!(running.delivered().borrow().is_healthy());
    assert!(running.stop(PATIENCE).await);
    check_fork(&database, 50, 80, 51).await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_has_given_up_what_it_could_be_told_by_is_recognised_all_the_same() {
    let Some(database) = Database::migrated(Edition::Timescale, "fork_dropped").await else { return };
    let (_original, copied) = forked(&database).await;
    let mut copied = Source::dropping(copied.close().await);
    copied.fill(1000..9000).await;
    drain(&copied, &database, 8050).await;
    assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
    let logs = "SELECT count(DISTINCT log_id) FROM ingest_checkpoint";
    assert_eq!(database.value::<i64>(logs).await, 2);
    // Batches 51 to 70 of the copy are lost, which is recorded as a gap.
    let told = "SELECT concat_ws(' ', reason, first_seq, last_seq > 70) FROM collector_gaps";
    assert_eq!(database.texts(told).await, ["dropped 1 t"]);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_goes_on_is_no_fork() {
    let Some(database) = Database::migrated(Edition::Timescale, "no_fork").await else { return };
    let mut source = Source::new();
    for end in [20, 40, 60] {
        source.fill(end - 20..end).await;
        drain(&source, &database, u64::from(end)).await;
        source = Source::open(source.close().await);
    }
    assert_eq!(database.value::<i64>("SELECT count(DISTINCT log_id) FROM ingest_checkpoint").await, 1);
    assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
    database.drop().await;
}

/// Deletes everything after `seq`, as a restore of an earlier backup does.
async fn restore(database: &Database, seq: i64) {
    let sql = format!(
        // No transaction may be open, because a part of it would be in the backup.
        "LOCK TABLE ingest_checkpoint IN EXCLUSIVE MODE; DELETE FROM route_records WHERE seq > {seq}; \
         DELETE FROM peer_events WHERE seq > {seq};
        DELETE FROM ingest_ledger WHERE last_seq > {seq};
        UPDATE ingest_checkpoint c SET epoch = epoch - 1, owner = '00000000-0000-0000-0000-000000000000',
            last_seq = l.last_seq, digest = l.digest
        FROM (SELECT DISTINCT ON (lane) lane, last_seq, digest FROM ingest_ledger \
        ORDER BY lane, last_seq DESC) l
        WHERE l.lane = c.lane;
        DELETE FROM ingest_checkpoint c WHERE NOT EXISTS (SELECT FROM ingest_ledger l WHERE l.lane = c.lane);
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'holdfast' AND datname = current_database()"
    );
    database.client().await.batch_execute(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_comes_back_older_under_a_running_collector_gets_again_what_it_lost() {
    for edition in Edition::ALL {
        let Some(database) = Database::migrated(edition, "older").await else { continue };
        let mut source = Source::new();
        let forwarder = source.drain(database.target.clone(), 2, RECORDS_PER_BATCH.cast_unsigned());
        for (end, kept) in [(40, 25), (60, 0)] {
            source.fill(end - 20..end).await;
            delivered(&forwarder, u64::from(end) - 20).await;
            restore(&database, kept).await;
            source.fill(1000 + end..1001 + end).await;
        }
        let mut watch = forwarder.delivered();
        let end = source.progress.borrow().durable;
        let whole = async {
            while database.missing_and_doubled(COLLECTOR).await != (0, 0)
                || database.value::<Option<i64>>("SELECT min(last_seq) FROM ingest_checkpoint").await
                    != Some(i64::try_from(end.0).unwrap())
            {
                drop(tokio::time::timeout(Duration::from_millis(50), watch.changed()).await);
            }
        };
        tokio::time::timeout(PATIENCE, whole).await.unwrap();
        assert!(forwarder.stop(PATIENCE).await);
        let stored = database.value::<i64>("SELECT count(*) FROM stored_records").await;
        assert_eq!(stored, i64::try_from(end.0).unwrap() * RECORDS_PER_BATCH);
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_comes_back_without_its_schema_is_made_anew_and_filled_from_the_log() {
    for edition in Edition::ALL {
        let Some(database) = Database::migrated(edition, "emptied").await else { continue };
        let mut source = Source::new();
        let forwarder = source.drain(database.target.clone(), 2, 100);
        source.fill(0..40).await;
        delivered(&forwarder, 40).await;
        let emptied = "DROP SCHEMA holdfast CASCADE;
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'holdfast' AND datname = current_database()";
        database.client().await.batch_execute(emptied).await.unwrap();
        source.fill(40..41).await;
        delivered(&forwarder, 41).await;
        assert!(forwarder.stop(PATIENCE).await);
        assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0), "{edition:?}");
        assert_eq!(
            database.value::<i64>("SELECT count(*) FROM stored_records").await,
            41 * RECORDS_PER_BATCH
        );
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_has_no_more_becomes_a_gap_and_no_stall() {
    let Some(database) = Database::migrated(Edition::Timescale, "older_gap").await else { return };
    let mut source = Source::sized(tempfile::tempdir().unwrap(), 128 << 10, 1 << 20);
    let end = 6000;
    let forwarder = source.drain(database.target.clone(), 2, 2000);
    source.fill(0..end).await;
    delivered(&forwarder, u64::from(end)).await;
    assert!(forwarder.stop(PATIENCE).await);
    restore(&database, 1000).await;
    drain(&source, &database, u64::from(end)).await;
    assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
    // One gap in the log; two rows if the lanes were at different positions when the copy was made.
    let gap = "SELECT concat_ws(' ', min(first_seq) > 1, max(last_seq) < 6000, \
        sum(last_seq - first_seq + 1) = max(last_seq) - min(first_seq) + 1, \
         string_agg(DISTINCT reason, ' ')) \
        FROM collector_gaps WHERE first_seq IS NOT NULL";
    assert_eq!(database.texts(gap).await, ["t t t dropped"]);
    database.drop().await;
}
