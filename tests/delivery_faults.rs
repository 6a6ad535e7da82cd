//! Each fault against a real server, through a proxy where the fault is one of the network: what was sent, stored, missing
//! and doubled. Prints the table of docs/RECOVERY.md's kind. Small by default; `tools/bench/faults` runs it with a million
//! routes each, and on servers of its own that may be killed.

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
#[path = "common/proxy.rs"]
mod proxy;
#[path = "common/source.rs"]
mod source;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use batches::{Builder, peer};
use db::{Database, Edition};
use holdfast::forwarder::{Forwarder, LaneState};
use holdfast::route::RibView;
use holdfast::wal::SeqNo;
use proxy::Proxy;
use source::{COLLECTOR, Source, server_address, target_through};

/// Routes of a batch of the log.
const BATCH_ROUTES: u32 = 500;
const PEERS: u32 = 40;

/// How much there is of everything.
#[derive(Clone, Copy)]
struct Scale {
    routes: u32,
    rows_max: u64,
    /// Commits whose answer is lost.
    lost_commits: u64,
    /// How long a fault that is a state holds on.
    hold: Duration,
    /// How long a transaction may take.
    patience: Duration,
    /// The servers are this run's own.
    may_kill: bool,
}

const SMALL: Scale = Scale {
    routes: 20_000,
    rows_max: 1000,
    lost_commits: 15,
    hold: Duration::from_secs(1),
    patience: Duration::from_secs(2),
    may_kill: false,
};
const LARGE: Scale = Scale {
    routes: 1_000_000,
    rows_max: 20_000,
    lost_commits: 1000,
    hold: Duration::from_secs(12),
    patience: Duration::from_secs(10),
    may_kill: true,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    BackendsTerminated,
    CommitAnswersLost,
    CutAtBytes,
    HalfOpen,
    Delay,
    Dribble,
    ReadOnly,
    TableLocked,
    StatementTimeout,
    DiskFull,
    NoConnections,
    SecondCollector,
    ServerKilled,
    AsynchronousCommitLost,
    OneBadRow,
}

const FAULTS: [(Fault, &str); 16] = [
    (Fault::None, "none"),
    (Fault::BackendsTerminated, "backends terminated again and again (57P01)"),
    (Fault::CommitAnswersLost, "answer to COMMIT lost after it committed"),
    (Fault::CutAtBytes, "connection cut in the middle of COPY"),
    (Fault::HalfOpen, "half-open TCP: both ends open, nothing carried"),
    (Fault::Delay, "40 ms each way"),
    (Fault::Dribble, "64 kbit/s for a while"),
    (Fault::ReadOnly, "read-only server (25006)"),
    (Fault::TableLocked, "history locked by another session (55P03)"),
    (Fault::StatementTimeout, "statement timeout of 30 ms (57014)"),
    (Fault::DiskFull, "53100 at COMMIT, raised by a trigger"),
    (Fault::NoConnections, "no new connections (55000), the old ones ended"),
    (Fault::SecondCollector, "a second collector with the same id and log"),
    (Fault::ServerKilled, "kill -9 of the server"),
    (Fault::AsynchronousCommitLost, "kill -9 with asynchronous commit: the database comes back older"),
    (Fault::OneBadRow, "one row that the database refuses"),
];

fn batch(number: u32) -> holdfast::route::Batch {
    let peer = peer(u8::try_from(number % PEERS).unwrap(), RibView::AdjInPre, 1);
    let first = number * BATCH_ROUTES;
    Builder::new("r1", 0)
        .at(i64::from(number))
        .announce(&peer, first..first + BATCH_ROUTES, &[number + 1])
        .build()
}

/// One run: the log, a database of its own, and the proxy before it.
struct Run {
    database: Database,
    proxy: Proxy,
    scale: Scale,
    end: SeqNo,
}

impl Run {
    fn done(&self, forwarder: &Forwarder) -> bool {
        forwarder.delivered().borrow().seq() >= self.end
    }

    async fn sql(&self, sql: &str) {
        self.database.client().await.batch_execute(sql).await.unwrap();
    }

    /// Waits for so many rows of progress, or the end.
    async fn progress(&self, forwarder: &Forwarder, part: u64) {
        let wanted = SeqNo(self.end.0 * part / 100);
        let mut watch = forwarder.delivered();
        let reached = watch.wait_for(|delivered| delivered.seq() >= wanted);
        drop(tokio::time::timeout(Duration::from_secs(900), reached).await.expect("no progress").unwrap());
    }

    /// Waits until some lane fails with this text, or all is done.
    async fn failed(&self, forwarder: &Forwarder, text: &str) {
        let mut watch = forwarder.delivered();
        let seen = watch.wait_for(|delivered| {
            delivered.seq() >= self.end
                || delivered.last_error.as_ref().is_some_and(|error| error.contains(text))
                || delivered
                    .lanes
                    .iter()
                    .any(|lane| lane.last_error.as_ref().is_some_and(|error| error.contains(text)))
        });
        drop(tokio::time::timeout(Duration::from_secs(60), seen).await.expect("no failure seen").unwrap());
    }

    const END_BACKENDS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'holdfast' AND datname = current_database()";

    fn server(&self, verb: &str) {
        db::testbed(&[verb, "--name", server_name(self.database.edition)]).unwrap();
    }

    /// Does it while the drain runs. Returns what was done, in words.
    #[allow(clippy::too_many_lines, reason = "one arm for each fault")]
    async fn inflict(&self, fault: Fault, forwarder: &Forwarder) -> String {
        let (faults, database) = (&self.proxy.faults, self.database_name().await);
        if !matches!(fault, Fault::CommitAnswersLost | Fault::Delay) {
            self.progress(forwarder, 5).await;
        }
        match fault {
            Fault::None | Fault::OneBadRow | Fault::SecondCollector => String::new(),
            Fault::BackendsTerminated => {
                let mut times = 0;
                while !self.done(forwarder) {
                    self.sql(Self::END_BACKENDS).await;
                    times += 1;
                    tokio::time::sleep(Duration::from_millis(700)).await;
                }
                format!("{times} times")
            }
            Fault::CommitAnswersLost => {
                self.progress(forwarder, 100).await;
                let lost = faults.done.load(Ordering::SeqCst);
                assert_eq!(lost, self.scale.lost_commits);
                format!("{lost} answers")
            }
            Fault::CutAtBytes => {
                let mut watch = forwarder.delivered();
                let (mut round, part) = (0, i64::from(self.scale.routes));
                while !self.done(forwarder) {
                    if faults.bytes_until_cut.load(Ordering::SeqCst) < 0 {
                        round += 1;
                        faults.bytes_until_cut.store(20 * part + round % 17 * 5 * part, Ordering::SeqCst);
                    }
                    drop(tokio::time::timeout(Duration::from_millis(100), watch.changed()).await);
                }
                faults.bytes_until_cut.store(-1, Ordering::SeqCst);
                format!("{} cuts", faults.done.load(Ordering::SeqCst))
            }
            Fault::HalfOpen => {
                for part in [10, 50] {
                    self.progress(forwarder, part).await;
                    faults.swallow();
                }
                "twice, all connections".to_owned()
            }
            Fault::Delay => {
                faults.delay_ms.store(40, Ordering::SeqCst);
                "throughout".to_owned()
            }
            Fault::Dribble => {
                faults.bytes_per_second.store(8000, Ordering::SeqCst);
                tokio::time::sleep(self.scale.hold).await;
                faults.bytes_per_second.store(0, Ordering::SeqCst);
                format!("{} s", self.scale.hold.as_secs())
            }
            Fault::ReadOnly => {
                let admin = self.database.admin().await;
                let alter = |what| format!("ALTER DATABASE {database} {what}");
                admin.batch_execute(&alter("SET default_transaction_read_only = on")).await.unwrap();
                self.sql(Self::END_BACKENDS).await;
                self.failed(forwarder, "25006").await;
                tokio::time::sleep(self.scale.hold).await;
                admin.batch_execute(&alter("RESET default_transaction_read_only")).await.unwrap();
                format!("{} s", self.scale.hold.as_secs())
            }
            Fault::TableLocked => {
                let locker = self.database.client().await;
                locker
                    .batch_execute("BEGIN; LOCK TABLE route_updates IN ACCESS EXCLUSIVE MODE")
                    .await
                    .unwrap();
                if self.scale.may_kill {
                    self.failed(forwarder, "55P03").await;
                } else {
                    tokio::time::sleep(self.scale.hold).await;
                }
                locker.batch_execute("COMMIT").await.unwrap();
                "until it failed".to_owned()
            }
            Fault::StatementTimeout => {
                self.sql(&format!("ALTER DATABASE {database} SET statement_timeout = '30ms'")).await;
                self.sql(Self::END_BACKENDS).await;
                tokio::time::sleep(self.scale.hold).await;
                self.sql(&format!("ALTER DATABASE {database} RESET ALL")).await;
                self.sql(Self::END_BACKENDS).await;
                format!("{} s", self.scale.hold.as_secs())
            }
            Fault::DiskFull => {
                self.sql(
                    "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
                    CREATE TRIGGER full_disk BEFORE INSERT ON ingest_ledger EXECUTE FUNCTION full_disk()",
                )
                .await;
                self.failed(forwarder, "53100").await;
                tokio::time::sleep(self.scale.hold).await;
                self.sql("DROP TRIGGER full_disk ON ingest_ledger").await;
                format!("{} s", self.scale.hold.as_secs())
            }
            Fault::NoConnections => {
                let admin = self.database.admin().await;
                admin
                    .batch_execute(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS false"))
                    .await
                    .unwrap();
                let end = format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
                );
                admin.batch_execute(&end).await.unwrap();
                tokio::time::sleep(self.scale.hold).await;
                admin
                    .batch_execute(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true"))
                    .await
                    .unwrap();
                format!("{} s", self.scale.hold.as_secs())
            }
            Fault::ServerKilled | Fault::AsynchronousCommitLost => {
                let (mut kills, mut older) = (0, 0);
                for part in [20, 40, 60, 80] {
                    self.progress(forwarder, part).await;
                    let before = forwarder.delivered().borrow().seq().0;
                    self.server("kill");
                    self.server("start");
                    kills += 1;
                    let stands =
                        self.database.value::<i64>("SELECT min(last_seq) FROM ingest_checkpoint").await;
                    older += u64::from(stands < i64::try_from(before).unwrap());
                }
                if fault == Fault::AsynchronousCommitLost {
                    return format!("{kills} kills, {older} times older than known");
                }
                format!("{kills} kills")
            }
        }
    }

    async fn database_name(&self) -> String {
        self.database.config.get_dbname().unwrap().to_owned()
    }
}

const fn server_name(edition: Edition) -> &'static str {
    match edition {
        Edition::Timescale => "faults",
        Edition::Plain => "faults-plain",
    }
}

/// The database of a run; on a server of its own where it may be killed.
async fn database(edition: Edition, fault: Fault, scale: Scale) -> Option<Database> {
    let name = format!("{fault:?}").to_ascii_lowercase();
    if !scale.may_kill {
        return Database::migrated(edition, &name).await;
    }
    Database::named(edition, server_name(edition), &name).await
}

/// One line of the table, and its check.
async fn one(source: &Source, edition: Edition, (fault, words): (Fault, &str), scale: Scale) -> Option<()> {
    let kills = matches!(fault, Fault::ServerKilled | Fault::AsynchronousCommitLost);
    if kills && !scale.may_kill {
        return None;
    }
    let database = database(edition, fault, scale).await?;
    let proxy = Proxy::start(server_address(&database).await).await;
    let end = source.progress.borrow().durable;
    let run = Run { database, proxy, scale, end };
    let routes = i64::from(scale.routes);
    let mut rejected = 0;
    let mut rows_max = scale.rows_max;
    match fault {
        Fault::CommitAnswersLost => {
            run.proxy.faults.commits_to_lose.store(scale.lost_commits, Ordering::SeqCst);
            rows_max = u64::from(scale.routes) / scale.lost_commits / 2;
        }
        Fault::OneBadRow => {
            rejected = 1;
            run.sql("ALTER TABLE route_updates ADD CONSTRAINT bad CHECK (prefix <> '1.0.77.0/24')").await;
        }
        Fault::AsynchronousCommitLost => {
            run.sql(&format!("ALTER DATABASE {} SET synchronous_commit = off", run.database_name().await))
                .await;
        }
        _ => {}
    }
    let start = Instant::now();
    let target = target_through(&run.database, run.proxy.address).with_store_timeout(scale.patience);
    let forwarder = source.drain(target.clone(), 2, rows_max);
    let mut done = run.inflict(fault, &forwarder).await;
    let mut last = forwarder;
    if fault == Fault::SecondCollector {
        run.progress(&last, 30).await;
        let second = source.drain(target, 2, rows_max);
        run.progress(&second, 100).await;
        let halted =
            last.delivered().borrow().lanes.iter().filter(|lane| lane.state == LaneState::Halted).count();
        assert_eq!(halted, 2, "the older collector goes on");
        assert!(!last.stop(Duration::from_secs(5)).await);
        (last, done) = (second, "the older halted in both lanes".to_owned());
    }
    run.progress(&last, 100).await;
    let seconds = start.elapsed().as_secs_f64();
    assert!(last.stop(Duration::from_secs(60)).await);
    let (missing, doubled) = run.database.missing_and_doubled(COLLECTOR).await;
    let stored = run.database.value::<i64>("SELECT count(*) FROM route_updates").await;
    let refused = run.database.value::<i64>("SELECT count(*) FROM rejected_routes").await;
    let present = run.database.value::<i64>("SELECT count(*) FROM route_state WHERE NOT is_withdrawn").await;
    println!(
        "| {words} | {done} | {edition:?} | {routes} | {stored} | {refused} | {missing} | {doubled} | {seconds:.1} |"
    );
    assert_eq!((stored + refused, refused, missing, doubled), (routes, rejected, 0, 0), "{words}");
    assert_eq!(present, routes - rejected, "{words}: the current table");
    run.database.drop().await;
    Some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_loses_or_doubles_a_row() {
    let scale = if std::env::var_os("HOLDFAST_FAULTS").is_some() { LARGE } else { SMALL };
    let only = std::env::var("HOLDFAST_FAULTS_ONLY").ok();
    let mut source = Source::sized(tempfile::tempdir().unwrap(), 8 << 20, 1 << 30);
    for number in 0..scale.routes / BATCH_ROUTES {
        source.put(&batch(number)).await;
    }
    let end = SeqNo(u64::from(scale.routes / BATCH_ROUTES));
    drop(source.progress.wait_for(|progress| progress.durable >= end).await.unwrap());
    println!("| fault | done | server | routes sent | stored | rejected | missing | doubled | seconds |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for edition in Edition::ALL {
        for fault in FAULTS {
            if only.as_ref().is_none_or(|only| format!("{:?}", fault.0).contains(only.as_str())) {
                one(&source, edition, fault, scale).await;
            }
        }
    }
}
