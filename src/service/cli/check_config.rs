//! The command `holdfast check-config`: the effective settings, and whether they work on this machine.

mod database;
mod finding;
mod host;

use std::io::Write;

use super::{Failure, print_error};
use crate::config::{self, Config, RawSettings};

/// Exit code if a check failed.
const EXIT_FAILED: u8 = 1;

/// The arguments that make `holdfast doctor`.
pub(super) const DOCTOR: Arguments = Arguments { quiet: true, connect: true };

#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print errors and warnings only
    #[arg(long)]
    quiet: bool,
    /// Check the database, disk, ports and limits as well; exit code 1 if a check failed
    #[arg(long)]
    connect: bool,
}

pub(super) fn run(
    arguments: Arguments,
    (raw, config): &(RawSettings, Config),
    out: &mut impl Write,
) -> Result<u8, Failure> {
    for warning in &config.warnings {
        print_error(&format!("warning: {warning}"));
    }
    if !arguments.quiet {
        out.write_all(config::effective(raw, config).as_bytes())?;
    }
    let mut all_good = true;
    if arguments.connect {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut findings = runtime.block_on(database::check(config));
        findings.extend(host::check(config));
        all_good = finding::print(&findings, out)?;
    }
    out.flush()?;
    Ok(if all_good { 0 } else { EXIT_FAILED })
}
