//! The database connection of a command.

use tokio_postgres::Client;

use super::Failure;
use crate::config::Config;

/// Connects to the configured database, and runs `work` with the connection in a single-threaded runtime.
pub(super) fn with_client<T>(
    config: &Config,
    work: impl AsyncFnOnce(Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let database = config.database.as_ref().ok_or_else(|| {
        Failure::Other(
            "no database is configured: set DATABASE_URL, or DB_HOST and the other DB_* settings".to_owned(),
            1,
        )
    })?;
    let target = database
        .target()
        .map_err(|error| Failure::Other(format!("cannot use the database settings: {error}"), 1))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = target.connect().await.map_err(|error| {
            let reason = error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned());
            Failure::Other(format!("cannot connect to the database: {reason}"), 1)
        })?;
        work(client).await
    })
}
