//! The decode of bgpkit-parser. It is stateless: it does not use negotiated ADD-PATH, and takes the width of
//! AS numbers only from the flag of the message.

use bgpkit_parser::models::{
    AsPathSegment, AttributeValue, BgpMessage, BgpUpdateMessage, Community, NetworkPrefix, NextHopAddress,
    Nlri,
};
use bgpkit_parser::parser::bmp::messages::BmpMessageBody;
use bgpkit_parser::parser::parse_bmp_msg;
use bytes::Bytes;
use holdfast::route::{Family, community_text};

use crate::reading::{Action, Reading, labelled};

/// The families that it decodes to more than bytes.
pub(crate) const FAMILIES: [(u16, u8); 6] = [(1, 1), (2, 1), (1, 2), (2, 2), (1, 4), (2, 4)];

/// It decodes extended communities only partly.
pub(crate) const NOT_COMPARED: &str = "extended_communities";

pub(crate) fn read(message: &[u8]) -> Reading {
    let mut bytes = Bytes::copy_from_slice(message);
    match parse_bmp_msg(&mut bytes).map(|message| message.message_body) {
        Ok(BmpMessageBody::RouteMonitoring(message)) => match message.bgp_message {
            BgpMessage::Update(update) => reading(&update),
            other => Reading::refused(format!("{:?}", other.msg_type())),
        },
        Ok(_) => Reading::default(),
        Err(error) => Reading::refused(error),
    }
}

/// Converts an UPDATE from its types.
pub(crate) fn reading(update: &BgpUpdateMessage) -> Reading {
    let mut reading = Reading::default();
    let v4 = Family { afi: 1, safi: 1 };
    prefixes(&mut reading, v4, Action::Withdraw, &update.withdrawn_prefixes);
    prefixes(&mut reading, v4, Action::Announce, &update.announced_prefixes);
    for attribute in &update.attributes {
        match attribute {
            AttributeValue::MpReachNlri(nlri) => routes(&mut reading, Action::Announce, nlri),
            AttributeValue::MpUnreachNlri(nlri) => routes(&mut reading, Action::Withdraw, nlri),
            _ => {}
        }
    }
    if reading.routes.values().flatten().any(|line| line.starts_with("announce")) {
        update.attributes.iter().for_each(|attribute| put_attribute(&mut reading, attribute));
        let codes = update.attributes.iter().map(|attribute| attribute.attr_code());
        let mut codes: Vec<_> = codes.filter(|code| ![14, 15].contains(code)).collect();
        codes.sort_unstable();
        reading.put_list("codes", &codes, ToString::to_string);
    } else {
        reading.attributes.clear();
    }
    reading
}

fn prefixes(reading: &mut Reading, family: Family, action: Action, prefixes: &[NetworkPrefix]) {
    for prefix in prefixes {
        let text = match family.safi {
            4 => labelled(None::<u8>, &[], prefix.prefix.trunc(), action),
            _ => prefix.prefix.trunc().to_string(),
        };
        reading.route(family, action, prefix.path_id, text);
    }
}

fn routes(reading: &mut Reading, action: Action, nlri: &Nlri) {
    let family = Family { afi: nlri.afi.into(), safi: nlri.safi.into() };
    if !FAMILIES.contains(&(family.afi, family.safi)) {
        return;
    }
    prefixes(reading, family, action, &nlri.prefixes);
    for route in nlri.labeled_prefixes.iter().flatten() {
        let labels: Vec<_> = route.labels.iter().map(|label| label.value()).collect();
        let text = labelled(None::<u8>, &labels, route.prefix.trunc(), action);
        reading.route(family, action, route.path_id, text);
    }
    match nlri.next_hop {
        Some(NextHopAddress::Ipv4(hop)) => reading.put("next_hop", hop),
        Some(NextHopAddress::Ipv6(hop) | NextHopAddress::VpnIpv6(_, hop)) => reading.put("next_hop", hop),
        Some(
            NextHopAddress::Ipv6LinkLocal(hop, local) | NextHopAddress::VpnIpv6LinkLocal(_, hop, _, local),
        ) => {
            reading.put("next_hop", hop);
            reading.put("next_hop_link_local", local);
        }
        None => {}
    }
}

fn segment(segment: &AsPathSegment) -> (u8, Vec<u32>) {
    let (kind, asns) = match segment {
        AsPathSegment::AsSet(asns) => (1, asns),
        AsPathSegment::AsSequence(asns) => (2, asns),
        AsPathSegment::ConfedSequence(asns) => (3, asns),
        AsPathSegment::ConfedSet(asns) => (4, asns),
    };
    (kind, asns.iter().map(|asn| u32::from(*asn)).collect())
}

fn community(community: &Community) -> String {
    community_text(match *community {
        Community::NoExport => 0xffff_ff01,
        Community::NoAdvertise => 0xffff_ff02,
        Community::NoExportSubConfed => 0xffff_ff03,
        Community::Custom(asn, value) => u32::from(asn) << 16 | u32::from(value),
    })
}

fn put_attribute(reading: &mut Reading, attribute: &AttributeValue) {
    match attribute {
        AttributeValue::Origin(origin) => reading.put("origin", u8::from(*origin)),
        AttributeValue::AsPath(path) => reading.put_path(path.segments.iter().map(segment)),
        AttributeValue::NextHop(hop) if !reading.attributes.contains_key("next_hop") => {
            reading.put("next_hop", hop);
        }
        AttributeValue::MultiExitDiscriminator(med) => reading.put("med", med),
        AttributeValue::LocalPreference(value) => reading.put("local_pref", value),
        AttributeValue::AtomicAggregate => reading.put("atomic_aggregate", ""),
        AttributeValue::Aggregator { asn, id } => {
            reading.put("aggregator", format!("{} {id}", u32::from(*asn)));
        }
        AttributeValue::Communities(list) => reading.put_list("communities", list, community),
        AttributeValue::LargeCommunities(list) => {
            reading.put_list("large_communities", list, |community| {
                let [first, second] = community.local_data;
                format!("{}:{first}:{second}", community.global_admin)
            });
        }
        AttributeValue::OriginatorId(id) => reading.put("originator_id", id),
        AttributeValue::Clusters(list) => {
            reading.put_list("cluster_list", list, |id| std::net::Ipv4Addr::from_bits(*id).to_string());
        }
        AttributeValue::OnlyToCustomer(asn) => reading.put("otc", u32::from(*asn)),
        _ => {}
    }
}
