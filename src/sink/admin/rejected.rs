//! Retries the records that the database has rejected.

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::codec;
use crate::log_id::LogId;
use crate::route::Class;
use crate::sink::connection::{Connection, Target, Typed, rejection};
use crate::sink::error::Error;
use crate::sink::lanes::{Lane, lane_of};
use crate::sink::transaction::{Cause, Dedup, Transaction, TransactionBuilder};

/// Number of records that are read at a time.
const PAGE_ROWS: i64 = 500;

/// Result of a retry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryCounts {
    /// Records that were stored.
    pub stored: u64,
    /// Records that were rejected again.
    pub rejected: u64,
}

const PAGE: &str = "
    SELECT r.log_id, r.seq, r.idx, r.lane, r.payload, (SELECT max(c.lanes) FROM ingest_checkpoint c
        WHERE c.collector = r.collector AND c.log_id = r.log_id)
    FROM rejected_routes r
    WHERE collector = $1 AND (r.log_id, r.seq, r.idx) > ($2, $3, $4)
    ORDER BY r.log_id, r.seq, r.idx LIMIT $5";

/// Deletes the row before its record is stored. Of two concurrent retries, the second waits here and finds no
/// row.
const TAKE: &str =
    "DELETE FROM rejected_routes WHERE collector = $1 AND log_id = $2 AND seq = $3 AND idx = $4";

/// Keeps `holdfast_fold_ledger` from moving rows of the ledger until the transaction ends.
const LOCK_LEDGER: &str = "SELECT pg_advisory_xact_lock_shared(hashtext('ingest_ledger'))";

const UPDATE_LEDGER: &str = "
    UPDATE ingest_ledger SET stored = stored + 1, rejected = rejected - 1
    WHERE collector = $1 AND log_id = $2 AND lane = $3 AND first_seq = (
        SELECT max(first_seq) FROM ingest_ledger
        WHERE collector = $1 AND log_id = $2 AND lane = $3 AND first_seq <= $4)";

const REJECTED_AGAIN: &str = "
    UPDATE rejected_routes SET sqlstate = $5, error = $6, retried_at = clock_timestamp()
    WHERE collector = $1 AND log_id = $2 AND seq = $3 AND idx = $4";

/// Key of a row of `rejected_routes` within its collector.
#[derive(Clone, Copy)]
struct RowKey {
    log_id: Uuid,
    seq: i64,
    index: i32,
}

impl RowKey {
    /// The arguments of a statement for the row: collector, log, sequence number and index.
    fn values<'a>(&'a self, collector: &'a String) -> [Typed<'a>; 4] {
        [
            (collector, Type::TEXT),
            (&self.log_id, Type::UUID),
            (&self.seq, Type::INT8),
            (&self.index, Type::INT4),
        ]
    }
}

/// Result of retrying one record.
enum Outcome {
    Stored,
    Rejected,
    /// A concurrent retry has handled the record.
    Gone,
}

/// Retries each rejected record of the collector, in a transaction of its own. The collector may be running.
/// The order of records still holds: a record that is older than the state of its route is added to the
/// history only.
///
/// # Errors
/// The database is unreachable, or a statement fails for another reason than the record. Records that were
/// stored before the error remain stored.
pub async fn retry_rejected(target: &Target, collector: &str) -> Result<RetryCounts, Error> {
    let mut counts = RetryCounts::default();
    let mut last = RowKey { log_id: Uuid::nil(), seq: i64::MIN, index: i32::MIN };
    let lane = Lane { collector: collector.to_owned(), log_id: LogId::default(), number: 0, count: 1 };
    let mut connection = Connection::open(target, lane).await?;
    loop {
        let client = &connection.client;
        let [collector, log_id, seq, index] = last.values(&connection.lane.collector);
        let page = client.query(PAGE, &[collector, log_id, seq, index, (&PAGE_ROWS, Type::INT8)]).await?;
        if page.is_empty() {
            return Ok(counts);
        }
        for row in &page {
            last = RowKey { log_id: row.try_get(0)?, seq: row.try_get(1)?, index: row.try_get(2)? };
            match retry_record(&mut connection, row, last).await? {
                Outcome::Stored => counts.stored += 1,
                Outcome::Rejected => counts.rejected += 1,
                Outcome::Gone => {}
            }
        }
    }
}

async fn retry_record(connection: &mut Connection, row: &Row, key: RowKey) -> Result<Outcome, Error> {
    let rejected_by: i32 = row.try_get(3)?;
    let payload: Vec<u8> = row.try_get(4)?;
    connection.lane.log_id = LogId::from(key.log_id);
    connection.lane.count = row.try_get::<_, Option<i32>>(5)?.unwrap_or(1).max(1).cast_unsigned();
    let rejected = match decode(&mut connection.lane, key, &payload) {
        Ok(transaction) => match store(connection, key, &transaction, rejected_by).await? {
            Ok(outcome) => return Ok(outcome),
            Err(rejection) => rejection,
        },
        Err(message) => Cause::new("", &message),
    };
    let Cause { sqlstate, message } = rejected;
    let [collector, log_id, seq, index] = key.values(&connection.lane.collector);
    let values = [collector, log_id, seq, index, (&sqlstate, Type::TEXT), (&message, Type::TEXT)];
    connection.client.execute(REJECTED_AGAIN, &values).await?;
    Ok(Outcome::Rejected)
}

/// Decodes the payload of a row into a transaction with only its record, of the dump lane of its peer. That
/// need not be the lane that it was rejected in: the number of lanes may have changed.
fn decode(lane: &mut Lane, key: RowKey, payload: &[u8]) -> Result<Transaction, String> {
    let mut batch = codec::decode(payload).map_err(|error| error.to_string())?;
    (batch.class, batch.after) = (Class::Dump, 0);
    lane.number = batch.peers.first().map_or(0, |peer| lane_of(&batch.router.name, &peer.key, lane.count));
    // Records of a payload are numbered from 0. This one has the index that it had in its original batch.
    let index = key.index.max(0).cast_unsigned();
    batch.groups.iter_mut().for_each(|group| group.index = index);
    batch.events.iter_mut().for_each(|event| event.index = index);
    let first_seq = key.seq.max(0).cast_unsigned();
    let mut builder = TransactionBuilder::new(lane.clone(), first_seq).with_dedup(Dedup::Off);
    builder.push(first_seq, payload, &batch).map_err(|error| error.to_string())?;
    Ok(builder.build())
}

/// Stores the record and deletes its row; `rejected_by` is the lane of its ledger row. If the server rejects
/// the record, nothing is changed.
async fn store(
    connection: &Connection,
    key: RowKey,
    transaction: &Transaction,
    rejected_by: i32,
) -> Result<Result<Outcome, Cause>, Error> {
    let (client, collector) = (&connection.client, &connection.lane.collector);
    let [collector, log_id, seq, index] = key.values(collector);
    client.batch_execute("BEGIN").await?;
    if client.execute(TAKE, &[collector.clone(), log_id.clone(), seq.clone(), index]).await? == 0 {
        client.batch_execute("ROLLBACK").await?;
        return Ok(Ok(Outcome::Gone));
    }
    match connection.store_part(transaction).await {
        Ok(_) => {
            if transaction.counts.routes > 0 {
                client.query(LOCK_LEDGER, &[]).await?;
                let of_lane = [collector, log_id, (&rejected_by, Type::INT4), seq];
                client.execute(UPDATE_LEDGER, &of_lane).await?;
            }
            client.batch_execute("COMMIT").await?;
            Ok(Ok(Outcome::Stored))
        }
        Err(Error::Reply(reply)) => match rejection(&reply) {
            Some(rejection) => {
                client.batch_execute("ROLLBACK").await?;
                Ok(Err(rejection))
            }
            None => Err(Error::Reply(reply)),
        },
        Err(error) => Err(error),
    }
}
