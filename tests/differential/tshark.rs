//! tshark's reading, through `tools/testbed/truth.py`, which also makes the ground truth of our own captures.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use holdfast::route::Family;
use serde_json::Value;

use crate::reading::{Action, Reading, labelled};
use crate::streams::Stream;

/// The families whose routes the script understands; it does not see those of 2/128 at all. Its labels of EVPN routes
/// are wrong, and their other fields are compared in `tests/captures.rs`.
pub(crate) const FAMILIES: [(u16, u8); 7] = [(1, 1), (2, 1), (1, 2), (2, 2), (1, 4), (2, 4), (1, 128)];

/// What the script does not ask it.
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

/// What it says of the Route Monitoring messages of all streams together, by their place among all messages. `None`,
/// and a loud line, where it cannot be had.
pub(crate) fn read(test: &str, streams: &[Stream]) -> Option<HashMap<usize, Reading>> {
    let testbed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/testbed");
    let path = Command::new(testbed.join("tshark")).arg("path").output();
    let Some(path) = path.ok().filter(|path| path.status.success()) else {
        println!("SKIPPED: {test}: no tshark as third judge: tools/testbed/tshark path says why");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.bmp");
    let bytes: Vec<u8> = streams.iter().flat_map(|stream| stream.messages()).flatten().copied().collect();
    fs::write(&file, bytes).unwrap();
    let lines = Command::new("python3")
        .arg(testbed.join("truth.py"))
        .arg("--lines")
        .arg(&file)
        .env("TSHARK", String::from_utf8(path.stdout).unwrap().trim())
        .output()
        .unwrap();
    assert!(lines.status.success(), "truth.py: {}", String::from_utf8_lossy(&lines.stderr));
    let lines = String::from_utf8(lines.stdout).unwrap();
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
