//! The requests of tokio-postgres that leave nothing behind on the connection.
//!
//! tokio-postgres closes a prepared statement in the background when it is dropped. The reply could reach an
//! exchange, which would take it for the end of its own requests. So a lane's connection runs only statements
//! without a name, each of which is complete when its call returns.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};

/// A value of a statement and its type.
pub(crate) type Typed<'a> = (&'a (dyn ToSql + Sync), Type);

/// A client without prepared statements.
pub(crate) struct QuietClient(Client);

impl QuietClient {
    pub(in crate::sink::connection) const fn new(client: Client) -> Self {
        Self(client)
    }

    /// Whether the connection is closed.
    pub(in crate::sink::connection) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Runs statements that return nothing.
    pub(crate) async fn batch_execute(&self, sql: &str) -> Result<(), Error> {
        self.0.batch_execute(sql).await
    }

    /// Returns the rows of a statement.
    pub(crate) async fn query(&self, sql: &str, values: &[Typed<'_>]) -> Result<Vec<Row>, Error> {
        self.0.query_typed(sql, values).await
    }

    /// Returns the number of rows that a statement has affected.
    pub(crate) async fn execute(&self, sql: &str, values: &[Typed<'_>]) -> Result<u64, Error> {
        self.0.execute_typed(sql, values).await
    }
}
