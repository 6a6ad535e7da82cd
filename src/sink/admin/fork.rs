//! What the database knows of a log before anything of it is delivered: where its lanes stand, and what they have.

use tokio_postgres::Client;

use crate::sink::connection::store::{int4, int8};
use crate::sink::error::Error;
use crate::sink::lanes::uuid_text;

/// Where a lane of a log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of the lane.
    pub lane: u32,
    /// How many lanes the log has.
    pub lanes: u32,
    /// Everything up to here is stored.
    pub last_seq: u64,
    /// Of the log's batch at `last_seq`; 0: unknown.
    pub digest: u64,
}

/// Where the lanes of the log stand; none when the database has not seen it.
///
/// # Errors
/// The query failed.
pub async fn checkpoints(
    client: &Client,
    collector: &str,
    log_id: [u8; 16],
) -> Result<Vec<Checkpoint>, Error> {
    let sql = "SELECT lane, lanes, last_seq, digest FROM ingest_checkpoint
        WHERE collector = $1 AND log_id = $2::text::uuid ORDER BY lane";
    let mut found = Vec::new();
    for row in client.query(sql, &[&collector, &uuid_text(log_id)]).await? {
        let (lane, lanes): (i32, i32) = (row.try_get(0)?, row.try_get(1)?);
        found.push(Checkpoint {
            lane: u32::try_from(lane).unwrap_or(0),
            lanes: u32::try_from(lanes).unwrap_or(1),
            last_seq: u64::try_from(row.try_get::<_, i64>(2)?).unwrap_or(0),
            digest: row.try_get::<_, i64>(3)?.cast_unsigned(),
        });
    }
    Ok(found)
}

/// (lane, last sequence number, digest there) of each transaction that ended within the range.
///
/// # Errors
/// The query failed.
pub async fn digests(
    client: &Client,
    collector: &str,
    log_id: [u8; 16],
    from: u64,
    to: u64,
) -> Result<Vec<(u32, u64, u64)>, Error> {
    let sql = "SELECT lane, last_seq, digest FROM ingest_ledger
        WHERE collector = $1 AND log_id = $2::text::uuid AND last_seq BETWEEN $3 AND $4";
    let mut found = Vec::new();
    for row in client.query(sql, &[&collector, &uuid_text(log_id), &int8(from), &int8(to)]).await? {
        let (lane, seq, digest): (i32, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        found.push((
            u32::try_from(lane).unwrap_or(0),
            u64::try_from(seq).unwrap_or(0),
            digest.cast_unsigned(),
        ));
    }
    Ok(found)
}

/// Begins the delivery of a forked log under `new`, each lane behind what it has in common with `old`.
///
/// # Errors
/// The database refuses.
pub async fn begin_fork(
    client: &mut Client,
    collector: &str,
    old: [u8; 16],
    new: [u8; 16],
    lanes: &[Checkpoint],
) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    let sql = "SELECT holdfast_fork($1, $2::text::uuid, $3::text::uuid, $4, $5, $6, $7)";
    for lane in lanes {
        let (count, number) = (int4(lane.lanes), int4(lane.lane));
        let (at, digest) = (int8(lane.last_seq), lane.digest.cast_signed());
        transaction
            .query(sql, &[&collector, &uuid_text(old), &uuid_text(new), &count, &number, &at, &digest])
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}
