//! Several listeners, active mode, and the measurements of connections, with the compiled program.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use crate::common::daemon::{self, Daemon, command};
use crate::common::messages::{PEER, initiation, open, tlv};
use holdfast::telemetry::status::{ConditionKind, Document, RemoteState, render};

/// The number of connected routers. A router is listed as soon as it has peers, and as connected once its
/// session is published.
fn connected(document: &Document) -> usize {
    document.routers.iter().filter(|router| router.connected).count()
}

fn hello(name: &str) -> Vec<u8> {
    [initiation(name), PEER.peer_up(&open(65_001, &[]), &open(65_002, &[]), &[])].concat()
}

/// The settings that replace the host and port of the test's daemon by a list.
fn listening<'a>(list: &'a str, others: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let own = [("BMP_LISTEN_HOST", ""), ("BMP_LISTEN_PORT", ""), ("BMP_LISTEN", list)];
    own.into_iter().chain(others.iter().copied()).collect()
}

/// Whether this machine has IPv6 on its loopback interface.
fn has_ipv6() -> bool {
    let has = TcpListener::bind("[::1]:0").is_ok();
    if !has {
        println!("SKIPPED: listening on IPv6: no ::1");
    }
    has
}

#[test]
fn routers_connect_to_each_of_several_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let list = if has_ipv6() { "127.0.0.1:0,127.0.0.2:0,[::1]:0" } else { "127.0.0.1:0,127.0.0.2:0" };
    let mut daemon = Daemon::start(folder.path(), &listening(list, &[]));
    let addresses = daemon.status().listener.address;
    assert_eq!(daemon.event_since_start("bmp_listener_started")["address"], addresses);
    let mut routers = Vec::new();
    for (index, address) in addresses.split(',').enumerate() {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&hello(&format!("edge{index}"))).unwrap();
        routers.push(stream);
    }
    assert_eq!(routers.len(), list.split(',').count());
    daemon.status_when(|document| connected(document) == routers.len());
    assert!(daemon.stop().success());
}

#[test]
fn ipv4_and_ipv6_wildcards_share_a_port() {
    if !has_ipv6() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let list = format!("0.0.0.0:{port},[::]:{port}");
    let daemon = Daemon::start(folder.path(), &listening(&list, &[]));
    let routers: Vec<TcpStream> = ["127.0.0.1", "::1"]
        .into_iter()
        .map(|address| {
            let mut stream = TcpStream::connect((address, port)).unwrap();
            stream.write_all(&hello(address)).unwrap();
            stream
        })
        .collect();
    let document = daemon.status_when(|document| connected(document) == routers.len());
    let mut sources: Vec<String> = document.routers.into_iter().filter_map(|router| router.address).collect();
    sources.sort();
    assert!(sources[0].starts_with("127.0.0.1:") && sources[1].starts_with("[::1]:"), "{sources:?}");
}

#[test]
fn an_address_in_use_is_named_and_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let list = format!("127.0.0.1:0,127.0.0.1:{port}");
    let daemon = Daemon::start_until(
        "startup_error",
        &mut command(folder.path(), &listening(&list, &[])),
        folder.path(),
    );
    let error = daemon.heard.last().unwrap()["error"].as_str().unwrap();
    assert!(error.starts_with(&format!("cannot listen on 127.0.0.1 port {port}: ")), "{error}");
}

#[test]
fn the_collector_connects_to_a_router_that_listens_and_again_after_it_was_away() {
    let folder = tempfile::tempdir().unwrap();
    let router = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = router.local_addr().unwrap();
    let remote = format!("localhost:{}", address.port());
    let settings = [("BMP_CONNECT", &*remote), ("BMP_ALLOW", "192.0.2.0/24")];
    let mut daemon = Daemon::start(folder.path(), &settings);
    let (mut stream, _) = router.accept().unwrap();
    stream.write_all(&hello("edge1")).unwrap();
    let document = daemon.status_when(|document| document.routers.iter().any(|router| router.connected));
    assert_eq!(document.listener.transport.remotes[0].state, RemoteState::Connected);
    assert_eq!(document.routers[0].address, Some(address.to_string()));
    assert!(!document.conditions.contains(&ConditionKind::RemotesNotConnected), "{document:?}");

    // The router goes away: the connection is missing, and the attempts are refused.
    drop(router);
    drop(stream);
    let document = daemon.status_when(|document| document.listener.transport.remotes[0].last_error.is_some());
    assert!(document.conditions.contains(&ConditionKind::RemotesNotConnected), "{document:?}");
    let reason = document.reasons.iter().find(|reason| reason.contains("BMP_CONNECT")).unwrap();
    assert!(reason.contains(&remote) && reason.contains("refused"), "{reason}");
    assert_eq!(daemon.event_since_start("router_connect_failed")["router"], *remote);

    let router = TcpListener::bind(address).unwrap();
    let (mut stream, _) = router.accept().unwrap();
    stream.write_all(&hello("edge1")).unwrap();
    daemon.status_when(|document| {
        document.listener.transport.remotes[0].state == RemoteState::Connected
            && document.routers.iter().any(|router| router.connected)
    });
    assert!(daemon.stop().success());
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "BMP is one way");
}

#[test]
fn an_outgoing_connection_counts_against_the_limit_and_does_not_stop_the_collector() {
    let folder = tempfile::tempdir().unwrap();
    let router = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = router.local_addr().unwrap().to_string();
    let settings = [("BMP_CONNECT", &*remote), ("BMP_MAX_CONNECTIONS", "1")];
    let daemon = Daemon::start(folder.path(), &settings);
    let (mut stream, _) = router.accept().unwrap();
    stream.write_all(&hello("edge1")).unwrap();
    daemon.status_when(|document| connected(document) == 1);
    let mut refused = daemon.connect();
    refused.set_read_timeout(Some(daemon::PATIENCE)).unwrap();
    assert!(matches!(refused.read(&mut [0]), Ok(0) | Err(_)));
    assert!(daemon.stop().success());
}

#[test]
fn settings_of_the_transport_that_contradict_each_other_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for (settings, expected) in [
        (
            &[("BMP_LISTEN", "127.0.0.1:0")][..],
            "BMP_LISTEN_HOST (environment): is set together with BMP_LISTEN",
        ),
        (
            &[("BMP_LISTEN_HOST", ""), ("BMP_LISTEN_PORT", ""), ("BMP_LISTEN", "tls://127.0.0.1:0")],
            "BMP_TLS_CERT",
        ),
        (&[("BMP_TLS_CERT", "/etc/cert.pem")], "no address is TLS"),
        (&[("BMP_TLS_IDENTITY", "certificate")], "needs BMP_TLS_CLIENT_CA"),
        (
            &[("BMP_CONNECT", "edge1")],
            "invalid address \"edge1\"; expected a comma-separated list of HOST:PORT",
        ),
        (&[("BMP_MD5", "swordfish")], "an entry without \"=\"; expected"),
    ] {
        let output = daemon::run(folder.path(), &["check-config"], settings);
        let text =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && text.contains(expected), "{settings:?}: {text}");
        assert!(!text.contains("swordfish"), "{text}");
    }
}

#[test]
fn the_receive_buffer_is_set_and_a_session_that_is_read_was_never_blocked() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[("BMP_RECEIVE_BUFFER", "64KiB")]);
    let _router = daemon.send(&hello("edge1"));
    let document = daemon.status_when(|document| connected(document) == 1);
    assert_eq!(document.routers[0].transport.blocked_s, 0.0);
    assert_eq!(document.routers[0].transport.receive_queue_bytes, 0);
    // Linux doubles the size for its own use.
    let sizes = Command::new("ss").args(["-tlnm"]).output();
    match sizes {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let mut lines =
                text.lines().skip_while(|line| !line.contains(&format!("127.0.0.1:{}", daemon.port)));
            let memory = lines.nth(1).unwrap();
            assert!(memory.contains("rb131072"), "{memory}");
        }
        _ => println!("SKIPPED: size of the receive buffer: no ss"),
    }
}

/// About a megabyte of Route Mirroring: it fills a log quickly.
fn bulk() -> Vec<u8> {
    PEER.mirror(&(0..15).flat_map(|_| tlv(0, &[0xaa; 60_000])).collect::<Vec<u8>>())
}

#[test]
fn the_time_for_which_a_session_waits_for_the_log_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    let mut router = daemon.send(&hello("edge1"));
    let sender = std::thread::spawn(move || {
        let bulk = bulk();
        // Ends with an error when the daemon is gone.
        while router.write_all(&bulk).is_ok() {}
    });
    let waits = |document: &Document| {
        let transport = document.routers.first().map(|router| router.transport.clone()).unwrap_or_default();
        transport.blocked_s > 1.0 && transport.receive_queue_bytes > 0
    };
    let text = render(&daemon.status_when(waits));
    assert!(text.contains("bytes not read yet, blocked by the log for "), "{text}");
    daemon.kill();
    sender.join().unwrap();
}
