//! `bench log`: size of a route in the log, plain and compressed, and CPU time to append and to read it.
//!
//! The batches are encoded in memory first. They are then appended to a log, in sync groups of the size that
//! the collector writes under load, and read back. Frame headers and group ends are included in the size.

use std::fs;
use std::path::{Path, PathBuf};

use holdfast::wal::inspect::{overview, totals};
use holdfast::wal::{Disk, Item, LogId, Options, Reader, SeqNo, recover};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::Failure;
use crate::stream::each_payload;

/// Size of a sync group under load: the committer's limit.
const GROUP_BYTES: usize = 4 << 20;
/// Number of alternating rounds. The fastest round counts: other activity on the machine only slows a round
/// down.
const ROUNDS: usize = 3;
/// Rate for which the hours per GiB are computed: 100 routes per second.
const ROUTES_PER_HOUR: f64 = 100.0 * 3600.0;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Recorded BMP stream
    #[arg(value_name = "FILE")]
    stream: PathBuf,
    /// Directory for temporary logs
    #[arg(long, value_name = "FOLDER")]
    directory: PathBuf,
    /// Also write each batch to a file of its own, to measure other compression methods
    #[arg(long, value_name = "FOLDER")]
    batches: Option<PathBuf>,
}

/// The stream as the collector would log it.
struct Input {
    /// Bytes and records of each batch.
    batches: Vec<(Vec<u8>, u32)>,
    routes: u64,
    payload_bytes: u64,
}

/// Result of one storage method.
#[derive(Clone, Copy)]
struct Cost {
    stored_bytes: u64,
    append_s: f64,
    read_s: f64,
}

pub(crate) fn log(arguments: &Arguments) -> Result<String, Failure> {
    let input = input(&arguments.stream)?;
    if let Some(folder) = &arguments.batches {
        for (number, (payload, _)) in input.batches.iter().enumerate() {
            fs::write(folder.join(format!("{number:06}")), payload)?;
        }
    }
    let mut costs: [Option<Cost>; 2] = [None, None];
    for _ in 0..ROUNDS {
        for (best, compress) in costs.iter_mut().zip([false, true]) {
            let cost = measure(&input, &arguments.directory, compress)?;
            *best = Some(best.map_or(cost, |best| Cost {
                stored_bytes: cost.stored_bytes,
                append_s: best.append_s.min(cost.append_s),
                read_s: best.read_s.min(cost.read_s),
            }));
        }
    }
    let [plain, lz4] = costs.map(|cost| cost.map_or(Value::Null, |cost| cost.json(input.routes)));
    let line = json!({
        "routes": input.routes,
        "batches": input.batches.len(),
        "payload_bytes": input.payload_bytes,
        "plain": plain,
        "lz4": lz4,
    });
    Ok(line.to_string())
}

impl Cost {
    fn json(&self, routes: u64) -> Value {
        let bytes = self.stored_bytes as f64 / routes as f64;
        let per_million = |seconds: f64| thousandths(seconds * 1e6 / routes as f64);
        json!({
            "stored_bytes": self.stored_bytes,
            "bytes_per_route": thousandths(bytes),
            "append_cpu_s_per_million": per_million(self.append_s),
            "read_cpu_s_per_million": per_million(self.read_s),
            "hours_per_gib_at_100_routes_s": (f64::from(1 << 30) / bytes / ROUTES_PER_HOUR).round(),
        })
    }
}

fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn input(stream: &Path) -> Result<Input, Failure> {
    let bytes = fs::read(stream)?;
    let mut input = Input { batches: Vec::new(), routes: 0, payload_bytes: 0 };
    each_payload(&bytes, |payload, batch| {
        input.routes += batch.nlri.len() as u64;
        input.payload_bytes += payload.len() as u64;
        input.batches.push((payload.to_vec(), u32::try_from(batch.records()).unwrap_or(u32::MAX)));
    })?;
    if input.routes == 0 {
        return Err("the stream has no routes".into());
    }
    Ok(input)
}

/// Writes all batches into a new log and reads them back.
fn measure(input: &Input, directory: &Path, compress: bool) -> Result<Cost, Failure> {
    let directory = directory.join("log");
    let options = Options { compress, free_percent_min: 0, ..Options::new(LogId([1; 16]), 1, 1) };
    let (mut writer, _) = recover(Disk::create(&directory)?, options)?;
    // The collector zeroes segments ahead in idle time, so that is not measured.
    while writer.prepare() {}
    let mut append_s = 0.0;
    for (payload, count) in &input.batches {
        let before = cpu_s();
        writer.append(payload, *count).map_err(|error| error.to_string())?;
        if writer.group_bytes() >= GROUP_BYTES {
            writer.sync(1).map_err(|error| error.to_string())?;
        }
        append_s += cpu_s() - before;
        while writer.prepare() {}
    }
    writer.close(1).map_err(|error| error.to_string())?;

    let disk = Disk::open(&directory)?;
    let mut reader = Reader::open(disk.clone(), SeqNo(1))?;
    let before = cpu_s();
    for (payload, _) in &input.batches {
        match reader.next(SeqNo::MAX)? {
            Some(Item::Data { payload: read, .. }) if read == payload => {}
            other => {
                return Err(
                    format!("the log returned {other:?} instead of the batch that was appended").into()
                );
            }
        }
    }
    let read_s = cpu_s() - before;
    let mut stored_bytes = 0;
    for segment in overview(&disk)?.segments {
        stored_bytes += totals(&disk, &segment)?.map_or(0, |totals| totals.used_bytes);
    }
    fs::remove_dir_all(&directory)?;
    Ok(Cost { stored_bytes, append_s, read_s })
}

/// CPU time that this thread has used so far, in seconds.
fn cpu_s() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}
