//! `walctl dump`: the records of the log as a table, as JSON, or one line per batch.

use std::thread;
use std::time::Duration;

use holdfast::codec::{self, Head};
use holdfast::num::to_u64;
use holdfast::route::Batch;
use holdfast::wal::inspect::overview;
use holdfast::wal::{Disk, Item, Reader, SeqNo};
use serde_json::{Map, Value, json};

use crate::args;
use crate::filter::Filter;
use crate::findings::{EXIT_LOSS, Findings, Lost};
use crate::output::{Failure, Output, size};

/// Interval at which `--follow` looks for new batches.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);

pub(crate) fn dump(disk: &Disk, arguments: &args::Dump, out: &mut Output) -> Result<u8, Failure> {
    let (from, to) = arguments.filter.range(disk)?;
    let mut lost = Lost::default();
    let mut undecodable = 0_u64;
    let mut reader = Reader::open(disk.clone(), from)?;
    let as_table = !arguments.log.json && !arguments.batches;
    if as_table {
        out.line(&row(["SEQ", "TIME", "ROUTER", "PEER", "RIB", "EVENT", "ROUTE", "DETAIL"]))?;
    }
    loop {
        while let Some(item) = reader.next(to)? {
            match item {
                Item::Data { seq, payload, .. } if !arguments.batches => {
                    let is_decodable = records(seq, payload, &arguments.filter, as_table, out)?;
                    undecodable += u64::from(!is_decodable);
                }
                Item::Data { seq, count, codec, payload } => {
                    let (bytes, order) = (size(to_u64(payload.len())), order(payload));
                    out.line(&format!("{seq:>12}  {count:>6} records  {bytes:>10}  codec {codec}{order}"))?;
                }
                Item::Gap { from, to, reason } => {
                    lost.add(from, to, reason);
                    let name = reason.name();
                    if arguments.log.json {
                        let (seq, seq_to) = (from.0, to.0);
                        out.json(&json!({ "record": "gap", "seq": seq, "seq_to": seq_to, "reason": name }))?;
                    } else {
                        out.line(&format!("{from:>12}  batches {from} to {to} are missing: {name}"))?;
                    }
                }
            }
        }
        if !arguments.follow || reader.position() > to {
            let is_complete = report_unread(disk, from, reader.position(), to)?;
            return Ok(if is_complete && lost.is_none() && undecodable == 0 { 0 } else { EXIT_LOSS });
        }
        out.finish()?;
        thread::sleep(FOLLOW_INTERVAL);
    }
}

/// Prints the damage of the log on standard error, if it may hide batches from `from` to `to` that are not
/// part of a gap: those before the first readable segment, and those from `end` on. Returns `false` then.
pub(crate) fn report_unread(disk: &Disk, from: SeqNo, end: SeqNo, to: SeqNo) -> Result<bool, Failure> {
    let overview = overview(disk)?;
    let mut findings = Findings::new(disk, &overview)?;
    if end <= to {
        findings.compare_end(disk, end.prev())?;
    }
    findings.print_errors(disk);
    let starts_before = overview.first_seq().is_none_or(|first| from <= first);
    Ok(!(findings.has_lost_end && end <= to || findings.has_lost_start && starts_before))
}

/// The class of a batch, and the batch that it follows, as the end of a line; empty if its head cannot be
/// read.
fn order(payload: &[u8]) -> String {
    match codec::head(payload) {
        Ok(Head { class, after: 0 }) => format!("  class {}", class.name()),
        Ok(Head { class, after }) => format!("  class {}, after batch {after}", class.name()),
        Err(_) => String::new(),
    }
}

/// Prints one line per record of a batch. A payload that cannot be decoded is reported in a line of its own.
/// Returns `false` for such a payload.
fn records(
    seq: SeqNo,
    payload: &[u8],
    filter: &Filter,
    as_table: bool,
    out: &mut Output,
) -> Result<bool, Failure> {
    match codec::decode(payload) {
        Ok(batch) if filter.matches_batch(&batch) => {
            for record in batch.iter().filter(|record| filter.matches(&batch, record)) {
                let mut object = codec::json::object(&batch, &record);
                if as_table {
                    out.line(&line(seq, &batch, &object))?;
                } else {
                    object.insert("seq".to_owned(), Value::from(seq.0));
                    object.insert("class".to_owned(), Value::from(batch.class.name()));
                    if batch.after > 0 {
                        object.insert("after".to_owned(), Value::from(batch.after));
                    }
                    out.json(&Value::Object(object))?;
                }
            }
            Ok(true)
        }
        Ok(_) => Ok(true),
        Err(error) => {
            if as_table {
                out.line(&format!("{seq:>12}  undecodable: {error}"))?;
            } else {
                let (seq, error) = (seq.0, error.to_string());
                out.json(&json!({ "record": "undecodable", "seq": seq, "error": error }))?;
            }
            Ok(false)
        }
    }
}

fn line(seq: SeqNo, batch: &Batch, object: &Map<String, Value>) -> String {
    let text = |key: &str| match object.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let event_type = text("event_type");
    let (event, route, detail) = if event_type.is_empty() {
        let route = [text("rd"), text("prefix")].join(" ");
        let route = if text("nlri").is_empty() { route } else { text("nlri") };
        let path =
            if object.contains_key("path_id") { format!("path {} ", text("path_id")) } else { String::new() };
        let hop = if object.contains_key("next_hop") {
            format!("via {} ", text("next_hop"))
        } else {
            String::new()
        };
        (text("cause"), route, format!("{path}{hop}{}", text("as_path_text")))
    } else {
        (event_type, text("family"), [text("reason"), text("error"), text("sys_name")].concat())
    };
    let (seq, peer) = (seq.to_string(), text("bgp_peer_ip"));
    row([&seq, &text("time"), &batch.router.name, &peer, &text("rib"), &event, route.trim(), detail.trim()])
}

fn row(cells: [&str; 8]) -> String {
    let [seq, time, router, peer, rib, event, route, detail] = cells;
    format!("{seq:>12}  {time:<27}  {router:<16}  {peer:<15}  {rib:<12}  {event:<14}  {route:<20}  {detail}")
        .trim_end()
        .to_owned()
}
