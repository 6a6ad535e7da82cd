//! Command line of `walctl`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use holdfast::manual::Documents;

use crate::filter::Filter;
use crate::help;

/// Inspect, verify, export and salvage the write-ahead log of a running or stopped collector.
///
/// All commands except salvage, repair, drain and bench only read; they take no lock and may run beside the
/// daemon.
#[derive(Debug, Parser)]
#[command(name = "walctl", version, after_help = help::WALCTL, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the segments, one line each
    #[command(after_help = help::LIST)]
    List(Directory),
    /// Show size, sequence range, growth and backlog of the log
    #[command(after_help = help::STAT)]
    Stat(Stat),
    /// Verify the checksums of the log
    #[command(after_help = help::VERIFY)]
    Verify(Verify),
    /// Print the records
    #[command(after_help = help::DUMP)]
    Dump(Dump),
    /// Export the records as CSV or MRT
    #[command(after_help = help::EXPORT)]
    Export(Export),
    /// Copy all readable batches of a damaged log into a new directory
    #[command(after_help = help::SALVAGE)]
    Salvage(Salvage),
    /// Run the daemon's crash recovery without starting it
    #[command(after_help = help::REPAIR)]
    Repair(Repair),
    /// Deliver a log to the database without the daemon
    #[command(after_help = help::DRAIN)]
    Drain(Drain),
    /// Compare the log with its delivery state in the database
    #[command(after_help = help::DIFF)]
    Diff(Diff),
    /// List, show and retry records that the database rejected
    #[command(subcommand, after_help = help::REJECTED)]
    Rejected(Rejected),
    /// Measure the sync latency of a disk and the append rate of the log
    #[command(after_help = help::BENCH)]
    Bench(Bench),
    #[command(flatten)]
    Documents(Documents),
}

#[derive(Debug, Args)]
pub(crate) struct Directory {
    /// Directory of the log (WAL_DIR)
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// A database, and the collector whose log is meant.
#[derive(Clone, Debug, Args)]
pub(crate) struct Database {
    /// Database URL, as in DATABASE_URL. Without a password in it: DB_PASSWORD, DB_PASSWORD_FILE, PGPASSWORD,
    /// PGPASSFILE or ~/.pgpass. The schema is that of the variable DB_SCHEMA (default: holdfast)
    #[arg(long = "to", value_name = "URL")]
    pub(crate) url: String,
    /// Collector that owns the log (COLLECTOR_ID). Default: the only collector that has delivered this log
    #[arg(long, value_name = "ID")]
    pub(crate) collector: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Stat {
    #[command(flatten)]
    pub(crate) log: Directory,
    /// Also show the backlog of the database at this URL. Without a password in it: DB_PASSWORD,
    /// DB_PASSWORD_FILE, PGPASSWORD, PGPASSFILE or ~/.pgpass
    #[arg(long = "to", value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Collector that owns the log (COLLECTOR_ID). Default: the only collector that has delivered this log
    #[arg(long, value_name = "ID", requires = "url")]
    pub(crate) collector: Option<String>,
    /// Size limit of the log (WAL_MAX_BYTES), for the time until it is full
    #[arg(long, alias = "bytes-max", value_name = "BYTES", default_value_t = 10 << 30)]
    pub(crate) max_bytes: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) log: Directory,
    /// Check every byte of every segment, not only the headers and the last segment
    #[arg(long)]
    pub(crate) deep: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Dump {
    #[command(flatten)]
    pub(crate) log: Directory,
    /// Print one line per batch and gap instead of the records
    #[arg(long, conflicts_with = "json")]
    pub(crate) batches: bool,
    /// Wait for new batches and print them, until interrupted
    #[arg(long, short)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// RFC 4180 CSV with a header row, one line per record
    Csv,
    /// MRT BGP4MP_ET messages (RFC 6396)
    Mrt,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Directory of the log (WAL_DIR)
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Output format
    #[arg(long, value_enum)]
    pub(crate) format: Format,
    /// Output file, which must not exist yet. Default: standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

#[derive(Debug, Args)]
pub(crate) struct Salvage {
    /// Directory of the damaged log
    #[arg(value_name = "SRC")]
    pub(crate) source: PathBuf,
    /// Directory for the copy; created if missing, and must not contain a log
    #[arg(value_name = "DST")]
    pub(crate) target: PathBuf,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Repair {
    #[command(flatten)]
    pub(crate) log: Directory,
    /// Recover the log; without this option only the planned change is reported
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Drain {
    #[command(flatten)]
    pub(crate) log: Directory,
    #[command(flatten)]
    pub(crate) database: Database,
    /// Deliver a log that has diverged (copied or restored) under a new log id, starting after the last batch
    /// that is known to be the same in the database
    #[arg(long)]
    pub(crate) fork: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    #[command(flatten)]
    pub(crate) log: Directory,
    #[command(flatten)]
    pub(crate) database: Database,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Rejected {
    /// List the rejected records, one line each
    #[command(after_help = help::REJECTED_LIST)]
    List(RejectedList),
    /// Show one rejected record in full
    #[command(after_help = help::REJECTED_SHOW)]
    Show(RejectedShow),
    /// Store all rejected records again, after the cause was removed; the collector may be running
    #[command(after_help = help::REJECTED_RETRY)]
    Retry(RejectedRetry),
}

#[derive(Debug, Args)]
pub(crate) struct RejectedRetry {
    /// Database URL, as in DATABASE_URL. Without a password in it: DB_PASSWORD, DB_PASSWORD_FILE, PGPASSWORD,
    /// PGPASSFILE or ~/.pgpass. The schema is that of the variable DB_SCHEMA (default: holdfast)
    #[arg(long = "to", value_name = "URL")]
    pub(crate) url: String,
    /// Collector whose records are retried (COLLECTOR_ID)
    #[arg(long, value_name = "ID")]
    pub(crate) collector: String,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RejectedList {
    /// Database URL, as in DATABASE_URL. Without a password in it: DB_PASSWORD, DB_PASSWORD_FILE, PGPASSWORD,
    /// PGPASSFILE or ~/.pgpass. The schema is that of the variable DB_SCHEMA (default: holdfast)
    #[arg(long = "to", value_name = "URL")]
    pub(crate) url: String,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RejectedShow {
    /// Sequence number of the batch and index of the record in it, as printed by `list`
    #[arg(value_name = "SEQ:IDX", value_parser = record_position)]
    pub(crate) position: (i64, i32),
    /// Database URL, as in DATABASE_URL. Without a password in it: DB_PASSWORD, DB_PASSWORD_FILE, PGPASSWORD,
    /// PGPASSFILE or ~/.pgpass. The schema is that of the variable DB_SCHEMA (default: holdfast)
    #[arg(long = "to", value_name = "URL")]
    pub(crate) url: String,
}

/// Parses the position of a record, `SEQ:IDX`.
fn record_position(text: &str) -> Result<(i64, i32), String> {
    let parts = text.split_once(':').and_then(|(seq, idx)| Some((seq.parse().ok()?, idx.parse().ok()?)));
    parts.ok_or_else(|| "expected SEQ:IDX, two numbers as printed by `walctl rejected list`".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Directory on the file system to measure
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Duration of each measurement, in seconds
    #[arg(long, value_name = "S", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(crate) seconds: u64,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}
