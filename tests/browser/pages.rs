//! Every page of the collector, idle, with routers, with thousands of peers, and with its database away.

use crate::common::db::{Database, Edition, testbed};
use crate::rig;
use crate::site::Site;

/// A prefix that both peers of every recording announce.
const ROUTE: &str = "10.0.3.0/24";

#[test]
fn the_pages_of_an_idle_collector_are_right() {
    if !rig::is_there() {
        return;
    }
    let site = Site::start(&[]);
    let wrong = rig::check(&site.urls(), "200");
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
    let wrong = rig::check(&site.urls(), "200");
    assert!(wrong.is_empty(), "{wrong:#?}");
    let wrong = rig::walk(&site.url("/"), Some(ROUTE));
    assert!(wrong.is_empty(), "{wrong:#?}");

    testbed(&["stop", "--name", &server]).unwrap();
    site.daemon.status_when(|document| !document.reasons.is_empty());
    let wrong = rig::check(&site.urls(), "200,503");
    assert!(wrong.is_empty(), "{wrong:#?}");
    database.destroy();
}
