//! Deduplication: announcements whose history row is stored only if the route has changed. Pure.
//!
//! ```text
//! TransactionBuilder ── announcement that is compared ──► DedupCandidates
//!   route absent from rib_entries (initial load)          changed, without a look-up
//!   only event of its route in the transaction            looked up with its row of `staged`
//!   otherwise                                             COPY into the temporary table `dedup_candidates`
//! server: which differ from rib_entries? ──► COPY of only those rows into route_records
//! ```
//!
//! The result is that of storing every record in a transaction of its own: a later event of a route is
//! compared with the event before it. The exception is a late event of an old session, which the current
//! table does not take over. The next event is then compared with the table, so that only the server can
//! decide.

use std::ops::Range;

use bytes::Bytes;

use crate::num;
use crate::route::{Action, Cause, Family, Incarnation, Timestamp};
use crate::sink::copy::pg_field as field;
use crate::sink::copy::{CopyRows, Reserved as _, TableBuffer, columns};

use super::error::{EncodeError, part};
use super::referenced::{RowHash, SetUse};
use super::route_event::{Position, RouteEvent, StoredIncarnation, StoredPeer, StoredPeers};

/// Announcements that add history only if they change their route (HISTORY_DEDUP).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dedup {
    /// None: every announcement has a history row.
    Off,
    /// Announcements of a re-dump.
    ReDumps,
    /// All announcements.
    #[default]
    Always,
}

impl Dedup {
    /// Whether a record is compared with the current state of its route.
    pub(super) fn compares(self, action: Action, cause: Cause) -> bool {
        let is_compared = match self {
            Self::Off => false,
            Self::ReDumps => cause == Cause::ReDump,
            Self::Always => true,
        };
        is_compared && action == Action::Announce
    }
}

/// How the server finds the current state of a candidate's route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookUp {
    /// By a row of `dedup_candidates`.
    Candidate,
    /// By the row of `staged`, which has the number of the candidate.
    Staged,
    /// Not at all: the route cannot be in the current table, or the announcement differs from the event
    /// before it.
    Changed,
    /// By a row of `dedup_candidates`, with these values instead of those of the candidate.
    Deferred {
        /// The last earlier event of the same route in the transaction.
        predecessor: Option<Predecessor>,
        /// Oldest incarnation whose routes were valid just before the event; see [`RouteEvent::valid_from`].
        valid_from: Option<Incarnation>,
    },
}

/// The last earlier event of the same route in the transaction, as seen from a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Predecessor {
    /// Incarnation of the earlier event.
    pub(super) incarnation: Incarnation,
    /// Whether the earlier event is the same announcement, and the route was still valid.
    pub(super) is_same: bool,
}

impl Predecessor {
    /// Whether an announcement at this position may change nothing. One that differs from the event before it
    /// may do so if its incarnation is later: the current table may have a state of an incarnation in
    /// between.
    pub(super) fn may_repeat(self, position: Position) -> bool {
        self.is_same || self.incarnation < position.incarnation
    }
}

/// An announcement; the ranges refer to [`DedupCandidates::bytes`].
struct Candidate {
    view_index: u32,
    family: Family,
    position: Position,
    attributes: Option<RowHash>,
    received: Timestamp,
    valid_from: Option<Incarnation>,
    predecessor: Option<Predecessor>,
    key: Range<usize>,
    nlri_block: Range<usize>,
    /// The row of `route_records`.
    history_row: Range<usize>,
}

/// The announcements of one transaction whose history row depends on the current table.
#[derive(Default)]
pub(crate) struct DedupCandidates {
    candidates: Vec<Candidate>,
    bytes: Vec<u8>,
}

/// The candidates of a transaction, once their look-ups are known.
pub(super) struct CandidateRows {
    /// Rows of `dedup_candidates`.
    pub(super) rows: CopyRows,
    /// Rows of `route_records` of the candidates that need no look-up.
    pub(super) history: CopyRows,
    /// Attribute sets that these rows refer to.
    pub(super) set_uses: Vec<SetUse>,
}

impl DedupCandidates {
    /// Adds an announcement and its row of `route_records`.
    pub(super) fn push(
        &mut self,
        event: &RouteEvent<'_>,
        predecessor: Option<Predecessor>,
        history_row: &[u8],
    ) {
        let candidate = Candidate {
            view_index: event.view_index,
            family: event.family,
            position: event.position,
            attributes: event.attributes,
            received: event.received,
            valid_from: event.valid_from,
            predecessor,
            key: self.append(event.key),
            nlri_block: self.append(event.nlri_block),
            history_row: self.append(history_row),
        };
        self.candidates.reserved().push(candidate);
    }

    fn append(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.reserved().extend_from_slice(bytes);
        start..self.bytes.len()
    }

    /// Number of candidates, which is the number of the next one.
    pub(crate) const fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Memory of the encoded rows, in bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the rows for candidates with these look-ups. The column `number` is the index of the
    /// candidate.
    pub(super) fn encode(
        &self,
        peers: &StoredPeers,
        look_ups: &[LookUp],
    ) -> Result<CandidateRows, EncodeError> {
        let (mut out, mut history) = (TableBuffer::large(), TableBuffer::large());
        let mut set_uses = Vec::new();
        for ((number, candidate), look_up) in (0_u32..).zip(&self.candidates).zip(look_ups) {
            let before = match *look_up {
                LookUp::Deferred { predecessor, valid_from } => (predecessor, valid_from),
                _ => (candidate.predecessor, candidate.valid_from),
            };
            match look_up {
                LookUp::Candidate | LookUp::Deferred { .. } => {
                    let peer = peers.get(candidate.view_index)?;
                    self.encode_candidate(number, candidate, before, peer, &mut out)?;
                }
                LookUp::Staged => {}
                LookUp::Changed => {
                    history.bytes.extend_from_slice(part(&self.bytes, &candidate.history_row)?);
                    history.rows += 1;
                    set_uses.extend(candidate.set_use());
                }
            }
        }
        Ok(CandidateRows { rows: out.finish(), history: history.finish(), set_uses })
    }

    fn encode_candidate(
        &self,
        number: u32,
        candidate: &Candidate,
        (predecessor, changed_by): (Option<Predecessor>, Option<Incarnation>),
        peer: &StoredPeer,
        out: &mut TableBuffer,
    ) -> Result<(), EncodeError> {
        let row = &mut out.bytes;
        field::row(row, columns::count(columns::DEDUP_CANDIDATES));
        field::int4(row, number);
        field::int8(row, peer.id);
        field::bytea(row, part(&self.bytes, &candidate.key)?);
        candidate.position.encode(row);
        field::optional(row, candidate.attributes, field::uuid);
        let valid_from = peer.valid_from(candidate.family, changed_by);
        valid_from.encode(row);
        let after = predecessor.map(|earlier| StoredIncarnation::from(earlier.incarnation));
        field::optional(row, after, |row, after| field::int8(row, after.session));
        field::optional(row, after, |row, after| field::int8(row, after.generation));
        // A Peer Down or a sweep that an earlier transaction has stored may have ended the earlier event.
        let is_same = predecessor.is_some_and(|earlier| earlier.is_same);
        field::boolean(row, is_same && after >= Some(valid_from));
        row.extend_from_slice(part(&self.bytes, &candidate.nlri_block)?);
        out.rows += 1;
        Ok(())
    }

    /// Returns the rows of `route_records` for the routes with these numbers, and the attribute sets that
    /// they refer to.
    pub(crate) fn history_rows(&self, numbers: &[i32]) -> Result<(Bytes, Vec<SetUse>), EncodeError> {
        let (mut out, mut set_uses) = (TableBuffer::large(), Vec::new());
        for &number in numbers {
            let candidate = usize::try_from(number).ok().and_then(|index| self.candidates.get(index));
            let candidate =
                candidate.ok_or(EncodeError::UnknownCandidate { number, rows: num::to_u64(self.len()) })?;
            out.bytes.extend_from_slice(part(&self.bytes, &candidate.history_row)?);
            out.rows += 1;
            set_uses.extend(candidate.set_use());
        }
        Ok((out.finish().bytes, set_uses))
    }
}

impl Candidate {
    fn set_use(&self) -> Option<SetUse> {
        self.attributes.map(|hash| SetUse { hash, received: self.received })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_was_not_sent_is_an_error() {
        let none = DedupCandidates::default();
        assert_eq!(none.history_rows(&[0]), Err(EncodeError::UnknownCandidate { number: 0, rows: 0 }));
        assert_eq!(none.history_rows(&[]), Ok((Bytes::new(), Vec::new())));
    }
}
