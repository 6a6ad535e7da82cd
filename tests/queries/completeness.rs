//! The query `completeness`: states and alarms of the tables of a peer.

use crate::common::batches::{self, Builder, peer, peer_down, peer_up};
use crate::common::db::Edition;
use crate::common::store::Store;
use holdfast::route::{EventKind, Family, Peer, RibView, SessionEnd, Statistic};

const MINUTE: i64 = 60_000_000;
const ROWS: &str =
    "SELECT concat_ws(' ', rib, family, completeness, routes, stale, reported) FROM completeness()";
const ALARMS: &str = "SELECT concat_ws(' ', rib, family, alarm) FROM completeness() WHERE alarm IS NOT NULL";
const SILENT: &str = "neither routes nor End-of-RIB since Peer Up";

/// Minutes ago, as an offset from the builder's epoch.
fn ago(minutes: i64) -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap() - batches::NOW - minutes * MINUTE
}

fn view(view: RibView) -> Peer {
    peer(1, view, 1)
}

fn pre() -> Peer {
    view(RibView::AdjInPre)
}

/// A Peer Up that negotiates IPv4 and IPv6 unicast.
fn up() -> EventKind {
    let mut event = peer_up();
    if let EventKind::PeerUp(up) = &mut event {
        up.families = vec![Family::IPV4_UNICAST, Family::IPV6_UNICAST];
    }
    event
}

fn session_up(sys_name: &str, sys_descr: &str) -> EventKind {
    let (sys_name, sys_descr) = (sys_name.to_owned(), sys_descr.to_owned());
    EventKind::SessionUp { sys_name, sys_descr, information: Vec::new() }
}

fn end_of_rib(family: Family) -> EventKind {
    EventKind::EndOfRib { family }
}

fn counter(kind: u16, family: Option<Family>, value: u64) -> Statistic {
    Statistic { kind, family, value: Some(value), raw: Vec::new() }
}

/// A session that began some minutes ago with Initiation and Peer Up.
fn session(minutes: i64) -> Builder {
    let at = ago(minutes);
    Builder::new("r1", at).at(at).event(None, session_up("r1", "FRR")).event(Some(&pre()), up())
}

/// Stores the batch in a database of each edition; compares the rows and the alarms.
async fn check(test: &str, batches: &[Builder], rows: &[&str], alarms: &[&str]) {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, test).await else { continue };
        for builder in batches {
            store.put(std::slice::from_ref(&builder.batch)).await;
        }
        assert_eq!(store.database.texts(ROWS).await, rows, "{edition:?}");
        assert_eq!(store.database.texts(ALARMS).await, alarms, "{edition:?}");
        store.close().await;
    }
}

#[tokio::test]
async fn a_table_is_complete_with_end_of_rib_and_assumed_without() {
    let builder = session(10).announce(&pre(), 0..3, &[1]);
    let builder = builder.event(Some(&pre()), end_of_rib(Family::IPV6_UNICAST));
    let rows = ["adj-in-pre ipv4_unicast assumed 3 0", "adj-in-pre ipv6_unicast complete 0 0"];
    check("states", &[builder], &rows, &[]).await;
}

#[tokio::test]
async fn a_dump_that_goes_on_is_neither_complete_nor_an_alarm() {
    let builder = session(1).at(ago(0)).announce(&pre(), 0..3, &[1]);
    let rows = ["adj-in-pre ipv4_unicast none 3 0", "adj-in-pre ipv6_unicast none 0 0"];
    check("dump_goes_on", &[builder], &rows, &[]).await;
}

#[tokio::test]
async fn a_negotiated_family_without_routes_and_end_of_rib_is_an_alarm_after_minutes() {
    let begun = session(10).announce(&pre(), 0..3, &[1]);
    let begun = begun.event(Some(&pre()), end_of_rib(Family::IPV4_UNICAST));
    let rows = ["adj-in-pre ipv4_unicast complete 3 0", "adj-in-pre ipv6_unicast none 0 0"];
    let silent = format!("adj-in-pre ipv6_unicast {SILENT}");
    check("silent_family", &[begun], &rows, &[&silent]).await;
    let rows = ["adj-in-pre ipv4_unicast none 0 0", "adj-in-pre ipv6_unicast none 0 0"];
    let both = [format!("adj-in-pre ipv4_unicast {SILENT}"), silent];
    check("silent_peer", &[session(10)], &rows, &both.each_ref().map(String::as_str)).await;
    check("silent_for_a_minute", &[session(1)], &rows, &[]).await;
}

#[tokio::test]
async fn a_view_that_the_router_does_not_send_is_no_alarm() {
    let post = view(RibView::AdjInPost);
    let builder = session(10).announce(&post, 0..3, &[1]);
    let builder = builder.event(Some(&post), end_of_rib(Family::IPV6_UNICAST));
    let rows = [
        "adj-in-post ipv4_unicast assumed 3 0",
        "adj-in-post ipv6_unicast complete 0 0",
        "adj-in-pre ipv4_unicast none 0 0",
        "adj-in-pre ipv6_unicast none 0 0",
    ];
    check("other_view", &[builder], &rows, &[]).await;
}

#[tokio::test]
async fn far_fewer_routes_than_the_router_reports_are_an_alarm() {
    let v4 = Family::IPV4_UNICAST;
    let begun = || {
        let builder = session(20).announce(&pre(), 0..300, &[1]).event(Some(&pre()), end_of_rib(v4));
        builder.event(Some(&pre()), end_of_rib(Family::IPV6_UNICAST))
    };
    let reports =
        |counters: Vec<Statistic>| begun().at(ago(6)).event(Some(&pre()), EventKind::Statistics(counters));
    let (v6, complete) = ("adj-in-pre ipv6_unicast complete 0 0", "adj-in-pre ipv4_unicast complete 300 0");
    let alarm = |family| format!("adj-in-pre {family} 300 routes of 1000 that the router reports");
    let (of_v4, of_all) = (alarm("ipv4_unicast"), alarm("all"));
    let with_total = ["adj-in-pre all 300 0 1000"];
    let with_family = format!("{complete} 1000");
    for kind in [9, 19] {
        let both = vec![counter(7, None, 1_000), counter(kind, Some(v4), 1_000)];
        check(&format!("fewer_{kind}"), &[reports(both)], &[&with_family, v6], &[&of_v4]).await;
    }
    for kind in [7, 18] {
        let rows = [complete, v6, with_total[0]];
        check(&format!("fewer_{kind}"), &[reports(vec![counter(kind, None, 1_000)])], &rows, &[&of_all])
            .await;
    }
    // Counters of other views, and a report of an earlier time that a newer one corrects.
    let elsewhere = vec![counter(8, None, 1_000), counter(21, Some(v4), 1_000), counter(17, Some(v4), 1_000)];
    check("fewer_elsewhere", &[reports(elsewhere)], &[complete, v6], &[]).await;
    let corrected = reports(vec![counter(9, Some(v4), 1_000)])
        .at(ago(5))
        .event(Some(&pre()), EventKind::Statistics(vec![counter(9, Some(v4), 310)]));
    check("fewer_corrected", &[corrected], &[&format!("{complete} 310"), v6], &[]).await;
}

#[tokio::test]
async fn an_adj_rib_out_of_gobgp_and_rustybgp_is_partial() {
    let out = view(RibView::AdjOutPost);
    for (test, name, descr, state) in [
        ("out_gobgp", "GoBGP", "3.36.0", "partial"),
        ("out_rustybgp", "edge1", "RustyBGP v0.2.0-abcdef", "partial"),
        ("out_frr", "r1", "FRRouting 10.3", "assumed"),
    ] {
        let at = ago(10);
        let begun = Builder::new("r1", at).at(at).event(None, session_up(name, descr));
        let builder = begun.event(Some(&out), up()).announce(&out, 0..2, &[1]);
        let rows = [
            format!("adj-out-post ipv4_unicast {state} 2 0"),
            "adj-out-post ipv6_unicast none 0 0".to_owned(),
        ];
        let partial = "adj-out-post ipv6_unicast partial 0 0".to_owned();
        let is_partial = state == "partial";
        let rows = if is_partial { [rows[0].clone(), partial] } else { rows };
        let silent = format!("adj-out-post ipv6_unicast {SILENT}");
        let alarms: &[&str] = if is_partial { &[] } else { &[&silent] };
        check(test, &[builder], &rows.each_ref().map(String::as_str), alarms).await;
    }
}

#[tokio::test]
async fn what_an_earlier_incarnation_sent_does_not_count() {
    let first =
        session(60).announce(&pre(), 0..3, &[1]).event(Some(&pre()), end_of_rib(Family::IPV4_UNICAST));
    let lost = Builder::new("r1", first.batch.router.session.0 - batches::NOW)
        .at(ago(40))
        .event(Some(&pre()), EventKind::PeerStale { end: SessionEnd::Lost });
    let again = session(30).announce(&pre(), 0..1, &[1]);
    let down = Builder::new("r1", again.batch.router.session.0 - batches::NOW)
        .at(ago(20))
        .event(Some(&pre()), peer_down());
    let batches = [first, lost, again, down];
    let stale = ["adj-in-pre ipv4_unicast none 0 3", "adj-in-pre ipv6_unicast none 0 0"];
    check("incarnation_stale", &batches[..2], &stale, &[]).await;
    let silent = format!("adj-in-pre ipv6_unicast {SILENT}");
    let again = ["adj-in-pre ipv4_unicast assumed 1 2", "adj-in-pre ipv6_unicast none 0 0"];
    check("incarnation_again", &batches[..3], &again, &[&silent]).await;
    let down = ["adj-in-pre ipv4_unicast none 0 0", "adj-in-pre ipv6_unicast none 0 0"];
    check("incarnation_down", &batches, &down, &[]).await;
}

#[tokio::test]
async fn peers_of_one_address_are_judged_apart() {
    let mut other = pre();
    other.bgp_id = [10, 0, 0, 9].into();
    let reports = |count| EventKind::Statistics(vec![counter(9, Some(Family::IPV4_UNICAST), count)]);
    let builder = session(10)
        .event(Some(&other), up())
        .announce(&pre(), 0..300, &[1])
        .announce(&other, 0..20, &[1])
        .event(Some(&pre()), end_of_rib(Family::IPV6_UNICAST))
        .event(Some(&pre()), reports(300))
        .event(Some(&other), reports(1_000));
    let rows = [
        "adj-in-pre ipv4_unicast assumed 300 0 300",
        "adj-in-pre ipv6_unicast complete 0 0",
        "adj-in-pre ipv4_unicast assumed 20 0 1000",
        "adj-in-pre ipv6_unicast none 0 0",
    ];
    let fewer = "adj-in-pre ipv4_unicast 20 routes of 1000 that the router reports";
    check("two_peers", &[builder], &rows, &[fewer, &format!("adj-in-pre ipv6_unicast {SILENT}")]).await;
}

#[tokio::test]
async fn a_database_that_lags_raises_no_alarm() {
    let Some(mut store) = Store::open(Edition::Plain, "completeness_lag").await else { return };
    store.put(&[session(10).build()]).await;
    assert_eq!(store.database.texts(ALARMS).await.len(), 2);
    let report = "INSERT INTO collector_reports (collector, as_of, reported_at)
        VALUES ('c1', now() - interval '6 minutes', now())";
    store.database.client().await.batch_execute(report).await.unwrap();
    assert_eq!(store.database.texts(ALARMS).await, [""; 0]);
    store.close().await;
}
