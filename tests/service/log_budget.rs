//! Floods of log lines and of error reports: neither the log output nor Sentry receives more than its budget,
//! and the lines that are missing are counted.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use crate::common::daemon::{self, until};
use crate::common::messages::{Header, PEER, initiation};
use holdfast::telemetry::status::{ConditionKind, Document, Health, fetch};
use serde_json::Value;

/// Made-up peers of a flood, each with an UPDATE that cannot be decoded.
const PEERS: u32 = 10_000;
/// Default of LOG_MAX_BYTES_PER_SECOND.
const BUDGET: f64 = 1_048_576.0;

/// The daemon, whose log lines go to a file.
struct Logged<'a> {
    child: Child,
    folder: &'a Path,
    started: Instant,
}

impl<'a> Logged<'a> {
    fn start(folder: &'a Path, environment: &[(&str, &str)]) -> Self {
        let out = File::create(folder.join("lines")).unwrap();
        let child =
            daemon::command(folder, environment).stdout(out).stderr(Stdio::inherit()).spawn().unwrap();
        Self { child, folder, started: Instant::now() }
    }

    /// Waits until the daemon answers with a status that fulfills the condition.
    fn status_when(&self, wanted: impl Fn(&Document) -> bool) -> Document {
        let status = || fetch(&self.folder.join("status.sock")).ok();
        until(|| status().filter(&wanted), || format!("{:#?}", status()))
    }

    /// Connects from a loopback address.
    fn connect_from(&self, source: [u8; 4]) -> TcpStream {
        let address: SocketAddr = self.status_when(|_| true).listener.address.parse().unwrap();
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
        socket.connect(&address.into()).unwrap();
        socket.into()
    }

    /// Waits until a line with this event and address is in the file.
    fn line(&self, event: &str, peer: &str) {
        let is_wanted = |line: &Value| line["event"] == event && line["peer"] == peer;
        until(|| self.lines().iter().any(is_wanted).then_some(()), || format!("no {event} of {peer}"));
    }

    /// The complete lines in the file.
    fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.join("lines")).unwrap();
        let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
        complete.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn stop(&mut self) -> ExitStatus {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        until(|| self.child.try_wait().unwrap(), || "the daemon does not stop".to_owned())
    }

    /// Fails if the file has more bytes than the budget allows for the time that has passed.
    fn assert_within_budget(&self) {
        let seconds = self.started.elapsed().as_secs_f64();
        let bytes = std::fs::metadata(self.folder.join("lines")).unwrap().len();
        let budget = BUDGET * (1.25 + 0.75 * seconds);
        println!("{bytes} bytes of log lines in {seconds:.1} s");
        assert!(f64::from(u32::try_from(bytes).unwrap()) < budget, "{bytes} bytes in {seconds} s");
    }
}

/// Kills the daemon, also when a test fails.
impl Drop for Logged<'_> {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Messages of made-up peers that cannot be decoded, after an Initiation.
fn malformed(peers: u32) -> Vec<u8> {
    let mut bytes = initiation("flood");
    for number in 0..peers {
        let peer = Header { address: Ipv4Addr::from(0x0a00_0000 + number), ..PEER };
        // An UPDATE whose length of withdrawn routes exceeds the message.
        let mut pdu = [[0xff; 16].as_slice(), &[0, 200, 2, 0xff, 0xff]].concat();
        pdu.resize(200, 0xee);
        bytes.extend(peer.route_monitoring(&pdu));
    }
    bytes
}

#[test]
fn floods_of_lines_stay_within_the_budget_and_a_neighbor_keeps_its_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Logged::start(folder.path(), &[]);
    let mut flood = daemon.connect_from([127, 0, 0, 2]);
    flood.write_all(&malformed(PEERS)).unwrap();
    let initiations: Vec<u8> = (0..20_000).flat_map(|number| initiation(&format!("name{number}"))).collect();
    flood.write_all(&initiations).unwrap();
    let status = daemon.status_when(|status| status.log_output.lines_suppressed > u64::from(PEERS) / 2);
    assert_eq!(status.state, Health::Degraded);
    assert!(status.conditions.contains(&ConditionKind::LogSuppressed), "{:?}", status.reasons);
    assert!(status.reasons.iter().any(|reason| reason.contains("LOG_MAX_BYTES_PER_SECOND")));
    let mut neighbor = daemon.connect_from([127, 0, 0, 3]);
    neighbor.write_all(&initiation("edge1")).unwrap();
    daemon.line("peer_connected", "127.0.0.3");
    daemon.line("bmp_session_up", "127.0.0.3");
    let text = String::from_utf8(daemon::run(folder.path(), &["status"], &[]).stdout).unwrap();
    assert!(text.contains("suppressed since start by LOG_MAX_BYTES_PER_SECOND"), "{text}");
    drop((flood, neighbor));
    let suppressed = daemon.status_when(|status| status.listener.connections == 0).log_output;
    assert_eq!(daemon.stop().code(), Some(0));
    daemon.assert_within_budget();
    let lines = daemon.lines();
    assert_eq!(lines.last().unwrap()["event"], "holdfast_stopped");
    let reports: Vec<&Value> = lines.iter().filter(|line| line["event"] == "log_suppressed").collect();
    assert_eq!(reports[0]["heaviest"], "127.0.0.2");
    let count: u64 = reports.iter().map(|line| line["count"].as_u64().unwrap()).sum();
    assert!(count >= suppressed.lines_suppressed, "{count} of {suppressed:?}");
}

#[test]
fn floods_from_many_addresses_stay_within_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Logged::start(folder.path(), &[]);
    let bytes = malformed(PEERS / 20);
    let routers: Vec<TcpStream> = (0..40)
        .map(|number| {
            let mut router = daemon.connect_from([127, 0, 1, number]);
            router.write_all(&bytes).unwrap();
            router
        })
        .collect();
    daemon.status_when(|status| status.log_output.lines_suppressed > 0);
    drop(routers);
    daemon.status_when(|status| status.listener.connections == 0);
    assert_eq!(daemon.stop().code(), Some(0));
    daemon.assert_within_budget();
    assert_eq!(daemon.lines().last().unwrap()["event"], "holdfast_stopped");
}

/// A server for reports to Sentry, which sends the bodies of the requests to the test.
fn sentry() -> (String, Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let dsn = format!("http://key@{}/1", listener.local_addr().unwrap());
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            while let Some(body) = request(&mut reader) {
                if send.send(body).is_err() {
                    return;
                }
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                reader.get_mut().write_all(answer).unwrap_or_default();
            }
        }
    });
    (dsn, receive)
}

/// The body of the next request; `None` at the end of the connection.
fn request(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(String::from_utf8(body).unwrap())
}

#[test]
fn a_flood_of_errors_sends_few_reports_to_sentry_and_counts_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let (dsn, bodies) = sentry();
    let environment = [("SENTRY_DSN", dsn.as_str()), ("SENTRY_ENVIRONMENT", "test")];
    let mut daemon = Logged::start(folder.path(), &environment);
    let mut flood = daemon.connect_from([127, 0, 0, 2]);
    flood.write_all(&malformed(PEERS)).unwrap();
    let status = daemon.status_when(|status| status.log_output.reports_suppressed > 100);
    assert!(status.log_output.reports_suppressed > 100);
    let text = String::from_utf8(daemon::run(folder.path(), &["status"], &[]).stdout).unwrap();
    assert!(text.contains("error reports suppressed since start"), "{text}");
    assert_eq!(daemon.stop().code(), Some(0));
    let minutes = daemon.started.elapsed().as_secs() / 60 + 1;
    let bodies: Vec<String> = bodies.try_iter().collect();
    let events = bodies.iter().filter(|body| body.contains("\"type\":\"event\"")).count();
    println!("{events} reports, the largest has {:?} bytes", bodies.iter().map(String::len).max());
    assert!(events > 0 && u64::try_from(events).unwrap() <= 30 * minutes, "{events} reports");
    assert!(bodies.iter().all(|body| body.len() < 200_000));
}

#[test]
fn a_sentry_server_that_never_answers_delays_neither_the_daemon_nor_its_stop() {
    let folder = tempfile::tempdir().unwrap();
    // Connections are accepted by the kernel, and nobody reads from them.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let dsn = format!("http://key@{}/1", listener.local_addr().unwrap());
    let mut daemon = Logged::start(folder.path(), &[("SENTRY_DSN", &dsn)]);
    let mut flood = daemon.connect_from([127, 0, 0, 2]);
    flood.write_all(&malformed(PEERS)).unwrap();
    daemon.status_when(|status| status.wal.records_durable > u64::from(PEERS));
    listener.accept().unwrap();
    assert_eq!(daemon.stop().code(), Some(0));
    assert_eq!(daemon.lines().last().unwrap()["event"], "holdfast_stopped");
}
