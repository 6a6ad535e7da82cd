//! The pages of the compiled program: that they show the status, what they say when parts are missing, and
//! what they make of hostile names and addresses.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use crate::away::Away;
use crate::common::daemon::{Daemon, until};
use crate::common::messages::{
    Header, PEER, add_path, four_octet_as, initiation, multiprotocol, open, plain_attributes, update, v4,
};
use crate::common::secrets::write_secret;
use crate::common::web::{LISTEN, Page, address, get, read, request};

/// The pages without parameters.
const PAGES: [&str; 5] = ["/", "/routers", "/peers", "/log", "/delivery"];

/// Maximum size of a list of peers, in bytes.
const LIST_BYTES_MAX: usize = 200 << 10;

/// Two OPENs of which one side lacks IPv6 and route refresh, and no direction of ADD-PATH matches.
fn peer_up(peer: &Header) -> Vec<u8> {
    let sent =
        [multiprotocol(1, 1), multiprotocol(2, 1), four_octet_as(65_001), add_path(1, 1, 1), (2, Vec::new())];
    let received = [multiprotocol(1, 1), four_octet_as(65_002), add_path(1, 1, 1)];
    peer.peer_up(&open(65_001, &sent), &open(65_002, &received), &[])
}

/// A NOTIFICATION with this error.
fn notification(code: u8, subcode: u8) -> Vec<u8> {
    [&[0xff; 16][..], &[0, 21, 3, code, subcode]].concat()
}

fn route(number: u8) -> Vec<u8> {
    PEER.route_monitoring(&update(&[], &plain_attributes(&[65_001]), &v4(10, 0, number, 24)))
}

/// The text of a page without its tags, with single spaces.
fn text(page: &Page) -> String {
    let mut out = String::new();
    for part in page.body.split('<') {
        out.push(' ');
        out.push_str(part.split_once('>').map_or(part, |(_, text)| text));
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The page once its text contains all of these.
fn page_with(server: SocketAddr, path: &str, wanted: &[&str]) -> Page {
    let has_all = |page: &Page| {
        let text = text(page);
        wanted.iter().all(|wanted| text.contains(wanted))
    };
    let page = || Some(get(server, path)).filter(has_all);
    until(page, || format!("{path} lacks some of {wanted:?}: {}", text(&get(server, path))))
}

#[test]
fn every_page_shows_the_status() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[LISTEN]);
    let server = address(&mut daemon);
    let second = Header { address: Ipv4Addr::new(192, 0, 2, 77), ..PEER };
    let flap = [peer_up(&second), second.peer_down(3, &notification(6, 2))].concat();
    let _router = daemon.send(&[initiation("edge1"), peer_up(&PEER), route(1), route(2), flap].concat());
    daemon.durable(6);
    page_with(server, "/routers", &["edge1", "1 peer down", "1 of 1 connected"]);
    let page = page_with(server, "/", &["1 of 1", "up; 1 down, 0 stale", "not configured"]);
    assert_eq!(page.status, 200);
    let router =
        page_with(server, "/routers/edge1", &["Router edge1", "1 up, 1 down, 0 stale", "192.0.2.77"]);
    assert!(router.body.contains("href=\"/peers/edge1/192.0.2.77?as="), "{}", router.body);
    let status = daemon.status();
    page_with(server, "/log", &[&status.wal.log_id, "No gap was recorded", "A power loss now would cost"]);
    page_with(server, "/delivery", &["Store-only mode"]);
    let listed = page_with(server, "/peers?state=down", &["1 peer.", "192.0.2.77", "down"]);
    assert!(!text(&listed).contains("192.0.2.1 "), "the other peer is up: {}", text(&listed));
    let wanted = [
        "Peer 192.0.2.77 of edge1",
        "1 flap since the router connected",
        "closed by the peer: cease, administrative shutdown",
        "multiprotocol ipv6_unicast ONE-SIDED: router only yes –",
        "route-refresh ONE-SIDED: router only yes –",
        "multiprotocol ipv4_unicast both yes yes",
        "add-path ipv4_unicast ONE-SIDED: no matching direction receive receive",
    ];
    page_with(server, "/peers/edge1/192.0.2.77", &wanted);
    page_with(server, "/peers/edge1/192.0.2.1", &["None since the router connected.", "ipv4_unicast"]);
}

#[test]
fn scripts_have_the_opens_and_flaps_that_the_page_of_a_peer_shows() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[LISTEN]);
    let server = address(&mut daemon);
    let flaps = [peer_up(&PEER), PEER.peer_down(3, &notification(6, 2))].concat();
    // Without a Peer Up, nothing is known of its session.
    let unknown = Header { address: Ipv4Addr::new(192, 0, 2, 77), ..PEER };
    let down = unknown.peer_down(4, &[]);
    // The same address in a VRF, whose OPEN of the peer is damaged.
    let vrf = Header { peer_type: 1, distinguisher: 0x1_0000_0007, ..PEER };
    let mut damaged = open(65_002, &[(2, Vec::new())]);
    *damaged.last_mut().unwrap() = 200;
    let vrf_up = vrf.peer_up(&open(65_001, &[]), &damaged, &[]);
    let messages = [initiation("edge/1"), flaps.clone(), flaps, peer_up(&PEER), down, vrf_up].concat();
    let _router = daemon.send(&messages);
    let found = |address: &str| -> Option<Vec<serde_json::Value>> {
        let page = get(server, &format!("/api/v1/peers/edge%2F1/{address}"));
        (page.status == 200).then(|| serde_json::from_str(&page.body).unwrap())
    };
    let both =
        || found("192.0.2.1").filter(|peers| peers.len() == 2 && peers.iter().any(|one| one["downs"] == 2));
    let peers = until(both, || format!("{:?}", found("192.0.2.1")));
    let with = |distinguisher: &str| peers.iter().find(|one| one["distinguisher"] == distinguisher).unwrap();
    let (peer, vrf) = (with("0:0"), with("1:7"));
    assert_eq!(peer["router"], "edge/1");
    let opens = &peer["opens"];
    assert_eq!((&opens["sent"]["asn"], &opens["received"]["asn"]), (&65_001.into(), &65_002.into()));
    assert_eq!(opens["sent"]["capabilities"][1], "multiprotocol ipv6_unicast");
    assert_eq!(opens["sent"]["damaged"], false);
    let capabilities = opens["capabilities"].as_array().unwrap();
    let capability = |name: &str| capabilities.iter().find(|one| one["name"] == name).unwrap();
    let row = |name: &str| {
        let one = capability(name);
        (one["sent"].as_str(), one["received"].as_str(), one["sides"].as_str().unwrap(), &one["one_sided"])
    };
    let (yes, no) = (serde_json::Value::from(true), serde_json::Value::from(false));
    assert_eq!(row("route-refresh"), (Some("yes"), None, "router only", &yes));
    assert_eq!(row("multiprotocol ipv4_unicast"), (Some("yes"), Some("yes"), "both", &no));
    let add_path = (Some("receive"), Some("receive"), "no matching direction", &yes);
    assert_eq!(row("add-path ipv4_unicast"), add_path);
    let flaps = peer["flaps"].as_array().unwrap();
    assert_eq!(flaps.len(), 2);
    assert_eq!(flaps[0]["reason"], "closed by the peer: cease, administrative shutdown");
    assert_eq!(flaps[0]["reason_code"], 3);
    assert!(flaps[0]["time"].as_str() >= flaps[1]["time"].as_str(), "the newest first: {flaps:?}");
    assert!(flaps[0]["up_since"].as_str() >= flaps[1]["time"].as_str(), "{flaps:?}");
    assert_eq!(vrf["opens"]["received"]["damaged"], true, "{vrf}");
    assert_eq!(vrf["flaps"], serde_json::json!([]));
    let without = until(|| found("192.0.2.77"), || "no such peer".to_owned());
    assert_eq!(without[0]["opens"], serde_json::Value::Null);
    for (path, status) in [
        ("edge%2F1/192.0.2.9", 404),
        ("nobody/192.0.2.1", 404),
        ("edge%2F1/%zz", 400),
        ("%ff/192.0.2.1", 400),
        ("edge%2F1/", 404),
        ("edge%2F1", 404),
        ("edge%2F1/192.0.2.1/more", 404),
    ] {
        let page = get(server, &format!("/api/v1/peers/{path}"));
        assert_eq!(page.status, status, "{path}: {}", page.body);
        assert!(serde_json::from_str::<serde_json::Value>(&page.body).unwrap()["error"].is_string());
    }
}

#[test]
fn pages_load_nothing_from_elsewhere_and_run_nothing_inline() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[LISTEN]);
    let server = address(&mut daemon);
    for path in PAGES {
        let page = get(server, path);
        assert_eq!(page.status, 200, "{path}");
        assert!(page.head.contains("content-security-policy: default-src 'self';"), "{}", page.head);
        assert!(page.head.contains("frame-ancestors 'none'"), "{}", page.head);
        assert!(page.head.contains("x-frame-options: deny"), "{}", page.head);
        assert!(page.head.contains("content-type: text/html; charset=utf-8"), "{}", page.head);
        for forbidden in ["http://", "https://", "=\"//", " style=", " onclick=", "<style", "<script>"] {
            assert!(!page.body.contains(forbidden), "{path} has {forbidden}: {}", page.body);
        }
        let files: Vec<&str> = page.body.split('"').filter(|part| part.starts_with("/assets/")).collect();
        assert!(files.len() >= 3, "{}", page.body);
        // One connection each, all open at once, as a browser with several windows has them.
        let open: Vec<_> = files.iter().map(|file| request(server, &format!("GET {file}"), &[])).collect();
        for (file, stream) in files.iter().zip(open) {
            let file_read = read(stream);
            assert_eq!(file_read.status, 200, "{file}");
            assert!(file_read.head.contains("immutable"), "{}", file_read.head);
        }
    }
    assert_eq!(get(server, "/assets/00000000/style.css").status, 404);
}

#[test]
fn an_unknown_path_is_a_page_for_browsers_and_json_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[LISTEN]);
    let server = address(&mut daemon);
    let browser = read(request(server, "GET /no%3Cb%3Ewhere", &["Accept: text/html,application/xml;q=0.9"]));
    assert_eq!(browser.status, 404);
    let shown = text(&browser);
    assert!(shown.contains("Page not found") && shown.contains("/no%3Cb%3Ewhere"), "{shown}");
    let other = get(server, "/nowhere");
    assert_eq!(other.status, 404);
    assert!(serde_json::from_str::<serde_json::Value>(&other.body).unwrap()["error"].is_string());
    assert_eq!(get(server, "/routers/nobody").status, 404);
    assert_eq!(get(server, "/peers/nobody/192.0.2.1").status, 404);
    for malformed in ["/routers/%ff", "/routers/%zz", "/peers?q=%", "/peers/%/192.0.2.1", "/peers?router=%C3"]
    {
        assert_eq!(get(server, malformed).status, 400, "{malformed}");
    }
    for odd in ["/peers?page=0", "/peers?page=999999999999999999999", "/peers?sort=nothing&order=x", "/?q=1"]
    {
        assert_eq!(get(server, odd).status, 200, "{odd}");
    }
}

#[test]
fn hostile_names_are_shown_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[LISTEN]);
    let server = address(&mut daemon);
    let name = "<script>alert(1)</script>\"'&/ä";
    let _router = daemon.send(&[initiation(name), peer_up(&PEER)].concat());
    let escaped = "&lt;script&gt;alert(1)&lt;/script&gt;&quot;'&amp;/ä";
    let shown = || Some(get(server, "/peers").body).filter(|body| body.contains(escaped));
    until(shown, || get(server, "/peers").body);
    let encoded = "%3Cscript%3Ealert%281%29%3C%2Fscript%3E%22%27%26%2F%C3%A4";
    let query = format!("/peers?q={encoded}&router={encoded}&state={encoded}&sort={encoded}");
    let (router, peer) = (format!("/routers/{encoded}"), format!("/peers/{encoded}/192.0.2.1"));
    for (path, status) in [
        ("/", 200),
        ("/routers", 200),
        (router.as_str(), 200),
        (peer.as_str(), 200),
        (query.as_str(), 200),
        ("/routers/%3Cscript%3E", 404),
    ] {
        let page = get(server, path);
        assert_eq!(page.status, status, "{path}");
        assert!(!page.body.contains("<script>"), "{path}: {}", page.body);
    }
    let list = get(server, "/routers").body;
    assert!(list.contains(&format!("href=\"/routers/{encoded}\"")), "{list}");
}

#[test]
fn the_list_of_two_thousand_peers_is_bounded_and_complete() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[LISTEN]);
    let server = address(&mut daemon);
    let peers = (0..2_000_u32).map(|number| Header { address: Ipv4Addr::from(0x0a00_0000 + number), ..PEER });
    let ups = peers.flat_map(|peer| peer_up(&peer));
    let mut router = daemon.send(&[initiation("edge1"), ups.collect()].concat());
    daemon.durable(2_001);
    page_with(server, "/peers", &["Showing 1 to 200 of 2000 peers."]);
    let mut seen = std::collections::BTreeSet::new();
    for number in 1..=10 {
        let page = get(server, &format!("/peers?sort=peer&page={number}"));
        assert!(page.body.len() < LIST_BYTES_MAX, "{} bytes", page.body.len());
        let links = page.body.split("href=\"/peers/edge1/").skip(1);
        let found: Vec<&str> = links.filter_map(|rest| rest.split(['?', '"']).next()).collect();
        assert_eq!(found.len(), 200);
        seen.extend(found.into_iter().map(str::to_owned));
    }
    assert_eq!(seen.len(), 2_000);
    for path in ["/", "/routers", "/routers/edge1", "/peers/edge1/10.0.7.207"] {
        let page = get(server, path);
        assert!(page.status == 200 && page.body.len() < LIST_BYTES_MAX, "{path}: {}", page.body.len());
    }
    router.write_all(&Header { address: Ipv4Addr::new(10, 0, 7, 1), ..PEER }.peer_down(4, &[])).unwrap();
    page_with(server, "/peers?state=down", &["1 peer."]);
    let worst = get(server, "/peers");
    let first = worst.body.split("href=\"/peers/edge1/").nth(1).unwrap();
    assert!(first.starts_with("10.0.7.1?"), "the peer that is down comes first");
}

#[test]
fn a_database_that_is_away_is_said_in_words_and_is_in_the_history() {
    let folder = tempfile::tempdir().unwrap();
    let away = ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing?sslmode=disable");
    let mut daemon = Daemon::start(folder.path(), &[LISTEN, away]);
    let server = address(&mut daemon);
    daemon.status_when(|document| {
        document.delivery.as_ref().is_some_and(|delivery| delivery.last_error.is_some())
    });
    page_with(server, "/delivery", &["The database is away since", "Last error:", "Lanes are unknown"]);
    page_with(server, "/", &["Database away"]);
    let sampled = || {
        let series: serde_json::Value = serde_json::from_str(&get(server, "/api/v1/history").body).unwrap();
        (!series["time"].as_array().unwrap().is_empty()).then_some(series)
    };
    let series = until(sampled, || get(server, "/api/v1/history").body);
    assert_eq!(series["database"][0], "away", "{series}");
    let count = series["time"].as_array().unwrap().len();
    for column in ["lag_s", "logged_per_s", "delivered_per_s", "log_percent", "sessions", "database"] {
        assert_eq!(series[column].as_array().unwrap().len(), count, "{column}: {series}");
    }
    page_with(server, "/", &["Times without delivery", "or earlier now", "Delivery lag"]);
    page_with(server, "/delivery", &["UTC or earlier: the database was not reached"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_refuses_to_write_is_retried_for_a_reason_and_is_not_away() {
    let Some(away) = Away::new("read_only").await else { return };
    let name = away.database.config.get_dbname().unwrap().to_owned();
    let admin = away.database.admin().await;
    let set_read_only =
        |value: &str| format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}");
    admin.batch_execute(&set_read_only("on")).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = away.daemon(folder.path(), &[LISTEN]);
    let server = address(&mut daemon);
    let page = page_with(server, "/", &["Database retrying", "read-only transaction (25006)"]);
    assert!(!text(&page).contains("away"), "{}", text(&page));
    let wanted = ["Delivery is retried since", "the database was reached, but an attempt failed", "(25006)"];
    let page = page_with(server, "/delivery", &wanted);
    assert!(!text(&page).contains("away"), "{}", text(&page));
    let status = daemon.status();
    let summary = holdfast::telemetry::status::summary(&status);
    assert!(summary.contains("database retrying") && summary.contains("(25006)"), "{summary}");
    let lanes: serde_json::Value = serde_json::from_str(&get(server, "/api/v1/lanes").body).unwrap();
    assert_eq!(lanes[0]["last_error_class"], "25", "{lanes}");

    admin.batch_execute(&set_read_only("off")).await.unwrap();
    page_with(server, "/", &["Database delivering"]);
    // A connection that is open must not become half-open: a transaction on it would wait for its time limit.
    away.refuses_new();
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    admin.batch_execute(&end).await.unwrap();
    let _router = daemon.send(&[initiation("edge1"), peer_up(&PEER), route(1)].concat());
    page_with(server, "/", &["Database away"]);
    let summary = holdfast::telemetry::status::summary(&daemon.status());
    assert!(summary.contains("database not reached"), "{summary}");
    daemon.kill();
    away.database.drop().await;
}

/// The headers of a request with a user name and a password.
fn basic(credentials: &str) -> String {
    format!("Authorization: Basic {credentials}")
}

#[test]
fn browsers_are_asked_for_the_token_as_a_password() {
    let folder = tempfile::tempdir().unwrap();
    write_secret(&folder.path().join("token"), "3f9a7c51d2e84b60\n");
    let settings = [("HTTP_LISTEN", "127.0.0.1:0"), ("HTTP_TOKEN_FILE", "token")];
    let mut daemon = Daemon::start(folder.path(), &settings);
    let server = address(&mut daemon);
    for path in ["/", "/peers?q=a", "/routers/edge1", "/assets/0/style.css", "/lookup"] {
        let refused = get(server, path);
        assert_eq!(refused.status, 401, "{path}");
        assert!(refused.head.contains("www-authenticate: basic realm=\"holdfast\""), "{}", refused.head);
        assert!(refused.head.contains("www-authenticate: bearer"), "{}", refused.head);
    }
    let machine = get(server, "/api/v1/status");
    assert_eq!(machine.status, 401);
    assert!(!machine.head.contains("basic"), "{}", machine.head);
    // `anybody:3f9a7c51d2e84b60`, and the same with another last digit.
    let (right, wrong) = ("YW55Ym9keTozZjlhN2M1MWQyZTg0YjYw", "YW55Ym9keTozZjlhN2M1MWQyZTg0YjYx");
    for path in ["/", "/api/v1/history", "/metrics"] {
        let line = format!("GET {path}");
        assert_eq!(read(request(server, &line, &[&basic(right)])).status, 200, "{path}");
        assert_eq!(read(request(server, &line, &[&basic(wrong)])).status, 401, "{path}");
    }
}
