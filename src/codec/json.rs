//! One JSON object per record. Its keys are the column names of the database tables.
//!
//! A route has the columns of `route_updates` except collector, log and sequence number, which only a log or
//! a database provides, and `mpls_labels` of `route_state`; an event has those of `peer_events`. `holdfast
//! decode` and `walctl dump` print this form, so that records can be compared as text before the log, in the
//! log and in the database.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::hex::hex;
use crate::route::{
    Action, Attributes, Batch, Event, EventKind, Nlri, Peer, Record, RouteRecord, SuspectScope, Timestamp,
    attribute_name, community_text, extended_community_text, large_community_text,
};

/// A JSON object.
pub type Object = Map<String, Value>;

/// Formats one record as a JSON object, without keys whose value is null.
///
/// The first two keys are `record` (`route` or `peer_event`) and `idx` (the index of the record in the
/// batch).
#[must_use]
pub fn object(batch: &Batch, record: &Record<'_>) -> Object {
    let mut object = Object::new();
    match record {
        Record::Route(route) => {
            put(&mut object, "record", "route");
            put(&mut object, "idx", route.index);
            route_keys(&mut object, batch, route);
        }
        Record::Event(event) => {
            put(&mut object, "record", "peer_event");
            put(&mut object, "idx", event.index);
            event_keys(&mut object, batch, event);
        }
    }
    object.retain(|_, value| !value.is_null());
    object
}

/// Formats a time as RFC 3339 in UTC, with fractional seconds unless they are zero. Time 0 means absent and
/// becomes null.
#[must_use]
pub fn time_value(time: Timestamp) -> Value {
    if time.0 == 0 {
        return Value::Null;
    }
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.0) * 1000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .map_or_else(|| json!(time.0), Value::String)
}

fn put(object: &mut Object, key: &str, value: impl Into<Value>) {
    object.insert(key.to_owned(), value.into());
}

/// Adds the keys of the router and, if given, the peer.
fn origin_keys(object: &mut Object, batch: &Batch, peer: Option<&Peer>) {
    let router = &batch.router;
    put(object, "router", router.name.as_str());
    put(object, "bmp_peer_ip", router.address.to_string());
    put(object, "session", time_value(router.session));
    if let Some(peer) = peer {
        put(object, "peer_type", peer.key.peer_type);
        put(object, "peer_distinguisher", crate::route::Rd(peer.key.distinguisher.to_be_bytes()).to_string());
        put(object, "bgp_peer_ip", peer.key.address.to_string());
        put(object, "bgp_peer_asn", peer.asn);
        put(object, "bgp_id", peer.bgp_id.to_string());
        put(object, "rib", peer.view.to_string());
        put(
            object,
            "table_name",
            if peer.table_name.is_empty() { Value::Null } else { json!(peer.table_name) },
        );
        put(object, "generation", peer.generation);
    }
}

fn route_keys(object: &mut Object, batch: &Batch, route: &RouteRecord<'_>) {
    let group = route.group;
    put(object, "time", time_value(group.received));
    put(object, "router_time", time_value(group.router_time));
    origin_keys(object, batch, batch.peer_of(group));
    put(object, "family", group.family.to_string());
    put(object, "afi", group.family.afi);
    put(object, "safi", group.family.safi);
    put(object, "is_withdrawn", group.action == Action::Withdraw);
    put(object, "cause", group.cause.name(group.action));
    if group.add_path {
        put(object, "path_id", route.entry.path_id);
    }
    nlri_keys(object, &route.entry.nlri);
    if let Some(attributes) = batch.attributes_of(group) {
        attribute_keys(object, attributes);
    }
    if let Some(marking) = &group.marking {
        put(object, "path_status", marking.status);
        put(object, "path_reason", marking.reason);
        put(object, "path_marking", list(&marking.names(), Clone::clone));
    }
}

fn nlri_keys(object: &mut Object, nlri: &Nlri) {
    let fields = nlri.columns();
    let evpn_rd = fields.rd.filter(|_| fields.evpn_route_type.is_some());
    put(object, "prefix", text(fields.prefix));
    put(object, "rd", text(fields.rd));
    put(object, "evpn_route_type", fields.evpn_route_type);
    put(object, "evpn_rd", text(evpn_rd));
    put(object, "evpn_esi", text(fields.esi));
    put(object, "evpn_tag", fields.tag);
    put(object, "mac_address", text(fields.mac));
    put(object, "evpn_ip", text(fields.ip));
    put(object, "evpn_gateway", text(fields.gateway));
    put(object, "labels", if fields.labels.is_empty() { Value::Null } else { json!(fields.labels) });
    if fields.evpn_route_type.is_some() && !fields.labels.is_empty() {
        put(object, "mpls_labels", fields.mpls_labels());
    }
    put(object, "nlri", nlri.text());
    put(object, "nlri_raw", fields.raw.map(hex));
}

fn text(value: Option<impl ToString>) -> Value {
    value.map_or(Value::Null, |value| Value::String(value.to_string()))
}

fn list<T>(values: &[T], text: impl Fn(&T) -> String) -> Value {
    if values.is_empty() { Value::Null } else { values.iter().map(text).collect() }
}

fn attribute_keys(object: &mut Object, attributes: &Attributes) {
    put(object, "origin", attributes.origin);
    put(object, "as_path", attributes.as_path.as_ref().map(|path| path.asns.clone()));
    put(object, "as_path_text", attributes.as_path.as_ref().map(ToString::to_string));
    put(object, "origin_as", attributes.as_path.as_ref().and_then(crate::route::AsPath::origin_as));
    put(object, "next_hop", attributes.next_hop.map(|hop| hop.to_string()));
    put(object, "next_hop_link_local", attributes.next_hop_link_local.map(|hop| hop.to_string()));
    put(object, "med", attributes.med);
    put(object, "local_pref", attributes.local_pref);
    put(object, "atomic_aggregate", attributes.atomic_aggregate.then_some(true));
    put(object, "aggregator_asn", attributes.aggregator.map(|aggregator| aggregator.asn));
    put(object, "aggregator_address", attributes.aggregator.map(|aggregator| aggregator.address.to_string()));
    put(object, "communities", list(&attributes.communities, |community| community_text(*community)));
    put(
        object,
        "extended_communities",
        list(&attributes.extended_communities, |community| extended_community_text(*community)),
    );
    put(
        object,
        "large_communities",
        list(&attributes.large_communities, |community| large_community_text(*community)),
    );
    put(object, "originator_id", attributes.originator_id.map(|id| id.to_string()));
    put(object, "cluster_list", list(&attributes.cluster_list, ToString::to_string));
    put(object, "aigp", attributes.aigp);
    put(object, "otc", attributes.only_to_customer);
    // Each attribute is one hexadecimal string: flags, type code, value.
    let raw = list(&attributes.raw, |raw| format!("{:02x}{:02x}{}", raw.flags, raw.code, hex(&raw.value)));
    put(object, "attributes_raw", raw);
    put(object, "attributes_more", list(&attributes.rare, ToString::to_string));
    put(object, "missing", list(&attributes.missing, |code| attribute_name(*code).unwrap_or("?").to_owned()));
    put(object, "discarded", list(&attributes.discarded, Clone::clone));
}

fn event_keys(object: &mut Object, batch: &Batch, event: &Event) {
    put(object, "time", time_value(event.received));
    put(object, "router_time", time_value(event.router_time));
    origin_keys(object, batch, event.peer.and_then(|peer| batch.peers.get(usize::from(peer))));
    put(object, "event_type", event.kind.name());
    match &event.kind {
        EventKind::SessionUp { sys_name, sys_descr, information } => {
            put(object, "sys_name", sys_name.as_str());
            put(object, "sys_descr", sys_descr.as_str());
            put(object, "information", list(information, Clone::clone));
        }
        EventKind::SessionDown { end } | EventKind::PeerStale { end } => {
            put(object, "reason", end.to_string())
        }
        EventKind::PeerUp(up) | EventKind::PeerUpRepeated(up) => {
            put(object, "local_address", up.local_address.to_string());
            put(object, "local_port", up.local_port);
            put(object, "remote_port", up.remote_port);
            put(object, "hold_time_s", up.hold_time_s);
            put(object, "four_octet_as", up.four_octet_as);
            put(object, "families", list(&up.families, ToString::to_string));
            put(object, "add_path", list(&up.add_path, ToString::to_string));
            put(object, "sent_capabilities", list(&up.sent_capabilities, Clone::clone));
            put(object, "received_capabilities", list(&up.received_capabilities, Clone::clone));
            put(object, "sent_open", hex(&up.sent_open));
            put(object, "received_open", hex(&up.received_open));
            put(object, "information", list(&up.information, Clone::clone));
        }
        EventKind::PeerDown { reason, data } => {
            put(object, "reason_code", *reason);
            put(object, "data", if data.is_empty() { Value::Null } else { json!(hex(data)) });
        }
        EventKind::EndOfRib { family } | EventKind::Sweep { family } => {
            put(object, "family", family.to_string())
        }
        EventKind::Statistics(statistics) => {
            let values = statistics.iter().map(|statistic| {
                json!({"type": statistic.kind, "family": statistic.family.map(|family| family.to_string()),
                       "value": statistic.value, "raw": hex(&statistic.raw)})
            });
            put(object, "statistics", values.collect::<Value>());
        }
        EventKind::RouteMirroring { codes, pdus } => {
            put(object, "mirror_codes", codes.clone());
            put(object, "mirror_pdus", list(pdus, |pdu| hex(pdu)));
        }
        EventKind::Malformed { error, pdu, suspect } => {
            malformed_keys(object, error, suspect.as_slice(), pdu);
        }
        EventKind::MalformedFields { error, pdu, suspects } => {
            malformed_keys(object, error, suspects, pdu);
        }
        EventKind::UnknownMessage { message_type, body } => {
            put(object, "message_type", *message_type);
            put(object, "data", hex(body));
        }
        EventKind::MessageTlvs { message_type, information } => {
            put(object, "message_type", *message_type);
            put(object, "information", list(information, Clone::clone));
        }
        EventKind::Suspect { reason, scope } => {
            put(object, "reason", reason.as_str());
            put(object, "suspect", scope.to_string());
        }
        EventKind::Gap { reason, from, until } => {
            put(object, "reason", reason.as_str());
            put(object, "from", time_value(*from));
            put(object, "until", time_value(*until));
        }
    }
}

fn malformed_keys(object: &mut Object, error: &str, suspects: &[SuspectScope], pdu: &[u8]) {
    let names: Vec<_> = suspects.iter().map(ToString::to_string).collect();
    put(object, "error", error);
    put(object, "suspect", (!names.is_empty()).then(|| names.join(", ")));
    put(object, "data", hex(pdu));
}
