//! Compares the current table with history, and repairs it: migrations/functions/08_rebuild.sql.

use tokio_postgres::Client;

/// Routes of a collector with the same result of the comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteComparison {
    /// Result: equal, refreshed, forgotten, different, missing, unfounded or excess (see docs/SCHEMA.md).
    pub name: String,
    /// Number of routes.
    pub routes: u64,
    /// Description of the first route.
    pub example: String,
}

impl RouteComparison {
    /// Whether the current table agrees with history.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        ["equal", "refreshed", "forgotten"].contains(&self.name.as_str())
    }
}

/// Both tables are read in one snapshot.
const COMPARE: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ";
/// A repair also blocks the lanes: each locks its row of ingest_checkpoint before it stores anything, and
/// waits here.
const REPAIR: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE ingest_checkpoint IN EXCLUSIVE MODE";

/// Compares `rib_entries` of a collector with the last event of each route in its history. With `repair`,
/// replaces the rows that differ. Returns the result of the comparison before the repair. The collector may
/// be running; its delivery waits during a repair.
///
/// # Errors
/// A statement failed; nothing is changed then.
pub async fn rebuild_state(
    client: &mut Client,
    collector: &str,
    repair: bool,
) -> Result<Vec<RouteComparison>, tokio_postgres::Error> {
    client.batch_execute(if repair { REPAIR } else { COMPARE }).await?;
    let sql = "SELECT verdict, routes, example FROM holdfast_rebuild_state($1, $2) ORDER BY 1";
    let comparisons = match client.query(sql, &[&collector, &repair]).await {
        Ok(rows) => rows.iter().map(comparison).collect::<Result<Vec<_>, _>>(),
        Err(error) => Err(error),
    };
    client.batch_execute(if comparisons.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    comparisons
}

fn comparison(row: &tokio_postgres::Row) -> Result<RouteComparison, tokio_postgres::Error> {
    let routes = row.try_get::<_, i64>(1)?.max(0).cast_unsigned();
    Ok(RouteComparison { name: row.try_get(0)?, routes, example: row.try_get(2)? })
}
