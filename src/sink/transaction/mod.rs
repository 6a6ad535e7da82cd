//! One transaction of the drain, before it is sent: records are collected, folded and encoded. Pure: no I/O.
//!
//! * `builder`: collects the records of one lane from consecutive batches of the log
//! * `transaction`: the immutable result, which can be sent any number of times
//! * `route_event`: a route event with its position, and the peers that the database has ids for
//! * `rib`: the changes of the current table, one per route; routes that it cannot have yet
//! * `dedup`: announcements whose history row is needed only if the route has changed
//! * `referenced`: attribute sets and incarnations, which history rows refer to
//! * `peers`, `routers`: the state changes of peers and routers, one row each
//! * `rejected`: quarantined sources, and the records of a rejected transaction
//! * `digest`: hashes of batches and attribute sets
//! * `error`: an inconsistent batch or transaction

mod builder;
mod dedup;
mod digest;
mod error;
mod peers;
mod referenced;
mod rejected;
mod rib;
mod route_event;
mod routers;
#[expect(clippy::module_inception, reason = "the file has the name of its type")]
mod transaction;

pub use builder::TransactionBuilder;
pub use dedup::Dedup;
pub use digest::digest;
pub use error::{EncodeError, InconsistentBatch};
pub(super) use peers::PeerArguments;
pub(super) use referenced::SetUse;
pub use rejected::quarantine::{Cause, Quarantine, Source};
pub use rejected::record_range::RecordRange;
pub(super) use rejected::rows::RejectedRows;
pub(super) use rib::InitialLoad;
pub(super) use route_event::{StoredIncarnation, StoredPeer, StoredPeers};
pub(super) use transaction::ResolvedRows;
pub use transaction::{Transaction, TransactionCounts};
