//! `bench`: what a sync costs on this disk, and how fast the log appends beside a bare write and sync loop.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use holdfast::wal::{Disk, LogId, Options, SeqNo, recover};
use serde_json::json;

use crate::args;
use crate::output::{Failure, Output};

/// The file that is written, over and over.
const FILE_BYTES: u64 = 64 << 20;
const GROUP_BYTES: usize = 1 << 20;
const PAYLOAD_BYTES: usize = 20_000;

/// A directory of our own that goes away with us.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

pub(crate) fn bench(arguments: &args::Bench, out: &mut Output) -> Result<u8, Failure> {
    let scratch = arguments.directory.join(format!("walctl-bench-{}", std::process::id()));
    fs::create_dir(&scratch).map_err(|error| Failure::about(&scratch.display(), &error))?;
    let scratch = Scratch(scratch);
    let time = Duration::from_secs(arguments.seconds);
    let small = bare(&scratch.0, 4096, time)?;
    let bare_rate = bare(&scratch.0, GROUP_BYTES, time)?;
    let log_rate = log(&scratch.0, time)?;
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
            "the log, 1 MiB a sync      {:.0} MiB/s, {ratio:.2} of the bare loop",
            log_rate / mib
        ))?;
        out.line(&format!(
            "WAL_SYNC_INTERVAL_MS       {interval_ms} or more: a sync then takes a tenth of the time"
        ))?;
    }
    Ok(0)
}

/// How long each write and sync took.
struct Times {
    sorted: Vec<Duration>,
    bytes: usize,
}

impl Times {
    fn quantile(&self, share: f64) -> Duration {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place in a list that is in memory"
        )]
        let place = (self.sorted.len() as f64 * share) as usize;
        self.sorted.get(place.min(self.sorted.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    fn bytes_per_second(&self) -> f64 {
        let all: Duration = self.sorted.iter().sum();
        self.sorted.len() as f64 * self.bytes as f64 / all.as_secs_f64().max(1e-9)
    }
}

/// Overwrites a file that has its blocks, as the log does.
fn bare(directory: &Path, bytes: usize, time: Duration) -> Result<Times, Failure> {
    let file =
        File::options().read(true).write(true).create(true).truncate(false).open(directory.join("bare"))?;
    let zeros = vec![0; GROUP_BYTES];
    for at in (0..FILE_BYTES).step_by(GROUP_BYTES) {
        file.write_all_at(&zeros, at)?;
    }
    file.sync_all()?;
    let data = vec![0x5a; bytes];
    let step = u64::try_from(bytes).unwrap_or(FILE_BYTES);
    let (mut sorted, mut at, started) = (Vec::new(), 0, Instant::now());
    while started.elapsed() < time || sorted.is_empty() {
        let before = Instant::now();
        file.write_all_at(&data, at)?;
        file.sync_data()?;
        sorted.push(before.elapsed());
        at = if at + 2 * step <= FILE_BYTES { at + step } else { 0 };
    }
    sorted.sort_unstable();
    Ok(Times { sorted, bytes })
}

/// Bytes of payload per second that the log makes durable.
fn log(directory: &Path, time: Duration) -> Result<f64, Failure> {
    let options =
        Options { bytes_max: 8 * FILE_BYTES, free_percent_min: 0, ..Options::new(LogId([1; 16]), 1, 0) };
    let disk = Disk::create(&directory.join("log"))?;
    let (mut writer, _) = recover(disk, options).map_err(|error| Failure::Other(error.to_string()))?;
    let failed = |error: holdfast::wal::WriteError| Failure::Other(error.to_string());
    let payload = vec![0x5a; PAYLOAD_BYTES];
    // The first round fills the files; from then on they are used again, as in a collector that delivers.
    let mut since = None;
    loop {
        while writer.group_bytes() < GROUP_BYTES {
            writer.append(&payload, 1000).map_err(failed)?;
        }
        let durable = writer.sync(1).map_err(failed)?;
        writer.retire(SeqNo(durable.0.saturating_sub(1)));
        let warm = durable.0 * u64::try_from(PAYLOAD_BYTES).unwrap_or(1) > 6 * FILE_BYTES;
        match since {
            None if warm => since = Some((Instant::now(), durable.0)),
            Some((started, from)) if Instant::elapsed(&started) >= time => {
                let seconds = started.elapsed().as_secs_f64();
                return Ok((durable.0 - from) as f64 * PAYLOAD_BYTES as f64 / seconds);
            }
            _ => {
                writer.prepare();
            }
        }
    }
}

/// A sync then takes at most a tenth of the writer's time.
fn interval_ms(p99: Duration) -> u64 {
    u64::try_from((p99 * 10).as_millis()).unwrap_or(u64::MAX).max(1)
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1000.0
}
