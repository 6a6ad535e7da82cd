//! Rows of the history tables in binary COPY format. Pure.
//!
//! A row of `route_records` refers to its incarnation and its attribute set, which are encoded once per
//! transaction. The group block (see `columns`) is encoded per row: FRR and BIRD send one prefix per message,
//! so that most groups have one row.

use std::net::{IpAddr, Ipv6Addr};

use serde_json::{Value, json};

use crate::hex;
use crate::num;
use crate::route::{
    Action, AsPath, Attributes, Batch, Event, EventKind, Family, MalformedPdu, Nlri, PathMarking, Peer,
    PeerUp, RawAttribute, Rd, RouteRecord, SegmentKind, SessionEnd, Statistic, attribute_name, bounded_texts,
    community_text, extended_community_text, large_community_text,
};
use crate::sink::lanes::Lane;

use super::columns;
use super::pg_field as field;

/// Number of fields that [`peer_fields`] appends.
const PEER_FIELDS: usize = 8;

/// Appends the block of an incarnation ([`columns::INCARNATION`]).
pub(crate) fn incarnation_block(out: &mut Vec<u8>, lane: &Lane, batch: &Batch, peer: &Peer) {
    log_fields(out, lane);
    router_fields(out, batch);
    peer_fields(out, peer);
}

fn log_fields(out: &mut Vec<u8>, lane: &Lane) {
    field::text(out, &lane.collector);
    field::uuid(out, lane.log_id.0);
}

fn router_fields(out: &mut Vec<u8>, batch: &Batch) {
    field::timestamp(out, batch.router.session);
    field::text(out, &batch.router.name);
    field::inet(out, batch.router.address);
}

fn peer_fields(out: &mut Vec<u8>, peer: &Peer) {
    field::inet(out, peer.key.address);
    field::int8(out, i64::from(peer.asn));
    field::int8(out, i64::from(peer.generation));
    field::int2(out, i16::from(peer.key.peer_type));
    field::display(out, Rd(peer.key.distinguisher.to_be_bytes()));
    field::inet(out, IpAddr::V4(peer.bgp_id));
    field::display(out, peer.view);
    field::text_or_null(out, &peer.table_name);
}

/// Appends the attribute block ([`columns::ATTRIBUTES`]); NULL in all its columns for `None`.
pub(crate) fn attribute_block(out: &mut Vec<u8>, attributes: Option<&Attributes>) {
    let Some(a) = attributes else {
        columns::ATTRIBUTES.iter().for_each(|_| field::null(out));
        return;
    };
    field::optional(out, a.origin, |out, origin| field::int2(out, i16::from(origin)));
    as_path(out, a.as_path.as_ref());
    field::optional(out, a.next_hop, field::inet);
    field::optional(out, a.next_hop_link_local, |out, address: Ipv6Addr| {
        field::inet(out, IpAddr::V6(address))
    });
    field::optional(out, a.med, number);
    field::optional(out, a.local_pref, number);
    field::optional(out, a.atomic_aggregate.then_some(true), field::boolean);
    field::optional(out, a.aggregator.map(|aggregator| aggregator.asn), number);
    field::optional(out, a.aggregator.map(|aggregator| IpAddr::V4(aggregator.address)), field::inet);
    field::text_array(out, &a.communities, |community| community_text(*community));
    field::text_array(out, &a.extended_communities, |community| extended_community_text(*community));
    field::text_array(out, &a.large_communities, |community| large_community_text(*community));
    field::optional(out, a.originator_id.map(IpAddr::V4), field::inet);
    field::inet_array(out, &a.cluster_list);
    field::optional(out, a.aigp, field::numeric);
    field::optional(out, a.only_to_customer, number);
    let raw = (!a.raw.is_empty()).then_some(a.raw.as_slice());
    field::optional(out, raw, |out, raw| field::bytea(out, &raw_attributes(raw)));
    field::text_array(out, &a.rare, ToString::to_string);
    field::text_array(out, &a.missing, |code| attribute_name(*code).unwrap_or("?"));
    field::text_array(out, &a.discarded, String::clone);
}

/// Appends the block of the path marking ([`columns::MARKING`]); NULL in all its columns for `None`.
pub(crate) fn marking_block(out: &mut Vec<u8>, marking: Option<&PathMarking>) {
    let Some(marking) = marking else {
        columns::MARKING.iter().for_each(|_| field::null(out));
        return;
    };
    number(out, marking.status);
    field::optional(out, marking.reason.map(u32::from), field::int4);
    field::text_array(out, &marking.names(), String::clone);
}

fn number(out: &mut Vec<u8>, value: u32) {
    field::int8(out, i64::from(value));
}

/// Appends as_path, as_path_text and origin_as. The text form is NULL for a path of one AS_SEQUENCE, because
/// as_path represents such a path completely.
fn as_path(out: &mut Vec<u8>, path: Option<&AsPath>) {
    field::optional(out, path, |out, path| field::int8_array_or_empty(out, &path.asns));
    let is_plain = |path: &&AsPath| match path.segments.as_slice() {
        [] => true,
        [segment] => segment.kind == SegmentKind::Sequence,
        _ => false,
    };
    field::optional(out, path.filter(|path| !is_plain(path)), field::display);
    field::optional(out, path.and_then(AsPath::origin_as), number);
}

/// Attributes in wire format (RFC 4271 section 4.3): flags, code, length of one or two octets, value. The
/// length has two octets if the Extended Length flag (0x10) is set or the value needs it.
fn raw_attributes(attributes: &[RawAttribute]) -> Vec<u8> {
    let mut out = Vec::new();
    for attribute in attributes {
        match u8::try_from(attribute.value.len()) {
            Ok(length) if attribute.flags & 0x10 == 0 => {
                out.extend_from_slice(&[attribute.flags, attribute.code, length]);
            }
            _ => {
                // A value comes from a BGP message, whose length has 16 bits.
                let length = u16::try_from(attribute.value.len()).unwrap_or(u16::MAX);
                out.extend_from_slice(&[attribute.flags | 0x10, attribute.code]);
                out.extend_from_slice(&length.to_be_bytes());
            }
        }
        out.extend_from_slice(&attribute.value);
    }
    out
}

/// Appends the group block ([`columns::GROUP`]).
pub(crate) fn group_block(out: &mut Vec<u8>, seq: u64, route: &RouteRecord<'_>) {
    let group = route.group;
    field::timestamp(out, group.received);
    field::router_time(out, group.router_time);
    field::int4(out, u32::from(group.family.afi));
    field::int2(out, i16::from(group.family.safi));
    field::boolean(out, group.action == Action::Withdraw);
    field::int2(out, i16::from(u8::from(group.cause)));
    field::int8(out, num::to_i64_saturating(seq));
    field::int4(out, route.index);
    field::optional(out, group.add_path.then_some(route.entry.path_id), number);
}

/// Appends the key of a route, or NULL if it follows from the columns of the route (`holdfast_route_key`).
pub(crate) fn route_key(out: &mut Vec<u8>, route: &RouteRecord<'_>, key: &[u8]) {
    let is_plain = matches!(route.entry.nlri, Nlri::Prefix(_));
    let has_path_id = route.group.add_path || route.entry.path_id == 0;
    field::optional(out, (!is_plain || !has_path_id).then_some(key), field::bytea);
}

/// Appends the NLRI block ([`columns::NLRI`]).
pub(crate) fn nlri_block(out: &mut Vec<u8>, nlri: &Nlri) {
    // The common case, without the intermediate NlriColumns.
    if let Nlri::Prefix(prefix) = nlri {
        field::cidr(out, *prefix);
        columns::NLRI.iter().skip(1).for_each(|_| field::null(out));
        return;
    }
    let fields = nlri.columns();
    field::optional(out, fields.prefix, field::cidr);
    field::optional(out, fields.rd, field::display);
    field::optional(out, fields.evpn_route_type.map(u32::from), field::int4);
    field::optional(out, fields.rd.filter(|_| fields.evpn_route_type.is_some()), field::display);
    field::optional(out, fields.esi, field::display);
    field::optional(out, fields.tag, number);
    field::optional(out, fields.mac, field::display);
    field::optional(out, fields.ip, field::inet);
    field::optional(out, fields.gateway, field::inet);
    field::int8_array(out, &fields.labels);
    field::optional(out, nlri.text(), field::display);
    field::optional(out, fields.raw, field::bytea);
}

/// Appends the columns that all events share ([`columns::EVENT`]); those of the peer are NULL for an event of
/// a router.
fn event_block(out: &mut Vec<u8>, lane: &Lane, seq: u64, batch: &Batch, event: &Event) {
    log_fields(out, lane);
    field::int8(out, num::to_i64_saturating(seq));
    router_fields(out, batch);
    match event.peer.and_then(|peer| batch.peers.get(usize::from(peer))) {
        Some(peer) => peer_fields(out, peer),
        None => (0..PEER_FIELDS).for_each(|_| field::null(out)),
    }
    field::timestamp(out, event.received);
    field::router_time(out, event.router_time);
    field::int4(out, event.index);
}

/// The table that stores an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventTable {
    /// `peer_events`.
    Events,
    /// `peer_stats`.
    Statistics,
    /// `collector_gaps`.
    Gaps,
}

/// Returns the table that stores events of this kind.
pub(crate) const fn event_table(kind: &EventKind) -> EventTable {
    match kind {
        EventKind::Statistics(_) => EventTable::Statistics,
        EventKind::Gap { .. } => EventTable::Gaps,
        _ => EventTable::Events,
    }
}

/// Appends a complete row for the table that [`event_table`] returns.
pub(crate) fn event_row(out: &mut Vec<u8>, lane: &Lane, seq: u64, batch: &Batch, event: &Event) {
    match &event.kind {
        EventKind::Statistics(statistics) => {
            field::row(out, columns::count(columns::PEER_STATS));
            event_block(out, lane, seq, batch, event);
            field::jsonb(out, statistics.iter().map(statistic).collect());
        }
        EventKind::Gap { reason, from, until } => {
            field::row(out, columns::count(columns::COLLECTOR_GAPS));
            field::text(out, &lane.collector);
            field::uuid(out, lane.log_id.0);
            field::int8(out, num::to_i64_saturating(seq));
            field::int4(out, event.index);
            field::null(out);
            field::null(out);
            field::text(out, &batch.router.name);
            field::text(out, reason);
            field::timestamp(out, *from);
            field::timestamp(out, *until);
        }
        kind => {
            field::row(out, columns::count(columns::PEER_EVENTS));
            event_block(out, lane, seq, batch, event);
            event_fields(out, kind);
        }
    }
}

/// Appends event_type, reason_code, afi, safi, sent_open, received_open, data and detail.
fn event_fields(out: &mut Vec<u8>, kind: &EventKind) {
    field::text(out, kind.name());
    let reason = match kind {
        EventKind::PeerDown { reason, .. } => Some(u32::from(*reason)),
        EventKind::SessionDown { end: SessionEnd::Terminated(reason) } => reason.map(u32::from),
        _ => None,
    };
    field::optional(out, reason, field::int4);
    let family = match kind {
        EventKind::EndOfRib { family } | EventKind::Sweep { family } => Some(*family),
        _ => None,
    };
    field::optional(out, family, |out, family: Family| field::int4(out, u32::from(family.afi)));
    field::optional(out, family, |out, family: Family| field::int2(out, i16::from(family.safi)));
    let up = kind.peer_up();
    field::optional(out, up, |out, up| field::bytea(out, &up.sent_open));
    field::optional(out, up, |out, up| field::bytea(out, &up.received_open));
    match kind {
        EventKind::PeerDown { data, .. }
        | EventKind::Malformed { pdu: data, .. }
        | EventKind::MalformedFields { pdu: data, .. }
        | EventKind::UnknownMessage { body: data, .. } => field::bytea(out, data),
        // Each PDU begins with its own length, so that the concatenation can be split again.
        EventKind::RouteMirroring { pdus, .. } => field::bytea(out, &pdus.concat()),
        _ => field::null(out),
    }
    field::optional(out, event_detail(kind), field::jsonb);
}

fn event_detail(kind: &EventKind) -> Option<Value> {
    Some(match kind {
        EventKind::SessionUp { sys_name, sys_descr, information } => {
            json!({ "sys_name": sys_name, "sys_descr": sys_descr, "information": information })
        }
        EventKind::SessionDown { end } | EventKind::PeerStale { end } => json!({ "end": end.to_string() }),
        EventKind::PeerUp(up) | EventKind::PeerUpRepeated(up) => peer_up_detail(up),
        EventKind::RouteMirroring { codes, .. } => json!({ "codes": codes }),
        EventKind::UnknownMessage { message_type, .. } => json!({ "message_type": message_type }),
        EventKind::MessageTlvs { message_type, information } => {
            json!({ "message_type": message_type, "information": information })
        }
        EventKind::Suspect { reason, scope } => json!({ "error": reason, "suspect": scope.to_string() }),
        EventKind::Malformed { .. } | EventKind::MalformedFields { .. } => {
            let MalformedPdu { error, suspects, .. } = kind.malformed()?;
            let suspect: Vec<_> = suspects.iter().map(ToString::to_string).collect();
            json!({ "error": error, "suspect": (!suspect.is_empty()).then(|| suspect.join(", ")) })
        }
        _ => return None,
    })
}

/// Fields of a Peer Up as JSON for its event, without the OPEN messages.
fn peer_up_detail(up: &PeerUp) -> Value {
    peer_up_fields(up, <[String]>::to_vec)
}

/// The same for the row of the peer, with lists of a bounded length.
pub(crate) fn bounded_peer_up_detail(up: &PeerUp) -> Value {
    peer_up_fields(up, bounded_texts)
}

fn peer_up_fields(up: &PeerUp, list: impl Fn(&[String]) -> Vec<String>) -> Value {
    let names = |families: &[Family]| list(&families.iter().map(Family::to_string).collect::<Vec<_>>());
    json!({
        "local_address": up.local_address,
        "local_port": up.local_port,
        "remote_port": up.remote_port,
        "hold_time_s": up.hold_time_s,
        "four_octet_as": up.four_octet_as,
        "add_path": names(&up.add_path),
        "families": names(&up.families),
        "information": list(&up.information),
        "sent_capabilities": list(&up.sent_capabilities),
        "received_capabilities": list(&up.received_capabilities),
    })
}

fn statistic(statistic: &Statistic) -> Value {
    json!({
        "type": statistic.kind,
        "afi": statistic.family.map(|family| family.afi),
        "safi": statistic.family.map(|family| family.safi),
        "value": statistic.value,
        "raw": hex::hex(&statistic.raw),
    })
}
