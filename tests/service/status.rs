//! The status against the truth: lag through an outage, a restart, a quiet router and a jump of the clock;
//! routers, connections and the socket.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::away::Away;
use crate::clock::Clock;
use crate::common::daemon::{Daemon, command, run};
use crate::common::messages::{Header, PEER, initiation, open, plain_attributes, update, v4};
use holdfast::telemetry::status::{ConditionKind, Document, Health};

/// A database on which nobody listens.
const NOWHERE: (&str, &str) = ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none");

/// Seconds by which an age may exceed the truth: two samples, of which there is one each second.
const TOLERANCE_S: f64 = 2.0;

fn peer_up() -> Vec<u8> {
    PEER.peer_up(&open(65_001, &[]), &open(65_002, &[]), &[])
}

fn route(number: u8) -> Vec<u8> {
    PEER.route_monitoring(&update(&[], &plain_attributes(&[65_001]), &v4(10, 0, number, 24)))
}

fn session(name: &str, routes: std::ops::Range<u8>) -> Vec<u8> {
    [vec![initiation(name), peer_up()], routes.map(route).collect()].concat().concat()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn has(document: &Document, kind: ConditionKind) -> bool {
    document.conditions.contains(&kind)
}

/// Lag of the delivery in batches and seconds.
fn lag(document: &Document) -> (u64, Option<f64>) {
    document.delivery.as_ref().map(|delivery| (delivery.lag_batches, delivery.lag_s)).unwrap()
}

/// Waits for a lag of at least `at_least` seconds, and checks that it is the age of a record that was sent
/// between `before` and `after`.
fn check_age(daemon: &Daemon, before: Instant, after: Instant, at_least: f64) -> Document {
    let document = daemon.status_when(|document| lag(document).1.is_some_and(|age| age >= at_least));
    let age = lag(&document).1.unwrap();
    let oldest = before.elapsed().as_secs_f64() + TOLERANCE_S;
    assert!(age <= oldest, "lag of {age} s, but the record is at most {oldest} s old");
    let youngest = after.elapsed().as_secs_f64();
    let document = daemon.status();
    let age = lag(&document).1.unwrap();
    assert!(age >= youngest - 1.0, "lag of {age} s, but the record is at least {youngest} s old");
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_quiet_time_the_lag_is_the_age_of_the_outage() {
    let Some(away) = Away::new("lag_quiet").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let daemon = away.daemon(folder.path(), &[("DB_COMMAND_TIMEOUT_S", "5")]);
    let mut router = daemon.send(&session("edge1", 0..1));
    daemon.durable(3);
    let delivered = |document: &Document| {
        let delivery = document.delivery.as_ref().unwrap();
        document.wal.durable > 0 && delivery.delivered == Some(document.wal.durable)
    };
    let fresh = daemon.status_when(delivered);
    assert_eq!((lag(&fresh), fresh.state), ((0, Some(0.0)), Health::Healthy), "{:?}", fresh.reasons);
    // The router is quiet for longer than the outage will last.
    daemon.status_when(|document| document.uptime_s >= fresh.uptime_s + 20);
    away.is_away(true);
    let before = Instant::now();
    router.write_all(&route(1)).unwrap();
    daemon.durable(4);
    let document = check_age(&daemon, before, Instant::now(), 3.0);
    assert_eq!(document.delivery.as_ref().unwrap().lag_routes, 1);
    for lane in &document.delivery.as_ref().unwrap().lanes {
        assert!(lane.lag_s.is_some_and(|age| (3.0..15.0).contains(&age)), "{lane:?}");
    }
    away.is_away(false);
    let status = daemon.status_when(delivered);
    assert_eq!(lag(&status), (0, Some(0.0)));
    daemon.kill();
    away.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_keeps_its_age_and_its_size_through_a_restart() {
    let Some(away) = Away::new("lag_restart").await else { return };
    away.is_away(true);
    let folder = tempfile::tempdir().unwrap();
    let before = Instant::now();
    let daemon = away.daemon(folder.path(), &[("DB_COMMAND_TIMEOUT_S", "5")]);
    let _router = daemon.send(&session("edge1", 0..100));
    let first = daemon.durable(102);
    let after = Instant::now();
    assert_eq!(first.delivery.as_ref().unwrap().lag_routes, 102);
    let delivery = check_age(&daemon, before, after, 3.0).delivery.unwrap();
    assert_eq!((delivery.delivered, delivery.lanes.len()), (None, 0), "no lane exists");
    daemon.kill();
    let mut daemon = away.daemon(folder.path(), &[("DB_COMMAND_TIMEOUT_S", "5")]);
    let gap = daemon.event_since_start("gap_logged");
    assert_eq!(gap["router"], "edge1");
    let document = check_age(&daemon, before, after, 3.0);
    let delivery = document.delivery.as_ref().unwrap();
    // The crash adds the end of the session, a gap and the stale mark of the peer.
    let added = document.wal.records_durable;
    assert_eq!((delivery.lag_batches, delivery.lag_routes), (document.wal.durable, 102 + added));
    away.is_away(false);
    let caught_up = daemon.status_when(|document| lag(document) == (0, Some(0.0)));
    assert_eq!(caught_up.delivery.unwrap().lag_routes, 0);
    daemon.kill();
    away.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_what_was_delivered_before_is_no_lag() {
    let Some(away) = Away::new("lag_delivered").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let daemon = away.daemon(folder.path(), &[]);
    let mut router = daemon.send(&session("edge1", 0..50));
    daemon.durable(52);
    let is_delivered = |document: &Document| document.delivery.as_ref().unwrap().lag_batches == 0;
    let delivered =
        daemon.status_when(|document| is_delivered(document) && document.wal.unsynced_records == 0);
    away.is_away(true);
    let before = Instant::now();
    router.write_all(&route(100)).unwrap();
    daemon.durable(53);
    let after = Instant::now();
    daemon.kill();
    let mut daemon = away.daemon(folder.path(), &[]);
    daemon.event_since_start("gap_logged");
    let document = check_age(&daemon, before, after, 2.0);
    let delivery = document.delivery.unwrap();
    assert_eq!((delivery.delivered, delivery.lanes.len()), (None, 0), "the database was not reached");
    assert_eq!(delivery.lag_batches, document.wal.durable - delivered.wal.durable);
    daemon.kill();
    away.database.drop().await;
}

#[test]
fn a_jump_of_the_clock_changes_no_age_and_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let Some(clock) = Clock::new(folder.path()) else { return };
    let mut command = command(folder.path(), &[NOWHERE]);
    let mut daemon = Daemon::start_as(command.envs(clock.environment()), folder.path());
    assert!(!has(&daemon.status(), ConditionKind::ClockTrouble));
    let before = Instant::now();
    let _router = daemon.send(&session("edge1", 0..3));
    daemon.durable(5);
    let after = Instant::now();
    check_age(&daemon, before, after, 1.0);
    clock.set(86_400);
    let jumped = daemon.event("clock_jumped");
    assert!((jumped["seconds"].as_f64().unwrap() - 86_400.0).abs() < 2.0, "{jumped}");
    let document = check_age(&daemon, before, after, 2.0);
    assert!(has(&document, ConditionKind::ClockTrouble), "{:?}", document.reasons);
    clock.set(-86_400);
    daemon.event("clock_jumped");
    let document = check_age(&daemon, before, after, 3.0);
    assert!(has(&document, ConditionKind::ClockTrouble), "{:?}", document.reasons);
    let behind = "behind the start of the last BMP session";
    assert!(document.reasons.iter().any(|reason| reason.contains(behind)), "{:?}", document.reasons);
}

#[test]
fn records_that_are_not_fsynced_are_counted_with_their_age() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[("WAL_SYNC_INTERVAL_MS", "8000")]);
    let before = Instant::now();
    let _router = daemon.send(&session("edge1", 0..3));
    let open = daemon.status_when(|document| document.wal.unsynced_records == 5);
    assert_eq!(open.wal.records_durable, 0);
    let later = daemon.status_when(|document| {
        document.wal.unsynced_s > open.wal.unsynced_s || document.wal.records_durable > 0
    });
    assert!(later.wal.unsynced_s <= before.elapsed().as_secs_f64(), "{:?}", later.wal);
    let synced = daemon.durable(5);
    assert_eq!((synced.wal.unsynced_records, synced.wal.unsynced_s), (0, 0.0));
}

#[test]
fn a_router_that_is_known_or_expected_and_not_connected_is_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let expected = [("EXPECTED_ROUTERS", "edge1,127.0.0.3")];
    let daemon = Daemon::start(folder.path(), &expected);
    let missing = daemon.status();
    assert!(has(&missing, ConditionKind::RoutersNotConnected), "{:?}", missing.reasons);
    assert!(
        missing.reasons.iter().any(|reason| reason.contains("edge1, 127.0.0.3")),
        "{:?}",
        missing.reasons
    );
    let absent = missing.routers.iter().find(|router| router.name == "edge1").unwrap();
    assert!(absent.expected && !absent.connected);
    assert_eq!((&absent.address, &absent.session, absent.last_message_age_s), (&None, &None, None));
    let first = daemon.send(&session("edge1", 0..1));
    let mut second = daemon.connect_from([127, 0, 0, 3]);
    second.write_all(&session("edge3", 0..1)).unwrap();
    let other = daemon.send(&session("other", 0..1));
    let all = daemon.status_when(|document| document.routers.iter().filter(|one| one.connected).count() == 3);
    assert_eq!((all.state, all.reasons), (Health::Healthy, Vec::new()));
    // A router that is not expected may leave, and stays in the list.
    drop(other);
    let left = daemon.status_when(|document| document.listener.connections == 2);
    assert_eq!(left.state, Health::Healthy, "{:?}", left.reasons);
    drop(first);
    let gone = daemon.status_when(|document| document.state == Health::Degraded);
    assert!(gone.reasons.iter().any(|reason| reason == "routers not connected: edge1"), "{:?}", gone.reasons);
    let router = gone.routers.iter().find(|router| router.name == "edge1").unwrap();
    assert_eq!((&router.address, router.last_message_age_s), (&None, None));
    assert!(router.session.is_some());
    daemon.kill();
    // Without the setting, every known router is expected.
    let daemon = Daemon::start(folder.path(), &[]);
    let known = daemon.status();
    let reason = "routers not connected: edge1, edge3, other";
    assert!(known.reasons.iter().any(|found| found == reason), "{:?}", known.reasons);
}

#[test]
fn full_and_refused_connections_are_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[("BMP_MAX_CONNECTIONS", "1")]);
    let router = daemon.send(&session("edge1", 0..1));
    let full = daemon.status_when(|document| document.listener.connections == 1);
    assert!(has(&full, ConditionKind::ConnectionsFull), "{:?}", full.reasons);
    assert!(!has(&full, ConditionKind::ConnectionsRefused) && full.listener.refused_age_s.is_none());
    let _refused = daemon.connect();
    daemon.event("connection_refused");
    let refused = daemon.status();
    assert!(has(&refused, ConditionKind::ConnectionsRefused), "{:?}", refused.reasons);
    assert!(refused.listener.refused_age_s.is_some());
    drop(router);
    let after = daemon.status_when(|document| document.listener.connections == 0);
    assert!(!has(&after, ConditionKind::ConnectionsFull) && has(&after, ConditionKind::ConnectionsRefused));
}

#[test]
fn a_peer_distinguisher_is_shown_as_a_route_distinguisher() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    let header = Header { peer_type: 1, distinguisher: 0x0001_c000_0201_0007, ..PEER };
    let up = header.peer_up(&open(65_001, &[]), &open(65_002, &[]), &[]);
    let _router = daemon.send(&[initiation("edge1"), peer_up(), up].concat());
    let document =
        daemon.status_when(|document| document.routers.first().is_some_and(|router| router.peers.len() == 2));
    let mut shown: Vec<&str> =
        document.routers[0].peers.iter().map(|peer| peer.distinguisher.as_str()).collect();
    shown.sort_unstable();
    assert_eq!(shown, ["0:0", "192.0.2.1:7"]);
    let page = text(&run(folder.path(), &["status", "--router", "edge1"], &[]).stdout);
    assert!(page.contains(" rd 192.0.2.1:7"), "{page}");
}

#[test]
fn a_socket_that_cannot_be_reached_says_nothing_about_the_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    let ask = |socket: &Path| {
        let output = run(folder.path(), &["status", "--socket", socket.to_str().unwrap()], &[]);
        (output.status.code(), text(&output.stderr))
    };
    assert_eq!(ask(&folder.path().join("status.sock")).0, Some(0));
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (code, message) = ask(&file.join("status.sock"));
    assert!(code == Some(3) && message.contains("status unknown"), "{code:?} {message}");
    assert_eq!(ask(&folder.path().join("absent.sock")).0, Some(2));

    // Without permission: as another user, with a copy of the program that this user can read.
    let copy = tempfile::tempdir().unwrap();
    let program = copy.path().join("holdfast");
    std::fs::copy(env!("CARGO_BIN_EXE_holdfast"), &program).unwrap();
    std::fs::set_permissions(copy.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut other = Command::new(&program);
    other.current_dir("/").env_clear().uid(65_534).gid(65_534);
    let socket = folder.path().join("status.sock");
    match other.args(["status", "--socket", socket.to_str().unwrap()]).output() {
        Ok(output) => {
            let message = text(&output.stderr);
            assert_eq!(output.status.code(), Some(3), "{message}");
            assert!(message.contains("status unknown") && message.contains("ermission denied"), "{message}");
        }
        Err(error) => println!("SKIPPED: cannot run a program as another user: {error}"),
    }
    drop(daemon);
}
