//! `bench delivery`: delivers a log as the daemon does, with history, current table, checkpoint and ledger.
//!
//! Four measurements: the log as a first load; every announcement again as an update with another MED; the
//! same once more within the session, unchanged; and as an unchanged table that a router re-sends after a
//! reconnect. The batches are logged before each measurement starts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use holdfast::codec;
use holdfast::committer::{self, Committer, Progress};
use holdfast::forwarder::{self, DeliveryStatus, LaneState};
use holdfast::route::{Action, Batch, Cause, Timestamp};
use holdfast::sink::{Dedup, SslMode, Target, TlsFiles};
use holdfast::wal::{self, Disk, Item, Log, LogId, SeqNo};
use tokio::sync::watch;

use crate::{Failure, result};

/// Time limit of one measurement.
const TIMEOUT: Duration = Duration::from_secs(1800);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Directory of the log, to which updates and the re-dump are appended
    #[arg(value_name = "WAL-FOLDER")]
    log: PathBuf,
    /// Database URL
    #[arg(long, value_name = "URL")]
    database: String,
    /// Number of lanes (DRAIN_LANES)
    #[arg(long, value_name = "N", default_value_t = 2)]
    lanes: u32,
    /// Announcements that add no history row if they change nothing (HISTORY_DEDUP)
    #[arg(long, value_enum, default_value_t)]
    dedup: Mode,
    /// Measure only the first load
    #[arg(long)]
    once: bool,
}

/// The values of HISTORY_DEDUP.
#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum Mode {
    Off,
    ReDumps,
    #[default]
    Always,
}

impl From<Mode> for Dedup {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Off => Self::Off,
            Mode::ReDumps => Self::ReDumps,
            Mode::Always => Self::Always,
        }
    }
}

/// How the announcements of the log are repeated. The first update changes the MED, all others change
/// nothing.
#[derive(Clone, Copy)]
enum Repetition {
    Update,
    ReDump,
}

impl Repetition {
    /// The batch as the repetition logs it; `None` if it has no announcements.
    fn batch(self, mut batch: Batch) -> Option<Batch> {
        batch.events.clear();
        batch.groups.retain(|group| group.action == Action::Announce);
        let mut index = 0;
        for group in &mut batch.groups {
            (group.index, index) = (index, index + group.rows);
            group.cause = match self {
                Self::Update => Cause::Update,
                Self::ReDump => Cause::ReDump,
            };
            group.received.0 += 1_000_000;
        }
        batch.attributes.iter_mut().for_each(|attributes| attributes.med = Some(77));
        if matches!(self, Self::ReDump) {
            batch.router.session = Timestamp(batch.router.session.0 + 1_000_000);
        }
        (index > 0 && usize::try_from(index) == Ok(batch.nlri.len())).then_some(batch)
    }
}

struct Delivery {
    arguments: Arguments,
    log: Arc<Log<Disk>>,
    log_id: LogId,
    committer: Committer,
    progress: watch::Receiver<Progress>,
    target: Target,
}

/// Runs the measurements and returns one JSON object per line.
pub(crate) fn run(arguments: Arguments) -> Result<String, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let mut delivery = Delivery::open(arguments)?;
        let end = delivery.progress.borrow().durable;
        let mut lines = vec![delivery.deliver("first load").await?];
        if !delivery.arguments.once {
            for (name, repetition) in [
                ("update", Repetition::Update),
                ("unchanged update", Repetition::Update),
                ("unchanged re-dump", Repetition::ReDump),
            ] {
                delivery.append(end, repetition).await?;
                lines.push(delivery.deliver(name).await?);
            }
        }
        Ok(lines.join("\n"))
    })
}

impl Delivery {
    fn open(arguments: Arguments) -> Result<Self, Failure> {
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
        let options = wal::Options::new(
            LogId(now.unsigned_abs().to_be_bytes().repeat(2).try_into().unwrap_or_default()),
            1,
            now,
        );
        let (writer, recovered) =
            wal::recover(Disk::create(&arguments.log)?, options).map_err(|error| error.to_string())?;
        let log = writer.log();
        let (committer, _thread) = committer::spawn(writer, committer::Options::default())?;
        let progress = committer.progress();
        let target = Target::new(arguments.database.parse()?, SslMode::Disable, &TlsFiles::default())?;
        Ok(Self { arguments, log, log_id: recovered.log_id, committer, progress, target })
    }

    /// Appends the announcements of all batches up to `end` again.
    async fn append(&mut self, end: SeqNo, repetition: Repetition) -> Result<(), Failure> {
        let mut reader = self.log.reader(SeqNo(1));
        let mut last = self.progress.borrow().durable;
        loop {
            let batch = match reader.next(end).map_err(|error| error.to_string())? {
                Some(Item::Data { payload, .. }) => codec::decode(payload)?,
                Some(Item::Gap { .. }) => return Err("the log has a gap".into()),
                None => break,
            };
            let Some(batch) = repetition.batch(batch) else { continue };
            let mut payload = Vec::new();
            codec::encode(&batch, &mut payload)?;
            self.committer
                .append(payload, u32::try_from(batch.records())?)
                .await
                .map_err(|error| error.to_string())?;
            last = SeqNo(last.0 + 1);
        }
        self.progress.wait_for(|progress| progress.durable >= last).await?;
        Ok(())
    }

    /// Delivers all undelivered batches and measures the rate.
    async fn deliver(&self, name: &str) -> Result<String, Failure> {
        let (lanes, dedup) = (Some(self.arguments.lanes), self.arguments.dedup.into());
        let options = forwarder::Options { lanes, dedup, ..forwarder::Options::default() };
        let (durable, collector) = (self.progress.borrow().durable, "bench".to_owned());
        let start = Instant::now();
        let forwarder = forwarder::spawn(
            options,
            self.target.clone(),
            collector,
            self.log_id,
            Arc::clone(&self.log),
            self.committer.clone(),
        );
        let mut delivered = forwarder.delivered();
        let is_done = |delivered: &DeliveryStatus| {
            delivered.seq() >= durable || delivered.lanes.iter().any(|lane| lane.state == LaneState::Halted)
        };
        let first = delivered.wait_for(|delivered| delivered.rows() > 0 || is_done(delivered));
        let first_rows = tokio::time::timeout(TIMEOUT, first).await??.rows();
        let since_first = Instant::now();
        let rows = tokio::time::timeout(TIMEOUT, delivered.wait_for(is_done)).await??.rows();
        let seconds = start.elapsed().as_secs_f64();
        // Without the time in which the lanes attach.
        let steady = (rows - first_rows) as f64 / since_first.elapsed().as_secs_f64();
        if !forwarder.stop(TIMEOUT).await {
            return Err(format!("{name}: delivery halted: {:?}", delivered.borrow().lanes).into());
        }
        let whole = result(rows, seconds);
        let whole = whole.trim_start_matches('{');
        Ok(format!("{{\"step\":\"{name}\",\"steady_routes_per_second\":{steady:.0},{whole}"))
    }
}
