//! `export`: records for other tools.

mod bgp;
mod csv;
mod mrt;

use std::fs::File;
use std::io::{BufWriter, Write};

use holdfast::codec;
use holdfast::route::{Batch, Record};
use holdfast::wal::inspect::overview;
use holdfast::wal::{Item, Reader, SeqNo};

use crate::args::{self, Format};
use crate::filter::Filter;
use crate::output::{Failure, Output, complain};
use crate::progress::{Progress, Unit, batches};

/// What could not be written in the format, or not be read.
#[derive(Default)]
pub(crate) struct Left {
    /// Records that the format has no place for.
    records: u64,
    /// Numbers that are missing in the log.
    missing: u64,
    /// Batches that could not be decoded.
    undecodable: u64,
}

pub(crate) fn export(arguments: &args::Export, out: &mut Output) -> Result<u8, Failure> {
    let Some(path) = &arguments.out else {
        let left = write(arguments, out.writer())?;
        return Ok(told(&left));
    };
    let file = File::options().write(true).create_new(true).open(path);
    let mut file = BufWriter::new(file.map_err(|error| Failure::about(&path.display(), &error))?);
    let left = write(arguments, &mut file)?;
    file.flush()?;
    Ok(told(&left))
}

fn told(left: &Left) -> u8 {
    if left.records > 0 {
        complain(&format!("{} records have no place in this format", left.records));
    }
    if left.undecodable > 0 {
        complain(&format!("{} batches could not be decoded", left.undecodable));
    }
    if left.missing > 0 {
        complain(&format!("{} batches are missing in the log", left.missing));
    }
    // Rot, in the words of `verify`.
    if left.missing + left.undecodable > 0 { 2 } else { 0 }
}

fn write(arguments: &args::Export, out: &mut dyn Write) -> Result<Left, Failure> {
    let disk = crate::open(&arguments.directory)?;
    let (from, to) = arguments.filter.range(&disk)?;
    let first = overview(&disk)?.segments.iter().find_map(|segment| segment.header).map(|h| h.first_seq);
    // What was given up before the first segment is no damage.
    let from = from.max(first.unwrap_or(from));
    // On standard output the bar would stand between the lines.
    let all = if arguments.out.is_some() { batches(&disk, from, to) } else { 0 };
    let mut progress = Progress::new("export", all, Unit::Batches);
    let mut left = Left::default();
    if arguments.format == Format::Csv {
        csv::head(out)?;
    }
    let mut reader = Reader::open(disk, from)?;
    while let Some(item) = reader.next(to)? {
        match item {
            Item::Data { seq, payload, .. } => {
                progress.set(seq.0 - from.0 + 1);
                match codec::decode(payload) {
                    Ok(batch) => one(seq, &batch, &arguments.filter, arguments.format, out, &mut left)?,
                    Err(_) => left.undecodable += 1,
                }
            }
            Item::Gap { from, to, .. } => left.missing += to.0 - from.0 + 1,
        }
    }
    Ok(left)
}

fn one(
    seq: SeqNo,
    batch: &Batch,
    filter: &Filter,
    format: Format,
    out: &mut dyn Write,
    left: &mut Left,
) -> Result<(), Failure> {
    if !filter.takes_batch(batch) {
        return Ok(());
    }
    let records: Vec<Record<'_>> = batch.iter().filter(|record| filter.takes(batch, record)).collect();
    match format {
        Format::Csv => csv::batch(seq, batch, &records, out)?,
        Format::Mrt => left.records += mrt::batch(batch, &records, out)?,
    }
    Ok(())
}
