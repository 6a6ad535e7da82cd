//! The same schedules through a real database: history, events and current table equal the model.

use holdfast::route::Batch;
use holdfast::sink::{Connection, Dedup, Lane, RouteComparison, TransactionBuilder, rebuild_state};
use holdfast::wal::LogId;
use tokio::runtime::Runtime;

use crate::common::db::{self, Edition};
use crate::common::simdisk::Dice;
use crate::common::store::OWNER;
use crate::compare::{FAILURES_SHOWN, shorten};
use crate::drive;
use crate::predict::predict;
use crate::schedule::Schedule;
use crate::tables::{self, Tables};

/// Runs with which a failing schedule is shortened.
const ATTEMPTS_MAX: usize = 300;

/// The rows as the lines of [`Tables`]. `TIME` stands for the microseconds since the beginning of the run.
const HISTORY: &str = "SELECT concat_ws(' ', ltrim(router, 'r'), TIME(time), peer_type,
    peer_distinguisher, host(bgp_peer_ip), bgp_peer_asn, host(bgp_id), rib, 'g' || generation,
    afi || '/' || safi, coalesce(rd, ''), prefix, coalesce(path_id::text, ''), cause,
    CASE WHEN is_withdrawn THEN '' ELSE med::text END,
    CASE WHEN is_withdrawn THEN '' ELSE coalesce(labels::text, '') END)
    FROM route_updates WHERE collector = $1";
const EVENTS: &str = "SELECT CASE WHEN bgp_peer_ip IS NULL
    THEN concat_ws(' ', ltrim(router, 'r'), TIME(time), event_type)
    ELSE concat_ws(' ', ltrim(router, 'r'), TIME(time), peer_type, peer_distinguisher,
        host(bgp_peer_ip), bgp_peer_asn, host(bgp_id),
        CASE WHEN event_type = 'peer_stale' THEN '' ELSE rib END, 'g' || generation, event_type,
        coalesce(afi || '/' || safi, '')) END
    FROM peer_events WHERE collector = $1";
const CURRENT: &str = "SELECT concat_ws(' ', ltrim(router, 'r'), peer_type, peer_distinguisher,
    host(bgp_peer_ip), bgp_peer_asn, host(bgp_id), rib, afi || '/' || safi, coalesce(rd, ''), prefix,
    coalesce(path_id::text, ''), med, coalesce(labels::text, ''), CASE WHEN is_stale THEN 'stale' ELSE '' END)
    FROM stored_routes WHERE NOT is_withdrawn AND collector = $1";

/// One database with all runs, each by a collector of its own.
struct Database {
    runtime: Runtime,
    database: db::Database,
    lanes: u32,
    runs: u64,
    /// Lines compared: history, events, current table.
    lines: [usize; 3],
}

/// Runs the schedules on one edition with this number of lanes; returns what disagrees. Does nothing without
/// a database.
pub fn check(edition: Edition, lanes: u32, schedules: &[Schedule]) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = runtime.block_on(db::Database::migrated(edition, "model"));
    let Some(database) = database else { return Vec::new() };
    let mut database = Database { runtime, database, lanes, runs: 0, lines: [0; 3] };
    let mut failures = Vec::new();
    for schedule in schedules {
        match database.differences(schedule) {
            None => {}
            Some(_) if failures.len() >= FAILURES_SHOWN => failures.push(schedule.seed.to_string()),
            Some(_) => failures.push(database.explain(edition, schedule)),
        }
    }
    println!("{edition:?}: lines of history, events and current table: {:?}", database.lines);
    let Database { runtime, database, .. } = database;
    runtime.block_on(database.drop());
    failures
}

impl Database {
    fn differences(&mut self, schedule: &Schedule) -> Option<String> {
        self.runs += 1;
        let prediction = predict(schedule);
        let mut dice = Dice::new(schedule.seed);
        let dedup = [Dedup::Off, Dedup::ReDumps, Dedup::Always][dice.below(3) as usize];
        let predicted = tables::predict(&prediction.records, dedup);
        let log = drive::drive(schedule, &prediction.actions);
        self.store(&mut dice, dedup, &log);
        let stored = self.stored();
        let parts = [
            ("history", &predicted.history, &stored.history),
            ("events", &predicted.events, &stored.events),
            ("current table", &predicted.current, &stored.current),
        ];
        for (count, (_, predicted, _)) in self.lines.iter_mut().zip(&parts) {
            *count += predicted.len();
        }
        let different = |(name, predicted, stored): (&str, &Vec<String>, &Vec<String>)| {
            let only = |these: &[String], those: &[String]| -> String {
                let lines = these.iter().filter(|line| !those.contains(line)).take(5);
                lines.map(|line| format!("      {line}\n")).collect()
            };
            (predicted != stored).then(|| {
                format!(
                    "    {name}, {dedup:?}: {} lines predicted, {} stored; only the model has\n{}    \
                     only the database has\n{}",
                    predicted.len(),
                    stored.len(),
                    only(predicted, stored),
                    only(stored, predicted)
                )
            })
        };
        let texts = parts.into_iter().filter_map(different).chain(self.inconsistency());
        let texts: Vec<String> = texts.collect();
        (!texts.is_empty()).then(|| texts.concat())
    }

    fn collector(&self) -> String {
        format!("c{}", self.runs)
    }

    /// Stores the log in transactions of random size, one lane after the other. Now and then the connection
    /// of a lane is lost between two transactions.
    fn store(&mut self, dice: &mut Dice, dedup: Dedup, log: &[Batch]) {
        for number in 0..self.lanes {
            let (collector, log_id) = (self.collector(), LogId([7; 16]));
            let lane = Lane { collector, log_id, number, count: self.lanes };
            let attach = || {
                let attach = Connection::attach(&self.database.target, &lane, OWNER, None);
                self.runtime.block_on(attach).unwrap().0
            };
            let (mut connection, mut next_seq) = (attach(), 1);
            let mut rest = log;
            while !rest.is_empty() {
                let size = (1 + dice.below(8) as usize).min(rest.len());
                let (batches, after) = rest.split_at(size);
                rest = after;
                let mut transaction = TransactionBuilder::new(lane.clone(), next_seq).with_dedup(dedup);
                for batch in batches {
                    transaction.push(transaction.next_seq(), b"payload", batch).unwrap();
                }
                let transaction = transaction.build();
                self.runtime.block_on(connection.store(&transaction)).unwrap();
                next_seq = transaction.last_seq + 1;
                if dice.below(10) == 0 {
                    connection = attach();
                }
            }
        }
    }

    fn stored(&self) -> Tables {
        let collector = self.collector();
        let lines = |sql: &str| -> Vec<String> {
            let sql = sql.replace(
                "TIME(time)",
                &format!("(extract(epoch FROM time) * 1000000)::bigint - {}", drive::START),
            );
            let rows = async { self.database.client().await.query(&sql, &[&collector]).await.unwrap() };
            let mut lines: Vec<String> = self.runtime.block_on(rows).iter().map(|row| row.get(0)).collect();
            lines.sort();
            lines
        };
        Tables { history: lines(HISTORY), events: lines(EVENTS), current: lines(CURRENT) }
    }

    fn explain(&mut self, edition: Edition, schedule: &Schedule) -> String {
        let short = shorten(schedule, ATTEMPTS_MAX, |schedule| self.differences(schedule).is_some());
        let difference = self.differences(&short).unwrap_or_default();
        format!("{edition:?}: MODEL_SEED={} fails with these steps:\n{short}{difference}", schedule.seed)
    }

    /// What rebuild-state and verify find wrong.
    fn inconsistency(&self) -> Option<String> {
        let collector = self.collector();
        let (found, missing_and_doubled) = self.runtime.block_on(async {
            let mut client = self.database.client().await;
            let found = rebuild_state(&mut client, &collector, false).await.unwrap();
            (found, self.database.missing_and_doubled(&collector).await)
        });
        let is_wrong = |comparison: &&RouteComparison| !comparison.is_consistent();
        let wrong: Vec<String> = found
            .iter()
            .filter(is_wrong)
            .map(|RouteComparison { name, routes, example }| {
                format!("    rebuild-state: {routes} routes are {name}: {example}\n")
            })
            .collect();
        let is_complete = missing_and_doubled == (0, 0);
        (!wrong.is_empty() || !is_complete)
            .then(|| format!("{}    missing and doubled records: {missing_and_doubled:?}\n", wrong.concat()))
    }
}
