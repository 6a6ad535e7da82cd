//! Migrations: forward only, each in a transaction of its own, checksummed, one migrator at a time.

use std::fmt;
use std::hash::Hasher as _;
use std::time::Instant;

use siphasher::sip128::{Hasher128 as _, SipHasher13};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::sink::error::Error;
use crate::sink::error_policy::{ErrorAction, action_for_error};

/// Of `pg_advisory_lock`: "holdfast" in ASCII.
const LOCK: i64 = 0x686f_6c64_6661_7374;

const BOOKKEEPING: &str = "
    CREATE TABLE schema_migrations (version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now(), execution_time_ms integer NOT NULL)";

/// One file of migrations/.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Number, dense from 1.
    pub version: i32,
    /// Name of the file without number and ending.
    pub name: &'static str,
    /// Its statements.
    pub sql: &'static str,
}

impl Migration {
    /// What the database keeps of it, to notice that a file was changed after it was applied.
    #[must_use]
    pub fn checksum(&self) -> String {
        let mut hasher = SipHasher13::new();
        hasher.write(self.sql.as_bytes());
        format!("{:032x}", hasher.finish128().as_u128())
    }
}

/// All migrations, in order. A released one is never edited.
#[must_use]
pub const fn migrations() -> &'static [Migration] {
    &[
        Migration {
            version: 1,
            name: "delivery",
            sql: include_str!("../../../migrations/0001_delivery.sql"),
        },
        Migration { version: 2, name: "history", sql: include_str!("../../../migrations/0002_history.sql") },
        Migration { version: 3, name: "current", sql: include_str!("../../../migrations/0003_current.sql") },
        Migration { version: 4, name: "verify", sql: include_str!("../../../migrations/0004_verify.sql") },
        Migration { version: 5, name: "answers", sql: include_str!("../../../migrations/0005_answers.sql") },
        Migration { version: 6, name: "rebuild", sql: include_str!("../../../migrations/0006_rebuild.sql") },
    ]
}

/// Why the schema is not as it must be.
#[derive(Debug)]
pub enum MigrateError {
    /// A migration failed; nothing of it is there.
    Database {
        /// Which one; `None` for the bookkeeping around them.
        version: Option<i32>,
        /// What the server says.
        error: tokio_postgres::Error,
    },
    /// An applied migration is not the one that this program knows.
    Changed {
        /// Which one.
        version: i32,
    },
    /// What stands around the migrations failed.
    Around(Error),
    /// The database was migrated by a newer program.
    Newer {
        /// The highest version there.
        version: i32,
    },
}

impl fmt::Display for MigrateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let say = |error: &tokio_postgres::Error| {
            error
                .as_db_error()
                .map_or_else(|| error.to_string(), |db| format!("{} ({})", db.message(), db.code().code()))
        };
        match self {
            Self::Database { version, error } => {
                match version {
                    Some(version) => write!(f, "migration {version}: {}", say(error))?,
                    None => write!(f, "schema_migrations: {}", say(error))?,
                }
                match error.code() {
                    Some(&SqlState::INSUFFICIENT_PRIVILEGE) => f.write_str(
                        "; run `holdfast migrate` as the role that owns the tables (deploy/roles.sql)",
                    ),
                    _ => Ok(()),
                }
            }
            Self::Around(error) => error.fmt(f),
            Self::Changed { version } => {
                write!(f, "migration {version} was changed after it had been applied to this database")
            }
            Self::Newer { version } => {
                write!(f, "the database is at version {version}, which is newer than this program knows")
            }
        }
    }
}

impl std::error::Error for MigrateError {}

impl MigrateError {
    /// What to do about it.
    #[must_use]
    pub fn action(&self) -> ErrorAction {
        match self {
            Self::Database { error, .. } => action_for_error(error),
            Self::Around(error) => error.action(),
            Self::Changed { .. } | Self::Newer { .. } => ErrorAction::Alarm,
        }
    }
}

impl From<Error> for MigrateError {
    fn from(error: Error) -> Self {
        Self::Around(error)
    }
}

impl From<tokio_postgres::Error> for MigrateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database { version: None, error }
    }
}

/// Brings the schema up to date and returns what it applied. Callers at the same time wait for each other.
///
/// # Errors
/// A migration failed, or the database holds others than this program knows.
pub async fn migrate(client: &mut Client, chunk_interval_days: u32) -> Result<Vec<i32>, MigrateError> {
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
    let result = apply_missing(client, chunk_interval_days).await;
    // The lock belongs to the session: if this fails, the connection is gone and the lock with it.
    let unlocked = client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await;
    let applied = result?;
    unlocked?;
    Ok(applied)
}

async fn apply_missing(client: &mut Client, chunk_interval_days: u32) -> Result<Vec<i32>, MigrateError> {
    // A role that may not make tables finds what another one has made: IF NOT EXISTS would ask for the right all the same.
    let is_there = "SELECT to_regclass('schema_migrations') IS NOT NULL";
    if !client.query_one(is_there, &[]).await?.try_get::<_, bool>(0)? {
        client.batch_execute(BOOKKEEPING).await?;
    }
    let interval = format!("{} days", chunk_interval_days.max(1));
    client.execute("SELECT set_config('holdfast.chunk_interval', $1, false)", &[&interval]).await?;
    let known = applied(client).await?;
    if let Some((version, _)) =
        known.iter().find(|(version, _)| migrations().iter().all(|m| m.version != *version))
    {
        return Err(MigrateError::Newer { version: *version });
    }
    let mut done = Vec::new();
    for migration in migrations() {
        match known.iter().find(|(version, _)| *version == migration.version) {
            Some((_, checksum)) if *checksum == migration.checksum() => {}
            Some(_) => return Err(MigrateError::Changed { version: migration.version }),
            None => {
                apply(client, migration)
                    .await
                    .map_err(|error| MigrateError::Database { version: Some(migration.version), error })?;
                done.push(migration.version);
            }
        }
    }
    Ok(done)
}

async fn applied(client: &Client) -> Result<Vec<(i32, String)>, tokio_postgres::Error> {
    let rows = client.query("SELECT version, checksum FROM schema_migrations ORDER BY version", &[]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

async fn apply(client: &mut Client, migration: &Migration) -> Result<(), tokio_postgres::Error> {
    let started = Instant::now();
    let transaction = client.transaction().await?;
    transaction.batch_execute(migration.sql).await?;
    let took_ms = i32::try_from(started.elapsed().as_millis()).unwrap_or(i32::MAX);
    transaction
        .execute(
            "INSERT INTO schema_migrations (version, name, checksum, execution_time_ms) VALUES ($1, $2, $3, $4)",
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
