//! `bench collectors`: many collectors deliver to one database at the same time. Each has a log, a router
//! with four peers, and lanes of its own, as a daemon has; all run in this process.
//!
//! Measures the rate of all together, and samples the connections of the collectors, and those that wait for
//! a lock, in pg_stat_activity. At the end, `holdfast_verify` must find every record once.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use holdfast::codec;
use holdfast::committer::{self, Committer};
use holdfast::forwarder::{self, Forwarder, LaneState};
use holdfast::route::{
    Action, AsPath, AsPathSegment, Attributes, Batch, Cause, Family, Nlri, NlriEntry, Peer, PeerKey, Prefix,
    RibView, Router, RowGroup, SegmentKind, Timestamp,
};
use holdfast::sink::{SslMode, Target, TlsFiles};
use holdfast::wal::{self, Disk, LogId, SeqNo};
use tokio_postgres::Client;

use crate::Failure;

/// Time limit of the delivery.
const TIMEOUT: Duration = Duration::from_secs(1800);
/// Interval of the samples of pg_stat_activity.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);
/// Peers of each router.
const PEERS: u8 = 4;
/// Routes of each batch, all of one peer and with one attribute set.
const BATCH_ROUTES: u32 = 250;

const SAMPLE: &str = "SELECT count(*), count(*) FILTER (WHERE wait_event_type = 'Lock'),
        count(*) FILTER (WHERE wait_event_type = 'LWLock'), count(*) FILTER (WHERE state = 'active')
    FROM pg_stat_activity WHERE application_name = 'holdfast'";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Database URL; the schema is created if it is missing
    #[arg(long, value_name = "URL")]
    database: String,
    /// Number of collectors
    #[arg(long, value_name = "N", default_value_t = 50)]
    collectors: u8,
    /// Number of lanes of each collector (DRAIN_LANES)
    #[arg(long, value_name = "N", default_value_t = 2)]
    lanes: u32,
    /// Routes of each collector
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    routes: u32,
}

/// What the samples of pg_stat_activity show.
#[derive(Default)]
struct Samples {
    taken: u64,
    connections_max: i64,
    active: i64,
    waiting_max: i64,
    waiting: i64,
    waiting_internal: i64,
}

impl Samples {
    async fn take(&mut self, client: &Client) -> Result<(), Failure> {
        let row = client.query_one(SAMPLE, &[]).await?;
        let [connections, waiting, internal, active]: [i64; 4] =
            [row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?];
        self.taken += 1;
        self.connections_max = self.connections_max.max(connections);
        self.waiting_max = self.waiting_max.max(waiting);
        self.waiting += waiting;
        self.waiting_internal += internal;
        self.active += active;
        Ok(())
    }

    fn average(&self, sum: i64) -> f64 {
        (sum as f64 / self.taken.max(1) as f64 * 100.0).round() / 100.0
    }
}

/// Runs the measurement and returns one JSON object.
pub(crate) fn run(arguments: &Arguments) -> Result<String, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(arguments))
}

async fn measure(arguments: &Arguments) -> Result<String, Failure> {
    let target = Target::new(arguments.database.parse()?, SslMode::Disable, &TlsFiles::default())?;
    let mut client = target.connect().await?;
    client.batch_execute("SET application_name = 'bench'").await?;
    holdfast::sink::migrate(&mut client, target.layout(), 7).await?;
    let folder = std::env::temp_dir().join(format!("holdfast-collectors-{}", std::process::id()));
    let delivered = deliver(arguments, &target, &client, &folder).await;
    std::fs::remove_dir_all(&folder)?;
    let (seconds, samples) = delivered?;
    let verified = "SELECT coalesce(sum(v.missing), -1)::bigint, coalesce(sum(v.doubled), -1)::bigint
        FROM (SELECT DISTINCT collector FROM ingest_checkpoint) c, holdfast_verify(c.collector) v";
    let row = client.query_one(verified, &[]).await?;
    let routes = u64::from(arguments.collectors) * u64::from(arguments.routes);
    Ok(serde_json::json!({
        "collectors": arguments.collectors,
        "lanes": arguments.lanes,
        "routes": routes,
        "seconds": seconds,
        "routes_per_second": holdfast::num::floor_to_u64((routes as f64 / seconds).round()),
        "connections_max": samples.connections_max,
        "active_average": samples.average(samples.active),
        "lock_waits_max": samples.waiting_max,
        "lock_waits_average": samples.average(samples.waiting),
        "lwlock_waits_average": samples.average(samples.waiting_internal),
        "missing": row.try_get::<_, i64>(0)?,
        "doubled": row.try_get::<_, i64>(1)?,
    })
    .to_string())
}

/// Logs the routes of all collectors, and then delivers them at once.
async fn deliver(
    arguments: &Arguments,
    target: &Target,
    client: &Client,
    folder: &std::path::Path,
) -> Result<(f64, Samples), Failure> {
    let mut logs = Vec::new();
    for number in 0..arguments.collectors {
        logs.push(log(number, arguments.routes, &folder.join(number.to_string())).await?);
    }
    let started = Instant::now();
    let options = || forwarder::Options { lanes: Some(arguments.lanes), ..forwarder::Options::default() };
    let forwarders: Vec<(Forwarder, SeqNo)> = logs
        .into_iter()
        .enumerate()
        .map(|(number, (log_id, log, committer, end))| {
            let name = format!("collector{number}");
            (forwarder::spawn(options(), target.clone(), name, log_id, log, committer), end)
        })
        .collect();
    let mut samples = Samples::default();
    let mut clock = tokio::time::interval(SAMPLE_INTERVAL);
    loop {
        clock.tick().await;
        samples.take(client).await?;
        let states = forwarders.iter().map(|(forwarder, end)| (forwarder.delivered(), *end));
        let mut is_done = true;
        for (delivered, end) in states {
            let status = delivered.borrow();
            if status.lanes.iter().any(|lane| lane.state == LaneState::Halted) {
                return Err(format!("delivery halted: {:?}", status.lanes).into());
            }
            is_done &= status.seq() >= end;
        }
        if is_done {
            break;
        }
        if started.elapsed() > TIMEOUT {
            return Err("the delivery takes longer than 30 minutes".into());
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    for (forwarder, _) in forwarders {
        forwarder.stop(TIMEOUT).await;
    }
    Ok((seconds, samples))
}

type Log = (LogId, Arc<wal::Log<Disk>>, Committer, SeqNo);

/// A log with the announcements of one router.
async fn log(number: u8, routes: u32, folder: &std::path::Path) -> Result<Log, Failure> {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
    std::fs::create_dir_all(folder)?;
    let mut id = [number; 16];
    id[..8].copy_from_slice(&now.to_be_bytes());
    let mut options = wal::Options::new(LogId(id), 1, now);
    options.segment_bytes = 4 << 20;
    let (writer, recovered) =
        wal::recover(Disk::create(folder)?, options).map_err(|error| error.to_string())?;
    let log = writer.log();
    let (committer, _thread) = committer::spawn(writer, committer::Options::default())?;
    let mut progress = committer.progress();
    let mut end = SeqNo(0);
    for first in (0..routes).step_by(usize::try_from(BATCH_ROUTES)?) {
        let batch = batch(number, now, first, BATCH_ROUTES.min(routes - first));
        let mut payload = Vec::new();
        codec::encode(&batch, &mut payload)?;
        committer
            .append(payload, u32::try_from(batch.records())?)
            .await
            .map_err(|error| error.to_string())?;
        end = SeqNo(end.0 + 1);
    }
    progress.wait_for(|progress| progress.durable >= end).await?;
    Ok((recovered.log_id, log, committer, end))
}

fn batch(collector: u8, now: i64, first: u32, rows: u32) -> Batch {
    let number = first / BATCH_ROUTES;
    let last = u8::try_from(number % u32::from(PEERS)).unwrap_or_default() + 1;
    let mut batch = Batch::new(Router {
        name: format!("router{collector}"),
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, collector)),
        port: 4242,
        session: Timestamp(now),
    });
    let address = IpAddr::V4(Ipv4Addr::new(198, 51, 100, last));
    batch.peers.push(Peer {
        key: PeerKey { peer_type: 0, distinguisher: 0, address },
        view: RibView::AdjInPre,
        asn: 65_000,
        bgp_id: Ipv4Addr::new(10, 0, collector, last),
        table_name: String::new(),
        generation: 1,
    });
    batch.attributes.push(Attributes {
        origin: Some(0),
        as_path: Some(AsPath {
            asns: vec![65_000, 3356, 100_000 + number],
            segments: vec![AsPathSegment { kind: SegmentKind::Sequence, count: 3 }],
        }),
        next_hop: Some(address),
        communities: vec![0xfde8_0064, number],
        ..Attributes::default()
    });
    let prefixes = (first..first + rows).filter_map(|index| Prefix::v4(0x0100_0000 + (index << 8), 24));
    batch.nlri.extend(prefixes.map(|prefix| NlriEntry { path_id: 0, nlri: Nlri::Prefix(prefix) }));
    batch.groups.push(RowGroup {
        peer: 0,
        attributes: 0,
        family: Family::IPV4_UNICAST,
        action: Action::Announce,
        cause: Cause::Update,
        add_path: false,
        index: 0,
        rows,
        received: Timestamp(now + i64::from(first)),
        router_time: Timestamp(0),
        marking: None,
    });
    batch
}
