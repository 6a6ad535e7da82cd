//! Collects the records of one lane from a contiguous range of the log into a [`Transaction`]. Pure.

mod encoded_blocks;
mod events;
mod ranges;

use std::sync::Arc;

use crate::num;
use crate::route::{Action, Batch, Class, Peer, Record, RouteRecord, RowGroup, Timestamp};
use crate::sink::copy::pg_field as field;
use crate::sink::copy::{TableBuffer, columns, copy_rows};
use crate::sink::lanes::Lane;

use encoded_blocks::{EncodedBlocks, PeerBlock};

use super::dedup::{Dedup, DedupCandidates};
use super::digest::{digest, row_hash};
use super::error::InconsistentBatch;
use super::peers::{PeerChanges, RouteCounts, incarnation, is_loc_rib};
use super::referenced::{AttributeSets, Incarnations, RowHash, SetUse};
use super::rejected::quarantine::Quarantine;
use super::rejected::rows::{DroppedRecords, RejectedRows};
use super::rib::RibChanges;
use super::route_event::{Position, RouteEvent, route_key};
use super::routers::RouterChanges;
use super::transaction::{LogGap, Transaction, TransactionCounts};

/// Bytes of encoded history at which a transaction is full. Batches of malformed PDUs are large.
const HISTORY_MAX_BYTES: usize = 32 << 20;

/// Records of the log, of all lanes, at which a transaction is full, as a multiple of its largest number of
/// rows. It moves the checkpoint of a lane that owns few records, so that the log can reuse the segments
/// before it.
const RECORDS_READ_PER_ROW: u64 = 16;

/// A transaction that is still being filled.
pub struct TransactionBuilder {
    lane: Lane,
    first_seq: u64,
    next_seq: u64,
    /// Records of all lanes in the batches that were added; an unreadable range counts as one.
    records_read: u64,
    digest: u64,
    /// The first batch or gap with a row of the transaction.
    first_row_seq: Option<u64>,
    /// Greatest [`Batch::after`] of the batches that the lane stores records of.
    after: u64,
    /// Announcements that have a history row only if they change their route.
    dedup: Dedup,
    /// Whether history rows have their attributes themselves.
    is_whole: bool,
    /// Sources whose records are set aside.
    quarantine: Arc<Quarantine>,
    counts: TransactionCounts,
    received: Timestamp,
    routes: TableBuffer,
    candidates: DedupCandidates,
    events: TableBuffer,
    statistics: TableBuffer,
    gaps: TableBuffer,
    rejected: RejectedRows,
    dropped: Vec<DroppedRecords>,
    /// Number of routes in `dropped`.
    dropped_routes: u64,
    log_gaps: Vec<LogGap>,
    attributes: AttributeSets,
    incarnations: Incarnations,
    peers: PeerChanges,
    routers: RouterChanges,
    rib: RibChanges,
    /// Buffer for the key of the current route, reused for all routes.
    key: Vec<u8>,
}

impl TransactionBuilder {
    /// An empty transaction that begins at sequence number `first_seq`.
    #[must_use]
    pub fn new(lane: Lane, first_seq: u64) -> Self {
        Self {
            lane,
            first_seq,
            next_seq: first_seq,
            records_read: 0,
            digest: 0,
            first_row_seq: None,
            after: 0,
            dedup: Dedup::default(),
            is_whole: false,
            quarantine: Arc::default(),
            counts: TransactionCounts::default(),
            received: Timestamp(0),
            routes: TableBuffer::large(),
            candidates: DedupCandidates::default(),
            events: TableBuffer::default(),
            statistics: TableBuffer::default(),
            gaps: TableBuffer::default(),
            rejected: RejectedRows::default(),
            dropped: Vec::new(),
            dropped_routes: 0,
            log_gaps: Vec::new(),
            attributes: AttributeSets::default(),
            incarnations: Incarnations::default(),
            peers: PeerChanges::default(),
            routers: RouterChanges::default(),
            rib: RibChanges::default(),
            key: Vec::new(),
        }
    }

    /// Sets which announcements have a history row only if they change their route.
    #[must_use]
    pub const fn with_dedup(mut self, dedup: Dedup) -> Self {
        self.dedup = dedup;
        self
    }

    /// Sets whether history rows have their attributes themselves, instead of a reference to a set. See
    /// [`HistoryStorage::is_whole`](crate::sink::HistoryStorage::is_whole).
    #[must_use]
    pub const fn with_whole_rows(mut self, is_whole: bool) -> Self {
        self.is_whole = is_whole;
        self
    }

    /// Sets the sources whose records go to `rejected_routes`.
    #[must_use]
    pub fn with_quarantine(mut self, quarantine: Arc<Quarantine>) -> Self {
        self.quarantine = quarantine;
        self
    }

    /// The lane whose records are collected.
    #[must_use]
    pub const fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Sequence number of the batch or gap that must be added next.
    #[must_use]
    pub const fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Number of records that were added; see [`Transaction::rows`].
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.counts.routes + self.counts.events + self.counts.gaps
    }

    /// Whether the transaction should be stored: it has `rows_max` rows or 32 MiB of history, or it has read
    /// 16 times `rows_max` records of the log, most of which belong to other lanes.
    #[must_use]
    pub const fn is_full(&self, rows_max: u64) -> bool {
        self.rows() >= rows_max
            || self.routes.bytes.len()
                + self.candidates.bytes()
                + self.attributes.bytes()
                + self.events.bytes.len()
                + self.rejected.bytes()
                >= HISTORY_MAX_BYTES
            || self.records_read >= rows_max.saturating_mul(RECORDS_READ_PER_ROW)
    }

    /// Adds the lane's records of a batch. `payload` is the batch as the log stores it, for the digest.
    ///
    /// # Errors
    /// The batch is inconsistent. The transaction must not be stored then.
    pub fn push(&mut self, seq: u64, payload: &[u8], batch: &Batch) -> Result<(), InconsistentBatch> {
        (self.digest, self.next_seq) = (digest(seq, payload), seq + 1);
        self.records_read += num::to_u64(batch.records()).max(1);
        self.after = self.after.max(if self.lane.stores(batch.class) { batch.after } else { 0 });
        let before = self.rows();
        self.push_records(seq, batch, |_| true)?;
        if self.rows() > before {
            self.first_row_seq.get_or_insert(seq);
        }
        Ok(())
    }

    /// Adds the lane's records of a batch whose index `is_chosen`.
    pub(super) fn push_records(
        &mut self,
        seq: u64,
        batch: &Batch,
        is_chosen: impl Fn(u32) -> bool,
    ) -> Result<(), InconsistentBatch> {
        let last_group = batch.groups.last().map(|group| group.received);
        let last = batch.events.last().map(|event| event.received).max(last_group);
        self.received = self.received.max(last.unwrap_or(self.received));
        if self.lane.owns_routers() && self.quarantine.router_cause(&batch.router.name).is_none() {
            self.routers.push(batch);
        }
        let mut blocks = EncodedBlocks::new(batch);
        for record in batch.iter() {
            match record {
                Record::Route(route) if is_chosen(route.index) => {
                    self.route(seq, batch, &route, &mut blocks)?;
                }
                Record::Event(event) if is_chosen(event.index) => self.event(seq, batch, event)?,
                Record::Route(_) | Record::Event(_) => {}
            }
        }
        for (peer, block) in batch.peers.iter().zip(&blocks.peers) {
            if let Some(block) = block.as_ref().filter(|block| block.is_stored) {
                let routes = RouteCounts {
                    incarnation: incarnation(&batch.router, peer),
                    first: block.first,
                    last: block.last,
                    announced: block.announced,
                    withdrawn: block.withdrawn,
                    is_bulk: batch.class == Class::Bulk,
                };
                self.incarnations.note(block.incarnation, block.last);
                self.peers.count(block.view_index, &routes);
            }
        }
        Ok(())
    }

    fn route(
        &mut self,
        seq: u64,
        batch: &Batch,
        route: &RouteRecord<'_>,
        blocks: &mut EncodedBlocks,
    ) -> Result<(), InconsistentBatch> {
        let group = route.group;
        route_key(group.family, route.entry, &mut self.key);
        if batch.class == Class::Bulk && !self.lane.owns_bulk_route(&self.key) {
            return Ok(());
        }
        let inconsistent = InconsistentBatch { seq, index: route.index };
        let (peer, block) = self.peer_block(batch, group, blocks).ok_or(inconsistent)?;
        if let Some(cause) = block.quarantined.clone() {
            return self.set_aside(seq, batch, &Record::Route(*route), &cause);
        }
        if !block.is_stored {
            return Ok(());
        }
        let (view_index, row_incarnation) = (block.view_index, block.incarnation);
        let is_announced = group.action == Action::Announce;
        let attributes = self.attribute_set(batch, group, blocks);
        if is_announced && attributes.is_none() {
            return Err(inconsistent);
        }
        let out = &mut self.routes.bytes;
        let row_start = out.len();
        let layout = if self.is_whole { columns::WHOLE_ROUTE_RECORDS } else { columns::ROUTE_RECORDS };
        field::row(out, columns::count(layout));
        field::uuid(out, row_incarnation);
        field::optional(out, attributes.filter(|_| !self.is_whole), field::uuid);
        copy_rows::group_block(out, seq, route);
        let nlri_start = out.len();
        copy_rows::nlri_block(out, &route.entry.nlri);
        let nlri_range = nlri_start..out.len();
        copy_rows::route_key(out, route, &self.key);
        if self.is_whole {
            self.attributes.append_columns(attributes, out);
        }
        self.counts.routes += 1;
        let is_compared = self.dedup.compares(group.action, group.cause);
        let event = RouteEvent {
            view_index,
            family: group.family,
            path_id: group.add_path.then_some(route.entry.path_id),
            key: &self.key,
            nlri_block: self.routes.bytes.get(nlri_range).ok_or(inconsistent)?,
            attributes: attributes.filter(|_| is_announced),
            received: group.received,
            position: Position { incarnation: incarnation(&batch.router, peer), seq, index: route.index },
            valid_from: self.peers.valid_from(view_index, group.family),
            swept_from: self.peers.swept_from(view_index, group.family),
            candidate: is_compared.then(|| num::to_u32_saturating(self.candidates.len())),
            of_loc_rib: is_loc_rib(peer.view),
            may_be_shared: self.peers.may_be_shared(view_index),
        };
        let earlier = self.rib.push(&event);
        let may_be_unchanged = earlier.is_none_or(|earlier| earlier.may_repeat(event.position));
        if is_compared && may_be_unchanged {
            let history_row = self.routes.bytes.get(row_start..).ok_or(inconsistent)?;
            self.candidates.push(&event, earlier, history_row);
            self.routes.bytes.truncate(row_start);
        } else {
            self.routes.rows += 1;
            if let Some(hash) = attributes.filter(|_| !self.is_whole) {
                self.attributes.note(SetUse { hash, received: group.received });
            }
        }
        Ok(())
    }

    /// Returns the peer of a group and what its rows have in common, and counts the row.
    fn peer_block<'b, 'k>(
        &mut self,
        batch: &'b Batch,
        group: &RowGroup,
        blocks: &'k mut EncodedBlocks,
    ) -> Option<(&'b Peer, &'k PeerBlock)> {
        let peer = batch.peer_of(group)?;
        let slot = blocks.peers.get_mut(usize::from(group.peer))?;
        if slot.is_none() {
            // A route of class bulk is of this lane if it comes this far.
            let is_owned = batch.class == Class::Bulk || self.lane.owns(batch, &peer.key);
            let cause = self.quarantine.cause(&batch.router.name, Some(&peer.key)).filter(|_| is_owned);
            let (quarantined, is_stored) = (cause.cloned(), is_owned && cause.is_none());
            let (mut view_index, mut incarnation) = (0, [0; 16]);
            if is_stored {
                view_index = self.peers.view_index(&batch.router, peer);
                blocks.buffer.clear();
                copy_rows::incarnation_block(&mut blocks.buffer, &self.lane, batch, peer);
                incarnation = row_hash(&self.lane, &blocks.buffer);
                self.incarnations.add(incarnation, &blocks.buffer);
            }
            let (first, last, announced, withdrawn) = (group.received, group.received, 0, 0);
            *slot = Some(PeerBlock {
                is_stored,
                quarantined,
                view_index,
                incarnation,
                first,
                last,
                announced,
                withdrawn,
            });
        }
        let block = slot.as_mut()?;
        block.first = block.first.min(group.received);
        block.last = block.last.max(group.received);
        *(if group.action == Action::Announce { &mut block.announced } else { &mut block.withdrawn }) += 1;
        Some((peer, block))
    }

    /// Returns the key of the attribute set of a group, and adds the set. `None` for a withdrawal without
    /// attributes and path marking, and for an announcement whose attributes the batch lacks.
    fn attribute_set(
        &mut self,
        batch: &Batch,
        group: &RowGroup,
        blocks: &mut EncodedBlocks,
    ) -> Option<RowHash> {
        let attributes = batch.attributes_of(group);
        if attributes.is_none() && (group.marking.is_none() || group.action == Action::Announce) {
            return None;
        }
        let known = match group.marking {
            None => *blocks.attributes.get(usize::from(group.attributes))?,
            Some(marking) => blocks.marked.get(&(group.attributes, marking)).copied(),
        };
        if known.is_some() {
            return known;
        }
        blocks.buffer.clear();
        copy_rows::attribute_block(&mut blocks.buffer, attributes);
        let unmarked = 0..blocks.buffer.len();
        copy_rows::marking_block(&mut blocks.buffer, group.marking.as_ref());
        let encoded = blocks.buffer.as_slice();
        // A set without path marking has the hash that it had before there were path markings.
        let hashed = if group.marking.is_none() { encoded.get(unmarked)? } else { encoded };
        let hash = row_hash(&self.lane, hashed);
        self.attributes.add(hash, encoded);
        match group.marking {
            None => *blocks.attributes.get_mut(usize::from(group.attributes))? = Some(hash),
            Some(marking) => drop(blocks.marked.insert((group.attributes, marking), hash)),
        }
        Some(hash)
    }

    /// Completes the transaction.
    #[must_use]
    pub fn build(self) -> Transaction {
        Transaction {
            first_seq: self.first_seq,
            last_seq: self.next_seq - 1,
            digest: self.digest,
            after: self.after,
            order: Vec::new(),
            counts: self.counts,
            received: self.received,
            routes: self.routes.finish(),
            dedup: Arc::new(self.candidates),
            events: self.events.finish().bytes,
            statistics: self.statistics.finish().bytes,
            gaps: self.gaps.finish().bytes,
            rejected_routes: self.rejected.routes + self.dropped_routes,
            rejected: self.rejected.finish(),
            dropped: self.dropped,
            log_gaps: self.log_gaps,
            is_whole: self.is_whole,
            attributes: self.attributes,
            incarnations: self.incarnations.rows(),
            peers: self.peers.arguments(),
            routers: self.lane.owns_routers().then(|| self.routers.argument()),
            rib: Arc::new(self.rib),
        }
    }
}
