//! Runs every command of docs/RECOVERY.md on a damaged log and against a real database.
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::batches::{Builder, NOW, peer};
use crate::common::db::{Database, Edition};
use holdfast::codec;
use holdfast::route::RibView;
use holdfast::wal::{Disk, LogId, Options, recover};
use serde_json::Value;

const BATCHES: u32 = 60;

/// A log after a crash, with one corrupt batch.
fn damaged(directory: &Path) {
    let options = Options {
        segment_bytes: 64 << 10,
        bytes_max: 4 << 20,
        free_percent_min: 0,
        ..Options::new(LogId([3; 16]), 11, NOW)
    };
    let (mut writer, _) = recover(Disk::create(directory).unwrap(), options).unwrap();
    for number in 0..BATCHES {
        let batch =
            Builder::new("r1", 1).announce(&peer(1, RibView::AdjInPre, 1), [number], &[65_001]).build();
        let mut payload = Vec::new();
        codec::encode(&batch, &mut payload).unwrap();
        writer.append(&payload, 1).unwrap();
        writer.sync(NOW).unwrap();
    }
    drop(writer);
    let first = directory.join("0000000000000001.wal");
    let mut bytes = fs::read(&first).unwrap();
    // The third group: batch 3.
    bytes[8192 + 4096 * 3 + 60] ^= 1;
    fs::write(&first, bytes).unwrap();
}

/// The commands of the runbook, in order.
fn commands() -> Vec<String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/RECOVERY.md")).unwrap();
    let mut inside = false;
    let mut commands = Vec::new();
    for line in page.lines() {
        if line.starts_with("```") {
            inside = !inside;
        } else if inside && !line.is_empty() {
            assert!(line.starts_with("walctl "), "not a command of ours: {line}");
            commands.push(line.to_owned());
        }
    }
    assert!(commands.len() > 12);
    commands
}

/// Exit code of the command on this log.
fn expected(command: &str) -> i32 {
    match command.split_whitespace().nth(1).unwrap() {
        // One batch is corrupt and missing in the copy; the copy itself is intact.
        "salvage" => 2,
        "dump" if command.ends_with("--batches") => 2,
        "verify" if command.ends_with("/var/lib/holdfast/wal --deep") => 2,
        // A repair is needed, and this command only reports it.
        "repair" if !command.contains("--yes") => 1,
        // No record was rejected.
        "rejected" if command.contains("show") => 1,
        _ => 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_runbook_has_the_documented_result() {
    let Some(database) = Database::migrated(Edition::Plain, "runbook").await else { return };
    let directory = tempfile::tempdir().unwrap();
    let (log, copy) = (directory.path().join("wal"), directory.path().join("copy"));
    damaged(&log);
    let url = database.url();
    let run = |command: &str| {
        let words = command.split_whitespace().skip(1).map(|word| match word {
            "/var/lib/holdfast/wal" => log.to_str().unwrap().to_owned(),
            "/var/tmp/wal" => copy.to_str().unwrap().to_owned(),
            "/var/tmp" => directory.path().to_str().unwrap().to_owned(),
            "postgres://holdfast@db/holdfast" => url.clone(),
            word => word.to_owned(),
        });
        let output = Command::new(env!("CARGO_BIN_EXE_walctl")).args(words).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    for command in commands() {
        let (code, out, err) = run(&command);
        assert_eq!(code, expected(&command), "{command}\n{out}{err}");
    }
    // Drained batches are stored once, the lost one is a gap, and a second drain adds nothing.
    let rows = "SELECT count(*) FROM route_updates";
    assert_eq!(database.value::<i64>(rows).await, i64::from(BATCHES) - 1);
    assert_eq!(database.missing_and_doubled("edge1").await, (0, 0));
    let gaps = "SELECT first_seq || '..' || last_seq || ' ' || reason FROM collector_gaps";
    assert_eq!(database.texts(gaps).await, ["3..3 rot"]);
    let to = "--to postgres://holdfast@db/holdfast --json";
    let (code, out, err) = run(&format!("walctl drain /var/tmp/wal {to}"));
    let drained: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{code} {out}{err}"));
    assert_eq!((code, &drained["rows"], &drained["collector"]), (0, &0.into(), &"edge1".into()), "{out}");
    assert_eq!(database.value::<i64>(rows).await, i64::from(BATCHES) - 1);
    let (_, out, _) = run(&format!("walctl diff /var/tmp/wal {to}"));
    let diff: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&diff["verdict"], &diff["contents_compared"]), (&"level".into(), &true.into()), "{out}");
    let (_, out, _) = run(&format!("walctl stat /var/tmp/wal {to}"));
    let stat: Value = serde_json::from_str(&out).unwrap();
    for key in ["batches", "records", "bytes", "age_s"] {
        assert_eq!(stat["backlog"][key], 0, "{key} in {out}");
    }
    database.drop().await;
}
