//! A transaction that is ready to be sent: COPY streams and statement arguments. Pure.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::num;
use crate::route::Timestamp;
use crate::sink::copy::{CopyRows, TableBuffer};

use super::dedup::{CandidateRows, DedupCandidates};
use super::error::EncodeError;
use super::peers::PeerArguments;
use super::referenced::{AttributeSets, SetUse};
use super::rejected::rows::DroppedRecords;
use super::rib::{InitialLoad, RibChanges, RibRows};
use super::route_event::StoredPeers;

/// Numbers of records in a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionCounts {
    /// Announcements and withdrawals.
    pub routes: u64,
    /// Events, statistics and gap records.
    pub events: u64,
    /// Unreadable ranges of the log.
    pub gaps: u64,
    /// Routes and events of quarantined sources, which the other numbers include.
    pub quarantined: u64,
    /// Those of them that become a gap, because `rejected_routes` has reached its maximum size.
    pub dropped: u64,
}

/// An unreadable range of the log.
pub(crate) struct LogGap {
    /// First sequence number of the range.
    pub(crate) from: u64,
    /// Last sequence number of the range.
    pub(crate) to: u64,
    /// Reason, as stored in `collector_gaps`.
    pub(crate) reason: String,
}

/// The records of one lane from a contiguous range of the log, encoded. It can be sent any number of times.
pub struct Transaction {
    /// Sequence number of the first batch.
    pub first_seq: u64,
    /// Sequence number of the last batch.
    pub last_seq: u64,
    /// [`digest`](crate::sink::digest) of the batch at `last_seq`; 0 if it is unreadable.
    pub digest: u64,
    /// Sequence number up to which all other dump lanes must have delivered before: the greatest
    /// [`Batch::after`](crate::route::Batch::after).
    pub after: u64,
    /// Checkpoints of other lanes that the transaction relies on: lane, and the sequence number that it must
    /// have delivered. Set by the caller.
    pub order: Vec<(u32, u64)>,
    /// Numbers of records.
    pub counts: TransactionCounts,
    /// Time at which the last record was received; 0 if there are no records.
    pub received: Timestamp,
    /// Rows of `route_records`, without those in `dedup`.
    pub(crate) routes: CopyRows,
    /// Routes whose history row depends on the current table.
    pub(crate) dedup: Arc<DedupCandidates>,
    /// Rows of `peer_events`.
    pub(crate) events: Bytes,
    /// Rows of `peer_stats`.
    pub(crate) statistics: Bytes,
    /// Rows of `collector_gaps` that are records of the log.
    pub(crate) gaps: Bytes,
    /// Rows of `rejected_routes`: the records of quarantined sources.
    pub(crate) rejected: CopyRows,
    /// Records of quarantined sources that are not stored.
    pub(crate) dropped: Vec<DroppedRecords>,
    /// Number of routes in `rejected` and `dropped`.
    pub(crate) rejected_routes: u64,
    /// Unreadable ranges of the log.
    pub(crate) log_gaps: Vec<LogGap>,
    /// Whether the rows of `route_records` have their attributes themselves.
    pub(crate) is_whole: bool,
    /// Attribute sets of history and of the current table.
    pub(crate) attributes: AttributeSets,
    /// Rows of `incarnations`.
    pub(crate) incarnations: Bytes,
    /// Arguments of `holdfast_merge_peers`.
    pub(crate) peers: PeerArguments,
    /// Argument of `holdfast_merge_routers`; `None` unless the lane owns the routers.
    pub(crate) routers: Option<Value>,
    /// Changes of the current table.
    pub(crate) rib: Arc<RibChanges>,
}

impl Transaction {
    /// Number of records, each of which is at most one history row.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.counts.routes + self.counts.events + self.counts.gaps
    }

    /// The COPY streams of `route_records`, `attribute_sets` and `incarnations`, without the rows that depend
    /// on the current table: for measurements.
    ///
    /// # Errors
    /// An attribute set refers to missing bytes.
    pub fn history_bytes(&self) -> Result<[Bytes; 3], EncodeError> {
        Ok([self.routes.bytes.clone(), self.attributes.rows(&[])?, self.incarnations.clone()])
    }
}

/// The rows of a transaction that contain peer ids, encoded once the database has assigned these.
pub(crate) struct ResolvedRows {
    /// Rows of the current table that the merge has to look up.
    pub(crate) staged: CopyRows,
    /// Rows of the current table that cannot be there yet.
    pub(crate) new: CopyRows,
    /// Rows of `swept_routes`.
    pub(crate) swept: CopyRows,
    /// Rows of `dedup_candidates`.
    pub(crate) dedup: CopyRows,
    /// Rows of `route_records` of candidates whose route cannot be in the current table.
    pub(crate) history: CopyRows,
    /// Attribute sets that these rows refer to.
    pub(crate) set_uses: Vec<SetUse>,
    /// Number of candidates that the server compares with the current table.
    pub(crate) compared: u64,
}

impl ResolvedRows {
    /// Encodes the rows. Without `initial_load`, all changes of the current table are staged.
    ///
    /// # Errors
    /// A peer has no id, or a row refers to missing bytes.
    pub(crate) fn encode(
        rib: &RibChanges,
        dedup: &DedupCandidates,
        peers: &StoredPeers,
        initial_load: Option<&InitialLoad>,
    ) -> Result<Self, EncodeError> {
        let RibRows { staged, new, swept, look_ups } = rib.encode(peers, dedup.len(), initial_load)?;
        let CandidateRows { rows, history, set_uses } = dedup.encode(peers, &look_ups)?;
        let compared = num::to_u64(dedup.len()) - history.rows;
        let [staged, new, swept] = [staged, new, swept].map(TableBuffer::finish);
        Ok(Self { staged, new, swept, dedup: rows, history, set_uses, compared })
    }
}
