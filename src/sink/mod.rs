//! Delivery to the database: rows, transactions, migrations and queries.
//!
//! ```text
//! Batch ─► TransactionBuilder (pure: history encoded for COPY; peers and routes folded) ─► Transaction
//!                                                                             │ Connection::store
//!   BEGIN · fence · merge peers · COPY history and events · COPY attribute sets and staged routes ·
//!   COPY history of changed routes · COPY new routes, merge staged ones ·
//!   ledger + checkpoint · COMMIT
//! ```
//!
//! One transaction stores the records of one lane from a contiguous range of one log. The server rejects it
//! unless this process holds the lane and the lane's checkpoint is just before the range. After any error the
//! connection is dropped, and only the checkpoint shows whether the transaction was stored.
//!
//! * `lanes`: assigns peers to lanes
//! * `layout`: the schema of all objects
//! * `copy`: encodes rows in binary COPY format
//! * `transaction`: collects the records of a transaction
//! * `connection`: connects, attaches to a lane and stores transactions
//! * `error`, `error_reply`, `error_policy`: errors, and the reaction to each
//! * `admin`: migrations, maintenance, repairs, rejected records, forked logs, import
//! * `query`: the catalogue of queries, and RPKI data

mod admin;
mod connection;
mod copy;
mod error;
mod error_policy;
mod error_reply;
mod lanes;
mod layout;
mod query;
mod remedy;
mod transaction;

pub use admin::examine::{Examination, SchemaState, examine};
pub use admin::forget::{ForgetError, ForgetRequest, ForgottenPeer, forget, forget_older};
pub use admin::fork::{
    Checkpoint, StoredBatch, StoredRoute, begin_fork, change_lanes, checkpoints, digests, log_ids,
    stored_batches, stored_routes,
};
pub use admin::import_pybmpmon::{ImportError, ImportReport, ImportRequest, ImportedRouter, import_pybmpmon};
pub use admin::maintain::{
    MaintenanceError, Retention, ServerVersions, maintain, report_currency, server_versions,
};
pub use admin::migrate::{Applied, MigrateError, Migration, PublicViews, SkippedView, migrate, migrations};
pub use admin::rebuild::{RouteComparison, rebuild_state};
pub use admin::rejected::{RetryCounts, retry_rejected};
pub use connection::{
    Attached, Connection, DirectCompress, HistoryStorage, Isolated, Offender, QueryConnection, QueryPool,
    SharedPeers, SslMode, Target, TargetError, TlsError, TlsFiles, Unreachable,
};
pub use copy::columns;
pub use error::{Error, explain, explain_reply};
pub use error_policy::{ErrorAction, action_for_error, action_for_sqlstate};
pub use error_reply::ErrorReply;
pub use lanes::{Lane, lane_of};
pub use layout::{InvalidSchemaName, Layout, SchemaName};
pub use query::bind::{BoundQuery, QueryError};
pub use query::catalogue::{Parameter, QUERIES, Query};
pub use query::kind::Kind;
pub use query::rpki::{LoadCounts, Vrp, VrpError, load_vrps, parse_vrps};
pub use query::run::{PreparedQuery, ResultColumn, Rows, RunOptions, Shape, prepare_query, run_query};
pub use query::text::{append_csv, append_csv_header, append_json, count_line};
pub use tokio_postgres::Client;
pub use transaction::{
    Cause, Dedup, EncodeError, InconsistentBatch, Quarantine, RecordRange, Source, Transaction,
    TransactionBuilder, TransactionCounts, digest,
};
