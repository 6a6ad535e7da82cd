//! The PROXY protocol with the compiled program: headers from trusted and other addresses, and a real
//! haproxy.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::common::daemon::{self, Daemon, until};
use crate::common::messages::{PEER, initiation, open};
use holdfast::listener::proxy::MAGIC;
use holdfast::telemetry::status::Document;

/// The number of connected routers. A router is listed as soon as it has peers, and as connected once its
/// session is published.
fn connected(document: &Document) -> usize {
    document.routers.iter().filter(|router| router.connected).count()
}

fn hello(name: &str) -> Vec<u8> {
    [initiation(name), PEER.peer_up(&open(65_001, &[]), &open(65_002, &[]), &[])].concat()
}

/// A header of version 2 for a TCP connection over IPv4.
fn header(source: [u8; 4], port: u16) -> Vec<u8> {
    let port = port.to_be_bytes();
    [&MAGIC[..], &[0x21, 0x11, 0, 12], &source, &[192, 0, 2, 250], &port, &[0x2b, 0x0b]].concat()
}

/// Waits until the daemon has closed the connection.
fn closed(mut stream: TcpStream) {
    stream.set_read_timeout(Some(daemon::PATIENCE)).unwrap();
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
}

#[test]
fn a_router_behind_a_trusted_proxy_has_its_own_address() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("BMP_PROXY_FROM", "127.0.0.9"),
        ("BMP_ALLOW", "198.51.100.0/24"),
        ("BMP_ROUTER_NAMES", "198.51.100.7=edge7"),
    ];
    let mut daemon = Daemon::start(folder.path(), &settings);
    let mut router = daemon.connect_from([127, 0, 0, 9]);
    // Byte by byte: a header arrives in any number of parts.
    for byte in header([198, 51, 100, 7], 40_007) {
        router.write_all(&[byte]).unwrap();
    }
    router.write_all(&hello("sysname")).unwrap();
    let document = daemon.status_when(|document| connected(document) == 1);
    assert_eq!(document.routers[0].name, "edge7");
    assert_eq!(document.routers[0].address.as_deref(), Some("198.51.100.7:40007"));

    // BMP_ALLOW applies to the router, not to the proxy.
    let mut stranger = daemon.connect_from([127, 0, 0, 9]);
    stranger.write_all(&header([203, 0, 113, 1], 1)).unwrap();
    assert_eq!(daemon.event("connection_refused")["peer"], "203.0.113.1");
    closed(stranger);
}

#[test]
fn connections_that_break_the_rules_of_the_proxy_are_closed_with_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [("BMP_PROXY_FROM", "127.0.0.9"), ("BMP_HANDSHAKE_TIMEOUT_S", "1")];
    let mut daemon = Daemon::start(folder.path(), &settings);
    let initiation = hello("edge1");
    for (bytes, cause) in [
        (&initiation[..], "no PROXY header (first byte 0x03)"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "version 1 (text)"),
        (b"", "within the time limit (BMP_HANDSHAKE_TIMEOUT_S)"),
        (&MAGIC[..11], "within the time limit (BMP_HANDSHAKE_TIMEOUT_S)"),
    ] {
        let failed = daemon.status().listener.transport.handshakes_failed;
        let mut proxy = daemon.connect_from([127, 0, 0, 9]);
        proxy.write_all(bytes).unwrap();
        let document = daemon.status_when(|document| document.listener.transport.handshakes_failed > failed);
        let found = document.listener.transport.last_handshake_failure.unwrap();
        assert!(found.cause.contains(cause), "{found:?}");
        assert_eq!(found.address, "127.0.0.9");
        closed(proxy);
    }
    // A header from another address is no BMP.
    let mut stranger = daemon.send(&header([198, 51, 100, 7], 1));
    drop(stranger.write_all(&initiation));
    let line = daemon.event("connection_without_bmp");
    assert_eq!(line["detail"], "a PROXY header from an address that is not in BMP_PROXY_FROM", "{line}");
    assert!(daemon.status().routers.is_empty());
}

#[test]
fn a_health_check_of_the_proxy_is_closed_without_an_alarm() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[("BMP_PROXY_FROM", "127.0.0.9")]);
    let mut check = daemon.connect_from([127, 0, 0, 9]);
    check.write_all(&[&MAGIC[..], &[0x20, 0, 0, 0]].concat()).unwrap();
    closed(check);
    let document = daemon.status();
    assert_eq!(document.listener.transport.handshakes_failed, 0);
    assert!(document.reasons.is_empty(), "{:?}", document.reasons);
    let is_alarm = |line: &&serde_json::Value| line["level"] == "ERROR" || line["level"] == "WARNING";
    let alarms: Vec<_> = daemon.lines().iter().filter(is_alarm).map(|line| &line["event"]).collect();
    assert_eq!(alarms, ["store_only_mode"]);
}

/// Ends the process when a test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_router_behind_haproxy_has_its_own_address() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[("BMP_PROXY_FROM", "127.0.0.9")]);
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let configuration = format!(
        "global\n  stats socket {folder}/haproxy.sock\ndefaults\n  mode tcp\n  timeout connect 5s\n  \
         timeout client 1m\n  timeout server 1m\nlisten bmp\n  bind 127.0.0.1:{port}\n  \
         server collector 127.0.0.1:{collector} send-proxy-v2 source 127.0.0.9 check check-send-proxy \
         inter 200\n",
        folder = folder.path().display(),
        collector = daemon.port,
    );
    let path = folder.path().join("haproxy.cfg");
    fs::write(&path, configuration).unwrap();
    let started =
        Command::new("haproxy").arg("-f").arg(&path).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn();
    let Ok(child) = started else {
        println!("SKIPPED: a router behind haproxy: no haproxy");
        return;
    };
    let _running = Running(child);
    let connect = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).ok()?;
        socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 7], 0)).into()).ok()?;
        socket.connect(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()).ok()?;
        Some(TcpStream::from(socket))
    };
    let mut router = until(connect, || "haproxy does not listen".to_owned());
    let own = router.local_addr().unwrap();
    router.write_all(&hello("edge1")).unwrap();
    let document = daemon.status_when(|document| connected(document) == 1);
    assert_eq!(document.routers[0].address, Some(own.to_string()));
    assert_eq!(document.listener.transport.handshakes_failed, 0, "health checks are no failures");
}
