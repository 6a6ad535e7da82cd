//! `holdfast migrate`: creates or upgrades the schema, as the role that is to own the tables.

use std::io::Write;

use super::Failure;
use super::database::{EXIT_FAILED, target, with_client};
use crate::config::Config;
use crate::sink::{self, SkippedView};
use crate::telemetry::printable;

pub(super) fn run(config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    let layout = target(config, EXIT_FAILED)?.layout().clone();
    let applied = with_client(config, EXIT_FAILED, async |mut client| {
        sink::migrate(&mut client, &layout, config.delivery.chunk_interval_days)
            .await
            .map_err(|error| Failure::Other(error.to_string(), EXIT_FAILED))
    })?;
    if applied.was_moved {
        writeln!(out, "moved the tables, views and functions from schema public to {}", layout.schema)?;
    }
    for migration in sink::migrations() {
        if applied.versions.contains(&migration.version) {
            writeln!(out, "applied {:04} {}", migration.version, migration.name)?;
        }
    }
    if applied.has_replaced_functions {
        writeln!(out, "replaced functions and views")?;
    }
    for view in &applied.public_views.created {
        writeln!(out, "created view public.{view}")?;
    }
    for view in &applied.public_views.removed {
        writeln!(out, "removed view public.{view}")?;
    }
    for SkippedView { name, reason } in &applied.public_views.skipped {
        writeln!(out, "not created: view public.{name}: {}", printable(reason))?;
    }
    if applied.is_empty() {
        writeln!(out, "the schema is up to date")?;
    }
    Ok(())
}
