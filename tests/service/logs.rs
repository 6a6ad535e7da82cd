//! Log lines: an output that accepts none must not stop the collector, and lost lines are counted.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::away::Away;
use crate::common::daemon::{self, Daemon, until};
use crate::common::messages::{PEER, initiation, open, plain_attributes, update, v4};
use holdfast::telemetry::status::{Document, fetch};
use serde_json::Value;

/// Routers, each with its own connection.
const ROUTERS: u8 = 100;
/// Routes of each router, one message and one log line each. All lines together are several times as large
/// as the queue of the log output and the buffer of a pipe.
const ROUTES: u8 = 250;

/// The daemon, whose standard output is a pipe that is not read.
struct Unread {
    child: Child,
    /// The socket of the service manager.
    manager: UnixDatagram,
}

impl Unread {
    fn start(folder: &Path) -> Self {
        Self::start_with(folder, Stdio::piped(), &[])
    }

    /// Starts the daemon with another output, which is not read either.
    fn start_with(folder: &Path, out: Stdio, more: &[(&str, &str)]) -> Self {
        let notify = folder.join("notify.sock");
        let manager = UnixDatagram::bind(&notify).unwrap();
        let environment = [
            ("LOG_LEVEL", "DEBUG"),
            ("NOTIFY_SOCKET", notify.to_str().unwrap()),
            ("WATCHDOG_USEC", "30000000"),
        ];
        let child = daemon::command(folder, &[environment.as_slice(), more].concat())
            .stdout(out)
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Self { child, manager }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn wait(mut self) -> ExitStatus {
        until(|| self.child.try_wait().unwrap(), || "the daemon does not stop".to_owned())
    }

    /// Waits until the service manager receives a message with this line that was sent after this call.
    fn notification(&self, wanted: &str) {
        let mut bytes = [0; 4096];
        self.manager.set_nonblocking(true).unwrap();
        // Messages of the past.
        while self.manager.recv(&mut bytes).is_ok() {}
        let received = || {
            let length = self.manager.recv(&mut bytes).ok()?;
            String::from_utf8_lossy(&bytes[..length]).lines().any(|line| line == wanted).then_some(())
        };
        until(received, || format!("no {wanted}"));
    }
}

/// Kills the daemon, also when a test fails.
impl Drop for Unread {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until the daemon answers with a status that fulfills the condition.
fn status_when(folder: &Path, wanted: impl Fn(&Document) -> bool) -> Document {
    let status = || fetch(&folder.join("status.sock")).ok();
    until(|| status().filter(&wanted), || format!("{:#?}", status()))
}

/// Initiation, Peer Up, and the routes of one router.
fn session(router: u8) -> Vec<u8> {
    let opens = (open(65_001, &[]), open(65_002, &[]));
    let name = format!("edge{router}");
    let mut bytes = [initiation(&name), PEER.peer_up(&opens.0, &opens.1, &[])].concat();
    for route in 0..ROUTES {
        let pdu = update(&[], &plain_attributes(&[65_001, 65_002]), &v4(10, router, route, 24));
        bytes.extend(PEER.route_monitoring(&pdu));
    }
    bytes
}

/// Connects all routers to the daemon in `folder`, and waits until all of their records are durable.
fn collect(folder: &Path) -> Vec<std::net::TcpStream> {
    use std::io::Write as _;
    let address = status_when(folder, |_| true).listener.address;
    let send = |router| {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        stream.write_all(&session(router)).unwrap();
        stream
    };
    let routers = (0..ROUTERS).map(send).collect();
    // One session and one Peer Up for each router.
    let records = u64::from(ROUTERS) * (u64::from(ROUTES) + 2);
    status_when(folder, |document| document.wal.records_durable >= records);
    routers
}

#[test]
fn an_output_that_nobody_reads_stops_neither_routers_nor_status_nor_watchdog_nor_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Unread::start(folder.path());
    let _routers = collect(folder.path());
    let status = status_when(folder.path(), |document| document.log_output.lines_dropped > 0);
    assert!(status.log_output.blocked_s > 0.0, "{:?}", status.log_output);
    daemon.notification("WATCHDOG=1");
    daemon.signal("-TERM");
    assert_eq!(daemon.wait().code(), Some(0));
    let opened = daemon::logged(folder.path()).len();
    assert!(opened >= usize::from(ROUTERS), "{opened} batches");
}

#[test]
fn lines_that_a_full_disk_refuses_are_counted_and_nothing_else_fails() {
    let folder = tempfile::tempdir().unwrap();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let daemon = Unread::start_with(folder.path(), full.into(), &[]);
    let status = status_when(folder.path(), |document| document.log_output.error.is_some());
    assert!(status.log_output.error.as_ref().unwrap().contains("No space left"), "{:?}", status.log_output);
    assert!(status.log_output.lines_dropped > 0);
    let reasons = daemon::run(folder.path(), &["status"], &[]);
    assert_eq!(reasons.status.code(), Some(1));
    let text = String::from_utf8(reasons.stdout).unwrap();
    assert!(text.contains("log lines cannot be written") && text.contains("dropped since start"), "{text}");
    daemon.notification("WATCHDOG=1");
    daemon.signal("-TERM");
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn lines_for_the_journal_begin_with_their_priority() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let file = std::fs::File::create(&path).unwrap();
    let metadata = file.metadata().unwrap();
    let stream = format!("{}:{}", metadata.dev(), metadata.ino());
    let daemon = Unread::start_with(folder.path(), file.into(), &[("JOURNAL_STREAM", &stream)]);
    status_when(folder.path(), |_| true);
    daemon.signal("-TERM");
    assert_eq!(daemon.wait().code(), Some(0));
    let text = std::fs::read_to_string(&path).unwrap();
    for line in text.lines() {
        let (priority, json) = line.split_at(3);
        let line: Value = serde_json::from_str(json).unwrap();
        let expected = match line["level"].as_str().unwrap() {
            "ERROR" => "<3>",
            "WARNING" => "<4>",
            "INFO" => "<6>",
            _ => "<7>",
        };
        assert_eq!(priority, expected, "{line}");
    }
    assert!(text.contains("<4>{\"event\":\"store_only_mode\""), "{text}");
}

#[test]
fn a_peer_up_and_a_peer_down_have_their_numbers_as_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[]);
    let _router = daemon.send(&[session(1), PEER.peer_down(2, &[0, 1])].concat());
    let up = daemon.event("bmp_peer_up");
    assert!(up["bgp_peer_asn"].is_u64() && up["port"].is_u64(), "{up}");
    assert_eq!(up["peer"], "127.0.0.1");
    let down = daemon.event("bmp_peer_down");
    assert_eq!((&down["bgp_peer_asn"], &down["reason_code"]), (&up["bgp_peer_asn"], &2.into()), "{down}");
    assert_eq!(daemon.stop().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_database_has_a_beginning_and_an_end() {
    let Some(away) = Away::new("outage").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = away.daemon(folder.path(), &[("DB_COMMAND_TIMEOUT_S", "1"), ("DRAIN_LANES", "1")]);
    let connected = daemon.event_since_start("database_connected");
    assert!(connected["postgres_version"].is_string() && connected["timescaledb_version"].is_string());
    let _router = daemon.send(&session(1));
    daemon.status_when(|document| document.delivery.as_ref().unwrap().delivered > Some(0));
    away.is_away(true);
    let _other = daemon.send(&session(2));
    let failed = daemon.event("delivery_failed");
    assert_eq!(failed["level"], "WARNING");
    // The lane of each class has lines of its own.
    let of_that_lane = |daemon: &mut Daemon, event: &str| loop {
        let line = daemon.event(event);
        if line["lane"] == failed["lane"] {
            return line;
        }
    };
    // Further failures are counted, until a line of its own that has their number.
    let again = of_that_lane(&mut daemon, "delivery_failed");
    assert!(again["error"].is_string(), "{again}");
    away.is_away(false);
    let resumed = of_that_lane(&mut daemon, "delivery_resumed");
    assert_eq!(resumed["level"], "INFO");
    assert!(resumed["failures"].as_u64().unwrap() >= 2, "{resumed}");
    assert!(resumed["outage_s"].as_f64().unwrap() > 0.0, "{resumed}");
    assert_eq!(daemon.stop().code(), Some(0));
    away.database.drop().await;
}

#[test]
fn dropped_lines_are_counted_in_the_lines_that_follow() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Unread::start(folder.path());
    let _routers = collect(folder.path());
    let dropped = status_when(folder.path(), |document| document.log_output.lines_dropped > 0);
    let mut out = daemon.child.stdout.take().unwrap();
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        text
    });
    let status = status_when(folder.path(), |document| document.log_output.blocked_s == 0.0);
    daemon.signal("-TERM");
    assert_eq!(daemon.wait().code(), Some(0));
    let text = reading.join().unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = lines.iter().filter(|line| line["event"] == "log_lines_dropped");
    let count: u64 = told.map(|line| line["count"].as_u64().unwrap()).sum();
    assert!(count >= dropped.log_output.lines_dropped, "{count} of {dropped:?}");
    assert!(count >= status.log_output.lines_dropped, "{count} of {status:?}");
    // Once lines are accepted again, none is missing.
    assert_eq!(lines.last().unwrap()["event"], "holdfast_stopped");
}
