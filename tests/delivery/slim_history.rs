//! History in slim rows: the rows of an earlier release are moved unchanged, no row loses what it refers to,
//! and conditions on the view reach the chunks.

use holdfast::route::{Action, Cause, Family, RibView};
use holdfast::sink::{Dedup, Layout, MigrateError, Retention, maintain, migrate, migrations};

use crate::common::batches::{Builder, attributes, peer};
use crate::common::db::{Database, Edition};
use crate::common::store::{COLLECTOR, Store};

/// Applies the migrations up to this version, as an earlier release would have.
pub async fn migrate_to(database: &Database, version: i32) {
    let client = database.client().await;
    client
        .batch_execute(
            "CREATE TABLE schema_migrations (version integer PRIMARY KEY, name text NOT NULL,
            checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(),
            execution_time_ms integer NOT NULL)",
        )
        .await
        .unwrap();
    for migration in migrations().iter().filter(|migration| migration.version <= version) {
        client.batch_execute(migration.sql).await.unwrap();
        client
            .execute(
                "INSERT INTO schema_migrations VALUES ($1, $2, $3, now(), 1)",
                &[&migration.version, &migration.name, &migration.checksum()],
            )
            .await
            .unwrap();
    }
}

/// Rows of three weeks with a value in each column that there was, and with none where that is possible. The
/// parameter is their number.
const OLD_ROWS: &str = "
    INSERT INTO route_updates
    SELECT (jsonb_populate_record(NULL::route_updates, jsonb_build_object('collector', 'c1',
        'log_id', '07070707-0707-0707-0707-070707070707', 'bmp_peer_ip', '192.0.2.1', 'router', 'r1',
        'bgp_peer_ip', '198.51.100.' || n % 3, 'bgp_peer_asn', 65000 + n % 3, 'bgp_id', '10.0.0.' || n % 3,
        'session', timestamptz '2026-10-01', 'generation', 1 + n % 2, 'peer_type', 0,
        'peer_distinguisher', '0:0', 'rib', 'adj-in-pre', 'seq', 1 + n / 100, 'idx', n % 100,
        'time', timestamptz '2026-10-01 12:00+00' + n * (interval '20 days' / {count}),
        'table_name', CASE n % 3 WHEN 2 THEN 'blue' END,
        'router_time', CASE WHEN n % 4 > 0 THEN timestamptz '2026-10-01' + n * interval '1 second' END)
        || forms.form || CASE WHEN (forms.form ->> 'is_withdrawn')::boolean THEN '{}' ELSE
            jsonb_build_object('origin', 0, 'as_path', ARRAY[65000, n % 50], 'origin_as', n % 50,
                'next_hop', '10.0.0.9', 'communities', ARRAY['65000:' || n % 7]) END)).*
    FROM generate_series(0, {count} - 1) AS n CROSS JOIN LATERAL (SELECT CASE n % 8
        WHEN 0 THEN jsonb_build_object('family', 'ipv4_unicast', 'afi', 1, 'safi', 1, 'cause', 'initial-dump',
            'is_withdrawn', false, 'prefix', set_masklen('10.0.0.0'::inet + n * 256, 24)::cidr,
            'route_key', '\\x000101' || encode(int4send(167772160 + n * 256), 'hex') || '1800000000')
        WHEN 1 THEN jsonb_build_object('family', 'ipv4_unicast', 'afi', 1, 'safi', 1, 'cause', 'withdraw',
            'is_withdrawn', true, 'prefix', '10.0.0.0/8', 'path_id', 4294967295,
            'route_key', '\\x0001010a00000008ffffffff')
        WHEN 2 THEN jsonb_build_object('family', 'ipv6_unicast', 'afi', 2, 'safi', 1, 'cause', 'update',
            'is_withdrawn', false, 'prefix', '2001:db8::/32', 'med', 5, 'local_pref', 100,
            'next_hop_link_local', 'fe80::1', 'large_communities', ARRAY['1:2:3'], 'aigp', 9, 'otc', 7,
            'as_path_text', '{65000} 1', 'atomic_aggregate', true, 'aggregator_asn', 3,
            'aggregator_address', '10.0.0.3', 'originator_id', '10.0.0.4', 'cluster_list', ARRAY['10.0.0.5'],
            'path_status', 2, 'path_reason', 3, 'path_marking', ARRAY['best'],
            'route_key', '\\x00020120010db8000000000000000000000000' || '2000000000')
        WHEN 3 THEN jsonb_build_object('family', 'ipv4_unicast', 'afi', 1, 'safi', 1, 'is_withdrawn', true,
            'cause', 'treat-as-withdraw', 'prefix', '10.1.0.0/16', 'discarded', ARRAY['ORIGIN: length 2'],
            'missing', ARRAY['NEXT_HOP'], 'attributes_raw', '\\xc06300', 'attributes_more', ARRAY['x=1'],
            'route_key', '\\x0001010a01000010' || '00000000')
        WHEN 4 THEN jsonb_build_object('family', 'evpn', 'afi', 25, 'safi', 70, 'is_withdrawn', false,
            'cause', 're-dump', 'evpn_route_type', 2, 'rd', '1:1', 'evpn_rd', '1:1', 'evpn_esi', '00:00',
            'evpn_tag', 4, 'mac_address', '02:00:00:00:00:01', 'evpn_ip', '10.0.0.7', 'labels', ARRAY[16],
            'evpn_gateway', '10.0.0.8', 'nlri', 'type 2', 'extended_communities', ARRAY['RT:1:1'],
            'route_key', '\\x001946' || lpad(to_hex(n), 8, '0'))
        WHEN 5 THEN jsonb_build_object('family', 'ipv4_vpn', 'afi', 1, 'safi', 128, 'is_withdrawn', false,
            'cause', 'update', 'rd', '1:2', 'prefix', '10.2.0.0/16', 'labels', ARRAY[17],
            'route_key', '\\x000180' || lpad(to_hex(n), 8, '0'))
        WHEN 6 THEN jsonb_build_object('family', '16388/99', 'afi', 16388, 'safi', 99, 'is_withdrawn', false,
            'cause', 'update', 'nlri_raw', '\\x0102', 'route_key', '\\x4004630102')
        ELSE jsonb_build_object('family', 'ipv4_unicast', 'afi', 1, 'safi', 1, 'is_withdrawn', false,
            'cause', 'update', 'prefix', '10.3.0.0/16', 'route_key', '\\x01') END AS form) forms";

/// Gives a plain server of an earlier release three partitions.
const OLD_PARTITIONS: &str = "DO $$
    DECLARE
        starts timestamptz;
        part text;
    BEGIN
        FOR starts IN SELECT generate_series(timestamptz '2026-10-01', '2026-10-15', '7 days') LOOP
            part := 'route_updates_' || to_char(starts, 'YYYYMMDD');
            EXECUTE format('CREATE TABLE %I PARTITION OF route_updates FOR VALUES FROM (%L) TO (%L)', part,
                starts, starts + interval '7 days');
            INSERT INTO time_partitions VALUES ('route_updates', part, starts, starts + interval '7 days');
        END LOOP;
    END
    $$";

const ROWS: &str = "SELECT (to_jsonb(u) - 'incarnation')::text FROM route_updates u ORDER BY seq, idx";

async fn earlier_release(edition: Edition, test: &str, rows: u32) -> Option<Database> {
    let database = Database::empty(edition, test).await?;
    migrate_to(&database, 9).await;
    let client = database.client().await;
    if edition == Edition::Plain {
        client.batch_execute(OLD_PARTITIONS).await.unwrap();
    }
    client.batch_execute(&OLD_ROWS.replace("{count}", &rows.to_string())).await.unwrap();
    Some(database)
}

#[tokio::test]
async fn the_history_of_an_earlier_release_is_moved_unchanged() {
    for edition in Edition::ALL {
        let Some(database) = earlier_release(edition, "slim_moved", 4_000).await else { continue };
        let before = database.texts(ROWS).await;
        assert_eq!(before.len(), 4_000, "{edition:?}");
        migrate(&mut database.client().await, &Layout::default(), 7).await.unwrap();
        let after = database.texts(ROWS).await;
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before, after, "{edition:?}");
        }
        assert_eq!(after.len(), 4_000, "{edition:?}");
        // The function has the columns of the view written again.
        for (begins, ends) in [("-infinity", "infinity"), ("2026-10-05", "2026-10-12 12:00+00")] {
            let sql = format!(
                "SELECT count(*) FROM (
                    (SELECT * FROM route_updates WHERE time BETWEEN '{begins}' AND '{ends}'
                        EXCEPT ALL SELECT * FROM holdfast_updates('{begins}', '{ends}'))
                    UNION ALL (SELECT * FROM holdfast_updates('{begins}', '{ends}')
                        EXCEPT ALL SELECT * FROM route_updates WHERE time BETWEEN '{begins}' AND '{ends}')) d"
            );
            assert_eq!(database.value::<i64>(&sql).await, 0, "{edition:?}: {begins} to {ends}");
        }
        // The key is stored where it does not follow from the prefix: VPN, EVPN, raw, and a wrong one.
        let keys = "SELECT count(*) FROM route_records WHERE route_key IS NOT NULL";
        assert_eq!(database.value::<i64>(keys).await, 2_000, "{edition:?}");
        let moved = "SELECT concat_ws(' ', count(*), count(DISTINCT incarnation),
                to_regclass('wide_route_updates'))
            FROM route_records";
        assert_eq!(database.texts(moved).await, ["4000 6"], "{edition:?}");
        assert!(
            migrate(&mut database.client().await, &Layout::default(), 7).await.unwrap().is_empty(),
            "{edition:?}"
        );
        database.drop().await;
    }
}

#[tokio::test]
async fn an_interrupted_move_hides_no_row_and_goes_on() {
    for edition in Edition::ALL {
        let Some(database) = earlier_release(edition, "slim_interrupted", 400).await else { continue };
        let before = database.texts(ROWS).await;
        let last = "SELECT max(inhrelid::regclass::text) FROM pg_inherits
            WHERE inhparent = 'route_updates'::regclass AND inhrelid::regclass::text NOT LIKE '%default'";
        let last: String = database.value(last).await;
        let mut locker = database.client().await;
        let locking = locker.transaction().await.unwrap();
        // Reading the rows is possible, dropping the chunk is not.
        locking.batch_execute(&format!("LOCK TABLE {last} IN ACCESS SHARE MODE")).await.unwrap();
        let mut client = database.client().await;
        client.batch_execute("SET lock_timeout = '1s'").await.unwrap();
        let failed = migrate(&mut client, &Layout::default(), 7).await.unwrap_err();
        assert!(matches!(failed, MigrateError::Database { .. }), "{edition:?}: {failed}");
        locking.rollback().await.unwrap();
        let moved = "SELECT count(*) BETWEEN 1 AND 399 FROM route_records";
        assert!(database.value::<bool>(moved).await, "{edition:?}: {failed}");
        assert_eq!(database.texts(ROWS).await, before, "{edition:?}");
        migrate(&mut client, &Layout::default(), 7).await.unwrap();
        assert_eq!(database.texts(ROWS).await, before, "{edition:?}");
        drop((client, locker));
        database.drop().await;
    }
}

#[tokio::test]
async fn causes_have_the_same_names_in_the_program_and_in_the_database() {
    let Some(database) = Database::migrated(Edition::Plain, "causes").await else { return };
    for number in 0_u8..=9 {
        for (action, is_withdrawn) in [(Action::Announce, false), (Action::Withdraw, true)] {
            let sql = format!("SELECT coalesce(holdfast_cause({number}::smallint, {is_withdrawn}), '')");
            let name = Cause::try_from(number).map_or("", |cause| cause.name(action));
            assert_eq!(database.value::<String>(&sql).await, name);
        }
    }
    database.drop().await;
}

const DAY: i64 = 86_400_000_000;

/// Rows of the view that lack what they refer to.
const BARE: &str = "SELECT count(*) FROM route_updates
    WHERE router IS NULL OR (as_path IS NULL AND NOT is_withdrawn)";

/// The same attribute set on three days, in one transaction and in several, and again after retention has
/// dropped the first two.
#[tokio::test]
async fn no_row_loses_what_it_refers_to() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "slim_refers").await else { continue };
        store.dedup = Dedup::Always;
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let now = i64::try_from(since.as_micros()).unwrap() - crate::common::batches::NOW;
        let at = |days: i64| Builder::new("r1", 0).at(now - days * DAY);
        let speaker = peer(1, RibView::AdjInPre, 1);
        let batch = |days, prefixes: std::ops::Range<u32>, marked: bool| {
            let batch = at(days).announce(&speaker, prefixes.clone(), &[1, 2]);
            let batch = if marked { batch.marked(2, None) } else { batch };
            // A withdrawal with attributes: a malformed announcement.
            batch
                .routes(
                    &speaker,
                    Family::IPV4_UNICAST,
                    Some(&attributes(&[7])),
                    prefixes.map(|number| (None, crate::common::batches::prefix(number))),
                )
                .build()
        };
        let days = [60, 30, 2].map(|days| batch(days, 0..3, false));
        store.put(&days).await;
        for days in [61, 31, 1, 0] {
            store.put(&[batch(days, 3..6, true)]).await;
        }
        let used = "SELECT count(*) FROM attribute_sets";
        assert!(store.database.value::<i64>(used).await >= 7, "{edition:?}");
        assert_eq!(store.database.value::<i64>(BARE).await, 0, "{edition:?}");
        // An incarnation that nothing refers to any more.
        let old = "INSERT INTO incarnations SELECT (jsonb_populate_record(i, jsonb_build_object(
                'id', '00000000-0000-0000-0000-00000000000a', 'used_at', now() - interval '100 days'))).*
            FROM incarnations i LIMIT 1";
        store.database.client().await.batch_execute(old).await.unwrap();
        let pool = store.database.target.pool(1).unwrap();
        // The cut-off moves by one interval at a time.
        for keep in [50, 20].into_iter().chain([1; 10]) {
            maintain(&pool, Retention { routes_days: Some(keep), events_days: None }).await.unwrap();
            assert_eq!(store.database.value::<i64>(BARE).await, 0, "{edition:?}, {keep} days kept");
            assert_eq!(store.database.missing_and_doubled(COLLECTOR).await, (0, 0), "{edition:?}");
        }
        let left = "SELECT count(*) FROM incarnations WHERE used_at < now() - interval '90 days'";
        assert_eq!(store.database.value::<i64>(left).await, 0, "{edition:?}");
        let oldest = "SELECT min(time) > now() - interval '25 days' FROM attribute_sets";
        assert!(store.database.value::<bool>(oldest).await, "{edition:?}");
        // A record of a day whose sets were dropped comes late.
        store.put(&[batch(60, 6..9, false)]).await;
        assert_eq!(store.database.value::<i64>(BARE).await, 0, "{edition:?}");
        drop(pool);
        store.close().await;
    }
}

#[tokio::test]
async fn conditions_on_the_view_reach_the_chunks() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "slim_plans").await else { continue };
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let now = i64::try_from(since.as_micros()).unwrap() - crate::common::batches::NOW;
        let speaker = peer(1, RibView::AdjInPre, 1);
        for days in [40, 20, 0] {
            let batch = Builder::new("r1", 0).at(now - days * DAY).announce(&speaker, 0..2_000, &[1]).build();
            store.put(&[batch]).await;
        }
        store.database.client().await.batch_execute("VACUUM ANALYZE").await.unwrap();
        let plan = "EXPLAIN (COSTS OFF) SELECT router, as_path FROM route_updates
            WHERE prefix = '1.0.5.0/24' AND time > now() - interval '1 day'";
        let plan = store.database.texts(plan).await.join("\n");
        // Rows of other chunks, and the partition before now on plain PostgreSQL, are not looked at.
        let is_reached = match edition {
            Edition::Timescale => plan.matches("_chunk h_").count() == 1 && plan.contains("_prefix on"),
            Edition::Plain => plan.contains("Subplans Removed: 1") && plan.contains("_prefix_time_idx on"),
        };
        assert!(is_reached && plan.contains("= '1.0.5.0/24'::"), "{edition:?}: {plan}");
        store.close().await;
    }
}
