//! Creation and upgrade of the schema: numbered migrations for tables, repeatable files for functions.
//!
//! A migration is applied once, forward only, in a transaction of its own, and its checksum is stored.
//! Functions and views are replaced as a whole, in one transaction, whenever their common checksum differs
//! from the stored one or one of them is missing. A session-level advisory lock admits one migrator at a
//! time.

use std::fmt;
use std::hash::Hasher as _;
use std::time::Instant;

use siphasher::sip128::{Hasher128 as _, SipHasher13};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::sink::error::{Error, with_causes};
use crate::sink::error_policy::{ErrorAction, action_for_error, class_for_error};

use super::convert_history;
use super::pybmpmon_schema::database_of_pybmpmon;

/// Key of the migrator's `pg_advisory_lock`: "holdfast" in ASCII.
const LOCK: i64 = 0x686f_6c64_6661_7374;

const BOOKKEEPING: &str = "
    CREATE TABLE public.schema_migrations (version integer PRIMARY KEY, name text NOT NULL,
        checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(),
         execution_time_ms integer NOT NULL);
    COMMENT ON TABLE public.schema_migrations IS
        'Applied migrations. Version 0 stands for the functions and views, which are replaced as a whole.';
    COMMENT ON COLUMN public.schema_migrations.checksum IS
        'Checksum of the applied SQL. A migration whose file was changed afterwards stops the start.'";

/// The schema of all objects, whatever the role's search path.
const SEARCH_PATH: &str = "SET LOCAL search_path = public, pg_temp";

/// Version under which [`FUNCTIONS`] are recorded in `schema_migrations`.
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

/// The files of migrations/functions, in the order of their dependencies.
const FUNCTIONS: &[&str] = &[
    include_str!("../../../migrations/functions/01_shared.sql"),
    include_str!("../../../migrations/functions/02_delivery.sql"),
    include_str!("../../../migrations/functions/03_merge.sql"),
    include_str!("../../../migrations/functions/04_partitions.sql"),
    include_str!("../../../migrations/functions/05_views.sql"),
    include_str!("../../../migrations/functions/06_upkeep.sql"),
    include_str!("../../../migrations/functions/07_verify.sql"),
    include_str!("../../../migrations/functions/08_rebuild.sql"),
    include_str!("../../../migrations/functions/09_collectors.sql"),
    include_str!("../../../migrations/functions/10_lookup.sql"),
    include_str!("../../../migrations/functions/11_past.sql"),
    include_str!("../../../migrations/functions/12_change.sql"),
    include_str!("../../../migrations/functions/13_attributes.sql"),
    include_str!("../../../migrations/functions/14_policy.sql"),
    include_str!("../../../migrations/functions/15_evpn.sql"),
    include_str!("../../../migrations/functions/16_peers.sql"),
    include_str!("../../../migrations/functions/17_collector.sql"),
    include_str!("../../../migrations/functions/18_completeness.sql"),
    include_str!("../../../migrations/functions/19_monitoring.sql"),
    include_str!("../../../migrations/functions/20_history.sql"),
];

/// Changes that [`migrate`] made to a schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Versions of the migrations that were applied, ascending.
    pub versions: Vec<i32>,
    /// Whether functions and views were replaced.
    pub has_replaced_functions: bool,
}

impl Applied {
    /// True if the schema was up to date.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.versions.is_empty() && !self.has_replaced_functions
    }
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions = self.versions.iter().map(ToString::to_string);
        let functions = self.has_replaced_functions.then(|| "functions".to_owned());
        f.write_str(&versions.chain(functions).collect::<Vec<_>>().join(", "))
    }
}

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The server rejected a statement. The transaction of that migration was rolled back.
    #[error("{}", describe(*version, error))]
    Database {
        /// Version of the migration, 0 for the functions and views; `None` for `schema_migrations` itself.
        version: Option<i32>,
        /// Error of the server or of the connection.
        #[source]
        error: tokio_postgres::Error,
    },
    /// The checksum of an applied migration differs from that of the file in this program.
    #[error("migration {version} was changed after it had been applied to this database")]
    Changed {
        /// Version of the migration.
        version: i32,
    },
    /// The connection for the migration could not be established.
    #[error(transparent)]
    Connect(#[from] Error),
    /// The schema `public` contains the tables of pybmpmon, which have the names of Holdfast's tables.
    #[error(
        "the database \"{database}\" contains the tables of pybmpmon, which are left unchanged; Holdfast \
         needs a database without them: either create one, set DB_NAME (or DATABASE_URL) to it, and copy the \
         history with `holdfast import-pybmpmon --from URL`; or move the tables of pybmpmon to another \
         schema of this database, and copy the history with `holdfast import-pybmpmon --schema NAME` \
         (docs/MIGRATING.md)"
    )]
    Pybmpmon {
        /// Name of the database.
        database: String,
    },
    /// The database was migrated by a newer program.
    #[error("the database schema is at version {version}, unknown to this program; install a newer release")]
    Newer {
        /// Highest version in the database.
        version: i32,
    },
}

fn describe(version: Option<i32>, error: &tokio_postgres::Error) -> String {
    let subject = match version {
        Some(FUNCTIONS_VERSION) => "functions and views".to_owned(),
        Some(version) => format!("migration {version}"),
        None => "schema_migrations".to_owned(),
    };
    // Not `describe`: a table that exists already is one of the schema here, not one of a pooled connection.
    let reason = error
        .as_db_error()
        .map_or_else(|| with_causes(error), |db| format!("{} ({})", db.message(), db.code().code()));
    let remedy = match error.code() {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            "; run `holdfast migrate` as the role that owns the tables (deploy/roles.sql)"
        }
        Some(&SqlState::DUPLICATE_TABLE) => {
            "; the database has tables of another program under these names: use an empty database"
        }
        _ => "",
    };
    format!("{subject}: {reason}{remedy}")
}

impl MigrateError {
    /// Reaction of a lane or of the start to this error.
    #[must_use]
    pub fn action(&self) -> ErrorAction {
        match self {
            Self::Database { error, .. } => action_for_error(error),
            Self::Connect(error) => error.action(),
            Self::Changed { .. } | Self::Newer { .. } | Self::Pybmpmon { .. } => ErrorAction::Alarm,
        }
    }
}

impl MigrateError {
    /// Class of the error, as [`Error::class`]; `schema` if the database is not one of this program.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Database { error, .. } => class_for_error(error),
            Self::Connect(error) => error.class(),
            Self::Changed { .. } | Self::Newer { .. } | Self::Pybmpmon { .. } => "schema",
        }
    }
}

impl From<tokio_postgres::Error> for MigrateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database { version: None, error }
    }
}

/// Creates or upgrades the schema. Concurrent callers wait for each other.
///
/// A role without the right to create objects succeeds if the schema is up to date: nothing is written then.
///
/// # Errors
/// A migration failed, or the database has migrations that differ from those of this program.
pub async fn migrate(client: &mut Client, chunk_interval_days: u32) -> Result<Applied, MigrateError> {
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
    let result = apply_missing(client, chunk_interval_days).await;
    // If the unlock fails, the connection is closed, and with it the session that holds the lock.
    let unlocked = client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await;
    let applied = result?;
    unlocked?;
    Ok(applied)
}

async fn apply_missing(client: &mut Client, chunk_interval_days: u32) -> Result<Applied, MigrateError> {
    if let Some(database) = database_of_pybmpmon(client).await? {
        return Err(MigrateError::Pybmpmon { database });
    }
    // CREATE TABLE IF NOT EXISTS would require the right to create even where the table exists.
    let exists = "SELECT to_regclass('public.schema_migrations') IS NOT NULL";
    if !client.query_one(exists, &[]).await?.try_get::<_, bool>(0)? {
        client.batch_execute(BOOKKEEPING).await?;
    }
    let interval = format!("{} days", chunk_interval_days.max(1));
    client.execute("SELECT set_config('holdfast.chunk_interval', $1, false)", &[&interval]).await?;
    let stored = stored_checksums(client).await?;
    let is_known =
        |version| version == FUNCTIONS_VERSION || migrations().iter().any(|m| m.version == version);
    if let Some((version, _)) = stored.iter().rev().find(|(version, _)| !is_known(*version)) {
        return Err(MigrateError::Newer { version: *version });
    }
    let mut applied = Applied::default();
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
            replace_and_convert(client, &checksum).await
        } else {
            replace_functions(client, Some(&checksum)).await
        };
        replaced.map_err(|error| MigrateError::Database { version: Some(FUNCTIONS_VERSION), error })?;
        applied.has_replaced_functions = true;
    }
    Ok(applied)
}

/// Checksum of the functions and views of this program.
pub(super) fn functions_checksum() -> String {
    checksum(FUNCTIONS)
}

fn checksum(parts: &[&str]) -> String {
    let mut hasher = SipHasher13::new();
    for part in parts {
        hasher.write(part.as_bytes());
    }
    format!("{:032x}", hasher.finish128().as_u128())
}

pub(super) async fn stored_checksums(client: &Client) -> Result<Vec<(i32, String)>, tokio_postgres::Error> {
    let sql = "SELECT version, checksum FROM public.schema_migrations ORDER BY version";
    client.query(sql, &[]).await?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

async fn apply(client: &mut Client, migration: &Migration) -> Result<(), tokio_postgres::Error> {
    let started = Instant::now();
    let transaction = client.transaction().await?;
    transaction.batch_execute(SEARCH_PATH).await?;
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

/// Functions and views that [`FUNCTIONS`] create, by kind.
fn created(kind: &str) -> Vec<&'static str> {
    let start = format!("CREATE OR REPLACE {kind} ");
    let lines = FUNCTIONS.iter().flat_map(|sql| sql.lines());
    lines.filter_map(|line| line.strip_prefix(&start)?.split([' ', '(']).next()).collect()
}

/// True if a function or view does not exist, as in a database that was restored in part.
pub(super) async fn is_object_missing(client: &Client) -> Result<bool, tokio_postgres::Error> {
    let sql =
        "SELECT EXISTS (SELECT FROM unnest($1::text[]) AS name WHERE to_regproc('public.' || name) IS NULL)
        OR EXISTS (SELECT FROM unnest($2::text[]) AS name WHERE to_regclass('public.' || name) IS NULL)";
    client.query_one(sql, &[&created("FUNCTION"), &created("VIEW")]).await?.try_get(0)
}

/// Replaces functions and views, and moves the rows of an earlier release. The checksum is stored at the end,
/// so that an interrupted migration is not taken for a complete one.
async fn replace_and_convert(client: &mut Client, checksum: &str) -> Result<(), tokio_postgres::Error> {
    replace_functions(client, None).await?;
    convert_history::convert_history(client).await?;
    replace_functions(client, Some(checksum)).await?;
    convert_history::finish(client).await
}

/// Replaces functions and views, and stores their checksum.
async fn replace_functions(client: &mut Client, checksum: Option<&str>) -> Result<(), tokio_postgres::Error> {
    let started = Instant::now();
    let transaction = client.transaction().await?;
    transaction.batch_execute(SEARCH_PATH).await?;
    for sql in FUNCTIONS {
        transaction.batch_execute(sql).await?;
    }
    let took_ms = milliseconds_since(started);
    if checksum.is_some() {
        transaction
            .execute(
                "INSERT INTO schema_migrations (version, name, checksum, execution_time_ms)
                VALUES ($1, 'functions', $2, $3)
                ON CONFLICT (version) DO UPDATE SET checksum = excluded.checksum, applied_at = now(),
                    execution_time_ms = excluded.execution_time_ms",
                &[&FUNCTIONS_VERSION, &checksum, &took_ms],
            )
            .await?;
    }
    transaction.commit().await?;
    tracing::info!(duration_ms = took_ms, "functions_replaced");
    Ok(())
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

    #[test]
    fn every_file_of_the_directory_is_included_in_the_order_of_names() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/functions");
        let mut paths: Vec<_> =
            std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let files: Vec<String> = paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        assert_eq!(files, FUNCTIONS);
    }

    #[test]
    fn functions_and_views_are_replaced_and_not_dropped() {
        assert!(created("FUNCTION").contains(&"rib_at") && created("VIEW").contains(&"route_state"));
        for line in FUNCTIONS.iter().flat_map(|sql| sql.lines()) {
            let is_allowed = !line.starts_with("CREATE ") || line.starts_with("CREATE OR REPLACE ");
            assert!(is_allowed && !line.starts_with("DROP "), "{line}");
        }
    }
}
