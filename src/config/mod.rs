//! Configuration: environment variables and a `.env` file become a validated [`Config`].
//!
//! ```text
//! environment ─┐
//! .env file   ─┼─► Inputs ─► RawSettings (text and source of each value) ─► Config (validated values)
//! credentials ─┘                 └─► check-config
//! SECTIONS (table of settings) ─────► parsing, check-config, .env.example, references
//! ```
//!
//! [`SECTIONS`] is the single table of settings; parsing, `check-config`, `.env.example` and the references
//! are derived from it. [`load`] reports all problems at once: unknown names, values out of range,
//! contradictions between settings.

mod env_file;
mod lookalike;
mod parse;
mod reference;
mod reload;
mod report;
mod resolve;
mod settings;
mod source;

pub use env_file::{Doubt, EnvFile, FileVariable};
pub use parse::{Secret, bytes_text};
pub use reference::{INTRODUCTION, reference};
pub use reload::{Reload, ReloadError, reload};
pub use report::{effective, env_example};
pub use resolve::{
    Address, Config, Database, Delivery, Http, Listen, LogFormat, Logging, Sentry, Tls, Transport, Wal,
};
pub use settings::{Effect, Kind, PREFIXES, SECTIONS, Section, Setting, all, find};
pub use source::{Inputs, RawSettings, RawValue, Source};

/// One problem of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}{}: {message}", self.location_text())]
pub struct Problem {
    /// Name of the variable as the user wrote it, or the `.env` file and perhaps its line.
    pub name: String,
    /// Where the variable is set: `environment`, or the `.env` file and its line. Empty if it is not set, or
    /// if the problem is one of the file.
    pub location: String,
    /// Description of the problem and, where there is a fixed set of accepted values, of those.
    pub message: String,
}

impl Problem {
    fn new(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), location: String::new(), message: message.into() }
    }

    /// Sets the location of the variable.
    fn at(mut self, location: impl Into<String>) -> Self {
        self.location = location.into();
        self
    }

    fn location_text(&self) -> String {
        if self.location.is_empty() { String::new() } else { format!(" ({})", self.location) }
    }
}

/// The configuration is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid configuration:{}", self.lines())]
pub struct Invalid {
    /// All problems found, in the order of the settings; at least one.
    pub problems: Vec<Problem>,
    /// Inputs that are accepted, although they may not be as intended: perhaps the cause of a problem.
    pub warnings: Vec<Problem>,
}

impl Invalid {
    const fn new(problems: Vec<Problem>) -> Self {
        Self { problems, warnings: Vec::new() }
    }

    /// One indented line per problem and warning, each with a line break before it.
    fn lines(&self) -> String {
        let problems = self.problems.iter().map(|problem| format!("\n  {problem}"));
        problems.chain(self.warnings.iter().map(|warning| format!("\n  warning: {warning}"))).collect()
    }
}

/// Validates the inputs. Returns the values as written and the resulting configuration.
///
/// # Errors
/// Returns all problems of the inputs together.
pub fn load(inputs: &Inputs) -> Result<(RawSettings, Config), Invalid> {
    let mut problems = Vec::new();
    let raw = RawSettings::collect(inputs, &mut problems);
    let config = resolve::resolve(&raw, inputs, &mut problems);
    if problems.is_empty() {
        Ok((raw, config))
    } else {
        Err(Invalid { problems, warnings: raw.warnings().to_vec() })
    }
}
