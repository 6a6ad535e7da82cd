//! Hourly maintenance: partitions (plain PostgreSQL), retention, samples of table sizes, compaction of the
//! ledger, and deletion of unused attribute sets.

use deadpool_postgres::Pool;
use tokio_postgres::Client;

use crate::route::Timestamp;
use crate::sink::Error;

/// Retention periods of the history in days; `None` keeps the table forever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// `route_updates`.
    pub routes_days: Option<u32>,
    /// `peer_events` and `peer_stats`.
    pub events_days: Option<u32>,
}

/// Number of chunk intervals for which partitions are created in advance. After a longer pause of
/// maintenance, rows are stored in the default partition and moved later.
const PARTITIONS_AHEAD: i32 = 4;

/// Runs one round of maintenance. Should be called about once an hour.
///
/// # Errors
/// A statement failed; the next round repeats it.
pub async fn maintain(pool: &Pool, retention: Retention) -> Result<(), Error> {
    let client = pool.get().await?;
    let made: i32 =
        client.query_one("SELECT holdfast_make_partitions($1)", &[&PARTITIONS_AHEAD]).await?.try_get(0)?;
    if made > 0 {
        tracing::info!(count = made, "partitions_made");
    }
    let tables = [
        ("route_updates", retention.routes_days),
        ("peer_events", retention.events_days),
        ("peer_stats", retention.events_days),
    ];
    for (table, days) in tables {
        let Some(days) = days else { continue };
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        let row = client
            .query_one("SELECT holdfast_retain($1, make_interval(days => $2))", &[&table, &days])
            .await?;
        let dropped: i32 = row.try_get(0)?;
        if dropped > 0 {
            tracing::info!(table, count = dropped, "chunks_dropped");
        }
    }
    // Counts the valid routes of each peer, which reads the whole current table: at most every six hours.
    client.execute("SELECT holdfast_sample_sizes(interval '6 hours')", &[]).await?;
    let folded = "SELECT holdfast_fold_ledger(interval '1 day')";
    // Reads all attribute sets and routes: at most once a day.
    let cleaned = "SELECT holdfast_clean_attributes(interval '7 days', interval '1 day')";
    let rows: i64 = client.query_one(folded, &[]).await?.try_get(0)?;
    if rows > 0 {
        tracing::info!(count = rows, "ledger_folded");
    }
    let rows: i64 = client.query_one(cleaned, &[]).await?.try_get(0)?;
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
