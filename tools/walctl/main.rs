//! `walctl`: inspects, verifies and salvages the write-ahead log of a running or stopped collector.
//!
//! Every command except `salvage`, `repair`, `drain` and `bench` is read-only; `repair` and `drain` take the
//! log's lock.

mod args;
mod bench;
mod database;
mod diff;
mod drain;
mod dump;
mod export;
mod filter;
mod help;
mod list;
mod man;
mod output;
mod progress;
mod rejected;
mod salvage;
mod stat;
mod verify;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use holdfast::wal::Disk;

use args::{Arguments, Command};
use output::{Failure, Output, print_error};

/// Exit code when the log, the disk or the database cannot be read. `verify` has further codes, so that a
/// script can distinguish a torn tail after a crash from a failing disk.
const EXIT_UNREADABLE: u8 = 3;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(Failure::Other(message)) => {
            print_error(&message);
            ExitCode::from(EXIT_UNREADABLE)
        }
    }
}

fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let mut out = Output::locked();
    let code = match &arguments.command {
        Command::List(list) => list::list(&open(&list.directory)?, list.json, &mut out)?,
        Command::Stat(stat) => stat::stat(&open(&stat.log.directory)?, stat, &mut out)?,
        Command::Verify(verify) => verify::verify(&open(&verify.log.directory)?, verify, &mut out)?,
        Command::Dump(dump) => dump::dump(&open(&dump.log.directory)?, dump, &mut out)?,
        Command::Export(export) => export::export(export, &mut out)?,
        Command::Salvage(salvage) => salvage::salvage(salvage, &mut out)?,
        Command::Repair(repair) => salvage::repair(repair, &mut out)?,
        Command::Drain(drain) => drain::drain(drain, &mut out)?,
        Command::Diff(diff) => diff::diff(&open(&diff.log.directory)?, diff, &mut out)?,
        Command::Rejected(rejected) => rejected::rejected(rejected, &mut out)?,
        Command::Bench(bench) => bench::bench(bench, &mut out)?,
        Command::Man { directory } => man::write(directory).map(|()| 0)?,
    };
    out.finish()?;
    Ok(code)
}

fn open(directory: &Path) -> Result<Disk, Failure> {
    Disk::open(directory).map_err(|error| Failure::Other(format!("{}: {error}", directory.display())))
}
