//! `walctl bench`: sync latency of a disk, and the append rate of the log relative to a bare write-and-sync
//! loop.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use holdfast::num::to_u64;
use holdfast::wal::{Disk, LogId, Options, WriteError, Writer, recover};
use serde_json::json;

use crate::args;
use crate::output::{Failure, Output};

/// Size of the file that the bare loop overwrites.
const FILE_BYTES: u64 = 64 << 20;
/// Bytes per sync, in both loops.
const GROUP_BYTES: usize = 1 << 20;
/// Bytes per appended batch.
const PAYLOAD_BYTES: usize = 20_000;
/// Number of alternations between the bare loop and the log.
const TURNS: u32 = 5;

/// A temporary directory, removed on drop.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

pub(crate) fn bench(arguments: &args::Bench, out: &mut Output) -> Result<u8, Failure> {
    let scratch = arguments.directory.join(format!("walctl-bench-{}", std::process::id()));
    fs::create_dir(&scratch).map_err(|error| Failure::new(&scratch.display(), &error))?;
    let scratch = Scratch(scratch);
    let time = Duration::from_secs(arguments.seconds);
    let mut bare = Bare::new(&scratch.0)?;
    let small = bare.run(4096, time)?;
    let mut log = Log::warm(&scratch.0)?;
    let mut bare_rate = Times::new(GROUP_BYTES);
    let (mut log_bytes, mut log_time) = (0, Duration::ZERO);
    // Alternated, because the speed of a shared disk changes from one moment to the next.
    for _ in 0..TURNS {
        bare_rate.add(bare.run(GROUP_BYTES, time / TURNS)?);
        let (bytes, took) = log.run(time / TURNS)?;
        (log_bytes, log_time) = (log_bytes + bytes, log_time + took);
    }
    let log_rate = log_bytes as f64 / log_time.as_secs_f64().max(1e-9);
    let (p50, p99) = (small.quantile(0.5), small.quantile(0.99));
    let interval_ms = interval_ms(p99);
    let ratio = log_rate / bare_rate.bytes_per_second();
    if arguments.json {
        out.json(&json!({
            "sync_4k_p50_ms": ms(p50), "sync_4k_p99_ms": ms(p99),
            "sync_1m_p50_ms": ms(bare_rate.quantile(0.5)), "sync_1m_p99_ms": ms(bare_rate.quantile(0.99)),
            "bare_bytes_per_second": bare_rate.bytes_per_second().round(),
            "log_bytes_per_second": log_rate.round(),
            "log_to_bare": (ratio * 1000.0).round() / 1000.0,
            "sync_interval_ms": interval_ms,
        }))?;
    } else {
        let mib = f64::from(1 << 20);
        out.line(&format!("write 4 KiB + fdatasync    p50 {:.3} ms, p99 {:.3} ms", ms(p50), ms(p99)))?;
        out.line(&format!(
            "write 1 MiB + fdatasync    p50 {:.3} ms, p99 {:.3} ms, {:.0} MiB/s",
            ms(bare_rate.quantile(0.5)),
            ms(bare_rate.quantile(0.99)),
            bare_rate.bytes_per_second() / mib
        ))?;
        out.line(&format!(
            "log, 1 MiB per sync        {:.0} MiB/s, {ratio:.2} of the bare loop",
            log_rate / mib
        ))?;
        out.line(&format!(
            "WAL_SYNC_INTERVAL_MS       {interval_ms} or more: syncing then takes at most a tenth of the time"
        ))?;
    }
    Ok(0)
}

/// Durations of write-and-sync operations of one size.
struct Times {
    sorted: Vec<Duration>,
    bytes: usize,
}

impl Times {
    const fn new(bytes: usize) -> Self {
        Self { sorted: Vec::new(), bytes }
    }

    fn add(&mut self, other: Self) {
        self.sorted.extend(other.sorted);
        self.sorted.sort_unstable();
    }

    fn quantile(&self, share: f64) -> Duration {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index into a list in memory"
        )]
        let index = (self.sorted.len() as f64 * share) as usize;
        self.sorted.get(index.min(self.sorted.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    fn bytes_per_second(&self) -> f64 {
        let all: Duration = self.sorted.iter().sum();
        self.sorted.len() as f64 * self.bytes as f64 / all.as_secs_f64().max(1e-9)
    }
}

/// A preallocated file that is overwritten and synced as the log does, without any other work.
struct Bare(File);

impl Bare {
    fn new(directory: &Path) -> Result<Self, Failure> {
        let file = File::options().read(true).write(true).create_new(true).open(directory.join("bare"))?;
        let zeros = vec![0; GROUP_BYTES];
        for offset in (0..FILE_BYTES).step_by(GROUP_BYTES) {
            file.write_all_at(&zeros, offset)?;
        }
        file.sync_all()?;
        Ok(Self(file))
    }

    fn run(&mut self, bytes: usize, time: Duration) -> Result<Times, Failure> {
        let data = vec![0x5a; bytes];
        let step = to_u64(bytes);
        let (mut times, mut offset, started) = (Times::new(bytes), 0, Instant::now());
        while started.elapsed() < time || times.sorted.is_empty() {
            let before = Instant::now();
            self.0.write_all_at(&data, offset)?;
            self.0.sync_data()?;
            times.sorted.push(before.elapsed());
            offset = if offset + 2 * step <= FILE_BYTES { offset + step } else { 0 };
        }
        times.sorted.sort_unstable();
        Ok(times)
    }
}

/// A log in its steady state: all segment files exist and are recycled.
struct Log(Writer<Disk>);

impl Log {
    fn warm(directory: &Path) -> Result<Self, Failure> {
        let options =
            Options { bytes_max: 8 * FILE_BYTES, free_percent_min: 0, ..Options::new(LogId([1; 16]), 1, 0) };
        let disk = Disk::create(&directory.join("log"))?;
        let (writer, _) = recover(disk, options).map_err(|error| Failure::Other(error.to_string()))?;
        let mut log = Self(writer);
        let mut bytes = 0;
        while bytes < 6 * FILE_BYTES {
            bytes += log.group()?;
        }
        Ok(log)
    }

    /// Appends one sync group and syncs it. Returns the number of payload bytes.
    fn group(&mut self) -> Result<u64, Failure> {
        let failed = |error: WriteError| Failure::Other(error.to_string());
        let payload = [0x5a; PAYLOAD_BYTES];
        let before = self.0.next();
        while self.0.group_bytes() < GROUP_BYTES {
            self.0.append(&payload, 1000).map_err(failed)?;
        }
        let durable = self.0.sync(1).map_err(failed)?;
        self.0.retire(durable.prev());
        self.0.prepare();
        Ok((self.0.next().0 - before.0) * to_u64(PAYLOAD_BYTES))
    }

    fn run(&mut self, time: Duration) -> Result<(u64, Duration), Failure> {
        let (started, mut bytes) = (Instant::now(), 0);
        while started.elapsed() < time || bytes == 0 {
            bytes += self.group()?;
        }
        Ok((bytes, started.elapsed()))
    }
}

/// Sync interval at which syncing takes at most a tenth of the writer's time.
fn interval_ms(p99: Duration) -> u64 {
    u64::try_from((p99 * 10).as_millis()).unwrap_or(u64::MAX).max(1)
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1000.0
}
