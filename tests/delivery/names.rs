//! Names beyond any length that a router should have.

use crate::common::batches::{Builder, peer};
use crate::common::db::Edition;
use crate::common::store::Store;
use holdfast::codec;
use holdfast::route::RibView;

/// Text that PostgreSQL cannot compress.
fn random_letters(count: usize) -> String {
    let mut state = 7_u64;
    let letter = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from(state >> 40 & 15).unwrap())
    };
    (0..count).map(letter).collect()
}

#[tokio::test]
async fn a_log_with_a_name_of_3000_letters_is_delivered() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "names").await else { continue };
        let long = random_letters(3_000);
        let mut hostile =
            Builder::new(&long, 1).announce(&peer(1, RibView::LocRib, 1), [1], &[65_000]).build();
        hostile.peers[0].table_name = long;
        let other = Builder::new("edge1", 1).announce(&peer(1, RibView::LocRib, 1), [2], &[65_000]).build();
        // As in the log of an earlier release.
        let mut payload = Vec::new();
        codec::encode(&hostile, &mut payload).unwrap();
        store.put(&[codec::decode(&payload).unwrap(), other]).await;
        let sql = "SELECT concat_ws(' ', length(router), prefix) FROM current_routes ORDER BY prefix";
        let rows = store.database.texts(sql).await;
        assert_eq!(rows.len(), 2, "{rows:?}");
        assert!(rows[0].starts_with("301 ") && rows[1].starts_with("5 "), "{rows:?}");
        store.close().await;
    }
}
