//! The looking glass while its database is away, slow, or dies, and with clients that do not read.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};

use tokio_postgres::Client;

use crate::calls;
use crate::common::batches::{Builder, attributes, peer, peer_up, prefix};
use crate::common::daemon::PATIENCE;
use crate::common::db::{Database, Edition};
use crate::common::store::Store;
use crate::common::web::{get, read, read_rest, read_until, request};
use crate::lookup::Served;
use holdfast::route::{Family, RibView};
use holdfast::sink::QUERIES;

/// Number of connections of the looking glass for which the condition holds.
async fn connections(database: &Database, condition: &str) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity
        WHERE application_name = 'holdfast page' AND datname = current_database() AND {condition}"
    );
    database.value(&sql).await
}

/// Waits until this number of connections of the looking glass fulfil the condition.
async fn connections_until(database: &Database, condition: &str, number: i64) {
    let begin = std::time::Instant::now();
    while connections(database, condition).await != number {
        assert!(begin.elapsed() < PATIENCE, "not {number} connections with {condition}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Makes every query of current routes wait until the client's transaction ends.
async fn lock(client: &Client) {
    client.batch_execute("BEGIN; LOCK TABLE holdfast.rib_entries IN ACCESS EXCLUSIVE MODE").await.unwrap();
}

const WAITS: &str = "wait_event_type = 'Lock'";

const LOOKUP: &str = "/lookup/route_lookup?address=10.1.1.1";

#[test]
fn a_database_that_is_away_is_named_with_the_cause() {
    // A port on which nobody listens any more.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let settings = [("DB_HOST", "127.0.0.1"), ("DB_PORT", &port), ("DB_USER", "me"), ("DB_NAME", "bgp")]
        .map(|(name, value)| (name, value.to_owned()));
    let settings = [&settings[..], &[("DB_SSLMODE", "disable".to_owned())]].concat();
    let away = Served::start_as(&settings);
    let cause = format!(
        "cannot connect to the database at 127.0.0.1:{port} (user me, database bgp): error connecting to \
         server: Connection refused"
    );
    let store_only = Served::start_as(&[]);
    for (served, cause) in
        [(&away, cause.as_str()), (&store_only, "no database is configured (store-only mode)")]
    {
        for path in [LOOKUP, "/lookup/moas?limit=10"] {
            let page = get(served.server, path);
            assert!(page.status == 503 && page.body.contains(cause), "{page:?}");
            assert!(page.body.contains("<form") && page.body.ends_with("</html>"), "{}", page.body);
            let head = read(request(served.server, &format!("HEAD {path}"), &[]));
            assert_eq!((head.status, head.body.as_str()), (503, ""));
        }
        let json = get(served.server, "/lookup/moas.json");
        let error: serde_json::Value = serde_json::from_str(&json.body).unwrap();
        assert!(json.status == 503 && error["error"].as_str().unwrap().contains(cause), "{json:?}");
        let index = get(served.server, "/lookup");
        assert_eq!(index.status, 200);
        assert!(index.body.contains(&format!("Queries fail at present: {cause}")), "{}", index.body);
        // Forms and errors in arguments need no database.
        for query in QUERIES {
            let page = get(served.server, &format!("/lookup/{}", query.name));
            assert!(page.status == 200 && page.body.contains("<button"), "{}: {page:?}", query.name);
        }
        assert_eq!(get(served.server, "/lookup/churn?by=origin").status, 400);
        assert_eq!(get(served.server, "/livez").status, 200);
    }
    for (path, status) in [
        ("/lookup/%3Cscript%3E", 404),
        ("/lookup/route_lookup?address=%22%3E%3Cscript%3E", 400),
        ("/lookup/route_lookup?%22%3E%3Cscript%3E=1", 400),
        ("/lookup/route_lookup?q=%3Cscript%3E&address=1", 400),
        ("/lookup/route_lookup?address=%ff", 400),
        ("/lookup?q=%3Cscript%3E", 303),
    ] {
        let page = get(store_only.server, path);
        assert_eq!(page.status, status, "{path}");
        assert!(!page.body.contains("<script>"), "{path}: {}", page.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_the_schema_refers_to_migrate() {
    let Some(database) = Database::empty(Edition::Plain, "lookup_schema").await else { return };
    // A role that may not create the schema.
    let role = format!("lookup_{}", std::process::id());
    let client = database.client().await;
    client.batch_execute(&format!("CREATE ROLE {role} LOGIN")).await.unwrap();
    let served = Served::start_as(&database.settings(Some(&role)));
    let page = get(served.server, LOOKUP);
    assert_eq!(page.status, 503, "{page:?}");
    let has_cause = page.body.contains("does not exist") && page.body.contains("run `holdfast migrate`");
    assert!(has_cause, "{page:?}");
    drop(served);
    client.batch_execute(&format!("DROP ROLE {role}")).await.unwrap();
    drop(client);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_takes_too_long_is_cancelled_with_advice() {
    let Some(database) = calls::database("lookup_timeout").await else { return };
    let served = Served::start(&database);
    let locker = database.client().await;
    // The time limit of the role is shorter than that of the page.
    let name = database.config.get_dbname().unwrap();
    let limit = format!("ALTER DATABASE {name} SET statement_timeout = '1s'");
    locker.batch_execute(&limit).await.unwrap();
    lock(&locker).await;
    let page = get(served.server, "/lookup/prefix_lookup?prefix=10.0.0.0/8");
    let expected = "The query failed: canceling statement due to statement timeout (SQLSTATE 57014); narrow \
        it (a longer prefix), or run it with `holdfast query`, which has no time limit";
    assert_eq!(page.status, 200);
    assert!(page.body.contains(expected) && page.body.ends_with("</html>"), "{}", page.body);
    let json = get(served.server, "/lookup/prefix_lookup.json?prefix=10.0.0.0/8");
    assert!(json.status == 503 && json.body.contains("(SQLSTATE 57014); narrow it"), "{json:?}");
    locker.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(get(served.server, "/lookup/prefix_lookup.json?prefix=10.0.0.0/8").status, 200);
    drop((served, locker));
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_dies_in_a_query_ends_the_page_with_words() {
    let Some(database) = calls::database("lookup_dies").await else { return };
    let served = Served::start(&database);
    let locker = database.client().await;
    lock(&locker).await;
    let mut stream = request(served.server, &format!("GET {LOOKUP}"), &[]);
    // The head of the page is there at once, and then signs of life.
    let bytes = read_until(&mut stream, " 2 s …");
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("holdfast query route_lookup 10.1.1.1 --limit 100"), "{text}");
    let file = request(served.server, "GET /lookup/route_lookup.json?address=10.1.1.1", &[]);
    connections_until(&database, WAITS, 2).await;
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE application_name = 'holdfast page' AND datname = current_database()";
    assert_eq!(database.value::<i64>(kill).await, 2);
    let (page, is_complete) = read_rest(stream, bytes);
    assert!(is_complete && page.status == 200, "{page:?}");
    let expected = "The query failed: terminating connection due to administrator command (SQLSTATE 57P01)";
    assert!(page.body.contains(expected) && page.body.ends_with("</html>"), "{}", page.body);
    let file = read(file);
    assert!(file.status == 503 && file.body.contains("(SQLSTATE 57P01)"), "{file:?}");
    locker.batch_execute("ROLLBACK").await.unwrap();
    let again = get(served.server, LOOKUP);
    assert!(again.status == 200 && again.body.contains("(2 rows)"), "{}", again.body);
    drop((served, locker));
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_queries_keep_neither_the_status_nor_the_database_busy() {
    let Some(database) = calls::database("lookup_busy").await else { return };
    let served = Served::start(&database);
    let locker = database.client().await;
    lock(&locker).await;
    let waiting = [(); 2].map(|()| request(served.server, &format!("GET {LOOKUP}"), &[]));
    connections_until(&database, WAITS, 2).await;
    let third = get(served.server, LOOKUP);
    assert!(third.status == 503 && third.head.contains("retry-after: 5"), "{third:?}");
    assert!(third.body.contains("2 look-ups are running"), "{}", third.body);
    assert_eq!(get(served.server, "/lookup").status, 200);
    for path in ["/metrics", "/api/v1/status", "/readyz"] {
        assert_eq!(get(served.server, path).status, 200, "{path}");
    }
    // The queries of clients that are gone are cancelled, while the lock is still held.
    drop(waiting);
    connections_until(&database, WAITS, 0).await;
    locker.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(get(served.server, LOOKUP).status, 200);
    connections_until(&database, "state <> 'idle'", 0).await;
    drop((served, locker));
    database.drop().await;
}

/// Connects with a small receive buffer, requests a page, and reads nothing.
fn slow_reader(served: &Served, path: &str) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(&served.server.into()).unwrap();
    let mut stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_dropped() {
    let Some(mut store) = Store::open(Edition::Timescale, "lookup_slow").await else { return };
    let one = peer(1, RibView::AdjInPre, 1);
    // A page of 12 MB: each of the AS numbers is a link.
    let path: Vec<u32> = (0..250).map(|number| 64_512 + number).collect();
    let entries = (0..900).map(|number| (None, prefix(number)));
    let batch = Builder::new("edge1", 0).event(Some(&one), peer_up());
    let batch = batch.routes(&one, Family::IPV4_UNICAST, Some(&attributes(&path)), entries).build();
    store.put(&[batch]).await;
    let served = Served::start(&store.database);
    let table = "/lookup/rib_at?peer=198.51.100.1&at=now&limit=900";
    let whole = get(served.server, table);
    assert!(whole.body.contains("(900 rows)") && whole.body.len() > 10 << 20, "{} bytes", whole.body.len());
    let slow = slow_reader(&served, table);
    connections_until(&store.database, "state <> 'idle'", 1).await;
    // It holds one of the two permits; the others are served with the other.
    for _ in 0..3 {
        let page = get(served.server, "/lookup/route_lookup?address=1.0.1.1");
        assert!(page.status == 200 && page.body.contains("(1 row)"), "{}", page.body);
    }
    connections_until(&store.database, "state <> 'idle'", 0).await;
    let (page, is_complete) = read_rest(slow, Vec::new());
    assert!(!is_complete, "{} of {} bytes", page.body.len(), whole.body.len());
    assert_eq!(get(served.server, table).body.len(), whole.body.len());
    drop(served);
    store.database.drop().await;
}
