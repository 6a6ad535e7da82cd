//! A chunk that is closed: COPY bytes and arguments, ready to be stored as often as it takes. Pure.

use std::collections::HashMap;

use bytes::Bytes;

use super::binary as field;
use super::repeats::Repeats;
use super::rib::{KnownPeer, Rib};
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
    pub(super) repeats: Repeats,
    pub(super) events: Bytes,
    pub(super) statistics: Bytes,
    pub(super) gaps: Bytes,
    pub(super) attributes: Bytes,
    pub(super) peers: serde_json::Value,
    pub(super) peer_changes: serde_json::Value,
    pub(super) peer_families: serde_json::Value,
    pub(super) routers: Option<serde_json::Value>,
    pub(super) rib: Rib,
}

impl Sealed {
    /// How many rows of history it has.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.counts.routes + self.counts.events + self.counts.gaps
    }

    /// How many rows the staging table gets.
    pub(super) fn staged_rows(&self) -> usize {
        self.rib.len()
    }

    /// The COPY bytes of the staging table, now that the peers have their ids.
    pub(super) fn staged(&self, peers: &HashMap<u32, KnownPeer>) -> Bytes {
        let mut out = field::HEADER.to_vec();
        self.rib.encode(peers, &mut out);
        out.extend_from_slice(field::TRAILER);
        out.into()
    }

    /// The COPY bytes of `route_updates`, for measurements.
    #[must_use]
    pub fn route_bytes(&self) -> Bytes {
        self.routes.clone()
    }
}
