//! The overall health of the daemon, computed from the conditions that need attention.

use std::fmt;

use crate::telemetry::status::{Health, LaneState};

/// A condition that needs attention.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    /// The log has failed for this reason; the daemon ends.
    LogFailed(String),
    /// The daemon is stopping.
    Stopping,
    /// The log is not writable for this reason.
    IngestPaused(String),
    /// New connections are refused until log usage is below 50 %.
    ConnectionsRefused,
    /// Share of the log that is in use, in percent.
    LogFilling(f64),
    /// Two routers have the same name; the second one is stored under this one.
    NameConflict(String),
    /// The router with this name exceeds the tracked peer/family limit.
    PeerLimit(String),
    /// Age of the oldest undelivered record, in seconds.
    DeliveryLag(f64),
    /// A lane does not deliver.
    Lane {
        /// Number of the lane.
        lane: u16,
        state: LaneState,
        last_error: Option<String>,
    },
    /// Number of records rejected by the database.
    Rejected(u64),
    /// The database was not reached since the start; the last error, if there was an attempt.
    DatabaseNotReached(Option<String>),
}

impl Condition {
    /// Health of a daemon with this condition alone.
    pub(super) const fn health(&self) -> Health {
        match self {
            Self::LogFailed(_) | Self::Stopping => Health::Down,
            Self::IngestPaused(_)
            | Self::ConnectionsRefused
            | Self::LogFilling(_)
            | Self::NameConflict(_)
            | Self::PeerLimit(_)
            | Self::DeliveryLag(_)
            | Self::Lane { .. }
            | Self::Rejected(_)
            | Self::DatabaseNotReached(_) => Health::Degraded,
        }
    }
}

/// Health of a daemon with these conditions.
pub(super) fn overall(conditions: &[Condition]) -> Health {
    conditions.iter().map(Condition::health).max().unwrap_or_default()
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LogFailed(reason) => write!(f, "log failed: {reason}"),
            Self::Stopping => f.write_str("the daemon is stopping"),
            Self::IngestPaused(reason) => write!(f, "ingest paused: log not writable: {reason}"),
            Self::ConnectionsRefused => f.write_str("new connections refused until log usage is below 50 %"),
            Self::LogFilling(percent) => write!(f, "log {percent:.0} % full"),
            Self::NameConflict(name) => {
                write!(f, "two routers have the same name; the second one is stored as {name}")
            }
            Self::PeerLimit(router) => write!(f, "{router} exceeds the tracked peer/family limit"),
            Self::DeliveryLag(seconds) => write!(f, "delivery lag {seconds:.0} s"),
            Self::Lane { lane, state, last_error: Some(error) } => {
                write!(f, "lane {lane}: {state}: {error}")
            }
            Self::Lane { lane, state, last_error: None } => write!(f, "lane {lane}: {state}"),
            Self::Rejected(count) => {
                write!(f, "{count} records rejected by the database; see `holdfast rejected`")
            }
            Self::DatabaseNotReached(error) => {
                write!(
                    f,
                    "database not reached since start: {}",
                    error.as_deref().unwrap_or("no attempt finished yet")
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_condition_decides() {
        assert_eq!(overall(&[]), Health::Healthy);
        assert_eq!(overall(&[Condition::Rejected(1)]), Health::Degraded);
        assert_eq!(overall(&[Condition::Rejected(1), Condition::Stopping]), Health::Down);
    }

    #[test]
    fn a_lane_is_named_with_its_state_and_its_error() {
        let lane = |last_error| Condition::Lane { lane: 0, state: LaneState::NeedsOperator, last_error };
        assert_eq!(lane(None).to_string(), "lane 0: needs operator action");
        let error = Some("permission denied for table route_updates".to_owned());
        let expected = "lane 0: needs operator action: permission denied for table route_updates";
        assert_eq!(lane(error).to_string(), expected);
    }
}
