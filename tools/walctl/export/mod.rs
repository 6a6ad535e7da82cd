//! `walctl export`: records as CSV or MRT.

mod bgp;
mod csv;
mod mrt;

use std::fs::File;
use std::io::{BufWriter, Write};

use holdfast::codec;
use holdfast::route::{Batch, Record};
use holdfast::wal::{Item, Reader, SeqNo};

use crate::args::{self, Format};
use crate::dump::report_unread;
use crate::filter::Filter;
use crate::findings::{EXIT_LOSS, Lost, lost_text};
use crate::output::{Failure, Output, print_error};
use crate::progress::{Progress, Unit, batches};

/// Numbers of records and batches that are missing in the output.
#[derive(Default)]
pub(crate) struct Omitted {
    /// Records that the format cannot represent.
    records: u64,
    /// Batches that are missing in the log.
    missing: Lost,
    /// The log has damage that may hide further batches.
    unread: bool,
    /// Batches that could not be decoded.
    undecodable: u64,
}

pub(crate) fn export(arguments: &args::Export, out: &mut Output) -> Result<u8, Failure> {
    let Some(path) = &arguments.out else {
        let omitted = write(arguments, out.writer())?;
        return Ok(report_omitted(&omitted));
    };
    let file = File::options().write(true).create_new(true).open(path);
    let mut file = BufWriter::new(file.map_err(|error| Failure::new(&path.display(), &error))?);
    let omitted = write(arguments, &mut file)?;
    file.flush()?;
    Ok(report_omitted(&omitted))
}

fn report_omitted(omitted: &Omitted) -> u8 {
    if omitted.records > 0 {
        print_error(&format!("{} records cannot be represented in this format", omitted.records));
    }
    if omitted.undecodable > 0 {
        print_error(&format!("{} batches could not be decoded", omitted.undecodable));
    }
    if !omitted.missing.is_none() {
        print_error(&omitted.missing.text());
    }
    let is_complete = omitted.missing.is_none() && omitted.undecodable == 0 && !omitted.unread;
    if is_complete { 0 } else { EXIT_LOSS }
}

fn write(arguments: &args::Export, out: &mut dyn Write) -> Result<Omitted, Failure> {
    let disk = crate::open(&arguments.directory)?;
    let (from, to) = arguments.filter.range(&disk)?;
    // With standard output as the target the bar would be mixed with the lines.
    let all = if arguments.out.is_some() { batches(&disk, from, to) } else { 0 };
    let mut progress = Progress::new("export", all, Unit::Batches);
    let mut omitted = Omitted::default();
    if arguments.format == Format::Csv {
        csv::header(out)?;
    }
    let mut reader = Reader::open(disk.clone(), from)?;
    while let Some(item) = reader.next(to)? {
        match item {
            Item::Data { seq, payload, .. } => {
                progress.set(seq.0 - from.0 + 1);
                match codec::decode(payload) {
                    Ok(batch) => {
                        write_batch(seq, &batch, &arguments.filter, arguments.format, out, &mut omitted)?
                    }
                    Err(_) => omitted.undecodable += 1,
                }
            }
            Item::Gap { from, to, reason } => {
                print_error(&lost_text(from, to, reason));
                omitted.missing.add(from, to, reason);
            }
        }
    }
    omitted.unread = !report_unread(&disk, from, reader.position(), to)?;
    Ok(omitted)
}

fn write_batch(
    seq: SeqNo,
    batch: &Batch,
    filter: &Filter,
    format: Format,
    out: &mut dyn Write,
    omitted: &mut Omitted,
) -> Result<(), Failure> {
    if !filter.matches_batch(batch) {
        return Ok(());
    }
    let records: Vec<Record<'_>> = batch.iter().filter(|record| filter.matches(batch, record)).collect();
    match format {
        Format::Csv => csv::batch(seq, batch, &records, out)?,
        Format::Mrt => omitted.records += mrt::batch(batch, &records, out)?,
    }
    Ok(())
}
