//! Copies the history of pybmpmon into the tables of Holdfast.
//!
//! ```text
//! tables of pybmpmon ─► rows ─► Batch ─► TransactionBuilder ─► Connection::store
//!   (one snapshot)     convert  batches                        fence, rows, checkpoint in one transaction
//! ```
//!
//! The rows are stored like those of a router: as batches of an artificial log, of a collector of its own
//! (`pybmpmon`). So the checkpoint of the log makes the import resumable, and no row is stored twice. Each
//! run reads all rows, because only their order identifies a batch, and stores the batches after the
//! checkpoint. The id of a log contains the end of its time range ([`Window`]): rows that pybmpmon adds after
//! an import belong to the log of a later one.

mod batches;
mod community;
mod convert;
mod report;
mod run;
mod source;

use std::collections::BTreeMap;
use std::net::IpAddr;

use tokio_postgres::Client;

use crate::codec;
use crate::log_id::LogId;
use crate::route::Timestamp;
use crate::sink::connection::Target;
use crate::sink::error::{Error, describe};
use crate::sink::transaction::InconsistentBatch;

pub use report::{ImportReport, ImportedRouter};

use run::Run;
use source::Source;

/// First half of the ids of the logs of an import.
const LOG_PREFIX: [u8; 8] = *b"pybmpmon";

/// An import to be run.
#[derive(Clone, Copy, Debug)]
pub struct ImportRequest<'a> {
    /// Database with the tables of pybmpmon.
    pub source: &'a Target,
    /// Schema of these tables.
    pub schema: &'a str,
    /// Database of Holdfast, with its schema.
    pub target: &'a Target,
    /// Collector under which the history is stored.
    pub collector: &'a str,
    /// Configured router names by source address.
    pub router_names: &'a BTreeMap<IpAddr, String>,
    /// Number of rows at which a transaction is stored.
    pub rows_max: u64,
    /// Read and convert all rows, and store nothing.
    pub dry_run: bool,
}

/// Why an import failed. What was stored before remains, and a further run continues after it.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A database cannot be reached.
    #[error("cannot connect to the database at {server}: {source}")]
    Connection {
        /// Server, user and database.
        server: String,
        /// Error of the connection.
        source: Error,
    },
    /// The source cannot be read.
    #[error("reading the database of pybmpmon: {}", describe(.0))]
    Source(#[source] tokio_postgres::Error),
    /// The target cannot be read.
    #[error("reading the database of Holdfast: {}", describe(.0))]
    Target(#[source] tokio_postgres::Error),
    /// The rows cannot be stored.
    #[error("storing rows: {0}; run the command again to continue")]
    Store(#[from] Error),
    /// The source has no tables of pybmpmon.
    #[error(
        "no tables of pybmpmon in schema {schema}: {found}; name its database with --from and its schema \
         with --schema"
    )]
    NoTables {
        /// The schema.
        schema: String,
        /// What was found instead.
        found: String,
    },
    /// The address of a router is not an IP address.
    #[error("invalid router address \"{0}\" in the tables of pybmpmon")]
    Router(String),
    /// The collector has delivered a log of its own.
    #[error("the collector \"{0}\" has delivered routes of routers; choose another name with --collector")]
    CollectorInUse(String),
    /// The source differs from that of an earlier run.
    #[error(
        "the tables of pybmpmon differ from those of an earlier import under the collector \"{collector}\": \
         {found}. Nothing was stored. Stop pybmpmon and its retention before an import, and import another \
         database under another name (--collector)"
    )]
    SourceChanged {
        /// The collector.
        collector: String,
        /// The difference.
        found: String,
    },
    /// The checkpoint is not where it was when this run began.
    #[error(
        "another import under the same collector has stored batches up to {last_seq} meanwhile; run the \
         command again when it has ended"
    )]
    CheckpointMoved {
        /// Sequence number of the last stored batch.
        last_seq: u64,
    },
    /// A batch could not be encoded; a defect of this program.
    #[error("encoding a batch: {0}")]
    Encode(#[from] codec::Error),
    /// A batch is inconsistent; a defect of this program.
    #[error("building a transaction: {0}")]
    Inconsistent(#[from] InconsistentBatch),
}

async fn connect(target: &Target) -> Result<Client, ImportError> {
    let server = || target.description();
    target.connect().await.map_err(|source| ImportError::Connection { server: server(), source })
}

/// A time range of the source, which is imported as one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    /// End of the range before, which this one does not include; `None` for the first range.
    after: Option<Timestamp>,
    /// End of the range, which it includes.
    until: Timestamp,
}

impl Window {
    /// Lower bound as a parameter of a query: without one, 4714 BC, the earliest timestamp of PostgreSQL.
    const fn after(self) -> i64 {
        match self.after {
            Some(time) => time.0,
            None => -210_866_803_200_000_000,
        }
    }

    /// Id of the log.
    fn log_id(self) -> LogId {
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(LOG_PREFIX.into_iter().chain(self.until.0.to_be_bytes())) {
            *to = from;
        }
        LogId(id)
    }

    /// The end of the range of a log; `None` if it is not one of an import.
    fn until_of(log_id: LogId) -> Option<Timestamp> {
        let (prefix, end) = log_id.0.split_first_chunk::<8>()?;
        let until = i64::from_be_bytes(end.try_into().ok()?);
        (*prefix == LOG_PREFIX).then_some(Timestamp(until))
    }
}

/// A log of an earlier run.
#[derive(Clone, Copy, Debug)]
struct StoredLog {
    until: Timestamp,
    last_seq: u64,
    digest: u64,
}

/// Imports the history. `progress` is called after each transaction, and in a dry run after each day.
///
/// # Errors
/// See [`ImportError`].
pub async fn import_pybmpmon(
    request: ImportRequest<'_>,
    progress: &mut dyn FnMut(&ImportReport),
) -> Result<ImportReport, ImportError> {
    let client = connect(request.source).await?;
    let source = Source::open(client, request.schema).await?;
    let target = connect(request.target).await?;
    let stored = stored_logs(&target, request.collector).await?;
    drop(target);
    let last = source.last_time().await.map_err(ImportError::Source)?;
    let mut report = ImportReport::default();
    for (window, log) in windows(&stored, last) {
        Run::new(request, &source, window, log, &mut report, progress).window().await?;
    }
    Ok(report)
}

/// The time ranges of earlier runs with their logs, and the range of the rows after them.
fn windows(stored: &[StoredLog], last: Option<Timestamp>) -> Vec<(Window, Option<StoredLog>)> {
    let mut after = None;
    let mut windows = Vec::new();
    for log in stored {
        windows.push((Window { after, until: log.until }, Some(*log)));
        after = Some(log.until);
    }
    if let Some(until) = last.filter(|last| after.is_none_or(|after| *last > after)) {
        windows.push((Window { after, until }, None));
    }
    windows
}

/// The logs of earlier runs, in the order of their time ranges. None if the database has no schema yet.
async fn stored_logs(client: &Client, collector: &str) -> Result<Vec<StoredLog>, ImportError> {
    let exists = "SELECT to_regclass('ingest_checkpoint') IS NOT NULL";
    let row = client.query_one(exists, &[]).await.map_err(ImportError::Target)?;
    if !row.try_get::<_, bool>(0).map_err(ImportError::Target)? {
        return Ok(Vec::new());
    }
    let sql = "SELECT log_id, last_seq, digest FROM ingest_checkpoint WHERE collector = $1";
    let mut logs = Vec::new();
    for row in client.query(sql, &[&collector]).await.map_err(ImportError::Target)? {
        let log_id: uuid::Uuid = row.try_get(0).map_err(ImportError::Target)?;
        let Some(until) = Window::until_of(log_id.into()) else {
            return Err(ImportError::CollectorInUse(collector.to_owned()));
        };
        let last_seq: i64 = row.try_get(1).map_err(ImportError::Target)?;
        let digest: i64 = row.try_get(2).map_err(ImportError::Target)?;
        logs.push(StoredLog {
            until,
            last_seq: last_seq.max(0).cast_unsigned(),
            digest: digest.cast_unsigned(),
        });
    }
    logs.sort_by_key(|log| log.until);
    Ok(logs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_the_end_of_its_range_in_its_id() {
        let window = Window { after: None, until: Timestamp(1_700_000_000_000_000) };
        assert_eq!(Window::until_of(window.log_id()), Some(window.until));
        assert_eq!(Window::until_of(LogId([7; 16])), None);
    }

    #[test]
    fn a_window_follows_on_the_one_before() {
        let log = |until| StoredLog { until: Timestamp(until), last_seq: 1, digest: 1 };
        let window =
            |after: Option<i64>, until| Window { after: after.map(Timestamp), until: Timestamp(until) };
        let found = |stored: &[StoredLog], last: Option<i64>| -> Vec<Window> {
            windows(stored, last.map(Timestamp)).into_iter().map(|(window, _)| window).collect()
        };
        assert_eq!(found(&[], None), []);
        assert_eq!(found(&[], Some(5)), [window(None, 5)]);
        assert_eq!(found(&[log(5)], Some(5)), [window(None, 5)]);
        assert_eq!(
            found(&[log(5), log(8)], Some(9)),
            [window(None, 5), window(Some(5), 8), window(Some(8), 9)]
        );
    }
}
