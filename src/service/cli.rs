//! The command line: its arguments, its commands and their exit codes.

mod check_config;
mod database;
mod decode;
mod forget;
mod import_pybmpmon;
mod manual;
mod migrate;
mod query;
mod rebuild_state;
mod rejected;
mod rpki;
mod status;
mod top;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config::{Config, Inputs, Invalid, RawSettings};
use crate::manual::Documents;
use manual::help;

/// Exit code for an invalid configuration (`EX_CONFIG` of sysexits.h), after which a restart is useless.
const EXIT_CONFIG: u8 = 78;

/// Collects BMP, buffers it in a crash-safe local log, and delivers it exactly once to TimescaleDB.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, about, after_help = help::HOLDFAST, disable_help_subcommand = true)]
struct Arguments {
    /// File with settings [default: ./.env, if it exists; for commands other than `run` else
    /// /etc/holdfast/holdfast.env, if the environment has no settings]
    #[arg(long, global = true, value_name = "FILE")]
    env_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the collector (default without a command)
    #[command(after_help = help::RUN)]
    Run,
    /// Print the effective configuration with masked secrets
    #[command(after_help = help::CHECK_CONFIG)]
    CheckConfig(check_config::Arguments),
    /// Check the database, disk, ports and limits, with what to do
    #[command(after_help = help::DOCTOR)]
    Doctor,
    /// Print the status of the running collector
    #[command(after_help = help::STATUS)]
    Status(status::Arguments),
    /// Show routers, peers, address families, lanes and the log on the whole terminal, with rates
    #[command(after_help = help::TOP)]
    Top(top::Arguments),
    /// Create or upgrade the schema (the collector also does this if its role has the rights)
    #[command(after_help = help::MIGRATE)]
    Migrate,
    /// List or retry the records that the database rejected
    #[command(after_help = help::REJECTED)]
    Rejected(rejected::Arguments),
    /// Compare the current table with history
    #[command(after_help = help::REBUILD_STATE)]
    RebuildState(rebuild_state::Arguments),
    /// Remove a router or peer that will not return from the current tables
    #[command(after_help = help::FORGET)]
    Forget(forget::Arguments),
    /// Copy the history of pybmpmon
    #[command(after_help = help::IMPORT_PYBMPMON)]
    ImportPybmpmon(import_pybmpmon::Arguments),
    /// Query the database: route lookups, past tables, churn, hijacks, peers and more
    #[command(disable_help_flag = true, after_help = help::QUERY)]
    Query(query::Arguments),
    /// Load RPKI validated ROA payloads (VRPs)
    #[command(after_help = help::RPKI)]
    Rpki(rpki::Arguments),
    /// Decode recorded BMP byte streams into one JSON line per route and event
    #[command(after_help = help::DECODE)]
    Decode(decode::Arguments),
    #[command(flatten)]
    Documents(Documents),
}

/// Reason why a command failed.
#[derive(Debug)]
enum Failure {
    /// The reader of standard output has closed it. This counts as success.
    OutputClosed,
    /// The configuration is invalid.
    Config(Invalid),
    /// Any other failure: its message and its exit code.
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

/// The entry point of the program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let code = match run(&arguments) {
        Ok(code) => return ExitCode::from(code),
        Err(Failure::OutputClosed) => return ExitCode::SUCCESS,
        Err(Failure::Config(invalid)) => {
            print_error(&invalid);
            EXIT_CONFIG
        }
        Err(Failure::Other(message, code)) => {
            print_error(&message);
            code
        }
    };
    ExitCode::from(code)
}

fn run(arguments: &Arguments) -> Result<u8, Failure> {
    match &arguments.command {
        None | Some(Command::Run) => {
            let (raw, config) = crate::config::load(&Inputs::from_process(arguments.env_file.as_deref())?)?;
            match super::run(raw, config, arguments.env_file.clone()) {
                Ok(()) => Ok(0),
                Err(error @ super::Error::Telemetry(_)) => Err(Failure::Other(error.to_string(), 1)),
                // Other errors have been logged.
                Err(_) => Ok(1),
            }
        }
        Some(Command::CheckConfig(check)) => {
            check_config::run(*check, &load(arguments)?, &mut io::stdout().lock())
        }
        Some(Command::Doctor) => {
            check_config::run(check_config::DOCTOR, &load(arguments)?, &mut io::stdout().lock())
        }
        Some(Command::Status(status)) => {
            status::run(status, arguments.env_file.as_deref(), &mut io::stdout().lock())
        }
        Some(Command::Top(top)) => top::run(top, arguments.env_file.as_deref()),
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
        Some(Command::Forget(forget)) => forget::run(forget, &load(arguments)?.1, &mut io::stdout().lock()),
        Some(Command::ImportPybmpmon(import)) => {
            import_pybmpmon::run(import, &load(arguments)?.1, &mut io::stdout().lock())
        }
        Some(Command::Query(query)) => {
            let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
            if query.wants_help() {
                write!(out, "{}", query_help())?;
            } else if !query.print_usage(&mut out)? {
                let bound = query.bind()?;
                query::run(query, bound, &load(arguments)?.1, &mut out)?;
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
        Some(Command::Documents(documents)) => {
            documents.write(Arguments::command(), &manual::pages())?;
            Ok(0)
        }
    }
}

/// Help of `holdfast query`, as clap prints that of the other commands.
fn query_help() -> String {
    let mut command = Arguments::command();
    command.build();
    command.find_subcommand_mut("query").map_or_else(String::new, |query| query.render_help().to_string())
}

/// The settings of a command other than `run`.
fn load(arguments: &Arguments) -> Result<(RawSettings, Config), Invalid> {
    crate::config::load(&Inputs::for_command(arguments.env_file.as_deref())?)
}

/// Prints an error on standard error. If that fails too, the exit code remains.
fn print_error(message: &dyn std::fmt::Display) {
    writeln!(io::stderr().lock(), "holdfast: {message}").unwrap_or_default();
}
