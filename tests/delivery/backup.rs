//! A backup taken during delivery and restored into a new database, to which the collector then delivers.
//! The commands are those of docs/RECOVERY.md.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::common::daemon::{Daemon, until};
use crate::common::db::{Database, Edition, connect, testbed};
use crate::common::messages::{PEER, initiation, open, plain_attributes, update, v4};
use holdfast::sink::rebuild_state;

/// The commands of the page, in its order.
fn commands() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/RECOVERY.md");
    let page = std::fs::read_to_string(page).unwrap();
    let lines = page.lines().filter_map(|line| line.strip_prefix("    "));
    lines
        .filter(|line| line.starts_with("pg_dump ") || line.starts_with("psql "))
        .map(str::to_owned)
        .collect()
}

/// Splits a command into words like a shell: at blanks outside double quotes.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('"').enumerate();
    let words = parts.flat_map(|(place, part)| match place % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

struct Places {
    server: &'static str,
    old: String,
    new: String,
    file: String,
}

/// Runs a command of the page with names of this test.
fn run(places: &Places, line: &str) {
    let line = line.replace("holdfast.sql", "FILE").replace("holdfast_restored", "NEW");
    let line = line.replace("=holdfast ", "=OLD ").replace("edge1", "test");
    let line = line.replace("FILE", &places.file).replace("NEW", &places.new).replace("OLD", &places.old);
    let mut words = words(&line);
    let verb = if words.remove(0) == "psql" { "psql" } else { "dump" };
    if let Some(place) = words.iter().position(|word| word == "-d") {
        // The program passes the address, and \connect keeps it.
        let name = words.remove(place + 1);
        words.splice(
            place..=place,
            ["-v".to_owned(), "ON_ERROR_STOP=1".to_owned(), "-c".to_owned(), format!("\\connect {name}")],
        );
    }
    let arguments: Vec<&str> =
        ["--name", places.server, "--"].into_iter().chain(words.iter().map(String::as_str)).collect();
    testbed(&[&[verb], arguments.as_slice()].concat()).unwrap_or_else(|error| panic!("{line}: {error}"));
}

fn start(folder: &Path, database: &Database, name: &str) -> Daemon {
    let settings = database.settings(None);
    let settings = settings.iter().map(|(name, value)| (*name, value.as_str()));
    let own = settings
        .filter(|(setting, _)| *setting != "DB_NAME")
        .chain([("DB_NAME", name), ("DRAIN_MAX_DELAY_MS", "20")]);
    Daemon::start(folder, &own.collect::<Vec<_>>())
}

fn route(number: u32) -> Vec<u8> {
    let [_, _, high, low] = number.to_be_bytes();
    PEER.route_monitoring(&update(&[], &plain_attributes(&[65_001]), &v4(10, high, low, 24)))
}

fn all_delivered(daemon: &Daemon) {
    daemon.status_when(|status| {
        status
            .delivery
            .as_ref()
            .is_some_and(|it| it.delivered.is_some_and(|seq| seq > 0 && seq == status.wal.durable))
    });
}

/// Takes the backup while the router announces routes, and announces more afterwards. Returns their number.
fn backed_up(places: &Places, stream: &mut TcpStream) -> i64 {
    let (sent, dumped) = (AtomicU32::new(0), AtomicU32::new(u32::MAX));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..60_000 {
                if number > dumped.load(Ordering::Relaxed).saturating_add(500) {
                    return;
                }
                stream.write_all(&route(number)).unwrap();
                sent.store(number + 1, Ordering::Relaxed);
            }
        });
        until(|| (sent.load(Ordering::Relaxed) > 1_000).then_some(()), || "nothing is sent".to_owned());
        let dump = commands().into_iter().find(|line| line.starts_with("pg_dump")).unwrap();
        run(places, &dump);
        dumped.store(sent.load(Ordering::Relaxed), Ordering::Relaxed);
    });
    i64::from(sent.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_goes_on_with_a_backup_that_was_taken_while_it_delivered() {
    for (edition, server) in [(Edition::Timescale, "tests"), (Edition::Plain, "tests-plain")] {
        if edition == Edition::Timescale && std::env::var_os("DATABASE_URL").is_some() {
            println!("SKIPPED: backup: the server of DATABASE_URL is not ours to dump");
            continue;
        }
        let Some(database) = Database::migrated(edition, "backup").await else { continue };
        let folder = tempfile::tempdir().unwrap();
        let old = database.config.get_dbname().unwrap().to_owned();
        let file = folder.path().join("holdfast.sql").to_str().unwrap().to_owned();
        let places = Places { server, new: format!("{old}_new"), old, file };

        let collector = start(folder.path(), &database, &places.old);
        let mut stream = collector.connect();
        let hello = [initiation("r1"), PEER.peer_up(&open(65_001, &[]), &open(65_002, &[]), &[])].concat();
        stream.write_all(&hello).unwrap();
        let routes = backed_up(&places, &mut stream);
        all_delivered(&collector);
        let is_plain = database
            .texts("SELECT extname::text FROM pg_extension WHERE extname = 'timescaledb'")
            .await
            .is_empty();
        let admin = database.admin().await;
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {}", places.new)).await.unwrap();
        for line in
            commands().iter().filter(|line| line.starts_with("psql") && !line.contains("holdfast_verify"))
        {
            if !(is_plain && line.contains("timescaledb")) {
                run(&places, line);
            }
        }
        let mut config = database.config.clone();
        config.dbname(&places.new);
        let mut client = connect(&config).await;
        let count = "SELECT count(*) FROM route_updates";
        let restored: i64 = client.query_one(count, &[]).await.unwrap().get(0);
        assert!(restored < routes, "the backup has all {routes} routes: nothing is shown");

        // Some routes still go to the old database; the restored one receives them from the log.
        stream.write_all(&route(60_001)).unwrap();
        all_delivered(&collector);
        assert!(collector.stop().success());
        let collector = start(folder.path(), &database, &places.new);
        all_delivered(&collector);
        assert!(collector.stop().success());
        assert_eq!(
            client.query_one(count, &[]).await.unwrap().get::<_, i64>(0),
            routes + 1,
            "{edition:?}: {restored} restored"
        );
        let verify = commands().into_iter().find(|line| line.contains("holdfast_verify")).unwrap();
        run(&places, &verify);
        let proof = client
            .query_one("SELECT missing, doubled, ledger_breaks FROM holdfast_verify('test')", &[])
            .await
            .unwrap();
        assert_eq!([proof.get::<_, i64>(0), proof.get(1), proof.get(2)], [0, 0, 0], "{edition:?}");
        let gaps = "SELECT count(*) FROM collector_gaps WHERE first_seq IS NOT NULL";
        assert_eq!(client.query_one(gaps, &[]).await.unwrap().get::<_, i64>(0), 0);
        let found = rebuild_state(&mut client, "test", false).await.unwrap();
        assert!(found.iter().all(holdfast::sink::RouteComparison::is_consistent), "{edition:?}: {found:?}");
        drop(client);
        admin.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", places.new)).await.unwrap();
        database.drop().await;
    }
}
