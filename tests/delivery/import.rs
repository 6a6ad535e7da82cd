//! The import of a database of pybmpmon, from another database and from another schema.

use crate::common::daemon::Daemon;
use crate::common::db::{Database, Edition};
use holdfast::sink::{
    ImportError, ImportReport, ImportRequest, Layout, MigrateError, SchemaName, import_pybmpmon, migrate,
};
use std::collections::BTreeMap;
use tokio::sync::Notify;

/// Tables and columns of pybmpmon.
const TABLES: &str = "
    CREATE TABLE schema_migrations (version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now(), execution_time_ms integer NOT NULL);
    INSERT INTO schema_migrations SELECT n, 'name', 'sum', now(), 1 FROM generate_series(0, 7) AS n;
    CREATE TABLE bmp_peers (peer_ip inet PRIMARY KEY, router_id inet, first_seen timestamptz,
        last_seen timestamptz, is_active boolean);
    CREATE TABLE route_updates (time timestamptz NOT NULL, bmp_peer_ip inet NOT NULL, bmp_peer_asn integer,
        bgp_peer_ip inet NOT NULL, bgp_peer_asn integer, family text NOT NULL, prefix cidr, next_hop inet,
        as_path integer[], communities text[], extended_communities text[], med integer, local_pref integer,
        is_withdrawn boolean DEFAULT false, evpn_route_type integer, evpn_rd text, evpn_esi text,
        mac_address text);
    CREATE INDEX ON route_updates (bmp_peer_ip, time DESC);
    CREATE TABLE peer_events (time timestamptz NOT NULL, peer_ip inet NOT NULL, event_type text NOT NULL,
        reason_code integer);";

/// Two routers with two peers each; on three days, announcements and withdrawals of both families; EVPN
/// routes; and rows that are faults of pybmpmon.
const ROWS: &str = "
    INSERT INTO bmp_peers SELECT ('192.0.2.' || r)::inet, NULL, '2025-03-01 00:00:00+00',
        '2025-03-04 00:00:00+00', true FROM generate_series(1, 2) AS r;
    INSERT INTO bmp_peers VALUES ('192.0.2.3', NULL, '2025-03-01 12:00:00+00', '2025-03-01 12:00:00+00',
        false);
    INSERT INTO peer_events SELECT '2025-03-01 00:00:00+00'::timestamptz + n * interval '1 minute',
        ('192.0.2.' || 1 + n % 2)::inet, CASE WHEN n < 4 THEN 'peer_up' ELSE 'peer_down' END,
        CASE WHEN n >= 4 THEN 3 END FROM generate_series(0, 5) AS n;
    INSERT INTO route_updates
        SELECT '2025-03-01 00:00:01+00'::timestamptz + d * interval '1 day' + n * interval '1 millisecond',
            ('192.0.2.' || r)::inet, NULL, ('198.51.100.' || 1 + n % 2)::inet, 65000 + n % 2, f.family,
            f.prefix, CASE WHEN n % 10 > 0 THEN f.next_hop END,
            CASE WHEN n % 10 > 0 THEN ARRAY[65000 + n % 2, 64500 + d, 64999] END,
            CASE WHEN n % 10 > 0 THEN ARRAY['65000:' || n % 7] END,
            CASE WHEN n % 10 > 0 THEN ARRAY['RT:65000:1'] END, CASE WHEN n % 10 > 0 THEN n END,
            CASE WHEN n % 10 > 0 THEN 100 END, n % 10 = 0
        FROM generate_series(0, 2) AS d, generate_series(1, 2) AS r, generate_series(0, 1249) AS n,
            LATERAL (VALUES
                ('ipv4_unicast', (10 + n / 256 || '.' || n % 256 || '.0.0/16')::cidr, '192.0.2.9'::inet),
                ('ipv6_unicast', ('2001:db8:' || to_hex(n) || '::/48')::cidr, '2001:db8::9')) AS f
                (family, prefix, next_hop);
    INSERT INTO route_updates (time, bmp_peer_ip, bgp_peer_ip, bgp_peer_asn, family, prefix, next_hop,
            as_path, extended_communities, evpn_route_type, evpn_rd, evpn_esi, mac_address)
        SELECT '2025-03-02 12:00:00+00'::timestamptz + n * interval '1 second', '192.0.2.1', '198.51.100.1',
            65000, 'evpn', ('203.0.113.' || n || '/32')::cidr, '192.0.2.9', ARRAY[65000],
            ARRAY['EVPN-MAC-Mobility:5'], 2, '65000:100', '00:00:00:00:00:00:00:00:00:00',
            '02:00:00:00:00:' || lpad(to_hex(n), 2, '0') FROM generate_series(1, 20) AS n;
    -- Other EVPN types have only their number.
    INSERT INTO route_updates (time, bmp_peer_ip, bgp_peer_ip, family, evpn_route_type)
        VALUES ('2025-03-02 13:00:00+00', '192.0.2.1', '198.51.100.1', 'evpn', 3),
            ('2025-03-02 13:00:00+00', '192.0.2.1', '198.51.100.1', 'evpn', 5);
    -- A withdrawal of IPv4 without attributes has the family unknown.
    INSERT INTO route_updates (time, bmp_peer_ip, bgp_peer_ip, bgp_peer_asn, family, prefix, is_withdrawn)
        VALUES ('2025-03-03 12:00:00+00', '192.0.2.1', '198.51.100.1', 65000, 'unknown', '10.1.0.0/16', true);
    -- A batch that was written twice.
    INSERT INTO route_updates SELECT * FROM route_updates WHERE time >= '2025-03-02 12:00:00+00'
        AND time < '2025-03-02 12:00:11+00' AND family = 'evpn';";

/// Rows of ROWS: 3 days, 2 routers, 1,250 prefixes of 2 families; 20 EVPN routes, of which 10 twice; 2 EVPN
/// routes of other types; 1 withdrawal.
const READ: u64 = 15_000 + 30 + 2 + 1;
const STORED: u64 = 15_000 + 20 + 1;

/// Contents of the imported history, without positions in the log.
const CONTENTS: &str =
    "SELECT md5(string_agg(row, E'\\n' ORDER BY row)) FROM (SELECT concat_ws('|', time, router,
    bgp_peer_ip, bgp_peer_asn, rib, family, prefix, next_hop, as_path, communities, extended_communities, med,
    local_pref, is_withdrawn, evpn_rd, mac_address, evpn_ip, discarded) AS row FROM route_updates) AS rows";

/// A database of pybmpmon with the rows.
async fn pybmpmon(edition: Edition, test: &str) -> Option<Database> {
    let database = Database::empty(edition, test).await?;
    let client = database.client().await;
    client.batch_execute(TABLES).await.unwrap();
    if edition == Edition::Timescale {
        let hypertables = "CREATE EXTENSION IF NOT EXISTS timescaledb;
            SELECT create_hypertable('route_updates', 'time', chunk_time_interval => interval '1 week');
            SELECT create_hypertable('peer_events', 'time', chunk_time_interval => interval '1 week')";
        // A server given by DATABASE_URL may have no TimescaleDB.
        if let Err(error) = client.batch_execute(hypertables).await {
            println!("the tables of pybmpmon are no hypertables: {error}");
        }
    }
    client.batch_execute(ROWS).await.unwrap();
    Some(database)
}

fn request<'a>(
    source: &'a Database,
    target: &'a Database,
    names: &'a BTreeMap<std::net::IpAddr, String>,
) -> ImportRequest<'a> {
    ImportRequest {
        source: &source.target,
        schema: "public",
        target: &target.target,
        collector: "pybmpmon",
        router_names: names,
        rows_max: 2_000,
        dry_run: false,
    }
}

async fn import(source: &Database, target: &Database) -> Result<ImportReport, ImportError> {
    import_pybmpmon(request(source, target, &BTreeMap::new()), &mut |_| {}).await
}

async fn count(database: &Database, table: &str) -> u64 {
    let count: i64 = database.value(&format!("SELECT count(*) FROM {table}")).await;
    u64::try_from(count).unwrap()
}

#[tokio::test]
async fn the_tables_of_pybmpmon_are_left_unchanged_beside_and_in_the_schema() {
    for edition in Edition::ALL {
        let Some(database) = pybmpmon(edition, "import_recognized").await else { continue };
        let mut client = database.client().await;
        let public = Layout { schema: SchemaName::public(), has_public_views: true };
        let error = migrate(&mut client, &public, 7).await.unwrap_err();
        assert!(matches!(error, MigrateError::Pybmpmon { .. }), "{error}");
        let error = error.to_string();
        for part in ["`holdfast import-pybmpmon`", "docs/MIGRATING.md", "set DB_SCHEMA"] {
            assert!(error.contains(part), "{error}");
        }
        let created: bool =
            database.value("SELECT to_regclass('public.ingest_checkpoint') IS NOT NULL").await;
        assert!(!created && count(&database, "public.route_updates").await == READ);
        // In a schema of their own, the tables of Holdfast are no conflict; the views in public are.
        let (code, out, error) = database.command(None, "c1", &["migrate"]);
        assert_eq!((code, error.as_str()), (Some(0), ""), "{out}");
        for name in ["route_updates", "peer_events", "bmp_peers"] {
            let line = format!("not created: view public.{name}: the name is taken in public\n");
            assert!(out.contains(&line), "{out}");
        }
        assert_eq!(count(&database, "public.route_updates").await, READ);
        assert_eq!(count(&database, "holdfast.route_updates").await, 0);
        drop(client);
        database.drop().await;
    }
}

#[tokio::test]
async fn a_collector_delivers_into_the_database_of_pybmpmon() {
    let Some(database) = pybmpmon(Edition::Plain, "import_collector").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let settings = database.settings(None);
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut daemon = Daemon::start(folder.path(), &settings);
    let skipped = daemon.event_since_start("public_view_skipped").to_string();
    assert!(skipped.contains("the name is taken in public"), "{skipped}");
    daemon.event_since_start("lane_attached");
    assert!(daemon.stop().success());
    assert_eq!(count(&database, "public.route_updates").await, READ);
    assert!(count(&database, "holdfast.ingest_checkpoint").await > 0);
    database.drop().await;
}

#[tokio::test]
async fn the_tables_may_be_in_the_schema_public_of_the_same_database() {
    for edition in Edition::ALL {
        let Some(database) = pybmpmon(edition, "import_public").await else { continue };
        for now in ["by this run: 15037 records", "by this run: 0 records"] {
            let (code, out, error) = database.command(None, "c1", &["import-pybmpmon"]);
            assert_eq!((code, error.as_str()), (Some(1), ""), "{out}");
            assert!(out.contains(now), "{out}");
        }
        assert_eq!(count(&database, "holdfast.route_updates").await, STORED);
        assert_eq!(count(&database, "public.route_updates").await, READ);
        database.drop().await;
    }
}

#[tokio::test]
async fn the_history_of_another_database_is_stored_once() {
    for edition in Edition::ALL {
        let Some(source) = pybmpmon(edition, "import_source").await else { continue };
        let Some(target) = Database::empty(edition, "import_target").await else { continue };
        let url = source.url();
        let words = ["import-pybmpmon", "--from", &url];
        let (code, out, error) = target.command(None, "c1", &[&words[..], &["--dry-run"]].concat());
        assert_eq!((code, error.as_str()), (Some(1), ""), "{out}");
        let created: bool =
            target.value("SELECT to_regclass('holdfast.ingest_checkpoint') IS NOT NULL").await;
        assert!(!created, "a dry run creates nothing");
        for (run, now) in [(1, "by this run: 15037 records"), (2, "by this run: 0 records")] {
            let (code, out, error) = target.command(None, "c1", &words);
            assert_eq!((code, error.as_str()), (Some(1), ""), "{out}");
            for line in [
                "router 192.0.2.1: 7533 routes, 3 peer events",
                "read: 15033 routes, 6 peer events, 4 peers, 2025-03-01T00:00:00",
                "stored: 15021 routes, 6 peer events, as collector pybmpmon",
                now,
                "note: 10 routes repeat another one",
                "note: 1 routes have the family of their prefix",
                "note: 20 extended communities cannot be restored",
                "not stored: 1 routes: EVPN route of type 3: pybmpmon stores only the type",
                "not stored: 1 routes: EVPN route of type 5: pybmpmon stores only the type",
            ] {
                assert!(out.contains(line), "run {run}: {line}\n{out}");
            }
            assert_eq!(count(&target, "route_updates").await, STORED, "run {run}");
            assert_eq!(target.missing_and_doubled("pybmpmon").await, (0, 0));
        }
        check_contents(&target).await;
        source.drop().await;
        target.drop().await;
    }
}

/// Checks the history, and that no imported route is current.
async fn check_contents(target: &Database) {
    let families = "SELECT family || ' ' || count(*) || ' ' || count(*) FILTER (WHERE is_withdrawn)
        FROM route_updates GROUP BY family ORDER BY family";
    assert_eq!(target.texts(families).await, ["evpn 20 0", "ipv4_unicast 7501 751", "ipv6_unicast 7500 750"]);
    let route =
        "SELECT concat_ws(' ', time AT TIME ZONE 'UTC', router, bgp_peer_ip, bgp_peer_asn, rib, next_hop,
            as_path, communities, extended_communities, med, local_pref)
        FROM route_updates WHERE prefix = '10.3.0.0/16' AND router = '192.0.2.1' ORDER BY time LIMIT 1";
    assert_eq!(
        target.texts(route).await,
        ["2025-03-01 00:00:01.003 192.0.2.1 198.51.100.2 65001 unknown 192.0.2.9 {65001,64500,64999} \
             {65000:3} {RT:65000:1} 3 100"]
    );
    let discarded = "SELECT DISTINCT discarded[1] FROM route_updates WHERE family = 'evpn'";
    assert!(target.texts(discarded).await[0].contains("EVPN-MAC-Mobility:5"));
    assert_eq!(count(target, "current_routes").await, 0);
    let peers = "SELECT DISTINCT state FROM bgp_peers";
    assert_eq!(target.texts(peers).await, ["down"]);
    let routers = "SELECT concat_ws(' ', peer_ip, is_active, sys_descr) FROM bmp_peers ORDER BY peer_ip";
    let description = "f history of pybmpmon, imported by Holdfast";
    let expected = [1, 2, 3].map(|number| format!("192.0.2.{number} {description}"));
    assert_eq!(target.texts(routers).await, expected);
    let events = "SELECT event_type || ' ' || coalesce(detail->>'message_type', '-') || ' ' || count(*)
        FROM peer_events GROUP BY event_type, detail->>'message_type' ORDER BY 1";
    assert_eq!(
        target.texts(events).await,
        ["peer_down - 4", "session_down - 3", "session_up - 3", "unknown_message 2 2", "unknown_message 3 4"]
    );
    // A table of the past is read from the imported history.
    let past = "SELECT count(*)::text FROM rib_at('198.51.100.2', '2025-03-01 12:00:00+00')
        WHERE route = '10.3.0.0/16' AND router = '192.0.2.1'";
    assert_eq!(target.texts(past).await, ["1"]);
}

#[tokio::test]
async fn an_interrupted_import_continues_and_has_the_same_contents() {
    let Some(source) = pybmpmon(Edition::Plain, "import_cut_source").await else { return };
    let Some(whole) = Database::migrated(Edition::Plain, "import_whole").await else { return };
    let Some(target) = Database::migrated(Edition::Plain, "import_cut").await else { return };
    import(&source, &whole).await.unwrap();
    let names = BTreeMap::new();
    let mut runs = 0;
    // Each run is dropped after its first transaction, until one has nothing left to interrupt.
    loop {
        runs += 1;
        let stored = Notify::new();
        let mut progress = |_: &ImportReport| stored.notify_one();
        let finished = tokio::select! {
            biased;
            () = stored.notified() => false,
            result = import_pybmpmon(request(&source, &target, &names), &mut progress) => {
                assert_eq!(result.unwrap().routes_stored, STORED);
                true
            }
        };
        if finished {
            break;
        }
    }
    assert!(runs > 5, "{runs}");
    assert_eq!(count(&target, "route_updates").await, STORED);
    assert_eq!(target.texts(CONTENTS).await, whole.texts(CONTENTS).await);
    assert_eq!(target.missing_and_doubled("pybmpmon").await, (0, 0));
    for database in [source, whole, target] {
        database.drop().await;
    }
}

#[tokio::test]
async fn later_rows_are_imported_by_a_later_run_and_changed_ones_are_refused() {
    let Some(source) = pybmpmon(Edition::Plain, "import_later_source").await else { return };
    let Some(target) = Database::migrated(Edition::Plain, "import_later").await else { return };
    let client = source.client().await;
    import(&source, &target).await.unwrap();
    let later = "INSERT INTO route_updates (time, bmp_peer_ip, bgp_peer_ip, bgp_peer_asn, family, prefix)
        VALUES ('2025-04-01 00:00:00+00', '192.0.2.1', '198.51.100.1', 65000, 'ipv4_unicast', '10.9.0.0/16')";
    client.batch_execute(later).await.unwrap();
    let report = import(&source, &target).await.unwrap();
    assert_eq!((report.routes_stored, count(&target, "route_updates").await), (STORED + 1, STORED + 1));
    assert_eq!(import(&source, &target).await.unwrap().records_stored_now, 0);
    assert_eq!(count(&target, "current_routes").await, 0);
    assert_eq!(target.missing_and_doubled("pybmpmon").await, (0, 0));

    client.batch_execute("DELETE FROM route_updates WHERE time < '2025-03-02 00:00:00+00'").await.unwrap();
    let error = import(&source, &target).await.unwrap_err();
    assert!(matches!(error, ImportError::SourceChanged { .. }), "{error}");
    assert_eq!(count(&target, "route_updates").await, STORED + 1);
    drop(client);
    source.drop().await;
    target.drop().await;
}

#[tokio::test]
async fn the_tables_may_be_in_another_schema_of_the_same_database() {
    for edition in Edition::ALL {
        let Some(database) = pybmpmon(edition, "import_schema").await else { continue };
        let moved = "CREATE SCHEMA pybmpmon; ALTER TABLE route_updates SET SCHEMA pybmpmon;
            ALTER TABLE peer_events SET SCHEMA pybmpmon; ALTER TABLE bmp_peers SET SCHEMA pybmpmon;
            ALTER TABLE schema_migrations SET SCHEMA pybmpmon";
        let client = database.client().await;
        client.batch_execute(moved).await.unwrap();
        let (code, out, error) = database.command(None, "c1", &["import-pybmpmon", "--schema", "pybmpmon"]);
        assert_eq!((code, error.as_str()), (Some(1), ""), "{out}");
        assert_eq!(count(&database, "public.route_updates").await, STORED);
        // Without the schema, the tables are those of Holdfast.
        let (code, _, error) = database.command(None, "c1", &["import-pybmpmon"]);
        assert_eq!(code, Some(2));
        assert!(error.contains("its tables are those of Holdfast") && error.contains("--schema"), "{error}");
        let (code, _, error) = database.command(None, "c1", &["import-pybmpmon", "--schema", "nowhere"]);
        assert_eq!(code, Some(2));
        assert!(error.contains("there is no table route_updates"), "{error}");
        drop(client);
        database.drop().await;
    }
}

#[tokio::test]
async fn the_history_is_not_mixed_with_that_of_a_collector() {
    let Some(source) = pybmpmon(Edition::Plain, "import_mixed_source").await else { return };
    let Some(target) = Database::migrated(Edition::Plain, "import_mixed").await else { return };
    let url = source.url();
    let words = ["import-pybmpmon", "--from", &url, "--collector", "c1"];
    let (code, _, error) = target.command(None, "c1", &words);
    assert_eq!(code, Some(2));
    assert!(error.contains("is the COLLECTOR_ID of this collector"), "{error}");
    let checkpoint =
        "INSERT INTO ingest_checkpoint (collector, log_id, lane, lanes, last_seq, digest, epoch, owner,
            backend_pid, updated_at)
        VALUES ('pybmpmon', gen_random_uuid(), 0, 1, 5, 1, 1, gen_random_uuid(), 0, now())";
    target.client().await.batch_execute(checkpoint).await.unwrap();
    let error = import(&source, &target).await.unwrap_err();
    assert!(matches!(error, ImportError::CollectorInUse(_)), "{error}");
    let (code, _, error) = target.command(None, "c1", &["import-pybmpmon", "--from", "mysql://u:secret@h/d"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("--from: invalid value") && !error.contains("secret"), "{error}");
    source.drop().await;
    target.drop().await;
}

#[test]
fn a_database_that_cannot_be_reached_is_named_with_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = "postgres://nobody@127.0.0.1:1/none";
    let run = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = crate::common::daemon::run(folder.path(), arguments, environment);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let own = [("DATABASE_URL", nowhere)];
    for arguments in [
        &["import-pybmpmon"][..],
        &["import-pybmpmon", "--dry-run"],
        &["import-pybmpmon", "--dry-run", "--from", nowhere],
    ] {
        let (code, error) = run(arguments, &own);
        assert_eq!(code, Some(2), "{error}");
        for part in ["127.0.0.1:1 (user nobody, database none)", "Connection refused"] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
    }
    let (code, error) = run(&["import-pybmpmon"], &[]);
    assert_eq!(code, Some(2));
    assert!(error.contains("no database is configured"), "{error}");
}

/// The SQL of docs/MIGRATING.md: the blocks that begin with ```sql, statement by statement.
fn documented_queries() -> Vec<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/MIGRATING.md");
    let text = std::fs::read_to_string(page).unwrap();
    let blocks = text.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let statements = blocks.flat_map(|block| block.split_inclusive(";\n"));
    statements.map(str::to_owned).filter(|statement| !statement.trim().is_empty()).collect()
}

#[tokio::test]
async fn the_queries_of_the_migration_guide_run_on_an_imported_history() {
    let queries = documented_queries();
    assert!(queries.len() > 15, "{queries:?}");
    for edition in Edition::ALL {
        let Some(source) = pybmpmon(edition, "import_guide_source").await else { continue };
        let Some(target) = Database::migrated(edition, "import_guide").await else { continue };
        import(&source, &target).await.unwrap();
        let client = target.client().await;
        for sql in &queries {
            if let Err(error) = client.query(sql.as_str(), &[]).await {
                panic!("{edition:?}: {error:?}\n{sql}");
            }
        }
        drop(client);
        source.drop().await;
        target.drop().await;
    }
}
