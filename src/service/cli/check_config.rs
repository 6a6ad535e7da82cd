//! The command `holdfast check-config`.

use std::io::{self, Write};

use crate::config::{self, Config, RawSettings};

#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print errors and warnings only
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(
    arguments: Arguments,
    raw: &RawSettings,
    config: &Config,
    out: &mut impl Write,
) -> io::Result<()> {
    if !arguments.quiet {
        out.write_all(config::effective(raw, config).as_bytes())?;
    }
    out.flush()
}
