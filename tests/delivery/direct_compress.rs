//! History is written compressed where the server can, and as rows elsewhere, with the reason.
//!
//! No server here has the community edition. One that claims to be it shows which transactions would be
//! written compressed; tools/testbed/community.mjs shows what such a transaction does.

use crate::common::batches::{Builder, peer};
use crate::common::db::{Database, Edition};
use crate::common::source::{PATIENCE, Source, delivered};
use crate::common::store::{OWNER, Store, lane};
use holdfast::route::{Batch, RibView};
use holdfast::sink::{Connection, DirectCompress, HistoryStorage};

/// Makes a plain server claim to have the extension.
const CLAIM: &str = "
    INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
        VALUES (4242, 'timescaledb', 10, 'holdfast'::regnamespace, false, '2.28.3');
    CREATE SCHEMA timescaledb_information;
    CREATE TABLE timescaledb_information.hypertables (hypertable_schema name, hypertable_name name,
        compression_enabled boolean);
    INSERT INTO timescaledb_information.hypertables VALUES ('holdfast', 'route_records', true);
    GRANT USAGE ON SCHEMA timescaledb_information TO PUBLIC;
    GRANT SELECT ON timescaledb_information.hypertables TO PUBLIC;
    CREATE TABLE seen_settings (setting text, rows bigint);
    CREATE FUNCTION note_setting() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO seen_settings SELECT coalesce(nullif(
            current_setting('timescaledb.enable_direct_compress_copy', true), ''), 'off'), count(*)
            FROM added;
        RETURN NULL; END $$;
    CREATE TRIGGER note AFTER INSERT ON route_records REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION note_setting();";
const SEEN: &str = "SELECT concat_ws(' ', setting, sum(rows)) FROM seen_settings GROUP BY setting ORDER BY 1";

fn announcements(first: u32, count: u32) -> Batch {
    Builder::new("edge1", 0).announce(&peer(1, RibView::AdjInPre, 1), first..first + count, &[65_001]).build()
}

async fn sql(database: &Database, sql: &str) {
    database.client().await.batch_execute(sql).await.unwrap();
}

/// The reason on a new connection.
async fn obstacle(database: &Database, wish: DirectCompress) -> Option<String> {
    let (mut connection, _) = Connection::attach(&database.target, &lane(), OWNER, None).await.unwrap();
    let HistoryStorage { obstacle, is_demanded, .. } = connection.choose_history_storage(wish).await.unwrap();
    assert_eq!(is_demanded, wish == DirectCompress::On);
    obstacle
}

#[tokio::test]
async fn a_server_that_cannot_compress_gets_rows_and_the_status_names_the_reason() {
    for edition in Edition::ALL {
        let Some(database) = Database::migrated(edition, "as_rows").await else { continue };
        let expected = match edition {
            Edition::Timescale => "is not the community edition",
            Edition::Plain => "the database has no TimescaleDB",
        };
        for wish in [DirectCompress::Auto, DirectCompress::On] {
            let reason = obstacle(&database, wish).await.unwrap();
            assert!(reason.contains(expected), "{edition:?}: {reason}");
        }
        let reason = obstacle(&database, DirectCompress::Off).await;
        assert_eq!(reason.as_deref(), Some("HISTORY_DIRECT_COMPRESS=off"));
        // The lane asks by itself.
        let source = Source::new();
        source.put(&announcements(0, 1)).await;
        let forwarder = source.drain(database.target.clone(), 1, 100);
        delivered(&forwarder, 1).await;
        let history = forwarder.delivered().borrow().lanes[0].history.clone().unwrap();
        assert!(history.obstacle.unwrap().contains(expected), "{edition:?}");
        assert!(forwarder.stop(PATIENCE).await);
        database.drop().await;
    }
}

#[tokio::test]
async fn the_version_the_edition_and_the_columnstore_must_allow_it() {
    let Some(database) = Database::migrated(Edition::Plain, "may_compress").await else { return };
    sql(&database, CLAIM).await;
    let name: String = database.value("SELECT current_database()::text").await;
    let license = |value: &str| format!("ALTER DATABASE {name} SET \"timescaledb.license\" = '{value}'");
    sql(&database, &license("apache")).await;
    let edition = obstacle(&database, DirectCompress::On).await;
    sql(&database, &license("timescale")).await;
    assert_eq!(edition.as_deref(), Some("TimescaleDB 2.28.3 is not the community edition"));
    assert_eq!(obstacle(&database, DirectCompress::Auto).await, None);
    sql(&database, "UPDATE timescaledb_information.hypertables SET compression_enabled = false").await;
    let columnstore = obstacle(&database, DirectCompress::Auto).await.unwrap();
    assert!(columnstore.contains("route_records has no columnstore"), "{columnstore}");
    sql(&database, "UPDATE pg_extension SET extversion = '2.28.0' WHERE extname = 'timescaledb'").await;
    let version = obstacle(&database, DirectCompress::Auto).await.unwrap();
    assert!(version.contains("TimescaleDB 2.28.0 does not check constraints"), "{version}");
    sql(&database, "DELETE FROM pg_extension WHERE extname = 'timescaledb'").await;
    database.drop().await;
}

#[tokio::test]
async fn large_transactions_are_written_compressed_and_small_ones_as_rows() {
    let Some(database) = Database::migrated(Edition::Plain, "large_compressed").await else { return };
    sql(&database, CLAIM).await;
    let name: String = database.value("SELECT current_database()::text").await;
    sql(&database, &format!("ALTER DATABASE {name} SET \"timescaledb.license\" = 'timescale'")).await;
    let mut store = Store::with(database).await;
    let chosen = store.connection.choose_history_storage(DirectCompress::Auto).await.unwrap();
    assert_eq!(chosen.obstacle, None);
    store.put(&[announcements(0, 1_000)]).await;
    // The setting ends with its transaction.
    store.put(&[announcements(1_000, 999)]).await;
    assert_eq!(store.database.texts(SEEN).await, ["off 999", "on 1000"]);
    store.connection.choose_history_storage(DirectCompress::Off).await.unwrap();
    store.put(&[announcements(2_000, 1_001)]).await;
    assert_eq!(store.database.texts(SEEN).await, ["off 2000", "on 1000"]);
    sql(&store.database, "DELETE FROM pg_extension WHERE extname = 'timescaledb'").await;
    store.close().await;
}

/// The columnstore stores what rows have in common once; a reference would only add to it.
#[tokio::test]
async fn rows_that_are_compressed_have_their_attributes_themselves() {
    let rows = "SELECT (to_jsonb(u) - 'incarnation' - 'log_id')::text FROM route_updates u ORDER BY seq, idx";
    let mut of_each = Vec::new();
    for claims in [false, true] {
        let Some(database) = Database::migrated(Edition::Plain, "whole_rows").await else { return };
        if claims {
            sql(&database, CLAIM).await;
        }
        let source = Source::new();
        source.put(&announcements(0, 3)).await;
        let forwarder = source.drain(database.target.clone(), 1, 100);
        delivered(&forwarder, 1).await;
        // Read before the lane knew the server.
        source.put(&announcements(3, 3)).await;
        delivered(&forwarder, 2).await;
        source.put(&announcements(0, 6)).await;
        delivered(&forwarder, 3).await;
        let history = forwarder.delivered().borrow().lanes[0].history.clone().unwrap();
        assert_eq!(history.is_whole, claims);
        assert!(forwarder.stop(PATIENCE).await);
        let whole = "SELECT count(*) FROM route_records WHERE attributes IS NULL AND as_path IS NOT NULL";
        assert_eq!(database.value::<i64>(whole).await > 0, claims);
        assert_eq!(database.missing_and_doubled("c1").await, (0, 0));
        of_each.push(database.texts(rows).await);
        if claims {
            sql(&database, "DELETE FROM pg_extension WHERE extname = 'timescaledb'").await;
        }
        database.drop().await;
    }
    assert_eq!(of_each[0], of_each[1]);
}
