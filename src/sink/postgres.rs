//! One lane's connection: attach, and store one chunk per transaction.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt as _;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row, Statement};

use super::chunk::Inconsistent;
use super::decide::{Decision, decide_error};
use super::lanes::{Lane, uuid_text};
use super::rib::{KnownPeer, ValidFrom};
use super::sealed::Sealed;
use super::statements::{ATTACHED, ATTACHING, SESSION, Statements};
use super::target::Target;
use crate::route::Family;

/// COPY bytes go out in pieces of this size, so that the library's buffer stays small.
const COPY_PIECE_BYTES: usize = 256 << 10;
const ATTACH_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a lane could not attach or store. After any of them the connection must be dropped.
#[derive(Debug)]
pub enum Error {
    /// The client library or the server says so.
    Database(tokio_postgres::Error),
    /// No answer in time.
    Timeout,
    /// The batch contradicts itself.
    Inconsistent(Inconsistent),
    /// So many rows are refused that it is not about rows.
    Systemic {
        /// How many, until it gave up.
        rejected: u64,
        /// Of how many.
        records: u64,
        /// What the server said of the first one.
        first: String,
    },
    /// The server took another number of rows than it was given.
    Rows {
        /// Which table.
        table: &'static str,
        /// How many it was given.
        sent: u64,
        /// How many it says it has.
        stored: u64,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn decision(&self) -> Decision {
        match self {
            Self::Database(error) => decide_error(error),
            Self::Timeout => Decision::Slow,
            Self::Systemic { .. } => Decision::Alarm,
            Self::Inconsistent(_) | Self::Rows { .. } => Decision::Halt,
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Database(error) => match error.as_db_error() {
                Some(db) => write!(f, "{} ({})", db.message(), db.code().code()),
                // The library says what failed, and its cause says why.
                None => match std::error::Error::source(error) {
                    Some(cause) => write!(f, "{error}: {cause}"),
                    None => write!(f, "{error}"),
                },
            },
            Self::Systemic { rejected, records, first } => write!(
                f,
                "{rejected} of {records} records are refused, the first with: {first}; compare the database's tables, \
                 triggers and constraints with docs/SCHEMA.md and mend them: nothing is lost, and delivery goes on by itself"
            ),
            Self::Inconsistent(error) => error.fmt(f),
            Self::Timeout => f.write_str("the database did not answer in time"),
            Self::Rows { table, sent, stored } => write!(f, "{table} was given {sent} rows and has {stored}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

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
    pub(super) client: Client,
    pub(super) statements: Statements,
    pub(super) lane: Lane,
    owner: String,
    epoch: i64,
    /// Which half of the merge is likely to have all the work.
    inserts_first: AtomicBool,
    pub(super) store_timeout: Duration,
}

impl Connection {
    /// Connects and takes the lane. Without an epoch, once per process start, it fences out whoever held the lane. A mere
    /// reconnect gives the epoch that it held, and fails with BM001 when somebody else has taken over since.
    ///
    /// # Errors
    /// See [`Error::decision`].
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
    pub(super) async fn open(target: &Target, lane: Lane) -> Result<Self, Error> {
        let client = target.connect().await?;
        client.batch_execute(SESSION).await?;
        let statements = Statements::prepare(&client).await?;
        let store_timeout = target.store_timeout();
        let (owner, inserts_first) = (String::new(), AtomicBool::new(true));
        Ok(Self { client, statements, lane, owner, epoch: 0, inserts_first, store_timeout })
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

    /// Stores the chunk in one transaction.
    ///
    /// # Errors
    /// See [`Error::decision`]. Whether it was stored is known only after attaching anew.
    pub async fn store(&mut self, chunk: &Sealed) -> Result<(), Error> {
        // The transaction may still commit after that; the checkpoint row says so afterwards.
        tokio::time::timeout(self.store_timeout, self.store_untimed(chunk))
            .await
            .map_err(|_elapsed| Error::Timeout)?
    }

    async fn store_untimed(&mut self, chunk: &Sealed) -> Result<(), Error> {
        // Sent without waiting in between; in a transaction that failed, the server refuses all that follows.
        let (_, repeated) = tokio::try_join!(biased; self.begin(chunk), self.rows(chunk))?;
        self.commit(chunk, chunk.counts.unchanged + repeated, 0).await
    }

    /// Begins the transaction. The fence comes first.
    pub(super) async fn begin(&self, chunk: &Sealed) -> Result<(), Error> {
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
    async fn rows(&self, chunk: &Sealed) -> Result<u64, Error> {
        let (client, s) = (&self.client, &self.statements);
        let (known, _) = tokio::try_join!(
            biased;
            self.peers(chunk),
            copy(client, &s.copy_routes, &chunk.routes),
        )?;
        let staged = chunk.staged(&known);
        let staged_rows = u64::try_from(chunk.staged_rows()).unwrap_or(u64::MAX);
        let (_, _, _, _, _, stored) = tokio::try_join!(
            biased;
            copy(client, &s.copy_events, &chunk.events),
            copy(client, &s.copy_statistics, &chunk.statistics),
            copy(client, &s.copy_gaps, &chunk.gaps),
            copy(client, &s.copy_attributes, &chunk.attributes),
            execute(client, &s.attributes),
            copy(client, &s.copy_staged, &staged),
        )?;
        if stored != staged_rows {
            return Err(Error::Rows { table: "staged", sent: staged_rows, stored });
        }
        let repeated = self.store_changed(chunk, &known).await?;
        self.merge(staged_rows).await?;
        self.routers(chunk).await?;
        Ok(repeated)
    }

    pub(super) async fn peers(&self, chunk: &Sealed) -> Result<HashMap<u32, KnownPeer>, Error> {
        let [peers, changes, families] = [&chunk.peers, &chunk.peer_changes, &chunk.peer_families].map(json);
        let peers: Params<'_, 4> = [&self.lane.collector, &peers, &changes, &families];
        known_peers(&self.client.query(&self.statements.peers, &peers).await?)
    }

    pub(super) async fn routers(&self, chunk: &Sealed) -> Result<(), Error> {
        if let Some(routers) = &chunk.routers {
            self.client.query(&self.statements.routers, &[&self.lane.collector, &json(routers)]).await?;
        }
        Ok(())
    }

    /// Rows of history for those re-dumped routes that change something; returns how many do not.
    pub(super) async fn store_changed(
        &self,
        chunk: &Sealed,
        known: &HashMap<u32, KnownPeer>,
    ) -> Result<u64, Error> {
        let asked = chunk.repeats.len();
        if asked == 0 {
            return Ok(0);
        }
        let (client, s) = (&self.client, &self.statements);
        let waiting = chunk.repeats.encode(known);
        let asking = async { Ok(client.query(&s.changed, &[]).await?) };
        let (copied, rows) = tokio::try_join!(biased; copy(client, &s.copy_repeated, &waiting), asking)?;
        if copied != asked {
            return Err(Error::Rows { table: "repeated", sent: asked, stored: copied });
        }
        let numbers = rows.iter().map(|row| row.try_get::<_, i32>(0)).collect::<Result<Vec<_>, _>>()?;
        let changed = u64::try_from(numbers.len()).unwrap_or(u64::MAX);
        let stored = copy(client, &s.copy_routes, &chunk.repeats.rows(&numbers)).await?;
        if stored != changed {
            return Err(Error::Rows { table: "route_updates", sent: changed, stored });
        }
        Ok(asked - changed)
    }

    /// UPDATE of what is known and INSERT of what is new, in either order. When the first half took all rows, the second
    /// has nothing to do: a first load and a re-dump both pay for one half only.
    pub(super) async fn merge(&self, staged_rows: u64) -> Result<(), Error> {
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
    pub(super) async fn commit(&self, chunk: &Sealed, unchanged: u64, rejected: u64) -> Result<(), Error> {
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
        if stored == 1 { Ok(()) } else { Err(Error::Rows { table: "ingest_ledger", sent: 1, stored }) }
    }
}

/// The arguments of a statement.
pub(super) type Params<'a, const N: usize> = [&'a (dyn tokio_postgres::types::ToSql + Sync); N];

/// Without arguments.
pub(super) async fn execute(client: &Client, statement: &Statement) -> Result<u64, Error> {
    Ok(client.execute(statement, &[]).await?)
}

pub(super) async fn copy(client: &Client, statement: &Statement, bytes: &Bytes) -> Result<u64, Error> {
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
/// with a sweep of their own, and every peer once more without that.
fn known_peers(rows: &[Row]) -> Result<HashMap<u32, KnownPeer>, Error> {
    let before_all = ValidFrom { session: i64::MIN, generation: 0 };
    let mut known: HashMap<u32, KnownPeer> = HashMap::new();
    for row in rows {
        let place = u32::try_from(row.try_get::<_, i32>(0)?).unwrap_or(u32::MAX);
        let id: i64 = row.try_get(1)?;
        let (afi, safi): (Option<i32>, Option<i16>) = (row.try_get(2)?, row.try_get(3)?);
        let session: Option<i64> = row.try_get(4)?;
        let valid = ValidFrom { session: session.unwrap_or(i64::MIN), generation: row.try_get(5)? };
        let peer =
            known.entry(place).or_insert_with(|| KnownPeer { id, valid: before_all, families: Vec::new() });
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

pub(super) fn int4(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

pub(super) fn int8(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
