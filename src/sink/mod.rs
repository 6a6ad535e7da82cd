//! The database side: rows, transactions, migrations.
//!
//! ```text
//! Batch ─► Chunk (pure: history as COPY bytes, peers and routes folded) ─► Sealed
//!                                                                            │ Connection::store
//!   BEGIN · fence · peers · COPY history, events · COPY attributes, staging · what a re-dump changes: COPY history ·
//!   COPY what is new, merge the rest · ledger + checkpoint · COMMIT
//! ```
//!
//! One transaction covers a contiguous range of one log and the rows of one lane. The server itself refuses it unless
//! this lane is held by this process and stands just before the range; after any error the connection is dropped, and
//! only the checkpoint row says what was stored.

mod answers;
mod binary;
mod bisect;
mod chunk;
pub mod columns;
mod copy;
mod decide;
mod error;
mod first_tables;
mod fork;
mod isolate;
mod lanes;
mod maintain;
mod migrate;
mod peers;
mod postgres;
mod rebuild;
mod rejected;
mod repeats;
mod rib;
mod rpki;
mod sealed;
mod span;
mod statements;
mod target;
mod tls;

pub use answers::{Answer, AnswerError, Call, Parameter, QUERIES, Query, Shape, ask};
pub use chunk::{Chunk, Inconsistent, digest};
pub use decide::{Decision, decide, decide_error};
pub use error::Error;
pub use fork::{Checkpoint, begin_fork, checkpoints, digests};
pub use lanes::{Lane, lane_of, uuid_text};
pub use maintain::{Retention, maintain};
pub use migrate::{MigrateError, Migration, migrate, migrations};
pub use postgres::{Attached, Connection};
pub use rebuild::{Verdict, rebuild_state};
pub use rejected::{Retried, retry};
pub use rpki::{Loaded, Vrp, VrpError, load_vrps, parse_vrps};
pub use sealed::{Counts, Sealed};
pub use span::Span;
pub use target::{Target, TargetError};
pub use tls::{SslMode, TlsError, TlsFiles};
pub use tokio_postgres::Client;
