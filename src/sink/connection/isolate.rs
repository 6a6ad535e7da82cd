//! Stores a transaction whose rows the server rejects, without the records that are rejected on their own.
//!
//! ```text
//! BEGIN · fence ─► SAVEPOINT · a part · RELEASE ─► … ─► rejected records · ledger + checkpoint · COMMIT
//!                  └─ rejected: ROLLBACK TO, halve the part; a single record goes to rejected_routes
//! ```
//!
//! Each part is stored completely, in history and in the current table, so that both remain consistent.
//! Each part is an exchange of its own here, because the connection is used further after an error.
//!
//! **Quarantine.** The search covers the records source by source. If it finds too many rejected records, it
//! gives up the source with most of them, and earlier a source of which nothing can be stored: the rest of
//! its records is rejected without an attempt, and the source is returned to be quarantined. So one source
//! costs a bounded number of attempts, and never stops the lane.
//!
//! **Systemic causes.** Whether a source or the schema is at fault does not follow from numbers if the
//! transaction has the records of one router only. Before a source is given up, ordinary rows are therefore
//! stored and rolled back (`RecordRange::probe`). If the server rejects them too, the transaction fails as a
//! whole and stays in the log. It also fails if several routers are given up and most of the records are
//! rejected.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::num;
use crate::sink::copy::CopyRows;
use crate::sink::error::Error;
use crate::sink::error_policy::{ErrorAction, action_for_sqlstate};
use crate::sink::error_reply::ErrorReply;
use crate::sink::transaction::{
    Cause, EncodeError, Quarantine, RecordRange, RejectedRows, Source, Transaction,
};

use super::attach::Connection;
use super::bisect::{Bisect, rejected_max};
use super::pipeline::{Exchange, Request};
use super::store::in_flight::{SentRows, check_rows};

const SAVEPOINT: &str = "SAVEPOINT part";
const RELEASE: &str = "RELEASE SAVEPOINT part;
    DELETE FROM staged; DELETE FROM dedup_candidates;
    DELETE FROM staged_attributes; DELETE FROM staged_incarnations";
const ROLLBACK: &str = "ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part";

/// Number of rejected records of a source, the last one in the transaction among them, from which the source
/// is given up if none of its records was stored.
const REJECTED_OF_NONE_STORED: usize = 3;
/// Number of peers that are given up, from which their router is if none of its records was stored.
const PEERS_OF_NONE_STORED: usize = 2;
/// Number of peers of a router with rejected records from which the whole router is given up.
const REJECTING_PEERS_MAX: usize = 4;
/// Number of routers from which giving them up indicates a systemic cause, if most records are rejected.
const SYSTEMIC_ROUTERS_MIN: usize = 3;
/// Number of routers that one transaction gives up at most. More of them indicate a systemic cause.
const ROUTERS_MAX: usize = 16;

/// Result of storing a part.
enum PartOutcome {
    /// The part is stored; `unchanged` of its routes have no history row.
    Stored { unchanged: u64 },
    /// Nothing of the part is stored.
    Rejected(Cause),
}

/// Result of [`Connection::isolate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isolated {
    /// Number of records in `rejected_routes`, those of quarantined sources included.
    pub rejected: u64,
    /// The sources with rejected records that were not quarantined before.
    pub offenders: Vec<Offender>,
}

/// A source with rejected records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offender {
    /// The source.
    pub source: Source,
    /// Why its first record was rejected.
    pub cause: Cause,
    /// Whether the source must be quarantined.
    pub is_given_up: bool,
}

/// State of [`Connection::isolate`].
struct Isolation<'a> {
    records: &'a RecordRange,
    quarantine: &'a Quarantine,
    search: Bisect,
    rows: RejectedRows,
    offenders: BTreeMap<Source, (Offender, usize)>,
    /// Rejected records of sources that are not given up.
    found: usize,
    /// Number of records that were stored.
    stored: usize,
    /// Their sources.
    accepted: BTreeSet<&'a Source>,
    /// The first rejection.
    first: Option<String>,
}

impl<'a> Isolation<'a> {
    /// Begins the search, without the records of quarantined sources.
    fn new(records: &'a RecordRange, quarantine: &'a Quarantine) -> Result<Self, EncodeError> {
        let mut search = Bisect::new(records.len());
        let mut rows = RejectedRows::default();
        for (source, range) in records.sources() {
            if let Some(cause) = quarantine.cause_of(source) {
                search.exclude(&range);
                records.reject(range, cause, &mut rows)?;
            }
        }
        let (offenders, accepted) = (BTreeMap::new(), BTreeSet::new());
        let (found, stored, first) = (0, 0, None);
        Ok(Self { records, quarantine, search, rows, offenders, found, stored, accepted, first })
    }

    fn on_stored(&mut self, range: Range<usize>) {
        self.stored += range.len();
        self.accepted.extend(range.filter_map(|index| self.records.source(index)));
    }

    /// Handles a rejected range. Returns the source to give up, if there are too many rejected records.
    fn on_rejected(&mut self, range: Range<usize>, cause: Cause) -> Result<Option<Source>, Error> {
        self.first.get_or_insert_with(|| cause.to_string());
        if range.len() > 1 {
            self.search.split(range);
            return Ok(None);
        }
        let Some(source) = self.records.source(range.start).cloned() else {
            // An unreadable range has no record that could be stored in rejected_routes.
            return Err(self.systemic("an unreadable range of the log is among them"));
        };
        self.records.reject(range, &cause, &mut self.rows).map_err(Error::Encode)?;
        self.found += 1;
        let new = Offender { source: source.clone(), cause, is_given_up: false };
        let (_, count) = self.offenders.entry(source.clone()).or_insert((new, 0));
        *count += 1;
        let count = *count;
        if let Some(suspect) = self.quarantine.suspect(&source) {
            return Ok(Some(suspect));
        }
        if !self.accepted.contains(&source) {
            if count >= REJECTED_OF_NONE_STORED {
                return Ok(Some(self.source_or_router(source)));
            }
            if count + 1 == REJECTED_OF_NONE_STORED {
                self.search.prefer(self.records.range_of(&source).end.saturating_sub(1));
            }
        }
        Ok((self.found > rejected_max(self.records.len())).then(|| self.worst()).flatten())
    }

    /// The source, or its router if nothing of the router was stored and other peers are given up.
    fn source_or_router(&self, source: Source) -> Source {
        let is_accepted = self.accepted.iter().any(|accepted| accepted.router == source.router);
        let given_up = self.offenders.values().filter(|(other, _)| {
            other.is_given_up && other.source.router == source.router && other.source != source
        });
        let is_router = !is_accepted && given_up.count() + 1 >= PEERS_OF_NONE_STORED;
        if is_router { source.whole_router() } else { source }
    }

    /// The source with most rejected records, or its router if many of its peers have rejected records.
    fn worst(&self) -> Option<Source> {
        let open = self.offenders.values().filter(|(offender, _)| !offender.is_given_up);
        let source = &open.max_by_key(|(_, count)| *count)?.0.source;
        let peers = self.offenders.keys().filter(|offender| offender.router == source.router).count();
        Some(if peers > REJECTING_PEERS_MAX { source.whole_router() } else { source.clone() })
    }

    /// Rejects the rest of the records of a source without an attempt to store them.
    fn give_up(&mut self, source: &Source) -> Result<(), Error> {
        let is_of = |own: &Source| own.router == source.router && (source.peer.is_none() || own == source);
        let mut cause = None;
        for (own, (offender, count)) in &mut self.offenders {
            if is_of(own) && !offender.is_given_up {
                offender.is_given_up = true;
                self.found = self.found.saturating_sub(*count);
            }
            if is_of(own) {
                cause.get_or_insert_with(|| offender.cause.clone());
            }
        }
        let Some(cause) = cause else { return Ok(()) };
        for range in self.search.exclude(&self.records.range_of(source)) {
            self.records.reject(range, &cause, &mut self.rows).map_err(Error::Encode)?;
        }
        let whole = Offender { source: source.clone(), cause, is_given_up: true };
        self.offenders.entry(source.clone()).or_insert((whole, 0)).0.is_given_up = true;
        if self.routers_given_up() > ROUTERS_MAX {
            return Err(self.systemic("records of many routers are among them"));
        }
        Ok(())
    }

    fn routers_given_up(&self) -> usize {
        let given_up = self.offenders.values().filter(|(offender, _)| offender.is_given_up);
        given_up.map(|(offender, _)| offender.source.router.as_str()).collect::<BTreeSet<_>>().len()
    }

    /// Fails if most records of several routers are rejected.
    fn check(&self) -> Result<(), Error> {
        let rejected = num::to_usize(self.rows.records());
        if self.routers_given_up() >= SYSTEMIC_ROUTERS_MIN && rejected > self.stored {
            return Err(self.systemic("most records of several routers are among them"));
        }
        Ok(())
    }

    fn systemic(&self, evidence: &'static str) -> Error {
        Error::Systemic {
            rejected: self.rows.records(),
            records: num::to_u64(self.records.len()),
            first: self.first.clone().unwrap_or_default(),
            evidence,
        }
    }
}

impl Connection {
    /// Stores the transaction without the records that the server rejects, and without those of quarantined
    /// sources; these go to `rejected_routes`. `records` are the records of the transaction. With
    /// `is_doubtful` the first rejected record is reason enough to check that the server accepts ordinary
    /// rows.
    ///
    /// # Errors
    /// See [`Error::action`]. [`Error::Systemic`] if the cause is not in the records; nothing is stored then.
    /// After other errors, only attaching again shows whether the transaction was stored.
    pub async fn isolate(
        &mut self,
        transaction: &Transaction,
        mut records: RecordRange,
        quarantine: &Quarantine,
        is_doubtful: bool,
    ) -> Result<Isolated, Error> {
        records.group();
        let mut request = Request::default();
        // As rows: their constraints are checked for each record.
        self.begin(&mut request, transaction)?;
        let mut exchange = Exchange::begin(&self.stream);
        exchange.queue(request);
        exchange.finish().await?;
        let mut isolation = Isolation::new(&records, quarantine)?;
        let (mut unchanged, mut is_probed) = (0, false);
        while let Some(range) = isolation.search.next() {
            let cause = match self.try_part(&records.part(range.clone())?).await? {
                PartOutcome::Stored { unchanged: of_part } => {
                    unchanged += of_part;
                    isolation.on_stored(range);
                    continue;
                }
                PartOutcome::Rejected(cause) => cause,
            };
            let source = isolation.on_rejected(range, cause)?;
            if !is_probed && (source.is_some() || (is_doubtful && isolation.found > 0)) {
                is_probed = true;
                if !self.accepts_ordinary_rows(&records).await? {
                    return Err(isolation.systemic("ordinary rows are rejected as well"));
                }
            }
            if let Some(source) = source {
                isolation.give_up(&source)?;
            }
        }
        isolation.check()?;
        let Isolation { rows, offenders, .. } = isolation;
        let (rejected, routes_rejected) = (rows.records(), rows.routes);
        self.commit_isolated(transaction, &rows.finish(), unchanged, routes_rejected).await?;
        let offenders = offenders.into_values().map(|(offender, _)| offender).collect();
        Ok(Isolated { rejected, offenders })
    }

    /// Stores a part between savepoints. If the server rejects it, nothing of it is stored.
    async fn try_part(&self, part: &Transaction) -> Result<PartOutcome, Error> {
        self.client.batch_execute(SAVEPOINT).await?;
        let stored = tokio::time::timeout(self.time_limit(), self.store_part(part)).await;
        match stored.map_err(|_elapsed| Error::Timeout)? {
            Ok(unchanged) => {
                self.client.batch_execute(RELEASE).await?;
                Ok(PartOutcome::Stored { unchanged })
            }
            Err(Error::Reply(reply)) => match rejection(&reply) {
                Some(cause) => {
                    self.client.batch_execute(ROLLBACK).await?;
                    Ok(PartOutcome::Rejected(cause))
                }
                None => Err(Error::Reply(reply)),
            },
            Err(error) => Err(error),
        }
    }

    /// Whether the server accepts ordinary rows in each table. They are not kept.
    async fn accepts_ordinary_rows(&self, records: &RecordRange) -> Result<bool, Error> {
        let Some(probe) = records.probe()? else { return Ok(true) };
        self.client.batch_execute("SAVEPOINT probe").await?;
        let outcome = self.try_part(&probe).await?;
        self.client.batch_execute("ROLLBACK TO SAVEPOINT probe; RELEASE SAVEPOINT probe").await?;
        Ok(matches!(outcome, PartOutcome::Stored { .. }))
    }

    /// Stores the rejected records, and commits.
    async fn commit_isolated(
        &self,
        transaction: &Transaction,
        rejected: &CopyRows,
        unchanged: u64,
        routes_rejected: u64,
    ) -> Result<(), Error> {
        let (s, mut request) = (&self.statements, Request::default());
        let mut exchange = Exchange::begin(&self.stream);
        request.copy(&s.copy_rejected, &rejected.bytes)?;
        exchange.send(request).await?;
        exchange.settle().await?;
        check_rows("rejected_routes", rejected.rows, exchange.affected(s.copy_rejected.name()))?;
        let mut request = Request::default();
        self.commit_request(&mut request, transaction, unchanged, routes_rejected)?;
        exchange.queue(request);
        exchange.finish().await?;
        check_rows("ingest_ledger", 1, exchange.affected(s.advance.name()))
    }

    /// Size of `rejected_routes` on disk in bytes.
    ///
    /// # Errors
    /// See [`Error::action`].
    pub async fn rejected_bytes(&self) -> Result<u64, Error> {
        let size = "SELECT pg_total_relation_size('rejected_routes')";
        let rows = self.client.query(size, &[]).await?;
        let bytes = rows.first().map(|row| row.try_get::<_, i64>(0)).transpose()?;
        Ok(bytes.unwrap_or_default().max(0).cast_unsigned())
    }

    /// Stores the rows of a transaction like [`Connection::store`], within a transaction that was begun
    /// before, and waits for all replies. Returns the number of routes without a history row.
    pub(crate) async fn store_part(&self, part: &Transaction) -> Result<u64, Error> {
        let mut exchange = Exchange::begin(&self.stream);
        // No initial load: rows of a part can be rolled back, so that its routes must be looked up.
        match self.send_part(&mut exchange, part).await {
            // The server is ready again only after the end of the exchange.
            Err(Error::Reply(_)) => exchange.finish().await.map(|()| 0),
            Err(error) => Err(error),
            Ok(rows) => {
                exchange.finish().await?;
                rows.check(&exchange)?;
                Ok(rows.unchanged)
            }
        }
    }

    async fn send_part(&self, exchange: &mut Exchange, part: &Transaction) -> Result<SentRows, Error> {
        let rest = self.send_first(exchange, Request::default(), part, None, false).await?;
        self.send_rest(exchange, part, rest).await
    }
}

/// Returns the reply of the server if it rejects rows, so that storing fewer of them may succeed.
pub(crate) fn rejection(reply: &ErrorReply) -> Option<Cause> {
    (action_for_sqlstate(&reply.code) == ErrorAction::Reject)
        .then(|| Cause::new(reply.code.code(), &reply.message))
}
