//! libpq's password file: one line per server, the first that matches counts.
//!
//! ```text
//! host:port:database:user:password      * matches all; \: and \\ stand for : and \; # begins a comment
//! ```

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tokio_postgres::config::Host;

use super::super::Inputs;
use super::Reader;

/// Takes the password from the file, and says where it came from; `None` when it has none for this server. A file that
/// others may read is not used, as in libpq; if a variable names it, that is a mistake to be told.
pub(super) fn password(
    connection: &mut tokio_postgres::Config,
    read: &mut Reader<'_>,
    inputs: &Inputs,
) -> Option<String> {
    let named = read.path("PGPASSFILE");
    let path = named.clone().or_else(|| home(inputs).map(|home| home.join(".pgpass")))?;
    let text = match text(&path) {
        Ok(text) => text,
        Err(what) if named.is_some() => {
            read.problem("PGPASSFILE", format!("{} {what}", path.display()));
            return None;
        }
        Err(Unusable::Open) => return Some(format!("none ({} {})", path.display(), Unusable::Open)),
        Err(Unusable::Unreadable(_)) => return None,
    };
    let server = Server::of(connection);
    let found = text.lines().find_map(|line| server.password(line))?;
    connection.password(found);
    Some(format!("file {}", path.display()))
}

fn home(inputs: &Inputs) -> Option<PathBuf> {
    inputs.environment.iter().find(|(name, _)| name == "HOME").map(|(_, home)| PathBuf::from(home))
}

enum Unusable {
    /// Others may read it.
    Open,
    Unreadable(std::io::Error),
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open => f.write_str("is readable by others; accepted is mode 0600"),
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
        }
    }
}

fn text(path: &Path) -> Result<String, Unusable> {
    let about = fs::metadata(path).map_err(Unusable::Unreadable)?;
    if about.mode() & 0o077 != 0 {
        return Err(Unusable::Open);
    }
    fs::read_to_string(path).map_err(Unusable::Unreadable)
}

/// What a line must match: host, port, database, user.
struct Server([String; 4]);

impl Server {
    fn of(connection: &tokio_postgres::Config) -> Self {
        let host = match connection.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            // libpq's word for a socket in the file system.
            Some(Host::Unix(_)) | None => "localhost".to_owned(),
        };
        let port = connection.get_ports().first().copied().unwrap_or(5432).to_string();
        let user = connection.get_user().unwrap_or_default();
        let database = connection.get_dbname().unwrap_or(user);
        Self([host, port, database.to_owned(), user.to_owned()])
    }

    fn password(&self, line: &str) -> Option<String> {
        if line.starts_with('#') {
            return None;
        }
        let mut fields = vec![String::new()];
        let mut letters = line.chars();
        while let Some(letter) = letters.next() {
            let letter = match letter {
                '\\' => letters.next()?,
                // The rest is the password, with its colons.
                ':' if fields.len() < 5 => {
                    fields.push(String::new());
                    continue;
                }
                other => other,
            };
            fields.last_mut()?.push(letter);
        }
        let password = fields.get(4)?.clone();
        let matches = self.0.iter().zip(&fields).all(|(own, field)| field == "*" || field == own);
        (matches && !password.is_empty()).then_some(password)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_matches_field_by_field() {
        let server = Server(["db.example", "5432", "bmp", "holdfast"].map(str::to_owned));
        for (line, password) in [
            ("db.example:5432:bmp:holdfast:secret", Some("secret")),
            ("*:*:*:*:secret", Some("secret")),
            ("db.example:5433:bmp:holdfast:secret", None),
            (r"*:*:*:holdfast:a\:b\\c:d", Some(r"a:b\c:d")),
            ("#*:*:*:*:secret", None),
            ("*:*:*:secret", None),
            ("*:*:*:*:", None),
            (r"*:*:*:*:\", None),
            ("", None),
        ] {
            assert_eq!(server.password(line).as_deref(), password, "{line}");
        }
        let v6 = Server(["2001:db8::1", "5432", "bmp", "holdfast"].map(str::to_owned));
        assert_eq!(v6.password(r"2001\:db8\:\:1:*:*:*:x").as_deref(), Some("x"));
    }
}
