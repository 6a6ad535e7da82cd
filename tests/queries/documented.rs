//! The SQL queries of pybmpmon's documentation, run unchanged on tables and columns of the same names.
//!
//! Only "slow queries" is omitted, which needs the extension pg_stat_statements. Where the form of such a
//! query gives a wrong result, a test compares it with the view that gives the right one.

use crate::common::batches::{Builder, peer, peer_up};
use crate::common::db::Edition;
use crate::common::store::Store;
use crate::known::mac_route;
use holdfast::route::{Family, RibView};

/// Title and SQL of each query.
const QUERIES: &[(&str, &str)] = &[
    ("total routes", "SELECT count(*) FROM route_updates"),
    ("routes by family", "SELECT family, count(*) FROM route_updates GROUP BY family ORDER BY 2 DESC"),
    (
        "active BMP peers and session time",
        "SELECT peer_ip, router_id, first_seen, last_seen, last_seen - first_seen AS session FROM bmp_peers \
            WHERE is_active",
    ),
    (
        "recent peer events",
        "SELECT time, peer_ip, event_type, reason_code FROM peer_events ORDER BY time DESC LIMIT 20",
    ),
    (
        "current routes",
        "SELECT DISTINCT ON (bgp_peer_ip, family, prefix) time, bgp_peer_ip, family, prefix, next_hop, as_path
        FROM route_updates ORDER BY bgp_peer_ip, family, prefix, time DESC",
    ),
    (
        "active routes",
        "SELECT DISTINCT ON (prefix) prefix, next_hop, as_path, time FROM route_updates
        WHERE is_withdrawn = false ORDER BY prefix, time DESC",
    ),
    (
        "active routes of the state",
        "SELECT prefix, next_hop, as_path FROM route_state \
            WHERE is_withdrawn = FALSE",
    ),
    (
        "routes by peer",
        "SELECT bgp_peer_ip, bgp_peer_asn, count(*) FROM route_state WHERE NOT is_withdrawn \
            GROUP BY 1, 2",
    ),
    (
        "most unstable prefixes",
        "SELECT prefix, count(*) AS changes FROM route_updates WHERE time > now() - interval '24 hours'
        GROUP BY prefix HAVING count(*) > 10 ORDER BY changes DESC LIMIT 50",
    ),
    (
        "withdrawals of the last hour",
        "SELECT time, bgp_peer_ip, prefix FROM route_updates WHERE is_withdrawn \
            AND time > now() - interval '1 hour'",
    ),
    (
        "announced and withdrawn repeatedly",
        "SELECT prefix, count(*) FILTER (WHERE is_withdrawn) AS withdrawals, \
         count(*) FILTER (WHERE NOT is_withdrawn)
        FROM route_updates GROUP BY prefix HAVING count(*) FILTER (WHERE is_withdrawn) > 1",
    ),
    (
        "routes with an ASN",
        "SELECT prefix, as_path FROM route_updates WHERE 65002 = ANY(as_path) \
            ORDER BY time DESC",
    ),
    (
        "AS-path length distribution",
        "SELECT array_length(as_path, 1) AS length, count(*) FROM route_updates
        WHERE as_path IS NOT NULL GROUP BY 1 ORDER BY 1",
    ),
    (
        "top origins",
        "SELECT as_path[array_length(as_path, 1)] AS origin, count(DISTINCT prefix) FROM route_updates
        WHERE NOT is_withdrawn GROUP BY 1 ORDER BY 2 DESC LIMIT 20",
    ),
    (
        "prepending",
        "SELECT prefix, as_path FROM route_updates WHERE array_length(as_path, 1) >
        (SELECT count(DISTINCT asn) FROM unnest(as_path) AS asn)",
    ),
    (
        "find a MAC",
        "SELECT time, bgp_peer_ip, mac_address, evpn_rd, next_hop FROM route_updates \
            WHERE mac_address = '02:00:00:00:00:01'",
    ),
    ("EVPN by type", "SELECT evpn_route_type, count(*) FROM route_updates WHERE family = 'evpn' GROUP BY 1"),
    (
        "MAC/IP bindings",
        "SELECT DISTINCT mac_address, prefix, evpn_rd, evpn_esi FROM route_state WHERE family = 'evpn' \
            AND mac_address IS NOT NULL",
    ),
    (
        "routes with a community",
        "SELECT prefix, communities FROM route_updates \
            WHERE '65000:100' = ANY(communities)",
    ),
    (
        "community distribution",
        "SELECT unnest(communities) AS community, count(*) FROM route_updates GROUP BY 1 ORDER BY 2 DESC \
            LIMIT 20",
    ),
    (
        "extended communities",
        "SELECT prefix, extended_communities FROM route_updates \
            WHERE extended_communities @> ARRAY['RT:65000:100']",
    ),
    (
        "rate per hour",
        "SELECT date_trunc('hour', time) AS hour, count(*) FROM route_updates GROUP BY 1 \
            ORDER BY 1 DESC",
    ),
    (
        "peak 5-minute rate",
        "SELECT to_timestamp(floor(extract(epoch FROM time) / 300) * 300) AS bucket, \
         count(*) / 300.0 AS per_second
        FROM route_updates GROUP BY 1 ORDER BY 2 DESC LIMIT 1",
    ),
    (
        "table growth",
        "SELECT date_trunc('day', time) AS day, count(*) FROM route_updates GROUP BY 1 \
            ORDER BY 1",
    ),
    ("database size", "SELECT pg_size_pretty(pg_database_size(current_database()))"),
    (
        "table sizes",
        "SELECT schemaname, tablename, pg_size_pretty(pg_total_relation_size(schemaname || '.' || tablename))
        FROM pg_tables WHERE schemaname = 'holdfast' \
        ORDER BY pg_total_relation_size(schemaname || '.' || tablename) DESC",
    ),
    (
        "index use",
        "SELECT relname, indexrelname, idx_scan FROM pg_stat_user_indexes WHERE schemaname = 'holdfast' \
            ORDER BY idx_scan DESC",
    ),
    (
        "time line of a prefix",
        "SELECT time, bgp_peer_ip, is_withdrawn, as_path, next_hop FROM route_updates \
            WHERE prefix = '1.0.1.0/24' ORDER BY time",
    ),
    (
        "hijack: origin differs from the mode of 7 days",
        "WITH usual AS (
            SELECT prefix, mode() WITHIN GROUP (ORDER BY as_path[array_length(as_path, 1)]) AS origin \
            FROM route_updates
            WHERE time > now() - interval '7 days' AND NOT is_withdrawn GROUP BY prefix)
        SELECT r.time, r.prefix, r.as_path FROM route_updates r JOIN usual u ON u.prefix = r.prefix
        WHERE r.time > now() - interval '1 hour' AND r.as_path[array_length(r.as_path, 1)] <> u.origin",
    ),
    (
        "compare two peers",
        "SELECT a.prefix, a.as_path, b.as_path FROM route_state a JOIN route_state b ON a.prefix = b.prefix
        WHERE a.bgp_peer_ip = '198.51.100.1' AND b.bgp_peer_ip = '198.51.100.2' AND a.as_path <> b.as_path",
    ),
    (
        "JSON export",
        "SELECT row_to_json(r) FROM (SELECT time, prefix, next_hop, as_path FROM route_updates \
            LIMIT 10) r",
    ),
    (
        "relearned routes",
        "SELECT prefix, learn_count, withdraw_count FROM route_state WHERE learn_count > 1 \
            ORDER BY learn_count DESC",
    ),
    (
        "high churn",
        "SELECT prefix, learn_count + withdraw_count AS churn FROM route_state
        WHERE learn_count + withdraw_count > 10 ORDER BY churn DESC",
    ),
    (
        "first seen in the last hour",
        "SELECT prefix, first_seen, as_path FROM route_state WHERE first_seen > now() - interval '1 hour'",
    ),
    ("currently withdrawn", "SELECT prefix, last_state_change FROM route_state WHERE is_withdrawn = TRUE"),
];

#[tokio::test]
async fn the_documented_queries_run_unchanged() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "documented").await else { continue };
        let pre = peer(1, RibView::AdjInPre, 1);
        let batch = Builder::new("r1", 0)
            .event(Some(&pre), peer_up())
            .announce(&pre, 0..3, &[65_001, 65_002])
            .withdraw(&pre, [1])
            .build();
        store.put(&[batch]).await;
        let client = store.database.client().await;
        for (title, sql) in QUERIES {
            if let Err(error) = client.query(*sql, &[]).await {
                panic!("{edition:?}: {title}: {error}");
            }
        }
        // CSV export goes through COPY.
        client
            .batch_execute("COPY (SELECT time, prefix, as_path FROM route_updates) TO STDOUT WITH CSV HEADER")
            .await
            .unwrap_or_else(|error| assert!(error.as_db_error().is_none(), "{error}"));
        drop(client);
        store.close().await;
    }
}

#[tokio::test]
async fn a_withdrawn_route_is_not_current_unlike_in_the_documented_query() {
    let Some(mut store) = Store::open(Edition::Timescale, "active").await else { return };
    let pre = peer(1, RibView::AdjInPre, 1);
    let first = Builder::new("r1", 0).announce(&pre, 0..2, &[1]).build();
    store.put(&[first, Builder::new("r1", 0).at(1).withdraw(&pre, [1]).build()]).await;
    // The documented form filters before it takes the last row, and so returns the withdrawn route.
    let (_, documented) = QUERIES.iter().find(|(title, _)| *title == "active routes").unwrap();
    assert_eq!(store.database.client().await.query(*documented, &[]).await.unwrap().len(), 2);
    assert_eq!(store.database.texts("SELECT route FROM current_routes").await, ["1.0.0.0/24"]);
    store.close().await;
}

#[tokio::test]
async fn the_documented_evpn_queries_have_values() {
    let Some(mut store) = Store::open(Edition::Timescale, "documented_evpn").await else { return };
    let pre = peer(1, RibView::AdjInPre, 1);
    let (attributes, nlri) = mac_route(1, [0; 10], 0);
    let batch = Builder::new("r1", 0).routes(&pre, Family::EVPN, Some(&attributes), [(None, nlri)]);
    store.put(&[batch.announce(&pre, [1], &[1]).build()]).await;
    let client = store.database.client().await;
    let row = async |title: &str| {
        let (_, sql) = QUERIES.iter().find(|(known, _)| *known == title).unwrap();
        let sql = format!("SELECT to_jsonb(q) - 'time' FROM ({sql}) q");
        client
            .query(&sql, &[])
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect::<Vec<serde_json::Value>>()
    };
    let rd = "192.0.2.1:1";
    assert_eq!(
        row("MAC/IP bindings").await,
        [serde_json::json!({"mac_address": "02:00:00:00:00:01", "prefix": "10.0.0.1/32", "evpn_rd": rd,
            "evpn_esi": "00:00:00:00:00:00:00:00:00:00"})]
    );
    assert_eq!(
        row("find a MAC").await,
        [serde_json::json!({"mac_address": "02:00:00:00:00:01", "bgp_peer_ip": "198.51.100.1",
            "evpn_rd": rd, "next_hop": "192.0.2.1"})]
    );
    let by_prefix = "SELECT string_agg(family, ' ') FROM route_state WHERE prefix = '1.0.1.0/24'";
    assert_eq!(store.database.texts(by_prefix).await, ["ipv4_unicast"]);
    drop(client);
    store.close().await;
}
