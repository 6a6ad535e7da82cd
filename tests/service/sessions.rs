//! Sessions of the compiled program with routers, and the records that reach the log.

use std::io::{Read as _, Write as _};
use std::process::Command;
use std::time::Duration;

use crate::common::daemon::{
    self, Daemon, command_with_small_files, event_names, gaps, logged, logged_events,
};
use crate::common::messages::{
    Header, PEER, bmp, initiation, mp_reach, open, plain_attributes, termination, update, v4, v4_path,
};
use holdfast::route::{EventKind, SessionEnd};
use holdfast::telemetry::status::{PeerState, StaleReason};
use holdfast::wal::{Disk, LogId, Options, recover};

fn peer_up() -> Vec<u8> {
    PEER.peer_up(&open(65_001, &[]), &open(65_002, &[]), &[])
}

fn route(number: u8) -> Vec<u8> {
    PEER.route_monitoring(&update(&[], &plain_attributes(&[65_001]), &v4(10, 0, number, 24)))
}

/// Initiation, Peer Up, and one route for each number.
fn session(name: &str, routes: std::ops::Range<u8>) -> Vec<u8> {
    let mut bytes = [initiation(name), peer_up()].concat();
    routes.for_each(|number| bytes.extend(route(number)));
    bytes
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// How sessions ended, in the order of the log.
fn ends(folder: &std::path::Path) -> Vec<SessionEnd> {
    let end = |(_, event): (String, holdfast::route::Event)| match event.kind {
        EventKind::SessionDown { end } => Some(end),
        _ => None,
    };
    logged_events(folder).into_iter().filter_map(end).collect()
}

/// Waits until the daemon has closed the connection.
fn closed(mut stream: std::net::TcpStream) {
    stream.set_read_timeout(Some(daemon::PATIENCE)).unwrap();
    let mut byte = [0];
    assert!(matches!(stream.read(&mut byte), Ok(0) | Err(_)), "BMP is one way");
}

#[test]
fn one_route_is_logged_without_another_byte_to_push_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[("LOG_LEVEL", "DEBUG")]);
    let mut router = daemon.send(&session("edge1", 0..0));
    daemon.durable(2);
    for number in 0..5 {
        router.write_all(&route(number)).unwrap();
        daemon.durable(u64::from(number) + 3);
    }
    // All batches are flushed once per second as well, so that not every batch is flushed by its age.
    let by_age = |line: &&serde_json::Value| line["flush_trigger"] == "timeout";
    assert!(daemon.lines().iter().filter(by_age).count() >= 3, "{:#?}", daemon.heard);
    daemon.kill();
    assert_eq!(logged(folder.path()).iter().map(|batch| batch.nlri.len()).sum::<usize>(), 5);
}

#[test]
fn what_was_durable_is_in_the_log_after_a_kill_and_the_crash_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    let router = daemon.send(&session("edge1", 0..200));
    daemon.durable(202);
    daemon.kill();
    drop(router);
    let before = logged(folder.path());
    assert_eq!(before.iter().map(|batch| batch.nlri.len()).sum::<usize>(), 200);
    let first = before[0].router.session;

    let daemon = Daemon::start(folder.path(), &[]);
    let _router = daemon.send(&session("edge1", 0..1));
    daemon.durable(6);
    daemon.kill();
    let names = event_names(folder.path(), "edge1");
    assert_eq!(
        names,
        ["session_up", "peer_up", "peer_stale", "session_down", "gap", "session_up", "peer_up"],
        "the crash stands before the new session"
    );
    assert_eq!(ends(folder.path()), [SessionEnd::CollectorCrash]);
    let gaps = gaps(folder.path());
    let [(router, reason, from, until)] = gaps.as_slice() else { panic!("{gaps:?}") };
    assert_eq!((router.as_str(), reason.as_str()), ("edge1", "crash"));
    assert!(first.0 <= *from && from < until, "{first:?} {from} {until}");
    let after = logged(folder.path());
    let stale =
        after.iter().find(|batch| batch.events.iter().any(|event| event.kind.name() == "gap")).unwrap();
    assert_eq!(stale.router.session, first, "it is about the session that was lost");
    assert!(after.last().unwrap().router.session > first);
}

#[test]
fn a_crash_that_was_told_is_not_told_again_by_a_start_that_has_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    let router = daemon.send(&session("edge1", 0..3));
    daemon.durable(5);
    daemon.kill();
    drop(router);
    // The records of the crash are written and not synced: the next start cannot know whether they are
    // durable.
    let daemon = Daemon::start(folder.path(), &[("WAL_SYNC_INTERVAL_MS", "60000")]);
    daemon.status_when(|document| document.wal.written > document.wal.durable);
    daemon.kill();

    // No file can grow to the length of a segment, so that their copy finds no room, and no reader is shown
    // them.
    match std::fs::remove_file(folder.path().join("wal/next")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        // The daemon may have been killed before it had allocated the file.
        _ => {}
    }
    let mut daemon = Daemon::start_as(&mut command_with_small_files(folder.path()), folder.path());
    daemon.event_since_start("log_paused");
    let pid = daemon.pid().to_string();
    let raised = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap();
    assert!(raised.success());
    daemon.event("log_resumed");
    assert!(daemon.stop().success());
    assert_eq!(ends(folder.path()), [SessionEnd::CollectorCrash]);
    assert_eq!(gaps(folder.path()).len(), 1);
}

#[test]
fn a_crash_that_could_not_be_told_is_told_by_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    let router = daemon.send(&session("edge1", 0..3));
    daemon.durable(5);
    daemon.kill();
    drop(router);
    // After a second recovery, the whole session is known to be durable.
    let wal = folder.path().join("wal");
    let options =
        Options { free_percent_min: 0, segment_bytes: 16 << 20, ..Options::new(LogId([1; 16]), 1, 0) };
    drop(recover(Disk::open(&wal).unwrap(), options).unwrap());
    std::fs::remove_file(wal.join("next")).unwrap_or_default();
    let mut daemon = Daemon::start_as(&mut command_with_small_files(folder.path()), folder.path());
    // The records are queued, but there is no space for them; the stop keeps the open session in the state.
    daemon.event_since_start("log_paused");
    assert!(!daemon.stop().success());
    assert_eq!(ends(folder.path()), []);
    let daemon = Daemon::start(folder.path(), &[]);
    daemon.durable(3);
    daemon.stop();
    assert_eq!(ends(folder.path()), [SessionEnd::CollectorCrash]);
    assert_eq!(gaps(folder.path()).len(), 1);
}

#[test]
fn a_stop_ends_every_session_and_the_gap_until_the_next_start_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    let routers = [daemon.send(&session("edge1", 0..2)), daemon.send(&session("edge2", 0..2))];
    daemon.durable(8);
    assert_eq!(daemon.stop().code(), Some(0));
    for router in routers {
        closed(router);
    }
    for name in ["edge1", "edge2"] {
        assert_eq!(event_names(folder.path(), name), ["session_up", "peer_up", "peer_stale", "session_down"]);
    }
    assert_eq!(ends(folder.path()), [SessionEnd::CollectorStop, SessionEnd::CollectorStop]);
    // The two sessions end concurrently, so that the last event in the log need not be the latest.
    let stopped_at = logged_events(folder.path()).iter().map(|(_, event)| event.received.0).max().unwrap();

    let daemon = Daemon::start(folder.path(), &[]);
    daemon.durable(2);
    assert_eq!(daemon.stop().code(), Some(0));
    let told = gaps(folder.path());
    assert_eq!(told.len(), 2);
    for (_, reason, from, until) in &told {
        assert_eq!(reason, "stop");
        assert!(*from <= stopped_at && stopped_at < *until);
    }
    Daemon::start(folder.path(), &[]).stop();
    assert_eq!(gaps(folder.path()).len(), 2, "and it is told once");
}

#[test]
fn what_a_router_had_sent_before_the_stop_is_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    let mut router = daemon.send(&session("edge1", 0..1));
    daemon.durable(3);
    let burst: Vec<u8> = (0..40).flat_map(|_| session("edge1", 0..250)).collect();
    router.write_all(&burst).unwrap();
    assert_eq!(daemon.stop().code(), Some(0));
    let rows: usize = logged(folder.path()).iter().map(|batch| batch.nlri.len()).sum();
    assert_eq!(rows, 1 + 40 * 250);
}

#[test]
fn a_session_that_ended_before_the_crash_is_no_part_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    let gone = daemon.send(&session("gone", 0..2));
    daemon.durable(4);
    drop(gone);
    daemon.durable(6);
    let said_goodbye = daemon.send(&[session("polite", 0..2), termination(0)].concat());
    daemon.durable(12);
    closed(said_goodbye);
    daemon.kill();
    let daemon = Daemon::start(folder.path(), &[]);
    daemon.stop();
    assert_eq!(ends(folder.path()), [SessionEnd::Lost, SessionEnd::Terminated(Some(0))]);
    assert!(gaps(folder.path()).is_empty());
}

#[test]
fn the_state_is_rebuilt_from_the_log_when_sled_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    let _router = daemon.send(&session("edge1", 0..2));
    daemon.durable(4);
    daemon.kill();
    std::fs::write(folder.path().join("sled/conf"), b"this is no sled").unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    let moved = daemon.heard.iter().find(|line| line["event"] == "state_moved_aside").cloned();
    assert!(moved.is_some(), "{:#?}", daemon.heard);
    daemon.durable(3);
    daemon.stop();
    assert!(folder.path().join("sled.broken-1").exists());
    assert_eq!(
        event_names(folder.path(), "edge1"),
        ["session_up", "peer_up", "peer_stale", "session_down", "gap"]
    );
}

#[test]
fn a_state_that_was_deleted_comes_back_from_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    let _router = daemon.send(&session("edge1", 0..2));
    daemon.durable(4);
    daemon.kill();
    std::fs::remove_dir_all(folder.path().join("sled")).unwrap();
    Daemon::start(folder.path(), &[]).stop();
    assert_eq!(ends(folder.path()), [SessionEnd::CollectorCrash]);
}

#[test]
fn an_empty_connection_is_not_a_router() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    drop(daemon.connect());
    let status =
        daemon.status_when(|document| document.listener.accepted == 1 && document.listener.connections == 0);
    assert!(status.routers.is_empty());
    daemon.stop();
    assert!(logged(folder.path()).is_empty());
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[("BMP_FIRST_MESSAGE_S", "1")]);
    let silent = daemon.connect();
    let half = daemon.send(&initiation("edge1")[..10]);
    let router = daemon.send(&session("edge1", 0..1));
    closed(silent);
    closed(half);
    let status = daemon.status_when(|document| document.listener.connections == 1);
    assert_eq!(status.routers[0].name, "edge1", "a router that has spoken may be silent for ever");
    drop(router);
}

#[test]
fn bytes_that_are_no_bmp_end_the_session_cleanly_with_the_hex_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[]);
    let stream = daemon.send(&[session("edge1", 0..2), b"GET / HTTP/1.1\r\n\r\n".to_vec()].concat());
    let error = daemon.event("bmp_parse_error");
    assert_eq!(error["data_hex"], "474554202f20485454502f312e310d0a0d0a");
    assert_eq!(error["peer"], "127.0.0.1");
    closed(stream);
    daemon.durable(6);
    assert_eq!(ends(folder.path()), [SessionEnd::Protocol]);
    // A port scanner leaves no record in the log, and one line that is no error.
    for _ in 0..50 {
        closed(daemon.send(b"\x16\x03\x01\x02\x00\x01\x00"));
    }
    daemon.event("connection_without_bmp");
    daemon.status_when(|document| document.listener.connections == 0);
    let lines = daemon.lines();
    let shown = |event: &str| lines.iter().filter(|line| line["event"] == event).collect::<Vec<_>>();
    assert_eq!(shown("bmp_parse_error").len(), 1);
    let probes = shown("connection_without_bmp");
    assert!(probes.len() < 10, "repetitions are counted, not written: {probes:?}");
    assert!(probes.iter().all(|line| line["level"] == "WARNING"), "{probes:?}");
    daemon.stop();
    assert_eq!(ends(folder.path()).len(), 1);
}

#[test]
fn an_unknown_message_type_does_not_end_a_session() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    let _router =
        daemon.send(&[session("edge1", 0..1), bmp(100, &[1; 5_000]), bmp(250, &[]), route(2)].concat());
    daemon.durable(4);
    let status =
        daemon.status_when(|document| document.routers.first().is_some_and(|router| router.messages == 6));
    assert_eq!(status.routers[0].errors, 0);
}

#[test]
fn a_message_of_a_megabyte_is_taken_and_one_byte_more_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[]);
    let largest = bmp(100, &vec![0; (1 << 20) - 6]);
    let _router = daemon.send(&[session("edge1", 0..1), largest, route(2)].concat());
    daemon.durable(4);
    let too_long = [3, 0, 0x10, 0, 1, 4];
    closed(daemon.send(&[initiation("edge2"), too_long.to_vec()].concat()));
    let error = daemon.event("bmp_parse_error");
    assert!(error["error"].as_str().unwrap().contains("1048577"), "{error}");
}

#[test]
fn who_is_not_allowed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[("BMP_ALLOW", "127.0.0.2, 127.0.1.0/24")]);
    closed(daemon.connect());
    assert_eq!(daemon.event("connection_refused")["reason"], "not in BMP_ALLOW");
    let mut allowed = daemon.connect_from([127, 0, 1, 77]);
    allowed.write_all(&session("edge1", 0..1)).unwrap();
    daemon.durable(3);
    let listener = daemon.status().listener;
    assert_eq!((listener.accepted, listener.refused), (1, 1));
}

#[test]
fn no_more_routers_than_configured_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[("BMP_MAX_CONNECTIONS", "2")]);
    let first = daemon.send(&session("edge1", 0..1));
    let _second = daemon.send(&session("edge2", 0..1));
    daemon.durable(6);
    closed(daemon.connect());
    assert_eq!(daemon.event("connection_refused")["reason"], "BMP_MAX_CONNECTIONS");
    drop(first);
    daemon.status_when(|document| document.listener.connections == 1);
    let _third = daemon.send(&session("edge3", 0..1));
    daemon.status_when(|document| document.routers.iter().any(|router| router.name == "edge3"));
}

#[test]
fn a_lack_of_descriptors_is_waited_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start_as(&mut daemon::command_with_files(40, folder.path()), folder.path());
    let router = daemon.send(&session("edge1", 0..1));
    daemon.durable(3);
    let crowd: Vec<_> = (0..60).map(|_| daemon.connect()).collect();
    daemon.event("connection_error");
    drop(crowd);
    drop(router);
    // The status socket answers as soon as file descriptors are available.
    let _router = daemon.send(&session("edge2", 0..1));
    daemon::until(
        || {
            let answer = holdfast::telemetry::status::fetch(&folder.path().join("status.sock")).ok()?;
            answer.routers.iter().any(|router| router.name == "edge2").then_some(())
        },
        || "the listener does not recover".to_owned(),
    );
}

#[test]
fn two_live_routers_that_claim_one_name_stay_two_with_an_alarm() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[]);
    let _first = daemon.send(&session("edge1", 0..2));
    daemon.durable(4);
    let mut second = daemon.connect_from([127, 0, 0, 2]);
    second.write_all(&session("edge1", 0..2)).unwrap();
    let alarm = daemon.event("router_name_conflict");
    assert_eq!(alarm["stored_as"], "edge1@127.0.0.2");
    let status = daemon.status_when(|document| document.routers.len() == 2);
    assert!(status.reasons.iter().any(|reason| reason.contains("edge1@127.0.0.2")), "{:?}", status.reasons);
    daemon.durable(8);
    daemon.stop();
    assert_eq!(event_names(folder.path(), "edge1").len(), 4);
    assert_eq!(event_names(folder.path(), "edge1@127.0.0.2").len(), 4);
}

#[test]
fn a_configured_name_wins_over_the_sys_name() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[("BMP_ROUTER_NAMES", "127.0.0.1=core1")]);
    let _router = daemon.send(&session("edge1", 0..1));
    daemon.durable(3);
    assert!(logged(folder.path()).iter().all(|batch| batch.router.name == "core1"));
}

#[test]
fn an_override_decides_how_a_router_is_read_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let overrides = "edge1/ipv4_unicast:add-path=on,edge1:as-width=4,edge2:add-path=off";
    let mut daemon = Daemon::start(folder.path(), &[("BMP_OVERRIDES", overrides)]);
    // Nothing is agreed on, and the two fields could also be read as prefixes without identifiers.
    let path = plain_attributes(&[65_001]);
    let routes = [v4_path(0, 10, 0, 1, 24), v4_path(0, 10, 0, 2, 24)].concat();
    let routes = PEER.route_monitoring(&update(&[], &path, &routes));
    let _router = daemon.send(&[session("edge1", 0..0), routes].concat());
    assert_eq!(daemon.event("router_overrides")["overrides"], "as-width=4 ipv4_unicast:add-path=on");
    daemon.durable(4);
    daemon.stop();
    let groups: Vec<_> = logged(folder.path()).iter().flat_map(|batch| batch.groups.clone()).collect();
    assert_eq!(groups.iter().map(|group| (group.rows, group.add_path)).collect::<Vec<_>>(), [(2, true)]);
}

#[test]
fn a_half_open_session_that_ends_late_leaves_its_successor_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[]);
    let old = daemon.send(&session("edge1", 0..1));
    daemon.durable(3);
    let _new = daemon.send(&session("edge1", 0..1));
    daemon.event("router_session_overlaps");
    daemon.durable(6);
    drop(old);
    daemon.durable(8);
    // The status of a session is published in its first second.
    let status = daemon.status_when(|document| document.routers.len() == 1 && document.routers[0].connected);
    assert!(status.reasons.is_empty(), "{status:#?}");
    assert_eq!(status.routers[0].peers.iter().map(|peer| peer.state).collect::<Vec<_>>(), [PeerState::Up]);
    // The next start finds only the successor open.
    daemon.kill();
    Daemon::start(folder.path(), &[]).stop();
    let names = event_names(folder.path(), "edge1");
    assert_eq!(names[4..], ["peer_stale", "session_down", "peer_stale", "session_down", "gap"], "{names:?}");
    assert_eq!(ends(folder.path()), [SessionEnd::Lost, SessionEnd::CollectorCrash]);
}

#[test]
fn a_router_with_more_families_than_are_followed_shows_in_the_status() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    let mut router = daemon.send(&session("crowd\u{1b}[2J", 0..1));
    let few = daemon.status_when(|document| document.routers.first().is_some_and(|one| one.routes == 1));
    assert_eq!((few.routers[0].untracked_peers, few.reasons), (0, Vec::new()));
    for number in 0..100 {
        let attributes = mp_reach(0x8000 | number, 200, &[192, 0, 2, 9], &[1, 2, 3]);
        router.write_all(&PEER.route_monitoring(&update(&[], &attributes, &[]))).unwrap();
    }
    let many = daemon.status_when(|document| document.routers.first().is_some_and(|one| one.routes == 101));
    assert!(many.routers[0].untracked_peers > 0);
    assert_eq!(many.reasons, ["crowd\u{1b}[2J exceeds the tracked peer/family limit"]);
    let page = text(&daemon::run(folder.path(), &["status", "--all"], &[]).stdout);
    assert!(page.contains("peer/family limit exceeded"), "{page}");
    assert!(page.contains("! crowd [2J exceeds") && !page.contains('\u{1b}'), "a name cannot draw: {page:?}");
}

#[test]
fn a_router_that_sends_no_table_after_a_reconnect_stays_stale_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    drop(daemon.send(&session("bird", 0..2)));
    daemon.durable(6);
    let gone = daemon.status_when(|document| document.routers.first().is_some_and(|one| !one.connected));
    let peer = &gone.routers[0].peers[0];
    assert_eq!((peer.state, peer.reason), (PeerState::Stale, Some(StaleReason::RouterNotConnected)));
    // BIRD 3 sends its Initiation, and no Peer Up and no route until the BGP session itself flaps.
    let mut again = daemon.send(&initiation("bird"));
    let back = daemon.status_when(|document| document.routers.first().is_some_and(|one| one.connected));
    let peer = &back.routers[0].peers[0];
    assert_eq!((peer.state, peer.reason), (PeerState::Stale, Some(StaleReason::NotReannounced)));
    assert!(!back.routers[0].dump_seen);
    let page = text(&daemon::run(folder.path(), &["status", "--all"], &[]).stdout);
    let reason = "not re-announced since reconnect";
    assert!(page.contains("connected, no initial dump received") && page.contains(reason), "{page}");
    again.write_all(&[peer_up(), route(0)].concat()).unwrap();
    daemon.status_when(|document| document.routers[0].peers[0].state == PeerState::Up);
    // The other route stays stale, because no End-of-RIB follows.
    let page = text(&daemon::run(folder.path(), &["status", "--all"], &[]).stdout);
    assert!(page.contains("stay stale: no End-of-RIB since the reconnect"), "{page}");
}

#[test]
fn a_router_that_comes_back_sends_its_table_again_and_that_is_marked() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    let first = daemon.send(&session("edge1", 0..3));
    daemon.durable(5);
    drop(first);
    daemon.durable(7);
    let stale =
        daemon.status_when(|document| document.routers.first().is_some_and(|router| !router.connected));
    assert_eq!(stale.routers[0].peers[0].state, PeerState::Stale);
    let _second = daemon.send(&session("edge1", 0..3));
    daemon.durable(12);
    let causes: Vec<&str> = logged(folder.path())
        .iter()
        .flat_map(|batch| batch.groups.clone())
        .map(|group| group.cause.name(group.action))
        .collect();
    assert_eq!(causes, ["initial-dump", "initial-dump", "initial-dump", "re-dump", "re-dump", "re-dump"]);
}

#[test]
fn a_peer_without_peer_up_is_stale_after_a_crash_too() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    // GoBGP sends its Loc-RIB without a Peer Up.
    let loc_rib = Header { peer_type: 3, ..PEER };
    let pdu = update(&[], &plain_attributes(&[65_001]), &v4(10, 0, 0, 24));
    let _router = daemon.send(&[initiation("gobgp"), loc_rib.route_monitoring(&pdu)].concat());
    daemon.durable(2);
    daemon.kill();
    Daemon::start(folder.path(), &[]).stop();
    assert_eq!(event_names(folder.path(), "gobgp"), ["session_up", "peer_stale", "session_down", "gap"]);
}

#[test]
fn route_stats_are_logged_for_each_active_router() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[("STATS_INTERVAL_S", "1")]);
    let _router = daemon.send(&session("edge1", 0..50));
    let stats = daemon.event("route_stats");
    assert_eq!((&stats["router"], &stats["peer"]), (&"edge1".into(), &"127.0.0.1".into()));
    assert_eq!(
        (&stats["received"], &stats["processed"], &stats["ipv4"]),
        (&52.into(), &50.into(), &50.into())
    );
    assert_eq!((&stats["ipv6"], &stats["evpn"], &stats["errors"]), (&0.into(), &0.into(), &0.into()));
}

#[test]
fn many_routers_at_once_lose_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    let routers: Vec<_> = (0..8)
        .map(|number| {
            let mut stream = daemon.connect();
            std::thread::spawn(move || {
                for _ in 0..10 {
                    stream.write_all(&session(&format!("edge{number}"), 0..250)).unwrap();
                    std::thread::sleep(Duration::from_millis(1));
                }
                stream
            })
        })
        .collect();
    let streams: Vec<_> = routers.into_iter().map(|router| router.join().unwrap()).collect();
    daemon.durable(8 * 10 * 252);
    drop(streams);
    daemon.stop();
    for number in 0..8 {
        let name = format!("edge{number}");
        let batches = logged(folder.path());
        let rows: usize =
            batches.iter().filter(|batch| batch.router.name == name).map(|batch| batch.nlri.len()).sum();
        assert_eq!(rows, 2_500, "{name}");
    }
}
