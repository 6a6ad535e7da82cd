//! `dump`: what is in the payloads.

use holdfast::record;
use holdfast::wal::{Disk, Item, Reader, SeqNo};
use serde_json::{Value, json};

use crate::args;
use crate::output::{Failure, Output, size};

pub(crate) fn dump(disk: &Disk, arguments: &args::Dump, out: &mut Output) -> Result<u8, Failure> {
    let (from, to) = arguments.seq.unwrap_or((SeqNo(1), SeqNo::MAX));
    let mut reader = Reader::open(disk.clone(), from)?;
    while let Some(item) = reader.next(to)? {
        match item {
            Item::Data { seq, payload, .. } if arguments.json => records(seq, payload, out)?,
            Item::Data { seq, count, codec, payload } => {
                out.line(&format!("{seq:>12}  {count:>6} records  {:>10}  codec {codec}", size_of(payload)))?;
            }
            Item::Gap { from, to, reason } if arguments.json => {
                out.json(
                    &json!({ "record": "gap", "seq": from.0, "seq_to": to.0, "reason": reason.name() }),
                )?;
            }
            Item::Gap { from, to, reason } => {
                out.line(&format!("{from:>12}  gap up to {to}: {}", reason.name()))?;
            }
        }
    }
    Ok(0)
}

fn size_of(payload: &[u8]) -> String {
    size(u64::try_from(payload.len()).unwrap_or(u64::MAX))
}

/// One line for each record. A payload that cannot be decoded is told in its place, and the next one is tried.
fn records(seq: SeqNo, payload: &[u8], out: &mut Output) -> Result<(), Failure> {
    match record::decode(payload) {
        Ok(batch) => {
            for record in batch.iter() {
                let mut object = record::json::object(&batch, &record);
                object.insert("seq".to_owned(), Value::from(seq.0));
                out.json(&Value::Object(object))?;
            }
            Ok(())
        }
        Err(error) => out.json(&json!({ "record": "undecodable", "seq": seq.0, "error": error.to_string() })),
    }
}
