//! Reload: compares the settings in use with newly read ones, and decides which of them change.
//!
//! ```text
//! new settings ─► valid? ─► those that need a restart keep the values in use ─► valid together? ─► Reload
//! ```
//!
//! The result is a complete configuration, so that every part of the daemon either uses it or, after an
//! error, goes on with the one before.

use super::parse;
use super::resolve::{self, Database};
use super::settings::{self, Effect, Kind, Setting};
use super::{Config, Inputs, Invalid, Problem, RawSettings};

/// The settings to use after a reload.
#[derive(Clone, Debug)]
pub struct Reload {
    /// The values as written. Settings that need a restart have those that were in use before.
    pub raw: RawSettings,
    /// The same, validated.
    pub config: Config,
    /// Names of the settings that have another value than before. The password of the database is listed by
    /// its source if the setting that names the source is unchanged.
    pub changed: Vec<String>,
    /// Names of the settings whose new values need a restart.
    pub waiting: Vec<String>,
}

/// Why a reload changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// The new settings are invalid; a start with them would fail.
    #[error("{}", listed(&.0.problems))]
    Invalid(Invalid),
    /// The new settings are valid, but not together with the values in use of those that need a restart.
    #[error("a restart is needed for {}: {}", waiting.join(", "), listed(problems))]
    NeedsRestart {
        /// Names of the settings that need a restart.
        waiting: Vec<String>,
        /// The contradictions.
        problems: Vec<Problem>,
    },
}

/// The problems in one line.
fn listed(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Compares the settings in use with the inputs as they are now.
///
/// # Errors
/// The inputs are invalid, or need a restart as a whole.
pub fn reload(raw: &RawSettings, config: &Config, inputs: &Inputs) -> Result<Reload, ReloadError> {
    let (new_raw, new) = super::load(inputs).map_err(ReloadError::Invalid)?;
    let keeps_database = !is_same_server(config.database.as_ref(), new.database.as_ref());
    let keeps = |setting: &Setting| {
        if setting.is_of_database() { keeps_database } else { setting.effect == Effect::Restart }
    };
    let merged = new_raw.with_values_of(raw, keeps);
    let differs = |one: &RawSettings, other: &RawSettings| {
        let differing = settings::all().filter(|setting| value(setting, one) != value(setting, other));
        differing.map(|setting| setting.name.to_owned()).collect::<Vec<String>>()
    };
    let waiting = differs(&new_raw, &merged);
    let mut problems = Vec::new();
    let merged_config = resolve::resolve(&merged, inputs, &mut problems);
    if !problems.is_empty() {
        return Err(ReloadError::NeedsRestart { waiting, problems });
    }
    let mut changed = differs(raw, &merged);
    changed.extend(changed_password(config, &merged_config, &changed));
    Ok(Reload { raw: merged, config: merged_config, changed, waiting })
}

/// The value of a setting in the form in which equal values are equal texts.
fn value(setting: &Setting, raw: &RawSettings) -> String {
    let text = raw.get(setting).map_or(setting.default, |value| value.text.as_str());
    match setting.kind {
        Kind::Choice(_) => text.to_ascii_lowercase(),
        Kind::Ignored => String::new(),
        Kind::Bytes { .. } => parse::bytes(text).map_or_else(String::new, |bytes| bytes.to_string()),
        Kind::Integer { unit, .. } => parse::integer(text, unit).map_or_else(String::new, |n| n.to_string()),
        _ => text.to_owned(),
    }
}

/// Whether both are the same schema of the same database of the same server, or both are none. The
/// delivery to another one begins with the checks of a start.
fn is_same_server(one: Option<&Database>, other: Option<&Database>) -> bool {
    let server = |database: &Database| {
        let connection = &database.connection;
        let ports = connection.get_ports();
        (
            connection.get_hosts().to_vec(),
            connection.get_hostaddrs().to_vec(),
            if ports.is_empty() { vec![5432] } else { ports.to_vec() },
            connection.get_dbname().or(connection.get_user()).map(str::to_owned),
            database.layout.clone(),
        )
    };
    one.map(server) == other.map(server)
}

/// The source of the password of the database, if the password has changed and none of the `changed` settings
/// explains it.
fn changed_password(old: &Config, new: &Config, changed: &[String]) -> Option<String> {
    let (old, new) = (old.database.as_ref()?, new.database.as_ref()?);
    let is_explained = changed.iter().any(|name| {
        ["DATABASE_URL", "DB_PASSWORD", "DB_PASSWORD_FILE", "PGPASSFILE"].contains(&name.as_str())
    });
    let is_changed = old.connection.get_password() != new.connection.get_password();
    (is_changed && !is_explained).then(|| format!("database password ({})", new.password_source))
}
