//! Rows of `rejected_routes`. Pure.

use serde_json::{Value, json};

use crate::codec;
use crate::num;
use crate::route::{Batch, Record, Timestamp};
use crate::sink::copy::{CopyRows, TableBuffer, columns, pg_field as field};
use crate::sink::lanes::Lane;
use crate::sink::transaction::error::InconsistentBatch;

use super::quarantine::Cause;

/// Longest text of a record in bytes. The record itself is in the column `payload`.
const RECORD_MAX_BYTES: usize = 8 << 10;

/// Records of a quarantined source that `rejected_routes` has no room for. They become a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DroppedRecords {
    /// Name of the router.
    pub(crate) router: String,
    /// Number of records.
    pub(crate) records: u64,
    /// Batch and index of the first record.
    pub(crate) first: (u64, u32),
    /// Batch of the last record.
    pub(crate) last_seq: u64,
    /// Time of the first record.
    pub(crate) from: Timestamp,
    /// Time of the last record.
    pub(crate) until: Timestamp,
}

impl DroppedRecords {
    /// Adds a record to the dropped ones of its router.
    pub(crate) fn push(all: &mut Vec<Self>, seq: u64, batch: &Batch, record: &Record<'_>) {
        let (index, received) = match record {
            Record::Route(route) => (route.index, route.group.received),
            Record::Event(event) => (event.index, event.received),
        };
        if let Some(dropped) = all.iter_mut().find(|dropped| dropped.router == batch.router.name) {
            dropped.records += 1;
            (dropped.last_seq, dropped.until) = (seq, dropped.until.max(received));
            return;
        }
        all.push(Self {
            router: batch.router.name.clone(),
            records: 1,
            first: (seq, index),
            last_seq: seq,
            from: received,
            until: received,
        });
    }
}

/// Rejected records, encoded.
#[derive(Default)]
pub(crate) struct RejectedRows {
    table: TableBuffer,
    /// Number of records that are announcements or withdrawals.
    pub(crate) routes: u64,
}

impl RejectedRows {
    /// Adds a record of the batch with this sequence number.
    ///
    /// # Errors
    /// The record cannot be encoded: a defect of this program, because it was decoded from the same encoding.
    pub(crate) fn push(
        &mut self,
        lane: &Lane,
        seq: u64,
        batch: &Batch,
        record: &Record<'_>,
        cause: &Cause,
    ) -> Result<(), InconsistentBatch> {
        let index = match record {
            Record::Route(route) => route.index,
            Record::Event(event) => event.index,
        };
        let mut payload = Vec::new();
        codec::encode(&batch.extract(record), &mut payload).map_err(|_| InconsistentBatch { seq, index })?;
        let out = &mut self.table.bytes;
        field::row(out, columns::count(columns::REJECTED_ROUTES));
        field::text(out, &lane.collector);
        field::uuid(out, lane.log_id.0);
        field::int8(out, num::to_i64_saturating(seq));
        field::int4(out, index);
        field::int4(out, lane.number);
        field::text(out, &cause.sqlstate);
        field::text(out, &cause.message);
        field::text(out, &record_text(batch, record));
        field::bytea(out, &payload);
        self.table.rows += 1;
        self.routes += u64::from(matches!(record, Record::Route(_)));
        Ok(())
    }

    /// Number of records.
    pub(crate) const fn records(&self) -> u64 {
        self.table.rows
    }

    /// Size of the encoded rows in bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.table.bytes.len()
    }

    /// Completes the rows.
    pub(crate) fn finish(self) -> CopyRows {
        self.table.finish()
    }
}

/// The record as a JSON object. An object beyond the bound is cut: its beginning is then the only value of
/// another object.
fn record_text(batch: &Batch, record: &Record<'_>) -> String {
    let whole = Value::Object(codec::json::object(batch, record)).to_string();
    if whole.len() <= RECORD_MAX_BYTES {
        return whole;
    }
    json!({ "beginning": beginning(&whole, RECORD_MAX_BYTES / 2) }).to_string()
}

/// The first `max` bytes of a text, or less, so that no character is divided.
fn beginning(text: &str, max: usize) -> &str {
    text.split_at_checked(text.floor_char_boundary(max)).map_or(text, |(beginning, _)| beginning)
}
