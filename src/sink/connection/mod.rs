//! The database connection of a lane.
//!
//! * `target`, `tls`: the address of the database, its TLS settings, and how connections to it are opened
//! * `pooler`: refuses a connection through a pooler that shares server processes
//! * `query_pool`: a few connections for the queries of the HTTP server
//! * `attach`: a connection that holds a lane
//! * `store`: stores one transaction
//! * `isolate`, `bisect`: stores a transaction whose rows the server rejects, without the rejected records
//! * `statements`: the SQL statements of a lane; longer ones are files in `sql/`
//! * `stored_peers`: the reply of `holdfast_merge_peers`

mod attach;
mod bisect;
mod isolate;
mod pooler;
mod query_pool;
mod statements;
mod store;
mod stored_peers;
mod target;
mod tls;

pub use attach::{Attached, Connection};
pub(super) use isolate::rejection;
pub use isolate::{Isolated, Offender};
pub use query_pool::{QueryConnection, QueryPool, Unreachable};
pub use target::{Target, TargetError};
pub use tls::{SslMode, TlsError, TlsFiles};
