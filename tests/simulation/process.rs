//! Model of one collector process: the code around the state machines, in virtual time and on one thread.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use holdfast::codec;
use holdfast::committer::machine as committing;
use holdfast::forwarder::machine as draining;
use holdfast::route::{Batch, Class, PeerKey, Record};
use holdfast::sink::{ErrorAction, Lane};
use holdfast::wal::{Item, Log, LogId, Reader, SeqNo, WriteError, Writer};

use super::bugs::Bug;
use super::database::{Database, GapRow, Refused, Row, Transaction};
use super::disk::BuggyDisk;
use crate::common::simdisk::Dice;

/// Size limit of a transaction, in rows.
const ROWS_MAX: usize = 12;
/// Limit of the steps of a state machine at one time, to detect an endless loop.
const STEPS_MAX: usize = 2_000;

/// Checkpoints of other lanes that a transaction relies on.
type Order = Vec<(u32, u64)>;

struct TransactionBuilder {
    first: u64,
    next: u64,
    rows: Vec<Row>,
    gaps: Vec<GapRow>,
    /// Greatest `after` of the batches that the lane stores records of.
    after: u64,
    /// First batch or gap with a row.
    first_row: Option<u64>,
    /// Whether it was sealed before the current transaction was stored, so that nothing is added.
    is_sealed: bool,
}

/// A transaction that was sent before the reply to the one before it.
struct SentAhead {
    transaction: Transaction,
    /// The server's answer, if it has executed the transaction.
    result: Option<Result<(), Refused>>,
}

struct LaneShell {
    lane: Lane,
    machine: draining::Machine,
    /// Epoch of the connection; `None` while detached.
    connection: Option<u64>,
    reader: Option<Reader<BuggyDisk>>,
    transaction: Option<TransactionBuilder>,
    /// The full transaction after the current one.
    ahead: Option<TransactionBuilder>,
    /// The same, if it was sent on this connection.
    sent_ahead: Option<SentAhead>,
    /// Number of the server that the connection was opened to.
    server: u64,
    /// Last batch of which every record of the lane is committed; `None` if it is not known.
    passed: Option<u64>,
    /// Whether the lane must attach again, because another one has found another database.
    must_attach: bool,
    /// Whether the last transaction was refused because of a checkpoint.
    doubts_others: bool,
    /// Batch that waits for dump lanes, and the batch that it waits for.
    barrier: Option<(u64, u64)>,
    delivered: u64,
    ended: Option<draining::End>,
}

pub(crate) struct Process {
    writer: Writer<BuggyDisk>,
    log: Arc<Log<BuggyDisk>>,
    machine: committing::Machine,
    queue: VecDeque<(Vec<u8>, u32)>,
    /// Batches handed over by routers, and batches that got a sequence number, since the start of the
    /// process.
    handed: usize,
    numbered: usize,
    /// Batches that got a sequence number and are not durable yet.
    appended: BTreeMap<u64, Vec<u8>>,
    /// Last batch reported as durable.
    pub(crate) durable: u64,
    /// Last batch of class bulk, or the last batch of the log at the start.
    last_bulk: u64,
    lanes: Vec<LaneShell>,
    owner: u64,
    bug: Bug,
    pub(crate) is_dead: bool,
}

/// Which records of a batch belong to a lane: those of a peer if no prefix is given, else the route.
pub(crate) type Owns<'a> = &'a dyn Fn(&Batch, &PeerKey, Option<u32>) -> bool;

/// Whether a lane owns an event, or a route.
pub(crate) fn owns(lane: &Lane, batch: &Batch, peer: &PeerKey, prefix: Option<u32>) -> bool {
    match prefix {
        None => lane.owns(batch, peer),
        Some(prefix) => lane.owns_route(batch, peer, || prefix.to_be_bytes().to_vec()),
    }
}

/// The rows of a batch that belong to a lane.
pub(crate) fn rows_of(seq: u64, payload: &[u8], owns: Owns<'_>) -> Vec<Row> {
    let batch = codec::decode(payload).unwrap();
    let mut rows = Vec::new();
    for one in batch.iter() {
        let (peer, index, route) = match one {
            Record::Event(event) => match event.peer {
                Some(peer) => (&batch.peers[usize::from(peer)], event.index, None),
                None => continue,
            },
            Record::Route(route) => {
                let prefix = route.entry.nlri.columns().prefix.map(|prefix| prefix.address());
                let Some(IpAddr::V4(prefix)) = prefix else { panic!("only IPv4 is simulated") };
                let value = batch.attributes_of(route.group).unwrap().med.unwrap();
                (batch.peer_of(route.group).unwrap(), route.index, Some((prefix.to_bits(), value)))
            }
        };
        let IpAddr::V4(address) = peer.key.address else { panic!("only IPv4 is simulated") };
        if owns(&batch, &peer.key, route.map(|(prefix, _)| prefix)) {
            rows.push(Row { seq, index, peer: u64::from(address.to_bits()), route });
        }
    }
    rows
}

impl Process {
    pub(crate) fn new(writer: Writer<BuggyDisk>, lanes: u32, owner: u64, bug: Bug, now: Duration) -> Self {
        let log = writer.log();
        let (durable, last_bulk) = (writer.durable().0, writer.next().prev().0);
        let limits = draining::Limits { delay: Duration::from_millis(60) };
        let lane = |number| LaneShell {
            lane: Lane { collector: "sim".to_owned(), log_id: LogId([7; 16]), number, count: lanes },
            machine: draining::Machine::new(limits, durable),
            connection: None,
            reader: None,
            transaction: None,
            ahead: None,
            sent_ahead: None,
            server: 0,
            passed: None,
            must_attach: false,
            doubts_others: false,
            barrier: None,
            delivered: 0,
            ended: None,
        };
        let mut machine = committing::Machine::new(Duration::from_millis(200), 64 << 10);
        if writer.group_bytes() > 0 {
            let (unflushed_bytes, group_bytes) = (writer.unflushed_bytes(), writer.group_bytes());
            machine.on(committing::Event::Appended { unflushed_bytes, group_bytes }, now);
        }
        Self {
            writer,
            log,
            machine,
            queue: VecDeque::new(),
            handed: 0,
            numbered: 0,
            appended: BTreeMap::new(),
            durable,
            last_bulk,
            lanes: (0..2 * lanes).map(lane).collect(),
            owner,
            bug,
            is_dead: false,
        }
    }

    /// True if a lane ended because another process took it over or the log is a fork.
    pub(crate) fn is_halted(&self) -> bool {
        self.lanes
            .iter()
            .any(|lane| matches!(lane.ended, Some(draining::End::Halted | draining::End::Fork { .. })))
    }

    pub(crate) fn found_fork(&self) -> bool {
        self.lanes.iter().any(|lane| matches!(lane.ended, Some(draining::End::Fork { .. })))
    }

    pub(crate) fn is_caught_up(&self) -> bool {
        self.queue.is_empty() && self.lanes.iter().all(|lane| lane.delivered >= self.durable)
    }

    /// Returns whether the batch after `after` can be read, so that a database restored to `after` can be
    /// caught up.
    pub(crate) fn can_resend_from(&self, after: u64) -> bool {
        let mut reader = self.log.reader(SeqNo(after + 1));
        match reader.next(SeqNo(self.durable)) {
            Ok(Some(Item::Data { seq, .. })) => seq.0 == after + 1,
            Ok(None) => after == self.durable,
            _ => false,
        }
    }

    /// Reads all durable batches and gaps from the log.
    pub(crate) fn read_all(&self, from: u64) -> (BTreeMap<u64, Vec<u8>>, Vec<GapRow>) {
        let (mut data, mut gaps) = (BTreeMap::new(), Vec::new());
        let mut reader = self.log.reader(SeqNo(from));
        while let Some(item) = reader.next(SeqNo(self.durable)).unwrap() {
            match item {
                Item::Data { seq, payload, .. } => {
                    assert!(data.insert(seq.0, payload.to_vec()).is_none(), "batch {seq} is read twice");
                }
                Item::Gap { from, to, .. } => gaps.push(GapRow { from: from.0, to: to.0 }),
            }
        }
        (data, gaps)
    }

    /// Sequence number of the next batch that is handed over.
    pub(crate) fn next_seq(&self) -> u64 {
        self.writer.next().0 + u64::try_from(self.queue.len()).unwrap()
    }

    /// Last batch that every dump lane has delivered.
    pub(crate) fn dump_delivered(&self) -> u64 {
        let dump = self.lanes.iter().filter(|lane| lane.lane.class() == Class::Dump);
        dump.map(|lane| lane.delivered).min().unwrap()
    }

    /// True if the queue of the committer is not full.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.len() < 8
    }

    /// Hands a batch over to the committer. Returns its sequence number.
    pub(crate) fn hand_over(&mut self, mut batch: Batch) -> u64 {
        let seq = self.next_seq();
        if batch.follows_bulk {
            batch.after = batch.after.max(self.last_bulk);
        }
        if batch.class == Class::Bulk {
            self.last_bulk = seq;
        }
        let mut payload = Vec::new();
        codec::encode(&batch, &mut payload).unwrap();
        self.handed += 1;
        self.queue.push_back((payload, u32::try_from(batch.records()).unwrap()));
        seq
    }

    /// Runs the committer until it waits. Returns the batches that became durable.
    pub(crate) fn commit(&mut self, now: Duration) -> BTreeMap<u64, Vec<u8>> {
        for _ in 0..STEPS_MAX {
            let step = self.machine.next(self.queue.len(), now);
            let wall = i64::try_from(now.as_micros()).unwrap();
            let result = match step {
                committing::Step::Wait(_) => break,
                committing::Step::End => {
                    self.is_dead = true;
                    break;
                }
                committing::Step::Append => self.append(),
                committing::Step::Flush => self.writer.flush().map(|_| committing::Event::Flushed),
                committing::Step::Sync => self.writer.sync(wall).map(|_| committing::Event::Synced),
                committing::Step::MarkDurable => {
                    self.writer.mark_durable(wall).map(|()| committing::Event::DurabilityMarkWritten)
                }
                committing::Step::Prepare => Ok(committing::Event::Prepared { more: self.writer.prepare() }),
            };
            let event = match result {
                Ok(event) => event,
                Err(WriteError::Full(_)) => committing::Event::Full,
                Err(_) => committing::Event::Failed,
            };
            self.machine.on(event, now);
        }
        assert_eq!(self.handed, self.numbered + self.queue.len(), "a batch that was handed over is lost");
        let reported =
            if self.bug == Bug::DurableBeforeSync { self.writer.flushed() } else { self.writer.durable() };
        self.durable = self.durable.max(reported.0);
        let later = self.appended.split_off(&(self.durable + 1));
        std::mem::replace(&mut self.appended, later)
    }

    fn append(&mut self) -> Result<committing::Event, WriteError> {
        let (payload, count) = self.queue.front().cloned().unwrap();
        match self.writer.append(&payload, count) {
            Ok(seq) => {
                self.appended.insert(seq.0, payload);
                self.numbered += 1;
                self.queue.pop_front();
            }
            Err(error) => {
                if self.bug == Bug::FullDropsBatch {
                    self.queue.pop_front();
                }
                return Err(error);
            }
        }
        Ok(committing::Event::Appended {
            unflushed_bytes: self.writer.unflushed_bytes(),
            group_bytes: self.writer.group_bytes(),
        })
    }

    /// Runs each lane until it waits.
    pub(crate) fn drain(&mut self, database: &mut Database, dice: &mut Dice, calm: bool, now: Duration) {
        for number in 0..self.lanes.len() {
            for _ in 0..STEPS_MAX {
                if self.lanes[number].ended.is_some() {
                    break;
                }
                // Wakes a waiting lane when the log grows, unless a fault is planted.
                let lane = &mut self.lanes[number];
                if self.bug != Bug::LostWakeUp || lane.transaction.is_none() {
                    lane.machine.on(draining::Event::LogEnd(self.writer.next().prev().0), now);
                    lane.machine.on(draining::Event::Durable(self.durable), now);
                }
                if self.step(number, database, dice, calm, now) {
                    break;
                }
            }
        }
        let delivered = self.lanes.iter().map(|lane| lane.delivered);
        let passed = if self.bug == Bug::RetireByFastestLane { delivered.max() } else { delivered.min() };
        let stored = database.tables.lanes.iter().map(|lane| lane.last_seq).min();
        let is_restored = self.lanes.iter().any(|lane| lane.server != database.server);
        assert!(passed <= stored || is_restored, "a segment is retired before its batches are stored");
        self.writer.retire(SeqNo(passed.unwrap_or(0)));
        self.machine.on(committing::Event::Space, now);
    }

    /// Last batch that all other dump lanes have passed.
    fn passed_by_dump_lanes(&self, number: usize) -> u64 {
        let passed = |lane: u32| self.lanes[lane as usize].passed.unwrap_or(0);
        self.lanes[number].lane.other_dump_lanes().map(passed).min().unwrap_or(u64::MAX)
    }

    /// Last batch that a lane may read.
    fn allowed(&self, number: usize) -> u64 {
        let lane = &self.lanes[number];
        let by_barrier = match lane.barrier {
            Some((seq, after)) if after > self.passed_by_dump_lanes(number) => seq - 1,
            _ => u64::MAX,
        };
        match lane.lane.class() {
            Class::Dump if self.bug != Bug::DumpLaneDoesNotWait => {
                by_barrier.min(self.lanes[lane.lane.live_lane() as usize].passed.unwrap_or(0))
            }
            _ => by_barrier,
        }
    }

    /// The checkpoints of other lanes that a transaction of a lane relies on; `None` if it must not be
    /// stored.
    fn relies_on(&self, number: usize, transaction: &TransactionBuilder) -> Option<Order> {
        let (lane, mut wanted) = (&self.lanes[number].lane, Vec::new());
        if lane.class() == Class::Dump && self.bug != Bug::DumpLaneDoesNotWait {
            wanted.push((lane.live_lane(), transaction.next - 1));
        }
        wanted.extend(lane.other_dump_lanes().map(|lane| (lane, transaction.after)));
        let checkpoint = |(number, seq): (u32, u64)| {
            let lane = &self.lanes[number as usize];
            lane.passed.is_some_and(|passed| passed >= seq).then_some((number, lane.delivered))
        };
        wanted.into_iter().filter(|(_, seq)| *seq > 0).map(checkpoint).collect()
    }

    /// Executes one step of a lane. Returns true if the lane waits.
    fn step(
        &mut self,
        number: usize,
        database: &mut Database,
        dice: &mut Dice,
        calm: bool,
        now: Duration,
    ) -> bool {
        let bug = self.bug;
        let (allowed, passed) = (self.allowed(number), self.passed_by_dump_lanes(number));
        let lane = &mut self.lanes[number];
        lane.machine.on(draining::Event::Allowed(allowed), now);
        let failed = |action| draining::Event::Failed { action, jitter: 7 };
        let event = match lane.machine.next(now) {
            draining::Step::Wait { .. } if lane.must_attach && lane.connection.is_some() => {
                failed(ErrorAction::Retry)
            }
            draining::Step::Wait { .. } => return true,
            draining::Step::End(end) => {
                lane.ended = Some(end);
                return true;
            }
            draining::Step::Attach { takeover } => {
                lane.attach(number, takeover, (self.owner, bug), database, calm || dice.below(2) == 0)
            }
            draining::Step::Begin { after } => {
                let is_next = |ahead: &TransactionBuilder| {
                    ahead.first == after + 1 || bug == Bug::NextIsStoredAfterAFailure
                };
                let ahead = lane.ahead.take().filter(is_next);
                lane.transaction = Some(ahead.unwrap_or_else(|| TransactionBuilder::new(after + 1)));
                lane.reader = Some(self.log.reader(SeqNo(after + 1)));
                return false;
            }
            draining::Step::Read { limit } => match lane.read(&self.log, limit, passed, bug) {
                Some(event) => event,
                None => failed(ErrorAction::Retry),
            },
            draining::Step::Store => {
                let last = lane.transaction.as_ref().map_or(0, |transaction| transaction.next - 1);
                assert!(last <= self.writer.durable().0, "a batch is delivered before it is durable");
                let lane = &self.lanes[number];
                let order =
                    lane.transaction.as_ref().and_then(|transaction| self.relies_on(number, transaction));
                let order = if lane.has_sent() { Some(Vec::new()) } else { order };
                let next = self.seal_ahead(number, passed);
                let lane = &mut self.lanes[number];
                let event = match order {
                    Some(order) => lane.store(self.owner, (order, next), database, dice, calm, bug),
                    None => failed(ErrorAction::Retry),
                };
                if std::mem::take(&mut lane.doubts_others) {
                    let lane = lane.lane.clone();
                    let live = (lane.class() == Class::Dump).then_some(lane.live_lane());
                    for other in lane.other_dump_lanes().chain(live) {
                        let other = &mut self.lanes[other as usize];
                        other.must_attach |= other.passed.take().is_some();
                    }
                }
                event
            }
            draining::Step::Isolate => panic!("the model rejects no rows"),
        };
        let lane = &mut self.lanes[number];
        if matches!(event, draining::Event::Failed { .. }) {
            lane.disconnect(database, dice);
        }
        lane.machine.on(event, now);
        false
    }

    /// Seals the transaction after the current one, if it is full. Returns what it relies on, if it may be
    /// sent.
    fn seal_ahead(&mut self, number: usize, passed: u64) -> Option<Order> {
        let (bug, lane) = (self.bug, &mut self.lanes[number]);
        let first = lane.transaction.as_ref()?.next;
        let (limit, passed) = match bug {
            Bug::NextDoesNotWait => (self.durable, u64::MAX),
            _ => (lane.machine.readable(), passed),
        };
        if lane.ahead.as_ref().is_none_or(|ahead| ahead.first != first) {
            let mut ahead = TransactionBuilder::new(first);
            let barrier = ahead.read(&lane.lane, &mut self.log.reader(SeqNo(first)), limit, passed, bug);
            ahead.is_sealed = barrier.is_none() && ahead.rows.len() >= ROWS_MAX;
            lane.ahead = Some(ahead).filter(|ahead| ahead.is_sealed);
        }
        let ahead = self.lanes[number].ahead.as_ref()?;
        if bug == Bug::NextDoesNotWait { Some(Vec::new()) } else { self.relies_on(number, ahead) }
    }

    /// Ends all connections, as when the process ends.
    pub(crate) fn disconnect(&mut self, database: &mut Database, dice: &mut Dice) {
        self.lanes.iter_mut().for_each(|lane| lane.disconnect(database, dice));
    }
}

impl TransactionBuilder {
    fn new(first: u64) -> Self {
        let (rows, gaps) = (Vec::new(), Vec::new());
        Self { first, next: first, rows, gaps, after: 0, first_row: None, is_sealed: false }
    }

    /// Adds batches up to `limit`. Returns the batch that waits for dump lanes, if there is one, and the one
    /// that it waits for.
    fn read(
        &mut self,
        lane: &Lane,
        reader: &mut Reader<BuggyDisk>,
        limit: u64,
        passed: u64,
        bug: Bug,
    ) -> Option<(u64, u64)> {
        while self.rows.len() < ROWS_MAX {
            match reader.next(SeqNo(limit)).unwrap() {
                None => break,
                Some(Item::Gap { from, .. })
                    if lane.class() == Class::Dump && from.0 - 1 > passed && bug != Bug::GapsDoNotWait =>
                {
                    return Some((from.0, from.0 - 1));
                }
                Some(Item::Gap { from, to, .. }) => {
                    if lane.class() == Class::Dump && bug != Bug::GapsDoNotWait {
                        self.after = self.after.max(from.0 - 1);
                    }
                    if bug != Bug::GapsAreSkipped {
                        self.gaps.push(GapRow { from: from.0, to: to.0 });
                    }
                    self.first_row.get_or_insert(from.0);
                    self.next = to.0 + 1;
                }
                Some(Item::Data { seq, payload, .. }) => {
                    let codec::Head { class, after } = codec::head(payload).unwrap();
                    let is_ignored = match class {
                        Class::Live => bug == Bug::LiveLaneDoesNotWait,
                        Class::Bulk => bug == Bug::BulkDoesNotWait,
                        Class::Dump => bug == Bug::DumpDoesNotFollowBulk,
                    };
                    let after = if is_ignored { 0 } else { after };
                    if lane.stores(class) && after > passed {
                        return Some((seq.0, after));
                    }
                    if lane.stores(class) {
                        self.after = self.after.max(after);
                    }
                    let owns = |batch: &Batch, key: &PeerKey, prefix: Option<u32>| {
                        bug == Bug::LanesOverlap || owns(lane, batch, key, prefix)
                    };
                    let mut rows = rows_of(seq.0, payload, &owns);
                    if bug == Bug::LastBatchIsLeftOut && self.rows.len() + rows.len() > ROWS_MAX {
                        rows.clear();
                    }
                    if !rows.is_empty() {
                        self.first_row.get_or_insert(seq.0);
                    }
                    self.rows.append(&mut rows);
                    self.next = seq.0 + 1;
                }
            }
        }
        None
    }
}

impl LaneShell {
    /// Attaches to the lane. If `begun`, transactions of closed connections are executed first.
    fn attach(
        &mut self,
        number: usize,
        takeover: bool,
        (owner, bug): (u64, Bug),
        database: &mut Database,
        begun: bool,
    ) -> draining::Event {
        let failed = |action| draining::Event::Failed { action, jitter: 7 };
        if !database.is_up {
            return failed(ErrorAction::Retry);
        }
        let remembered = self.machine.stored();
        let Ok((epoch, last_seq)) = database.attach(number, owner, takeover, begun) else {
            return failed(ErrorAction::Halt);
        };
        self.connection = Some(epoch);
        let last_seq = if bug == Bug::MemoryOverridesCheckpoint && !takeover { remembered } else { last_seq };
        (self.delivered, self.passed) = (last_seq, Some(last_seq));
        (self.server, self.must_attach) = (database.server, false);
        draining::Event::Attached { last_seq }
    }

    fn read(
        &mut self,
        log: &Arc<Log<BuggyDisk>>,
        limit: u64,
        passed: u64,
        bug: Bug,
    ) -> Option<draining::Event> {
        let (transaction, reader) = (self.transaction.as_mut()?, self.reader.as_mut()?);
        let before = transaction.next;
        if transaction.is_sealed {
            return Some(draining::Event::Read { last_seq: before - 1, is_full: true });
        }
        let barrier = transaction.read(&self.lane, reader, limit, passed, bug);
        let read = transaction.next - 1;
        if barrier.is_some() {
            self.barrier = barrier;
            self.reader = Some(log.reader(SeqNo(read + 1)));
        }
        let empty_up_to = transaction.first_row.map_or(read, |seq| seq - 1);
        let passed = if bug == Bug::PassedBeforeCommitted { read } else { empty_up_to };
        self.passed = self.passed.map(|before| before.max(passed));
        if barrier.is_some() && transaction.next == before {
            return Some(draining::Event::Allowed(read));
        }
        let is_full = barrier.is_some() || transaction.rows.len() >= ROWS_MAX;
        (transaction.next > before)
            .then_some(draining::Event::Read { last_seq: transaction.next - 1, is_full })
    }

    /// Whether the transaction was sent before the reply to the one before it.
    fn has_sent(&self) -> bool {
        let first = self.transaction.as_ref().map(|transaction| transaction.first);
        self.sent_ahead.as_ref().is_some_and(|sent| Some(sent.transaction.first) == first)
    }

    /// Closes the connection. The server may still execute the transaction that was sent ahead.
    fn disconnect(&mut self, database: &mut Database, dice: &mut Dice) {
        self.connection = None;
        let Some(SentAhead { transaction, result: None }) = self.sent_ahead.take() else { return };
        if transaction.server == database.server && dice.below(2) == 0 {
            database.zombies.push(transaction);
        }
    }

    /// A transaction as it is sent.
    fn request(&self, builder: &TransactionBuilder, owner: u64, order: Order) -> Option<Transaction> {
        Some(Transaction {
            lane: usize::try_from(self.lane.number).unwrap(),
            epoch: self.connection?,
            owner,
            first: builder.first,
            last: builder.next - 1,
            order,
            server: self.server,
            rows: builder.rows.clone(),
            gaps: builder.gaps.clone(),
        })
    }

    /// Stores the transaction, and sends the next one if `next` has what it relies on. The dice decide their
    /// fate and that of the answers.
    fn store(
        &mut self,
        owner: u64,
        (order, next): (Order, Option<Order>),
        database: &mut Database,
        dice: &mut Dice,
        calm: bool,
        bug: Bug,
    ) -> draining::Event {
        let retry = draining::Event::Failed { action: ErrorAction::Retry, jitter: 7 };
        let sent = if self.has_sent() { self.sent_ahead.take() } else { None };
        if let (Some(sent), Bug::ReplyCountsForBoth) = (&sent, bug) {
            return self.stored(sent.transaction.last);
        }
        let executed = sent.as_ref().and_then(|sent| sent.result);
        let built = self.transaction.as_ref().and_then(|built| self.request(built, owner, order));
        let Some(transaction) = sent.map(|sent| sent.transaction).or(built) else { return retry };
        let next = self.ahead.as_ref().zip(next).and_then(|(ahead, order)| self.request(ahead, owner, order));
        let fate = if calm { 0 } else { dice.below(20) };
        let is_lost = !database.is_up || database.server != self.server;
        let (result, answered) = match fate {
            // Only the answer can still be lost.
            _ if executed.is_some() => (executed, fate < 14),
            _ if is_lost => (None, false),
            // The connection is lost within the transaction.
            14 | 15 => {
                database.broken(&transaction);
                (None, false)
            }
            // Committed, and the answer is lost.
            16 | 17 => (Some(database.commit(&transaction)), false),
            // The client gives up; the server executes the transaction later.
            18 | 19 => {
                database.zombies.push(transaction.clone());
                (None, false)
            }
            _ => (Some(database.commit(&transaction)), true),
        };
        let is_pending = fate > 17 && executed.is_none();
        if let Some(next) = next.filter(|_| !is_lost && (result.is_some() || is_pending)) {
            match (dice.below(3), result) {
                (0, Some(Ok(()))) if answered => {
                    let result = Some(database.commit(&next));
                    self.sent_ahead = Some(SentAhead { transaction: next, result });
                }
                (_, Some(Ok(()))) if answered => {
                    self.sent_ahead = Some(SentAhead { transaction: next, result: None });
                }
                // The server has the next one too, and executes it after this one, even if this one failed.
                (0, Some(_)) | (_, Some(Err(_))) => {
                    let _ignored = database.commit(&next);
                }
                (1, _) => database.zombies.push(next),
                _ => {}
            }
        }
        match (result, answered) {
            (Some(Ok(())), true) => self.stored(transaction.last),
            (Some(Err(Refused::WrongCheckpoint | Refused::OutOfOrder)), true) => {
                self.doubts_others = true;
                retry
            }
            (Some(Err(Refused::Fenced)), _) => {
                draining::Event::Failed { action: ErrorAction::Halt, jitter: 7 }
            }
            (_, false) if bug == Bug::InDoubtMeansCommitted => self.stored(transaction.last),
            (_, false) if bug == Bug::RetryWithoutAttach && database.is_up => {
                let again = Transaction {
                    first: database.tables.lanes[transaction.lane].last_seq + 1,
                    ..transaction
                };
                match database.commit(&again) {
                    Ok(()) => self.stored(again.last),
                    Err(_) => retry,
                }
            }
            _ => retry,
        }
    }

    fn stored(&mut self, last: u64) -> draining::Event {
        self.delivered = last;
        self.passed = self.passed.map(|before| before.max(last));
        draining::Event::Stored
    }
}
