//! Migrations: once, forward only, with concurrent migrators; functions are replaced; columns match the
//! encoder.

use std::collections::BTreeSet;

use crate::common::db::{Database, Edition};
use holdfast::route::Family;
use holdfast::sink::{Layout, MigrateError, Retention, columns, maintain, migrate, migrations};

#[tokio::test]
async fn migrations_run_once_even_when_two_come_at_the_same_time() {
    for edition in Edition::ALL {
        let Some(database) = Database::empty(edition, "migrate").await else { continue };
        let (mut one, mut two) = (database.client().await, database.client().await);
        let layout = Layout::default();
        let (first, second) = tokio::join!(migrate(&mut one, &layout, 7), migrate(&mut two, &layout, 7));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_ne!(first.has_replaced_functions, second.has_replaced_functions);
        let mut applied = [first.versions.len(), second.versions.len()];
        applied.sort_unstable();
        assert_eq!(applied, [0, migrations().len()]);
        assert!(migrate(&mut one, &Layout::default(), 7).await.unwrap().is_empty());
        drop((one, two));
        database.drop().await;
    }
}

#[tokio::test]
async fn tables_are_cut_by_time_as_the_edition_allows() {
    for edition in Edition::ALL {
        let Some(database) = Database::migrated(edition, "cut").await else { continue };
        let kinds = database
            .texts(
                "SELECT DISTINCT is_hypertable::text FROM partitioned_tables
                WHERE name <> 'attribute_sets'",
            )
            .await;
        // A server given by DATABASE_URL may have no TimescaleDB.
        let has_extension: bool =
            database.value("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')").await;
        assert_eq!(kinds, [has_extension.to_string()]);
        assert!(edition == Edition::Timescale || !has_extension);
        database.drop().await;
    }
}

#[tokio::test]
async fn a_changed_or_newer_migration_is_refused() {
    let Some(database) = Database::migrated(Edition::Plain, "changed").await else { return };
    let mut client = database.client().await;
    client.batch_execute("UPDATE schema_migrations SET checksum = 'other' WHERE version = 2").await.unwrap();
    assert!(matches!(
        migrate(&mut client, &Layout::default(), 7).await,
        Err(MigrateError::Changed { version: 2 })
    ));
    client.batch_execute("INSERT INTO schema_migrations VALUES (99, 'x', 'y', now(), 1)").await.unwrap();
    assert!(matches!(
        migrate(&mut client, &Layout::default(), 7).await,
        Err(MigrateError::Newer { version: 99 })
    ));
    drop(client);
    database.drop().await;
}

#[tokio::test]
async fn the_encoder_and_the_tables_have_the_same_columns() {
    let Some(database) = Database::migrated(Edition::Plain, "columns").await else { return };
    // Set by the server.
    let left_out = ["records", "noticed_at", "used_at"];
    for (table, blocks) in [
        ("route_records", columns::WHOLE_ROUTE_RECORDS),
        ("incarnations", columns::INCARNATIONS),
        ("attribute_sets", columns::ATTRIBUTE_SETS),
        ("peer_events", columns::PEER_EVENTS),
        ("peer_stats", columns::PEER_STATS),
        ("collector_gaps", columns::COLLECTOR_GAPS),
        ("path_attributes", columns::PATH_ATTRIBUTES),
    ] {
        let sql = format!(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0"
        );
        let there: BTreeSet<String> = database.texts(&sql).await.into_iter().collect();
        let filled: BTreeSet<String> = blocks.concat().into_iter().map(str::to_owned).collect();
        let missing: Vec<_> =
            there.difference(&filled).filter(|name| !left_out.contains(&name.as_str())).collect();
        assert!(missing.is_empty() && filled.is_subset(&there), "{table}: {missing:?}");
        assert_eq!(columns::count(blocks), filled.len(), "{table} names a column twice");
    }
    database.drop().await;
}

#[tokio::test]
async fn families_have_the_same_names_in_the_program_and_in_the_database() {
    let Some(database) = Database::migrated(Edition::Plain, "families").await else { return };
    let sql = "SELECT afi || ' ' || safi || ' ' || holdfast_family(afi, safi)
        FROM unnest(ARRAY[0, 1, 2, 25, 26, 16388, 65535]) afi, generate_series(0, 255) safi";
    for line in database.texts(sql).await {
        let [afi, safi, name] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        assert_eq!(Family { afi: afi.parse().unwrap(), safi: safi.parse().unwrap() }.to_string(), name);
    }
    database.drop().await;
}

#[tokio::test]
async fn maintenance_makes_partitions_and_drops_old_ones() {
    for edition in Edition::ALL {
        let Some(database) = Database::migrated(edition, "maintain").await else { continue };
        let client = database.client().await;
        let insert =
            "INSERT INTO peer_events (time, peer_ip, event_type, collector, log_id, seq, idx, session,
                router)
            SELECT t, '192.0.2.1', 'peer_up', 'c', '00000000-0000-0000-0000-000000000000', 1, 0, now(), 'r'
            FROM unnest(ARRAY[now(), now() - interval '400 days', now() + interval '40 days']) AS t";
        client.batch_execute(insert).await.unwrap();
        let pool = database.target.pool(2).unwrap();
        let retention = Retention { routes_days: None, events_days: Some(180) };
        maintain(&pool, retention).await.unwrap();
        maintain(&pool, retention).await.unwrap();
        assert_eq!(database.value::<i64>("SELECT count(*) FROM peer_events").await, 2, "{edition:?}");
        drop((client, pool));
        database.drop().await;
    }
}

#[tokio::test]
async fn rows_that_waited_in_the_default_partition_move_into_theirs() {
    let Some(database) = Database::migrated(Edition::Plain, "waited").await else { return };
    let client = database.client().await;
    let insert = "INSERT INTO peer_events (time, peer_ip, event_type, collector, log_id, seq, idx, session,
                router)
        VALUES (now() + interval '40 days', '192.0.2.1', 'peer_up', 'c', gen_random_uuid(), 1, 0, now(),
            'r')";
    client.batch_execute(insert).await.unwrap();
    assert_eq!(database.value::<i64>("SELECT count(*) FROM peer_events_default").await, 1);
    client.batch_execute("SELECT holdfast_make_partitions(8)").await.unwrap();
    assert_eq!(database.value::<i64>("SELECT count(*) FROM peer_events_default").await, 0);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM peer_events").await, 1);
    drop(client);
    database.drop().await;
}

#[tokio::test]
async fn stale_and_missing_functions_are_replaced_and_keep_their_privileges() {
    for edition in Edition::ALL {
        let Some(database) = Database::migrated(edition, "functions").await else { continue };
        let mut client = database.client().await;
        let grants = "SELECT string_agg(oid::regclass || relacl::text, ' ' ORDER BY relname) FROM pg_class
            WHERE oid IN ('route_state'::regclass, 'current_routes'::regclass)
            UNION ALL SELECT proacl::text FROM pg_proc WHERE proname IN ('holdfast_verify', 'holdfast_retain')
            ORDER BY 1";
        client
            .batch_execute(
                "GRANT SELECT ON route_state, current_routes TO pg_monitor;
                REVOKE EXECUTE ON FUNCTION holdfast_verify FROM PUBLIC;
                GRANT EXECUTE ON FUNCTION holdfast_verify TO pg_monitor",
            )
            .await
            .unwrap();
        let before = database.texts(grants).await;
        // An older release's body, a missing function with its stored checksum, and a missing view.
        for (damage, check) in [
            (
                "CREATE OR REPLACE FUNCTION holdfast_time(microseconds bigint) RETURNS timestamptz
                    LANGUAGE sql IMMUTABLE STRICT AS 'SELECT now()';
                UPDATE schema_migrations SET checksum = 'other' WHERE version = 0",
                "SELECT holdfast_time(0) = '1970-01-01 00:00Z'",
            ),
            ("DROP FUNCTION gaps(interval)", "SELECT count(*) = 0 FROM gaps()"),
            ("DROP VIEW stored_records", "SELECT count(*) = 0 FROM stored_records"),
            ("DELETE FROM schema_migrations WHERE version = 0", "SELECT true"),
        ] {
            client.batch_execute(damage).await.unwrap();
            let applied = migrate(&mut client, &Layout::default(), 7).await.unwrap();
            assert_eq!((applied.to_string().as_str(), applied.versions.len()), ("functions", 0), "{damage}");
            assert!(database.value::<bool>(check).await, "{damage}");
            assert!(migrate(&mut client, &Layout::default(), 7).await.unwrap().is_empty(), "{damage}");
        }
        assert_eq!(database.texts(grants).await, before, "{edition:?}");
        drop(client);
        database.drop().await;
    }
}

/// Objects of an extension, and partitions, which have the comments of their table, are left out.
const OWN_OBJECTS: &str = "
    FROM (
        SELECT oid, 'pg_class'::regclass AS catalog, oid::regclass::text AS name FROM pg_class
        WHERE relnamespace = 'holdfast'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition
        UNION ALL
        SELECT oid, 'pg_proc'::regclass, oid::regprocedure::text FROM pg_proc
        WHERE pronamespace = 'holdfast'::regnamespace
    ) o
    WHERE NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = o.catalog AND d.objid = o.oid AND d.deptype = 'e')";

#[tokio::test]
async fn every_table_view_and_function_has_a_comment() {
    for edition in Edition::ALL {
        let Some(database) = Database::migrated(edition, "comments").await else { continue };
        let own = database.texts(&format!("SELECT o.name {OWN_OBJECTS}")).await;
        assert!(own.len() > 80, "{own:?}");
        let sql = format!("SELECT o.name {OWN_OBJECTS} AND obj_description(o.oid, o.catalog::name) IS NULL");
        assert_eq!(
            database.texts(&sql).await,
            Vec::<String>::new(),
            "{edition:?}: objects without a comment"
        );
        database.drop().await;
    }
}

/// A function without a fixed search path is inlined by the planner; tests/queries runs those with an empty
/// one.
#[tokio::test]
async fn every_function_that_is_not_inlined_has_a_fixed_search_path() {
    let Some(database) = Database::migrated(Edition::Plain, "search_path").await else { return };
    let sql = "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
        WHERE p.pronamespace = 'holdfast'::regnamespace
            AND (p.proconfig IS NULL OR NOT 'search_path=holdfast, pg_temp' = ANY (p.proconfig))
            AND NOT (l.lanname = 'sql' AND p.provolatile <> 'v' AND p.proconfig IS NULL)";
    assert_eq!(database.texts(sql).await, Vec::<String>::new());
    database.drop().await;
}
