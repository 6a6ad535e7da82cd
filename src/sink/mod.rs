//! The database side: rows, transactions, migrations.
//!
//! ```text
//! Batch ─► TransactionBuilder (pure: history as COPY bytes, peers and routes folded) ─► Transaction
//!                                                                            │ Connection::store
//!   BEGIN · fence · peers · COPY history, events · COPY attributes, staging · what a re-dump changes: COPY history ·
//!   COPY what is new, merge the rest · ledger + checkpoint · COMMIT
//! ```
//!
//! One transaction covers a contiguous range of one log and the rows of one lane. The server itself refuses it unless
//! this lane is held by this process and stands just before the range; after any error the connection is dropped, and
//! only the checkpoint row says what was stored.

mod admin;
mod connection;
mod copy;
mod error;
mod error_policy;
mod lanes;
mod query;
mod transaction;

pub use admin::fork::{Checkpoint, begin_fork, checkpoints, digests};
pub use admin::maintain::{Retention, maintain};
pub use admin::migrate::{Applied, MigrateError, Migration, migrate, migrations};
pub use admin::rebuild::{RouteComparison, rebuild_state};
pub use admin::rejected::{RetryCounts, retry_rejected};
pub use connection::store::{Attached, Connection};
pub use connection::target::{Target, TargetError};
pub use connection::tls::{SslMode, TlsError, TlsFiles};
pub use copy::columns;
pub use error::Error;
pub use error_policy::{ErrorAction, action_for_error, action_for_sqlstate};
pub use lanes::{Lane, lane_of, uuid_text};
pub use query::catalogue::{BoundQuery, Parameter, QUERIES, Query, QueryError, Rows, Shape, run_query};
pub use query::rpki::{LoadCounts, Vrp, VrpError, load_vrps, parse_vrps};
pub use tokio_postgres::Client;
pub use transaction::builder::{InconsistentBatch, TransactionBuilder, digest};
pub use transaction::record_range::RecordRange;
pub use transaction::sealed::{Transaction, TransactionCounts};
