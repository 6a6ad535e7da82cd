//! Fair use of the log: a router that floods waits at its share, and its neighbours do not notice.

use std::io::{ErrorKind, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use holdfast::telemetry::status::{ConditionKind, Document, Router};

use crate::away::Away;
use crate::common::daemon::{self, Daemon};
use crate::common::messages::{PEER, attribute, initiation, open, plain_attributes, update, v4};

const HEAVY: [u8; 4] = [127, 0, 0, 2];
const LIGHT: [u8; 4] = [127, 0, 0, 3];
const NEW: [u8; 4] = [127, 0, 0, 4];

fn start(name: &str) -> Vec<u8> {
    let opens = (open(65_001, &[]), open(65_002, &[]));
    [initiation(name), PEER.peer_up(&opens.0, &opens.1, &[])].concat()
}

/// A route with 60 KB of attributes, of an unknown type, that differ for each `number`.
fn large_route(number: u32) -> Vec<u8> {
    let [_, a, b, c] = number.to_be_bytes();
    let mut bulk = vec![0x55; 60_000];
    bulk[..4].copy_from_slice(&number.to_be_bytes());
    let attributes = [plain_attributes(&[65_001]), attribute(0xd0, 250, &bulk)].concat();
    PEER.route_monitoring(&update(&[], &attributes, &v4(a, b, c, 24)))
}

fn route(number: u8) -> Vec<u8> {
    PEER.route_monitoring(&update(&[], &plain_attributes(&[65_001]), &v4(203, 0, number, 24)))
}

/// Sends large routes until `enough`. Returns the connection, and the number of routes sent.
fn flood(mut stream: TcpStream, enough: &Arc<AtomicBool>) -> JoinHandle<(TcpStream, u32)> {
    let enough = Arc::clone(enough);
    stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    thread::spawn(move || {
        for number in 0.. {
            let (message, mut sent) = (large_route(number), 0);
            while sent < message.len() {
                match stream.write(&message[sent..]) {
                    Ok(count) => sent += count,
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    Err(_) => return (stream, number),
                }
                if enough.load(Ordering::SeqCst) {
                    return (stream, number);
                }
            }
        }
        unreachable!("the numbers do not end")
    })
}

fn send_from(daemon: &Daemon, source: [u8; 4], bytes: &[u8]) -> TcpStream {
    let mut stream = daemon.connect_from(source);
    stream.write_all(bytes).unwrap();
    stream
}

fn router<'a>(document: &'a Document, name: &str) -> Option<&'a Router> {
    document.routers.iter().find(|router| router.name == name)
}

/// Waits until `routes` records of this session of the router were received and are durable. The status has
/// them once they are queued.
fn durable(daemon: &Daemon, name: &str, routes: u64) {
    daemon.status_when(|document| {
        let is_queued = router(document, name).is_some_and(|one| one.connected && one.routes == routes);
        is_queued && document.wal.unsynced_records == 0
    });
}

/// A daemon whose log the heavy router fills up to its share.
fn with_flood(daemon: &mut Daemon, enough: &Arc<AtomicBool>) -> JoinHandle<(TcpStream, u32)> {
    let flooding = flood(send_from(daemon, HEAVY, &start("heavy")), enough);
    let paused = daemon.event("router_paused");
    assert_eq!(paused["router"], "heavy", "{paused}");
    flooding
}

#[test]
fn a_router_that_floods_waits_and_its_neighbours_come_go_and_are_durable() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[]);
    let mut light = send_from(&daemon, LIGHT, &[start("light"), route(1)].concat());
    durable(&daemon, "light", 1);
    let enough = Arc::new(AtomicBool::new(false));
    let flooding = with_flood(&mut daemon, &enough);

    light.write_all(&route(2)).unwrap();
    durable(&daemon, "light", 2);
    drop(light);
    daemon.event("peer_disconnected");
    let again = send_from(&daemon, LIGHT, &[start("light"), route(1), route(2), route(3)].concat());
    durable(&daemon, "light", 3);
    let new = send_from(&daemon, NEW, &[start("new"), route(1)].concat());
    durable(&daemon, "new", 1);

    let document = daemon.status();
    assert!(document.conditions.contains(&ConditionKind::RoutersPaused), "{:?}", document.reasons);
    assert!(document.reasons.iter().any(|reason| reason.contains("heavy (")), "{:?}", document.reasons);
    assert_eq!((document.wal.paused, document.listener.held_off), (None, false));
    let heavy = document.routers.iter().find(|one| one.name == "heavy").unwrap();
    // 75 % of five segments of 16 MiB, with the granularity of a batch and of the head of a segment.
    assert!((50 << 20..=62 << 20).contains(&heavy.log_bytes), "{heavy:?}");
    assert!(heavy.log_paused_s.is_some(), "{heavy:?}");
    let light = document.routers.iter().find(|one| one.name == "light").unwrap();
    assert!(light.log_bytes < 1 << 20 && light.log_paused_s.is_none(), "{light:?}");

    enough.store(true, Ordering::SeqCst);
    flooding.join().unwrap();
    drop((again, new));
    daemon.kill();
}

#[test]
fn a_paused_router_that_connects_again_is_held_unread_and_occupies_one_connection() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[]);
    let enough = Arc::new(AtomicBool::new(false));
    let flooding = with_flood(&mut daemon, &enough);
    let first = send_from(&daemon, HEAVY, &start("heavy"));
    let held = daemon.event("connection_held");
    assert_eq!(held["peer"], "127.0.0.2", "{held}");
    assert_eq!(daemon.status().listener.connections, 2);
    let second = send_from(&daemon, HEAVY, &start("heavy"));
    daemon.event("held_connection_replaced");
    let document = daemon.status_when(|document| document.listener.connections == 2);
    assert_eq!(document.listener.accepted, 3);
    let sessions = document.routers.iter().filter(|one| one.name == "heavy").count();
    assert_eq!(sessions, 1, "nothing of the held connection was read");
    enough.store(true, Ordering::SeqCst);
    drop((flooding.join().unwrap(), first, second));
    daemon.kill();
}

#[test]
fn a_stop_while_a_router_is_paused_logs_what_was_read_and_the_end_of_every_session() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[]);
    let light = send_from(&daemon, LIGHT, &[start("light"), route(1)].concat());
    durable(&daemon, "light", 1);
    let enough = Arc::new(AtomicBool::new(false));
    let flooding = with_flood(&mut daemon, &enough);
    assert!(daemon.stop().success());
    enough.store(true, Ordering::SeqCst);
    drop((flooding.join().unwrap(), light));
    for router in ["heavy", "light"] {
        let events = daemon::event_names(folder.path(), router);
        assert_eq!(events.iter().filter(|name| **name == "session_down").count(), 1, "{router}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_database_returns_the_router_continues_and_nothing_is_missing_or_doubled() {
    let Some(away) = Away::new("fair_share").await else { return };
    away.is_away(true);
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = away.daemon(folder.path(), &[]);
    let mut light = send_from(&daemon, LIGHT, &[start("light"), route(1)].concat());
    let enough = Arc::new(AtomicBool::new(false));
    let flooding = with_flood(&mut daemon, &enough);
    light.write_all(&route(2)).unwrap();
    durable(&daemon, "light", 2);

    enough.store(true, Ordering::SeqCst);
    let (heavy, sent) = flooding.join().unwrap();
    away.is_away(false);
    daemon.event("router_resumed");
    light.write_all(&route(3)).unwrap();
    let delivered = |document: &Document| {
        let (wal, delivery) = (&document.wal, document.delivery.as_ref().unwrap());
        let received = router(document, "heavy").is_some_and(|one| one.routes == u64::from(sent));
        let light = router(document, "light").is_some_and(|one| one.routes == 3);
        received && light && wal.durable == wal.written && delivery.delivered == Some(wal.durable)
    };
    daemon.status_when(delivered);
    let current = "SELECT concat_ws(' ', router, count(*)) FROM route_state WHERE NOT is_withdrawn
        GROUP BY router ORDER BY router";
    assert_eq!(away.database.texts(current).await, [format!("heavy {sent}"), "light 3".to_owned()]);
    assert_eq!(away.database.missing_and_doubled("test").await, (0, 0));
    drop((heavy, light));
    daemon.kill();
    away.database.drop().await;
}
