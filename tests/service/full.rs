//! A log that is full while the database is away, with the real program, a real database and real sockets: a
//! router that closes when it is not read from, and a log that gives up its oldest.

use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::away::Away;
use crate::common::daemon::{self, Daemon};
use crate::common::messages::{PEER, initiation, open, plain_attributes, tlv, update, v4};

/// Routes of a table; so many that the room of a full log ends in the middle of it.
const ROUTES: u16 = 2_000;

/// A router that is not read from for this long closes. It is long enough for a machine that does many other
/// things.
const ROUTER_PATIENCE: Duration = Duration::from_secs(4);

fn start(name: &str) -> Vec<u8> {
    let opens = (open(65_001, &[]), open(65_002, &[]));
    [initiation(name), PEER.peer_up(&opens.0, &opens.1, &[])].concat()
}

/// About a megabyte of Route Mirroring: it fills a log quickly.
fn bulk() -> Vec<u8> {
    let tlvs: Vec<u8> = (0..15).flat_map(|_| tlv(0, &[0xaa; 60_000])).collect();
    PEER.mirror(&tlvs)
}

/// What a router sends after each connect: Initiation, Peer Up, all of its routes, with 12 MB between.
fn dump(name: &str) -> Vec<u8> {
    let mut bytes = start(name);
    let (bulk, every) = (bulk(), usize::from(ROUTES) / 12);
    for number in 0..ROUTES {
        let [high, low] = number.to_be_bytes();
        let pdu = update(&[], &plain_attributes(&[65_001]), &v4(10, high, low, 24));
        bytes.extend(PEER.route_monitoring(&pdu));
        if usize::from(number) % every == every - 1 {
            bytes.extend(&bulk);
        }
    }
    bytes
}

/// Waits until all that is in the log is in the database as well.
fn delivered(daemon: &Daemon) -> u64 {
    let status = daemon.status_when(|document| {
        let (wal, delivery) = (&document.wal, document.delivery.as_ref().unwrap());
        wal.durable == wal.written && delivery.delivered == Some(wal.durable) && document.wal.paused.is_none()
    });
    status.wal.durable
}

/// What a router has lived through.
#[derive(Debug, Default)]
struct Life {
    /// Told to leave.
    over: AtomicBool,
    /// Its dump is out, all of it.
    dumped: AtomicBool,
    connected: AtomicU64,
    /// It closed a connection that was not read from.
    gave_up: AtomicU64,
}

/// Sends `bytes` from the first to the last; `false` when nobody has read for too long, or the connection
/// broke.
fn send_all(stream: &mut TcpStream, bytes: &[u8], life: &Life) -> bool {
    let (mut sent, mut last) = (0, Instant::now());
    while sent < bytes.len() && !life.over.load(Ordering::SeqCst) {
        match stream.write(&bytes[sent..]) {
            Ok(count) => (sent, last) = (sent + count, Instant::now()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if last.elapsed() > ROUTER_PATIENCE {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
    sent == bytes.len()
}

/// A router that closes when it is not read from, dials again, and sends its table from the start.
fn impatient(port: u16, first: TcpStream, table: Vec<u8>, life: &Arc<Life>) -> JoinHandle<()> {
    let life = Arc::clone(life);
    thread::spawn(move || {
        let mut stream = Some(first);
        while !life.over.load(Ordering::SeqCst) {
            let Some(mut connected) = stream.take() else {
                stream = Some(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap());
                life.connected.fetch_add(1, Ordering::SeqCst);
                continue;
            };
            connected.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
            // Else a dump of this size could lie in the kernel's buffers as a whole.
            socket2::SockRef::from(&connected).set_send_buffer_size(64 << 10).unwrap();
            if send_all(&mut connected, &table, &life) {
                life.dumped.store(true, Ordering::SeqCst);
                daemon::until(|| life.over.load(Ordering::SeqCst).then_some(()), || "never told".to_owned());
                return;
            }
            life.gave_up.fetch_add(1, Ordering::SeqCst);
        }
    })
}

/// Sends bulk until it is told that it is enough; with `to_the_brim` until nobody reads it any more besides.
fn feed(daemon: &Daemon, name: &str, enough: &Arc<AtomicBool>, to_the_brim: bool) -> JoinHandle<TcpStream> {
    let mut stream = daemon.send(&start(name));
    stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let (bulk, enough) = (bulk(), Arc::clone(enough));
    thread::spawn(move || {
        let (mut sent, mut last) = (0, Instant::now());
        loop {
            let is_over = if to_the_brim { last.elapsed() > ROUTER_PATIENCE } else { sent == 0 };
            if is_over && enough.load(Ordering::SeqCst) {
                return stream;
            }
            if let Ok(count) = stream.write(&bulk[sent..]) {
                (sent, last) = ((sent + count) % bulk.len(), Instant::now());
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_closes_when_it_waits_is_held_off_and_then_sends_its_table_once() {
    let Some(away) = Away::new("held_off").await else { return };
    away.is_away(true);
    let folder = tempfile::tempdir().unwrap();
    // Without limits per router, the filler takes the whole log.
    let mut daemon = away.daemon(folder.path(), &[("ROUTER_LOG_SHARE", "100")]);
    let life = Arc::new(Life::default());
    let first = daemon.connect();
    let enough = Arc::new(AtomicBool::new(false));
    let filler = feed(&daemon, "filler", &enough, true);
    daemon.event("routers_held_off");
    enough.store(true, Ordering::SeqCst);
    let filler = filler.join().unwrap();

    let router = impatient(daemon.port, first, dump("edge1"), &life);
    let stands = || format!("{life:?} {:?}", daemon.status().listener);
    let of = |what: &AtomicU64| what.load(Ordering::SeqCst);
    daemon::until(|| (of(&life.gave_up) >= 3).then_some(()), stands);
    let status = daemon.status();
    assert!(status.listener.held_off, "{:?}", status.listener);
    assert!(status.reasons.iter().any(|reason| reason.contains("wait until")), "{:?}", status.reasons);
    assert!(status.reasons.iter().any(|reason| reason.contains("filler (")), "{:?}", status.reasons);
    // The filler, the first connection of the router, which waits inside, and the one that is held.
    daemon.status_when(|document| document.listener.connections <= 3);

    away.is_away(false);
    daemon.status_when(|document| !document.listener.held_off);
    daemon::until(|| life.dumped.load(Ordering::SeqCst).then_some(()), stands);
    delivered(&daemon);
    let now = "SELECT concat_ws(' ', count(*), bool_or(is_stale)) FROM route_state
        WHERE router = 'edge1' AND NOT is_withdrawn";
    assert_eq!(away.database.texts(now).await, [format!("{ROUTES} f")]);
    // What the first connection brought of the table is known, and adds no history when it comes again.
    let rows =
        "SELECT concat_ws(' ', count(*), count(DISTINCT prefix)) FROM route_updates WHERE router = 'edge1'";
    assert_eq!(away.database.texts(rows).await, [format!("{ROUTES} {ROUTES}")]);
    assert_eq!(away.database.missing_and_doubled("test").await, (0, 0));
    let listener = daemon.status().listener;
    assert_eq!((listener.hold_offs, listener.held_off), (1, false), "{listener:?}");
    life.over.store(true, Ordering::SeqCst);
    router.join().unwrap();
    drop(filler);
    daemon.kill();
    away.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_while_the_database_is_away_are_gap_rows_and_nothing_else_is_missing() {
    let Some(away) = Away::new("given_up").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut daemon =
        away.daemon(folder.path(), &[("WAL_FULL", "drop-oldest"), ("DB_COMMAND_TIMEOUT_S", "5")]);
    let _early = daemon.send(&dump("early"));
    daemon.durable(u64::from(ROUTES) + 2);
    let before = delivered(&daemon);
    away.is_away(true);
    let enough = Arc::new(AtomicBool::new(false));
    let feeder = feed(&daemon, "edge1", &enough, false);
    daemon.event("log_dropped_oldest");
    // More than one segment, so that the gap grows while it is told of.
    let first = daemon.status().wal.dropped;
    daemon.status_when(|document| document.wal.dropped > 3 * first);
    enough.store(true, Ordering::SeqCst);
    drop(feeder.join().unwrap());
    daemon.status_when(|document| {
        document.listener.connections == 1 && document.wal.durable == document.wal.written
    });

    away.is_away(false);
    let last = delivered(&daemon);
    // Only now: what the committer still had queued may have cost a segment more.
    let told = daemon.status().wal.dropped;
    let gaps = "SELECT concat_ws(' ', reason, sum(last_seq - first_seq + 1), min(first_seq) > {before},
            max(last_seq) < {last})
        FROM collector_gaps WHERE first_seq IS NOT NULL GROUP BY reason";
    let gaps = gaps.replace("{before}", &before.to_string()).replace("{last}", &last.to_string());
    assert_eq!(away.database.texts(&gaps).await, [format!("dropped {told} t t")]);
    // Each number is either there or in one gap, never both.
    let numbers = format!(
        "WITH there AS (SELECT DISTINCT seq FROM stored_records), gap AS (
            SELECT generate_series(first_seq, last_seq) AS seq
            FROM collector_gaps WHERE first_seq IS NOT NULL)
        SELECT concat_ws(' ', (SELECT count(*) FROM there), (SELECT count(*) FROM gap),
            (SELECT count(*) FROM there JOIN gap USING (seq)),
            (SELECT count(*) FROM generate_series(1, {last}) AS seq
                WHERE seq NOT IN (SELECT seq FROM there) AND seq NOT IN (SELECT seq FROM gap)))"
    );
    assert_eq!(away.database.texts(&numbers).await, [format!("{} {told} 0 0", last - told)]);
    assert_eq!(away.database.missing_and_doubled("test").await, (0, 0));
    let listener = daemon.status().listener;
    assert_eq!(
        (listener.hold_offs, listener.held_off),
        (0, false),
        "a log that gives up its oldest never waits"
    );
    daemon.kill();
    away.database.drop().await;
}
