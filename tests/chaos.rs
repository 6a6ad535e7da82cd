//! Kills of collector and database under load: three routers at full rate and a backlog. No durable record is
//! lost or stored twice.
//!
//! The test uses the real binary, a real database, and real sockets. The collector and the database are
//! killed several times with SIGKILL, at times drawn from a printed seed (CHAOS_SEED sets it). Afterwards it
//! checks that
//!
//! * every batch that the status socket reported as durable before a kill is in the database exactly once,
//! * the records of the log and of the database are equal,
//! * every gap row has a kill as its cause,
//! * with `HISTORY_DEDUP` (the default), the only records missing in history are re-announcements without a
//!   change, as many as the ledger counts.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails should panic")]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a long test prints its progress")]

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use holdfast::codec::{self, json};
use holdfast::wal::{Disk, Item, Reader, SeqNo};
use serde_json::{Map, Value};

/// The two tests do not run at the same time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Time limit for a condition, so that a failing test ends.
const TIMEOUT: Duration = Duration::from_secs(180);
const ROUTERS: usize = 3;
/// Changes per second of each router: 21,000 in total.
const CHURN: &str = "7000";

fn poll<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(started.elapsed() < TIMEOUT, "timed out waiting for: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Random delays that a seed reproduces (xorshift).
struct Delays(u64);

impl Delays {
    fn new() -> Self {
        let seed = std::env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
            (std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() << 16)
                | u64::from(std::process::id() & 0xffff)
        });
        println!("CHAOS_SEED={seed}");
        Self(seed | 1)
    }

    /// Sleeps for a random time below `most_ms`, so that the next kill occurs at a random time.
    fn sleep(&mut self, most_ms: u64) {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        thread::sleep(Duration::from_millis(self.0 % most_ms));
    }
}

/// Kills its process when dropped, also if the test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A temporary database server.
struct Server {
    name: String,
    url: String,
}

impl Server {
    fn script(arguments: &[&str]) -> Result<String, String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/testbed/timescale");
        let output = Command::new(script).args(arguments).output().map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    }

    /// A server that the test may kill; prints SKIPPED and returns `None` if there is none.
    fn up(dedup: &str) -> Option<Self> {
        let name = format!("chaos-{dedup}-{}", std::process::id());
        if std::env::var_os("DATABASE_URL").is_some() {
            skipped("DATABASE_URL names a server that this test must not kill");
            return None;
        }
        match Self::script(&["up", "--name", &name]) {
            Ok(url) => Some(Self { name, url }),
            Err(error) => {
                skipped(&format!("no database: {error}"));
                None
            }
        }
    }

    fn verb(&self, verb: &str) {
        Self::script(&[verb, "--name", &self.name]).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(Self::script(&["destroy", "--name", &self.name]));
    }
}

fn skipped(reason: &str) {
    println!("SKIPPED: chaos: {reason}");
    if let Some(log) = std::env::var_os("HOLDFAST_SKIP_LOG") {
        use std::io::Write;
        let mut log = OpenOptions::new().append(true).create(true).open(log).unwrap();
        writeln!(log, "SKIPPED: chaos: {reason}").unwrap();
    }
    assert!(std::env::var_os("REQUIRE_ALL").is_none_or(|value| value != "1"), "REQUIRE_ALL=1: {reason}");
}

/// The collector, which is restarted in the same directory after each kill.
struct Collector {
    folder: PathBuf,
    port: u16,
    url: String,
    /// `HISTORY_DEDUP`.
    dedup: &'static str,
    process: Option<Running>,
}

impl Collector {
    fn start(&mut self) {
        let log = OpenOptions::new().append(true).create(true).open(self.folder.join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command
            .env_clear()
            .current_dir(&self.folder)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null());
        command.env("COLLECTOR_ID", "chaos").env("BMP_LISTEN_HOST", "127.0.0.1");
        command.env("BMP_LISTEN_PORT", self.port.to_string()).env("DATABASE_URL", &self.url);
        command.env("WAL_DIR", self.folder.join("wal")).env("STATE_DIR", self.folder.join("state"));
        command.env("STATUS_SOCKET", self.folder.join("status.sock")).env("LOG_FORMAT", "json");
        command.env("WAL_MIN_FREE_PERCENT", "0").env("HISTORY_DEDUP", self.dedup);
        self.process = Some(Running(command.spawn().unwrap()));
    }

    /// Kills the collector with SIGKILL.
    fn kill(&mut self) {
        drop(self.process.take());
    }

    fn status(&self) -> Option<Value> {
        let output = Command::new(env!("CARGO_BIN_EXE_holdfast"))
            .args(["status", "--json", "--socket"])
            .arg(self.folder.join("status.sock"))
            .env_clear()
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Waits until every router has sent routes and there is a backlog; returns the durable sequence number.
    fn with_backlog(&self) -> u64 {
        poll("all routers connected, and a backlog", || {
            let status = self.status()?;
            let sending = status["routers"].as_array()?.iter().filter(|router| {
                router["connected"] == true && router["routes"].as_u64().is_some_and(|routes| routes > 0)
            });
            let durable = status["wal"]["durable"].as_u64()?;
            let delivered = status["delivery"]["delivered"].as_u64()?;
            (sending.count() == ROUTERS && delivered < durable).then_some(durable)
        })
    }
}

fn sender(number: usize, port: u16, folder: &Path) -> Running {
    let log = File::create(folder.join(format!("sender-{number}.log"))).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bmpgen"));
    command.args(["table", "--prefixes", "5000", "--ipv6", "500", "--peers", "2", "--views", "pre,post"]);
    command.args(["--rate", "20000", "--churn", CHURN, "--duration", "100000", "--reconnect"]);
    command.args(["--seed", &number.to_string(), "--router", &format!("edge{number}")]);
    command.args(["--to", &format!("127.0.0.1:{port}")]);
    Running(command.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null()).spawn().unwrap())
}

/// Records by (seq, idx), with the columns that identify a change as text.
type Records = BTreeMap<(i64, i64), String>;

/// A record of the log.
struct Logged {
    line: String,
    /// Hash of the peer.
    peer: u64,
    kind: Kind,
}

enum Kind {
    /// Hashes of the route and of its contents without times and cause.
    Route {
        route: u64,
        contents: u64,
        /// True for a re-announcement in a re-dump.
        is_redump: bool,
    },
    PeerDown,
    Other,
}

impl Logged {
    fn new(object: &Map<String, Value>) -> Self {
        let text = |keys: &[&str]| {
            let values = keys.iter().map(|key| object.get(*key).map_or(String::new(), ToString::to_string));
            values.collect::<Vec<_>>().join(" ")
        };
        let peer = hash(&text(&["router", "peer_type", "peer_distinguisher", "bgp_peer_ip"]));
        if object["record"] != "route" {
            let kind = if object["event_type"] == "peer_down" { Kind::PeerDown } else { Kind::Other };
            return Self { line: text(&["router", "event_type"]), peer, kind };
        }
        let excluded = ["idx", "time", "router_time", "session", "generation", "cause"];
        let contents = object.iter().filter(|(key, _)| !excluded.contains(&key.as_str()));
        let contents: Vec<String> = contents.map(|(key, value)| format!("{key} {value}")).collect();
        let kind = Kind::Route {
            route: hash(&text(&["rib", "family", "prefix", "path_id"])),
            contents: hash(&contents),
            is_redump: object["cause"] == "re-dump" && object["is_withdrawn"] == false,
        };
        let columns = ["router", "rib", "prefix", "is_withdrawn", "cause", "med", "as_path"];
        Self { line: text(&columns), peer, kind }
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn logged_records(folder: &Path) -> BTreeMap<(i64, i64), Logged> {
    let mut reader = Reader::open(Disk::open(&folder.join("wal")).unwrap(), SeqNo(1)).unwrap();
    let mut records = BTreeMap::new();
    while let Some(item) = reader.next(SeqNo::MAX).unwrap() {
        let Item::Data { seq, payload, .. } = item else { panic!("a gap in an undamaged log") };
        let seq = i64::try_from(seq.0).unwrap();
        let batch = codec::decode(payload).unwrap();
        for record in batch.iter() {
            let object = json::object(&batch, &record);
            let idx = object["idx"].as_i64().unwrap();
            let is_new = records.insert((seq, idx), Logged::new(&object)).is_none();
            assert!(is_new, "seq {seq} idx {idx} twice in the log");
        }
    }
    records
}

/// Counts the records that history lacks. Each must be an announcement of a re-dump that is equal to the last
/// record of its route in the log, without a Peer Down in between.
fn unchanged(logged: &BTreeMap<(i64, i64), Logged>, stored: &Records) -> usize {
    let mut known: HashMap<u64, HashMap<u64, u64>> = HashMap::new();
    let mut count = 0;
    for (key, Logged { line, peer, kind }) in logged {
        let is_stored = stored.contains_key(key);
        match kind {
            Kind::Route { route, contents, is_redump } => {
                let before = known.entry(*peer).or_default().insert(*route, *contents);
                if !is_stored {
                    assert!(*is_redump, "{key:?} {line}: history lacks a record that is not a re-dump");
                    assert_eq!(before, Some(*contents), "{key:?} {line}: history lacks a change");
                    count += 1;
                }
            }
            Kind::PeerDown => drop(known.remove(peer)),
            Kind::Other => {}
        }
        assert!(
            is_stored || matches!(kind, Kind::Route { .. }),
            "{key:?} {line}: history lacks a record that is not a route"
        );
    }
    count
}

/// The records of the database. Two rows with the same (seq, idx) fail the test.
async fn stored_records(client: &tokio_postgres::Client) -> Records {
    let quoted = |column: &str| format!("coalesce(to_json({column})::text, '')");
    let route = ["router", "rib", "prefix::text", "is_withdrawn", "cause", "med", "as_path"].map(quoted);
    let event = ["router", "event_type"].map(quoted);
    let query = format!(
        "SELECT seq, idx::bigint, concat_ws(' ', {}) FROM route_updates \
         UNION ALL SELECT seq, idx::bigint, concat_ws(' ', {}) FROM peer_events \
         UNION ALL SELECT seq, idx::bigint, concat_ws(' ', to_json(router)::text, '\"statistics\"') \
         FROM peer_stats \
         UNION ALL SELECT seq, idx::bigint, concat_ws(' ', to_json(router)::text, '\"gap\"') \
         FROM collector_gaps WHERE seq IS NOT NULL",
        route.join(", "),
        event.join(", "),
    );
    let mut records = Records::new();
    for row in client.query(&query, &[]).await.unwrap() {
        let key = (row.get(0), row.get(1));
        assert!(records.insert(key, row.get(2)).is_none(), "{key:?} twice in the database");
    }
    records
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let mut config: tokio_postgres::Config = url.parse().unwrap();
    config.options("-c search_path=holdfast");
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[test]
fn no_durable_record_is_lost_or_duplicated_when_both_sides_are_killed() {
    run("off", &["collector", "database", "collector", "both", "collector", "database", "collector"]);
}

#[test]
fn after_kills_history_lacks_only_unchanged_re_announcements() {
    run("on", &["collector", "both", "database", "collector"]);
}

fn run(dedup: &'static str, steps: &[&str]) {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(server) = Server::up(dedup) else { return };
    let mut delays = Delays::new();
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut collector =
        Collector { folder: folder.path().to_owned(), port, url: server.url.clone(), dedup, process: None };
    collector.start();
    let senders: Vec<Running> = (1..=ROUTERS).map(|number| sender(number, port, folder.path())).collect();

    let mut reported = Vec::new();
    for step in steps {
        collector.with_backlog();
        delays.sleep(1500);
        if *step != "collector" {
            server.verb("kill");
            // While the database is down, ingestion continues and the backlog grows.
            let before = collector.with_backlog();
            poll("ingestion continues", || (collector.with_backlog() > before + 20).then_some(()));
            delays.sleep(1500);
        }
        if *step != "database" {
            reported.push(collector.with_backlog());
            collector.kill();
            collector.start();
        }
        if *step != "collector" {
            server.verb("start");
        }
        println!("killed: {step}; durable before: {:?}", reported.last());
    }
    let last = collector.with_backlog();
    drop(senders);
    println!("senders stopped at seq {last}");
    let status = poll("everything delivered", || {
        let status = collector.status()?;
        let open = status["routers"].as_array()?.iter().filter(|router| router["connected"] == true).count();
        let (durable, written) = (&status["wal"]["durable"], &status["wal"]["written"]);
        (open == 0 && durable == written && *durable == status["delivery"]["delivered"]).then_some(status)
    });
    collector.kill();

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(check(&server, &collector, &reported, &status));
}

async fn check(server: &Server, collector: &Collector, reported: &[u64], status: &Value) {
    let client = connect(&server.url).await;
    let logged = logged_records(&collector.folder);
    let stored = stored_records(&client).await;
    println!("{} records in the log, {} in the database", logged.len(), stored.len());
    assert!(logged.len() > 100_000, "too few records for a meaningful result");
    for (key, line) in &stored {
        assert_eq!(logged.get(key).map(|logged| &logged.line), Some(line), "{key:?}");
    }
    let lacking = unchanged(&logged, &stored);
    assert_eq!(lacking > 1_000, collector.dedup == "on", "{lacking} records are unchanged");
    assert_eq!(stored.len() + lacking, logged.len());
    let routes = logged.values().filter(|logged| matches!(logged.kind, Kind::Route { .. })).count();
    let ledger = "SELECT sum(routes)::bigint, sum(stored)::bigint, sum(unchanged)::bigint, \
        sum(rejected)::bigint FROM ingest_ledger";
    let ledger = client.query_one(ledger, &[]).await.unwrap();
    let ledger = [0, 1, 2, 3].map(|column| usize::try_from(ledger.get::<_, i64>(column)).unwrap());
    assert_eq!(ledger, [routes, routes - lacking, lacking, 0], "routes = stored + unchanged + rejected");

    let delivered = status["delivery"]["delivered"].as_u64().unwrap();
    for durable in reported {
        assert!(
            *durable <= delivered,
            "batch {durable} was reported as durable, but only {delivered} is delivered"
        );
    }
    let verdict =
        client.query_one("SELECT missing, doubled, ledger_breaks FROM holdfast_verify('chaos')", &[]).await;
    let verdict = verdict.unwrap();
    let [missing, doubled, breaks]: [i64; 3] = [verdict.get(0), verdict.get(1), verdict.get(2)];
    assert_eq!([missing, doubled, breaks], [0, 0, 0]);

    // Exactly one gap row per router and kill of the collector, because each router had an open session.
    let gaps = client
        .query("SELECT router, reason, count(*) FROM collector_gaps GROUP BY 1, 2 ORDER BY 1, 2", &[])
        .await
        .unwrap();
    let gaps: Vec<(String, String, i64)> =
        gaps.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let kills = i64::try_from(reported.len()).unwrap();
    let expected: Vec<_> =
        (1..=ROUTERS).map(|number| (format!("edge{number}"), "crash".to_owned(), kills)).collect();
    assert_eq!(gaps, expected);
}
