//! TLS of the HTTP server against openssl s_client: files that can and cannot be used, their renewal, and
//! clients that have no certificate, do not speak TLS or do not end their handshake.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::certificates::{authorities, certificate, expired_certificate};
use crate::common::daemon::{Daemon, PATIENCE, command, run, until};
use crate::common::messages::{PEER, initiation, open};
use crate::common::secrets::write_secret;
use crate::common::web::{LISTEN, address, get};

/// More connections than the server keeps open.
const MANY: usize = 40;

/// The authorities `ca` and `other`, and a certificate of the server. `None` without openssl.
fn certificates(folder: &Path) -> Option<()> {
    authorities(folder)?;
    certificate(folder, "http", "ca", "DNS:collector.example");
    Some(())
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

/// Starts a daemon whose HTTP server has this certificate and key, and other settings.
fn start(folder: &Path, certificate: &str, key: &str, settings: &[(&str, &str)]) -> (Daemon, SocketAddr) {
    let (certificate, key) = (path(folder, certificate), path(folder, key));
    let mut all = vec![LISTEN, ("HTTP_TLS_CERT", &*certificate), ("HTTP_TLS_KEY", &*key)];
    all.extend_from_slice(settings);
    let mut daemon = Daemon::start(folder, &all);
    let server = address(&mut daemon);
    (daemon, server)
}

/// Sends a request to a server that must have a certificate of `ca.pem`. Returns all that it sends, or the
/// message of openssl if the handshake failed.
fn https(folder: &Path, server: SocketAddr, path: &str, header: &str) -> Result<String, String> {
    https_as(folder, server, &[], path, header)
}

/// The same, with further arguments of openssl, such as the certificate of the client.
fn https_as(
    folder: &Path,
    server: SocketAddr,
    arguments: &[&str],
    path: &str,
    header: &str,
) -> Result<String, String> {
    let mut child = Command::new("openssl")
        .args(["s_client", "-quiet", "-verify_return_error", "-CAfile", "ca.pem"])
        .args(["-verify_hostname", "collector.example", "-connect", &server.to_string()])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: collector.example\r\n{header}\r\n");
    // A client that refuses the certificate may have ended already.
    drop(child.stdin.as_mut().unwrap().write_all(request.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let received = String::from_utf8_lossy(&output.stdout).into_owned();
    if received.is_empty() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(received)
}

/// Makes the daemon read its settings again.
fn reload(daemon: &mut Daemon, event: &str) -> serde_json::Value {
    let pid = daemon.pid().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    daemon.event(event)
}

/// All that a server sends to a client that sends these bytes, up to the end of the connection.
fn received(server: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut received = Vec::new();
    // A connection that is closed before all bytes were read may be reset.
    if let Err(error) = stream.read_to_end(&mut received) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
    received
}

#[test]
fn pages_are_served_over_tls_and_nothing_without_it() {
    let folder = tempfile::tempdir().unwrap();
    if certificates(folder.path()).is_none() {
        return;
    }
    write_secret(&folder.path().join("token"), "3f9a7c51d2e84b60\n");
    let token = [("HTTP_TOKEN_FILE", "token")];
    let (mut daemon, server) = start(folder.path(), "http.pem", "http.key", &token);
    assert_eq!(daemon.event_since_start("http_server_started")["tls"], true);
    let refused = https(folder.path(), server, "/", "").unwrap();
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let header = "Authorization: Bearer 3f9a7c51d2e84b60\r\n";
    let page = https(folder.path(), server, "/", header).unwrap();
    assert!(page.starts_with("HTTP/1.1 200") && page.ends_with("</html>"), "{page}");
    assert!(!page.contains("http://"), "a link that leaves TLS: {page}");
    let metrics = https(folder.path(), server, "/metrics", header).unwrap();
    assert!(metrics.contains("holdfast_"), "{metrics}");
    for bytes in
        [&b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n"[..], &initiation("edge1"), &[0x16, 3, 1, 0, 1, 9]]
    {
        let answer = received(server, bytes);
        assert!(!answer.starts_with(b"HTTP"), "{:?}", String::from_utf8_lossy(&answer));
    }
    let page = https(folder.path(), server, "/livez", header).unwrap();
    assert!(page.ends_with("ok\n"), "{page}");
}

#[test]
fn stalled_handshakes_keep_out_neither_other_clients_nor_routers() {
    let folder = tempfile::tempdir().unwrap();
    if certificates(folder.path()).is_none() {
        return;
    }
    let (daemon, server) = start(folder.path(), "http.pem", "http.key", &[]);
    let stalled = |number: usize| {
        let mut stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // Every other one sends the beginning of a handshake. Those that were closed already refuse it.
        if number.is_multiple_of(2) {
            drop(stream.write_all(&[0x16, 3, 1, 2, 0, 1]));
        }
        stream
    };
    let mut stalled: Vec<TcpStream> = (0..MANY).map(stalled).collect();
    let peer_up = PEER.peer_up(&open(65_001, &[]), &open(65_002, &[]), &[]);
    let _router = daemon.send(&[initiation("edge1"), peer_up].concat());
    daemon.durable(2);
    let page = https(folder.path(), server, "/livez", "").unwrap();
    assert!(page.ends_with("ok\n"), "{page}");
    // The oldest was closed for a further one; the newest when its time was over.
    for index in [0, MANY - 1, MANY - 2] {
        assert!(matches!(stalled[index].read(&mut [0; 64]), Ok(0) | Err(_)), "{index}");
    }
}

#[test]
fn a_renewed_certificate_is_used_after_a_reload_and_a_bad_one_is_an_alarm() {
    let folder = tempfile::tempdir().unwrap();
    if certificates(folder.path()).is_none() {
        return;
    }
    // The client does not trust this authority.
    certificate(folder.path(), "first", "other", "DNS:collector.example");
    let (mut daemon, server) = start(folder.path(), "first.pem", "first.key", &[]);
    let error = https(folder.path(), server, "/livez", "").unwrap_err();
    assert!(error.contains("unable to get local issuer certificate"), "{error}");

    let place = |from: &str, to: &str| fs::rename(folder.path().join(from), folder.path().join(to)).unwrap();
    certificate(folder.path(), "next", "ca", "DNS:collector.example");
    place("next.key", "first.key");
    // The key does not belong to the certificate: the pair that was read before stays in use.
    let failed = reload(&mut daemon, "config_reload_failed");
    assert!(failed["error"].as_str().unwrap().contains("HTTP_TLS_CERT and HTTP_TLS_KEY"), "{failed}");
    let error = https(folder.path(), server, "/livez", "").unwrap_err();
    assert!(error.contains("unable to get local issuer certificate"), "{error}");
    let reasons = daemon.status().reasons;
    let is_named = |reason: &String| {
        reason.contains("TLS files cannot be loaded") && reason.contains("HTTP_TLS_CERT and HTTP_TLS_KEY")
    };
    assert!(reasons.iter().any(is_named), "{reasons:?}");

    place("next.pem", "first.pem");
    reload(&mut daemon, "config_reloaded");
    let page = https(folder.path(), server, "/livez", "").unwrap();
    assert!(page.ends_with("ok\n"), "{page}");
    assert_eq!(daemon.status().reasons, Vec::<String>::new());
    let reloads = daemon.lines().iter().filter(|line| line["event"] == "tls_certificate_reloaded").count();
    assert_eq!(reloads, 1);
}

#[test]
fn only_clients_with_a_certificate_of_the_authority_are_served() {
    let folder = tempfile::tempdir().unwrap();
    if certificates(folder.path()).is_none() {
        return;
    }
    certificate(folder.path(), "reader", "ca", "DNS:reader.example");
    certificate(folder.path(), "foreign", "other", "DNS:reader.example");
    expired_certificate(folder.path(), "late", "ca", "DNS:reader.example");
    let ca = path(folder.path(), "ca.pem");
    // An address outside the loopback interface, with neither a token nor HTTP_PUBLIC=yes.
    let open = [("HTTP_LISTEN", "0.0.0.0:0"), ("HTTP_TLS_CLIENT_CA", &*ca)];
    let (mut daemon, _) = start(folder.path(), "http.pem", "http.key", &open);
    let started = daemon.event_since_start("http_server_started");
    assert_eq!((&started["tls"], &started["client_certificates"]), (&true.into(), &true.into()));
    let listening: SocketAddr = started["address"].as_str().unwrap().parse().unwrap();
    let server = SocketAddr::from(([127, 0, 0, 1], listening.port()));
    let page = |name: &str, version: &str| {
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        let arguments = ["-cert", &*certificate, "-key", &*key, version];
        https_as(folder.path(), server, &arguments, "/livez", "")
    };
    for version in ["-tls1_2", "-tls1_3"] {
        assert!(page("reader", version).unwrap().ends_with("ok\n"), "{version}");
        for name in ["foreign", "late"] {
            let refused = page(name, version).unwrap_err();
            assert!(refused.contains("alert"), "{name} {version}: {refused}");
        }
        let refused = https_as(folder.path(), server, &[version], "/livez", "").unwrap_err();
        assert!(refused.contains("alert certificate required"), "{version}: {refused}");
    }
}

/// The authorities are read like the other files: at the start, by the check, and again when they change.
#[test]
fn authorities_of_clients_are_renewed_and_a_bad_file_is_an_alarm() {
    let folder = tempfile::tempdir().unwrap();
    if certificates(folder.path()).is_none() {
        return;
    }
    certificate(folder.path(), "reader", "ca", "DNS:reader.example");
    let authority = path(folder.path(), "readers.pem");
    fs::copy(folder.path().join("other.pem"), &authority).unwrap();
    write_secret(&folder.path().join("token"), "3f9a7c51d2e84b60\n");
    let settings = [("HTTP_TLS_CLIENT_CA", &*authority), ("HTTP_TOKEN_FILE", "token")];
    let (daemon, server) = start(folder.path(), "http.pem", "http.key", &settings);
    let page = |header: &str| {
        https_as(folder.path(), server, &["-cert", "reader.pem", "-key", "reader.key"], "/livez", header)
    };
    let token = "Authorization: Bearer 3f9a7c51d2e84b60\r\n";
    assert!(page(token).unwrap_err().contains("alert"));
    let replace = |contents: &[u8]| {
        fs::write(folder.path().join("next.pem"), contents).unwrap();
        fs::rename(folder.path().join("next.pem"), &authority).unwrap();
    };
    replace(b"no certificate\n");
    // The authorities that were read before stay in use.
    assert!(page(token).unwrap_err().contains("alert"));
    let named = || daemon.status().reasons.into_iter().find(|reason| reason.contains("HTTP_TLS_CLIENT_CA"));
    let reason = until(named, || format!("{:?}", daemon.status().reasons));
    assert!(reason.contains("the previous ones stay in use"), "{reason}");
    replace(&fs::read(folder.path().join("ca.pem")).unwrap());
    // A certificate does not replace the token, if there is one.
    assert!(page("").unwrap().starts_with("HTTP/1.1 401"));
    assert!(page(token).unwrap().ends_with("ok\n"));
    let healthy = || Some(daemon.status()).filter(|status| status.reasons.is_empty());
    until(healthy, || format!("{:?}", daemon.status().reasons));
}

#[test]
fn a_reload_turns_tls_on_and_off() {
    let folder = tempfile::tempdir().unwrap();
    if certificates(folder.path()).is_none() {
        return;
    }
    let file = folder.path().join("holdfast.env");
    fs::write(&file, "").unwrap();
    let mut command = command(folder.path(), &[LISTEN]);
    let mut daemon = Daemon::start_as(command.arg("--env-file").arg(&file), folder.path());
    let server = address(&mut daemon);
    assert_eq!(get(server, "/livez").status, 200);
    let (certificate, key) = (path(folder.path(), "http.pem"), path(folder.path(), "http.key"));
    fs::write(&file, format!("HTTP_TLS_CERT={certificate}\nHTTP_TLS_KEY={key}\n")).unwrap();
    assert_eq!(reload(&mut daemon, "config_reloaded")["changed"], "HTTP_TLS_CERT, HTTP_TLS_KEY");
    assert!(https(folder.path(), server, "/livez", "").unwrap().ends_with("ok\n"));
    assert!(!received(server, b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n").starts_with(b"HTTP"));
    fs::write(&file, "").unwrap();
    reload(&mut daemon, "config_reloaded");
    assert_eq!(get(server, "/livez").status, 200);
}

#[test]
fn files_that_cannot_be_used_stop_the_start_and_are_found_by_the_check() {
    let folder = tempfile::tempdir().unwrap();
    if certificates(folder.path()).is_none() {
        return;
    }
    certificate(folder.path(), "foreign", "other", "DNS:collector.example");
    fs::copy(folder.path().join("http.key"), folder.path().join("open.key")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(folder.path().join("open.key"), mode).unwrap();
    fs::write(folder.path().join("empty.pem"), "no certificate\n").unwrap();
    for (certificate, key, authority, expected) in [
        ("none.pem", "http.key", "ca.pem", "HTTP_TLS_CERT: cannot read certificates from"),
        ("empty.pem", "http.key", "ca.pem", "HTTP_TLS_CERT: cannot read certificates from"),
        ("http.pem", "none.key", "ca.pem", "HTTP_TLS_KEY: cannot read"),
        ("http.pem", "open.key", "ca.pem", "is accessible to other users (mode 0644)"),
        ("http.pem", "foreign.key", "ca.pem", "HTTP_TLS_CERT and HTTP_TLS_KEY: "),
        ("http.pem", "http.key", "none.pem", "HTTP_TLS_CLIENT_CA: cannot read certificates from"),
        ("http.pem", "http.key", "empty.pem", "HTTP_TLS_CLIENT_CA: cannot read certificates from"),
    ] {
        let [certificate, key, authority] =
            [certificate, key, authority].map(|name| path(folder.path(), name));
        let settings = [
            LISTEN,
            ("HTTP_TLS_CERT", &*certificate),
            ("HTTP_TLS_KEY", &*key),
            ("HTTP_TLS_CLIENT_CA", &*authority),
        ];
        let mut command = command(folder.path(), &settings);
        let daemon = Daemon::start_until("startup_error", &mut command, folder.path());
        let error = daemon.heard.last().unwrap()["error"].as_str().unwrap();
        assert!(error.contains(expected), "{error}");
        let checked = run(folder.path(), &["check-config", "--quiet", "--connect"], &settings);
        let report = String::from_utf8(checked.stdout).unwrap();
        let line = report.lines().find(|line| line.contains("HTTP TLS")).unwrap();
        assert!(line.starts_with("FAILED") && line.contains(expected), "{report}");
        assert_eq!(checked.status.code(), Some(1), "{report}");
    }
}

/// Routers are served all the same: the HTTP server is not worth a collector that does not start.
#[test]
fn an_expired_certificate_is_an_alarm_and_the_daemon_starts() {
    let folder = tempfile::tempdir().unwrap();
    if certificates(folder.path()).is_none() {
        return;
    }
    expired_certificate(folder.path(), "expired", "ca", "DNS:collector.example");
    let (daemon, server) = start(folder.path(), "expired.pem", "expired.key", &[]);
    let error = https(folder.path(), server, "/livez", "").unwrap_err();
    assert!(error.contains("certificate has expired"), "{error}");
    let reasons = daemon.status().reasons;
    let is_named = |reason: &String| reason.starts_with("HTTP_TLS_CERT: ") && reason.contains("has expired");
    assert!(reasons.iter().any(is_named), "{reasons:?}");
    let (certificate, key) = (path(folder.path(), "expired.pem"), path(folder.path(), "expired.key"));
    let settings = [LISTEN, ("HTTP_TLS_CERT", &*certificate), ("HTTP_TLS_KEY", &*key)];
    let checked = run(folder.path(), &["check-config", "--quiet", "--connect"], &settings);
    let report = String::from_utf8(checked.stdout).unwrap();
    let line = report.lines().find(|line| line.contains("HTTP TLS")).unwrap();
    assert!(line.starts_with("WARNING") && line.contains("has expired"), "{report}");
    // Its replacement ends the alarm, at the next connection.
    for ending in ["key", "pem"] {
        let renamed = |name: &str| folder.path().join(format!("{name}.{ending}"));
        fs::rename(renamed("http"), renamed("expired")).unwrap();
    }
    assert!(https(folder.path(), server, "/livez", "").unwrap().ends_with("ok\n"));
    let healthy = || Some(daemon.status()).filter(|status| status.reasons.is_empty());
    until(healthy, || format!("{:?}", daemon.status().reasons));
}
