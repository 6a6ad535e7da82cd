//! VRFs are kept apart, and routes without an origin in their path originate in the own AS (RFC 6811 section
//! 2).

use holdfast::route::{
    AsPath, AsPathSegment, Attributes, Cause, Family, Nlri, Peer, PeerKey, Prefix, RibView, SegmentKind,
};

use crate::common::batches::{Builder, attributes, peer};
use crate::common::db::Edition;
use crate::common::store::Store;
use crate::known::now;

fn v4(address: [u8; 4], length: u8) -> Nlri {
    Nlri::Prefix(Prefix::v4(u32::from_be_bytes(address), length).unwrap())
}

fn routes(builder: Builder, peer: &Peer, nlri: Nlri, path: &Attributes) -> Builder {
    builder.routes(peer, Family::IPV4_UNICAST, Some(path), [(None, nlri)])
}

/// A peer in the VRF 65000:`number`.
fn of_vrf(number: u8) -> Peer {
    let global = peer(1, RibView::AdjInPre, 1);
    let distinguisher = 0x0000_fde8_0000_0000 | u64::from(number);
    Peer { key: PeerKey { peer_type: 1, distinguisher, ..global.key }, ..global }
}

/// The Loc-RIB of the global instance, whose AS number is that of the router.
fn loc_rib() -> Peer {
    Peer { asn: 64_999, table_name: "global".to_owned(), ..peer(9, RibView::LocRib, 1) }
}

fn confederation() -> Attributes {
    let segments = vec![AsPathSegment { kind: SegmentKind::ConfedSequence, count: 1 }];
    Attributes { as_path: Some(AsPath { asns: vec![65_101], segments }), ..attributes(&[]) }
}

#[tokio::test]
async fn prefixes_of_different_vrfs_do_not_conflict() {
    let Some(mut store) = Store::open(Edition::Timescale, "vrfs").await else { return };
    let (global, other) = (peer(1, RibView::AdjInPre, 1), peer(2, RibView::AdjInPre, 1));
    let private = || v4([10, 0, 0, 0], 16);
    let mut builder = Builder::new("r1", 0).at(now());
    for (peer, origin) in [(&of_vrf(1), 1), (&of_vrf(2), 2), (&global, 3), (&other, 3)] {
        builder = routes(builder, peer, private(), &attributes(&[origin]));
    }
    store.put(&[builder.build()]).await;
    store
        .database
        .client()
        .await
        .batch_execute("INSERT INTO own_prefixes VALUES ('10.0.0.0/16', '{3}', NULL)")
        .await
        .unwrap();
    let texts = async |sql: &str| store.database.texts(sql).await;
    assert!(texts("SELECT prefix::text FROM moas()").await.is_empty());
    assert!(texts("SELECT prefix::text FROM hijacks('1 hour')").await.is_empty());
    let churn = "SELECT concat_ws(' ', subject, announcements, vrf) FROM churn() ORDER BY vrf";
    assert_eq!(texts(churn).await, ["10.0.0.0/16 1 65000:1", "10.0.0.0/16 1 65000:2", "10.0.0.0/16 2"]);
    let differences = "SELECT concat_ws(' ', route, difference, path_a, path_b, vrf)
        FROM peer_differences('198.51.100.1', '198.51.100.2')";
    assert_eq!(
        texts(differences).await,
        ["10.0.0.0/16 only a 1 65000:1", "10.0.0.0/16 only a 2 65000:2"],
        "the routes of the global instance are equal"
    );

    let changed = routes(Builder::new("r1", 0).at(now()), &of_vrf(2), private(), &attributes(&[4]));
    let changed = routes(changed, &loc_rib(), private(), &attributes(&[4]));
    let mut store = store;
    store.put(&[changed.build()]).await;
    let changes = "SELECT concat_ws(' ', prefix, vrf, old_origin, new_origin) FROM origin_changes()";
    assert_eq!(store.database.texts(changes).await, ["10.0.0.0/16 65000:2 2 4"]);
    let moas = "SELECT concat_ws(' ', prefix, origins, routes, vrf) FROM moas()";
    assert_eq!(
        store.database.texts(moas).await,
        ["10.0.0.0/16 {3,4} 3"],
        "the Loc-RIB is of the global instance"
    );
    store.close().await;
}

#[tokio::test]
async fn a_route_without_an_origin_in_its_path_is_one_of_the_own_as() {
    let Some(mut store) = Store::open(Edition::Timescale, "own_as").await else { return };
    let external = peer(1, RibView::AdjInPre, 1);
    let at = |time: i64| Builder::new("r1", 0).at(time);
    let mut builder = routes(at(now()), &loc_rib(), v4([10, 1, 0, 0], 16), &attributes(&[]));
    builder = routes(builder, &loc_rib(), v4([10, 2, 0, 0], 16), &confederation());
    builder =
        routes(builder.because(Cause::InitialDump), &loc_rib(), v4([10, 3, 0, 0], 16), &confederation());
    for second in [1, 2] {
        builder = routes(builder, &external, v4([10, second, 0, 0], 16), &attributes(&[7]));
    }
    store.put(&[builder.build()]).await;
    let own = "INSERT INTO own_prefixes VALUES ('10.0.0.0/8', '{64999}', 16)";
    store.database.client().await.batch_execute(own).await.unwrap();
    let texts = async |sql: &str| store.database.texts(sql).await;
    let moas = "SELECT concat_ws(' ', prefix, origins) FROM moas() ORDER BY prefix";
    assert_eq!(texts(moas).await, ["10.1.0.0/16 {7,64999}", "10.2.0.0/16 {7,64999}"]);
    let hijacks = "SELECT concat_ws(' ', prefix, problem, origin_as) FROM hijacks('1 hour')";
    assert_eq!(texts(hijacks).await, ["10.1.0.0/16 origin 7", "10.2.0.0/16 origin 7"]);
    let churn = "SELECT concat_ws(' ', subject, announcements) FROM churn('as') ORDER BY 1";
    assert_eq!(texts(churn).await, ["AS64999 2", "AS7 2"]);
    let mut store = store;
    let next = routes(at(now()), &loc_rib(), v4([10, 3, 0, 0], 16), &attributes(&[8]));
    store.put(&[next.build()]).await;
    let changes = "SELECT concat_ws(' ', prefix, old_origin, new_origin) FROM origin_changes()";
    assert_eq!(store.database.texts(changes).await, ["10.3.0.0/16 64999 8"]);
    store.close().await;
}
