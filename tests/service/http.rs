//! The HTTP server of the compiled program over real sockets: its pages, and what slow, greedy and
//! unauthorized clients can do.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use crate::common::daemon::{Daemon, PATIENCE, command, run, until};
use crate::common::messages::{Header, PEER, initiation, open, plain_attributes, update, v4};
use crate::common::secrets::write_secret;
use crate::common::web::{LISTEN, Page, address, get, metric, read, request};
use holdfast::http;

/// Maximum number of open connections, and some more.
const MANY: usize = 40;

fn peer_up(peer: &Header) -> Vec<u8> {
    peer.peer_up(&open(65_001, &[]), &open(65_002, &[]), &[])
}

fn route(number: u8) -> Vec<u8> {
    PEER.route_monitoring(&update(&[], &plain_attributes(&[65_001]), &v4(10, 0, number, 24)))
}

/// The page with the metrics, once the router has this number of peers that are up, and this metric.
fn metrics_with(server: SocketAddr, peers: u32, (name, value): (&str, u32)) -> String {
    let has = |page: &String| {
        page.contains("router=\"edge1\"")
            && metric(page, "holdfast_router_peers", "state=\"up\"") == f64::from(peers)
            && metric(page, name, "") == f64::from(value)
    };
    let page = || Some(get(server, "/metrics").body).filter(has);
    until(page, || get(server, "/metrics").body)
}

#[test]
fn metrics_health_and_status_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[LISTEN]);
    let server = address(&mut daemon);
    let _router = daemon.send(&[initiation("edge1"), peer_up(&PEER), route(1), route(2)].concat());
    daemon.durable(4);
    let page = metrics_with(server, 1, ("holdfast_router_routes_total", 2));
    assert_eq!(metric(&page, "holdfast_router_up", "router=\"edge1\""), 1.0);
    assert_eq!(metric(&page, "holdfast_bmp_messages_total", "type=\"route_monitoring\""), 2.0);
    assert_eq!(metric(&page, "holdfast_peer_up", "peer=\"192.0.2.1\""), 1.0);
    assert_eq!(metric(&page, "holdfast_logged_events_total", "kind=\"peer_up\""), 1.0);
    assert!(metric(&page, "holdfast_wal_sync_duration_seconds_count", "") >= 1.0);
    let Page { status, head, body } = get(server, "/livez");
    assert_eq!((status, body.as_str()), (200, "ok\n"));
    assert!(head.contains("connection: close"), "{head}");
    assert_eq!(get(server, "/readyz").body, "ready\n");
    let health: serde_json::Value = serde_json::from_str(&get(server, "/health").body).unwrap();
    assert_eq!(health["state"], "ok", "{health}");
    let router: serde_json::Value =
        serde_json::from_str(&get(server, "/api/v1/routers/edge%31").body).unwrap();
    assert_eq!(router["peers"][0]["asn"], 65_001);
    let families: serde_json::Value = serde_json::from_str(&get(server, "/api/v1/families").body).unwrap();
    assert_eq!(
        (&families[0]["router"], &families[0]["peer"], &families[0]["routes"]),
        (&"edge1".into(), &"192.0.2.1".into(), &2.into())
    );
    for (path, status) in [("/api/v1/routers/nobody", 404), ("/api/v1/routers/%zz", 400), ("/nothing", 404)] {
        assert_eq!(get(server, path).status, status, "{path}");
    }
}

#[test]
fn the_format_of_the_metrics_is_the_one_that_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[LISTEN]);
    let server = address(&mut daemon);
    // What Prometheus 3 sends.
    let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5";
    let open = read(request(server, "GET /metrics", &[accept]));
    assert!(open.head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{}", open.head);
    assert!(open.body.ends_with("# EOF\n"), "{}", open.body);
    let plain = get(server, "/metrics");
    assert!(plain.head.contains("content-type: text/plain; version=0.0.4"), "{}", plain.head);
    assert!(!plain.body.contains("# EOF"));
    assert!(plain.body.contains("# TYPE holdfast_bmp_bytes_total counter\n"), "{}", plain.body);
}

/// Connects with a small receive buffer, requests a large page, and reads nothing.
fn slow_reader(server: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(&server.into()).unwrap();
    let mut stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    stream
}

#[test]
fn slow_readers_harm_neither_routers_nor_other_clients() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[LISTEN, ("HTTP_METRICS_PEERS_MAX", "100000")]);
    let server = address(&mut daemon);
    let peers = (0..2_000_u32).map(|number| Header { address: Ipv4Addr::from(0x0a00_0000 + number), ..PEER });
    let ups = peers.flat_map(|peer| peer_up(&peer));
    let mut router = daemon.send(&[initiation("edge1"), ups.collect()].concat());
    daemon.durable(2_001);
    let large = metrics_with(server, 2_000, ("holdfast_router_routes_total", 0));
    let slow: Vec<TcpStream> = (0..MANY).map(|_| slow_reader(server)).collect();
    router.write_all(&route(1)).unwrap();
    daemon.durable(2_002);
    assert_eq!(get(server, "/livez").status, 200);
    assert!(get(server, "/metrics").body.len() > large.len() / 2);
    // The oldest of them were closed to make room, in the middle of their page.
    let mut slow = slow.into_iter();
    let mut received = Vec::new();
    let oldest = slow.next().unwrap().read_to_end(&mut received);
    assert!(oldest.is_err() || received.len() < large.len() / 2, "{} bytes", received.len());
    let newest = read(slow.last().unwrap());
    assert_eq!((newest.status, newest.body.lines().count()), (200, large.lines().count()));
}

#[test]
fn connections_that_send_no_request_do_not_keep_others_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[LISTEN]);
    let server = address(&mut daemon);
    let mut idle: Vec<TcpStream> = (0..MANY).map(|_| TcpStream::connect(server).unwrap()).collect();
    for stream in &mut idle {
        // Those that were closed already refuse it.
        drop(stream.write_all(b"GET /livez HTTP/1.1\r\nHost: te"));
    }
    assert_eq!(get(server, "/readyz").status, 200);
    let mut oldest = idle.swap_remove(0);
    oldest.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(matches!(oldest.read(&mut [0; 64]), Ok(0) | Err(_)), "the oldest is closed");
}

#[test]
fn large_and_malformed_requests_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[LISTEN]);
    let server = address(&mut daemon);
    let large = format!("X-Large: {}", "a".repeat(15_000));
    assert_eq!(read(request(server, "GET /livez", &[&large])).status, 200);
    let too_large = format!("X-Large: {}", "a".repeat(17_000));
    let refused = read_all(request(server, "GET /livez", &[&too_large]));
    assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 431"), "{refused}");
    let post = read(request(server, "POST /metrics", &["Content-Length: 0"]));
    assert_eq!(post.status, 405);
    assert!(post.head.contains("allow: get, head"), "{}", post.head);
    let head = read(request(server, "HEAD /metrics", &[]));
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let mut foreign = TcpStream::connect(server).unwrap();
    foreign.set_read_timeout(Some(PATIENCE)).unwrap();
    foreign.write_all(&initiation("edge1")).unwrap();
    assert!(read_all(foreign).starts_with("HTTP/1.1 400"));
    assert_eq!(get(server, "/livez").status, 200);
}

/// All that the server sends, also if it resets the connection.
fn read_all(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    drop(stream.read_to_end(&mut bytes));
    String::from_utf8(bytes).unwrap()
}

#[test]
fn only_the_token_opens_the_server() {
    let folder = tempfile::tempdir().unwrap();
    write_secret(&folder.path().join("token"), "3f9a7c51d2e84b60\n");
    let settings = [("HTTP_LISTEN", "0.0.0.0:0"), ("HTTP_TOKEN_FILE", "token")];
    let mut daemon = Daemon::start(folder.path(), &settings);
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, address(&mut daemon).port()));
    for headers in [
        &[][..],
        &["Authorization: Bearer 3f9a7c51d2e84b61"],
        &["Authorization: Bearer 3f9a7c51d2e84b6"],
        &["Authorization: Bearer "],
        &["Authorization: Basic 3f9a7c51d2e84b60"],
    ] {
        for path in ["/metrics", "/livez", "/api/v1/status", "/nothing"] {
            let page = read(request(server, &format!("GET {path}"), headers));
            assert_eq!(page.status, 401, "{headers:?} {path}");
            assert!(page.head.contains("www-authenticate: bearer"), "{}", page.head);
            assert!(!page.body.contains("3f9a"), "{}", page.body);
        }
    }
    let page = read(request(server, "GET /metrics", &["Authorization: Bearer 3f9a7c51d2e84b60"]));
    assert_eq!(page.status, 200);
}

#[test]
fn a_server_for_everybody_must_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let refused = run(folder.path(), &["run"], &[("HTTP_LISTEN", "0.0.0.0:0")]);
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let refused = run(folder.path(), &["run"], &[("HTTP_LISTEN", &taken)]);
    assert!(!refused.status.success());
    let told =
        String::from_utf8_lossy(&refused.stdout).into_owned() + &String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("HTTP_LISTEN: cannot listen on 127.0.0.1 port"), "{told}");
    let public = [("HTTP_LISTEN", "0.0.0.0:0"), ("HTTP_PUBLIC", "yes")];
    let mut daemon = Daemon::start_as(&mut command(folder.path(), &public), folder.path());
    assert_eq!(get(([127, 0, 0, 1], address(&mut daemon).port()).into(), "/livez").status, 200);
}

#[test]
fn a_log_that_is_not_writable_is_not_ready_and_alive() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[LISTEN, ("ROUTER_LOG_SHARE", "100")]);
    let server = address(&mut daemon);
    let mut router = daemon.send(&[initiation("edge1"), peer_up(&PEER)].concat());
    let bulk: Vec<u8> = (0..15).flat_map(|_| crate::common::messages::tlv(0, &[0xaa; 60_000])).collect();
    let mirror = PEER.mirror(&bulk);
    router.set_nonblocking(true).unwrap();
    let mut offset = 0;
    // Nothing is delivered, so that the log fills up.
    let ready = || {
        while let Ok(written) = router.write(&mirror[offset..]) {
            offset = (offset + written) % mirror.len();
        }
        Some(get(server, "/readyz")).filter(|page| page.status == 503)
    };
    let page = until(ready, || "the log does not fill up".to_owned());
    assert!(page.body.starts_with("not ready: "), "{}", page.body);
    assert_eq!(get(server, "/livez").status, 200);
    assert_eq!(get(server, "/health").status, 503);
}

/// With `UPDATE=1` the test writes docs/METRICS.md.
#[test]
fn the_reference_of_the_metrics_is_current() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/METRICS.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, http::reference()).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap();
    assert!(found == http::reference(), "docs/METRICS.md is not current: run this test with UPDATE=1");
}
