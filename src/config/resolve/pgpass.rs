//! libpq's password file (`~/.pgpass`): one line per server, of which the first that matches is used.
//!
//! ```text
//! host:port:database:user:password
//! ```
//!
//! `*` matches any value, `\:` and `\\` stand for `:` and `\`, and `#` begins a comment.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use tokio_postgres::config::Host;

use super::super::Inputs;
use super::reader::Reader;

/// Sets the password of `connection` from the password file, and returns a description of its source. `None`
/// if the file has no line for this server.
///
/// As in libpq, a file that is readable by others is not used. That is a problem if `PGPASSFILE` names the
/// file.
pub(super) fn password(
    connection: &mut tokio_postgres::Config,
    read: &mut Reader<'_>,
    inputs: &Inputs,
) -> Option<String> {
    let configured = read.path("PGPASSFILE");
    let path = configured.clone().or_else(|| home(inputs).map(|home| home.join(".pgpass")))?;
    let text = match text(&path) {
        Ok(text) => text,
        Err(error) if configured.is_some() => {
            read.problem("PGPASSFILE", format!("{} {error}", path.display()));
            return None;
        }
        Err(error @ Unusable::Permissions) => return Some(format!("none ({} {error})", path.display())),
        Err(Unusable::Unreadable(_)) => return None,
    };
    let server = Server::from_connection(connection);
    let found = text.lines().find_map(|line| server.password(line))?;
    connection.password(found);
    Some(format!("file {}", path.display()))
}

fn home(inputs: &Inputs) -> Option<PathBuf> {
    inputs.environment.iter().find(|(name, _)| name == "HOME").map(|(_, home)| PathBuf::from(home))
}

/// Reason why a password file is not used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("is readable by others; expected mode 0600")]
    Permissions,
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

fn text(path: &Path) -> Result<String, Unusable> {
    if fs::metadata(path)?.mode() & 0o077 != 0 {
        return Err(Unusable::Permissions);
    }
    Ok(fs::read_to_string(path)?)
}

/// The fields of a line that must match: host, port, database, user.
struct Server([String; 4]);

impl Server {
    fn from_connection(connection: &tokio_postgres::Config) -> Self {
        let host = match connection.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            // libpq looks up Unix sockets as "localhost".
            Some(Host::Unix(_)) | None => "localhost".to_owned(),
        };
        let port = connection.get_ports().first().copied().unwrap_or(5432).to_string();
        let user = connection.get_user().unwrap_or_default();
        let database = connection.get_dbname().unwrap_or(user);
        Self([host, port, database.to_owned(), user.to_owned()])
    }

    /// The password of a line that matches this server.
    fn password(&self, line: &str) -> Option<String> {
        if line.starts_with('#') {
            return None;
        }
        let mut fields = vec![String::new()];
        let mut letters = line.chars();
        while let Some(letter) = letters.next() {
            let letter = match letter {
                '\\' => letters.next()?,
                // The fifth field is the password, which may contain colons.
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
