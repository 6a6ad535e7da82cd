//! `holdfast doctor` and `check-config --connect`: each check with what to do.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Output;

use crate::common::daemon::{Daemon, command_with_files, run};
use crate::common::db::{Database, Edition};

/// The output of a command: exit code, and one line for each check and each advice.
struct Report {
    code: Option<i32>,
    text: String,
}

impl Report {
    fn new(output: &Output) -> Self {
        let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        Self { code: output.status.code(), text: String::from_utf8(text).unwrap() }
    }

    /// The line of a check, without the spaces between its columns, and the advice after it.
    fn of(&self, subject: &str) -> String {
        let mut lines = self.text.lines();
        let is_check = |line: &str| line.get(9..).is_some_and(|rest| rest.starts_with(subject));
        let line = lines.by_ref().find(|line| is_check(line));
        let line = line.unwrap_or_else(|| panic!("no {subject} in:\n{}", self.text));
        let advice = lines.next().filter(|next| next.trim_start().starts_with("do: ")).unwrap_or_default();
        format!("{line} {advice}").split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Checks the beginning of a check, and that its line contains the parts.
    #[track_caller]
    fn has(&self, verdict: &str, subject: &str, parts: &[&str]) {
        let line = self.of(subject);
        assert!(line.starts_with(verdict), "{line}");
        parts.iter().for_each(|part| assert!(line.contains(part), "{part} is missing in: {line}"));
    }
}

fn doctor(folder: &Path, settings: &[(&str, &str)]) -> Report {
    Report::new(&run(folder, &["doctor"], settings))
}

#[test]
fn a_machine_without_problems_passes_and_what_is_not_checked_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let report = doctor(folder.path(), &[]);
    assert_eq!(report.code, Some(0), "{}", report.text);
    report.has("-", "database", &["store-only mode"]);
    report.has("ok", "disk space", &["usable for the log, WAL_MAX_BYTES 96MiB"]);
    report.has("ok", "port", &["127.0.0.1:0 is free"]);
    let speed = report.of("disk speed");
    assert!(!speed.starts_with("FAILED"), "{speed}");
    assert!(report.text.ends_with(" not checked\n"), "{}", report.text);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    // The same with the effective settings.
    let both = Report::new(&run(folder.path(), &["check-config", "--connect"], &[]));
    assert!(both.text.contains("COLLECTOR_ID") && both.text.contains("disk speed"), "{}", both.text);
    let invalid = doctor(folder.path(), &[("DRAIN_LANES", "none")]);
    assert_eq!(invalid.code, Some(78), "{}", invalid.text);
}

#[test]
fn a_port_in_use_is_a_failure_unless_the_collector_uses_it() {
    let folder = tempfile::tempdir().unwrap();
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let report = doctor(folder.path(), &[("BMP_LISTEN_PORT", &port)]);
    assert_eq!(report.code, Some(1), "{}", report.text);
    report.has("FAILED", "port", &["is in use", "do: end the program", "ss -ltnp"]);
    let daemon = Daemon::start(folder.path(), &[]);
    let (port, pid) = (daemon.port.to_string(), format!("pid {}", daemon.pid()));
    let report = doctor(folder.path(), &[("BMP_LISTEN_PORT", &port)]);
    report.has("ok", "port", &["the running collector", &pid]);
    assert_eq!(report.code, Some(0), "{}", report.text);
}

#[test]
fn the_port_of_the_http_server_is_checked_too() {
    let folder = tempfile::tempdir().unwrap();
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = other.local_addr().unwrap().to_string();
    let report = doctor(folder.path(), &[("HTTP_LISTEN", &address)]);
    assert_eq!(report.code, Some(1), "{}", report.text);
    assert!(report.text.contains(&format!("FAILED   port       {address} is in use")), "{}", report.text);
    // Beside a running collector it may be that of the collector.
    let _daemon = Daemon::start(folder.path(), &[]);
    let report = doctor(folder.path(), &[("HTTP_LISTEN", &address)]);
    assert!(report.text.contains(&format!("{address} is in use, perhaps by the running")), "{}", report.text);
    assert_eq!(report.code, Some(0), "{}", report.text);
}

#[test]
fn limits_that_are_too_small_are_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let report = doctor(folder.path(), &[("WAL_MAX_BYTES", "1000TiB"), ("BMP_RECEIVE_BUFFER", "1GiB")]);
    report.has("WARNING", "disk space", &["do: set WAL_MAX_BYTES to what is usable"]);
    report.has("WARNING", "buffer", &["net.core.rmem_max", "do: sysctl -w net.core.rmem_max=1073741824"]);
    assert_eq!(report.code, Some(0), "{}", report.text);
    let output = command_with_files(64, folder.path()).arg("doctor").output().unwrap();
    let report = Report::new(&output);
    report.has("WARNING", "open files", &["at most 64 in this shell, about 300 needed", "LimitNOFILE="]);
}

#[test]
fn files_of_the_transports_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let report = doctor(folder.path(), &[("BMP_MD5", "192.0.2.0/24=/nonexistent/key")]);
    assert_eq!(report.code, Some(1), "{}", report.text);
    report.has("FAILED", "transports", &["/nonexistent/key", "do: correct the file"]);
}

#[test]
fn a_database_that_is_not_reached_is_named_with_what_to_check() {
    let folder = tempfile::tempdir().unwrap();
    let url = "postgres://nobody:hunter2@127.0.0.1:1/none?sslmode=disable";
    let report = doctor(folder.path(), &[("DATABASE_URL", url)]);
    assert_eq!(report.code, Some(1), "{}", report.text);
    let parts =
        ["cannot connect to 127.0.0.1:1 (user nobody, database none)", "do: check DB_HOST and DB_PORT"];
    report.has("FAILED", "database", &parts);
    for subject in ["schema", "rights", "clock"] {
        report.has("-", subject, &["needs the database"]);
    }
    assert!(!report.text.contains("hunter2"), "{}", report.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_and_the_rights_of_a_database_are_examined_and_not_changed() {
    let Some(database) = Database::empty(Edition::Timescale, "doctor").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let check = |role: Option<&str>| {
        let settings = database.settings(role);
        let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, &**value)).collect();
        doctor(folder.path(), &settings)
    };
    let client = database.client().await;
    let sql = async |sql: &str| {
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    };
    sql("DROP ROLE IF EXISTS doctor_stranger").await;
    sql("CREATE ROLE doctor_stranger LOGIN").await;
    let report = check(None);
    assert_eq!(report.code, Some(0), "{}", report.text);
    report.has("ok", "database", &["PostgreSQL", "round trip"]);
    report.has("ok", "schema", &["holdfast: none yet; the collector creates it"]);
    report.has("ok", "clock", &["this machine"]);
    assert_eq!(database.texts("SELECT to_regclass('route_updates')::text").await, ["null"]);
    let report = check(Some("doctor_stranger"));
    report.has("FAILED", "schema", &["the role cannot create it", "do: run `holdfast migrate`"]);

    let layout = holdfast::sink::Layout::default();
    holdfast::sink::migrate(&mut database.client().await, &layout, 7).await.unwrap();
    let report = check(None);
    assert_eq!(report.code, Some(0), "{}", report.text);
    report.has("ok", "schema", &["up to date"]);
    report.has("ok", "rights", &["all that it needs"]);
    let report = check(Some("doctor_stranger"));
    report.has("FAILED", "rights", &["USAGE on schema holdfast", "do: run deploy/roles.sql"]);
    sql("GRANT USAGE ON SCHEMA holdfast TO doctor_stranger").await;
    sql("GRANT SELECT ON ALL TABLES IN SCHEMA holdfast TO doctor_stranger").await;
    let report = check(Some("doctor_stranger"));
    assert_eq!(report.code, Some(1), "{}", report.text);
    report.has("FAILED", "rights", &["DELETE on", " more", "do: run deploy/roles.sql"]);
    sql("ALTER ROLE doctor_stranger SET default_transaction_read_only = on").await;
    check(Some("doctor_stranger")).has(
        "FAILED",
        "database",
        &["accepts no writes", "do: connect to the primary"],
    );

    let last = holdfast::sink::migrations().last().unwrap().version;
    sql(&format!("DELETE FROM schema_migrations WHERE version = {last}")).await;
    check(None).has("WARNING", "schema", &[&format!("not up to date: migration {last}")]);
    sql("UPDATE schema_migrations SET checksum = 'x' WHERE version = 1").await;
    check(None).has("FAILED", "schema", &["migration 1 was changed"]);
    sql("INSERT INTO schema_migrations VALUES (999, 'future', 'x', now(), 1)").await;
    check(None).has("FAILED", "schema", &["holdfast: version 999", "do: install the newer release"]);
    sql("DROP OWNED BY doctor_stranger").await;
    sql("DROP ROLE doctor_stranger").await;
    let mut settings = database.settings(None);
    settings.iter_mut().filter(|(name, _)| *name == "DB_NAME").for_each(|(_, value)| value.push_str("_gone"));
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, &**value)).collect();
    doctor(folder.path(), &settings).has("FAILED", "database", &["3D000", "do: create the database"]);
    drop(client);
    database.drop().await;
}
