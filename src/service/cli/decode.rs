//! `holdfast decode`: decodes recorded BMP streams without network, log or database.
//!
//! Each record is printed to standard output as one line of JSON, each error to standard error. Times of
//! reception are left out, so that equal streams result in equal output.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Failure, print_error};
use crate::codec::json;
use crate::hex::Hex;
use crate::listener::Buffer;
use crate::num;
use crate::route::Timestamp;
use crate::session::{Introduced, Level, Options, Session};

/// Number of bytes that are printed with an error.
const ERROR_MAX_BYTES: usize = 64;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Recorded BMP streams, each decoded as a separate session; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Files contain hexadecimal text; white space is ignored
    #[arg(long)]
    hex: bool,
}

/// Runs the command. Returns the exit code: 0, or 1 if a message could not be decoded.
pub(super) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<u8, Failure> {
    let mut clean = true;
    for path in &arguments.files {
        let named = (arguments.files.len() > 1).then_some(path.as_path());
        let mut input = open(path, arguments.hex)?;
        let mut decoder = Decoder::new(named, out);
        decoder.stream(input.as_mut())?;
        clean &= decoder.clean;
    }
    Ok(u8::from(!clean))
}

fn open(path: &Path, hex: bool) -> Result<Box<dyn Read>, Failure> {
    let failed = |error: io::Error| Failure::Other(format!("{}: {error}", path.display()), 2);
    let input: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(File::open(path).map_err(failed)?),
    };
    if !hex {
        return Ok(input);
    }
    let mut text = String::new();
    io::BufReader::new(input).read_to_string(&mut text).map_err(failed)?;
    let bytes = from_hex(&text).map_err(|what| Failure::Other(format!("{}: {what}", path.display()), 2))?;
    Ok(Box::new(io::Cursor::new(bytes)))
}

fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut high = None;
    for (offset, letter) in text.char_indices().filter(|(_, letter)| !letter.is_whitespace()) {
        let digit = letter.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let digit = digit.ok_or_else(|| {
            format!("invalid character {letter:?} at byte {offset}, expected a hexadecimal digit")
        })?;
        match high.take() {
            None => high = Some(digit << 4),
            Some(high) => bytes.push(high | digit),
        }
    }
    if high.is_some() {
        Err("odd number of hexadecimal digits, expected pairs".to_owned())
    } else {
        Ok(bytes)
    }
}

/// Decodes one stream.
struct Decoder<'a, W> {
    /// File name for the output; `None` if there is only one file.
    file: Option<&'a Path>,
    out: &'a mut W,
    session: Session,
    /// Index of the current message, from 0.
    message: u64,
    /// Byte offset of the current message in the stream.
    offset: u64,
    /// Whether no error was found.
    clean: bool,
}

impl<'a, W: Write> Decoder<'a, W> {
    fn new(file: Option<&'a Path>, out: &'a mut W) -> Self {
        let options = Options {
            router_name: None,
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 0,
            session: Timestamp(0),
            batch_records_max: usize::MAX,
            sweep_quiet_us: i64::MAX,
            sweep_without_end_of_rib_us: None,
            bulk_routes_min: u64::MAX,
        };
        let introduce = |name: &str| Introduced { name: name.to_owned(), ..Introduced::default() };
        let session = Session::new(options, Box::new(introduce));
        Self { file, out, session, message: 0, offset: 0, clean: true }
    }

    fn stream(&mut self, input: &mut dyn Read) -> Result<(), Failure> {
        let mut buffer = Buffer::default();
        loop {
            match input.read(buffer.free()) {
                Ok(0) => break,
                Ok(count) => buffer.filled(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::Other(error.to_string(), 2)),
            }
            loop {
                let message = match buffer.message() {
                    Ok(Some(message)) => message,
                    Ok(None) => break,
                    Err(error) => {
                        self.report(&format!("cannot find the next message: {error}"), buffer.unread());
                        return Ok(());
                    }
                };
                self.session.message(message, Timestamp(0));
                let length = num::to_u64(message.len());
                self.write()?;
                self.message += 1;
                self.offset = self.offset.saturating_add(length);
            }
        }
        if !buffer.unread().is_empty() {
            self.report("truncated message: unexpected end of the stream", buffer.unread());
        }
        Ok(())
    }

    /// Writes the records and errors of the current message.
    fn write(&mut self) -> io::Result<()> {
        let batches: Vec<_> = self.session.take_batches().collect();
        for batch in &batches {
            for record in batch.iter() {
                let mut object = json::object(batch, &record);
                object.remove("session");
                object.insert("message".to_owned(), Value::from(self.message));
                object.insert("offset".to_owned(), Value::from(self.offset));
                if let Some(file) = self.file {
                    object.insert("file".to_owned(), Value::from(file.display().to_string()));
                }
                serde_json::to_writer(&mut *self.out, &object)?;
                self.out.write_all(b"\n")?;
            }
        }
        for notice in self.session.take_notices() {
            if notice.level == Level::Error {
                self.report(&format!("{}: {}", notice.event, notice.text), &notice.bytes);
            }
        }
        Ok(())
    }

    /// Prints an error with the beginning of the bytes concerned.
    fn report(&mut self, what: &str, bytes: &[u8]) {
        self.clean = false;
        let file = self.file.map_or_else(String::new, |file| format!("{}: ", file.display()));
        let hex = Hex(bytes.get(..ERROR_MAX_BYTES).unwrap_or(bytes));
        print_error(&format!("{file}message {} at byte {}: {what}: {hex}", self.message, self.offset));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_text_may_be_laid_out_freely() {
        assert_eq!(from_hex("03 00\n0000\t06 04"), Ok(vec![3, 0, 0, 0, 6, 4]));
        assert!(from_hex("030").is_err());
        assert!(from_hex("03 0x").is_err());
    }
}
