//! What can go wrong with a lane's transaction.

use tokio_postgres::error::SqlState;

use crate::sink::error_policy::{ErrorAction, action_for_error};
use crate::sink::transaction::builder::InconsistentBatch;

/// Why a lane could not attach or store. After any of them the connection must be dropped.
#[derive(Debug)]
pub enum Error {
    /// The client library or the server says so.
    Database(tokio_postgres::Error),
    /// No answer in time.
    Timeout,
    /// The batch contradicts itself.
    InconsistentBatch(InconsistentBatch),
    /// So many rows are refused that it is not about rows.
    Systemic {
        /// How many, until it gave up.
        rejected: u64,
        /// Of how many.
        records: u64,
        /// What the server said of the first one.
        first: String,
    },
    /// The thread that encodes rows has ended; our bug.
    Encoder(tokio::task::JoinError),
    /// Somebody else has stored a route that this connection took for new.
    RouteExists,
    /// The server took another number of rows than it was given.
    RowCount {
        /// Which table.
        table: &'static str,
        /// How many it was given.
        sent: u64,
        /// How many it says it has.
        stored: u64,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn action(&self) -> ErrorAction {
        match self {
            Self::Database(error) => action_for_error(error),
            Self::RouteExists => ErrorAction::Retry,
            Self::Timeout => ErrorAction::RetrySmaller,
            Self::Systemic { .. } | Self::Encoder(_) => ErrorAction::Alarm,
            Self::InconsistentBatch(_) | Self::RowCount { .. } => ErrorAction::Halt,
        }
    }
}

impl Error {
    /// True when tables or functions are missing, as in a database that was made anew.
    #[must_use]
    pub fn lacks_schema(&self) -> bool {
        let missing =
            [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_FUNCTION, SqlState::INVALID_SCHEMA_NAME];
        matches!(self, Self::Database(error) if error.code().is_some_and(|code| missing.contains(code)))
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Database(error) => match error.as_db_error() {
                Some(db) => write!(f, "{} ({})", db.message(), db.code().code()),
                // The library says what failed, and its cause says why.
                None => match std::error::Error::source(error) {
                    Some(cause) => write!(f, "{error}: {cause}"),
                    None => write!(f, "{error}"),
                },
            },
            Self::Systemic { rejected, records, first } => write!(
                f,
                "{rejected} of {records} records are refused, the first with: {first}; compare the database's tables, \
                 triggers and constraints with docs/SCHEMA.md and mend them: nothing is lost, and delivery goes on by itself"
            ),
            Self::InconsistentBatch(error) => error.fmt(f),
            Self::Encoder(error) => write!(f, "the rows could not be encoded: {error}"),
            Self::RouteExists => f.write_str("somebody else has stored a route that was taken for new"),
            Self::Timeout => f.write_str("the database did not answer in time"),
            Self::RowCount { table, sent, stored } => {
                write!(f, "{table} was given {sent} rows and has {stored}")
            }
        }
    }
}

impl std::error::Error for Error {}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}
