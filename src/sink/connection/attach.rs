//! A connection that holds a lane.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::num;
use crate::sink::error::Error;
use crate::sink::lanes::Lane;

use super::known_peers::KnownPeers;
use super::pipeline::{Exchange, QuietClient, Request, SharedStream, Typed};
use super::shared_peers::SharedPeers;
use super::statements::{EVICT, LOCK_TIMEOUT, LOCK_TIMEOUT_ATTACHING, Params, Statements, session};
use super::store::in_flight::InFlight;
use super::target::Target;

const ATTACH_TIMEOUT: Duration = Duration::from_secs(30);

/// The checkpoint of a lane at the time it was attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Fencing epoch of the lane, incremented by every takeover.
    pub epoch: i64,
    /// Sequence number of the last stored batch; 0 if there is none.
    pub last_seq: u64,
    /// [`digest`](crate::sink::digest) of the batch at `last_seq`; 0 if unknown.
    pub digest: u64,
}

/// A connection to the database that stores the transactions of one lane.
pub struct Connection {
    pub(crate) client: QuietClient,
    /// The stream of `client`, for exchanges.
    pub(super) stream: SharedStream,
    pub(super) statements: Statements,
    pub(crate) lane: Lane,
    /// Identity of this process, by which the server recognizes the holder of the lane.
    pub(super) owner: Uuid,
    pub(super) epoch: i64,
    /// RIB views that this connection has stored routes of.
    pub(super) known_peers: KnownPeers,
    /// Peers that several lanes store or remember.
    pub(super) shared_peers: Arc<SharedPeers>,
    /// Whether the merge begins with INSERT, because in the last merge most routes were new.
    pub(super) inserts_first: AtomicBool,
    /// What was sent and received since the connection was last idle; `None` while it is.
    pub(super) exchange: Option<Exchange>,
    /// The transactions of the exchange, the oldest one first.
    pub(super) in_flight: VecDeque<InFlight>,
    /// Whether the numbers of stored rows are compared before each COMMIT.
    pub(super) counts_rows: bool,
    /// Whether large transactions write their history compressed.
    pub(super) can_compress: bool,
    store_timeout: Duration,
    timeout_factor: u32,
}

impl Connection {
    /// Connects and attaches to the lane.
    ///
    /// Without an epoch, the lane is taken over and its previous holder is fenced out; this is for the start
    /// of a process. With the epoch that the process held before, the lane is taken over only if nobody else
    /// has done so since; otherwise the call fails with SQLSTATE BM001.
    ///
    /// # Errors
    /// See [`Error::action`].
    pub async fn attach(
        target: &Target,
        lane: &Lane,
        owner: [u8; 16],
        epoch: Option<i64>,
    ) -> Result<(Self, Attached), Error> {
        let attach = Self::attach_untimed(target, lane, Uuid::from_bytes(owner), epoch);
        tokio::time::timeout(ATTACH_TIMEOUT, attach).await.map_err(|_elapsed| Error::Timeout)?
    }

    /// Connects without attaching to the lane.
    pub(crate) async fn open(target: &Target, lane: Lane) -> Result<Self, Error> {
        let (client, stream) = target.connect_shared().await?;
        client.batch_execute(&session()).await?;
        let statements = Statements::prepare(&stream).await?;
        Ok(Self {
            client: QuietClient::new(client),
            stream,
            statements,
            lane,
            owner: Uuid::nil(),
            epoch: 0,
            known_peers: KnownPeers::default(),
            shared_peers: Arc::default(),
            inserts_first: AtomicBool::new(true),
            exchange: None,
            in_flight: VecDeque::new(),
            counts_rows: true,
            can_compress: false,
            store_timeout: target.store_timeout(),
            timeout_factor: 1,
        })
    }

    async fn attach_untimed(
        target: &Target,
        lane: &Lane,
        owner: Uuid,
        epoch: Option<i64>,
    ) -> Result<(Self, Attached), Error> {
        let mut connection = Self::open(target, lane.clone()).await?;
        let client = &connection.client;
        let log_id = lane.log_id.as_uuid();
        let (number, count) = (num::to_i32_saturating(lane.number), num::to_i32_saturating(lane.count));
        client.batch_execute(LOCK_TIMEOUT_ATTACHING).await?;
        let arguments: Params<'_, 6> = [&lane.collector, &log_id, &number, &count, &owner, &epoch];
        let attached = match connection.take_over(&arguments).await {
            // The holder of the row did not release it within lock_timeout: end that server process and try
            // once more.
            Err(Error::Reply(reply)) if reply.code == SqlState::LOCK_NOT_AVAILABLE => {
                let lane: [Typed<'_>; 3] =
                    [(&lane.collector, Type::TEXT), (&log_id, Type::UUID), (&number, Type::INT4)];
                client.query(EVICT, &lane).await?;
                connection.take_over(&arguments).await?
            }
            other => other?,
        };
        client.batch_execute(LOCK_TIMEOUT).await?;
        let triggers = client.query("SELECT holdfast_row_trigger() IS NOT NULL", &[]).await?;
        connection.counts_rows = triggers.iter().any(|row| row.get(0));
        (connection.owner, connection.epoch) = (owner, attached.epoch);
        Ok((connection, attached))
    }

    /// Fails if the connection is closed: by the server, or because TCP had no acknowledgment in time. Sends
    /// nothing over an open connection.
    ///
    /// # Errors
    /// The connection is closed.
    pub async fn check(&self) -> Result<(), Error> {
        // The request that fails names the error.
        if self.client.is_closed() { Ok(self.client.batch_execute("").await?) } else { Ok(()) }
    }

    async fn take_over(&self, arguments: &Params<'_, 6>) -> Result<Attached, Error> {
        let statement = &self.statements.attach;
        let mut request = Request::default();
        request.execute(statement, arguments)?;
        let mut exchange = Exchange::begin(&self.stream);
        exchange.queue(request);
        exchange.finish().await?;
        let value = |index| {
            let row = exchange.rows(statement).next().ok_or_else(|| io::Error::other("no row"))?;
            row.get::<i64>(index, &Type::INT8)
        };
        let read = |index| value(index).map_err(Error::Connection);
        Ok(Attached {
            epoch: read(0)?,
            last_seq: read(1)?.max(0).cast_unsigned(),
            digest: read(2)?.cast_unsigned(),
        })
    }

    /// Shares with the connections of the other lanes which peers are stored.
    pub fn share_peers(&mut self, shared_peers: Arc<SharedPeers>) {
        // Another process may have stored routes since the last attachment.
        shared_peers.initial_load().end();
        self.shared_peers = shared_peers;
    }

    /// Multiplies the time limit of each further transaction by `factor`.
    pub const fn set_timeout_factor(&mut self, factor: u32) {
        self.timeout_factor = factor;
    }

    /// Time limit of one transaction.
    pub(super) const fn time_limit(&self) -> Duration {
        self.store_timeout.saturating_mul(self.timeout_factor)
    }
}
