//! `holdfast migrate`: creates or upgrades the schema, as the role that is to own the tables.

use std::io::Write;

use super::Failure;
use super::database::{EXIT_FAILED, with_client};
use crate::config::Config;
use crate::sink;

pub(super) fn run(config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    let applied = with_client(config, EXIT_FAILED, async |mut client| {
        sink::migrate(&mut client, config.delivery.chunk_interval_days)
            .await
            .map_err(|error| Failure::Other(error.to_string(), EXIT_FAILED))
    })?;
    for migration in sink::migrations() {
        if applied.versions.contains(&migration.version) {
            writeln!(out, "applied {:04} {}", migration.version, migration.name)?;
        }
    }
    if applied.has_replaced_functions {
        writeln!(out, "replaced functions and views")?;
    }
    if applied.is_empty() {
        writeln!(out, "the schema is up to date")?;
    }
    Ok(())
}
