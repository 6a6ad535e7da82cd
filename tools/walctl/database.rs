//! The delivery state of a log, as the database has it.

use std::future::Future;

use holdfast::config::{self, Inputs};
use holdfast::forwarder;
use holdfast::sink::{self, Target};
use holdfast::wal::inspect::Overview;
use holdfast::wal::{Disk, LogId, SeqNo};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::output::{Failure, print_error};

/// Delivery position of one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lane {
    pub(crate) number: i32,
    pub(crate) last: SeqNo,
    /// Digest of the batch at `last`; 0 if it is not known.
    pub(crate) digest: u64,
}

/// Delivery state of one log in the database.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) collector: String,
    /// Log id under which the log is delivered. A forked log is delivered under an id other than its own.
    pub(crate) log_id: LogId,
    /// The lanes; empty if nothing of the log was ever delivered.
    pub(crate) lanes: Vec<Lane>,
}

impl Standing {
    /// Last sequence number up to which every lane has delivered.
    pub(crate) fn delivered(&self) -> SeqNo {
        self.lanes.iter().map(|lane| lane.last).min().unwrap_or_default()
    }
}

/// Runs a future that talks to the database to its end.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(future)
}

/// The database named by a URL, with the TLS settings that the daemon would use, and the schema that the
/// variable `DB_SCHEMA` names. A URL without a password is completed as the daemon and libpq do.
pub(crate) fn target(url: &str) -> Result<Target, Failure> {
    let mut environment = vec![("DATABASE_URL".to_owned(), url.to_owned())];
    let has_password = |config: &tokio_postgres::Config| config.get_password().is_some();
    if !url.parse().as_ref().is_ok_and(has_password) {
        environment
            .extend(password_settings(|name| std::env::var(name).ok().filter(|value| !value.is_empty())));
    }
    environment.extend(std::env::var("DB_SCHEMA").ok().map(|schema| ("DB_SCHEMA".to_owned(), schema)));
    let inputs = Inputs { environment, file: None };
    // Messages name the variable DATABASE_URL; here the value came from the command line.
    let invalid =
        |error: &dyn std::fmt::Display| Failure::Other(error.to_string().replace("DATABASE_URL", "--to"));
    let (_, config) = config::load(&inputs).map_err(|error| invalid(&error))?;
    let database = config.database.ok_or_else(|| {
        Failure::Other("--to: expected a database URL, such as postgres://user@host/database".to_owned())
    })?;
    if database.password_source.starts_with("none (") {
        print_error(&format!("password: {}", database.password_source));
    }
    database.target().map_err(|error| invalid(&error))
}

/// The settings that `variable` has for a password: `DB_PASSWORD` or `DB_PASSWORD_FILE`, else libpq's
/// `PGPASSWORD`, else the password file.
fn password_settings(variable: impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let set = |name: &str| variable(name).map(|value| (name.to_owned(), value));
    let own: Vec<_> = ["DB_PASSWORD", "DB_PASSWORD_FILE"].into_iter().filter_map(set).collect();
    if !own.is_empty() {
        return own;
    }
    if let Some(password) = variable("PGPASSWORD") {
        return vec![("DB_PASSWORD".to_owned(), password)];
    }
    ["PGPASSFILE", "HOME"].into_iter().filter_map(set).collect()
}

pub(crate) async fn connect(url: &str) -> Result<Client, Failure> {
    let target = target(url)?;
    target.connect().await.map_err(|error| {
        let (server, cause) = (target.description(), error.explain());
        Failure::Other(format!("cannot connect to the database at {server}: {cause}"))
    })
}

/// A failed statement.
pub(crate) fn failure(error: &tokio_postgres::Error) -> Failure {
    Failure::Other(format!("database: {}", sink::explain(error)))
}

/// Reads the delivery state of this log from the database.
pub(crate) fn standing(
    url: &str,
    collector: Option<&str>,
    disk: &Disk,
    overview: &Overview,
) -> Result<Standing, Failure> {
    let Some(log_id) = overview.log_id else {
        return Err(Failure::Other("no readable segment: the log id is unknown".to_owned()));
    };
    let log_id = forwarder::delivered_as(disk.directory(), log_id)
        .map_err(|error| Failure::Other(error.to_string()))?;
    block_on(async {
        let client = connect(url).await?;
        let sql = "SELECT collector, lane, last_seq, digest FROM ingest_checkpoint
            WHERE log_id = $1::text::uuid AND ($2::text IS NULL OR collector = $2) ORDER BY collector, lane";
        let rows = match client.query(sql, &[&log_id.to_string(), &collector]).await {
            // The database has no schema of ours: nothing was ever delivered.
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Vec::new(),
            other => other.map_err(|error| failure(&error))?,
        };
        let mut lanes = Vec::new();
        let mut name: Option<String> = collector.map(str::to_owned);
        for row in rows {
            let owner: String = row.try_get(0).map_err(|error| failure(&error))?;
            if name.get_or_insert_with(|| owner.clone()) != &owner {
                let both = format!("{}, {owner}", name.unwrap_or_default());
                return Err(Failure::Other(format!(
                    "log delivered by several collectors ({both}); specify --collector"
                )));
            }
            let last: i64 = row.try_get(2).map_err(|error| failure(&error))?;
            let digest: i64 = row.try_get(3).map_err(|error| failure(&error))?;
            lanes.push(Lane {
                number: row.try_get(1).map_err(|error| failure(&error))?,
                last: SeqNo(u64::try_from(last).unwrap_or(0)),
                digest: digest.cast_unsigned(),
            });
        }
        let unknown =
            || Failure::Other("the database has no checkpoint of this log; specify --collector".to_owned());
        Ok(Standing { collector: name.ok_or_else(unknown)?, log_id, lanes })
    })
}

/// Returns (lane, last sequence number, digest of that batch) of each delivered transaction that ended in the
/// range.
pub(crate) fn digests(
    url: &str,
    standing: &Standing,
    from: SeqNo,
    to: SeqNo,
) -> Result<Vec<(u32, u64, u64)>, Failure> {
    block_on(async {
        let client = connect(url).await?;
        let digests = sink::digests(&client, &standing.collector, standing.log_id, from.0, to.0).await;
        digests.map_err(|error| Failure::new(&"database", &error))
    })
}
