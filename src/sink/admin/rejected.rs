//! Storing what the database once refused, now that the cause is gone.

use tokio_postgres::Row;

use crate::codec;
use crate::sink::connection::isolate::what;
use crate::sink::connection::store::{Connection, int4};
use crate::sink::connection::target::Target;
use crate::sink::error::Error;
use crate::sink::lanes::Lane;
use crate::sink::transaction::builder::TransactionBuilder;

/// So many are looked at in one go.
const PAGE: i64 = 500;

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryCounts {
    /// Records that are in their tables now.
    pub stored: u64,
    /// Records that are refused still.
    pub rejected: u64,
}

const PAGE_OF: &str = "
    SELECT r.log_id::text, r.seq, r.idx, r.lane, c.lanes, r.payload
    FROM rejected_routes r JOIN ingest_checkpoint c USING (collector, log_id, lane)
    WHERE collector = $1 AND (r.log_id::text, r.seq, r.idx) > ($2, $3, $4)
    ORDER BY r.log_id::text, r.seq, r.idx LIMIT $5";

/// Whoever deletes the row stores the record; who comes second waits here and then finds nothing.
const TAKE: &str =
    "DELETE FROM rejected_routes WHERE collector = $1 AND log_id = $2::text::uuid AND seq = $3 AND idx = $4";

/// Until the transaction ends, the ledger's rows stay where they are (`holdfast_fold_ledger`).
const KEEP_LEDGER: &str = "SELECT pg_advisory_xact_lock_shared(hashtext('ingest_ledger'))";

const LEDGER: &str = "
    UPDATE ingest_ledger SET stored = stored + 1, rejected = rejected - 1
    WHERE collector = $1 AND log_id = $2::text::uuid AND lane = $3 AND first_seq = (
        SELECT max(first_seq) FROM ingest_ledger
        WHERE collector = $1 AND log_id = $2::text::uuid AND lane = $3 AND first_seq <= $4)";

const STILL: &str = "
    UPDATE rejected_routes SET sqlstate = $5, error = $6, retried_at = clock_timestamp()
    WHERE collector = $1 AND log_id = $2::text::uuid AND seq = $3 AND idx = $4";

/// Tries each rejected record of the collector again, in a transaction of its own. The collector may run meanwhile. The
/// order of records decides as ever: what is older than what is known becomes history, and leaves the present alone.
///
/// # Errors
/// The database cannot be reached, or refuses something other than a record. What was stored until then stays stored.
pub async fn retry_rejected(target: &Target, collector: &str) -> Result<RetryCounts, Error> {
    let mut retried = RetryCounts::default();
    let mut at = (String::new(), i64::MIN, i32::MIN);
    let mut connection: Option<Connection> = None;
    loop {
        let lane = Lane { collector: collector.to_owned(), log_id: [0; 16], number: 0, count: 1 };
        let mut opened = match connection.take() {
            Some(connection) => connection,
            None => Connection::open(target, lane).await?,
        };
        let page = opened.client.query(PAGE_OF, &[&collector, &at.0, &at.1, &at.2, &PAGE]).await?;
        if page.is_empty() {
            return Ok(retried);
        }
        for row in &page {
            at = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            match one(&mut opened, row).await? {
                Some(true) => retried.stored += 1,
                Some(false) => retried.rejected += 1,
                None => {}
            }
        }
        connection = Some(opened);
    }
}

/// `None` when somebody else has it, `false` when it is refused again.
async fn one(connection: &mut Connection, row: &Row) -> Result<Option<bool>, Error> {
    let (log_id, seq, index): (String, i64, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let (number, count): (i32, i32) = (row.try_get(3)?, row.try_get(4)?);
    let payload: Vec<u8> = row.try_get(5)?;
    let hex: String = log_id.chars().filter(|digit| *digit != '-').collect();
    connection.lane.log_id = u128::from_str_radix(&hex, 16).unwrap_or(0).to_be_bytes();
    connection.lane.number = u32::try_from(number).unwrap_or(0);
    connection.lane.count = u32::try_from(count).unwrap_or(1);
    let chunk = codec::decode(&payload).map_err(|error| error.to_string()).and_then(|mut batch| {
        // The payload counts records from 0; this one has its number from the batch that it was part of.
        let index = u32::try_from(index).unwrap_or(0);
        batch.groups.iter_mut().for_each(|group| group.index = index);
        batch.events.iter_mut().for_each(|event| event.index = index);
        let mut chunk = TransactionBuilder::new(connection.lane.clone(), u64::try_from(seq).unwrap_or(0))
            .with_dedup(false);
        chunk.push(chunk.next_seq(), &payload, &batch).map_err(|error| error.to_string())?;
        Ok(chunk.build())
    });
    let client = &connection.client;
    let collector = &connection.lane.collector;
    let refusal = match chunk {
        Err(error) => (String::new(), error),
        Ok(chunk) => {
            client.batch_execute("BEGIN").await?;
            if client.execute(TAKE, &[collector, &log_id, &seq, &index]).await? == 0 {
                client.batch_execute("ROLLBACK").await?;
                return Ok(None);
            }
            match connection.piece(&chunk).await {
                Ok(_) => {
                    if chunk.counts.routes > 0 {
                        let lane = int4(connection.lane.number);
                        client.query(KEEP_LEDGER, &[]).await?;
                        client.execute(LEDGER, &[collector, &log_id, &lane, &seq]).await?;
                    }
                    client.batch_execute("COMMIT").await?;
                    return Ok(Some(true));
                }
                Err(Error::Database(error)) if Error::refuses(&error) => {
                    client.batch_execute("ROLLBACK").await?;
                    what(&error)
                }
                Err(error) => return Err(error),
            }
        }
    };
    client.execute(STILL, &[collector, &log_id, &seq, &index, &refusal.0, &refusal.1]).await?;
    Ok(Some(false))
}
