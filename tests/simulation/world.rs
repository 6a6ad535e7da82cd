//! One schedule: what happens when, by the dice of one seed; and what must hold afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use holdfast::codec;
use holdfast::route::Timestamp;
use holdfast::session::{Introduced, Options as SessionOptions, Session};
use holdfast::sink::Lane;
use holdfast::wal::{LogId, Options, recover};

use super::bugs::Bug;
use super::database::{Database, Row, Tables, Transaction};
use super::disk::BuggyDisk;
use super::process::{Process, rows_of};
use crate::common::messages::{self, Header, PEER};
use crate::common::simdisk::{Dice, Fate, Fault, SimDisk};

const LANES: u32 = 2;
const ROUTERS: usize = 2;
const PEERS: u8 = 3;
const SEGMENT_BYTES: u64 = 64 << 10;
const SEGMENTS: u64 = 9;
const ACTIONS: u64 = 220;

fn lane(number: u32) -> Lane {
    Lane { collector: "sim".to_owned(), log_id: [7; 16], number, count: LANES }
}

pub(crate) struct World {
    dice: Dice,
    bug: Bug,
    now: Duration,
    disk: SimDisk,
    process: Option<Process>,
    database: Database,
    snapshot: Option<Tables>,
    routers: Vec<Session>,
    /// What each peer says next.
    says: u32,
    owners: u64,
    /// By number: what was told to be durable.
    promised: BTreeMap<u64, Vec<u8>>,
    /// How often bytes of the log were changed behind its back.
    rotten: u32,
    /// Numbers that a restored log directory does not have any more.
    restored: bool,
}

impl World {
    pub(crate) fn new(seed: u64, bug: Bug) -> Self {
        let router = |number: usize| {
            let address = Ipv4Addr::new(192, 0, 2, u8::try_from(number).unwrap()).into();
            let options = SessionOptions {
                router_name: Some(format!("r{number}")),
                address,
                port: 1,
                session: Timestamp(1),
                batch_records_max: 1000,
                sweep_quiet_us: 60_000_000,
            };
            let introduce = |name: &str| Introduced { name: name.to_owned(), ..Introduced::default() };
            Session::new(options, Box::new(introduce))
        };
        Self {
            dice: Dice::new(seed),
            bug,
            now: Duration::ZERO,
            disk: SimDisk::new(),
            process: None,
            database: Database::new(2, bug),
            snapshot: None,
            routers: (0..ROUTERS).map(router).collect(),
            says: 1,
            owners: 0,
            promised: BTreeMap::new(),
            rotten: 0,
            restored: false,
        }
    }

    pub(crate) fn run(mut self) {
        self.start();
        for _ in 0..ACTIONS {
            if self.process.as_ref().is_none_or(|process| process.is_dead || process.is_halted()) {
                self.restart(|disk| disk.after_kill());
            }
            match self.dice.below(100) {
                0..40 => self.router_speaks(),
                40..82 => self.time_passes(80),
                82..85 => self.restart(|disk| disk.after_kill()),
                85..89 => self.power_cut(),
                89..92 => self.database.is_up = !self.database.is_up,
                92..94 => self.snapshot = Some(self.database.tables.clone()),
                94 => self.database_comes_back_older(),
                95..97 => self.disk_fails_once(),
                97 => self.sector_rots(),
                98 => self.second_collector(),
                _ => self.time_passes(40_000),
            }
        }
        let forks = self.dice.below(4) == 0;
        if forks {
            self.log_comes_back_older();
        }
        self.calm_down();
        self.check();
    }

    fn options(&mut self) -> Options {
        Options {
            segment_bytes: SEGMENT_BYTES,
            bytes_max: SEGMENTS * SEGMENT_BYTES,
            free_percent_min: 0,
            ..Options::new(LogId([7; 16]), self.dice.roll(), 1)
        }
    }

    /// A process begins on what is on the disk. What it can read must be what was promised.
    fn start(&mut self) {
        let options = self.options();
        let disk = BuggyDisk { disk: self.disk.clone(), bug: self.bug };
        let (writer, recovered) =
            recover(disk, options).unwrap_or_else(|error| panic!("the log does not open: {error}"));
        self.owners += 1;
        let process = Process::new(writer, LANES, self.owners, self.bug, self.now);
        let (data, gaps) = process.read_all(recovered.oldest.0.max(1));
        // A last group that found no room for its copy is not shown yet; the end of the schedule asks for it.
        for (seq, payload) in
            self.promised.range(recovered.oldest.0..=process.durable.max(recovered.oldest.0))
        {
            let in_gap = gaps.iter().any(|gap| (gap.from..=gap.to).contains(seq));
            match data.get(seq) {
                Some(read) => assert!(read == payload, "batch {seq} was altered"),
                None => assert!(in_gap && (self.rotten > 0 || self.restored), "durable batch {seq} is gone"),
            }
        }
        // What was written and not yet promised may have survived; from now on it counts.
        self.promised.extend(data);
        self.process = Some(process);
    }

    fn restart(&mut self, after: impl FnOnce(&SimDisk) -> SimDisk) {
        self.process = None;
        self.disk = after(&self.disk);
        self.start();
    }

    fn power_cut(&mut self) {
        let (mut sectors, mut names) = (Dice::new(self.dice.roll()), Dice::new(self.dice.roll()));
        let fate = move || match sectors.below(4) {
            0 => Fate::Lost,
            1 => Fate::Garbage,
            _ => Fate::Survives,
        };
        self.restart(|disk| disk.after_power_cut(fate, move || names.below(2) == 0));
    }

    /// Announcements of one peer, in one batch of its router.
    fn router_speaks(&mut self) {
        let (router, peer) = (self.dice.below(2), self.dice.below(u64::from(PEERS)));
        let process = self.process.as_mut().unwrap();
        if !process.has_room() {
            return;
        }
        let header = Header {
            address: Ipv4Addr::new(10, 0, u8::try_from(router).unwrap(), u8::try_from(peer).unwrap()),
            ..PEER
        };
        let session = &mut self.routers[usize::try_from(router).unwrap()];
        let received = Timestamp(i64::try_from(self.now.as_micros()).unwrap() + 1);
        for _ in 0..=self.dice.below(4) {
            let [_, a, b, c] = self.says.to_be_bytes();
            self.says += 1;
            let pdu =
                messages::update(&[], &messages::plain_attributes(&[65_001]), &messages::v4(a, b, c, 24));
            session.message(&header.route_monitoring(&pdu), received);
        }
        for batch in session.take_batches() {
            let mut payload = Vec::new();
            codec::encode(&batch, &mut payload).unwrap();
            process.hand_over(payload, u32::try_from(batch.records()).unwrap());
        }
    }

    fn time_passes(&mut self, most_ms: u64) {
        self.now += Duration::from_millis(1 + self.dice.below(most_ms));
        self.work(false);
    }

    fn work(&mut self, calm: bool) {
        let Some(process) = self.process.as_mut() else { return };
        self.promised.extend(process.commit(self.now));
        if process.is_dead {
            return;
        }
        if self.dice.below(8) == 0 {
            (0..2).for_each(|lane| self.database.settle(lane));
        }
        process.drain(&mut self.database, &mut self.dice, calm, self.now);
    }

    /// A restore, a failover to a replica that lagged: as far back as the log still has what follows.
    fn database_comes_back_older(&mut self) {
        let Some(snapshot) = self.snapshot.take() else { return };
        let oldest = snapshot.lanes.iter().map(|lane| lane.last_seq).min().unwrap();
        if self.process.as_ref().unwrap().can_resend_from(oldest) {
            self.database.zombies.clear();
            self.database.tables = snapshot;
            // All connections are gone with the old server, and so is this life's claim to the lanes.
            self.restart(|disk| disk.after_kill());
        }
    }

    fn disk_fails_once(&mut self) {
        let at = self.disk.ops() + 1 + self.dice.below(6);
        self.disk.set_fault(Some(Fault { at, kind: std::io::ErrorKind::Other, forever: false }));
        if self.dice.below(3) == 0 {
            self.disk.set_write_bytes_max(512);
        }
    }

    /// One bit in a segment that is not the newest.
    fn sector_rots(&mut self) {
        let names: Vec<String> =
            self.disk.names().into_iter().filter(|name| name.ends_with(".wal")).collect();
        if names.len() < 2 || self.rotten > 0 {
            return;
        }
        let name = &names[usize::try_from(self.dice.below(u64::try_from(names.len() - 1).unwrap())).unwrap()];
        let place = usize::try_from(8192 + self.dice.below(SEGMENT_BYTES - 8192)).unwrap();
        let mut changed = false;
        self.disk.tamper(name, |bytes| {
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 4;
                changed = true;
            }
        });
        self.rotten += u32::from(changed);
    }

    /// Another process takes the lanes over, stores what stands next, and goes away again.
    fn second_collector(&mut self) {
        if !self.database.is_up {
            return;
        }
        self.owners += 1;
        let owner = self.owners;
        for lane in 0..2_usize {
            let Ok((epoch, last)) = self.database.attach(lane, owner, true, true) else { continue };
            let Some(payload) = self.promised.get(&(last + 1)) else { continue };
            let lane_of = self::lane(u32::try_from(lane).unwrap());
            let rows = rows_of(last + 1, payload, |router, key| lane_of.owns(router, key));
            let next =
                Transaction { lane, epoch, owner, first: last + 1, last: last + 1, rows, gaps: Vec::new() };
            self.database.commit(&next).unwrap();
        }
    }

    /// The log directory is put back as it was a moment ago, under a database that has more.
    fn log_comes_back_older(&mut self) {
        let old = self.disk.after_kill();
        let known = self.promised.clone();
        for _ in 0..6 {
            self.router_speaks();
            self.time_passes(700);
            if self.process.as_ref().is_none_or(|process| process.is_dead || process.is_halted()) {
                return;
            }
        }
        self.process = None;
        (0..2).for_each(|lane| self.database.settle(lane));
        let before = self.database.tables.rows.len();
        self.disk = old;
        self.restored = true;
        self.promised = known;
        self.start();
        for _ in 0..6 {
            self.time_passes(40_000);
        }
        // A lane that is behind goes on with what both have; whoever restored the directory has to decide on the rest.
        for row in &self.database.tables.rows[before..] {
            let known = self.promised.get(&row.seq).map(|payload| rows_of(row.seq, payload, |_, _| true));
            // What was written and never promised may be delivered too: no router has spoken since.
            assert!(known.is_none_or(|rows| rows.contains(row)), "a forked log was delivered");
        }
    }

    /// All faults end, and the collector has all the time it needs.
    fn calm_down(&mut self) {
        self.disk.set_fault(None);
        self.disk.set_write_bytes_max(usize::MAX);
        self.database.is_up = true;
        (0..2).for_each(|lane| self.database.settle(lane));
        for round in 0..200 {
            if self.process.as_ref().is_none_or(|process| process.is_dead || process.is_halted()) {
                if self.restored {
                    return;
                }
                self.restart(|disk| disk.after_kill());
            }
            self.now += Duration::from_secs(40);
            self.work(true);
            let last = self.promised.keys().next_back().copied().unwrap_or(0);
            let is_done = |process: &Process| process.is_caught_up() && process.durable >= last;
            if round > 2 && self.process.as_ref().is_some_and(is_done) {
                return;
            }
        }
        let process = self.process.as_ref().unwrap();
        panic!(
            "not everything durable was delivered: durable {}, database {:?}, fork {}, promised {:?}, rotten {}",
            process.durable,
            self.database.tables.lanes,
            process.found_fork(),
            self.promised.keys().next_back(),
            self.rotten
        );
    }

    fn check(&self) {
        let tables = &self.database.tables;
        self.check_rows(tables);
        for gap in &tables.gaps {
            // One lane may have read a batch before it rotted, and another one after.
            let covers = tables.rows.iter().any(|row| (gap.from..=gap.to).contains(&row.seq));
            assert!(!covers || self.rotten > 0, "a gap covers what is there: {gap:?}");
            let promised = self.promised.range(gap.from..=gap.to).count();
            assert!(promised == 0 || self.rotten > 0 || self.restored, "a gap without a cause: {gap:?}");
        }
        let distinct: BTreeSet<_> = tables.gaps.iter().collect();
        assert_eq!(distinct.len(), tables.gaps.len(), "a gap is told twice");
        if self.restored {
            return;
        }
        let passed = tables.lanes.iter().map(|lane| lane.last_seq).min().unwrap();
        for (seq, payload) in self.promised.range(..=passed) {
            let expected: BTreeSet<Row> = rows_of(*seq, payload, |_, _| true).into_iter().collect();
            let stored: BTreeSet<Row> = tables.rows.iter().filter(|row| row.seq == *seq).copied().collect();
            let gaps = tables.gaps.iter().filter(|gap| (gap.from..=gap.to).contains(seq)).count();
            match gaps {
                0 => assert_eq!(stored, expected, "batch {seq} is not whole"),
                gaps => assert!(
                    gaps == 1 && stored.is_subset(&expected) && (self.rotten > 0 || stored.is_empty()),
                    "batch {seq} is in {gaps} gaps"
                ),
            }
        }
        let known: BTreeSet<u64> =
            tables.rows.iter().map(|row| row.seq).chain(self.promised.keys().copied()).collect();
        for seq in (1..=passed).filter(|seq| !known.contains(seq)) {
            let gaps = tables.gaps.iter().filter(|gap| (gap.from..=gap.to).contains(&seq)).count();
            assert_eq!(gaps, 1, "number {seq} is neither stored nor in a gap");
        }
        let last = self.promised.keys().next_back().copied().unwrap_or(0);
        assert!(passed >= last, "delivered to {passed}, durable was {last}");
    }

    /// Each record once, and each peer in its own order.
    fn check_rows(&self, tables: &Tables) {
        let mut seen = BTreeSet::new();
        let mut last: BTreeMap<u64, (u64, u32, u64)> = BTreeMap::new();
        for row in &tables.rows {
            assert!(seen.insert((row.seq, row.index)), "record {}/{} is stored twice", row.seq, row.index);
            let before = last.insert(row.peer, (row.seq, row.index, row.says));
            if let Some((seq, index, says)) = before {
                assert!(
                    (row.seq, row.index) > (seq, index),
                    "a peer's records are out of order at {}",
                    row.seq
                );
                assert!(row.says > says, "what a peer said first is stored last");
            }
        }
    }
}
