//! Moves the rows of the table that `route_updates` was before migration 10 into `route_records`.
//!
//! One chunk is one transaction, so that an interrupted migration continues where it was, and needs no more
//! disk than one chunk. Until the last one is moved, the view `route_updates` has the rows of both tables.

use std::time::Instant;

use tokio_postgres::{Client, Error};

use crate::sink::connection::{HAS_COLUMNSTORE, HAS_HYPERTABLES};

/// Whether there are rows to move.
const IS_PENDING: &str = "SELECT to_regclass('wide_route_updates') IS NOT NULL";

/// Lets the view have the rows that are not moved yet.
const JOINED_VIEW: &str = "DO $$ BEGIN
    EXECUTE format('CREATE OR REPLACE VIEW route_updates AS %s UNION ALL
        SELECT *, NULL::uuid FROM wide_route_updates',
        rtrim(pg_get_viewdef('route_updates'::regclass), ';'));
    END $$";

/// The chunks or partitions with these rows.
const CHUNKS: &str = "SELECT inhrelid::regclass::text FROM pg_inherits
    WHERE inhparent = to_regclass('wide_route_updates') ORDER BY 1";

/// Whether a migration to the present form of the history has begun and not ended.
pub(super) async fn is_pending(client: &Client) -> Result<bool, Error> {
    client.query_one(IS_PENDING, &[]).await?.try_get(0)
}

/// Moves all rows. The views must be those of this release; they must be replaced again afterwards.
pub(super) async fn convert_history(client: &mut Client) -> Result<(), Error> {
    client.batch_execute(JOINED_VIEW).await?;
    let chunks = client.query(CHUNKS, &[]).await?;
    let is_whole = client.query_one(HAS_HYPERTABLES, &[]).await?.try_get(0)?
        && client.query_one(HAS_COLUMNSTORE, &[]).await?.try_get(0)?;
    for (moved, row) in (1_usize..).zip(&chunks) {
        let started = Instant::now();
        let chunk: String = row.try_get(0)?;
        let transaction = client.transaction().await?;
        let sql = include_str!("convert_chunk.sql")
            .replace("{chunk}", &chunk)
            .replace("{whole}", if is_whole { "true" } else { "false" });
        transaction.batch_execute(&sql).await?;
        transaction.commit().await?;
        let (chunks, duration_ms) = (chunks.len(), started.elapsed().as_millis());
        tracing::info!(chunk, moved, chunks, duration_ms, "history_chunk_moved");
    }
    Ok(())
}

/// Drops the table whose rows were moved, once no view refers to it.
pub(super) async fn finish(client: &Client) -> Result<(), Error> {
    client.batch_execute("DROP TABLE wide_route_updates").await
}
