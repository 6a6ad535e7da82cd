//! The database connection of a command, and its errors.

use tokio_postgres::Client;

use super::Failure;
use crate::config::Config;
use crate::sink::{self, Target};

/// Exit code of `query`, `rpki` and `migrate` if the database failed.
pub(super) const EXIT_FAILED: u8 = 1;

/// The configured database.
pub(super) fn target(config: &Config, code: u8) -> Result<Target, Failure> {
    let database = config.database.as_ref().ok_or_else(|| {
        let message = "no database is configured: set DATABASE_URL, or DB_HOST and the other DB_* settings";
        Failure::Other(message.to_owned(), code)
    })?;
    database
        .target()
        .map_err(|error| Failure::Other(format!("cannot use the database settings: {error}"), code))
}

/// Connects to the configured database, and runs `work` with the connection in a single-threaded runtime.
/// `code` is the exit code if there is no connection.
pub(super) fn with_client<T>(
    config: &Config,
    code: u8,
    work: impl AsyncFnOnce(Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let target = target(config, code)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { work(connect(&target, code).await?).await })
}

/// Opens a connection; an error names server, user, database and cause.
pub(super) async fn connect(target: &Target, code: u8) -> Result<Client, Failure> {
    target.connect().await.map_err(|error| {
        let message =
            format!("cannot connect to the database at {}: {}", target.description(), error.explain());
        Failure::Other(message, code)
    })
}

/// A failed statement.
pub(super) fn failed(error: &tokio_postgres::Error, code: u8) -> Failure {
    Failure::Other(sink::explain(error), code)
}
