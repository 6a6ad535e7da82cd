//! `bmpgen`: plays BMP to a collector, and says what it played.
//!
//! ```text
//! replay ── recorded bytes ──┐
//!                            ├─► link (one TCP connection, paced, big writes) ──► collector
//! table ─── synthetic table ─┘                                                       │
//!    └──────── truth (one JSON line per route) ──────► compare ◄── rows (JSON lines) ┘
//! ```
//!
//! `table` knows what it announces before it is encoded, and `compare` knows neither BMP nor BGP: the proof that a
//! collector lost and doubled nothing does not rest on the collector's own decoder.

mod compare;
mod encode;
mod link;
mod replay;
mod report;
mod routes;
mod table;
mod truth;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Plays BMP (RFC 7854) to a collector: recorded streams or a synthetic full table.
#[derive(Parser)]
#[command(name = "bmpgen", version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Send recorded byte streams, each over a TCP connection of its own.
    Replay(replay::Arguments),
    /// Send a synthetic full table, then changes to it.
    Table(table::Arguments),
    /// Hold the rows of a database against the ground truth: nothing missing, doubled, altered or out of order.
    Compare(compare::Arguments),
}

/// Why a run ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The connection went away; with `--reconnect` this is not the end.
    Lost(io::Error),
    /// Anything else, said in full.
    Other(String),
}

impl Failure {
    /// An error at a file or address, with its name.
    pub(crate) fn at(place: &str, error: &io::Error) -> Self {
        Self::Other(format!("{place}: {error}"))
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lost(error) => write!(f, "connection lost: {error}"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

fn main() -> ExitCode {
    let done = match Arguments::parse().verb {
        Verb::Replay(arguments) => replay::run(&arguments),
        Verb::Table(arguments) => table::run(&arguments),
        Verb::Compare(arguments) => compare::run(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            // A closed stderr must not turn the exit code into a panic.
            writeln!(io::stderr().lock(), "bmpgen: {failure}").unwrap_or_default();
            ExitCode::from(2)
        }
    }
}
