//! The current table of a peer: the same rows as the table at the present time, in the order of an index.

use crate::common::batches::{Builder, attributes, peer, peer_down, peer_up};
use crate::common::db::Edition;
use crate::common::store::Store;
use crate::known::history;
use holdfast::route::{Family, Nlri, Prefix, RibView};

/// Number of rows that one table has and the other has not.
async fn differences(store: &Store, of_rib: &str) -> i64 {
    let sql = format!(
        "WITH a AS (SELECT * FROM rib_now(NULL, {of_rib})), b AS (SELECT * FROM rib_at(NULL, 'infinity', \
            {of_rib}))
        SELECT (SELECT count(*) FROM (SELECT * FROM a EXCEPT ALL SELECT * FROM b) x)
            + (SELECT count(*) FROM (SELECT * FROM b EXCEPT ALL SELECT * FROM a) x)"
    );
    store.database.value(&sql).await
}

#[tokio::test]
async fn it_has_the_rows_of_the_table_at_the_present_time() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "current_table").await else { continue };
        let mut sizes = Vec::new();
        for batch in history() {
            store.put(&[batch]).await;
            assert_eq!(differences(&store, "NULL").await, 0, "{edition:?} after {sizes:?}");
            let size: i64 = store.database.value("SELECT count(*) FROM rib_now('198.51.100.1')").await;
            sizes.push(size);
        }
        // Announced, one withdrawn, Peer Down, announced, the session lost, a re-dump without one of them,
        // which is swept, and a change.
        assert_eq!(sizes, [3, 2, 0, 3, 3, 3, 2, 2], "{edition:?}");
        let (other, post) = (peer(2, RibView::AdjInPre, 1), peer(2, RibView::AdjInPost, 1));
        let down = peer(3, RibView::AdjInPre, 1);
        let batch = Builder::new("r1", 0).event(Some(&other), peer_up()).announce(&other, 0..5, &[5]);
        let batch = batch.announce(&post, 1..3, &[6]).event(Some(&down), peer_up());
        store.put(&[batch.announce(&down, 0..4, &[7]).event(Some(&down), peer_down()).build()]).await;
        assert_eq!(differences(&store, "NULL").await, 0);
        assert_eq!(differences(&store, "'adj-in-post'").await, 0);
        let post: i64 =
            store.database.value("SELECT count(*) FROM rib_now('198.51.100.2', 'adj-in-post')").await;
        assert_eq!(post, 2);
        let wrong = store.database.client().await.query("SELECT rib_now('198.51.100.2', 'rib')", &[]).await;
        assert_eq!(wrong.unwrap_err().code().unwrap().code(), "22023");
        store.close().await;
    }
}

#[tokio::test]
async fn the_first_rows_need_no_sort_and_are_in_the_order_of_prefixes() {
    let Some(mut store) = Store::open(Edition::Plain, "table_order").await else { return };
    let (pre, post) = (peer(1, RibView::AdjInPre, 1), peer(1, RibView::AdjInPost, 1));
    let v4 = |address: [u8; 4], length| {
        (None, Nlri::Prefix(Prefix::v4(u32::from_be_bytes(address), length).unwrap()))
    };
    let v6 = (None, Nlri::Prefix(Prefix::v6(0x2001_0db8 << 96, 32).unwrap()));
    let entries = [v4([9, 0, 0, 0], 8), v4([10, 0, 0, 0], 16), v4([100, 0, 0, 0], 8), v4([10, 0, 0, 0], 8)];
    let attributes = attributes(&[1]);
    let mut builder = Builder::new("r1", 0).event(Some(&pre), peer_up());
    for view in [&pre, &post] {
        builder = builder.routes(view, Family::IPV6_UNICAST, Some(&attributes), [v6.clone()]);
        builder = builder.routes(view, Family::IPV4_UNICAST, Some(&attributes), entries.clone());
    }
    store.put(&[builder.build()]).await;
    let expected = ["9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/16", "100.0.0.0/8", "2001:db8::/32"];
    let routes = store.database.texts("SELECT route FROM rib_now('198.51.100.1')").await;
    assert_eq!(routes, [expected, expected].concat());

    // A large table, as the planner sees it.
    let client = store.database.client().await;
    client
        .batch_execute(
            "INSERT INTO rib_entries SELECT peer_id, first_seen, last_seen, last_state_change, session,
                generation, seq, path_id, idx, learn_count, withdraw_count, afi, safi, is_withdrawn,
                attributes, substr(route_key, 1, 3) || int4send(1073741824 + n * 256) || '\\x1800000000',
                set_masklen('64.0.0.0'::inet + n * 256, 24)
            FROM rib_entries CROSS JOIN generate_series(0, 49999) n WHERE prefix = '9.0.0.0/8';
            ANALYZE",
        )
        .await
        .unwrap();
    let explain = "EXPLAIN SELECT route, path FROM rib_now('198.51.100.1') LIMIT 101";
    let plan = store.database.texts(explain).await.join("\n");
    let has_sort = plan.lines().any(|line| line.contains("Sort Key") && line.contains("route_key"));
    assert!(plan.contains("Index Scan using rib_entries_pkey") && !has_sort, "{plan}");
    let rows = store.database.texts("SELECT route FROM rib_now('AS65001') LIMIT 6").await;
    assert_eq!(rows, [&expected[..3], &["64.0.0.0/24", "64.0.1.0/24", "64.0.2.0/24"]].concat());
    store.close().await;
}
