//! The decode of NetGauze, by its stateful codec.

use std::fmt::{Debug, Display};

use bytes::BytesMut;
use holdfast::route::{Family, community_text};
use netgauze_bgp_pkt::BgpMessage;
use netgauze_bgp_pkt::nlri::{
    L2EvpnAddress, L2EvpnIpPrefixRoute, L2EvpnRoute, LabeledNextHop, MplsLabel, RouteTargetMembershipAddress,
};
use netgauze_bgp_pkt::path_attribute::{
    Aggregator, Aigp, AsPath, MpReach, MpUnreach, PathAttribute, PathAttributeValue,
};
use netgauze_bgp_pkt::update::BgpUpdateMessage;
use netgauze_bmp_pkt::codec::BmpCodec;
use netgauze_bmp_pkt::{BmpMessage, v3};
use netgauze_parse_utils::WritablePdu;
use tokio_util::codec::Decoder;

use crate::reading::{Action, Evpn, Reading, hex, labelled};

/// The families that it decodes.
pub(crate) const FAMILIES: [(u16, u8); 12] = [
    (1, 1),
    (2, 1),
    (1, 2),
    (2, 2),
    (1, 4),
    (2, 4),
    (1, 128),
    (2, 128),
    (1, 132),
    (25, 70),
    (16_388, 71),
    (16_388, 72),
];

pub(crate) struct NetGauze(BmpCodec);

impl NetGauze {
    pub(crate) fn new() -> Self {
        Self(BmpCodec::default())
    }

    pub(crate) fn read(&mut self, message: &[u8]) -> Reading {
        let mut bytes = BytesMut::from(message);
        match self.0.decode(&mut bytes) {
            Ok(Some(BmpMessage::V3(v3::BmpMessageValue::RouteMonitoring(message)))) => {
                match message.update_message() {
                    BgpMessage::Update(update) => reading(update),
                    other => Reading::refused(format!("{:?}", other.get_type())),
                }
            }
            Ok(_) => Reading::default(),
            Err(error) => Reading::refused(error),
        }
    }
}

/// Converts an UPDATE from its types.
pub(crate) fn reading(update: &BgpUpdateMessage) -> Reading {
    let mut reading = Reading::default();
    let v4 = family(1, 1);
    for (action, routes) in [(Action::Withdraw, update.withdraw_routes()), (Action::Announce, update.nlri())]
    {
        for route in routes {
            reading.route(v4, action, route.path_id(), route.network().address().trunc());
        }
    }
    for attribute in update.path_attributes() {
        match attribute.value() {
            PathAttributeValue::MpReach(reach) => announced(&mut reading, reach),
            PathAttributeValue::MpUnreach(unreach) => withdrawn(&mut reading, unreach),
            _ => {}
        }
    }
    if reading.routes.values().flatten().any(|line| line.starts_with("announce")) {
        update.path_attributes().iter().for_each(|attribute| put_attribute(&mut reading, attribute));
        let codes = update.path_attributes().iter().map(code).filter(|code| ![14, 15].contains(code));
        let mut codes: Vec<_> = codes.collect();
        codes.sort_unstable();
        reading.put_list("codes", &codes, ToString::to_string);
    } else {
        reading.attributes.clear();
    }
    reading
}

fn family(afi: u16, safi: u8) -> Family {
    Family { afi, safi }
}

fn code(attribute: &PathAttribute) -> u8 {
    attribute.path_attribute_type().map_or_else(|code| code, u8::from)
}

fn labels(stack: &[MplsLabel]) -> Vec<u32> {
    stack.iter().map(|label| bits(label) >> 4).collect()
}

fn bits(label: &MplsLabel) -> u32 {
    let [a, b, c] = *label.value();
    u32::from_be_bytes([0, a, b, c])
}

/// The routes of both attributes, whose variants differ only in the next hop.
macro_rules! routes {
    ($kind:ident, $reading:expr, $action:expr, $value:expr) => {{
        let (reading, action) = ($reading, $action);
        match $value {
            $kind::Ipv4Unicast { nlri, .. } => {
                for r in nlri {
                    reading.route(family(1, 1), action, r.path_id(), r.network().address().trunc());
                }
            }
            $kind::Ipv6Unicast { nlri, .. } => {
                for r in nlri {
                    reading.route(family(2, 1), action, r.path_id(), r.network().address().trunc());
                }
            }
            $kind::Ipv4Multicast { nlri, .. } => {
                for r in nlri {
                    reading.route(family(1, 2), action, r.path_id(), r.network().address().trunc());
                }
            }
            $kind::Ipv6Multicast { nlri, .. } => {
                for r in nlri {
                    reading.route(family(2, 2), action, r.path_id(), r.network().address().trunc());
                }
            }
            $kind::Ipv4NlriMplsLabels { nlri, .. } => {
                for r in nlri {
                    let text = labelled(None::<u8>, &labels(r.labels()), r.prefix().trunc(), action);
                    reading.route(family(1, 4), action, r.path_id(), text);
                }
            }
            $kind::Ipv6NlriMplsLabels { nlri, .. } => {
                for r in nlri {
                    let text = labelled(None::<u8>, &labels(r.labels()), r.prefix().trunc(), action);
                    reading.route(family(2, 4), action, r.path_id(), text);
                }
            }
            $kind::Ipv4MplsVpnUnicast { nlri, .. } => {
                for r in nlri {
                    let prefix = r.network().address().trunc();
                    let text = labelled(Some(r.rd()), &labels(r.label_stack()), prefix, action);
                    reading.route(family(1, 128), action, r.path_id(), text);
                }
            }
            $kind::Ipv6MplsVpnUnicast { nlri, .. } => {
                for r in nlri {
                    let prefix = r.network().address().trunc();
                    let text = labelled(Some(r.rd()), &labels(r.label_stack()), prefix, action);
                    reading.route(family(2, 128), action, r.path_id(), text);
                }
            }
            $kind::L2Evpn { nlri, .. } => {
                nlri.iter().for_each(|r| reading.route(family(25, 70), action, r.path_id(), evpn(r, action)));
            }
            $kind::RouteTargetMembership { nlri, .. } => {
                nlri.iter().for_each(|r| reading.route(family(1, 132), action, r.path_id(), target(r)));
            }
            $kind::BgpLs { nlri, .. } => {
                nlri.iter().for_each(|r| {
                    reading.route(family(16_388, 71), action, r.path_id(), behind(r.path_id(), r))
                });
            }
            $kind::BgpLsVpn { nlri, .. } => {
                nlri.iter().for_each(|r| {
                    reading.route(family(16_388, 72), action, r.path_id(), behind(r.path_id(), r))
                });
            }
            $kind::Unknown { .. } => {}
        }
    }};
}

fn announced(reading: &mut Reading, reach: &MpReach) {
    routes!(MpReach, &mut *reading, Action::Announce, reach);
    let mut hop = |global: &dyn Display, local: Option<&dyn Display>| {
        reading.put("next_hop", global);
        if let Some(local) = local {
            reading.put("next_hop_link_local", local);
        }
    };
    match reach {
        MpReach::Ipv4Unicast { next_hop, next_hop_local, .. }
        | MpReach::Ipv4Multicast { next_hop, next_hop_local, .. }
        | MpReach::Ipv4NlriMplsLabels { next_hop, next_hop_local, .. }
        | MpReach::Ipv6NlriMplsLabels { next_hop, next_hop_local, .. } => {
            hop(next_hop, next_hop_local.as_ref().map(|local| local as &dyn Display));
        }
        MpReach::Ipv6Unicast { next_hop_global, next_hop_local, .. }
        | MpReach::Ipv6Multicast { next_hop_global, next_hop_local, .. } => {
            hop(next_hop_global, next_hop_local.as_ref().map(|local| local as &dyn Display));
        }
        MpReach::Ipv4MplsVpnUnicast { next_hop, .. }
        | MpReach::Ipv6MplsVpnUnicast { next_hop, .. }
        | MpReach::BgpLsVpn { next_hop, .. } => {
            let local = match next_hop {
                LabeledNextHop::Ipv6(hop) => hop.next_hop_local(),
                LabeledNextHop::Ipv4(_) => None,
            };
            hop(&next_hop.next_hop(), local.as_ref().map(|local| local as &dyn Display));
        }
        MpReach::L2Evpn { next_hop, .. }
        | MpReach::RouteTargetMembership { next_hop, .. }
        | MpReach::BgpLs { next_hop, .. } => hop(next_hop, None),
        MpReach::Unknown { .. } => {}
    }
}

fn withdrawn(reading: &mut Reading, unreach: &MpUnreach) {
    routes!(MpUnreach, reading, Action::Withdraw, unreach);
}

fn target(route: &RouteTargetMembershipAddress) -> String {
    route.membership().map_or_else(
        || "0 ".to_owned(),
        |membership| format!("{} {}", membership.origin_as(), hex(membership.route_target())),
    )
}

/// BGP-LS: re-encoded by NetGauze, so that the boundaries of each route are compared.
fn behind<E: Debug>(path_id: Option<u32>, route: &(impl WritablePdu<E> + Debug)) -> String {
    written(route).split_off(path_id.map_or(0, |_| 8))
}

fn written<E: Debug>(route: &(impl WritablePdu<E> + Debug)) -> String {
    let mut bytes = Vec::new();
    route.write(&mut bytes).unwrap();
    hex(&bytes)
}

fn evpn(address: &L2EvpnAddress, action: Action) -> String {
    let evpn = match address.route() {
        L2EvpnRoute::EthernetAutoDiscovery(route) => Evpn {
            kind: 1,
            rd: route.rd().to_string(),
            esi: Some(*route.segment_id().value()),
            tag: Some(route.tag().value()),
            labels: vec![bits(route.mpls_label())],
            ..Evpn::default()
        },
        L2EvpnRoute::MacIpAdvertisement(route) => Evpn {
            kind: 2,
            rd: route.rd().to_string(),
            esi: Some(*route.segment_id().value()),
            tag: Some(route.tag().value()),
            mac: Some(*route.mac().value()),
            ip: route.ip(),
            labels: std::iter::once(route.mpls_label1()).chain(route.mpls_label2()).map(bits).collect(),
            ..Evpn::default()
        },
        L2EvpnRoute::InclusiveMulticastEthernetTagRoute(route) => Evpn {
            kind: 3,
            rd: route.rd().to_string(),
            tag: Some(route.tag().value()),
            ip: Some(route.ip()),
            ..Evpn::default()
        },
        L2EvpnRoute::EthernetSegmentRoute(route) => Evpn {
            kind: 4,
            rd: route.rd().to_string(),
            esi: Some(*route.segment_id().value()),
            ip: Some(route.ip()),
            ..Evpn::default()
        },
        L2EvpnRoute::IpPrefixRoute(L2EvpnIpPrefixRoute::V4(route)) => Evpn {
            kind: 5,
            rd: route.rd().to_string(),
            esi: Some(*route.segment_id().value()),
            tag: Some(route.tag().value()),
            prefix: Some(route.prefix().trunc().to_string()),
            gateway: Some(route.gateway().into()),
            labels: vec![bits(route.label())],
            ..Evpn::default()
        },
        L2EvpnRoute::IpPrefixRoute(L2EvpnIpPrefixRoute::V6(route)) => Evpn {
            kind: 5,
            rd: route.rd().to_string(),
            esi: Some(*route.segment_id().value()),
            tag: Some(route.tag().value()),
            prefix: Some(route.prefix().trunc().to_string()),
            gateway: Some(route.gateway().into()),
            labels: vec![bits(route.label())],
            ..Evpn::default()
        },
        L2EvpnRoute::Unknown { code, .. } => return format!("type {code}"),
    };
    evpn.text(action)
}

fn put_attribute(reading: &mut Reading, attribute: &PathAttribute) {
    match attribute.value() {
        PathAttributeValue::Origin(origin) => reading.put("origin", u8::from(*origin)),
        PathAttributeValue::AsPath(AsPath::As2PathSegments(path)) => {
            reading.put_path(path.iter().map(|segment| {
                (
                    u8::from(segment.segment_type()),
                    segment.as_numbers().iter().map(|asn| u32::from(*asn)).collect(),
                )
            }))
        }
        PathAttributeValue::AsPath(AsPath::As4PathSegments(path)) => reading.put_path(
            path.iter().map(|segment| (u8::from(segment.segment_type()), segment.as_numbers().to_vec())),
        ),
        // The next hop of MP_REACH_NLRI applies to its routes.
        PathAttributeValue::NextHop(hop) if !reading.attributes.contains_key("next_hop") => {
            reading.put("next_hop", hop.next_hop());
        }
        PathAttributeValue::MultiExitDiscriminator(med) => reading.put("med", med.metric()),
        PathAttributeValue::LocalPreference(value) => reading.put("local_pref", value.metric()),
        PathAttributeValue::AtomicAggregate(_) => reading.put("atomic_aggregate", ""),
        PathAttributeValue::Aggregator(Aggregator::As2Aggregator(by)) => {
            reading.put("aggregator", format!("{} {}", by.asn(), by.origin()));
        }
        PathAttributeValue::Aggregator(Aggregator::As4Aggregator(by)) => {
            reading.put("aggregator", format!("{} {}", by.asn(), by.origin()));
        }
        PathAttributeValue::Communities(list) => {
            reading
                .put_list("communities", list.communities(), |community| community_text(community.value()));
        }
        PathAttributeValue::ExtendedCommunities(list) => {
            reading.put_list("extended_communities", list.communities(), written);
        }
        PathAttributeValue::LargeCommunities(list) => {
            reading.put_list("large_communities", list.communities(), |community| {
                format!(
                    "{}:{}:{}",
                    community.global_admin(),
                    community.local_data1(),
                    community.local_data2()
                )
            });
        }
        PathAttributeValue::Originator(id) => reading.put("originator_id", id.id()),
        PathAttributeValue::ClusterList(list) => {
            reading.put_list("cluster_list", list.cluster_list(), |id| id.id().to_string());
        }
        PathAttributeValue::Aigp(Aigp::AccumulatedIgpMetric(metric)) => reading.put("aigp", metric),
        PathAttributeValue::OnlyToCustomer(otc) => reading.put("otc", otc.asn()),
        _ => {}
    }
}
