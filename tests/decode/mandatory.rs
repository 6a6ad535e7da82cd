//! Mandatory attributes, field by field: the next hop of each field is its own, AS number 0 is malformed, and
//! an empty attribute section says that there are no routes.

use crate::common::encoder;
use holdfast::bgp::{self, AttributeOutcome, Update};
use holdfast::route::{Attributes, Family};

const FLOW: Family = Family { afi: 1, safi: 133 };
const VPN_FLOW: Family = Family { afi: 2, safi: 134 };
/// Every other family of which NLRI are decoded.
const WITH_NEXT_HOP: [(u16, u8); 22] = [
    (1, 1),
    (2, 1),
    (1, 2),
    (2, 2),
    (1, 4),
    (2, 4),
    (1, 5),
    (2, 5),
    (1, 66),
    (2, 66),
    (1, 73),
    (2, 73),
    (1, 85),
    (2, 85),
    (1, 128),
    (2, 128),
    (1, 129),
    (1, 132),
    (2, 129),
    (25, 65),
    (25, 70),
    (16_388, 71),
];

fn origin() -> Vec<u8> {
    encoder::attribute(0x40, 1, &[0])
}

fn path() -> Vec<u8> {
    encoder::attribute(0x40, 2, &[2, 1, 0, 0, 0xfd, 0xe9])
}

fn next_hop(value: &[u8]) -> Vec<u8> {
    encoder::attribute(0x40, 3, value)
}

/// The attribute sets of both fields of an UPDATE: the NLRI field and MP_REACH_NLRI.
fn both(section: &[u8], nlri: &[u8]) -> [(Attributes, AttributeOutcome); 2] {
    let pdu = encoder::update(&[], section, nlri);
    let update = bgp::split(&pdu).unwrap();
    let sets = [update.without_mp_reach(), update];
    assert_eq!(
        key(&sets[0]) == key(&sets[1]),
        update.mp_reach.is_none(),
        "a field shares the set of another"
    );
    sets.map(|update| bgp::attributes(&update, true))
}

fn key(update: &Update<'_>) -> Vec<u8> {
    let mut key = Vec::new();
    update.key(&mut key);
    key
}

#[test]
fn the_next_hop_of_each_field_is_its_own() {
    let hop = [192, 0, 2, 1];
    for family in [FLOW, VPN_FLOW] {
        let flow = encoder::mp_reach(family, &[], &[3, 4, 0x81, 6]);
        // Without NEXT_HOP it is missing for the NLRI field alone (RFC 4760 section 3, RFC 8955 section 4).
        let [(classic, _), (of_flow, _)] = both(&[origin(), path(), flow.clone()].concat(), &[8, 10]);
        assert_eq!((classic.next_hop, classic.missing), (None, vec![3]));
        assert_eq!((of_flow.next_hop, of_flow.missing), (None, vec![]));
        // A flow specification does not borrow the NEXT_HOP of the NLRI field.
        let [(classic, _), (of_flow, outcome)] =
            both(&[origin(), path(), next_hop(&hop), flow.clone()].concat(), &[8, 10]);
        assert_eq!((classic.next_hop, classic.missing), (Some(hop.into()), vec![]));
        assert_eq!((of_flow.next_hop, of_flow.missing), (None, vec![]));
        assert_eq!(outcome, AttributeOutcome::Accepted);
        let [_, (of_flow, _)] = both(&flow, &[8, 10]);
        assert_eq!(of_flow.missing, [1, 2]);
    }
    let (six, other) = ([0x20; 16], [0x30; 16]);
    for (afi, safi) in WITH_NEXT_HOP {
        let family = Family { afi, safi };
        let [(classic, _), (reach, _)] =
            both(&[origin(), path(), encoder::mp_reach(family, &six, &[8, 10])].concat(), &[8, 10]);
        assert_eq!((classic.next_hop, classic.missing), (None, vec![3]), "{family}");
        assert_eq!((reach.next_hop, reach.missing), (Some(six.into()), vec![]), "{family}");
        // Without a next hop of its own it is missing, also beside NEXT_HOP.
        let empty = encoder::mp_reach(family, &[], &[8, 10]);
        for section in [empty.clone(), [next_hop(&hop), empty].concat()] {
            let [_, (reach, _)] = both(&[origin(), path(), section].concat(), &[]);
            assert_eq!((reach.next_hop, reach.missing), (None, vec![3]), "{family}");
        }
        let section = [encoder::mp_reach(family, &six, &[8, 10]), next_hop(&hop)].concat();
        let different = [encoder::mp_reach(family, &other, &[8, 10]), next_hop(&hop)].concat();
        let [(classic, _), (reach, _)] = both(&section, &[8, 10]);
        assert_eq!((classic.next_hop, reach.next_hop), (Some(hop.into()), Some(six.into())), "{family}");
        let [_, (reach, _)] = both(&different, &[8, 10]);
        assert_eq!(reach.next_hop, Some(other.into()), "{family}");
    }
}

#[test]
fn next_hop_is_ignored_if_all_routes_are_in_mp_reach() {
    let reach = encoder::mp_reach(Family::IPV6_UNICAST, &[0x20; 16], &[8, 0x20]);
    // RFC 4760 section 3: an UPDATE without other NLRI should not have NEXT_HOP, and it is to be ignored.
    for bad in [next_hop(&[0x20; 16]), next_hop(&[1, 2]), encoder::attribute(0xc0, 3, &[192, 0, 2, 1])] {
        let section = [origin(), path(), bad.clone(), reach.clone()].concat();
        let [_, (set, outcome)] = both(&section, &[]);
        assert_eq!(outcome, AttributeOutcome::Discarded, "{bad:?}");
        assert!(set.discarded[0].starts_with("NEXT_HOP (3) at byte "), "{:?}", set.discarded);
        assert_eq!((set.next_hop, set.missing), (Some([0x20; 16].into()), vec![]));
        // With routes in the NLRI field it is malformed for all routes of the UPDATE (RFC 7606 section 2).
        for (_, outcome) in both(&section, &[8, 10]) {
            assert!(matches!(outcome, AttributeOutcome::TreatAsWithdraw(_)), "{bad:?}: {outcome:?}");
        }
        // The sets of the two UPDATEs differ, so their keys must.
        let keys = [&[][..], &[8, 10]].map(|nlri| {
            let pdu = encoder::update(&[], &section, nlri);
            key(&bgp::split(&pdu).unwrap())
        });
        assert_ne!(keys[0], keys[1]);
    }
    // Another malformed attribute withdraws the routes as ever.
    let section = [encoder::attribute(0x40, 1, &[9]), path(), reach].concat();
    let [_, (_, outcome)] = both(&section, &[]);
    assert!(matches!(outcome, AttributeOutcome::TreatAsWithdraw(_)));
}

/// The set and outcome of a route with these attributes.
fn one(section: &[u8], four_octet_as: bool) -> (Attributes, AttributeOutcome) {
    bgp::attributes(&bgp::split(&encoder::update(&[], section, &[8, 10])).unwrap(), four_octet_as)
}

#[test]
fn as_number_0_is_malformed_in_paths_and_aggregators() {
    // RFC 7607 section 2: AS_PATH and AGGREGATOR by RFC 7606, AS4_PATH and AS4_AGGREGATOR by RFC 6793.
    for kind in 1..=4 {
        for place in 0..3 {
            let mut asns = [[0, 1]; 3];
            asns[place] = [0, 0];
            let value = [&[kind, 3][..], &asns.concat()].concat();
            let (set, outcome) = one(&encoder::attribute(0x40, 2, &value), false);
            let AttributeOutcome::TreatAsWithdraw(reason) = outcome else { panic!("{outcome:?}") };
            assert!(reason.ends_with("AS number 0 (RFC 7607)"), "{reason}");
            assert_eq!(set.as_path.unwrap().asns.iter().filter(|asn| **asn == 0).count(), 1, "kept");
            let wide = [&[kind, 3][..], &asns.map(|asn| [&[0, 0], &asn[..]].concat()).concat()].concat();
            let (_, outcome) = one(&encoder::attribute(0x40, 2, &wide), true);
            assert!(matches!(outcome, AttributeOutcome::TreatAsWithdraw(_)), "{outcome:?}");
            let narrow = encoder::attribute(0x40, 2, &[2, 3, 0, 1, 0x5b, 0xa0, 0x5b, 0xa0]);
            let (set, outcome) = one(&[narrow, encoder::attribute(0xc0, 17, &wide)].concat(), false);
            assert_eq!(outcome, AttributeOutcome::Discarded);
            assert_eq!(set.as_path.unwrap().to_string(), "1 23456 23456");
        }
    }
    let (set, outcome) = one(&encoder::attribute(0xc0, 7, &[0, 0, 192, 0, 2, 1]), false);
    assert_eq!((set.aggregator, outcome), (None, AttributeOutcome::Discarded));
    assert!(set.discarded[0].ends_with("AS number 0 (RFC 7607), address 192.0.2.1"), "{:?}", set.discarded);
    let (set, outcome) = one(&encoder::attribute(0xc0, 7, &[0, 0, 0, 0, 192, 0, 2, 1]), true);
    assert_eq!((set.aggregator, outcome), (None, AttributeOutcome::Discarded));
    let narrow = encoder::attribute(0xc0, 7, &[0x5b, 0xa0, 192, 0, 2, 1]);
    let wide = encoder::attribute(0xc0, 18, &[0, 0, 0, 0, 192, 0, 2, 2]);
    let (set, outcome) = one(&[narrow, wide].concat(), false);
    assert_eq!((set.aggregator.unwrap().asn, outcome), (23_456, AttributeOutcome::Discarded));
    // The customer's path of an ATTR_SET too (RFC 7606 section 7.16).
    let inner = encoder::attribute(0x40, 2, &[2, 1, 0, 0, 0, 0]);
    let (_, outcome) = one(&encoder::attribute(0xc0, 128, &[&[0, 0, 0, 1], &inner[..]].concat()), true);
    assert!(matches!(outcome, AttributeOutcome::TreatAsWithdraw(_)), "{outcome:?}");
}

#[test]
fn bytes_after_an_empty_attribute_section_are_no_routes() {
    // RFC 4271 section 4.3: "A value of 0 indicates that neither the Network Layer Reachability Information
    // field nor the Path Attribute field is present in this UPDATE message."
    let pdu = encoder::bgp(2, &[0, 2, 8, 11, 0, 0, 8, 10]);
    let update = bgp::split(&pdu).unwrap();
    assert_eq!((update.withdrawn, update.nlri), (&[8, 11][..], &[][..]));
    assert_eq!(
        update.malformed.unwrap().to_string(),
        "bytes after an empty path attribute section at byte 25: expected no further bytes, found 2"
    );
    // It is no End-of-RIB either.
    let pdu = encoder::bgp(2, &[0, 0, 0, 0, 8, 10]);
    assert_eq!(bgp::split(&pdu).unwrap().end_of_rib(), None);
    let empty = encoder::bgp(2, &[0, 0, 0, 0]);
    let update = bgp::split(&empty).unwrap();
    assert_eq!((update.end_of_rib(), update.malformed), (Some(Family::IPV4_UNICAST), None));
}
