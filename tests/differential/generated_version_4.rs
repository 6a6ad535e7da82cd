//! Messages of BMP version 4 that are generated in NetGauze's types, encoded by NetGauze, and decoded by
//! Holdfast. NetGauze implements the type numbers of earlier revisions of draft-ietf-grow-bmp-tlv.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use holdfast::route::{EventKind, Nlri, Timestamp};
use netgauze_bgp_pkt::BgpMessage;
use netgauze_bgp_pkt::capabilities::{AddPathAddressFamily, AddPathCapability, BgpCapability};
use netgauze_bgp_pkt::nlri::{Ipv4Unicast, Ipv4UnicastAddress, NlriAddressType};
use netgauze_bgp_pkt::path_attribute::{
    As4PathSegment, AsPath, AsPathSegmentType, NextHop, Origin, PathAttributeValue,
};
use netgauze_bgp_pkt::update::BgpUpdateMessage;
use netgauze_bmp_pkt::v3::{
    InitiationInformation, PeerDownNotificationReason, StatisticsCounter, StatisticsReportMessage,
};
use netgauze_bmp_pkt::v4::{
    BmpMessageValue, PathMarking, PathMarkingReason, PathStatus, PeerDownNotificationMessage, PeerDownTlv,
    RouteMonitoringMessage, RouteMonitoringTlv, RouteMonitoringTlvValue,
};
use netgauze_bmp_pkt::{BmpMessage, BmpPeerType, CounterU32, GaugeU64, PeerHeader};
use netgauze_parse_utils::WritablePdu;
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;

use crate::common::sessions::{options, session};
use crate::generated::{attribute, net};

/// Bit of an index that makes it the number of a group.
const GROUP: u16 = 0x8000;

/// Status and reason.
type Marking = (u32, Option<u16>);
/// Path ID, prefix and marking of a route.
type Route = (Option<u32>, String, Option<Marking>);

fn header() -> PeerHeader {
    let peer_type =
        BmpPeerType::GlobalInstancePeer { ipv6: false, post_policy: false, asn2: false, adj_rib_out: false };
    let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    PeerHeader::new(peer_type, None, Some(address), 65_001, Ipv4Addr::new(192, 0, 2, 1), None)
}

fn encoded(message: BmpMessageValue) -> Vec<u8> {
    let mut bytes = Vec::new();
    BmpMessage::V4(message).write(&mut bytes).unwrap();
    bytes
}

fn marking() -> impl Strategy<Value = Marking> {
    (any::<u32>(), of(any::<u16>()))
}

/// The contents of one Route Monitoring message.
#[derive(Clone, Debug)]
struct Meant {
    /// Path IDs and prefixes; the IDs are sent if `has_path_ids`.
    routes: Vec<(u32, Ipv4Unicast)>,
    has_path_ids: bool,
    /// Marking of all routes.
    all: Option<Marking>,
    /// Markings by index from 1, also of routes that do not exist.
    single: BTreeMap<u16, Marking>,
    /// Group and marking of each index from 1 that is in a group.
    members: BTreeMap<u16, u16>,
    groups: BTreeMap<u16, Marking>,
    table_name: Option<String>,
    /// Order of the TLVs.
    seed: u64,
}

fn meant() -> impl Strategy<Value = Meant> {
    let prefix = net(false).prop_map(|net| Ipv4Unicast::from_net(net).unwrap());
    let routes = vec((any::<u32>(), prefix), 1..9);
    let markings = (of(marking()), btree_map(1_u16..12, marking(), 0..6));
    let groups = (btree_map(1_u16..12, 1_u16..4, 0..8), btree_map(1_u16..5, marking(), 0..4));
    (routes, any::<bool>(), markings, groups, of("[a-z]{1,9}"), any::<u64>()).prop_map(
        |(routes, has_path_ids, (all, single), (members, groups), table_name, seed)| Meant {
            routes,
            has_path_ids,
            all,
            single,
            members,
            groups,
            table_name,
            seed,
        },
    )
}

impl Meant {
    fn tlvs(&self) -> Vec<RouteMonitoringTlv> {
        let tlv = |index, value| RouteMonitoringTlv::build(index, value).unwrap();
        let status = |index, (status, reason): Marking| {
            let reason = reason.map(PathMarkingReason::from_code);
            let marking = PathMarking::new(PathStatus::from_bits_retain(status), reason);
            tlv(index, RouteMonitoringTlvValue::PathMarking(marking))
        };
        let mut tlvs: Vec<_> = self.all.map(|marking| status(0, marking)).into_iter().collect();
        tlvs.extend(self.single.iter().map(|(index, marking)| status(*index, *marking)));
        tlvs.extend(self.groups.iter().map(|(group, marking)| status(GROUP | group, *marking)));
        for group in 1..4 {
            let members = self.members.iter().filter(|(_, of)| **of == group).map(|(index, _)| *index);
            let members: Vec<u16> = members.collect();
            tlvs.push(tlv(GROUP | group, RouteMonitoringTlvValue::GroupTlv(members.into())));
        }
        if self.has_path_ids {
            let family = AddPathAddressFamily::new(Ipv4UnicastAddress::address_type(), false, true);
            let capability = BgpCapability::AddPath(AddPathCapability::new([family]));
            tlvs.push(tlv(0, RouteMonitoringTlvValue::StatelessParsing(capability)));
        }
        if let Some(name) = &self.table_name {
            tlvs.push(tlv(0, RouteMonitoringTlvValue::VrfTableName(name.as_str().into())));
        }
        let middle = usize::try_from(self.seed % u64::try_from(tlvs.len()).unwrap()).unwrap();
        tlvs.rotate_left(middle);
        tlvs
    }

    fn message(&self) -> Vec<u8> {
        let path =
            AsPath::as4_path_segments(vec![As4PathSegment::new(AsPathSegmentType::AsSequence, vec![65_001])]);
        let values = [
            PathAttributeValue::Origin(Origin::IGP),
            PathAttributeValue::AsPath(path),
            PathAttributeValue::NextHop(NextHop::new(Ipv4Addr::new(192, 0, 2, 1))),
        ];
        let id = |id: &u32| Some(*id).filter(|_| self.has_path_ids);
        let nlri = self.routes.iter().map(|(number, net)| Ipv4UnicastAddress::new(id(number), *net));
        let attributes: Vec<_> = values.into_iter().map(attribute).collect();
        let update = BgpUpdateMessage::new(vec![], attributes, nlri.collect::<Vec<_>>());
        let message = RouteMonitoringMessage::build(header(), BgpMessage::Update(update), self.tlvs());
        encoded(BmpMessageValue::RouteMonitoring(message.unwrap()))
    }

    fn expected(&self) -> Vec<Route> {
        let marking_of = |index: &u16| {
            let of_group = || self.members.get(index).and_then(|group| self.groups.get(group));
            self.single.get(index).or_else(of_group).copied().or(self.all)
        };
        let route = |(index, (id, net)): (u16, &(u32, Ipv4Unicast))| {
            let prefix = net.address().trunc().to_string();
            (Some(*id).filter(|_| self.has_path_ids), prefix, marking_of(&index))
        };
        (1..).zip(&self.routes).map(route).collect()
    }
}

fn counter() -> impl Strategy<Value = (StatisticsCounter, u16, u64)> {
    prop_oneof![
        any::<u32>().prop_map(|value| {
            let counter = CounterU32::new(value);
            (StatisticsCounter::NumberOfPrefixesRejectedByInboundPolicy(counter), 0, value.into())
        }),
        any::<u64>().prop_map(|value| {
            let gauge = GaugeU64::new(value);
            (StatisticsCounter::NumberOfRoutesInAdjRibIn(gauge), 7, value)
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn routes_and_path_markings_are_read_as_they_were_meant(meant in meant()) {
        let mut session = session(options(Timestamp(1)));
        session.message(&meant.message(), Timestamp(2));
        let batch = session.take_batches().next().unwrap();
        let mut read = Vec::new();
        for route in batch.routes() {
            let Nlri::Prefix(prefix) = &route.entry.nlri else { panic!("{:?}", route.entry) };
            let id = route.group.add_path.then_some(route.entry.path_id);
            let marking = route.group.marking.map(|marking| (marking.status, marking.reason));
            read.push((id, prefix.to_string(), marking));
        }
        prop_assert_eq!(read, meant.expected());
        let names: Vec<&str> = batch.peers.iter().map(|peer| peer.table_name.as_str()).collect();
        prop_assert_eq!(names, [meant.table_name.as_deref().unwrap_or_default()]);
        let counters = session.counters().route_tlvs;
        prop_assert_eq!((counters.malformed, counters.unknown, counters.vendor), (0, 0, 0));
    }

    #[test]
    fn statistics_are_read_as_they_were_meant(meant in vec(counter(), 0..9)) {
        let counters: Vec<_> = meant.iter().map(|(counter, ..)| counter.clone()).collect();
        let message = BmpMessageValue::StatisticsReport(StatisticsReportMessage::new(header(), counters));
        let mut session = session(options(Timestamp(1)));
        session.message(&encoded(message), Timestamp(2));
        let batch = session.take_batches().next().unwrap();
        let EventKind::Statistics(read) = &batch.events[0].kind else { panic!("{:?}", batch.events) };
        let read: Vec<_> = read.iter().map(|stat| (stat.kind, stat.value)).collect();
        prop_assert_eq!(read, meant.iter().map(|(_, kind, value)| (*kind, Some(*value))).collect::<Vec<_>>());
        prop_assert_eq!((batch.events.len(), session.counters().errors), (1, 0));
    }

    #[test]
    fn the_tlvs_of_a_peer_down_are_read_as_they_were_meant(
        reason in 0..4,
        name in "[a-z]{1,9}",
        tlvs in vec((4_u16..0x7fff, vec(any::<u8>(), 0..9)), 0..5),
    ) {
        let reason = match reason {
            0 => PeerDownNotificationReason::LocalSystemClosedFsmEventFollows(9),
            1 => PeerDownNotificationReason::RemoteSystemClosedNoData,
            2 => PeerDownNotificationReason::PeerDeConfigured,
            _ => PeerDownNotificationReason::LocalSystemClosedTlvDataFollows(
                InitiationInformation::VrfTableName(name.as_str().into()),
            ),
        };
        let has_name = matches!(reason, PeerDownNotificationReason::LocalSystemClosedTlvDataFollows(_));
        let tlv = |(code, value): &(u16, Vec<u8>)| {
            PeerDownTlv::Unknown { code: *code, value: value.as_slice().into() }
        };
        let written: Vec<_> = tlvs.iter().map(tlv).collect();
        let message = PeerDownNotificationMessage::build(header(), reason, written).unwrap();
        let mut session = session(options(Timestamp(1)));
        session.message(&encoded(BmpMessageValue::PeerDownNotification(message)), Timestamp(2));
        let batch = session.take_batches().next().unwrap();
        let mut meant = if has_name { vec![format!("VRF/table name: {name}")] } else { Vec::new() };
        let hex = |value: &[u8]| value.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        meant.extend(tlvs.iter().map(|(code, value)| format!("{code}:{}", hex(value))));
        let read = batch.events.iter().find_map(|event| match &event.kind {
            EventKind::MessageTlvs { information, .. } => Some(information.clone()),
            _ => None,
        });
        prop_assert_eq!(read.unwrap_or_default(), meant);
    }
}
