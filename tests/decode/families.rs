//! Families whose NLRI is more than a prefix: decoded fields, text, and route keys.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use crate::common::nlri_samples::{self, RD, Sample, Says, family, samples, tlv};
use holdfast::bgp::{self, Encoding, Error};
use holdfast::route::{
    EvpnRoute, Family, FlowSpec, FlowSpecComponent, LabelledPrefix, Mac, MulticastFlow, MupKind, MupRoute,
    Nlri, NlriDetail, NlriEntry, Prefix, Rd, StructuredNlri, VplsRoute,
};

/// The encoding with the Multiple Labels capability in both OPENs.
const STACK: Encoding = Encoding { add_path: false, multiple_labels: true };

fn read(family: Family, bytes: &[u8], add_path: bool, withdraw: bool) -> Vec<NlriEntry> {
    bgp::nlri(family, bytes, Encoding { add_path, multiple_labels: true }, withdraw)
        .map(Result::unwrap)
        .collect()
}

fn key(nlri: &Nlri) -> Vec<u8> {
    let mut key = Vec::new();
    nlri.key(&mut key);
    key
}

fn says(nlri: &Nlri) -> Says {
    match nlri {
        Nlri::Structured(other) => Says::Detail(other.detail.clone()),
        other => Says::Nlri(other.clone()),
    }
}

fn text(nlri: &Nlri) -> String {
    let fields = nlri.columns();
    nlri.text().unwrap_or_else(|| format!("{} {:?}", fields.prefix.unwrap(), fields.labels))
}

fn check(samples: Vec<Sample>) {
    assert!(!samples.is_empty());
    for Sample { family, bytes, says: expected, text: expected_text } in samples {
        let entries = read(family, &bytes, false, false);
        assert_eq!(entries.len(), 1, "{expected_text}");
        assert_eq!(says(&entries[0].nlri), expected);
        assert_eq!(text(&entries[0].nlri), expected_text);
    }
}

#[test]
fn labelled_and_vpn_prefixes_have_labels_rd_and_prefix() {
    check(nlri_samples::labelled_samples());
}

#[test]
fn multicast_vpn_prefixes_are_read_with_a_label_and_without() {
    check(nlri_samples::vpn_multicast_samples());
}

#[test]
fn without_an_agreement_a_route_has_one_label_whatever_its_bit_s_says() {
    for (safi, rd) in [(4, &[][..]), (128, &RD.0)] {
        let bits = u8::try_from(24 + rd.len() * 8 + 24).unwrap();
        for last in [0x10, 0x11] {
            let bytes = [&[bits, 0, 0, last], rd, &[10, 1, 2]].concat();
            let read = |encoding| bgp::nlri(family(1, safi), &bytes, encoding, false).next().unwrap();
            let fields = read(Encoding::PLAIN).unwrap().nlri;
            assert_eq!(fields.columns().labels, [1], "SAFI {safi}");
            assert_eq!(fields.columns().prefix, Prefix::v4(0x0a01_0200, 24));
            let with_agreement = read(STACK).ok().map(|entry| entry.nlri.columns().labels == [1]);
            assert_eq!(
                with_agreement == Some(true),
                last == 0x11,
                "with one it ends the labels, SAFI {safi}"
            );
        }
    }
}

#[test]
fn the_label_field_of_a_withdrawal_may_hold_anything() {
    for encoding in [Encoding::PLAIN, STACK] {
        for label in [[0x80, 0, 0], [0, 0, 0], [0, 0, 0x10], [0xff, 0xff, 0xf0], [0, 0, 0x11]] {
            let bytes = [&[48], &label[..], &[10, 1, 2]].concat();
            let entry = bgp::nlri(family(1, 4), &bytes, encoding, true).next().unwrap().unwrap();
            let Nlri::Labelled(route) = entry.nlri else { panic!("no labelled prefix") };
            assert_eq!(
                *route,
                LabelledPrefix { rd: None, labels: vec![], prefix: Prefix::v4(0x0a01_0200, 24).unwrap() }
            );
        }
    }
    // Older implementations repeat the announced labels in the withdrawal, also without the capability if
    // the announcement had several: too many bits for one label (RFC 8277 section 2.4).
    for (safi, rd) in [(4, &[][..]), (128, &RD.0)] {
        let bits = u8::try_from(48 + rd.len() * 8 + 24).unwrap();
        let bytes = [&[bits, 0, 0, 0x10, 0, 0, 0x21], rd, &[10, 1, 2]].concat();
        for encoding in [Encoding::PLAIN, STACK] {
            let entry = bgp::nlri(family(1, safi), &bytes, encoding, true).next().unwrap().unwrap();
            let columns = entry.nlri.columns();
            assert_eq!((columns.prefix, columns.labels), (Prefix::v4(0x0a01_0200, 24), vec![]));
            assert_eq!(columns.rd.is_some(), safi == 128);
        }
        // An announcement has one label without the capability (section 2.2).
        assert!(bgp::nlri(family(1, safi), &bytes, Encoding::PLAIN, false).next().unwrap().is_err());
    }
    // What fits one label is read as one.
    let bytes = [56, 0, 0, 0x10, 0, 0, 0x21, 10];
    let entry = bgp::nlri(family(1, 4), &bytes, Encoding::PLAIN, true).next().unwrap().unwrap();
    assert_eq!(entry.nlri.columns().prefix, Prefix::v4(0x0000_210a, 32));
}

#[test]
fn evpn_types_6_to_11_keep_every_field() {
    check(nlri_samples::evpn_samples());
}

#[test]
fn vpls_route_targets_sr_policies_and_mdt_keep_every_field() {
    check(nlri_samples::small_samples());
}

#[test]
fn mvpn_types_1_to_7_keep_every_field() {
    check(nlri_samples::mvpn_samples());
}

#[test]
fn flow_specifications_read_as_operators_write_them() {
    check(nlri_samples::flow_samples());
}

#[test]
fn link_state_nlri_have_typed_descriptors_and_keep_unknown_ones() {
    check(nlri_samples::link_state_samples());
}

#[test]
fn mup_routes_keep_every_field() {
    check(nlri_samples::mup_samples());
}

#[test]
fn every_family_has_path_identifiers_and_several_routes_in_one_field() {
    for first in samples() {
        for second in samples().into_iter().filter(|second| second.family == first.family) {
            let bytes = [&[0, 0, 0, 7][..], &first.bytes, &[1, 2, 3, 4], &second.bytes].concat();
            let entries = read(first.family, &bytes, true, false);
            let said: Vec<_> = entries.iter().map(|entry| (entry.path_id, says(&entry.nlri))).collect();
            assert_eq!(said, [(7, first.says.clone()), (0x0102_0304, second.says)], "{}", first.text);
        }
    }
}

#[test]
fn a_withdrawal_has_the_key_of_its_announcement_and_no_other_route_has_it() {
    let mut keys: Vec<(Family, Vec<u8>)> = Vec::new();
    for sample in samples() {
        let announced = key(&read(sample.family, &sample.bytes, false, false)[0].nlri);
        let withdrawn = key(&read(sample.family, &sample.bytes, false, true)[0].nlri);
        assert_eq!(announced, withdrawn, "{}", sample.text);
        keys.push((sample.family, announced));
    }
    let all = keys.len();
    keys.sort();
    keys.dedup();
    // The two Type 1 routes differ only in fields that do not identify a route.
    assert_eq!(keys.len(), all - 1);
}

#[test]
fn multicast_routes_differ_in_source_group_and_originator() {
    let address = |last| Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));
    let route = |source, group, originator: Option<IpAddr>| {
        let multicast = MulticastFlow { source, group, originator: originator.unwrap() };
        key(&Nlri::Evpn(Box::new(EvpnRoute::SelectivePmsi { rd: Rd([0; 8]), tag: 0, multicast })))
    };
    let keys = [
        route(address(1), address(2), address(3)),
        route(address(4), address(2), address(3)),
        route(address(1), address(4), address(3)),
        route(address(1), address(2), address(4)),
        route(None, address(2), address(3)),
        route(address(1), None, address(3)),
    ];
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
}

#[test]
fn a_route_cut_anywhere_is_refused_or_kept_raw_and_never_misread() {
    for sample in samples().into_iter().filter(|sample| sample.bytes.len() > 1) {
        for short in 1..sample.bytes.len() {
            let cut = &sample.bytes[..short];
            let entries: Vec<_> = bgp::nlri(sample.family, cut, Encoding::PLAIN, false).collect();
            assert!(entries.last().unwrap().is_err(), "{} cut to {short}", sample.text);
        }
    }
}

#[test]
fn labels_of_a_withdrawal_are_ignored_and_not_in_the_key() {
    let family = family(1, 128);
    let with = |label: &[u8]| [&[112][..], label, &RD.0, &[10, 1, 2]].concat();
    let announced = read(family, &with(&[0x05, 0xdc, 0x11]), false, false);
    for label in [[0x80, 0, 0], [0, 0, 1], [0x05, 0xdc, 0x11]] {
        let withdrawn = read(family, &with(&label), false, true);
        assert_eq!(key(&withdrawn[0].nlri), key(&announced[0].nlri), "{label:?}");
        assert!(withdrawn[0].nlri.columns().labels.is_empty());
    }
}

#[test]
fn a_vpn_route_has_its_rd_in_the_key() {
    let with = |rd: u8| [&[112, 0x05, 0xdc, 0x11, 0, 0, 0xfd, 0xe8, 0, 0, 0, rd][..], &[10, 1, 2]].concat();
    let key_of = |rd| key(&read(family(1, 128), &with(rd), false, false)[0].nlri);
    assert_ne!(key_of(1), key_of(2));
}

#[test]
fn labels_without_an_end_are_refused() {
    let error =
        bgp::nlri(family(1, 4), &[48, 0, 0, 0x10, 0, 0, 0x20], STACK, false).next().unwrap().unwrap_err();
    assert_eq!(error, Error::InvalidBitLength { what: "labelled prefix", length: 48, offset: 0 });
    // So is an RD that is longer than the route.
    let error =
        bgp::nlri(family(1, 128), &[32, 0, 0, 0x11, 0], Encoding::PLAIN, false).next().unwrap().unwrap_err();
    assert_eq!(error, Error::InvalidBitLength { what: "labelled prefix", length: 32, offset: 0 });
    // So is a prefix that is too long.
    let bytes = [&[24 + 33, 0, 0, 0x11][..], &[0; 5]].concat();
    let error = bgp::nlri(family(1, 4), &bytes, Encoding::PLAIN, false).next().unwrap().unwrap_err();
    assert_eq!(error, Error::InvalidBitLength { what: "labelled prefix", length: 57, offset: 0 });
}

#[test]
fn flow_components_stand_in_order_and_unknown_ones_leave_the_route_raw() {
    let flow = family(1, 133);
    let error =
        bgp::nlri(flow, &[6, 5, 0x81, 80, 3, 0x81, 6], Encoding::PLAIN, false).next().unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "flow specification component of type 3 at byte 4: out of order, expected ascending types"
    );
    let twice =
        bgp::nlri(flow, &[6, 3, 0x81, 6, 3, 0x81, 6], Encoding::PLAIN, false).next().unwrap().unwrap_err();
    assert_eq!(
        twice.to_string(),
        "flow specification component of type 3 at byte 4: out of order, expected ascending types"
    );
    let bytes = [5, 3, 0x81, 6, 14, 1, 3, 3, 0x81, 6];
    let entries = read(flow, &bytes, false, false);
    assert_eq!(entries[0].nlri, Nlri::Raw(bytes[..6].into()));
    assert!(matches!(entries[1].nlri, Nlri::Structured(_)), "what follows it is read");
}

#[test]
fn an_ipv6_pattern_may_begin_at_the_very_end() {
    let entries = read(family(2, 133), &[3, 1, 128, 128], false, false);
    let destination = FlowSpecComponent::Destination { prefix: Prefix::v6(0, 128).unwrap(), offset: 128 };
    assert_eq!(
        says(&entries[0].nlri),
        Says::Detail(NlriDetail::FlowSpec(FlowSpec { rd: None, components: vec![destination] }))
    );
}

#[test]
fn a_flow_specification_is_the_same_however_its_length_is_written() {
    let short = read(family(1, 133), &[3, 3, 0x81, 6], false, false);
    let long = read(family(1, 133), &[0xf0, 3, 3, 0x81, 6], false, false);
    assert_eq!(short, long);
    let values =
        (0..150).flat_map(|port| [if port == 149 { 0x91 } else { 0x11 }, 0, port]).collect::<Vec<u8>>();
    let bytes = [&[0xf1, 0xc3, 4][..], &values].concat();
    assert_eq!(read(family(1, 133), &bytes, false, false).len(), 1, "451 bytes");
}

#[test]
fn route_types_that_are_not_known_stay_raw_in_their_place() {
    let known = |sample: &Sample| (sample.family, sample.bytes.clone());
    let unknown = [
        (family(25, 65), vec![0, 3, 1, 2, 3]),
        (family(1, 5), vec![99, 2, 1, 2]),
        // A Leaf A-D whose key is not a whole route.
        (family(1, 5), vec![4, 6, 3, 99, 0, 1, 10, 0]),
        (family(16_388, 71), tlv(5, &[1, 2, 3])),
        (family(1, 85), vec![1, 0, 9, 1, 7]),
        (family(1, 85), vec![2, 0, 1, 0]),
        (Family::EVPN, vec![12, 1, 7]),
    ];
    for (family, raw) in unknown {
        let (_, good) = samples().iter().map(known).find(|(of, _)| *of == family).unwrap();
        let entries = read(family, &[&raw[..], &good].concat(), false, false);
        assert_eq!(entries[0].nlri, Nlri::Raw(raw.into()), "{family}");
        assert!(!matches!(entries[1].nlri, Nlri::Raw(_)), "{family}: what follows is read");
    }
}

#[test]
fn descriptive_fields_of_a_route_are_not_in_its_key() {
    // The encodings of two implementations, which differ in their bytes.
    let other = |byte: u8, detail| {
        Nlri::Structured(Box::new(StructuredNlri { bytes: [1, 0, 3, 0, byte].into(), detail }))
    };
    let block = |size: u16, label_base| {
        let vpls = VplsRoute::Block { rd: RD, ve_id: 1, offset: 1, size, label_base };
        other(u8::try_from(size).unwrap(), NlriDetail::Vpls(vpls))
    };
    assert_eq!(key(&block(8, 100)), key(&block(16, 200)));
    let prefix = Prefix::v4(0x0a00_0000, 8).unwrap();
    let session = |teid| MupKind::Session1 { prefix, teid, qfi: 0, endpoint: [1; 4].into(), source: None };
    let mup =
        |teid| other(u8::try_from(teid).unwrap(), NlriDetail::Mup(MupRoute { rd: RD, kind: session(teid) }));
    assert_eq!(key(&mup(1)), key(&mup(2)));
    let labelled = |labels: &[u32]| {
        Nlri::Labelled(Box::new(LabelledPrefix { rd: Some(RD), labels: labels.to_vec(), prefix }))
    };
    assert_eq!(key(&labelled(&[1])), key(&labelled(&[2, 3])));
}

#[test]
fn rd_and_prefix_of_every_family_are_in_their_columns() {
    let mut prefixes: BTreeMap<Family, usize> = BTreeMap::new();
    for sample in samples() {
        let entries = read(sample.family, &sample.bytes, false, false);
        let fields = entries[0].nlri.columns();
        let has_rd = [RD.0, [0, 2, 0xfa, 0x56, 0xea, 0, 0, 1]]
            .iter()
            .any(|rd| sample.bytes.windows(8).any(|bytes| bytes == rd));
        // A Leaf A-D route has an RD only inside the key of another route.
        let is_leaf = ["[4][0x", "[11][0x"].iter().any(|start| sample.text.starts_with(start));
        assert_eq!(fields.rd.is_some(), has_rd && !is_leaf, "{}", sample.text);
        if let Some(prefix) = fields.prefix {
            assert!(sample.text.contains(&prefix.to_string()), "{prefix} of {}", sample.text);
            *prefixes.entry(sample.family).or_default() += 1;
        }
    }
    let expected = [
        (1, 4, 3),
        (2, 4, 1),
        (1, 85, 3),
        (1, 128, 1),
        (2, 128, 1),
        (1, 129, 5),
        (2, 129, 2),
        (1, 133, 1),
        (2, 133, 1),
        (16_388, 71, 2),
    ];
    assert_eq!(prefixes, expected.into_iter().map(|(afi, safi, count)| (family(afi, safi), count)).collect());
}

#[test]
fn a_gateway_of_zeros_is_none() {
    let route = |gateway: [u8; 4]| {
        let body = [&RD.0[..], &[0; 14], &[24, 10, 1, 2, 0], &gateway, &[0, 0, 0x64]].concat();
        let entries = read(Family::EVPN, &[&[5, 34], &body[..]].concat(), false, false);
        entries[0].nlri.columns().gateway
    };
    assert_eq!((route([0; 4]), route([192, 0, 2, 1])), (None, Some([192, 0, 2, 1].into())));
}

#[test]
fn rds_and_mac_addresses_read_as_operators_write_them() {
    for (rd, text) in [
        ([0, 0, 0xfd, 0xe8, 0, 0, 0, 1], "65000:1"),
        ([0, 1, 192, 0, 2, 1, 0, 5], "192.0.2.1:5"),
        ([0, 2, 0xfa, 0x56, 0xea, 0, 0, 5], "4200000000:5"),
        ([0, 3, 0, 0, 0, 0, 0, 9], "0x0003000000000009"),
    ] {
        assert_eq!(Rd(rd).to_string(), text);
    }
    assert_eq!(Mac([0, 0x1b, 0x21, 0xaa, 0xbb, 0xcc]).to_string(), "00:1b:21:aa:bb:cc");
}

#[test]
fn link_state_descriptors_that_are_registered_have_names() {
    let text = |kind: u16, value: &[u8]| {
        let body = [&[2, 0, 0, 0, 0, 0, 0, 0, 7][..], &tlv(kind, value)].concat();
        read(family(16_388, 71), &tlv(1, &body), false, false)[0].nlri.text().unwrap()
    };
    let is_named = |kind: u16| !text(kind, &[0; 5]).contains(&format!("[{kind}="));
    // Node descriptors are inside two container TLVs, 256 and 257.
    let named: Vec<u16> = (200..600).filter(|kind| !matches!(kind, 256 | 257) && is_named(*kind)).collect();
    assert_eq!(named, [(258..=265).collect::<Vec<_>>(), (512..=518).collect()].concat());
    for (id, written) in [
        (&[192, 0, 2, 1][..], "192.0.2.1"),
        (&[0, 0, 0, 0, 0, 1], "0000.0000.0001"),
        (&[0, 0, 0, 0, 0, 1, 2], "0000.0000.0001.02"),
        (&[192, 0, 2, 1, 198, 51, 100, 1], "192.0.2.1:198.51.100.1"),
    ] {
        assert_eq!(text(515, id), format!("[node][isis-l2][7][router-id={written}]"));
    }
    // A router ID of five octets is invalid.
    assert_eq!(text(515, &[1; 5]), "[node][isis-l2][7][router-id=0x0101010101]");
}

#[test]
fn the_bits_of_a_route_target_that_do_not_count_are_cleared() {
    let exact = read(family(1, 132), &[33, 0, 0, 0xfd, 0xe8, 0x80], false, false);
    let loose = read(family(1, 132), &[33, 0, 0, 0xfd, 0xe8, 0xff], false, false);
    assert_eq!(exact, loose);
    for bits in [1, 31, 97, 255] {
        let bytes = [&[bits][..], &[0; 40]].concat();
        let error = bgp::nlri(family(1, 132), &bytes, Encoding::PLAIN, false).next().unwrap().unwrap_err();
        assert_eq!(
            error,
            Error::InvalidBitLength { what: "route target membership", length: bits, offset: 0 }
        );
    }
}
