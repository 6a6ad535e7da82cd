//! The three roles of deploy/roles.sql: the owner creates the tables, the writer delivers, the reader
//! queries. None has more rights than it needs.

use std::path::Path;

use crate::common::batches::{Builder, peer};
use crate::common::daemon::Daemon;
use crate::common::db::{Database, Edition, connect};
use crate::common::messages::{PEER, initiation, open, plain_attributes, update, v4};
use holdfast::route::RibView;
use holdfast::sink::{
    Connection, QUERIES, Retention, SslMode, Target, TlsFiles, TransactionBuilder, maintain,
};
use tokio_postgres::error::SqlState;

const ROLES: [&str; 3] = ["holdfast_owner", "holdfast_writer", "holdfast_reader"];

fn as_role(database: &Database, role: &str) -> tokio_postgres::Config {
    let mut config = database.config.clone();
    config.user(role);
    config
}

/// Runs a command of the program as this role; returns exit code and output.
fn command(database: &Database, role: &str, words: &[&str]) -> (Option<i32>, String) {
    let (code, out, error) = database.command(Some(role), "test", words);
    (code, out + &error)
}

/// An empty database with the three roles; `None` after a printed SKIPPED.
async fn with_roles(edition: Edition, test: &str) -> Option<Database> {
    let database = Database::empty(edition, test).await?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/roles.sql");
    let connect = format!("\\connect {}", database.config.get_dbname().unwrap());
    let server = if edition == Edition::Plain { "tests-plain" } else { "tests" };
    let psql = ["psql", "--name", server, "--", "-q", "-c", &connect, "-f", script.to_str().unwrap()];
    if let Err(error) = crate::common::db::testbed(&psql) {
        println!("SKIPPED: roles: deploy/roles.sql could not be run: {error}");
        database.drop().await;
        return None;
    }
    Some(database)
}

async fn refused(database: &Database, role: &str, sql: &str) {
    let client = connect(&as_role(database, role)).await;
    // The server itself rejects it.
    client.batch_execute("SET default_transaction_read_only = off").await.unwrap();
    let error = client.batch_execute(sql).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{role}: {sql}: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_migrates_the_writer_collects_and_the_reader_asks() {
    for edition in Edition::ALL {
        let Some(database) = with_roles(edition, "roles").await else { continue };
        let (code, said) = command(&database, "holdfast_writer", &["migrate"]);
        assert!(code == Some(1) && said.contains("run `holdfast migrate` as the role that owns"), "{said}");
        let (code, said) = command(&database, "holdfast_owner", &["migrate"]);
        assert!(code == Some(0) && said.starts_with("applied 0001 delivery\n"), "{said}");
        let (code, said) = command(&database, "holdfast_writer", &["migrate"]);
        assert_eq!((code, said.as_str()), (Some(0), "the schema is up to date\n"));

        let folder = tempfile::tempdir().unwrap();
        let writer = database.settings(Some("holdfast_writer"));
        let writer: Vec<(&str, &str)> = writer.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let collector = Daemon::start(folder.path(), &writer);
        let (sent, received) = (open(65_001, &[]), open(65_002, &[]));
        let pdu = update(&[], &plain_attributes(&[65_001]), &v4(10, 0, 0, 24));
        let bytes = [initiation("r1"), PEER.peer_up(&sent, &received, &[]), PEER.route_monitoring(&pdu)];
        let stream = collector.send(&bytes.concat());
        collector.status_when(|document| {
            document.delivery.as_ref().is_some_and(|it| it.delivered > Some(0) && it.lag_routes == 0)
        });
        drop(stream);
        assert!(collector.stop().success());
        assert_eq!(database.value::<i64>("SELECT count(*) FROM current_routes").await, 1, "{edition:?}");

        for query in QUERIES.iter().filter(|query| query.parameters.iter().all(|it| !it.is_required())) {
            let (code, said) = command(&database, "holdfast_reader", &["query", query.name]);
            assert_eq!(code, Some(0), "{}: {said}", query.name);
        }
        let (code, said) = command(&database, "holdfast_reader", &["query", "route_lookup", "10.0.0.1"]);
        assert!(code == Some(0) && said.contains("10.0.0.0/24"), "{said}");
        // Dashboards name neither the schema nor a search path.
        let mut reader = as_role(&database, "holdfast_reader");
        reader.options("");
        let reader = connect(&reader).await;
        for sql in ["SELECT * FROM routers()", "SELECT * FROM peers()", "TABLE public.route_state"] {
            reader.query(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
        drop(reader);
        database.drop().await;
    }
}

#[tokio::test]
async fn the_writer_has_old_rows_dropped_and_partitions_made() {
    for edition in Edition::ALL {
        let Some(database) = with_roles(edition, "roles_retain").await else { continue };
        assert_eq!(command(&database, "holdfast_owner", &["migrate"]).0, Some(0));
        let config = as_role(&database, "holdfast_writer");
        let target = Target::new(config, SslMode::Disable, &TlsFiles::default()).unwrap();
        let (mut connection, _) =
            Connection::attach(&target, &crate::common::store::lane(), crate::common::store::OWNER, None)
                .await
                .unwrap();
        let mut chunk = TransactionBuilder::new(crate::common::store::lane(), 1);
        // 2026-01 and 2020-11, whatever the server's clock says.
        for (seq, days) in [(1, -300), (2, -2_200)] {
            let batch = Builder::new("r1", 0)
                .at(days * 86_400_000_000)
                .announce(&peer(1, RibView::AdjInPre, 1), [1], &[1])
                .build();
            chunk.push(seq, b"payload", &batch).unwrap();
        }
        connection.store(&chunk.build()).await.unwrap();
        let pool = target.pool(2).unwrap();
        for _ in 0..2 {
            maintain(&pool, Retention { routes_days: Some(2_000), events_days: Some(180) }).await.unwrap();
        }
        assert_eq!(database.value::<i64>("SELECT count(*) FROM route_updates").await, 1, "{edition:?}");
        drop((connection, pool));
        database.drop().await;
    }
}

#[tokio::test]
async fn no_role_can_do_more_than_it_needs() {
    for edition in Edition::ALL {
        let Some(database) = with_roles(edition, "roles_limits").await else { continue };
        assert_eq!(command(&database, "holdfast_owner", &["migrate"]).0, Some(0));
        for role in &ROLES[1..] {
            for sql in [
                "DROP TABLE route_records",
                "TRUNCATE rib_entries",
                "ALTER TABLE bgp_peers ADD COLUMN x integer",
                "CREATE TABLE public.mine (x integer)",
                "DROP FUNCTION holdfast_time(bigint)",
            ] {
                refused(&database, role, sql).await;
            }
        }
        for sql in [
            "SELECT holdfast_retain('route_records', '1 day')",
            "SELECT holdfast_make_partitions(4)",
            "INSERT INTO own_prefixes VALUES ('10.0.0.0/8', '{1}', NULL)",
            "UPDATE rib_entries SET is_withdrawn = true",
            "DELETE FROM route_records",
        ] {
            refused(&database, "holdfast_reader", sql).await;
        }
        database.drop().await;
    }
}
