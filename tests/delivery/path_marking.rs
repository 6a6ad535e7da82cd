//! Path markings (BMP version 4) in the database: a change of the marking alone is a change of the route.

use crate::common::batches::{Builder, peer};
use crate::common::db::Edition;
use crate::common::store::Store;
use holdfast::route::RibView;
use holdfast::sink::Dedup;

#[tokio::test]
async fn a_change_of_the_path_marking_alone_is_stored_and_a_repetition_is_not() {
    let steps = [
        (None, ""),
        (Some((2, None)), "2 {best}"),
        (Some((2, None)), "2 {best}"),
        (Some((0x1004, Some(8))), r#"4100 8 {nonselected,"bit 0x1000","not preferred: IGP cost"}"#),
        (None, ""),
    ];
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "marking").await else { continue };
        store.dedup = Dedup::Always;
        for (step, (marking, expected)) in steps.into_iter().enumerate() {
            let mut batch = Builder::new("r", 1).announce(&peer(1, RibView::LocRib, 1), [1], &[65_000]);
            if let Some((status, reason)) = marking {
                batch = batch.marked(status, reason);
            }
            store.put(&[batch.build()]).await;
            let sql = "SELECT concat_ws(' ', path_status, path_reason, path_marking) FROM current_routes";
            assert_eq!(store.database.texts(sql).await, [expected], "{edition:?}, step {step}");
        }
        let sql = "SELECT concat_ws(' ', seq, path_status, path_reason) FROM route_updates ORDER BY seq";
        assert_eq!(store.database.texts(sql).await, ["1", "2 2", "4 4100 8", "5"]);
        store.close().await;
    }
}
