//! Connections for the queries of the HTTP server, apart from those of the delivery.

use std::time::Duration;

use deadpool_postgres::{Object, Pool, PoolError};
use tokio::runtime::Handle;
use tokio_postgres::{CancelToken, Client};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::target::{Target, TargetError};
use crate::sink::error::explain;

/// `application_name` in pg_stat_activity.
const APPLICATION_NAME: &str = "holdfast page";

/// Time limit for opening or checking a connection. Longer than the default of `connect_timeout`, which names
/// the cause.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);

/// Time limit for a request to cancel a query.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// A pool of connections that cannot write. They are opened on first use.
pub struct QueryPool {
    pool: Pool,
    tls: MakeRustlsConnect,
    /// Server, user and database, for error messages.
    server: String,
}

/// The database is unreachable or rejects the connection.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot connect to the database at {server}: {cause}")]
pub struct Unreachable {
    server: String,
    cause: String,
}

impl QueryPool {
    /// A pool with at most `size_max` connections.
    ///
    /// # Errors
    /// The pool settings are invalid.
    pub fn new(target: &Target, size_max: usize) -> Result<Self, TargetError> {
        let pool = target.read_only_pool(APPLICATION_NAME, size_max)?;
        Ok(Self { pool, tls: target.tls(), server: target.description() })
    }

    /// A connection of the pool, opened if there is none. Waits while all are in use.
    ///
    /// # Errors
    /// The server is unreachable, rejects the connection, or does not reply in time.
    pub async fn get(&self) -> Result<QueryConnection, Unreachable> {
        let cause = match tokio::time::timeout(CONNECT_TIMEOUT, self.pool.get()).await {
            Ok(Ok(object)) => {
                let (pool, tls) = (self.pool.clone(), self.tls.clone());
                let guard = Guard { pool, tls, token: object.cancel_token(), is_armed: true };
                return Ok(QueryConnection { object, guard });
            }
            Ok(Err(PoolError::Backend(error))) => explain(&error),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no reply within {} s", CONNECT_TIMEOUT.as_secs()),
        };
        Err(Unreachable { server: self.server.clone(), cause })
    }
}

/// A connection of a [`QueryPool`]. If it is dropped and not released, the server is asked to cancel its
/// query, and the connection is closed.
pub struct QueryConnection {
    // The fields are dropped in this order: the guard closes what has been returned to the pool.
    object: Object,
    guard: Guard,
}

impl QueryConnection {
    /// The client of the connection.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.object
    }

    /// Ends the transaction and returns the connection to the pool. The result of the query must have been
    /// read to its end, or the query must have failed.
    pub async fn release(self) {
        let Self { object, mut guard } = self;
        guard.is_armed = object.batch_execute("ROLLBACK").await.is_err();
        drop(object);
        drop(guard);
    }
}

/// Cancels the query of a connection and closes the unused connections of the pool, unless disarmed.
struct Guard {
    pool: Pool,
    tls: MakeRustlsConnect,
    token: CancelToken,
    is_armed: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.is_armed {
            return;
        }
        // The connection may be in the middle of a query. The server would notice that it is closed only when
        // it sends rows.
        self.pool.retain(|_, _| false);
        if let Ok(runtime) = Handle::try_current() {
            let (token, tls) = (self.token.clone(), self.tls.clone());
            runtime.spawn(async move {
                let cancelled = tokio::time::timeout(CANCEL_TIMEOUT, token.cancel_query(tls)).await;
                if let Ok(Err(error)) = cancelled {
                    tracing::debug!(%error, "query_not_cancelled");
                }
            });
        }
    }
}
