//! A chunk that is closed: COPY bytes and arguments, ready to be stored as often as it takes. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::route::Timestamp;
use crate::sink::copy::pg_field as field;
use crate::sink::transaction::dedup::DedupCandidates;
use crate::sink::transaction::initial_load::InitialLoad;
use crate::sink::transaction::rib::{Rib, RibRows, StoredPeer};

/// What a chunk holds, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionCounts {
    /// Announcements and withdrawals.
    pub routes: u64,
    /// Those of them that repeat what this same chunk has said before, and get no row of history.
    pub unchanged: u64,
    /// Events, statistics and gaps that are records.
    pub events: u64,
    /// Ranges of the log that could not be read.
    pub gaps: u64,
}

/// A range of the log that could not be read.
pub(in crate::sink) struct LogGap {
    pub(in crate::sink) from: u64,
    pub(in crate::sink) to: u64,
    pub(in crate::sink) reason: String,
}

/// The rows of one table.
pub(in crate::sink) struct TableBuffer {
    pub(in crate::sink) bytes: Vec<u8>,
    pub(in crate::sink) rows: u64,
}

impl Default for TableBuffer {
    fn default() -> Self {
        Self { bytes: field::HEADER.to_vec(), rows: 0 }
    }
}

impl TableBuffer {
    pub(in crate::sink) fn seal(mut self) -> Bytes {
        if self.rows == 0 {
            return Bytes::new();
        }
        self.bytes.extend_from_slice(field::TRAILER);
        self.bytes.into()
    }
}

/// A chunk that is ready to be stored, as often as it takes.
pub struct Transaction {
    /// First sequence number.
    pub first_seq: u64,
    /// Last sequence number.
    pub last_seq: u64,
    /// Of the batch at `last_seq` ([`digest`](super::digest)); 0 when it could not be read.
    pub digest: u64,
    /// What is in it.
    pub counts: TransactionCounts,
    /// When the last record in it was received; 0 when there is none.
    pub received: Timestamp,
    pub(in crate::sink) routes: Bytes,
    pub(in crate::sink) repeats: Arc<DedupCandidates>,
    pub(in crate::sink) events: Bytes,
    pub(in crate::sink) statistics: Bytes,
    pub(in crate::sink) gaps: Bytes,
    pub(in crate::sink) log_gaps: Vec<LogGap>,
    pub(in crate::sink) attributes: Bytes,
    pub(in crate::sink) peers: serde_json::Value,
    pub(in crate::sink) peer_changes: serde_json::Value,
    pub(in crate::sink) peer_families: serde_json::Value,
    pub(in crate::sink) routers: Option<serde_json::Value>,
    pub(in crate::sink) rib: Arc<Rib>,
}

impl Transaction {
    /// How many rows of history it has.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.counts.routes + self.counts.events + self.counts.gaps
    }

    /// How many routes of the current table it concerns.
    pub(in crate::sink) fn rib_len(&self) -> u64 {
        u64::try_from(self.rib.len()).unwrap_or(u64::MAX)
    }

    /// The COPY bytes of `route_updates`, for measurements.
    #[must_use]
    pub fn route_bytes(&self) -> Bytes {
        self.routes.clone()
    }
}

/// COPY bytes, and how many rows they are.
pub(in crate::sink) struct CopyRows {
    pub(in crate::sink) bytes: Bytes,
    pub(in crate::sink) rows: u64,
}

impl From<TableBuffer> for CopyRows {
    fn from(table: TableBuffer) -> Self {
        Self { rows: table.rows, bytes: table.seal() }
    }
}

/// What of a chunk names peers by their ids, which the server gives.
pub(in crate::sink) struct ResolvedRows {
    /// For the current table: those that the merge has to look up.
    pub(in crate::sink) staged: CopyRows,
    /// Those that cannot be there yet.
    pub(in crate::sink) new: CopyRows,
    /// The question which re-dumped routes change something.
    pub(in crate::sink) repeated: Bytes,
}

impl ResolvedRows {
    pub(in crate::sink) fn encode(
        rib: &Rib,
        repeats: &DedupCandidates,
        peers: &HashMap<u32, StoredPeer>,
        first: Option<&mut InitialLoad>,
    ) -> Self {
        let RibRows { staged, new } = rib.encode(peers, first);
        Self { staged: staged.into(), new: new.into(), repeated: repeats.encode(peers) }
    }
}
