//! Tests of the local state: tracking, persistence, and the batches that a start logs.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::route::{
    Action, Cause, Event, EventKind, Family, NO_ATTRIBUTES, Nlri, NlriEntry, Peer, PeerKey, Prefix, RibView,
    Router, RowGroup, SessionEnd,
};

fn router(name: &str, session: i64) -> Router {
    Router {
        name: name.to_owned(),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 1,
        session: Timestamp(session),
    }
}

fn peer(number: u8) -> Peer {
    let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, number));
    Peer {
        key: PeerKey { peer_type: 0, distinguisher: 0, address },
        view: RibView::AdjInPre,
        asn: 65_001,
        bgp_id: Ipv4Addr::UNSPECIFIED,
        table_name: String::new(),
        generation: 1,
    }
}

/// One record of a test batch; the number is the last octet of the peer's address.
#[derive(Clone, Copy)]
enum Entry {
    Route(u8),
    Withdraw(u8),
    Down(u8),
    Stale(u8),
    Lost,
    Stop,
    Gap,
}

fn batch(name: &str, session: i64, at: i64, entries: &[Entry]) -> Batch {
    let mut batch = Batch::new(router(name, session));
    for (index, entry) in (0_u32..).zip(entries) {
        let mut add_peer = |number| {
            batch.peers.push(peer(number));
            u16::try_from(batch.peers.len() - 1).unwrap()
        };
        let (peer, kind) = match *entry {
            Entry::Route(number) | Entry::Withdraw(number) => {
                let withdraw = matches!(entry, Entry::Withdraw(_));
                let group = RowGroup {
                    peer: add_peer(number),
                    attributes: NO_ATTRIBUTES,
                    family: Family::IPV4_UNICAST,
                    action: if withdraw { Action::Withdraw } else { Action::Announce },
                    cause: Cause::Update,
                    add_path: false,
                    index,
                    rows: 1,
                    received: Timestamp(at),
                    router_time: Timestamp(0),
                    marking: None,
                };
                batch.groups.push(group);
                batch.nlri.push(NlriEntry { path_id: 0, nlri: Nlri::Prefix(Prefix::v4(0, 0).unwrap()) });
                continue;
            }
            Entry::Down(number) => {
                (Some(add_peer(number)), EventKind::PeerDown { reason: 1, data: Vec::new() })
            }
            Entry::Stale(number) => (Some(add_peer(number)), EventKind::PeerStale { end: SessionEnd::Lost }),
            Entry::Lost => (None, EventKind::SessionDown { end: SessionEnd::Lost }),
            Entry::Stop => (None, EventKind::SessionDown { end: SessionEnd::CollectorStop }),
            Entry::Gap => {
                let (from, until) = (Timestamp(0), Timestamp(at));
                (None, EventKind::Gap { reason: "stop".to_owned(), from, until })
            }
        };
        batch.events.push(Event { index, peer, received: Timestamp(at), router_time: Timestamp(0), kind });
    }
    batch
}

fn open(dir: &Path) -> StateStore {
    let (state, opened) = StateStore::open(dir);
    assert!(matches!(opened, OpenOutcome::Intact), "{opened:?}");
    state
}

fn up(state: &StateStore, name: &str) -> Vec<u8> {
    let is_up = |tracked: &&TrackedPeer| tracked.liveness == Liveness::Up;
    let last_octet = |tracked: &TrackedPeer| match tracked.peer.key.address {
        IpAddr::V4(v4) => v4.octets()[3],
        IpAddr::V6(_) => 0,
    };
    state.routers().get(name).into_iter().flatten().filter(is_up).map(last_octet).collect()
}

/// The kinds of each batch's events.
fn event_kinds(batches: &[Batch]) -> Vec<Vec<&'static str>> {
    batches.iter().map(|batch| batch.events.iter().map(|event| event.kind.name()).collect()).collect()
}

#[test]
fn a_peer_is_up_from_its_first_announcement_until_it_is_down_or_stale() {
    use Entry::{Down, Route, Stale, Withdraw};
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    for (entries, expected) in [
        (&[Route(1)][..], &[1][..]),
        (&[Withdraw(2)], &[1]),
        (&[Route(2), Down(2)], &[1]),
        (&[Down(2), Route(2)], &[1, 2]),
        (&[Stale(1)], &[2]),
        (&[Down(1), Down(2), Down(9)], &[]),
    ] {
        state.observe(&batch("edge1", 10, 10, entries)).unwrap();
        assert_eq!(up(&state, "edge1"), expected);
    }
}

#[test]
fn a_late_end_of_an_older_session_does_not_change_peers_of_a_newer_one() {
    use Entry::{Lost, Route, Stale};
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    state.observe(&batch("edge1", 10, 10, &[Route(1), Route(2)])).unwrap();
    state.observe(&batch("edge1", 20, 20, &[Route(1)])).unwrap();
    state.observe(&batch("edge1", 10, 30, &[Stale(1), Stale(2), Lost])).unwrap();
    assert_eq!(up(&state, "edge1"), [1]);
    assert_eq!(state.peers("edge1").len(), 2, "the stale one is still tracked");
}

#[test]
fn a_peer_that_went_down_after_a_reconnect_is_not_brought_back_by_the_end_of_the_old_session() {
    use Entry::{Down, Lost, Route, Stale};
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    state.observe(&batch("edge1", 10, 10, &[Route(1), Route(2)])).unwrap();
    // The router reconnects before its old connection is known to be dead.
    state.observe(&batch("edge1", 20, 20, &[Down(1), Down(3)])).unwrap();
    assert_eq!(state.peers("edge1"), [peer(2).identity()]);
    state.observe(&batch("edge1", 10, 25, &[Route(1), Route(3)])).unwrap();
    state.observe(&batch("edge1", 10, 30, &[Stale(1), Stale(2), Stale(3), Lost])).unwrap();
    assert_eq!(state.peers("edge1"), [peer(2).identity()], "1 and 3 are down");
    state.flush().unwrap();
    drop(state);
    let state = open(folder.path());
    assert_eq!(state.peers("edge1"), [peer(2).identity()]);
    state.observe(&batch("edge1", 20, 40, &[Route(1)])).unwrap();
    assert_eq!(up(&state, "edge1"), [1]);
    state.observe(&batch("edge1", 20, 50, &[Down(1), Down(2)])).unwrap();
    assert!(state.peers("edge1").is_empty() && state.routers().is_empty());
    // Once their own session has ended, nothing remains of the peers that are down.
    state.observe(&batch("edge1", 20, 60, &[Lost])).unwrap();
    assert!(state.lock().tracked.peers.is_empty());
}

#[test]
fn an_old_session_that_is_renamed_or_crashes_releases_the_peers_that_are_down() {
    use Entry::{Down, Route};
    for ends_by_crash in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let state = open(folder.path());
        state.observe(&batch("edge1", 10, 10, &[Route(1)])).unwrap();
        state.observe(&batch("edge1", 20, 20, &[Down(1)])).unwrap();
        assert!(state.peers("edge1").is_empty() && state.routers().is_empty());
        if ends_by_crash {
            state.startup_batches(Timestamp(30)).iter().for_each(|batch| state.observe(batch).unwrap());
        } else {
            state.observe(&batch("edge1", 20, 25, &[Entry::Lost])).unwrap();
            assert!(state.lock().tracked.peers.contains_key("edge1"), "the older session is open");
            state.observe(&batch("edge2", 10, 30, &[Route(1)])).unwrap();
        }
        assert!(!state.lock().tracked.peers.contains_key("edge1"), "by a crash: {ends_by_crash}");
    }
}

/// A batch of one session in which peers with the address of `peer(1)` and these identities are reported.
fn identities(session: i64, entry: Entry, identities: &[(u32, u8)]) -> Batch {
    let mut batch = batch("edge1", session, session, &vec![entry; identities.len()]);
    for (peer, (asn, bgp_id)) in batch.peers.iter_mut().zip(identities) {
        (peer.asn, peer.bgp_id) = (*asn, Ipv4Addr::new(*bgp_id, 0, 0, 0));
    }
    batch
}

#[test]
fn neighbours_behind_one_address_are_two_peers_and_zeros_stand_for_the_only_match() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    let known = |state: &StateStore| -> Vec<(u32, u8)> {
        state.peers("edge1").iter().map(|peer| (peer.asn, peer.bgp_id.octets()[0])).collect()
    };
    // Zeros are replaced as soon as they are known, and are then the same peer.
    state.observe(&identities(10, Entry::Route(1), &[(0, 0)])).unwrap();
    state.observe(&identities(10, Entry::Route(1), &[(65_101, 1)])).unwrap();
    assert_eq!(known(&state), [(65_101, 1)]);
    state.observe(&identities(10, Entry::Stale(1), &[(65_101, 0)])).unwrap();
    assert_eq!(known(&state), [(65_101, 1)]);
    assert!(up(&state, "edge1").is_empty());
    // Another BGP identifier and another AS are other peers.
    let others = [(65_101, 2), (65_102, 1)];
    state.observe(&identities(10, Entry::Route(1), &others)).unwrap();
    assert_eq!(known(&state), [(65_101, 1), (65_101, 2), (65_102, 1)]);
    state.observe(&identities(10, Entry::Down(1), &[(65_101, 2)])).unwrap();
    assert_eq!(known(&state), [(65_101, 1), (65_102, 1)]);
    // Zeros that match several peers are none of them.
    state.observe(&identities(10, Entry::Down(1), &[(0, 0)])).unwrap();
    assert_eq!(known(&state), [(65_101, 1), (65_102, 1)]);
    state.flush().unwrap();
    drop(state);
    assert_eq!(known(&open(folder.path())), [(65_101, 1), (65_102, 1)]);
}

#[test]
fn zeros_are_not_the_neighbour_that_is_left_while_the_session_knows_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    state.observe(&identities(10, Entry::Route(1), &[(65_101, 1), (65_102, 2)])).unwrap();
    state.observe(&identities(10, Entry::Down(1), &[(65_101, 1)])).unwrap();
    let left = [PeerIdentity { asn: 65_102, bgp_id: Ipv4Addr::new(2, 0, 0, 0), ..peer(1).identity() }];
    assert_eq!(state.peers("edge1"), left);
    // The session knows both neighbours, so that it records these zeros as a peer of their own.
    state.observe(&identities(10, Entry::Down(1), &[(0, 0)])).unwrap();
    assert_eq!(state.peers("edge1"), left);
    state.flush().unwrap();
    drop(state);
    let state = open(folder.path());
    assert_eq!(event_kinds(&state.startup_batches(Timestamp(20))), [["peer_stale", "session_down", "gap"]]);
}

#[test]
fn peers_that_are_down_do_not_displace_others() {
    let mut tracked = TrackedState::default();
    let down = |mut batch: Batch| {
        let peers = u16::try_from(batch.peers.len()).unwrap();
        batch.groups.clear();
        batch.nlri.clear();
        batch.events = (0..peers)
            .map(|index| Event {
                index: u32::from(index),
                peer: Some(index),
                received: Timestamp(30),
                router_time: Timestamp(0),
                kind: EventKind::PeerDown { reason: 2, data: Vec::new() },
            })
            .collect();
        batch
    };
    tracked.observe(&batch("edge1", 10, 10, &[Entry::Route(1), Entry::Stale(2)]));
    many("edge2", 20, 100_000).map(down).for_each(|batch| drop(tracked.observe(&batch)));
    assert_eq!(tracked.peers("edge1").len(), 2);
    assert!(tracked.peers("edge2").is_empty());
    // They make room for a peer that is up.
    tracked.observe(&batch("edge3", 30, 30, &[Entry::Route(3)]));
    assert_eq!((tracked.peers("edge3").len(), tracked.peers("edge1").len()), (1, 2));
}

/// The state as earlier versions encoded it.
#[derive(serde::Serialize)]
struct Version0 {
    last_session: Timestamp,
    sessions: BTreeMap<Timestamp, OpenSession>,
    peers: BTreeMap<String, BTreeMap<PeerKey, TrackedPeer>>,
    stopped: BTreeMap<String, (Router, Timestamp)>,
}

#[test]
fn the_state_of_an_earlier_version_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let tracked = TrackedPeer { peer: peer(1), session: Timestamp(10), liveness: Liveness::Up };
    let old = Version0 {
        last_session: Timestamp(10),
        sessions: BTreeMap::from([(
            Timestamp(10),
            OpenSession { router: router("edge1", 10), last_record: Timestamp(11) },
        )]),
        peers: BTreeMap::from([("edge1".to_owned(), BTreeMap::from([(peer(1).key, tracked.clone())]))]),
        stopped: BTreeMap::new(),
    };
    let mut snapshot = vec![0];
    snapshot.extend(bincode::serialize(&(7_u64, Timestamp(99))).unwrap());
    snapshot.extend(bincode::serialize(&old).unwrap());
    let state = open(&folder.path().join("snapshot"));
    state.restore(&snapshot).unwrap();
    assert_eq!((state.observed(), up(&state, "edge1")), (7, vec![1]));

    let dir = folder.path().join("sled");
    let db = sled::open(&dir).unwrap();
    let key = bincode::serialize(&("edge1", peer(1).key)).unwrap();
    db.open_tree("peers").unwrap().insert(key, bincode::serialize(&tracked).unwrap()).unwrap();
    drop(db);
    for _ in 0..2 {
        assert_eq!(up(&open(&dir), "edge1"), [1]);
    }
}

#[test]
fn the_last_address_of_a_router_survives_and_earlier_snapshots_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(&folder.path().join("first"));
    let from = |last_octet: u8, session: i64| {
        let mut batch = batch("edge1", session, session, &[Entry::Route(1), Entry::Lost]);
        batch.router.address = IpAddr::from([192, 0, 2, last_octet]);
        batch
    };
    for one in [from(1, 10), from(2, 20), from(3, 15)] {
        state.observe(&one).unwrap();
    }
    let snapshot = state.mark_observed(3, Timestamp(99)).unwrap();
    state.flush().unwrap();
    drop(state);
    let other = open(&folder.path().join("second"));
    other.restore(&snapshot).unwrap();
    for state in [open(&folder.path().join("first")), other] {
        assert_eq!(state.last_address("edge1"), Some(IpAddr::from([192, 0, 2, 2])));
        assert_eq!(state.last_address("edge2"), None);
    }

    // Version 1 has no addresses but those of the sessions that are open or were stopped.
    let open_session = OpenSession { router: router("edge1", 10), last_record: Timestamp(11) };
    let sessions = BTreeMap::from([(Timestamp(10), open_session)]);
    let stopped = BTreeMap::from([("edge2".to_owned(), (router("edge2", 5), Timestamp(6)))]);
    let peers: BTreeMap<String, BTreeMap<PeerIdentity, TrackedPeer>> = BTreeMap::new();
    let mut snapshot = vec![1];
    snapshot.extend(bincode::serialize(&(7_u64, Timestamp(99))).unwrap());
    snapshot.extend(bincode::serialize(&(Timestamp(10), sessions, peers, stopped)).unwrap());
    let state = open(&folder.path().join("third"));
    state.restore(&snapshot).unwrap();
    for name in ["edge1", "edge2"] {
        assert_eq!(state.last_address(name), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
}

#[test]
fn the_state_is_restored_from_sled_and_from_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(&folder.path().join("first"));
    state.observe(&batch("edge1", 10, 11, &[Entry::Route(1), Entry::Route(2)])).unwrap();
    state.observe(&batch("edge2", 12, 12, &[Entry::Route(3), Entry::Stop])).unwrap();
    let snapshot = state.mark_observed(7, Timestamp(99)).unwrap();
    state.flush().unwrap();
    let records = state.startup_batches(Timestamp(200));
    drop(state);

    let other = open(&folder.path().join("second"));
    other.observe(&batch("wrong", 5, 5, &[Entry::Route(9)])).unwrap();
    other.restore(&snapshot).unwrap();
    for state in [open(&folder.path().join("first")), other] {
        assert_eq!(
            (state.observed(), state.logged_until(), state.last_session()),
            (7, Timestamp(99), Timestamp(12))
        );
        assert_eq!(up(&state, "edge1"), [1, 2]);
        assert!(up(&state, "wrong").is_empty());
        assert_eq!(state.startup_batches(Timestamp(200)), records);
    }
    for broken in [&b""[..], &[2], &[0, 1, 2], &[1, 1, 2]] {
        assert!(open(&folder.path().join("third")).restore(broken).is_err());
    }
}

fn gap(batch: &Batch) -> (String, i64, i64) {
    match &batch.events.last().unwrap().kind {
        EventKind::Gap { reason, from, until } => (reason.clone(), from.0, until.0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn gaps_of_several_runs_that_could_not_log_do_not_overlap() {
    // Each run found the log full: neither its startup batches nor those of its session are in the log.
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    state.observe(&batch("edge1", 10, 20, &[Entry::Route(1), Entry::Stop])).unwrap();
    state.observe(&batch("edge1", 30, 40, &[Entry::Route(1)])).unwrap();
    state.observe(&batch("edge2", 31, 45, &[Entry::Route(1)])).unwrap();
    state.observe(&batch("edge1", 50, 60, &[Entry::Route(1)])).unwrap();
    let gaps: Vec<_> = state.startup_batches(Timestamp(100)).iter().map(gap).collect();
    let (stop, crash) = ("stop".to_owned(), "crash".to_owned());
    assert_eq!(gaps, [(stop, 20, 40), (crash.clone(), 40, 60), (crash.clone(), 60, 100), (crash, 45, 100)]);
    // The clock went back to before all but one of them.
    let gaps: Vec<_> =
        state.startup_batches(Timestamp(30)).iter().map(|batch| gap(batch).1..gap(batch).2).collect();
    assert_eq!(gaps, [20..30, 30..30, 30..30, 30..30]);
}

#[test]
fn a_gap_that_a_router_caused_belongs_to_its_open_session() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    state.observe(&batch("edge1", 10, 20, &[Entry::Gap, Entry::Route(1)])).unwrap();
    let gaps: Vec<_> = state.startup_batches(Timestamp(100)).iter().map(gap).collect();
    assert_eq!(gaps, [("crash".to_owned(), 20, 100)]);
}

#[test]
fn a_session_stays_open_until_its_end_is_written_to_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    state.observe(&batch("edge1", 10, 20, &[Entry::Route(1)])).unwrap();
    state.observe(&batch("edge2", 11, 21, &[Entry::Route(1)])).unwrap();
    state.mark_observed(5, Timestamp(30)).unwrap();
    let ended = |name, session| batch(name, session, 40, &[Entry::Stale(1), Entry::Lost]);
    let (first, second) = (state.begin_end(ended("edge1", 10)), state.begin_end(ended("edge2", 11)));
    // The observed sequence number and the open sessions that a start would find.
    let found = |state: StateStore| {
        state.flush().unwrap();
        drop(state);
        let state = open(folder.path());
        let open: Vec<_> =
            state.startup_batches(Timestamp(100)).iter().map(|of| of.router.session.0).collect();
        (state.observed(), open)
    };
    // Their numbers are not assigned yet: they may be any from 6 on.
    state.mark_observed(8, Timestamp(50)).unwrap();
    assert_eq!(state.observed(), 5);
    state.end_logged(second, Some(9));
    state.end_logged(first, Some(7));
    let snapshot = state.mark_observed(8, Timestamp(50)).unwrap();
    assert_eq!(found(state), (8, vec![11]), "batch 9 is not written and would be lost by a kill");
    // The same from the snapshot alone.
    let state = open(&folder.path().join("anew"));
    state.restore(&snapshot).unwrap();
    assert_eq!((state.observed(), state.startup_batches(Timestamp(100)).len()), (8, 1));
    let state = open(folder.path());
    let again = state.begin_end(ended("edge2", 11));
    state.end_logged(again, Some(9));
    state.mark_observed(9, Timestamp(60)).unwrap();
    assert_eq!(found(state), (9, vec![]));
    // A batch that the log did not accept does not hold back the observed number.
    let state = open(folder.path());
    state.observe(&batch("edge3", 50, 60, &[Entry::Route(1)])).unwrap();
    let lost = state.begin_end(ended("edge3", 50));
    state.end_logged(lost, None);
    state.mark_observed(12, Timestamp(70)).unwrap();
    assert_eq!(found(state), (12, vec![50]));
}

#[test]
fn the_last_record_of_a_replayed_session_is_stored_for_the_next_start() {
    // The start between the two logged nothing. Both report the same gap, and no logged record lies in it.
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    for at in [20, 30, 40] {
        state.observe(&batch("edge1", 10, at, &[Entry::Route(1)])).unwrap();
    }
    let gaps: Vec<_> = state.startup_batches(Timestamp(100)).iter().map(gap).collect();
    state.store_sessions().unwrap();
    let snapshot = state.mark_observed(3, Timestamp(15)).unwrap();
    drop(state);
    let other = open(&folder.path().join("anew"));
    other.restore(&snapshot).unwrap();
    for state in [open(folder.path()), other] {
        assert_eq!(state.observed(), 3);
        assert_eq!(state.startup_batches(Timestamp(100)).iter().map(gap).collect::<Vec<_>>(), gaps);
    }
    assert_eq!(gaps, [("crash".to_owned(), 40, 100)]);
}

#[test]
fn a_start_logs_a_crash_for_open_sessions_and_a_gap_for_stopped_ones() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    state.observe(&batch("crashed", 10, 50, &[Entry::Route(1), Entry::Route(2), Entry::Down(2)])).unwrap();
    state.observe(&batch("stopped", 11, 60, &[Entry::Route(1), Entry::Stale(1), Entry::Stop])).unwrap();
    state.observe(&batch("lost", 12, 60, &[Entry::Route(1), Entry::Stale(1), Entry::Lost])).unwrap();
    state.mark_observed(3, Timestamp(55)).unwrap();
    let records = state.startup_batches(Timestamp(100));
    assert_eq!(event_kinds(&records), [vec!["peer_stale", "session_down", "gap"], vec!["gap"]]);
    assert_eq!(gap(&records[0]), ("crash".to_owned(), 55, 100), "records before 55 are durable");
    assert_eq!(gap(&records[1]), ("stop".to_owned(), 60, 100));
    // Once they are logged there is nothing more to log, also if they are observed twice.
    for record in records.iter().chain(&records) {
        state.observe(record).unwrap();
    }
    assert!(state.startup_batches(Timestamp(300)).is_empty());
    assert!(up(&state, "crashed").is_empty());
    state.observe(&batch("stopped", 11, 400, &[Entry::Gap])).unwrap();
    assert!(state.startup_batches(Timestamp(500)).is_empty(), "a gap does not open a session");
}

#[test]
fn a_clock_that_went_back_makes_an_empty_gap() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    state.observe(&batch("edge1", 10, 500, &[Entry::Route(1)])).unwrap();
    let records = state.startup_batches(Timestamp(100));
    let EventKind::Gap { from, until, .. } = records[0].events.last().unwrap().kind else { panic!() };
    assert_eq!((from, until), (Timestamp(100), Timestamp(100)));
}

#[test]
fn a_session_that_changes_its_router_name_leaves_no_live_peer_under_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    state.observe(&batch("192.0.2.1", 10, 10, &[Entry::Route(1)])).unwrap();
    state.observe(&batch("edge1", 10, 11, &[Entry::Route(1)])).unwrap();
    assert_eq!((up(&state, "192.0.2.1"), up(&state, "edge1")), (vec![], vec![1]));
    let records = state.startup_batches(Timestamp(100));
    assert_eq!(event_kinds(&records), [["peer_stale", "session_down", "gap"]]);
    assert_eq!(records[0].router.name, "edge1");
}

#[test]
fn a_damaged_sled_is_moved_aside() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("sled");
    for number in 1..=2 {
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("conf"), b"not a sled file").unwrap();
        let (state, opened) = StateStore::open(&dir);
        let OpenOutcome::Recreated { moved_to, .. } = opened else { panic!("{opened:?}") };
        assert_eq!(moved_to, folder.path().join(format!("sled.broken-{number}")));
        state.observe(&batch("edge1", 10, 10, &[Entry::Route(1)])).unwrap();
        drop(state);
    }
}

#[test]
fn a_state_that_cannot_be_stored_is_kept_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"a file").unwrap();
    let (state, opened) = StateStore::open(&file.join("sled"));
    assert!(matches!(opened, OpenOutcome::InMemory { .. }), "{opened:?}");
    state.observe(&batch("edge", 10, 20, &[Entry::Route(1)])).unwrap();
    let snapshot = state.mark_observed(1, Timestamp(30)).unwrap();
    state.flush().unwrap();
    assert_eq!(state.peers("edge"), [peer(1).identity()]);
    assert_eq!(std::fs::read(&file).unwrap(), b"a file", "the existing file is unchanged");

    // The next start restores the state from the snapshot.
    let (next, _) = StateStore::open(&folder.path().join("sled"));
    next.restore(&snapshot).unwrap();
    assert_eq!(next.observed(), 1);
    assert_eq!(next.startup_batches(Timestamp(40)).len(), 1);
}

/// Batches of a session with this many peers.
fn many(name: &str, session: i64, peers: u64) -> impl Iterator<Item = Batch> {
    (0..peers).step_by(1000).map(move |first| {
        let mut batch = batch(name, session, 1, &[Entry::Route(1); 1000]);
        for (peer, distinguisher) in batch.peers.iter_mut().zip(first..) {
            peer.key.distinguisher = distinguisher;
        }
        batch
    })
}

#[test]
fn the_number_of_tracked_peers_is_bounded() {
    let mut tracked = TrackedState::default();
    for batch in many("hostile", 1, 100_000) {
        tracked.observe(&batch);
    }
    let peers = tracked.peers("hostile").len();
    assert!((60_000..80_000).contains(&peers), "{peers}");
    assert!(bincode::serialize(&tracked).unwrap().len() < 9 << 20);
    // Live peers are not dropped.
    tracked.observe(&batch("late", 2, 1, &[Entry::Route(1)]));
    assert_eq!(tracked.peers("late").len(), 0);
    // A peer that goes down releases its memory.
    tracked.observe(&batch("hostile", 1, 1, &[Entry::Down(1)]));
    tracked.observe(&batch("late", 2, 1, &[Entry::Route(1), Entry::Route(2)]));
    assert_eq!(tracked.peers("late").len(), 1);
    // The names of routers count towards the limit.
    let long = "n".repeat(1 << 16);
    let mut tracked = TrackedState::default();
    for number in 0..300 {
        tracked.observe(&batch(&format!("{number}{long}"), 1, 1, &[Entry::Route(1)]));
    }
    assert!(tracked.routers().len() < 150, "{}", tracked.routers().len());
}

#[test]
fn stale_peers_are_dropped_for_live_ones() {
    let mut tracked = TrackedState::default();
    for mut batch in many("gone", 1, 100_000) {
        tracked.observe(&batch);
        batch.groups.clear();
        batch.nlri.clear();
        for index in 0..1000 {
            let kind = EventKind::PeerStale { end: SessionEnd::Lost };
            let peer = Some(u16::try_from(index).unwrap());
            batch.events.push(Event { index, peer, received: Timestamp(2), router_time: Timestamp(0), kind });
        }
        tracked.observe(&batch);
    }
    let changes = tracked.observe(&batch("live", 2, 1, &[Entry::Route(1)]));
    assert_eq!(tracked.peers("live").len(), 1);
    assert!(tracked.peers("gone").len() < 80_000);
    assert!(!changes.is_empty());
}
