//! Checks of the database: reachable, versions, rights, schema, clock.

use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;

use super::finding::Finding;
use crate::config::Config;
use crate::num::{to_f64, to_micros};
use crate::sink::{self, Examination, Layout, SchemaState, Target};
use crate::telemetry::clock;

/// Difference of the clocks from which it is a warning, in seconds.
const OFFSET_MAX_S: f64 = 1.0;

/// Oldest supported major version of PostgreSQL.
const POSTGRES_MIN: u32 = 15;

/// Number of missing rights that are named.
const RIGHTS_SHOWN: usize = 5;

/// Time limit for all checks of the database.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) async fn check(config: &Config) -> Vec<Finding> {
    let Some(database) = &config.database else {
        return vec![Finding::skipped("database", "none is configured (store-only mode)")];
    };
    let target = match database.target() {
        Ok(target) => target,
        Err(error) => {
            let advice = "correct the DB_SSL* settings";
            return without_connection(Finding::failed("database", error.to_string(), advice));
        }
    };
    match tokio::time::timeout(TIMEOUT, examined(&target)).await {
        Ok(findings) => findings,
        Err(_) => without_connection(Finding::failed(
            "database",
            format!("{} did not answer within {} s", target.description(), TIMEOUT.as_secs()),
            "look for locks and load on the server (pg_stat_activity)",
        )),
    }
}

async fn examined(target: &Target) -> Vec<Finding> {
    let server = target.description();
    let client = match target.connect().await {
        Ok(client) => client,
        Err(error) => {
            let text = format!("cannot connect to {server}: {}", error.explain());
            return without_connection(Finding::failed("database", text, connect_advice(&error)));
        }
    };
    let (began, began_at) = (Instant::now(), clock::now());
    let examination = match sink::examine(&client, target.layout()).await {
        Ok(examination) => examination,
        Err(error) => {
            let advice = "see the message; the role must be able to read the catalogue of the database";
            return without_connection(Finding::failed("database", format!("{server}: {error}"), advice));
        }
    };
    // The wall clock may be set while the server is asked.
    let elapsed = began.elapsed();
    let is_steady = (clock::now().0 - began_at.0 - to_micros(elapsed)).abs() < 100_000;
    let local = is_steady.then(|| began_at.0 + to_micros(examination.asked_after));
    vec![
        reached(&server, &examination),
        schema(&examination, target.layout()),
        rights(&examination),
        offset(local.map(|local| examination.server_time.0 - local), examination.round_trip),
    ]
}

/// The checks of a database that could not be asked.
fn without_connection(failed: Finding) -> Vec<Finding> {
    let others = ["schema", "rights", "clock"].map(|subject| Finding::skipped(subject, "needs the database"));
    std::iter::once(failed).chain(others).collect()
}

/// What to do if there is no connection.
fn connect_advice(error: &sink::Error) -> &'static str {
    if matches!(error, sink::Error::SharedProcess) {
        return "set DB_HOST and DB_PORT to the server itself, or pool_mode = session in pgbouncer.ini";
    }
    if let Some(remedy) = error.remedy() {
        return remedy;
    }
    match error.sqlstate().map(SqlState::code) {
        Some("53300") => "raise max_connections of the server, or end idle connections",
        Some("57P03") => "wait until the server has started",
        Some(_) => "see the message of the server",
        None => "check DB_HOST and DB_PORT, that the server listens there, firewalls, and DB_SSLMODE",
    }
}

fn reached(server: &str, Examination { versions, round_trip, is_read_only, .. }: &Examination) -> Finding {
    let timescaledb =
        versions.timescaledb.as_ref().map_or_else(String::new, |version| format!(", TimescaleDB {version}"));
    let milliseconds = to_f64(to_micros(*round_trip).unsigned_abs()) / 1_000.0;
    let text =
        format!("PostgreSQL {}{timescaledb} at {server}, round trip {milliseconds:.1} ms", versions.postgres);
    let major = versions.postgres.split(['.', ' ']).next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major < POSTGRES_MIN) {
        return Finding::failed("database", text, format!("upgrade to PostgreSQL {POSTGRES_MIN} or later"));
    }
    if *is_read_only {
        let text = format!("{text}; it accepts no writes");
        let advice = "connect to the primary server, and check default_transaction_read_only of the role";
        return Finding::failed("database", text, advice);
    }
    Finding::good("database", text)
}

fn schema(Examination { schema, missing_rights, .. }: &Examination, layout: &Layout) -> Finding {
    let name = &layout.schema;
    let migrate = "run `holdfast migrate` as the role that owns the tables (deploy/roles.sql)";
    match schema {
        SchemaState::Current { version } => {
            Finding::good("schema", format!("{name}: version {version}, up to date"))
        }
        SchemaState::Absent if missing_rights.is_empty() => {
            Finding::good("schema", format!("{name}: none yet; the collector creates it when it starts"))
        }
        SchemaState::Absent => {
            Finding::failed("schema", format!("{name}: none, and the role cannot create it"), migrate)
        }
        SchemaState::InPublic => Finding::warning(
            "schema",
            format!("{name}: none; the tables of an earlier release are in public"),
            format!("start the collector as the owner of the tables, or {migrate}, which moves them"),
        ),
        SchemaState::Moved(schema) => Finding::failed(
            "schema",
            format!("the tables were moved from public to {schema}"),
            format!("set DB_SCHEMA to {schema}"),
        ),
        SchemaState::Outdated { missing } => Finding::warning(
            "schema",
            format!("{name}: not up to date: {missing}"),
            format!("start the collector as the owner of the tables, or {migrate}"),
        ),
        SchemaState::Changed { version } => Finding::failed(
            "schema",
            format!("{name}: migration {version} was changed after it had been applied"),
            "use the release that created the schema, or an empty database",
        ),
        SchemaState::Newer { version } => Finding::failed(
            "schema",
            format!("{name}: version {version}, unknown to this program"),
            "install the newer release",
        ),
        SchemaState::Pybmpmon(database) => Finding::failed(
            "schema",
            format!("public in \"{database}\" contains the tables of pybmpmon"),
            "set DB_SCHEMA to another schema, such as holdfast (docs/MIGRATING.md)",
        ),
    }
}

fn rights(Examination { missing_rights, schema, .. }: &Examination) -> Finding {
    match schema {
        SchemaState::Pybmpmon(_) => return Finding::skipped("rights", "the schema is that of pybmpmon"),
        SchemaState::Moved(_) => return Finding::skipped("rights", "the tables are in another schema"),
        _ => {}
    }
    if missing_rights.is_empty() {
        return Finding::good("rights", "the role has all that it needs");
    }
    let shown: Vec<&str> = missing_rights.iter().take(RIGHTS_SHOWN).map(String::as_str).collect();
    let others = match missing_rights.len().saturating_sub(RIGHTS_SHOWN) {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    let advice = "run deploy/roles.sql as a superuser, or use another DB_USER";
    Finding::failed("rights", format!("missing: {}{others}", shown.join(", ")), advice)
}

/// The offset of the server's clock in microseconds, as far as half a round trip allows to say.
fn offset(offset: Option<i64>, round_trip: Duration) -> Finding {
    let Some(offset) = offset else {
        return Finding::skipped("clock", "the clock of this machine was set during the measurement");
    };
    let seconds = |micros: u64| to_f64(micros) / 1e6;
    let (by, uncertain) = (seconds(offset.unsigned_abs()), round_trip.as_secs_f64() / 2.0);
    let direction = if offset < 0 { "behind" } else { "ahead of" };
    let text = format!("the database is {by:.3} s {direction} this machine (± {uncertain:.3} s)");
    if by - uncertain > OFFSET_MAX_S {
        Finding::warning("clock", text, "synchronize both with NTP (chronyc tracking, timedatectl)")
    } else {
        Finding::good("clock", text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::print;
    use super::*;

    #[test]
    fn a_clock_counts_as_wrong_only_beyond_the_uncertainty_of_the_measurement() {
        let text = |micros, round_trip| {
            let mut out = Vec::new();
            print(&[offset(micros, Duration::from_millis(round_trip))], &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert!(text(Some(900_000), 2).starts_with("ok"));
        let ahead = text(Some(1_500_000), 2);
        assert!(ahead.starts_with("WARNING") && ahead.contains("1.500 s ahead of this machine (± 0.001 s)"));
        assert!(ahead.contains("do: synchronize both with NTP"), "{ahead}");
        assert!(text(Some(-1_500_000), 2).contains("1.500 s behind this machine"));
        assert!(text(Some(1_500_000), 1_200).starts_with("ok"), "the round trip took longer");
        assert!(text(None, 2).starts_with('-') && text(None, 2).contains("1 not checked"));
    }
}
