//! What `check-config` prints, and `.env.example`.

use std::fmt::Write as _;

use std::path::Path;

use super::resolve::IN_URL;
use super::settings::{Kind, SECTIONS, Setting};
use super::{Config, Database, RawSettings};

/// Every setting with its effective value and where it came from; secrets masked.
#[must_use]
pub fn effective(typed: &RawSettings, config: &Config) -> String {
    let row = |setting| Row::new(setting, typed, config);
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
        None => "No database is configured: store-only mode, the log fills up to WAL_BYTES_MAX.".to_owned(),
        Some(database) => format!("Delivery is on; the password comes from: {}.", database.password_source),
    }
}

/// One line of `check-config`.
struct Row {
    name: &'static str,
    value: String,
    source: String,
}

impl Row {
    fn new(setting: &'static Setting, typed: &RawSettings, config: &Config) -> Self {
        let (value, source) = match typed.get(setting) {
            Some(value) if setting.is_secret() => (masked(setting, &value.text), value.source.to_string()),
            Some(value) => (value.text.clone(), value.source.to_string()),
            None => unset(setting, config),
        };
        Self { name: setting.name, value, source }
    }
}

/// The value of a setting that nobody set, and why it is that.
fn unset(setting: &Setting, config: &Config) -> (String, String) {
    let derived = |path: &Path| (path.display().to_string(), format!("default: {}", setting.derived));
    match setting.name {
        "STATE_DIR" => return derived(&config.state_dir),
        "WAL_DIR" => return derived(&config.wal.dir),
        "STATUS_SOCKET" => return derived(&config.status_socket),
        "COLLECTOR_ID" => return derived(Path::new(&config.collector)),
        name if name.starts_with("DB_") => match &config.database {
            None => return (String::new(), "not in use: no database is configured".to_owned()),
            Some(Database { in_url: true, .. }) if IN_URL.contains(&name) => {
                return (String::new(), "not in use: DATABASE_URL says it".to_owned());
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

/// A secret as three stars; of a URL everything but its user and password is shown.
fn masked(setting: &Setting, text: &str) -> String {
    let parts = match setting.kind {
        Kind::Url => {
            text.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1)))
        }
        _ => None,
    };
    match parts {
        // Some drivers take a password in the query too.
        Some((scheme, rest)) => format!("{scheme}://***@{}", rest.split('?').next().unwrap_or_default()),
        None => "***".to_owned(),
    }
}

/// The text of `.env.example`: every setting with its meaning, its range and its default.
#[must_use]
pub fn env_example() -> String {
    let mut out = String::from(
        "# Holdfast: all settings, each with its default.\n\
         #\n\
         # Copy this file to `.env` and take the `#` away where you change a value. The same names work in the\n\
         # environment, which wins. An unknown name or a bad value stops the start, with the name in the message;\n\
         # `holdfast check-config` shows what is in effect. An empty value counts as not set. Put single quotes around\n\
         # a value that has `$`, `#`, quotes or blanks in it.\n",
    );
    for section in SECTIONS {
        write_wrapped(&mut out, "\n# ---- ", section.title, "# ");
        for setting in section.settings {
            out.push('\n');
            write_wrapped(&mut out, "# ", setting.meaning, "# ");
            write_wrapped(&mut out, "# Accepted: ", &format!("{}.", setting.kind.accepts()), "#   ");
            if !setting.aliases.is_empty() {
                write_wrapped(&mut out, "# Also: ", &format!("{}.", setting.aliases.join(", ")), "#   ");
            }
            if !setting.derived.is_empty() {
                write_wrapped(&mut out, "# Default: ", &format!("{}.", setting.derived), "#   ");
            }
            line(&mut out, format_args!("#{}={}", setting.name, setting.default));
        }
    }
    out
}

const WIDTH: usize = 110;

fn write_wrapped(out: &mut String, first: &str, text: &str, next: &str) {
    let mut row = first.to_owned();
    let mut fresh = true;
    for word in text.split(' ') {
        if !fresh && row.trim_start().len() + 1 + word.len() > WIDTH {
            line(out, format_args!("{row}"));
            next.clone_into(&mut row);
            fresh = true;
        }
        row.push_str(if fresh { "" } else { " " });
        row.push_str(word);
        fresh = false;
    }
    line(out, format_args!("{row}"));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String has no way to fail.
    if writeln!(out, "{text}").is_err() {
        out.push('\n');
    }
}
