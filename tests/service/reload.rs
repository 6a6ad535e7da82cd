//! Reload of the settings: each one acts without a restart, a bad file changes nothing, and no session ends.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::daemon::{self, Daemon, PATIENCE, command, logged, until};
use crate::common::db::{Database, Edition, connect};
use crate::common::messages::{PEER, initiation, open, plain_attributes, tlv, update, v4};
use crate::common::secrets::write_secret;
use holdfast::telemetry::status::{ConditionKind, Document, Health};
use serde_json::{Value, json};

const FIRST: [u8; 4] = [127, 0, 0, 2];
const SECOND: [u8; 4] = [127, 0, 0, 3];
const THIRD: [u8; 4] = [127, 0, 0, 4];

/// A daemon that reads its settings from a file.
struct Reloadable {
    folder: tempfile::TempDir,
    file: PathBuf,
    daemon: Daemon,
}

impl Reloadable {
    /// Starts the daemon with the lines of a file, and the settings of all tests in its environment.
    fn start(lines: &[&str]) -> Self {
        Self::start_with(lines, &[])
    }

    /// The same without some of the settings in its environment.
    fn start_with(lines: &[&str], removed: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("holdfast.env");
        fs::write(&file, lines.join("\n")).unwrap();
        let mut command = command(folder.path(), &[]);
        command.arg("--env-file").arg(&file);
        removed.iter().for_each(|name| {
            command.env_remove(name);
        });
        let daemon = Daemon::start_as(&mut command, folder.path());
        Self { folder, file, daemon }
    }

    /// Replaces the file and asks for a reload, without waiting for it.
    fn request(&self, lines: &[&str]) {
        // As an editor does it: the daemon never reads a file that is half written.
        let next = self.file.with_extension("next");
        fs::write(&next, lines.join("\n")).unwrap();
        fs::rename(&next, &self.file).unwrap();
        hang_up(self.daemon.pid());
    }

    /// Replaces the file, reloads, and returns the log line.
    fn reload(&mut self, lines: &[&str]) -> Value {
        self.request(lines);
        self.daemon.event("config_reloaded")
    }

    fn connect_from(&self, address: [u8; 4], name: &str) -> TcpStream {
        let mut stream = self.daemon.connect_from(address);
        // A refused connection may have been closed already.
        drop(stream.write_all(&session(name)));
        stream
    }

    /// Waits until routers with these names are connected.
    fn connected(&self, names: &[&str]) -> Document {
        let has = |document: &Document, name: &str| {
            document.routers.iter().any(|router| router.connected && router.name == name)
        };
        self.daemon.status_when(|document| names.iter().all(|name| has(document, name)))
    }
}

fn hang_up(pid: u32) {
    assert!(Command::new("kill").args(["-HUP", &pid.to_string()]).status().unwrap().success());
}

/// Initiation, Peer Up and one route.
fn session(name: &str) -> Vec<u8> {
    let up = PEER.peer_up(&open(65_001, &[]), &open(65_002, &[]), &[]);
    [initiation(name), up, route(0)].concat()
}

fn route(number: u8) -> Vec<u8> {
    PEER.route_monitoring(&update(&[], &plain_attributes(&[65_001]), &v4(10, 0, number, 24)))
}

/// Waits until the daemon has closed the connection.
fn closed(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)), "BMP is one way");
}

fn has(document: &Document, kind: ConditionKind) -> bool {
    document.conditions.contains(&kind)
}

#[test]
fn the_allow_list_applies_to_new_connections() {
    let mut holdfast = Reloadable::start(&[]);
    let mut old = holdfast.connect_from(FIRST, "edge1");
    holdfast.connected(&["edge1"]);
    let line = holdfast.reload(&["BMP_ALLOW=127.0.0.4"]);
    assert_eq!((&line["changed"], line.get("needs_restart")), (&json!("BMP_ALLOW"), None), "{line}");
    closed(&mut holdfast.connect_from(SECOND, "edge2"));
    assert_eq!(holdfast.daemon.event("connection_refused")["peer"], "127.0.0.3");
    let _allowed = holdfast.connect_from(THIRD, "edge3");
    holdfast.connected(&["edge1", "edge3"]);
    // The session from before is not allowed any more, and goes on.
    old.write_all(&route(1)).unwrap();
    holdfast.daemon.durable(7);
    holdfast.reload(&[]);
    let _again = holdfast.connect_from(SECOND, "edge2");
    let status = holdfast.connected(&["edge1", "edge2", "edge3"]);
    assert_eq!((status.listener.accepted, status.reload.count), (3, 2));
}

#[test]
fn names_and_overrides_apply_to_new_sessions() {
    let mut holdfast = Reloadable::start(&[]);
    let _old = holdfast.connect_from(FIRST, "edge1");
    holdfast.connected(&["edge1"]);
    let lines = ["BMP_ROUTER_NAMES=127.0.0.2=core1,127.0.0.3=core2", "BMP_OVERRIDES=core2:as-width=4"];
    let line = holdfast.reload(&lines);
    assert_eq!(line["changed"], "BMP_ROUTER_NAMES, BMP_OVERRIDES");
    let _new = holdfast.connect_from(SECOND, "edge2");
    let overrides = holdfast.daemon.event("router_overrides");
    assert_eq!((&overrides["router"], &overrides["overrides"]), (&json!("core2"), &json!("as-width=4")));
    let _again = holdfast.connect_from(FIRST, "edge1");
    // The session from before keeps its name.
    holdfast.connected(&["edge1", "core1", "core2"]);
    // The pinned name belongs to its address from now on.
    let _stranger = holdfast.connect_from(THIRD, "core2");
    assert_eq!(holdfast.daemon.event("router_name_reserved")["stored_as"], "core2@127.0.0.4");
}

#[test]
fn the_log_level_applies_at_once_also_to_sessions_from_before() {
    let mut holdfast = Reloadable::start(&[]);
    holdfast.request(&["LOG_LEVEL=error"]);
    holdfast.daemon.status_when(|document| document.reload.count == 1);
    let mut router = holdfast.connect_from(FIRST, "edge1");
    holdfast.connected(&["edge1"]);
    assert_eq!(holdfast.reload(&["LOG_LEVEL=debug"])["changed"], "LOG_LEVEL");
    assert!(!holdfast.daemon.heard.iter().any(|line| line["event"] == "peer_connected"));
    router.write_all(&route(1)).unwrap();
    let line = holdfast.daemon.event("bmp_message_received");
    assert_eq!((&line["level"], &line["peer"]), (&json!("DEBUG"), &json!("127.0.0.2")));
    holdfast.reload(&["LOG_LEVEL=info"]);
    let _other = holdfast.connect_from(SECOND, "edge2");
    holdfast.connected(&["edge2"]);
    holdfast.daemon.event("bmp_peer_up");
    let of_other = |line: &&Value| line["peer"] == "127.0.0.3";
    let levels: Vec<&Value> =
        holdfast.daemon.heard.iter().filter(of_other).map(|line| &line["level"]).collect();
    assert!(!levels.is_empty() && levels.iter().all(|level| **level == "INFO"), "{levels:?}");
}

#[test]
fn the_limits_of_connections_and_the_expected_routers_are_those_of_the_file() {
    let mut holdfast = Reloadable::start(&["EXPECTED_ROUTERS=edge1"]);
    let mut old = holdfast.connect_from(FIRST, "edge1");
    holdfast.connected(&["edge1"]);
    let line = holdfast.reload(&["BMP_MAX_CONNECTIONS=1", "EXPECTED_ROUTERS=edge1,edge9"]);
    assert_eq!(line["changed"], "BMP_MAX_CONNECTIONS, EXPECTED_ROUTERS");
    let status = holdfast.daemon.status();
    assert_eq!(status.listener.connections_max, 1);
    assert!(status.reasons.contains(&"routers not connected: edge9".to_owned()), "{:?}", status.reasons);
    closed(&mut holdfast.connect_from(SECOND, "edge2"));
    assert_eq!(holdfast.daemon.event("connection_refused")["limit"], 1);
    old.write_all(&route(1)).unwrap();
    holdfast.daemon.durable(4);
    holdfast.reload(&["BMP_MAX_CONNECTIONS=2"]);
    let _new = holdfast.connect_from(SECOND, "edge2");
    holdfast.connected(&["edge1", "edge2"]);
}

#[test]
fn a_full_log_goes_on_when_its_limit_is_raised() {
    let small = ["WAL_MAX_BYTES=96MiB", "ROUTER_LOG_SHARE=100"];
    let mut holdfast = Reloadable::start_with(&small, &["WAL_MAX_BYTES"]);
    let mut stream = holdfast.daemon.connect_from(FIRST);
    stream.write_all(&initiation("edge1")).unwrap();
    let tlvs: Vec<u8> = (0..15).flat_map(|_| tlv(0, &[0xaa; 60_000])).collect();
    let bulk = PEER.mirror(&tlvs);
    let feeder = std::thread::spawn(move || {
        // About 130 MB, more than the smaller log holds.
        for _ in 0..150 {
            stream.write_all(&bulk).unwrap();
        }
        stream
    });
    holdfast.daemon.event("log_paused");
    let line = holdfast.reload(&["WAL_MAX_BYTES=512MiB", "ROUTER_LOG_SHARE=100"]);
    assert_eq!(line["changed"], "WAL_MAX_BYTES");
    // It may have been logged before the end of the reload.
    holdfast.daemon.event_since_start("log_resumed");
    let _router = feeder.join().unwrap();
    let status = holdfast.daemon.durable(151);
    assert_eq!((status.wal.bytes_max, status.listener.accepted), (512 << 20, 1));
}

#[test]
fn a_share_of_the_log_applies_at_once() {
    let mut holdfast = Reloadable::start(&["ROUTER_LOG_SHARE=100"]);
    let mut stream = holdfast.connect_from(FIRST, "edge1");
    let tlvs: Vec<u8> = (0..15).flat_map(|_| tlv(0, &[0xaa; 60_000])).collect();
    for _ in 0..40 {
        stream.write_all(&PEER.mirror(&tlvs)).unwrap();
    }
    holdfast.daemon.durable(43);
    holdfast.reload(&["ROUTER_LOG_SHARE=10"]);
    let bulk = PEER.mirror(&tlvs);
    let feeder = std::thread::spawn(move || {
        stream.write_all(&bulk.repeat(10)).unwrap();
        stream
    });
    assert_eq!(holdfast.daemon.event("router_paused")["router"], "edge1");
    holdfast.reload(&["ROUTER_LOG_SHARE=100"]);
    holdfast.daemon.event_since_start("router_resumed");
    let _router = feeder.join().unwrap();
    holdfast.daemon.durable(53);
}

#[test]
fn a_bad_file_changes_nothing_and_the_line_is_named() {
    let mut holdfast = Reloadable::start(&["BMP_ALLOW=127.0.0.2"]);
    holdfast.request(&["LOG_LEVEL=debug", "BMP_ALLOW=edge1", "DRAIN_LANES=99"]);
    let line = holdfast.daemon.event("config_reload_failed");
    let error = line["error"].as_str().unwrap();
    for part in ["holdfast.env line 2", "BMP_ALLOW", "such as 192.0.2.0/24", "line 3", "from 1 to 16"] {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
    assert_eq!(line["level"], "ERROR");
    let status = holdfast.daemon.status_when(|document| has(document, ConditionKind::ReloadFailed));
    assert_eq!((status.state, status.reload.count), (Health::Degraded, 0));
    // Neither the invalid nor the valid lines have an effect.
    closed(&mut holdfast.connect_from(SECOND, "edge2"));
    holdfast.daemon.event("connection_refused");
    let _allowed = holdfast.connect_from(FIRST, "edge1");
    holdfast.daemon.event("bmp_peer_up");
    assert!(holdfast.daemon.lines().iter().all(|line| line["level"] != "DEBUG"));
    // No file, and one that is not text.
    fs::remove_file(&holdfast.file).unwrap();
    hang_up(holdfast.daemon.pid());
    let gone = holdfast.daemon.status_when(|document| {
        document.reload.error.as_ref().is_some_and(|error| error.contains("cannot be read"))
    });
    assert_eq!(gone.reload.count, 0);
    holdfast.reload(&["BMP_ALLOW=127.0.0.3"]);
    let status = holdfast.daemon.status();
    assert!(!has(&status, ConditionKind::ReloadFailed), "{:?}", status.reasons);
    assert_eq!((status.reload.error, status.reload.count), (None, 1));
}

#[test]
fn settings_that_need_a_restart_are_named_until_the_file_has_their_old_values() {
    let mut holdfast = Reloadable::start(&["DRAIN_LANES=2"]);
    let line = holdfast.reload(&["DRAIN_LANES=4", "WAL_FULL=drop-oldest", "STATS_INTERVAL_S=5"]);
    assert_eq!(
        (&line["changed"], &line["needs_restart"]),
        (&json!("STATS_INTERVAL_S"), &json!("WAL_FULL, DRAIN_LANES"))
    );
    let status = holdfast.daemon.status();
    assert_eq!(status.reload.waiting, ["WAL_FULL", "DRAIN_LANES"]);
    assert_eq!(status.state, Health::Healthy, "{:?}", status.reasons);
    for (arguments, part) in [(&["status"][..], "settings  "), (&["status", "--all"], "1 since start; ")] {
        let page = daemon::run(holdfast.folder.path(), arguments, &[]).stdout;
        let page = String::from_utf8_lossy(&page).into_owned();
        assert!(page.contains(&format!("{part}waiting for a restart: WAL_FULL, DRAIN_LANES")), "{page}");
    }
    // They still wait at the next reload, whatever it changes.
    let line = holdfast.reload(&["DRAIN_LANES=4"]);
    let expected = (&json!("STATS_INTERVAL_S"), &json!("DRAIN_LANES"));
    assert_eq!((&line["changed"], &line["needs_restart"]), expected);
    let line = holdfast.reload(&["DRAIN_LANES=2"]);
    assert_eq!((line.get("changed"), line.get("needs_restart")), (None, None), "{line}");
    assert!(holdfast.daemon.status().reload.waiting.is_empty());
}

/// A thousand reloads, each with another allow-list, level and limit, while four routers send.
#[test]
fn a_thousand_reloads_under_load_end_no_session_and_lose_nothing() {
    const RELOADS: u32 = 1_000;
    let first = ["LOG_MAX_BYTES_PER_SECOND=64MiB"];
    let mut holdfast = Reloadable::start_with(&first, &["WAL_MAX_BYTES"]);
    let enough = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (2..6)
        .map(|last| {
            let mut stream = holdfast.connect_from([127, 0, 0, last], &format!("edge{last}"));
            let enough = Arc::clone(&enough);
            std::thread::spawn(move || {
                let mut sent = 0_u64;
                while !enough.load(Ordering::Relaxed) {
                    stream.write_all(&route(sent.to_le_bytes()[0])).unwrap();
                    sent += 1;
                    // A pace that a slow disk can follow.
                    std::thread::sleep(std::time::Duration::from_micros(200));
                }
                (stream, sent)
            })
        })
        .collect();
    holdfast.connected(&["edge2", "edge3", "edge4", "edge5"]);
    for number in 0..RELOADS {
        let is_even = number % 2 == 0;
        let allow = if is_even { "BMP_ALLOW=127.0.0.77" } else { "" };
        let limit = if is_even { "BMP_MAX_CONNECTIONS=1" } else { "BMP_MAX_CONNECTIONS=9" };
        let delay = if is_even { "BATCH_MAX_DELAY_MS=5" } else { "BATCH_MAX_DELAY_MS=20" };
        let line = holdfast.reload(&[first[0], allow, limit, delay]);
        let changed = line["changed"].as_str().unwrap();
        assert!(changed.contains("BMP_ALLOW, BMP_MAX_CONNECTIONS"), "{number}: {line}");
    }
    enough.store(true, Ordering::Relaxed);
    let ended: Vec<(TcpStream, u64)> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    let sent: u64 = ended.iter().map(|(_, sent)| sent).sum();
    assert!(ended.iter().all(|(_, sent)| *sent > 100), "the routers were idle");
    // Each router has a session, a Peer Up and a route besides.
    let status = holdfast.daemon.durable(sent + 12);
    assert_eq!(status.wal.records_durable, sent + 12);
    assert_eq!((status.listener.accepted, status.listener.connections), (4, 4));
    assert_eq!(status.reload.count, u64::from(RELOADS));
    let lines = holdfast.daemon.lines();
    assert!(!lines.iter().any(|line| line["event"] == "peer_disconnected"));
    let folder = holdfast.folder;
    assert_eq!(holdfast.daemon.stop().code(), Some(0));
    let routes: usize = logged(folder.path()).iter().map(|batch| batch.nlri.len()).sum();
    assert_eq!(routes as u64, sent + 4);
}

#[test]
fn signals_during_a_reload_are_not_lost() {
    let holdfast = Reloadable::start(&[]);
    for _ in 0..100 {
        hang_up(holdfast.daemon.pid());
    }
    holdfast.request(&["BMP_MAX_CONNECTIONS=7"]);
    let status = holdfast.daemon.status_when(|document| document.listener.connections_max == 7);
    assert!((1..=101).contains(&status.reload.count), "{}", status.reload.count);
    assert_eq!(holdfast.daemon.stop().code(), Some(0));
}

#[test]
fn the_service_manager_is_told_of_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let daemon = Daemon::start(folder.path(), &[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    let next = |wanted: &str| {
        until(
            || {
                let mut bytes = [0; 4_096];
                let length = socket.recv(&mut bytes).unwrap();
                let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                text.starts_with(wanted).then_some(text)
            },
            || format!("no {wanted}"),
        )
    };
    next("READY=1");
    let mut times = Vec::new();
    for _ in 0..2 {
        hang_up(daemon.pid());
        let message = next("RELOADING=1");
        let time = message.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
        times.push(time.parse::<u64>().unwrap());
        next("READY=1");
    }
    assert!(times[0] < times[1], "{times:?}");
    // The clock of the machine's start, not the wall clock.
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split_whitespace().next().unwrap().parse().unwrap();
    let age = uptime - times[1] as f64 / 1e6;
    assert!((-1.0..PATIENCE.as_secs_f64()).contains(&age), "{age} s");
    assert_eq!(daemon.stop().code(), Some(0));
}

/// A server of its own, where two roles need passwords; `None` after a printed SKIPPED.
async fn with_passwords() -> Option<Database> {
    // Left by a failed run.
    drop(crate::common::db::testbed(&["destroy", "--name", "tests-reload"]));
    let database = Database::named(Edition::Plain, "tests-reload", "reload").await?;
    let client = database.client().await;
    let directory: String = client.query_one("SHOW data_directory", &[]).await.unwrap().get(0);
    let rules = "VALUES ('host all reload_one all scram-sha-256'), ('host all reload_two all scram-sha-256'),
        ('host all all all trust'), ('local all all trust')";
    for sql in [
        "DROP ROLE IF EXISTS reload_one".to_owned(),
        "DROP ROLE IF EXISTS reload_two".to_owned(),
        "CREATE ROLE reload_one SUPERUSER LOGIN PASSWORD 'hunter1'".to_owned(),
        "CREATE ROLE reload_two SUPERUSER LOGIN PASSWORD 'hunter2'".to_owned(),
        format!("COPY ({rules}) TO '{directory}/reload-hba.conf'"),
        format!("ALTER SYSTEM SET hba_file = '{directory}/reload-hba.conf'"),
    ] {
        client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    drop(client);
    database.restart();
    let mut wrong = database.config.clone();
    wrong.user("reload_one").password("wrong");
    assert!(wrong.connect(tokio_postgres::NoTls).await.is_err(), "the server asks for no password");
    Some(database)
}

/// The lines of a file for this database and these credentials.
fn lines<'a>(database: &Database, credentials: &[&'a str]) -> Vec<std::borrow::Cow<'a, str>> {
    let settings = database.settings(None).into_iter();
    let server = settings.filter(|(name, _)| !["DB_USER", "DB_PASSWORD"].contains(name));
    let server = server.map(|(name, value)| format!("{name}={value}").into());
    server.chain(credentials.iter().map(|line| (*line).into())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_connection_to_the_database_uses_the_new_credentials() {
    let Some(database) = with_passwords().await else { return };
    let file = |credentials: &[&str]| lines(&database, credentials).join("\n");
    let first = file(&["DB_USER=reload_one", "DB_PASSWORD=hunter1"]);
    let mut holdfast = Reloadable::start(&[&first]);
    let mut router = holdfast.connect_from(FIRST, "edge1");
    let delivered = |document: &Document, records: u64| {
        let delivery = document.delivery.as_ref().unwrap();
        document.wal.records_durable >= records && delivery.lag_batches == 0
    };
    holdfast.daemon.status_when(|document| delivered(document, 3));
    // The password is changed in the database, and its connections end.
    let admin = connect(&database.config).await;
    let end_connections = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE usename IN ('reload_one', 'reload_two')";
    admin.batch_execute("ALTER ROLE reload_one PASSWORD 'hunter3'").await.unwrap();
    admin.batch_execute(end_connections).await.unwrap();
    router.write_all(&route(1)).unwrap();
    let blocked = holdfast.daemon.event("delivery_blocked");
    assert!(blocked["error"].as_str().unwrap().contains("28P01"), "{blocked}");
    // Well before the retry that is due in a minute.
    let second = file(&["DB_USER=reload_one", "DB_PASSWORD=hunter3"]);
    let line = holdfast.reload(&[&second]);
    assert_eq!(line["changed"], "DB_PASSWORD");
    holdfast.daemon.event("delivery_resumed");
    holdfast.daemon.status_when(|document| delivered(document, 4));
    // A file with the password: its name is unchanged when its contents change.
    let secret = holdfast.folder.path().join("password");
    write_secret(&secret, "hunter2\n");
    let from_file = format!("DB_PASSWORD_FILE={}", secret.display());
    let third = file(&["DB_USER=reload_two", &from_file]);
    assert_eq!(holdfast.reload(&[&third])["changed"], "DB_USER, DB_PASSWORD, DB_PASSWORD_FILE");
    admin.batch_execute(end_connections).await.unwrap();
    router.write_all(&route(2)).unwrap();
    holdfast.daemon.status_when(|document| delivered(document, 5));
    let users = database.texts(
        "SELECT DISTINCT usename::text FROM pg_stat_activity
        WHERE application_name = 'holdfast' AND usename LIKE 'reload%'",
    );
    assert_eq!(users.await, ["reload_two"]);
    admin.batch_execute("ALTER ROLE reload_two PASSWORD 'hunter4'").await.unwrap();
    fs::write(&secret, "hunter4\n").unwrap();
    let changed = holdfast.reload(&[&third])["changed"].as_str().unwrap().to_owned();
    assert_eq!(changed, format!("database password (file {})", secret.display()));
    admin.batch_execute(end_connections).await.unwrap();
    router.write_all(&route(3)).unwrap();
    holdfast.daemon.status_when(|document| delivered(document, 6));
    // Another database needs a restart, and everything that belongs to it waits.
    let other = third.replace("DB_NAME=", "DB_NAME=no").replace("reload_two", "reload_one");
    let line = holdfast.reload(&[&other]);
    let expected = (None, &json!("DB_USER, DB_NAME"));
    assert_eq!((line.get("changed"), &line["needs_restart"]), expected, "{line}");
    let status = holdfast.daemon.status();
    let said = format!("{:?}{status:?}", holdfast.daemon.lines());
    assert!(!said.contains("hunter"), "a password is shown: {said}");
    drop((holdfast, admin));
    database.destroy();
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_the_delivery_and_retention_apply_at_once() {
    let Some(database) = Database::migrated(Edition::Timescale, "reload_limits").await else { return };
    let url = format!("DATABASE_URL={}", database.url());
    let slow = [url.as_str(), "DRAIN_MAX_DELAY_MS=60000", "DRAIN_LANES=1", "RETENTION_ROUTES_DAYS=0"];
    let mut holdfast = Reloadable::start(&slow);
    holdfast.daemon.event_since_start("lane_attached");
    let _router = holdfast.connect_from(FIRST, "edge1");
    holdfast.daemon.durable(3);
    let waiting = holdfast.daemon.status();
    assert_ne!(waiting.delivery.unwrap().lag_batches, 0, "the transaction waits for a minute");
    let fast = [url.as_str(), "DRAIN_MAX_DELAY_MS=10", "DRAIN_LANES=1", "RETENTION_ROUTES_DAYS=0"];
    assert_eq!(holdfast.reload(&fast)["changed"], "DRAIN_MAX_DELAY_MS");
    holdfast.daemon.status_when(|document| document.delivery.as_ref().unwrap().lag_batches == 0);
    // A route of years ago, in a chunk of its own.
    let old = "INSERT INTO route_records SELECT (jsonb_populate_record(route, jsonb_build_object(
            'time', now() - interval '1000 days'))).* FROM route_records route LIMIT 1";
    database.client().await.batch_execute(old).await.unwrap();
    let count = "SELECT count(*) FROM route_updates WHERE time < now() - interval '900 days'";
    assert_eq!(database.value::<i64>(count).await, 1);
    let kept = [fast[0], fast[1], fast[2], "RETENTION_ROUTES_DAYS=900"];
    assert_eq!(holdfast.reload(&kept)["changed"], "RETENTION_ROUTES_DAYS");
    let line = holdfast.daemon.event_since_start("chunks_dropped");
    assert_eq!(line["table"], "route_records");
    assert_eq!(database.value::<i64>(count).await, 0);
    drop(holdfast);
    database.drop().await;
}
