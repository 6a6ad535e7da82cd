//! Errors of a lane's connection.

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::sink::error_policy::{ErrorAction, action_for_error};
use crate::sink::transaction::EncodeError;

/// A lane could not attach, or could not store a transaction. The connection must be dropped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error reply of the server, or an error of the client library.
    #[error("{}", describe(.0))]
    Database(#[from] tokio_postgres::Error),
    /// The pool has no connection, for another reason than an error of the server.
    #[error("no database connection: {0}")]
    Pool(#[source] PoolError),
    /// The server did not reply within the time limit.
    #[error("no reply from the database within the time limit")]
    Timeout,
    /// Rows could not be encoded; a defect of this program.
    #[error("encoding a transaction: {0}")]
    Encode(#[from] EncodeError),
    /// The thread that encodes rows ended with a panic; a defect of this program.
    #[error("encoding a transaction: {0}")]
    Encoder(#[source] tokio::task::JoinError),
    /// The server rejects too many records for the cause to be in the records.
    #[error(
        "{rejected} of {records} records rejected, the first with: {first}; compare the database's tables, \
         triggers and constraints with docs/SCHEMA.md and repair them; nothing is lost, and delivery resumes \
         automatically"
    )]
    Systemic {
        /// Number of rejected records when the attempt was stopped.
        rejected: u64,
        /// Number of records in the transaction.
        records: u64,
        /// Message and SQLSTATE of the first rejection.
        first: String,
    },
    /// Another writer has stored a route that this connection expected to be new.
    #[error("another writer has stored a route that was expected to be new: {}", describe(.0))]
    RouteExists(#[source] tokio_postgres::Error),
    /// The server stored a different number of rows than it was sent.
    #[error("{table}: {sent} rows sent, {stored} stored")]
    RowCount {
        /// The table.
        table: &'static str,
        /// Number of rows that were sent.
        sent: u64,
        /// Number of rows that the server reported.
        stored: u64,
    },
}

impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Database(error),
            PoolError::Timeout(_) => Self::Timeout,
            other => Self::Pool(other),
        }
    }
}

impl Error {
    /// Returns the reaction to the error.
    #[must_use]
    pub fn action(&self) -> ErrorAction {
        match self {
            Self::Database(error) => action_for_error(error),
            Self::RouteExists(_) | Self::Pool(_) => ErrorAction::Retry,
            Self::Timeout => ErrorAction::RetrySmaller,
            Self::Systemic { .. } | Self::Encoder(_) => ErrorAction::Alarm,
            Self::Encode(_) | Self::RowCount { .. } => ErrorAction::Halt,
        }
    }

    /// Whether the error is that tables or functions are missing, as in a database that was created anew.
    #[must_use]
    pub fn lacks_schema(&self) -> bool {
        let missing =
            [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_FUNCTION, SqlState::INVALID_SCHEMA_NAME];
        matches!(self, Self::Database(error) if error.code().is_some_and(|code| missing.contains(code)))
    }
}

/// Message and SQLSTATE of an error reply. For other errors, the operation that failed and its cause.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(reply) => format!("{} ({})", reply.message(), reply.code().code()),
        None => match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}
