//! What the state learns, keeps and tells.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::route::{
    Action, Cause, Event, EventKind, Family, Group, NO_ATTRIBUTES, Nlri, NlriEntry, Peer, Prefix, RibView,
    Router, SessionEnd,
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

/// What a batch of a test says, one record after the other.
#[derive(Clone, Copy)]
enum Say {
    Route(u8),
    Withdraw(u8),
    Down(u8),
    Stale(u8),
    Lost,
    Stop,
    GapTold,
}

fn batch(name: &str, session: i64, at: i64, says: &[Say]) -> Batch {
    let mut batch = Batch::new(router(name, session));
    for (index, say) in (0_u32..).zip(says) {
        let mut place = |number| {
            batch.peers.push(peer(number));
            u16::try_from(batch.peers.len() - 1).unwrap()
        };
        let (peer, kind) = match *say {
            Say::Route(number) | Say::Withdraw(number) => {
                let withdraw = matches!(say, Say::Withdraw(_));
                let group = Group {
                    peer: place(number),
                    attributes: NO_ATTRIBUTES,
                    family: Family::IPV4_UNICAST,
                    action: if withdraw { Action::Withdraw } else { Action::Announce },
                    cause: Cause::Update,
                    add_path: false,
                    index,
                    rows: 1,
                    received: Timestamp(at),
                    router_time: Timestamp(0),
                };
                batch.groups.push(group);
                batch.nlri.push(NlriEntry { path_id: 0, nlri: Nlri::Prefix(Prefix::v4(0, 0).unwrap()) });
                continue;
            }
            Say::Down(number) => (Some(place(number)), EventKind::PeerDown { reason: 1, data: Vec::new() }),
            Say::Stale(number) => (Some(place(number)), EventKind::PeerStale { end: SessionEnd::Lost }),
            Say::Lost => (None, EventKind::SessionDown { end: SessionEnd::Lost }),
            Say::Stop => (None, EventKind::SessionDown { end: SessionEnd::CollectorStop }),
            Say::GapTold => {
                let (from, until) = (Timestamp(0), Timestamp(at));
                (None, EventKind::Gap { reason: "stop".to_owned(), from, until })
            }
        };
        batch.events.push(Event { index, peer, received: Timestamp(at), router_time: Timestamp(0), kind });
    }
    batch
}

fn open(dir: &Path) -> State {
    let (state, opened) = State::open(dir);
    assert_eq!(opened, Opened::Whole);
    state
}

fn up(state: &State, name: &str) -> Vec<u8> {
    let is_up = |known: &&TrackedPeer| known.standing == Standing::Up;
    let last = |known: &TrackedPeer| match known.peer.key.address {
        IpAddr::V4(v4) => v4.octets()[3],
        IpAddr::V6(_) => 0,
    };
    state.routers().get(name).into_iter().flatten().filter(is_up).map(last).collect()
}

/// Kind names of each batch's events.
fn told(batches: &[Batch]) -> Vec<Vec<&'static str>> {
    batches.iter().map(|batch| batch.events.iter().map(|event| event.kind.name()).collect()).collect()
}

#[test]
fn a_peer_is_up_from_its_first_route_until_it_is_down_whatever_came_in_between() {
    use Say::{Down, Route, Stale, Withdraw};
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    for (says, expected) in [
        (&[Route(1)][..], &[1][..]),
        (&[Withdraw(2)], &[1]),
        (&[Route(2), Down(2)], &[1]),
        (&[Down(2), Route(2)], &[1, 2]),
        (&[Stale(1)], &[2]),
        (&[Down(1), Down(2), Down(9)], &[]),
    ] {
        state.observe(&batch("edge1", 10, 10, says)).unwrap();
        assert_eq!(up(&state, "edge1"), expected);
    }
}

#[test]
fn an_old_session_that_ends_late_does_not_touch_what_a_newer_one_has_said() {
    use Say::{Lost, Route, Stale};
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    state.observe(&batch("edge1", 10, 10, &[Route(1), Route(2)])).unwrap();
    state.observe(&batch("edge1", 20, 20, &[Route(1)])).unwrap();
    state.observe(&batch("edge1", 10, 30, &[Stale(1), Stale(2), Lost])).unwrap();
    assert_eq!(up(&state, "edge1"), [1]);
    assert_eq!(state.peers("edge1").len(), 2, "the stale one is still known");
}

#[test]
fn everything_comes_back_after_a_restart_and_after_a_loss_of_sled_by_the_context() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(&folder.path().join("first"));
    state.observe(&batch("edge1", 10, 11, &[Say::Route(1), Say::Route(2)])).unwrap();
    state.observe(&batch("edge2", 12, 12, &[Say::Route(3), Say::Stop])).unwrap();
    let context = state.tick(7, Timestamp(99)).unwrap();
    state.flush().unwrap();
    let records = state.startup_records(Timestamp(200));
    drop(state);

    let other = open(&folder.path().join("second"));
    other.observe(&batch("wrong", 5, 5, &[Say::Route(9)])).unwrap();
    other.restore(&context).unwrap();
    for state in [open(&folder.path().join("first")), other] {
        assert_eq!(
            (state.observed(), state.logged_until(), state.last_session()),
            (7, Timestamp(99), Timestamp(12))
        );
        assert_eq!(up(&state, "edge1"), [1, 2]);
        assert!(up(&state, "wrong").is_empty());
        assert_eq!(state.startup_records(Timestamp(200)), records);
    }
    for broken in [&b""[..], &[1], &[0, 1, 2]] {
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
fn what_several_runs_could_not_log_of_a_router_is_told_once() {
    // Each run found the log full: what it logged at its start, and what its session sent, is not in the log.
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    state.observe(&batch("edge1", 10, 20, &[Say::Route(1), Say::Stop])).unwrap();
    state.observe(&batch("edge1", 30, 40, &[Say::Route(1)])).unwrap();
    state.observe(&batch("edge2", 31, 45, &[Say::Route(1)])).unwrap();
    state.observe(&batch("edge1", 50, 60, &[Say::Route(1)])).unwrap();
    let gaps: Vec<_> = state.startup_records(Timestamp(100)).iter().map(gap).collect();
    let (stop, crash) = ("stop".to_owned(), "crash".to_owned());
    assert_eq!(gaps, [(stop, 20, 40), (crash.clone(), 40, 60), (crash.clone(), 60, 100), (crash, 45, 100)]);
    // A clock that went back to before all but one of them.
    let gaps: Vec<_> =
        state.startup_records(Timestamp(30)).iter().map(|batch| gap(batch).1..gap(batch).2).collect();
    assert_eq!(gaps, [20..30, 30..30, 30..30, 30..30]);
}

#[test]
fn the_end_of_a_session_is_forgotten_only_when_the_log_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    state.observe(&batch("edge1", 10, 20, &[Say::Route(1)])).unwrap();
    state.observe(&batch("edge2", 11, 21, &[Say::Route(1)])).unwrap();
    state.tick(5, Timestamp(30)).unwrap();
    let ended = |name, session| batch(name, session, 40, &[Say::Stale(1), Say::Lost]);
    let (first, second) = (state.ending(ended("edge1", 10)), state.ending(ended("edge2", 11)));
    // What a start would find now: how far the log has been observed, and the sessions that are open.
    let found = |state: State| {
        state.flush().unwrap();
        drop(state);
        let state = open(folder.path());
        let open: Vec<_> =
            state.startup_records(Timestamp(100)).iter().map(|of| of.router.session.0).collect();
        (state.observed(), open)
    };
    // Their numbers are not known yet: they may be anything from 6 on.
    state.tick(8, Timestamp(50)).unwrap();
    assert_eq!(state.observed(), 5);
    state.logged(second, Some(9));
    state.logged(first, Some(7));
    let context = state.tick(8, Timestamp(50)).unwrap();
    assert_eq!(found(state), (8, vec![11]), "9 is not written: the log that a kill leaves does not have it");
    // The same from the log alone.
    let state = open(&folder.path().join("anew"));
    state.restore(&context).unwrap();
    assert_eq!((state.observed(), state.startup_records(Timestamp(100)).len()), (8, 1));
    let state = open(folder.path());
    let again = state.ending(ended("edge2", 11));
    state.logged(again, Some(9));
    state.tick(9, Timestamp(60)).unwrap();
    assert_eq!(found(state), (9, vec![]));
    // One that never gets there holds nothing up.
    let state = open(folder.path());
    state.observe(&batch("edge3", 50, 60, &[Say::Route(1)])).unwrap();
    let lost = state.ending(ended("edge3", 50));
    state.logged(lost, None);
    state.tick(12, Timestamp(70)).unwrap();
    assert_eq!(found(state), (12, vec![50]));
}

#[test]
fn what_a_start_has_read_of_a_session_is_known_to_the_next_one() {
    // The start between the two could log nothing: both tell the same gap, and nothing that is in the log lies in it.
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    for at in [20, 30, 40] {
        state.observe(&batch("edge1", 10, at, &[Say::Route(1)])).unwrap();
    }
    let told: Vec<_> = state.startup_records(Timestamp(100)).iter().map(gap).collect();
    state.keep().unwrap();
    let context = state.tick(3, Timestamp(15)).unwrap();
    drop(state);
    let other = open(&folder.path().join("anew"));
    other.restore(&context).unwrap();
    for state in [open(folder.path()), other] {
        assert_eq!(state.observed(), 3);
        assert_eq!(state.startup_records(Timestamp(100)).iter().map(gap).collect::<Vec<_>>(), told);
    }
    assert_eq!(told, [("crash".to_owned(), 40, 100)]);
}

#[test]
fn a_crash_is_told_for_open_sessions_and_a_stop_for_those_that_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    state.observe(&batch("crashed", 10, 50, &[Say::Route(1), Say::Route(2), Say::Down(2)])).unwrap();
    state.observe(&batch("stopped", 11, 60, &[Say::Route(1), Say::Stale(1), Say::Stop])).unwrap();
    state.observe(&batch("lost", 12, 60, &[Say::Route(1), Say::Stale(1), Say::Lost])).unwrap();
    state.tick(3, Timestamp(55)).unwrap();
    let records = state.startup_records(Timestamp(100));
    assert_eq!(told(&records), [vec!["peer_stale", "session_down", "gap"], vec!["gap"]]);
    assert_eq!(gap(&records[0]), ("crash".to_owned(), 55, 100), "what came before 55 is known to be durable");
    assert_eq!(gap(&records[1]), ("stop".to_owned(), 60, 100));
    // Once they are logged there is nothing more to tell, also when they are seen twice.
    for record in records.iter().chain(&records) {
        state.observe(record).unwrap();
    }
    assert!(state.startup_records(Timestamp(300)).is_empty());
    assert!(up(&state, "crashed").is_empty());
    state.observe(&batch("stopped", 11, 400, &[Say::GapTold])).unwrap();
    assert!(state.startup_records(Timestamp(500)).is_empty(), "a gap opens no session");
}

#[test]
fn a_clock_that_went_back_makes_no_gap_that_ends_before_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    state.observe(&batch("edge1", 10, 500, &[Say::Route(1)])).unwrap();
    let records = state.startup_records(Timestamp(100));
    let EventKind::Gap { from, until, .. } = records[0].events.last().unwrap().kind else { panic!() };
    assert_eq!((from, until), (Timestamp(100), Timestamp(100)));
}

#[test]
fn a_session_that_changes_its_name_leaves_no_live_peer_under_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    state.observe(&batch("192.0.2.1", 10, 10, &[Say::Route(1)])).unwrap();
    state.observe(&batch("edge1", 10, 11, &[Say::Route(1)])).unwrap();
    assert_eq!((up(&state, "192.0.2.1"), up(&state, "edge1")), (vec![], vec![1]));
    let records = state.startup_records(Timestamp(100));
    assert_eq!(told(&records), [["peer_stale", "session_down", "gap"]]);
    assert_eq!(records[0].router.name, "edge1");
}

#[test]
fn a_sled_that_does_not_open_is_moved_aside() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("sled");
    for number in 1..=2 {
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("conf"), b"this is no sled").unwrap();
        let (state, opened) = State::open(&dir);
        let Opened::MovedAside { to, .. } = opened else { panic!("{opened:?}") };
        assert_eq!(to, folder.path().join(format!("sled.broken-{number}")));
        state.observe(&batch("edge1", 10, 10, &[Say::Route(1)])).unwrap();
        drop(state);
    }
}

#[test]
fn a_state_that_can_be_nowhere_is_kept_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"no folder").unwrap();
    let (state, opened) = State::open(&file.join("sled"));
    assert!(matches!(opened, Opened::InMemory { .. }), "{opened:?}");
    state.observe(&batch("edge", 10, 20, &[Say::Route(1)])).unwrap();
    let context = state.tick(1, Timestamp(30)).unwrap();
    state.flush().unwrap();
    assert_eq!(state.peers("edge"), [peer(1).key]);
    assert_eq!(std::fs::read(&file).unwrap(), b"no folder", "what is there is left alone");

    // The log's context is where the next start has it from.
    let (next, _) = State::open(&folder.path().join("sled"));
    next.restore(&context).unwrap();
    assert_eq!(next.observed(), 1);
    assert_eq!(next.startup_records(Timestamp(40)).len(), 1);
}

/// Batches of a session that names this many peers.
fn many(name: &str, session: i64, peers: u64) -> impl Iterator<Item = Batch> {
    (0..peers).step_by(1000).map(move |first| {
        let mut batch = batch(name, session, 1, &[Say::Route(1); 1000]);
        for (peer, distinguisher) in batch.peers.iter_mut().zip(first..) {
            peer.key.distinguisher = distinguisher;
        }
        batch
    })
}

#[test]
fn routers_that_name_peers_without_end_fill_a_bounded_memory_and_lose_it_to_live_ones() {
    let mut known = Known::default();
    for batch in many("hostile", 1, 100_000) {
        known.observe(&batch);
    }
    let peers = known.peers("hostile").len();
    assert!((60_000..80_000).contains(&peers), "{peers}");
    assert!(bincode::serialize(&known).unwrap().len() < 9 << 20);
    // While they are up nobody takes their place.
    known.observe(&batch("late", 2, 1, &[Say::Route(1)]));
    assert_eq!(known.peers("late").len(), 0);
    // One goes down, and there is room for one.
    known.observe(&batch("hostile", 1, 1, &[Say::Down(1)]));
    known.observe(&batch("late", 2, 1, &[Say::Route(1), Say::Route(2)]));
    assert_eq!(known.peers("late").len(), 1);
    // Names count: each of them is kept with its peers.
    let long = "n".repeat(1 << 16);
    let mut known = Known::default();
    for number in 0..300 {
        known.observe(&batch(&format!("{number}{long}"), 1, 1, &[Say::Route(1)]));
    }
    assert!(known.routers().len() < 150, "{}", known.routers().len());
}

#[test]
fn stale_peers_make_room_for_live_ones() {
    let mut known = Known::default();
    for mut batch in many("gone", 1, 100_000) {
        known.observe(&batch);
        batch.groups.clear();
        batch.nlri.clear();
        for index in 0..1000 {
            let kind = EventKind::PeerStale { end: SessionEnd::Lost };
            let peer = Some(u16::try_from(index).unwrap());
            batch.events.push(Event { index, peer, received: Timestamp(2), router_time: Timestamp(0), kind });
        }
        known.observe(&batch);
    }
    let changes = known.observe(&batch("live", 2, 1, &[Say::Route(1)]));
    assert_eq!(known.peers("live").len(), 1);
    assert!(known.peers("gone").len() < 80_000);
    assert!(!changes.is_empty());
}
