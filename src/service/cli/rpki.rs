//! `holdfast rpki`: loads the validated ROA payloads (VRPs) of origin validation.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::database::EXIT_FAILED;
use super::{Failure, database, help};
use crate::config::Config;
use crate::sink::{load_vrps, parse_vrps};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Replace all VRPs by those of a file in the JSON format of Routinator and rpki-client
    #[command(after_help = help::RPKI)]
    Load {
        /// JSON file with an array "roas"
        file: PathBuf,
    },
}

pub(super) fn run(arguments: &Arguments, config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    let Verb::Load { file } = &arguments.verb;
    let failed = |error: &dyn std::fmt::Display| Failure::Other(format!("{}: {error}", file.display()), 1);
    let json = std::fs::read(file).map_err(|error| failed(&error))?;
    let vrps = parse_vrps(&json).map_err(|error| failed(&error))?;
    let loaded = database::with_client(config, EXIT_FAILED, async |mut client| {
        let loaded = load_vrps(&mut client, &vrps, &source(file)).await;
        loaded.map_err(|error| database::failed(&error, EXIT_FAILED))
    })?;
    writeln!(out, "{} VRPs: {} added, {} removed", vrps.len(), loaded.added, loaded.removed)?;
    Ok(())
}

fn source(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}
