//! Sources of settings: the environment and the `.env` file. The environment takes precedence.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::env_file::{self, Doubt, EnvFile, FileVariable};
use super::lookalike;
use super::settings::{self, FOREIGN, PREFIXES, Setting};
use super::{Invalid, Problem};

/// File with the settings of the packaged service.
const PACKAGED_FILE: &str = "/etc/holdfast/holdfast.env";

/// Unparsed inputs of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// Environment variables of the process.
    pub environment: Vec<(String, String)>,
    /// The `.env` file; `None` if there is none.
    pub file: Option<EnvFile>,
}

/// Source of a value, with the name of the variable as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An environment variable.
    Environment(String),
    /// A variable in the `.env` file.
    File {
        /// Path of the file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// Name of the variable.
        name: String,
    },
}

impl Source {
    /// The name of the variable as the user wrote it: in its case, and possibly an alias.
    #[must_use]
    pub fn written_name(&self) -> &str {
        match self {
            Self::Environment(name) | Self::File { name, .. } => name,
        }
    }

    /// Where the variable is set: the environment, or a line of the file.
    #[must_use]
    pub fn location(&self) -> String {
        match self {
            Self::Environment(_) => "environment".to_owned(),
            Self::File { path, line, .. } => env_file::location(path, Some(*line)),
        }
    }

    /// A problem of the variable.
    pub(super) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(self.written_name(), message).at(self.location())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.location(), self.written_name())
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
    /// Inputs that are accepted, although they may not be as intended.
    warnings: Vec<Problem>,
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
        let file = env_file
            .or_else(|| Some(Path::new(".env")).filter(|path| path.exists()))
            .and_then(|path| env_file::read(path).map_err(|mut found| problems.append(&mut found)).ok());
        if problems.is_empty() { Ok(Self { environment, file }) } else { Err(Invalid::new(problems)) }
    }

    /// The same for a command that is run beside the daemon: without a file, and without a setting in the
    /// environment, the file of the packaged service is read if it exists.
    ///
    /// # Errors
    /// As [`Inputs::from_process`].
    pub fn for_command(env_file: Option<&Path>) -> Result<Self, Invalid> {
        let has_settings = || {
            std::env::vars_os()
                .any(|(name, _)| name.to_str().is_some_and(|name| has_our_prefix(&name.to_uppercase())))
        };
        let packaged = Path::new(PACKAGED_FILE);
        let is_packaged =
            env_file.is_none() && !Path::new(".env").exists() && packaged.exists() && !has_settings();
        Self::from_process(if is_packaged { Some(packaged) } else { env_file })
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
        problems.push(Problem::new(&name, "the value is not valid UTF-8").at("environment"));
    }
    Some((name, value.ok()?))
}

/// Whether an upper-case name has a prefix of Holdfast's settings.
fn has_our_prefix(upper: &str) -> bool {
    PREFIXES.iter().any(|prefix| upper.starts_with(prefix)) && !FOREIGN.contains(&upper)
}

/// One variable of a source.
struct Variable<'a> {
    text: &'a str,
    source: Source,
    /// Properties of its syntax; `None` in the environment, which has no syntax.
    in_file: Option<&'a FileVariable>,
}

impl RawSettings {
    /// Assigns the variables to settings. Reports unknown names that have a prefix of Holdfast's settings,
    /// and warns of others that resemble a setting.
    pub(super) fn collect(inputs: &Inputs, problems: &mut Vec<Problem>) -> Self {
        let mut raw = Self::default();
        if let Some(file) = &inputs.file {
            raw.warnings.extend_from_slice(&file.warnings);
            let variables = file.variables.iter().map(|variable| Variable {
                text: &variable.value,
                source: Source::File {
                    path: file.path.clone(),
                    line: variable.line,
                    name: variable.name.clone(),
                },
                in_file: Some(variable),
            });
            raw.add(variables, problems);
        }
        let variables = inputs.environment.iter().map(|(name, text)| Variable {
            text,
            source: Source::Environment(name.clone()),
            in_file: None,
        });
        raw.add(variables, problems);
        raw
    }

    /// Adds the variables of one source. They override those of the sources added before.
    fn add<'a>(&mut self, variables: impl Iterator<Item = Variable<'a>>, problems: &mut Vec<Problem>) {
        let mut added: BTreeMap<&'static str, RawValue> = BTreeMap::new();
        for Variable { text, source, in_file } in variables {
            let upper = source.written_name().to_ascii_uppercase();
            let Some(setting) = settings::find(&upper) else {
                if has_our_prefix(&upper) {
                    problems.push(source.problem(lookalike::unknown(&upper)));
                } else if let Some(message) = lookalike::warning(&upper, in_file.is_some()) {
                    self.warnings.push(source.problem(message));
                }
                continue;
            };
            if let Some(variable) = in_file {
                self.check_syntax(setting, variable, &source, problems);
            }
            let text = text.trim();
            // Compose files write `NAME=${NAME:-}`, which is empty if NAME is unset.
            if text.is_empty() {
                continue;
            }
            let value = RawValue { text: text.to_owned(), source };
            let message_source = value.source.clone();
            if let Some(other) = added.insert(setting.name, value).filter(|other| other.text != text) {
                let (name, location) = (other.source.written_name(), other.source.location());
                let message = format!(
                    "is the same setting as {name} ({location}), but has another value: remove one of them"
                );
                problems.push(message_source.problem(message));
            }
        }
        self.values.append(&mut added);
    }

    /// Reports a value that the syntax of the file may have changed.
    fn check_syntax(
        &mut self,
        setting: &Setting,
        variable: &FileVariable,
        source: &Source,
        problems: &mut Vec<Problem>,
    ) {
        if variable.value.contains(['\n', '\r']) {
            let (first, last) = (variable.line, variable.last_line);
            let lines = if first == last {
                "contains a line break".to_owned()
            } else {
                format!("extends over lines {first} to {last}: a quote is not closed in line {first}")
            };
            problems.push(source.problem(format!("the value {lines}; expected a value in one line")));
        }
        for doubt in &variable.doubts {
            let is_usual = match doubt {
                Doubt::Reference | Doubt::Comment => !setting.is_secret(),
                Doubt::ReferenceToNothing | Doubt::EmptyBeforeComment => false,
            };
            if !is_usual {
                self.warnings.push(source.problem(env_file::describe(*doubt)));
            }
        }
    }

    /// These settings, with the values of `other` for those that `keeps` selects.
    pub(super) fn with_values_of(&self, other: &Self, keeps: impl Fn(&Setting) -> bool) -> Self {
        let chosen = |setting: &'static Setting| {
            let source = if keeps(setting) { other } else { self };
            Some((setting.name, source.get(setting)?.clone()))
        };
        Self { values: settings::all().filter_map(chosen).collect(), warnings: self.warnings.clone() }
    }

    /// Inputs that are accepted, although they may not be as intended.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
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

    /// A problem of the setting with this name, reported under the name that the user wrote.
    pub(super) fn problem(&self, name: &str, message: impl Into<String>) -> Problem {
        match self.by_name(name) {
            Some(value) => value.source.problem(message),
            None => Problem::new(name, message),
        }
    }

    /// The name under which the user wrote a setting; its own name if it is unset.
    #[must_use]
    pub fn written_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.by_name(name).map_or(name, |value| value.source.written_name())
    }
}
