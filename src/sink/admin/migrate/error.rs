//! Errors of a migration.

use tokio_postgres::error::SqlState;

use super::FUNCTIONS_VERSION;
use crate::sink::error::{Error, with_causes};
use crate::sink::error_policy::{ErrorAction, action_for_error, class_for_error};

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
    /// The schema `public`, which is to be that of Holdfast, contains the tables of pybmpmon, which have the
    /// names of Holdfast's tables.
    #[error(
        "DB_SCHEMA is public, and this schema of the database \"{database}\" contains the tables of \
         pybmpmon, which are left unchanged: set DB_SCHEMA to another schema, such as holdfast, and copy \
         the history with `holdfast import-pybmpmon` (docs/MIGRATING.md)"
    )]
    Pybmpmon {
        /// Name of the database.
        database: String,
    },
    /// The tables were in the schema `public`, which is to be that of Holdfast, and were moved to another
    /// one.
    #[error(
        "DB_SCHEMA is public, and the tables of this database were moved from there to the schema \
         \"{schema}\": set DB_SCHEMA to it"
    )]
    Moved {
        /// The schema that has the tables.
        schema: String,
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
        // A schema that the role may not use is left out of its search path.
        Some(&SqlState::INVALID_SCHEMA_NAME) => {
            "; grant the role USAGE on the schema with deploy/roles.sql, or run `holdfast migrate` as the \
             role that owns the tables"
        }
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            "; run `holdfast migrate` as the role that owns the tables (deploy/roles.sql)"
        }
        Some(&SqlState::DUPLICATE_TABLE) => {
            "; the schema has tables of another program under these names: set DB_SCHEMA to another schema"
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
            Self::Changed { .. } | Self::Newer { .. } | Self::Moved { .. } | Self::Pybmpmon { .. } => {
                ErrorAction::Alarm
            }
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
            Self::Changed { .. } | Self::Newer { .. } | Self::Moved { .. } | Self::Pybmpmon { .. } => {
                "schema"
            }
        }
    }
}

impl From<tokio_postgres::Error> for MigrateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database { version: None, error }
    }
}
