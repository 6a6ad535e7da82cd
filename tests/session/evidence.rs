//! NLRI fields that contradict the negotiated encoding: a router that does not follow its OPENs is decoded as
//! it sends, and damaged fields never become routes.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::common::messages::*;
use crate::common::sessions::{options, session};
use holdfast::route::{EventKind, Family, Nlri, Prefix, SessionEnd, Timestamp};
use holdfast::session::Session;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::Index;

const NOW: Timestamp = Timestamp(1_790_000_000_000_000);

/// A session of one router, and its output so far.
struct Router {
    session: Session,
    now: Timestamp,
    /// `path ID or -, prefix, age in µs`, in order; with `-` before it when withdrawn.
    rows: Vec<String>,
    /// Errors and suspect families of the PDUs that were recorded raw.
    malformed: Vec<(String, Option<Family>)>,
}

impl Router {
    fn new() -> Self {
        Self { session: session(options(NOW)), now: NOW, rows: Vec::new(), malformed: Vec::new() }
    }

    /// A router after a Peer Up in which both OPENs contain these capabilities.
    fn negotiated(capabilities: &[(u8, Vec<u8>)]) -> Self {
        let mut router = Self::new();
        let open = |asn| open(asn, &[&[four_octet_as(asn), multiprotocol(1, 1)], capabilities].concat());
        router.sends(&PEER.peer_up(&open(65_000), &open(65_001), &[]));
        router
    }

    fn sends(&mut self, message: &[u8]) -> &mut Self {
        self.now.0 += 1;
        self.session.message(message, self.now);
        self.collect()
    }

    fn after(&mut self, us: i64) -> &mut Self {
        self.now.0 += us;
        self.session.tick(self.now);
        self.collect()
    }

    fn ends(&mut self) {
        self.session.end(&SessionEnd::Lost, self.now);
        self.collect();
    }

    fn collect(&mut self) -> &mut Self {
        for batch in self.session.take_batches() {
            for route in batch.routes() {
                let sign = if route.group.action == holdfast::route::Action::Withdraw { "-" } else { "" };
                let id = if route.group.add_path { route.entry.path_id.to_string() } else { "-".to_owned() };
                let what = match &route.entry.nlri {
                    Nlri::Prefix(prefix) => prefix.to_string(),
                    Nlri::Labelled(route) => format!("{route} {:?}", route.labels),
                    other => format!("{other:?}"),
                };
                self.rows.push(format!("{sign}{id} {what} @{}", route.group.received.0 - NOW.0));
            }
            for event in &batch.events {
                if let EventKind::Malformed { error, suspect, .. } = &event.kind {
                    self.malformed.push((error.clone(), suspect.map(Family::from)));
                }
            }
        }
        self
    }

    fn announces(&mut self, nlri: &[u8]) -> &mut Self {
        self.sends(&PEER.route_monitoring(&update(&[], &plain_attributes(&[65_001]), nlri)))
    }

    fn withdraws(&mut self, nlri: &[u8]) -> &mut Self {
        self.sends(&PEER.route_monitoring(&update(nlri, &[], &[])))
    }

    fn is_suspect(&self) -> bool {
        let summary = self.session.summary();
        summary
            .peers
            .iter()
            .flat_map(|peer| &peer.views)
            .flat_map(|view| &view.families)
            .any(|family| family.suspect)
    }
}

#[test]
fn a_router_that_sends_path_ids_without_negotiation_loses_no_route() {
    let mut router = Router::negotiated(&[]);
    router.announces(&v4_path(1, 10, 1, 2, 24));
    assert_eq!(router.rows, [""; 0], "one message may be damaged");
    assert!(router.is_suspect());
    assert!(router.malformed[0].0.contains("decodable only with path IDs"), "{}", router.malformed[0].0);
    assert_eq!(router.malformed[0].1, None, "the route is held, not lost");
    router.announces(&v4_path(2, 10, 1, 3, 24)).announces(&v4_path(3, 10, 1, 4, 24));
    // The first route has its own time of reception.
    assert_eq!(router.rows, ["1 10.1.2.0/24 @2", "2 10.1.3.0/24 @3", "3 10.1.4.0/24 @4"]);
    assert!(!router.is_suspect());
    let counters = router.session.summary().counters;
    assert_eq!((counters.add_path_mismatches, counters.errors), (1, 1));
}

#[test]
fn a_router_that_omits_negotiated_path_ids_loses_no_route() {
    let mut router = Router::negotiated(&[add_path(1, 1, 3)]);
    router.announces(&v4(10, 1, 2, 24)).withdraws(&v4(10, 1, 2, 24));
    assert_eq!(router.rows, ["- 10.1.2.0/24 @2", "-- 10.1.2.0/24 @3"]);
    // The encoding changes back after two messages.
    router.announces(&v4_path(7, 10, 1, 3, 24)).announces(&v4_path(8, 10, 1, 4, 24));
    assert_eq!(router.rows[2..], ["7 10.1.3.0/24 @4", "8 10.1.4.0/24 @5"]);
}

#[test]
fn ambiguous_messages_are_held_until_another_decides() {
    // Two /24 also decode as one /24 with a path ID.
    let pair = |third| [v4(10, 1, third, 24), v4(10, 1, third + 1, 24)].concat();
    let mut router = Router::negotiated(&[add_path(1, 1, 3)]);
    router.announces(&v4(10, 1, 2, 24)).announces(&pair(4)).announces(&pair(6)).announces(&v4(10, 1, 8, 24));
    let times: Vec<_> = [(2, 2), (4, 3), (5, 3), (6, 4), (7, 4), (8, 5)]
        .map(|(third, at)| format!("- 10.1.{third}.0/24 @{at}"))
        .into();
    assert_eq!(router.rows, times);
    // If the first was malformed, they are decoded as negotiated.
    let mut router = Router::negotiated(&[]);
    router.announces(&[0; 5]).announces(&pair(4)).announces(&v4(10, 1, 8, 24));
    assert_eq!(router.rows, ["- 10.1.4.0/24 @3", "- 10.1.5.0/24 @3", "- 10.1.8.0/24 @4"]);
}

#[test]
fn at_most_16_messages_are_held() {
    let pair = [v4(10, 1, 4, 24), v4(10, 1, 5, 24)].concat();
    let mut router = Router::negotiated(&[]);
    router.announces(&[0; 5]);
    for _ in 0..15 {
        router.announces(&pair);
    }
    assert_eq!(router.rows.len(), 0);
    router.announces(&pair);
    assert_eq!(router.rows.len(), 32, "the negotiated encoding applies unless a message contradicts it");
    assert!(router.rows.iter().all(|row| row.starts_with("- ")));
}

#[test]
fn damage_between_good_messages_stays_damage() {
    let mut router = Router::negotiated(&[]);
    // 10.1.2.0/24 overwritten with zeros: with path IDs it would be a default route.
    let damaged = [0, 0, 0, 0, 0];
    router.announces(&v4(10, 1, 1, 24)).announces(&damaged).announces(&v4(10, 1, 3, 24));
    assert_eq!(router.rows, ["- 10.1.1.0/24 @2", "- 10.1.3.0/24 @4"]);
    let family = Family::IPV4_UNICAST;
    assert_eq!(
        router.malformed[1],
        (format!("NLRI of {family}: no later message confirms the encoding of a held PDU"), Some(family))
    );
    router.announces(&damaged).announces(&v4(10, 1, 5, 24));
    assert_eq!(router.rows.len(), 3, "a second one after a valid message does not confirm the first");
    assert_eq!(router.session.summary().counters.add_path_mismatches, 0);
}

#[test]
fn two_fields_of_one_message_do_not_confirm_each_other() {
    let mut router = Router::negotiated(&[]);
    let (gone, here) = (v4_path(1, 10, 1, 2, 24), v4_path(1, 10, 1, 3, 24));
    router.sends(&PEER.route_monitoring(&update(&gone, &plain_attributes(&[65_001]), &here)));
    assert_eq!((router.rows.len(), router.malformed.len()), (0, 1));
    router.announces(&v4_path(2, 10, 1, 4, 24));
    assert_eq!(router.rows, ["-1 10.1.2.0/24 @2", "1 10.1.3.0/24 @2", "2 10.1.4.0/24 @3"]);
}

#[test]
fn a_held_message_records_its_other_family_once() {
    let mut router = Router::negotiated(&[multiprotocol(2, 1)]);
    let next_hop = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let other = mp_reach(2, 1, &next_hop, &[32, 0x20, 1, 0xd, 0xb8]);
    let attributes = [plain_attributes(&[65_001]), other].concat();
    router.sends(&PEER.route_monitoring(&update(&[], &attributes, &v4_path(1, 10, 1, 2, 24))));
    assert_eq!(router.rows, ["- 2001:db8::/32 @2"]);
    router.announces(&v4_path(2, 10, 1, 4, 24));
    assert_eq!(router.rows, ["- 2001:db8::/32 @2", "1 10.1.2.0/24 @2", "2 10.1.4.0/24 @3"]);
}

#[test]
fn without_opens_the_first_message_decides_if_it_is_convincing() {
    let mut router = Router::new();
    router.announces(&v4_path(1, 10, 1, 2, 24));
    assert_eq!(router.rows, ["1 10.1.2.0/24 @1"]);
    // EVPN routes of the unknown type 0, which decode with and without path IDs.
    let evpn = [0, 0, 0, 0x64, 0, 0, 0, 0xc8, 0, 0, 0, 0];
    let mut router = Router::new();
    let attributes = [plain_attributes(&[65_001]), mp_reach(25, 70, &[192, 0, 2, 9], &evpn)].concat();
    router.sends(&PEER.route_monitoring(&update(&[], &attributes, &[])));
    assert_eq!((router.rows.len(), router.malformed.len()), (0, 1));
    // The same route and identifier twice.
    let twice = [v4_path(1, 10, 1, 2, 24), v4_path(1, 10, 1, 2, 24)].concat();
    let mut router = Router::new();
    assert_eq!(router.announces(&twice).rows.iter().filter(|row| row.starts_with("1 ")).count(), 0);
}

/// The field `prefixes` of each family whose routes are prefixes, as one Route Monitoring message.
fn family_message(afi: u16, safi: u8, nlri: &[u8], withdraw: bool) -> Vec<u8> {
    let attributes = match (withdraw, afi) {
        (true, _) => mp_unreach(afi, safi, nlri),
        (false, 1) => [plain_attributes(&[65_001]), mp_reach(afi, safi, &[192, 0, 2, 9], nlri)].concat(),
        (false, _) => {
            let next_hop = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
            [plain_attributes(&[65_001]), mp_reach(afi, safi, &next_hop, nlri)].concat()
        }
    };
    PEER.route_monitoring(&update(&[], &attributes, &[]))
}

#[test]
fn bits_beyond_the_prefix_length_do_not_contradict_the_opens() {
    // Each field also decodes in the other encoding, without such bits.
    let fields: [&[u8]; 3] = [
        &[23, 10, 0, 1, 24, 192, 0, 2],
        &[23, 10, 2, 1, 24, 198, 51, 100],
        &[1, 128, 26, 203, 0, 113, 64, 8, 10, 24, 1, 0, 0],
    ];
    for (afi, safi) in [(1, 1), (2, 1), (1, 2), (2, 2)] {
        for withdraw in [false, true] {
            let mut router = Router::negotiated(&[multiprotocol(afi, safi)]);
            for field in fields.iter().cycle().take(9) {
                router.sends(&family_message(afi, safi, field, withdraw));
            }
            let counters = router.session.summary().counters;
            assert_eq!((counters.add_path_mismatches, router.malformed.len()), (0, 0), "{afi}/{safi}");
            assert_eq!(router.rows.len(), 3 * (2 + 2 + 4), "{:?}", router.rows);
            assert!(!router.rows.iter().any(|row| row.contains("0.0.0.0/0")), "{:?}", router.rows);
        }
    }
}

#[test]
fn bits_beyond_the_prefix_length_do_not_contradict_negotiated_path_ids() {
    let field = [&[10, 1, 2, 24, 23][..], &[10, 0, 1, 10, 1, 3, 24, 23, 10, 0, 3]].concat();
    for withdraw in [false, true] {
        for (afi, safi) in [(1, 1), (2, 1)] {
            let mut router = Router::negotiated(&[multiprotocol(afi, safi), add_path(afi, safi, 3)]);
            (0..3).for_each(|_| {
                router.sends(&family_message(afi, safi, &field, withdraw));
            });
            assert_eq!((router.rows.len(), router.malformed.len()), (6, 0), "{:?}", router.rows);
            assert!(router.rows[0].contains("167838232 "), "{:?}", router.rows);
        }
    }
}

#[test]
fn bits_beyond_the_prefix_length_outweigh_no_reading_without_opens() {
    let mut router = Router::new();
    router.announces(&[23, 10, 0, 1, 24, 192, 0, 2]);
    assert_eq!(router.rows, ["- 10.0.0.0/23 @1", "- 192.0.2.0/24 @1"]);
}

#[test]
fn messages_held_at_the_end_of_a_generation_are_decoded_as_negotiated() {
    let pair = [v4(10, 1, 4, 24), v4(10, 1, 5, 24)].concat();
    let ends: [fn(&mut Router); 4] = [
        |router| {
            router.sends(&PEER.peer_down(1, &[]));
        },
        |router| {
            let open = |asn| open(asn, &[four_octet_as(asn), multiprotocol(1, 1), add_path(2, 1, 3)]);
            router.sends(&PEER.peer_up(&open(65_000), &open(65_001), &[]));
        },
        |router| router.ends(),
        |router| {
            router.after(60_000_000);
        },
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let mut router = Router::negotiated(&[]);
        router.announces(&[0; 5]).announces(&pair);
        assert_eq!(router.rows.len(), 0);
        end(&mut router);
        assert_eq!(router.rows, ["- 10.1.4.0/24 @3", "- 10.1.5.0/24 @3"], "end {number}");
        assert_eq!(router.malformed.last().unwrap().1, Some(Family::IPV4_UNICAST), "end {number}");
    }
}

#[test]
fn a_held_message_makes_the_family_suspect_beyond_its_generation() {
    let mut router = Router::negotiated(&[]);
    router.announces(&v4_path(1, 10, 1, 2, 24));
    let open = |asn| open(asn, &[four_octet_as(asn), multiprotocol(1, 1)]);
    router.sends(&from_port(PEER.peer_up(&open(65_000), &open(65_001), &[]), 40_180));
    assert!(router.is_suspect());
    router.announces(&v4_path(2, 10, 1, 3, 24));
    assert_eq!(router.rows.len(), 0, "a new generation has no evidence");
}

/// 10.1.2.0/24 under these labels, for the family 1/4.
fn labelled(labels: &[[u8; 3]]) -> Vec<u8> {
    let bits = u8::try_from(24 * labels.len() + 24).unwrap();
    let nlri = [&[bits], labels.concat().as_slice(), &[10, 1, 2]].concat();
    let attributes = [plain_attributes(&[65_001]), mp_reach(1, 4, &[192, 0, 2, 9], &nlri)];
    PEER.route_monitoring(&update(&[], &attributes.concat(), &[]))
}

#[test]
fn several_labels_need_both_opens_or_none() {
    const COUNT_2: (u8, [u8; 4]) = (8, [0, 1, 4, 2]);
    let both = [multiprotocol(1, 4), (COUNT_2.0, COUNT_2.1.to_vec())];
    let (one, two) = ([[0, 0, 0x10]], [[0, 0, 0x10], [0, 0, 0x21]]);
    let rows = |mut router: Router, labels: &[[u8; 3]]| {
        router.sends(&labelled(labels));
        (router.rows.join(" "), router.malformed.len())
    };
    let nothing = (String::new(), 1);
    // Negotiated: labels up to the bit S. Not negotiated: one label, regardless of S. Without OPENs: one
    // label if that decodes, else labels up to S.
    assert_eq!(rows(Router::negotiated(&both), &two), ("- 10.1.2.0/24 [1, 2] @2".to_owned(), 0));
    assert_eq!(rows(Router::negotiated(&both), &one), nothing);
    assert_eq!(rows(Router::negotiated(&both[..1]), &two), nothing);
    assert_eq!(rows(Router::negotiated(&both[..1]), &one), ("- 10.1.2.0/24 [1] @2".to_owned(), 0));
    assert_eq!(rows(Router::new(), &two), ("- 10.1.2.0/24 [1, 2] @1".to_owned(), 0));
    assert_eq!(rows(Router::new(), &one), ("- 10.1.2.0/24 [1] @1".to_owned(), 0));
}

#[test]
fn a_withdrawal_that_echoes_a_label_stack_is_decoded_without_the_capability() {
    // RFC 3107 speakers repeat the labels; 72 bits cannot be one label and an IPv4 prefix.
    for (safi, rd) in [(4, &[][..]), (128, &[0, 0, 0xfd, 0xe9, 0, 0, 0, 9])] {
        let stack = [&[0, 0, 0x10, 0, 0, 0x21][..], rd, &[10, 1, 2]].concat();
        let nlri = [&[u8::try_from(8 * stack.len()).unwrap()][..], &stack].concat();
        let mut router = Router::negotiated(&[multiprotocol(1, safi)]);
        router.sends(&family_message(1, safi, &nlri, true));
        assert_eq!((router.rows.len(), router.malformed.len()), (1, 0), "{:?}", router.malformed);
        assert!(router.rows[0].contains("10.1.2.0/24"), "{:?}", router.rows);
        router.sends(&family_message(1, safi, &nlri, false));
        assert_eq!((router.rows.len(), router.malformed.len()), (1, 1), "an announcement needs it");
    }
}

#[test]
fn the_labels_of_a_loc_rib_are_read_as_they_are() {
    let loc = Header { peer_type: 3, address: Ipv4Addr::UNSPECIFIED, ..PEER };
    let open = open(65_000, &[four_octet_as(65_000), multiprotocol(1, 4)]);
    let mut router = Router::new();
    router.sends(&loc.peer_up(&open, &open, &[]));
    let mut message = labelled(&[[0, 0, 0x10], [0, 0, 0x21]]);
    message.splice(6..48, loc.bytes());
    assert_eq!(router.sends(&message).rows, ["- 10.1.2.0/24 [1, 2] @2"]);
}

fn prefixes(path_ids: bool) -> impl Strategy<Value = Vec<u8>> {
    let bytes = move |((bits, length), path_id): ((u32, u8), u32)| {
        let bits = Prefix::v4(bits, length).unwrap().v4_bits().unwrap();
        let octets = &bits.to_be_bytes()[..usize::from(length.div_ceil(8))];
        let id = path_id.to_be_bytes();
        [if path_ids { &id[..] } else { &[] }, &[length], octets].concat()
    };
    // A message contains each route once.
    btree_map((any::<u32>(), 0_u8..=32), any::<u32>(), 1..8).prop_map(move |routes| {
        routes.into_iter().map(bytes).collect::<BTreeSet<_>>().into_iter().flatten().collect()
    })
}

/// A damage to the bytes of a field.
#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Cut(Index),
    Insert(Index, u8),
    Repeat(Index),
    Zero(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<(Index, u8)>().prop_map(|(at, byte)| Damage::Set(at, byte)),
        any::<Index>().prop_map(Damage::Cut),
        any::<(Index, u8)>().prop_map(|(at, byte)| Damage::Insert(at, byte)),
        any::<Index>().prop_map(Damage::Repeat),
        any::<(Index, Index)>().prop_map(|(from, to)| Damage::Zero(from, to)),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match self {
            Self::Set(at, byte) => bytes[at.index(length)] = *byte,
            Self::Cut(at) => bytes.truncate(at.index(length)),
            Self::Insert(at, byte) => bytes.insert(at.index(length), *byte),
            Self::Repeat(at) => bytes.extend_from_within(at.index(length)..),
            Self::Zero(from, to) => {
                let (from, to) = (from.index(length), to.index(length));
                bytes[from.min(to)..=from.max(to)].fill(0);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// A damaged field between valid ones is decoded as negotiated or not at all.
    #[test]
    fn damage_never_becomes_a_route_with_path_ids_that_were_not_negotiated(
        (add_path_negotiated, good, field) in any::<bool>()
            .prop_flat_map(|path_ids| (Just(path_ids), prefixes(path_ids), prefixes(path_ids))),
        damages in vec(damage(), 1..4),
        withdraw in any::<bool>(),
    ) {
        let mut field = field;
        damages.iter().for_each(|damage| damage.apply(&mut field));
        let capabilities = if add_path_negotiated { vec![add_path(1, 1, 3)] } else { Vec::new() };
        let mut router = Router::negotiated(&capabilities);
        router.announces(&good);
        if withdraw { router.withdraws(&field) } else { router.announces(&field) };
        router.announces(&good);
        let ways: BTreeSet<_> = router
            .rows
            .iter()
            .map(|row| row.strip_prefix('-').filter(|rest| !rest.starts_with(' ')).unwrap_or(row))
            .map(|row| !row.starts_with("- "))
            .collect();
        prop_assert!(ways.iter().all(|with| *with == add_path_negotiated), "{:?} {field:?}", router.rows);
        prop_assert_eq!(router.session.summary().counters.add_path_mismatches, 0);
    }
}
