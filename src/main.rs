//! The program `holdfast`: the collector daemon and its administrative commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    holdfast::service::cli::main()
}
