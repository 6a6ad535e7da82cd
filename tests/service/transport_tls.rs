//! TLS of the compiled program against openssl s_client: certificates that are trusted, foreign, expired,
//! missing and replaced.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::certificates::{authorities, certificate, expired_certificate};
use crate::common::daemon::{Daemon, command, logged};
use crate::common::messages::{PEER, initiation, open, plain_attributes, update};

fn hello(name: &str) -> Vec<u8> {
    [initiation(name), PEER.peer_up(&open(65_001, &[]), &open(65_002, &[]), &[])].concat()
}

/// A router that speaks TLS with the program openssl.
struct TlsRouter(Child);

impl TlsRouter {
    /// Connects to a port, verifies the collector with `ca.pem`, and sends bytes.
    fn send(folder: &Path, port: u16, options: &[&str], bytes: &[u8]) -> Self {
        let mut child = Command::new("openssl")
            .args(["s_client", "-quiet", "-verify_return_error", "-CAfile", "ca.pem"])
            .args(["-verify_hostname", "collector.example", "-connect", &format!("127.0.0.1:{port}")])
            .args(options)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // A refused client may have ended already.
        drop(child.stdin.as_mut().unwrap().write_all(bytes));
        drop(child.stdin.as_mut().unwrap().flush());
        Self(child)
    }
}

impl Drop for TlsRouter {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The certificates of the collector and of routers. `None` without openssl.
fn certificates(folder: &Path) -> Option<()> {
    authorities(folder)?;
    certificate(folder, "collector", "ca", "DNS:collector.example");
    certificate(folder, "edge1", "ca", "DNS:edge1.example");
    certificate(folder, "foreign", "other", "DNS:edge2.example");
    certificate(folder, "nameless", "ca", "IP:127.0.0.1");
    expired_certificate(folder, "expired", "ca", "DNS:edge3.example");
    Some(())
}

fn start(folder: &Path, settings: &[(&str, &str)]) -> (Daemon, u16, u16) {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (path("collector.pem"), path("collector.key"));
    let mut all = vec![
        ("BMP_LISTEN_HOST", ""),
        ("BMP_LISTEN_PORT", ""),
        ("BMP_LISTEN", "127.0.0.1:0,tls://127.0.0.1:0"),
        ("BMP_TLS_CERT", &*certificate),
        ("BMP_TLS_KEY", &*key),
    ];
    all.extend_from_slice(settings);
    let daemon = Daemon::start(folder, &all);
    let address = daemon.status().listener.address;
    let (plain, tls) = address.split_once(",tls://").unwrap();
    let port = |text: &str| text.rsplit_once(':').unwrap().1.parse().unwrap();
    (daemon, port(plain), port(tls))
}

fn mutual(folder: &Path) -> String {
    folder.join("ca.pem").to_str().unwrap().to_owned()
}

/// Waits until a router with this name is connected, and returns the protection of its connection.
fn security(daemon: &Daemon, name: &str) -> String {
    let found = |document: &holdfast::telemetry::status::Document| {
        document.routers.iter().any(|router| router.name == name && router.connected)
    };
    let document = daemon.status_when(found);
    document.routers.into_iter().find(|router| router.name == name).unwrap().transport.security
}

/// Waits for the n-th failed handshake and returns its cause.
fn failure(daemon: &Daemon, count: u64) -> String {
    let document = daemon.status_when(|document| document.listener.transport.handshakes_failed >= count);
    let transport = document.listener.transport;
    assert_eq!(transport.handshakes_failed, count);
    transport.last_handshake_failure.unwrap().cause
}

#[test]
fn a_router_connects_with_each_version_of_tls() {
    let folder = tempfile::tempdir().unwrap();
    if certificates(folder.path()).is_none() {
        return;
    }
    let (daemon, _, port) = start(folder.path(), &[]);
    for (version, name) in [("-tls1_2", "TLS 1.2"), ("-tls1_3", "TLS 1.3")] {
        let _router = TlsRouter::send(folder.path(), port, &[version], &hello(name));
        assert_eq!(security(&daemon, name), name);
    }
    daemon.durable(4);
}

#[test]
fn a_large_stream_over_tls_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    if certificates(folder.path()).is_none() {
        return;
    }
    let (daemon, _, port) = start(folder.path(), &[]);
    let mut bytes = hello("edge1");
    for number in 0..20_000_u32 {
        let [_, high, middle, low] = number.to_be_bytes();
        let pdu = update(&[], &plain_attributes(&[65_001]), &[32, 10, high, middle, low]);
        bytes.extend(PEER.route_monitoring(&pdu));
    }
    let _router = TlsRouter::send(folder.path(), port, &[], &bytes);
    daemon.durable(20_002);
    assert!(daemon.stop().success());
    let routes: usize = logged(folder.path()).iter().map(|batch| batch.nlri.len()).sum();
    assert_eq!(routes, 20_000);
}

#[test]
fn a_router_without_an_acceptable_certificate_is_refused_with_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    if certificates(folder.path()).is_none() {
        return;
    }
    let ca = mutual(folder.path());
    let settings = [("BMP_TLS_CLIENT_CA", &*ca), ("BMP_TLS_IDENTITY", "certificate")];
    let (mut daemon, plain, port) = start(folder.path(), &settings);
    let good = ["-cert", "edge1.pem", "-key", "edge1.key"];
    let _router = TlsRouter::send(folder.path(), port, &good, &hello("sysname"));
    assert_eq!(security(&daemon, "edge1.example"), "TLS 1.3, client certificate");

    for (count, options, cause) in [
        (1, &[][..], "presented no certificate"),
        (2, &["-cert", "foreign.pem", "-key", "foreign.key"], "not signed by an authority"),
        (3, &["-cert", "expired.pem", "-key", "expired.key"], "has expired"),
        (4, &["-cert", "nameless.pem", "-key", "nameless.key"], "no DNS name"),
        (
            5,
            &["-cert", "edge1.pem", "-key", "edge1.key", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
            "TLS 1.2 or later",
        ),
    ] {
        let _router = TlsRouter::send(folder.path(), port, options, &hello("stranger"));
        let found = failure(&daemon, count);
        assert!(found.contains(cause), "{options:?}: {found}");
    }
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(&hello("plain")).unwrap();
    assert!(failure(&daemon, 6).contains("BMP in plain text on a TLS port"));
    assert!(daemon.event_since_start("tls_handshake_failed")["error"].is_string());

    let _tls = TlsRouter::send(folder.path(), plain, &good, &hello("tls on plain"));
    let line = daemon.event("connection_without_bmp");
    assert!(line["detail"].as_str().unwrap().contains("TLS handshake on a plain-text port"), "{line}");
    let names: Vec<String> = daemon.status().routers.into_iter().map(|router| router.name).collect();
    assert_eq!(names, ["edge1.example"], "no other router has a session");
}

#[test]
fn a_silent_connection_to_the_tls_port_ends_and_blocks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    if certificates(folder.path()).is_none() {
        return;
    }
    let (daemon, _, port) = start(folder.path(), &[("BMP_HANDSHAKE_TIMEOUT_S", "2")]);
    let silent: Vec<_> =
        (0..20).map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    daemon.status_when(|document| document.listener.connections == 20);
    let _router = TlsRouter::send(folder.path(), port, &[], &hello("edge1"));
    assert_eq!(security(&daemon, "edge1"), "TLS 1.3");
    assert!(failure(&daemon, 20).contains("within the time limit (BMP_HANDSHAKE_TIMEOUT_S)"));
    daemon.status_when(|document| document.listener.connections == 1);
    drop(silent);
}

#[test]
fn a_new_certificate_is_used_without_a_restart_and_a_bad_one_is_an_alarm() {
    let folder = tempfile::tempdir().unwrap();
    if certificates(folder.path()).is_none() {
        return;
    }
    let (mut daemon, _, port) = start(folder.path(), &[]);
    // A half-written pair: the key does not belong to the certificate.
    certificate(folder.path(), "next", "ca", "DNS:collector.example");
    let move_into_place = |name: &str, place: &str| {
        fs::rename(folder.path().join(name), folder.path().join(place)).unwrap();
    };
    move_into_place("next.pem", "collector.pem");
    let _first = TlsRouter::send(folder.path(), port, &[], &hello("first"));
    assert_eq!(security(&daemon, "first"), "TLS 1.3", "the former pair is in use");
    let error = daemon.event("tls_reload_failed")["error"].as_str().unwrap().to_owned();
    assert!(error.contains("BMP_TLS_CERT and BMP_TLS_KEY"), "{error}");
    let status = daemon.status();
    assert_eq!(status.listener.transport.tls_error.as_ref(), Some(&error));
    assert!(status.reasons.iter().any(|reason| reason.contains("TLS files cannot be loaded")), "{status:?}");

    move_into_place("next.key", "collector.key");
    let _second = TlsRouter::send(folder.path(), port, &[], &hello("second"));
    assert_eq!(security(&daemon, "second"), "TLS 1.3");
    daemon.event("tls_certificate_reloaded");
    assert_eq!(daemon.status().listener.transport.tls_error, None);

    // The client verifies the collector: with a certificate of another authority the handshake fails.
    certificate(folder.path(), "wrong", "other", "DNS:collector.example");
    move_into_place("wrong.key", "collector.key");
    move_into_place("wrong.pem", "collector.pem");
    let _third = TlsRouter::send(folder.path(), port, &[], &hello("third"));
    let cause = failure(&daemon, 1);
    assert!(cause.contains("does not trust the authority"), "{cause}");
}

#[test]
fn files_that_cannot_be_used_stop_the_start_with_the_name_of_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    if certificates(folder.path()).is_none() {
        return;
    }
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::copy(folder.path().join("edge1.key"), folder.path().join("open.key")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(folder.path().join("open.key"), mode).unwrap();
    fs::write(folder.path().join("empty.pem"), "no certificate\n").unwrap();
    for (certificate, key, ca, expected) in [
        ("none.pem", "edge1.key", "ca.pem", "BMP_TLS_CERT: cannot read certificates from"),
        ("empty.pem", "edge1.key", "ca.pem", "BMP_TLS_CERT: cannot read certificates from"),
        ("edge1.pem", "none.key", "ca.pem", "BMP_TLS_KEY: cannot read"),
        ("edge1.pem", "open.key", "ca.pem", "is accessible to other users (mode 0644)"),
        ("edge1.pem", "foreign.key", "ca.pem", "BMP_TLS_CERT and BMP_TLS_KEY: "),
        ("edge1.pem", "edge1.key", "empty.pem", "BMP_TLS_CLIENT_CA: cannot read certificates from"),
    ] {
        let (certificate, key, ca) = (path(certificate), path(key), path(ca));
        let settings = [
            ("BMP_LISTEN_HOST", ""),
            ("BMP_LISTEN_PORT", ""),
            ("BMP_LISTEN", "tls://127.0.0.1:0"),
            ("BMP_TLS_CERT", &*certificate),
            ("BMP_TLS_KEY", &*key),
            ("BMP_TLS_CLIENT_CA", &*ca),
        ];
        let daemon =
            Daemon::start_until("startup_error", &mut command(folder.path(), &settings), folder.path());
        let error = daemon.heard.last().unwrap()["error"].as_str().unwrap();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_reload_takes_other_files_and_refuses_those_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    if certificates(folder.path()).is_none() {
        return;
    }
    let file = folder.path().join("holdfast.env");
    let write = |certificate: &str, key: &str| {
        let path = |name: &str| folder.path().join(name).display().to_string();
        let lines = format!("BMP_TLS_CERT={}\nBMP_TLS_KEY={}\n", path(certificate), path(key));
        fs::write(&file, lines).unwrap();
    };
    // The name in this certificate is not that of the collector.
    write("edge1.pem", "edge1.key");
    let listen = [("BMP_LISTEN_HOST", ""), ("BMP_LISTEN_PORT", ""), ("BMP_LISTEN", "tls://127.0.0.1:0")];
    let mut command = command(folder.path(), &listen);
    let mut daemon = Daemon::start_as(command.arg("--env-file").arg(&file), folder.path());
    let reload = |daemon: &mut Daemon, event: &str| {
        let pid = daemon.pid().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
        daemon.event(event)
    };
    let _refused = TlsRouter::send(folder.path(), daemon.port, &[], &hello("edge1"));
    failure(&daemon, 1);
    write("collector.pem", "collector.key");
    assert_eq!(reload(&mut daemon, "config_reloaded")["changed"], "BMP_TLS_CERT, BMP_TLS_KEY");
    let _router = TlsRouter::send(folder.path(), daemon.port, &[], &hello("edge1"));
    assert_eq!(security(&daemon, "edge1"), "TLS 1.3");
    // The key is that of another certificate.
    write("edge1.pem", "collector.key");
    let line = reload(&mut daemon, "config_reload_failed");
    assert!(line["error"].as_str().unwrap().contains("BMP_TLS_CERT and BMP_TLS_KEY"), "{line}");
    let _other = TlsRouter::send(folder.path(), daemon.port, &[], &hello("edge2"));
    assert_eq!(security(&daemon, "edge2"), "TLS 1.3");
}

#[test]
fn a_reload_after_a_renewal_logs_it_once_and_one_without_does_not() {
    let folder = tempfile::tempdir().unwrap();
    if certificates(folder.path()).is_none() {
        return;
    }
    let (mut daemon, _, port) = start(folder.path(), &[]);
    let reload = |daemon: &mut Daemon| {
        let pid = daemon.pid().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
        daemon.event("config_reloaded");
    };
    let present = TlsRouter::send(folder.path(), port, &[], &hello("present"));
    assert_eq!(security(&daemon, "present"), "TLS 1.3");
    reload(&mut daemon);
    certificate(folder.path(), "next", "ca", "DNS:collector.example");
    for ending in ["key", "pem"] {
        let renamed = |name: &str| folder.path().join(format!("{name}.{ending}"));
        fs::rename(renamed("next"), renamed("collector")).unwrap();
    }
    reload(&mut daemon);
    let _next = TlsRouter::send(folder.path(), port, &[], &hello("next"));
    assert_eq!(security(&daemon, "next"), "TLS 1.3");
    assert_eq!(security(&daemon, "present"), "TLS 1.3", "the session goes on");
    drop(present);
    daemon.event("peer_disconnected");
    let reloads = daemon.lines().iter().filter(|line| line["event"] == "tls_certificate_reloaded").count();
    assert_eq!(reloads, 1);
}

#[test]
fn a_key_whose_mode_is_corrected_is_used() {
    let folder = tempfile::tempdir().unwrap();
    if certificates(folder.path()).is_none() {
        return;
    }
    let (mut daemon, _, port) = start(folder.path(), &[]);
    let key = folder.path().join("collector.key");
    let set_mode = |mode| {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(&key, permissions).unwrap();
    };
    set_mode(0o644);
    let _first = TlsRouter::send(folder.path(), port, &[], &hello("first"));
    assert_eq!(security(&daemon, "first"), "TLS 1.3", "the former key is in use");
    let error = daemon.status().listener.transport.tls_error.unwrap();
    assert!(error.contains("is accessible to other users (mode 0644)"), "{error}");
    set_mode(0o600);
    let _second = TlsRouter::send(folder.path(), port, &[], &hello("second"));
    assert_eq!(security(&daemon, "second"), "TLS 1.3");
    assert_eq!(daemon.status().listener.transport.tls_error, None);
    daemon.event("tls_certificate_reloaded");
}
