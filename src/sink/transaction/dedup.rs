//! Deduplication of re-dumps: announcements whose history row is stored only if the route has changed. Pure.
//!
//! ```text
//! TransactionBuilder ── announcement of a re-dump, first event of its route ──► DedupCandidates
//!                       COPY into the temporary table `dedup_candidates` ──► which differ from rib_entries?
//!                       COPY of only those rows into route_updates
//! ```
//!
//! A route that is unchanged in the database costs one short row in each direction. All other routes become
//! history as usual.

use std::ops::Range;

use bytes::Bytes;

use crate::num;
use crate::route::{Family, Incarnation};
use crate::sink::copy::pg_field as field;
use crate::sink::copy::{CopyRows, TableBuffer, columns};

use super::error::{EncodeError, part};
use super::route_event::{Position, RouteEvent, StoredPeers};

/// A re-dumped route; the ranges refer to [`DedupCandidates::bytes`].
struct Candidate {
    view_index: u32,
    family: Family,
    position: Position,
    attributes: Option<[u8; 16]>,
    valid_from: Option<Incarnation>,
    key: Range<usize>,
    nlri_block: Range<usize>,
    /// The row of `route_updates`.
    history_row: Range<usize>,
}

/// The re-dumped routes of one transaction.
#[derive(Default)]
pub(crate) struct DedupCandidates {
    candidates: Vec<Candidate>,
    bytes: Vec<u8>,
}

impl DedupCandidates {
    /// Adds an announcement and its row of `route_updates`.
    pub(super) fn push(&mut self, event: &RouteEvent<'_>, history_row: &[u8]) {
        let candidate = Candidate {
            view_index: event.view_index,
            family: event.family,
            position: event.position,
            attributes: event.attributes,
            valid_from: event.valid_from,
            key: self.append(event.key),
            nlri_block: self.append(event.nlri_block),
            history_row: self.append(history_row),
        };
        self.candidates.push(candidate);
    }

    fn append(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    /// Number of routes.
    pub(crate) fn len(&self) -> u64 {
        num::to_u64(self.candidates.len())
    }

    /// Memory of the encoded rows, in bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the rows of `dedup_candidates`. The column `number` is the index of the route here.
    pub(super) fn encode(&self, peers: &StoredPeers) -> Result<CopyRows, EncodeError> {
        let mut out = TableBuffer::default();
        for (number, candidate) in (0_u32..).zip(&self.candidates) {
            let peer = peers.get(candidate.view_index)?;
            let row = &mut out.bytes;
            field::row(row, columns::count(columns::DEDUP_CANDIDATES));
            field::int4(row, number);
            field::int8(row, peer.id);
            field::bytea(row, part(&self.bytes, &candidate.key)?);
            candidate.position.encode(row);
            field::optional(row, candidate.attributes, field::uuid);
            peer.valid_from(candidate.family, candidate.valid_from).encode(row);
            row.extend_from_slice(part(&self.bytes, &candidate.nlri_block)?);
            out.rows += 1;
        }
        Ok(out.finish())
    }

    /// Returns the rows of `route_updates` for the routes with these numbers.
    pub(crate) fn history_rows(&self, numbers: &[i32]) -> Result<Bytes, EncodeError> {
        let mut out = TableBuffer::default();
        for &number in numbers {
            let candidate = usize::try_from(number).ok().and_then(|index| self.candidates.get(index));
            let candidate = candidate.ok_or(EncodeError::UnknownCandidate { number, rows: self.len() })?;
            out.bytes.extend_from_slice(part(&self.bytes, &candidate.history_row)?);
            out.rows += 1;
        }
        Ok(out.finish().bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_was_not_sent_is_an_error() {
        let none = DedupCandidates::default();
        assert_eq!(none.history_rows(&[0]), Err(EncodeError::UnknownCandidate { number: 0, rows: 0 }));
        assert_eq!(none.history_rows(&[]), Ok(Bytes::new()));
    }
}
