//! Where values come from: the environment, then the `.env` file. What is in the environment wins.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::settings::{self, FOREIGN, PREFIXES, Setting};
use super::{Invalid, Problem, suggest};

/// Everything that configuration is made of, read but not understood.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The variables of the process.
    pub environment: Vec<(String, String)>,
    /// The `.env` file, if there is one.
    pub file: Option<EnvFile>,
}

/// A `.env` file.
#[derive(Clone, Debug)]
pub struct EnvFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its variables, in order.
    pub pairs: Vec<(String, String)>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// A variable of the process, by the name that was used.
    Environment(String),
    /// A variable in a `.env` file.
    File(PathBuf, String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment(name) => write!(f, "environment, {name}"),
            Self::File(path, name) => write!(f, "{}, {name}", path.display()),
        }
    }
}

/// One value as it was typed.
#[derive(Clone, Debug)]
pub struct RawValue {
    /// The text.
    pub text: String,
    /// Where it came from.
    pub source: Source,
}

/// All values as they were typed, by the name of their setting. What nobody set is not in it.
#[derive(Clone, Debug, Default)]
pub struct RawSettings {
    values: BTreeMap<&'static str, RawValue>,
}

impl Inputs {
    /// The variables of this process, and those of the `.env` file: the given one, else `./.env` if it is there.
    ///
    /// # Errors
    /// When the file cannot be read, or a variable of ours is not UTF-8.
    pub fn of_process(env_file: Option<&Path>) -> Result<Self, Invalid> {
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

    /// A variable that systemd sets for its services, such as `STATE_DIRECTORY`. Of several paths the first.
    #[must_use]
    pub fn systemd_directory(&self, name: &str) -> Option<PathBuf> {
        let (_, paths) = self.environment.iter().find(|(known, paths)| known == name && !paths.is_empty())?;
        paths.split(':').next().map(PathBuf::from)
    }
}

fn utf8_pair((name, value): (OsString, OsString), problems: &mut Vec<Problem>) -> Option<(String, String)> {
    let name = name.into_string().ok()?;
    let value = value.into_string();
    if value.is_err() && is_ours(&name.to_ascii_uppercase()) {
        problems.push(Problem::new(&name, "the value is not UTF-8"));
    }
    Some((name, value.ok()?))
}

fn read_file(path: &Path, problems: &mut Vec<Problem>) -> Option<EnvFile> {
    let mut failed = |what: String| problems.push(Problem::new(path.display().to_string(), what));
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
            // The line itself may hold a password: only its number is told.
            Err(dotenvy::Error::LineParse(line, _)) => {
                let number =
                    text.lines().position(|known| known.trim_end() == line.trim_end()).map_or(0, |at| at + 1);
                failed(format!("line {number} is no NAME=value"));
            }
            Err(error) => failed(error.to_string()),
        }
    }
    Some(EnvFile { path: path.to_owned(), pairs })
}

fn is_ours(upper: &str) -> bool {
    PREFIXES.iter().any(|prefix| upper.starts_with(prefix)) && !FOREIGN.contains(&upper)
}

impl RawSettings {
    /// Sorts the variables by setting, and finds the ones that look like ours and are not.
    pub(super) fn collect(inputs: &Inputs, problems: &mut Vec<Problem>) -> Self {
        let mut typed = Self::default();
        if let Some(file) = &inputs.file {
            typed.add(&file.pairs, |name| Source::File(file.path.clone(), name), problems);
        }
        typed.add(&inputs.environment, Source::Environment, problems);
        typed
    }

    /// Adds the variables of one source; they win over those of the sources before.
    fn add(
        &mut self,
        pairs: &[(String, String)],
        source: impl Fn(String) -> Source,
        problems: &mut Vec<Problem>,
    ) {
        let mut here: BTreeMap<&'static str, RawValue> = BTreeMap::new();
        for (name, text) in pairs {
            let upper = name.to_ascii_uppercase();
            let Some(setting) = settings::find(&upper) else {
                if is_ours(&upper) {
                    problems.push(Problem::new(name, unknown(&upper)));
                }
                continue;
            };
            let text = text.trim();
            // Compose files write `NAME=${NAME:-}`: an empty value is one that nobody set.
            if text.is_empty() {
                continue;
            }
            let value = RawValue { text: text.to_owned(), source: source(name.clone()) };
            if let Some(other) = here.insert(setting.name, value).filter(|other| other.text != text) {
                let (Source::Environment(other) | Source::File(_, other)) = other.source else { continue };
                problems
                    .push(Problem::new(name, format!("contradicts {other}, which is set to something else")));
            }
        }
        self.values.append(&mut here);
    }

    /// What was typed for a setting.
    #[must_use]
    pub fn get(&self, setting: &Setting) -> Option<&RawValue> {
        self.values.get(setting.name)
    }

    /// What was typed for the setting of this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&RawValue> {
        self.values.get(name)
    }
}

fn unknown(upper: &str) -> String {
    let names = settings::all()
        .flat_map(|setting| std::iter::once(setting.name).chain(setting.aliases.iter().copied()));
    if let Some(name) = suggest::nearest(upper, names) {
        return format!("there is no such setting; did you mean {name}?");
    }
    if upper.contains("_SERVICE_") || upper.contains("_TCP") {
        return "there is no such setting; Kubernetes makes such names from services (enableServiceLinks: false stops it)".to_owned();
    }
    "there is no such setting".to_owned()
}
