//! tshark's readings, through `tools/testbed/tshark`, whose decode is also the ground truth of the
//! recordings.

use std::collections::HashMap;
use std::fs;
use std::process::{Command, Output};

use holdfast::route::Family;
use serde_json::Value;

use crate::common::process;
use crate::reading::{Action, Reading, labelled};
use crate::streams::Stream;
use crate::verdicts::TSHARK_SERIES;

/// Families that are compared. The script reads no 2/128 routes and reads labels of EVPN routes wrongly; the
/// other fields of EVPN routes are compared in `tests/captures.rs`.
pub(crate) const FAMILIES: [(u16, u8); 7] = [(1, 1), (2, 1), (1, 2), (2, 2), (1, 4), (2, 4), (1, 128)];

/// Attributes that the script does not extract.
pub(crate) const NOT_COMPARED: [&str; 8] = [
    "codes",
    "next_hop_link_local",
    "atomic_aggregate",
    "aggregator",
    "originator_id",
    "cluster_list",
    "aigp",
    "otc",
];

/// The standard output of a successful command.
fn output(command: &mut Command) -> Result<String, String> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    let Output { status, stdout, stderr } = command.output().map_err(|error| error.to_string())?;
    if status.success() { Ok(text(stdout)) } else { Err(text(stderr)) }
}

/// Fails with the reason if there is no tshark of the series that the verdicts are about.
fn check_version() -> Result<(), String> {
    let version = output(process::testbed("tshark").arg("version"))?;
    if version.strip_prefix(TSHARK_SERIES).is_some_and(|patch| patch.starts_with('.')) {
        return Ok(());
    }
    Err(format!("tshark {version} has no list of verdicts; expected {TSHARK_SERIES}.x"))
}

/// tshark's readings of the Route Monitoring messages of all streams together, by their index among all
/// messages. Returns `None` after a SKIPPED line if there is no suitable tshark.
pub(crate) fn read(test: &str, streams: &[Stream]) -> Option<HashMap<usize, Reading>> {
    if let Err(reason) = check_version() {
        println!("SKIPPED: {test}: comparison with tshark: {reason}");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.bmp");
    let bytes: Vec<u8> = streams.iter().flat_map(|stream| stream.messages()).flatten().copied().collect();
    fs::write(&file, bytes).unwrap();
    let lines = output(process::testbed("tshark").arg("decode").arg(&file)).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let judged = lines.filter(|line| line["unclear"].is_null());
    Some(
        judged
            .map(|line| (usize::try_from(line["msg_index"].as_u64().unwrap()).unwrap(), reading(&line)))
            .collect(),
    )
}

fn reading(line: &Value) -> Reading {
    if line["malformed"] == true {
        return Reading::refused("malformed");
    }
    let mut reading = Reading::default();
    for route in line["routes"].as_array().unwrap() {
        let number = |key: &str| route[key].as_u64().unwrap();
        let family = Family {
            afi: u16::try_from(number("afi")).unwrap(),
            safi: u8::try_from(number("safi")).unwrap(),
        };
        let action = if route["action"] == "announce" { Action::Announce } else { Action::Withdraw };
        let prefix = route["prefix"].as_str().unwrap_or("none");
        let labels: Vec<u32> = route["labels"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|label| u32::try_from(label.as_u64().unwrap()).unwrap())
            .collect();
        let nlri = match family.safi {
            4 | 128 => labelled(route["rd"].as_str(), &labels, prefix, action),
            _ => prefix.to_owned(),
        };
        let path_id = route["path_id"].as_u64().map(|id| u32::try_from(id).unwrap());
        reading.route(family, action, path_id, nlri);
        if action == Action::Announce {
            put_attributes(&mut reading, route);
        }
    }
    reading
}

fn put_attributes(reading: &mut Reading, route: &Value) {
    if let Some(origin) = route["origin"].as_str() {
        reading.put("origin", ["igp", "egp", "incomplete"].iter().position(|name| *name == origin).unwrap());
    }
    for name in ["next_hop", "med", "local_pref"] {
        match &route[name] {
            Value::Null => {}
            Value::String(text) => reading.put(name, text),
            other => reading.put(name, other),
        }
    }
    if let Some(path) = route["as_path"].as_array() {
        reading.put_path(path.iter().map(|segment| {
            let kinds = ["", "AS_SET", "AS_SEQUENCE", "AS_CONFED_SEQUENCE", "AS_CONFED_SET"];
            let kind = kinds.iter().position(|name| segment[0] == *name).unwrap();
            let asns = segment[1].as_array().unwrap().iter();
            let asns = asns.map(|asn| u32::try_from(asn.as_u64().unwrap()).unwrap()).collect();
            (u8::try_from(kind).unwrap(), asns)
        }));
    }
    for (name, key) in [
        ("communities", "communities"),
        ("large_communities", "large_communities"),
        ("extended_communities", "ext_communities"),
    ] {
        if let Some(list) = route[key].as_array() {
            reading.put_list(name, list, |community| community.as_str().unwrap().to_owned());
        }
    }
}
