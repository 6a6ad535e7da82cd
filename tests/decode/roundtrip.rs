//! Round trips: the decoder returns the values that an independent encoder has written.

use crate::common::encoder;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use holdfast::bgp::{self, AttributeOutcome, Encoding};
use holdfast::bmp::{self, Message};
use holdfast::route::{
    Aggregator, AsPath, AsPathSegment, Attributes, Esi, EvpnRoute, Family, LabelledPrefix, Mac, Nlri,
    NlriEntry, Prefix, RawAttribute, Rd, SegmentKind,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

fn asn() -> impl Strategy<Value = u32> {
    // AS_TRANS itself cannot be represented on a two-octet session: it means "see AS4_PATH".
    prop_oneof![1_u32..23_456, 64_512_u32..=65_535, 65_536..=u32::MAX]
}

/// Paths that pass a two-octet speaker unchanged by RFC 6793: confederation segments only at the front, with
/// two-octet AS numbers.
fn as_path() -> impl Strategy<Value = AsPath> {
    let kinds = proptest::sample::select(&[SegmentKind::ConfedSequence, SegmentKind::ConfedSet][..]);
    let confederation = vec((kinds, vec(1_u32..23_456, 1..20)), 0..2);
    let kinds = proptest::sample::select(&[SegmentKind::Sequence, SegmentKind::Set][..]);
    let plain = vec((kinds, vec(asn(), 1..20)), 0..4);
    (confederation, plain).prop_map(|(front, rest)| {
        let segments: Vec<_> = front.into_iter().chain(rest).collect();
        AsPath {
            segments: segments
                .iter()
                .map(|(kind, asns)| AsPathSegment { kind: *kind, count: u16::try_from(asns.len()).unwrap() })
                .collect(),
            asns: segments.into_iter().flat_map(|(_, asns)| asns).collect(),
        }
    })
}

fn v4() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from_bits)
}

fn v6() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(Ipv6Addr::from_bits)
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![v4().prop_map(IpAddr::from), v6().prop_map(IpAddr::from)]
}

fn raw() -> impl Strategy<Value = Vec<RawAttribute>> {
    let attribute = (129_u8..=254, any::<u8>(), vec(any::<u8>(), 0..400));
    vec(attribute, 0..3).prop_map(|attributes| {
        let mut raw: Vec<RawAttribute> = Vec::new();
        for (code, flags, value) in attributes {
            // The encoder sets the extended length flag.
            let flags = if value.len() > 255 { flags | 0x10 } else { flags & !0x10 };
            if raw.iter().all(|other| other.code != code) {
                raw.push(RawAttribute { flags, code, value });
            }
        }
        raw
    })
}

prop_compose! {
    fn attributes()(
        origin in of(0_u8..=2),
        as_path in of(as_path()),
        next_hop in of(v4().prop_map(IpAddr::from)),
        (med, local_pref, aigp, only_to_customer) in
            (of(any::<u32>()), of(any::<u32>()), of(any::<u64>()), of(any::<u32>())),
        atomic_aggregate in any::<bool>(),
        aggregator in of((asn(), v4()).prop_map(|(asn, address)| Aggregator { asn, address })),
        communities in vec(any::<u32>(), 0..80),
        extended_communities in vec(any::<[u8; 8]>(), 0..10),
        large_communities in vec(any::<[u32; 3]>(), 0..10),
        originator_id in of(v4()),
        cluster_list in vec(v4(), 0..5),
        raw in raw(),
    ) -> Attributes {
        Attributes {
            origin, as_path, next_hop, med, local_pref, atomic_aggregate, aggregator, communities,
            extended_communities, large_communities, originator_id, cluster_list, aigp, only_to_customer, raw,
            next_hop_link_local: None, discarded: Vec::new(), rare: Vec::new(), missing: Vec::new(),
        }
    }
}

fn prefix4() -> impl Strategy<Value = Nlri> {
    (any::<u32>(), 0_u8..=32).prop_map(|(bits, length)| Nlri::Prefix(Prefix::v4(bits, length).unwrap()))
}

fn prefix6() -> impl Strategy<Value = Nlri> {
    (any::<u128>(), 0_u8..=128).prop_map(|(bits, length)| Nlri::Prefix(Prefix::v6(bits, length).unwrap()))
}

fn labelled(has_rd: bool, is_v4: bool) -> impl Strategy<Value = Nlri> {
    let prefix = if is_v4 { prefix4().boxed() } else { prefix6().boxed() };
    // Two labels at most: with more, RD and a long prefix would not fit a length of one octet.
    (any::<[u8; 8]>(), vec(0_u32..1 << 20, 1..3), prefix).prop_map(move |(rd, labels, prefix)| {
        let Nlri::Prefix(prefix) = prefix else { unreachable!("a prefix strategy") };
        Nlri::Labelled(Box::new(LabelledPrefix { rd: has_rd.then_some(Rd(rd)), labels, prefix }))
    })
}

fn evpn() -> impl Strategy<Value = Nlri> {
    let common =
        (any::<[u8; 8]>().prop_map(Rd), any::<[u8; 10]>().prop_map(Esi), any::<u32>(), 0_u32..1 << 24);
    let rest =
        (any::<[u8; 6]>(), of(address()), address(), of(0_u32..1 << 24), prop_oneof![prefix4(), prefix6()]);
    (1_u8..=6, common, rest, v4(), v6()).prop_map(
        |(kind, (rd, esi, tag, label), rest, gateway4, gateway6)| {
            let (mac, ip, originator, label2, prefix) = rest;
            let Nlri::Prefix(prefix) = prefix else { unreachable!("a prefix strategy") };
            let gateway = if prefix.is_ipv4() { gateway4.into() } else { gateway6.into() };
            Nlri::Evpn(Box::new(match kind {
                1 => EvpnRoute::AutoDiscovery { rd, esi, tag, label },
                2 => EvpnRoute::MacIp { rd, esi, tag, mac: Mac(mac), ip, label, label2 },
                3 => EvpnRoute::InclusiveMulticast { rd, tag, originator },
                4 => EvpnRoute::EthernetSegment { rd, esi, originator },
                5 => EvpnRoute::IpPrefix { rd, esi, tag, prefix, gateway, label },
                _ => return Nlri::Raw([&[12, 6][..], &mac].concat().into()),
            }))
        },
    )
}

fn entries(nlri: impl Strategy<Value = Nlri> + 'static) -> BoxedStrategy<Vec<NlriEntry>> {
    let entry = (any::<u32>(), nlri).prop_map(|(path_id, nlri)| NlriEntry { path_id, nlri });
    vec(entry, 0..20).boxed()
}

/// A family with routes.
fn field() -> impl Strategy<Value = (Family, Vec<NlriEntry>)> {
    prop_oneof![
        entries(prefix4()).prop_map(|entries| (Family::IPV4_UNICAST, entries)),
        entries(prefix4()).prop_map(|entries| (Family::IPV4_MULTICAST, entries)),
        entries(prefix6()).prop_map(|entries| (Family::IPV6_UNICAST, entries)),
        entries(prefix6()).prop_map(|entries| (Family::IPV6_MULTICAST, entries)),
        entries(evpn()).prop_map(|entries| (Family::EVPN, entries)),
        entries(labelled(false, true)).prop_map(|entries| (Family { afi: 1, safi: 4 }, entries)),
        entries(labelled(false, false)).prop_map(|entries| (Family { afi: 2, safi: 4 }, entries)),
        entries(labelled(true, true)).prop_map(|entries| (Family { afi: 1, safi: 128 }, entries)),
        entries(labelled(true, false)).prop_map(|entries| (Family { afi: 2, safi: 128 }, entries)),
    ]
}

fn read(family: Family, bytes: &[u8], add_path: bool) -> Vec<NlriEntry> {
    bgp::nlri(family, bytes, Encoding { add_path, multiple_labels: true }, false)
        .map(Result::unwrap)
        .collect()
}

/// Without ADD-PATH the path identifier is 0.
fn as_read(entries: &[NlriEntry], add_path: bool) -> Vec<NlriEntry> {
    let path_id = |entry: &NlriEntry| if add_path { entry.path_id } else { 0 };
    entries.iter().map(|entry| NlriEntry { path_id: path_id(entry), nlri: entry.nlri.clone() }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn attributes_survive_sessions_of_both_widths(sent in attributes(), four_octet_as: bool) {
        let pdu = encoder::update(&[], &encoder::attributes(&sent, four_octet_as), &[]);
        let update = bgp::split(&pdu).unwrap();
        prop_assert!(bgp::as_path_width_fits(&update, four_octet_as));
        let (decoded, verdict) = bgp::attributes(&update, four_octet_as);
        prop_assert_eq!(verdict, AttributeOutcome::Accepted);
        prop_assert_eq!(decoded, sent);
    }

    #[test]
    fn all_fields_of_an_update_survive(
        withdrawn in entries(prefix4()),
        announced in entries(prefix4()),
        reach in of(field()),
        unreach in of(field()),
        next_hop in v6(),
        before in attributes(),
        add_path: bool,
    ) {
        let mut section = Vec::new();
        if let Some((family, entries)) = &reach {
            section.extend(encoder::mp_reach(*family, &next_hop.octets(), &encoder::nlri(entries, add_path)));
        }
        section.extend(encoder::attributes(&before, true));
        if let Some((family, entries)) = &unreach {
            section.extend(encoder::mp_unreach(*family, &encoder::nlri(entries, add_path)));
        }
        let (withdrawn_field, announced_field) =
            (encoder::nlri(&withdrawn, add_path), encoder::nlri(&announced, add_path));
        let pdu = encoder::update(&withdrawn_field, &section, &announced_field);
        let message = encoder::bmp(0, &[&encoder::peer_v4(), &pdu, &[9, 9]]);
        let Ok(Message::RouteMonitoring { pdu, trailer, .. }) = bmp::decode(&message) else {
            panic!("refused")
        };
        prop_assert_eq!(trailer, [9, 9]);

        let update = bgp::split(pdu).unwrap();
        let v4 = Family::IPV4_UNICAST;
        prop_assert_eq!(read(v4, update.withdrawn, add_path), as_read(&withdrawn, add_path));
        prop_assert_eq!(read(v4, update.nlri, add_path), as_read(&announced, add_path));
        let read_reach = update.mp_reach.map(|mp| (mp.family, read(mp.family, mp.nlri, add_path)));
        prop_assert_eq!(read_reach, reach.as_ref().map(|(family, sent)| (*family, as_read(sent, add_path))));
        let read_unreach = update.mp_unreach.map(|mp| (mp.family, read(mp.family, mp.nlri, add_path)));
        prop_assert_eq!(read_unreach, unreach.map(|(family, sent)| (family, as_read(&sent, add_path))));

        let mut expected = before;
        if !announced.is_empty() || reach.is_some() {
            let needs_next_hop = !announced.is_empty() && reach.is_none();
            let missing = [
                (1, expected.origin.is_none()),
                (2, expected.as_path.is_none()),
                (3, needs_next_hop && expected.next_hop.is_none()),
            ];
            expected.missing =
                missing.iter().filter(|(_, is_missing)| *is_missing).map(|(code, _)| *code).collect();
        }
        if reach.is_some() {
            expected.next_hop = Some(next_hop.into());
        }
        prop_assert_eq!(bgp::attributes(&update, true), (expected, AttributeOutcome::Accepted));
    }
}
