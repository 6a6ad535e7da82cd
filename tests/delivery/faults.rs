//! Delivery under each fault, against real servers and, for network faults, through a proxy.
//!
//! Prints the table of docs/DELIVERY.md: the numbers of sent, stored, missing and duplicate routes. Small by
//! default; `tools/bench/faults` runs it with a million routes per fault, on servers of its own that it may
//! kill.

mod inflict;
mod small_disk;

use std::time::{Duration, Instant};

use crate::common::batches::{Builder, NOW, peer};
use crate::common::db::{Database, Edition};
use crate::common::proxy::Proxy;
use crate::common::source::{COLLECTOR, Source, server_address, target_through};
use holdfast::forwarder::LaneState;
use holdfast::route::{Batch, RibView, Timestamp};
use holdfast::wal::SeqNo;
use inflict::Run;

/// Routes of a batch of the log.
const BATCH_ROUTES: u32 = 500;
const PEERS: u32 = 40;

/// Size of a run and of its faults.
#[derive(Clone, Copy)]
struct Scale {
    routes: u32,
    rows_max: u64,
    /// Number of commits whose reply is lost.
    lost_commits: u64,
    /// Duration of a lasting fault.
    hold: Duration,
    /// Rate of the slow link.
    dribble_bytes_per_second: u64,
    /// Time limit of a transaction.
    patience: Duration,
    /// Whether the servers belong to this run and may be killed.
    may_kill: bool,
}

const SMALL: Scale = Scale {
    routes: 20_000,
    rows_max: 1000,
    lost_commits: 15,
    hold: Duration::from_secs(1),
    dribble_bytes_per_second: 128_000,
    patience: Duration::from_secs(2),
    may_kill: false,
};
const LARGE: Scale = Scale {
    routes: 1_000_000,
    rows_max: 10_000,
    lost_commits: 1000,
    hold: Duration::from_secs(12),
    dribble_bytes_per_second: 8000,
    // Longer than the lock_timeout of a lane.
    patience: Duration::from_secs(15),
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
    SlowDatabase,
    DiskFull,
    NoConnections,
    ConnectionsExhausted,
    SecondCollector,
    ServerRestarted,
    ServerRestartedAtOnce,
    ServerKilled,
    AsynchronousCommitLost,
    OneBadRow,
    Clock1970,
    Clock2036,
    RouterTime2099,
}

const FAULTS: [(Fault, &str); 23] = [
    (Fault::None, "none (router time 0)"),
    (Fault::BackendsTerminated, "backends terminated repeatedly (57P01)"),
    (Fault::CommitAnswersLost, "reply to COMMIT lost after the commit"),
    (Fault::CutAtBytes, "connection cut in the middle of COPY"),
    (Fault::HalfOpen, "half-open TCP: both ends open, no data carried"),
    (Fault::Delay, "40 ms delay in each direction"),
    (Fault::Dribble, "link too slow to store one batch within the time limit"),
    (Fault::ReadOnly, "read-only server (25006)"),
    (Fault::TableLocked, "history locked by another session (55P03)"),
    (Fault::StatementTimeout, "statement timeout of 30 ms (57014)"),
    (Fault::SlowDatabase, "full transaction takes twice the time limit"),
    (Fault::DiskFull, "disk full (53100)"),
    (Fault::NoConnections, "new connections refused (55000), existing ones terminated"),
    (Fault::ConnectionsExhausted, "max_connections used up by others (53300)"),
    (Fault::SecondCollector, "second collector with the same id and log"),
    (Fault::ServerRestarted, "server restarted cleanly (57P01, 57P03)"),
    (Fault::ServerRestartedAtOnce, "server restarted with -m immediate (57P02)"),
    (Fault::ServerKilled, "kill -9 of the server"),
    (Fault::AsynchronousCommitLost, "kill -9 with asynchronous commit: recent commits lost"),
    (Fault::OneBadRow, "one row rejected by the database"),
    (Fault::Clock1970, "collector's clock in 1970 for the first half"),
    (Fault::Clock2036, "collector's clock in 2036 for the first half"),
    (Fault::RouterTime2099, "router's clock in 2099"),
];

impl Fault {
    /// Whether the fault requires a server that no other test uses.
    const fn needs_own_server(self) -> bool {
        matches!(
            self,
            Self::ConnectionsExhausted
                | Self::ServerRestarted
                | Self::ServerRestartedAtOnce
                | Self::ServerKilled
                | Self::AsynchronousCommitLost
        )
    }

    /// Whether the fault is in the timestamps of the logged batches.
    const fn is_of_clocks(self) -> bool {
        matches!(self, Self::Clock1970 | Self::Clock2036 | Self::RouterTime2099)
    }
}

/// 2036-01-01 and 2099-01-01.
const IN_2036: i64 = 2_082_758_400_000_000;
const IN_2099: Timestamp = Timestamp(4_070_908_800_000_000);

fn batch(number: u32, count: u32, fault: Fault) -> Batch {
    let peer = peer(u8::try_from(number % PEERS).unwrap(), RibView::AdjInPre, 1);
    let first = number * BATCH_ROUTES;
    let at = match fault {
        Fault::Clock1970 if number < count / 2 => -NOW,
        Fault::Clock2036 if number < count / 2 => IN_2036 - NOW,
        _ => 0,
    };
    let mut batch = Builder::new("r1", 0)
        .at(at + i64::from(number))
        .announce(&peer, first..first + BATCH_ROUTES, &[number + 1])
        .build();
    if fault == Fault::RouterTime2099 {
        batch.groups.iter_mut().for_each(|group| group.router_time = IN_2099);
    }
    batch
}

async fn log(scale: Scale, fault: Fault) -> Source {
    let mut source = Source::sized(tempfile::tempdir().unwrap(), 8 << 20, 1 << 30);
    let count = scale.routes / BATCH_ROUTES;
    for number in 0..count {
        source.put(&batch(number, count, fault)).await;
    }
    let end = SeqNo(u64::from(count));
    drop(source.progress.wait_for(|progress| progress.durable >= end).await.unwrap());
    source
}

const fn server_name(edition: Edition) -> &'static str {
    match edition {
        Edition::Timescale => "faults",
        Edition::Plain => "faults-plain",
    }
}

/// The database of a run, on a server of its own if the run may kill it.
async fn database(edition: Edition, fault: Fault, scale: Scale) -> Option<Database> {
    let name = format!("{fault:?}").to_ascii_lowercase();
    if !scale.may_kill {
        return Database::migrated(edition, &name).await;
    }
    Database::named(edition, server_name(edition), &name).await
}

/// Runs one fault, checks the result and prints its row of the table. Returns the duration in seconds.
async fn one(
    source: &Source,
    edition: Edition,
    (fault, words): (Fault, &str),
    scale: Scale,
    untroubled: f64,
) -> Option<f64> {
    if fault.needs_own_server() && !scale.may_kill {
        return None;
    }
    let database = database(edition, fault, scale).await?;
    let proxy = Proxy::start(server_address(&database).await).await;
    let end = source.progress.borrow().durable;
    let mut run = Run { database, proxy, scale, end, disk: None };
    let routes = i64::from(scale.routes);
    let rows_max = run.prepare(fault).await;
    let start = Instant::now();
    let target = target_through(&run.database, run.proxy.address).with_store_timeout(scale.patience);
    let forwarder = source.drain(target.clone(), 2, rows_max);
    let mut done = run.inflict(fault, &forwarder).await;
    let mut last = forwarder;
    if fault == Fault::SecondCollector {
        run.progress(&last, 30).await;
        let second = source.drain(target.clone(), 2, rows_max);
        run.progress(&second, 100).await;
        let mut watch = last.delivered();
        // The records are of tables, in the two dump lanes: a lane without records asks for nothing.
        let halted = watch
            .wait_for(|seen| seen.lanes.iter().filter(|lane| lane.state == LaneState::Halted).count() >= 2);
        let halted = tokio::time::timeout(Duration::from_secs(60), halted).await;
        drop(halted.expect("the first collector did not halt").unwrap());
        assert!(!last.stop(Duration::from_secs(5)).await);
        (last, done) = (second, "the first collector halted in both dump lanes".to_owned());
    }
    run.progress(&last, 100).await;
    let seconds = start.elapsed().as_secs_f64();
    assert!(last.stop(Duration::from_secs(60)).await);
    if fault == Fault::OneBadRow {
        done = run.one_bad_row(&target, seconds - untroubled).await;
    }
    if fault.is_of_clocks() {
        done = run.maintained(&target).await;
    }
    let (missing, doubled) = run.database.missing_and_doubled(COLLECTOR).await;
    let stored = run.database.value::<i64>("SELECT count(*) FROM route_updates").await;
    let present = run.database.value::<i64>("SELECT count(*) FROM route_state WHERE NOT is_withdrawn").await;
    println!(
        "| {words} | {done} | {edition:?} | {routes} | {stored} | {missing} | {doubled} | {seconds:.1} |"
    );
    assert_eq!((stored, missing, doubled), (routes, 0, 0), "{words}");
    assert_eq!(present, routes, "{words}: the current table");
    let (admin, has_disk) = (run.database.admin().await, run.disk.is_some());
    run.database.drop().await;
    if has_disk {
        // Crash recovery of the server would fail without the tablespace.
        for statement in ["DROP TABLESPACE small", "CHECKPOINT"] {
            admin.batch_execute(statement).await.unwrap();
        }
    }
    Some(seconds)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_loses_or_doubles_a_row() {
    let scale = if std::env::var_os("HOLDFAST_FAULTS").is_some() { LARGE } else { SMALL };
    let only = std::env::var("HOLDFAST_FAULTS_ONLY").ok();
    let usual = log(scale, Fault::None).await;
    println!("| fault | done | server | routes sent | stored | missing | doubled | seconds |");
    println!("|---|---|---|---|---|---|---|---|");
    for edition in Edition::ALL {
        let mut untroubled = 0.0;
        for (fault, words) in FAULTS {
            // The run without a fault is the reference of all others.
            let is_named =
                |only: &String| fault == Fault::None || format!("{fault:?}").contains(only.as_str());
            if !only.as_ref().is_none_or(is_named) {
                continue;
            }
            let other = if fault.is_of_clocks() { Some(log(scale, fault).await) } else { None };
            let source = other.as_ref().unwrap_or(&usual);
            let seconds = one(source, edition, (fault, words), scale, untroubled).await;
            if fault == Fault::None {
                untroubled = seconds.unwrap_or_default();
            }
        }
    }
}
