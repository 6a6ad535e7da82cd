//! The requests of a transaction, in the order in which they are sent.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::num;
use crate::route::Timestamp;
use crate::sink::connection::attach::Connection;
use crate::sink::connection::pipeline::Request;
use crate::sink::connection::statements::Params;
use crate::sink::transaction::{EncodeError, ResolvedRows, SetUse, Transaction};

/// Reason of a gap for rejected records that were not stored.
const REJECTED_DROPPED: &str = "rejected records dropped";

impl Connection {
    /// Begins the transaction, and checks the fence and the order with other lanes. If that fails, the server
    /// discards all that follows.
    pub(super) fn begin_request(&self, transaction: &Transaction) -> Result<Request, EncodeError> {
        let mut request = Request::default();
        self.begin(&mut request, transaction)?;
        if self.compresses(transaction.counts.routes) {
            request.execute(&self.statements.compress, &[])?;
        }
        Ok(request)
    }

    /// The same, without a choice of how history is stored.
    pub(in crate::sink::connection) fn begin(
        &self,
        request: &mut Request,
        transaction: &Transaction,
    ) -> Result<(), EncodeError> {
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

    /// Copies the rows with peer ids up to the comparison of announcements, and asks for its reply.
    pub(super) fn copy_resolved(
        &self,
        request: &mut Request,
        transaction: &Transaction,
        resolved: &ResolvedRows,
    ) -> Result<(), EncodeError> {
        let s = &self.statements;
        request.copy(&s.copy_staged, &resolved.staged.bytes)?;
        request.copy(s.history(transaction), &resolved.history.bytes)?;
        // Before the merge, which changes what the announcements are compared with.
        if resolved.compared > 0 {
            request.copy(&s.copy_candidates, &resolved.dedup.bytes)?;
            request.execute(&s.changed, &[])?;
            request.flush();
        }
        Ok(())
    }

    /// Moves the checkpoint, writes the ledger and commits. `unchanged` and `rejected` are the numbers of
    /// routes without a history row.
    pub(in crate::sink::connection) fn commit_request(
        &self,
        request: &mut Request,
        transaction: &Transaction,
        unchanged: u64,
        rejected: u64,
    ) -> Result<(), EncodeError> {
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
        request.execute(&self.statements.advance, &advance)?;
        request.execute(&self.statements.commit, &[])
    }

    /// Merges the state of the peers. The reply has their ids, and their state before the transaction.
    pub(super) fn merge_peers(
        &self,
        request: &mut Request,
        transaction: &Transaction,
    ) -> Result<(), EncodeError> {
        let (collector, peers) = (&self.lane.collector, &transaction.peers);
        let arguments: Params<'_, 4> = [collector, &peers.views, &peers.states, &peers.families];
        request.execute(&self.statements.peers, &arguments)?;
        request.flush();
        Ok(())
    }

    /// Copies the rows that contain no peer ids of a transaction whose peers are known. With an event, these
    /// are merged before, because the routes need the sweeps; else `states` is returned, and they are merged
    /// last, because other lanes wait for the locks on the rows of the same peers.
    pub(super) fn copy_rows_of_known_peers(
        &self,
        request: &mut Request,
        transaction: &Transaction,
        states: Value,
    ) -> Result<Option<Value>, EncodeError> {
        let merges_last = !transaction.peers.has_changes();
        if !merges_last {
            self.merge_known_peers(request, transaction, &states)?;
        }
        self.copy_rows_without_ids(request, transaction)?;
        Ok(merges_last.then_some(states))
    }

    /// Merges the state of the peers, whose ids and states are known.
    pub(super) fn merge_known_peers(
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
    pub(super) fn copy_rows_without_ids(
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
            request.copy(&s.copy_incarnations, &transaction.incarnations)?;
            request.execute(&s.touch_incarnations, &[])?;
            request.execute(&s.incarnations, &[])?;
        }
        Ok(())
    }

    /// Copies the attribute sets, of which history needs those that its rows refer to.
    pub(super) fn copy_attributes(
        &self,
        request: &mut Request,
        transaction: &Transaction,
        set_uses: &[SetUse],
    ) -> Result<(), EncodeError> {
        let set_uses = if transaction.is_whole { &[] } else { set_uses };
        let (s, rows) = (&self.statements, transaction.attributes.rows(set_uses)?);
        if !rows.is_empty() {
            request.copy(&s.copy_attributes, &rows)?;
            request.execute(&s.touch, &[])?;
            request.execute(&s.attributes, &[])?;
            request.execute(&s.history_sets, &[])?;
        }
        Ok(())
    }

    /// Copies the routes that cannot be in the current table yet, and merges the staged ones and all other
    /// state.
    pub(super) fn merge(
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
}

fn system_time(time: Timestamp) -> SystemTime {
    let micros = Duration::from_micros(time.0.unsigned_abs());
    let time = if time.0 < 0 { UNIX_EPOCH.checked_sub(micros) } else { UNIX_EPOCH.checked_add(micros) };
    time.unwrap_or(UNIX_EPOCH)
}
