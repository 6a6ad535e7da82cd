//! One schedule: the events that the dice of one seed select, and the checks afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use holdfast::codec;
use holdfast::route::{Class, Timestamp};
use holdfast::session::{Options as SessionOptions, Session};
use holdfast::sink::Lane;
use holdfast::wal::{LogId, Options, recover};

use super::bugs::Bug;
use super::database::{Database, Refused, Row, Tables, Transaction};
use super::disk::BuggyDisk;
use super::process::{Process, owns, rows_of};
use crate::common::messages::{self, Header, PEER};
use crate::common::sessions::{self, session};
use crate::common::simdisk::{Dice, Fate, Fault, SimDisk};

const LANES: u32 = 2;
const ALL_LANES: usize = 4;
const ROUTERS: usize = 2;
const PEERS: u8 = 3;
/// Prefixes that each peer announces again and again.
const PREFIXES: u64 = 7;
const BULK_ROUTES_MIN: u64 = 5;
const SEGMENT_BYTES: u64 = 64 << 10;
const SEGMENTS: u64 = 9;
const ACTIONS: u64 = 220;

fn lane(number: u32) -> Lane {
    Lane { collector: "sim".to_owned(), log_id: LogId([7; 16]), number, count: LANES }
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
    /// The next value to announce.
    next_value: u32,
    owners: u64,
    /// Batches reported as durable, by sequence number.
    reported: BTreeMap<u64, Vec<u8>>,
    /// Number of bits of the log that were corrupted.
    corrupted: u32,
    /// True once the log directory was restored from a copy.
    restored: bool,
}

impl World {
    pub(crate) fn new(seed: u64, bug: Bug) -> Self {
        Self {
            dice: Dice::new(seed),
            bug,
            now: Duration::ZERO,
            disk: SimDisk::new(),
            process: None,
            database: Database::new(ALL_LANES, bug),
            snapshot: None,
            routers: Vec::new(),
            next_value: 1,
            owners: 0,
            reported: BTreeMap::new(),
            corrupted: 0,
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
                0..40 => self.router_announces(),
                40..82 => self.time_passes(80),
                82..85 => self.restart(|disk| disk.after_kill()),
                85..89 => self.power_cut(),
                89..92 => self.database.is_up = !self.database.is_up,
                92..94 => self.snapshot = Some(self.database.tables.clone()),
                94 => self.database_is_restored(),
                95..97 => self.disk_fails_once(),
                97 => self.bit_flips(),
                98 => self.second_collector(),
                _ => self.time_passes(40_000),
            }
        }
        let forks = self.dice.below(4) == 0;
        if forks {
            self.log_is_restored();
        }
        self.settle();
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

    /// Starts a process on the current disk. Every batch reported as durable must be readable and unchanged.
    fn start(&mut self) {
        let options = self.options();
        let disk = BuggyDisk { disk: self.disk.clone(), bug: self.bug };
        let (writer, recovered) =
            recover(disk, options).unwrap_or_else(|error| panic!("the log does not open: {error}"));
        self.owners += 1;
        let session_number = Timestamp(i64::try_from(self.owners).unwrap());
        let router = |number: usize| {
            let address = Ipv4Addr::new(192, 0, 2, u8::try_from(number).unwrap()).into();
            let router_name = Some(format!("r{number}"));
            session(SessionOptions {
                router_name,
                address,
                bulk_routes_min: BULK_ROUTES_MIN,
                ..sessions::options(session_number)
            })
        };
        self.routers = (0..ROUTERS).map(router).collect();
        let process = Process::new(writer, LANES, self.owners, self.bug, self.now);
        let (data, gaps) = process.read_all(recovered.oldest.0.max(1));
        // A last group without space for its copy is not readable yet; the end of the schedule checks it.
        for (seq, payload) in
            self.reported.range(recovered.oldest.0..=process.durable.max(recovered.oldest.0))
        {
            let in_gap = gaps.iter().any(|gap| (gap.from..=gap.to).contains(seq));
            match data.get(seq) {
                Some(read) => assert!(read == payload, "batch {seq} was changed"),
                None => {
                    assert!(in_gap && (self.corrupted > 0 || self.restored), "durable batch {seq} missing")
                }
            }
        }
        // A batch that was written but not reported may have survived; from now on it must be delivered too.
        self.reported.extend(data);
        self.process = Some(process);
    }

    /// Ends the process, and with it its connections.
    fn end_process(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.disconnect(&mut self.database, &mut self.dice);
        }
    }

    fn restart(&mut self, after: impl FnOnce(&SimDisk) -> SimDisk) {
        self.end_process();
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

    /// A router announces routes of one peer in one batch, or in two if the peer changes its class. Peer Down
    /// and End-of-RIB begin and end its dump.
    fn router_announces(&mut self) {
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
        if self.dice.below(12) == 0 {
            session.message(&header.peer_down(1, &[]), received);
        }
        for _ in 0..=self.dice.below(4) {
            let med = messages::attribute(0x80, 4, &self.next_value.to_be_bytes());
            self.next_value += 1;
            let prefix = u8::try_from(self.dice.below(PREFIXES)).unwrap();
            let attributes = [messages::plain_attributes(&[65_001]), med].concat();
            let pdu = messages::update(&[], &attributes, &messages::v4(10, 0, prefix, 24));
            session.message(&header.route_monitoring(&pdu), received);
        }
        if self.dice.below(4) == 0 {
            session.message(&header.route_monitoring(&messages::update(&[], &[], &[])), received);
        }
        if self.dice.below(2) == 0 {
            // Whether little is left to deliver is a matter of speed: either answer is right.
            session.dump_delivered(process.dump_delivered(), self.dice.below(2) == 0);
            session.tick(received);
        }
        let mut last_dump = None;
        for batch in session.take_batches() {
            let is_live = batch.class == Class::Live;
            let seq = process.hand_over(batch);
            last_dump = if is_live { last_dump } else { Some(seq) };
        }
        if last_dump.is_some() {
            session.dump_logged(last_dump);
        }
    }

    fn time_passes(&mut self, most_ms: u64) {
        self.now += Duration::from_millis(1 + self.dice.below(most_ms));
        self.work(false);
    }

    fn work(&mut self, calm: bool) {
        let Some(process) = self.process.as_mut() else { return };
        self.reported.extend(process.commit(self.now));
        if process.is_dead {
            return;
        }
        if self.dice.below(8) == 0 {
            (0..ALL_LANES).for_each(|lane| self.database.settle(lane));
        }
        process.drain(&mut self.database, &mut self.dice, calm, self.now);
    }

    /// The database is restored to a snapshot, as by a failover to a lagging replica, if the log still holds
    /// the batches after it.
    fn database_is_restored(&mut self) {
        let Some(snapshot) = self.snapshot.take() else { return };
        let oldest = snapshot.lanes.iter().map(|lane| lane.last_seq).min().unwrap();
        if self.process.as_ref().unwrap().can_resend_from(oldest) {
            self.database.zombies.clear();
            self.database.tables = snapshot;
            // All connections end with the old server. The lanes notice that one after the other.
            self.database.server += 1;
            for _ in 0..self.dice.below(4) {
                self.now += Duration::from_millis(1 + self.dice.below(400));
                let process = self.process.as_mut().unwrap();
                process.drain(&mut self.database, &mut self.dice, false, self.now);
            }
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

    /// Flips one bit in a segment other than the newest.
    fn bit_flips(&mut self) {
        let names: Vec<String> =
            self.disk.names().into_iter().filter(|name| name.ends_with(".wal")).collect();
        if names.len() < 2 || self.corrupted > 0 {
            return;
        }
        let name = &names[usize::try_from(self.dice.below(u64::try_from(names.len() - 1).unwrap())).unwrap()];
        let offset = usize::try_from(8192 + self.dice.below(SEGMENT_BYTES - 8192)).unwrap();
        let mut changed = false;
        self.disk.tamper(name, |bytes| {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= 4;
                changed = true;
            }
        });
        self.corrupted += u32::from(changed);
    }

    /// Another process takes the lanes over, stores the next batch, and ends.
    fn second_collector(&mut self) {
        if !self.database.is_up {
            return;
        }
        self.owners += 1;
        let owner = self.owners;
        for lane in 0..ALL_LANES {
            let Ok((epoch, last)) = self.database.attach(lane, owner, true, true) else { continue };
            let Some(payload) = self.reported.get(&(last + 1)) else { continue };
            let lane_of = self::lane(u32::try_from(lane).unwrap());
            let rows = rows_of(last + 1, payload, &|batch, key, prefix| owns(&lane_of, batch, key, prefix));
            let codec::Head { class, after } = codec::head(payload).unwrap();
            let after = if lane_of.stores(class) { after } else { 0 };
            let mut order: Vec<(u32, u64)> = lane_of.other_dump_lanes().map(|lane| (lane, after)).collect();
            if lane_of.class() == Class::Dump {
                order.push((lane_of.live_lane(), last));
            }
            let server = self.database.server;
            let (first, gaps) = (last + 1, Vec::new());
            let next = Transaction { lane, epoch, owner, first, last: first, order, server, rows, gaps };
            match self.database.commit(&next) {
                Ok(()) | Err(Refused::OutOfOrder) => {}
                Err(refused) => panic!("{refused:?}"),
            }
        }
    }

    /// The log directory is restored to an earlier state, while the database has later batches.
    fn log_is_restored(&mut self) {
        let old = self.disk.after_kill();
        let known = self.reported.clone();
        for _ in 0..6 {
            self.router_announces();
            self.time_passes(700);
            if self.process.as_ref().is_none_or(|process| process.is_dead || process.is_halted()) {
                return;
            }
        }
        self.end_process();
        (0..ALL_LANES).for_each(|lane| self.database.settle(lane));
        let before = self.database.tables.rows.len();
        self.disk = old;
        self.restored = true;
        self.reported = known;
        self.start();
        for _ in 0..6 {
            self.time_passes(40_000);
        }
        // A lane that lags delivers the batches that both have; it must deliver no others.
        for row in &self.database.tables.rows[before..] {
            let known = self.reported.get(&row.seq).map(|payload| rows_of(row.seq, payload, &|_, _, _| true));
            // A batch that was written but not reported may be delivered too: no router has announced since.
            assert!(known.is_none_or(|rows| rows.contains(row)), "a forked log was delivered");
        }
    }

    /// Ends all faults and runs until everything is delivered.
    fn settle(&mut self) {
        self.disk.set_fault(None);
        self.disk.set_write_bytes_max(usize::MAX);
        self.database.is_up = true;
        (0..ALL_LANES).for_each(|lane| self.database.settle(lane));
        for round in 0..200 {
            if self.process.as_ref().is_none_or(|process| process.is_dead || process.is_halted()) {
                if self.restored {
                    return;
                }
                self.restart(|disk| disk.after_kill());
            }
            self.now += Duration::from_secs(40);
            self.work(true);
            let last = self.reported.keys().next_back().copied().unwrap_or(0);
            let is_done = |process: &Process| process.is_caught_up() && process.durable >= last;
            if round > 2 && self.process.as_ref().is_some_and(is_done) {
                return;
            }
        }
        let process = self.process.as_ref().unwrap();
        panic!(
            "not every durable batch was delivered: durable {}, database {:?}, fork {}, reported {:?}, \
             corrupted {}",
            process.durable,
            self.database.tables.lanes,
            process.found_fork(),
            self.reported.keys().next_back(),
            self.corrupted
        );
    }

    fn check(&self) {
        let tables = &self.database.tables;
        self.check_rows(tables);
        for gap in &tables.gaps {
            // One lane may have read a batch before it was corrupted, and another one afterwards.
            let covers = tables.rows.iter().any(|row| (gap.from..=gap.to).contains(&row.seq));
            assert!(!covers || self.corrupted > 0, "a gap covers a stored batch: {gap:?}");
            let reported = self.reported.range(gap.from..=gap.to).count();
            assert!(reported == 0 || self.corrupted > 0 || self.restored, "a gap without a cause: {gap:?}");
        }
        let distinct: BTreeSet<_> = tables.gaps.iter().collect();
        assert_eq!(distinct.len(), tables.gaps.len(), "a gap is recorded twice");
        if self.restored {
            return;
        }
        let passed = tables.lanes.iter().map(|lane| lane.last_seq).min().unwrap();
        for (seq, payload) in self.reported.range(..=passed) {
            let expected: BTreeSet<Row> = rows_of(*seq, payload, &|_, _, _| true).into_iter().collect();
            let stored: BTreeSet<Row> = tables.rows.iter().filter(|row| row.seq == *seq).copied().collect();
            let gaps = tables.gaps.iter().filter(|gap| (gap.from..=gap.to).contains(seq)).count();
            match gaps {
                0 => assert_eq!(stored, expected, "batch {seq} is stored incompletely"),
                gaps => assert!(
                    gaps == 1 && stored.is_subset(&expected) && (self.corrupted > 0 || stored.is_empty()),
                    "batch {seq} is in {gaps} gaps"
                ),
            }
        }
        let known: BTreeSet<u64> =
            tables.rows.iter().map(|row| row.seq).chain(self.reported.keys().copied()).collect();
        for seq in (1..=passed).filter(|seq| !known.contains(seq)) {
            let gaps = tables.gaps.iter().filter(|gap| (gap.from..=gap.to).contains(&seq)).count();
            assert_eq!(gaps, 1, "number {seq} is neither stored nor in a gap");
        }
        let last = self.reported.keys().next_back().copied().unwrap_or(0);
        assert!(passed >= last, "delivered to {passed}, durable was {last}");
    }

    /// Checks that each record is stored once, the records of each route are in order, and each event of a
    /// peer is stored after all records of the peer before it and before all after it.
    fn check_rows(&self, tables: &Tables) {
        let mut seen = BTreeSet::new();
        let mut routes: BTreeMap<(u64, u32), ((u64, u32), u32)> = BTreeMap::new();
        // Greatest position of the events, and of all records, of each peer.
        let mut peers: BTreeMap<u64, [(u64, u32); 2]> = BTreeMap::new();
        for row in &tables.rows {
            let position = (row.seq, row.index);
            assert!(seen.insert(position), "record {}/{} is stored twice", row.seq, row.index);
            let [event, last] = peers.entry(row.peer).or_default();
            assert!(position > *event, "a record is stored after a later event of its peer at {}", row.seq);
            *last = position.max(*last);
            let Some((prefix, value)) = row.route else {
                assert!(position == *last, "an event is stored after a later record at {}", row.seq);
                *event = position;
                continue;
            };
            if let Some((before, older)) = routes.insert((row.peer, prefix), (position, value)) {
                assert!(position > before, "the records of a route are out of order at {}", row.seq);
                assert!(value > older, "an older value of a route is stored after a newer one");
            }
        }
    }
}
