//! A connection of a command to the configured database.

use tokio_postgres::Client;

use super::Failure;
use crate::config::Config;

/// Connects, and runs the command on one thread.
pub(super) fn with_client<T>(
    config: &Config,
    work: impl AsyncFnOnce(Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let database = config.database.as_ref().ok_or_else(|| {
        Failure::Other("no database is configured: set DATABASE_URL, or DB_HOST and its kin".to_owned(), 1)
    })?;
    let target = database.target().map_err(|error| Failure::Other(format!("the database: {error}"), 1))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = target.connect().await.map_err(|error| {
            let why = error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned());
            Failure::Other(format!("the database cannot be reached: {why}"), 1)
        })?;
        work(client).await
    })
}
