//! Reloads of the settings in the status document.

use serde::{Deserialize, Serialize};

/// Reloads of the settings since the start (SIGHUP, `systemctl reload`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    /// Number of successful reloads.
    pub count: u64,
    /// Time of the last successful one, in ISO 8601; `None` if there was none.
    pub time: Option<String>,
    /// Why the last reload changed nothing; `None` if it was successful, or there was none.
    pub error: Option<String>,
    /// Names of the settings whose new values need a restart.
    pub waiting: Vec<String>,
}

impl Reload {
    /// The settings that need a restart, as text for a terminal; `None` if there are none.
    pub(super) fn waiting_line(&self) -> Option<String> {
        let names = Some(&self.waiting).filter(|names| !names.is_empty())?;
        Some(format!("settings  waiting for a restart: {}", names.join(", ")))
    }

    /// The state as text for a terminal; `None` if there was no reload.
    pub(super) fn line(&self) -> Option<String> {
        if *self == Self::default() {
            return None;
        }
        let time = self.time.as_deref().map_or_else(
            || "not reloaded since start".to_owned(),
            |time| format!("last reload {time}, {} since start", self.count),
        );
        let waiting = match self.waiting.as_slice() {
            [] => String::new(),
            names => format!("; waiting for a restart: {}", names.join(", ")),
        };
        Some(format!("settings  {time}{waiting}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_time_and_the_settings_that_wait() {
        assert_eq!(Reload::default().line(), None);
        let failed = Reload { error: Some("invalid".to_owned()), ..Reload::default() };
        assert_eq!(failed.line().unwrap(), "settings  not reloaded since start");
        let waiting = vec!["WAL_DIR".to_owned(), "DRAIN_LANES".to_owned()];
        let reloaded = Reload { count: 2, time: Some("T".to_owned()), error: None, waiting };
        let expected = "settings  last reload T, 2 since start; waiting for a restart: WAL_DIR, DRAIN_LANES";
        assert_eq!(reloaded.line().unwrap(), expected);
    }
}
