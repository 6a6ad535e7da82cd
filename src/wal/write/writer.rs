//! The writer of a log: appends payloads, and makes them durable in sync groups.
//!
//! ```text
//!              append, flush          sync
//!  Writing ─────────────────► group ───────► durable ──► next group
//!     │ a write or sync fails: the segment is abandoned, never written or synced again
//!     ▼
//!  Relocating: the open group, still in memory, is written to a new segment ──► Writing
//!     │ no space for it: Full, can be repeated        another I/O error: Failed, permanent
//! ```

use std::io;
use std::sync::Arc;

use crate::log_id::LogId;
use crate::num::to_u64;
use crate::wal::catalogue::Log;
use crate::wal::compress::{Compressor, EncodedPayload, decompress};
use crate::wal::error::{Full, IoCause, WriteError};
use crate::wal::format::{
    CODEC_RECORD_LZ4, CommitPayload, FrameSpec, GapPayload, GapReason, frame_bytes, kind,
};
use crate::wal::options::{Options, StateSnapshot};
use crate::wal::seq::SeqNo;
use crate::wal::storage::Storage;
use crate::wal::write::rotate::Rotation;
use crate::wal::write::segment_allocator::{SegmentAllocator, SpareFile};
use crate::wal::write::segment_writer::{AbandonedSegment, SegmentError, SegmentWriter};
use crate::wal::write::sync_group::SyncGroup;
use crate::wal::write::usage::Usage;

/// State that recovery hands over to the writer.
pub(in crate::wal) struct WriterStart<S: Storage> {
    pub(in crate::wal) log: Arc<Log<S>>,
    pub(in crate::wal) lock: S::Lock,
    pub(in crate::wal) spare: Option<SpareFile<S::File>>,
    pub(in crate::wal) log_id: LogId,
    /// Next sequence number to be assigned.
    pub(in crate::wal) next: SeqNo,
    /// Number of the next segment.
    pub(in crate::wal) next_number: u64,
    pub(in crate::wal) snapshot: Option<StateSnapshot>,
    /// The group whose durability is undecided, to be written again; empty if there is none.
    pub(in crate::wal) group: SyncGroup,
    /// Offset of the SEAL frame of the last segment; 0 if that one is not sealed.
    pub(in crate::wal) previous_end: u64,
}

/// Sequence numbers up to which the log has got.
#[derive(Clone, Copy)]
struct Positions {
    /// Next number to be assigned.
    next: SeqNo,
    /// Last number of the last complete flush.
    flushed: SeqNo,
    /// Last durable number.
    durable: SeqNo,
}

/// The only writer of a log.
pub struct Writer<S: Storage> {
    rotation: Rotation<S>,
    /// The open segment; `None` at the start, and after a segment was sealed or abandoned.
    segment: Option<SegmentWriter<S::File>>,
    group: SyncGroup,
    positions: Positions,
    /// Maximum length of a payload in bytes.
    payload_bytes_max: usize,
    compressor: Compressor,
    /// Records in the payloads that became durable since the start.
    records_durable: u64,
    /// A group was synced since the last durability mark.
    mark_due: bool,
    /// Wall clock of the last call that passed one, in µs since the Unix epoch.
    now: i64,
    /// Segments abandoned since the last [`Writer::take_abandoned`].
    abandoned: Vec<AbandonedSegment>,
    /// The error after which the log is no longer written.
    failed: Option<IoCause>,
    lock: S::Lock,
}

impl<S: Storage> Writer<S> {
    pub(in crate::wal) fn from_start(start: WriterStart<S>, options: &Options) -> Self {
        let next = start.next;
        let durable = if start.group.is_empty() { next.prev() } else { start.group.first.prev() };
        let rotation = Rotation {
            log: start.log,
            allocator: SegmentAllocator::new(options, start.spare),
            log_id: start.log_id,
            run: start.next_number,
            next_number: start.next_number,
            previous_end: start.previous_end,
            salt_seed: options.salt_seed,
            snapshot: start.snapshot,
            retired: SeqNo::NONE,
        };
        Self {
            rotation,
            segment: None,
            group: start.group,
            positions: Positions { next, flushed: durable, durable },
            payload_bytes_max: options.payload_bytes_max(),
            compressor: Compressor::new(options.compress),
            records_durable: 0,
            mark_due: false,
            now: options.now,
            abandoned: Vec::new(),
            failed: None,
            lock: start.lock,
        }
    }

    /// Appends a payload with `count` records to the open sync group, in memory, and returns its sequence
    /// number. [`Writer::flush`] and [`Writer::sync`] write the group.
    ///
    /// # Errors
    /// [`WriteError`]; the payload is then not in the log.
    pub fn append(&mut self, payload: &[u8], count: u32) -> Result<SeqNo, WriteError> {
        let bytes_max = self.payload_bytes_max;
        if payload.len() > bytes_max {
            return Err(WriteError::TooLarge { bytes: payload.len(), bytes_max });
        }
        self.ensure_segment()?;
        let mut compressor = std::mem::take(&mut self.compressor);
        let EncodedPayload { codec, raw_bytes, stored } = compressor.encode(payload);
        let seq = self.positions.next;
        let pushed = self.push(&FrameSpec { kind: kind::DATA, codec, seq, count, raw_bytes }, stored);
        self.compressor = compressor;
        pushed?;
        self.positions.next = seq.next();
        Ok(seq)
    }

    /// Appends a gap from the next sequence number to `to`, for a copy of a damaged log.
    ///
    /// # Errors
    /// [`WriteError`]; the gap is then not in the log.
    pub fn append_gap(&mut self, to: SeqNo, reason: GapReason) -> Result<(), WriteError> {
        let from = self.positions.next;
        self.ensure_segment()?;
        let gap = GapPayload { from, to, reason };
        self.push(&FrameSpec::control(kind::GAP, from), &gap.encode())?;
        self.positions.next = to.next();
        Ok(())
    }

    /// Writes the open group to the page cache, where it survives the end of this process. Returns the last
    /// sequence number in the page cache.
    ///
    /// # Errors
    /// [`WriteError`]; the group stays in memory.
    pub fn flush(&mut self) -> Result<SeqNo, WriteError> {
        self.ensure_segment()?;
        if let Some(segment) = &self.segment {
            let flushed = segment.flush(&mut self.group);
            self.relocate_if_broken(flushed)?;
        }
        self.positions.flushed = self.positions.next.prev();
        Ok(self.positions.flushed)
    }

    /// Ends the open group and makes it durable. Returns the last durable sequence number. `now` is the wall
    /// clock in µs since the Unix epoch.
    ///
    /// # Errors
    /// [`WriteError`]; the group stays in memory.
    pub fn sync(&mut self, now: i64) -> Result<SeqNo, WriteError> {
        self.now = now;
        self.ensure_segment()?;
        if !self.group.is_empty() {
            self.end_group(kind::COMMIT)?;
            self.mark_due = true;
        }
        Ok(self.positions.durable)
    }

    /// Writes a durability mark if a group was synced since the last one and no frame was appended since: a
    /// group of its own, which proves after a crash that the group before it is durable. `now` as for
    /// [`Writer::sync`].
    ///
    /// # Errors
    /// [`WriteError`]; the mark is then not written.
    pub fn mark_durable(&mut self, now: i64) -> Result<(), WriteError> {
        self.now = now;
        self.ensure_segment()?;
        let is_due = std::mem::take(&mut self.mark_due) && self.group.is_empty();
        if is_due && self.fits(frame_bytes(to_u64(CommitPayload::BYTES))) {
            self.end_group(kind::DURABILITY_MARK)?;
        }
        Ok(())
    }

    /// Makes everything durable, seals the segment and releases the lock. Returns the last durable sequence
    /// number.
    ///
    /// # Errors
    /// [`WriteError`]; the log is then as a crash would leave it.
    pub fn close(mut self, now: i64) -> Result<SeqNo, WriteError> {
        self.sync(now)?;
        self.end_group(kind::SEAL)?;
        drop(self.lock);
        Ok(self.positions.durable)
    }

    /// Declares everything up to `up_to` delivered: its space may be recycled.
    pub fn retire(&mut self, up_to: SeqNo) {
        self.rotation.retired = self.rotation.retired.max(up_to.min(self.positions.durable));
    }

    /// Performs one step of preparing the next segment, so that a rotation need not wait for it. Returns
    /// whether more steps are needed.
    pub fn prepare(&mut self) -> bool {
        self.rotation.prepare()
    }

    /// Sets the state snapshot for the head of each new segment. It describes the state before the next
    /// payload.
    ///
    /// # Errors
    /// [`WriteError::TooLarge`] if it has more than half the maximum size of a payload.
    pub fn set_snapshot(&mut self, bytes: Vec<u8>) -> Result<(), WriteError> {
        let bytes_max = self.payload_bytes_max / 2;
        if bytes.len() > bytes_max {
            return Err(WriteError::TooLarge { bytes: bytes.len(), bytes_max });
        }
        self.rotation.snapshot = Some(StateSnapshot { next: self.positions.next, bytes });
        Ok(())
    }

    /// Removes and returns the segments that were abandoned after an I/O error since the last call.
    pub fn take_abandoned(&mut self) -> Vec<AbandonedSegment> {
        std::mem::take(&mut self.abandoned)
    }

    /// Payloads in the open group. After a start without space for the relocated group these are in the log
    /// and not yet visible to readers.
    #[must_use]
    pub fn held_back(&self) -> Vec<Vec<u8>> {
        let data = self.group.frames().filter(|(header, _)| header.kind == kind::DATA);
        data.filter_map(|(header, stored)| {
            let mut payload = stored.to_vec();
            let is_decoded =
                header.codec != CODEC_RECORD_LZ4 || decompress(stored, header.raw_bytes, &mut payload);
            is_decoded.then_some(payload)
        })
        .collect()
    }

    /// Maximum length of a payload in bytes.
    #[must_use]
    pub const fn payload_bytes_max(&self) -> usize {
        self.payload_bytes_max
    }

    /// Sequence number of the next payload.
    #[must_use]
    pub const fn next(&self) -> SeqNo {
        self.positions.next
    }

    /// Last sequence number that survives the end of this process.
    #[must_use]
    pub fn flushed(&self) -> SeqNo {
        // Payloads of a partly flushed group are not counted.
        let Positions { next, flushed, durable } = self.positions;
        if self.unflushed_bytes() == 0 { next.prev() } else { durable.max(flushed) }
    }

    /// Last durable sequence number.
    #[must_use]
    pub const fn durable(&self) -> SeqNo {
        self.positions.durable
    }

    /// Number of records in the payloads that became durable since the start.
    #[must_use]
    pub const fn records_durable(&self) -> u64 {
        self.records_durable
    }

    /// Length of the open group in bytes.
    #[must_use]
    pub const fn group_bytes(&self) -> usize {
        self.group.bytes.len()
    }

    /// Bytes of the open group that are not in the page cache.
    #[must_use]
    pub const fn unflushed_bytes(&self) -> usize {
        self.group.unflushed_bytes()
    }

    /// The log, to create readers in this process.
    #[must_use]
    pub fn log(&self) -> Arc<Log<S>> {
        Arc::clone(&self.rotation.log)
    }

    /// Disk usage of the log.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let open_bytes = self.segment.as_ref().map_or(0, |segment| segment.free_bytes(&self.group));
        Usage { open_bytes, ..self.rotation.usage(self.positions.next) }
    }

    /// Changes [`Options::bytes_max`] and [`Options::free_percent_min`] for the segments to come.
    pub const fn set_space_limits(&mut self, bytes_max: u64, free_percent_min: u8) {
        let limits = self.rotation.allocator.limits_mut();
        (limits.bytes_max, limits.free_percent_min) = (bytes_max, free_percent_min);
    }

    /// Opens a segment unless one is open. The open group, if any, is relocated to it.
    pub(in crate::wal) fn ensure_segment(&mut self) -> Result<(), WriteError> {
        if let Some(error) = &self.failed {
            return Err(WriteError::Failed(error.clone()));
        }
        if self.segment.is_none() {
            let entered = self.rotation.enter(&self.group, self.positions.next, self.now);
            self.segment = Some(self.remember_failure(entered)?);
            self.mark_due = false;
            // The head of the segment is a group, and durable.
            self.group_is_durable();
        }
        Ok(())
    }

    /// Appends a frame to the open group, in the next segment if the open one has no space for it.
    fn push(&mut self, frame: &FrameSpec, payload: &[u8]) -> Result<(), WriteError> {
        while !self.fits(frame_bytes(to_u64(payload.len()))) {
            // The next segment is ready before the open one is sealed.
            let ready = self.rotation.finish();
            self.remember_failure(ready)?;
            self.end_group(kind::SEAL)?;
            self.ensure_segment()?;
        }
        if let Some(segment) = &self.segment {
            segment.append(&mut self.group, frame, self.positions.next, payload);
        }
        Ok(())
    }

    fn fits(&self, bytes: u64) -> bool {
        self.segment.as_ref().is_some_and(|segment| segment.fits(&self.group, bytes))
    }

    /// Ends the open group with a control frame of kind `ending`, writes and syncs it.
    fn end_group(&mut self, ending: u8) -> Result<(), WriteError> {
        let Some(segment) = &mut self.segment else { return Ok(()) };
        match segment.sync(&mut self.group, ending, self.positions.next, self.now) {
            Ok(offset) => {
                self.group_is_durable();
                if ending == kind::SEAL {
                    self.segment = None;
                    self.rotation.previous_end = offset;
                }
                Ok(())
            }
            Err(error) => self.relocate_if_broken(Err(error)),
        }
    }

    fn group_is_durable(&mut self) {
        self.positions.durable = self.positions.next.prev();
        self.records_durable += self.group.records;
        self.group.start_next();
        self.rotation.log.catalogue().durable = Some(self.positions.durable);
    }

    /// Abandons the open segment if it is broken, and relocates the open group to a new one.
    fn relocate_if_broken(&mut self, result: Result<(), SegmentError>) -> Result<(), WriteError> {
        match result {
            Ok(()) => Ok(()),
            Err(SegmentError::NoSpace(error)) => Err(Full::from_io(error).into()),
            Err(SegmentError::Broken(error)) => {
                self.abandon_segment(error);
                self.ensure_segment()
            }
        }
    }

    fn abandon_segment(&mut self, error: io::Error) {
        if let Some(segment) = self.segment.take() {
            self.abandoned.push(AbandonedSegment { number: segment.number(), error });
        }
        self.rotation.previous_end = 0;
        self.group.flushed = 0;
    }

    fn remember_failure<T>(&mut self, result: Result<T, WriteError>) -> Result<T, WriteError> {
        if let Err(WriteError::Failed(error)) = &result {
            self.failed = Some(error.clone());
        }
        result
    }
}
