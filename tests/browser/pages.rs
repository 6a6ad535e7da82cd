//! Every page of the collector, idle, with routers, with thousands of peers, and with its database away.

use crate::common::db::{Database, Edition, testbed};
use crate::rig;
use crate::site::Site;

/// A prefix that both peers of every recording announce.
const ROUTE: &str = "10.0.3.0/24";

/// Queries of the looking glass: results with rows, one without, and last one with an invalid value.
const RESULTS: [&str; 8] = [
    "/lookup/route_lookup?address=10.0.3.1",
    "/lookup/prefix_lookup?prefix=10.0.0.0/8&match=more",
    "/lookup/prefix_timeline?prefix=10.0.3.0/24",
    "/lookup/peers?peer=127.0.0.21",
    "/lookup/evpn_bindings?limit=10",
    "/lookup/moas?limit=20",
    "/lookup/prefix_lookup?prefix=192.0.2.0/24",
    "/lookup/prefix_lookup?prefix=10.0.3.1/24",
];

#[test]
fn the_pages_of_an_idle_collector_are_right() {
    if !rig::is_there() {
        return;
    }
    let site = Site::start(&[]);
    let wrong = rig::check(&site.urls(), "200");
    assert!(wrong.is_empty(), "{wrong:#?}");
    let missing = ["/nothing", "/routers/nothing", "/peers/nothing/192.0.2.1", "/lookup/nothing"];
    let wrong = rig::check(&missing.map(|path| site.url(path)), "404");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_pages_with_thousands_of_peers_are_right() {
    if !rig::is_there() {
        return;
    }
    let mut site = Site::start(&[]);
    site.send_peers(2_000);
    let wrong = rig::check(&site.urls(), "200");
    assert!(wrong.is_empty(), "{wrong:#?}");
    let wrong = rig::walk(&site.url("/"), None);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_with_recorded_sessions_are_right_also_without_the_database() {
    if !rig::is_there() {
        return;
    }
    let server = format!("browser-{}", std::process::id());
    let Some(database) = Database::named(Edition::Timescale, &server, "browser").await else { return };
    let url = database.url();
    let mut site = Site::start(&[("DATABASE_URL", url.as_str()), ("DB_CONNECT_TIMEOUT_S", "1")]);
    site.send_recordings();
    site.daemon.status_when(|document| {
        let delivery = document.delivery.as_ref();
        delivery.is_some_and(|delivery| delivery.lag_batches == 0 && delivery.delivered.is_some())
    });
    let results: Vec<_> = RESULTS.iter().map(|path| site.url(path)).collect();
    let wrong = rig::check(&[site.urls(), site.forms()].concat(), "200");
    assert!(wrong.is_empty(), "{wrong:#?}");
    let (invalid, valid) = results.split_last().unwrap();
    let wrong = rig::check(valid, "200");
    assert!(wrong.is_empty(), "{wrong:#?}");
    let wrong = rig::check(std::slice::from_ref(invalid), "400");
    assert!(wrong.is_empty(), "{wrong:#?}");
    let wrong = rig::walk(&site.url("/"), Some(ROUTE));
    assert!(wrong.is_empty(), "{wrong:#?}");

    testbed(&["stop", "--name", &server]).unwrap();
    site.daemon.status_when(|document| !document.reasons.is_empty());
    let wrong = rig::check(&site.urls(), "200");
    assert!(wrong.is_empty(), "{wrong:#?}");
    let wrong = rig::check(valid, "503");
    assert!(wrong.is_empty(), "{wrong:#?}");
    database.destroy();
}
