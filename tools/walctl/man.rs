//! Manual pages, generated from the definition of the command line.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;

use crate::args::Arguments;
use crate::output::Failure;

/// Writes one page for `walctl` and one for each of its commands into `directory`.
pub(crate) fn write(directory: &Path) -> Result<(), Failure> {
    fs::create_dir_all(directory)?;
    let mut root = Arguments::command();
    root.build();
    page(directory, "walctl", &root)?;
    for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
        page(directory, &format!("walctl-{}", command.get_name()), command)?;
    }
    Ok(())
}

fn page(directory: &Path, name: &str, command: &clap::Command) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    Man::new(command.clone().version(env!("CARGO_PKG_VERSION")))
        .date("")
        .source(format!("holdfast {}", env!("CARGO_PKG_VERSION")))
        .render(&mut bytes)?;
    Ok(fs::write(directory.join(format!("{name}.1")), bytes)?)
}
