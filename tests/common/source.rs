//! A log with known batches, to be drained into a database.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use holdfast::codec;
use holdfast::committer::{self, Committer, Progress};
use holdfast::forwarder::{self, Forwarder};
use holdfast::route::{Batch, RibView};
use holdfast::sink::{Lane, SslMode, Target, TlsFiles, Transaction, TransactionBuilder};
use holdfast::wal::{self, Disk, Log, LogId, SeqNo};

use crate::common::batches::{self, Builder, peer, peer_up};
use crate::common::db::Database;

pub const COLLECTOR: &str = "c1";
pub const LOG: LogId = LogId([5; 16]);
pub const PATIENCE: Duration = Duration::from_secs(120);

pub fn lane() -> Lane {
    Lane { collector: COLLECTOR.to_owned(), log_id: LOG, number: 0, count: 1 }
}

pub fn batch(number: u32) -> Batch {
    let (router, session) = (format!("r{}", number % 3), 0);
    let last = u8::try_from(number % 7).unwrap();
    let peer = peer(last, RibView::AdjInPre, 1);
    let routes = number * 10..number * 10 + 10;
    Builder::new(&router, session)
        .at(i64::from(number))
        .event(Some(&peer), peer_up())
        .announce(&peer, routes.clone(), &[65_000 + number])
        .withdraw(&peer, routes.take(3))
        .event(None, holdfast::route::EventKind::SessionDown { end: holdfast::route::SessionEnd::Lost })
        .build()
}

pub const RECORDS_PER_BATCH: i64 = 15;

pub fn chunk(first_seq: u64, batches: u32) -> Transaction {
    let mut transaction = TransactionBuilder::new(lane(), first_seq);
    for _ in 0..batches {
        let seq = transaction.next_seq();
        transaction.push(seq, b"", &batch(u32::try_from(seq).unwrap())).unwrap();
    }
    transaction.build()
}

pub fn target_through(database: &Database, address: SocketAddr) -> Target {
    let mut config = tokio_postgres::Config::new();
    config.host(address.ip().to_string()).port(address.port());
    config.user(database.config.get_user().unwrap()).dbname(database.config.get_dbname().unwrap());
    if let Some(password) = database.config.get_password() {
        config.password(password);
    }
    Target::new(config, SslMode::Disable, &TlsFiles::default()).unwrap()
}

pub async fn server_address(database: &Database) -> SocketAddr {
    let tokio_postgres::config::Host::Tcp(host) = &database.config.get_hosts()[0] else {
        panic!("no TCP host")
    };
    let port = database.config.get_ports()[0];
    tokio::net::lookup_host((host.as_str(), port)).await.unwrap().next().unwrap()
}

/// A log with a committer.
pub struct Source {
    pub directory: tempfile::TempDir,
    pub log_id: LogId,
    pub log: Arc<Log<Disk>>,
    pub committer: Committer,
    pub progress: tokio::sync::watch::Receiver<Progress>,
}

impl Source {
    pub fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap())
    }

    /// Opens the log of the directory, or creates it.
    pub fn open(directory: tempfile::TempDir) -> Self {
        Self::sized(directory, 1 << 20, 64 << 20)
    }

    pub fn sized(directory: tempfile::TempDir, segment_bytes: u64, bytes_max: u64) -> Self {
        let mut options = wal::Options::new(LOG, 1, batches::NOW);
        (options.segment_bytes, options.bytes_max) = (segment_bytes, bytes_max);
        Self::with(directory, options)
    }

    /// A log of at most 1 MiB that drops its oldest segments when it is full.
    pub fn dropping(directory: tempfile::TempDir) -> Self {
        let mut options = wal::Options::new(LOG, 1, batches::NOW);
        (options.segment_bytes, options.bytes_max, options.drop_oldest) = (128 << 10, 1 << 20, true);
        Self::with(directory, options)
    }

    fn with(directory: tempfile::TempDir, mut options: wal::Options) -> Self {
        options.free_percent_min = 0;
        let (writer, recovered) = wal::recover(Disk::create(directory.path()).unwrap(), options).unwrap();
        let log = writer.log();
        let options =
            committer::Options { sync_interval: Duration::from_millis(5), ..committer::Options::default() };
        let (committer, _thread) = committer::spawn(writer, options).unwrap();
        let progress = committer.progress();
        Self { directory, log_id: recovered.log_id, log, committer, progress }
    }

    /// Closes the log and returns its directory.
    pub async fn close(self) -> tempfile::TempDir {
        self.committer.stop();
        let mut progress = self.progress;
        let ended = |progress: &Progress| matches!(progress.state, committer::LogState::Stopped);
        drop(progress.wait_for(ended).await.unwrap());
        self.directory
    }

    pub async fn put(&self, batch: &Batch) {
        let mut payload = Vec::new();
        codec::encode(batch, &mut payload).unwrap();
        self.committer.append(payload, u32::try_from(batch.records()).unwrap()).await.unwrap();
    }

    /// Appends the batches `range` and waits until they are durable.
    pub async fn fill(&mut self, range: std::ops::Range<u32>) {
        let last = SeqNo(self.progress.borrow().durable.0 + u64::from(range.end - range.start));
        for number in range {
            self.put(&batch(number)).await;
        }
        self.progress.wait_for(|progress| progress.durable >= last).await.unwrap();
    }

    pub fn options(&self, lanes: u32, rows_max: u64) -> forwarder::Options {
        let delay = Duration::from_millis(20);
        let directory = Some(self.directory.path().to_owned());
        forwarder::Options { lanes: Some(lanes), rows_max, delay, directory, ..forwarder::Options::default() }
    }

    pub fn drain(&self, target: Target, lanes: u32, rows_max: u64) -> Forwarder {
        self.drain_with(self.options(lanes, rows_max), target)
    }

    pub fn drain_with(&self, options: forwarder::Options, target: Target) -> Forwarder {
        forwarder::spawn(
            options,
            target,
            COLLECTOR.to_owned(),
            self.log_id,
            Arc::clone(&self.log),
            self.committer.clone(),
        )
    }
}

pub async fn delivered(forwarder: &Forwarder, seq: u64) {
    let mut watch = forwarder.delivered();
    let done = watch.wait_for(|delivered| delivered.seq() >= SeqNo(seq));
    if tokio::time::timeout(PATIENCE, done).await.is_err() {
        panic!("not delivered: {:?}", forwarder.delivered().borrow());
    }
}
