//! Checks of this machine: disk, ports, limits, and the files of the transports.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, openat, statvfs};
use rustix::process::{Resource, getrlimit};

use super::finding::Finding;
use crate::config::{Address, Config, Http, bytes_text};
use crate::num::{to_f64, to_u64};
use crate::service::transport;
use crate::telemetry::status::fetch;
use crate::tls::TlsServer;
use crate::wal::is_log_file;

/// Number of writes that are synced one by one.
const SYNCS: usize = 20;

/// Size of each of them: the smallest group of the log.
const SYNC_BYTES: usize = 4 << 10;

/// Bytes of the sequential write.
const WRITE_BYTES: usize = 16 << 20;

/// Rate of a sequential write below which it is a warning, in bytes per second.
const RATE_MIN: f64 = 10e6;

/// Open files besides one for each connection: log, state, database, status.
const OTHER_FILES: u64 = 100;

pub(super) fn check(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let dir = existing(&config.wal.dir);
    findings.push(space(config, &dir));
    findings.push(speed(config, &dir));
    let listen = config.listen.transport.listen.iter();
    findings.extend(
        listen.map(|Address { host, port, .. }| {
            free_port(config, (host, *port), "BMP_LISTEN or BMP_LISTEN_HOST")
        }),
    );
    findings.extend(
        config.http.iter().map(|Http { host, port, .. }| free_port(config, (host, *port), "HTTP_LISTEN")),
    );
    findings.push(limits(config));
    findings.extend(receive_buffer(config));
    if config.listen.transport.tls.is_some() || !config.listen.transport.md5.is_empty() {
        let read = transport::options(&config.listen.transport).map(|options| options.tls);
        findings.push(files("transports", "BMP_TLS_* and BMP_MD5", read));
    }
    if config.http.as_ref().is_some_and(|http| http.tls.is_some()) {
        findings.push(files("HTTP TLS", "HTTP_TLS_*", transport::http(config.http.as_ref())));
    }
    findings
}

/// Whether the files of these settings can be used.
fn files(
    subject: &'static str,
    settings: &str,
    read: Result<Option<Arc<TlsServer>>, crate::service::Error>,
) -> Finding {
    let problems = match read {
        Ok(server) => server.map(|server| server.problems()).unwrap_or_default(),
        Err(error) => {
            let advice = "correct the file or the setting; the daemon does not start otherwise";
            return Finding::failed(subject, error.to_string(), advice);
        }
    };
    if problems.is_empty() {
        Finding::good(subject, format!("the files of {settings} can be used"))
    } else {
        Finding::warning(
            subject,
            problems.join("; "),
            "the daemon starts, but clients refuse the certificate",
        )
    }
}

/// The directory, or the closest one above it that exists, in which it would be created.
fn existing(dir: &Path) -> PathBuf {
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    absolute.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

fn space(config: &Config, dir: &Path) -> Finding {
    let (wal, shown) = (&config.wal, dir.display());
    let stat = match statvfs(dir) {
        Ok(stat) => stat,
        Err(error) => {
            return Finding::failed(
                "disk space",
                format!("{shown}: {error}"),
                "check WAL_DIR and its rights",
            );
        }
    };
    let total = stat.f_blocks.saturating_mul(stat.f_frsize);
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let kept_free = total / 100 * u64::from(wal.min_free_percent);
    let usable = free.saturating_add(log_bytes(&wal.dir)).saturating_sub(kept_free);
    let text = format!(
        "{shown}: {} free of {}, {} usable for the log, WAL_MAX_BYTES {}",
        gigabytes(free),
        gigabytes(total),
        gigabytes(usable),
        bytes_text(wal.max_bytes)
    );
    if usable < wal.segment_bytes.saturating_mul(6) {
        let advice = "free some space, or set WAL_DIR to another disk: the log needs six segments";
        Finding::failed("disk space", text, advice)
    } else if usable < wal.max_bytes {
        let advice = "set WAL_MAX_BYTES to what is usable, or WAL_DIR to a larger disk: the log is full \
                      before WAL_MAX_BYTES";
        Finding::warning("disk space", text, advice)
    } else {
        Finding::good("disk space", text)
    }
}

/// Size of the files of a log; 0 if there is none.
fn log_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let of_log = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_log_file));
    of_log.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", to_f64(bytes) / 1e9)
}

/// Measures the disk with a file that has no name, and so leaves nothing behind.
fn speed(config: &Config, dir: &Path) -> Finding {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = match openat(CWD, dir, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => File::from(file),
        Err(error) if [rustix::io::Errno::OPNOTSUPP, rustix::io::Errno::ISDIR].contains(&error) => {
            return Finding::skipped("disk speed", "the file system has no temporary files without a name");
        }
        Err(error) => {
            let advice = "run this as the user of the daemon, and give that user the directory";
            return Finding::failed(
                "disk speed",
                format!("cannot write to {}: {error}", dir.display()),
                advice,
            );
        }
    };
    let (median, longest, rate) = match measure(&file) {
        Ok(measured) => measured,
        Err(error) => {
            let advice = "check the disk, its free space and the quota of the user";
            return Finding::failed("disk speed", format!("{}: {error}", dir.display()), advice);
        }
    };
    let text = format!(
        "fsync {:.1} ms (longest {:.1} ms), {:.0} MB/s",
        median.as_secs_f64() * 1e3,
        longest.as_secs_f64() * 1e3,
        rate / 1e6
    );
    let interval = config.wal.sync_interval;
    if median > interval.max(Duration::from_millis(20)) {
        let advice = format!(
            "use a faster disk for WAL_DIR: an fsync takes longer than WAL_SYNC_INTERVAL_MS ({} ms), so that \
             a power loss costs more, and routers wait",
            interval.as_millis()
        );
        Finding::warning("disk speed", text, advice)
    } else if rate < RATE_MIN {
        Finding::warning("disk speed", text, "use a faster disk for WAL_DIR: routers wait for it")
    } else {
        Finding::good("disk speed", text)
    }
}

/// The median and the longest time of a synced write, and the bytes per second of a sequential one.
fn measure(file: &File) -> io::Result<(Duration, Duration, f64)> {
    let block = vec![0x5a; WRITE_BYTES];
    let began = Instant::now();
    file.write_all_at(&block, 0)?;
    file.sync_data()?;
    let rate = to_f64(to_u64(WRITE_BYTES)) / began.elapsed().as_secs_f64().max(1e-6);
    let mut times = Vec::with_capacity(SYNCS);
    for number in 0..SYNCS {
        let began = Instant::now();
        // Into blocks that exist, as the log does.
        file.write_all_at(block.get(..SYNC_BYTES).unwrap_or_default(), to_u64(number * SYNC_BYTES))?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let median = times.get(SYNCS / 2).copied().unwrap_or_default();
    Ok((median, times.last().copied().unwrap_or_default(), rate))
}

/// Whether a port is free; `setting` has the address.
fn free_port(config: &Config, (host, port): (&str, u16), setting: &str) -> Finding {
    let shown = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    match TcpListener::bind((host, port)) {
        Ok(_) => Finding::good("port", format!("{shown} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            // A running collector answers at its status socket.
            match fetch(&config.status_socket) {
                Ok(status) if status.listener.address.contains(&format!(":{port}")) => Finding::good(
                    "port",
                    format!("{shown} is used by the running collector, pid {}", status.pid),
                ),
                // The status does not have the address of the HTTP server.
                Ok(status) if config.http.as_ref().is_some_and(|http| http.port == port) => Finding::skipped(
                    "port",
                    format!("{shown} is in use, perhaps by the running collector, pid {}", status.pid),
                ),
                _ => {
                    let advice = format!("end the program that listens there (ss -ltnp 'sport = :{port}')");
                    Finding::failed("port", format!("{shown} is in use"), advice)
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let advice = "use a port from 1024, or AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit";
            Finding::failed("port", format!("{shown}: {error}"), advice)
        }
        Err(error) => Finding::failed("port", format!("{shown}: {error}"), format!("correct {setting}")),
    }
}

/// The limit of open files of this process, which need not be that of the service.
fn limits(config: &Config) -> Finding {
    let needed = to_u64(config.listen.max_connections).saturating_add(OTHER_FILES);
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return Finding::good("open files", "no limit in this shell");
    };
    let text = format!("at most {limit} in this shell, about {needed} needed (BMP_MAX_CONNECTIONS)");
    if limit < needed {
        let advice = "raise LimitNOFILE= of the unit, or `ulimit -n`: routers are refused otherwise";
        Finding::warning("open files", text, advice)
    } else {
        Finding::good("open files", text)
    }
}

/// The kernel's limit of BMP_RECEIVE_BUFFER, if that is set.
fn receive_buffer(config: &Config) -> Option<Finding> {
    const LIMIT: &str = "/proc/sys/net/core/rmem_max";
    let wanted = to_u64(config.listen.transport.receive_buffer?);
    let limit = std::fs::read_to_string(LIMIT).ok().and_then(|text| text.trim().parse::<u64>().ok());
    Some(match limit {
        None => Finding::skipped("buffer", format!("{LIMIT} cannot be read")),
        Some(limit) if limit < wanted => Finding::warning(
            "buffer",
            format!("BMP_RECEIVE_BUFFER {wanted}, limited to {limit} by net.core.rmem_max"),
            format!("sysctl -w net.core.rmem_max={wanted}"),
        ),
        Some(limit) => {
            Finding::good("buffer", format!("BMP_RECEIVE_BUFFER {wanted}, net.core.rmem_max {limit}"))
        }
    })
}
