//! Three routers at full rate, an undelivered backlog, and kills of both sides: nothing durable is lost or stored twice.
//!
//! The real binary, a real database, real sockets. The collector is killed five times and the database three times, each
//! with SIGKILL at a moment drawn from a printed seed (CHAOS_SEED sets it). What the status socket called durable before a
//! kill must be in the database afterwards, once; what stands in the log must stand in the database, record by record;
//! and every gap row must have a kill as its cause. With `HISTORY_DEDUP`, as it comes, what history lacks must be
//! announcements of a table sent again that change nothing, as many as the ledger says.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails should panic")]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a long test tells where it is")]

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

/// Each of the two has the machine for itself.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Nothing is timed; a condition that never comes true must still end the test.
const PATIENCE: Duration = Duration::from_secs(180);
const ROUTERS: usize = 3;
/// Changes a second of each router: 21,000 together.
const CHURN: &str = "7000";

fn poll<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// xorshift: moments that a seed repeats.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let seed = std::env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
            (std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() << 16)
                | u64::from(std::process::id() & 0xffff)
        });
        println!("CHAOS_SEED={seed}");
        Self(seed | 1)
    }

    /// The system is left alone for up to this long. The wait is the point, not a hope.
    fn pass(&mut self, most_ms: u64) {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        thread::sleep(Duration::from_millis(self.0 % most_ms));
    }
}

/// Ends the process that it holds, also when the test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The throw-away database server.
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

    /// A server that may be killed; `None` after a printed SKIPPED.
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

/// The collector: started, killed, and started again in the same folder.
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

    /// SIGKILL, as `Child::kill` sends it.
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

    /// Waits for every router to have sent, and for a backlog; returns the durable sequence number.
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

/// What identifies a record, and enough of it to notice a change: `seq.idx` → text.
type Records = BTreeMap<(i64, i64), String>;

/// A record of the log.
struct Logged {
    line: String,
    /// Whom it is about, as a hash.
    peer: u64,
    kind: Kind,
}

enum Kind {
    /// Which route, and what the record says of it but for when and why; as hashes.
    Route {
        route: u64,
        says: u64,
        /// An announcement of a table that is sent again.
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
        let when_and_why = ["idx", "time", "router_time", "session", "generation", "cause"];
        let says = object.iter().filter(|(key, _)| !when_and_why.contains(&key.as_str()));
        let says: Vec<String> = says.map(|(key, value)| format!("{key} {value}")).collect();
        let kind = Kind::Route {
            route: hash(&text(&["rib", "family", "prefix", "path_id"])),
            says: hash(&says),
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

fn in_the_log(folder: &Path) -> BTreeMap<(i64, i64), Logged> {
    let mut reader = Reader::open(Disk::open(&folder.join("wal")).unwrap(), SeqNo(1)).unwrap();
    let mut records = BTreeMap::new();
    while let Some(item) = reader.next(SeqNo::MAX).unwrap() {
        let Item::Data { seq, payload, .. } = item else { panic!("a gap in a log that no disk has damaged") };
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

/// The records that history lacks. Each must be an announcement of a re-dump that says of its route what the log has said of
/// it last, with no Peer Down in between.
fn unchanged(logged: &BTreeMap<(i64, i64), Logged>, stored: &Records) -> usize {
    let mut known: HashMap<u64, HashMap<u64, u64>> = HashMap::new();
    let mut count = 0;
    for (place, Logged { line, peer, kind }) in logged {
        let is_stored = stored.contains_key(place);
        match kind {
            Kind::Route { route, says, is_redump } => {
                let before = known.entry(*peer).or_default().insert(*route, *says);
                if !is_stored {
                    assert!(*is_redump, "{place:?} {line}: history lacks what is no re-dump");
                    assert_eq!(before, Some(*says), "{place:?} {line}: history lacks a change");
                    count += 1;
                }
            }
            Kind::PeerDown => drop(known.remove(peer)),
            Kind::Other => {}
        }
        assert!(
            is_stored || matches!(kind, Kind::Route { .. }),
            "{place:?} {line}: no route, and history lacks it"
        );
    }
    count
}

/// The same from the database. Every row counts: two rows of one (seq, idx) end the test.
async fn in_the_database(client: &tokio_postgres::Client) -> Records {
    let quoted = |column: &str| format!("coalesce(to_json({column})::text, '')");
    let route = ["router", "rib", "prefix::text", "is_withdrawn", "cause", "med", "as_path"].map(quoted);
    let event = ["router", "event_type"].map(quoted);
    let query = format!(
        "SELECT seq, idx::bigint, concat_ws(' ', {}) FROM route_updates \
         UNION ALL SELECT seq, idx::bigint, concat_ws(' ', {}) FROM peer_events \
         UNION ALL SELECT seq, idx::bigint, concat_ws(' ', to_json(router)::text, '\"statistics\"') FROM peer_stats \
         UNION ALL SELECT seq, idx::bigint, concat_ws(' ', to_json(router)::text, '\"gap\"') FROM collector_gaps WHERE seq IS NOT NULL",
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
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[test]
fn nothing_durable_is_lost_or_doubled_through_kills_of_both_sides() {
    through("off", &["collector", "database", "collector", "both", "collector", "database", "collector"]);
}

#[test]
fn what_history_lacks_after_kills_of_both_sides_are_tables_sent_again_without_a_change() {
    through("on", &["collector", "both", "database", "collector"]);
}

fn through(dedup: &'static str, steps: &[&str]) {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(server) = Server::up(dedup) else { return };
    let mut moments = Moments::new();
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut collector =
        Collector { folder: folder.path().to_owned(), port, url: server.url.clone(), dedup, process: None };
    collector.start();
    let senders: Vec<Running> = (1..=ROUTERS).map(|number| sender(number, port, folder.path())).collect();

    let mut promised = Vec::new();
    for step in steps {
        collector.with_backlog();
        moments.pass(1500);
        if *step != "collector" {
            server.verb("kill");
            // While the database is dead the backlog grows; ingestion goes on.
            let before = collector.with_backlog();
            poll("ingestion goes on", || (collector.with_backlog() > before + 20).then_some(()));
            moments.pass(1500);
        }
        if *step != "database" {
            promised.push(collector.with_backlog());
            collector.kill();
            collector.start();
        }
        if *step != "collector" {
            server.verb("start");
        }
        println!("killed: {step}; durable before: {:?}", promised.last());
    }
    let rate = collector.with_backlog();
    drop(senders);
    println!("senders ended at seq {rate}");
    let status = poll("everything delivered", || {
        let status = collector.status()?;
        let open = status["routers"].as_array()?.iter().filter(|router| router["connected"] == true).count();
        let (durable, written) = (&status["wal"]["durable"], &status["wal"]["written"]);
        (open == 0 && durable == written && *durable == status["delivery"]["delivered"]).then_some(status)
    });
    collector.kill();

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(prove(&server, &collector, &promised, &status));
}

async fn prove(server: &Server, collector: &Collector, promised: &[u64], status: &Value) {
    let client = connect(&server.url).await;
    let logged = in_the_log(&collector.folder);
    let stored = in_the_database(&client).await;
    println!("{} records in the log, {} in the database", logged.len(), stored.len());
    assert!(logged.len() > 100_000, "too little happened to prove anything");
    for (place, line) in &stored {
        assert_eq!(logged.get(place).map(|logged| &logged.line), Some(line), "{place:?}");
    }
    let lacking = unchanged(&logged, &stored);
    assert_eq!(lacking > 1_000, collector.dedup == "on", "{lacking} records are unchanged");
    assert_eq!(stored.len() + lacking, logged.len());
    let routes = logged.values().filter(|logged| matches!(logged.kind, Kind::Route { .. })).count();
    let ledger = "SELECT sum(routes)::bigint, sum(stored)::bigint, sum(unchanged)::bigint, sum(rejected)::bigint FROM ingest_ledger";
    let ledger = client.query_one(ledger, &[]).await.unwrap();
    let ledger = [0, 1, 2, 3].map(|column| usize::try_from(ledger.get::<_, i64>(column)).unwrap());
    assert_eq!(ledger, [routes, routes - lacking, lacking, 0], "routes = stored + unchanged + rejected");

    let delivered = status["delivery"]["delivered"].as_u64().unwrap();
    for durable in promised {
        assert!(*durable <= delivered, "{durable} was called durable, and only {delivered} is delivered");
    }
    let verdict =
        client.query_one("SELECT missing, doubled, ledger_breaks FROM holdfast_verify('chaos')", &[]).await;
    let verdict = verdict.unwrap();
    let [missing, doubled, breaks]: [i64; 3] = [verdict.get(0), verdict.get(1), verdict.get(2)];
    assert_eq!([missing, doubled, breaks], [0, 0, 0]);

    // One gap row for each router at each kill of the collector, because each had a session open then; and no other.
    let gaps = client
        .query("SELECT router, reason, count(*) FROM collector_gaps GROUP BY 1, 2 ORDER BY 1, 2", &[])
        .await
        .unwrap();
    let gaps: Vec<(String, String, i64)> =
        gaps.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let kills = i64::try_from(promised.len()).unwrap();
    let expected: Vec<_> =
        (1..=ROUTERS).map(|number| (format!("edge{number}"), "crash".to_owned(), kills)).collect();
    assert_eq!(gaps, expected);
}
