//! Settings of the delivery.

use std::path::PathBuf;
use std::time::Duration;

use crate::sink::{Dedup, DirectCompress, Retention, Target};

/// How the log is delivered.
#[derive(Clone, Debug)]
pub struct Options {
    /// Number of lanes of each class (DRAIN_LANES). `None` keeps the number of a log that the database has a
    /// checkpoint of, and is 2 for another one.
    pub lanes: Option<u32>,
    /// Number of rows at which a transaction is stored (DRAIN_MAX_ROWS).
    pub rows_max: u64,
    /// Longest time that a record waits for further ones before its transaction is stored
    /// (DRAIN_MAX_DELAY_MS).
    pub delay: Duration,
    /// Announcements that add history only if they change their route (HISTORY_DEDUP).
    pub dedup: Dedup,
    /// Whether history is written compressed (HISTORY_DIRECT_COMPRESS).
    pub direct_compress: DirectCompress,
    /// Size of `rejected_routes` in bytes at which records of quarantined sources become a gap.
    pub rejected_max_bytes: u64,
    /// Chunk interval of hypertables that are created, in days (CHUNK_INTERVAL_DAYS).
    pub chunk_interval_days: u32,
    /// Age at which maintenance drops history.
    pub retention: Retention,
    /// Age in days at which maintenance removes peers that are not up from the current table
    /// (FORGET_AFTER_DAYS); `None` keeps them.
    pub forget_after_days: Option<u32>,
    /// Maximum number of pooled connections, which maintenance uses (DB_POOL_MAX_SIZE).
    pub pool_size_max: usize,
    /// Directory of the log's segments, where the marker files are. If `None`, no marker file is read or
    /// written, and a fork gets a new id at every start.
    pub directory: Option<PathBuf>,
}

/// Settings that may be replaced while the delivery runs. Of the options, `lanes`, `dedup`,
/// `chunk_interval_days` and `directory` are those at the start; the target applies to new connections.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How the log is delivered.
    pub options: Options,
    /// The database.
    pub target: Target,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lanes: None,
            rows_max: 10_000,
            delay: Duration::from_millis(500),
            dedup: Dedup::default(),
            direct_compress: DirectCompress::default(),
            rejected_max_bytes: 4 << 30,
            chunk_interval_days: 7,
            retention: Retention::default(),
            forget_after_days: None,
            pool_size_max: 4,
            directory: None,
        }
    }
}
