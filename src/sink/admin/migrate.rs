//! Creation and upgrade of the schema: numbered migrations for tables, repeatable files for functions.
//!
//! A migration is applied once, forward only, in a transaction of its own, and its checksum is stored.
//! Functions and views are replaced as a whole, in one transaction, whenever their common checksum differs
//! from the stored one or one of them is missing. A session-level advisory lock admits one migrator at a
//! time.
//!
//! All objects are in one schema ([`Layout`]). The tables that an earlier release created in `public` are
//! brought up to date there, and then moved.

mod error;
mod functions;
mod move_schema;
mod public_views;

use std::fmt;
use std::hash::Hasher as _;
use std::time::Instant;

use siphasher::sip128::{Hasher128 as _, SipHasher13};
use tokio_postgres::Client;

use super::convert_history;
use super::pybmpmon_schema::database_of_pybmpmon;
use crate::sink::layout::{Layout, SchemaName};

pub use error::MigrateError;
pub(super) use functions::{functions_checksum, is_object_missing};
pub(super) use move_schema::{is_in_public, moved_to};
pub use public_views::{PublicViews, SkippedView};

/// Key of the migrator's `pg_advisory_lock`: "holdfast" in ASCII.
const LOCK: i64 = 0x686f_6c64_6661_7374;

const BOOKKEEPING: &str = "
    CREATE TABLE schema_migrations (version integer PRIMARY KEY, name text NOT NULL,
        checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(),
         execution_time_ms integer NOT NULL);
    COMMENT ON TABLE schema_migrations IS
        'Applied migrations. Version 0 stands for the functions and views, which are replaced as a whole.';
    COMMENT ON COLUMN schema_migrations.checksum IS
        'Checksum of the applied SQL. A migration whose file was changed afterwards stops the start.'";

/// Creates the extension before the migration that would create it in the schema of Holdfast, where other
/// programs do not expect it. If it cannot be created, that migration does without.
const EXTENSION: &str = "DO $$ BEGIN
    IF to_regnamespace('public') IS NOT NULL THEN
        CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA public;
    END IF;
    EXCEPTION WHEN OTHERS THEN NULL; END $$";

/// Number of the migration that creates the extension.
const EXTENSION_VERSION: i32 = 2;

/// Adds the schema of the extension to the search path of a transaction: numbered migrations call its
/// functions by their names alone.
const SEARCH_PATH: &str = "SELECT set_config('search_path', concat_ws(', ', quote_ident(current_schema()),
    (SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
        WHERE extname = 'timescaledb'), 'pg_temp'), true)";

/// Version under which functions and views are recorded in `schema_migrations`.
pub(super) const FUNCTIONS_VERSION: i32 = 0;

/// A numbered file of migrations/.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Number of the file, dense from 1.
    pub version: i32,
    /// Name of the file without its number and extension.
    pub name: &'static str,
    /// SQL statements of the file.
    pub sql: &'static str,
}

impl Migration {
    /// Checksum by which a change of an applied migration is detected.
    #[must_use]
    pub fn checksum(&self) -> String {
        checksum(&[self.sql])
    }
}

/// A migration by its version, and the number and the name of its file.
macro_rules! migration {
    ($version:literal, $number:literal, $name:literal) => {
        Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../../migrations/", $number, $name, ".sql")),
        }
    };
}

/// All migrations in order. A released migration is never edited.
#[must_use]
pub const fn migrations() -> &'static [Migration] {
    &[
        migration!(1, "0001_", "delivery"),
        migration!(2, "0002_", "history"),
        migration!(3, "0003_", "current"),
        migration!(4, "0004_", "queries"),
        migration!(5, "0005_", "identity"),
        migration!(6, "0006_", "unchanged"),
        migration!(7, "0007_", "zeros"),
        migration!(8, "0008_", "path_marking"),
        migration!(9, "0009_", "column_names"),
        migration!(10, "0010_", "slim_history"),
        migration!(11, "0011_", "lane_classes"),
        migration!(12, "0012_", "past"),
        migration!(13, "0013_", "lane_count"),
    ]
}

/// Changes that [`migrate`] made to a schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Whether the objects were moved from the schema `public`.
    pub was_moved: bool,
    /// Versions of the migrations that were applied, ascending.
    pub versions: Vec<i32>,
    /// Whether functions and views were replaced.
    pub has_replaced_functions: bool,
    /// Views in `public` that were created, removed or left out.
    pub public_views: PublicViews,
}

impl Applied {
    /// True if the schema was up to date.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        !self.was_moved
            && self.versions.is_empty()
            && !self.has_replaced_functions
            && !self.public_views.has_changed()
    }
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions = self.versions.iter().map(ToString::to_string);
        let functions = self.has_replaced_functions.then(|| "functions".to_owned());
        let moved = self.was_moved.then(|| "moved from public".to_owned());
        f.write_str(&moved.into_iter().chain(versions).chain(functions).collect::<Vec<_>>().join(", "))
    }
}

/// Creates or upgrades the schema. Concurrent callers wait for each other. The connection's search path is
/// the schema of the layout afterwards.
///
/// A role without the right to create objects succeeds if the schema is up to date: nothing is written then.
///
/// # Errors
/// A migration failed, or the database has migrations that differ from those of this program.
pub async fn migrate(
    client: &mut Client,
    layout: &Layout,
    chunk_interval_days: u32,
) -> Result<Applied, MigrateError> {
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
    let result = apply_layout(client, layout, chunk_interval_days).await;
    // If the unlock fails, the connection is closed, and with it the session that holds the lock.
    let unlocked = client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await;
    let applied = result?;
    unlocked?;
    Ok(applied)
}

async fn apply_layout(
    client: &mut Client,
    layout: &Layout,
    chunk_interval_days: u32,
) -> Result<Applied, MigrateError> {
    client.batch_execute(&layout.schema.search_path()).await?;
    let mut before_move = None;
    if layout.schema.is_public() {
        if let Some(database) = database_of_pybmpmon(client).await? {
            return Err(MigrateError::Pybmpmon { database });
        }
    } else if !has_bookkeeping(client).await? && is_in_public(client).await? {
        // The objects of the present release are known, so that the earlier one is upgraded where it is.
        client.batch_execute(&SchemaName::public().search_path()).await?;
        before_move = Some(apply_missing(client, &SchemaName::public(), chunk_interval_days).await?);
        move_schema::move_from_public(client, &layout.schema).await?;
        client.batch_execute(&layout.schema.search_path()).await?;
    }
    let mut applied = apply_missing(client, &layout.schema, chunk_interval_days).await?;
    if let Some(before) = before_move {
        applied.was_moved = true;
        applied.versions.splice(0..0, before.versions);
    }
    if !layout.schema.is_public() {
        applied.public_views = public_views::update(client, layout, applied.has_replaced_functions).await?;
    }
    Ok(applied)
}

/// Whether the schema of the connection has `schema_migrations`.
pub(super) async fn has_bookkeeping(client: &Client) -> Result<bool, tokio_postgres::Error> {
    client.query_one("SELECT to_regclass('schema_migrations') IS NOT NULL", &[]).await?.try_get(0)
}

async fn apply_missing(
    client: &mut Client,
    schema: &SchemaName,
    chunk_interval_days: u32,
) -> Result<Applied, MigrateError> {
    // CREATE … IF NOT EXISTS would require the right to create even where the object exists.
    if !has_bookkeeping(client).await? {
        move_schema::create_schema(client, schema).await?;
        client.batch_execute(BOOKKEEPING).await?;
    }
    let interval = format!("{} days", chunk_interval_days.max(1));
    client.execute("SELECT set_config('holdfast.chunk_interval', $1, false)", &[&interval]).await?;
    let stored = stored_checksums(client).await?;
    if let Some(schema) = moved_to(client).await? {
        return Err(MigrateError::Moved { schema });
    }
    let is_known =
        |version| version == FUNCTIONS_VERSION || migrations().iter().any(|m| m.version == version);
    if let Some((version, _)) = stored.iter().rev().find(|(version, _)| !is_known(*version)) {
        return Err(MigrateError::Newer { version: *version });
    }
    let mut applied = Applied::default();
    if migrations().iter().any(|migration| stored.iter().all(|(version, _)| *version != migration.version)) {
        public_views::remove_before_migration(client, schema).await?;
    }
    for migration in migrations() {
        match stored.iter().find(|(version, _)| *version == migration.version) {
            Some((_, checksum)) if *checksum == migration.checksum() => {}
            Some(_) => return Err(MigrateError::Changed { version: migration.version }),
            None => {
                apply(client, migration)
                    .await
                    .map_err(|error| MigrateError::Database { version: Some(migration.version), error })?;
                applied.versions.push(migration.version);
            }
        }
    }
    let checksum = functions_checksum();
    let is_stored =
        stored.iter().any(|(version, stored)| *version == FUNCTIONS_VERSION && *stored == checksum);
    let is_converting = convert_history::is_pending(client).await?;
    if !applied.versions.is_empty() || !is_stored || is_converting || is_object_missing(client).await? {
        let replaced = if is_converting {
            replace_and_convert(client, schema, &checksum).await
        } else {
            functions::replace_functions(client, schema, Some(&checksum)).await
        };
        replaced.map_err(|error| MigrateError::Database { version: Some(FUNCTIONS_VERSION), error })?;
        applied.has_replaced_functions = true;
    }
    Ok(applied)
}

fn checksum(parts: &[&str]) -> String {
    let mut hasher = SipHasher13::new();
    for part in parts {
        hasher.write(part.as_bytes());
    }
    format!("{:032x}", hasher.finish128().as_u128())
}

pub(super) async fn stored_checksums(client: &Client) -> Result<Vec<(i32, String)>, tokio_postgres::Error> {
    let sql = "SELECT version, checksum FROM schema_migrations ORDER BY version";
    client.query(sql, &[]).await?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

async fn apply(client: &mut Client, migration: &Migration) -> Result<(), tokio_postgres::Error> {
    let started = Instant::now();
    let transaction = client.transaction().await?;
    if migration.version == EXTENSION_VERSION {
        transaction.batch_execute(EXTENSION).await?;
    }
    transaction.execute(SEARCH_PATH, &[]).await?;
    transaction.batch_execute(migration.sql).await?;
    let took_ms = milliseconds_since(started);
    transaction
        .execute(
            "INSERT INTO schema_migrations (version, name, checksum, execution_time_ms)
            VALUES ($1, $2, $3, $4)",
            &[&migration.version, &migration.name, &migration.checksum(), &took_ms],
        )
        .await?;
    transaction.commit().await?;
    tracing::info!(
        version = migration.version,
        name = migration.name,
        duration_ms = took_ms,
        "migration_applied"
    );
    Ok(())
}

/// Replaces functions and views, and moves the rows of an earlier release. The checksum is stored at the end,
/// so that an interrupted migration is not taken for a complete one.
async fn replace_and_convert(
    client: &mut Client,
    schema: &SchemaName,
    checksum: &str,
) -> Result<(), tokio_postgres::Error> {
    functions::replace_functions(client, schema, None).await?;
    convert_history::convert_history(client).await?;
    functions::replace_functions(client, schema, Some(checksum)).await?;
    convert_history::finish(client).await
}

fn milliseconds_since(started: Instant) -> i32 {
    i32::try_from(started.elapsed().as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_dense_from_one() {
        let versions: Vec<i32> = migrations().iter().map(|migration| migration.version).collect();
        assert_eq!(
            versions,
            (1..=versions.len()).map(|version| i32::try_from(version).unwrap()).collect::<Vec<_>>()
        );
    }
}
