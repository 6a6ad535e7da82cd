//! The compiled program: start, stop, status, the service manager's protocol, the command line.

use std::io::Write as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::daemon::{self, Daemon, PATIENCE, logged, run, until};
use crate::common::messages::{self, PEER, initiation, open, plain_attributes, update, v4};
use holdfast::telemetry::status::Health;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Initiation, Peer Up, and one route for each number.
fn session(name: &str, routes: std::ops::Range<u8>) -> Vec<u8> {
    let opens = (open(65_001, &[]), open(65_002, &[]));
    let mut bytes = [initiation(name), PEER.peer_up(&opens.0, &opens.1, &[])].concat();
    for number in routes {
        let pdu = update(&[], &plain_attributes(&[65_001]), &v4(10, 0, number, 24));
        bytes.extend(PEER.route_monitoring(&pdu));
    }
    bytes
}

#[test]
fn the_port_that_the_kernel_chose_is_in_the_log_line_and_in_the_status() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    let status = daemon.status();
    assert_ne!(daemon.port, 0);
    assert_eq!(status.listener.address, format!("127.0.0.1:{}", daemon.port));
    assert_eq!((status.state, status.collector.as_str()), (Health::Healthy, "test"));
    assert!(status.delivery.is_none(), "store-only mode");
    let said = |line: &serde_json::Value| line["event"] == "store_only_mode";
    assert!(daemon.heard.iter().any(said), "store-only mode is said at start");
}

#[test]
fn status_answers_for_people_and_for_machines_with_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = run(folder.path(), &["status"], &[]);
    assert_eq!(nobody.status.code(), Some(2));
    assert!(text(&nobody.stderr).contains("no daemon answers"), "{}", text(&nobody.stderr));
    let daemon = Daemon::start(folder.path(), &[]);
    let _router = daemon.send(&session("edge1", 0..3));
    // One session, one peer, three routes. The status of a router is updated once per second.
    daemon.durable(5);
    daemon.status_when(|document| document.routers.iter().any(|router| router.routes == 3));
    let json = run(folder.path(), &["status", "--json"], &[]);
    assert_eq!(json.status.code(), Some(0));
    let document: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(document["routers"][0]["name"], "edge1");
    assert_eq!(document["routers"][0]["peers"][0]["views"]["adj-in-pre"][0]["family"], "ipv4_unicast");
    let table = run(folder.path(), &["status"], &[]);
    assert!(text(&table.stdout).contains("edge1"), "{}", text(&table.stdout));
    for (arguments, shown, hidden) in [
        (&["--all"][..], "adj-in-pre [ipv4_unicast 3]", "more: "),
        (&["--router", "edge1"], "adj-in-pre [ipv4_unicast 3]", "listener"),
        (&["--router", "127.0.0.1"], "edge1 (127.0.0.1:", "listener"),
        (&["--problems"], "no problems", "edge1"),
    ] {
        let output = run(folder.path(), &[&["status"], arguments].concat(), &[]);
        let page = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(page.contains(shown) && !page.contains(hidden), "{arguments:?}: {page}");
    }
    let both = run(folder.path(), &["status", "--all", "--problems"], &[]);
    assert!(text(&both.stderr).contains("cannot be used with"), "{}", text(&both.stderr));
    let unknown = run(folder.path(), &["status", "--router", "edge9"], &[]);
    assert_eq!((unknown.status.code(), text(&unknown.stdout).as_str()), (Some(3), ""));
    assert!(text(&unknown.stderr).contains("no router has the name or address edge9"));
    let socket = folder.path().join("status.sock");
    let elsewhere =
        run(std::env::temp_dir().as_path(), &["status", "--json", "--socket", socket.to_str().unwrap()], &[]);
    assert_eq!(elsewhere.status.code(), Some(0));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = daemon::command(folder.path(), &[])
        .arg("check-config")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
}

#[test]
fn a_second_daemon_on_the_same_log_says_who_has_it_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let first = Daemon::start(folder.path(), &[]);
    let second = run(folder.path(), &[], &[]);
    assert_eq!(second.status.code(), Some(1));
    let said = text(&second.stdout);
    assert!(said.contains("startup_error") && said.contains(&first.pid().to_string()), "{said}");
    assert_eq!(first.status().state, Health::Healthy, "and the first goes on");
}

#[test]
fn a_configuration_that_is_not_valid_stops_the_start_with_the_names() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&[][..], &["run"], &["check-config"]] {
        let output = run(folder.path(), arguments, &[("WAL_BYTE_MAX", "1"), ("DRAIN_LANES", "none")]);
        assert_eq!(output.status.code(), Some(78));
        let said = text(&output.stderr);
        assert!(
            said.contains("WAL_BYTE_MAX") && said.contains("DRAIN_LANES") && said.contains("did you mean"),
            "{said}"
        );
    }
    assert!(!folder.path().join("wal").exists(), "and nothing was made");
}

#[test]
fn check_config_shows_every_value_with_its_source() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".env"), "BATCH_MAX_ROUTES=500\nDB_PASSWORD='p$w'\n").unwrap();
    let output = run(folder.path(), &["check-config"], &[("LOG_LEVEL", "debug")]);
    let said = text(&output.stdout);
    let line = |name: &str| said.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("LOG_LEVEL").contains("debug") && line("LOG_LEVEL").contains("environment"));
    assert!(line("BATCH_MAX_ROUTES").contains("500") && line("BATCH_MAX_ROUTES").contains(".env"));
    assert!(line("DB_PASSWORD").contains("***") && !said.contains("p$w"));
    assert!(line("DRAIN_LANES").contains("default"));
}

#[test]
fn a_quiet_check_prints_only_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let check = |environment: &[(&str, &str)]| {
        let output = run(folder.path(), &["check-config", "--quiet"], environment);
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(check(&[]), (Some(0), String::new(), String::new()));
    let (code, printed, said) = check(&[("BMP_ALLOW", "edge1")]);
    assert_eq!((code, printed.as_str()), (Some(78), ""));
    assert!(said.contains("BMP_ALLOW (environment)"), "{said}");
}

/// The messages that the service manager receives, up to the first that begins with `last`.
fn messages(socket: &UnixDatagram, last: &str) -> Vec<String> {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut messages = Vec::new();
    loop {
        let mut bytes = [0; 4_096];
        let count = socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{error} after {messages:?}"));
        messages.push(text(&bytes[..count]));
        if messages.last().unwrap().starts_with(last) {
            return messages;
        }
    }
}

#[test]
fn the_service_manager_hears_ready_then_the_watchdog_then_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let daemon = Daemon::start(
        folder.path(),
        &[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "10000000")],
    );
    let to_ready = messages(&socket, "READY=1");
    assert!(
        !to_ready.iter().any(|message| message.starts_with("WATCHDOG")) || to_ready.len() <= 2,
        "{to_ready:?}"
    );
    messages(&socket, "WATCHDOG=1");
    messages(&socket, "WATCHDOG=1");
    let stopped = std::thread::spawn(move || daemon.stop());
    messages(&socket, "STOPPING=1");
    assert_eq!(stopped.join().unwrap().code(), Some(0));
}

#[test]
fn an_abstract_notify_socket_is_heard_too_and_no_watchdog_is_fed_that_nobody_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("holdfast-test-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let daemon = Daemon::start(folder.path(), &[("NOTIFY_SOCKET", &format!("@{name}"))]);
    messages(&socket, "READY=1");
    // Long enough for several beats.
    daemon.status_when(|document| document.uptime_s >= 3);
    let stopped = std::thread::spawn(move || daemon.stop());
    let rest = messages(&socket, "STOPPING=1");
    assert!(!rest.iter().any(|message| message.starts_with("WATCHDOG")), "{rest:?}");
    stopped.join().unwrap();
}

#[test]
fn the_service_manager_is_told_the_health_and_its_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("EXPECTED_ROUTERS", "edge9")];
    let daemon = Daemon::start(folder.path(), &environment);
    let status = daemon.status();
    assert_eq!(status.reasons, ["routers not connected: edge9"]);
    let expected = "STATUS=degraded, 0 connections, last batch fsynced 0, log 20 % full, no database: \
        routers not connected: edge9";
    messages(&socket, expected);
    assert_eq!(daemon.stop().code(), Some(0));
}

/// A Route Mirroring message of about a megabyte: it fills a log quickly.
fn bulky() -> Vec<u8> {
    let tlvs: Vec<u8> = (0..15).flat_map(|_| messages::tlv(0, &[0xaa; 60_000])).collect();
    PEER.mirror(&tlvs)
}

#[test]
fn at_the_cap_routers_wait_and_the_watchdog_lives_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let environment = [
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "10000000"),
        // One router fills the whole log.
        ("ROUTER_LOG_SHARE", "100"),
    ];
    let mut daemon = Daemon::start(folder.path(), &environment);
    let mut stream = daemon.send(&session("edge1", 0..1));
    // A write timeout, because the collector stops reading.
    stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let enough = Arc::new(AtomicBool::new(false));
    let (bulk, told) = (bulky(), Arc::clone(&enough));
    let feeder = std::thread::spawn(move || {
        let mut sent = 0;
        while !told.load(Ordering::Relaxed) {
            sent = (sent + stream.write(&bulk[sent..]).unwrap_or(0)) % bulk.len();
        }
        stream
    });
    let paused = daemon.event("log_paused");
    assert!(paused["reason"].as_str().unwrap().contains("limit"), "{paused}");
    enough.store(true, Ordering::Relaxed);
    let stream = feeder.join().unwrap();
    let status = daemon.status_when(|document| document.wal.paused.is_some());
    assert_eq!(status.state, Health::Degraded);
    assert_eq!(run(folder.path(), &["status"], &[]).status.code(), Some(1));
    // Earlier messages are discarded, so that the next ones were sent during the pause.
    socket.set_nonblocking(true).unwrap();
    let mut bytes = [0; 4_096];
    while socket.recv(&mut bytes).is_ok() {}
    socket.set_nonblocking(false).unwrap();
    messages(&socket, "WATCHDOG=1");
    messages(&socket, "WATCHDOG=1");
    assert!(daemon.status().wal.paused.is_some(), "still paused");
    drop(stream);
    daemon.kill();
    assert!(!logged(folder.path()).is_empty());
}

#[test]
fn with_the_database_away_a_start_is_a_start_and_routes_are_stored() {
    let folder = tempfile::tempdir().unwrap();
    // A listening port on which no PostgreSQL server answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let daemon = Daemon::start(
        folder.path(),
        &[("DB_HOST", "127.0.0.1"), ("DB_PORT", &port), ("DB_SSLMODE", "disable")],
    );
    let _router = daemon.send(&session("edge1", 0..9));
    let status = daemon.durable(11);
    assert_eq!(status.state, Health::Degraded, "{:?}", status.reasons);
    assert!(status.delivery.is_some());
    assert_eq!(daemon.stop().code(), Some(0), "and it stops in order");
}

/// The requests posted to a stand-in for Sentry, up to the first that contains `text`.
fn reported(server: &std::net::TcpListener, text: &str) -> Vec<String> {
    use std::io::Read as _;
    let mut bodies = Vec::new();
    for stream in server.incoming() {
        let mut stream = stream.unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (mut request, mut piece) = (Vec::new(), [0; 4_096]);
        let whole = |request: &[u8]| {
            let request = String::from_utf8_lossy(request).to_lowercase();
            let (head, body) = request.split_once("\r\n\r\n")?;
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
            (body.len() >= length.trim().parse::<usize>().unwrap()).then_some(())
        };
        while whole(&request).is_none() {
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&request));
            request.extend(&piece[..count]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}").unwrap();
        bodies.push(String::from_utf8_lossy(&request).into_owned());
        if bodies.last().unwrap().contains(text) {
            return bodies;
        }
    }
    bodies
}

#[test]
fn an_error_is_reported_once_with_what_led_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dsn = format!("http://key@{}/1", server.local_addr().unwrap());
    let mut daemon = Daemon::start(folder.path(), &[("SENTRY_DSN", &dsn), ("SENTRY_ENVIRONMENT", "lab")]);
    let broken = [session("edge1", 0..1), b"GET / HTTP/1.1".to_vec()].concat();
    for _ in 0..3 {
        drop(daemon.send(&broken));
        daemon.event("peer_disconnected");
    }
    let bodies = reported(&server, "bmp_parse_error");
    let report = bodies.last().unwrap();
    for part in ["474554202f", "lab", "bmp_peer_up", "\"peer_ip\":\"127.0.0.1\"", "holdfast@"] {
        assert!(report.contains(part), "{part} is not in {report}");
    }
    let stopped = std::thread::spawn(move || daemon.stop());
    assert_eq!(stopped.join().unwrap().code(), Some(0));
    server.set_nonblocking(true).unwrap();
    assert!(server.accept().is_err(), "one error is one report, however often it comes");
}

#[test]
fn decode_prints_one_line_for_each_record_and_says_where_a_stream_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let stream = session("edge1", 0..2);
    std::fs::write(folder.path().join("good.bmp"), &stream).unwrap();
    let hex: String = stream.iter().map(|byte| format!("{byte:02x} ")).collect();
    std::fs::write(folder.path().join("good.hex"), hex).unwrap();
    let plain = run(folder.path(), &["decode", "good.bmp"], &[]);
    assert_eq!((plain.status.code(), text(&plain.stderr).as_str()), (Some(0), ""));
    let lines: Vec<serde_json::Value> =
        text(&plain.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!((&lines[0]["event_type"], &lines[1]["event_type"]), (&"session_up".into(), &"peer_up".into()));
    assert_eq!((&lines[3]["prefix"], &lines[3]["message"]), (&"10.0.1.0/24".into(), &3.into()));
    let place = usize::try_from(lines[3]["offset"].as_u64().unwrap()).unwrap();
    assert_eq!(stream[place], 3, "the offset is where the message begins");
    assert_eq!(run(folder.path(), &["decode", "--hex", "good.hex"], &[]).stdout, plain.stdout);

    std::fs::write(folder.path().join("cut.bmp"), &stream[..stream.len() - 1]).unwrap();
    let cut = run(folder.path(), &["decode", "cut.bmp"], &[]);
    assert_eq!(cut.status.code(), Some(1));
    assert_eq!(text(&cut.stdout).lines().count(), 3, "what is whole is printed");
    assert!(text(&cut.stderr).contains("truncated message"), "{}", text(&cut.stderr));
    std::fs::write(folder.path().join("http.bmp"), [stream, b"GET / HTTP/1.1\r\n".to_vec()].concat())
        .unwrap();
    let http = run(folder.path(), &["decode", "http.bmp"], &[]);
    assert!(text(&http.stderr).contains("474554202f"), "{}", text(&http.stderr));
    assert_eq!(run(folder.path(), &["decode", "absent.bmp"], &[]).status.code(), Some(2));
}

#[test]
fn the_version_is_that_of_the_build() {
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast")).arg("--version").output().unwrap();
    assert_eq!(text(&output.stdout), format!("holdfast {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_stop_without_routers_leaves_a_log_that_was_closed_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    let socket = folder.path().join("status.sock");
    assert_eq!(daemon.stop().code(), Some(0));
    assert!(!socket.exists(), "the status socket is gone");
    let next = Daemon::start(folder.path(), &[]);
    let opened = next.heard.iter().find(|line| line["event"] == "log_opened").unwrap().clone();
    assert_eq!(opened["closed_cleanly"], true);
    until(|| Some(next.status()), || "no status".to_owned());
}
