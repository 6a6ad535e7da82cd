//! The current table held against history, and rebuilt from it (migrations/0006_rebuild.sql).

use tokio_postgres::Client;

/// What was found of so many routes of a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteComparison {
    /// One word: equal, refreshed, forgotten, different, missing, unfounded or excess.
    pub name: String,
    /// How many.
    pub routes: u64,
    /// The first of them, in words.
    pub example: String,
}

impl RouteComparison {
    /// Whether the current table is what history says of these routes.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        ["equal", "refreshed", "forgotten"].contains(&self.name.as_str())
    }
}

/// One moment for both tables. To mend, no lane may store meanwhile: each waits for its row there before anything else, and
/// what it has is not lost.
const COMPARE: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ";
const MEND: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE ingest_checkpoint IN EXCLUSIVE MODE";

/// Holds `rib_entries` of a collector against the last words in its history; with `mend`, makes those that differ so as history
/// says. Returns what was found before. The collector may run meanwhile; its delivery waits while it is mended.
///
/// # Errors
/// The database failed or refused; nothing is changed then.
pub async fn rebuild_state(
    client: &mut Client,
    collector: &str,
    mend: bool,
) -> Result<Vec<RouteComparison>, tokio_postgres::Error> {
    client.batch_execute(if mend { MEND } else { COMPARE }).await?;
    let sql = "SELECT verdict, routes, example FROM holdfast_rebuild_state($1, $2) ORDER BY 1";
    let verdicts = match client.query(sql, &[&collector, &mend]).await {
        Ok(rows) => rows.iter().map(verdict).collect::<Result<Vec<_>, _>>(),
        Err(error) => Err(error),
    };
    client.batch_execute(if verdicts.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    verdicts
}

fn verdict(row: &tokio_postgres::Row) -> Result<RouteComparison, tokio_postgres::Error> {
    let routes = u64::try_from(row.try_get::<_, i64>(1)?).unwrap_or(0);
    Ok(RouteComparison { name: row.try_get(0)?, routes, example: row.try_get(2)? })
}
