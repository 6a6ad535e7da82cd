//! The overall health of the daemon, computed from the conditions that need attention. Pure.

use std::fmt;

use super::clock_watch::ClockTrouble;
use crate::telemetry::status::{ConditionKind, Damage, Health, LaneState, LogOutput};

/// A condition that needs attention.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::service) enum Condition {
    /// The log has failed for this reason; the daemon ends.
    LogFailed(String),
    /// The daemon is stopping.
    Stopping,
    /// The log is not writable.
    IngestPaused {
        reason: String,
        /// The routers that hold most of the log.
        heaviest: Vec<String>,
    },
    /// Routers that wait at their share of the log, with the bytes that each holds.
    RoutersPaused(Vec<String>),
    /// Received records wait for an fsync.
    NotSynced {
        /// Number of records.
        records: u64,
        /// Time for which the oldest one has been waiting.
        seconds: f64,
    },
    /// New connections of unknown routers wait until log usage is below 50 %.
    HeldOff,
    /// Share of the log that is in use, in percent.
    LogFilling(f64),
    /// Data of the log is corrupt or unreadable.
    LogDamage {
        /// Number of missing batches.
        batches: u64,
        /// Highest number of further missing batches; 0 unless the end of the log was lost.
        skipped: u64,
        /// The damage that was found last.
        last: Damage,
    },
    /// Damage that recovery found at the start.
    DamageAtStart(String),
    /// Batches that cannot be delivered.
    BatchesLost {
        /// Number of batches that were not durable when the collector crashed.
        torn: u64,
        /// Number of batches that were dropped undelivered.
        dropped: u64,
    },
    /// A segment was abandoned after an I/O error.
    SegmentAbandoned { file: String, error: String },
    /// The wall clock cannot be relied on.
    Clock(ClockTrouble),
    /// Names of the routers that should be connected and are not.
    RoutersNotConnected(Vec<String>),
    /// Routers to which the collector is not connected, each with the error of the last attempt.
    RemotesNotConnected(Vec<String>),
    /// The TLS files of a server cannot be loaded, or its certificate has expired; the text names the
    /// setting.
    TlsFiles(String),
    /// This maximum number of connections is reached.
    ConnectionsFull(usize),
    /// Connections were refused within the last minutes; their number, reasons and main source.
    ConnectionsRefused(String),
    /// Connections of configured routers were refused within the last minutes; their number.
    ConfiguredRefused(String),
    /// A router claims a name that belongs to another address; the text names both.
    NameReserved(String),
    /// A router claims the name of one that was last recorded from another address; the text names both.
    RouterMoved(String),
    /// Two routers have the same name; the second one is stored under this one.
    NameConflict(String),
    /// The router with this name exceeds the tracked peer/family limit.
    PeerLimit(String),
    /// The router with this name is not read for now, because it reports new peers too fast.
    RouterSlowed(String),
    /// Age of the oldest undelivered record, in seconds.
    DeliveryLag(f64),
    /// A lane does not deliver.
    Lane {
        /// Number of the lane.
        lane: u16,
        /// Class of the lane.
        class: String,
        state: LaneState,
        last_error: Option<String>,
    },
    /// Records were rejected by the database.
    Rejected {
        /// Number of records.
        count: u64,
        /// Those of them that became a gap, because `rejected_routes` had reached its maximum size.
        dropped: u64,
    },
    /// Records of routers or peers are set aside, because the database rejects them.
    Quarantine {
        /// Number of routers and peers.
        count: usize,
        /// The first of them, each with the error of the database.
        sources: Vec<String>,
    },
    /// History is stored as rows for this reason, although HISTORY_DIRECT_COMPRESS is `on`.
    HistoryAsRows(String),
    /// The database was not reached since the start; the last error, if there was an attempt.
    DatabaseNotReached(Option<String>),
    /// The delivery cannot begin, for another reason than that the database was not reached.
    DeliveryNotStarted {
        /// The last error.
        error: Option<String>,
        /// Whether an operator must remove its cause.
        needs_operator: bool,
    },
    /// Log lines were dropped within the last minutes, or their output is blocked.
    LogOutput(LogOutput),
    /// This number of log lines exceeded the budget of the output.
    LogSuppressed(u64),
    /// The last reload of the settings changed nothing, for this reason.
    ReloadFailed(String),
}

impl Condition {
    /// Kind of the condition, for programs.
    pub(in crate::service) const fn kind(&self) -> ConditionKind {
        match self {
            Self::LogFailed(_) => ConditionKind::LogFailed,
            Self::Stopping => ConditionKind::Stopping,
            Self::IngestPaused { .. } => ConditionKind::IngestPaused,
            Self::RoutersPaused(_) => ConditionKind::RoutersPaused,
            Self::NotSynced { .. } => ConditionKind::NotSynced,
            Self::HeldOff => ConditionKind::HeldOff,
            Self::LogFilling(_) => ConditionKind::LogFilling,
            Self::LogDamage { .. } | Self::DamageAtStart(_) => ConditionKind::LogDamage,
            Self::BatchesLost { .. } => ConditionKind::BatchesLost,
            Self::SegmentAbandoned { .. } => ConditionKind::SegmentAbandoned,
            Self::Clock(_) => ConditionKind::ClockTrouble,
            Self::RoutersNotConnected(_) => ConditionKind::RoutersNotConnected,
            Self::RemotesNotConnected(_) => ConditionKind::RemotesNotConnected,
            Self::TlsFiles(_) => ConditionKind::TlsFiles,
            Self::ConnectionsFull(_) => ConditionKind::ConnectionsFull,
            Self::ConnectionsRefused(_) => ConditionKind::ConnectionsRefused,
            Self::ConfiguredRefused(_) => ConditionKind::ConfiguredRefused,
            Self::NameReserved(_) => ConditionKind::NameReserved,
            Self::RouterMoved(_) => ConditionKind::RouterMoved,
            Self::NameConflict(_) => ConditionKind::NameConflict,
            Self::PeerLimit(_) => ConditionKind::PeerLimit,
            Self::RouterSlowed(_) => ConditionKind::RouterSlowed,
            Self::DeliveryLag(_) => ConditionKind::DeliveryLag,
            Self::Lane { .. } => ConditionKind::Lane,
            Self::Rejected { .. } => ConditionKind::Rejected,
            Self::Quarantine { .. } => ConditionKind::Quarantine,
            Self::HistoryAsRows(_) => ConditionKind::HistoryAsRows,
            Self::DatabaseNotReached(_) => ConditionKind::DatabaseNotReached,
            Self::DeliveryNotStarted { .. } => ConditionKind::DeliveryNotStarted,
            Self::LogOutput(_) => ConditionKind::LogOutput,
            Self::LogSuppressed(_) => ConditionKind::LogSuppressed,
            Self::ReloadFailed(_) => ConditionKind::ReloadFailed,
        }
    }

    /// Health of a daemon with this condition alone.
    const fn health(&self) -> Health {
        match self.kind() {
            ConditionKind::LogFailed | ConditionKind::Stopping => Health::Down,
            _ => Health::Degraded,
        }
    }
}

/// Health of a daemon with these conditions.
pub(in crate::service) fn overall(conditions: &[Condition]) -> Health {
    conditions.iter().map(Condition::health).max().unwrap_or_default()
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LogFailed(reason) => write!(f, "log failed: {reason}"),
            Self::Stopping => f.write_str("the daemon is stopping"),
            Self::IngestPaused { reason, heaviest } => paused_text(f, reason, heaviest),
            Self::RoutersPaused(names) => write!(f, "routers wait (ROUTER_LOG_SHARE): {}", listed(names)),
            Self::NotSynced { records, seconds } => {
                write!(f, "{records} records not fsynced for {seconds:.0} s; a power loss would cost them")
            }
            Self::LogDamage { batches, skipped, last } => damage_text(f, *batches, *skipped, last),
            Self::DamageAtStart(damage) => write!(f, "log damage found at the start: {damage}"),
            Self::BatchesLost { torn, dropped } => {
                write!(f, "batches lost: {dropped} dropped undelivered, {torn} not synced before a crash")
            }
            Self::SegmentAbandoned { file, error } => {
                write!(f, "segment {file} abandoned after an I/O error: {error}")
            }
            Self::Clock(trouble) => trouble.fmt(f),
            Self::RoutersNotConnected(names) => {
                write!(f, "routers not connected: {}", listed(names))
            }
            Self::RemotesNotConnected(remotes) => {
                write!(f, "not connected (BMP_CONNECT): {}", listed(remotes))
            }
            Self::ConnectionsFull(max) => {
                write!(f, "all {max} connections are in use (BMP_MAX_CONNECTIONS)")
            }
            Self::ConnectionsRefused(text)
            | Self::ConfiguredRefused(text)
            | Self::NameReserved(text)
            | Self::RouterMoved(text)
            | Self::TlsFiles(text) => f.write_str(text),
            Self::HeldOff => f.write_str("connections of unknown routers wait until log usage is below 50 %"),
            Self::LogFilling(percent) => write!(f, "log {percent:.0} % full"),
            Self::NameConflict(name) => {
                write!(f, "two routers have the same name; the second one is stored as {name}")
            }
            Self::PeerLimit(router) => write!(f, "{router} exceeds the tracked peer/family limit"),
            Self::RouterSlowed(router) => write!(f, "{router} is read slowly: too many new peers"),
            Self::DeliveryLag(seconds) => write!(f, "delivery lag {seconds:.0} s"),
            Self::Lane { lane, class, state, last_error: Some(error) } => {
                write!(f, "lane {lane} ({class}): {state}: {error}")
            }
            Self::Lane { lane, class, state, last_error: None } => {
                write!(f, "lane {lane} ({class}): {state}")
            }
            Self::Rejected { count, dropped } => f.write_str(&rejected(*count, *dropped)),
            Self::Quarantine { count, sources } => f.write_str(&quarantined(*count, sources)),
            Self::HistoryAsRows(reason) => {
                write!(f, "HISTORY_DIRECT_COMPRESS=on, but history is stored as rows: {reason}")
            }
            Self::DatabaseNotReached(error) => {
                write!(
                    f,
                    "database not reached since start: {}",
                    error.as_deref().unwrap_or("no attempt finished yet")
                )
            }
            Self::DeliveryNotStarted { error, needs_operator } => {
                let action = if *needs_operator { "needs operator action: " } else { "" };
                write!(f, "delivery not started: {action}{}", error.as_deref().unwrap_or("no error"))
            }
            Self::LogSuppressed(lines) => {
                write!(f, "{lines} log lines suppressed since start: they exceeded LOG_MAX_BYTES_PER_SECOND")
            }
            Self::LogOutput(output) => output_text(f, output),
            Self::ReloadFailed(error) => f.write_str(&not_reloaded(error)),
        }
    }
}

/// The text of [`Condition::LogOutput`].
fn output_text(f: &mut fmt::Formatter<'_>, output: &LogOutput) -> fmt::Result {
    let LogOutput { lines_dropped, blocked_s, error, .. } = output;
    match error {
        Some(error) => write!(f, "log lines cannot be written: {lines_dropped} dropped since start: {error}"),
        None => write!(
            f,
            "the output of log lines is slow: {lines_dropped} lines dropped since start, blocked for \
             {blocked_s:.0} s"
        ),
    }
}

fn damage_text(f: &mut fmt::Formatter<'_>, batches: u64, skipped: u64, last: &Damage) -> fmt::Result {
    let file = last.file.as_deref().unwrap_or("an unknown segment");
    write!(f, "log damage: {batches} batches lost")?;
    if skipped > 0 {
        write!(f, ", and an unknown number at the end of the log, at most {skipped}")?;
    }
    write!(f, "; last damage: {} in {file}", last.reason)?;
    match (last.from_byte, last.to_byte) {
        (Some(from), Some(to)) => write!(f, " at bytes {from}–{to}"),
        _ => Ok(()),
    }
}

fn not_reloaded(error: &str) -> String {
    format!("settings not reloaded, those read before are in use: {error}")
}

fn rejected(count: u64, dropped: u64) -> String {
    let dropped = match dropped {
        0 => String::new(),
        dropped => format!(", {dropped} of them dropped because rejected_routes is full"),
    };
    format!("{count} records rejected by the database{dropped}; see `holdfast rejected`")
}

fn quarantined(count: usize, sources: &[String]) -> String {
    let shown = sources.get(..NAMES_MAX).unwrap_or(sources);
    let others = match count.saturating_sub(shown.len()) {
        0 => String::new(),
        others => format!("; and of {others} more routers or peers"),
    };
    format!("records set aside in rejected_routes, of {}{others}; see `holdfast rejected`", shown.join("; "))
}

/// The text of [`Condition::IngestPaused`].
fn paused_text(f: &mut fmt::Formatter<'_>, reason: &str, heaviest: &[String]) -> fmt::Result {
    write!(f, "ingest paused: log not writable: {reason}")?;
    if heaviest.is_empty() { Ok(()) } else { write!(f, "; most of the log: {}", listed(heaviest)) }
}

/// Maximum number of names in the text of a condition.
const NAMES_MAX: usize = 5;

/// The first names, and the number of the others.
fn listed(names: &[String]) -> String {
    let mut text = names.iter().take(NAMES_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    let others = names.len().saturating_sub(NAMES_MAX);
    if others > 0 {
        text.push_str(&format!(" and {others} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_condition_decides() {
        assert_eq!(overall(&[]), Health::Healthy);
        let rejected = || Condition::Rejected { count: 1, dropped: 0 };
        assert_eq!(overall(&[rejected()]), Health::Degraded);
        assert_eq!(overall(&[rejected(), Condition::Stopping]), Health::Down);
    }

    #[test]
    fn quarantined_sources_are_named() {
        let sources = || vec!["edge1: no (23514)".to_owned()];
        let condition = |count| Condition::Quarantine { count, sources: sources() };
        let expected = "records set aside in rejected_routes, of edge1: no (23514); see `holdfast rejected`";
        assert_eq!(condition(1).to_string(), expected);
        assert!(condition(9).to_string().contains("; and of 8 more routers or peers; "));
        let full = Condition::Rejected { count: 5, dropped: 2 }.to_string();
        assert!(full.contains("2 of them dropped because rejected_routes is full"), "{full}");
    }

    #[test]
    fn a_lane_is_named_with_its_state_and_its_error() {
        let (state, class) = (LaneState::NeedsOperator, || "dump".to_owned());
        let lane = |last_error| Condition::Lane { lane: 0, class: class(), state, last_error };
        assert_eq!(lane(None).to_string(), "lane 0 (dump): needs operator action");
        let error = Some("permission denied for table route_updates".to_owned());
        let expected = "lane 0 (dump): needs operator action: permission denied for table route_updates";
        assert_eq!(lane(error).to_string(), expected);
    }
}
