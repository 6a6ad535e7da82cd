//! Adds events, and records that are set aside, to a transaction.

use crate::route::{Batch, Event, Record};
use crate::sink::copy::copy_rows;
use crate::sink::transaction::error::InconsistentBatch;
use crate::sink::transaction::rejected::quarantine::Cause;
use crate::sink::transaction::rejected::rows::DroppedRecords;

use super::TransactionBuilder;

impl TransactionBuilder {
    /// Adds a record of a quarantined source to `rejected_routes`, or to a gap if there is no room.
    pub(super) fn set_aside(
        &mut self,
        seq: u64,
        batch: &Batch,
        record: &Record<'_>,
        cause: &Cause,
    ) -> Result<(), InconsistentBatch> {
        match record {
            Record::Route(_) => self.counts.routes += 1,
            Record::Event(_) => self.counts.events += 1,
        }
        self.counts.quarantined += 1;
        if self.quarantine.is_full() {
            self.counts.dropped += 1;
            self.dropped_routes += u64::from(matches!(record, Record::Route(_)));
            DroppedRecords::push(&mut self.dropped, seq, batch, record);
            return Ok(());
        }
        self.rejected.push(&self.lane, seq, batch, record, cause)
    }

    pub(super) fn event(&mut self, seq: u64, batch: &Batch, event: &Event) -> Result<(), InconsistentBatch> {
        match event.peer {
            None if !self.lane.owns_routers() => return Ok(()),
            None => {
                if let Some(cause) = self.quarantine.router_cause(&batch.router.name).cloned() {
                    return self.set_aside(seq, batch, &Record::Event(event), &cause);
                }
            }
            Some(number) => {
                let peer = batch
                    .peers
                    .get(usize::from(number))
                    .ok_or(InconsistentBatch { seq, index: event.index })?;
                if !self.lane.owns(batch, &peer.key) {
                    return Ok(());
                }
                let cause = self.quarantine.cause(&batch.router.name, Some(&peer.key));
                if let Some(cause) = cause.cloned() {
                    return self.set_aside(seq, batch, &Record::Event(event), &cause);
                }
                let view_index = self.peers.view_index(&batch.router, peer);
                self.peers.push(view_index, seq, batch, peer, event);
                self.rib.push_peer_event(view_index, &batch.router, peer, event);
            }
        }
        let table = match copy_rows::event_table(&event.kind) {
            copy_rows::EventTable::Events => &mut self.events,
            copy_rows::EventTable::Statistics => &mut self.statistics,
            copy_rows::EventTable::Gaps => &mut self.gaps,
        };
        copy_rows::event_row(&mut table.bytes, &self.lane, seq, batch, event);
        table.rows += 1;
        self.counts.events += 1;
        Ok(())
    }
}
