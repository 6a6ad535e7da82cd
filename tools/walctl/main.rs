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
mod findings;
mod help;
mod list;
mod output;
mod progress;
mod rejected;
mod salvage;
mod stat;
mod verify;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};
use holdfast::wal::Disk;

use args::{Arguments, Command};
use output::{Failure, Output, print_error};

/// Exit code when the log, the disk or the database cannot be read. `verify` has further codes, so that a
/// script can distinguish a torn tail after a crash from a failing disk.
const EXIT_UNREADABLE: u8 = 3;

/// Exit code for invalid arguments: `EX_USAGE` of sysexits.h.
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // The exit code reports the failure even if the message cannot be printed.
            drop(error.print());
            return if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
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
        Command::Documents(documents) => documents.write(Arguments::command(), &[]).map(|()| 0)?,
    };
    out.finish()?;
    Ok(code)
}

/// Opens the directory of a log. A directory without a segment file is an error, so that a mistyped path is
/// never reported as an intact log.
fn open(directory: &Path) -> Result<Disk, Failure> {
    let disk = Disk::open(directory).map_err(|error| Failure::new(&directory.display(), &error))?;
    if holds_segments(directory) {
        return Ok(disk);
    }
    let parent = directory.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned));
    let near = [Some(directory), parent.as_deref()].into_iter().flatten().flat_map(subdirectories);
    let mut near = near.chain(parent.clone()).filter(|path| holds_segments(path));
    let hint = near.next().map(|path| format!("; did you mean {}?", path.display())).unwrap_or_default();
    Err(Failure::new(&directory.display(), &format!("holds no segment file (NUMBER.wal){hint}")))
}

fn holds_segments(directory: &Path) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| path.extension().is_some_and(|end| end == "wal"))
}

fn subdirectories(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}
