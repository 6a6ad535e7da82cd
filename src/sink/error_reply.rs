//! Error replies of the server to a pipelined exchange.

use tokio_postgres::error::SqlState;

/// An error reply of the server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({})", code.code())]
pub struct ErrorReply {
    /// SQLSTATE.
    pub code: SqlState,
    /// The primary message.
    pub message: String,
    /// The detail message, if there is one.
    pub detail: Option<String>,
    /// A suggestion, if there is one.
    pub hint: Option<String>,
}
