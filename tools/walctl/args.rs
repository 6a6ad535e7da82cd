//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use holdfast::wal::SeqNo;

const EXAMPLES: &str = "\
Examples:
  walctl list /var/lib/holdfast/wal              which segments there are
  walctl stat /var/lib/holdfast/wal --json       how much is in them, for a script
  walctl verify /var/lib/holdfast/wal --deep     check every byte; the exit code tells the damage
  walctl dump /var/lib/holdfast/wal --seq 100..200 | jq .prefix";

/// Looks into the log of a running or a dead collector. Never writes.
#[derive(Debug, Parser)]
#[command(name = "walctl", version, about, after_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// One line for each segment
    List(Directory),
    /// Size, range and times of the whole log
    Stat(Directory),
    /// Check the log against its checksums
    #[command(after_help = "Exit codes:\n  0  clean\n  1  torn tail: a crash cut what was never durable\n  \
        2  rot: durable bytes are not what was written\n  3  unreadable: the disk, a header or the directory")]
    Verify(Verify),
    /// Print the records
    #[command(
        after_help = "Examples:\n  walctl dump wal                     one line for each payload and gap\n  \
        walctl dump wal --json              one JSON object for each record, as `holdfast decode` prints it\n  \
        walctl dump wal --json --seq 7..9   payloads 7 to 9; also `7..`, `..9` and `7`"
    )]
    Dump(Dump),
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

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Directory of the log (WAL_DIR)
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Check every byte of every segment, not only all headers and the last segment
    #[arg(long)]
    pub(crate) deep: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// Directory of the log (WAL_DIR)
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// One JSON object for each record
    #[arg(long)]
    pub(crate) json: bool,
    /// Only payloads with these numbers, both ends included
    #[arg(long, value_name = "A..B", value_parser = range)]
    pub(crate) seq: Option<(SeqNo, SeqNo)>,
}

fn range(text: &str) -> Result<(SeqNo, SeqNo), String> {
    let number = |text: &str, default: SeqNo| match text {
        "" => Ok(default),
        digits => digits.parse().map(SeqNo).map_err(|_| format!("`{digits}` is not a number")),
    };
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let range = (number(from, SeqNo(1))?, number(to.trim_start_matches('='), SeqNo::MAX)?);
    if range.0 > range.1 {
        return Err("the range runs backwards".to_owned());
    }
    Ok(range)
}
