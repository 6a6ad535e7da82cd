//! Validation: [`RawSettings`] become a [`Config`].

mod database;
mod http;
mod pgpass;
mod reader;
mod transport;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::parse::{self, Secret};
use super::{Inputs, Problem, RawSettings};
use crate::route::{NAME_MAX_BYTES, Prefix};
use crate::session::Overrides;
use crate::sink::{Dedup, DirectCompress};

use reader::Reader;

pub use database::Database;
pub(super) use database::URL_SETTINGS;
pub use http::Http;
pub use transport::{Address, Tls, Transport};

/// The validated configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Identity of this collector in the database.
    pub collector: String,
    /// BMP listener and sessions.
    pub listen: Listen,
    /// Write-ahead log.
    pub wal: Wal,
    /// Directory of all persistent data.
    pub state_dir: PathBuf,
    /// Batches and database transactions.
    pub delivery: Delivery,
    /// Database connection; `None` in store-only mode.
    pub database: Option<Database>,
    /// Log output.
    pub logging: Logging,
    /// Error reports to Sentry; `None` if disabled.
    pub sentry: Option<Sentry>,
    /// Path of the Unix socket for `holdfast status`.
    pub status_socket: PathBuf,
    /// HTTP server; `None` if it is off.
    pub http: Option<Http>,
    /// Inputs that are accepted, although they may not be as intended.
    pub warnings: Vec<Problem>,
}

/// BMP listener and sessions.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Listening addresses and transports.
    pub transport: Transport,
    /// Source prefixes from which connections are accepted; empty accepts all.
    pub allow: Vec<Prefix>,
    /// Maximum number of concurrent connections.
    pub max_connections: usize,
    /// Maximum number of concurrent connections from one address, or from one IPv6 /64.
    pub max_connections_per_address: usize,
    /// Configured router names by source address.
    pub router_names: BTreeMap<IpAddr, String>,
    /// Store a router under another name if it claims the name of one that was last connected from another
    /// address.
    pub moves_denied: bool,
    /// Names or addresses of the routers that should be connected; empty for all that are known.
    pub expected_routers: Vec<String>,
    /// Encoding overrides by router name.
    pub overrides: BTreeMap<String, Overrides>,
    /// Time within which the first Initiation or per-peer message must arrive.
    pub first_message: Duration,
    /// Idle time before TCP keepalive probes.
    pub keepalive: Duration,
    /// Time without a TCP acknowledgement after which a connection is lost.
    pub user_timeout: Duration,
    /// Time without a first announcement before a sweep after End-of-RIB.
    pub sweep_quiet: Duration,
    /// The same time for a sweep without End-of-RIB; `None` for no such sweep.
    pub sweep_without_end_of_rib: Option<Duration>,
}

/// Write-ahead log.
#[derive(Clone, Debug)]
pub struct Wal {
    /// Directory of the log.
    pub dir: PathBuf,
    /// Maximum size of the log, in bytes.
    pub max_bytes: u64,
    /// Minimum free space that the log leaves on its file system, in percent.
    pub min_free_percent: u8,
    /// Size of a segment file, in bytes.
    pub segment_bytes: u64,
    /// Maximum interval between two fsyncs; 0 syncs every batch.
    pub sync_interval: Duration,
    /// At the size limit, drop the oldest segments even if they are undelivered, instead of pausing.
    pub drop_oldest: bool,
    /// Share of the log that the undelivered batches of one router may fill, in percent; 100 for no limit.
    pub router_share_percent: u8,
    /// Compress batches.
    pub compress: bool,
}

/// Batches and database transactions.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Maximum number of records in a batch.
    pub batch_max_routes: usize,
    /// Maximum age of an open batch.
    pub batch_max_delay: Duration,
    /// Maximum number of rows in a transaction.
    pub drain_max_rows: usize,
    /// Maximum time for which a transaction waits for further rows.
    pub drain_max_delay: Duration,
    /// Number of parallel deliveries.
    pub lanes: u16,
    /// Announcements that add no history row if they change nothing.
    pub history_dedup: Dedup,
    /// Whether history is written compressed where the server can.
    pub history_direct_compress: DirectCompress,
    /// Time range of one chunk of the history tables, in days.
    pub chunk_interval_days: u32,
    /// Retention period of route history, in days; `None` disables retention.
    pub retention_routes_days: Option<u32>,
    /// Retention period of events and statistics, in days; `None` disables retention.
    pub retention_events_days: Option<u32>,
    /// Age in days at which peers that are not up leave the current table; `None` keeps them.
    pub forget_after_days: Option<u32>,
}

/// Log output.
#[derive(Clone, Debug)]
pub struct Logging {
    /// Minimum level.
    pub level: tracing::Level,
    /// Format of log lines.
    pub format: LogFormat,
    /// Budget of the log output, in bytes per second.
    pub bytes_per_second: u64,
    /// Interval between two `route_stats` lines of a router.
    pub stats_interval: Duration,
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text if standard output is a terminal, else JSON.
    Auto,
    /// One JSON object per line.
    Json,
    /// Text for reading on a terminal.
    Text,
}

/// Error reports to Sentry.
#[derive(Clone, Debug)]
pub struct Sentry {
    /// Data source name: the URL to which reports are sent.
    pub dsn: Secret,
    /// Environment name in events.
    pub environment: String,
    /// Fraction of database transactions that are traced, from 0 to 1.
    pub traces_sample_rate: f32,
}

/// Validates the raw settings. If it adds to `problems`, the returned configuration has defaults in place of
/// the invalid values and must not be used.
pub(super) fn resolve(raw: &RawSettings, inputs: &Inputs, problems: &mut Vec<Problem>) -> Config {
    let mut read = Reader { raw, problems };
    let state_dir = read
        .path("STATE_DIR")
        .or_else(|| inputs.systemd_directory("STATE_DIRECTORY"))
        .unwrap_or_else(|| PathBuf::from("./holdfast-data"));
    let status_socket = read.path("STATUS_SOCKET").unwrap_or_else(|| {
        inputs.systemd_directory("RUNTIME_DIRECTORY").unwrap_or_else(|| state_dir.clone()).join("status.sock")
    });
    let collector = read.optional_text("COLLECTOR_ID").map(str::to_owned).or_else(host_name);
    if let Some(Err(error)) = collector.as_deref().map(|name| parse::check_length(name, NAME_MAX_BYTES)) {
        read.problem("COLLECTOR_ID", format!("{error}; expected at most {NAME_MAX_BYTES} octets"));
    }
    let http = http::resolve(&mut read);
    let http_warning = http.as_ref().and_then(|http| http::warning(&read, http));
    let config = Config {
        collector: collector.unwrap_or_else(|| {
            read.problem("COLLECTOR_ID", "must be set, because this machine has no host name");
            String::new()
        }),
        listen: listen(&mut read),
        wal: wal(&mut read, &state_dir),
        delivery: delivery(&mut read),
        database: database::resolve(&mut read, inputs),
        logging: logging(&mut read),
        sentry: sentry(&mut read),
        http,
        state_dir,
        status_socket,
        warnings: raw.warnings().iter().cloned().chain(http_warning).collect(),
    };
    check_contradictions(&config, &mut read);
    config
}

fn listen(read: &mut Reader<'_>) -> Listen {
    Listen {
        transport: transport::resolve(read),
        allow: read.parsed("BMP_ALLOW", parse::prefixes),
        max_connections: read.integer("BMP_MAX_CONNECTIONS"),
        max_connections_per_address: read.integer("BMP_MAX_CONNECTIONS_PER_ADDRESS"),
        moves_denied: read.choice("BMP_ROUTER_MOVES") == "deny",
        router_names: read.parsed("BMP_ROUTER_NAMES", parse::router_names),
        expected_routers: read.parsed("EXPECTED_ROUTERS", parse::routers),
        overrides: read.parsed("BMP_OVERRIDES", parse::overrides),
        first_message: read.seconds("BMP_FIRST_MESSAGE_S"),
        keepalive: read.seconds("BMP_KEEPALIVE_S"),
        user_timeout: read.seconds("BMP_USER_TIMEOUT_S"),
        sweep_quiet: read.seconds("SWEEP_QUIET_S"),
        sweep_without_end_of_rib: Some(read.seconds("SWEEP_WITHOUT_END_OF_RIB_S"))
            .filter(|limit| !limit.is_zero()),
    }
}

fn wal(read: &mut Reader<'_>, state_dir: &Path) -> Wal {
    let drop_oldest = read.choice("WAL_FULL") == "drop-oldest";
    let compress = read.choice("WAL_COMPRESSION") == "lz4";
    Wal {
        drop_oldest,
        compress,
        dir: read.path("WAL_DIR").unwrap_or_else(|| state_dir.join("wal")),
        max_bytes: read.bytes("WAL_MAX_BYTES"),
        min_free_percent: read.integer("WAL_MIN_FREE_PERCENT"),
        segment_bytes: read.bytes("WAL_SEGMENT_BYTES"),
        sync_interval: read.milliseconds("WAL_SYNC_INTERVAL_MS"),
        router_share_percent: read.integer("ROUTER_LOG_SHARE"),
    }
}

fn delivery(read: &mut Reader<'_>) -> Delivery {
    Delivery {
        batch_max_routes: read.integer("BATCH_MAX_ROUTES"),
        batch_max_delay: read.milliseconds("BATCH_MAX_DELAY_MS"),
        drain_max_rows: read.integer("DRAIN_MAX_ROWS"),
        drain_max_delay: read.milliseconds("DRAIN_MAX_DELAY_MS"),
        lanes: read.integer("DRAIN_LANES"),
        history_dedup: match read.choice("HISTORY_DEDUP") {
            "off" | "false" => Dedup::Off,
            "always" => Dedup::Always,
            _ => Dedup::ReDumps,
        },
        history_direct_compress: match read.choice("HISTORY_DIRECT_COMPRESS") {
            "on" | "true" => DirectCompress::On,
            "off" | "false" => DirectCompress::Off,
            _ => DirectCompress::Auto,
        },
        chunk_interval_days: read.integer("CHUNK_INTERVAL_DAYS"),
        retention_routes_days: Some(read.integer("RETENTION_ROUTES_DAYS")).filter(|days| *days > 0),
        retention_events_days: Some(read.integer("RETENTION_EVENTS_DAYS")).filter(|days| *days > 0),
        forget_after_days: Some(read.integer("FORGET_AFTER_DAYS")).filter(|days| *days > 0),
    }
}

fn logging(read: &mut Reader<'_>) -> Logging {
    Logging {
        level: match read.choice("LOG_LEVEL") {
            "TRACE" => tracing::Level::TRACE,
            "DEBUG" => tracing::Level::DEBUG,
            "WARNING" | "WARN" => tracing::Level::WARN,
            "ERROR" | "CRITICAL" => tracing::Level::ERROR,
            _ => tracing::Level::INFO,
        },
        format: match read.choice("LOG_FORMAT") {
            "json" => LogFormat::Json,
            "text" => LogFormat::Text,
            _ => LogFormat::Auto,
        },
        bytes_per_second: read.bytes("LOG_MAX_BYTES_PER_SECOND"),
        stats_interval: read.seconds("STATS_INTERVAL_S"),
    }
}

fn sentry(read: &mut Reader<'_>) -> Option<Sentry> {
    let environment = read.text("SENTRY_ENVIRONMENT").to_owned();
    let traces_sample_rate = read.decimal("SENTRY_TRACES_SAMPLE_RATE");
    let dsn = read.optional_text("SENTRY_DSN")?.to_owned();
    if dsn.parse::<sentry::types::Dsn>().is_err() {
        read.problem("SENTRY_DSN", "invalid value; expected https://KEY@HOST/PROJECT");
    }
    Some(Sentry { dsn: Secret::new(dsn), environment, traces_sample_rate })
}

impl Listen {
    /// The addresses of configured routers: those of BMP_ROUTER_NAMES and EXPECTED_ROUTERS, and the single
    /// addresses of BMP_ALLOW.
    #[must_use]
    pub fn configured_addresses(&self) -> BTreeSet<IpAddr> {
        let expected = self.expected_routers.iter().filter_map(|router| router.parse::<IpAddr>().ok());
        let is_single = |prefix: &&Prefix| prefix.length() == if prefix.is_ipv4() { 32 } else { 128 };
        let allowed = self.allow.iter().filter(is_single).map(Prefix::address);
        self.router_names.keys().copied().chain(expected).chain(allowed).collect()
    }
}

/// Reports settings that are valid by themselves but contradict each other.
fn check_contradictions(config: &Config, read: &mut Reader<'_>) {
    let Delivery { batch_max_routes, drain_max_rows, .. } = config.delivery;
    if batch_max_routes > drain_max_rows {
        let rows = read.raw.written_name("DRAIN_MAX_ROWS");
        let message = format!(
            "{batch_max_routes} exceeds {rows} ({drain_max_rows}); a batch is never split over transactions"
        );
        read.problem("BATCH_MAX_ROUTES", message);
    }
    // The log needs six segments: the open one, a preallocated one, one awaiting delivery, two kept after
    // delivery, and one in reserve for recovery.
    let Wal { segment_bytes, max_bytes, .. } = config.wal;
    if segment_bytes.saturating_mul(6) > max_bytes {
        let segments = read.raw.written_name("WAL_SEGMENT_BYTES");
        let message = format!(
            "{} is less than six times {segments} ({})",
            parse::bytes_text(max_bytes),
            parse::bytes_text(segment_bytes)
        );
        read.problem("WAL_MAX_BYTES", message);
    }
    if config.listen.keepalive > config.listen.user_timeout {
        let timeout = read.raw.written_name("BMP_USER_TIMEOUT_S");
        let message =
            format!("exceeds {timeout}, so that the connection would be closed before the first probe");
        read.problem("BMP_KEEPALIVE_S", message);
    }
}

/// The kernel's host name; `None` if it is not set.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty() && name != "(none)")
}
