//! `holdfast rejected`: lists the records that the database rejected, and retries them.

use std::io::Write;

use super::{Failure, database, help};
use crate::config::Config;
use crate::sink::{self, RetryCounts, Target};
use crate::telemetry::printable;

/// Exit code if the database failed; records that are rejected again have exit code 1.
const EXIT_DATABASE: u8 = 2;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, Debug, clap::Subcommand)]
enum Command {
    /// List the rejected records, one per line, oldest first (default)
    #[command(after_help = help::REJECTED_LIST)]
    List,
    /// Retry the rejected records
    #[command(after_help = help::REJECTED_RETRY)]
    Retry,
}

const LIST: &str = "
    SELECT concat_ws(' ', to_char(rejected_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), log_id,
        seq || '/' || idx, sqlstate, error, record)
    FROM rejected_routes WHERE collector = $1 ORDER BY rejected_at, log_id, seq, idx";

pub(super) fn run(arguments: &Arguments, config: &Config, out: &mut impl Write) -> Result<u8, Failure> {
    let target = database::target(config, EXIT_DATABASE)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match arguments.command.unwrap_or(Command::List) {
        Command::List => {
            for line in runtime.block_on(list(&target, &config.collector))? {
                writeln!(out, "{}", printable(&line))?;
            }
            Ok(0)
        }
        Command::Retry => {
            let retried = runtime.block_on(retry(&target, &config.collector))?;
            writeln!(out, "stored {}, rejected again {}", retried.stored, retried.rejected)?;
            Ok(u8::from(retried.rejected > 0))
        }
    }
}

async fn list(target: &Target, collector: &str) -> Result<Vec<String>, Failure> {
    let client = database::connect(target, EXIT_DATABASE).await?;
    let rows = client.query(LIST, &[&collector]).await.map_err(failed)?;
    rows.iter().map(|row| row.try_get(0).map_err(failed)).collect()
}

async fn retry(target: &Target, collector: &str) -> Result<RetryCounts, Failure> {
    // The sink opens its own connection; this one is for the error that names the server.
    drop(database::connect(target, EXIT_DATABASE).await?);
    sink::retry_rejected(target, collector).await.map_err(|error| match error {
        sink::Error::Database(error) => failed(error),
        sink::Error::Reply(reply) => Failure::Other(sink::explain_reply(&reply), EXIT_DATABASE),
        other => Failure::Other(other.to_string(), EXIT_DATABASE),
    })
}

fn failed(error: tokio_postgres::Error) -> Failure {
    database::failed(&error, EXIT_DATABASE)
}
