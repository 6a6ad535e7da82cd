//! The output of `check-config`, and the text of `.env.example`.

use std::fmt::Write as _;
use std::path::Path;

use super::parse::{self, bytes_text};
use super::reference::INTRODUCTION;
use super::resolve::URL_SETTINGS;
use super::settings::{Effect, Kind, SECTIONS, Setting};
use super::{Config, Database, RawSettings};

/// All settings with their effective values and the source of each; secrets are masked.
#[must_use]
pub fn effective(raw: &RawSettings, config: &Config) -> String {
    let row = |setting| Row::new(setting, raw, config);
    let rows: Vec<Row> = SECTIONS.iter().flat_map(|section| section.settings).map(row).collect();
    let name_width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let value_width = rows.iter().map(|row| row.value.len()).filter(|width| *width <= 40).max().unwrap_or(0);
    let mut out = String::new();
    let mut rows = rows.into_iter();
    for section in SECTIONS {
        line(&mut out, format_args!("# {}", section.title));
        for Row { name, value, source } in rows.by_ref().take(section.settings.len()) {
            line(&mut out, format_args!("{name:name_width$} = {value:value_width$}  # {source}"));
        }
        out.push('\n');
    }
    line(&mut out, format_args!("{}", mode(config)));
    out
}

fn mode(config: &Config) -> String {
    match &config.database {
        None => "No database is configured: store-only mode; the log grows up to WAL_MAX_BYTES.".to_owned(),
        Some(database) => {
            format!("Delivery is enabled. Source of the password: {}.", database.password_source)
        }
    }
}

/// One line of `check-config`.
struct Row {
    name: &'static str,
    value: String,
    source: String,
}

impl Row {
    fn new(setting: &'static Setting, raw: &RawSettings, config: &Config) -> Self {
        let (value, source) = match raw.get(setting) {
            Some(value) if setting.is_secret() => (masked(setting, &value.text), value.source.to_string()),
            Some(value) => (interpreted(setting, &value.text), value.source.to_string()),
            None => unset(setting, raw, config),
        };
        Self { name: setting.name, value, source }
    }
}

/// A value as it is understood: sizes with their full unit, integers without unit.
fn interpreted(setting: &Setting, text: &str) -> String {
    let has_letter = text.ends_with(['k', 'm', 'g', 't', 'K', 'M', 'G', 'T']);
    let understood = match setting.kind {
        Kind::Bytes { .. } if has_letter => parse::bytes(text).map(bytes_text),
        Kind::Integer { unit, .. } => parse::integer(text, unit).map(|number| number.to_string()),
        _ => None,
    };
    understood.unwrap_or_else(|| text.to_owned())
}

/// Effective value of an unset setting, and its source.
fn unset(setting: &Setting, raw: &RawSettings, config: &Config) -> (String, String) {
    let derived = |path: &Path| (path.display().to_string(), format!("default: {}", setting.derived));
    match setting.name {
        "STATE_DIR" => return derived(&config.state_dir),
        "WAL_DIR" => return derived(&config.wal.dir),
        "STATUS_SOCKET" => return derived(&config.status_socket),
        "COLLECTOR_ID" => return derived(Path::new(&config.collector)),
        "BMP_LISTEN_HOST" | "BMP_LISTEN_PORT" if raw.by_name("BMP_LISTEN").is_some() => {
            return (String::new(), "unused: set by BMP_LISTEN".to_owned());
        }
        "BMP_LISTEN_PORT" => {
            if let Some(port) = port_of(raw, "BMP_LISTEN_HOST") {
                return port;
            }
        }
        name if name.starts_with("DB_") => match &config.database {
            None => return (String::new(), "unused: no database is configured".to_owned()),
            Some(Database { from_url: true, .. }) if URL_SETTINGS.contains(&name) => {
                return (String::new(), "unused: set by DATABASE_URL".to_owned());
            }
            Some(_) if name == "DB_PORT" => {
                if let Some(port) = port_of(raw, "DB_HOST") {
                    return port;
                }
            }
            Some(_) => {}
        },
        _ => {}
    }
    let source = if setting.default.is_empty() {
        format!("default: {}", setting.derived)
    } else {
        "default".to_owned()
    };
    (setting.default.to_owned(), source)
}

/// The port in the setting of a host, and its source; `None` if it contains none.
fn port_of(raw: &RawSettings, host_name: &str) -> Option<(String, String)> {
    let host = raw.by_name(host_name)?;
    let port = parse::host_and_port(&host.text)?.port?;
    Some((port.to_string(), host.source.to_string()))
}

/// The masked form of a secret. URLs keep their scheme, host and path.
fn masked(setting: &Setting, text: &str) -> String {
    let parts = match setting.kind {
        Kind::Url => {
            text.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1)))
        }
        _ => None,
    };
    match parts {
        // The query is removed as well, because it may contain a password.
        Some((scheme, rest)) => format!("{scheme}://***@{}", rest.split('?').next().unwrap_or_default()),
        None => "***".to_owned(),
    }
}

/// The first sentence of `.env.example`.
const COPY_THIS: &str = "\
    Copy this file to `.env`, or to the file of `--env-file`, and remove the `#` from the settings to \
    change.";

/// The text of `.env.example`: every setting with its description, accepted values and default.
#[must_use]
pub fn env_example() -> String {
    let mut out = String::from("# All settings of Holdfast with their defaults.\n#\n");
    write_wrapped(&mut out, "# ", &format!("{COPY_THIS} {INTRODUCTION}"), "# ");
    for section in SECTIONS {
        line(&mut out, format_args!("\n# ---- {}", section.title));
        if !section.note.is_empty() {
            write_wrapped(&mut out, "# ", section.note, "# ");
        }
        for setting in section.settings {
            out.push('\n');
            write_wrapped(&mut out, "# ", setting.description, "# ");
            write_wrapped(&mut out, "# Accepted: ", &format!("{}.", setting.kind.expected()), "#   ");
            if let [.., last] = setting.aliases {
                let label = if setting.aliases == [*last] { "# Alias: " } else { "# Aliases: " };
                write_wrapped(&mut out, label, &setting.aliases.join(", "), "#   ");
            }
            if !setting.derived.is_empty() {
                write_wrapped(&mut out, "# Default: ", &format!("{}.", setting.derived), "#   ");
            }
            match setting.effect {
                Effect::Restart => {}
                Effect::Reload => line(&mut out, format_args!("# Reload: at once.")),
                Effect::NewConnections => line(&mut out, format_args!("# Reload: for new connections.")),
            }
            line(&mut out, format_args!("#{}={}", setting.name, setting.default));
        }
    }
    out
}

/// Maximum length of a line of `.env.example`, in bytes.
const WIDTH: usize = 110;

/// Appends `text` in lines of at most [`WIDTH`] bytes. The first line begins with `first`, the others with
/// `next`.
fn write_wrapped(out: &mut String, first: &str, text: &str, next: &str) {
    let mut row = first.to_owned();
    let mut is_empty = true;
    for word in text.split(' ') {
        if !is_empty && row.len() + 1 + word.len() > WIDTH {
            line(out, format_args!("{row}"));
            next.clone_into(&mut row);
            is_empty = true;
        }
        row.push_str(if is_empty { "" } else { " " });
        row.push_str(word);
        is_empty = false;
    }
    line(out, format_args!("{row}"));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    if writeln!(out, "{text}").is_err() {
        out.push('\n');
    }
}
