//! Column blocks of one batch, which are copied into its rows.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::route::{Batch, PathMarking, Timestamp};
use crate::sink::transaction::rejected::quarantine::Cause;

/// Column blocks of one batch, each encoded when it is first needed.
pub(super) struct EncodedBlocks {
    pub(super) bytes: Vec<u8>,
    /// By index of the peer in the batch.
    pub(super) peers: Vec<Option<PeerBlock>>,
    /// By index of the attribute set in the batch.
    pub(super) attributes: Vec<Option<AttributeBlock>>,
    /// Attribute sets with a path marking, by their index in the batch.
    pub(super) marked: HashMap<(u16, PathMarking), AttributeBlock>,
}

/// The encoded columns of a peer, and a summary of its routes in the batch.
#[derive(Clone)]
pub(super) struct PeerBlock {
    /// Whether the lane stores the peer's routes: it owns the peer, which is not quarantined. If not, the
    /// fields from `view_index` on have no meaning.
    pub(super) is_stored: bool,
    /// Why the peer's routes go to `rejected_routes`; `None` if they do not.
    pub(super) quarantined: Option<Arc<Cause>>,
    /// Index of the RIB view in the transaction.
    pub(super) view_index: u32,
    /// Range of [`EncodedBlocks::bytes`].
    pub(super) range: Range<usize>,
    /// Time of the first route.
    pub(super) first: Timestamp,
    /// Time of the last route.
    pub(super) last: Timestamp,
    pub(super) announced: u64,
    pub(super) withdrawn: u64,
}

/// The encoded columns of an attribute set.
#[derive(Clone)]
pub(super) struct AttributeBlock {
    /// Range of [`EncodedBlocks::bytes`].
    pub(super) range: Range<usize>,
    /// Key in `path_attributes`.
    pub(super) hash: [u8; 16],
}

impl EncodedBlocks {
    pub(super) fn new(batch: &Batch) -> Self {
        Self {
            bytes: Vec::new(),
            peers: vec![None; batch.peers.len()],
            attributes: vec![None; batch.attributes.len()],
            marked: HashMap::new(),
        }
    }
}
