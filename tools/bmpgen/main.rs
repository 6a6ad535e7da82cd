//! `bmpgen`: sends BMP to a collector, records the ground truth, and compares the stored rows with it.
//!
//! ```text
//! replay ── recorded bytes ──┐
//!                            ├─► link (one TCP connection, paced, big writes) ──► collector
//! table ─── synthetic table ─┘                                                       │
//!    └──────── truth (one JSON line per route) ──────► compare ◄── rows (JSON lines) ┘
//! ```
//!
//! `table` writes the ground truth before it encodes a route, and `compare` decodes neither BMP nor BGP. The
//! proof that no route was lost or stored twice is therefore independent of the collector's decoder.

mod compare;
mod encode;
mod failure;
mod help;
mod link;
mod replay;
mod report;
mod routes;
mod table;
mod truth;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use holdfast::manual::Documents;

/// Sends BMP (RFC 7854) to a collector: recorded streams or a synthetic full table
#[derive(Parser)]
#[command(name = "bmpgen", version, after_help = help::BMPGEN, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send recorded byte streams, each over its own TCP connection
    #[command(after_help = help::REPLAY)]
    Replay(replay::Arguments),
    /// Send a synthetic full table, then changes to it
    #[command(after_help = help::TABLE)]
    Table(table::Arguments),
    /// Compare the rows of a database with the ground truth: none missing, duplicate, altered or out of order
    #[command(after_help = help::COMPARE)]
    Compare(compare::Arguments),
    #[command(flatten)]
    Documents(Documents),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Table(arguments) => table::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Documents(documents) => documents
            .write(Arguments::command(), &[])
            .map(|()| true)
            .map_err(|error| failure::Failure::Other(error.to_string())),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            // A closed stderr must not change the exit code.
            writeln!(io::stderr().lock(), "bmpgen: {failure}").unwrap_or_default();
            ExitCode::from(2)
        }
    }
}
