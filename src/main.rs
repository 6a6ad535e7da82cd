//! The daemon `holdfast`, and the commands around it.

use std::process::ExitCode;

fn main() -> ExitCode {
    holdfast::service::cli::main()
}
