//! RawSettings values to ready ones.

mod database;
mod pgpass;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::parse::{self, Secret};
use super::settings::{self, Kind};
use super::{Inputs, Problem, RawSettings};
use crate::route::Prefix;
use crate::session::Overrides;

pub use database::Database;
pub(super) use database::IN_URL;

/// The whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Identity of this collector.
    pub collector: String,
    /// Where and how routers connect.
    pub listen: Listen,
    /// The log on disk.
    pub wal: Wal,
    /// Folder of all that the daemon keeps.
    pub state_dir: PathBuf,
    /// Batches and transactions.
    pub delivery: Delivery,
    /// The database; `None` is store-only mode.
    pub database: Option<Database>,
    /// Log lines.
    pub logging: Logging,
    /// Error reports; `None` is off.
    pub sentry: Option<Sentry>,
    /// Where `holdfast status` is answered.
    pub status_socket: PathBuf,
}

/// Where and how routers connect.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Address or host name.
    pub host: String,
    /// TCP port; 0 lets the kernel choose.
    pub port: u16,
    /// Who may connect; empty is everybody.
    pub allow: Vec<Prefix>,
    /// How many may be connected at once.
    pub connections_max: usize,
    /// Fixed names by source address.
    pub router_names: BTreeMap<IpAddr, String>,
    /// How to read what routers send, by the router's name.
    pub overrides: BTreeMap<String, Overrides>,
    /// Time within which the first whole message must have come.
    pub first_message: Duration,
    /// Quiet time before TCP keepalive probes.
    pub keepalive: Duration,
    /// Time without an answer after which the router is gone.
    pub user_timeout: Duration,
    /// Quiet time after End-of-RIB before a sweep.
    pub sweep_quiet: Duration,
}

/// The log on disk.
#[derive(Clone, Debug)]
pub struct Wal {
    /// Its folder.
    pub dir: PathBuf,
    /// Most bytes that it may take.
    pub bytes_max: u64,
    /// Free space that it leaves alone.
    pub free_percent_min: u8,
    /// Size of one file.
    pub segment_bytes: u64,
    /// Most time between two syncs.
    pub sync_interval: Duration,
    /// At the cap the oldest segments are given up, delivered or not.
    pub drop_oldest: bool,
    /// Batches are compressed.
    pub compress: bool,
}

/// Batches and transactions.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Routes at which a batch is closed.
    pub batch_routes_max: usize,
    /// Age at which a batch is closed.
    pub batch_delay_max: Duration,
    /// Rows at which a transaction is sent.
    pub drain_rows_max: usize,
    /// Age at which a transaction is sent.
    pub drain_delay_max: Duration,
    /// Parallel deliveries.
    pub lanes: u16,
    /// Re-sent tables add history only for what they change.
    pub history_dedup: bool,
    /// Time span of one chunk of history, in days.
    pub chunk_interval_days: u32,
    /// How long route history is kept, in days; `None` is for ever.
    pub retention_routes_days: Option<u32>,
    /// How long events are kept, in days; `None` is for ever.
    pub retention_events_days: Option<u32>,
}

/// Log lines.
#[derive(Clone, Debug)]
pub struct Logging {
    /// Least level.
    pub level: tracing::Level,
    /// Shape of a line.
    pub format: LogFormat,
    /// How often `route_stats` is logged.
    pub stats_interval: Duration,
}

/// Shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Error reports.
#[derive(Clone, Debug)]
pub struct Sentry {
    /// Where to.
    pub dsn: Secret,
    /// Which environment they name.
    pub environment: String,
    /// Share of database writes that are traced.
    pub traces_sample_rate: f32,
}

/// Builds the ready values. `None` only where the table itself is wrong; what is typed wrongly goes into `problems`,
/// and the result is then of no use.
pub(super) fn build(typed: &RawSettings, inputs: &Inputs, problems: &mut Vec<Problem>) -> Option<Config> {
    let mut read = Reader { typed, problems };
    let state_dir = read
        .path("STATE_DIR")
        .or_else(|| inputs.systemd_directory("STATE_DIRECTORY"))
        .unwrap_or_else(|| PathBuf::from("./holdfast-data"));
    let status_socket = read.path("STATUS_SOCKET").unwrap_or_else(|| {
        inputs.systemd_directory("RUNTIME_DIRECTORY").unwrap_or_else(|| state_dir.clone()).join("status.sock")
    });
    let config = Config {
        collector: read.optional_text("COLLECTOR_ID").map(str::to_owned).or_else(host_name).unwrap_or_else(
            || {
                read.problem("COLLECTOR_ID", "must be set: this machine has no host name");
                String::new()
            },
        ),
        listen: listen(&mut read),
        wal: wal(&mut read, &state_dir),
        delivery: delivery(&mut read),
        database: database::build(&mut read, inputs),
        logging: logging(&mut read),
        sentry: sentry(&mut read),
        state_dir,
        status_socket,
    };
    contradictions(&config, &mut read);
    Some(config)
}

fn listen(read: &mut Reader<'_>) -> Listen {
    Listen {
        host: read.host("BMP_LISTEN_HOST"),
        port: read.integer("BMP_LISTEN_PORT"),
        allow: read.parsed("BMP_ALLOW", parse::prefixes),
        connections_max: read.integer("BMP_CONNECTIONS_MAX"),
        router_names: read.parsed("BMP_ROUTER_NAMES", parse::names),
        overrides: read.parsed("BMP_OVERRIDES", parse::overrides),
        first_message: read.seconds("BMP_FIRST_MESSAGE_S"),
        keepalive: read.seconds("BMP_KEEPALIVE_S"),
        user_timeout: read.seconds("BMP_USER_TIMEOUT_S"),
        sweep_quiet: read.seconds("SWEEP_QUIET_S"),
    }
}

fn wal(read: &mut Reader<'_>, state_dir: &std::path::Path) -> Wal {
    let drop_oldest = read.choice("WAL_FULL") == "drop-oldest";
    let compress = read.choice("WAL_COMPRESSION") == "lz4";
    Wal {
        drop_oldest,
        compress,
        dir: read.path("WAL_DIR").unwrap_or_else(|| state_dir.join("wal")),
        bytes_max: read.bytes("WAL_BYTES_MAX"),
        free_percent_min: read.integer("WAL_FREE_PERCENT_MIN"),
        segment_bytes: read.bytes("WAL_SEGMENT_BYTES"),
        sync_interval: read.milliseconds("WAL_SYNC_INTERVAL_MS"),
    }
}

fn delivery(read: &mut Reader<'_>) -> Delivery {
    Delivery {
        batch_routes_max: read.integer("BATCH_MAX_ROUTES"),
        batch_delay_max: read.milliseconds("BATCH_MAX_DELAY_MS"),
        drain_rows_max: read.integer("DRAIN_MAX_ROWS"),
        drain_delay_max: read.milliseconds("DRAIN_MAX_DELAY_MS"),
        lanes: read.integer("DRAIN_LANES"),
        history_dedup: read.choice("HISTORY_DEDUP") == "on",
        chunk_interval_days: read.integer("CHUNK_INTERVAL_DAYS"),
        retention_routes_days: Some(read.integer("RETENTION_ROUTES_DAYS")).filter(|days| *days > 0),
        retention_events_days: Some(read.integer("RETENTION_EVENTS_DAYS")).filter(|days| *days > 0),
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
        stats_interval: read.seconds("STATS_INTERVAL_S"),
    }
}

fn sentry(read: &mut Reader<'_>) -> Option<Sentry> {
    let environment = read.text("SENTRY_ENVIRONMENT").to_owned();
    let traces_sample_rate = read.decimal("SENTRY_TRACES_SAMPLE_RATE");
    let dsn = read.optional_text("SENTRY_DSN")?.to_owned();
    if dsn.parse::<sentry::types::Dsn>().is_err() {
        read.problem("SENTRY_DSN", "is no DSN; accepted is https://KEY@HOST/PROJECT");
    }
    Some(Sentry { dsn: Secret::new(dsn), environment, traces_sample_rate })
}

fn contradictions(config: &Config, read: &mut Reader<'_>) {
    let Delivery { batch_routes_max, drain_rows_max, .. } = config.delivery;
    if batch_routes_max > drain_rows_max {
        let what = format!(
            "{batch_routes_max} is more than DRAIN_MAX_ROWS, {drain_rows_max}: a batch is never split"
        );
        read.problem("BATCH_MAX_ROUTES", what);
    }
    // One segment is written, one made ready, one waits for delivery, two are kept behind, one is in reserve.
    if config.wal.segment_bytes.saturating_mul(6) > config.wal.bytes_max {
        let (segment, cap) =
            (parse::bytes_text(config.wal.segment_bytes), parse::bytes_text(config.wal.bytes_max));
        read.problem(
            "WAL_BYTES_MAX",
            format!("{cap} has no room for six segments of WAL_SEGMENT_BYTES, {segment}"),
        );
    }
    if config.listen.keepalive > config.listen.user_timeout {
        read.problem("BMP_KEEPALIVE_S", "is more than BMP_USER_TIMEOUT_S: no probe would be sent in time");
    }
}

/// The machine's name, as the kernel has it.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty() && name != "(none)")
}

/// Reads typed values by the kind that the table gives them. A wrong value is noted and read as the default.
struct Reader<'a> {
    typed: &'a RawSettings,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn problem(&mut self, name: &str, what: impl Into<String>) {
        self.problems.push(Problem::new(name, what));
    }

    fn optional_text(&self, name: &str) -> Option<&'a str> {
        self.typed.by_name(name).map(|value| value.text.as_str())
    }

    fn text(&self, name: &str) -> &'a str {
        let default = settings::find(name).map_or("", |setting| setting.default);
        self.optional_text(name).unwrap_or(default)
    }

    /// Reads a text by `parse`; when that gives nothing, notes what would be accepted and takes the default.
    fn with<T: Default>(&mut self, name: &str, parse: impl Fn(&str, Kind) -> Option<T>) -> T {
        let Some(setting) = settings::find(name) else {
            self.problem(name, "is not in the table of settings");
            return T::default();
        };
        let text = self.text(name);
        if let Some(value) = parse(text, setting.kind) {
            return value;
        }
        let shown = if setting.is_secret() { "the value" } else { text };
        self.problem(name, format!("`{shown}` is not accepted; accepted is {}", setting.kind.accepts()));
        parse(setting.default, setting.kind).unwrap_or_default()
    }

    fn integer<T: TryFrom<u64> + Default>(&mut self, name: &str) -> T {
        self.with(name, |text, kind| match kind {
            Kind::Integer { min, max, .. } => {
                let number = text.parse::<u64>().ok().filter(|number| (min..=max).contains(number))?;
                T::try_from(number).ok()
            }
            _ => None,
        })
    }

    fn bytes(&mut self, name: &str) -> u64 {
        self.with(name, |text, kind| match kind {
            Kind::Bytes { min, max } => parse::bytes(text).filter(|bytes| (min..=max).contains(bytes)),
            _ => None,
        })
    }

    fn decimal(&mut self, name: &str) -> f32 {
        self.with(name, |text, kind| match kind {
            Kind::Decimal { min, max } => {
                text.parse::<f32>().ok().filter(|number| (min..=max).contains(&f64::from(*number)))
            }
            _ => None,
        })
    }

    /// The word of the table, so that it can be matched whatever the case in which it was typed.
    fn choice(&mut self, name: &str) -> &'static str {
        self.with(name, |text, kind| match kind {
            Kind::Choice(words) => words.iter().copied().find(|word| word.eq_ignore_ascii_case(text)),
            _ => None,
        })
    }

    fn host(&mut self, name: &str) -> String {
        self.with(name, |text, _| {
            let letters = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
            (text.parse::<IpAddr>().is_ok() || text.chars().all(letters)).then(|| text.to_owned())
        })
    }

    fn parsed<T: Default>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        let result = self.optional_text(name).map_or_else(|| Ok(T::default()), parse);
        result.unwrap_or_else(|what| {
            let accepted = settings::find(name).map(|setting| setting.kind.accepts()).unwrap_or_default();
            self.problem(name, format!("{what}; accepted is {accepted}"));
            T::default()
        })
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.optional_text(name).map(PathBuf::from)
    }

    fn seconds(&mut self, name: &str) -> Duration {
        Duration::from_secs(self.integer(name))
    }

    fn milliseconds(&mut self, name: &str) -> Duration {
        Duration::from_millis(self.integer(name))
    }
}
