//! OPEN messages, and the capabilities that two of them negotiate.

use crate::common::encoder;
use std::net::Ipv4Addr;

use holdfast::bgp::{self, AddPath, Capability, Direction, Error, Open};
use holdfast::route::Family;

const V4: Family = Family::IPV4_UNICAST;
const V6: Family = Family::IPV6_UNICAST;

/// A capability as `(code, value)`.
type Raw = (u8, Vec<u8>);

fn multiprotocol(family: Family) -> Raw {
    (1, [&family.afi.to_be_bytes()[..], &[0, family.safi]].concat())
}

fn four_octet_as(asn: u32) -> Raw {
    (65, asn.to_be_bytes().to_vec())
}

fn add_path(families: &[(Family, u8)]) -> Raw {
    let value = families.iter().flat_map(|(family, mode)| {
        let [a, b] = family.afi.to_be_bytes();
        [a, b, family.safi, *mode]
    });
    (69, value.collect())
}

fn open(capabilities: &[Raw]) -> Open {
    bgp::open(&encoder::open(64_512, capabilities, false)).unwrap()
}

#[test]
fn every_field_is_read() {
    let raw = [multiprotocol(V6), four_octet_as(4_200_000_000), (2, vec![]), add_path(&[(V4, 3), (V6, 1)])];
    for extended in [false, true] {
        let open = bgp::open(&encoder::open(23_456, &raw, extended)).unwrap();
        assert_eq!((open.version, open.asn, open.hold_time_s), (4, 4_200_000_000, 180));
        assert_eq!(open.bgp_id, Ipv4Addr::new(192, 0, 2, 1));
        let paths = vec![
            AddPath { family: V4, send: true, receive: true },
            AddPath { family: V6, send: false, receive: true },
        ];
        assert_eq!(
            open.capabilities,
            [
                Capability::Multiprotocol(V6),
                Capability::FourOctetAs(4_200_000_000),
                Capability::Other { code: 2, value: vec![] },
                Capability::AddPath(paths.clone()),
            ],
            "extended lengths: {extended}"
        );
        assert_eq!((open.families(), open.four_octet_as()), (vec![V6], true));
        assert_eq!(open.add_path().collect::<Vec<_>>(), paths);
    }
}

#[test]
fn an_open_without_capabilities_means_ipv4_and_two_octets() {
    for extended in [false, true] {
        let open = bgp::open(&encoder::open(64_512, &[], extended)).unwrap();
        assert_eq!((open.asn, open.families(), open.four_octet_as()), (64_512, vec![V4], false));
    }
}

#[test]
fn capabilities_in_several_parameters_are_all_read() {
    let parameters = [2, 6, 65, 4, 0, 1, 0x11, 0x70, 1, 1, 9, 2, 6, 1, 4, 0, 25, 0, 70, 2, 0];
    let body = [&[4, 0xfd, 0xe8, 0, 180, 192, 0, 2, 1, 21][..], &parameters].concat();
    let open = bgp::open(&encoder::bgp(1, &body)).unwrap();
    assert_eq!((open.asn, open.families()), (70_000, vec![Family::EVPN]));
}

#[test]
fn a_capability_of_a_wrong_length_is_kept_raw() {
    let open = open(&[(65, vec![0, 1]), (1, vec![0, 1, 1]), (69, vec![0, 1, 1]), (8, vec![0, 1, 4, 2, 0])]);
    assert!(!open.four_octet_as());
    assert_eq!(open.add_path().count(), 0);
    let raw = |code, value: &[u8]| Capability::Other { code, value: value.to_vec() };
    assert_eq!(
        open.capabilities,
        [raw(65, &[0, 1]), raw(1, &[0, 1, 1]), raw(69, &[0, 1, 1]), raw(8, &[0, 1, 4, 2, 0])]
    );
}

#[test]
fn add_path_tuples_of_unknown_mode_are_ignored() {
    let open = open(&[add_path(&[(V4, 0), (V6, 2), (Family::EVPN, 4)])]);
    assert_eq!(open.add_path().collect::<Vec<_>>(), [AddPath { family: V6, send: true, receive: false }]);
}

#[test]
fn damaged_parameters_do_not_discard_the_capabilities_before_the_damage() {
    assert_eq!(bgp::open(&encoder::bgp(2, &[])), Err(Error::NotOpen { kind: 2 }));
    let fixed = [4, 0xfd, 0xe8, 0, 180, 192, 0, 2, 1];
    for parameters in [
        [].as_slice(),
        &[1],
        &[0, 9],
        &[2, 2, 1],
        &[3, 2, 1, 65],
        &[4, 2, 2, 65, 4],
        &[255, 255, 0],
        &[255, 255, 0, 3, 2, 0],
    ] {
        let pdu = encoder::bgp(1, &[&fixed[..], parameters].concat());
        let open = bgp::open(&pdu).unwrap();
        assert!(open.damage.is_some() && open.capabilities.is_empty(), "{parameters:?}");
        assert_eq!((open.asn, open.hold_time_s), (65_000, 180));
    }
    let first = [1, 4, 0, 2, 0, 1];
    for (parameters, is_damaged) in [
        (&[8, 2, 6, 1, 4, 0, 2, 0, 1][..], false),
        // The last capability exceeds its parameter, the parameter the message, the parameters the message.
        (&[10, 2, 8, 1, 4, 0, 2, 0, 1, 69, 4], true),
        (&[10, 2, 9, 1, 4, 0, 2, 0, 1, 69, 0], true),
        (&[99, 2, 6, 1, 4, 0, 2, 0, 1], true),
        // A second parameter is damaged, or bytes are left.
        (&[10, 2, 6, 1, 4, 0, 2, 0, 1, 2, 9], true),
        (&[8, 2, 6, 1, 4, 0, 2, 0, 1, 7], true),
        (&[255, 255, 0, 11, 2, 0, 8, 1, 4, 0, 2, 0, 1, 69, 4], true),
    ] {
        let pdu = encoder::bgp(1, &[&fixed[..], parameters].concat());
        let open = bgp::open(&pdu).unwrap();
        assert_eq!(open.capabilities.first(), bgp::capability(&first).as_ref(), "{parameters:?}");
        assert_eq!(open.damage.is_some(), is_damaged, "{parameters:?}");
    }
    // The fixed fields are needed.
    for short in 0..fixed.len() {
        assert!(matches!(bgp::open(&encoder::bgp(1, &fixed[..short])), Err(Error::Wire(_))));
    }
}

fn add_path_families(sent: &Open, received: &Open, direction: Direction) -> Vec<Family> {
    bgp::negotiate(sent, received, direction).add_path.iter().collect()
}

#[test]
fn add_path_has_a_direction() {
    const RECEIVE: u8 = 1;
    const SEND: u8 = 2;
    const BOTH: u8 = 3;
    for (router, peer, incoming, outgoing) in [
        (RECEIVE, SEND, true, false),
        (SEND, RECEIVE, false, true),
        (BOTH, BOTH, true, true),
        (BOTH, SEND, true, false),
        (BOTH, RECEIVE, false, true),
        (RECEIVE, RECEIVE, false, false),
        (SEND, SEND, false, false),
    ] {
        let (sent, received) = (open(&[add_path(&[(V4, router)])]), open(&[add_path(&[(V4, peer)])]));
        let families = |is: bool| if is { vec![V4] } else { vec![] };
        let case = format!("router {router}, peer {peer}");
        assert_eq!(add_path_families(&sent, &received, Direction::In), families(incoming), "{case}");
        assert_eq!(add_path_families(&sent, &received, Direction::Out), families(outgoing), "{case}");
        assert_eq!(add_path_families(&sent, &received, Direction::Local), [V4], "{case}");
    }
}

#[test]
fn add_path_is_agreed_per_family_and_not_by_one_side() {
    let sent = open(&[add_path(&[(V4, 3), (V6, 3)])]);
    let received = open(&[add_path(&[(V6, 3), (Family::EVPN, 3)])]);
    assert_eq!(add_path_families(&sent, &received, Direction::In), [V6]);
    assert_eq!(add_path_families(&sent, &received, Direction::Local), [V4, V6, Family::EVPN]);
    assert_eq!(add_path_families(&sent, &open(&[]), Direction::In), []);
}

#[test]
fn several_labels_are_agreed_per_family_by_both_sides() {
    let labels = |tuples: &[[u8; 4]]| (8, tuples.concat());
    let (v4, v6) = (Family { afi: 1, safi: 4 }, Family { afi: 2, safi: 4 });
    // A count of 0 or 1 has no effect (RFC 8277 section 2.1).
    let sent = open(&[labels(&[[0, 1, 4, 7], [0, 2, 4, 255]])]);
    let received = open(&[labels(&[[0, 1, 4, 2], [0, 2, 4, 1], [0, 1, 128, 0]])]);
    assert_eq!(sent.capabilities, [Capability::MultipleLabels(vec![(v4, 7), (v6, 255)])]);
    assert_eq!(received.capabilities[0].to_string(), "multiple-labels ipv4_labelled_unicast:2");
    for direction in [Direction::In, Direction::Out] {
        let agreed = bgp::negotiate(&sent, &received, direction);
        assert_eq!(agreed.multiple_labels.iter().collect::<Vec<_>>(), [v4]);
        assert!(agreed.encoding(v4).multiple_labels && !agreed.encoding(v6).multiple_labels);
        assert_eq!(bgp::negotiate(&sent, &open(&[]), direction).multiple_labels.iter().count(), 0);
    }
    let local = bgp::negotiate(&open(&[]), &sent, Direction::Local);
    assert_eq!(
        local.multiple_labels.iter().collect::<Vec<_>>(),
        [v4, v6],
        "either side suffices for a Loc-RIB"
    );
}

#[test]
fn four_octets_need_both_sides_but_for_a_loc_rib() {
    let (new, old) = (open(&[four_octet_as(1)]), open(&[]));
    let width = |sent, received, direction| bgp::negotiate(sent, received, direction).four_octet_as;
    assert!(width(&new, &new, Direction::In));
    assert!(!width(&new, &old, Direction::In) && !width(&old, &new, Direction::Out));
    assert!(width(&old, &old, Direction::Local));
}
