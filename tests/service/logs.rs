//! Log lines: an output that accepts none must not stop the collector, and lost lines are counted.

use std::io::Read as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::common::daemon::{self, until};
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
        let notify = folder.join("notify.sock");
        let manager = UnixDatagram::bind(&notify).unwrap();
        let environment = [
            ("LOG_LEVEL", "DEBUG"),
            ("NOTIFY_SOCKET", notify.to_str().unwrap()),
            ("WATCHDOG_USEC", "30000000"),
        ];
        let child = daemon::command(folder, &environment)
            .stdout(Stdio::piped())
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
