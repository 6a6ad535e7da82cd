//! Stores one transaction.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::SinkExt as _;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Statement};

use crate::num;
use crate::route::Timestamp;
use crate::sink::error::Error;
use crate::sink::transaction::{InitialLoad, ResolvedRows, StoredPeers, Transaction};

use super::attach::Connection;
use super::statements::Params;
use super::stored_peers::stored_peers;

/// Size of the messages in which a COPY stream is sent, which bounds the buffer of the client library.
const COPY_MESSAGE_BYTES: usize = 256 << 10;

/// Reason of a gap for rejected records that were not stored.
const REJECTED_DROPPED: &str = "rejected records dropped";

impl Connection {
    /// Stores the transaction.
    ///
    /// # Errors
    /// See [`Error::action`]. Only attaching again shows whether the transaction was stored.
    pub async fn store(&mut self, transaction: &Transaction) -> Result<(), Error> {
        // The server may still commit after a timeout; the checkpoint shows it when the lane attaches again.
        tokio::time::timeout(self.time_limit(), self.store_untimed(transaction))
            .await
            .map_err(|_elapsed| Error::Timeout)?
    }

    async fn store_untimed(&mut self, transaction: &Transaction) -> Result<(), Error> {
        // Routes that this transaction adds count only if it is stored: on an error they are dropped.
        let mut initial_load = std::mem::take(&mut self.initial_load);
        // Both are sent without waiting for replies. If the fence fails, the server rejects all later
        // statements.
        let (_, unchanged) = tokio::try_join!(
            biased;
            self.begin(transaction, self.begin_statement(transaction.counts.routes)),
            self.store_rows(transaction, &mut initial_load),
        )?;
        self.commit(transaction, unchanged, transaction.rejected_routes).await?;
        self.initial_load = initial_load;
        Ok(())
    }

    /// Begins the transaction with the statement `begin`, and checks the fence.
    pub(super) async fn begin(&self, transaction: &Transaction, begin: &str) -> Result<(), Error> {
        let (log_id, number) = (self.lane.log_id.as_uuid(), num::to_i32_saturating(self.lane.number));
        let first = num::to_i64_saturating(transaction.first_seq);
        let fence: Params<'_, 6> = [&self.lane.collector, &log_id, &number, &self.epoch, &self.owner, &first];
        tokio::try_join!(
            biased;
            self.client.batch_execute(begin),
            self.client.query(&self.statements.fence, &fence),
        )?;
        Ok(())
    }

    /// Stores all rows of the transaction. Returns the number of announcements that change nothing.
    async fn store_rows(
        &self,
        transaction: &Transaction,
        initial_load: &mut InitialLoad,
    ) -> Result<u64, Error> {
        let (client, s) = (&self.client, &self.statements);
        let (resolved, _) = tokio::try_join!(
            biased;
            self.resolve(transaction, initial_load),
            copy(client, &s.copy_routes, &transaction.routes),
        )?;
        let (rejected, _, _, _, _, _, _, stored, history) = tokio::try_join!(
            biased;
            copy(client, &s.copy_rejected, &transaction.rejected.bytes),
            copy(client, &s.copy_events, &transaction.events),
            copy(client, &s.copy_statistics, &transaction.statistics),
            copy(client, &s.copy_gaps, &transaction.gaps),
            copy(client, &s.copy_attributes, &transaction.attributes),
            execute(client, &s.touch),
            execute(client, &s.attributes),
            copy(client, &s.copy_staged, &resolved.staged.bytes),
            copy(client, &s.copy_routes, &resolved.history.bytes),
        )?;
        check_rows("rejected_routes", transaction.rejected.rows, rejected)?;
        check_rows("staged", resolved.staged.rows, stored)?;
        check_rows("route_updates", resolved.history.rows, history)?;
        let unchanged = self.store_changed(transaction, &resolved).await?;
        let (stored, ()) =
            tokio::try_join!(biased; self.store_new(&resolved.new.bytes), self.merge(resolved.staged.rows))?;
        check_rows("rib_entries", resolved.new.rows, stored)?;
        self.log_gaps(transaction).await?;
        self.drop_rejected(transaction).await?;
        self.merge_routers(transaction).await?;
        Ok(unchanged)
    }

    /// Records a gap for each router with records that are not stored.
    async fn drop_rejected(&self, transaction: &Transaction) -> Result<(), Error> {
        let log_id = self.lane.log_id.as_uuid();
        for dropped in &transaction.dropped {
            let (seq, index) = dropped.first;
            let [from, until] = [dropped.from, dropped.until].map(system_time);
            let values: Params<'_, 10> = [
                &self.lane.collector,
                &log_id,
                &dropped.router,
                &REJECTED_DROPPED,
                &num::to_i64_saturating(seq),
                &num::to_i32_saturating(index),
                &num::to_i64_saturating(dropped.last_seq),
                &from,
                &until,
                &num::to_i64_saturating(dropped.records),
            ];
            self.client.execute(&self.statements.drop_rejected, &values).await?;
        }
        Ok(())
    }

    /// Size of `rejected_routes` on disk in bytes.
    ///
    /// # Errors
    /// See [`Error::action`].
    pub async fn rejected_bytes(&self) -> Result<u64, Error> {
        let size = "SELECT pg_total_relation_size('rejected_routes')";
        let row = self.client.query_one(size, &[]).await?;
        Ok(row.try_get::<_, i64>(0)?.max(0).cast_unsigned())
    }

    /// Merges the peers and encodes the rows that contain their ids. Encoding runs on another thread, while
    /// the server reads the history.
    async fn resolve(
        &self,
        transaction: &Transaction,
        initial_load: &mut InitialLoad,
    ) -> Result<ResolvedRows, Error> {
        let peers = self.merge_peers(transaction).await?;
        let mut load = std::mem::take(initial_load);
        let (rib, dedup) = (Arc::clone(&transaction.rib), Arc::clone(&transaction.dedup));
        let encoding = tokio::task::spawn_blocking(move || {
            let resolved = ResolvedRows::encode(&rib, &dedup, &peers, Some(&mut load))?;
            Ok::<_, Error>((resolved, load))
        });
        let (resolved, load) = encoding.await.map_err(Error::Encoder)??;
        *initial_load = load;
        Ok(resolved)
    }

    /// Merges the state of the peers; returns their ids and their state before the transaction.
    pub(super) async fn merge_peers(&self, transaction: &Transaction) -> Result<StoredPeers, Error> {
        let peers = &transaction.peers;
        let arguments: Params<'_, 4> = [&self.lane.collector, &peers.views, &peers.states, &peers.families];
        stored_peers(&self.client.query(&self.statements.peers, &arguments).await?)
    }

    /// Records the unreadable ranges of the log.
    pub(super) async fn log_gaps(&self, transaction: &Transaction) -> Result<(), Error> {
        let log_id = self.lane.log_id.as_uuid();
        for gap in &transaction.log_gaps {
            let (from, to) = (num::to_i64_saturating(gap.from), num::to_i64_saturating(gap.to));
            let gap: Params<'_, 5> = [&self.lane.collector, &log_id, &from, &to, &gap.reason];
            self.client.query(&self.statements.log_gap, &gap).await?;
        }
        Ok(())
    }

    /// Merges the state of the routers, if the lane owns them.
    pub(super) async fn merge_routers(&self, transaction: &Transaction) -> Result<(), Error> {
        if let Some(routers) = &transaction.routers {
            self.client.query(&self.statements.routers, &[&self.lane.collector, routers]).await?;
        }
        Ok(())
    }

    /// Stores the history rows of the compared announcements that change their route; must follow the COPY of
    /// the staged routes and precede their merge. Returns the number of those that change nothing.
    pub(super) async fn store_changed(
        &self,
        transaction: &Transaction,
        resolved: &ResolvedRows,
    ) -> Result<u64, Error> {
        if resolved.compared == 0 {
            return Ok(0);
        }
        let (client, s) = (&self.client, &self.statements);
        let query = async { Ok(client.query(&s.changed, &[]).await?) };
        let candidates = copy(client, &s.copy_candidates, &resolved.dedup.bytes);
        let (copied, rows) = tokio::try_join!(biased; candidates, query)?;
        check_rows("dedup_candidates", resolved.dedup.rows, copied)?;
        let numbers = rows.iter().map(|row| row.try_get::<_, i32>(0)).collect::<Result<Vec<_>, _>>()?;
        let changed = num::to_u64(numbers.len());
        let stored = copy(client, &s.copy_routes, &transaction.dedup.history_rows(&numbers)?).await?;
        check_rows("route_updates", changed, stored)?;
        Ok(resolved.compared.saturating_sub(changed))
    }

    /// Copies routes that cannot be in the current table yet.
    async fn store_new(&self, rows: &Bytes) -> Result<u64, Error> {
        match copy(&self.client, &self.statements.copy_rib, rows).await {
            Err(Error::Database(error)) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
                Err(Error::RouteExists(error))
            }
            other => other,
        }
    }

    /// Merges the staged routes into the current table: UPDATE of existing routes and INSERT of new ones, in
    /// either order. The second statement is not needed if the first one has handled all rows, so that both a
    /// first load and a re-dump cost one statement.
    pub(super) async fn merge(&self, staged_rows: u64) -> Result<(), Error> {
        if staged_rows == 0 {
            return Ok(());
        }
        let s = &self.statements;
        let inserts_first = self.inserts_first.load(Ordering::Relaxed);
        let (first, second) = if inserts_first { (&s.insert, &s.update) } else { (&s.update, &s.insert) };
        let first = execute(&self.client, first).await?;
        if first < staged_rows {
            let second = execute(&self.client, second).await?;
            if second > first {
                self.inserts_first.store(!inserts_first, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Moves the checkpoint, writes the ledger and commits. `unchanged` and `rejected` are the numbers of
    /// routes without a history row.
    pub(super) async fn commit(
        &self,
        transaction: &Transaction,
        unchanged: u64,
        rejected: u64,
    ) -> Result<(), Error> {
        let (log_id, number) = (self.lane.log_id.as_uuid(), num::to_i32_saturating(self.lane.number));
        let [first, last] = [transaction.first_seq, transaction.last_seq].map(num::to_i64_saturating);
        let digest = transaction.digest.cast_signed();
        let counts = transaction.counts;
        let [routes, events, gaps] = [counts.routes, counts.events, counts.gaps].map(num::to_i64_saturating);
        let [unchanged, rejected] = [unchanged, rejected].map(num::to_i64_saturating);
        let advance: Params<'_, 13> = [
            &self.lane.collector,
            &log_id,
            &number,
            &self.epoch,
            &self.owner,
            &first,
            &last,
            &digest,
            &routes,
            &events,
            &gaps,
            &unchanged,
            &rejected,
        ];
        let (stored, ()) = tokio::try_join!(
            biased;
            self.client.execute(&self.statements.advance, &advance),
            self.client.batch_execute("COMMIT"),
        )?;
        check_rows("ingest_ledger", 1, stored)
    }
}

fn system_time(time: Timestamp) -> SystemTime {
    let micros = Duration::from_micros(time.0.unsigned_abs());
    let time = if time.0 < 0 { UNIX_EPOCH.checked_sub(micros) } else { UNIX_EPOCH.checked_add(micros) };
    time.unwrap_or(UNIX_EPOCH)
}

/// Compares the number of stored rows with the number of sent rows.
pub(super) const fn check_rows(table: &'static str, sent: u64, stored: u64) -> Result<(), Error> {
    if sent == stored { Ok(()) } else { Err(Error::RowCount { table, sent, stored }) }
}

/// Executes a statement without arguments and returns the number of affected rows.
pub(super) async fn execute(client: &Client, statement: &Statement) -> Result<u64, Error> {
    Ok(client.execute(statement, &[]).await?)
}

/// Sends a COPY stream and returns the number of stored rows. An empty stream is not sent.
pub(super) async fn copy(client: &Client, statement: &Statement, bytes: &Bytes) -> Result<u64, Error> {
    if bytes.is_empty() {
        return Ok(0);
    }
    let mut sink = pin!(client.copy_in(statement).await?);
    let mut rest = bytes.clone();
    while !rest.is_empty() {
        let message = rest.split_to(rest.len().min(COPY_MESSAGE_BYTES));
        sink.send(message).await?;
    }
    Ok(sink.finish().await?)
}
