//! Connections for look-ups: two at most, apart from those of the delivery.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::sink::{QueryConnection, QueryPool, Target};

/// Maximum number of queries at a time.
const QUERIES_MAX: usize = 2;

/// Time for which a further query waits for one of the others to end.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit for the check whether the database is away. The list of queries waits for it.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// Returns the database after its settings have changed, and at the first call; else `None`.
pub(super) type NewTarget = Box<dyn FnMut() -> Option<Target> + Send>;

/// Why no query can be run.
#[derive(Debug)]
pub(super) enum Unavailable {
    /// No database is configured.
    NotConfigured,
    /// Other queries are running, and none of them ended in time.
    Busy,
    /// The server is unreachable, or its settings cannot be used; with the cause.
    Away(String),
}

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotConfigured => f.write_str(
                "no database is configured (store-only mode): set DATABASE_URL, or DB_HOST and the other \
                 DB_* settings",
            ),
            Self::Busy => write!(
                f,
                "{QUERIES_MAX} look-ups are running, and none ended within {} s; try again",
                TURN_TIMEOUT.as_secs()
            ),
            Self::Away(cause) => f.write_str(cause),
        }
    }
}

/// The database of the look-ups.
pub(super) struct Database {
    /// `None` in store-only mode.
    pool: Option<Mutex<Settings>>,
    /// One permit for each query that may run.
    turns: Arc<Semaphore>,
}

/// The pool, and the source of new settings.
struct Settings {
    new_target: NewTarget,
    /// `None` before the first query, or if the settings cannot be used, with the reason.
    pool: Result<Arc<QueryPool>, String>,
}

/// A connection and the permit to run a query with it.
pub(super) struct Lease {
    pub(super) connection: QueryConnection,
    permit: OwnedSemaphorePermit,
}

impl Lease {
    /// Returns the connection after the result has been read to its end, or the query has failed.
    pub(super) async fn release(self) {
        self.connection.release().await;
        drop(self.permit);
    }
}

impl Database {
    pub(super) fn new(new_target: Option<NewTarget>) -> Self {
        let pool = new_target.map(|new_target| {
            let pool = Err("the database settings were not read yet".to_owned());
            Mutex::new(Settings { new_target, pool })
        });
        Self { pool, turns: Arc::new(Semaphore::new(QUERIES_MAX)) }
    }

    /// The pool for the present settings.
    fn pool(&self) -> Result<Arc<QueryPool>, Unavailable> {
        let settings = self.pool.as_ref().ok_or(Unavailable::NotConfigured)?;
        let mut settings = settings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = (settings.new_target)() {
            let pool = QueryPool::new(&target, QUERIES_MAX);
            settings.pool = pool.map(Arc::new).map_err(|error| error.to_string());
        }
        settings.pool.clone().map_err(Unavailable::Away)
    }

    /// A connection for a query, as soon as fewer than [`QUERIES_MAX`] are running.
    pub(super) async fn lease(&self) -> Result<Lease, Unavailable> {
        let pool = self.pool()?;
        let turn = tokio::time::timeout(TURN_TIMEOUT, Arc::clone(&self.turns).acquire_owned());
        // The semaphore is never closed.
        let Ok(Ok(permit)) = turn.await else { return Err(Unavailable::Busy) };
        let connection = pool.get().await.map_err(|error| Unavailable::Away(error.to_string()))?;
        Ok(Lease { connection, permit })
    }

    /// Why a query would fail at present; `None` if it would not, or if all permits are in use.
    pub(super) async fn problem(&self) -> Option<Unavailable> {
        let pool = match self.pool() {
            Ok(pool) => pool,
            Err(unavailable) => return Some(unavailable),
        };
        let permit = self.turns.try_acquire().ok()?;
        let problem = match tokio::time::timeout(CHECK_TIMEOUT, pool.get()).await {
            Ok(Ok(connection)) => {
                connection.release().await;
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("the database did not reply within {} s", CHECK_TIMEOUT.as_secs())),
        };
        drop(permit);
        problem.map(Unavailable::Away)
    }
}
