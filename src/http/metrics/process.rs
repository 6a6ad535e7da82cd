//! The process, under the names that all programs use.

use super::{Metric, Samples};
use crate::num::to_f64;

/// Number of the field `starttime` in /proc/self/stat, from 1.
const STARTTIME: usize = 22;

/// Clock ticks per second in files of /proc (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) const METRICS: &[Metric] = &[
    Metric::counter("process_cpu_seconds", &[], "Processor time, user and system", |_, samples| {
        known(samples, cpu_seconds());
    }),
    Metric::gauge("process_resident_memory_bytes", &[], "Resident memory", |_, samples| {
        known(samples, status_field("VmRSS:").map(|kib| to_f64(kib) * 1_024.0));
    }),
    Metric::gauge("process_virtual_memory_bytes", &[], "Virtual memory", |_, samples| {
        known(samples, status_field("VmSize:").map(|kib| to_f64(kib) * 1_024.0));
    }),
    Metric::gauge("process_threads", &[], "Threads", |_, samples| {
        known(samples, status_field("Threads:").map(to_f64));
    }),
    Metric::gauge("process_open_fds", &[], "Open file descriptors", |_, samples| {
        let open = std::fs::read_dir("/proc/self/fd").map(Iterator::count).ok();
        known(samples, open.and_then(|open| u64::try_from(open).ok()).map(to_f64));
    }),
    Metric::gauge("process_max_fds", &[], "Maximum number of open file descriptors", |_, samples| {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        known(samples, limit.current.map(to_f64));
    }),
    Metric::gauge(
        "process_start_time_seconds",
        &[],
        "Start of the process, in seconds since the Unix epoch",
        |_, samples| known(samples, start_time()),
    ),
];

/// Adds the value of a metric without labels, if it is known.
fn known(samples: &mut Samples<'_>, value: Option<f64>) {
    value.into_iter().for_each(|value| samples.one(value));
}

/// Start of the process, in seconds since the Unix epoch: that of the kernel, and the clock ticks from then
/// to that of the process (proc(5)).
fn start_time() -> Option<f64> {
    let process = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in brackets, may contain blanks.
    let (_, fields) = process.rsplit_once(')')?;
    let ticks: u64 = fields.split_whitespace().nth(STARTTIME - 3)?.parse().ok()?;
    let kernel = std::fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = kernel.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(to_f64(boot) + to_f64(ticks) / TICKS_PER_SECOND)
}

/// A number in /proc/self/status.
fn status_field(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse().ok()
}

/// Processor time of this process: the scheduler's count of nanoseconds, over all threads.
fn cpu_seconds() -> Option<f64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let nanoseconds = u64::try_from(time.tv_nsec).ok()?;
    Some(to_f64(seconds) + to_f64(nanoseconds) / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_started_before_now_and_has_used_processor_time() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let start = start_time().unwrap();
        assert!(start <= now + 1.0 && start > now - 86_400.0, "{start} at {now}");
        assert!(cpu_seconds().unwrap() > 0.0);
        assert!(status_field("VmRSS:").unwrap() > 100);
    }
}
