//! `bench history` and `bench export`: delivers the history rows of a log, and writes them as files for `psql
//! \copy`.
//!
//! History only, without current table and checkpoint, so that the rate is comparable with a bare COPY.

use std::fs;
use std::path::Path;
use std::pin::pin;
use std::time::Instant;

use bytes::Bytes;
use futures_util::SinkExt as _;
use holdfast::codec;
use holdfast::sink::{Dedup, Lane, TransactionBuilder, columns};
use holdfast::wal::{Disk, Item, LogId, Reader, SeqNo};

use crate::{Failure, result};

/// Rows per transaction: the default of DRAIN_MAX_ROWS.
const TRANSACTION_ROWS: u64 = 10_000;
/// The default of CHUNK_INTERVAL_DAYS.
const CHUNK_INTERVAL_DAYS: u32 = 7;

/// The history rows of a log, as the COPY data of successive transactions.
struct Transactions {
    reader: Reader<Disk>,
    next: SeqNo,
}

impl Transactions {
    fn open(log: &Path) -> Result<Self, Failure> {
        let reader = Reader::open(Disk::open(log)?, SeqNo(1)).map_err(|error| error.to_string())?;
        Ok(Self { reader, next: SeqNo(1) })
    }

    /// Returns the number of routes in the next transaction and its COPY data; `None` at the end of the log.
    fn take(&mut self) -> Result<Option<(u64, Bytes)>, Failure> {
        let lane = Lane { collector: "bench".into(), log_id: LogId::default(), number: 0, count: 1 };
        let mut builder = TransactionBuilder::new(lane, self.next.0).with_dedup(Dedup::Off);
        while builder.rows() < TRANSACTION_ROWS {
            match self.reader.next(SeqNo(u64::MAX)).map_err(|error| error.to_string())? {
                Some(Item::Data { seq, payload, .. }) => {
                    builder.push(seq.0, payload, &codec::decode(payload)?)?;
                    self.next = SeqNo(seq.0 + 1);
                }
                Some(Item::Gap { from, to, .. }) => {
                    return Err(format!("the log has a gap: {from:?} to {to:?}").into());
                }
                None => break,
            }
        }
        if builder.rows() == 0 {
            return Ok(None);
        }
        let transaction = builder.build();
        let [routes, ..] = transaction.history_bytes()?;
        Ok(Some((transaction.counts.routes, routes)))
    }
}

/// Writes one file per transaction, and the COPY statement for them.
pub(crate) fn export(log: &Path, out: &Path) -> Result<String, Failure> {
    let mut transactions = Transactions::open(log)?;
    let (start, mut routes, mut number) = (Instant::now(), 0, 0);
    fs::write(out.join("statement"), columns::copy_statement("route_records", columns::ROUTE_RECORDS))?;
    while let Some((count, bytes)) = transactions.take()? {
        if !bytes.is_empty() {
            fs::write(out.join(format!("{number:06}.copy")), &bytes)?;
            number += 1;
        }
        routes += count;
    }
    Ok(result(routes, start.elapsed().as_secs_f64()))
}

/// Delivers the history rows; the next transaction is prepared while one is stored, as in the daemon.
pub(crate) fn drain(log: &Path, database: &str) -> Result<String, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(store(log, database))
}

async fn store(log: &Path, database: &str) -> Result<String, Failure> {
    let (mut client, connection) = tokio_postgres::connect(database, tokio_postgres::NoTls).await?;
    let driver = tokio::spawn(connection);
    let layout = holdfast::sink::Layout::default();
    let migrated = holdfast::sink::migrate(&mut client, &layout, CHUNK_INTERVAL_DAYS).await;
    migrated.map_err(|error| error.to_string())?;
    let statement = columns::copy_statement("route_records", columns::ROUTE_RECORDS);
    let mut transactions = Transactions::open(log)?;
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let (start, mut routes) = (Instant::now(), 0);
    let reading = tokio::task::spawn_blocking(move || {
        while let Some(transaction) = transactions.take().map_err(|error| error.to_string())? {
            if sender.blocking_send(transaction).is_err() {
                break;
            }
        }
        Ok::<_, String>(())
    });
    while let Some((count, bytes)) = receiver.recv().await {
        routes += count;
        if bytes.is_empty() {
            continue;
        }
        let transaction = client.transaction().await?;
        {
            let mut copy = pin!(transaction.copy_in::<_, Bytes>(&statement).await?);
            copy.send(bytes).await?;
            copy.finish().await?;
        }
        transaction.commit().await?;
    }
    reading.await??;
    let seconds = start.elapsed().as_secs_f64();
    drop(client);
    driver.await??;
    Ok(result(routes, seconds))
}
