//! One lane's connection: attach, and store one chunk per transaction.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt as _;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row, Statement};

use crate::route::Family;
use crate::sink::connection::statements::{ATTACHED, ATTACHING, SESSION, Statements};
use crate::sink::connection::target::Target;
use crate::sink::error::Error;
use crate::sink::lanes::{Lane, uuid_text};
use crate::sink::transaction::initial_load::InitialLoad;
use crate::sink::transaction::rib::{StoredIncarnation, StoredPeer};
use crate::sink::transaction::sealed::{ResolvedRows, Transaction};

/// COPY bytes go out in pieces of this size, so that the library's buffer stays small.
const COPY_PIECE_BYTES: usize = 256 << 10;
const ATTACH_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the lane stands, by the checkpoint row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Counted up at every takeover.
    pub epoch: i64,
    /// Everything up to here is stored.
    pub last_seq: u64,
    /// Of the log's batch at `last_seq`; 0: unknown.
    pub digest: u64,
}

/// A connection that holds its lane.
pub struct Connection {
    pub(in crate::sink) client: Client,
    pub(in crate::sink) statements: Statements,
    pub(in crate::sink) lane: Lane,
    owner: String,
    epoch: i64,
    /// What is known of the peers that this connection has made.
    first_tables: InitialLoad,
    /// Which half of the merge is likely to have all the work.
    inserts_first: AtomicBool,
    store_timeout: Duration,
    patience: u32,
}

impl Connection {
    /// Connects and takes the lane. Without an epoch, once per process start, it fences out whoever held the lane. A mere
    /// reconnect gives the epoch that it held, and fails with BM001 when somebody else has taken over since.
    ///
    /// # Errors
    /// See [`Error::action`].
    pub async fn attach(
        target: &Target,
        lane: &Lane,
        owner: [u8; 16],
        epoch: Option<i64>,
    ) -> Result<(Self, Attached), Error> {
        let attach = Self::attach_untimed(target, lane, owner, epoch);
        tokio::time::timeout(ATTACH_TIMEOUT, attach).await.map_err(|_elapsed| Error::Timeout)?
    }

    /// A connection that holds no lane yet.
    pub(in crate::sink) async fn open(target: &Target, lane: Lane) -> Result<Self, Error> {
        let client = target.connect().await?;
        client.batch_execute(SESSION).await?;
        let statements = Statements::prepare(&client).await?;
        let store_timeout = target.store_timeout();
        let (owner, inserts_first) = (String::new(), AtomicBool::new(true));
        let first_tables = InitialLoad::default();
        Ok(Self {
            client,
            statements,
            lane,
            owner,
            epoch: 0,
            first_tables,
            inserts_first,
            store_timeout,
            patience: 1,
        })
    }

    async fn attach_untimed(
        target: &Target,
        lane: &Lane,
        owner: [u8; 16],
        epoch: Option<i64>,
    ) -> Result<(Self, Attached), Error> {
        let mut connection = Self::open(target, lane.clone()).await?;
        let (client, statements) = (&connection.client, &connection.statements);
        let (log_id, owner) = (lane.log_id_text(), uuid_text(owner));
        let (number, count) = (int4(lane.number), int4(lane.count));
        client.batch_execute(ATTACHING).await?;
        let arguments: Params<'_, 6> = [&lane.collector, &log_id, &number, &count, &owner, &epoch];
        let row = match client.query_one(&statements.attach, &arguments).await {
            // Whoever has the row does not let go within lock_timeout: end that connection, and try once more.
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                let evict = "SELECT holdfast_evict($1, $2::text::uuid, $3)";
                client.execute(evict, &[&lane.collector, &log_id, &number]).await?;
                client.query_one(&statements.attach, &arguments).await?
            }
            other => other?,
        };
        client.batch_execute(ATTACHED).await?;
        let attached = Attached {
            epoch: row.try_get(0)?,
            last_seq: u64::try_from(row.try_get::<_, i64>(1)?).unwrap_or(0),
            digest: row.try_get::<_, i64>(2)?.cast_unsigned(),
        };
        (connection.owner, connection.epoch) = (owner, attached.epoch);
        Ok((connection, attached))
    }

    /// From now on a transaction may take so many times the usual limit.
    pub const fn set_timeout_factor(&mut self, times: u32) {
        self.patience = times;
    }

    pub(in crate::sink) const fn time_limit(&self) -> Duration {
        self.store_timeout.saturating_mul(self.patience)
    }

    /// Stores the chunk in one transaction.
    ///
    /// # Errors
    /// See [`Error::action`]. Whether it was stored is known only after attaching anew.
    pub async fn store(&mut self, chunk: &Transaction) -> Result<(), Error> {
        // The transaction may still commit after that; the checkpoint row says so afterwards.
        tokio::time::timeout(self.time_limit(), self.store_untimed(chunk))
            .await
            .map_err(|_elapsed| Error::Timeout)?
    }

    async fn store_untimed(&mut self, chunk: &Transaction) -> Result<(), Error> {
        // What a transaction adds to it is true only when that one is stored.
        let mut first_tables = std::mem::take(&mut self.first_tables);
        // Sent without waiting in between; in a transaction that failed, the server refuses all that follows.
        let (_, repeated) = tokio::try_join!(biased; self.begin(chunk), self.rows(chunk, &mut first_tables))?;
        self.commit(chunk, chunk.counts.unchanged + repeated, 0).await?;
        self.first_tables = first_tables;
        Ok(())
    }

    /// Begins the transaction. The fence comes first.
    pub(in crate::sink) async fn begin(&self, chunk: &Transaction) -> Result<(), Error> {
        let (log_id, number) = (self.lane.log_id_text(), int4(self.lane.number));
        let first = int8(chunk.first_seq);
        let fence: Params<'_, 6> = [&self.lane.collector, &log_id, &number, &self.epoch, &self.owner, &first];
        tokio::try_join!(
            biased;
            self.client.batch_execute("BEGIN"),
            self.client.query(&self.statements.fence, &fence),
        )?;
        Ok(())
    }

    /// All rows of the chunk: history and the present. Returns how many routes of a re-dump change nothing.
    async fn rows(&self, chunk: &Transaction, first_tables: &mut InitialLoad) -> Result<u64, Error> {
        let (client, s) = (&self.client, &self.statements);
        let (named, _) = tokio::try_join!(
            biased;
            self.named(chunk, first_tables),
            copy(client, &s.copy_routes, &chunk.routes),
        )?;
        let (_, _, _, _, _, _, stored) = tokio::try_join!(
            biased;
            copy(client, &s.copy_events, &chunk.events),
            copy(client, &s.copy_statistics, &chunk.statistics),
            copy(client, &s.copy_gaps, &chunk.gaps),
            copy(client, &s.copy_attributes, &chunk.attributes),
            execute(client, &s.touch),
            execute(client, &s.attributes),
            copy(client, &s.copy_staged, &named.staged.bytes),
        )?;
        // A place without a peer would have no row.
        if stored + named.new.rows != chunk.rib_len() {
            let sent = chunk.rib_len().saturating_sub(named.new.rows);
            return Err(Error::RowCount { table: "staged", sent, stored });
        }
        let repeated = self.store_changed(chunk, &named.repeated).await?;
        let (stored, ()) =
            tokio::try_join!(biased; self.store_new(&named.new.bytes), self.merge(named.staged.rows))?;
        if stored != named.new.rows {
            return Err(Error::RowCount { table: "rib_entries", sent: named.new.rows, stored });
        }
        self.log_gaps(chunk).await?;
        self.routers(chunk).await?;
        Ok(repeated)
    }

    /// The rows that name peers by their ids, encoded on another thread while the server takes the history.
    async fn named(
        &self,
        chunk: &Transaction,
        first_tables: &mut InitialLoad,
    ) -> Result<ResolvedRows, Error> {
        let known = self.peers(chunk).await?;
        let mut first = std::mem::take(first_tables);
        let (rib, repeats) = (Arc::clone(&chunk.rib), Arc::clone(&chunk.repeats));
        let encoding = tokio::task::spawn_blocking(move || {
            let named = ResolvedRows::encode(&rib, &repeats, &known, Some(&mut first));
            (named, first)
        });
        let (named, first) = encoding.await.map_err(Error::Encoder)?;
        *first_tables = first;
        Ok(named)
    }

    pub(in crate::sink) async fn peers(
        &self,
        chunk: &Transaction,
    ) -> Result<HashMap<u32, StoredPeer>, Error> {
        let [peers, changes, families] = [&chunk.peers, &chunk.peer_changes, &chunk.peer_families].map(json);
        let peers: Params<'_, 4> = [&self.lane.collector, &peers, &changes, &families];
        known_peers(&self.client.query(&self.statements.peers, &peers).await?)
    }

    pub(in crate::sink) async fn log_gaps(&self, chunk: &Transaction) -> Result<(), Error> {
        let log_id = self.lane.log_id_text();
        for gap in &chunk.log_gaps {
            let (from, to) = (int8(gap.from), int8(gap.to));
            let gap: Params<'_, 5> = [&self.lane.collector, &log_id, &from, &to, &gap.reason];
            self.client.query(&self.statements.log_gap, &gap).await?;
        }
        Ok(())
    }

    pub(in crate::sink) async fn routers(&self, chunk: &Transaction) -> Result<(), Error> {
        if let Some(routers) = &chunk.routers {
            self.client.query(&self.statements.routers, &[&self.lane.collector, &json(routers)]).await?;
        }
        Ok(())
    }

    /// CopyRows of history for those re-dumped routes that change something; returns how many do not.
    pub(in crate::sink) async fn store_changed(
        &self,
        chunk: &Transaction,
        waiting: &Bytes,
    ) -> Result<u64, Error> {
        let asked = chunk.repeats.len();
        if asked == 0 {
            return Ok(0);
        }
        let (client, s) = (&self.client, &self.statements);
        let asking = async { Ok(client.query(&s.changed, &[]).await?) };
        let (copied, rows) = tokio::try_join!(biased; copy(client, &s.copy_repeated, waiting), asking)?;
        if copied != asked {
            return Err(Error::RowCount { table: "repeated", sent: asked, stored: copied });
        }
        let numbers = rows.iter().map(|row| row.try_get::<_, i32>(0)).collect::<Result<Vec<_>, _>>()?;
        let changed = u64::try_from(numbers.len()).unwrap_or(u64::MAX);
        let stored = copy(client, &s.copy_routes, &chunk.repeats.rows(&numbers)).await?;
        if stored != changed {
            return Err(Error::RowCount { table: "route_updates", sent: changed, stored });
        }
        Ok(asked - changed)
    }

    /// Routes that cannot be in the current table yet.
    async fn store_new(&self, rows: &Bytes) -> Result<u64, Error> {
        match copy(&self.client, &self.statements.copy_rib, rows).await {
            Err(Error::Database(error)) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
                Err(Error::RouteExists)
            }
            other => other,
        }
    }

    /// UPDATE of what is known and INSERT of what is new, in either order. When the first half took all rows, the second
    /// has nothing to do: a first load and a re-dump both pay for one half only.
    pub(in crate::sink) async fn merge(&self, staged_rows: u64) -> Result<(), Error> {
        if staged_rows == 0 {
            return Ok(());
        }
        let s = &self.statements;
        let inserts_first = self.inserts_first.load(Ordering::Relaxed);
        let halves = if inserts_first { [&s.insert, &s.update] } else { [&s.update, &s.insert] };
        let first = self.client.execute(halves[0], &[]).await?;
        if first < staged_rows {
            let second = self.client.execute(halves[1], &[]).await?;
            if second > first {
                self.inserts_first.store(!inserts_first, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Ledger, checkpoint and end of the transaction. Of the chunk's routes, `unchanged` and `rejected` are not in the
    /// history.
    pub(in crate::sink) async fn commit(
        &self,
        chunk: &Transaction,
        unchanged: u64,
        rejected: u64,
    ) -> Result<(), Error> {
        let (first, last) = (int8(chunk.first_seq), int8(chunk.last_seq));
        let (log_id, number) = (self.lane.log_id_text(), int4(self.lane.number));
        let digest = chunk.digest.cast_signed();
        let counts = chunk.counts;
        let (routes, events, gaps) = (int8(counts.routes), int8(counts.events), int8(counts.gaps));
        let (unchanged, rejected) = (int8(unchanged), int8(rejected));
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
        if stored == 1 { Ok(()) } else { Err(Error::RowCount { table: "ingest_ledger", sent: 1, stored }) }
    }
}

/// The arguments of a statement.
pub(in crate::sink) type Params<'a, const N: usize> = [&'a (dyn tokio_postgres::types::ToSql + Sync); N];

/// Without arguments.
pub(in crate::sink) async fn execute(client: &Client, statement: &Statement) -> Result<u64, Error> {
    Ok(client.execute(statement, &[]).await?)
}

pub(in crate::sink) async fn copy(
    client: &Client,
    statement: &Statement,
    bytes: &Bytes,
) -> Result<u64, Error> {
    if bytes.is_empty() {
        return Ok(0);
    }
    let mut sink = pin!(client.copy_in(statement).await?);
    let mut rest = bytes.clone();
    while !rest.is_empty() {
        let piece = rest.split_to(rest.len().min(COPY_PIECE_BYTES));
        sink.send(piece).await?;
    }
    Ok(sink.finish().await?)
}

/// What `holdfast_merge_peers` returns, by place: how each peer that was known stood before, the same for its families
/// with a sweep of their own, and every peer once more without that. So one that comes but once has been made just now.
fn known_peers(rows: &[Row]) -> Result<HashMap<u32, StoredPeer>, Error> {
    let before_all = StoredIncarnation { session: i64::MIN, generation: 0 };
    let mut known: HashMap<u32, StoredPeer> = HashMap::new();
    for row in rows {
        let place = u32::try_from(row.try_get::<_, i32>(0)?).unwrap_or(u32::MAX);
        let id: i64 = row.try_get(1)?;
        let (afi, safi): (Option<i32>, Option<i16>) = (row.try_get(2)?, row.try_get(3)?);
        let session: Option<i64> = row.try_get(4)?;
        let valid = StoredIncarnation { session: session.unwrap_or(i64::MIN), generation: row.try_get(5)? };
        let peer = known
            .entry(place)
            .and_modify(|known| known.is_new = false)
            .or_insert_with(|| StoredPeer { id, is_new: true, valid: before_all, families: Vec::new() });
        match afi.and_then(|afi| u16::try_from(afi).ok()).zip(safi.and_then(|safi| u8::try_from(safi).ok())) {
            Some((afi, safi)) => peer.families.push((Family { afi, safi }, valid)),
            None => peer.valid = peer.valid.max(valid),
        }
    }
    Ok(known)
}

/// As text; jsonb refuses \u0000, which a router's strings may have.
fn json(value: &serde_json::Value) -> String {
    value.to_string().replace("\\u0000", "\\ufffd")
}

pub(in crate::sink) fn int4(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

pub(in crate::sink) fn int8(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
