//! A log that is damaged while the daemon runs, with a real database and real files.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::away::Away;
use crate::common::daemon::{self, Daemon};
use crate::common::messages::{PEER, initiation, open, tlv};
use holdfast::telemetry::status::{Document, Health, LossReason};

const SEGMENT_BYTES: u64 = 16 << 20;

/// Log settings with room for more than six segments.
const ROOMY: [(&str, &str); 2] = [("WAL_MAX_BYTES", "256MiB"), ("DB_COMMAND_TIMEOUT_S", "5")];

/// A Route Mirroring message of about a megabyte.
fn bulk() -> Vec<u8> {
    let tlvs: Vec<u8> = (0..15).flat_map(|_| tlv(0, &[0xaa; 60_000])).collect();
    PEER.mirror(&tlvs)
}

/// Sends messages until the log has `segments` segments, and waits until everything is durable.
fn fill(daemon: &Daemon, segments: u64) -> TcpStream {
    let opens = (open(65_001, &[]), open(65_002, &[]));
    let mut stream = daemon.send(&[initiation("edge1"), PEER.peer_up(&opens.0, &opens.1, &[])].concat());
    while daemon.status().wal.segments < segments {
        stream.write_all(&bulk()).unwrap();
    }
    daemon.status_when(|document| {
        document.wal.written == document.wal.durable && document.wal.unsynced_records == 0
    });
    stream
}

/// Inverts eight bytes in the middle of a segment.
fn flip(folder: &Path, segment: u64) {
    let path = folder.join("wal").join(format!("{segment:016x}.wal"));
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, SEGMENT_BYTES / 2).unwrap();
    file.write_all_at(&bytes.map(|byte| !byte), SEGMENT_BYTES / 2).unwrap();
}

/// Checks that the status names the damaged segment and one lost batch, and returns it.
fn damaged(daemon: &Daemon) -> Document {
    let status = daemon.status_when(|document| document.wal.damage.is_some());
    let damage = status.wal.damage.clone().unwrap();
    assert_eq!((damage.file.as_deref(), damage.batches), (Some("0000000000000002.wal"), 1), "{damage:?}");
    let (from, to) = (damage.from_byte.unwrap(), damage.to_byte.unwrap());
    assert!(from <= SEGMENT_BYTES / 2 && SEGMENT_BYTES / 2 < to, "{damage:?}");
    assert_eq!(status.wal.lost_batches.get(&LossReason::Rot), Some(&1));
    assert_eq!(status.state, Health::Degraded);
    let named = |reason: &String| reason.contains("0000000000000002.wal");
    assert!(status.reasons.iter().any(named), "{:?}", status.reasons);
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_that_the_delivery_meets_is_an_error_with_its_place_and_count() {
    let Some(away) = Away::new("damage_drain").await else { return };
    away.is_away(true);
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = away.daemon(folder.path(), &ROOMY);
    let _router = fill(&daemon, 6);
    flip(folder.path(), 2);
    away.is_away(false);
    let event = daemon.event("log_damage");
    assert_eq!(event["level"], "ERROR", "{event}");
    assert_eq!((&event["file"], &event["batches"]), (&"0000000000000002.wal".into(), &1.into()), "{event}");
    assert_eq!(event["first_seq"], event["last_seq"], "{event}");
    let seq = event["first_seq"].as_u64().unwrap();
    damaged(&daemon);
    daemon.status_when(|document| {
        document.delivery.as_ref().is_some_and(|one| one.delivered == Some(document.wal.durable))
    });
    let gaps = "SELECT concat_ws(' ', first_seq, last_seq, reason) FROM collector_gaps
        WHERE first_seq IS NOT NULL";
    assert_eq!(away.database.texts(gaps).await, [format!("{seq} {seq} rot")]);
    let events = daemon.lines().iter().filter(|line| line["event"] == "log_damage").count();
    assert_eq!(events, 1, "both lanes meet the damage, and it is logged once");
    let page = daemon::run(folder.path(), &["status"], &[]).stdout;
    assert!(String::from_utf8_lossy(&page).contains("0000000000000002.wal"));
    daemon.kill();
    away.database.drop().await;
}

/// Delivers two sessions, and then sets the segments back to a time between them, as a disk would that
/// reported syncs and did not perform them. Delivers a third session, and returns the status before and
/// after.
fn lose_the_end(away: &Away, folder: &Path, keeps_marker: bool) -> (Document, Document, Daemon) {
    let wal = folder.join("wal");
    let delivered = |document: &Document| {
        let delivery = document.delivery.as_ref().unwrap();
        document.wal.durable > 0 && delivery.delivered == Some(document.wal.durable)
    };
    let deliver = |name: &str| {
        let daemon = away.daemon(folder, &[]);
        let opens = (open(65_001, &[]), open(65_002, &[]));
        let router = daemon.send(&[initiation(name), PEER.peer_up(&opens.0, &opens.1, &[])].concat());
        daemon.status_when(|document| {
            delivered(document) && document.routers.iter().any(|one| one.name == name)
        });
        (daemon, router)
    };
    // The router stays connected until the daemon is killed: its session has no end in the log.
    let kill = |(daemon, router): (Daemon, std::net::TcpStream)| {
        daemon.kill();
        drop(router);
    };
    kill(deliver("edge1"));
    let kept = tempfile::tempdir().unwrap();
    let segments = |from: &Path| -> Vec<std::path::PathBuf> {
        let files = std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|ending| ending == "wal")).collect()
    };
    for path in segments(&wal) {
        std::fs::copy(&path, kept.path().join(path.file_name().unwrap())).unwrap();
    }
    let last = deliver("edge2");
    let before = last.0.status();
    kill(last);
    segments(&wal).iter().for_each(|path| std::fs::remove_file(path).unwrap());
    for path in segments(kept.path()) {
        std::fs::copy(&path, wal.join(path.file_name().unwrap())).unwrap();
    }
    if !keeps_marker {
        std::fs::remove_file(wal.join("delivered")).unwrap();
    }
    let after = deliver("edge3");
    (before, after.0.status(), after.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_were_delivered_are_not_assigned_again_by_a_log_that_lost_its_end() {
    let Some(away) = Away::new("lost_end").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let (before, status, mut daemon) = lose_the_end(&away, folder.path(), true);
    let opened = daemon.event_since_start("log_opened");
    assert_eq!(opened["next_seq"], before.wal.durable + 1, "{opened}");
    assert_eq!(status.wal.log_id, before.wal.log_id);
    assert!(daemon.lines().iter().all(|line| line["event"] != "log_forked"));
    assert_eq!(away.database.texts("SELECT DISTINCT log_id::text FROM ingest_checkpoint").await.len(), 1);
    assert_eq!(away.database.missing_and_doubled("test").await, (0, 0));
    daemon.kill();
    away.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_its_end_and_its_marker_is_a_fork_and_skips_nothing() {
    let Some(away) = Away::new("lost_marker").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let (_, _, mut daemon) = lose_the_end(&away, folder.path(), false);
    daemon.event_since_start("log_forked");
    let crashes = "SELECT DISTINCT router FROM collector_gaps WHERE reason = 'crash' ORDER BY router";
    assert_eq!(away.database.texts(crashes).await, ["edge1", "edge2"]);
    daemon.kill();
    away.database.drop().await;
}

#[test]
fn damage_in_a_backlog_is_found_while_it_waits() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = [("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"), ("WAL_MAX_BYTES", "256MiB")];
    let mut daemon = Daemon::start(folder.path(), &nowhere);
    let _router = fill(&daemon, 6);
    flip(folder.path(), 2);
    let event = daemon.event("log_damage");
    assert_eq!((&event["file"], &event["batches"]), (&"0000000000000002.wal".into(), &1.into()), "{event}");
    damaged(&daemon);
}
