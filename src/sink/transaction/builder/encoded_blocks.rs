//! What the rows of one batch have in common, computed when it is first needed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::route::{Batch, PathMarking, Timestamp};
use crate::sink::transaction::rejected::quarantine::Cause;

/// What the rows of one batch have in common.
pub(super) struct EncodedBlocks {
    /// By index of the peer in the batch.
    pub(super) peers: Vec<Option<PeerBlock>>,
    /// Hash of each attribute set, by its index in the batch.
    pub(super) attributes: Vec<Option<[u8; 16]>>,
    /// Hash of each attribute set with a path marking, by its index in the batch.
    pub(super) marked: HashMap<(u16, PathMarking), [u8; 16]>,
    /// Buffer for encoding, reused.
    pub(super) buffer: Vec<u8>,
}

/// A peer, and a summary of its routes in the batch.
#[derive(Clone)]
pub(super) struct PeerBlock {
    /// Whether the lane stores the peer's routes: it owns the peer, which is not quarantined. If not, the
    /// fields from `view_index` on have no meaning.
    pub(super) is_stored: bool,
    /// Why the peer's routes go to `rejected_routes`; `None` if they do not.
    pub(super) quarantined: Option<Arc<Cause>>,
    /// Index of the RIB view in the transaction.
    pub(super) view_index: u32,
    /// Key of the row of `incarnations`.
    pub(super) incarnation: [u8; 16],
    /// Time of the first route.
    pub(super) first: Timestamp,
    /// Time of the last route.
    pub(super) last: Timestamp,
    pub(super) announced: u64,
    pub(super) withdrawn: u64,
}

impl EncodedBlocks {
    pub(super) fn new(batch: &Batch) -> Self {
        Self {
            peers: vec![None; batch.peers.len()],
            attributes: vec![None; batch.attributes.len()],
            marked: HashMap::new(),
            buffer: Vec::new(),
        }
    }
}
