//! Environment to configuration.
//!
//! ```text
//! environment ─┐
//! .env file   ─┼─► Inputs ─► RawSettings (what was typed, and where) ─► Config (ready values)
//! credentials ─┘                          └─► check-config, .env.example
//! ```
//!
//! [`SECTIONS`] is the one table behind all of it. Everything that is wrong is found in one go: unknown names,
//! values out of range, contradictions.

mod resolve;
mod report;
mod settings;
mod source;
mod suggest;
mod parse;

pub use parse::{Secret, bytes_text};
pub use report::{effective, env_example};
pub use resolve::{Config, Database, Delivery, Listen, LogFormat, Logging, Sentry, Wal};
pub use settings::{Kind, PREFIXES, SECTIONS, Section, Setting, all, find};
pub use source::{EnvFile, Inputs, RawSettings, RawValue, Source};

use std::fmt;

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The variable.
    pub name: String,
    /// What is wrong with it.
    pub what: String,
}

impl Problem {
    fn new(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self { name: name.into(), what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.what)
    }
}

/// Everything that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is not valid:")?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Invalid {}

/// The typed values of some inputs, and what they mean.
///
/// # Errors
/// All that is wrong, at once.
pub fn load(inputs: &Inputs) -> Result<(RawSettings, Config), Invalid> {
    let mut problems = Vec::new();
    let typed = RawSettings::collect(inputs, &mut problems);
    let config = resolve::build(&typed, inputs, &mut problems);
    match config {
        Some(config) if problems.is_empty() => Ok((typed, config)),
        _ => Err(Invalid { problems }),
    }
}
