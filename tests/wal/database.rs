//! `walctl` between a log and a real database: differences are reported, rejected records are listed and
//! retried, and the log of a failed machine is delivered without changing newer data.
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::batches::{Builder, NOW, peer, peer_down, peer_up};
use crate::common::db::{Database, Edition};
use holdfast::codec;
use holdfast::route::{Batch, EventKind, Family, RibView};
use holdfast::wal::{Disk, LogId, Options, recover};
use serde_json::Value;

/// A database, and a directory for logs.
struct Setup {
    database: Database,
    directory: tempfile::TempDir,
    url: String,
}

impl Setup {
    /// Creates the database with the schema; `None` without a test database.
    async fn new(test: &str) -> Option<Self> {
        Some(Self::with(Database::migrated(Edition::Plain, test).await?))
    }

    fn with(database: Database) -> Self {
        let url = database.url();
        Self { database, directory: tempfile::tempdir().unwrap(), url }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs `walctl` with `--to` this database. Returns the exit code and the output.
    fn walctl(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_walctl"))
            .args(arguments)
            .args(["--to", &self.url])
            .output()
            .unwrap();
        let Output { status, stdout, stderr } = output;
        let text = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
        (status.code().unwrap(), text)
    }

    /// As `walctl`, with `--json`.
    fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let (code, text) = self.walctl(&[arguments, &["--json"]].concat());
        (code, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    fn drain(&self, log: &Path, more: &[&str]) -> (i32, Value) {
        self.json(&[&["drain", log.to_str().unwrap(), "--collector", "edge1"], more].concat())
    }

    /// Exit code, verdict, last sequence number of the log, last common sequence number.
    fn diff(&self, log: &Path) -> (i32, String, u64, Option<u64>) {
        let (code, diff) = self.json(&["diff", log.to_str().unwrap()]);
        let verdict = diff["verdict"].as_str().unwrap().to_owned();
        (code, verdict, diff["log_last_seq"].as_u64().unwrap(), diff["common_seq"].as_u64())
    }

    /// First AS of each path in the history, with its number of rows.
    async fn history(&self) -> Vec<String> {
        self.database
            .texts("SELECT as_path[1] || ' ' || count(*) FROM route_updates GROUP BY as_path[1] ORDER BY 1")
            .await
    }

    async fn close(self) {
        assert_eq!(self.database.missing_and_doubled("edge1").await, (0, 0));
        self.database.drop().await;
    }
}

/// Opens the log, appends the batches and closes it.
fn extend(log: &Path, id: u8, batches: impl IntoIterator<Item = Batch>) {
    let options = Options {
        segment_bytes: 64 << 10,
        bytes_max: 16 << 20,
        free_percent_min: 0,
        ..Options::new(LogId([id; 16]), 5, NOW)
    };
    let (mut writer, _) = recover(Disk::create(log).unwrap(), options).unwrap();
    for batch in batches {
        let mut payload = Vec::new();
        codec::encode(&batch, &mut payload).unwrap();
        writer.append(&payload, u32::try_from(batch.records()).unwrap()).unwrap();
        writer.sync(NOW).unwrap();
    }
    writer.close(NOW).unwrap();
}

/// One announcement per batch; `path` identifies the series.
fn announcements(numbers: RangeInclusive<u32>, path: u32) -> impl Iterator<Item = Batch> {
    numbers.map(move |number| {
        Builder::new("r1", 1).announce(&peer(1, RibView::AdjInPre, 1), [number], &[path]).build()
    })
}

fn copied(from: &Path, to: PathBuf) -> PathBuf {
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    to
}

fn apart(verdict: &str, last: u64, common: u64) -> (i32, String, u64, Option<u64>) {
    (1, verdict.to_owned(), last, Some(common))
}

#[tokio::test(flavor = "multi_thread")]
async fn diff_distinguishes_level_behind_ahead_and_forked() {
    // The database has no schema: the first drain creates it.
    let Some(database) = Database::empty(Edition::Plain, "walctl_diff").await else { return };
    let setup = Setup::with(database);
    let log = setup.path("log");
    extend(&log, 3, announcements(1..=20, 1));
    let (code, text) = setup.walctl(&["diff", log.to_str().unwrap()]);
    assert!(code == 3 && text.contains("no checkpoint of this log; specify --collector"), "{text}");
    let (code, text) = setup.walctl(&["diff", log.to_str().unwrap(), "--collector", "edge1"]);
    assert!(
        code == 0
            && text.starts_with("behind: the log contains batches 1 to 20; ")
            && text.contains("nothing of this log"),
        "{text}"
    );

    assert_eq!(setup.drain(&log, &[]).0, 0);
    assert_eq!(setup.diff(&log), (0, "level".to_owned(), 20, None));
    let older = copied(&log, setup.path("older"));
    extend(&log, 3, announcements(21..=30, 2));
    assert_eq!(setup.diff(&log), (0, "behind".to_owned(), 30, None));
    assert_eq!(setup.drain(&log, &[]).1["rows"], 10);
    assert_eq!(setup.diff(&log), (0, "level".to_owned(), 30, None));

    // A copy from batch 20 on, extended with other batches: shorter than what the database has, as long, and
    // longer.
    assert_eq!(setup.diff(&older), apart("ahead", 20, 20));
    extend(&older, 3, announcements(21..=25, 3));
    assert_eq!(setup.diff(&older), apart("ahead", 25, 20));
    extend(&older, 3, announcements(26..=30, 3));
    assert_eq!(setup.diff(&older), apart("forked", 30, 20));
    extend(&older, 3, announcements(31..=40, 3));
    assert_eq!(setup.diff(&older), apart("forked", 40, 20));
    // If a transaction ended within the part that differs, a shorter log is recognized as forked as well.
    extend(&log, 3, announcements(31..=50, 2));
    assert_eq!(setup.drain(&log, &[]).0, 0);
    assert_eq!(setup.diff(&older), apart("forked", 40, 20));
    let (_, text) = setup.walctl(&["diff", older.to_str().unwrap()]);
    assert!(text.contains("lane 0: up to batch 50") && text.contains("same in both: 20"), "{text}");
    // Two collectors have delivered this log: --collector is required.
    let shared = setup.path("shared");
    // Other contents: the same records under two log ids would count as doubled.
    extend(&shared, 5, announcements(1..=2, 9));
    for collector in ["edge1", "edge2"] {
        let drain = ["drain", shared.to_str().unwrap(), "--collector", collector];
        assert_eq!(setup.walctl(&drain).0, 0);
    }
    let (code, text) = setup.walctl(&["diff", shared.to_str().unwrap()]);
    assert!(code == 3 && text.contains("several collectors (edge1, edge2); specify --collector"), "{text}");
    setup.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forked_log_is_drained_only_with_fork_and_always_under_one_new_id() {
    let Some(setup) = Setup::new("walctl_fork").await else { return };
    let log = setup.path("log");
    extend(&log, 3, announcements(1..=20, 1));
    assert_eq!(setup.drain(&log, &[]).0, 0);
    let forked = copied(&log, setup.path("forked"));
    extend(&log, 3, announcements(21..=30, 2));
    assert_eq!(setup.drain(&log, &[]).0, 0);
    extend(&forked, 3, announcements(21..=40, 3));

    let before = fs::read_dir(&forked).unwrap().count();
    let (code, refused) = setup.drain(&forked, &[]);
    assert_eq!((code, &refused["verdict"], &refused["common_seq"]), (1, &"forked".into(), &20.into()));
    assert_eq!(fs::read_dir(&forked).unwrap().count(), before, "a log that is not drained is not modified");
    assert_eq!(setup.history().await, ["1 20", "2 10"]);

    let (code, drained) = setup.drain(&forked, &["--fork"]);
    assert_eq!((code, &drained["delivered_seq"]), (0, &40.into()), "{drained}");
    assert_ne!(drained["delivered_as"], drained["log_id"]);
    assert_eq!(setup.history().await, ["1 20", "2 10", "3 20"]);
    // From then on the database has it under the new id, with and without --fork, and a copy of it as well.
    let copy = setup.path("copy");
    let salvaged = Command::new(env!("CARGO_BIN_EXE_walctl")).arg("salvage").args([&forked, &copy]).output();
    assert!(salvaged.unwrap().status.success());
    for log in [&forked, &copy] {
        assert_eq!(setup.diff(log), (0, "level".to_owned(), 40, None));
        for more in [&["--fork"][..], &[]] {
            let (code, again) = setup.drain(log, more);
            assert_eq!((code, &again["delivered_as"]), (0, &drained["delivered_as"]));
            assert_eq!(again["rows"], 0);
        }
    }
    assert_eq!(setup.history().await, ["1 20", "2 10", "3 20"]);
    setup.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_records_are_listed_shown_and_retried() {
    let Some(setup) = Setup::new("walctl_rejected").await else { return };
    let poison =
        "ALTER TABLE route_records ADD CONSTRAINT poison CHECK (prefix <> '1.0.13.0/24' OR is_withdrawn)";
    setup.database.client().await.batch_execute(poison).await.unwrap();
    let log = setup.path("log");
    extend(&log, 3, announcements(1..=200, 1));
    assert_eq!(setup.drain(&log, &[]).0, 0);

    let (code, row) = setup.json(&["rejected", "list"]);
    let shown = ["collector", "seq", "idx", "sqlstate", "retried_at"].map(|key| row[key].clone());
    assert_eq!(shown, ["edge1".into(), 13.into(), 0.into(), "23514".into(), Value::Null], "{row}");
    assert!(code == 0 && row["record"].as_str().unwrap().contains("1.0.13.0/24"), "{row}");
    let (code, line) = setup.walctl(&["rejected", "list"]);
    assert!(code == 0 && line.starts_with("13:0  20") && line.contains("  edge1  "), "{line}");

    let (code, text) = setup.walctl(&["rejected", "show", "13:0"]);
    for part in
        ["collector    edge1\n", "batch        13, record 0\n", "SQLSTATE 23514: ", "last retry   never\n"]
    {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    let record: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((code, &record["prefix"], &record["as_path_text"]), (0, &"1.0.13.0/24".into(), &"1".into()));
    let (code, text) = setup.walctl(&["rejected", "show", "14:0"]);
    assert!(code == 1 && text.contains("no rejected record 14:0"), "{text}");
    let (code, text) = setup.walctl(&["rejected", "show", "13"]);
    assert!(code == 64 && text.contains("SEQ:IDX"), "{text}");

    let retry = ["rejected", "retry", "--collector", "edge1"];
    assert_eq!(setup.walctl(&retry), (1, "0 stored, 1 rejected again\n".to_owned()));
    let (_, text) = setup.walctl(&["rejected", "show", "13:0"]);
    assert!(text.contains("last retry   20"), "{text}");
    setup
        .database
        .client()
        .await
        .batch_execute("ALTER TABLE route_records DROP CONSTRAINT poison")
        .await
        .unwrap();
    let (code, retried) = setup.json(&retry);
    assert_eq!((code, &retried["stored"], &retried["refused"]), (0, &1.into(), &0.into()));
    assert_eq!(setup.walctl(&["rejected", "list"]), (0, String::new()));
    assert_eq!(setup.history().await, ["1 200"]);
    setup.close().await;
}

/// The current routes, and the state of the peers, one line each.
const PRESENT: &str = "SELECT concat_ws(' ', prefix, as_path, is_stale, session) FROM route_state
    WHERE NOT is_withdrawn ORDER BY prefix";
const PEERS: &str = "SELECT concat_ws(' ', address, rib, state, session) FROM bgp_peers ORDER BY 1";

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_failed_machine_completes_the_history_and_keeps_current_routes() {
    let Some(setup) = Setup::new("walctl_dead").await else { return };
    let (dead, new) = (setup.path("dead"), setup.path("new"));
    let at = |session: i64| Builder::new("r1", session).at(session);
    let one = peer(1, RibView::AdjInPre, 1);
    let up = || at(1_000_000).event(Some(&one), peer_up()).build();
    extend(&dead, 3, [up(), at(1_000_001).announce(&one, 0..8, &[1]).build()]);
    assert_eq!(setup.drain(&dead, &[]).0, 0);
    // The machine loses its database and fails: these batches are not delivered.
    extend(
        &dead,
        3,
        [
            at(1_000_002).announce(&one, 4..12, &[2]).build(),
            at(1_000_003).withdraw(&one, 0..2).build(),
            at(1_000_004).event(Some(&one), peer_down()).build(),
        ],
    );
    // Its successor has its own log and a newer session with the router, which has sent its table again.
    let session = 60_000_000;
    let sweep = EventKind::Sweep { family: Family::IPV4_UNICAST };
    extend(
        &new,
        4,
        [
            at(session).event(Some(&one), peer_up()).build(),
            at(session).announce(&one, 2..6, &[9]).build(),
            at(session).event(Some(&one), EventKind::EndOfRib { family: Family::IPV4_UNICAST }).build(),
            at(session).event(Some(&one), sweep).build(),
        ],
    );
    assert_eq!(setup.drain(&new, &[]).0, 0);
    let present = setup.database.texts(PRESENT).await;
    let peers = setup.database.texts(PEERS).await;
    assert!(present.len() == 4 && present[0].starts_with("1.0.2.0/24 {9} f "), "{present:?}");
    assert!(peers.len() == 1 && peers[0].starts_with("198.51.100.1 adj-in-pre up "), "{peers:?}");

    let (code, drained) = setup.drain(&dead, &[]);
    assert_eq!(
        (code, &drained["delivered_seq"], &drained["error"]),
        (0, &5.into(), &Value::Null),
        "{drained}"
    );
    let withdrawn = "SELECT count(*) FROM route_updates WHERE is_withdrawn";
    assert_eq!(setup.history().await, ["1 8", "2 8", "9 4", "null"]);
    assert_eq!(setup.database.value::<i64>(withdrawn).await, 2);
    let downs = "SELECT count(*) FROM peer_events WHERE event_type = 'peer_down'";
    assert_eq!(setup.database.value::<i64>(downs).await, 1);
    assert_eq!(setup.database.texts(PRESENT).await, present, "a current route was replaced by an older one");
    assert_eq!(setup.database.texts(PEERS).await, peers);
    // A second delivery adds nothing.
    assert_eq!(setup.drain(&dead, &[]).1["rows"], 0);
    setup.close().await;
}
