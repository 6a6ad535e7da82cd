//! The metrics against the truth: the messages that the test has sent, and the tables of a real database that
//! rejects a record and whose replies are lost.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;

use crate::away::Away;
use crate::common::daemon::{Daemon, until};
use crate::common::db::Database;
use crate::common::messages::{
    Header, PEER, bgp, initiation, mp_reach, open, plain_attributes, termination, update, v4,
};
use crate::common::web::{LISTEN, address, get, metric};

/// Responses to COMMIT that are lost.
const LOST: u64 = 2;

/// The messages of a router, counted by type.
#[derive(Default)]
struct Sent {
    bytes: Vec<u8>,
    /// Number of bytes that were written to a socket.
    written: usize,
    messages: BTreeMap<&'static str, u64>,
}

impl Sent {
    fn add(&mut self, kind: &'static str, message: &[u8]) {
        self.bytes.extend(message);
        *self.messages.entry(kind).or_default() += 1;
    }

    fn up(&mut self, peer: &Header) {
        self.add("peer_up", &peer.peer_up(&open(65_001, &[]), &open(65_002, &[]), &[]));
    }

    fn routes(&mut self, peer: &Header, numbers: std::ops::Range<u8>) {
        for number in numbers {
            let pdu = update(&[], &plain_attributes(&[65_001]), &v4(10, 0, number, 24));
            self.add("route_monitoring", &peer.route_monitoring(&pdu));
        }
    }
}

/// A session with each type of message, an UPDATE that cannot be decoded, and a peer that goes down.
fn session(sent: &mut Sent, name: &str) {
    let other = Header { address: [192, 0, 2, 9].into(), bgp_id: 9, ..PEER };
    sent.add("initiation", &initiation(name));
    sent.up(&PEER);
    sent.up(&other);
    sent.routes(&PEER, 0..200);
    sent.routes(&other, 0..100);
    let withdrawal = update(&v4(10, 0, 7, 24), &[], &[]);
    sent.add("route_monitoring", &PEER.route_monitoring(&withdrawal));
    let malformed = bgp(2, &[&[0xff; 2][..], &[0xee; 40]].concat());
    sent.add("route_monitoring", &PEER.route_monitoring(&malformed));
    let next_hop = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let v6 = mp_reach(2, 1, &next_hop, &[32, 0x20, 1, 0xd, 0xb8]);
    let v6 = update(&[], &[plain_attributes(&[65_001]), v6].concat(), &[]);
    sent.add("route_monitoring", &PEER.route_monitoring(&v6));
    sent.add("statistics_report", &PEER.statistics(&[(7, &[0, 0, 0, 0, 0, 0, 0, 9])]));
    sent.add("route_mirroring", &PEER.mirror(&[0, 1, 0, 2, 0, 0]));
    sent.add("peer_down", &other.peer_down(4, &[]));
}

/// Sends the routes of another router until all replies are lost that shall be. So this happens to no
/// transaction with rejected records.
fn lose_replies(away: &Away, daemon: &Daemon, sent: &mut Sent) {
    let mut router = daemon.send(&[]);
    sent.add("initiation", &initiation("edge2"));
    for number in 0..=u8::MAX {
        let pdu = update(&[], &plain_attributes(&[65_001]), &v4(10, 1, number, 24));
        sent.add("route_monitoring", &PEER.route_monitoring(&pdu));
        router.write_all(&sent.bytes[sent.written..]).unwrap();
        sent.written = sent.bytes.len();
        let messages = sent.messages.values().sum();
        daemon.status_when(|document| {
            let delivery = document.delivery.as_ref().unwrap();
            let received = document.sessions.messages.values().sum::<u64>();
            received >= messages
                && document.wal.unsynced_records == 0
                && delivery.delivered == Some(document.wal.durable)
        });
        if away.lost_commits() == LOST {
            return;
        }
    }
    panic!("only {} replies were lost", away.lost_commits());
}

/// Waits until everything is delivered, and returns the page of the metrics then.
fn delivered(daemon: &Daemon, server: SocketAddr, messages: u64) -> String {
    daemon.status_when(|document| {
        let delivery = document.delivery.as_ref().unwrap();
        document.sessions.messages.values().sum::<u64>() == messages
            && document.wal.unsynced_records == 0
            && document.routers.iter().all(|router| !router.connected)
            && delivery.delivered == Some(document.wal.durable)
    });
    // The page may be a second older than the status.
    let is_current = |page: &String| {
        metric(page, "holdfast_wal_durable_seq", "") == metric(page, "holdfast_delivery_seq", "")
            && metric(page, "holdfast_bmp_messages_total", "") == messages as f64
            && metric(page, "holdfast_routers", "state=\"connected\"") == 0.0
    };
    let page = || Some(get(server, "/metrics").body).filter(is_current);
    until(page, || get(server, "/metrics").body)
}

/// The number that a query returns.
async fn number(database: &Database, sql: &str) -> f64 {
    database.value::<f64>(&format!("SELECT ({sql})::float8")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_counter_is_what_the_database_and_the_sender_say() {
    let Some(away) = Away::new("metrics").await else { return };
    let database = &away.database;
    let poison = "ALTER TABLE route_records ADD CONSTRAINT poison CHECK (prefix <> '10.0.13.0/24')";
    database.client().await.batch_execute(poison).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    // A run that ends with a crash: the next one records a gap.
    let mut crashed = Sent::default();
    crashed.add("initiation", &initiation("edge1"));
    crashed.up(&PEER);
    let daemon = Daemon::start(folder.path(), &[]);
    let _router = daemon.send(&crashed.bytes);
    let before = daemon.durable(2).wal.durable;
    daemon.kill();
    away.lose_commits(LOST);
    let mut daemon = away.daemon(folder.path(), &[LISTEN, ("DRAIN_LANES", "2")]);
    let server = address(&mut daemon);
    let mut sent = Sent::default();
    lose_replies(&away, &daemon, &mut sent);
    let (routes, first) = (sent.messages["route_monitoring"] as f64, sent.bytes.len());
    session(&mut sent, "edge1");
    sent.add("termination", &termination(0));
    let _router = daemon.send(&sent.bytes[first..]);
    let page = delivered(&daemon, server, sent.messages.values().sum());
    let value = |name: &str, labels: &str| metric(&page, &format!("holdfast_{name}"), labels);

    // The sender.
    for (kind, count) in &sent.messages {
        assert_eq!(value("bmp_messages_total", &format!("type=\"{kind}\"")), *count as f64, "{kind}");
    }
    assert_eq!(value("bmp_messages_total", "type=\"other\""), 0.0);
    assert_eq!(value("bmp_bytes_total", ""), sent.bytes.len() as f64);
    assert_eq!(value("routes_total", "announce"), routes + 301.0);
    assert_eq!(value("routes_total", "withdraw"), 1.0);
    assert_eq!(value("bmp_errors_total", "kind=\"update\""), 1.0);
    assert_eq!(value("bmp_errors_total", ""), 1.0);

    // The tables.
    let own = format!("seq > {before}");
    let rejected = number(database, "SELECT count(*) FROM rejected_routes").await;
    assert_eq!(value("delivery_rejected_records_total", ""), rejected);
    assert_eq!(rejected, 2.0, "of each peer the route that the table refuses");
    let stored = number(database, &format!("SELECT count(*) FROM route_updates WHERE {own}")).await;
    assert_eq!(value("logged_routes_total", ""), stored + rejected);
    let events = "SELECT event_type || ' ' || count(*) FROM peer_events WHERE seq > ";
    for line in database.texts(&format!("{events} {before} GROUP BY event_type")).await {
        let (kind, count) = line.split_once(' ').unwrap();
        let counted = value("logged_events_total", &format!("kind=\"{kind}\""));
        assert_eq!(counted, count.parse::<f64>().unwrap(), "{kind}");
    }
    let statistics = number(database, &format!("SELECT count(*) FROM peer_stats WHERE {own}")).await;
    assert_eq!(value("logged_events_total", "kind=\"statistics\""), statistics);
    let gaps = "FROM collector_gaps WHERE reason = 'crash'";
    assert_eq!(value("gaps_total", "crash"), number(database, &format!("SELECT count(*) {gaps}")).await);
    let seconds = format!("SELECT extract(epoch FROM sum(until_time - from_time)) {gaps}");
    assert!((value("gap_seconds_total", "crash") - number(database, &seconds).await).abs() < 1e-5);
    assert!(value("gap_seconds_total", "crash") > 0.0);

    // The ledger.
    assert_eq!(
        value("delivery_lane_records_total", ""),
        number(database, "SELECT sum(records) FROM ingest_ledger").await
    );
    let transactions = number(database, "SELECT count(*) FROM ingest_ledger").await;
    let committed = ["stored", "isolated", "found_committed"]
        .map(|outcome| value("delivery_transactions_total", outcome));
    assert_eq!(committed.iter().sum::<f64>(), transactions, "{committed:?}");
    assert_eq!(value("delivery_transactions_total", "found_committed"), away.lost_commits() as f64);
    assert_eq!(away.lost_commits(), LOST);
    assert_eq!(value("delivery_failures_total", "class=\"connection\""), LOST as f64);
    assert_eq!(
        value("delivery_failures_total", "class=\"23\""),
        value("delivery_transactions_total", "refused")
    );
    assert!(value("delivery_transactions_total", "isolated") >= 1.0);
    daemon.kill();
    away.database.drop().await;
}
