//! The log against a model in memory: random sequences of appends, syncs, reads, deliveries, kills, power
//! losses, crashes during recovery and bit flips. A failure prints its seed; `WAL_MODEL_SEED=N` repeats that
//! run, `WAL_MODEL_RUNS=N` sets the number of runs.
use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::common::logs::{check_dense, count, options, payload, read_all};
use crate::common::simdisk::{Dice, Fate, Fault, SimDisk};
use holdfast::wal::{GapReason, Options, SeqNo, WriteError, Writer, recover};

/// The state that the log must have.
struct Model {
    dice: Dice,
    disk: SimDisk,
    writer: Option<Writer<SimDisk>>,
    /// Last number reported durable. Up to it, only a bit flip loses a payload.
    durable: SeqNo,
    /// Last delivered number. Up to it, payloads may be missing.
    retired: SeqNo,
    /// Number of flipped bits. Each may cost one durable payload.
    flips: usize,
    /// Numbers of undecided groups that were not read since the crash: they may be missing.
    excused: BTreeSet<u64>,
    starts: u64,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut model = Self {
            dice: Dice::new(seed),
            disk: SimDisk::new(),
            writer: None,
            durable: SeqNo::NONE,
            retired: SeqNo::NONE,
            flips: 0,
            excused: BTreeSet::new(),
            starts: 0,
        };
        model.open();
        model
    }

    fn options(&mut self) -> Options {
        self.starts += 1;
        Options {
            bytes_max: 8 * (64 << 10),
            keep_segments_min: 1,
            salt_seed: self.dice.roll() ^ self.starts,
            ..options()
        }
    }

    fn open(&mut self) {
        let options = self.options();
        let (writer, recovered) = recover(self.disk.clone(), options).expect("a log always opens");
        assert!(recovered.next > self.durable, "{} was durable, next is {}", self.durable, recovered.next);
        assert!(recovered.oldest <= self.retired.next(), "{} was lost undelivered", recovered.oldest);
        self.excused.extend(self.durable.0 + 1..recovered.next.0);
        self.durable = self.durable.max(writer.durable());
        self.writer = Some(writer);
        self.check();
    }

    /// Checks that every durable and undelivered payload is there unaltered, except one per flipped bit.
    fn check(&mut self) {
        let log = self.writer.as_ref().unwrap().log();
        let items = read_all(&mut log.reader(SeqNo(1)));
        let (last, lost) = check_dense(&items);
        // After a start without space to relocate the last group, that group is in the log and not visible.
        let writer = self.writer.as_ref().unwrap();
        let held_back = writer.group_bytes() > 0 && writer.durable() < self.durable;
        let shown = if held_back { writer.durable() } else { self.durable };
        assert!(last >= shown.0, "the log ends at {last}, {} was durable", self.durable);
        for seq in items.iter().flatten() {
            self.excused.remove(seq);
        }
        let lost = lost.iter().filter(|(seq, why)| {
            *seq <= self.durable.0
                && !self.excused.contains(seq)
                && (*why != GapReason::Dropped || *seq > self.retired.0)
        });
        let lost: Vec<_> = lost.collect();
        assert!(lost.len() <= self.flips, "{} flips cost {lost:?}", self.flips);
    }

    fn note(&mut self, result: Result<SeqNo, WriteError>) {
        match result {
            Ok(durable) => self.durable = self.durable.max(durable),
            Err(WriteError::Full(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn step(&mut self) {
        let writer = self.writer.as_mut().unwrap();
        match self.dice.below(100) {
            0..=54 => {
                for _ in 0..=self.dice.below(12) {
                    let seq = writer.next().0;
                    match writer.append(&payload(seq), count(seq)) {
                        Ok(given) => assert_eq!(given.0, seq),
                        Err(WriteError::Full(_)) => break,
                        Err(error) => panic!("{error}"),
                    }
                }
                self.durable = self.durable.max(writer.durable());
            }
            55..=72 => {
                let result = writer.sync(2_000_000);
                self.note(result);
            }
            73..=77 => drop(writer.flush()),
            78..=80 => drop(writer.mark_durable(3_000_000)),
            81..=84 => {
                writer.prepare();
            }
            85..=89 => {
                let up_to = SeqNo(self.dice.below(self.durable.0 + 1));
                writer.retire(up_to);
                self.retired = self.retired.max(up_to);
            }
            90..=92 => self.check(),
            93 => {
                let result = self.writer.take().unwrap().close(4_000_000);
                self.note(result);
                self.disk = self.disk.after_kill();
                self.open();
            }
            94..=95 => self.crash(false),
            96..=97 => self.crash(true),
            98 => self.crash_in_recovery(),
            _ => self.flip(),
        }
    }

    fn crash(&mut self, power: bool) {
        self.writer = None;
        self.disk = if power { self.cut() } else { self.disk.after_kill() };
        self.open();
    }

    fn cut(&mut self) -> SimDisk {
        let (mut sectors, mut names) = (Dice::new(self.dice.roll()), Dice::new(self.dice.roll()));
        let fate = || match sectors.below(3) {
            0 => Fate::Lost,
            1 => Fate::Survives,
            _ => Fate::Garbage,
        };
        self.disk.after_power_cut(fate, || names.below(2) == 0)
    }

    fn crash_in_recovery(&mut self) {
        self.writer = None;
        self.disk = self.disk.after_kill();
        let at = self.disk.ops() + 1 + self.dice.below(8);
        self.disk.set_fault(Some(Fault { at, kind: io::ErrorKind::Other, forever: true }));
        let options = self.options();
        drop(recover(self.disk.clone(), options));
        self.disk.set_fault(None);
        self.crash(true);
    }

    /// Flips one bit behind the headers of a segment other than the last, where everything is durable.
    fn flip(&mut self) {
        let mut names: Vec<_> = self.disk.names().into_iter().filter(|name| name.ends_with(".wal")).collect();
        names.sort();
        names.pop();
        if names.is_empty() {
            return;
        }
        let name = names[usize::try_from(self.dice.below(names.len() as u64)).unwrap()].clone();
        let (at, bit) = (self.dice.below(56 << 10), self.dice.below(8));
        self.writer = None;
        self.disk = self.disk.after_kill();
        self.disk.tamper(&name, |bytes| {
            if let Some(byte) = bytes.get_mut(8192 + usize::try_from(at).unwrap()) {
                *byte ^= 1 << bit;
            }
        });
        self.flips += 1;
        self.open();
    }
}

fn run(seed: u64, steps: u32) {
    let played = catch_unwind(AssertUnwindSafe(|| {
        let mut model = Model::new(seed);
        for _ in 0..steps {
            model.step();
        }
        model.check();
    }));
    if let Err(panic) = played {
        // Printed after the output of the failed run, where it is found.
        drop(std::io::Write::write_all(
            &mut io::stderr(),
            format!("WAL_MODEL_SEED={seed} repeats it\n").as_bytes(),
        ));
        resume_unwind(panic);
    }
}

#[test]
fn the_log_matches_its_model_after_any_history() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match number("WAL_MODEL_SEED") {
        Some(seed) => run(seed, 400),
        None => (1..=number("WAL_MODEL_RUNS").unwrap_or(60)).for_each(|seed| run(seed, 400)),
    }
}
