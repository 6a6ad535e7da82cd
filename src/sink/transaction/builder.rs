//! A chunk: what one lane stores in one transaction. Pure.
//!
//! It covers a contiguous range of the log and holds the lane's own rows of it, encoded; `seal` makes it immutable, so
//! that it can be sent again after a failure.

use std::collections::HashSet;
use std::hash::Hasher as _;
use std::ops::RangeInclusive;
use std::sync::Arc;

use siphasher::sip::SipHasher13 as SipHasher;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::route::{Action, Batch, Cause, Event, Peer, Record, RouteRecord, RowGroup, Timestamp};
use crate::sink::copy::columns;
use crate::sink::copy::copy_rows;
use crate::sink::copy::pg_field as field;
use crate::sink::lanes::Lane;
use crate::sink::transaction::dedup::{DedupCandidate, DedupCandidates};
use crate::sink::transaction::peers::{Peers, Routers};
use crate::sink::transaction::rib::{self, EarlierEvent, Position, Rib, RouteEvent};
use crate::sink::transaction::sealed::{LogGap, TableBuffer, Transaction, TransactionCounts};

/// A chunk with so many bytes of history takes no more.
const BYTES_MAX: usize = 32 << 20;

/// Nor does one that has read so many times the rows of a transaction, whosever they were: the checkpoint of a lane with
/// little to do moves on all the same, and the segments behind it are free.
const PASSED_PER_ROW: u64 = 16;

/// A batch names a peer or an attribute set that it does not have. Decoding refuses such a batch, so this is our fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InconsistentBatch {
    /// Sequence number of the batch.
    pub seq: u64,
    /// Index of the record.
    pub index: u32,
}

impl std::fmt::Display for InconsistentBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "record {} of batch {} names a peer or attributes that the batch does not have",
            self.index, self.seq
        )
    }
}

impl std::error::Error for InconsistentBatch {}

/// A chunk that is being filled.
pub struct TransactionBuilder {
    lane: Lane,
    first_seq: u64,
    next_seq: u64,
    /// Records of the log that were read, ours and the other lanes'; a gap counts as one.
    passed: u64,
    digest: u64,
    /// An announcement of a re-dump gets no row of history where it changes nothing.
    dedup: bool,
    counts: TransactionCounts,
    received: Timestamp,
    routes: TableBuffer,
    repeats: DedupCandidates,
    events: TableBuffer,
    statistics: TableBuffer,
    gaps: TableBuffer,
    log_gaps: Vec<LogGap>,
    attributes: TableBuffer,
    hashes: HashSet<[u8; 16]>,
    peers: Peers,
    routers: Routers,
    rib: Rib,
    /// Of the last row; kept for its memory.
    key: Vec<u8>,
}

/// Blocks of one batch, each encoded on first use.
#[derive(Default)]
struct Blocks {
    bytes: Vec<u8>,
    peers: Vec<Option<PeerBlock>>,
    attributes: Vec<Option<AttributeBlock>>,
}

#[derive(Clone)]
struct PeerBlock {
    is_ours: bool,
    place: u32,
    range: std::ops::Range<usize>,
    first: Timestamp,
    last: Timestamp,
    announced: u64,
    withdrawn: u64,
}

#[derive(Clone)]
struct AttributeBlock {
    range: std::ops::Range<usize>,
    hash: [u8; 16],
}

impl TransactionBuilder {
    /// An empty chunk that begins at `first_seq`.
    #[must_use]
    pub fn new(lane: Lane, first_seq: u64) -> Self {
        Self {
            lane,
            first_seq,
            next_seq: first_seq,
            passed: 0,
            digest: 0,
            dedup: true,
            counts: TransactionCounts::default(),
            received: Timestamp(0),
            routes: TableBuffer::default(),
            repeats: DedupCandidates::default(),
            events: TableBuffer::default(),
            statistics: TableBuffer::default(),
            gaps: TableBuffer::default(),
            log_gaps: Vec::new(),
            attributes: TableBuffer::default(),
            hashes: HashSet::new(),
            peers: Peers::default(),
            routers: Routers::default(),
            rib: Rib::default(),
            key: Vec::new(),
        }
    }

    /// The same chunk with or without a row of history for each announcement of a re-dump that changes nothing.
    #[must_use]
    pub const fn with_dedup(mut self, dedup: bool) -> Self {
        self.dedup = dedup;
        self
    }

    /// The sequence number that must come next.
    #[must_use]
    pub const fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// How many rows it holds.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.counts.routes + self.counts.events + self.counts.gaps
    }

    /// True when it should be stored: enough rows, or enough bytes (batches of malformed PDUs are large), or enough of
    /// the log although little of it is this lane's.
    #[must_use]
    pub const fn is_full(&self, rows_max: u64) -> bool {
        self.rows() >= rows_max
            || self.routes.bytes.len() + self.repeats.bytes() + self.events.bytes.len() >= BYTES_MAX
            || self.passed >= rows_max.saturating_mul(PASSED_PER_ROW)
    }

    /// Takes a batch of the log. `payload` is what the log holds of it, for the digest.
    ///
    /// # Errors
    /// The batch is inconsistent; the chunk must not be stored then.
    pub fn push(&mut self, seq: u64, payload: &[u8], batch: &Batch) -> Result<(), InconsistentBatch> {
        (self.digest, self.next_seq) = (digest(seq, payload), seq + 1);
        self.passed += u64::try_from(batch.records()).unwrap_or(u64::MAX).max(1);
        self.push_records(seq, batch, 0..=u32::MAX)
    }

    /// Takes those records of a batch whose index lies in the range.
    pub(in crate::sink) fn push_records(
        &mut self,
        seq: u64,
        batch: &Batch,
        range: RangeInclusive<u32>,
    ) -> Result<(), InconsistentBatch> {
        let last_group = batch.groups.last().map(|group| group.received);
        let last = batch.events.last().map(|event| event.received).max(last_group);
        self.received = self.received.max(last.unwrap_or(self.received));
        if self.lane.owns_routers() {
            self.routers.batch(batch);
        }
        let mut blocks = Blocks {
            bytes: Vec::new(),
            peers: vec![None; batch.peers.len()],
            attributes: vec![None; batch.attributes.len()],
        };
        for record in batch.iter() {
            match record {
                Record::Route(route) if range.contains(&route.index) => {
                    self.route(seq, batch, &route, &mut blocks)?;
                }
                Record::Event(event) if range.contains(&event.index) => self.event(seq, batch, event)?,
                Record::Route(_) | Record::Event(_) => {}
            }
        }
        for (peer, block) in batch.peers.iter().zip(&blocks.peers) {
            if let Some(block) = block.as_ref().filter(|block| block.is_ours) {
                self.peers.count(&batch.router, peer, block.first, block.announced, block.withdrawn);
                self.peers.count(&batch.router, peer, block.last, 0, 0);
            }
        }
        Ok(())
    }

    /// Takes a range of the log that cannot be read.
    pub fn push_gap(&mut self, from: u64, to: u64, reason: &str) {
        (self.digest, self.next_seq) = (0, to + 1);
        self.passed += 1;
        self.log_gaps.push(LogGap { from, to, reason: reason.to_owned() });
        self.counts.gaps += 1;
    }

    fn route(
        &mut self,
        seq: u64,
        batch: &Batch,
        route: &RouteRecord<'_>,
        blocks: &mut Blocks,
    ) -> Result<(), InconsistentBatch> {
        let group = route.group;
        let inconsistent = InconsistentBatch { seq, index: route.index };
        let (peer, block) = self.peer_block(seq, batch, group, blocks).ok_or(inconsistent)?;
        if !block.is_ours {
            return Ok(());
        }
        let (place, peer_range) = (block.place, block.range.clone());
        let attributes = match group.action {
            Action::Announce => Some(self.attribute_block(batch, group, blocks).ok_or(inconsistent)?),
            Action::Withdraw => None,
        };
        let out = &mut self.routes.bytes;
        let row_start = out.len();
        field::row(out, columns::count(columns::ROUTE_UPDATES));
        out.extend_from_slice(blocks.bytes.get(peer_range).unwrap_or_default());
        match &attributes {
            Some(block) => out.extend_from_slice(blocks.bytes.get(block.range.clone()).unwrap_or_default()),
            None => copy_rows::attribute_block(out, batch.attributes_of(group)),
        }
        copy_rows::group_block(out, group, route, group.action == Action::Withdraw);
        let nlri_start = out.len();
        copy_rows::nlri_block(out, &route.entry.nlri);
        let nlri_range = nlri_start..out.len();
        rib::route_key(group.family, route.entry, &mut self.key);
        field::bytea(out, &self.key);
        self.counts.routes += 1;
        let event = RouteEvent {
            place,
            family: group.family,
            path_id: group.add_path.then_some(route.entry.path_id),
            key: &self.key,
            nlri_block: self.routes.bytes.get(nlri_range).unwrap_or_default(),
            attributes: attributes.map(|block| block.hash),
            received: group.received,
            position: Position {
                session: batch.router.session,
                generation: peer.generation,
                seq,
                index: route.index,
            },
            ended: self.peers.ended(place, group.family),
        };
        let before = self.rib.push(&event);
        if self.dedup && group.cause == Cause::ReDump && before != EarlierEvent::Other {
            if before == EarlierEvent::Nothing {
                let row = self.routes.bytes.get(row_start..).unwrap_or_default();
                self.repeats.push(&DedupCandidate { event, row });
            } else {
                self.counts.unchanged += 1;
            }
            self.routes.bytes.truncate(row_start);
        } else {
            self.routes.rows += 1;
        }
        Ok(())
    }

    /// The peer of a group with its block, made on first use; counts the row.
    fn peer_block<'b, 'k>(
        &mut self,
        seq: u64,
        batch: &'b Batch,
        group: &RowGroup,
        blocks: &'k mut Blocks,
    ) -> Option<(&'b Peer, &'k PeerBlock)> {
        let peer = batch.peer_of(group)?;
        let slot = blocks.peers.get_mut(usize::from(group.peer))?;
        if slot.is_none() {
            let is_ours = self.lane.owns(&batch.router.name, &peer.key);
            let start = blocks.bytes.len();
            let mut place = 0;
            if is_ours {
                place = self.peers.place(&batch.router, peer);
                copy_rows::peer_block(&mut blocks.bytes, &self.lane, seq, batch, peer);
            }
            let range = start..blocks.bytes.len();
            let (first, last) = (group.received, group.received);
            *slot = Some(PeerBlock { is_ours, place, range, first, last, announced: 0, withdrawn: 0 });
        }
        let block = slot.as_mut()?;
        block.first = block.first.min(group.received);
        block.last = block.last.max(group.received);
        *(if group.action == Action::Announce { &mut block.announced } else { &mut block.withdrawn }) += 1;
        Some((peer, block))
    }

    /// The attribute set of a group with its hash, made on first use, and its row if the chunk has none yet.
    fn attribute_block(
        &mut self,
        batch: &Batch,
        group: &RowGroup,
        blocks: &mut Blocks,
    ) -> Option<AttributeBlock> {
        let attributes = batch.attributes_of(group)?;
        let slot = blocks.attributes.get_mut(usize::from(group.attributes))?;
        if let Some(block) = slot {
            return Some(block.clone());
        }
        let start = blocks.bytes.len();
        copy_rows::attribute_block(&mut blocks.bytes, Some(attributes));
        let encoded = blocks.bytes.get(start..).unwrap_or_default();
        let hash = attribute_hash(&self.lane, encoded);
        if self.hashes.insert(hash) {
            field::row(&mut self.attributes.bytes, columns::count(columns::PATH_ATTRIBUTES));
            field::uuid(&mut self.attributes.bytes, hash);
            self.attributes.bytes.extend_from_slice(encoded);
            self.attributes.rows += 1;
        }
        let block = AttributeBlock { range: start..blocks.bytes.len(), hash };
        *slot = Some(block.clone());
        Some(block)
    }

    fn event(&mut self, seq: u64, batch: &Batch, event: &Event) -> Result<(), InconsistentBatch> {
        match event.peer {
            None if !self.lane.owns_routers() => return Ok(()),
            None => {}
            Some(number) => {
                let peer = batch
                    .peers
                    .get(usize::from(number))
                    .ok_or(InconsistentBatch { seq, index: event.index })?;
                if !self.lane.owns(&batch.router.name, &peer.key) {
                    return Ok(());
                }
                self.peers.event(seq, batch, peer, event);
            }
        }
        let table = match copy_rows::event_table(&event.kind) {
            copy_rows::EventTable::Events => &mut self.events,
            copy_rows::EventTable::Statistics => &mut self.statistics,
            copy_rows::EventTable::Gaps => &mut self.gaps,
        };
        copy_rows::event_row(&mut table.bytes, &self.lane, seq, batch, event);
        table.rows += 1;
        self.counts.events += 1;
        Ok(())
    }

    /// Closes it.
    #[must_use]
    pub fn build(self) -> Transaction {
        let [peers, peer_changes, peer_families] = self.peers.arguments();
        Transaction {
            first_seq: self.first_seq,
            last_seq: self.next_seq - 1,
            digest: self.digest,
            counts: self.counts,
            received: self.received,
            routes: self.routes.seal(),
            repeats: Arc::new(self.repeats),
            events: self.events.seal(),
            statistics: self.statistics.seal(),
            gaps: self.gaps.seal(),
            log_gaps: self.log_gaps,
            attributes: self.attributes.seal(),
            peers,
            peer_changes,
            peer_families,
            routers: self.lane.owns_routers().then(|| self.routers.argument()),
            rib: Arc::new(self.rib),
        }
    }
}

/// What a batch of the log is recognised by. Never 0, which stands for a range that could not be read.
#[must_use]
pub fn digest(seq: u64, payload: &[u8]) -> u64 {
    let mut hasher = SipHasher::new_with_keys(0x686f_6c64_6661_7374, seq);
    hasher.write(payload);
    hasher.finish().max(1)
}

/// Seeded with collector and lane: two lanes never insert the same row, so neither waits for the other.
fn attribute_hash(lane: &Lane, encoded: &[u8]) -> [u8; 16] {
    let mut hasher = SipHasher13::new_with_keys(0x686f_6c64_6661_7374, u64::from(lane.number));
    hasher.write(lane.collector.as_bytes());
    hasher.write_u8(0xff);
    hasher.write(encoded);
    hasher.finish128().as_bytes()
}
