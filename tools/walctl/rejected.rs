//! `walctl rejected`: records that the database rejected.

use holdfast::codec;
use holdfast::sink;
use serde_json::{Value, json};

use crate::args;
use crate::database::{block_on, connect, failure, target};
use crate::output::{Failure, Output, print_error};

pub(crate) fn rejected(arguments: &args::Rejected, out: &mut Output) -> Result<u8, Failure> {
    match arguments {
        args::Rejected::List(arguments) => list(arguments, out),
        args::Rejected::Show(arguments) => show(arguments, out),
        args::Rejected::Retry(arguments) => retry(arguments, out),
    }
}

const ROWS: &str = "SELECT collector, log_id::text, seq, idx, sqlstate, error, record, payload, \
    rejected_at::text, retried_at::text FROM rejected_routes";

struct Row {
    collector: String,
    log_id: String,
    seq: i64,
    idx: i32,
    sqlstate: String,
    error: String,
    record: String,
    payload: Vec<u8>,
    rejected_at: String,
    retried_at: Option<String>,
}

fn rows(url: &str, position: Option<(i64, i32)>) -> Result<Vec<Row>, Failure> {
    block_on(async {
        let client = connect(url).await?;
        let (seq, idx) = position.map_or((None, None), |(seq, idx)| (Some(seq), Some(idx)));
        let sql = format!(
            "{ROWS} WHERE ($1::bigint IS NULL OR seq = $1) AND ($2::int IS NULL OR idx = $2) \
             ORDER BY collector, log_id, seq, idx"
        );
        let rows = client.query(&sql, &[&seq, &idx]).await.map_err(|error| failure(&error))?;
        let read = |row: &tokio_postgres::Row| {
            Ok(Row {
                collector: row.try_get(0)?,
                log_id: row.try_get(1)?,
                seq: row.try_get(2)?,
                idx: row.try_get(3)?,
                sqlstate: row.try_get(4)?,
                error: row.try_get(5)?,
                record: row.try_get(6)?,
                payload: row.try_get(7)?,
                rejected_at: row.try_get(8)?,
                retried_at: row.try_get(9)?,
            })
        };
        rows.iter().map(read).collect::<Result<_, tokio_postgres::Error>>().map_err(|error| failure(&error))
    })
}

fn list(arguments: &args::RejectedList, out: &mut Output) -> Result<u8, Failure> {
    for row in rows(&arguments.url, None)? {
        let Row { collector, log_id, seq, idx, sqlstate, error, record, rejected_at, .. } = &row;
        if arguments.json {
            out.json(&json!({
                "collector": collector, "log_id": log_id, "seq": seq, "idx": idx, "sqlstate": sqlstate,
                "error": error, "record": record, "rejected_at": rejected_at, "retried_at": row.retried_at,
            }))?;
        } else {
            out.line(&format!("{seq}:{idx}  {rejected_at}  {collector}  {record}  {sqlstate} {error}"))?;
        }
    }
    Ok(0)
}

fn show(arguments: &args::RejectedShow, out: &mut Output) -> Result<u8, Failure> {
    let rows = rows(&arguments.url, Some(arguments.position))?;
    for row in &rows {
        out.line(&format!("collector    {}", row.collector))?;
        out.line(&format!("log id       {}", row.log_id))?;
        out.line(&format!("batch        {}, record {}", row.seq, row.idx))?;
        out.line(&format!("rejected     {}, SQLSTATE {}: {}", row.rejected_at, row.sqlstate, row.error))?;
        out.line(&format!("last retry   {}", row.retried_at.as_deref().unwrap_or("never")))?;
        out.line(&format!("record       {}", row.record))?;
        match codec::decode(&row.payload) {
            Ok(batch) => {
                for record in batch.iter() {
                    out.json(&Value::Object(codec::json::object(&batch, &record)))?;
                }
            }
            Err(error) => out.line(&format!("undecodable  {error}"))?,
        }
    }
    if rows.is_empty() {
        let (seq, idx) = arguments.position;
        print_error(&format!("no rejected record {seq}:{idx}"));
    }
    Ok(u8::from(rows.is_empty()))
}

fn retry(arguments: &args::RejectedRetry, out: &mut Output) -> Result<u8, Failure> {
    let target = target(&arguments.url)?;
    let retried = block_on(async {
        sink::retry_rejected(&target, &arguments.collector)
            .await
            .map_err(|error| Failure::new(&"database", &error))
    })?;
    if arguments.json {
        out.json(&json!({ "stored": retried.stored, "refused": retried.rejected }))?;
    } else {
        out.line(&format!("{} stored, {} rejected again", retried.stored, retried.rejected))?;
    }
    Ok(u8::from(retried.rejected > 0))
}
