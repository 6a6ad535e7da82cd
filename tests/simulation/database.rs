//! The database as the drain sees it: lanes with their checkpoint, and transactions that happen as a whole or not at
//! all, sometimes later than their answer. The functions of migrations/0001 in twenty lines each.

use super::bugs::Bug;

/// One stored row: which record, and what it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) seq: u64,
    pub(crate) index: u32,
    pub(crate) peer: u64,
    pub(crate) says: u64,
}

/// A range of the log that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GapRow {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// What one transaction brings.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) lane: usize,
    pub(crate) epoch: u64,
    pub(crate) owner: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) rows: Vec<Row>,
    pub(crate) gaps: Vec<GapRow>,
}

/// Why the server says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// BM001: somebody else has the lane.
    Fenced,
    /// BM003: the lane stands elsewhere.
    Elsewhere,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct LaneRow {
    pub(crate) epoch: u64,
    pub(crate) owner: u64,
    pub(crate) last_seq: u64,
}

/// Everything that is committed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables {
    pub(crate) lanes: Vec<LaneRow>,
    /// In the order of their commits.
    pub(crate) rows: Vec<Row>,
    pub(crate) gaps: Vec<GapRow>,
}

pub(crate) struct Database {
    pub(crate) tables: Tables,
    pub(crate) is_up: bool,
    /// Sent by connections that are gone for their client, and not yet worked off by the server.
    pub(crate) zombies: Vec<Transaction>,
    bug: Bug,
}

impl Database {
    pub(crate) fn new(lanes: usize, bug: Bug) -> Self {
        let tables = Tables { lanes: vec![LaneRow::default(); lanes], ..Tables::default() };
        Self { tables, is_up: true, zombies: Vec::new(), bug }
    }

    /// Takes the lane. A zombie that has begun holds the row's lock, which is waited for; one whose bytes are still on
    /// their way comes later.
    pub(crate) fn attach(
        &mut self,
        lane: usize,
        owner: u64,
        takeover: bool,
        begun: bool,
    ) -> Result<(u64, u64), Refused> {
        if begun {
            self.settle(lane);
        }
        let bug = self.bug;
        let row = &mut self.tables.lanes[lane];
        if !takeover && row.owner != owner && bug != Bug::ReconnectWinsBack {
            return Err(Refused::Fenced);
        }
        assert!(takeover || row.owner <= owner, "a lane that was lost is won back");
        if row.owner != owner {
            row.epoch += 1;
        }
        row.owner = owner;
        Ok((row.epoch, row.last_seq))
    }

    /// Works off what dead connections of a lane have sent.
    pub(crate) fn settle(&mut self, lane: usize) {
        for zombie in std::mem::take(&mut self.zombies) {
            if zombie.lane == lane {
                let _refused_or_not = self.commit(&zombie);
            } else {
                self.zombies.push(zombie);
            }
        }
    }

    fn fence(&self, transaction: &Transaction) -> Result<(), Refused> {
        let row = &self.tables.lanes[transaction.lane];
        let holder = (row.epoch, row.owner) == (transaction.epoch, transaction.owner);
        let place = row.last_seq == transaction.first - 1;
        match self.bug {
            Bug::NoFence => Ok(()),
            _ if !holder && self.bug != Bug::FenceWithoutHolder => Err(Refused::Fenced),
            _ if !place && self.bug != Bug::FenceWithoutPlace => Err(Refused::Elsewhere),
            _ => Ok(()),
        }
    }

    /// One transaction: all of it or nothing.
    pub(crate) fn commit(&mut self, transaction: &Transaction) -> Result<(), Refused> {
        let fenced = self.fence(transaction);
        if self.bug == Bug::FenceAfterRows {
            self.store(transaction);
        }
        fenced?;
        if self.bug != Bug::FenceAfterRows {
            self.store(transaction);
        }
        self.advance(transaction);
        Ok(())
    }

    /// The connection dies in the middle. Nothing of it happened, unless the program cuts it in two.
    pub(crate) fn broken(&mut self, transaction: &Transaction) {
        if self.fence(transaction).is_ok() {
            match self.bug {
                Bug::CheckpointAfterwards => self.store(transaction),
                Bug::CheckpointBefore => self.advance(transaction),
                _ => {}
            }
        }
    }

    fn store(&mut self, transaction: &Transaction) {
        let holder = self.tables.lanes[transaction.lane].owner;
        assert_eq!(transaction.owner, holder, "somebody who does not hold the lane has stored something");
        self.tables.rows.extend(&transaction.rows);
        for gap in &transaction.gaps {
            self.note(*gap);
        }
    }

    /// As `holdfast_log_gap`: what is told already is not told again.
    fn note(&mut self, gap: GapRow) {
        let told = |seq: &u64| self.tables.gaps.iter().any(|gap| (gap.from..=gap.to).contains(seq));
        let untold = (gap.from..=gap.to).filter(|seq| self.bug == Bug::GapsAreToldTwice || !told(seq));
        let parts: Vec<GapRow> = untold.map(|seq| GapRow { from: seq, to: seq }).collect();
        for part in parts {
            match self.tables.gaps.last_mut() {
                Some(last) if last.to + 1 == part.from && last.from >= gap.from => last.to = part.to,
                _ => self.tables.gaps.push(part),
            }
        }
    }

    fn advance(&mut self, transaction: &Transaction) {
        self.tables.lanes[transaction.lane].last_seq = transaction.last;
    }
}
