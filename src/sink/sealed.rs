//! A chunk that is closed: COPY bytes and arguments, ready to be stored as often as it takes. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::binary as field;
use super::first_tables::FirstTables;
use super::repeats::Repeats;
use super::rib::{KnownPeer, Rib, RibRows};
use crate::route::Timestamp;

/// What a chunk holds, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
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
pub(super) struct LogGap {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) reason: String,
}

/// The rows of one table.
pub(super) struct Table {
    pub(super) bytes: Vec<u8>,
    pub(super) rows: u64,
}

impl Default for Table {
    fn default() -> Self {
        Self { bytes: field::HEADER.to_vec(), rows: 0 }
    }
}

impl Table {
    pub(super) fn seal(mut self) -> Bytes {
        if self.rows == 0 {
            return Bytes::new();
        }
        self.bytes.extend_from_slice(field::TRAILER);
        self.bytes.into()
    }
}

/// A chunk that is ready to be stored, as often as it takes.
pub struct Sealed {
    /// First sequence number.
    pub first_seq: u64,
    /// Last sequence number.
    pub last_seq: u64,
    /// Of the batch at `last_seq` ([`digest`](super::digest)); 0 when it could not be read.
    pub digest: u64,
    /// What is in it.
    pub counts: Counts,
    /// When the last record in it was received; 0 when there is none.
    pub received: Timestamp,
    pub(super) routes: Bytes,
    pub(super) repeats: Arc<Repeats>,
    pub(super) events: Bytes,
    pub(super) statistics: Bytes,
    pub(super) gaps: Bytes,
    pub(super) log_gaps: Vec<LogGap>,
    pub(super) attributes: Bytes,
    pub(super) peers: serde_json::Value,
    pub(super) peer_changes: serde_json::Value,
    pub(super) peer_families: serde_json::Value,
    pub(super) routers: Option<serde_json::Value>,
    pub(super) rib: Arc<Rib>,
}

impl Sealed {
    /// How many rows of history it has.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.counts.routes + self.counts.events + self.counts.gaps
    }

    /// How many routes of the current table it concerns.
    pub(super) fn rib_len(&self) -> u64 {
        u64::try_from(self.rib.len()).unwrap_or(u64::MAX)
    }

    /// The COPY bytes of `route_updates`, for measurements.
    #[must_use]
    pub fn route_bytes(&self) -> Bytes {
        self.routes.clone()
    }
}

/// COPY bytes, and how many rows they are.
pub(super) struct Rows {
    pub(super) bytes: Bytes,
    pub(super) rows: u64,
}

impl From<Table> for Rows {
    fn from(table: Table) -> Self {
        Self { rows: table.rows, bytes: table.seal() }
    }
}

/// What of a chunk names peers by their ids, which the server gives.
pub(super) struct Named {
    /// For the current table: those that the merge has to look up.
    pub(super) staged: Rows,
    /// Those that cannot be there yet.
    pub(super) new: Rows,
    /// The question which re-dumped routes change something.
    pub(super) repeated: Bytes,
}

impl Named {
    pub(super) fn encode(
        rib: &Rib,
        repeats: &Repeats,
        peers: &HashMap<u32, KnownPeer>,
        first: Option<&mut FirstTables>,
    ) -> Self {
        let RibRows { staged, new } = rib.encode(peers, first);
        Self { staged: staged.into(), new: new.into(), repeated: repeats.encode(peers) }
    }
}
