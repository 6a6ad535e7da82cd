//! Reads one time range of the source and stores its batches after the checkpoint.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::pin::pin;

use futures_util::TryStreamExt as _;
use uuid::Uuid;

use crate::codec;
use crate::route::{Batch, Router};
use crate::sink::connection::Connection;
use crate::sink::lanes::Lane;
use crate::sink::transaction::{Dedup, TransactionBuilder, digest};

use super::batches::{BATCH_ROWS, BatchBuilder, ImportedPeer};
use super::convert::convert;
use super::report::ImportReport;
use super::source::{Source, SourceRouter};
use super::{ImportError, ImportRequest, StoredLog, Window};

/// Number of batches between two calls of the progress function in a dry run.
const BATCHES_PER_PROGRESS: u64 = 100;

/// The import of one time range.
pub(super) struct Run<'a> {
    request: ImportRequest<'a>,
    source: &'a Source,
    window: Window,
    lane: Lane,
    /// The log as an earlier run left it.
    stored: Option<StoredLog>,
    report: &'a mut ImportReport,
    progress: &'a mut dyn FnMut(&ImportReport),
    /// Connection that stores transactions; opened at the first batch to be stored.
    connection: Option<Connection>,
    transaction: Option<TransactionBuilder>,
    /// Sequence number of the next batch.
    next_seq: u64,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        request: ImportRequest<'a>,
        source: &'a Source,
        window: Window,
        stored: Option<StoredLog>,
        report: &'a mut ImportReport,
        progress: &'a mut dyn FnMut(&ImportReport),
    ) -> Self {
        let lane =
            Lane { collector: request.collector.to_owned(), log_id: window.log_id(), number: 0, count: 1 };
        Self {
            request,
            source,
            window,
            lane,
            stored,
            report,
            progress,
            connection: None,
            transaction: None,
            next_seq: 1,
        }
    }

    /// Imports the time range.
    pub(super) async fn window(mut self) -> Result<(), ImportError> {
        for (address, router) in self.source.routers(self.window).await? {
            self.router(address, &router).await?;
        }
        self.store().await?;
        if let Some(log) = self.stored.filter(|log| log.last_seq >= self.next_seq) {
            let last = self.next_seq - 1;
            return Err(self.changed(format!("{} batches were stored, {last} were found", log.last_seq)));
        }
        Ok(())
    }

    fn changed(&self, found: String) -> ImportError {
        ImportError::SourceChanged { collector: self.lane.collector.clone(), found }
    }

    async fn router(&mut self, address: IpAddr, found: &SourceRouter) -> Result<(), ImportError> {
        let source_address = address.to_canonical();
        let name = self.request.router_names.get(&source_address).cloned();
        let router = Router {
            name: name.unwrap_or_else(|| source_address.to_string()),
            address: source_address,
            port: 0,
            session: found.first,
        };
        let counts = self.report.routers.entry(source_address).or_default();
        router.name.clone_into(&mut counts.name);
        counts.events += found.events;
        counts.routes += found.days.values().sum::<u64>();
        let earliest = self.report.first.map_or(found.first, |first| first.min(found.first));
        (self.report.first, self.report.last) = (Some(earliest), self.report.last.max(Some(found.last)));

        let mut batch = BatchBuilder::new(&router);
        batch.session_up(found.first);
        self.push(batch.build()).await?;
        self.events(address, &router).await?;
        let mut peers = BTreeSet::new();
        for day in found.days.keys() {
            self.day(address, *day, &router, &mut peers).await?;
        }
        self.report.peers.extend(peers.iter().map(|(peer, asn)| (source_address, *peer, *asn)));
        let peers: Vec<ImportedPeer> = peers.into_iter().collect();
        for chunk in peers.chunks(crate::num::to_usize(BATCH_ROWS)) {
            let mut batch = BatchBuilder::new(&router);
            chunk.iter().for_each(|peer| batch.peer_down(found.last, *peer));
            self.push(batch.build()).await?;
        }
        let mut batch = BatchBuilder::new(&router);
        batch.session_down(found.last);
        self.push(batch.build()).await
    }

    async fn events(&mut self, address: IpAddr, router: &Router) -> Result<(), ImportError> {
        let events = self.source.events(address, self.window).await.map_err(ImportError::Source)?;
        self.report.events_read += crate::num::to_u64(events.len());
        for chunk in events.chunks(crate::num::to_usize(BATCH_ROWS)) {
            let mut batch = BatchBuilder::new(router);
            chunk.iter().for_each(|event| batch.event(event));
            self.push(batch.build()).await?;
        }
        Ok(())
    }

    /// Imports the routes of one day.
    async fn day(
        &mut self,
        address: IpAddr,
        day: i64,
        router: &Router,
        peers: &mut BTreeSet<ImportedPeer>,
    ) -> Result<(), ImportError> {
        let rows = self.source.routes(address, day, self.window).await.map_err(ImportError::Source)?;
        let mut rows = pin!(rows);
        let mut batch = BatchBuilder::new(router);
        let mut rows_of_batch = 0;
        let mut before = None;
        while let Some(row) = rows.try_next().await.map_err(ImportError::Source)? {
            self.report.routes_read += 1;
            if before.as_ref() == Some(&row) {
                self.report.duplicates += 1;
            } else {
                match convert(&row) {
                    Ok(route) => {
                        peers.insert((route.peer, route.peer_asn));
                        self.report.count(&route);
                        batch.route(route);
                    }
                    Err(reason) => self.report.refuse(reason),
                }
                before = Some(row);
            }
            rows_of_batch += 1;
            if rows_of_batch == BATCH_ROWS {
                self.push(std::mem::replace(&mut batch, BatchBuilder::new(router)).build()).await?;
                rows_of_batch = 0;
            }
        }
        if rows_of_batch > 0 {
            self.push(batch.build()).await?;
        }
        Ok(())
    }

    /// Adds a batch to the transaction, unless an earlier run has stored it.
    async fn push(&mut self, batch: Batch) -> Result<(), ImportError> {
        let seq = self.next_seq;
        self.next_seq += 1;
        let last_stored = self.stored.map_or(0, |log| log.last_seq);
        if seq > last_stored && self.request.dry_run {
            if seq.is_multiple_of(BATCHES_PER_PROGRESS) {
                (self.progress)(self.report);
            }
            return Ok(());
        }
        if seq < last_stored {
            return Ok(());
        }
        let mut payload = Vec::new();
        codec::encode(&batch, &mut payload)?;
        if let Some(log) = self.stored.filter(|log| log.last_seq == seq) {
            return match log.digest == digest(seq, &payload) {
                true => Ok(()),
                false => Err(self.changed(format!("batch {seq} has other contents"))),
            };
        }
        let new = || TransactionBuilder::new(self.lane.clone(), seq).with_dedup(Dedup::Off);
        let transaction = self.transaction.get_or_insert_with(new);
        transaction.push(seq, &payload, &batch)?;
        if transaction.is_full(self.request.rows_max) {
            self.store().await?;
        }
        Ok(())
    }

    /// Stores the transaction, if there is one.
    async fn store(&mut self) -> Result<(), ImportError> {
        let Some(transaction) = self.transaction.take().map(TransactionBuilder::build) else {
            return Ok(());
        };
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => {
                let owner = Uuid::new_v4().into_bytes();
                let (connection, attached) =
                    Connection::attach(self.request.target, &self.lane, owner, None).await?;
                if attached.last_seq + 1 != transaction.first_seq {
                    return Err(ImportError::CheckpointMoved { last_seq: attached.last_seq });
                }
                self.connection.insert(connection)
            }
        };
        connection.store(&transaction).await?;
        self.report.records_stored_now += transaction.rows();
        (self.progress)(self.report);
        Ok(())
    }
}
