//! Messages and fragments that the tests of other projects expect to be an error: Holdfast refuses them,
//! keeps them raw, or accepts them for a listed reason.
//!
//! The vectors are not part of the repository; without them this test prints SKIPPED and checks nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::common::messages::{self, PEER, bgp, bmp, update, v4};
use holdfast::bgp::{self, AttributeOutcome, Capability, Encoding, Update};
use holdfast::bmp::{self, Message, PeerUp};
use holdfast::route::{Family, Nlri};
use serde_json::Value;

/// The kind of a vector, by which it is completed to a whole message.
#[derive(Clone, Copy)]
enum Shape {
    /// A BGP message.
    Pdu,
    /// The body of an OPEN.
    Open,
    /// A BMP stream.
    Stream,
    /// A BMP message without its first five bytes: type and body.
    Typed,
    /// The body of a BMP message of this type.
    Body(u8),
    /// The body of a BMP message of this type, without the per-peer header.
    OfPeer(u8),
    /// An NLRI field.
    Routes(u16, u8, Encoding),
    /// The body of an EVPN route of this type.
    Evpn(u8),
    /// A path attribute from its length on, with these flags and this type; AS numbers have two or four
    /// octets.
    Length(u8, u8, bool),
    /// The value of this path attribute.
    Value(u8, u8, bool),
    /// A whole path attribute; AS numbers have two or four octets.
    Attribute(bool),
    /// The value of a TLV of this type in a Prefix-SID.
    PrefixSid(u8),
    /// A capability.
    Capability,
    /// A part that Holdfast does not decode separately: a helper of the other project, or a message that is
    /// kept as bytes.
    Nothing,
}

use Shape::{Attribute, Body, Evpn, Length, Nothing, OfPeer, Pdu, PrefixSid, Routes, Stream, Typed};

/// Kinds by the beginning of the vector's name; the first match applies.
#[rustfmt::skip]
const SHAPES: &[(&str, Shape)] = &[
    ("gobmp-base-", Nothing),
    ("gobmp-bgp-bgp-prefix-sid-42", PrefixSid(1)),
    ("gobmp-bgp-bgp-prefix-sid-110", PrefixSid(3)),
    ("gobmp-bgp-bgp-prefix-sid-116", PrefixSid(3)),
    ("gobmp-bgp-bgp-prefix-sid-", Shape::Value(0xc0, 40, true)),
    ("gobmp-bgpls-bgpls_guards-4", Shape::Value(0x80, 29, true)),
    ("gobmp-bgpls-", Nothing),
    ("gobmp-bmp-guards-104", OfPeer(2)),
    ("gobmp-bmp-guards-", Stream),
    ("gobmp-bmp-information_tlv-", Body(4)),
    ("gobmp-bmp-stats_route-", OfPeer(1)),
    ("gobmp-evpn-mcast-membership-report-synch-457", Routes(25, 70, Encoding::PLAIN)),
    ("gobmp-evpn-mcast-membership-report-synch-", Evpn(7)),
    ("gobmp-evpn-rfc9251-", Evpn(6)),
    ("gobmp-evpn-spmsi-ad-391", Routes(25, 70, Encoding::PLAIN)),
    ("gobmp-evpn-spmsi-ad-", Evpn(10)),
    ("gobmp-flowspec-rfc8955-", Routes(1, 133, Encoding::PLAIN)),
    ("gobmp-flowspec-rfc8956", Routes(2, 133, Encoding::PLAIN)),
    ("gobmp-srpolicy-", Routes(1, 73, Encoding::PLAIN)),
    ("gobmp-unicast-rfc8277-673", Routes(1, 4, Encoding::ADD_PATH)),
    ("gobmp-unicast-rfc8277-679", Routes(1, 4, Encoding::ADD_PATH)),
    ("gobmp-unicast-rfc8277-", Routes(1, 4, Encoding::PLAIN)),
    ("gobmp-", Pdu),
    ("netgauze-bgp-pkt-capabilities-", Shape::Capability),
    ("netgauze-bgp-pkt-mod-", Nothing),
    ("netgauze-bgp-pkt-nlri-test_ipv6_unicast", Routes(2, 1, Encoding::PLAIN)),
    ("netgauze-bgp-pkt-nlri-", Routes(1, 1, Encoding::PLAIN)),
    ("netgauze-bgp-pkt-notification-", Nothing),
    ("netgauze-bgp-pkt-open-", Shape::Open),
    ("netgauze-bgp-pkt-path_attribute-test_path_attribute_as2", Attribute(false)),
    ("netgauze-bgp-pkt-path_attribute-test_path_attribute_", Attribute(true)),
    ("netgauze-bgp-pkt-path_attribute-test_origin_value", Length(0x40, 1, true)),
    ("netgauze-bgp-pkt-path_attribute-test_as2_path_segment-", Shape::Value(0x40, 2, false)),
    ("netgauze-bgp-pkt-path_attribute-test_as2_path_segments", Length(0x40, 2, false)),
    ("netgauze-bgp-pkt-path_attribute-test_as4_path_segments", Length(0x50, 2, true)),
    ("netgauze-bgp-pkt-path_attribute-test_next_hop", Length(0x40, 3, true)),
    ("netgauze-bgp-pkt-path_attribute-test_multi_exit_discriminator", Length(0x80, 4, true)),
    ("netgauze-bgp-pkt-path_attribute-test_local_preference", Length(0x40, 5, true)),
    ("netgauze-bgp-pkt-path_attribute-test_atomic_aggregate", Length(0x50, 6, true)),
    ("netgauze-bgp-pkt-path_attribute-test_as2_aggregator-bad_extended", Length(0xd0, 7, false)),
    ("netgauze-bgp-pkt-path_attribute-test_as2_aggregator", Length(0xc0, 7, false)),
    ("netgauze-bgp-pkt-path_attribute-test_as4_aggregator-bad_extended", Length(0xd0, 7, true)),
    ("netgauze-bgp-pkt-path_attribute-test_as4_aggregator", Length(0xc0, 7, true)),
    ("netgauze-bgp-pkt-path_attribute-test_segment_identifier", Length(0xc0, 40, true)),
    ("netgauze-bgp-pkt-update-test_withdraw_route", Routes(1, 1, Encoding::PLAIN)),
    ("netgauze-bgp-pkt-update-", Pdu),
    ("netgauze-bmp-pkt-v3-test_peer_type", Nothing),
    ("netgauze-bmp-pkt-v3-test_peer_header", Body(0)),
    ("netgauze-bmp-pkt-v3-test_bmp_value_", Typed),
    ("netgauze-bmp-pkt-v3-test_route_monitoring_message", Body(0)),
    ("netgauze-bmp-pkt-v3-test_peer_down_reason", OfPeer(2)),
    ("netgauze-bmp-pkt-v3-test_peer_down_notification", Body(2)),
];

/// Vectors that Holdfast accepts, with the reason.
#[rustfmt::skip]
const ARGUED: &[(&str, &str)] = &[
    (
        "gobmp-bmp-guards-104",
        "Peer Down reason 0 is kept as its number: any reason means that the peer is down \
         (RFC 7854 section 4.9)",
    ),
    (
        "gobmp-rtc-rtc-191",
        "a membership may name any extended community that RFC 4684 section 4 has room for",
    ),
    ("gobmp-rtc-rtc-204", "as 191"),
    (
        "netgauze-bgp-pkt-capabilities-test_parse_add_path-bad_send_receive_wire",
        "a family with another mode is ignored, not the capability (RFC 7911 section 4)",
    ),
    (
        "netgauze-bgp-pkt-nlri-test_ipv4_unicast-bad_multicast_wire",
        "well formed; the router decides whether 224.0.0.0/24 may be a unicast route (RFC 4271 section 6.3)",
    ),
    ("netgauze-bgp-pkt-nlri-test_ipv6_unicast-bad_multicast_wire", "as that of IPv4"),
    ("netgauze-bgp-pkt-update-test_update_non_unicast_nlri-bad_multicast_nlri_wire", "as those of one route"),
    (
        "netgauze-bmp-pkt-v3-test_bmp_value_initiation_message-bad_information_wire",
        "an information TLV of an unknown type is kept with its number (RFC 7854 section 4.4)",
    ),
    (
        "netgauze-bmp-pkt-v3-test_peer_down_notification-bad_information_wire",
        "data after the reason is kept as bytes: the peer is down in any case (RFC 7854 section 4.9)",
    ),
    (
        "netgauze-bmp-pkt-v3-test_peer_down_notification-bad_peer_reason_wire",
        "a reason without a name is kept as its number",
    ),
    ("netgauze-bmp-pkt-v3-test_peer_down_reason-bad_local_pdu_bgp_wire", "as that with information"),
    ("netgauze-bmp-pkt-v3-test_peer_down_reason-bad_local_system_closed_wire", "as that with information"),
    ("netgauze-bmp-pkt-v3-test_peer_down_reason-bad_remote_pdu_bgp_wire", "as that with information"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Refused,
    Raw,
    Accepted,
}

fn routes(family: Family, bytes: &[u8], encoding: Encoding) -> Outcome {
    let entries: Vec<_> = bgp::nlri(family, bytes, encoding, false).collect();
    let is_raw =
        |entry: &Result<_, _>| matches!(entry, Ok(holdfast::route::NlriEntry { nlri: Nlri::Raw(_), .. }));
    match entries {
        entries if entries.iter().any(Result::is_err) => Outcome::Refused,
        entries if entries.iter().any(is_raw) => Outcome::Raw,
        _ => Outcome::Accepted,
    }
}

/// The most severe result of routes and attributes.
fn pdu(pdu: &[u8], four_octet_as: bool) -> Outcome {
    let Ok(update) = bgp::split(pdu) else { return Outcome::Refused };
    let Update { withdrawn, nlri, mp_reach, mp_unreach, .. } = update;
    let v4 = Family::IPV4_UNICAST;
    let fields = [
        Some((v4, withdrawn)),
        Some((v4, nlri)),
        mp_reach.map(|mp| (mp.family, mp.nlri)),
        mp_unreach.map(|mp| (mp.family, mp.nlri)),
    ];
    let fields = fields.into_iter().flatten();
    let routes = fields.map(|(family, bytes)| routes(family, bytes, Encoding::PLAIN)).min();
    let (attributes, verdict) = bgp::attributes(&update, four_octet_as);
    let attributes = match verdict {
        AttributeOutcome::Accepted if attributes.raw.is_empty() => Outcome::Accepted,
        AttributeOutcome::Accepted => Outcome::Raw,
        _ => Outcome::Refused,
    };
    routes.unwrap_or(Outcome::Accepted).min(attributes)
}

/// An UPDATE with these attributes and one valid route.
fn with_attributes(section: &[u8], four_octet_as: bool) -> Outcome {
    pdu(&update(&[], section, &v4(10, 1, 2, 24)), four_octet_as)
}

fn message(bytes: &[u8]) -> Outcome {
    match bmp::decode(bytes) {
        Err(_) => Outcome::Refused,
        Ok(Message::RouteMonitoring { pdu: inner, peer, .. }) => pdu(inner, !peer.is_two_octet_as()),
        // Bytes that are no TLV are kept raw.
        Ok(
            Message::Initiation { trailer, .. }
            | Message::Termination { trailer, .. }
            | Message::RouteMirroring { trailer, .. }
            | Message::PeerUp(PeerUp { trailer, .. })
            | Message::PeerDown { trailer, .. }
            | Message::StatisticsReport { trailer, .. },
        ) if !trailer.is_empty() => Outcome::Raw,
        Ok(_) => Outcome::Accepted,
    }
}

fn outcome(shape: Shape, bytes: &[u8]) -> Option<Outcome> {
    let is_ok = |ok: bool| if ok { Outcome::Accepted } else { Outcome::Refused };
    Some(match shape {
        Pdu => pdu(bytes, true),
        Shape::Open => match bgp::open(&bgp(1, bytes)) {
            Err(_) => Outcome::Refused,
            Ok(open) if open.damage.is_some() => Outcome::Raw,
            Ok(_) => Outcome::Accepted,
        },
        // An incomplete message is refused.
        Stream => is_ok(matches!(bmp::frame(bytes), Ok(Some(_)))),
        Typed => message(&bmp(bytes[0], &bytes[1..])),
        Body(kind) => message(&bmp(kind, bytes)),
        OfPeer(kind) => message(&bmp(kind, &[PEER.bytes(), bytes.to_vec()].concat())),
        Routes(afi, safi, encoding) => routes(Family { afi, safi }, bytes, encoding),
        Evpn(kind) => {
            let length = u8::try_from(bytes.len()).unwrap();
            routes(Family::EVPN, &[&[kind, length], bytes].concat(), Encoding::PLAIN)
        }
        Length(flags, code, width) => with_attributes(&[&[flags, code], bytes].concat(), width),
        Shape::Value(flags, code, width) => with_attributes(&messages::attribute(flags, code, bytes), width),
        Attribute(width) => with_attributes(bytes, width),
        PrefixSid(kind) => {
            let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
            with_attributes(&messages::attribute(0xc0, 40, &[&[kind], &length[..], bytes].concat()), true)
        }
        Shape::Capability => match bgp::capability(bytes) {
            None => Outcome::Refused,
            Some(Capability::Other { .. }) => Outcome::Raw,
            Some(_) => Outcome::Accepted,
        },
        Nothing => return None,
    })
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(digits).collect()
}

#[test]
fn vectors_that_others_refuse_are_refused_kept_raw_or_listed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/updates");
    if !folder.is_dir() {
        println!(
            "SKIPPED: vectors_that_others_refuse_are_refused_kept_raw_or_listed: no corpus at {}",
            folder.display()
        );
        return;
    }
    let mut counts: BTreeMap<Option<Outcome>, usize> = BTreeMap::new();
    let mut accepted = BTreeSet::new();
    for file in ["gobmp", "netgauze"] {
        for line in fs::read_to_string(folder.join(file).with_extension("jsonl")).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            if line["expects_error"] != true {
                continue;
            }
            let id = line["id"].as_str().unwrap();
            let (hex, whole) = (line["hex_message"].as_str(), Pdu);
            let fits = |(start, _): &&(&str, Shape)| id.starts_with(start);
            let shape = if hex.is_some() { whole } else { SHAPES.iter().find(fits).unwrap().1 };
            let outcome = outcome(shape, &from_hex(hex.or(line["hex"].as_str()).unwrap()));
            *counts.entry(outcome).or_default() += 1;
            if outcome == Some(Outcome::Accepted) {
                accepted.insert(id.to_owned());
            }
        }
    }
    println!("of vectors that expect an error: {counts:?}; None: no part that is decoded alone");
    let argued: BTreeSet<_> = ARGUED.iter().map(|(id, _)| (*id).to_owned()).collect();
    assert_eq!(accepted, argued);
    assert!(counts[&Some(Outcome::Refused)] > 110);
}
