//! Settings of the database: `DATABASE_URL` or the single `DB_*` values.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::Inputs;
use super::pgpass;
use super::reader::Reader;
use crate::sink::{Layout, SslMode, Target, TargetError, TlsFiles};
use crate::tls::secret_file;

/// Settings of which any one configures a database.
const NAMES: [&str; 16] = [
    "DATABASE_URL",
    "DB_HOST",
    "DB_PORT",
    "DB_USER",
    "DB_NAME",
    "DB_SCHEMA",
    "DB_PUBLIC_VIEWS",
    "DB_PASSWORD",
    "DB_PASSWORD_FILE",
    "DB_SSLMODE",
    "DB_SSLROOTCERT",
    "DB_SSLCERT",
    "DB_SSLKEY",
    "DB_POOL_MAX_SIZE",
    "DB_CONNECT_TIMEOUT_S",
    "DB_COMMAND_TIMEOUT_S",
];

/// Settings that are part of `DATABASE_URL` and must not be set in addition to it.
pub(in crate::config) const URL_SETTINGS: [&str; 4] = ["DB_HOST", "DB_PORT", "DB_USER", "DB_NAME"];

/// Database connection.
#[derive(Clone, Debug)]
pub struct Database {
    /// Host, port, role, database and password. The TLS mode is in `ssl_mode`.
    pub connection: tokio_postgres::Config,
    /// Names of the objects in the database.
    pub layout: Layout,
    /// TLS mode.
    pub ssl_mode: SslMode,
    /// Certificates and private key.
    pub ssl_files: TlsFiles,
    /// Maximum number of pooled connections.
    pub pool_max_size: usize,
    /// Timeout of a transaction.
    pub command_timeout: Duration,
    /// Whether host, port, role and database are from `DATABASE_URL`.
    pub from_url: bool,
    /// Source of the password, for `check-config`.
    pub password_source: String,
}

impl Database {
    /// The connection target for the sink.
    ///
    /// # Errors
    /// Fails if a certificate or key file is unusable.
    pub fn target(&self) -> Result<Target, TargetError> {
        let target = Target::new(self.connection.clone(), self.ssl_mode, &self.ssl_files)?;
        Ok(target.with_store_timeout(self.command_timeout).with_layout(self.layout.clone()))
    }
}

/// Validates the database settings. `None` if no database is configured.
pub(super) fn resolve(read: &mut Reader<'_>, inputs: &Inputs) -> Option<Database> {
    if !NAMES.iter().any(|name| read.optional_text(name).is_some()) {
        return None;
    }
    let url = read.optional_text("DATABASE_URL");
    let (mut connection, url_options) = match url {
        Some(url) => from_url(url, read),
        None => (from_parts(read), UrlOptions::default()),
    };
    let password_source = password(&mut connection, read, inputs);
    let ssl_mode = ssl_mode(url_options.ssl_mode.as_deref(), read);
    let ssl_files = ssl_files(url_options, ssl_mode, read);
    // The sink establishes TLS itself, because tokio-postgres does not have all modes of libpq.
    connection.connect_timeout(read.seconds("DB_CONNECT_TIMEOUT_S"));
    connection.application_name("holdfast");
    let layout = Layout {
        schema: read.with("DB_SCHEMA", |text, _| text.parse().ok()),
        has_public_views: read.choice("DB_PUBLIC_VIEWS") == "yes",
    };
    let database = Database {
        connection,
        layout,
        ssl_mode,
        ssl_files,
        pool_max_size: read.integer("DB_POOL_MAX_SIZE"),
        command_timeout: read.seconds("DB_COMMAND_TIMEOUT_S"),
        from_url: url.is_some(),
        password_source,
    };
    // The contents of the files are validated by the code that uses them.
    if let Err(TargetError::Tls(error)) = database.target() {
        read.problem("DB_SSLMODE", error.to_string());
    }
    Some(database)
}

fn from_parts(read: &mut Reader<'_>) -> tokio_postgres::Config {
    let (host, port) = read.host_and_port("DB_HOST", "DB_PORT");
    let mut connection = tokio_postgres::Config::new();
    connection.host(host).port(port).user(read.text("DB_USER")).dbname(read.text("DB_NAME"));
    connection
}

/// Options of a URL that tokio-postgres does not support.
#[derive(Default)]
struct UrlOptions {
    ssl_mode: Option<String>,
    /// Paths by the name of the equivalent setting.
    files: Vec<(&'static str, PathBuf)>,
}

fn from_url(url: &str, read: &mut Reader<'_>) -> (tokio_postgres::Config, UrlOptions) {
    let url_name = read.raw.written_name("DATABASE_URL");
    let location = read.raw.by_name("DATABASE_URL").map(|value| value.source.location()).unwrap_or_default();
    for name in URL_SETTINGS {
        if read.optional_text(name).is_some() {
            read.problem(name, format!("conflicts with {url_name} ({location}): set only one of them"));
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
            Some((option @ ("sslrootcert" | "sslcert" | "sslkey"), path)) => {
                let name = match option {
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
        // The parser's error is not printed, because it may quote the password.
        _ => read.problem(
            "DATABASE_URL",
            "invalid value; expected postgres://USER:PASSWORD@HOST:PORT/NAME?sslmode=MODE with special \
             characters encoded as %XX",
        ),
    }
    (tokio_postgres::Config::new(), options)
}

/// Sets the password of `connection` from the URL, a setting, a file, a systemd credential or libpq's
/// password file. Returns a description of its source.
fn password(connection: &mut tokio_postgres::Config, read: &mut Reader<'_>, inputs: &Inputs) -> String {
    let mut sources: Vec<&str> = Vec::new();
    if connection.get_password().is_some() {
        sources.push("DATABASE_URL");
    }
    sources
        .extend(["DB_PASSWORD", "DB_PASSWORD_FILE"].iter().filter(|name| read.optional_text(name).is_some()));
    if let [first, second, ..] = sources.as_slice() {
        let first = read.raw.written_name(first);
        read.problem(second, format!("conflicts with {first}: the password is set twice"));
        return String::new();
    }
    let credential =
        inputs.systemd_directory("CREDENTIALS_DIRECTORY").map(|folder| folder.join("db_password"));
    match (sources.first().copied(), credential) {
        (Some("DB_PASSWORD"), _) => {
            connection.password(read.text("DB_PASSWORD"));
            read.raw.written_name("DB_PASSWORD").to_owned()
        }
        (Some(name @ "DB_PASSWORD_FILE"), _) => {
            let path = PathBuf::from(read.text(name));
            match secret_file::first_line(&path) {
                Ok(password) => drop(connection.password(password)),
                Err(error) => read.problem(name, error.to_string()),
            }
            format!("file {}", path.display())
        }
        (Some(name), _) => name.to_owned(),
        (None, Some(path)) if path.exists() => {
            if let Err(message) = from_credential(connection, &path) {
                read.problem("CREDENTIALS_DIRECTORY", message);
            }
            format!("systemd credential {}", path.display())
        }
        (None, _) => pgpass::password(connection, read, inputs).unwrap_or_else(|| "none".to_owned()),
    }
}

/// Sets the password to the first line of a systemd credential. systemd decides who may access it.
fn from_credential(connection: &mut tokio_postgres::Config, path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => {
            connection.password(line);
            Ok(())
        }
        _ => Err(format!("the first line of {} is empty; expected the password", path.display())),
    }
}

fn ssl_mode(from_url: Option<&str>, read: &mut Reader<'_>) -> SslMode {
    if from_url.is_some() && read.optional_text("DB_SSLMODE").is_some() {
        let url = read.raw.written_name("DATABASE_URL");
        read.problem("DB_SSLMODE", format!("conflicts with sslmode in {url}: set only one of them"));
    }
    let Some(mode) = from_url else {
        // The keywords of the table are those that `SslMode` parses.
        return read.choice("DB_SSLMODE").parse().unwrap_or(SslMode::VerifyFull);
    };
    mode.parse().unwrap_or_else(|error: String| {
        read.problem("DATABASE_URL", format!("invalid sslmode: {error}"));
        SslMode::VerifyFull
    })
}

/// libpq's keyword for the root certificates of the operating system.
const SYSTEM: &str = "system";

fn ssl_files(url_options: UrlOptions, mode: SslMode, read: &mut Reader<'_>) -> TlsFiles {
    let mut file = |name: &'static str| {
        let in_url = url_options.files.iter().find(|(known, _)| *known == name).map(|(_, path)| path.clone());
        let set = read.path(name);
        if in_url.is_some() && set.is_some() {
            let url = read.raw.written_name("DATABASE_URL");
            read.problem(name, format!("conflicts with the same option in {url}: set only one of them"));
        }
        let path = in_url.or(set).filter(|path| name != "DB_SSLROOTCERT" || path != Path::new(SYSTEM))?;
        if let Err(error) = std::fs::File::open(&path) {
            read.problem(name, format!("{} cannot be read: {error}", path.display()));
            return None;
        }
        Some(path)
    };
    let (root, certificate, key) = (file("DB_SSLROOTCERT"), file("DB_SSLCERT"), file("DB_SSLKEY"));
    if root.is_some() && !matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull) {
        let mode = read.raw.written_name("DB_SSLMODE");
        read.problem("DB_SSLROOTCERT", format!("has no effect unless {mode} is verify-ca or verify-full"));
    }
    if certificate.is_some() && mode == SslMode::Disable {
        let mode = read.raw.written_name("DB_SSLMODE");
        read.problem("DB_SSLCERT", format!("has no effect if {mode} is disable"));
    }
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            let certificate = read.raw.written_name("DB_SSLCERT");
            read.problem("DB_SSLKEY", format!("must be set, because {certificate} is set"));
            None
        }
        (None, Some(_)) => {
            let key = read.raw.written_name("DB_SSLKEY");
            read.problem("DB_SSLCERT", format!("must be set, because {key} is set"));
            None
        }
    };
    TlsFiles { root, client }
}
