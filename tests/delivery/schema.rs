//! The schema of the objects: the move from `public`, several schemas in one database, the views in `public`,
//! and that nothing depends on the search path of a connection.

use holdfast::sink::{Applied, Connection, Layout, MigrateError, SchemaName, Target, migrate};

use crate::common::batches::{Builder, peer};
use crate::common::db::{Database, Edition, connect};
use crate::common::store::{COLLECTOR, CURRENT, OWNER, Store, lane};
use crate::slim_history::migrate_to;
use holdfast::route::{Batch, RibView};

/// All relations and functions of a schema but partitions, which depend on the date, and those of extensions.
const OBJECTS: &str = "
    SELECT relkind::text || ' ' || relname FROM pg_class c
    WHERE relnamespace = to_regnamespace('{schema}') AND relkind IN ('r', 'p', 'v', 'S')
        AND NOT relispartition
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
    UNION ALL
    SELECT proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' FROM pg_proc p
    WHERE pronamespace = to_regnamespace('{schema}')
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
    ORDER BY 1";

/// What a move leaves in `public`, and the views there.
const LEFT: [&str; 5] =
    ["r schema_migrations", "v bmp_peers", "v peer_events", "v route_state", "v route_updates"];

async fn objects(database: &Database, schema: &str) -> Vec<String> {
    database.texts(&OBJECTS.replace("{schema}", schema)).await
}

fn layout(schema: &str, has_public_views: bool) -> Layout {
    Layout { schema: schema.parse().unwrap(), has_public_views }
}

async fn migrated(database: &Database, layout: &Layout) -> Result<Applied, MigrateError> {
    // A connection of the server's default search path.
    let mut config = database.config.clone();
    config.options("");
    migrate(&mut connect(&config).await, layout, 7).await
}

/// A connection as another program has it: without a search path that contains the tables.
async fn sql(database: &Database, sql: &str) {
    let mut config = database.config.clone();
    config.options("");
    connect(&config).await.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

fn announcements(first: u32) -> Batch {
    Builder::new("edge1", 0)
        .announce(&peer(1, RibView::AdjInPre, 1), first..first + 10, &[65_001])
        .announce(&peer(2, RibView::AdjInPre, 1), first..first + 5, &[65_002])
        .build()
}

/// The database with everything in `public`, as an earlier release has left it, and ten routes in it.
async fn in_public(edition: Edition, test: &str) -> Option<Database> {
    let mut database = Database::empty(edition, test).await?;
    migrated(&database, &layout("public", true)).await.unwrap();
    let target = database.target.clone();
    database.target = target.clone().with_layout(layout("public", true));
    let mut store = Store::with(database).await;
    store.put(&[announcements(1)]).await;
    let mut database = store.database;
    database.target = target;
    Some(database)
}

#[tokio::test]
async fn the_objects_of_an_earlier_release_are_moved_out_of_public() {
    for edition in Edition::ALL {
        let Some(fresh) = Database::migrated(edition, "schema_fresh").await else { continue };
        let Some(database) = in_public(edition, "schema_moved").await else { continue };
        let before = database.texts(CURRENT).await;
        assert_eq!(before.len(), 15, "{edition:?}");
        sql(
            &database,
            "CREATE TABLE public.mine (x integer); CREATE FUNCTION public.mine() RETURNS integer
                LANGUAGE sql AS 'SELECT 1';
            GRANT SELECT ON public.route_records, public.route_state TO pg_monitor;
            ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO pg_monitor",
        )
        .await;
        let applied = migrated(&database, &Layout::default()).await.unwrap();
        assert!(applied.was_moved && applied.has_replaced_functions, "{applied:?}");
        assert_eq!(applied.public_views.created.len(), 4, "{applied:?}");
        assert!(migrated(&database, &Layout::default()).await.unwrap().is_empty(), "{edition:?}");

        assert_eq!(objects(&database, "holdfast").await, objects(&fresh, "holdfast").await, "{edition:?}");
        let mut left = objects(&database, "public").await;
        left.retain(|name| !name.contains("mine"));
        assert_eq!(left, LEFT, "{edition:?}");
        let partitions = "SELECT count(*) FROM pg_class WHERE relispartition
            AND relnamespace = 'public'::regnamespace";
        assert_eq!(database.value::<i64>(partitions).await, 0, "{edition:?}");
        let rights = "SELECT has_schema_privilege('pg_monitor', 'holdfast', 'USAGE')
            AND has_table_privilege('pg_monitor', 'holdfast.route_records', 'SELECT')
            AND has_table_privilege('pg_monitor', 'public.route_state', 'SELECT')
            AND EXISTS (SELECT FROM pg_default_acl WHERE defaclnamespace = 'holdfast'::regnamespace)";
        assert!(database.value::<bool>(rights).await, "{edition:?}");
        assert_eq!(database.texts(CURRENT).await, before, "{edition:?}");

        // A collector that still expects the tables in public stops, and does not make them anew.
        let error = migrated(&database, &layout("public", true)).await.unwrap_err();
        assert!(matches!(&error, MigrateError::Moved { schema } if schema == "holdfast"), "{error}");
        let mut store = Store::with(database).await;
        assert_eq!(store.next, 2, "the checkpoint is moved");
        store.put(&[announcements(100)]).await;
        let count = store.database.value::<i64>("SELECT count(*) FROM public.route_updates").await;
        assert_eq!(count, 30, "{edition:?}");
        let pool = store.database.target.pool(1).unwrap();
        let retention = holdfast::sink::Retention { routes_days: Some(1), events_days: Some(1) };
        holdfast::sink::maintain(&pool, retention).await.unwrap();
        drop(pool);
        store.close().await;
        fresh.drop().await;
    }
}

#[tokio::test]
async fn an_older_release_is_upgraded_before_it_is_moved() {
    for edition in Edition::ALL {
        let Some(database) = Database::empty(edition, "schema_older").await else { continue };
        migrate_to(&database, 9).await;
        let there = objects(&database, "public").await;
        assert!(there.contains(&"r ingest_checkpoint".to_owned()), "{there:?}");
        assert!(migrated(&database, &Layout::default()).await.unwrap().was_moved);
        assert_eq!(objects(&database, "public").await, LEFT, "{edition:?}");
        database.drop().await;
    }
}

#[tokio::test]
async fn an_interrupted_move_leaves_everything_where_it_is() {
    let Some(database) = in_public(Edition::Plain, "schema_interrupted").await else { return };
    let before = objects(&database, "public").await;
    let mut locker = database.client().await;
    let locking = locker.transaction().await.unwrap();
    locking.batch_execute("LOCK TABLE public.upkeep IN ACCESS SHARE MODE").await.unwrap();
    let mut client = database.client().await;
    client.batch_execute("SET lock_timeout = '500ms'").await.unwrap();
    let failed = migrate(&mut client, &Layout::default(), 7).await.unwrap_err();
    assert!(matches!(failed, MigrateError::Database { .. }), "{failed}");
    locking.rollback().await.unwrap();
    assert_eq!(objects(&database, "public").await, before);
    assert_eq!(objects(&database, "holdfast").await, Vec::<String>::new());
    assert!(migrate(&mut client, &Layout::default(), 7).await.unwrap().was_moved);
    drop((client, locker));
    database.drop().await;
}

/// Stores a batch in a schema of the database.
async fn store_in(target: &Target, batch: &Batch) {
    let (mut connection, attached) = Connection::attach(target, &lane(), OWNER, None).await.unwrap();
    let mut transaction = holdfast::sink::TransactionBuilder::new(lane(), attached.last_seq + 1);
    transaction.push(transaction.next_seq(), b"payload", batch).unwrap();
    connection.store(&transaction.build()).await.unwrap();
}

#[tokio::test]
async fn two_schemas_of_one_database_have_nothing_in_common() {
    for edition in Edition::ALL {
        let Some(database) = Database::empty(edition, "schema_two").await else { continue };
        // A key word is a name like any other.
        for (schema, first) in [("select", 1), ("b_2", 100)] {
            let layout = layout(schema, true);
            let applied = migrated(&database, &layout).await.unwrap();
            assert!(!applied.was_moved, "{schema}");
            // The first schema has the names in public.
            let views = applied.public_views;
            assert_eq!((views.created.len(), views.skipped.len()), if first == 1 { (4, 0) } else { (0, 4) });
            let target = database.target.clone().with_layout(layout);
            store_in(&target, &announcements(first)).await;
            store_in(&target, &announcements(first + 20)).await;
        }
        for (schema, first) in [("\"select\"", 1), ("b_2", 100)] {
            let sql = format!(
                "SELECT concat_ws(' ', count(*), count(DISTINCT seq), min(prefix),
                    (SELECT sum(missing + doubled) FROM {schema}.holdfast_verify('{COLLECTOR}')))
                FROM {schema}.route_updates"
            );
            let expected = format!("30 2 1.0.{first}.0/24 0");
            assert_eq!(database.texts(&sql).await, [expected], "{edition:?}: {schema}");
        }
        assert_eq!(objects(&database, "holdfast").await, Vec::<String>::new());
        assert_eq!(database.value::<i64>("SELECT count(*) FROM public.route_updates").await, 30);
        database.drop().await;
    }
}

#[tokio::test]
async fn the_views_in_public_come_and_go_and_replace_nothing() {
    let Some(database) = Database::empty(Edition::Plain, "schema_views").await else { return };
    let foreign = "CREATE VIEW public.route_updates AS SELECT 1 AS mine;
        COMMENT ON VIEW public.route_updates IS 'Holdfast: not ours';
        CREATE TABLE public.bmp_peers (mine integer)";
    sql(&database, foreign).await;
    let kinds = "SELECT string_agg(relkind::text || relname, ' ' ORDER BY relname) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace";
    let views = migrated(&database, &layout("holdfast", true)).await.unwrap().public_views;
    assert_eq!(views.created, ["route_state", "peer_events"]);
    let skipped: Vec<String> =
        views.skipped.iter().map(|view| format!("{}: {}", view.name, view.reason)).collect();
    assert_eq!(
        skipped,
        ["route_updates: the name is taken in public", "bmp_peers: the name is taken in public"]
    );
    assert_eq!(database.texts(kinds).await, ["rbmp_peers vpeer_events vroute_state vroute_updates"]);
    assert_eq!(database.texts("SELECT mine::text FROM public.route_updates").await, ["1"]);

    // With functions replaced, the views are replaced as well; a view over one of them does not prevent that.
    let used = "CREATE SCHEMA theirs; CREATE VIEW theirs.events AS SELECT * FROM public.peer_events;
        UPDATE holdfast.schema_migrations SET checksum = 'other' WHERE version = 0";
    sql(&database, used).await;
    let applied = migrated(&database, &layout("holdfast", true)).await.unwrap();
    assert!(applied.has_replaced_functions && !applied.public_views.has_changed(), "{applied:?}");
    sql(&database, "DROP SCHEMA theirs CASCADE").await;

    let views = migrated(&database, &layout("holdfast", false)).await.unwrap().public_views;
    assert_eq!(views.removed, ["route_state", "peer_events"]);
    assert_eq!(views.skipped, []);
    assert_eq!(database.texts(kinds).await, ["rbmp_peers vroute_updates"]);
    let applied = migrated(&database, &layout("holdfast", false)).await.unwrap();
    assert!(applied.is_empty(), "{applied:?}");
    sql(&database, "DROP VIEW public.route_updates").await;
    let views = migrated(&database, &layout("holdfast", true)).await.unwrap().public_views;
    assert_eq!(views.created, ["route_updates", "route_state", "peer_events"]);
    database.drop().await;
}

#[tokio::test]
async fn the_layout_in_public_remains_possible() {
    let Some(database) = Database::empty(Edition::Timescale, "schema_public").await else { return };
    let public = Layout { schema: SchemaName::public(), has_public_views: true };
    let applied = migrated(&database, &public).await.unwrap();
    assert!(!applied.was_moved && !applied.public_views.has_changed(), "{applied:?}");
    assert_eq!(objects(&database, "holdfast").await, Vec::<String>::new());
    store_in(&database.target.clone().with_layout(public), &announcements(1)).await;
    assert_eq!(database.value::<i64>("SELECT count(*) FROM public.current_routes").await, 15);
    database.drop().await;
}

#[tokio::test]
async fn a_schema_can_be_renamed() {
    let Some(mut store) = Store::open(Edition::Plain, "schema_renamed").await else { return };
    store.put(&[announcements(1)]).await;
    let Store { database, connection, .. } = store;
    drop(connection);
    sql(&database, "ALTER SCHEMA holdfast RENAME TO elsewhere").await;
    let layout = layout("elsewhere", true);
    let applied = migrated(&database, &layout).await.unwrap();
    assert!(applied.has_replaced_functions && !applied.public_views.has_changed(), "{applied:?}");
    assert!(migrated(&database, &layout).await.unwrap().is_empty());
    store_in(&database.target.clone().with_layout(layout), &announcements(100)).await;
    assert_eq!(database.value::<i64>("SELECT count(*) FROM public.route_updates").await, 30);
    let rows = database.texts("SELECT route FROM elsewhere.rib_now('198.51.100.1')").await;
    assert_eq!(rows.len(), 20);
    database.drop().await;
}

/// Another role's search path, and objects with the names of ours in it, change nothing.
#[tokio::test]
async fn nothing_depends_on_the_search_path_of_the_caller() {
    for edition in Edition::ALL {
        let Some(store) = Store::open(edition, "schema_path").await else { continue };
        let Store { database, connection, .. } = store;
        drop(connection);
        let name = database.config.get_dbname().unwrap();
        let decoys = format!(
            "CREATE SCHEMA decoys; CREATE TABLE decoys.rib_entries (); CREATE TABLE decoys.bgp_peers ();
            CREATE TABLE decoys.schema_migrations (); CREATE TABLE decoys.ingest_checkpoint ();
            CREATE FUNCTION decoys.holdfast_time(bigint) RETURNS text LANGUAGE sql AS 'SELECT NULL::text';
            ALTER DATABASE {name} SET search_path = decoys"
        );
        sql(&database, &decoys).await;
        assert!(migrated(&database, &Layout::default()).await.unwrap().is_empty(), "{edition:?}");
        store_in(&database.target, &announcements(1)).await;
        let mut config = database.config.clone();
        config.options("");
        let client = connect(&config).await;
        for path in ["decoys", "''"] {
            client.batch_execute(&format!("SET search_path = {path}")).await.unwrap();
            for view in database
                .texts(
                    "SELECT relname::text FROM pg_class
                    WHERE relnamespace = 'holdfast'::regnamespace AND relkind = 'v' ORDER BY 1",
                )
                .await
            {
                let read = client.batch_execute(&format!("SELECT * FROM holdfast.{view}")).await;
                read.unwrap_or_else(|error| panic!("{path}: {view}: {error:?}"));
            }
            let rows = client.query("SELECT * FROM holdfast.rib_now('198.51.100.1')", &[]).await.unwrap();
            assert_eq!(rows.len(), 10, "{path}");
        }
        drop(client);
        assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
        database.drop().await;
    }
}
