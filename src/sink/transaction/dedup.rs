//! Re-dumped routes whose row of history waits for the database to say whether anything changed. Pure.
//!
//! ```text
//! TransactionBuilder ── announcement of a re-dump, the first word on its route ──► DedupCandidates
//!                                     COPY into `repeated` ──► which differ from rib_entries?
//!                                     COPY of just those rows into route_updates
//! ```
//!
//! What stands unchanged in the database costs a short row there and back; everything else goes into history as always.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;

use crate::route::{Family, Timestamp};
use crate::sink::copy::columns;
use crate::sink::copy::copy_rows::seq_number;
use crate::sink::copy::pg_field as field;
use crate::sink::transaction::rib::{Position, RouteEvent, StoredPeer};

/// One such route.
pub(in crate::sink) struct DedupCandidate<'a> {
    /// What was said.
    pub(in crate::sink) event: RouteEvent<'a>,
    /// Its row of `route_updates`.
    pub(in crate::sink) row: &'a [u8],
}

struct Waiting {
    place: u32,
    family: Family,
    position: Position,
    attributes: Option<[u8; 16]>,
    ended: Option<(Timestamp, u32)>,
    key: Range<usize>,
    nlri_block: Range<usize>,
    row: Range<usize>,
}

/// All of one transaction.
#[derive(Default)]
pub(in crate::sink) struct DedupCandidates {
    waiting: Vec<Waiting>,
    bytes: Vec<u8>,
}

impl DedupCandidates {
    /// Takes one.
    pub(in crate::sink) fn push(&mut self, repeat: &DedupCandidate<'_>) {
        let event = &repeat.event;
        let waiting = Waiting {
            place: event.place,
            family: event.family,
            position: event.position,
            attributes: event.attributes,
            ended: event.ended,
            key: self.keep(event.key),
            nlri_block: self.keep(event.nlri_block),
            row: self.keep(repeat.row),
        };
        self.waiting.push(waiting);
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    fn kept(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// How many wait.
    pub(in crate::sink) fn len(&self) -> u64 {
        u64::try_from(self.waiting.len()).unwrap_or(u64::MAX)
    }

    /// How much memory they take.
    pub(in crate::sink) const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The COPY bytes of the question. A route is named by its number here.
    pub(in crate::sink) fn encode(&self, peers: &HashMap<u32, StoredPeer>) -> Bytes {
        let mut out = field::HEADER.to_vec();
        for (number, waiting) in (0_u32..).zip(&self.waiting) {
            // A place without a peer makes the count wrong, which the caller notices.
            let Some(peer) = peers.get(&waiting.place) else { continue };
            let valid = peer.valid_from(waiting.family, waiting.ended);
            field::row(&mut out, columns::count(columns::REPEATED));
            field::int4(&mut out, number);
            field::int8(&mut out, peer.id);
            field::bytea(&mut out, self.kept(&waiting.key));
            field::timestamp(&mut out, waiting.position.session);
            field::int8(&mut out, i64::from(waiting.position.generation));
            field::int8(&mut out, seq_number(waiting.position.seq));
            field::int4(&mut out, waiting.position.index);
            field::optional(&mut out, waiting.attributes, field::uuid);
            field::int8(&mut out, valid.session);
            field::int8(&mut out, valid.generation);
            out.extend_from_slice(self.kept(&waiting.nlri_block));
        }
        out.extend_from_slice(field::TRAILER);
        out.into()
    }

    /// The COPY bytes of history for the routes of these numbers; empty when there are none.
    pub(in crate::sink) fn rows(&self, numbers: &[i32]) -> Bytes {
        if numbers.is_empty() {
            return Bytes::new();
        }
        let mut out = field::HEADER.to_vec();
        for number in numbers {
            let waiting = usize::try_from(*number).ok().and_then(|number| self.waiting.get(number));
            if let Some(waiting) = waiting {
                out.extend_from_slice(self.kept(&waiting.row));
            }
        }
        out.extend_from_slice(field::TRAILER);
        out.into()
    }
}
