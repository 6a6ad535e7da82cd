//! UPDATEs that are generated in NetGauze's types, encoded by NetGauze, decoded by Holdfast, and compared
//! field by field with the generated values.

use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use holdfast::bgp::{self, Encoding};
use holdfast::route::{
    Descriptor, DescriptorScope, DescriptorValue, Family, LinkStateRoute, Nlri, NlriDetail,
};
use netgauze_bgp_pkt::BgpMessage;
use netgauze_bgp_pkt::community::{
    Community, ExtendedCommunity, LargeCommunity, TransitiveIpv4ExtendedCommunity,
    TransitiveTwoOctetExtendedCommunity,
};
use netgauze_bgp_pkt::iana::BgpLsProtocolId;
use netgauze_bgp_pkt::nlri::*;
use netgauze_bgp_pkt::path_attribute::{
    Aggregator, Aigp, As2Aggregator, As2PathSegment, As4Aggregator, As4PathSegment, AsPath,
    AsPathSegmentType, AtomicAggregate, ClusterId, ClusterList, Communities, ExtendedCommunities,
    LargeCommunities, LocalPreference, MpReach, MpUnreach, MultiExitDiscriminator, NextHop, OnlyToCustomer,
    Origin, Originator, PathAttribute, PathAttributeValue,
};
use netgauze_bgp_pkt::update::BgpUpdateMessage;
use netgauze_parse_utils::WritablePdu;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use crate::common::messages::{Header, PEER, TWO_OCTET_AS, add_path, four_octet_as, multiprotocol, open};
use crate::netgauze;
use crate::ours::Ours;

/// All families that its types have, by number.
const ALL: [(u16, u8); 12] = netgauze::FAMILIES;

/// An IPv4 or IPv6 prefix in the notation from which every prefix type can be parsed.
pub(crate) fn net<T>(is_v6: bool) -> impl Strategy<Value = T> + Clone
where
    T: FromStr<Err: Debug> + Debug,
{
    (any::<u128>(), 1_u8..=128).prop_map(move |(bits, length)| {
        // Its types reject some networks that a monitor stores (see verdicts.rs); none of them is generated.
        let text = if is_v6 {
            let (length, bits) = (length.max(8), bits >> 3 | 0x2000 << 112);
            format!("{}/{length}", Ipv6Addr::from_bits(bits & u128::MAX << (128 - length)))
        } else {
            let length = length.div_ceil(4).max(4);
            let bits = u32::try_from(bits >> 96).unwrap() >> 2 | 0x4000_0000;
            format!("{}/{length}", Ipv4Addr::from_bits(bits & u32::MAX << (32 - length)))
        };
        text.parse().unwrap()
    })
}

/// A multicast group or a longer prefix, as its types require for the multicast families.
fn groups<T>(is_v6: bool) -> impl Strategy<Value = T> + Clone
where
    T: FromStr<Err: Debug> + Debug,
{
    (any::<u32>(), 0_u8..=16).prop_map(move |(bits, more)| {
        let text = if is_v6 {
            format!("ff0e:{:x}::/{}", bits & u32::MAX << (16 - more) & 0xffff, 16 + more)
        } else {
            let group = Ipv4Addr::from_bits((0xe000_0000 | bits >> 4) & u32::MAX << (28 - more));
            format!("{group}/{}", 4 + more)
        };
        text.parse().unwrap()
    })
}

pub(crate) fn v4() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from_bits)
}

pub(crate) fn v6() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(Ipv6Addr::from_bits)
}

fn address() -> impl Strategy<Value = IpAddr> + Clone {
    prop_oneof![
        any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
        any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
    ]
}

fn rd() -> impl Strategy<Value = RouteDistinguisher> {
    prop_oneof![
        any::<(u16, u32)>().prop_map(|(asn2, number)| RouteDistinguisher::As2Administrator { asn2, number }),
        any::<(u32, u16)>().prop_map(|(ip, number)| RouteDistinguisher::Ipv4Administrator {
            ip: Ipv4Addr::from_bits(ip),
            number
        }),
        any::<(u32, u16)>().prop_map(|(asn4, number)| RouteDistinguisher::As4Administrator { asn4, number }),
    ]
}

fn label_of(label: u32, is_last: bool) -> MplsLabel {
    let [_, a, b, c] = (label << 4 | u32::from(is_last)).to_be_bytes();
    MplsLabel::new([a, b, c])
}

fn label() -> impl Strategy<Value = MplsLabel> {
    (0..1_u32 << 20).prop_map(|label| label_of(label, true))
}

/// One label or two, the last at the bottom of the stack.
fn labels() -> impl Strategy<Value = Vec<MplsLabel>> {
    vec(0..1_u32 << 20, 1..3).prop_map(|labels| {
        let last = labels.len() - 1;
        labels.iter().enumerate().map(|(place, label)| label_of(*label, place == last)).collect()
    })
}

fn evpn() -> impl Strategy<Value = L2EvpnRoute> {
    let segment = || any::<[u8; 10]>().prop_map(EthernetSegmentIdentifier::new);
    let tag = || any::<u32>().prop_map(EthernetTag::new);
    prop_oneof![
        (rd(), segment(), tag(), label()).prop_map(|(rd, segment, tag, label)| {
            L2EvpnRoute::EthernetAutoDiscovery(EthernetAutoDiscovery::new(rd, segment, tag, label))
        }),
        (rd(), segment(), tag(), any::<[u8; 6]>(), of(address()), label(), of(label())).prop_map(
            |(rd, segment, tag, mac, ip, label, second)| {
                let mac = MacAddress::new(mac);
                let route = MacIpAdvertisement::new(rd, segment, tag, mac, ip, label, second);
                L2EvpnRoute::MacIpAdvertisement(route)
            }
        ),
        (rd(), tag(), address()).prop_map(|(rd, tag, ip)| {
            let route = InclusiveMulticastEthernetTagRoute::new(rd, tag, ip);
            L2EvpnRoute::InclusiveMulticastEthernetTagRoute(route)
        }),
        (rd(), segment(), address()).prop_map(|(rd, segment, ip)| {
            L2EvpnRoute::EthernetSegmentRoute(EthernetSegmentRoute::new(rd, segment, ip))
        }),
        (rd(), segment(), tag(), net(false), v4(), label()).prop_map(
            |(rd, segment, tag, net, gateway, label)| {
                let route = L2EvpnIpv4PrefixRoute::new(rd, segment, tag, net, gateway, label);
                L2EvpnRoute::IpPrefixRoute(L2EvpnIpPrefixRoute::V4(route))
            }
        ),
        (rd(), segment(), tag(), net(true), v6(), label()).prop_map(
            |(rd, segment, tag, net, gateway, label)| {
                let route = L2EvpnIpv6PrefixRoute::new(rd, segment, tag, net, gateway, label);
                L2EvpnRoute::IpPrefixRoute(L2EvpnIpPrefixRoute::V6(route))
            }
        ),
    ]
}

fn member() -> impl Strategy<Value = Option<RouteTargetMembership>> {
    // Whole octets: its types do not define the bits of a partial octet.
    let targets = vec(any::<u8>(), 0..=8);
    of((any::<u32>(), targets).prop_map(|(origin, target)| RouteTargetMembership::new(origin, target)))
}

/// Node descriptors of the kinds that both decoders decode.
fn node() -> impl Strategy<Value = BgpLsNodeDescriptors> {
    use BgpLsNodeDescriptorSubTlv as Sub;
    let one = prop_oneof![
        any::<u32>().prop_map(Sub::AutonomousSystem),
        any::<u32>().prop_map(Sub::BgpLsIdentifier),
        any::<u32>().prop_map(Sub::OspfAreaId),
        vec(any::<u8>(), 4).prop_map(|id| Sub::IgpRouterId(id.into())),
        vec(any::<u8>(), 6..=8).prop_map(|id| Sub::IgpRouterId(id.into())),
        any::<u32>().prop_map(Sub::BgpRouterIdentifier),
        any::<u32>().prop_map(Sub::MemberAsNumber),
        vec(any::<u8>(), 0..9).prop_map(|value| Sub::Unknown { code: 600, value: value.into() }),
    ];
    vec(one, 0..5).prop_map(BgpLsNodeDescriptors::new)
}

fn link_state() -> impl Strategy<Value = BgpLsNlriValue> {
    use BgpLsLinkDescriptor as Link;
    let topologies = || {
        let id = (0_u16..0x1000).prop_map(MultiTopologyId::from);
        vec(id, 1..4).prop_map(MultiTopologyIdData::new)
    };
    let protocol = || (1_u8..=9).prop_map(|number| BgpLsProtocolId::from_repr(number).unwrap());
    let link = prop_oneof![
        any::<(u32, u32)>().prop_map(|(local, remote)| Link::LinkLocalRemoteIdentifiers {
            link_local_identifier: local,
            link_remote_identifier: remote
        }),
        v4().prop_map(Link::IPv4InterfaceAddress),
        v4().prop_map(Link::IPv4NeighborAddress),
        v6().prop_map(Link::IPv6InterfaceAddress),
        v6().prop_map(Link::IPv6NeighborAddress),
        topologies().prop_map(Link::MultiTopologyIdentifier),
    ];
    let prefix = |is_v6| {
        let ospf = (1_u8..=6).prop_map(|kind| OspfRouteType::from_repr(kind).unwrap());
        let one = prop_oneof![
            topologies().prop_map(BgpLsPrefixDescriptor::MultiTopologyIdentifier),
            ospf.prop_map(BgpLsPrefixDescriptor::OspfRouteType),
            net(is_v6).prop_map(|net| {
                let net = IpReachabilityInformationData::new(net);
                BgpLsPrefixDescriptor::IpReachabilityInformation(net)
            }),
        ];
        let local = node().prop_map(BgpLsLocalNodeDescriptors::new);
        (protocol(), any::<u64>(), local, vec(one, 0..4))
            .prop_map(|(protocol, id, local, rest)| BgpLsNlriIpPrefix::new(protocol, id, local, rest))
    };
    let local = || node().prop_map(BgpLsLocalNodeDescriptors::new);
    let remote = node().prop_map(BgpLsRemoteNodeDescriptors::new);
    prop_oneof![
        (protocol(), any::<u64>(), local())
            .prop_map(|(protocol, id, local)| BgpLsNlriValue::Node(BgpLsNlriNode::new(protocol, id, local))),
        (protocol(), any::<u64>(), local(), remote, vec(link, 0..5)).prop_map(
            |(protocol, id, local, remote, rest)| {
                BgpLsNlriValue::Link(BgpLsNlriLink::new(protocol, id, local, remote, rest))
            }
        ),
        prefix(false).prop_map(BgpLsNlriValue::Ipv4Prefix),
        prefix(true).prop_map(BgpLsNlriValue::Ipv6Prefix),
    ]
}

/// The expected decode by Holdfast.
fn meant(value: &BgpLsNlriValue) -> (u16, u8, u64, Vec<Descriptor>) {
    let node = |scope, nodes: &BgpLsNodeDescriptors| -> Vec<Descriptor> {
        use BgpLsNodeDescriptorSubTlv as Sub;
        let one = |sub: &Sub| {
            let (kind, value) = match sub {
                Sub::AutonomousSystem(number) => (512, DescriptorValue::Number(*number)),
                Sub::BgpLsIdentifier(number) => (513, DescriptorValue::Number(*number)),
                Sub::OspfAreaId(number) => (514, DescriptorValue::Number(*number)),
                Sub::IgpRouterId(id) => (515, DescriptorValue::RouterId(id.to_vec())),
                Sub::BgpRouterIdentifier(id) => {
                    (516, DescriptorValue::Address(Ipv4Addr::from_bits(*id).into()))
                }
                Sub::MemberAsNumber(number) => (517, DescriptorValue::Number(*number)),
                Sub::Unknown { code, value } => (*code, DescriptorValue::Raw(value.to_vec())),
            };
            Descriptor { scope, kind, value }
        };
        nodes.subtlvs().iter().map(one).collect()
    };
    let object = |kind, value| Descriptor { scope: DescriptorScope::Object, kind, value };
    let topologies = |data: &MultiTopologyIdData| {
        object(263, DescriptorValue::Topologies(data.id().iter().map(|id| id.value()).collect()))
    };
    let address = |kind, address: IpAddr| object(kind, DescriptorValue::Address(address));
    let link = |one: &BgpLsLinkDescriptor| match one {
        BgpLsLinkDescriptor::LinkLocalRemoteIdentifiers { link_local_identifier, link_remote_identifier } => {
            object(258, DescriptorValue::LinkIds(*link_local_identifier, *link_remote_identifier))
        }
        BgpLsLinkDescriptor::IPv4InterfaceAddress(ip) => address(259, (*ip).into()),
        BgpLsLinkDescriptor::IPv4NeighborAddress(ip) => address(260, (*ip).into()),
        BgpLsLinkDescriptor::IPv6InterfaceAddress(ip) => address(261, (*ip).into()),
        BgpLsLinkDescriptor::IPv6NeighborAddress(ip) => address(262, (*ip).into()),
        BgpLsLinkDescriptor::MultiTopologyIdentifier(data) => topologies(data),
        BgpLsLinkDescriptor::Unknown { code, value } => object(*code, DescriptorValue::Raw(value.to_vec())),
    };
    let prefix = |one: &BgpLsPrefixDescriptor| match one {
        BgpLsPrefixDescriptor::MultiTopologyIdentifier(data) => topologies(data),
        BgpLsPrefixDescriptor::OspfRouteType(kind) => {
            object(264, DescriptorValue::Number(u8::from(*kind).into()))
        }
        BgpLsPrefixDescriptor::IpReachabilityInformation(data) => {
            let (address, length) = (data.address().addr(), data.address().prefix_len());
            let prefix = match address {
                IpAddr::V4(v4) => holdfast::route::Prefix::v4(v4.to_bits(), length),
                IpAddr::V6(v6) => holdfast::route::Prefix::v6(v6.to_bits(), length),
            };
            object(265, DescriptorValue::Prefix(prefix.unwrap()))
        }
        BgpLsPrefixDescriptor::Unknown { code, value } => object(*code, DescriptorValue::Raw(value.to_vec())),
    };
    match value {
        BgpLsNlriValue::Node(one) => {
            let nodes = node(DescriptorScope::LocalNode, one.local_node_descriptors().descriptors());
            (1, one.protocol_id() as u8, one.identifier(), nodes)
        }
        BgpLsNlriValue::Link(one) => {
            let mut all = node(DescriptorScope::LocalNode, one.local_node_descriptors().descriptors());
            all.extend(node(DescriptorScope::RemoteNode, one.remote_node_descriptors().descriptors()));
            all.extend(one.link_descriptors().iter().map(link));
            (2, one.protocol_id() as u8, one.identifier(), all)
        }
        BgpLsNlriValue::Ipv4Prefix(one) | BgpLsNlriValue::Ipv6Prefix(one) => {
            let mut all = node(DescriptorScope::LocalNode, one.local_node_descriptors().descriptors());
            all.extend(one.prefix_descriptors().iter().map(prefix));
            let kind = if matches!(value, BgpLsNlriValue::Ipv4Prefix(_)) { 3 } else { 4 };
            (kind, one.protocol_id() as u8, one.identifier(), all)
        }
        BgpLsNlriValue::Unknown { .. } => unreachable!("none is made"),
    }
}

/// Several routes, all with path identifiers or none.
fn several<T: Debug + Clone>(
    ids: bool,
    route: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<(Option<u32>, T)>> {
    vec((any::<u32>().prop_map(move |id| ids.then_some(id)), route), 1..9)
}

fn labelled_hop() -> impl Strategy<Value = LabeledNextHop> {
    prop_oneof![
        (rd(), v4()).prop_map(|(rd, hop)| LabeledNextHop::Ipv4(LabeledIpv4NextHop::new(rd, hop))),
        (rd(), v6()).prop_map(|(rd, hop)| LabeledNextHop::Ipv6(LabeledIpv6NextHop::new(rd, hop, None))),
    ]
}

/// Announcement and withdrawal of each family, from the same routes.
macro_rules! both {
    ($kind:ident { $($hop:tt)* }, $routes:expr, $make:expr) => {{
        let nlri: Box<[_]> = $routes.into_iter().map($make).collect();
        (MpReach::$kind { $($hop)*, nlri: nlri.clone() }, MpUnreach::$kind { nlri })
    }};
}

/// The routes of one family: to be announced, and to be withdrawn. Its writer has no path identifiers for
/// labelled unicast (SAFI 4).
fn routes(ids: bool) -> impl Strategy<Value = (MpReach, MpUnreach)> {
    prop_oneof![
        (several(ids, net(false)), address()).prop_map(|(routes, next_hop)| {
            both!(Ipv4Unicast { next_hop, next_hop_local: None }, routes, |(id, net)| {
                Ipv4UnicastAddress::new(id, Ipv4Unicast::from_net(net).unwrap())
            })
        }),
        (several(ids, net(true)), v6(), of(v6())).prop_map(|(routes, next_hop_global, next_hop_local)| {
            both!(Ipv6Unicast { next_hop_global, next_hop_local }, routes, |(id, net)| {
                Ipv6UnicastAddress::new(id, Ipv6Unicast::from_net(net).unwrap())
            })
        }),
        (several(ids, groups(false)), address()).prop_map(|(routes, next_hop)| {
            both!(Ipv4Multicast { next_hop, next_hop_local: None }, routes, |(id, net)| {
                Ipv4MulticastAddress::new(id, Ipv4Multicast::from_net(net).unwrap())
            })
        }),
        (several(ids, groups(true)), v6()).prop_map(|(routes, next_hop_global)| {
            both!(Ipv6Multicast { next_hop_global, next_hop_local: None }, routes, |(id, net)| {
                Ipv6MulticastAddress::new(id, Ipv6Multicast::from_net(net).unwrap())
            })
        }),
        (several(false, (net(false), labels())), address()).prop_map(|(routes, next_hop)| {
            both!(Ipv4NlriMplsLabels { next_hop, next_hop_local: None }, routes, |(id, (net, labels))| {
                Ipv4NlriMplsLabelsAddress::from(id, labels, net).unwrap()
            })
        }),
        (several(false, (net(true), labels())), address()).prop_map(|(routes, next_hop)| {
            both!(Ipv6NlriMplsLabels { next_hop, next_hop_local: None }, routes, |(id, (net, labels))| {
                Ipv6NlriMplsLabelsAddress::from(id, labels, net).unwrap()
            })
        }),
        (several(ids, (rd(), net(false), labels())), labelled_hop()).prop_map(|(routes, next_hop)| {
            both!(Ipv4MplsVpnUnicast { next_hop }, routes, |(id, (rd, net, labels))| {
                Ipv4MplsVpnUnicastAddress::new(id, rd, labels, Ipv4Unicast::from_net(net).unwrap())
            })
        }),
        (several(ids, (rd(), net(true), label())), labelled_hop()).prop_map(|(routes, next_hop)| {
            both!(Ipv6MplsVpnUnicast { next_hop }, routes, |(id, (rd, net, label))| {
                Ipv6MplsVpnUnicastAddress::new(id, rd, [label], Ipv6Unicast::from_net(net).unwrap())
            })
        }),
        (several(ids, evpn()), address()).prop_map(|(routes, next_hop)| {
            both!(L2Evpn { next_hop }, routes, |(id, route)| L2EvpnAddress::new(id, route))
        }),
        (several(ids, member()), address()).prop_map(|(routes, next_hop)| {
            both!(RouteTargetMembership { next_hop }, routes, |(id, member)| {
                RouteTargetMembershipAddress::new(id, member)
            })
        }),
        (several(ids, link_state()), address()).prop_map(|(routes, next_hop)| {
            both!(BgpLs { next_hop }, routes, |(id, value)| BgpLsNlri::new(id, value))
        }),
        (several(ids, (rd(), link_state())), labelled_hop()).prop_map(|(routes, next_hop)| {
            both!(BgpLsVpn { next_hop }, routes, |(id, (rd, value))| BgpLsVpnNlri::new(id, rd, value))
        }),
    ]
}

/// An AS number whose first two octets are not zero. AS 0 is malformed (RFC 7607); tests/decode covers it.
fn asn() -> impl Strategy<Value = u32> {
    0x1_0000..=u32::MAX
}

fn path(two_octets: bool) -> impl Strategy<Value = PathAttributeValue> {
    let kind = prop_oneof![Just(AsPathSegmentType::AsSet), Just(AsPathSegmentType::AsSequence)];
    vec((kind, vec(asn(), 1..12)), 0..4).prop_map(move |segments| {
        PathAttributeValue::AsPath(if two_octets {
            let two = |asns: Vec<u32>| asns.into_iter().map(|asn| u16::try_from(asn >> 16).unwrap());
            let segment = |(kind, asns)| As2PathSegment::new(kind, two(asns).collect::<Vec<_>>());
            AsPath::as2_path_segments(segments.into_iter().map(segment).collect::<Vec<_>>())
        } else {
            let segment = |(kind, asns)| As4PathSegment::new(kind, asns);
            AsPath::as4_path_segments(segments.into_iter().map(segment).collect::<Vec<_>>())
        })
    })
}

fn aggregator(two_octets: bool) -> impl Strategy<Value = PathAttributeValue> {
    (asn(), v4()).prop_map(move |(asn, origin)| {
        PathAttributeValue::Aggregator(if two_octets {
            Aggregator::As2Aggregator(As2Aggregator::new(u16::try_from(asn >> 16).unwrap(), origin))
        } else {
            Aggregator::As4Aggregator(As4Aggregator::new(asn, origin))
        })
    })
}

fn extended() -> impl Strategy<Value = ExtendedCommunity> {
    prop_oneof![
        any::<(u16, u32)>().prop_map(|(global_admin, local_admin)| {
            let target = TransitiveTwoOctetExtendedCommunity::RouteTarget { global_admin, local_admin };
            ExtendedCommunity::TransitiveTwoOctet(target)
        }),
        (v4(), any::<u16>()).prop_map(|(global_admin, local_admin)| {
            let origin = TransitiveIpv4ExtendedCommunity::RouteOrigin { global_admin, local_admin };
            ExtendedCommunity::TransitiveIpv4(origin)
        }),
    ]
}

/// Any of the optional attributes, each at most once.
fn optional(two_octets: bool) -> impl Strategy<Value = Vec<PathAttributeValue>> {
    use PathAttributeValue as Value;
    let numbers =
        (of(any::<u32>()), of(any::<u32>()), of(any::<u32>()), of(any::<u64>()), of(v4()), any::<bool>());
    let lists = (
        vec(any::<u32>(), 0..70),
        vec(extended(), 0..9),
        vec(any::<(u32, u32, u32)>(), 0..30),
        vec(v4(), 0..5),
        of(aggregator(two_octets)),
    );
    (numbers, lists).prop_map(|(numbers, lists)| {
        let (med, pref, otc, aigp, originator, atomic) = numbers;
        let (communities, extended, large, clusters, aggregator) = lists;
        let communities: Vec<_> = communities.into_iter().map(Community::new).collect();
        let large: Vec<_> = large.into_iter().map(|(a, b, c)| LargeCommunity::new(a, b, c)).collect();
        let clusters: Vec<_> = clusters.into_iter().map(ClusterId::new).collect();
        [
            med.map(|med| Value::MultiExitDiscriminator(MultiExitDiscriminator::new(med))),
            pref.map(|pref| Value::LocalPreference(LocalPreference::new(pref))),
            otc.map(|otc| Value::OnlyToCustomer(OnlyToCustomer::new(otc))),
            aigp.map(|metric| Value::Aigp(Aigp::AccumulatedIgpMetric(metric))),
            originator.map(|id| Value::Originator(Originator::new(id))),
            atomic.then_some(Value::AtomicAggregate(AtomicAggregate)),
            (!communities.is_empty()).then(|| Value::Communities(Communities::new(communities))),
            (!extended.is_empty()).then(|| Value::ExtendedCommunities(ExtendedCommunities::new(extended))),
            (!large.is_empty()).then(|| Value::LargeCommunities(LargeCommunities::new(large))),
            (!clusters.is_empty()).then(|| Value::ClusterList(ClusterList::new(clusters))),
            aggregator,
        ]
        .into_iter()
        .flatten()
        .collect()
    })
}

/// With the flags that the attribute must have.
pub(crate) fn attribute(value: PathAttributeValue) -> PathAttribute {
    let flags = |optional: bool, transitive: bool| {
        PathAttribute::from(optional, transitive, false, true, value.clone())
    };
    [(false, true), (true, false), (true, true)]
        .into_iter()
        .find_map(|(optional, transitive)| flags(optional, transitive).ok())
        .unwrap()
}

/// A session whose OPENs negotiate all capabilities, with one UPDATE.
pub(crate) fn read(pdu: &[u8], ids: bool, two_octets: bool) -> crate::reading::Reading {
    let families = ALL.iter().map(|(afi, safi)| multiprotocol(*afi, *safi));
    let labels =
        [1_u8, 2].iter().flat_map(|afi| [4, 128].map(|safi| [0, *afi, safi, 255])).collect::<Vec<_>>();
    let tuples =
        ALL.iter().filter(|(_, safi)| ids && *safi != 4).flat_map(|(afi, safi)| add_path(*afi, *safi, 3).1);
    let capabilities: Vec<_> =
        families.chain([four_octet_as(65_000), (8, labels.concat()), (69, tuples.collect())]).collect();
    let open = open(65_000, &capabilities);
    let mut ours = Ours::new();
    ours.read(&PEER.peer_up(&open, &open, &[]));
    let flags = if two_octets { TWO_OCTET_AS } else { 0 };
    ours.read(&Header { flags, ..PEER }.route_monitoring(pdu))
}

/// One UPDATE in its types, with the encoding: ADD-PATH and width of AS numbers.
fn update() -> impl Strategy<Value = (bool, bool, BgpUpdateMessage)> {
    let origin = prop_oneof![Just(Origin::IGP), Just(Origin::EGP), Just(Origin::Incomplete)];
    any::<(bool, bool)>().prop_flat_map(move |(ids, two_octets)| {
        let classic = || {
            vec((any::<u32>(), net(false)), 0..9).prop_map(move |routes| {
                let one = |(id, net)| {
                    Ipv4UnicastAddress::new(Some(id).filter(|_| ids), Ipv4Unicast::from_net(net).unwrap())
                };
                routes.into_iter().map(one).collect::<Vec<_>>()
            })
        };
        let fields = (of(routes(ids)), of(routes(ids)), classic(), classic());
        (origin.clone(), path(two_octets), v4(), optional(two_octets), fields).prop_map(
            move |(origin, path, hop, optional, (reach, unreach, withdrawn, announced))| {
                // Only one kind of announcement at a time: both would have two next hops and two attribute
                // sets.
                let announced = if reach.is_some() { Vec::new() } else { announced };
                let mut values = Vec::new();
                if reach.is_some() || !announced.is_empty() {
                    values.extend([PathAttributeValue::Origin(origin), path]);
                    values.extend(optional);
                }
                if !announced.is_empty() {
                    values.push(PathAttributeValue::NextHop(NextHop::new(hop)));
                }
                values.extend(reach.map(|(reach, _)| PathAttributeValue::MpReach(reach)));
                values.extend(unreach.map(|(_, unreach)| PathAttributeValue::MpUnreach(unreach)));
                let attributes: Vec<_> = values.into_iter().map(attribute).collect();
                (ids, two_octets, BgpUpdateMessage::new(withdrawn, attributes, announced))
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
    fn what_netgauze_writes_is_read_as_it_was_meant((ids, two_octets, meant) in update()) {
        let mut pdu = Vec::new();
        BgpMessage::Update(meant.clone()).write(&mut pdu).unwrap();
        prop_assume!(pdu.len() <= 65_535);
        let (read, meant) = (read(&pdu, ids, two_octets), netgauze::reading(&meant));
        prop_assert_eq!(&read.refused, &None);
        prop_assert_eq!((read.routes, read.attributes), (meant.routes, meant.attributes));
    }

    #[test]
    fn the_descriptors_of_a_link_state_route_are_those_that_netgauze_wrote(value in link_state()) {
        let mut bytes = Vec::new();
        BgpLsNlri::new(None, value.clone()).write(&mut bytes).unwrap();
        let family = Family { afi: 16_388, safi: 71 };
        let entries: Vec<_> = bgp::nlri(family, &bytes, Encoding::PLAIN, false).map(Result::unwrap).collect();
        prop_assert_eq!(entries.len(), 1);
        let Nlri::Structured(other) = &entries[0].nlri else { panic!("{:?}", entries[0]) };
        let NlriDetail::LinkState(route) = &other.detail else { panic!() };
        let LinkStateRoute { kind, protocol, identifier, descriptors, .. } = route;
        prop_assert_eq!((*kind, *protocol, *identifier, descriptors.clone()), meant(&value));
    }
}
