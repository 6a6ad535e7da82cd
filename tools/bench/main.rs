//! `bench`: measures the stages of the data path that need no daemon. `tools/bench/run` and `tools/bench/log`
//! combine the results.

mod collectors;
mod delivery;
mod history;
mod link;
mod log;
mod state;
mod stream;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measure stages of the data path. Prints one JSON object per measurement.
#[derive(Parser)]
#[command(name = "bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Frame and decode a recorded stream, and iterate over every route, on one core
    Decode(stream::Arguments),
    /// As decode, and through the session into encoded batches, as they are logged
    Session(stream::Arguments),
    /// Write a recorded stream into a log, plain and with LZ4: bytes and CPU time per route
    Log(log::Arguments),
    /// Write the local state as often as a collector does in 30 days: size of its directory after each day
    State(state::Arguments),
    /// Write the history rows of a log as COPY files, one per transaction, and the COPY statement for them
    Export {
        /// Directory of the log
        #[arg(value_name = "WAL-FOLDER")]
        log: PathBuf,
        /// Output directory
        #[arg(value_name = "FOLDER")]
        out: PathBuf,
    },
    /// Deliver a log as the daemon does: as a first load, as updates, and as an unchanged re-dump
    Delivery(delivery::Arguments),
    /// Deliver the logs of many collectors to one database at once: rate, connections and lock waits
    Collectors(collectors::Arguments),
    /// Forward connections with the round-trip time and the rate of a slow link, and print the address
    Link(link::Arguments),
    /// Deliver only the history rows of a log, in transactions of the default size
    History {
        /// Directory of the log
        #[arg(value_name = "WAL-FOLDER")]
        log: PathBuf,
        /// Database URL
        #[arg(long, value_name = "URL")]
        database: String,
    },
}

/// Reason why a measurement failed.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let line = match Arguments::parse().command {
        Command::Decode(arguments) => stream::decode(&arguments),
        Command::Session(arguments) => stream::session(&arguments),
        Command::Log(arguments) => log::log(&arguments),
        Command::State(arguments) => state::state(&arguments),
        Command::Export { log, out } => history::export(&log, &out),
        Command::Delivery(arguments) => delivery::run(arguments),
        Command::Collectors(arguments) => collectors::run(&arguments),
        Command::Link(arguments) => link::run(&arguments),
        Command::History { log, database } => history::drain(&log, &database),
    };
    let printed = match line {
        Ok(line) => writeln!(io::stdout().lock(), "{line}").map(|()| ExitCode::SUCCESS),
        Err(error) => writeln!(io::stderr().lock(), "bench: {error}").map(|()| ExitCode::FAILURE),
    };
    printed.unwrap_or(ExitCode::FAILURE)
}

/// Result of one measurement as a JSON object.
fn result(routes: u64, seconds: f64) -> String {
    let rate = holdfast::num::floor_to_u64((routes as f64 / seconds).round());
    serde_json::json!({"routes": routes, "seconds": seconds, "routes_per_second": rate}).to_string()
}
