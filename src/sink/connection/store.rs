//! Stores one transaction.
//!
//! The client waits for the server only where it needs a reply: for the ids of peers that are not known yet
//! ([`KnownPeers`](super::known_peers::KnownPeers)), for the compared announcements that change their route,
//! and for the numbers of stored rows before it commits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::num;
use crate::route::Timestamp;
use crate::sink::error::Error;
use crate::sink::transaction::{EncodeError, InitialLoad, ResolvedRows, SetUse, StoredPeers, Transaction};

use super::attach::Connection;
use super::known_peers::KnownViews;
use super::pipeline::{Exchange, Request, Statement};
use super::statements::Params;
use super::stored_peers::stored_peers;

/// Reason of a gap for rejected records that were not stored.
const REJECTED_DROPPED: &str = "rejected records dropped";

/// The rows of a transaction that were sent.
pub(super) struct SentRows<'a> {
    /// Table, COPY statement and number of rows.
    counts: Vec<(&'static str, &'a Statement, u64)>,
    /// Number of announcements that change nothing.
    pub(super) unchanged: u64,
}

impl SentRows<'_> {
    /// Compares the numbers of rows with those that the server has stored, once it has replied.
    pub(super) fn check(&self, exchange: &Exchange) -> Result<(), Error> {
        for (table, statement, sent) in &self.counts {
            check_rows(table, *sent, exchange.affected(statement))?;
        }
        Ok(())
    }
}

impl Connection {
    /// Stores the transaction.
    ///
    /// # Errors
    /// See [`Error::action`]. Only attaching again shows whether the transaction was stored.
    pub async fn store(&mut self, transaction: &Transaction) -> Result<(), Error> {
        // The server may still commit after a timeout; the checkpoint shows it when the lane attaches again.
        let stored = tokio::time::timeout(self.time_limit(), self.store_untimed(transaction)).await;
        let stored = stored.map_err(|_elapsed| Error::Timeout).flatten();
        if stored.is_err() {
            self.shared_peers.initial_load().end();
        }
        stored
    }

    async fn store_untimed(&mut self, transaction: &Transaction) -> Result<(), Error> {
        // What this transaction adds holds only if it is stored: on an error it is dropped.
        let mut known_peers = std::mem::take(&mut self.known_peers);
        self.shared_peers.forget(self.lane.number, &mut known_peers);
        let known = known_peers.find(&transaction.peers.keys);
        let mut exchange = Exchange::begin(&self.stream);
        let mut request = Request::default();
        // If the fence fails, the server discards all that follows.
        self.begin(&mut request, transaction)?;
        if self.compresses(transaction.counts.routes) {
            request.execute(&self.statements.compress, &[])?;
        }
        let rows = self.store_rows(&mut exchange, request, transaction, known, true).await?;
        if exchange.has_unconfirmed_rows() {
            let settled = exchange.settle().await;
            settled.map_err(|error| self.route_exists(error, &exchange))?;
        }
        rows.check(&exchange)?;
        let (s, mut request) = (&self.statements, Request::default());
        request.execute(&s.peer_states, &[&self.lane.collector, &transaction.peers.views])?;
        exchange.send(request).await?;
        let exchange =
            self.commit(exchange, transaction, rows.unchanged, transaction.rejected_routes).await?;
        known_peers.learn(&transaction.peers, exchange.rows(&s.peer_states))?;
        self.choose_half(&exchange)?;
        self.known_peers = known_peers;
        Ok(())
    }

    /// Begins the transaction, and checks the fence and the order with other lanes.
    pub(super) fn begin(&self, request: &mut Request, transaction: &Transaction) -> Result<(), EncodeError> {
        let (log_id, number) = (self.lane.log_id.as_uuid(), num::to_i32_saturating(self.lane.number));
        let first = num::to_i64_saturating(transaction.first_seq);
        let fence: Params<'_, 6> = [&self.lane.collector, &log_id, &number, &self.epoch, &self.owner, &first];
        request.execute(&self.statements.begin, &[])?;
        request.execute(&self.statements.fence, &fence)?;
        for (lane, delivered) in &transaction.order {
            let (lane, delivered) = (num::to_i32_saturating(*lane), num::to_i64_saturating(*delivered));
            let order: Params<'_, 4> = [&self.lane.collector, &log_id, &lane, &delivered];
            request.execute(&self.statements.order, &order)?;
        }
        Ok(())
    }

    /// Sends all rows of the transaction after `request`. The last replies are not waited for.
    /// `loads_initially` allows to copy new routes without a look-up.
    pub(super) async fn store_rows(
        &self,
        exchange: &mut Exchange,
        mut request: Request,
        transaction: &Transaction,
        known: Option<KnownViews>,
        loads_initially: bool,
    ) -> Result<SentRows<'_>, Error> {
        let s = &self.statements;
        let encode = |peers: StoredPeers| {
            self.shared_peers.note(self.lane.number, &peers, &transaction.peers);
            encode(transaction, peers, loads_initially.then(|| self.shared_peers.initial_load()))
        };
        let merges_last = known.is_some() && !transaction.peers.has_changes();
        match &known {
            None => self.merge_peers(&mut request, transaction)?,
            Some(known) if !merges_last => {
                self.merge_known_peers(&mut request, transaction, &known.states)?
            }
            Some(_) => {}
        }
        self.copy_rows_without_ids(&mut request, transaction)?;
        let (encoding, known_states) = match known {
            Some(KnownViews { peers, states }) => {
                let encoding = encode(peers);
                exchange.send(request).await?;
                (encoding, Some(states))
            }
            None => {
                exchange.send(request).await?;
                exchange.wait_for(&s.peers).await?;
                let peers = stored_peers(exchange.rows(&s.peers))?;
                (encode(peers), None)
            }
        };
        let encoded = exchange.while_reading(encoding).await?;
        let mut resolved = encoded.map_err(Error::Encoder)??;
        let mut request = Request::default();
        request.copy(&s.copy_staged, &resolved.staged.bytes)?;
        request.copy(s.history(transaction), &resolved.history.bytes)?;
        let mut set_uses = std::mem::take(&mut resolved.set_uses);
        let changed = self.copy_changed(exchange, request, transaction, &resolved, &mut set_uses).await?;
        let (mut request, changed) = changed;
        self.copy_attributes(&mut request, transaction, &set_uses)?;
        self.merge(&mut request, transaction, &resolved)?;
        if let Some(states) = known_states.filter(|_| merges_last) {
            self.merge_known_peers(&mut request, transaction, &states)?;
        }
        exchange.send(request).await?;
        let routes = transaction.routes.rows + resolved.history.rows + changed;
        let counts = vec![
            ("route_records", s.history(transaction), routes),
            ("rejected_routes", &s.copy_rejected, transaction.rejected.rows),
            ("staged", &s.copy_staged, resolved.staged.rows),
            ("dedup_candidates", &s.copy_candidates, resolved.dedup.rows),
            ("rib_entries", &s.copy_rib, resolved.new.rows),
            ("swept_routes", &s.copy_swept, resolved.swept.rows),
        ];
        Ok(SentRows { counts, unchanged: resolved.compared.saturating_sub(changed) })
    }

    /// Merges the state of the peers. The reply has their ids, and their state before the transaction.
    fn merge_peers(&self, request: &mut Request, transaction: &Transaction) -> Result<(), EncodeError> {
        let (collector, peers) = (&self.lane.collector, &transaction.peers);
        let arguments: Params<'_, 4> = [collector, &peers.views, &peers.states, &peers.families];
        request.execute(&self.statements.peers, &arguments)?;
        request.flush();
        Ok(())
    }

    /// Merges the state of the peers, whose ids and states are known. Without an event, this comes last:
    /// other lanes wait for the locks on the rows of the same peers. The routes need the sweeps before.
    fn merge_known_peers(
        &self,
        request: &mut Request,
        transaction: &Transaction,
        states: &Value,
    ) -> Result<(), EncodeError> {
        let (collector, peers) = (&self.lane.collector, &transaction.peers);
        let arguments: Params<'_, 5> = [collector, &peers.views, &peers.states, &peers.families, states];
        request.execute(&self.statements.known_peers, &arguments)
    }

    /// Copies the rows that contain no peer ids.
    fn copy_rows_without_ids(
        &self,
        request: &mut Request,
        transaction: &Transaction,
    ) -> Result<(), EncodeError> {
        let s = &self.statements;
        request.copy(s.history(transaction), &transaction.routes.bytes)?;
        request.copy(&s.copy_rejected, &transaction.rejected.bytes)?;
        request.copy(&s.copy_events, &transaction.events)?;
        request.copy(&s.copy_statistics, &transaction.statistics)?;
        request.copy(&s.copy_gaps, &transaction.gaps)?;
        if !transaction.incarnations.is_empty() {
            request.copy_uncounted(&s.copy_incarnations, &transaction.incarnations)?;
            request.execute(&s.touch_incarnations, &[])?;
            request.execute(&s.incarnations, &[])?;
        }
        Ok(())
    }

    /// Copies the attribute sets, of which history needs those that its rows refer to.
    fn copy_attributes(
        &self,
        request: &mut Request,
        transaction: &Transaction,
        set_uses: &[SetUse],
    ) -> Result<(), EncodeError> {
        let set_uses = if transaction.is_whole { &[] } else { set_uses };
        let (s, rows) = (&self.statements, transaction.attributes.rows(set_uses)?);
        if !rows.is_empty() {
            request.copy_uncounted(&s.copy_attributes, &rows)?;
            request.execute(&s.touch, &[])?;
            request.execute(&s.attributes, &[])?;
            request.execute(&s.history_sets, &[])?;
        }
        Ok(())
    }

    /// Copies the history rows of the compared announcements that change their route; must follow the COPY of
    /// the staged routes and precede their merge. Returns the request to continue with, and the number of
    /// these rows; their attribute sets are added to `set_uses`.
    async fn copy_changed(
        &self,
        exchange: &mut Exchange,
        mut request: Request,
        transaction: &Transaction,
        resolved: &ResolvedRows,
        set_uses: &mut Vec<SetUse>,
    ) -> Result<(Request, u64), Error> {
        if resolved.compared == 0 {
            return Ok((request, 0));
        }
        let s = &self.statements;
        request.copy(&s.copy_candidates, &resolved.dedup.bytes)?;
        request.execute(&s.changed, &[])?;
        exchange.send(request).await?;
        exchange.settle().await?;
        let numbers = exchange.rows(&s.changed).map(|row| row.get(0, &Type::INT4));
        let numbers = numbers.collect::<Result<Vec<i32>, _>>().map_err(Error::Connection)?;
        let mut request = Request::default();
        let (rows, uses) = transaction.dedup.history_rows(&numbers)?;
        set_uses.extend(uses);
        request.copy(s.history(transaction), &rows)?;
        Ok((request, num::to_u64(numbers.len())))
    }

    /// Copies the routes that cannot be in the current table yet, and merges the staged ones and all other
    /// state.
    fn merge(
        &self,
        request: &mut Request,
        transaction: &Transaction,
        resolved: &ResolvedRows,
    ) -> Result<(), EncodeError> {
        let s = &self.statements;
        request.copy(&s.copy_rib, &resolved.new.bytes)?;
        request.copy(&s.copy_swept, &resolved.swept.bytes)?;
        if resolved.staged.rows > 0 {
            let is_insert = self.inserts_first.load(Ordering::Relaxed);
            let statement = if is_insert { &s.insert_first } else { &s.update_first };
            request.execute(statement, &[&num::to_i64_saturating(resolved.staged.rows)])?;
        }
        self.log_gaps(request, transaction)?;
        self.drop_rejected(request, transaction)?;
        if let Some(routers) = &transaction.routers {
            request.execute(&s.routers, &[&self.lane.collector, routers])?;
        }
        Ok(())
    }

    /// Records a gap for each router with records that are not stored.
    fn drop_rejected(&self, request: &mut Request, transaction: &Transaction) -> Result<(), EncodeError> {
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
            request.execute(&self.statements.drop_rejected, &values)?;
        }
        Ok(())
    }

    /// Records the unreadable ranges of the log.
    fn log_gaps(&self, request: &mut Request, transaction: &Transaction) -> Result<(), EncodeError> {
        let log_id = self.lane.log_id.as_uuid();
        for gap in &transaction.log_gaps {
            let (from, to) = (num::to_i64_saturating(gap.from), num::to_i64_saturating(gap.to));
            let gap: Params<'_, 5> = [&self.lane.collector, &log_id, &from, &to, &gap.reason];
            request.execute(&self.statements.log_gap, &gap)?;
        }
        Ok(())
    }

    /// Turns the error of a route that was expected to be new, but is in the current table.
    fn route_exists(&self, error: Error, exchange: &Exchange) -> Error {
        match error {
            Error::Reply(reply)
                if reply.code == SqlState::UNIQUE_VIOLATION
                    && exchange.has_failed(&self.statements.copy_rib) =>
            {
                Error::RouteExists(reply)
            }
            other => other,
        }
    }

    /// Chooses the half of the next merge that is first: the one that had more routes in this one.
    fn choose_half(&self, exchange: &Exchange) -> Result<(), Error> {
        let s = &self.statements;
        for (statement, is_insert) in [(&s.insert_first, true), (&s.update_first, false)] {
            for row in exchange.rows(statement) {
                let count = |index| row.get::<i64>(index, &Type::INT8).map_err(Error::Connection);
                self.inserts_first.store(is_insert == (count(0)? >= count(1)?), Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Moves the checkpoint, writes the ledger and commits. `unchanged` and `rejected` are the numbers of
    /// routes without a history row.
    pub(super) async fn commit(
        &self,
        mut exchange: Exchange,
        transaction: &Transaction,
        unchanged: u64,
        rejected: u64,
    ) -> Result<Exchange, Error> {
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
        let mut request = Request::default();
        request.execute(&self.statements.advance, &advance)?;
        request.execute(&self.statements.commit, &[])?;
        exchange.send(request).await?;
        exchange.finish().await?;
        check_rows("ingest_ledger", 1, exchange.affected(&self.statements.advance))?;
        Ok(exchange)
    }
}

/// Encodes the rows that contain peer ids on another thread.
fn encode(
    transaction: &Transaction,
    peers: StoredPeers,
    initial_load: Option<Arc<InitialLoad>>,
) -> JoinHandle<Result<ResolvedRows, EncodeError>> {
    let (rib, dedup) = (Arc::clone(&transaction.rib), Arc::clone(&transaction.dedup));
    tokio::task::spawn_blocking(move || ResolvedRows::encode(&rib, &dedup, &peers, initial_load.as_deref()))
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
