//! A database on a real server for each test. Without a server the test prints SKIPPED and the reason.

use std::process::Command;

use holdfast::sink::{Layout, SslMode, Target, TlsFiles};
use tokio_postgres::Client;
use tokio_postgres::config::Host;

use crate::common::process;

/// Statements of tests name tables without their schema, and functions of TimescaleDB without theirs.
pub const SEARCH_PATH: &str = "-c search_path=holdfast,public";

/// TimescaleDB, or PostgreSQL without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    Timescale,
    Plain,
}

impl Edition {
    pub const ALL: [Self; 2] = [Self::Timescale, Self::Plain];
}

/// The database of one test.
pub struct Database {
    pub target: Target,
    pub config: tokio_postgres::Config,
    pub edition: Edition,
    name: String,
    server: String,
    /// Instance name of a server that only this test uses; empty for a shared server.
    own_server: String,
}

/// Prints SKIPPED with the reason; panics instead if REQUIRE_ALL=1 is set.
fn skipped(reason: &str) {
    println!("SKIPPED: no database: {reason}");
    let required = std::env::var_os("REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!required, "REQUIRE_ALL=1 is set, and there is no database");
}

/// The URL of a server of this edition, or `None` after a printed SKIPPED.
fn server_url(edition: Edition) -> Option<String> {
    if let (Edition::Timescale, Ok(url)) = (edition, std::env::var("DATABASE_URL")) {
        return Some(url);
    }
    let arguments: &[&str] = match edition {
        Edition::Timescale => &["up", "--name", "tests"],
        Edition::Plain => &["up", "--name", "tests-plain", "--plain"],
    };
    testbed(arguments).map_err(|reason| skipped(&format!("{edition:?}: {reason}"))).ok()
}

/// Runs tools/testbed/timescale; returns its standard output, or its standard error if it failed.
pub fn testbed(arguments: &[&str]) -> Result<String, String> {
    let output = process::testbed("timescale").args(arguments).output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Connects without TLS; the connection's task ends with the client.
pub async fn connect(config: &tokio_postgres::Config) -> Client {
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

impl Database {
    /// An empty database; `None` after a printed SKIPPED.
    pub async fn empty(edition: Edition, test: &str) -> Option<Self> {
        Self::at(server_url(edition)?, edition, test).await
    }

    /// A migrated database on an instance that only this test uses, so that [`Self::restart`] and
    /// [`Self::destroy`] affect no other test. `None` after a printed SKIPPED.
    pub async fn named(edition: Edition, server: &str, test: &str) -> Option<Self> {
        let plain: &[&str] = if edition == Edition::Plain { &["--plain"] } else { &[] };
        let url =
            testbed(&[&["up", "--name", server], plain].concat()).map_err(|reason| skipped(&reason)).ok()?;
        let mut database = Self::at(url, edition, test).await?;
        server.clone_into(&mut database.own_server);
        holdfast::sink::migrate(&mut database.client().await, &Layout::default(), 7).await.unwrap();
        Some(database)
    }

    /// Stops and starts the test's instance.
    pub fn restart(&self) {
        testbed(&["stop", "--name", &self.own_server]).unwrap();
        testbed(&["start", "--name", &self.own_server]).unwrap();
    }

    /// Deletes the test's instance.
    pub fn destroy(self) {
        testbed(&["destroy", "--name", &self.own_server]).unwrap();
    }

    /// An empty database on the server with this URL.
    pub async fn at(server: String, edition: Edition, test: &str) -> Option<Self> {
        let name = format!("holdfast_{test}_{}", std::process::id());
        let admin = connect(&server.parse().unwrap()).await;
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await.unwrap();
        let mut config: tokio_postgres::Config = server.parse().unwrap();
        config.dbname(&name).options(SEARCH_PATH);
        let target = Target::new(config.clone(), SslMode::Disable, &TlsFiles::default()).unwrap();
        Some(Self { target, config, edition, name, server, own_server: String::new() })
    }

    /// A migrated database; `None` after a printed SKIPPED.
    pub async fn migrated(edition: Edition, test: &str) -> Option<Self> {
        let database = Self::empty(edition, test).await?;
        let mut client = connect(&database.config).await;
        holdfast::sink::migrate(&mut client, &Layout::default(), 7).await.unwrap();
        Some(database)
    }

    /// The URL of this database, in the form of DATABASE_URL.
    pub fn url(&self) -> String {
        let host = match &self.config.get_hosts()[0] {
            tokio_postgres::config::Host::Tcp(host) => host.clone(),
            tokio_postgres::config::Host::Unix(path) => path.display().to_string().replace('/', "%2F"),
        };
        let password = self.config.get_password();
        let password =
            password.map_or(String::new(), |password| format!(":{}", String::from_utf8_lossy(password)));
        let (user, name) = (self.config.get_user().unwrap(), self.config.get_dbname().unwrap());
        format!("postgres://{user}{password}@{host}:{}/{name}?sslmode=disable", self.config.get_ports()[0])
    }

    /// A new connection to this database.
    pub async fn client(&self) -> Client {
        connect(&self.config).await
    }

    /// The DB_* settings for this database, with its user or another role.
    pub fn settings(&self, role: Option<&str>) -> Vec<(&'static str, String)> {
        let Host::Tcp(host) = &self.config.get_hosts()[0] else { panic!("no TCP host") };
        let password = self.config.get_password().unwrap_or_default();
        vec![
            ("DB_HOST", host.clone()),
            ("DB_PORT", self.config.get_ports()[0].to_string()),
            ("DB_USER", role.or(self.config.get_user()).unwrap().to_owned()),
            ("DB_NAME", self.config.get_dbname().unwrap().to_owned()),
            ("DB_PASSWORD", String::from_utf8(password.to_vec()).unwrap()),
            ("DB_SSLMODE", "disable".to_owned()),
        ]
    }

    /// Runs a subcommand of the program as this role and collector; returns exit code, standard output and
    /// standard error.
    pub fn command(
        &self,
        role: Option<&str>,
        collector: &str,
        words: &[&str],
    ) -> (Option<i32>, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_holdfast"))
            .args(words)
            .env_clear()
            .env("COLLECTOR_ID", collector)
            .envs(self.settings(role))
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// The value of a query that returns one row with one column.
    pub async fn value<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        self.client().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// The first column of all rows as text; "null" for NULL.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.client().await.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get::<_, Option<String>>(0).unwrap_or_else(|| "null".to_owned())).collect()
    }

    /// Numbers of missing and of doubly stored records of the collector, as `holdfast_verify` reports them.
    pub async fn missing_and_doubled(&self, collector: &str) -> (i64, i64) {
        let sql =
            "SELECT coalesce(sum(missing + ledger_breaks), -1)::bigint, coalesce(sum(doubled), -1)::bigint
            FROM holdfast_verify($1)";
        let row = self.client().await.query_one(sql, &[&collector]).await.unwrap();
        (row.get(0), row.get(1))
    }

    /// A connection to the database that the server's URL names.
    pub async fn admin(&self) -> Client {
        connect(&self.server.parse().unwrap()).await
    }

    /// Drops the database on the server.
    pub async fn drop(self) {
        let admin = self.admin().await;
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).await.unwrap();
    }
}
