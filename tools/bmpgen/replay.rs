//! `bmpgen replay`: recorded byte streams, each over a connection of its own, as fast or as slow as asked.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use flate2::read::MultiGzDecoder;
use holdfast::bmp;

use crate::Failure;
use crate::link::{Link, Target};
use crate::report::Totals;

/// Arguments of `replay`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Recorded byte streams, exactly what came over TCP; `.gz` is unpacked.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Messages a second, for each connection; as fast as it goes when absent.
    #[arg(long, value_name = "MESSAGES/S")]
    rate: Option<f64>,
    /// How often each file is sent, each time over a new connection.
    #[arg(long = "loop", value_name = "N", default_value_t = 1)]
    times: u64,
    /// All files at the same time instead of one after the other.
    #[arg(long)]
    parallel: bool,
    #[command(flatten)]
    target: Target,
}

/// Sends every file.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let streams = arguments.files.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let started = Instant::now();
    let mut totals = Totals::default();
    if arguments.parallel {
        let done: Vec<_> = thread::scope(|scope| {
            let senders: Vec<_> =
                streams.iter().map(|stream| scope.spawn(|| send_often(arguments, stream))).collect();
            senders.into_iter().map(|sender| sender.join()).collect()
        });
        for one in done {
            totals.add(&one.map_err(|_| Failure::Other("a sender panicked".into()))??);
        }
    } else {
        for stream in &streams {
            totals.add(&send_often(arguments, stream)?);
        }
    }
    totals.seconds = started.elapsed().as_secs_f64();
    totals.print(arguments.target.json)?;
    Ok(true)
}

/// The bytes of a stream, checked to be whole messages: what is cut off cannot be sent at a rate of messages.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let place = path.display().to_string();
    let mut bytes = fs::read(path).map_err(|error| Failure::at(&place, &error))?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(bytes.as_slice())
            .read_to_end(&mut unpacked)
            .map_err(|error| Failure::at(&place, &error))?;
        bytes = unpacked;
    }
    Ok(bytes)
}

fn send_often(arguments: &Arguments, stream: &[u8]) -> Result<Totals, Failure> {
    let mut totals = Totals::default();
    for _ in 0..arguments.times {
        loop {
            let mut link = arguments.target.connect(arguments.rate)?;
            let done = send(&mut link, stream);
            totals.add(&link.totals);
            match done {
                Ok(()) => break,
                Err(Failure::Lost(_)) if arguments.target.reconnect => totals.lost += 1,
                Err(failure) => return Err(failure),
            }
        }
    }
    Ok(totals)
}

/// One connection: message after message; bytes that are no message (a damaged recording) go out as they are.
fn send(link: &mut Link, stream: &[u8]) -> Result<(), Failure> {
    let mut rest = stream;
    while let Ok(Some(message)) = bmp::frame(rest) {
        link.wait(1)?;
        link.buffer().extend_from_slice(message);
        link.sent(1)?;
        rest = rest.get(message.len()..).unwrap_or_default();
    }
    link.buffer().extend_from_slice(rest);
    link.finish()
}
