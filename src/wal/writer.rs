//! Appends payloads and makes them durable, group by group.
//!
//! ```text
//!             append, flush           sync
//!  Writing ──────────────────► group ──────► durable ──► next group
//!     │  write or sync fails: the file is never synced again
//!     ▼
//!  Moving ── the undecided group, still in memory, goes into a new segment ──► Writing
//!     │  no room for one: Full, tried again           the disk fails again: Failed, for good
//! ```

use std::sync::Arc;

use super::catalogue::Log;
use super::compress;
use super::error::{Usage, WriteError};
use super::format::{
    CLOSING_BYTES, CODEC_RECORD, CODEC_RECORD_LZ4, Frame, GapNote, GapReason, Place, SealNote, SegmentHeader,
    frame_bytes, kind,
};
use super::group::Group;
use super::segment_allocator::{Pool, Spare};
use super::storage::{Storage, to_u64};
use super::{LogId, Options, SeqNo};

/// What a recovery hands over.
pub(super) struct Start<S: Storage> {
    pub(super) log: Arc<Log<S>>,
    pub(super) lock: S::Lock,
    pub(super) spare: Option<Spare<S::File>>,
    pub(super) log_id: LogId,
    pub(super) next: SeqNo,
    pub(super) next_group: u64,
    pub(super) next_number: u64,
    pub(super) snapshot: Option<(SeqNo, Vec<u8>)>,
    /// Frames of the undecided group, to be logged again; the first of them, and their records.
    pub(super) group: Group,
    pub(super) previous_end: u64,
}

/// The segment that is being written.
pub(super) struct Active<F> {
    pub(super) file: F,
    pub(super) header: SegmentHeader,
    /// Where the open group begins.
    pub(super) group_start: u64,
    /// What the segment holds that is durable.
    pub(super) seal: SealNote,
}

/// The one owner of a log.
pub struct Writer<S: Storage> {
    pub(super) log: Arc<Log<S>>,
    pub(super) lock: S::Lock,
    pub(super) pool: Pool<S::File>,
    pub(super) options: Options,
    pub(super) log_id: LogId,
    pub(super) run: u64,
    pub(super) active: Option<Active<S::File>>,
    pub(super) failed: Option<String>,
    pub(super) group: Group,
    /// Bytes of the group that are in the page cache.
    pub(super) flushed: usize,
    /// Last number of the last complete flush.
    pub(super) flushed_seq: SeqNo,
    pub(super) next: SeqNo,
    pub(super) next_group: u64,
    pub(super) next_number: u64,
    pub(super) previous_end: u64,
    pub(super) durable: SeqNo,
    pub(super) records_durable: u64,
    pub(super) retired: SeqNo,
    pub(super) snapshot: Option<(SeqNo, Vec<u8>)>,
    pub(super) mark_due: bool,
    pub(super) now: i64,
    /// Memory for the compressed form of the payload in hand.
    packed: Vec<u8>,
}

impl<S: Storage> Writer<S> {
    pub(super) fn start(start: Start<S>, options: Options) -> Self {
        let durable = if start.group.bytes.is_empty() { start.next.prev() } else { start.group.first.prev() };
        Self {
            pool: Pool::new(&options, start.spare),
            log: start.log,
            lock: start.lock,
            log_id: start.log_id,
            run: start.next_number,
            active: None,
            failed: None,
            group: start.group,
            flushed: 0,
            flushed_seq: durable,
            next: start.next,
            next_group: start.next_group,
            next_number: start.next_number,
            previous_end: start.previous_end,
            durable,
            records_durable: 0,
            retired: SeqNo::NONE,
            snapshot: start.snapshot,
            mark_due: false,
            now: options.now,
            packed: Vec::new(),
            options,
        }
    }

    /// Takes a payload into the open group; [`Writer::flush`] and [`Writer::sync`] bring it to the disk.
    pub fn append(&mut self, payload: &[u8], count: u32) -> Result<SeqNo, WriteError> {
        let bytes_max = self.options.payload_bytes_max();
        if payload.len() > bytes_max {
            return Err(WriteError::TooLarge { bytes: payload.len(), bytes_max });
        }
        self.ensure_active()?;
        let mut packed = std::mem::take(&mut self.packed);
        let taken = self.append_packed(payload, count, &mut packed);
        self.packed = packed;
        taken
    }

    fn append_packed(
        &mut self,
        payload: &[u8],
        count: u32,
        packed: &mut Vec<u8>,
    ) -> Result<SeqNo, WriteError> {
        let is_packed = self.options.compress && compress::pack(payload, packed);
        let (codec, stored) =
            if is_packed { (CODEC_RECORD_LZ4, packed.as_slice()) } else { (CODEC_RECORD, payload) };
        let bytes = frame_bytes(to_u64(stored.len()));
        while !self.fits(bytes) {
            self.switch()?;
        }
        let seq = self.next;
        // Payloads are far below 4 GiB.
        let raw_bytes = if is_packed { u32::try_from(payload.len()).unwrap_or(u32::MAX) } else { 0 };
        self.push(&Frame { kind: kind::DATA, codec, seq, count, raw_bytes }, stored);
        self.next = seq.next();
        Ok(seq)
    }

    /// Notes in place of payloads that the next ones, up to `to`, are lost: for a copy of a damaged log.
    pub fn append_gap(&mut self, to: SeqNo, reason: GapReason) -> Result<(), WriteError> {
        self.ensure_active()?;
        let note = GapNote { from: self.next, to, reason }.encode();
        while !self.fits(frame_bytes(to_u64(note.len()))) {
            self.switch()?;
        }
        self.push(&Frame::own(kind::GAP, self.next), &note);
        self.next = to.next();
        Ok(())
    }

    /// Hands what is open to the page cache: a killed process no longer loses it.
    pub fn flush(&mut self) -> Result<SeqNo, WriteError> {
        self.ensure_active()?;
        self.flush_group()?;
        self.flushed_seq = self.next.prev();
        Ok(self.flushed_seq)
    }

    /// Ends the open group and makes it durable; returns the last durable number. `now` is the wall clock in µs.
    pub fn sync(&mut self, now: i64) -> Result<SeqNo, WriteError> {
        self.now = now;
        self.ensure_active()?;
        if !self.group.bytes.is_empty() {
            self.end_group(kind::COMMIT)?;
            self.mark_due = true;
        }
        Ok(self.durable)
    }

    /// When nothing came since the last group: a group of its own that proves the last one durable. Does nothing the
    /// second time.
    pub fn mark_durable(&mut self, now: i64) -> Result<(), WriteError> {
        self.now = now;
        self.ensure_active()?;
        if std::mem::take(&mut self.mark_due) && self.group.bytes.is_empty() && self.fits(frame_bytes(16)) {
            self.end_group(kind::DURABILITY_MARK)?;
        }
        Ok(())
    }

    /// Makes all durable and seals the segment: the orderly end.
    pub fn close(mut self, now: i64) -> Result<SeqNo, WriteError> {
        self.sync(now)?;
        self.end_group(kind::SEAL)?;
        drop(self.lock);
        Ok(self.durable)
    }

    /// Everything up to here is delivered: its space may be used again.
    pub fn retire(&mut self, up_to: SeqNo) {
        self.retired = self.retired.max(up_to.min(self.durable));
    }

    /// A bit of the work for the next segment, so that a switch need not wait for it. Returns true while there is more.
    pub fn prepare(&mut self) -> bool {
        // What fails here fails again, and is told, when the segment is needed.
        self.pool.prepare(&self.log, self.retired).is_ok() && !self.pool.is_ready()
    }

    /// From now on these bytes stand at the head of each new segment. They tell the state just before the next number.
    pub fn set_snapshot(&mut self, snapshot: Vec<u8>) -> Result<(), WriteError> {
        let bytes_max = self.options.payload_bytes_max() / 2;
        if snapshot.len() > bytes_max {
            return Err(WriteError::TooLarge { bytes: snapshot.len(), bytes_max });
        }
        self.snapshot = Some((self.next, snapshot));
        Ok(())
    }

    /// The payloads that are in the log and not durable in this run: after a start that found no room for the copy of the
    /// last group, no reader is shown them yet.
    #[must_use]
    pub fn held_back(&self) -> Vec<Vec<u8>> {
        let data = self.group.frames().filter(|(header, _)| header.kind == kind::DATA);
        data.filter_map(|(header, stored)| {
            let mut payload = stored.to_vec();
            let whole =
                header.codec != CODEC_RECORD_LZ4 || compress::unpack(stored, header.raw_bytes, &mut payload);
            whole.then_some(payload)
        })
        .collect()
    }

    /// Longer payloads are refused.
    #[must_use]
    pub fn payload_bytes_max(&self) -> usize {
        self.options.payload_bytes_max()
    }

    /// Number that the next payload gets.
    #[must_use]
    pub const fn next(&self) -> SeqNo {
        self.next
    }

    /// Last number that a killed process would not lose.
    #[must_use]
    pub fn flushed(&self) -> SeqNo {
        // In between it may be more; nobody needs to know how much of a group half written counts.
        if self.unflushed_bytes() == 0 { self.next.prev() } else { self.durable.max(self.flushed_seq) }
    }

    /// Last durable number.
    #[must_use]
    pub const fn durable(&self) -> SeqNo {
        self.durable
    }

    /// Records in payloads that became durable since the start.
    #[must_use]
    pub const fn records_durable(&self) -> u64 {
        self.records_durable
    }

    /// Bytes that wait for their sync.
    #[must_use]
    pub fn group_bytes(&self) -> usize {
        self.group.bytes.len()
    }

    /// Bytes that are not even in the page cache.
    #[must_use]
    pub fn unflushed_bytes(&self) -> usize {
        self.group.bytes.len() - self.flushed
    }

    /// For readers in this process.
    #[must_use]
    pub fn log(&self) -> Arc<Log<S>> {
        Arc::clone(&self.log)
    }

    /// How much of the disk the log has.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let catalogue = self.log.catalogue();
        let delivered = super::segment_allocator::delivered_bytes(&catalogue, self.retired);
        let (segments, bytes) = (to_u64(catalogue.segments.len()), catalogue.bytes());
        let oldest = catalogue.oldest().unwrap_or(self.next);
        drop(catalogue);
        let space = self.log.storage.space().ok();
        Usage {
            segments,
            bytes: bytes + self.pool.spare_bytes(),
            bytes_max: self.options.bytes_max,
            undelivered_bytes: bytes - delivered,
            available_bytes: self.pool.available_bytes(bytes, delivered, space),
            dropped: self.pool.dropped(),
            oldest,
            disk_free_bytes: space.map_or(0, |space| space.free_bytes),
        }
    }

    pub(super) fn push(&mut self, frame: &Frame, payload: &[u8]) {
        if self.group.bytes.is_empty() {
            self.group.first = self.next;
        }
        let place = self.place();
        self.group.push(frame, place, payload);
    }

    pub(super) fn place(&self) -> Place {
        let (salt, start) =
            self.active.as_ref().map_or((0, 0), |active| (active.header.salt, active.group_start));
        Place { salt, group: self.next_group, offset: start + to_u64(self.group.bytes.len()) }
    }

    fn fits(&self, bytes: u64) -> bool {
        let capacity = self.active.as_ref().map_or(0, |active| active.header.capacity);
        self.place().offset + bytes + CLOSING_BYTES <= capacity
    }
}
