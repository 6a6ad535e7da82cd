//! The decode of Holdfast: a whole session, from its bytes to the logged records.

use holdfast::bgp;
use holdfast::bmp::{self, Message};
use holdfast::route::{
    Attributes, Batch, Family, Nlri, NlriDetail, RouteRecord, Timestamp, community_text, large_community_text,
};
use holdfast::session::{Level, Options, Session};

use crate::common::sessions::{options, session};
use crate::reading::{Action, Evpn, Reading, hex, labelled};

pub(crate) struct Ours(Session);

impl Ours {
    pub(crate) fn new() -> Self {
        Self(session(Options { sweep_quiet_us: i64::MAX, ..options(Timestamp(1)) }))
    }

    pub(crate) fn read(&mut self, message: &[u8]) -> Reading {
        self.0.message(message, Timestamp(1_790_000_000_000_000));
        let mut reading = Reading::default();
        // An invalid message produces only a notice.
        let notices = self.0.take_notices();
        reading.refused =
            notices.into_iter().find(|notice| notice.level == Level::Error).map(|notice| notice.text);
        for batch in self.0.take_batches() {
            batch.routes().for_each(|route| take(&mut reading, &batch, &route));
        }
        if !reading.attributes.is_empty()
            && let Ok(Message::RouteMonitoring { pdu, .. }) = bmp::decode(message)
            && let Ok(update) = bgp::split(pdu)
        {
            let mut codes: Vec<_> = update.attributes.iter().map(|attribute| attribute.code).collect();
            codes.sort_unstable();
            reading.put_list("codes", &codes, ToString::to_string);
        }
        reading
    }
}

fn take(reading: &mut Reading, batch: &Batch, route: &RouteRecord<'_>) {
    let group = route.group;
    let action = match group.action {
        holdfast::route::Action::Announce => Action::Announce,
        holdfast::route::Action::Withdraw => Action::Withdraw,
    };
    let path_id = group.add_path.then_some(route.entry.path_id);
    reading.route(group.family, action, path_id, nlri(group.family, &route.entry.nlri, action));
    if let Some(attributes) = batch.attributes_of(group) {
        put_attributes(reading, attributes);
    }
}

fn nlri(family: Family, nlri: &Nlri, action: Action) -> String {
    let fields = nlri.columns();
    match nlri {
        Nlri::Prefix(prefix) => prefix.to_string(),
        Nlri::Labelled(route) => labelled(route.rd, &route.labels, route.prefix, action),
        Nlri::Evpn(route) if route.route_type() > 5 => format!("type {}", route.route_type()),
        Nlri::Evpn(route) => Evpn {
            kind: route.route_type(),
            rd: fields.rd.unwrap().to_string(),
            esi: fields.esi.map(|esi| esi.0),
            tag: fields.tag,
            mac: fields.mac.map(|mac| mac.0),
            ip: fields.ip,
            prefix: fields.prefix.map(|prefix| prefix.to_string()),
            gateway: fields.gateway,
            labels: fields.labels,
        }
        .text(action),
        Nlri::Structured(other) => match &other.detail {
            NlriDetail::RouteTarget(target) => {
                let bytes = usize::from(target.bits.saturating_sub(32)).div_ceil(8);
                format!("{} {}", target.origin_as, hex(&target.target[..bytes]))
            }
            _ => hex(&other.bytes),
        },
        Nlri::Raw(bytes) if family == Family::EVPN => format!("type {}", bytes[0]),
        Nlri::Raw(bytes) => format!("raw {}", hex(bytes)),
    }
}

fn put_attributes(reading: &mut Reading, attributes: &Attributes) {
    if let Some(origin) = attributes.origin {
        reading.put("origin", origin);
    }
    if let Some(path) = &attributes.as_path {
        reading.put_path(path.iter().map(|(kind, asns)| (u8::from(kind), asns.to_vec())));
    }
    let options = [
        ("next_hop", attributes.next_hop.map(|hop| hop.to_string())),
        ("next_hop_link_local", attributes.next_hop_link_local.map(|hop| hop.to_string())),
        ("med", attributes.med.map(|med| med.to_string())),
        ("local_pref", attributes.local_pref.map(|value| value.to_string())),
        ("atomic_aggregate", attributes.atomic_aggregate.then(String::new)),
        ("aggregator", attributes.aggregator.map(|by| format!("{} {}", by.asn, by.address))),
        ("originator_id", attributes.originator_id.map(|id| id.to_string())),
        ("aigp", attributes.aigp.map(|metric| metric.to_string())),
        ("otc", attributes.only_to_customer.map(|asn| asn.to_string())),
    ];
    for (name, value) in options {
        if let Some(value) = value {
            reading.put(name, value);
        }
    }
    reading.put_list("communities", &attributes.communities, |community| community_text(*community));
    reading.put_list("extended_communities", &attributes.extended_communities, |bytes| hex(bytes));
    reading.put_list("large_communities", &attributes.large_communities, |community| {
        large_community_text(*community)
    });
    reading.put_list("cluster_list", &attributes.cluster_list, ToString::to_string);
}
