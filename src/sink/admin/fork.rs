//! The delivery state of a log in the database, by which a copied or restored log is recognized.

use tokio_postgres::Client;
use uuid::Uuid;

use crate::log_id::LogId;
use crate::num;
use crate::route::{Action, Attributes, Batch, Record, RouteRecord, Timestamp, community_text};
use crate::sink::error::Error;

const CHECKPOINTS: &str = "SELECT lane, lanes, last_seq, digest FROM ingest_checkpoint
    WHERE collector = $1 AND log_id = $2 ORDER BY lane";

const LOG_IDS: &str = "SELECT DISTINCT log_id FROM ingest_checkpoint WHERE collector = $1 ORDER BY 1";

const DIGESTS: &str = "SELECT lane, last_seq, digest FROM ingest_ledger
    WHERE collector = $1 AND log_id = $2 AND last_seq BETWEEN $3 AND $4";

/// Batches with a row. Rows of other times cannot belong to a batch of the compared log, and their chunks are
/// not read.
const STORED_BATCHES: &str = "WITH bounds AS (
        SELECT 'epoch'::timestamptz + $5::bigint * interval '1 microsecond' AS since,
            'epoch'::timestamptz + $6::bigint * interval '1 microsecond' AS until
    ), stored AS (
        SELECT seq, session, time FROM route_updates, bounds
        WHERE collector = $1 AND log_id = $2 AND seq BETWEEN $3 AND $4 AND time BETWEEN since AND until
        UNION ALL SELECT seq, session, time FROM peer_events, bounds
        WHERE collector = $1 AND log_id = $2 AND seq BETWEEN $3 AND $4 AND time BETWEEN since AND until
        UNION ALL SELECT seq, session, time FROM peer_stats, bounds
        WHERE collector = $1 AND log_id = $2 AND seq BETWEEN $3 AND $4 AND time BETWEEN since AND until
    )
    SELECT seq, (extract(epoch FROM min(session)) * 1000000)::bigint,
        (extract(epoch FROM min(time)) * 1000000)::bigint, (extract(epoch FROM max(time)) * 1000000)::bigint
    FROM stored GROUP BY seq";

const STORED_ROUTES: &str =
    "SELECT idx, is_withdrawn, prefix::text, as_path, host(next_hop), med, communities
    FROM route_updates
    WHERE collector = $1 AND log_id = $2 AND seq = $3
        AND time BETWEEN 'epoch'::timestamptz + $4::bigint * interval '1 microsecond'
            AND 'epoch'::timestamptz + $5::bigint * interval '1 microsecond'";

const FORK: &str = "SELECT holdfast_fork($1, $2, $3, $4, $5, $6, $7)";

/// Checkpoint of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of the lane.
    pub lane: u32,
    /// Number of lanes of the log.
    pub lanes: u32,
    /// Sequence number of the last stored batch; 0 if there is none.
    pub last_seq: u64,
    /// [`digest`](crate::sink::digest) of the batch at `last_seq`; 0 if unknown.
    pub digest: u64,
}

/// Changes the number of lanes of each class of a log, all of which the process `owner` has delivered up to
/// `last_seq`. The new lanes begin after that.
///
/// # Errors
/// The connection fails, or a lane is not held by `owner` or not at `last_seq` (BM003).
pub async fn change_lanes(
    client: &Client,
    collector: &str,
    log_id: LogId,
    owner: [u8; 16],
    (from, to): (u32, u32),
    last_seq: u64,
) -> Result<(), Error> {
    let change = "SELECT holdfast_change_lanes($1, $2, $3, $4, $5, $6)";
    let [from, to] = [from, to].map(num::to_i32_saturating);
    let (owner, last_seq) = (Uuid::from_bytes(owner), num::to_i64_saturating(last_seq));
    client.execute(change, &[&collector, &log_id.as_uuid(), &owner, &from, &to, &last_seq]).await?;
    Ok(())
}

/// Returns the checkpoints of a log's lanes; none if the database has never received anything from the log.
///
/// # Errors
/// The query failed.
pub async fn checkpoints(client: &Client, collector: &str, log_id: LogId) -> Result<Vec<Checkpoint>, Error> {
    let mut found = Vec::new();
    for row in client.query(CHECKPOINTS, &[&collector, &log_id.as_uuid()]).await? {
        found.push(Checkpoint {
            lane: unsigned(row.try_get(0)?),
            lanes: unsigned(row.try_get(1)?),
            last_seq: row.try_get::<_, i64>(2)?.max(0).cast_unsigned(),
            digest: row.try_get::<_, i64>(3)?.cast_unsigned(),
        });
    }
    Ok(found)
}

/// Returns the ids of all logs that the database has checkpoints of, for one collector.
///
/// # Errors
/// The query failed.
pub async fn log_ids(client: &Client, collector: &str) -> Result<Vec<LogId>, Error> {
    let rows = client.query(LOG_IDS, &[&collector]).await?;
    rows.iter().map(|row| Ok(LogId::from(row.try_get::<_, Uuid>(0)?))).collect()
}

/// Returns (lane, last sequence number, digest of the batch there) of each stored transaction that ends
/// between `from` and `to`, both included.
///
/// # Errors
/// The query failed.
pub async fn digests(
    client: &Client,
    collector: &str,
    log_id: LogId,
    from: u64,
    to: u64,
) -> Result<Vec<(u32, u64, u64)>, Error> {
    let (from, to) = (num::to_i64_saturating(from), num::to_i64_saturating(to));
    let mut found = Vec::new();
    for row in client.query(DIGESTS, &[&collector, &log_id.as_uuid(), &from, &to]).await? {
        let (lane, seq, digest): (i32, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        found.push((unsigned(lane), seq.max(0).cast_unsigned(), digest.cast_unsigned()));
    }
    Ok(found)
}

/// A batch as the history has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredBatch {
    /// Sequence number of the batch.
    pub seq: u64,
    /// BMP session of its records.
    pub session: Timestamp,
    /// Earliest time of its stored records.
    pub first: Timestamp,
    /// Latest time of its stored records.
    pub last: Timestamp,
}

/// Returns the batches with a sequence number in `seqs` that have a row within `times`; both ranges include
/// their ends. The rows of a batch without a change, or of one that retention has dropped, do not exist.
///
/// # Errors
/// The query failed.
pub async fn stored_batches(
    client: &Client,
    collector: &str,
    log_id: LogId,
    seqs: (u64, u64),
    times: (Timestamp, Timestamp),
) -> Result<Vec<StoredBatch>, Error> {
    let (from, to) = (num::to_i64_saturating(seqs.0), num::to_i64_saturating(seqs.1));
    let (since, until) = (times.0.0, times.1.0);
    let mut found = Vec::new();
    for row in
        client.query(STORED_BATCHES, &[&collector, &log_id.as_uuid(), &from, &to, &since, &until]).await?
    {
        found.push(StoredBatch {
            seq: row.try_get::<_, i64>(0)?.max(0).cast_unsigned(),
            session: Timestamp(row.try_get(1)?),
            first: Timestamp(row.try_get(2)?),
            last: Timestamp(row.try_get(3)?),
        });
    }
    Ok(found)
}

/// A route record as the history has it: its place in its batch, and what distinguishes it from the record
/// that another log has there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRoute {
    /// Index of the record in its batch.
    pub index: u32,
    /// Whether the route is withdrawn.
    pub is_withdrawn: bool,
    /// Prefix in text form; `None` for other routes.
    pub prefix: Option<String>,
    /// AS numbers of the AS path.
    pub as_path: Option<Vec<i64>>,
    /// Next hop in text form.
    pub next_hop: Option<String>,
    /// MULTI_EXIT_DISC.
    pub med: Option<i64>,
    /// Communities in text form.
    pub communities: Option<Vec<String>>,
}

impl StoredRoute {
    /// Whether the batch has this route at its index.
    #[must_use]
    pub fn is_of(&self, batch: &Batch) -> bool {
        batch.iter().any(|record| match record {
            Record::Route(route) => route.index == self.index && self.is_record(batch, &route),
            Record::Event(_) => false,
        })
    }

    fn is_record(&self, batch: &Batch, route: &RouteRecord<'_>) -> bool {
        let none = Attributes::default();
        let attributes = batch.attributes_of(route.group).unwrap_or(&none);
        let as_path = attributes.as_path.iter().flat_map(|path| &path.asns);
        let communities = attributes.communities.iter().map(|community| community_text(*community));
        self.is_withdrawn == (route.group.action == Action::Withdraw)
            && self.prefix == route.entry.nlri.columns().prefix.map(|prefix| prefix.to_string())
            && self.next_hop == attributes.next_hop.map(|hop| hop.to_string())
            && self.med == attributes.med.map(i64::from)
            && self.as_path.iter().flatten().copied().eq(as_path.map(|asn| i64::from(*asn)))
            && self.communities.iter().flatten().cloned().eq(communities)
    }
}

/// Returns the stored routes of a batch with a time within `times`, both ends included.
///
/// # Errors
/// The query failed.
pub async fn stored_routes(
    client: &Client,
    collector: &str,
    log_id: LogId,
    seq: u64,
    times: (Timestamp, Timestamp),
) -> Result<Vec<StoredRoute>, Error> {
    let (seq, since, until) = (num::to_i64_saturating(seq), times.0.0, times.1.0);
    let mut found = Vec::new();
    for row in client.query(STORED_ROUTES, &[&collector, &log_id.as_uuid(), &seq, &since, &until]).await? {
        found.push(StoredRoute {
            index: unsigned(row.try_get(0)?),
            is_withdrawn: row.try_get(1)?,
            prefix: row.try_get(2)?,
            as_path: row.try_get(3)?,
            next_hop: row.try_get(4)?,
            med: row.try_get(5)?,
            communities: row.try_get(6)?,
        });
    }
    Ok(found)
}

/// Begins the delivery of a forked log under the id `new`. Each lane continues after the last batch that the
/// log has in common with the delivery under `old`.
///
/// # Errors
/// A statement failed; nothing is changed then.
pub async fn begin_fork(
    client: &mut Client,
    collector: &str,
    old: LogId,
    new: LogId,
    lanes: &[Checkpoint],
) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    let (old, new) = (old.as_uuid(), new.as_uuid());
    for lane in lanes {
        let (count, number) = (num::to_i32_saturating(lane.lanes), num::to_i32_saturating(lane.lane));
        let (last_seq, digest) = (num::to_i64_saturating(lane.last_seq), lane.digest.cast_signed());
        transaction.query(FORK, &[&collector, &old, &new, &count, &number, &last_seq, &digest]).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// A column that is never negative.
fn unsigned(value: i32) -> u32 {
    value.max(0).cast_unsigned()
}
