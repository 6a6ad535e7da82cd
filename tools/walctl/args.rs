//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::filter::Filter;

const EXAMPLES: &str = "\
Examples:
  walctl list /var/lib/holdfast/wal              which segments there are
  walctl stat /var/lib/holdfast/wal              how much is in them, how fast it grows
  walctl verify /var/lib/holdfast/wal --deep     check every byte; the exit code tells the damage
  walctl dump /var/lib/holdfast/wal --prefix 192.0.2.0/24 --since 2h
  walctl salvage /mnt/broken/wal /var/tmp/wal    copy what can be read
  walctl drain /var/tmp/wal --to postgres://holdfast@db/holdfast

Exit codes:
  0  done, or clean
  1  torn tail: a crash cut what was never durable; or the answer is no (see the command)
  2  rot: durable bytes are not what was written; also wrong arguments
  3  unreadable: the disk, a header, the directory, the database";

/// Looks into the log of a running or a dead collector, and rescues what is in it.
///
/// Everything but repair, drain and bench only reads, takes no lock, and may run beside the daemon.
#[derive(Debug, Parser)]
#[command(name = "walctl", version, about, after_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// One line for each segment
    #[command(after_help = "Example:\n  walctl list wal --json | jq 'select(.state != \"complete\")'")]
    List(Directory),
    /// Size, range, growth and backlog of the whole log
    #[command(
        after_help = "Examples:\n  walctl stat wal                    how much, how fast, how long it lasts\n  \
        walctl stat wal --to postgres://holdfast@db/holdfast    also what is not delivered yet"
    )]
    Stat(Stat),
    /// Check the log against its checksums
    #[command(
        after_help = "Examples:\n  walctl verify wal           all headers, and the last segment byte by byte\n  \
        walctl verify wal --deep    every byte of every segment\n\nExit codes:\n  0  clean\n  \
        1  torn tail: a crash cut what was never durable\n  \
        2  rot: durable bytes are not what was written\n  3  unreadable: the disk, a header or the directory"
    )]
    Verify(Verify),
    /// Print the records
    #[command(
        after_help = "Examples:\n  walctl dump wal --seq 7..9              a table of the records of batches 7 to 9\n  \
        walctl dump wal --json                  one JSON object for each, as `holdfast decode` prints it\n  \
        walctl dump wal --batches               one line for each batch\n  \
        walctl dump wal --peer 192.0.2.1 --since 15m --follow"
    )]
    Dump(Dump),
    /// Write the records as CSV or MRT
    #[command(after_help = "Examples:\n  walctl export wal --format csv --out routes.csv\n  \
        walctl export wal --format mrt --rib adj-in-pre --out updates.mrt && bgpdump -m updates.mrt\n\n\
        MRT is BGP4MP_ET (RFC 6396, with path identifiers RFC 8050) and holds IPv4 and IPv6 unicast and the state of \
        peers; what it cannot hold is counted on standard error. It has no word for a RIB: choose one with --rib. \
        The local side of a session is not in the log; its AS and address are 0.")]
    Export(Export),
    /// Copy what can be read of a damaged log into a new directory
    #[command(
        after_help = "Example:\n  walctl salvage /mnt/broken/wal /var/tmp/wal\n\nThe source is only read. The copy has its \
        identity and its numbers; what is missing is a gap in it. \
        A daemon or `walctl drain` goes on with the copy.\n\nExit codes:\n  0  everything was copied\n  \
        2  something is missing, and told\n  3  nothing could be copied"
    )]
    Salvage(Salvage),
    /// Do the daemon's own recovery by hand
    #[command(
        after_help = "Examples:\n  walctl repair wal          say what is wrong and what would be done\n  \
        walctl repair wal --yes    do it\n\nNo byte that is there is changed: what a crash left undecided is copied into \
        a new segment. The daemon does the same at each start; this is for a log that it is not started on.\n\n\
        Exit codes:\n  0  nothing to do, or done\n  1  there is something to do: say --yes\n  3  it cannot be done"
    )]
    Repair(Repair),
    /// Deliver a dead machine's log into the database
    #[command(
        after_help = "Example:\n  walctl drain /var/tmp/wal --to postgres://holdfast@db/holdfast\n\nDelivers as the daemon \
        does, behind the same fence: what the database has is not stored again, and what it has learned since is not \
        undone. Takes the log's lock and recovers it first. For a log on a disk that must not be written, salvage it \
        first.\n\nExit codes:\n  0  all is delivered\n  1  it was fenced out, or the log was copied or restored (say --fork)\n  \
        3  it cannot be done"
    )]
    Drain(Drain),
    /// Compare the log with what the database has of it
    #[command(
        after_help = "Example:\n  walctl diff wal --to postgres://holdfast@db/holdfast --json\n\nExit codes:\n  \
        0  the database has all, or is behind\n  1  the database is ahead, or the log was forked (copied or restored)\n  \
        3  it cannot be compared"
    )]
    Diff(Diff),
    /// Rows that the database refused
    #[command(subcommand)]
    Rejected(Rejected),
    /// Measure this disk: what a sync costs, how fast the log appends
    #[command(
        after_help = "Example:\n  walctl bench /var/lib/holdfast\n\nWrites a file of its own into the directory and takes \
        it away again: beside a daemon it costs the daemon time."
    )]
    Bench(Bench),
    /// Write the manual pages
    #[command(hide = true)]
    Man {
        /// Directory for the pages
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Directory {
    /// Directory of the log (WAL_DIR)
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where a database is, and whose log it has.
#[derive(Clone, Debug, Args)]
pub(crate) struct Database {
    /// The database, as DATABASE_URL names it
    #[arg(long = "to", value_name = "URL")]
    pub(crate) url: String,
    /// The collector whose log this is (COLLECTOR_ID); asked of the database when only one has had this log
    #[arg(long, value_name = "ID")]
    pub(crate) collector: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Stat {
    #[command(flatten)]
    pub(crate) log: Directory,
    /// Also say what this database does not have yet
    #[arg(long = "to", value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The collector whose log this is (COLLECTOR_ID); asked of the database when only one has had this log
    #[arg(long, value_name = "ID", requires = "url")]
    pub(crate) collector: Option<String>,
    /// The cap of the log (WAL_BYTES_MAX), for the hours that are left
    #[arg(long, value_name = "BYTES", default_value_t = 10 << 30)]
    pub(crate) bytes_max: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) log: Directory,
    /// Check every byte of every segment, not only all headers and the last segment
    #[arg(long)]
    pub(crate) deep: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Dump {
    #[command(flatten)]
    pub(crate) log: Directory,
    /// One line for each batch and gap in place of the records
    #[arg(long, conflicts_with = "json")]
    pub(crate) batches: bool,
    /// Go on with what the daemon adds, until interrupted
    #[arg(long, short)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One line for each record, columns named in the first line
    Csv,
    /// BGP4MP_ET, RFC 6396
    Mrt,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Directory of the log (WAL_DIR)
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// What to write
    #[arg(long, value_enum)]
    pub(crate) format: Format,
    /// File to write, in place of standard output; must not be there yet
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

#[derive(Debug, Args)]
pub(crate) struct Salvage {
    /// The damaged log
    #[arg(value_name = "SRC")]
    pub(crate) source: PathBuf,
    /// Directory for the copy; it is made when it is not there, and must hold no log
    #[arg(value_name = "DST")]
    pub(crate) target: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Repair {
    #[command(flatten)]
    pub(crate) log: Directory,
    /// Do it
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Drain {
    #[command(flatten)]
    pub(crate) log: Directory,
    #[command(flatten)]
    pub(crate) database: Database,
    /// Deliver a log that was copied or restored under an id of its own, from the last batch on that the database is known to
    /// have too
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
    /// One line for each row
    #[command(after_help = "Example:\n  walctl rejected list --to postgres://holdfast@db/holdfast")]
    List(RejectedList),
    /// All that is known of one row
    #[command(
        after_help = "Example:\n  walctl rejected show 1042:17 --to postgres://holdfast@db/holdfast\n\n\
        Exit codes:\n  0  it is there\n  1  no such row was refused\n  3  the database"
    )]
    Show(RejectedShow),
    /// Try all of them again, now that the cause is gone; the collector may run meanwhile
    #[command(
        after_help = "Example:\n  walctl rejected retry --to postgres://holdfast@db/holdfast --collector edge1\n\n\
        What is older than what the database has learned since becomes history and leaves the present alone.\n\n\
        Exit codes:\n  0  all are stored\n  1  some are refused again\n  3  the database"
    )]
    Retry(RejectedRetry),
}

#[derive(Debug, Args)]
pub(crate) struct RejectedRetry {
    /// The database, as DATABASE_URL names it
    #[arg(long = "to", value_name = "URL")]
    pub(crate) url: String,
    /// The collector whose rows they are (COLLECTOR_ID)
    #[arg(long, value_name = "ID")]
    pub(crate) collector: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RejectedList {
    /// The database, as DATABASE_URL names it
    #[arg(long = "to", value_name = "URL")]
    pub(crate) url: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RejectedShow {
    /// Batch and place in it, as `list` names them
    #[arg(value_name = "SEQ:IDX", value_parser = place)]
    pub(crate) which: (i64, i32),
    /// The database, as DATABASE_URL names it
    #[arg(long = "to", value_name = "URL")]
    pub(crate) url: String,
}

fn place(text: &str) -> Result<(i64, i32), String> {
    let parts = text.split_once(':').and_then(|(seq, idx)| Some((seq.parse().ok()?, idx.parse().ok()?)));
    parts.ok_or_else(|| "it is SEQ:IDX, two numbers, as `list` prints them".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Directory on the disk to measure
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// How long each part is measured, in seconds
    #[arg(long, value_name = "S", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(crate) seconds: u64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
