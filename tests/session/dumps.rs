//! The end of a dump, and the cause of each route: with and without End-of-RIB, while the table changes.

use std::net::IpAddr;

use crate::common::messages::*;
use crate::common::sessions::options;
use holdfast::route::{Batch, Cause, EventKind, Family, PeerIdentity, PeerKey, Timestamp};
use holdfast::session::{Introduced, Options, Session};

const NOW: Timestamp = Timestamp(1_790_000_000_000_000);
const QUIET_S: i64 = 60;

struct Router {
    session: Session,
    now: Timestamp,
}

impl Router {
    /// A router whose peer was known before, or not.
    fn new(is_known: bool, sweep_without_end_of_rib_s: Option<i64>) -> Self {
        let options = Options {
            batch_records_max: 1_000_000,
            sweep_quiet_us: QUIET_S * 1_000_000,
            sweep_without_end_of_rib_us: sweep_without_end_of_rib_s.map(|s| s * 1_000_000),
            ..options(NOW)
        };
        let introduce = move |name: &str| Introduced {
            name: name.to_owned(),
            prior: if is_known { vec![identity()] } else { Vec::new() },
            ..Introduced::default()
        };
        let mut router = Self { session: Session::new(options, Box::new(introduce)), now: NOW };
        let open = |asn| open(asn, &[four_octet_as(asn), multiprotocol(1, 1), multiprotocol(2, 1)]);
        router.sends(&PEER.peer_up(&open(65_000), &open(65_001), &[]));
        router
    }

    fn sends(&mut self, message: &[u8]) -> &mut Self {
        self.session.message(message, self.now);
        self
    }

    fn announces(&mut self, nlri: &[u8]) -> &mut Self {
        self.sends(&PEER.route_monitoring(&update(&[], &plain_attributes(&[65_001]), nlri)))
    }

    fn withdraws(&mut self, nlri: &[u8]) -> &mut Self {
        self.sends(&PEER.route_monitoring(&update(nlri, &[], &[])))
    }

    fn end_of_rib(&mut self) -> &mut Self {
        self.sends(&PEER.route_monitoring(&update(&[], &[], &[])))
    }

    /// Lets time pass, second by second.
    fn waits(&mut self, seconds: i64) -> &mut Self {
        for _ in 0..seconds {
            self.now.0 += 1_000_000;
            self.session.tick(self.now);
        }
        self
    }

    fn batch(&mut self) -> Batch {
        let mut batches: Vec<Batch> = self.session.take_batches().collect();
        assert!(batches.len() <= 1);
        batches.pop().unwrap_or_else(|| Batch::new(self.session.summary().router))
    }

    /// The number of rows by cause: initial dump, re-dump, update.
    fn causes(&mut self) -> [u32; 3] {
        let batch = self.batch();
        [Cause::InitialDump, Cause::ReDump, Cause::Update].map(|cause| {
            batch.groups.iter().filter(|group| group.cause == cause).map(|group| group.rows).sum()
        })
    }

    fn sweeps(&mut self) -> Vec<Family> {
        let batch = self.batch();
        let sweeps = batch.events.iter().filter_map(|event| match event.kind {
            EventKind::Sweep { family } => Some(family),
            _ => None,
        });
        sweeps.collect()
    }
}

fn identity() -> PeerIdentity {
    let key = PeerKey { peer_type: 0, distinguisher: 0, address: IpAddr::V4(PEER.address) };
    PeerIdentity { key, asn: PEER.asn, bgp_id: PEER.bgp_id.into() }
}

fn table(thirds: std::ops::Range<u8>) -> Vec<u8> {
    thirds.flat_map(|third| v4(10, 1, third, 24)).collect()
}

#[test]
fn changes_are_updates_while_a_dump_without_end_of_rib_is_never_silent() {
    for (is_known, dump) in [(false, [100, 0, 0]), (true, [0, 100, 0])] {
        let mut router = Router::new(is_known, None);
        router.announces(&table(0..100));
        assert_eq!(router.causes(), dump);
        for second in 0..150_u8 {
            router.waits(1).announces(&v4(10, 1, second % 100, 24)).withdraws(&v4(10, 1, second % 100, 24));
        }
        let [initial, repeated, updates] = router.causes();
        assert_eq!((initial, repeated, updates), (0, 0, 300), "withdrawals are updates, too");
        // The dump is over: a new route is an update.
        assert_eq!(router.announces(&v4(10, 2, 0, 24)).causes(), [0, 0, 1]);
    }
}

#[test]
fn one_field_with_new_and_repeated_routes_has_both_causes() {
    let mut router = Router::new(false, None);
    router.announces(&table(2..4)).announces(&table(0..6));
    let batch = router.batch();
    let groups: Vec<_> = batch.groups.iter().map(|group| (group.index, group.rows, group.cause)).collect();
    assert_eq!(
        groups,
        [
            (1, 2, Cause::InitialDump),
            (3, 2, Cause::InitialDump),
            (5, 2, Cause::Update),
            (7, 2, Cause::InitialDump),
        ]
    );
    assert_eq!(batch.routes().map(|route| route.index).collect::<Vec<_>>(), (1..9).collect::<Vec<_>>());
}

#[test]
fn a_route_that_was_withdrawn_or_repeated_within_the_field_has_been_announced() {
    let mut router = Router::new(false, None);
    let route = v4(10, 1, 2, 24);
    router.announces(&[route.clone(), route.clone()].concat()).withdraws(&route).announces(&route);
    assert_eq!(router.causes(), [1, 0, 3]);
    // A withdrawal is no announcement, and neither is a field that cannot be decoded.
    let other = v4(10, 1, 3, 24);
    router.withdraws(&other).announces(&[other.clone(), vec![33, 1, 2, 3, 4, 5]].concat());
    assert_eq!(router.announces(&other).causes(), [1, 0, 1]);
}

#[test]
fn every_view_family_and_path_id_has_its_own_first_announcement() {
    let mut router = Router::new(false, None);
    let post = Header { flags: POST_POLICY, ..PEER };
    let message = update(&[], &plain_attributes(&[65_001]), &v4(10, 1, 2, 24));
    let next_hop = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let v6 = mp_reach(2, 1, &next_hop, &[24, 10, 1, 2]);
    let v6 = update(&[], &[plain_attributes(&[65_001]), v6].concat(), &[]);
    for header in [PEER, post] {
        for message in [&message, &v6] {
            router.sends(&header.route_monitoring(message)).sends(&header.route_monitoring(message));
        }
    }
    assert_eq!(router.causes(), [4, 0, 4]);
    let open = |asn| open(asn, &[four_octet_as(asn), multiprotocol(1, 1), add_path(1, 1, 3)]);
    router.sends(&PEER.peer_down(1, &[])).sends(&PEER.peer_up(&open(65_000), &open(65_001), &[]));
    router.announces(&[v4_path(1, 10, 1, 2, 24), v4_path(2, 10, 1, 2, 24)].concat());
    router.announces(&v4_path(2, 10, 1, 2, 24));
    assert_eq!(router.causes(), [2, 0, 1]);
}

#[test]
fn the_sweep_does_not_wait_for_silence_but_for_first_announcements() {
    let mut router = Router::new(true, None);
    router.announces(&table(0..3)).end_of_rib();
    for _ in 0..QUIET_S - 1 {
        router.waits(1).announces(&v4(10, 1, 1, 24));
    }
    assert_eq!(router.sweeps(), []);
    router.waits(1);
    assert_eq!(router.sweeps(), [Family::IPV4_UNICAST]);
    // Once per generation.
    assert_eq!(router.waits(20 * QUIET_S).sweeps(), []);
}

#[test]
fn new_routes_delay_the_sweep_for_ten_quiet_times_at_most() {
    let mut router = Router::new(true, None);
    router.announces(&table(0..3)).end_of_rib();
    let mut waited = 0;
    while router.sweeps().is_empty() {
        let [.., third, fourth] = u32::try_from(waited).unwrap().to_be_bytes();
        router.waits(1).announces(&v4(11, third, fourth, 24));
        waited += 1;
        assert!(waited <= 10 * QUIET_S);
    }
    assert_eq!(waited, 10 * QUIET_S);
}

#[test]
fn without_end_of_rib_stale_routes_are_swept_only_by_a_setting() {
    let mut router = Router::new(true, None);
    assert_eq!(router.announces(&table(0..3)).waits(100 * QUIET_S).sweeps(), []);
    let mut router = Router::new(true, Some(600));
    router.waits(1000);
    assert_eq!(router.sweeps(), [], "nothing has been announced");
    router.announces(&table(0..3));
    for _ in 0..599 {
        router.waits(1).announces(&v4(10, 1, 1, 24));
    }
    assert_eq!(router.sweeps(), []);
    assert_eq!(router.waits(1).sweeps(), [Family::IPV4_UNICAST]);
    // Nothing is stale for a peer that was not known before.
    let mut router = Router::new(false, Some(600));
    assert_eq!(router.announces(&table(0..3)).waits(10_000).sweeps(), []);
}

#[test]
fn the_summary_shows_routes_that_await_the_sweep() {
    let awaits = |router: &Router| router.session.summary().peers[0].views[0].families[0].awaits_sweep;
    let mut router = Router::new(true, None);
    assert!(awaits(router.announces(&table(0..3)).end_of_rib()));
    assert!(!awaits(router.waits(QUIET_S)));
    assert!(!awaits(Router::new(false, None).announces(&table(0..3))));
}

#[test]
fn a_dump_does_not_end_before_its_first_route() {
    for is_known in [false, true] {
        let mut router = Router::new(is_known, None);
        // The table of the generation before is suspect, so that the family exists already.
        router.announces(&[33, 1, 2, 3, 4, 5]).waits(10 * QUIET_S).announces(&table(0..3));
        let [initial, repeated, updates] = router.causes();
        assert_eq!((initial + repeated, updates), (3, 0));
    }
}

/// An announcement with a path ID, which the OPENs did not negotiate.
fn path(id: u32, third: u8) -> Vec<u8> {
    v4_path(id, 10, 1, third, 24)
}

#[test]
fn an_update_that_was_held_over_the_end_of_a_dump_belongs_to_the_dump() {
    for (is_known, dump) in [(false, [1, 0, 1]), (true, [0, 1, 1])] {
        let mut router = Router::new(is_known, None);
        router.announces(&path(1, 1)).end_of_rib().waits(1);
        assert_eq!(router.causes(), [0; 3], "held");
        // The second message confirms the first one, and is new after the dump.
        assert_eq!(router.announces(&path(2, 2)).causes(), dump);
        // Both are known now.
        assert_eq!(router.announces(&path(1, 1)).announces(&path(2, 2)).causes(), [0, 0, 2]);
    }
}

#[test]
fn no_route_is_swept_while_an_update_is_held() {
    let mut router = Router::new(true, None);
    router.end_of_rib().waits(QUIET_S - 1).announces(&path(1, 1));
    // Quiet time after End-of-RIB, but the update may announce any of the stale routes.
    assert_eq!(router.waits(QUIET_S - 1).sweeps(), []);
    router.announces(&path(2, 2)).waits(1);
    assert_eq!((router.causes(), router.sweeps()), ([0, 0, 2], vec![]), "first announcements after the dump");
    assert_eq!(router.waits(QUIET_S).sweeps(), [Family::IPV4_UNICAST]);
    // One that no other message decides is recorded raw first.
    let mut router = Router::new(true, None);
    router.end_of_rib().waits(QUIET_S - 1).announces(&path(1, 1)).waits(QUIET_S);
    let names: Vec<_> = router.batch().events.iter().map(|event| event.kind.name()).collect();
    assert_eq!(names, ["peer_up", "end_of_rib", "malformed", "malformed", "sweep"]);
}
