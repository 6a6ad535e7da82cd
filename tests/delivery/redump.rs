//! Re-dumps: only changed routes are added to history.

use crate::common::batches::{Builder, attributes, peer, peer_down, peer_up, prefix};
use crate::common::db::Edition;
use crate::common::store::Store;
use holdfast::route::{
    Batch, Cause, Esi, EventKind, EvpnRoute, Family, LabelledPrefix, Mac, Nlri, Peer, Rd, RibView, SessionEnd,
};
use holdfast::sink::Dedup;

const HISTORY: &str =
    "SELECT concat_ws(' ', prefix, cause, large_communities) FROM route_updates ORDER BY seq, idx";
const LEDGER: &str = "SELECT concat_ws(' ', sum(routes), sum(stored), sum(unchanged)) FROM ingest_ledger";

fn pre(generation: u32) -> Peer {
    peer(1, RibView::AdjInPre, generation)
}

fn stale() -> EventKind {
    EventKind::PeerStale { end: SessionEnd::Lost }
}

/// The initial dump of a first session, and the loss of that session.
fn first_session(routes: u32) -> [Batch; 2] {
    [
        Builder::new("r1", 0)
            .event(Some(&pre(1)), peer_up())
            .announce(&pre(1), 0..routes, &[1])
            .because(Cause::InitialDump)
            .build(),
        Builder::new("r1", 0).at(1).event(Some(&pre(1)), stale()).build(),
    ]
}

/// A re-dump in a later session.
fn again(session: i64, generation: u32) -> Builder {
    Builder::new("r1", session).at(session).event(Some(&pre(generation)), peer_up())
}

/// Stores the batches each way and compares history and ledger.
async fn history(test: &str, batches: &[Batch], expected: &[&str], ledger: &str) {
    for edition in Edition::ALL {
        for together in [false, true] {
            let Some(mut store) = Store::open(edition, &format!("{test}_{together}")).await else { continue };
            for part in batches.chunks(if together { batches.len() } else { 1 }) {
                store.put(part).await;
            }
            let told = store.database.texts(HISTORY).await;
            assert_eq!(told, expected, "{edition:?}, in one transaction: {together}");
            assert_eq!(store.database.texts(LEDGER).await, [ledger], "{edition:?}, together: {together}");
            store.close().await;
        }
    }
}

#[tokio::test]
async fn a_table_that_is_sent_again_unchanged_adds_no_history() {
    let [up, lost] = first_session(3);
    let redump = again(2, 1).announce(&pre(1), 0..3, &[1]).because(Cause::ReDump);
    // FRR sends its initial dump twice.
    let redump = redump.announce(&pre(1), 0..3, &[1]).because(Cause::ReDump).build();
    let sweep = EventKind::Sweep { family: Family::IPV4_UNICAST };
    let swept = Builder::new("r1", 2).at(3).event(Some(&pre(1)), sweep).build();
    let row = |number| format!("1.0.{number}.0/24 initial-dump {{4200000000:1:2}}");
    let rows: Vec<String> = (0..3).map(row).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    history("unchanged", &[up, lost, redump, swept], &rows, "9 3 6").await;
}

#[tokio::test]
async fn a_table_that_is_sent_again_is_no_longer_stale() {
    let [up, lost] = first_session(2);
    let redump = again(2, 1).announce(&pre(1), 0..1, &[1]).because(Cause::ReDump).build();
    let expected = ["198.51.100.1 adj-in-pre 1.0.0.0/24 1", "198.51.100.1 adj-in-pre 1.0.1.0/24 1 stale"];
    crate::common::store::each_way("refreshed", &[up, lost, redump], &expected).await;
}

#[tokio::test]
async fn a_change_in_large_communities_alone_is_history() {
    let [up, lost] = first_session(2);
    let mut set = attributes(&[1]);
    set.large_communities = vec![[4_200_000_000, 1, 3]];
    let redump = again(2, 1)
        .announce(&pre(1), 0..1, &[1])
        .because(Cause::ReDump)
        .routes(&pre(1), Family::IPV4_UNICAST, Some(&set), [(None, prefix(1))])
        .because(Cause::ReDump)
        .announce(&pre(1), 2..3, &[1])
        .because(Cause::ReDump)
        .build();
    let expected = [
        "1.0.0.0/24 initial-dump {4200000000:1:2}",
        "1.0.1.0/24 initial-dump {4200000000:1:2}",
        "1.0.1.0/24 re-dump {4200000000:1:3}",
        "1.0.2.0/24 re-dump {4200000000:1:2}",
    ];
    history("large", &[up, lost, redump], &expected, "5 4 1").await;
}

#[tokio::test]
async fn a_change_of_the_label_alone_is_history() {
    let family = Family { afi: 1, safi: 4 };
    let labelled = |label| {
        let Nlri::Prefix(prefix) = prefix(0) else { unreachable!() };
        [(None, Nlri::Labelled(Box::new(LabelledPrefix { rd: None, labels: vec![label], prefix })))]
    };
    let first = Builder::new("r1", 0).routes(&pre(1), family, Some(&attributes(&[1])), labelled(100));
    let same = Builder::new("r1", 1).routes(&pre(1), family, Some(&attributes(&[1])), labelled(100));
    let other = Builder::new("r1", 2).routes(&pre(1), family, Some(&attributes(&[1])), labelled(101));
    let batches = [
        first.because(Cause::InitialDump).build(),
        same.because(Cause::ReDump).build(),
        other.because(Cause::ReDump).build(),
    ];
    let expected = ["1.0.0.0/24 initial-dump {4200000000:1:2}", "1.0.0.0/24 re-dump {4200000000:1:2}"];
    history("label", &batches, &expected, "3 2 1").await;
}

#[tokio::test]
async fn a_change_of_what_an_evpn_route_says_beside_its_key_is_history() {
    let mac = |esi: u8, label| {
        let route = EvpnRoute::MacIp {
            rd: Rd([0, 0, 0xfd, 0xe8, 0, 0, 0, 1]),
            esi: Esi([esi; 10]),
            tag: 0,
            mac: Mac([2, 0, 0, 0, 0, 1]),
            ip: None,
            label,
            label2: None,
        };
        [(None, Nlri::Evpn(Box::new(route)))]
    };
    let told = |second, route, cause| {
        let builder = Builder::new("r1", second);
        builder.routes(&pre(1), Family::EVPN, Some(&attributes(&[1])), route).because(cause).build()
    };
    let batches = [
        told(0, mac(1, 5), Cause::InitialDump),
        told(1, mac(1, 5), Cause::ReDump),
        told(2, mac(2, 5), Cause::ReDump),
        told(3, mac(2, 6), Cause::ReDump),
    ];
    let redumped = "re-dump {4200000000:1:2}";
    history("evpn", &batches, &["initial-dump {4200000000:1:2}", redumped, redumped], "4 3 1").await;
}

#[tokio::test]
async fn what_had_ended_is_history_when_it_comes_again() {
    let sweep = EventKind::Sweep { family: Family::IPV4_UNICAST };
    let redumped = |numbers: std::ops::Range<u32>, generation| {
        again(2, generation).announce(&pre(generation), numbers, &[1]).because(Cause::ReDump).build()
    };
    let down = [
        Builder::new("r1", 0).announce(&pre(1), 0..1, &[1]).because(Cause::InitialDump).build(),
        Builder::new("r1", 0).at(1).event(Some(&pre(1)), peer_down()).build(),
        redumped(0..1, 1),
    ];
    let swept = [
        Builder::new("r1", 0).announce(&pre(1), 0..1, &[1]).because(Cause::InitialDump).build(),
        Builder::new("r1", 2).at(1).event(Some(&pre(1)), sweep).build(),
        redumped(0..1, 1),
    ];
    let withdrawn = [
        Builder::new("r1", 0).announce(&pre(1), 0..1, &[1]).because(Cause::InitialDump).build(),
        Builder::new("r1", 0).at(1).withdraw(&pre(1), 0..1).build(),
        redumped(0..1, 1),
    ];
    let (first, last) = ("1.0.0.0/24 initial-dump {4200000000:1:2}", "1.0.0.0/24 re-dump {4200000000:1:2}");
    history("ended_down", &down, &[first, last], "2 2 0").await;
    history("ended_swept", &swept, &[first, last], "2 2 0").await;
    history("ended_withdrawn", &withdrawn, &[first, "1.0.0.0/24 withdraw", last], "3 3 0").await;
}

#[tokio::test]
async fn a_peer_down_behind_a_re_dump_does_not_make_it_history() {
    let [up, lost] = first_session(1);
    let redump = again(2, 1).announce(&pre(1), 0..1, &[1]).because(Cause::ReDump);
    let redump = redump.event(Some(&pre(1)), peer_down()).build();
    history("down_behind", &[up, lost, redump], &["1.0.0.0/24 initial-dump {4200000000:1:2}"], "2 1 1").await;
}

#[tokio::test]
async fn only_re_dumps_are_compared() {
    let batch =
        |session, cause| Builder::new("r1", session).announce(&pre(1), 0..1, &[1]).because(cause).build();
    let batches = [batch(0, Cause::InitialDump), batch(0, Cause::Update), batch(1, Cause::InitialDump)];
    let expected = ["initial-dump", "update", "initial-dump"]
        .map(|cause| format!("1.0.0.0/24 {cause} {{4200000000:1:2}}"));
    history("only", &batches, &expected.each_ref().map(String::as_str), "3 3 0").await;
}

#[tokio::test]
async fn an_old_session_that_repeats_itself_late_is_history_and_changes_nothing() {
    let [up, _] = first_session(1);
    let newer = again(5, 1).announce(&pre(1), 0..1, &[1]).because(Cause::ReDump).build();
    let late = Builder::new("r1", 0).at(9).announce(&pre(1), 0..1, &[1]).because(Cause::ReDump).build();
    let expected = ["1.0.0.0/24 initial-dump {4200000000:1:2}", "1.0.0.0/24 re-dump {4200000000:1:2}"];
    history("late", &[up.clone(), newer.clone(), late.clone()], &expected, "3 2 1").await;
    crate::common::store::each_way(
        "late_current",
        &[up, newer, late],
        &["198.51.100.1 adj-in-pre 1.0.0.0/24 1"],
    )
    .await;
}

#[tokio::test]
async fn without_dedup_every_announcement_is_history() {
    let Some(mut store) = Store::open(Edition::Timescale, "dedup_off").await else { return };
    store.dedup = Dedup::Off;
    let [up, lost] = first_session(2);
    store.put(&[up, lost]).await;
    store.put(&[again(2, 1).announce(&pre(1), 0..2, &[1]).because(Cause::ReDump).build()]).await;
    assert_eq!(store.database.texts(LEDGER).await, ["4 4 0"]);
    store.close().await;
}
