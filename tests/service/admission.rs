//! Connections and names: senders that hold connections, claim the names of other routers, or repeat their
//! Initiation do not harm their neighbours, and the status names them.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpStream};

use crate::common::daemon::{self, Daemon, event_names, logged};
use crate::common::messages::{
    Header, PEER, bmp, initiation, open, plain_attributes, termination, tlv, update, v4,
};
use holdfast::telemetry::status::Document;
use serde_json::{Value, json};

const OWNER: [u8; 4] = [127, 0, 0, 5];
const STRANGER: [u8; 4] = [127, 0, 0, 9];
const NEIGHBOUR: [u8; 4] = [127, 0, 0, 2];

/// Initiation, Peer Up and one route.
fn session(name: &str) -> Vec<u8> {
    let up = PEER.peer_up(&open(65_001, &[]), &open(65_002, &[]), &[]);
    [initiation(name), up, route()].concat()
}

fn route() -> Vec<u8> {
    PEER.route_monitoring(&update(&[], &plain_attributes(&[65_001]), &v4(10, 0, 0, 24)))
}

/// Connects from an address and sends `bytes`. The daemon may have closed the connection before.
fn send_from(daemon: &Daemon, address: [u8; 4], bytes: &[u8]) -> TcpStream {
    let mut stream = daemon.connect_from(address);
    drop(stream.write_all(bytes));
    stream
}

/// Waits until the daemon has closed the connection.
fn closed(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(daemon::PATIENCE)).unwrap();
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)), "BMP is one way");
}

/// A message of an unknown type without a body.
fn unknown() -> Vec<u8> {
    bmp(100, &[])
}

/// Waits until this number of connections has been accepted or refused.
fn decided(daemon: &Daemon, connections: u64) -> Document {
    daemon.status_when(|document| document.listener.accepted + document.listener.refused == connections)
}

fn listener(document: &Document) -> Value {
    serde_json::to_value(&document.listener).unwrap()
}

fn has_reason(document: &Document, part: &str) -> bool {
    document.reasons.iter().any(|reason| reason.contains(part))
}

/// The addresses from which records under this name came, without repetitions of one after the other.
fn addresses(folder: &std::path::Path, name: &str) -> Vec<IpAddr> {
    let batches = logged(folder).into_iter().filter(|batch| batch.router.name == name);
    let mut found: Vec<IpAddr> = batches.map(|batch| batch.router.address).collect();
    found.dedup();
    found
}

fn ip(address: [u8; 4]) -> IpAddr {
    Ipv4Addr::from(address).into()
}

#[test]
fn one_address_does_not_take_the_connections_of_all_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[]);
    let _held: Vec<_> = (0..200).map(|_| send_from(&daemon, STRANGER, &unknown())).collect();
    let attacked = decided(&daemon, 200);
    let _neighbour = send_from(&daemon, NEIGHBOUR, &session("edge1"));
    let after = decided(&daemon, 201);
    assert_eq!(after.listener.accepted, attacked.listener.accepted + 1, "the neighbour is accepted");
    daemon.durable(3);
    assert_eq!(daemon.event("connection_refused")["reason"], "BMP_MAX_CONNECTIONS_PER_ADDRESS");
    let status = daemon.status();
    assert!(has_reason(&status, "20 BMP_MAX_CONNECTIONS_PER_ADDRESS"), "{:?}", status.reasons);
    assert!(has_reason(&status, "most from 127.0.0.9"), "{:?}", status.reasons);
    let shown = listener(&status);
    assert_eq!(shown["unidentified"], 180);
    assert_eq!(shown["refused_by"], json!({"BMP_MAX_CONNECTIONS_PER_ADDRESS": 20}));
    assert_eq!(shown["sources"][0], json!({"source": "127.0.0.9", "connections": 180, "refused": 20}));
    let page = daemon::run(folder.path(), &["status", "--all"], &[]).stdout;
    let page = String::from_utf8_lossy(&page).into_owned();
    assert!(page.contains("127.0.0.9: 180 connections, 20 refused"), "{page}");
}

#[test]
fn a_message_of_an_unknown_type_is_not_a_first_message() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[("BMP_FIRST_MESSAGE_S", "1")]);
    let mut stranger = send_from(&daemon, STRANGER, &[unknown(), bmp(9, &[1; 40])].concat());
    closed(&mut stranger);
    let line = daemon.event("connection_not_identified");
    assert_eq!((&line["peer"], &line["messages"]), (&json!("127.0.0.9"), &json!(2)));
    let status = daemon.status_when(|document| document.listener.connections == 0);
    assert_eq!(listener(&status)["not_identified"], 1);
    // What comes before the Initiation belongs to the session if there is one.
    let mut router = send_from(&daemon, NEIGHBOUR, &[unknown(), session("edge1")].concat());
    daemon.durable(4);
    router.write_all(&unknown()).unwrap();
    daemon.durable(5);
    daemon.stop();
    let names = event_names(folder.path(), "edge1");
    assert_eq!(names[..3], ["unknown_message", "session_up", "peer_up"], "{names:?}");
    assert!(logged(folder.path()).iter().all(|batch| batch.router.name == "edge1"), "no other router");
}

#[test]
fn a_connection_identifies_itself_within_its_first_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[]);
    let mut crowd: Vec<_> = (0..3).map(|_| daemon.connect_from(STRANGER)).collect();
    for stream in &mut crowd {
        drop(stream.write_all(&bmp(100, &[0; 1 << 10]).repeat(300)));
        closed(stream);
    }
    assert_eq!(daemon.event("connection_not_identified")["peer"], "127.0.0.9");
    // A Termination alone is not a session either.
    closed(&mut send_from(&daemon, STRANGER, &termination(0)));
    daemon.status_when(|document| document.listener.connections == 0);
    daemon.stop();
    assert!(logged(folder.path()).is_empty());
}

#[test]
fn a_configured_router_always_finds_a_connection() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("BMP_MAX_CONNECTIONS", "4"),
        ("BMP_ROUTER_NAMES", "127.0.0.5=core1"),
        ("EXPECTED_ROUTERS", "core1"),
    ];
    let mut daemon = Daemon::start(folder.path(), &settings);
    let mut strangers: Vec<_> = (0..4).map(|_| send_from(&daemon, STRANGER, &unknown())).collect();
    closed(&mut strangers[3]);
    assert_eq!(daemon.event("connection_refused")["reason"], "BMP_MAX_CONNECTIONS");
    let full = decided(&daemon, 4);
    assert!(has_reason(&full, "1 BMP_MAX_CONNECTIONS"), "{:?}", full.reasons);
    assert_eq!(listener(&full)["reserved"], 1);
    let _owner = send_from(&daemon, OWNER, &session("ignored"));
    daemon.durable(3);
    let status = daemon.status_when(|document| document.routers.iter().any(|router| router.connected));
    assert_eq!((status.listener.accepted, listener(&status)["reserved"].as_u64()), (4, Some(0)));

    // Its second connection takes the slot of one that has not identified itself.
    let _again = send_from(&daemon, OWNER, &session("ignored"));
    let line = daemon.event("connection_displaced");
    assert_eq!((&line["peer"], &line["displaced_by"]), (&json!("127.0.0.9"), &json!("127.0.0.5")));
    closed(&mut strangers[0]);
    // So does a stranger that has fewer connections.
    let _neighbour = send_from(&daemon, NEIGHBOUR, &session("edge1"));
    closed(&mut strangers[1]);
    daemon.durable(9);
    assert_eq!(listener(&daemon.status())["displaced"], 2);

    // All remaining ones are routers, or as few as the newcomer: nobody is displaced.
    let mut refused = send_from(&daemon, [127, 0, 0, 3], &session("edge2"));
    closed(&mut refused);
    let mut third = send_from(&daemon, OWNER, &session("ignored"));
    closed(&mut strangers[2]);
    daemon.durable(12);
    closed(&mut send_from(&daemon, OWNER, &session("ignored")));
    let status = daemon.status();
    assert!(has_reason(&status, "configured routers refused"), "{:?}", status.reasons);
    assert_eq!(listener(&status)["configured_refused"], 1);
    third.write_all(&route()).unwrap();
    daemon.durable(13);
}

#[test]
fn a_name_of_the_configuration_belongs_to_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let pinned = [("BMP_ROUTER_NAMES", "127.0.0.5=edge1")];
    let mut daemon = Daemon::start(folder.path(), &pinned);
    // The owner is away.
    let early = send_from(&daemon, STRANGER, &session("edge1"));
    let line = daemon.event("router_name_reserved");
    assert_eq!(
        (&line["router"], &line["stored_as"], &line["owner"]),
        (&json!("edge1"), &json!("edge1@127.0.0.9"), &json!("127.0.0.5"))
    );
    daemon.durable(3);
    let status = daemon.status_when(|document| !document.routers.is_empty());
    assert!(has_reason(&status, "edge1@127.0.0.9") && has_reason(&status, "127.0.0.5"), "{status:?}");
    // The owner connects after the stranger.
    let owner = send_from(&daemon, OWNER, &session("any"));
    daemon.durable(6);
    drop(early);
    daemon.durable(8);
    // The owner is connected.
    let late = send_from(&daemon, STRANGER, &session("edge1"));
    daemon.durable(11);
    drop((owner, late));
    daemon.status_when(|document| document.listener.connections == 0);
    // The alarm outlasts the connection.
    assert!(has_reason(&daemon.status(), "edge1@127.0.0.9"), "{:?}", daemon.status().reasons);
    daemon.stop();
    assert_eq!(addresses(folder.path(), "edge1"), [ip(OWNER)]);
    assert_eq!(addresses(folder.path(), "edge1@127.0.0.9"), [ip(STRANGER)]);
    // A stranger cannot take the name of a stranger either.
    let daemon = Daemon::start(folder.path(), &pinned);
    let _other = send_from(&daemon, NEIGHBOUR, &session("edge1@127.0.0.9"));
    daemon.durable(3);
    daemon.stop();
    assert_eq!(addresses(folder.path(), "edge1@127.0.0.9"), [ip(STRANGER)]);
    assert_eq!(addresses(folder.path(), "edge1@127.0.0.9@127.0.0.2"), [ip(NEIGHBOUR)]);
}

/// Lets edge1 connect from the neighbour's address and end, and stops the daemon.
fn first_run(folder: &std::path::Path, settings: &[(&str, &str)]) {
    let daemon = Daemon::start(folder, settings);
    drop(send_from(&daemon, NEIGHBOUR, &[session("edge1"), termination(0)].concat()));
    daemon.durable(5);
    daemon.stop();
}

#[test]
fn a_router_that_moves_keeps_its_name_with_an_alarm() {
    let folder = tempfile::tempdir().unwrap();
    first_run(folder.path(), &[]);
    let mut daemon = Daemon::start(folder.path(), &[]);
    let _moved = send_from(&daemon, STRANGER, &session("edge1"));
    let line = daemon.event("router_moved");
    assert_eq!(
        (&line["router"], &line["from"], &line["peer"]),
        (&json!("edge1"), &json!("127.0.0.2"), &json!("127.0.0.9"))
    );
    daemon.durable(3);
    let status = daemon.status_when(|document| document.routers.iter().any(|router| router.connected));
    assert!(has_reason(&status, "edge1 moved from 127.0.0.2 to 127.0.0.9"), "{:?}", status.reasons);
    daemon.stop();
    assert_eq!(addresses(folder.path(), "edge1"), [ip(NEIGHBOUR), ip(STRANGER)]);
    // It is there now: the next connection from the same address is no move.
    let mut daemon = Daemon::start(folder.path(), &[]);
    let _same = send_from(&daemon, STRANGER, &session("edge1"));
    daemon.durable(4);
    let status = daemon.status_when(|document| document.routers.iter().any(|router| router.connected));
    assert!(!has_reason(&status, "moved"), "{:?}", status.reasons);
    assert!(!daemon.lines().iter().any(|line| line["event"] == "router_moved"));
}

#[test]
fn with_moves_denied_another_address_is_another_router() {
    let folder = tempfile::tempdir().unwrap();
    let deny = [("BMP_ROUTER_MOVES", "deny")];
    first_run(folder.path(), &deny);
    // The address is known after a restart, also if the state is rebuilt from the log.
    std::fs::remove_dir_all(folder.path().join("sled")).unwrap();
    let mut daemon = Daemon::start(folder.path(), &deny);
    let _stranger = send_from(&daemon, STRANGER, &session("edge1"));
    let line = daemon.event("router_moved");
    assert_eq!((&line["from"], &line["stored_as"]), (&json!("127.0.0.2"), &json!("edge1@127.0.0.9")));
    daemon.durable(3);
    assert!(has_reason(&daemon.status(), "edge1@127.0.0.9"), "{:?}", daemon.status().reasons);
    daemon.kill();
    // The denied move has not changed the owner.
    let daemon = Daemon::start(folder.path(), &deny);
    let _owner = send_from(&daemon, NEIGHBOUR, &session("edge1"));
    daemon.status_when(|document| {
        document.routers.iter().any(|router| router.connected && router.name == "edge1")
    });
    daemon.stop();
    assert_eq!(addresses(folder.path(), "edge1"), [ip(NEIGHBOUR)]);
    assert_eq!(addresses(folder.path(), "edge1@127.0.0.9"), [ip(STRANGER)]);
}

#[test]
fn a_flood_of_initiations_is_counted_and_not_recorded() {
    const FLOOD: usize = 200_000;
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[]);
    let mut stream = send_from(&daemon, STRANGER, &session("edge1"));
    let flood = bmp(4, &[tlv(2, b"edge1"), tlv(1, &[b'x'; 200])].concat()).repeat(1_000);
    (0..FLOOD / 1_000).for_each(|_| stream.write_all(&flood).unwrap());
    stream.write_all(&route()).unwrap();
    let all = u64::try_from(FLOOD).unwrap() + 4;
    let status = daemon.status_when(|document| document.routers.iter().any(|one| one.messages == all));
    assert!(status.wal.records_durable < 20, "{} records", status.wal.records_durable);
    let router = serde_json::to_value(&status.routers[0]).unwrap();
    assert!(router["ignored_initiations"].as_u64().unwrap() > all - 20, "{router}");
    assert_eq!(router["routes"], 2);
    daemon.event_since_start("initiations_ignored");
    let lines = daemon.lines().to_vec();
    let about = |event: &str| lines.iter().filter(|line| line["event"] == event).count();
    assert_eq!(about("initiations_ignored"), 1);
    assert!(about("bmp_session_up") < 20, "{}", about("bmp_session_up"));
    daemon.stop();
    let records: usize = logged(folder.path()).iter().map(|batch| batch.records()).sum();
    assert!(records < 20, "{records} records in the log");
}

/// Initiation, and more new peers than a session may report at once.
fn new_peers(count: u64) -> Vec<u8> {
    let up = |number| {
        let peer = Header { distinguisher: number, ..PEER };
        peer.peer_up(&open(65_001, &[]), &open(65_002, &[]), &[])
    };
    initiation("edge1").into_iter().chain((1..=count).flat_map(up)).collect()
}

#[test]
fn a_flood_of_new_peers_slows_only_its_own_session() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    let mut stream = send_from(&daemon, STRANGER, &[]);
    let flood = new_peers(14_000);
    // The daemon reads the last of them after half a minute; the buffers of the kernel are smaller.
    let sender = std::thread::spawn(move || stream.write_all(&flood).map(|()| stream));
    let text = "edge1 is read slowly: too many new peers";
    daemon.status_when(|document| has_reason(document, text));
    let _neighbour = send_from(&daemon, NEIGHBOUR, &session("edge2"));
    let both = daemon.status_when(|document| {
        document.routers.iter().any(|router| router.name == "edge2" && router.messages == 3)
    });
    let edge1 = both.routers.iter().find(|router| router.name == "edge1").unwrap();
    assert!(edge1.transport.slowed_s > 0.0 && edge1.connected);
    // A stop does not wait for it.
    daemon.stop();
    drop(sender.join());
}
