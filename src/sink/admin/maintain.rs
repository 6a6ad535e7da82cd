//! Hourly maintenance: partitions (plain PostgreSQL), retention, samples of table sizes, compaction of the
//! ledger, and deletion of unused attribute sets.

use deadpool_postgres::Pool;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::route::Timestamp;
use crate::sink::error::{Error, describe};

/// Retention periods of the history in days; `None` keeps the table forever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// `route_records`, and what only its rows refer to.
    pub routes_days: Option<u32>,
    /// `peer_events` and `peer_stats`.
    pub events_days: Option<u32>,
}

/// Number of chunk intervals for which partitions are created in advance. After a longer pause of
/// maintenance, rows are stored in the default partition and moved later.
const PARTITIONS_AHEAD: i32 = 4;

/// The tasks of a round of maintenance that failed. The others were done; the next round repeats all.
#[derive(Debug, thiserror::Error)]
#[error("{}", failures.join("; "))]
pub struct MaintenanceError {
    /// Name of each failed task with the reason.
    failures: Vec<String>,
}

/// Runs one round of maintenance. Should be called about once an hour.
///
/// A task that fails does not prevent the others. Retention and the creation of partitions wait at most two
/// seconds for a lock (migrations/functions/04_partitions.sql), because every query that begins meanwhile
/// waits behind them.
///
/// # Errors
/// Some tasks failed, or there is no connection; the next round repeats them.
pub async fn maintain(pool: &Pool, retention: Retention) -> Result<(), MaintenanceError> {
    let client = pool.get().await.map_err(|error| MaintenanceError {
        failures: vec![format!("connecting: {}", Error::from(error))],
    })?;
    let mut failures = Vec::new();
    let mut note = |task: &str, done: Result<(), tokio_postgres::Error>| {
        if let Err(error) = done {
            failures.push(format!("{task}: {}", failure(&error)));
        }
    };
    note("creating partitions", make_partitions(&client).await);
    let tables = [
        ("route_records", retention.routes_days),
        ("peer_events", retention.events_days),
        ("peer_stats", retention.events_days),
    ];
    for (table, days) in tables {
        let Some(days) = days else { continue };
        note(&format!("retention of {table}"), retain(&client, table, days).await);
    }
    // Counts the valid routes of each peer, which reads the whole current table: at most every six hours.
    let sampled = client.execute("SELECT holdfast_sample_sizes(interval '6 hours')", &[]).await;
    note("sampling table sizes", sampled.map(|_| ()));
    note("folding the ledger", fold_ledger(&client).await);
    note("deleting attribute sets", clean_attributes(&client).await);
    if failures.is_empty() { Ok(()) } else { Err(MaintenanceError { failures }) }
}

/// Description of an error, with the remedy if a task waited for a lock in vain.
fn failure(error: &tokio_postgres::Error) -> String {
    let described = describe(error);
    if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) {
        return format!(
            "{described}; a long query or pg_dump reads the table (pg_stat_activity); retried in the next \
             round"
        );
    }
    described
}

async fn make_partitions(client: &Client) -> Result<(), tokio_postgres::Error> {
    let made: i32 =
        client.query_one("SELECT holdfast_make_partitions($1)", &[&PARTITIONS_AHEAD]).await?.try_get(0)?;
    if made > 0 {
        tracing::info!(count = made, "partitions_made");
    }
    Ok(())
}

async fn retain(client: &Client, table: &str, days: u32) -> Result<(), tokio_postgres::Error> {
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    let sql = "SELECT holdfast_retain($1, make_interval(days => $2))";
    let dropped: i32 = client.query_one(sql, &[&table, &days]).await?.try_get(0)?;
    if dropped > 0 {
        tracing::info!(table, count = dropped, "chunks_dropped");
    }
    Ok(())
}

async fn fold_ledger(client: &Client) -> Result<(), tokio_postgres::Error> {
    let sql = "SELECT holdfast_fold_ledger(interval '1 day')";
    let rows: i64 = client.query_one(sql, &[]).await?.try_get(0)?;
    if rows > 0 {
        tracing::info!(count = rows, "ledger_folded");
    }
    Ok(())
}

/// Reads all attribute sets and routes: at most once a day.
async fn clean_attributes(client: &Client) -> Result<(), tokio_postgres::Error> {
    let sql = "SELECT holdfast_clean_attributes(interval '7 days', interval '1 day')";
    let rows: i64 = client.query_one(sql, &[]).await?.try_get(0)?;
    if rows > 0 {
        tracing::info!(count = rows, "attributes_cleaned");
    }
    Ok(())
}

/// Versions of the database server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerVersions {
    /// Version of PostgreSQL.
    pub postgres: String,
    /// Version of the TimescaleDB extension; `None` if the database does not have it.
    pub timescaledb: Option<String>,
}

/// The versions of the server.
///
/// # Errors
/// The statement failed.
pub async fn server_versions(client: &Client) -> Result<ServerVersions, Error> {
    let sql = "SELECT current_setting('server_version'),
        (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb')";
    let row = client.query_one(sql, &[]).await?;
    Ok(ServerVersions { postgres: row.try_get(0)?, timescaledb: row.try_get(1)? })
}

/// Records that everything that the collector received before `as_of` is in the database.
///
/// # Errors
/// The statement failed.
pub async fn report_currency(
    client: &Client,
    collector: &str,
    as_of: Timestamp,
) -> Result<(), tokio_postgres::Error> {
    let sql = "INSERT INTO collector_reports VALUES ($1, holdfast_time($2), now())
        ON CONFLICT (collector) DO UPDATE SET as_of = excluded.as_of, reported_at = excluded.reported_at";
    client.execute(sql, &[&collector, &as_of.0]).await?;
    Ok(())
}
