//! Compares the decode of recordings of FRR, BIRD and GoBGP with tshark's decode of the same bytes.
//!
//! The ground truth of each recording was written by `tools/testbed/routers`, which compares it with the
//! routes that the announcers were configured to announce. It is independent of Holdfast's decoder.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails should panic")]

mod common;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use common::sessions::{options, session};
use flate2::read::GzDecoder;
use holdfast::bmp;
use holdfast::route::{
    Action, AsPath, Attributes, Batch, EvpnRoute, Nlri, Rd, RouteRecord, SegmentKind, Timestamp,
    community_text, large_community_text,
};
use holdfast::session::{Options, Session};
use serde_json::{Map, Value, json};

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/captures")
}

/// Every recorded connection: its bytes and its ground truth.
fn connections() -> Vec<(PathBuf, PathBuf)> {
    let mut found = Vec::new();
    for router in fs::read_dir(captures()).unwrap() {
        let router = router.unwrap().path();
        for number in 1.. {
            let stream = router.join(format!("{number}.bmp.gz"));
            if !stream.exists() {
                break;
            }
            found.push((stream, router.join(format!("{number}.truth.jsonl.gz"))));
        }
    }
    found.sort();
    found
}

fn unpacked(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn segments(path: &AsPath) -> Value {
    path.iter()
        .map(|(kind, asns)| {
            let name = match kind {
                SegmentKind::Set => "AS_SET",
                SegmentKind::Sequence => "AS_SEQUENCE",
                SegmentKind::ConfedSequence => "AS_CONFED_SEQUENCE",
                SegmentKind::ConfedSet => "AS_CONFED_SET",
            };
            json!([name, asns])
        })
        .collect()
}

fn texts<T>(values: &[T], text: impl Fn(&T) -> String) -> Value {
    if values.is_empty() { Value::Null } else { values.iter().map(text).collect() }
}

/// A route in the format of the ground truth.
fn line(batch: &Batch, route: &RouteRecord<'_>, message: usize) -> Map<String, Value> {
    let group = route.group;
    let peer = batch.peer_of(group).unwrap();
    let mut line = Map::new();
    let mut put = |key: &str, value: Value| line.insert(key.to_owned(), value);
    put("msg_index", json!(message));
    put("peer_type", json!(peer.key.peer_type));
    put("peer_distinguisher", json!(format!("{:016x}", peer.key.distinguisher)));
    put("peer_address", json!(peer.key.address.to_string()));
    put("rib", json!(peer.view.to_string()));
    put("timestamp", json!(group.router_time.0));
    put("afi", json!(group.family.afi));
    put("safi", json!(group.family.safi));
    put("action", json!(if group.action == Action::Announce { "announce" } else { "withdraw" }));
    put("path_id", if group.add_path { json!(route.entry.path_id) } else { Value::Null });
    match &route.entry.nlri {
        Nlri::Prefix(prefix) => drop(put("prefix", json!(prefix.to_string()))),
        Nlri::Evpn(evpn) => {
            put("evpn_route_type", json!(evpn.route_type()));
            put("rd", json!(evpn.rd().unwrap().to_string()));
            evpn_fields(evpn, &mut put);
        }
        other => panic!("{other:?} in a capture"),
    }
    if let Some(attributes) = batch.attributes_of(group) {
        attribute_fields(attributes, &mut put);
    }
    line.retain(|_, value| !value.is_null());
    line
}

fn evpn_fields(evpn: &EvpnRoute, put: &mut impl FnMut(&str, Value) -> Option<Value>) {
    match evpn {
        EvpnRoute::AutoDiscovery { esi, tag, .. } => {
            put("evpn_esi", json!(esi.to_string()));
            put("evpn_tag", json!(tag));
        }
        EvpnRoute::MacIp { esi, tag, mac, ip, .. } => {
            put("evpn_esi", json!(esi.to_string()));
            put("evpn_tag", json!(tag));
            put("mac_address", json!(mac.to_string()));
            put("evpn_ip", json!(ip.map(|ip| ip.to_string())));
        }
        EvpnRoute::InclusiveMulticast { tag, originator, .. } => {
            put("evpn_tag", json!(tag));
            put("evpn_ip", json!(originator.to_string()));
        }
        EvpnRoute::EthernetSegment { esi, originator, .. } => {
            put("evpn_esi", json!(esi.to_string()));
            put("evpn_ip", json!(originator.to_string()));
        }
        EvpnRoute::IpPrefix { esi, tag, prefix, .. } => {
            put("evpn_esi", json!(esi.to_string()));
            put("evpn_tag", json!(tag));
            put("evpn_prefix", json!(prefix.to_string()));
        }
        other => panic!("{other:?} in a capture"),
    }
}

fn attribute_fields(attributes: &Attributes, put: &mut impl FnMut(&str, Value) -> Option<Value>) {
    put("next_hop", json!(attributes.next_hop.map(|hop| hop.to_string())));
    put("as_path", attributes.as_path.as_ref().map_or(Value::Null, segments));
    put("origin", json!(attributes.origin.map(|origin| ["igp", "egp", "incomplete"][usize::from(origin)])));
    put("med", json!(attributes.med));
    put("local_pref", json!(attributes.local_pref));
    put("communities", texts(&attributes.communities, |community| community_text(*community)));
    put(
        "large_communities",
        texts(&attributes.large_communities, |community| large_community_text(*community)),
    );
    let hex = |community: &[u8; 8]| community.iter().map(|byte| format!("{byte:02x}")).collect();
    put("ext_communities", texts(&attributes.extended_communities, hex));
}

/// A line of the ground truth without fields that do not identify a route, and in Holdfast's notation.
fn truth_line(text: &str) -> Map<String, Value> {
    let mut line: Map<String, Value> = serde_json::from_str(text).unwrap();
    line.retain(|key, value| {
        !value.is_null() && !["peer_flags", "peer_asn", "peer_bgp_id"].contains(&key.as_str())
    });
    line
}

fn sorted(lines: Vec<Map<String, Value>>) -> Vec<String> {
    // Messages are compared in order; within one message the order of routes is free.
    let mut texts: Vec<(u64, String)> =
        lines.into_iter().map(|line| (line["msg_index"].as_u64().unwrap(), sorted_keys(&line))).collect();
    texts.sort();
    texts.into_iter().map(|(_, text)| text).collect()
}

fn sorted_keys(line: &Map<String, Value>) -> String {
    let mut keys: Vec<String> = line.iter().map(|(key, value)| format!("{key}={value}")).collect();
    keys.sort();
    keys.join(" ")
}

fn decoded(stream: &[u8]) -> (Vec<Map<String, Value>>, Session) {
    let mut session = session(Options { sweep_quiet_us: i64::MAX, ..options(Timestamp(1)) });
    let mut lines = Vec::new();
    let mut rest = stream;
    for message in 0.. {
        let Some(bytes) = bmp::frame(rest).unwrap() else { break };
        session.message(bytes, Timestamp(1_790_000_000_000_000));
        rest = &rest[bytes.len()..];
        for batch in session.take_batches() {
            lines.extend(batch.routes().map(|route| line(&batch, &route, message)));
        }
    }
    assert!(rest.is_empty(), "{} bytes behind the last message", rest.len());
    (lines, session)
}

#[test]
fn every_route_of_every_capture_agrees_with_tshark_and_the_announcer() {
    let mut routes = 0;
    for (stream, truth) in connections() {
        let (lines, session) = decoded(&unpacked(&stream));
        let expected = BufReader::new(GzDecoder::new(File::open(&truth).unwrap()))
            .lines()
            .map(|text| truth_line(&text.unwrap()))
            .filter(|line| line["action"] != "end-of-rib")
            .collect();
        let (ours, expected) = (sorted(lines), sorted(expected));
        for (ours, expected) in ours.iter().zip(&expected) {
            assert_eq!(ours, expected, "{}", stream.display());
        }
        assert_eq!(ours.len(), expected.len(), "{}", stream.display());
        assert_eq!(session.summary().counters.errors, 0, "{}", stream.display());
        routes += ours.len();
    }
    assert!(routes > 20_000, "only {routes} routes in the captures");
}

#[test]
fn route_distinguishers_and_counts_of_messages_agree_with_the_capture() {
    assert_eq!(Rd([0, 1, 10, 0, 0, 22, 0, 100]).to_string(), "10.0.0.22:100");
    for (stream, _) in connections() {
        let expected: Value =
            serde_json::from_slice(&fs::read(stream.parent().unwrap().join("expected.json")).unwrap())
                .unwrap();
        let number = stream.file_name().unwrap().to_str().unwrap().split('.').next().unwrap();
        let (_, session) = decoded(&unpacked(&stream));
        let messages = expected["connections"][number]["messages"].as_u64();
        assert_eq!(Some(session.summary().counters.messages), messages, "{}", stream.display());
    }
}
