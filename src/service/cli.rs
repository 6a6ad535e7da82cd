//! The command line: arguments to a command, a command to an exit code.

mod check_config;
mod database;
mod decode;
mod migrate;
mod query;
mod rebuild_state;
mod rejected;
mod rpki;
mod status;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, Inputs, Invalid, RawSettings};

/// The configuration is wrong: trying again does not help (`EX_CONFIG` of sysexits.h).
const EXIT_CONFIG: u8 = 78;

/// BMP collector that logs first and delivers later.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, about, disable_help_subcommand = true)]
struct Arguments {
    /// File with settings, in place of ./.env
    #[arg(long, global = true, value_name = "FILE")]
    env_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the collector (what happens without a command)
    Run,
    /// Print the effective configuration, secrets masked
    CheckConfig,
    /// Ask the running collector how it is: exit code 0 healthy, 1 degraded, 2 down
    Status(status::Arguments),
    /// Make the tables, or bring them up to date (the collector does so too where it may)
    Migrate,
    /// Show or retry the records that the database refused
    Rejected(rejected::Arguments),
    /// Hold the current table against history: exit code 1 when they differ
    RebuildState(rebuild_state::Arguments),
    /// Ask the database: lookups, past tables, churn, hijacks, peers and more
    Query(query::Arguments),
    /// Load what routes are validated against
    Rpki(rpki::Arguments),
    /// Decode recorded BMP byte streams to one JSON line per route and event
    Decode(decode::Arguments),
}

/// Why a command did not succeed.
#[derive(Debug)]
enum Failure {
    /// The reader of our output has gone: nothing is left to do, and nothing is wrong.
    OutputClosed,
    /// The configuration.
    Config(Invalid),
    /// Anything else, in words, with the exit code for it.
    Other(String, u8),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Other(error.to_string(), 1),
        }
    }
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        Self::Config(invalid)
    }
}

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let code = match run(&arguments) {
        Ok(code) => return ExitCode::from(code),
        Err(Failure::OutputClosed) => return ExitCode::SUCCESS,
        Err(Failure::Config(invalid)) => {
            complain(&invalid);
            EXIT_CONFIG
        }
        Err(Failure::Other(what, code)) => {
            complain(&what);
            code
        }
    };
    ExitCode::from(code)
}

fn run(arguments: &Arguments) -> Result<u8, Failure> {
    match &arguments.command {
        None | Some(Command::Run) => {
            let (_, config) = load(arguments)?;
            // What is wrong has been logged.
            Ok(u8::from(super::run(&config).is_err()))
        }
        Some(Command::CheckConfig) => {
            let (typed, config) = load(arguments)?;
            check_config::run(&typed, &config, &mut io::stdout().lock())?;
            Ok(0)
        }
        Some(Command::Status(status)) => {
            status::run(status, arguments.env_file.as_deref(), &mut io::stdout().lock())
        }
        Some(Command::Migrate) => {
            migrate::run(&load(arguments)?.1, &mut io::stdout().lock())?;
            Ok(0)
        }
        Some(Command::Rejected(rejected)) => {
            let (_, config) = load(arguments)?;
            rejected::run(rejected, &config, &mut io::BufWriter::new(io::stdout().lock()))
        }
        Some(Command::RebuildState(rebuild)) => {
            rebuild_state::run(*rebuild, &load(arguments)?.1, &mut io::stdout().lock())
        }
        Some(Command::Query(query)) => {
            let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
            if query.only_lists() {
                query.print_list(&mut out)?;
            } else {
                query::run(query, &load(arguments)?.1, &mut out)?;
            }
            out.flush()?;
            Ok(0)
        }
        Some(Command::Rpki(rpki)) => {
            rpki::run(rpki, &load(arguments)?.1, &mut io::stdout().lock())?;
            Ok(0)
        }
        Some(Command::Decode(decode)) => {
            let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
            let code = decode::run(decode, &mut out)?;
            out.flush()?;
            Ok(code)
        }
    }
}

fn load(arguments: &Arguments) -> Result<(RawSettings, Config), Invalid> {
    crate::config::load(&Inputs::from_process(arguments.env_file.as_deref())?)
}

/// Says what is wrong on standard error. When nobody listens there either, the exit code has to do.
fn complain(what: &dyn std::fmt::Display) {
    writeln!(io::stderr().lock(), "holdfast: {what}").unwrap_or_default();
}
