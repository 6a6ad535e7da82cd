//! `walctl`: looks into the log of a running or a dead collector. Never writes, takes no lock.

mod args;
mod dump;
mod list;
mod output;
mod verify;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use holdfast::wal::Disk;

use args::{Arguments, Command};
use output::{Failure, Output, complain};

/// What the shell sees. Damage has codes of its own, so that a script can tell a crash from a dying disk.
const EXIT_UNREADABLE: u8 = 3;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(Failure::Other(what)) => {
            complain(&what);
            ExitCode::from(EXIT_UNREADABLE)
        }
    }
}

fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let mut out = Output::locked();
    let code = match &arguments.command {
        Command::List(list) => list::list(&open(&list.directory)?, list.json, &mut out)?,
        Command::Stat(stat) => list::stat(&open(&stat.directory)?, stat.json, &mut out)?,
        Command::Verify(verify) => verify::verify(&open(&verify.directory)?, verify, &mut out)?,
        Command::Dump(dump) => dump::dump(&open(&dump.directory)?, dump, &mut out)?,
    };
    out.finish()?;
    Ok(code)
}

fn open(directory: &Path) -> Result<Disk, Failure> {
    Disk::open(directory).map_err(|error| Failure::Other(format!("{}: {error}", directory.display())))
}
