//! The looking glass of the compiled program: the results of `holdfast query` as pages, JSON and CSV.

use std::net::SocketAddr;

use crate::calls;
use crate::common::batches::{Builder, peer, peer_up};
use crate::common::daemon::{Daemon, command, until};
use crate::common::db::{Database, Edition};
use crate::common::store::{self, Store};
use crate::common::web::{LISTEN, address, get, read, request};
use holdfast::route::RibView;
use holdfast::sink::{QUERIES, QueryPool};

/// A daemon that delivers to the database, and the address of its HTTP server.
pub(crate) struct Served {
    pub(crate) daemon: Daemon,
    pub(crate) server: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Served {
    pub(crate) fn start(database: &Database) -> Self {
        Self::start_as(&database.settings(None))
    }

    pub(crate) fn start_as(settings: &[(&str, String)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings.iter().map(|(name, value)| (*name, value.as_str()));
        let settings: Vec<(&str, &str)> = settings.chain([LISTEN]).collect();
        let mut daemon = Daemon::start(folder.path(), &settings);
        let server = address(&mut daemon);
        Self { daemon, server, _folder: folder }
    }
}

/// A text in percent-encoding.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The address of a query with arguments of the command line, each with its name.
fn path(query: &str, extension: &str, arguments: &[&str]) -> String {
    let pairs = arguments.iter().map(|argument| {
        let (name, value) = argument.split_once('=').unwrap();
        format!("{name}={}", encoded(value))
    });
    format!(
        "/lookup/{query}{extension}?{}",
        pairs.chain(["limit=10000".to_owned()]).collect::<Vec<_>>().join("&")
    )
}

/// Queries with arguments whose results do not change while the test runs.
const CALLS: [(&str, &[&str]); 26] = [
    ("route_lookup", &["address=10.1.1.1"]),
    ("prefix_lookup", &["prefix=0.0.0.0/0", "match=more"]),
    ("prefix_lookup", &["prefix=10.0.0.0/8", "match=LESS", "fields=peer, route,path"]),
    ("rib_at", &["peer=AS65001", "at=2024-03-01 12:10", "rib=adj-in-pre"]),
    ("rib_at", &["peer=core 2", "at=now"]),
    ("rib_at", &["peer=edge1 AS65001", "at=now"]),
    ("prefix_timeline", &["prefix=192.0.2.0/24", "span=1 day", "until=2024-03-01 13:00"]),
    ("peer_differences", &["peer_a=AS65001", "peer_b=AS65002"]),
    (
        "peer_differences",
        &["peer_a=AS65001", "peer_b=AS65001", "at_a=2024-03-01 12:10", "at_b=2024-03-01 12:40"],
    ),
    ("churn", &["until=2024-03-01 13:00"]),
    ("churn", &["by=peer", "until=2024-03-01 13:00"]),
    ("churn", &["by=as", "until=2024-03-01 13:00"]),
    ("origin_changes", &["span=1h", "until=2024-03-01 13:00"]),
    ("moas", &[]),
    ("as_path_search", &["asns=AS3356,64500"]),
    ("community_search", &["community=65000:100"]),
    ("policy_effect", &[]),
    ("hijacks", &[]),
    ("leaks", &[]),
    ("rpki", &["state=invalid", "peer=AS65001"]),
    ("evpn_bindings", &["mac=0011.2233.4455"]),
    ("evpn_duplicates", &[]),
    ("peers", &[]),
    ("peer_flaps", &["span=20 years"]),
    ("peer_capabilities", &["peer=198.51.100.1"]),
    ("flapping_routes", &["at_least=100"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_results_are_those_of_the_command_line() {
    let Some(database) = calls::database("lookup_rows").await else { return };
    let served = Served::start(&database);
    let command_line = |query: &str, arguments: &[&str], format: &str| {
        let (fields, values): (Vec<&&str>, Vec<&&str>) =
            arguments.iter().partition(|argument| argument.starts_with("fields="));
        let mut words = vec!["query", query];
        words.extend(values.into_iter().copied());
        let fields: Vec<String> =
            fields.iter().map(|fields| format!("--{}", fields.replace(' ', ""))).collect();
        words.extend(fields.iter().map(String::as_str));
        words.extend(["--limit", "10000", "--format", format]);
        database.command(None, store::COLLECTOR, &words)
    };
    for (query, arguments) in CALLS {
        for (extension, format, content_type) in
            [(".json", "json", "application/json"), (".csv", "csv", "text/csv; charset=utf-8")]
        {
            let (code, output, error) = command_line(query, arguments, format);
            assert_eq!(code, Some(0), "{query}: {error}");
            let found = get(served.server, &path(query, extension, arguments));
            assert_eq!((found.status, &found.body), (200, &output), "{query} {arguments:?}");
            assert!(found.head.contains(&format!("content-type: {content_type}")), "{}", found.head);
        }
        let (_, csv, error) = command_line(query, arguments, "csv");
        let page = get(served.server, &path(query, "", arguments));
        let rows = csv.matches("\r\n").count() - 1;
        let count = if rows == 1 { "(1 row)".to_owned() } else { format!("({rows} rows)") };
        assert_eq!(page.status, 200);
        assert!(page.body.contains(&count), "{query} {arguments:?} {count}: {}", page.body);
        assert_eq!(page.body.matches("<tr>").count(), rows + 1, "{query}: {}", page.body);
        for note in error.lines() {
            let note = note.trim_start_matches("note: ").replace('"', "&quot;");
            assert!(page.body.contains(&note), "{query} {note}: {}", page.body);
        }
    }
    drop(served);
    database.drop().await;
}

/// Required arguments of every query.
fn required(query: &holdfast::sink::Query) -> String {
    let pairs = query.parameters.iter().filter(|it| it.is_required()).map(|parameter| {
        let value = match (parameter.name, parameter.sql_type) {
            ("at", _) => "now",
            (_, "bigint[]") => "1",
            (_, "cidr") => "10.0.0.0/8",
            (_, "inet") => "10.0.0.1",
            ("community", _) => "65000:100",
            _ => "198.51.100.1",
        };
        format!("{}={value}&", parameter.name)
    });
    pairs.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_has_a_page_with_its_result() {
    let Some(database) = calls::database("lookup_all").await else { return };
    let served = Served::start(&database);
    let index = get(served.server, "/lookup");
    assert!(index.status == 200 && !index.body.contains("Queries fail"), "{}", index.body);
    for query in QUERIES {
        let page = get(served.server, &format!("/lookup/{}?{}limit=1", query.name, required(query)));
        assert_eq!(page.status, 200, "{}: {}", query.name, page.body);
        let (before, after) = page.body.split_once("<table>").unwrap_or_else(|| panic!("{}", page.body));
        assert!(before.contains(&format!("holdfast query {} ", query.name)), "{before}");
        assert!(after.contains("class=\"done\"") && after.ends_with("</html>"), "{}: {after}", query.name);
    }
    // A prefix, a peer and an AS number lead on, and so does a result that is cut.
    let page = get(served.server, "/lookup/route_lookup?address=10.1.1.1&limit=1").body;
    for link in [
        "href=\"/lookup/prefix_lookup?prefix=10.0.0.0/8\"",
        "href=\"/lookup/prefix_timeline?prefix=10.0.0.0/8\"",
        "href=\"/lookup/rib_at?peer=198.51.100.1%20AS65001%20edge1&amp;at=now&amp;rib=adj-in-pre\"",
        "href=\"/lookup/as_path_search?asns=3356\"",
        "href=\"/lookup/community_search?community=65000:100\"",
        "(first row; there are more) <a href=\"/lookup/route_lookup?address=10.1.1.1&amp;limit=10\"",
        "href=\"/lookup/route_lookup.json?address=10.1.1.1&amp;limit=1\"",
    ] {
        assert!(page.contains(link), "{link}: {page}");
    }
    for link in page.split("href=\"/lookup/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        let found = get(served.server, &format!("/lookup/{}", link.replace("&amp;", "&")));
        assert_eq!(found.status, 200, "{link}: {}", found.body);
    }
    // The search box leads to a query, and its page names the other readings.
    let found = get(served.server, "/lookup?q=AS65001");
    assert_eq!(found.status, 303);
    assert!(found.head.contains("location: /lookup/as_path_search?asns=as65001&q=as65001"), "{}", found.head);
    let page = get(served.server, "/lookup/as_path_search?asns=AS65001&q=AS65001").body;
    let chosen = "“AS65001” was read as an AS number in a path: <code>as_path_search</code>.";
    assert!(page.contains(chosen) && page.contains("a peer or a router</a>"), "{page}");
    drop(served);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_arguments_have_the_error_of_the_command_line() {
    let Some(database) = calls::database("lookup_wrong").await else { return };
    let served = Served::start(&database);
    for (query, arguments) in [
        ("route_lookup", &["address=10.0.0"] as &[&str]),
        ("route_lookup", &["address=10.1.1.0/24"]),
        ("prefix_lookup", &["prefix=10.0.0.1/8"]),
        ("prefix_lookup", &["prefix=10.0.0.0/8", "match=longer"]),
        ("prefix_lookup", &["prefix=10.0.0.0/8", "mach=more"]),
        ("prefix_lookup", &["prefix=10.0.0.0/8", "prefix=9.0.0.0/8"]),
        ("rib_at", &["peer=AS65009", "at=now"]),
        ("rib_at", &["peer=AS65001", "at=2024-02-30"]),
        ("rib_at", &["peer=AS65001"]),
        ("churn", &["by=origin", "span=1 fortnight"]),
        ("peers", &["peer=edge9"]),
    ] {
        let words: Vec<&str> = [&["query", query], arguments].concat();
        let (code, _, error) = database.command(None, store::COLLECTOR, &words);
        assert_eq!(code, Some(2), "{query} {arguments:?}");
        let error = error.trim_end().strip_prefix("holdfast: ").unwrap().to_owned();
        let json = get(served.server, &path(query, ".json", arguments));
        let found: serde_json::Value = serde_json::from_str(&json.body).unwrap();
        assert_eq!((json.status, found["error"].as_str()), (400, Some(error.as_str())), "{query}");
        let page = get(served.server, &path(query, "", arguments));
        let line = error.lines().next().unwrap().replace('"', "&quot;").replace('<', "&lt;");
        assert_eq!(page.status, 400);
        assert!(page.body.contains(&line), "{query} {line}: {}", page.body);
        assert!(page.body.ends_with("</html>"));
    }
    let page = get(served.server, "/lookup/moas?fields=prefix,orgins");
    let expected = "class=\"bad\">unknown field &quot;orgins&quot; (did you mean &quot;origins&quot;?)";
    assert!(page.status == 400 && page.body.contains(expected), "{}", page.body);
    drop(served);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_of_a_router_is_escaped() {
    let Some(mut store) = Store::open(Edition::Timescale, "lookup_hostile").await else { return };
    let one = peer(1, RibView::AdjInPre, 1);
    let name = "<script>alert(1)</script>\u{1b}[31m\"'";
    let batch = Builder::new(name, 0).event(Some(&one), peer_up()).announce(&one, 0..3, &[1]).build();
    store.put(&[batch]).await;
    let served = Served::start(&store.database);
    for query in ["routers?limit=9", "peers?limit=9", "route_lookup?address=1.0.1.1", "peer_flaps?span=90y"] {
        let page = get(served.server, &format!("/lookup/{query}"));
        assert_eq!(page.status, 200);
        assert!(page.body.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{query}: {}", page.body);
        assert!(!page.body.contains("<script>alert") && !page.body.contains('\u{1b}'), "{query}");
    }
    let found = get(served.server, &format!("/lookup/peers?peer={}", encoded(name)));
    assert!(found.status == 200 && found.body.contains("(1 row)"), "{}", found.body);
    drop(served);
    store.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_request_has_the_status_and_no_body() {
    let Some(database) = calls::database("lookup_head").await else { return };
    let served = Served::start(&database);
    for (path, status) in [
        ("/lookup", 200),
        ("/lookup/churn", 200),
        ("/lookup/churn?by=peer", 200),
        ("/lookup/churn.json", 200),
        ("/lookup/churn.csv?by=origin", 400),
        ("/lookup/peers?peer=nobody", 400),
        ("/lookup/nothing", 404),
    ] {
        let found = read(request(served.server, &format!("HEAD {path}"), &[]));
        assert_eq!((found.status, found.body.as_str()), (status, ""), "{path}");
        assert_eq!(get(served.server, path).status, status, "{path}");
    }
    let posted = read(request(served.server, "POST /lookup/churn", &["Content-Length: 0"]));
    assert_eq!(posted.status, 405);
    drop(served);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connections_cannot_write() {
    let Some(database) = Database::migrated(Edition::Plain, "lookup_readonly").await else { return };
    let pool = QueryPool::new(&database.target, 1).unwrap();
    let connection = pool.get().await.unwrap();
    let error = connection.client().batch_execute("DELETE FROM bgp_peers").await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "25006", "{error}");
    let names = "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    let name: String = connection.client().query_one(names, &[]).await.unwrap().get(0);
    assert_eq!(name, "holdfast page");
    connection.release().await;
    drop(pool);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_credentials_apply_after_a_reload() {
    let Some(database) = calls::database("lookup_reload").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("holdfast.env");
    let lines = |user: &str| {
        let settings = database.settings(None).into_iter();
        let lines = settings.map(|(setting, value)| match setting {
            "DB_USER" => format!("{setting}={user}\n"),
            _ => format!("{setting}={value}\n"),
        });
        lines.collect::<String>()
    };
    std::fs::write(&file, lines("nobody_here")).unwrap();
    let mut command = command(folder.path(), &[LISTEN]);
    let mut daemon = Daemon::start_as(command.arg("--env-file").arg(&file), folder.path());
    let server = address(&mut daemon);
    let page = get(server, "/lookup/peers?limit=10");
    assert!(
        page.status == 503 && page.body.contains("role &quot;nobody_here&quot; does not exist"),
        "{page:?}"
    );
    std::fs::write(&file, lines(database.config.get_user().unwrap())).unwrap();
    let sent = std::process::Command::new("kill").arg("-HUP").arg(daemon.pid().to_string()).status();
    assert!(sent.unwrap().success());
    daemon.event("config_reloaded");
    let found = || Some(get(server, "/lookup/peers?limit=10")).filter(|page| page.status == 200);
    let page = until(found, || get(server, "/lookup/peers?limit=10").body);
    assert!(page.body.contains("edge1"), "{}", page.body);
    drop(daemon);
    database.drop().await;
}
