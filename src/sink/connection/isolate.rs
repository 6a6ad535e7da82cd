//! Stores a transaction whose rows the server rejects, without the records that are rejected on their own.
//!
//! ```text
//! BEGIN · fence ─► SAVEPOINT · a part · RELEASE ─► … ─► ledger + checkpoint · COMMIT
//!                  └─ rejected: ROLLBACK TO, halve the part; a single record goes to rejected_routes
//! ```
//!
//! Each part is stored completely, in history and in the current table, so that both remain consistent.
//! Statements are sent one at a time here, because the connection is used further after an error.

use std::ops::Range;

use crate::num;
use crate::sink::error::Error;
use crate::sink::error_policy::{ErrorAction, action_for_sqlstate};
use crate::sink::transaction::{RecordRange, ResolvedRows, Transaction};

use super::attach::Connection;
use super::bisect::{Bisect, NextStep};
use super::statements::Params;
use super::store::{copy, execute};

const SAVEPOINT: &str = "SAVEPOINT part";
const RELEASE: &str = "RELEASE SAVEPOINT part;
    DELETE FROM staged; DELETE FROM staged_attributes; DELETE FROM dedup_candidates";
const ROLLBACK: &str = "ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part";

/// Reply of a server that rejects rows.
pub(crate) struct Rejection {
    /// SQLSTATE of the error.
    pub(crate) sqlstate: String,
    /// Message of the error.
    pub(crate) message: String,
}

/// Result of storing a part.
enum PartOutcome {
    /// The part is stored; `unchanged` of its routes have no history row.
    Stored { unchanged: u64 },
    /// Nothing of the part is stored.
    Rejected(Rejection),
}

impl Connection {
    /// Stores the transaction without the records that the server rejects; these go to `rejected_routes`.
    /// `records` are the records of the transaction. Returns the number of rejected records.
    ///
    /// # Errors
    /// See [`Error::action`]. [`Error::Systemic`] if too many records are rejected; nothing is stored then.
    /// After other errors, only attaching again shows whether the transaction was stored.
    pub async fn isolate(&mut self, transaction: &Transaction, records: &RecordRange) -> Result<u64, Error> {
        self.begin(transaction).await?;
        let mut search = Bisect::new(records.len());
        let (mut first, mut unchanged, mut routes_rejected) = (None, 0, 0);
        while let Some(range) = search.next() {
            let rejection = match self.try_part(records, range.clone()).await? {
                PartOutcome::Stored { unchanged: of_part } => {
                    unchanged += of_part;
                    continue;
                }
                PartOutcome::Rejected(rejection) => rejection,
            };
            let first =
                first.get_or_insert_with(|| format!("{} ({})", rejection.message, rejection.sqlstate));
            let systemic = |rejected| Error::Systemic {
                rejected: num::to_u64(rejected),
                records: num::to_u64(records.len()),
                first: first.clone(),
            };
            match search.on_rejected(range) {
                NextStep::Split => {}
                NextStep::Systemic => return Err(systemic(search.rejected())),
                NextStep::Reject(index) => match records.single_record(index) {
                    Some(record) => {
                        let row: Params<'_, 9> = [
                            &self.lane.collector,
                            &self.lane.log_id.as_uuid(),
                            &num::to_i64_saturating(record.seq),
                            &num::to_i32_saturating(record.index),
                            &num::to_i32_saturating(self.lane.number),
                            &rejection.sqlstate,
                            &rejection.message,
                            &record.json,
                            &record.payload,
                        ];
                        self.client.execute(&self.statements.reject, &row).await?;
                        routes_rejected += u64::from(record.is_route);
                    }
                    // An unreadable range has no record that could be stored in rejected_routes.
                    None => return Err(systemic(search.rejected())),
                },
            }
        }
        self.commit(transaction, unchanged, routes_rejected).await?;
        Ok(num::to_u64(search.rejected()))
    }

    /// Stores a part between savepoints. If the server rejects it, nothing of it is stored.
    async fn try_part(&self, records: &RecordRange, range: Range<usize>) -> Result<PartOutcome, Error> {
        let part = records.part(range)?;
        self.client.batch_execute(SAVEPOINT).await?;
        let stored = tokio::time::timeout(self.time_limit(), self.store_part(&part)).await;
        match stored.map_err(|_elapsed| Error::Timeout)? {
            Ok(unchanged) => {
                self.client.batch_execute(RELEASE).await?;
                Ok(PartOutcome::Stored { unchanged })
            }
            Err(Error::Database(error)) => match rejection(&error) {
                Some(rejection) => {
                    self.client.batch_execute(ROLLBACK).await?;
                    Ok(PartOutcome::Rejected(rejection))
                }
                None => Err(Error::Database(error)),
            },
            Err(error) => Err(error),
        }
    }

    /// Stores the rows of a transaction like [`Connection::store`], but one statement at a time. Returns the
    /// number of routes without a history row.
    pub(crate) async fn store_part(&self, part: &Transaction) -> Result<u64, Error> {
        let (client, s) = (&self.client, &self.statements);
        let peers = self.merge_peers(part).await?;
        copy(client, &s.copy_routes, &part.routes).await?;
        copy(client, &s.copy_events, &part.events).await?;
        copy(client, &s.copy_statistics, &part.statistics).await?;
        copy(client, &s.copy_gaps, &part.gaps).await?;
        copy(client, &s.copy_attributes, &part.attributes).await?;
        execute(client, &s.touch).await?;
        execute(client, &s.attributes).await?;
        // No initial load: rows of a part can be rolled back, so that its routes must be looked up.
        let resolved = ResolvedRows::encode(&part.rib, &part.dedup, &peers, None)?;
        copy(client, &s.copy_staged, &resolved.staged.bytes).await?;
        copy(client, &s.copy_routes, &resolved.history.bytes).await?;
        let unchanged = self.store_changed(part, &resolved).await?;
        self.merge(resolved.staged.rows).await?;
        self.log_gaps(part).await?;
        self.merge_routers(part).await?;
        Ok(unchanged)
    }
}

/// Returns the reply of the server if it rejects rows, so that storing fewer of them may succeed.
pub(crate) fn rejection(error: &tokio_postgres::Error) -> Option<Rejection> {
    let reply = error.as_db_error()?;
    (action_for_sqlstate(reply.code()) == ErrorAction::Reject)
        .then(|| Rejection { sqlstate: reply.code().code().to_owned(), message: reply.message().to_owned() })
}
