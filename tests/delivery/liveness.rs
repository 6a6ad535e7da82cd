//! The state of a RIB view: up, down, stale, or unknown without a Peer Up or an announcement.

use crate::common::batches::{Builder, peer, peer_down, peer_up};
use crate::common::daemon::Daemon;
use crate::common::db::{Database, Edition};
use crate::common::messages::{PEER, initiation, open};
use crate::common::store::{COLLECTOR, Store};
use holdfast::route::{Batch, EventKind, Family, Peer, RibView, SessionEnd, Statistic, SuspectScope};
use holdfast::sink::rebuild_state;

fn pre(generation: u32) -> Peer {
    peer(1, RibView::AdjInPre, generation)
}

fn post(generation: u32) -> Peer {
    peer(1, RibView::AdjInPost, generation)
}

fn statistics() -> EventKind {
    EventKind::Statistics(vec![Statistic { kind: 7, family: None, value: Some(1), raw: vec![1] }])
}

fn stale() -> EventKind {
    EventKind::PeerStale { end: SessionEnd::Lost }
}

fn lost() -> EventKind {
    EventKind::SessionDown { end: SessionEnd::Lost }
}

fn end_of_rib() -> EventKind {
    EventKind::EndOfRib { family: Family::IPV4_UNICAST }
}

/// The states after these batches, each in its own transaction and all in one.
async fn each_way(test: &str, batches: &[Batch], expected: &[&str]) {
    for together in [false, true] {
        let name = format!("live_{test}_{together}");
        let Some(mut store) = Store::open(Edition::Plain, &name).await else { continue };
        if together {
            store.put(batches).await;
        } else {
            for batch in batches {
                store.put(std::slice::from_ref(batch)).await;
            }
        }
        let sql = "SELECT concat_ws(' ', rib, state, down_reason, stale_reason) FROM bgp_peers ORDER BY 1";
        assert_eq!(store.database.texts(sql).await, expected, "together: {together}");
        let found = rebuild_state(&mut store.database.client().await, COLLECTOR, false).await.unwrap();
        assert!(found.iter().all(|comparison| comparison.is_consistent()), "{found:?}");
        store.close().await;
    }
}

#[tokio::test]
async fn a_peer_known_from_statistics_alone_is_never_up() {
    let only = Builder::new("r1", 0)
        .event(Some(&pre(0)), statistics())
        .event(Some(&post(0)), end_of_rib())
        .withdraw(&post(0), [1])
        .build();
    let ended = Builder::new("r1", 0).at(1).event(None, lost()).build();
    let unknown = ["adj-in-post unknown", "adj-in-pre unknown"];
    each_way("statistics", &[only.clone(), ended.clone()], &unknown).await;
    // An announcement shows that the peer is up, in the same incarnation or a later one.
    for session in [0, 9] {
        let routes = Builder::new("r1", session).at(2).announce(&pre(0), [1], &[1]).build();
        let expected = ["adj-in-post unknown", "adj-in-pre up"];
        each_way("announced", &[only.clone(), routes.clone()], &expected).await;
        let ended =
            Builder::new("r1", session).at(3).event(Some(&pre(0)), stale()).event(None, lost()).build();
        let stale = ["adj-in-post stale connection lost", "adj-in-pre stale connection lost"];
        each_way("then_lost", &[only.clone(), routes, ended], &stale).await;
    }
}

#[tokio::test]
async fn messages_of_a_new_session_without_routes_leave_a_stale_peer_stale() {
    let first = Builder::new("r1", 0).event(Some(&pre(1)), peer_up()).announce(&pre(1), 0..2, &[1]).build();
    let ended = Builder::new("r1", 0).at(1).event(Some(&pre(1)), stale()).event(None, lost()).build();
    let quiet = Builder::new("r1", 9)
        .at(2)
        .event(Some(&pre(0)), statistics())
        .event(Some(&pre(0)), end_of_rib())
        .withdraw(&pre(0), [0])
        .build();
    let batches = [first, ended, quiet];
    each_way("quiet", &batches, &["adj-in-pre stale connection lost"]).await;
    let up = Builder::new("r1", 9).at(3).event(Some(&pre(1)), peer_up()).build();
    each_way("quiet_then_up", &[&batches[..], &[up]].concat(), &["adj-in-pre up"]).await;
}

#[tokio::test]
async fn withdrawals_after_a_peer_down_leave_the_peer_down() {
    let batches = [
        Builder::new("r1", 0).event(Some(&pre(1)), peer_up()).announce(&pre(1), 0..2, &[1]).build(),
        Builder::new("r1", 0).at(1).event(Some(&pre(1)), peer_down()).build(),
        Builder::new("r1", 0).at(2).withdraw(&pre(2), [0]).event(Some(&post(2)), statistics()).build(),
    ];
    each_way("down", &batches, &["adj-in-post down 2", "adj-in-pre down 2"]).await;
}

#[tokio::test]
async fn a_view_that_is_seen_after_the_peer_up_has_the_state_of_the_peer() {
    let up = Builder::new("r1", 0).event(Some(&pre(1)), peer_up()).announce(&pre(1), [0], &[1]).build();
    let later = Builder::new("r1", 0).at(1).event(Some(&post(1)), end_of_rib()).build();
    each_way("later_view", &[up.clone(), later], &["adj-in-post up", "adj-in-pre up"]).await;
    // Its routes from before a Peer Down have ended, too.
    let down = Builder::new("r1", 0).at(1).event(Some(&pre(1)), peer_down()).build();
    let late = Builder::new("r1", 0).at(2).announce(&post(1), [0], &[1]).build();
    each_way("late_view", &[up, down, late], &["adj-in-post down 2", "adj-in-pre down 2"]).await;
}

/// The first value of a query that is not null, by polling.
async fn first(database: &Database, sql: &str) -> String {
    let give_up = std::time::Instant::now() + crate::common::daemon::PATIENCE;
    loop {
        let found = database.texts(sql).await;
        if let Some(value) = found.into_iter().find(|value| value != "null") {
            return value;
        }
        assert!(std::time::Instant::now() < give_up, "no result of {sql}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_shows_of_a_killed_collector_has_a_time() {
    let Some(database) = Database::migrated(Edition::Timescale, "live_killed").await else { return };
    let settings = database.settings(None);
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let folder = tempfile::tempdir().unwrap();
    let collector = Daemon::start(folder.path(), &settings);
    let (sent, received) = (open(65_001, &[]), open(65_002, &[]));
    let stream = collector.send(&[initiation("r1"), PEER.peer_up(&sent, &received, &[])].concat());
    // Later than the Peer Up, and then later again although nothing was received.
    let as_of = "SELECT as_of::text FROM peers() WHERE state = 'up' AND as_of > up_since";
    let seen = first(&database, as_of).await;
    first(&database, &format!("{as_of} AND as_of > '{seen}'")).await;
    collector.kill();
    drop(stream);
    let shown = "SELECT concat_ws(' ', p.state, r.is_active, p.as_of = r.as_of AND p.as_of = c.as_of)
        FROM peers() p, routers() r, collector_health() c";
    assert_eq!(database.texts(shown).await, ["up t t"]);
    let before = database.texts("SELECT as_of::text FROM routers()").await;
    // The next start reports the loss, and a later time.
    let collector = Daemon::start(folder.path(), &settings);
    let later = format!("SELECT state FROM peers() WHERE state <> 'up' AND as_of > '{}'", before[0]);
    assert_eq!(first(&database, &later).await, "stale");
    assert!(collector.stop().success());
    database.drop().await;
}

#[tokio::test]
async fn a_repeated_peer_up_is_an_event_and_no_state_change() {
    let EventKind::PeerUp(mut up) = peer_up() else { unreachable!() };
    up.families = vec![Family::IPV4_UNICAST, Family::IPV6_UNICAST];
    let repeated = EventKind::PeerUpRepeated(up);
    let batches = [
        Builder::new("r1", 0).event(Some(&pre(1)), peer_up()).announce(&pre(1), [1], &[1]).build(),
        Builder::new("r1", 0).at(5).event(Some(&pre(1)), repeated).build(),
    ];
    for together in [false, true] {
        let name = format!("live_repeated_{together}");
        let Some(mut store) = Store::open(Edition::Plain, &name).await else { continue };
        for batches in batches.chunks(if together { 2 } else { 1 }) {
            store.put(batches).await;
        }
        let sql =
            "SELECT concat_ws(' ', state, ups, up_since = first_seen, detail ->> 'families') FROM bgp_peers";
        let families = r#"["ipv4_unicast", "ipv6_unicast"]"#;
        assert_eq!(store.database.texts(sql).await, [format!("up 1 t {families}")], "together: {together}");
        let events = "SELECT event_type || (received_open IS NULL) FROM peer_events";
        assert_eq!(store.database.texts(events).await, ["peer_upfalse", "peer_upfalse"]);
        store.close().await;
    }
}

#[tokio::test]
async fn undecodable_fields_and_unknown_messages_are_stored_with_their_bytes() {
    let Some(mut store) = Store::open(Edition::Plain, "live_raw").await else { return };
    let suspects = [Family::IPV4_UNICAST, Family::IPV6_UNICAST].map(SuspectScope::Family).to_vec();
    let fields = EventKind::MalformedFields { error: "two fields".to_owned(), suspects, pdu: vec![1, 2] };
    let unknown = EventKind::UnknownMessage { message_type: 100, body: vec![3] };
    store.put(&[Builder::new("r1", 0).event(Some(&pre(1)), fields).event(None, unknown).build()]).await;
    let events = "SELECT concat_ws(' ', event_type, encode(data, 'hex'), detail ->> 'suspect',
        detail ->> 'message_type') FROM peer_events ORDER BY idx";
    let expected = ["malformed 0102 ipv4_unicast, ipv6_unicast", "unknown_message 03 100"];
    assert_eq!(store.database.texts(events).await, expected);
    let families = "SELECT concat_ws(' ', afi, safi, suspect_reason) FROM peer_families ORDER BY 1";
    assert_eq!(store.database.texts(families).await, ["1 1 two fields", "2 1 two fields"]);
    store.close().await;
}

#[tokio::test]
async fn tlvs_without_a_column_and_skipped_messages_are_stored() {
    let Some(mut store) = Store::open(Edition::Plain, "live_tlvs").await else { return };
    let information = vec!["VRF/table name: blue".to_owned(), "9:01".to_owned()];
    let tlvs = EventKind::MessageTlvs { message_type: 2, information };
    let reason = "router skipped 3 messages".to_owned();
    let suspect = EventKind::Suspect { reason, scope: SuspectScope::AllFamilies };
    store
        .put(&[Builder::new("r1", 0).event(Some(&pre(1)), tlvs).event(Some(&pre(1)), suspect).build()])
        .await;
    let events = "SELECT concat_ws(' ', event_type, detail ->> 'message_type', detail ->> 'information',
        detail ->> 'error', detail ->> 'suspect') FROM peer_events ORDER BY idx";
    let expected =
        [r#"message_tlvs 2 ["VRF/table name: blue", "9:01"]"#, "suspect router skipped 3 messages 0/0"];
    assert_eq!(store.database.texts(events).await, expected);
    let families = "SELECT concat_ws(' ', afi, safi, suspect_reason) FROM peer_families";
    assert_eq!(store.database.texts(families).await, ["0 0 router skipped 3 messages"]);
    store.close().await;
}
