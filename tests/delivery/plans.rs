//! The plans of statements over arrays of a transaction: their cost grows with the number of entries, not
//! with its square.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio_postgres::{AsyncMessage, NoTls};

use crate::common::db::{Database, Edition};

/// Number of peers of the transaction.
const PEERS: u64 = 1_500;

/// New peers of a route server as the arguments of `holdfast_merge_peers`, with a state change and an
/// End-of-RIB each.
const MERGE: &str = "WITH n AS (
        SELECT i, '10.' || i / 65536 || '.' || i / 256 % 256 || '.' || i % 256 AS address
        FROM generate_series(1, $1::bigint) i)
    SELECT count(*) FROM n, holdfast_merge_peers('c1',
        (SELECT jsonb_agg(jsonb_build_object('peer_index', i - 1, 'router', 'r1', 'peer_type', 0,
            'distinguisher', repeat('0', 16), 'address', address, 'rib', 'adj-rib-in-pre',
            'peer_distinguisher', '0:0', 'bmp_peer_ip', '192.0.2.1', 'asn', 65000 + i, 'bgp_id', address,
            'session', 1, 'generation', 1, 'first_seen', 1, 'last_seen', 2, 'announced', 1, 'withdrawn', 0)
            ORDER BY i) FROM n),
        (SELECT jsonb_agg(jsonb_build_object('router', 'r1', 'peer_type', 0, 'distinguisher', repeat('0', 16),
            'peer_distinguisher', '0:0', 'address', address, 'asn', 65000 + i, 'bgp_id', address,
            'is_loc_rib', false, 'state', 'up', 'session', 1, 'generation', 1, 'seq', 1, 'idx', i,
            'up_at', 1, 'ups', 1, 'downs', 0)) FROM n),
        (SELECT jsonb_agg(jsonb_build_object('peer_index', i - 1, 'afi', 1, 'safi', 1, 'eor_session', 1,
            'eor_generation', 1, 'eor_at', 1)) FROM n)) WHERE n.i = 1";

/// Rows that a node and the nodes below it have produced or discarded.
fn rows_of(node: &Value) -> f64 {
    let number = |name: &str| node[name].as_f64().unwrap_or(0.0);
    let discarded = number("Rows Removed by Join Filter") + number("Rows Removed by Filter");
    let below = node["Plans"].as_array().into_iter().flatten().map(rows_of).sum::<f64>();
    (number("Actual Rows") + discarded) * number("Actual Loops") + below
}

/// The statements that `sql` executes, those of functions included, and the rows of their plans. Statements
/// with less than a row per peer are those of functions that are called for each peer.
async fn plans(database: &Database, sql: &str, peers: i64) -> Vec<(String, f64)> {
    let (client, mut connection) = database.config.connect(NoTls).await.unwrap();
    let notices = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&notices);
    let reading = tokio::spawn(async move {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let Ok(AsyncMessage::Notice(notice)) = message {
                log.lock().unwrap().push(notice.message().to_owned());
            }
        }
    });
    let explain =
        "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on;
        SET auto_explain.log_timing = off; SET auto_explain.log_format = json;
        SET auto_explain.log_nested_statements = on; SET auto_explain.log_level = notice;
        SET client_min_messages = notice";
    let session = include_str!("../../src/sink/connection/sql/session.sql");
    client.batch_execute(session).await.unwrap();
    // Statements are planned for the few peers of the transactions before.
    for known in 1..=10_i64 {
        client.query(sql, &[&known]).await.unwrap();
    }
    client.batch_execute("ANALYZE").await.unwrap();
    client.batch_execute(explain).await.unwrap();
    client.query(sql, &[&peers]).await.unwrap();
    drop(client);
    reading.await.unwrap();
    let notices = notices.lock().unwrap();
    let plan = |notice: &String| {
        let plan: Value = serde_json::from_str(notice.split_once("plan:")?.1).ok()?;
        let statement: Vec<&str> = plan["Query Text"].as_str()?.split_whitespace().collect();
        Some((statement.join(" "), rows_of(&plan["Plan"])))
    };
    notices.iter().filter_map(plan).filter(|(_, rows)| *rows >= peers as f64).collect()
}

#[tokio::test]
async fn the_cost_of_new_peers_does_not_grow_with_the_square_of_their_number() {
    for edition in Edition::ALL {
        let Some(database) = Database::migrated(edition, "merge_plans").await else { continue };
        let plans = plans(&database, MERGE, PEERS.cast_signed()).await;
        assert!(plans.len() >= 5, "plans of the nested statements: {plans:?}");
        let of_peers = database.value::<i64>("SELECT count(*) FROM bgp_peers WHERE state = 'up'").await;
        assert_eq!(of_peers, PEERS.cast_signed());
        for (statement, rows) in &plans {
            let per_peer = rows / PEERS as f64;
            println!(
                "{edition:?}: {per_peer:.1} rows per peer: {}",
                statement.get(..60).unwrap_or(statement)
            );
            assert!(per_peer < 100.0, "{per_peer:.1} rows per peer: {statement}");
        }
        database.drop().await;
    }
}
