//! `bench`: the parts of the path that can be measured without a daemon. `tools/bench/run` and
//! `tools/bench/log` put the figures together.

mod delivery;
mod history;
mod log;
mod stream;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures parts of the path; one JSON object per run on stdout.
#[derive(Parser)]
#[command(name = "bench", version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Frame, decode and walk every route of a recorded stream, on one core.
    Decode(stream::Arguments),
    /// The same through the session into encoded batches, as they are logged.
    Session(stream::Arguments),
    /// Write a recorded stream into a log, plain and with LZ4: bytes a route, and what it costs in processor time.
    Log(log::Arguments),
    /// Write a log's history as files of COPY bytes, one per transaction, and the statement that takes them.
    Export {
        /// The log.
        #[arg(value_name = "WAL-FOLDER")]
        log: PathBuf,
        /// Where to write.
        #[arg(value_name = "FOLDER")]
        out: PathBuf,
    },
    /// Deliver a log as the daemon does: a first load, the same as updates, and once more unchanged.
    Delivery(delivery::Arguments),
    /// Drain a log's history into route_updates, in transactions of the same rows.
    History {
        /// The log.
        #[arg(value_name = "WAL-FOLDER")]
        log: PathBuf,
        /// The database, with its tables.
        #[arg(long, value_name = "URL")]
        database: String,
    },
}

/// Why nothing could be measured.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let line = match Arguments::parse().verb {
        Verb::Decode(arguments) => stream::decode(&arguments),
        Verb::Session(arguments) => stream::session(&arguments),
        Verb::Log(arguments) => log::log(&arguments),
        Verb::Export { log, out } => history::export(&log, &out),
        Verb::Delivery(arguments) => delivery::run(arguments),
        Verb::History { log, database } => history::drain(&log, &database),
    };
    let printed = match line {
        Ok(line) => writeln!(io::stdout().lock(), "{line}").map(|()| ExitCode::SUCCESS),
        Err(error) => writeln!(io::stderr().lock(), "bench: {error}").map(|()| ExitCode::FAILURE),
    };
    printed.unwrap_or(ExitCode::FAILURE)
}

/// What a run came to.
fn result(routes: u64, seconds: f64) -> String {
    serde_json::json!({"routes": routes, "seconds": seconds, "routes_per_second": whole(routes as f64 / seconds)})
        .to_string()
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates: what a rate needs"
)]
fn whole(rate: f64) -> u64 {
    rate.round() as u64
}
