//! CSV (RFC 4180) with a header row: one line per record, with the field names of `holdfast decode`.

use std::io::{self, Write};

use holdfast::codec::json;
use holdfast::route::{Batch, Record};
use holdfast::wal::SeqNo;
use serde_json::Value;

/// Names of the columns. All other fields of a record are in the last column, `more`, as a JSON object.
const COLUMNS: [&str; 28] = [
    "time",
    "router_time",
    "router",
    "bgp_peer_ip",
    "bgp_peer_asn",
    "bgp_id",
    "peer_type",
    "peer_distinguisher",
    "rib",
    "table_name",
    "generation",
    "event_type",
    "reason",
    "family",
    "is_withdrawn",
    "cause",
    "rd",
    "prefix",
    "path_id",
    "nlri",
    "origin",
    "as_path_text",
    "next_hop",
    "med",
    "local_pref",
    "communities",
    "extended_communities",
    "large_communities",
];

/// Writes the header row.
pub(super) fn header(out: &mut dyn Write) -> io::Result<()> {
    write!(out, "seq,idx,{},more\r\n", COLUMNS.join(","))
}

/// Writes one line per record.
pub(super) fn batch(
    seq: SeqNo,
    batch: &Batch,
    records: &[Record<'_>],
    out: &mut dyn Write,
) -> io::Result<()> {
    for record in records {
        let mut object = json::object(batch, record);
        let index = object.remove("idx").unwrap_or_default();
        object.remove("record");
        write!(out, "{seq},{index}")?;
        for column in COLUMNS {
            write!(out, ",{}", field(&text(object.remove(column))))?;
        }
        let more = if object.is_empty() { String::new() } else { Value::Object(object).to_string() };
        write!(out, ",{}\r\n", field(&more))?;
    }
    Ok(())
}

/// A JSON value as text; the elements of a list are separated by spaces, as operators write communities.
fn text(value: Option<Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text,
        Some(Value::Array(values)) => {
            values.into_iter().map(|value| text(Some(value))).collect::<Vec<_>>().join(" ")
        }
        Some(other) => other.to_string(),
    }
}

/// Quotes a field if RFC 4180 requires it.
fn field(text: &str) -> String {
    if text.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
