//! Path attributes: values, the verdicts of RFC 7606, the merge of RFC 6793, and the key of a set.

use crate::common::encoder;
use holdfast::bgp::{self, AttributeOutcome, Error};
use holdfast::route::{Aggregator, AsPath, Attributes, Family, RawAttribute, SegmentKind};

fn decode(section: &[u8], four_octet_as: bool) -> (Attributes, AttributeOutcome) {
    bgp::attributes(&bgp::split(&encoder::update(&[], section, &[])).unwrap(), four_octet_as)
}

/// Checks the decode of one attribute, given by flags, code and value.
fn verdict(flags: u8, code: u8, value: &[u8]) -> AttributeOutcome {
    let (attributes, verdict) = decode(&encoder::attribute(flags, code, value), true);
    match &verdict {
        AttributeOutcome::Accepted => assert_eq!(attributes.discarded, Vec::<String>::new()),
        AttributeOutcome::Discarded => assert_eq!(attributes.discarded.len(), 1),
        AttributeOutcome::TreatAsWithdraw(_) => {}
    }
    verdict
}

#[test]
fn a_malformed_attribute_is_discarded_or_withdraws_the_routes() {
    const WITHDRAW: bool = true;
    for (flags, code, value, expected) in [
        (0x40, 1, [].as_slice(), WITHDRAW),
        (0x40, 1, &[3], WITHDRAW),
        (0x40, 1, &[0, 0], WITHDRAW),
        (0x40, 2, &[2], WITHDRAW),
        (0x40, 2, &[2, 0], WITHDRAW),
        (0x40, 2, &[5, 1, 0, 0, 0, 1], WITHDRAW),
        (0x40, 2, &[0, 1, 0, 0, 0, 1], WITHDRAW),
        (0x40, 2, &[2, 2, 0, 0, 0, 1], WITHDRAW),
        (0x40, 2, &[2, 1, 0, 0, 0, 1, 9], WITHDRAW),
        (0x40, 3, &[1, 2, 3], WITHDRAW),
        (0x40, 3, &[0x20; 16], WITHDRAW),
        (0x80, 4, &[1, 2, 3], WITHDRAW),
        (0x40, 5, &[1, 2, 3, 4, 5], WITHDRAW),
        (0x40, 6, &[0], !WITHDRAW),
        (0xc0, 7, &[0; 6], !WITHDRAW),
        (0xc0, 7, &[0; 9], !WITHDRAW),
        (0xc0, 8, &[], WITHDRAW),
        (0xc0, 8, &[0; 6], WITHDRAW),
        (0x80, 9, &[0; 5], WITHDRAW),
        (0x80, 10, &[], WITHDRAW),
        (0x80, 10, &[0; 7], WITHDRAW),
        (0xc0, 16, &[], WITHDRAW),
        (0xc0, 16, &[0; 12], WITHDRAW),
        (0xc0, 17, &[], !WITHDRAW),
        (0xc0, 17, &[2, 0], !WITHDRAW),
        (0xc0, 17, &[2, 1, 0, 1], !WITHDRAW),
        (0xc0, 18, &[0; 6], !WITHDRAW),
        (0x80, 26, &[1, 0], !WITHDRAW),
        (0x80, 26, &[1, 0, 10, 0, 0, 0, 0, 0, 0, 0], !WITHDRAW),
        (0x80, 26, &[2, 0, 2], !WITHDRAW),
        (0x80, 26, &[2, 0, 9, 0], !WITHDRAW),
        (0xc0, 32, &[], WITHDRAW),
        (0xc0, 32, &[0; 16], WITHDRAW),
        (0xc0, 35, &[0, 0], WITHDRAW),
    ] {
        let verdict = verdict(flags, code, value);
        let is_withdraw = matches!(&verdict, AttributeOutcome::TreatAsWithdraw(_));
        assert_ne!(verdict, AttributeOutcome::Accepted, "{code} {value:?}");
        assert_eq!(is_withdraw, expected, "{code} {value:?}: {verdict:?}");
    }
}

#[test]
fn wrong_optional_or_transitive_flags_withdraw_the_routes_but_for_aigp() {
    for (right, code, value) in [
        (0x40, 1, vec![0]),
        (0x80, 4, vec![0; 4]),
        (0x40, 6, vec![]),
        (0xc0, 8, vec![0; 4]),
        (0x80, 10, vec![0; 4]),
        (0xc0, 35, vec![0; 4]),
    ] {
        assert_eq!(verdict(right, code, &value), AttributeOutcome::Accepted, "{code}");
        assert_eq!(
            verdict(right | 0x20, code, &value),
            AttributeOutcome::Accepted,
            "{code} with the Partial flag"
        );
        for wrong in [right ^ 0x40, right ^ 0x80] {
            assert!(
                matches!(verdict(wrong, code, &value), AttributeOutcome::TreatAsWithdraw(_)),
                "{code} {wrong:x}"
            );
        }
    }
    assert_eq!(verdict(0xc0, 26, &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 9]), AttributeOutcome::Discarded);
}

#[test]
fn a_verdict_names_the_attribute_and_its_offset() {
    let section = [encoder::attribute(0x40, 6, &[]), encoder::attribute(0x40, 1, &[7])].concat();
    assert_eq!(
        decode(&section, true).1,
        AttributeOutcome::TreatAsWithdraw(
            "ORIGIN (1) at byte 26: invalid value 7: expected 0, 1 or 2".to_owned()
        )
    );
    let section = encoder::attribute(0xc0, 7, &[1]);
    assert_eq!(
        decode(&section, true).0.discarded,
        ["AGGREGATOR (7) at byte 23: invalid length 1: expected 8"]
    );
}

#[test]
fn well_formed_attributes_survive_malformed_ones() {
    let section = [
        encoder::attribute(0x40, 1, &[9]),
        encoder::attribute(0x80, 4, &[0, 0, 0, 5]),
        encoder::attribute(0xc0, 7, &[]),
        encoder::attribute(0x40, 5, &[0, 0, 0, 6]),
    ]
    .concat();
    let (attributes, verdict) = decode(&section, true);
    assert!(matches!(verdict, AttributeOutcome::TreatAsWithdraw(_)));
    assert_eq!((attributes.origin, attributes.med, attributes.local_pref), (None, Some(5), Some(6)));
    assert_eq!(attributes.discarded.len(), 1);
}

#[test]
fn the_first_of_a_repeated_attribute_counts() {
    let section = [
        encoder::attribute(0x40, 1, &[1]),
        encoder::attribute(0x40, 1, &[2]),
        encoder::attribute(0xc0, 200, &[1]),
        encoder::attribute(0xc0, 200, &[2]),
    ]
    .concat();
    let (attributes, verdict) = decode(&section, true);
    assert_eq!((attributes.origin, verdict), (Some(1), AttributeOutcome::Discarded));
    assert_eq!(attributes.raw, [RawAttribute { flags: 0xc0, code: 200, value: vec![1] }]);
    assert_eq!(
        attributes.discarded,
        ["ORIGIN (1) at byte 27: duplicate attribute", "attribute (200) at byte 35: duplicate attribute"]
    );
}

#[test]
fn every_type_code_counts_on_its_own() {
    let codes: Vec<u8> = (0..=255).filter(|code| !matches!(code, 14 | 15)).collect();
    let section: Vec<u8> = codes.iter().flat_map(|code| encoder::attribute(0xc0, *code, &[])).collect();
    let repeated = |section: &[u8]| {
        let (attributes, _) = decode(section, true);
        attributes.discarded.iter().filter(|text| text.contains("duplicate attribute")).count()
    };
    assert_eq!(repeated(&section), 0);
    assert_eq!(repeated(&section.repeat(2)), codes.len());
}

#[test]
fn a_repeated_mp_attribute_is_refused() {
    let reach = encoder::mp_reach(Family::IPV6_UNICAST, &[1; 16], &[8, 0x20]);
    let unreach = encoder::mp_unreach(Family::IPV6_UNICAST, &[8, 0x20]);
    for (attribute, code) in [(reach, 14), (unreach, 15)] {
        let pdu = encoder::update(&[], &[&attribute[..], &attribute].concat(), &[]);
        let offset = 23 + attribute.len();
        assert_eq!(bgp::split(&pdu).unwrap_err(), Error::DuplicateAttribute { code, offset });
    }
}

#[test]
fn an_attribute_past_the_section_withdraws_the_routes_and_keeps_earlier_ones() {
    let section = [&encoder::attribute(0x80, 4, &[0, 0, 0, 5])[..], &[0x50, 2, 0xff, 0xff]].concat();
    let pdu = encoder::update(&[], &section, &[8, 10]);
    let update = bgp::split(&pdu).unwrap();
    let (attributes, verdict) = bgp::attributes(&update, true);
    assert_eq!(attributes.med, Some(5));
    let reason = "attribute value at byte 34: expected 65535 bytes, found 0";
    assert_eq!(verdict, AttributeOutcome::TreatAsWithdraw(reason.to_owned()));
    assert_eq!(update.nlri, [8, 10]);
}

#[test]
fn unknown_attributes_are_kept_raw_in_order() {
    let long = vec![7; 300];
    let section = [
        encoder::attribute(0xe0, 129, &[1, 2]),
        encoder::attribute(0x80, 255, &long),
        encoder::attribute(0xc0, 0, &[]),
    ]
    .concat();
    let (attributes, verdict) = decode(&section, true);
    let raw = |flags, code, value: &[u8]| RawAttribute { flags, code, value: value.to_vec() };
    assert_eq!(attributes.raw, [raw(0xe0, 129, &[1, 2]), raw(0x90, 255, &long), raw(0xc0, 0, &[])]);
    assert_eq!(verdict, AttributeOutcome::Accepted);
}

#[test]
fn an_aigp_attribute_with_other_tlvs_is_kept_raw_too() {
    // The shortest TLV: a header without a value.
    let (set, verdict) = decode(
        &encoder::attribute(0x80, 26, &[&[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 9][..], &[2, 0, 3]].concat()),
        true,
    );
    assert_eq!((set.aigp, verdict, set.raw.len()), (Some(9), AttributeOutcome::Accepted, 1));
    let metric = [1, 0, 11, 0, 0, 0, 1, 0, 0, 0, 2];
    let (plain, _) = decode(&encoder::attribute(0x80, 26, &metric), true);
    assert_eq!((plain.aigp, plain.raw.len()), (Some((1 << 32) + 2), 0));
    let (more, verdict) = decode(&encoder::attribute(0x80, 26, &[&metric[..], &[9, 0, 4, 0]].concat()), true);
    assert_eq!((more.aigp, more.raw.len(), verdict), (Some((1 << 32) + 2), 1, AttributeOutcome::Accepted));
}

#[test]
fn an_odd_next_hop_is_reported_and_an_empty_one_is_none() {
    let next_hop = |bytes: &[u8]| decode(&encoder::mp_reach(Family::IPV4_UNICAST, bytes, &[]), true);
    assert_eq!(
        next_hop(&[]),
        (Attributes { missing: vec![1, 2, 3], ..Attributes::default() }, AttributeOutcome::Accepted)
    );
    let (attributes, verdict) = next_hop(&[1, 2, 3, 4, 5]);
    assert_eq!((attributes.next_hop, verdict), (None, AttributeOutcome::Discarded));
    assert_eq!(attributes.discarded, ["MP_REACH_NLRI next hop ignored: invalid length 5"]);
}

/// AS_PATH, AS4_PATH and their merge, as text.
fn merged(old: &[(SegmentKind, &[u32])], new: &[(SegmentKind, &[u32])]) -> String {
    path_of(old, new).to_string()
}

fn path_of(old: &[(SegmentKind, &[u32])], new: &[(SegmentKind, &[u32])]) -> AsPath {
    let row = |segments: &[(SegmentKind, &[u32])], wide| -> Vec<u8> {
        segments.iter().flat_map(|(kind, asns)| encoder::segment(*kind, asns, wide)).collect()
    };
    let section =
        [encoder::attribute(0x40, 2, &row(old, false)), encoder::attribute(0xc0, 17, &row(new, true))]
            .concat();
    let (attributes, _) = decode(&section, false);
    attributes.as_path.unwrap()
}

#[test]
fn as4_path_replaces_the_tail_of_as_path() {
    use SegmentKind::{ConfedSequence, ConfedSet, Sequence, Set};
    const T: u32 = 23_456;
    // The example of RFC 6793 section 4.2.3, and variants of it.
    for (old, new, text) in [
        (
            vec![(Sequence, [275, 250, T, T, 200].as_slice())],
            vec![(Sequence, [70000, 70001, 200].as_slice())],
            "275 250 70000 70001 200",
        ),
        (vec![(Sequence, &[T, T])], vec![(Sequence, &[70000, 70001])], "70000 70001"),
        (vec![(Sequence, &[1, T])], vec![(Sequence, &[1, 2, 3])], "1 23456"),
        (vec![(Set, &[1, 2]), (Sequence, &[T])], vec![(Sequence, &[70000])], "{1,2} 70000"),
        (vec![(Sequence, &[1]), (Set, &[T, 3])], vec![(Set, &[70000, 3])], "1 {70000,3}"),
        (vec![(ConfedSequence, &[9, 8]), (Sequence, &[1, T])], vec![(Sequence, &[70000])], "(9 8) 1 70000"),
        (vec![(ConfedSet, &[9, 8]), (Sequence, &[T])], vec![(Sequence, &[70000])], "[9,8] 70000"),
        (
            vec![(Sequence, &[1]), (ConfedSequence, &[9]), (Sequence, &[T])],
            vec![(Sequence, &[70000])],
            "1 (9) 70000",
        ),
        (vec![(Sequence, &[1, T]), (ConfedSequence, &[9])], vec![(Sequence, &[70000])], "1 70000"),
        // Confederation segments of AS4_PATH are not counted and are removed.
        (vec![(Sequence, &[1, T])], vec![(ConfedSequence, &[9, 8, 7]), (Sequence, &[70000])], "1 70000"),
        (vec![(Sequence, &[1, T])], vec![(ConfedSequence, &[9, 8, 7])], "1 23456"),
    ] {
        assert_eq!(merged(&old, &new), text, "{old:?} {new:?}");
    }
}

#[test]
fn the_origin_is_the_last_as_of_a_path_that_ends_in_a_sequence() {
    use SegmentKind::{Sequence, Set};
    for (segments, origin) in [
        (vec![], None),
        (vec![(Sequence, [65_001, 65_002].as_slice())], Some(65_002)),
        (vec![(Sequence, [65_001].as_slice()), (Set, &[1, 2])], None),
        (vec![(Set, [1, 2].as_slice()), (Sequence, &[65_003])], Some(65_003)),
    ] {
        let value: Vec<u8> =
            segments.iter().flat_map(|(kind, asns)| encoder::segment(*kind, asns, true)).collect();
        let path = decode(&encoder::attribute(0x40, 2, &value), true).0.as_path.unwrap();
        assert_eq!(path.origin_as(), origin, "{path}");
    }
}

#[test]
fn sequences_that_meet_become_one_of_at_most_255() {
    // The first number of AS_PATH is kept; AS4_PATH replaces the others.
    for (new, segments) in [(254, vec![255]), (255, vec![1, 255])] {
        let numbers: Vec<u32> = (0..new).map(|number| 70_000 + number).collect();
        let old: Vec<u32> = vec![23_456; 255];
        let merged = path_of(
            &[(SegmentKind::Sequence, &[65_001]), (SegmentKind::Sequence, &old[..numbers.len()])],
            &[(SegmentKind::Sequence, &numbers)],
        );
        let counts: Vec<_> = merged.segments.iter().map(|segment| usize::from(segment.count)).collect();
        assert_eq!(counts, segments);
        assert_eq!(merged.asns, [&[65_001], numbers.as_slice()].concat());
    }
}

#[test]
fn as4_path_counts_on_two_octet_sessions_only() {
    let path = encoder::segment(SegmentKind::Sequence, &[1, 2], true);
    let section = [
        encoder::attribute(0x40, 2, &path),
        encoder::attribute(0xc0, 17, &encoder::segment(SegmentKind::Sequence, &[70000], true)),
    ]
    .concat();
    let (attributes, verdict) = decode(&section, true);
    assert_eq!(
        (attributes.as_path.unwrap().to_string(), verdict),
        ("1 2".to_owned(), AttributeOutcome::Discarded)
    );
}

#[test]
fn an_aggregator_without_as4_support_voids_the_as4_attributes() {
    let aggregator =
        |asn: u16| encoder::attribute(0xc0, 7, &[&asn.to_be_bytes()[..], &[192, 0, 2, 1]].concat());
    let section = |asn| {
        [
            encoder::attribute(0x40, 2, &encoder::segment(SegmentKind::Sequence, &[1, 70000], false)),
            aggregator(asn),
            encoder::attribute(0xc0, 17, &encoder::segment(SegmentKind::Sequence, &[70000], true)),
            encoder::attribute(0xc0, 18, &[0, 1, 0x11, 0x70, 192, 0, 2, 9]),
        ]
        .concat()
    };
    let (attributes, verdict) = decode(&section(23_456), false);
    assert_eq!(verdict, AttributeOutcome::Accepted);
    assert_eq!(attributes.aggregator, Some(Aggregator { asn: 70000, address: [192, 0, 2, 9].into() }));
    assert_eq!(attributes.as_path.unwrap().to_string(), "1 70000");

    let (attributes, verdict) = decode(&section(64_512), false);
    assert_eq!(verdict, AttributeOutcome::Discarded);
    assert_eq!(attributes.aggregator, Some(Aggregator { asn: 64_512, address: [192, 0, 2, 1].into() }));
    assert_eq!(attributes.as_path.unwrap().to_string(), "1 23456");
}

#[test]
fn the_key_is_that_of_the_attributes_wherever_the_routes_stand() {
    let key = |section: &[u8], withdrawn: &[u8], nlri: &[u8]| {
        let mut key = Vec::new();
        let pdu = encoder::update(withdrawn, section, nlri);
        let update = bgp::split(&pdu).unwrap();
        update.key(&mut key);
        assert!(update.has_key(&key));
        for index in 0..key.len() {
            let mut other = key.clone();
            other[index] ^= 1;
            assert!(!update.has_key(&other), "octet {index}");
        }
        key
    };
    let (origin, med) = (encoder::attribute(0x40, 1, &[0]), encoder::attribute(0x80, 4, &[0, 0, 0, 5]));
    let reach = |hop: u8, route: u8| encoder::mp_reach(Family::IPV6_UNICAST, &[hop; 16], &[8, route]);
    let unreach = |route: u8| encoder::mp_unreach(Family::IPV6_UNICAST, &[8, route]);

    let plain = key(&[&origin[..], &med].concat(), &[], &[8, 10]);
    assert_eq!(plain, [&[0, 0][..], &origin, &med].concat());
    assert_eq!(key(&[&origin[..], &med].concat(), &[8, 12], &[8, 11]), plain);
    assert_eq!(key(&[&unreach(1)[..], &origin, &med].concat(), &[], &[8, 11]), plain);
    let six = key(&[&reach(1, 1)[..], &origin, &med].concat(), &[], &[]);
    assert_eq!(key(&[&origin[..], &reach(1, 2), &med].concat(), &[], &[]), six);
    assert_eq!(key(&[&origin[..], &reach(1, 2), &med, &unreach(3)].concat(), &[], &[]), six);
    for other in [
        key(&[&reach(2, 1)[..], &origin, &med].concat(), &[], &[]),
        key(&[&reach(1, 1)[..], &origin].concat(), &[], &[]),
        key(&[&reach(1, 1)[..], &origin, &med, &[0x50]].concat(), &[], &[]),
        plain,
    ] {
        assert_ne!(other, six);
    }
}

#[test]
fn attributes_around_mp_attributes_are_all_seen() {
    let section = [
        encoder::attribute(0x40, 1, &[0]),
        encoder::mp_reach(Family::IPV6_UNICAST, &[1; 16], &[8, 0x20]),
        encoder::attribute(0x80, 4, &[0, 0, 0, 5]),
        encoder::mp_unreach(Family::IPV6_UNICAST, &[8, 0x20]),
        encoder::attribute(0x40, 5, &[0, 0, 0, 6]),
    ]
    .concat();
    let pdu = encoder::update(&[], &section, &[]);
    let update = bgp::split(&pdu).unwrap();
    let offsets: Vec<_> =
        update.attributes.iter().map(|attribute| (attribute.code, attribute.offset)).collect();
    assert_eq!(offsets, [(1, 23), (4, 23 + 4 + 26), (5, 23 + 4 + 26 + 7 + 8)]);
    let (attributes, verdict) = bgp::attributes(&update, true);
    assert_eq!((attributes.origin, attributes.med, attributes.local_pref), (Some(0), Some(5), Some(6)));
    assert_eq!(verdict, AttributeOutcome::Accepted);
}
