//! Errors of a lane's connection.

use std::io;

use deadpool_postgres::{HookError, PoolError};
use tokio_postgres::error::SqlState;

use crate::sink::error_policy::{
    CONNECTION, ErrorAction, action_for_error, action_for_sqlstate, class_for_error, sqlstate_class,
};
use crate::sink::error_reply::ErrorReply;
use crate::sink::remedy;
use crate::sink::transaction::EncodeError;

/// A lane could not attach, or could not store a transaction. The connection must be dropped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error reply of the server, or an error of the client library.
    #[error("{}", describe(.0))]
    Database(#[from] tokio_postgres::Error),
    /// An error reply of the server to a transaction.
    #[error("{}", describe_reply(&.0.message, &.0.code))]
    Reply(ErrorReply),
    /// The connection could not be made, was lost, or has an unreadable reply.
    #[error("database connection failed: {0}")]
    Connection(#[source] io::Error),
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
    /// The server rejects records, and the cause is not in them.
    #[error(
        "{rejected} of {records} records rejected, the first with: {first}; {evidence}; compare the \
         database's tables, triggers and constraints with docs/SCHEMA.md and repair them; nothing is lost, \
         and delivery resumes automatically"
    )]
    Systemic {
        /// Number of rejected records when the attempt was stopped.
        rejected: u64,
        /// Number of records in the transaction.
        records: u64,
        /// Message and SQLSTATE of the first rejection.
        first: String,
        /// Why the cause is not in the records.
        evidence: &'static str,
    },
    /// The connection passes through a pooler that lends its server process to other clients.
    #[error("{SHARED_PROCESS}")]
    SharedProcess,
    /// Another writer has stored a route that this connection expected to be new.
    #[error("another writer has stored a route that was expected to be new: {0}")]
    RouteExists(#[source] ErrorReply),
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

/// Text of [`Error::SharedProcess`].
const SHARED_PROCESS: &str = "a pooler (PgBouncer with pool_mode = transaction or statement) gives each \
    transaction another server process; connect to the server itself, or set pool_mode = session";

impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Database(error),
            PoolError::Timeout(_) => Self::Timeout,
            // The only message of a hook: see `Target::pool`.
            PoolError::PostCreateHook(HookError::Message(_)) => Self::SharedProcess,
            PoolError::PostCreateHook(HookError::Backend(error)) => Self::Database(error),
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
            Self::Reply(reply) => action_for_sqlstate(&reply.code),
            Self::RouteExists(_) | Self::Pool(_) | Self::Connection(_) => ErrorAction::Retry,
            Self::Timeout => ErrorAction::RetrySmaller,
            Self::Systemic { .. } | Self::Encoder(_) | Self::SharedProcess => ErrorAction::Alarm,
            Self::Encode(_) | Self::RowCount { .. } => ErrorAction::Halt,
        }
    }

    /// Class of the error: that of its SQLSTATE, `connection` or `timeout` without a reply of the server,
    /// `systemic` if the server rejects most records, `pooler` if a pooler shares the server process, else
    /// `internal`.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Database(error) => class_for_error(error),
            Self::Reply(reply) | Self::RouteExists(reply) => sqlstate_class(&reply.code),
            Self::Pool(_) | Self::Connection(_) => CONNECTION,
            Self::Timeout => "timeout",
            Self::Systemic { .. } => "systemic",
            Self::SharedProcess => "pooler",
            Self::Encode(_) | Self::Encoder(_) | Self::RowCount { .. } => "internal",
        }
    }

    /// Complete description for a terminal, as [`explain`].
    #[must_use]
    pub fn explain(&self) -> String {
        match self {
            Self::Database(error) => explain(error),
            Self::Reply(reply) => explain_reply(reply),
            other => other.to_string(),
        }
    }

    /// The SQLSTATE of the server's reply, if it is one.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&SqlState> {
        match self {
            Self::Database(error) => error.code(),
            Self::Reply(reply) | Self::RouteExists(reply) => Some(&reply.code),
            _ => None,
        }
    }

    /// What an operator can do about the error; `None` if there is no general remedy.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Database(error) => {
                error.code().map_or_else(|| remedy::for_client_error(error), remedy::for_sqlstate)
            }
            Self::Reply(reply) => remedy::for_sqlstate(&reply.code),
            _ => None,
        }
    }

    /// Whether the server did not reply, so that only attaching again shows whether it has committed.
    #[must_use]
    pub fn is_without_reply(&self) -> bool {
        match self {
            Self::Database(error) => error.code().is_none(),
            Self::Timeout | Self::Connection(_) => true,
            _ => false,
        }
    }

    /// Whether the server found a checkpoint that differs from the expected one (BM003).
    #[must_use]
    pub fn is_unexpected_checkpoint(&self) -> bool {
        matches!(self, Self::Reply(reply) if reply.code.code() == "BM003")
    }

    /// Whether the error is that tables or functions are missing, as in a database that was created anew.
    #[must_use]
    pub fn lacks_schema(&self) -> bool {
        let missing =
            [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_FUNCTION, SqlState::INVALID_SCHEMA_NAME];
        let code = match self {
            Self::Database(error) => error.code(),
            Self::Reply(reply) => Some(&reply.code),
            _ => None,
        };
        code.is_some_and(|code| missing.contains(code))
    }
}

/// Short description for a log line: message and SQLSTATE of an error reply, and the remedy if the SQLSTATE
/// implies one. For other errors, the operation that failed and its causes.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(reply) => describe_reply(reply.message(), reply.code()),
        None => with_remedy(with_causes(error), remedy::for_client_error(error)),
    }
}

/// Short description of an error reply; see [`describe`].
fn describe_reply(message: &str, code: &SqlState) -> String {
    with_remedy(format!("{message} ({}){}", code.code(), pooler(code)), remedy::for_sqlstate(code))
}

fn with_remedy(mut text: String, remedy: Option<&str>) -> String {
    if let Some(remedy) = remedy {
        text.push_str("; ");
        text.push_str(remedy);
    }
    text
}

/// Complete description for a terminal: message, detail, SQLSTATE and hint of an error reply, and the remedy
/// if the SQLSTATE implies one. For other errors, the operation that failed and its causes.
#[must_use]
pub fn explain(error: &tokio_postgres::Error) -> String {
    let Some(reply) = error.as_db_error() else { return with_causes(error) };
    explain_reply(&ErrorReply {
        code: reply.code().clone(),
        message: reply.message().to_owned(),
        detail: reply.detail().map(str::to_owned),
        hint: reply.hint().map(str::to_owned),
    })
}

/// Complete description of an error reply for a terminal; see [`explain`].
#[must_use]
pub fn explain_reply(reply: &ErrorReply) -> String {
    let mut text = reply.message.clone();
    if let Some(detail) = &reply.detail {
        text.push_str(": ");
        text.push_str(detail);
    }
    text.push_str(&format!(" (SQLSTATE {})", reply.code.code()));
    if let Some(hint) = &reply.hint {
        text.push_str("; ");
        text.push_str(hint);
    }
    text.push_str(pooler(&reply.code));
    if lacks_schema(&reply.code) {
        text.push_str(
            "; the database lacks the schema of this release, or the role lacks USAGE on it: run \
             `holdfast migrate`, grant the role its privileges with deploy/roles.sql, and check that DB_NAME \
             and DB_SCHEMA are the right ones",
        );
    } else if reply.code == SqlState::SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION {
        text.push_str(
            "; a region of this hub does not answer, see SELECT * FROM hub.state(); to answer without it: \
             SELECT hub.leave_out('REGION', 'why')",
        );
    } else if reply.code == SqlState::INSUFFICIENT_PRIVILEGE {
        return with_remedy(text, remedy::for_sqlstate(&reply.code));
    }
    text
}

/// An error and its causes, separated by colons. A cause that the text before it includes is not repeated.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

/// Remedy for an error that a connection pooler causes by giving each transaction another server connection:
/// a prepared statement that is unknown or exists already, or a temporary table that exists already.
fn pooler(code: &SqlState) -> &'static str {
    let caused =
        [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::DUPLICATE_PSTATEMENT, SqlState::DUPLICATE_TABLE];
    if caused.contains(code) {
        "; a connection pooler seems to have lent the server process to another client (PgBouncer with \
         pool_mode = transaction or statement): connect to the server itself, or set pool_mode = session"
    } else {
        ""
    }
}

/// Whether an error reply means that tables, columns or functions are missing.
fn lacks_schema(code: &SqlState) -> bool {
    [
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_COLUMN,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::INVALID_SCHEMA_NAME,
    ]
    .contains(code)
}
