//! What the server does not do by itself on every edition: partitions ahead of time, retention, samples of table sizes, and
//! less of what only grows: rows of the ledger, attribute sets that nothing has any more.

use deadpool_postgres::Pool;

/// How long history is kept, in days; `None` keeps it for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// `route_updates`.
    pub routes_days: Option<u32>,
    /// `peer_events` and `peer_stats`.
    pub events_days: Option<u32>,
}

/// How many chunk intervals ahead partitions are made: a collector that is away for so long comes back to a default
/// partition, from which rows are moved later.
const PARTITIONS_AHEAD: i32 = 4;

/// One round: makes partitions (plain PostgreSQL only), drops what is too old, notes how large the tables of peers are, and
/// tidies the ledger and the attribute sets. To be called about once an hour.
///
/// # Errors
/// The database said no; the next round tries again.
pub async fn maintain(
    pool: &Pool,
    retention: Retention,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
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
    // How many routes stand is a pass over the current table: not every hour.
    client.execute("SELECT holdfast_sample_sizes(interval '6 hours')", &[]).await?;
    let folded = "SELECT holdfast_fold_ledger(interval '1 day')";
    // A pass over attributes and routes.
    let cleaned = "SELECT holdfast_clean_attributes(interval '7 days', interval '1 day')";
    for (statement, event) in [(folded, "ledger_folded"), (cleaned, "attributes_cleaned")] {
        let rows: i64 = client.query_one(statement, &[]).await?.try_get(0)?;
        if rows > 0 {
            tracing::info!(count = rows, "{event}");
        }
    }
    Ok(())
}
