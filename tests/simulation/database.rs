//! Model of the database: lanes with their checkpoint, and atomic transactions that may commit after their
//! client gave up.

use super::bugs::Bug;

/// One stored row: the record, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) seq: u64,
    pub(crate) index: u32,
    pub(crate) peer: u64,
    /// The prefix and the value of an announcement; `None` for an event.
    pub(crate) route: Option<(u32, u32)>,
}

/// A range of batches that could not be read from the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GapRow {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// One transaction of a lane.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) lane: usize,
    pub(crate) epoch: u64,
    pub(crate) owner: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// Checkpoints that other lanes must have.
    pub(crate) order: Vec<(u32, u64)>,
    /// Number of the server that the connection was opened to.
    pub(crate) server: u64,
    pub(crate) rows: Vec<Row>,
    pub(crate) gaps: Vec<GapRow>,
}

/// Why the server rejects a transaction or an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// BM001: another process holds the lane.
    Fenced,
    /// BM003: the checkpoint is at another sequence number.
    WrongCheckpoint,
    /// BM003: another lane is not far enough.
    OutOfOrder,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct LaneRow {
    pub(crate) epoch: u64,
    pub(crate) owner: u64,
    pub(crate) last_seq: u64,
}

/// All committed rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables {
    pub(crate) lanes: Vec<LaneRow>,
    /// In the order of the commits.
    pub(crate) rows: Vec<Row>,
    pub(crate) gaps: Vec<GapRow>,
}

pub(crate) struct Database {
    pub(crate) tables: Tables,
    pub(crate) is_up: bool,
    /// Number of the server: a restored database is on another one.
    pub(crate) server: u64,
    /// Transactions of closed connections that the server has not executed yet.
    pub(crate) zombies: Vec<Transaction>,
    bug: Bug,
}

impl Database {
    pub(crate) fn new(lanes: usize, bug: Bug) -> Self {
        let tables = Tables { lanes: vec![LaneRow::default(); lanes], ..Tables::default() };
        Self { tables, is_up: true, server: 0, zombies: Vec::new(), bug }
    }

    /// Attaches to the lane. If `begun`, the zombies hold the lock of the checkpoint and are executed first;
    /// otherwise they are executed later.
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
        assert!(takeover || row.owner <= owner, "a lane that another process took over was regained");
        if row.owner != owner {
            row.epoch += 1;
        }
        row.owner = owner;
        Ok((row.epoch, row.last_seq))
    }

    /// Executes the transactions of the lane's closed connections.
    pub(crate) fn settle(&mut self, lane: usize) {
        for zombie in std::mem::take(&mut self.zombies) {
            if zombie.lane == lane {
                let _ignored = self.commit(&zombie);
            } else {
                self.zombies.push(zombie);
            }
        }
    }

    fn fence(&self, transaction: &Transaction) -> Result<(), Refused> {
        let row = &self.tables.lanes[transaction.lane];
        let is_holder = (row.epoch, row.owner) == (transaction.epoch, transaction.owner);
        let is_next = row.last_seq == transaction.first - 1;
        let lacks = |(lane, seq): &(u32, u64)| self.tables.lanes[*lane as usize].last_seq < *seq;
        match self.bug {
            Bug::NoFence => Ok(()),
            _ if !is_holder && self.bug != Bug::FenceWithoutOwner => Err(Refused::Fenced),
            _ if !is_next && self.bug != Bug::FenceWithoutSequence => Err(Refused::WrongCheckpoint),
            _ if transaction.order.iter().any(lacks) && self.bug != Bug::OrderIsNotChecked => {
                Err(Refused::OutOfOrder)
            }
            _ => Ok(()),
        }
    }

    /// Executes a transaction, atomically unless a fault is planted.
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

    /// The connection is lost within the transaction. Nothing is committed, unless a planted fault uses two
    /// transactions.
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
        assert_eq!(transaction.owner, holder, "a process that does not hold the lane stored rows");
        self.tables.rows.extend(&transaction.rows);
        for gap in &transaction.gaps {
            self.record_gap(*gap);
        }
    }

    /// Records a gap like `holdfast_log_gap`: without the numbers that are recorded already.
    fn record_gap(&mut self, gap: GapRow) {
        let is_recorded = |seq: &u64| self.tables.gaps.iter().any(|gap| (gap.from..=gap.to).contains(seq));
        let new =
            (gap.from..=gap.to).filter(|seq| self.bug == Bug::GapsAreRecordedTwice || !is_recorded(seq));
        let parts: Vec<GapRow> = new.map(|seq| GapRow { from: seq, to: seq }).collect();
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
