//! From a batch to the rows of history, as bytes of binary COPY. Pure.
//!
//! A row is four blocks: peer, attributes, group, NLRI (see `columns`). The first two are encoded once per batch and
//! copied; FRR and BIRD send one prefix per message, so the group is not worth that.

use std::net::{IpAddr, Ipv6Addr};

use serde_json::{Value, json};

use crate::route::{
    AsPath, Attributes, Batch, Event, EventKind, Family, Nlri, Peer, PeerUp, RawAttribute, Rd, RibView,
    RouteRecord, RowGroup, SegmentKind, SessionEnd, Statistic, attribute_name, community_text,
    extended_community_text, large_community_text,
};
use crate::sink::copy::columns;
use crate::sink::copy::pg_field as field;
use crate::sink::lanes::Lane;

/// The block of a peer in a route row.
pub(in crate::sink) fn peer_block(out: &mut Vec<u8>, lane: &Lane, seq: u64, batch: &Batch, peer: &Peer) {
    batch_fields(out, lane, seq, batch);
    peer_fields(out, peer);
}

fn batch_fields(out: &mut Vec<u8>, lane: &Lane, seq: u64, batch: &Batch) {
    field::text(out, &lane.collector);
    field::uuid(out, lane.log_id);
    field::int8(out, seq_number(seq));
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

/// The block of an attribute set; also a row of `path_attributes` behind its hash.
pub(in crate::sink) fn attribute_block(out: &mut Vec<u8>, attributes: Option<&Attributes>) {
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

fn number(out: &mut Vec<u8>, value: u32) {
    field::int8(out, i64::from(value));
}

/// as_path, as_path_text, origin_as. The text stands only where the numbers alone do not say it all.
fn as_path(out: &mut Vec<u8>, path: Option<&AsPath>) {
    field::optional(out, path, |out, path| field::int8_array_or_empty(out, &path.asns));
    let plain = |path: &&AsPath| match path.segments.as_slice() {
        [] => true,
        [segment] => segment.kind == SegmentKind::Sequence,
        _ => false,
    };
    field::optional(out, path.filter(|path| !plain(path)), field::display);
    field::optional(out, path.and_then(AsPath::origin_as), number);
}

/// Attributes as on the wire (RFC 4271 section 4.3): flags, code, length of one or two octets by the flag 0x10, value.
fn raw_attributes(attributes: &[RawAttribute]) -> Vec<u8> {
    let mut out = Vec::new();
    for attribute in attributes {
        match u8::try_from(attribute.value.len()) {
            Ok(length) if attribute.flags & 0x10 == 0 => {
                out.extend_from_slice(&[attribute.flags, attribute.code, length]);
            }
            _ => {
                let length = u16::try_from(attribute.value.len()).unwrap_or(u16::MAX);
                out.extend_from_slice(&[attribute.flags | 0x10, attribute.code]);
                out.extend_from_slice(&length.to_be_bytes());
            }
        }
        out.extend_from_slice(&attribute.value);
    }
    out
}

/// The block of a group and the row's number in it.
pub(in crate::sink) fn group_block(
    out: &mut Vec<u8>,
    group: &RowGroup,
    route: &RouteRecord<'_>,
    is_withdrawn: bool,
) {
    field::timestamp(out, group.received);
    field::router_time(out, group.router_time);
    family_name(out, group.family);
    field::int4(out, u32::from(group.family.afi));
    field::int2(out, i16::from(group.family.safi));
    field::boolean(out, is_withdrawn);
    field::text(out, group.cause.name(group.action));
    field::int4(out, route.index);
    field::optional(out, group.add_path.then_some(route.entry.path_id), number);
}

fn family_name(out: &mut Vec<u8>, family: Family) {
    match family {
        Family::IPV4_UNICAST => field::text(out, "ipv4_unicast"),
        Family::IPV6_UNICAST => field::text(out, "ipv6_unicast"),
        other => field::display(out, other),
    }
}

/// The block of the route itself.
pub(in crate::sink) fn nlri_block(out: &mut Vec<u8>, nlri: &Nlri) {
    // Nearly all routes.
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

/// What events share: batch, peer if it has one, times and number.
fn event_block(out: &mut Vec<u8>, lane: &Lane, seq: u64, batch: &Batch, event: &Event) {
    batch_fields(out, lane, seq, batch);
    match event.peer.and_then(|peer| batch.peers.get(usize::from(peer))) {
        Some(peer) => peer_fields(out, peer),
        None => (0..8).for_each(|_| field::null(out)),
    }
    field::timestamp(out, event.received);
    field::router_time(out, event.router_time);
    field::int4(out, event.index);
}

/// Into which table an event belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sink) enum EventTable {
    Events,
    Statistics,
    Gaps,
}

/// Where the event goes.
pub(in crate::sink) const fn event_table(kind: &EventKind) -> EventTable {
    match kind {
        EventKind::Statistics(_) => EventTable::Statistics,
        EventKind::Gap { .. } => EventTable::Gaps,
        _ => EventTable::Events,
    }
}

/// A whole row of the table that [`event_table`] names.
pub(in crate::sink) fn event_row(out: &mut Vec<u8>, lane: &Lane, seq: u64, batch: &Batch, event: &Event) {
    match &event.kind {
        EventKind::Statistics(statistics) => {
            field::row(out, columns::count(columns::PEER_STATS));
            event_block(out, lane, seq, batch, event);
            field::jsonb(out, &statistics.iter().map(statistic).collect());
        }
        EventKind::Gap { reason, from, until } => {
            field::row(out, columns::count(columns::COLLECTOR_GAPS));
            field::text(out, &lane.collector);
            field::uuid(out, lane.log_id);
            field::int8(out, seq_number(seq));
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

/// event_type, reason_code, afi, safi, sent_open, received_open, data, detail.
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
    let up = if let EventKind::PeerUp(up) = kind { Some(up) } else { None };
    field::optional(out, up, |out, up| field::bytea(out, &up.sent_open));
    field::optional(out, up, |out, up| field::bytea(out, &up.received_open));
    match kind {
        EventKind::PeerDown { data, .. } | EventKind::Malformed { pdu: data, .. } => field::bytea(out, data),
        // Each PDU says its own length, so one after the other loses nothing.
        EventKind::RouteMirroring { pdus, .. } => field::bytea(out, &pdus.concat()),
        _ => field::null(out),
    }
    field::optional(out, event_detail(kind), |out, detail| field::jsonb(out, &detail));
}

fn event_detail(kind: &EventKind) -> Option<Value> {
    Some(match kind {
        EventKind::SessionUp { sys_name, sys_descr, information } => {
            json!({ "sys_name": sys_name, "sys_descr": sys_descr, "information": information })
        }
        EventKind::SessionDown { end } | EventKind::PeerStale { end } => json!({ "end": end.to_string() }),
        EventKind::PeerUp(up) => peer_up_detail(up),
        EventKind::RouteMirroring { codes, .. } => json!({ "codes": codes }),
        EventKind::Malformed { error, suspect, .. } => {
            json!({ "error": error, "suspect": suspect.map(|scope| scope.to_string()) })
        }
        _ => return None,
    })
}

/// What a Peer Up tells, except for the OPEN messages.
pub(in crate::sink) fn peer_up_detail(up: &PeerUp) -> Value {
    let names = |families: &[Family]| families.iter().map(Family::to_string).collect::<Vec<_>>();
    json!({
        "local_address": up.local_address,
        "local_port": up.local_port,
        "remote_port": up.remote_port,
        "hold_time_s": up.hold_time_s,
        "four_octet_as": up.four_octet_as,
        "add_path": names(&up.add_path),
        "families": names(&up.families),
        "information": up.information,
        "sent_capabilities": up.sent_capabilities,
        "received_capabilities": up.received_capabilities,
    })
}

fn statistic(statistic: &Statistic) -> Value {
    let raw = statistic.raw.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    json!({
        "type": statistic.kind,
        "afi": statistic.family.map(|family| family.afi),
        "safi": statistic.family.map(|family| family.safi),
        "value": statistic.value,
        "raw": raw,
    })
}

/// A sequence number as bigint.
pub(in crate::sink) fn seq_number(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// Whether the view has a life of its own, apart from the peer's session.
pub(in crate::sink) fn is_loc_rib(view: RibView) -> bool {
    view == RibView::LocRib
}
