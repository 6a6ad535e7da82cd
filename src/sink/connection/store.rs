//! Stores transactions.
//!
//! ```text
//!   client  │ rows 1 … COMMIT │ rows 2 … COMMIT │                  │ rows 3 … COMMIT │
//!   server        │ stores 1        │ stores 2        │ stores 3 …
//!                           replies 1 ──►     replies 2 ──►
//! ```
//!
//! A transaction is sent without waiting for the server, except where a reply is needed: for the ids of
//! peers that are not known yet ([`KnownPeers`](super::known_peers::KnownPeers)), and for the compared
//! announcements that change their route. The next transaction is sent before the reply to the COMMIT if its
//! peers are known and the current one does not change them. If the current one fails, the fence refuses the
//! next one, because it does not follow the checkpoint.
//!
//! Rows that a trigger of the server drops would be missing without an error. A transaction therefore fails
//! if such a trigger exists (`holdfast_no_row_trigger`). If one exists when the lane attaches, the numbers of
//! stored rows are compared before each COMMIT instead, and only one transaction is in flight.

pub(super) mod in_flight;
mod requests;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::num;
use crate::sink::error::Error;
use crate::sink::transaction::{EncodeError, InitialLoad, ResolvedRows, StoredPeers, Transaction};

use super::attach::Connection;
use super::known_peers::KnownViews;
use super::pipeline::{Exchange, Request};
use super::stored_peers::stored_peers;
use in_flight::{InFlight, Rest, SentRows, check_rows};

impl Connection {
    /// Stores the transaction.
    ///
    /// # Errors
    /// See [`Error::action`]. Only attaching again shows whether the transaction was stored.
    pub async fn store(&mut self, transaction: &Transaction) -> Result<(), Error> {
        self.store_and_send_next(transaction, std::future::pending()).await
    }

    /// Stores the transaction, which may have been sent before as the next one, and sends the `next` one if
    /// it need not wait for the reply to the COMMIT. That one must be stored by the next call.
    ///
    /// `next` is dropped once the transaction is stored.
    ///
    /// # Errors
    /// See [`Error::action`]. Only attaching again shows whether the transaction, and the next one, were
    /// stored.
    pub async fn store_and_send_next<'a>(
        &mut self,
        transaction: &Transaction,
        next: impl Future<Output = Option<&'a Transaction>>,
    ) -> Result<(), Error> {
        // The server may still commit after a timeout; the checkpoint shows it when the lane attaches again.
        let stored = tokio::time::timeout(self.time_limit(), self.store_untimed(transaction, next)).await;
        let stored = stored.map_err(|_elapsed| Error::Timeout).flatten();
        if stored.is_err() {
            self.shared_peers.initial_load().end();
        }
        stored
    }

    /// Whether a transaction was sent as the next one, so that it may be stored without a reply.
    #[must_use]
    pub fn has_sent(&self, transaction: &Transaction) -> bool {
        self.in_flight.iter().any(|sent| sent.first_seq == transaction.first_seq)
    }

    /// Goes on sending and receiving while the lane waits for something else. Can be cancelled.
    pub async fn keep_going(&mut self) {
        if let Some(exchange) = &mut self.exchange {
            exchange.keep_going().await;
        }
        std::future::pending().await
    }

    async fn store_untimed<'a>(
        &mut self,
        transaction: &Transaction,
        next: impl Future<Output = Option<&'a Transaction>>,
    ) -> Result<(), Error> {
        self.send(transaction).await?;
        let mut next = pin!(next);
        let mut may_send = !self.counts_rows && self.in_flight.front().is_some_and(|sent| !sent.learns);
        loop {
            tokio::select! {
                biased;
                ready = self.ready() => {
                    ready?;
                    return self.stored(transaction).await;
                }
                next = &mut next, if may_send => {
                    may_send = false;
                    if let Some(next) = next {
                        self.send_next(next).await?;
                    }
                }
            }
        }
    }

    /// Sends a transaction, or what it still lacks if it was sent as the next one.
    async fn send(&mut self, transaction: &Transaction) -> Result<(), Error> {
        match self.in_flight.front() {
            Some(sent) if sent.first_seq == transaction.first_seq => {}
            Some(_) => return Err(not_expected("another transaction is in flight")),
            None => {
                self.shared_peers.forget(self.lane.number, &mut self.known_peers);
                let known = self.known_peers.find(&transaction.peers.keys);
                let learns = known.is_none() || transaction.peers.has_changes();
                let mut exchange = Exchange::begin(&self.stream);
                let request = self.begin_request(transaction)?;
                let rest = self.send_first(&mut exchange, request, transaction, known, true).await?;
                self.exchange = Some(exchange);
                self.in_flight.push_back(InFlight::new(transaction, learns, Some(rest)));
            }
        }
        let Some(rest) = self.in_flight.front_mut().and_then(|sent| sent.rest.take()) else { return Ok(()) };
        let learns = self.in_flight.front().is_some_and(|sent| sent.learns);
        let mut exchange = self.exchange.take().ok_or_else(|| not_expected("no exchange"))?;
        let rows = self.complete(&mut exchange, transaction, rest, learns).await;
        let rows = rows.map_err(|error| self.route_exists(error, &exchange))?;
        self.exchange = Some(exchange);
        if let Some(sent) = self.in_flight.front_mut() {
            sent.rows = rows;
        }
        Ok(())
    }

    /// Sends the next transaction, as far as it needs no reply, if its peers are known.
    async fn send_next(&mut self, transaction: &Transaction) -> Result<(), Error> {
        self.shared_peers.forget(self.lane.number, &mut self.known_peers);
        let Some(known) = self.known_peers.find(&transaction.peers.keys) else { return Ok(()) };
        let learns = transaction.peers.has_changes();
        // It must not hold locks on peers while it waits for its turn to be completed.
        if learns && transaction.dedup.len() > 0 {
            return Ok(());
        }
        let Some(mut exchange) = self.exchange.take() else { return Ok(()) };
        let encoding = self.encode(transaction, known.peers, true);
        // An error is met again when it is the turn of the transaction.
        if let Ok(Ok(resolved)) = exchange.while_reading(encoding).await? {
            exchange.begin_section();
            let mut request = self.begin_request(transaction)?;
            let states = self.copy_rows_of_known_peers(&mut request, transaction, known.states)?;
            self.copy_resolved(&mut request, transaction, &resolved)?;
            exchange.queue(request);
            let rest = Rest { resolved, states };
            let mut sent = InFlight::new(transaction, learns, None);
            if rest.resolved.compared > 0 {
                sent.rest = Some(rest);
            } else {
                sent.rows = self.complete(&mut exchange, transaction, rest, learns).await?;
            }
            self.in_flight.push_back(sent);
        }
        self.exchange = Some(exchange);
        Ok(())
    }

    /// Sends the rows up to the comparison of the announcements, after `request`. `loads_initially` allows to
    /// copy new routes without a look-up.
    pub(super) async fn send_first(
        &self,
        exchange: &mut Exchange,
        mut request: Request,
        transaction: &Transaction,
        known: Option<KnownViews>,
        loads_initially: bool,
    ) -> Result<Rest, Error> {
        let (peers, states) = match known {
            Some(KnownViews { peers, states }) => {
                let states = self.copy_rows_of_known_peers(&mut request, transaction, states)?;
                exchange.queue(request);
                (peers, states)
            }
            None => {
                self.merge_peers(&mut request, transaction)?;
                self.copy_rows_without_ids(&mut request, transaction)?;
                exchange.queue(request);
                exchange.wait_for(&self.statements.peers).await?;
                (stored_peers(exchange.rows(&self.statements.peers))?, None)
            }
        };
        let encoded = exchange.while_reading(self.encode(transaction, peers, loads_initially)).await?;
        let resolved = encoded.map_err(Error::Encoder)??;
        let mut request = Request::default();
        self.copy_resolved(&mut request, transaction, &resolved)?;
        exchange.queue(request);
        Ok(Rest { resolved, states })
    }

    /// Begins to send the rows after the comparison of the announcements. Waits for its result if there was
    /// one.
    pub(super) async fn send_rest(
        &self,
        exchange: &mut Exchange,
        transaction: &Transaction,
        Rest { mut resolved, states }: Rest,
    ) -> Result<SentRows, Error> {
        let s = &self.statements;
        let (mut request, mut changed) = (Request::default(), 0);
        let mut set_uses = std::mem::take(&mut resolved.set_uses);
        if resolved.compared > 0 {
            exchange.wait_for(&s.changed).await?;
            let numbers = exchange.rows(&s.changed).map(|row| row.get(0, &Type::INT4));
            let numbers = numbers.collect::<Result<Vec<i32>, _>>().map_err(Error::Connection)?;
            let (rows, uses) = transaction.dedup.history_rows(&numbers)?;
            set_uses.extend(uses);
            request.copy(s.history(transaction), &rows)?;
            changed = num::to_u64(numbers.len());
        }
        self.copy_attributes(&mut request, transaction, &set_uses)?;
        self.merge(&mut request, transaction, &resolved)?;
        if let Some(states) = states {
            self.merge_known_peers(&mut request, transaction, &states)?;
        }
        exchange.queue(request);
        let routes = transaction.routes.rows + resolved.history.rows + changed;
        let counts = vec![
            ("route_records", s.history(transaction).name(), routes),
            ("rejected_routes", s.copy_rejected.name(), transaction.rejected.rows),
            ("staged", s.copy_staged.name(), resolved.staged.rows),
            ("dedup_candidates", s.copy_candidates.name(), resolved.dedup.rows),
            ("rib_entries", s.copy_rib.name(), resolved.new.rows),
            ("swept_routes", s.copy_swept.name(), resolved.swept.rows),
        ];
        Ok(SentRows { counts, unchanged: resolved.compared.saturating_sub(changed) })
    }

    /// Begins to send all that a transaction lacks, up to its COMMIT and Sync. With `learns`, the reply has
    /// the states of the peers.
    async fn complete(
        &self,
        exchange: &mut Exchange,
        transaction: &Transaction,
        rest: Rest,
        learns: bool,
    ) -> Result<SentRows, Error> {
        let (s, mut request) = (&self.statements, Request::default());
        let rows = self.send_rest(exchange, transaction, rest).await?;
        if learns {
            request.execute(&s.peer_states, &[&self.lane.collector, &transaction.peers.views])?;
        }
        if self.counts_rows {
            exchange.settle().await?;
            rows.check(exchange)?;
        } else {
            request.execute(&s.no_row_trigger, &[])?;
        }
        self.commit_request(&mut request, transaction, rows.unchanged, transaction.rejected_routes)?;
        exchange.queue(request);
        exchange.sync();
        Ok(rows)
    }

    /// Waits for the reply to the oldest COMMIT. Can be cancelled.
    async fn ready(&mut self) -> Result<(), Error> {
        let Some(exchange) = &mut self.exchange else { return Err(not_expected("no exchange")) };
        let ready = exchange.ready().await;
        ready.map_err(|error| match &self.exchange {
            Some(exchange) => self.route_exists(error, exchange),
            None => error,
        })
    }

    /// Learns from the replies to the oldest transaction, which is stored, and passes to the next one.
    async fn stored(&mut self, transaction: &Transaction) -> Result<(), Error> {
        let (Some(exchange), Some(sent)) = (self.exchange.take(), self.in_flight.pop_front()) else {
            return Err(not_expected("no exchange"));
        };
        let s = &self.statements;
        check_rows("ingest_ledger", 1, exchange.affected(s.advance.name()))?;
        sent.rows.check(&exchange)?;
        if sent.learns {
            self.known_peers.learn(&transaction.peers, exchange.rows(&s.peer_states))?;
        }
        self.choose_half(&exchange)?;
        self.exchange = exchange.into_next().await?;
        Ok(())
    }

    /// Encodes the rows that contain peer ids on another thread.
    fn encode(
        &self,
        transaction: &Transaction,
        peers: StoredPeers,
        loads_initially: bool,
    ) -> JoinHandle<Result<ResolvedRows, EncodeError>> {
        self.shared_peers.note(self.lane.number, &peers, &transaction.peers);
        let initial_load: Option<Arc<InitialLoad>> =
            loads_initially.then(|| self.shared_peers.initial_load());
        let (rib, dedup) = (Arc::clone(&transaction.rib), Arc::clone(&transaction.dedup));
        tokio::task::spawn_blocking(move || {
            ResolvedRows::encode(&rib, &dedup, &peers, initial_load.as_deref())
        })
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
}

/// A defect of this program, after which the lane attaches again.
fn not_expected(what: &str) -> Error {
    Error::Connection(io::Error::other(format!("a defect of this program: {what}")))
}
