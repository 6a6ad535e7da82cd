//! What is done while the drain runs.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use holdfast::forwarder::{Forwarder, LaneState, LaneStatus};
use holdfast::sink::{Retention, RetryCounts, Target, maintain, retry_rejected};
use holdfast::wal::SeqNo;
use tokio_postgres::{Client, NoTls};

use super::small_disk::SmallDisk;
use super::{BATCH_ROUTES, Fault, Scale, server_name};
use crate::common::db::{self, Database, Edition};
use crate::common::proxy::Proxy;
use crate::common::source::COLLECTOR;

/// Longest time until a slow link has carried something.
const DRIBBLE_MAX: Duration = Duration::from_secs(900);

/// One run: a database of its own, and the proxy before it.
pub(crate) struct Run {
    pub(crate) database: Database,
    pub(crate) proxy: Proxy,
    pub(crate) scale: Scale,
    /// Last batch of the log.
    pub(crate) end: SeqNo,
    /// Where the database's tables are, if they are to have little room.
    pub(crate) disk: Option<SmallDisk>,
}

impl Run {
    fn done(&self, forwarder: &Forwarder) -> bool {
        forwarder.delivered().borrow().seq() >= self.end
    }

    async fn sql(&self, sql: &str) {
        self.database.client().await.batch_execute(sql).await.unwrap();
    }

    /// Waits for so many rows of progress, or the end.
    pub(crate) async fn progress(&self, forwarder: &Forwarder, part: u64) {
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

    fn server(&self, verb: &[&str]) {
        db::testbed(&[verb, &["--name", server_name(self.database.edition)]].concat()).unwrap();
    }

    /// Does it while the drain runs. Returns what was done, in words.
    #[allow(clippy::too_many_lines, reason = "one arm for each fault")]
    pub(crate) async fn inflict(&self, fault: Fault, forwarder: &Forwarder) -> String {
        let (faults, database) = (&self.proxy.faults, self.database_name().await);
        if !matches!(fault, Fault::CommitAnswersLost | Fault::Delay) {
            self.progress(forwarder, 5).await;
        }
        match fault {
            Fault::None
            | Fault::OneBadRow
            | Fault::SecondCollector
            | Fault::Clock1970
            | Fault::Clock2036
            | Fault::RouterTime2099 => String::new(),
            Fault::BackendsTerminated => {
                let mut times = 0;
                while !self.done(forwarder) {
                    self.sql(Self::END_BACKENDS).await;
                    times += 1;
                    tokio::time::sleep(Duration::from_millis(700)).await;
                    // A machine that is slower than that would get nowhere.
                    let stored = forwarder.delivered().borrow().rows();
                    let mut watch = forwarder.delivered();
                    let more =
                        watch.wait_for(|delivered| delivered.rows() > stored || delivered.seq() >= self.end);
                    drop(
                        tokio::time::timeout(Duration::from_secs(60), more)
                            .await
                            .expect("no progress")
                            .unwrap(),
                    );
                }
                format!("{times} times")
            }
            Fault::CommitAnswersLost => {
                self.progress(forwarder, 100).await;
                let lost = faults.done.load(Ordering::SeqCst);
                assert_eq!(lost, self.scale.lost_commits);
                format!("{lost} replies")
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
                let rate = self.scale.dribble_bytes_per_second;
                faults.bytes_per_second.store(rate, Ordering::SeqCst);
                let start = Instant::now();
                // What was under way may still come through in time.
                self.failed(forwarder, "within the time limit").await;
                let enough = forwarder.delivered().borrow().rows() + u64::from(2 * BATCH_ROUTES);
                let mut watch = forwarder.delivered();
                let came = watch.wait_for(|delivered| delivered.rows() >= enough);
                drop(tokio::time::timeout(DRIBBLE_MAX, came).await.expect("nothing comes through").unwrap());
                faults.bytes_per_second.store(0, Ordering::SeqCst);
                format!(
                    "{} kbit/s until two batches were stored, {:.0} s",
                    rate / 125,
                    start.elapsed().as_secs_f64()
                )
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
                    .batch_execute("BEGIN; LOCK TABLE route_records IN ACCESS EXCLUSIVE MODE")
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
                // By way of another database, where the limit does not hold for us.
                let admin = self.database.admin().await;
                let end = Self::END_BACKENDS.replace("current_database()", &format!("'{database}'"));
                for (setting, hold) in
                    [("SET statement_timeout = '30ms'", self.scale.hold), ("RESET ALL", Duration::ZERO)]
                {
                    admin.batch_execute(&format!("ALTER DATABASE {database} {setting}")).await.unwrap();
                    admin.batch_execute(&end).await.unwrap();
                    tokio::time::sleep(hold).await;
                }
                format!("{} s", self.scale.hold.as_secs())
            }
            Fault::SlowDatabase => {
                let per_row = 2.0 * self.scale.patience.as_secs_f64() * 2.0 / self.scale.rows_max as f64;
                self.sql(&format!(
                    "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN PERFORM pg_sleep(NEW.routes * {per_row}); RETURN NEW; END $$;
                    CREATE TRIGGER slow BEFORE INSERT ON ingest_ledger FOR EACH ROW EXECUTE FUNCTION slow()"
                ))
                .await;
                self.failed(forwarder, "no reply from the database").await;
                tokio::time::sleep(self.scale.hold).await;
                self.sql("DROP TRIGGER slow ON ingest_ledger").await;
                "until it failed, and some time after".to_owned()
            }
            Fault::DiskFull => {
                if let Some(disk) = &self.disk {
                    self.failed(forwarder, "53100").await;
                    tokio::time::sleep(self.scale.hold).await;
                    disk.grow();
                    return format!(
                        "tables on a file system of {} MiB, {} s",
                        SmallDisk::MIB,
                        self.scale.hold.as_secs()
                    );
                }
                self.sql(
                    "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
                    CREATE TRIGGER full_disk BEFORE INSERT ON ingest_ledger EXECUTE FUNCTION full_disk()",
                )
                .await;
                self.failed(forwarder, "53100").await;
                tokio::time::sleep(self.scale.hold).await;
                self.sql("DROP TRIGGER full_disk ON ingest_ledger").await;
                format!("raised by a trigger at COMMIT, {} s", self.scale.hold.as_secs())
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
            Fault::ConnectionsExhausted => {
                let hogs = self.take_all_connections(forwarder).await;
                tokio::time::sleep(self.scale.hold).await;
                format!("{} s, {} connections", self.scale.hold.as_secs(), hogs.len())
            }
            Fault::ServerRestarted | Fault::ServerRestartedAtOnce => {
                let stop: &[&str] =
                    if fault == Fault::ServerRestarted { &["stop"] } else { &["stop", "--immediate"] };
                for part in [20, 40, 60, 80] {
                    self.progress(forwarder, part).await;
                    self.server(stop);
                    self.server(&["start"]);
                }
                "4 times".to_owned()
            }
            Fault::ServerKilled | Fault::AsynchronousCommitLost => {
                let (mut kills, mut older) = (0, 0);
                for part in [20, 40, 60, 80] {
                    self.progress(forwarder, part).await;
                    let before = forwarder.delivered().borrow().seq().0;
                    self.server(&["kill"]);
                    // What it has is asked before the lanes come back and send what is missing.
                    faults.delay_ms.store(2000, Ordering::SeqCst);
                    self.server(&["start"]);
                    kills += 1;
                    let stands =
                        self.database.value::<i64>("SELECT min(last_seq) FROM ingest_checkpoint").await;
                    faults.delay_ms.store(0, Ordering::SeqCst);
                    older += u64::from(stands < i64::try_from(before).unwrap());
                }
                if fault == Fault::AsynchronousCommitLost {
                    assert!(older > 0, "no commit was lost");
                    return format!("{kills} kills, commits lost {older} times");
                }
                format!("{kills} kills")
            }
        }
    }

    /// What must be so before the drain begins. Returns how many rows a transaction may have.
    pub(crate) async fn prepare(&mut self, fault: Fault) -> u64 {
        let scale = self.scale;
        match fault {
            Fault::CommitAnswersLost => {
                self.proxy.faults.commits_to_lose.store(scale.lost_commits, Ordering::SeqCst);
                return u64::from(scale.routes) / scale.lost_commits / 2;
            }
            Fault::OneBadRow => {
                self.sql("ALTER TABLE route_records ADD CONSTRAINT bad CHECK (prefix <> '1.0.77.0/24')")
                    .await;
            }
            Fault::DiskFull if scale.may_kill => {
                self.disk = SmallDisk::mount();
                if let Some(disk) = &self.disk {
                    // One by one: a tablespace is not made in a transaction.
                    for statement in disk.takes(&self.database_name().await).split(';') {
                        self.sql(statement).await;
                    }
                }
            }
            // Many transactions, so that the second one begins before the first one has delivered all.
            Fault::SecondCollector => return scale.rows_max / 20,
            Fault::AsynchronousCommitLost => {
                let name = self.database_name().await;
                self.sql(&format!("ALTER DATABASE {name} SET synchronous_commit = off")).await;
                // Commits are to wait in the server's memory: many small ones, and nobody writes them out.
                self.sql("ALTER SYSTEM SET wal_writer_delay = '10s'").await;
                self.sql("SELECT pg_reload_conf()").await;
                return scale.rows_max / 20;
            }
            _ => {}
        }
        scale.rows_max
    }

    /// What became of the bad row, now and when its cause is gone.
    pub(crate) async fn one_bad_row(&self, target: &Target, longer: f64) -> String {
        let stored = self.database.value::<i64>("SELECT count(*) FROM route_updates").await;
        let refused = self.database.value::<i64>("SELECT count(*) FROM rejected_routes").await;
        assert_eq!((stored, refused), (i64::from(self.scale.routes) - 1, 1));
        self.sql("ALTER TABLE route_records DROP CONSTRAINT bad").await;
        let retried = retry_rejected(target, COLLECTOR).await.unwrap();
        assert_eq!(retried, RetryCounts { stored: 1, rejected: 0 });
        format!("{stored} stored and 1 rejected, {longer:+.1} s compared with no fault; stored by retry")
    }

    /// Maintenance, which must not take what a wrong clock has dated. Returns how many chunks there are then.
    pub(crate) async fn maintained(&self, target: &Target) -> String {
        let pool = target.pool(2).unwrap();
        let retention = Retention { routes_days: Some(1825), events_days: Some(180) };
        maintain(&pool, retention).await.unwrap();
        let chunks = match self.database.edition {
            Edition::Timescale => "SELECT count(*) FROM show_chunks('route_records')",
            Edition::Plain => "SELECT count(*) FROM pg_inherits WHERE inhparent = 'route_records'::regclass",
        };
        let chunks = self.database.value::<i64>(chunks).await;
        assert!(chunks <= 10, "{chunks} chunks");
        format!("{chunks} chunks, after maintenance")
    }

    /// Connections, until the server gives no more and the lanes have none.
    async fn take_all_connections(&self, forwarder: &Forwarder) -> Vec<Client> {
        let mut hogs = vec![self.database.client().await];
        let refused = |lane: &LaneStatus| {
            lane.state == LaneState::Retrying
                && lane.last_error.as_ref().is_some_and(|error| error.contains("53300"))
        };
        while !forwarder.delivered().borrow().lanes.iter().all(refused) && !self.done(forwarder) {
            match self.database.config.connect(NoTls).await {
                Ok((client, connection)) => {
                    tokio::spawn(connection);
                    hogs.push(client);
                }
                Err(_) => {
                    hogs[0].batch_execute(Self::END_BACKENDS).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
        assert!(!self.done(forwarder), "all was delivered before the connections were taken");
        hogs
    }

    async fn database_name(&self) -> String {
        self.database.config.get_dbname().unwrap().to_owned()
    }
}
