//! Sources of settings: the environment and the `.env` file. The environment takes precedence.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::settings::{self, FOREIGN, PREFIXES, Setting};
use super::{Invalid, Problem};

/// Unparsed inputs of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// Environment variables of the process.
    pub environment: Vec<(String, String)>,
    /// The `.env` file; `None` if there is none.
    pub file: Option<EnvFile>,
}

/// The contents of a `.env` file.
#[derive(Clone, Debug)]
pub struct EnvFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Its variables, in the order of the file.
    pub pairs: Vec<(String, String)>,
}

/// Source of a value, with the name of the variable as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An environment variable.
    Environment(String),
    /// A variable in the `.env` file at this path.
    File(PathBuf, String),
}

impl Source {
    /// The name of the variable as the user wrote it: in its case, and possibly an alias.
    #[must_use]
    pub fn written_name(&self) -> &str {
        match self {
            Self::Environment(name) | Self::File(_, name) => name,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "environment, {name}"),
            Self::File(path, name) => write!(f, "{}, {name}", path.display()),
        }
    }
}

/// The unparsed value of one setting.
#[derive(Clone, Debug)]
pub struct RawValue {
    /// The value without surrounding white space; not empty.
    pub text: String,
    /// Source of the value.
    pub source: Source,
}

/// Unparsed values by setting. Settings that are unset or empty are absent.
#[derive(Clone, Debug, Default)]
pub struct RawSettings {
    /// By [`Setting::name`].
    values: BTreeMap<&'static str, RawValue>,
}

impl Inputs {
    /// Reads the environment of this process and the `.env` file: `env_file` if given, else `./.env` if it
    /// exists.
    ///
    /// # Errors
    /// Fails if the file cannot be read or parsed, or if the value of one of Holdfast's variables is not
    /// UTF-8.
    pub fn from_process(env_file: Option<&Path>) -> Result<Self, Invalid> {
        let mut problems = Vec::new();
        let environment = std::env::vars_os().filter_map(|pair| utf8_pair(pair, &mut problems)).collect();
        let file = match env_file {
            Some(path) => read_file(path, &mut problems),
            None => Some(Path::new(".env"))
                .filter(|path| path.exists())
                .and_then(|path| read_file(path, &mut problems)),
        };
        if problems.is_empty() { Ok(Self { environment, file }) } else { Err(Invalid { problems }) }
    }

    /// A directory that systemd passes to its services, such as `STATE_DIRECTORY`; the first one if there are
    /// several.
    #[must_use]
    pub fn systemd_directory(&self, name: &str) -> Option<PathBuf> {
        let (_, paths) = self.environment.iter().find(|(known, paths)| known == name && !paths.is_empty())?;
        paths.split(':').next().map(PathBuf::from)
    }
}

fn utf8_pair((name, value): (OsString, OsString), problems: &mut Vec<Problem>) -> Option<(String, String)> {
    let name = name.into_string().ok()?;
    let value = value.into_string();
    if value.is_err() && has_our_prefix(&name.to_ascii_uppercase()) {
        problems.push(Problem::new(&name, "the value is not valid UTF-8"));
    }
    Some((name, value.ok()?))
}

fn read_file(path: &Path, problems: &mut Vec<Problem>) -> Option<EnvFile> {
    let mut failed = |message: String| problems.push(Problem::new(path.display().to_string(), message));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            failed(format!("cannot be read: {error}"));
            return None;
        }
    };
    let mut pairs = Vec::new();
    for pair in dotenvy::from_read_iter(text.as_bytes()) {
        match pair {
            Ok(pair) => pairs.push(pair),
            // Only the number of the line is printed, because the line may contain a password.
            Err(dotenvy::Error::LineParse(line, _)) => failed(match line_number(&text, &line) {
                Some(number) => format!("line {number}: expected NAME=value"),
                None => "expected NAME=value in each line".to_owned(),
            }),
            Err(error) => failed(error.to_string()),
        }
    }
    Some(EnvFile { path: path.to_owned(), pairs })
}

/// Number of the first line of `text` that equals `line`, from 1.
fn line_number(text: &str, line: &str) -> Option<usize> {
    text.lines().position(|known| known.trim_end() == line.trim_end()).map(|index| index + 1)
}

/// Whether an upper-case name has a prefix of Holdfast's settings.
fn has_our_prefix(upper: &str) -> bool {
    PREFIXES.iter().any(|prefix| upper.starts_with(prefix)) && !FOREIGN.contains(&upper)
}

impl RawSettings {
    /// Assigns the variables to settings. Reports unknown names that have a prefix of Holdfast's settings.
    pub(super) fn collect(inputs: &Inputs, problems: &mut Vec<Problem>) -> Self {
        let mut raw = Self::default();
        if let Some(file) = &inputs.file {
            raw.add(&file.pairs, |name| Source::File(file.path.clone(), name), problems);
        }
        raw.add(&inputs.environment, Source::Environment, problems);
        raw
    }

    /// Adds the variables of one source. They override those of the sources added before.
    fn add(
        &mut self,
        pairs: &[(String, String)],
        source: impl Fn(String) -> Source,
        problems: &mut Vec<Problem>,
    ) {
        let mut added: BTreeMap<&'static str, RawValue> = BTreeMap::new();
        for (name, text) in pairs {
            let upper = name.to_ascii_uppercase();
            let Some(setting) = settings::find(&upper) else {
                if has_our_prefix(&upper) {
                    problems.push(Problem::new(name, unknown(&upper)));
                }
                continue;
            };
            let text = text.trim();
            // Compose files write `NAME=${NAME:-}`, which is empty if NAME is unset.
            if text.is_empty() {
                continue;
            }
            let value = RawValue { text: text.to_owned(), source: source(name.clone()) };
            if let Some(other) = added.insert(setting.name, value).filter(|other| other.text != text) {
                let other = other.source.written_name();
                let message =
                    format!("is the same setting as {other}, but has a different value: remove one of them");
                problems.push(Problem::new(name, message));
            }
        }
        self.values.append(&mut added);
    }

    /// The unparsed value of a setting; `None` if it is unset.
    #[must_use]
    pub fn get(&self, setting: &Setting) -> Option<&RawValue> {
        self.values.get(setting.name)
    }

    /// The unparsed value of the setting with this name, which must not be an alias; `None` if it is unset.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&RawValue> {
        self.values.get(name)
    }

    /// The name under which the user wrote a setting; its own name if it is unset.
    #[must_use]
    pub fn written_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.by_name(name).map_or(name, |value| value.source.written_name())
    }
}

/// The message for an unknown name that has a prefix of Holdfast's settings.
fn unknown(upper: &str) -> String {
    let names = settings::all()
        .flat_map(|setting| std::iter::once(setting.name).chain(setting.aliases.iter().copied()));
    if let Some(name) = nearest(upper, names) {
        return format!("unknown setting; did you mean {name}?");
    }
    if upper.contains("_SERVICE_") || upper.contains("_TCP") {
        return "unknown setting; Kubernetes sets such names for services unless enableServiceLinks is false"
            .to_owned();
    }
    "unknown setting".to_owned()
}

/// The candidate with the smallest edit distance to `name`, if the distance is at most a third of the length
/// of `name`.
fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, candidate) = candidates
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= (name.len() / 3).max(1)).then_some(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_similar_name_is_suggested() {
        let candidates = || ["DB_HOST", "WAL_MAX_BYTES"].into_iter();
        assert_eq!(nearest("WAL_XYZZY", candidates()), None);
        assert_eq!(nearest("WAL_MAX_BYTE", candidates()), Some("WAL_MAX_BYTES"));
        assert_eq!(nearest("DB_HOTS", candidates()), Some("DB_HOST"));
    }
}
