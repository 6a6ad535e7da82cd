//! `holdfast rejected`: lists the records that the database rejected, and retries them.

use std::io::Write;

use super::Failure;
use crate::config::Config;
use crate::sink::{self, Target};
use crate::telemetry::printable;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, Debug, clap::Subcommand)]
enum Command {
    /// List the rejected records, one per line, oldest first (default)
    List,
    /// Retry the rejected records; exit code 1 if some are rejected again
    Retry,
}

const LIST: &str = "
    SELECT concat_ws(' ', to_char(rejected_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), log_id,
        seq || '/' || idx, sqlstate, error, record)
    FROM rejected_routes WHERE collector = $1 ORDER BY rejected_at, log_id, seq, idx";

pub(super) fn run(arguments: &Arguments, config: &Config, out: &mut impl Write) -> Result<u8, Failure> {
    let database = config.database.as_ref().ok_or_else(|| {
        failed("no database is configured: set DATABASE_URL, or DB_HOST and the other DB_* settings")
    })?;
    let target = database.target().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match arguments.command.unwrap_or(Command::List) {
        Command::List => {
            for line in runtime.block_on(list(&target, &config.collector)).map_err(failed)? {
                writeln!(out, "{}", printable(&line))?;
            }
            Ok(0)
        }
        Command::Retry => {
            let retried =
                runtime.block_on(sink::retry_rejected(&target, &config.collector)).map_err(failed)?;
            writeln!(out, "stored {}, rejected again {}", retried.stored, retried.rejected)?;
            Ok(u8::from(retried.rejected > 0))
        }
    }
}

async fn list(target: &Target, collector: &str) -> Result<Vec<String>, sink::Error> {
    let client = target.connect().await?;
    let rows = client.query(LIST, &[&collector]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

fn failed(error: impl ToString) -> Failure {
    Failure::Other(error.to_string(), 2)
}
