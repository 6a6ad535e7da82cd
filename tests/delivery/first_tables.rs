//! Initial load: routes known to be new are copied directly into the current table, with the same result.

use crate::common::batches::{Builder, attributes, peer, peer_down, peer_up};
use crate::common::db::{Database, Edition};
use crate::common::source::{COLLECTOR, PATIENCE, Source, delivered};
use crate::common::store::{OWNER, Store};
use holdfast::route::{Batch, Cause, EvpnRoute, Family, Mac, Nlri, Rd, RibView};
use holdfast::sink::Connection;
use holdfast::wal::LogId;

/// The current table without peer ids, which depend on the order of arrival.
const TABLE: &str =
    "SELECT (to_jsonb(e) - 'peer_id' || jsonb_build_object('peer', p.address, 'rib', p.rib))::text
    FROM rib_entries e JOIN bgp_peers p ON p.id = e.peer_id ORDER BY p.address, p.rib, e.route_key";

/// Initial dumps with announcements, withdrawals and re-announcements, with and without ADD-PATH, and a Peer
/// Down.
fn tables() -> Vec<Batch> {
    let (first, second) = (peer(1, RibView::AdjInPre, 1), peer(2, RibView::AdjInPre, 1));
    let mac = |last| {
        let rd = Rd([0, 0, 0xfd, 0xe8, 0, 0, 0, 1]);
        let esi = holdfast::route::Esi([0; 10]);
        let mac = Mac([2, 0, 0, 0, 0, last]);
        Nlri::Evpn(Box::new(EvpnRoute::MacIp { rd, esi, tag: 0, mac, ip: None, label: 7, label2: None }))
    };
    vec![
        Builder::new("r1", 0)
            .event(Some(&first), peer_up())
            .announce(&first, 0..20, &[1])
            .because(Cause::InitialDump)
            .withdraw(&first, 3..5)
            .announce(&first, 4..6, &[2])
            .withdraw(&first, 30..31)
            .build(),
        Builder::new("r1", 0)
            .at(1)
            .announce(&first, 10..40, &[3])
            .announce(&second, 0..5, &[1])
            .routes(&second, Family::EVPN, Some(&attributes(&[9])), [(None, mac(1)), (None, mac(2))])
            .routes(
                &second,
                Family::IPV4_UNICAST,
                Some(&attributes(&[9])),
                [(Some(7), crate::common::batches::prefix(1))],
            )
            .build(),
        Builder::new("r1", 0).at(2).event(Some(&first), peer_down()).announce(&second, 4..9, &[5]).build(),
        Builder::new("r1", 0)
            .at(3)
            .event(Some(&peer(1, RibView::AdjInPre, 2)), peer_up())
            .announce(&peer(1, RibView::AdjInPre, 2), 38..50, &[6])
            .because(Cause::ReDump)
            .build(),
    ]
}

#[tokio::test]
async fn the_table_is_the_same_whether_routes_are_known_to_be_new_or_looked_up() {
    for edition in Edition::ALL {
        let mut told: Vec<Vec<String>> = Vec::new();
        for reconnects in [false, true] {
            let Some(mut store) = Store::open(edition, &format!("first_{reconnects}")).await else {
                continue;
            };
            for batch in tables() {
                store.put(&[batch]).await;
                if reconnects {
                    // A new connection has no initial load; the merge looks up each route.
                    let lane = crate::common::store::lane();
                    store.connection =
                        Connection::attach(&store.database.target, &lane, OWNER, None).await.unwrap().0;
                }
            }
            told.push(store.database.texts(TABLE).await);
            store.close().await;
        }
        assert!(told.is_empty() || (told[0].len() > 50 && told[0] == told[1]), "{edition:?}: {told:#?}");
    }
}

/// Routes `first..first + 10` of the same peer.
fn ten(session: i64, first: u32) -> Batch {
    let peer = peer(1, RibView::AdjInPre, 1);
    Builder::new("r1", session).at(session).announce(&peer, first..first + 10, &[first + 1]).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_has_stored_meanwhile_is_looked_up_after_all() {
    let Some(database) = Database::migrated(Edition::Timescale, "first_other").await else { return };
    let (source, mut other) = (Source::new(), Source::new());
    other.log_id = LogId([6; 16]);
    let forwarder = source.drain(database.target.clone(), 1, 100);
    source.put(&ten(1, 0)).await;
    delivered(&forwarder, 1).await;
    // An older log of the same collector, drained by hand.
    other.put(&ten(0, 10)).await;
    let by_hand = other.drain(database.target.clone(), 1, 100);
    delivered(&by_hand, 1).await;
    assert!(by_hand.stop(PATIENCE).await);
    source.put(&ten(1, 10)).await;
    delivered(&forwarder, 2).await;
    let error = forwarder.delivered().borrow().lanes[0].last_error.clone().unwrap_or_default();
    assert!(error.contains("expected to be new"), "{error}");
    assert!(forwarder.stop(PATIENCE).await);
    assert_eq!(database.missing_and_doubled(COLLECTOR).await, (0, 0));
    let paths = "SELECT concat_ws(' ', as_path[1], count(*), min(learn_count)) FROM route_state \
        GROUP BY as_path ORDER BY 1";
    assert_eq!(database.texts(paths).await, ["1 10 1", "11 10 1"]);
    database.drop().await;
}
