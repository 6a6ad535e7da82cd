//! UPDATEs in the types of bgpkit, encoded by bgpkit: unicast only, which it encodes completely.

use std::net::{IpAddr, Ipv4Addr};

use bgpkit_parser::models::{
    AsPath, AsPathSegment, Asn, AsnLength, AttributeValue, Attributes, BgpMessage, BgpUpdateMessage,
    Community, LargeCommunity, NetworkPrefix, Nlri, Origin,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use crate::bgpkit;
use crate::generated::{net, read, v4, v6};

fn prefixes(ids: bool, is_v6: bool) -> impl Strategy<Value = Vec<NetworkPrefix>> {
    vec((any::<u32>(), net(is_v6)), 1..9).prop_map(move |routes| {
        routes.into_iter().map(|(id, net)| NetworkPrefix::new(net, ids.then_some(id))).collect()
    })
}

fn path() -> impl Strategy<Value = AsPath> {
    let segment = (any::<bool>(), vec(1..=u32::MAX, 1..12)).prop_map(|(is_set, asns)| {
        let asns = asns.into_iter().map(Asn::from).collect();
        if is_set { AsPathSegment::AsSet(asns) } else { AsPathSegment::AsSequence(asns) }
    });
    vec(segment, 0..4).prop_map(AsPath::from_segments)
}

/// The routes of MP_REACH_NLRI or MP_UNREACH_NLRI.
fn mp(prefixes: Vec<NetworkPrefix>, next_hop: Option<IpAddr>) -> Nlri {
    let one = match next_hop {
        Some(_) => Nlri::new_reachable(prefixes[0], next_hop),
        None => Nlri::new_unreachable(prefixes[0]),
    };
    Nlri { prefixes, ..one }
}

prop_compose! {
    fn attributes()(
        origin in prop_oneof![Just(Origin::IGP), Just(Origin::EGP), Just(Origin::INCOMPLETE)],
        path in path(),
        numbers in (
            of(any::<u32>()), of(any::<u32>()), of(any::<u32>()), of(v4()), of((1..=u32::MAX, v4())),
            any::<bool>(),
        ),
        // Short enough for a length of one octet, the default of its encoder.
        communities in vec(any::<(u16, u16)>(), 0..60),
        large in vec(any::<(u32, u32, u32)>(), 0..20),
        clusters in vec(any::<u32>(), 0..5),
    ) -> Vec<AttributeValue> {
        let (med, pref, otc, originator, aggregator, atomic) = numbers;
        let communities: Vec<_> =
            communities.into_iter().map(|(asn, value)| Community::Custom(Asn::from(asn), value)).collect();
        let large: Vec<_> = large.into_iter().map(|(a, b, c)| LargeCommunity::new(a, [b, c])).collect();
        [
            Some(AttributeValue::Origin(origin)),
            Some(AttributeValue::AsPath(path)),
            med.map(AttributeValue::MultiExitDiscriminator),
            pref.map(AttributeValue::LocalPreference),
            otc.map(|asn| AttributeValue::OnlyToCustomer(asn.into())),
            originator.map(AttributeValue::OriginatorId),
            aggregator.map(|(asn, id)| AttributeValue::Aggregator { asn: asn.into(), id }),
            atomic.then_some(AttributeValue::AtomicAggregate),
            (!communities.is_empty()).then_some(AttributeValue::Communities(communities)),
            (!large.is_empty()).then_some(AttributeValue::LargeCommunities(large)),
            (!clusters.is_empty()).then_some(AttributeValue::Clusters(clusters)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// With path identifiers or without; IPv6 or IPv4 announced.
fn update() -> impl Strategy<Value = (bool, BgpUpdateMessage)> {
    any::<(bool, bool)>().prop_flat_map(|(ids, is_v6)| {
        let routes = (prefixes(ids, is_v6), of(prefixes(ids, false)), of(prefixes(ids, true)));
        (attributes(), routes, v4(), v6()).prop_map(
            move |(mut values, (announced, gone4, gone6), hop4, hop6)| {
                let hop4: Ipv4Addr = hop4;
                let announced_prefixes = if is_v6 {
                    values.push(AttributeValue::MpReachNlri(mp(announced, Some(hop6.into()))));
                    Vec::new()
                } else {
                    values.push(AttributeValue::NextHop(hop4.into()));
                    announced
                };
                values.extend(gone6.map(|gone| AttributeValue::MpUnreachNlri(mp(gone, None))));
                let attributes: Attributes = values.into_iter().collect();
                let withdrawn_prefixes = gone4.unwrap_or_default();
                (ids, BgpUpdateMessage { withdrawn_prefixes, attributes, announced_prefixes })
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_bgpkit_writes_is_read_as_it_was_meant((ids, meant) in update()) {
        let pdu = BgpMessage::Update(meant.clone()).encode(AsnLength::Bits32).unwrap();
        let (read, meant) = (read(&pdu, ids, false), bgpkit::reading(&meant));
        prop_assert_eq!(&read.refused, &None);
        prop_assert_eq!((read.routes, read.attributes), (meant.routes, meant.attributes));
    }
}
