//! Parses raw values by the kinds of their settings.

use std::path::PathBuf;
use std::time::Duration;

use super::super::parse::{self, HostPort};
use super::super::settings::{self, Kind};
use super::super::{Problem, RawSettings};

/// Parses raw values by the kinds of their settings. An invalid value is reported as a problem and replaced
/// by the default.
///
/// Settings are named by [`settings::Setting::name`], never by an alias.
pub(super) struct Reader<'a> {
    pub(super) raw: &'a RawSettings,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// Reports a problem of a setting under the name that the user wrote.
    pub(super) fn problem(&mut self, name: &str, message: impl Into<String>) {
        self.problems.push(self.raw.problem(name, message));
    }

    pub(super) fn optional_text(&self, name: &str) -> Option<&'a str> {
        self.raw.by_name(name).map(|value| value.text.as_str())
    }

    pub(super) fn text(&self, name: &str) -> &'a str {
        let default = settings::find(name).map_or("", |setting| setting.default);
        self.optional_text(name).unwrap_or(default)
    }

    /// Parses a value with `parse`, which returns `None` for an invalid one.
    pub(super) fn with<T: Default>(&mut self, name: &str, parse: impl Fn(&str, Kind) -> Option<T>) -> T {
        let Some(setting) = settings::find(name) else {
            self.problem(name, "missing in the table of settings");
            return T::default();
        };
        let text = self.text(name);
        if let Some(value) = parse(text, setting.kind) {
            return value;
        }
        // A URL in a setting of another kind may contain a password.
        let is_hidden = setting.is_secret() || text.contains("://") || text.contains('@');
        let shown = if is_hidden { String::new() } else { format!(" \"{text}\"") };
        self.problem(name, format!("invalid value{shown}; expected {}", setting.kind.expected()));
        parse(setting.default, setting.kind).unwrap_or_default()
    }

    pub(super) fn integer<T: TryFrom<u64> + Default>(&mut self, name: &str) -> T {
        self.with(name, |text, kind| match kind {
            Kind::Integer { min, max, unit } => {
                let number = parse::integer(text, unit).filter(|number| (min..=max).contains(number))?;
                T::try_from(number).ok()
            }
            _ => None,
        })
    }

    pub(super) fn bytes(&mut self, name: &str) -> u64 {
        self.with(name, |text, kind| match kind {
            Kind::Bytes { min, max } => parse::bytes(text).filter(|bytes| (min..=max).contains(bytes)),
            _ => None,
        })
    }

    pub(super) fn decimal(&mut self, name: &str) -> f32 {
        self.with(name, |text, kind| match kind {
            Kind::Decimal { min, max } => {
                text.parse::<f32>().ok().filter(|number| (min..=max).contains(&f64::from(*number)))
            }
            _ => None,
        })
    }

    /// The keyword as the table spells it, whatever its case in the input.
    pub(super) fn choice(&mut self, name: &str) -> &'static str {
        self.with(name, |text, kind| match kind {
            Kind::Choice(words) => words.iter().copied().find(|word| word.eq_ignore_ascii_case(text)),
            _ => None,
        })
    }

    /// A host, and the port of the other setting or of the same text (`host:port`).
    pub(super) fn host_and_port(&mut self, host_name: &str, port_name: &str) -> (String, u16) {
        let HostPort { host, port: port_of_host } = self.with(host_name, |text, kind| match kind {
            Kind::HostOrSocket if text.starts_with(['/', '@']) => {
                Some(HostPort { host: text.to_owned(), port: None })
            }
            _ => parse::host_and_port(text),
        });
        let port: u16 = self.integer(port_name);
        match port_of_host {
            Some(other) if self.optional_text(port_name).is_some() && other != port => {
                let host_name = self.raw.written_name(host_name);
                let message = format!("{port} differs from the port in {host_name} ({other}): set it once");
                self.problem(port_name, message);
                (host, port)
            }
            Some(other) => (host, other),
            None => (host, port),
        }
    }

    /// Parses a list with `parse`, whose error describes the invalid item.
    pub(super) fn parsed<T: Default>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        let result = self.optional_text(name).map_or_else(|| Ok(T::default()), parse);
        result.unwrap_or_else(|error| {
            let expected = settings::find(name).map(|setting| setting.kind.expected()).unwrap_or_default();
            self.problem(name, format!("{error}; expected {expected}"));
            T::default()
        })
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.optional_text(name).map(PathBuf::from)
    }

    pub(super) fn seconds(&mut self, name: &str) -> Duration {
        Duration::from_secs(self.integer(name))
    }

    pub(super) fn milliseconds(&mut self, name: &str) -> Duration {
        Duration::from_millis(self.integer(name))
    }
}
