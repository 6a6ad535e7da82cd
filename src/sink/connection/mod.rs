//! The database connection of a lane.
//!
//! * `target`: the address of the database, its TLS settings, and how connections to it are opened
//! * `pipeline`: statements and COPY streams that are sent without waiting for the responses before them
//! * `query_pool`: a few connections for the queries of the HTTP server
//! * `attach`: a connection that holds a lane
//! * `store`: stores one transaction
//! * `direct_compress`: whether the server writes its history compressed
//! * `isolate`, `bisect`: stores a transaction whose rows the server rejects, without the rejected records
//! * `statements`: the SQL statements of a lane; longer ones are files in `sql/`
//! * `stored_peers`: the reply of `holdfast_merge_peers`
//! * `known_peers`: peers whose state is known from the transactions before
//! * `shared_peers`: peers that several lanes store or remember

mod attach;
mod bisect;
mod direct_compress;
mod isolate;
mod known_peers;
mod pipeline;
mod query_pool;
mod shared_peers;
mod statements;
mod store;
mod stored_peers;
mod target;

pub use attach::{Attached, Connection};
pub use direct_compress::{DirectCompress, HistoryStorage};
pub(super) use direct_compress::{HAS_COLUMNSTORE, HAS_HYPERTABLES};
pub(super) use isolate::rejection;
pub use isolate::{Isolated, Offender};
pub(super) use pipeline::Typed;
pub use query_pool::{QueryConnection, QueryPool, Unreachable};
pub use shared_peers::SharedPeers;
pub use target::{SslMode, Target, TargetError, TlsError, TlsFiles};
