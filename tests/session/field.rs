//! Streams that reproduce public reports about BMP collectors, and sentences of RFCs, with expected records.
//!
//! The streams are not part of the repository; without them this test prints SKIPPED and checks nothing.
//! `expected.json` holds one entry per stream. Its member `expect` lists what the JSON form of the records
//! ([`holdfast::codec::json`]) must contain:
//!
//! | member | meaning |
//! |---|---|
//! | `routes` | every route of the stream, in order |
//! | `routes_count`, `first`, `last` | number of routes, prefixes of the first and the last one |
//! | `events` | every event of the stream whose type is in the list, in order |
//! | `distinct` | pairs of paths (`["routes", 0, "rd"]`) to values that must be present and differ |
//!
//! A record must have the members of its expectation with equal values, except for these: `has` and `no` name
//! a member that must be present or absent; each text of `more_has` must be part of one of
//! `attributes_more`; each text of `anywhere` must occur in the record; each family of `suspect_has` must be
//! in `suspect` of an event of this type; `stat0` is type and value of the first statistic.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::sessions::{options, session};
use holdfast::bmp;
use holdfast::codec::json;
use holdfast::route::Timestamp;
use holdfast::session::Options;
use serde_json::{Map, Value, json};

/// Entries of `expected.json` that are not met yet, one per line. An entry that is met must be removed.
const KNOWN_WRONG: &str = "";

/// Entries of `expected.json` that are not followed, with the reason.
const NOT_FOLLOWED: [(&str, &str); 1] = [(
    "R27",
    "the NLRI does not say whether the 24-bit field is a VNI (RFC 8365 section 5.1.3) or has an MPLS label \
     in its upper 20 bits (RFC 7432 section 9.2.1); R14 expects a VNI in a route of the same form, so that \
     `labels` keeps the field",
)];

/// The folder of the streams, or `None` after a printed SKIPPED.
#[allow(clippy::print_stdout, reason = "a skipped test prints why")]
fn folder() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/field");
    if path.join("expected.json").exists() {
        return Some(path);
    }
    println!("SKIPPED: no field streams at {}", path.display());
    None
}

type Object = Map<String, Value>;

/// The routes and events of a stream.
#[derive(Default)]
struct Decoded {
    routes: Vec<Object>,
    events: Vec<Object>,
}

fn decoded(stream: &[u8]) -> Decoded {
    let (batch_records_max, sweep_quiet_us) = (usize::MAX, i64::MAX);
    let mut session = session(Options { batch_records_max, sweep_quiet_us, ..options(Timestamp(0)) });
    let mut decoded = Decoded::default();
    let mut rest = stream;
    for message in 0_u32.. {
        let Some(bytes) = bmp::frame(rest).unwrap() else { break };
        session.message(bytes, Timestamp(0));
        rest = &rest[bytes.len()..];
        for batch in session.take_batches() {
            for record in batch.iter() {
                let mut object = json::object(&batch, &record);
                object.insert("message".to_owned(), json!(message));
                let is_route = object["record"] == "route";
                if is_route { decoded.routes.push(object) } else { decoded.events.push(object) }
            }
        }
    }
    assert!(rest.is_empty(), "{} bytes behind the last message", rest.len());
    decoded
}

/// The texts of a string or an array of strings.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        other => panic!("{other}: expected a string or strings"),
    }
}

/// Compares one record with its expectation; `records` are all records of this kind.
fn check_record(expected: &Object, record: &Object, records: &[&Object]) -> Result<(), String> {
    let member = |name: &str| record.get(name).unwrap_or(&Value::Null);
    for (name, value) in expected {
        let is_met = match name.as_str() {
            "has" => texts(value).iter().all(|name| record.contains_key(*name)),
            "no" => texts(value).iter().all(|name| !record.contains_key(*name)),
            "more_has" => {
                let more = record.get("attributes_more").map(texts).unwrap_or_default();
                texts(value).iter().all(|text| more.iter().any(|more| more.contains(text)))
            }
            "anywhere" => {
                let all = Value::Object(record.clone()).to_string();
                texts(value).iter().all(|text| all.contains(text))
            }
            "suspect_has" => {
                let of_type = records.iter().filter(|other| other["event_type"] == record["event_type"]);
                let suspects: Vec<String> =
                    of_type.filter_map(|other| Some(other.get("suspect")?.to_string())).collect();
                texts(value).iter().all(|family| suspects.iter().any(|suspect| suspect.contains(family)))
            }
            "stat0" => {
                let first = &member("statistics")[0];
                json!([first["type"], first["value"]]) == *value
            }
            name => member(name) == value,
        };
        if !is_met {
            return Err(format!("expected {name} {value} in {}", Value::Object(record.clone())));
        }
    }
    Ok(())
}

fn check_records(expected: &[Value], records: &[&Object]) -> Result<(), String> {
    for (expected, record) in expected.iter().zip(records) {
        check_record(expected.as_object().unwrap(), record, records)?;
    }
    // An UPDATE with several unreadable fields may result in several events.
    let may_continue = expected.last().is_some_and(|last| last.get("suspect_has").is_some());
    if expected.len() == records.len() || may_continue && expected.len() < records.len() {
        return Ok(());
    }
    let found: Vec<_> = records.iter().map(|record| Value::Object((*record).clone()).to_string()).collect();
    Err(format!("expected {} records, found {}: {found:#?}", expected.len(), records.len()))
}

/// The events of the expected types.
fn expected_events<'a>(expected: &[Value], events: &'a [Object]) -> Vec<&'a Object> {
    let types: BTreeSet<_> = expected.iter().map(|event| event["event_type"].as_str().unwrap()).collect();
    let is_expected = |event: &&Object| types.contains(event["event_type"].as_str().unwrap());
    events.iter().filter(is_expected).collect()
}

/// The value at a path such as `["routes", 0, "rd"]`; null if there is none.
fn at(decoded: &Decoded, path: &Value) -> Value {
    let path = path.as_array().unwrap();
    let records = if path[0] == "routes" { &decoded.routes } else { &decoded.events };
    let index = usize::try_from(path[1].as_u64().unwrap()).unwrap();
    let record = records.get(index).cloned().map_or(Value::Null, Value::Object);
    path[2..].iter().fold(record, |value, step| match step {
        Value::String(name) => value[name.as_str()].clone(),
        index => value[usize::try_from(index.as_u64().unwrap()).unwrap()].clone(),
    })
}

fn check(expect: &Object, decoded: &Decoded) -> Result<(), String> {
    for (name, value) in expect {
        match name.as_str() {
            "routes" => {
                let routes: Vec<&Object> = decoded.routes.iter().collect();
                check_records(value.as_array().unwrap(), &routes)?;
            }
            "events" => {
                let expected = value.as_array().unwrap();
                check_records(expected, &expected_events(expected, &decoded.events))?;
            }
            "routes_count" if *value == json!(decoded.routes.len()) => {}
            "first" if decoded.routes.first().is_some_and(|route| route["prefix"] == *value) => {}
            "last" if decoded.routes.last().is_some_and(|route| route["prefix"] == *value) => {}
            "distinct" => {
                for pair in value.as_array().unwrap().chunks(2) {
                    let (one, other) = (at(decoded, &pair[0]), at(decoded, &pair[1]));
                    if one.is_null() || other.is_null() || one == other {
                        return Err(format!("{one} and {other} at {pair:?}: expected two values"));
                    }
                }
            }
            "routes_count" | "first" | "last" => return Err(format!("{name} is not {value}")),
            _ => panic!("unknown member {name} of an expectation"),
        }
    }
    Ok(())
}

fn is_exempt(id: &str) -> bool {
    KNOWN_WRONG.split_whitespace().chain(NOT_FOLLOWED.map(|(id, _)| id)).any(|exempt| exempt == id)
}

#[test]
fn every_field_stream_has_the_expected_records() {
    let Some(folder) = folder() else { return };
    let expected = fs::read_to_string(folder.join("expected.json")).unwrap();
    let expected: Object = serde_json::from_str(&expected).unwrap();
    let mut complaints = Vec::new();
    for (id, entry) in &expected {
        let stream = fs::read(folder.join(format!("{id}.bmp"))).unwrap();
        let result = check(entry["expect"].as_object().unwrap(), &decoded(&stream));
        let is_known = is_exempt(id);
        match result {
            Ok(()) if is_known => complaints.push(format!("{id}: met; remove it from the list")),
            Err(error) if !is_known => {
                complaints.push(format!("{id} ({}, {}): {error}", entry["topic"], entry["was"]));
            }
            _ => {}
        }
    }
    let unknown = KNOWN_WRONG.split_whitespace().filter(|id| !expected.contains_key(*id));
    complaints.extend(unknown.map(|id| format!("{id}: no such stream")));
    assert!(complaints.is_empty(), "{} complaints\n{}", complaints.len(), complaints.join("\n"));
    assert!(expected.len() >= 80, "only {} field streams", expected.len());
}
