//! The settings of the database: single values, or a URL.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::{Inputs, Problem};
use super::{Reader, pgpass};
use crate::sink::{SslMode, Target, TargetError, TlsFiles};

/// The variables of this section that take part in "is a database configured at all".
const NAMES: [&str; 15] = [
    "DATABASE_URL",
    "DB_HOST",
    "DB_PORT",
    "DB_USER",
    "DB_NAME",
    "DB_PASSWORD",
    "DB_PASSWORD_FILE",
    "DB_SSLMODE",
    "DB_SSLROOTCERT",
    "DB_SSLCERT",
    "DB_SSLKEY",
    "DB_POOL_MIN_SIZE",
    "DB_POOL_MAX_SIZE",
    "DB_CONNECT_TIMEOUT_S",
    "DB_COMMAND_TIMEOUT_S",
];

/// What a URL says too, so that both at once contradict.
pub(in crate::config) const IN_URL: [&str; 4] = ["DB_HOST", "DB_PORT", "DB_USER", "DB_NAME"];

/// How to reach the database.
#[derive(Clone, Debug)]
pub struct Database {
    /// Host, port, role, database, password. TLS is chosen by `ssl_mode` and not in here.
    pub connection: tokio_postgres::Config,
    /// TLS.
    pub ssl_mode: SslMode,
    /// Certificates and keys.
    pub ssl_files: TlsFiles,
    /// Connections that the pool keeps open.
    pub pool_size_min: usize,
    /// Connections that the pool opens at most.
    pub pool_size_max: usize,
    /// How long one delivery may take.
    pub command_timeout: Duration,
    /// Host, port, role and database came from `DATABASE_URL`.
    pub in_url: bool,
    /// Where the password came from, for `check-config`.
    pub password_source: String,
}

impl Database {
    /// The database as the sink reaches it.
    ///
    /// # Errors
    /// TLS is not possible as configured.
    pub fn target(&self) -> Result<Target, TargetError> {
        let target = Target::new(self.connection.clone(), self.ssl_mode, &self.ssl_files)?;
        Ok(target.with_store_timeout(self.command_timeout))
    }
}

/// `None` when no database is configured.
pub(super) fn build(read: &mut Reader<'_>, inputs: &Inputs) -> Option<Database> {
    if !NAMES.iter().any(|name| read.optional_text(name).is_some()) {
        return None;
    }
    let (mut connection, from_url) = match read.optional_text("DATABASE_URL") {
        Some(url) => from_url(url, read),
        None => (from_parts(read), UrlOptions::default()),
    };
    let password_source = password(&mut connection, read, inputs);
    let ssl_mode = ssl_mode(from_url.ssl_mode.as_deref(), read);
    let ssl_files = ssl_files(from_url, ssl_mode, read);
    connection.connect_timeout(read.seconds("DB_CONNECT_TIMEOUT_S"));
    connection.application_name("holdfast");
    // TLS is laid around the stream by the sink, which knows the modes that this crate has no word for.
    let (pool_size_min, pool_size_max) = (read.integer("DB_POOL_MIN_SIZE"), read.integer("DB_POOL_MAX_SIZE"));
    if pool_size_min > pool_size_max {
        read.problem(
            "DB_POOL_MIN_SIZE",
            format!("{pool_size_min} is more than DB_POOL_MAX_SIZE, {pool_size_max}"),
        );
    }
    let database = Database {
        connection,
        ssl_mode,
        ssl_files,
        pool_size_min,
        pool_size_max,
        command_timeout: read.seconds("DB_COMMAND_TIMEOUT_S"),
        in_url: read.optional_text("DATABASE_URL").is_some(),
        password_source,
    };
    // What the files hold is asked of those who will use them.
    if let Err(TargetError::Tls(error)) = database.target() {
        read.problem("DB_SSLMODE", error.to_string());
    }
    Some(database)
}

fn from_parts(read: &mut Reader<'_>) -> tokio_postgres::Config {
    let mut connection = tokio_postgres::Config::new();
    connection
        .host(read.text("DB_HOST"))
        .port(read.integer("DB_PORT"))
        .user(read.text("DB_USER"))
        .dbname(read.text("DB_NAME"));
    connection
}

/// What a URL may say and the driver has no words for.
#[derive(Default)]
struct UrlOptions {
    ssl_mode: Option<String>,
    /// By the name of the setting that says the same.
    files: Vec<(&'static str, PathBuf)>,
}

fn from_url(url: &str, read: &mut Reader<'_>) -> (tokio_postgres::Config, UrlOptions) {
    for name in IN_URL {
        if let Some(value) = read.typed.by_name(name) {
            let what = format!("contradicts DATABASE_URL, which says it too (set by: {})", value.source);
            read.problem(name, what);
        }
    }
    let mut options = UrlOptions::default();
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let rest: Vec<&str> = query
        .split('&')
        .filter(|pair| match pair.split_once('=') {
            Some(("sslmode", mode)) => {
                options.ssl_mode = Some(mode.to_owned());
                false
            }
            Some((word @ ("sslrootcert" | "sslcert" | "sslkey"), path)) => {
                let name = match word {
                    "sslrootcert" => "DB_SSLROOTCERT",
                    "sslcert" => "DB_SSLCERT",
                    _ => "DB_SSLKEY",
                };
                options.files.push((name, PathBuf::from(path)));
                false
            }
            _ => !pair.is_empty(),
        })
        .collect();
    let url = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    let scheme = url.starts_with("postgres://") || url.starts_with("postgresql://");
    match url.parse::<tokio_postgres::Config>() {
        Ok(connection) if scheme && !connection.get_hosts().is_empty() => return (connection, options),
        // The error may quote a part of the URL, and with it the password.
        _ => read.problem(
            "DATABASE_URL",
            "is not accepted; accepted is postgres://USER:PASSWORD@HOST:PORT/NAME?sslmode=MODE, special letters as %XX",
        ),
    }
    (tokio_postgres::Config::new(), options)
}

/// Finds the password and says where: URL, variable, file, systemd credential.
fn password(connection: &mut tokio_postgres::Config, read: &mut Reader<'_>, inputs: &Inputs) -> String {
    let mut found: Vec<&str> = Vec::new();
    if connection.get_password().is_some() {
        found.push("DATABASE_URL");
    }
    found
        .extend(["DB_PASSWORD", "DB_PASSWORD_FILE"].iter().filter(|name| read.optional_text(name).is_some()));
    if let [first, second, ..] = found.as_slice() {
        read.problem(second, format!("contradicts {first}: the password is given twice"));
        return String::new();
    }
    let credential =
        inputs.systemd_directory("CREDENTIALS_DIRECTORY").map(|folder| folder.join("db_password"));
    match (found.first().copied(), credential) {
        (Some("DB_PASSWORD"), _) => {
            connection.password(read.text("DB_PASSWORD"));
            "DB_PASSWORD".to_owned()
        }
        (Some("DB_PASSWORD_FILE"), _) => {
            let path = PathBuf::from(read.text("DB_PASSWORD_FILE"));
            from_file(connection, &path, "DB_PASSWORD_FILE", read.problems);
            format!("file {}", path.display())
        }
        (Some(name), _) => name.to_owned(),
        (None, Some(path)) if path.exists() => {
            from_file(connection, &path, "CREDENTIALS_DIRECTORY", read.problems);
            format!("systemd credential {}", path.display())
        }
        (None, _) => pgpass::password(connection, read, inputs).unwrap_or_else(|| "none".to_owned()),
    }
}

fn from_file(connection: &mut tokio_postgres::Config, path: &Path, name: &str, problems: &mut Vec<Problem>) {
    match std::fs::read_to_string(path) {
        Ok(text) => match text.lines().next() {
            Some(line) if !line.is_empty() => {
                connection.password(line);
            }
            _ => problems.push(Problem::new(name, format!("{} has no first line", path.display()))),
        },
        Err(error) => {
            problems.push(Problem::new(name, format!("{} cannot be read: {error}", path.display())))
        }
    }
}

fn ssl_mode(from_url: Option<&str>, read: &mut Reader<'_>) -> SslMode {
    if from_url.is_some() && read.optional_text("DB_SSLMODE").is_some() {
        read.problem("DB_SSLMODE", "contradicts DATABASE_URL, which has an sslmode too");
    }
    let Some(word) = from_url else {
        // The words of the table are those of the type.
        return read.choice("DB_SSLMODE").parse().unwrap_or(SslMode::VerifyFull);
    };
    word.parse().unwrap_or_else(|what: String| {
        read.problem("DATABASE_URL", format!("sslmode is not accepted: {what}"));
        SslMode::VerifyFull
    })
}

/// libpq's word for the authorities of the system.
const SYSTEM: &str = "system";

fn ssl_files(from_url: UrlOptions, mode: SslMode, read: &mut Reader<'_>) -> TlsFiles {
    let mut file = |name: &'static str| {
        let in_url = from_url.files.iter().find(|(known, _)| *known == name).map(|(_, path)| path.clone());
        let typed = read.path(name);
        if in_url.is_some() && typed.is_some() {
            read.problem(name, "contradicts DATABASE_URL, which says it too");
        }
        let path = in_url.or(typed).filter(|path| name != "DB_SSLROOTCERT" || path != Path::new(SYSTEM))?;
        if let Err(error) = std::fs::File::open(&path) {
            read.problem(name, format!("{} cannot be read: {error}", path.display()));
            return None;
        }
        Some(path)
    };
    let (root, certificate, key) = (file("DB_SSLROOTCERT"), file("DB_SSLCERT"), file("DB_SSLKEY"));
    if root.is_some() && !matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull) {
        read.problem("DB_SSLROOTCERT", "has no effect unless DB_SSLMODE is verify-ca or verify-full");
    }
    if certificate.is_some() && mode == SslMode::Disable {
        read.problem("DB_SSLCERT", "has no effect when DB_SSLMODE is disable");
    }
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            read.problem("DB_SSLKEY", "is missing: a certificate needs its key");
            None
        }
        (None, Some(_)) => {
            read.problem("DB_SSLCERT", "is missing: a key needs its certificate");
            None
        }
    };
    TlsFiles { root, client }
}
