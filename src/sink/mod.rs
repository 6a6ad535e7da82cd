//! The database side: rows, transactions, migrations.
//!
//! ```text
//! Batch ─► Chunk (pure: history as COPY bytes, peers and routes folded) ─► Sealed
//!                                                                            │ Connection::store
//!   BEGIN · fence · peers · COPY history, events · COPY attributes, staging · what a re-dump changes: COPY history ·
//!   merge · ledger + checkpoint · COMMIT
//! ```
//!
//! One transaction covers a contiguous range of one log and the rows of one lane. The server itself refuses it unless
//! this lane is held by this process and stands just before the range; after any error the connection is dropped, and
//! only the checkpoint row says what was stored.

mod binary;
mod chunk;
pub mod columns;
mod copy;
mod decide;
mod lanes;
mod maintain;
mod migrate;
mod peers;
mod postgres;
mod repeats;
mod rib;
mod sealed;
mod statements;
mod target;
mod tls;

pub use chunk::{Chunk, Inconsistent};
pub use decide::{Decision, decide, decide_error};
pub use lanes::{Lane, lane_of, uuid_text};
pub use maintain::{Retention, maintain};
pub use migrate::{MigrateError, Migration, migrate, migrations};
pub use postgres::{Attached, Connection, Error, lanes_of};
pub use sealed::{Counts, Sealed};
pub use target::{Target, TargetError};
pub use tls::{SslMode, TlsError};
