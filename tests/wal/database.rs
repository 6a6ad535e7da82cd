//! `walctl` between a log and a real database: what is apart is told, what was refused is looked at and tried
//! again, and a dead machine's log is delivered without touching what is known since.
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
struct Place {
    database: Database,
    directory: tempfile::TempDir,
    url: String,
}

impl Place {
    /// With all tables.
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

    /// What a script sees of a command that is given a database.
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

    /// The same with one line of JSON.
    fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let (code, text) = self.walctl(&[arguments, &["--json"]].concat());
        (code, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    fn drain(&self, log: &Path, more: &[&str]) -> (i32, Value) {
        self.json(&[&["drain", log.to_str().unwrap(), "--collector", "edge1"], more].concat())
    }

    /// Exit code, verdict, last number of the log, last number in common.
    fn diff(&self, log: &Path) -> (i32, String, u64, Option<u64>) {
        let (code, diff) = self.json(&["diff", log.to_str().unwrap()]);
        let verdict = diff["verdict"].as_str().unwrap().to_owned();
        (code, verdict, diff["log_last_seq"].as_u64().unwrap(), diff["common_seq"].as_u64())
    }

    /// Path of each announcement in the history, how often it is there.
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

/// Opens the log, appends, closes it in order.
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

/// One announcement a batch, told apart by the first number of its path.
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
async fn diff_tells_level_behind_ahead_and_forked_apart() {
    // Nobody has ever delivered into it: the first drain makes the tables.
    let Some(database) = Database::empty(Edition::Plain, "walctl_diff").await else { return };
    let place = Place::with(database);
    let log = place.path("log");
    extend(&log, 3, announcements(1..=20, 1));
    let (code, text) = place.walctl(&["diff", log.to_str().unwrap()]);
    assert!(code == 3 && text.contains("no checkpoint of this log; specify --collector"), "{text}");
    let (code, text) = place.walctl(&["diff", log.to_str().unwrap(), "--collector", "edge1"]);
    assert!(
        code == 0
            && text.starts_with("behind: the log contains batches 1 to 20; ")
            && text.contains("nothing of this log"),
        "{text}"
    );

    assert_eq!(place.drain(&log, &[]).0, 0);
    assert_eq!(place.diff(&log), (0, "level".to_owned(), 20, None));
    let older = copied(&log, place.path("older"));
    extend(&log, 3, announcements(21..=30, 2));
    assert_eq!(place.diff(&log), (0, "behind".to_owned(), 30, None));
    assert_eq!(place.drain(&log, &[]).1["rows"], 10);
    assert_eq!(place.diff(&log), (0, "level".to_owned(), 30, None));

    // Put back as it was at 20, and then gone its own way: shorter than what the database has, as long, and
    // longer.
    assert_eq!(place.diff(&older), apart("ahead", 20, 20));
    extend(&older, 3, announcements(21..=25, 3));
    assert_eq!(place.diff(&older), apart("ahead", 25, 20));
    extend(&older, 3, announcements(26..=30, 3));
    assert_eq!(place.diff(&older), apart("forked", 30, 20));
    extend(&older, 3, announcements(31..=40, 3));
    assert_eq!(place.diff(&older), apart("forked", 40, 20));
    // Where a transaction ended within the part that differs, a shorter log is seen to be forked too.
    extend(&log, 3, announcements(31..=50, 2));
    assert_eq!(place.drain(&log, &[]).0, 0);
    assert_eq!(place.diff(&older), apart("forked", 40, 20));
    let (_, text) = place.walctl(&["diff", older.to_str().unwrap()]);
    assert!(text.contains("lane 0: up to batch 50") && text.contains("same in both: 20"), "{text}");
    // Two collectors have had this log: nobody guesses which one is meant.
    let shared = place.path("shared");
    extend(&shared, 5, announcements(1..=2, 1));
    for collector in ["edge1", "edge2"] {
        let drain = ["drain", shared.to_str().unwrap(), "--collector", collector];
        assert_eq!(place.walctl(&drain).0, 0);
    }
    let (code, text) = place.walctl(&["diff", shared.to_str().unwrap()]);
    assert!(code == 3 && text.contains("several collectors (edge1, edge2); specify --collector"), "{text}");
    place.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forked_log_is_drained_only_on_demand_and_then_under_one_id_however_often() {
    let Some(place) = Place::new("walctl_fork").await else { return };
    let log = place.path("log");
    extend(&log, 3, announcements(1..=20, 1));
    assert_eq!(place.drain(&log, &[]).0, 0);
    let forked = copied(&log, place.path("forked"));
    extend(&log, 3, announcements(21..=30, 2));
    assert_eq!(place.drain(&log, &[]).0, 0);
    extend(&forked, 3, announcements(21..=40, 3));

    let before = fs::read_dir(&forked).unwrap().count();
    let (code, refused) = place.drain(&forked, &[]);
    assert_eq!((code, &refused["verdict"], &refused["common_seq"]), (1, &"forked".into(), &20.into()));
    assert_eq!(fs::read_dir(&forked).unwrap().count(), before, "a log that is not drained is not written");
    assert_eq!(place.history().await, ["1 20", "2 10"]);

    let (code, drained) = place.drain(&forked, &["--fork"]);
    assert_eq!((code, &drained["delivered_seq"]), (0, &40.into()), "{drained}");
    assert_ne!(drained["delivered_as"], drained["log_id"]);
    assert_eq!(place.history().await, ["1 20", "2 10", "3 20"]);
    // From now on it is what the database knows under that id, with --fork and without, and so is a copy of
    // it.
    let copy = place.path("copy");
    let salvaged = Command::new(env!("CARGO_BIN_EXE_walctl")).arg("salvage").args([&forked, &copy]).output();
    assert!(salvaged.unwrap().status.success());
    for log in [&forked, &copy] {
        assert_eq!(place.diff(log), (0, "level".to_owned(), 40, None));
        for more in [&["--fork"][..], &[]] {
            let (code, again) = place.drain(log, more);
            assert_eq!((code, &again["delivered_as"]), (0, &drained["delivered_as"]));
            assert_eq!(again["rows"], 0);
        }
    }
    assert_eq!(place.history().await, ["1 20", "2 10", "3 20"]);
    place.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_rows_are_listed_shown_and_tried_again() {
    let Some(place) = Place::new("walctl_rejected").await else { return };
    let poison =
        "ALTER TABLE route_updates ADD CONSTRAINT poison CHECK (prefix <> '1.0.13.0/24' OR is_withdrawn)";
    place.database.client().await.batch_execute(poison).await.unwrap();
    let log = place.path("log");
    extend(&log, 3, announcements(1..=200, 1));
    assert_eq!(place.drain(&log, &[]).0, 0);

    let (code, row) = place.json(&["rejected", "list"]);
    let shown = ["collector", "seq", "idx", "sqlstate", "retried_at"].map(|key| row[key].clone());
    assert_eq!(shown, ["edge1".into(), 13.into(), 0.into(), "23514".into(), Value::Null], "{row}");
    assert!(code == 0 && row["record"].as_str().unwrap().contains("1.0.13.0/24"), "{row}");
    let (code, line) = place.walctl(&["rejected", "list"]);
    assert!(code == 0 && line.starts_with("13:0  20") && line.contains("  edge1  "), "{line}");

    let (code, text) = place.walctl(&["rejected", "show", "13:0"]);
    for part in
        ["collector    edge1\n", "batch        13, record 0\n", "SQLSTATE 23514: ", "last retry   never\n"]
    {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    let record: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((code, &record["prefix"], &record["as_path_text"]), (0, &"1.0.13.0/24".into(), &"1".into()));
    let (code, text) = place.walctl(&["rejected", "show", "14:0"]);
    assert!(code == 1 && text.contains("no rejected record 14:0"), "{text}");
    let (code, text) = place.walctl(&["rejected", "show", "13"]);
    assert!(code == 2 && text.contains("SEQ:IDX"), "{text}");

    let retry = ["rejected", "retry", "--collector", "edge1"];
    assert_eq!(place.walctl(&retry), (1, "0 stored, 1 rejected again\n".to_owned()));
    let (_, text) = place.walctl(&["rejected", "show", "13:0"]);
    assert!(text.contains("last retry   20"), "{text}");
    place
        .database
        .client()
        .await
        .batch_execute("ALTER TABLE route_updates DROP CONSTRAINT poison")
        .await
        .unwrap();
    let (code, retried) = place.json(&retry);
    assert_eq!((code, &retried["stored"], &retried["refused"]), (0, &1.into(), &0.into()));
    assert_eq!(place.walctl(&["rejected", "list"]), (0, String::new()));
    assert_eq!(place.history().await, ["1 200"]);
    place.close().await;
}

/// What stands, as one line a route, and how the peers are.
const PRESENT: &str = "SELECT concat_ws(' ', prefix, as_path, is_stale, session) FROM route_state
    WHERE NOT is_withdrawn ORDER BY prefix";
const PEERS: &str = "SELECT concat_ws(' ', address, rib, state, session) FROM bgp_peers ORDER BY 1";

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_machines_log_completes_the_history_and_leaves_the_present_alone() {
    let Some(place) = Place::new("walctl_dead").await else { return };
    let (dead, new) = (place.path("dead"), place.path("new"));
    let at = |session: i64| Builder::new("r1", session).at(session);
    let one = peer(1, RibView::AdjInPre, 1);
    let up = || at(1_000_000).event(Some(&one), peer_up()).build();
    extend(&dead, 3, [up(), at(1_000_001).announce(&one, 0..8, &[1]).build()]);
    assert_eq!(place.drain(&dead, &[]).0, 0);
    // The machine goes on, loses its database, and dies: nobody has seen these.
    extend(
        &dead,
        3,
        [
            at(1_000_002).announce(&one, 4..12, &[2]).build(),
            at(1_000_003).withdraw(&one, 0..2).build(),
            at(1_000_004).event(Some(&one), peer_down()).build(),
        ],
    );
    // Its successor has a log of its own and a newer session with the router, which has told its whole table
    // again.
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
    assert_eq!(place.drain(&new, &[]).0, 0);
    let present = place.database.texts(PRESENT).await;
    let peers = place.database.texts(PEERS).await;
    assert!(present.len() == 4 && present[0].starts_with("1.0.2.0/24 {9} f "), "{present:?}");
    assert!(peers.len() == 1 && peers[0].starts_with("198.51.100.1 adj-in-pre up "), "{peers:?}");

    let (code, drained) = place.drain(&dead, &[]);
    assert_eq!(
        (code, &drained["delivered_seq"], &drained["error"]),
        (0, &5.into(), &Value::Null),
        "{drained}"
    );
    let withdrawn = "SELECT count(*) FROM route_updates WHERE is_withdrawn";
    assert_eq!(place.history().await, ["1 8", "2 8", "9 4", "null"]);
    assert_eq!(place.database.value::<i64>(withdrawn).await, 2);
    let downs = "SELECT count(*) FROM peer_events WHERE event_type = 'peer_down'";
    assert_eq!(place.database.value::<i64>(downs).await, 1);
    assert_eq!(place.database.texts(PRESENT).await, present, "the present went back");
    assert_eq!(place.database.texts(PEERS).await, peers);
    // A second time adds nothing.
    assert_eq!(place.drain(&dead, &[]).1["rows"], 0);
    place.close().await;
}
