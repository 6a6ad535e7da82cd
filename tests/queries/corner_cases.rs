//! Answers at the edge of a period, of ended routes, and of repetitions.

use holdfast::route::{Cause, EventKind, Family, Peer, RibView};

use crate::common::batches::{Builder, attributes, peer, peer_down, peer_up, prefix};
use crate::common::db::Edition;
use crate::common::store::{self, Store};
use crate::known::{HOUR, mac_route, now};

const DAY: i64 = 24 * HOUR;

fn end_of_rib() -> EventKind {
    EventKind::EndOfRib { family: Family::IPV4_UNICAST }
}

#[tokio::test]
async fn a_peer_down_inside_the_period_is_in_the_timeline_of_a_route_from_before() {
    let Some(mut store) = Store::open(Edition::Timescale, "edge").await else { return };
    let (one, post) = (peer(1, RibView::AdjInPre, 1), peer(1, RibView::AdjInPost, 1));
    let (two, gone) = (peer(2, RibView::AdjInPre, 1), peer(3, RibView::AdjInPre, 1));
    let start = now() - 3 * DAY;
    let at = |time: i64| Builder::new("r1", start).at(time);
    let multicast = Family { afi: 1, safi: 2 };
    store
        .put(&[
            at(start).event(Some(&one), peer_up()).announce(&one, [1], &[1]).build(),
            at(start).event(Some(&two), peer_up()).announce(&two, [2], &[1]).build(),
            at(start).event(Some(&gone), peer_up()).announce(&gone, [1], &[1]).withdraw(&gone, [1]).build(),
            at(now() - HOUR)
                .event(Some(&post), EventKind::Sweep { family: Family::IPV4_UNICAST })
                .event(Some(&one), EventKind::Sweep { family: multicast })
                .build(),
            at(now() - HOUR).event(Some(&one), peer_down()).build(),
            at(now() - HOUR).event(Some(&two), peer_down()).event(Some(&gone), peer_down()).build(),
        ])
        .await;
    let texts = async |sql: &str| store.database.texts(sql).await;
    let timeline = "SELECT concat_ws(' ', host(peer), event) FROM prefix_timeline('1.0.1.0/24', '1 day')";
    assert_eq!(texts(timeline).await, ["198.51.100.1 peer_down"]);
    let flaps =
        "SELECT concat_ws(' ', host(peer), event, date_trunc('hour', was_up)) FROM peer_flaps('1 day')";
    let up = "peer_down 2 days 23:00:00";
    let up = up.replace("2 days 23:00:00", "71:00:00");
    let found: Vec<String> = texts(flaps).await;
    let expected = [1, 2, 3].map(|peer| format!("198.51.100.{peer} {up}"));
    assert_eq!(
        found.iter().map(|line| line.replace("2 days 23:00:00", "71:00:00")).collect::<Vec<_>>(),
        expected
    );
    let id = texts("SELECT id::text FROM peers() WHERE host(peer) = '198.51.100.2'").await.remove(0);
    let of_id = format!("SELECT host(peer) FROM peer_flaps('1 day', '{id}')");
    assert_eq!(texts(&of_id).await, ["198.51.100.2"]);
    let flapping = "SELECT concat_ws(' ', host(peer), is_withdrawn) FROM flapping_routes(1) ORDER BY 1";
    assert_eq!(texts(flapping).await, ["198.51.100.1 t", "198.51.100.2 t", "198.51.100.3 t"]);
    store.close().await;
}

#[tokio::test]
async fn withdrawals_count_for_the_origin_that_they_end() {
    let Some(mut store) = Store::open(Edition::Timescale, "withdrawn_origin").await else { return };
    let one = peer(1, RibView::AdjInPre, 1);
    let old = Builder::new("r1", 0).at(now() - 2 * HOUR).announce(&one, [1], &[9, 8]);
    let new = Builder::new("r1", 0).at(now()).announce(&one, [2, 2], &[9, 7]).withdraw(&one, [1, 2]);
    let again = Builder::new("r1", 0).at(now()).announce(&one, [1], &[9, 6]);
    store.put(&[old.build(), new.build(), again.build()]).await;
    let churn = "SELECT concat_ws(' ', subject, announcements, withdrawals) FROM churn('as') ORDER BY 1";
    assert_eq!(store.database.texts(churn).await, ["AS6 1 0", "AS7 1 1", "AS8 0 1"]);
    store.close().await;
}

#[tokio::test]
async fn announcements_of_one_moment_are_in_the_order_of_their_positions() {
    let Some(mut store) = Store::open(Edition::Timescale, "ties").await else { return };
    let one = peer(1, RibView::AdjInPre, 1);
    let before = now() - 2 * HOUR;
    let tied = Builder::new("r1", 0).at(before).announce(&one, [1], &[9, 5]).withdraw(&one, [1]);
    let tied = tied.announce(&one, [1], &[9, 4]).announce(&one, [1], &[9, 3]);
    let tied = tied.announce(&one, [1], &[9, 2]);
    let new = Builder::new("r1", 0).at(now()).announce(&one, [1], &[9, 1]);
    store.put(&[tied.build(), new.build()]).await;
    let changes = "SELECT concat_ws(' ', old_origin, new_origin) FROM origin_changes()";
    assert_eq!(store.database.texts(changes).await, ["2 1"]);
    store.close().await;
}

#[tokio::test]
async fn policy_has_no_effect_on_a_family_that_was_not_sent_after_it() {
    let Some(mut store) = Store::open(Edition::Timescale, "unspoken").await else { return };
    let (one, post) = (peer(1, RibView::AdjInPre, 1), peer(1, RibView::AdjInPost, 1));
    let table = Builder::new("r1", 0).event(Some(&one), peer_up()).event(Some(&post), peer_up());
    store.put(&[table.announce(&one, 0..2, &[1]).because(Cause::InitialDump).build()]).await;
    let effect = "SELECT concat_ws(' ', route, effect) FROM policy_effect() ORDER BY 1";
    assert!(store.database.texts(effect).await.is_empty(), "the table after policy follows");
    let first = Builder::new("r1", 0).announce(&post, [0], &[1]).event(Some(&post), end_of_rib());
    store.put(&[first.build()]).await;
    assert_eq!(store.database.texts(effect).await, ["1.0.1.0/24 rejected"]);
    store.close().await;
}

#[tokio::test]
async fn an_end_of_rib_holds_for_its_generation() {
    let Some(mut store) = Store::open(Edition::Timescale, "end_of_rib").await else { return };
    let (one, two) = (peer(1, RibView::AdjInPre, 1), peer(1, RibView::AdjInPre, 2));
    let first = Builder::new("r1", 0).event(Some(&one), peer_up()).announce(&one, [1], &[1]);
    store.put(&[first.event(Some(&one), end_of_rib()).build()]).await;
    let complete = "SELECT (end_of_rib_at IS NOT NULL)::text FROM family_state";
    assert_eq!(store.database.texts(complete).await, ["true"]);
    let again = Builder::new("r1", 0).event(Some(&one), peer_down()).event(Some(&two), peer_up());
    store.put(&[again.announce(&two, [1], &[1]).build()]).await;
    assert_eq!(store.database.texts(complete).await, ["false"]);
    store.close().await;
}

#[tokio::test]
async fn buckets_begin_at_midnight_utc() {
    let Some(mut store) = Store::open(Edition::Timescale, "midnight").await else { return };
    let one = peer(1, RibView::AdjInPre, 1);
    let batch = Builder::new("r1", 0).at(now()).announce(&one, [1], &[1]).withdraw(&one, [1]);
    store.put(&[batch.build()]).await;
    let client = store.database.client().await;
    client.batch_execute("SET TIME ZONE 'Asia/Tokyo'; SELECT holdfast_sample_sizes('1 hour')").await.unwrap();
    for call in ["withdraw_storms('7 days', '1 day', 1)", "table_growth('7 days', '1 day')"] {
        let sql = format!("SELECT to_char(at AT TIME ZONE 'UTC', 'HH24:MI') FROM {call} AS a (at)");
        let rows = client.query(&sql, &[]).await.unwrap();
        assert!(rows.iter().all(|row| row.get::<_, String>(0) == "00:00"), "{call}");
    }
    drop(client);
    store.close().await;
}

#[tokio::test]
async fn a_default_gateway_at_several_vteps_does_not_move() {
    let Some(mut store) = Store::open(Edition::Timescale, "gateway").await else { return };
    let one = peer(1, RibView::AdjInPre, 1);
    for vtep in [1, 2, 1] {
        let (mut attributes, nlri) = mac_route(vtep, [0; 10], 0);
        // RFC 7432 section 7.8: Default Gateway.
        attributes.extended_communities = vec![[0, 2, 0xfd, 0xe8, 0, 0, 0, 1], [3, 0x0d, 0, 0, 0, 0, 0, 0]];
        let builder = Builder::new("r1", 0).at(now());
        store.put(&[builder.routes(&one, Family::EVPN, Some(&attributes), [(None, nlri)]).build()]).await;
    }
    for call in ["evpn_moves()", "evpn_duplicates()"] {
        assert!(store.database.texts(&format!("SELECT mac_address FROM {call}")).await.is_empty(), "{call}");
    }
    store.close().await;
}

#[tokio::test]
async fn two_paths_with_each_others_next_hops_differ() {
    let Some(mut store) = Store::open(Edition::Timescale, "pairs").await else { return };
    let (one, two) = (peer(1, RibView::AdjInPre, 1), peer(2, RibView::AdjInPre, 1));
    let mut builder = Builder::new("r1", 0);
    for (peer, paths) in [(&one, [1, 2]), (&two, [2, 1])] {
        for (path_id, path) in (1..).zip(paths) {
            let mut sent = attributes(&[path]);
            sent.next_hop = Some([198, 51, 100, 100 + u8::try_from(path_id).unwrap()].into());
            builder = builder.routes(peer, Family::IPV4_UNICAST, Some(&sent), [(Some(path_id), prefix(1))]);
        }
    }
    store.put(&[builder.build()]).await;
    let sql =
        "SELECT concat_ws(' ', route, difference) FROM peer_differences('198.51.100.1', '198.51.100.2')";
    assert_eq!(store.database.texts(sql).await, ["1.0.1.0/24 path, next hop"]);
    store.close().await;
}

#[tokio::test]
async fn the_earlier_as_number_of_a_loc_rib_is_found() {
    let Some(mut store) = Store::open(Edition::Timescale, "past_as").await else { return };
    let old = Peer { asn: 64_500, ..peer(1, RibView::LocRib, 1) };
    let new = Peer { asn: 64_501, ..old.clone() };
    let announced = |peer: &Peer, time| Builder::new("r1", 0).at(time).announce(peer, [1], &[1]).build();
    store.put(&[announced(&old, 0)]).await;
    store.put(&[announced(&new, HOUR)]).await;
    for words in [["query", "rib_at", "AS64500", "2026-11-23 00:30"], ["query", "rib_at", "AS64501", "now"]] {
        let (code, table, error) = store.database.command(None, store::COLLECTOR, &words);
        assert!(code == Some(0) && table.contains("1.0.1.0/24"), "{table}{error}");
    }
    store.close().await;
}
