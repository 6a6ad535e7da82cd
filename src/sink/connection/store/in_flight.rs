//! Transactions that were sent and are not known to be stored.

use serde_json::Value;

use crate::sink::connection::pipeline::Exchange;
use crate::sink::error::Error;
use crate::sink::transaction::{ResolvedRows, Transaction};

/// A transaction that was sent and is not known to be stored. Of the second one in flight, the rows that
/// depend on a reply are not sent yet.
pub(in crate::sink::connection) struct InFlight {
    pub(super) first_seq: u64,
    pub(super) rows: SentRows,
    /// What is still to be sent.
    pub(super) rest: Option<Rest>,
    /// Whether the transaction may change what is known of peers.
    pub(super) learns: bool,
}

/// The rows of a transaction that follow the comparison of its announcements.
pub(in crate::sink::connection) struct Rest {
    pub(super) resolved: ResolvedRows,
    /// The expected states of the peers, if these are merged last.
    pub(super) states: Option<Value>,
}

/// The rows of a transaction that were sent.
#[derive(Default)]
pub(in crate::sink::connection) struct SentRows {
    /// Table, name of the COPY statement and number of rows.
    pub(super) counts: Vec<(&'static str, &'static str, u64)>,
    /// Number of announcements that change nothing.
    pub(in crate::sink::connection) unchanged: u64,
}

impl SentRows {
    /// Compares the numbers of rows with those that the server has stored, once it has replied.
    pub(in crate::sink::connection) fn check(&self, exchange: &Exchange) -> Result<(), Error> {
        for (table, statement, sent) in &self.counts {
            check_rows(table, *sent, exchange.affected(statement))?;
        }
        Ok(())
    }
}

impl InFlight {
    pub(super) fn new(transaction: &Transaction, learns: bool, rest: Option<Rest>) -> Self {
        Self { first_seq: transaction.first_seq, rows: SentRows::default(), rest, learns }
    }
}

/// Compares the number of stored rows with the number of sent rows.
pub(in crate::sink::connection) const fn check_rows(
    table: &'static str,
    sent: u64,
    stored: u64,
) -> Result<(), Error> {
    if sent == stored { Ok(()) } else { Err(Error::RowCount { table, sent, stored }) }
}
