//! `bmpgen replay`: sends recorded byte streams, each over its own connection, at a configurable rate.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use flate2::read::MultiGzDecoder;
use holdfast::bmp;

use crate::failure::Failure;
use crate::link::{Link, Target};
use crate::report::Totals;

/// Arguments of `replay`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Recorded byte streams as received over TCP; files ending in .gz are decompressed
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Messages per second on each connection [default: unlimited]
    #[arg(long, value_name = "MESSAGES/S")]
    rate: Option<f64>,
    /// Number of times that each file is sent, each time over a new connection
    #[arg(long = "loop", value_name = "N", default_value_t = 1)]
    times: u64,
    /// Send all files at the same time instead of one after another
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
        let results: Vec<_> = thread::scope(|scope| {
            let senders: Vec<_> =
                streams.iter().map(|stream| scope.spawn(|| send_repeatedly(arguments, stream))).collect();
            senders.into_iter().map(|sender| sender.join()).collect()
        });
        for result in results {
            totals.add(&result.map_err(|_| Failure::Other("a sender panicked".into()))??);
        }
    } else {
        for stream in &streams {
            totals.add(&send_repeatedly(arguments, stream)?);
        }
    }
    totals.seconds = started.elapsed().as_secs_f64();
    totals.print(arguments.target.json)?;
    Ok(true)
}

/// The bytes of a recorded stream, decompressed if the file name ends in `.gz`.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::io(path.display().to_string(), error);
    let mut bytes = fs::read(path).map_err(failed)?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut decompressed = Vec::new();
        MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut decompressed).map_err(failed)?;
        bytes = decompressed;
    }
    Ok(bytes)
}

/// Sends a stream `--loop` times, and reconnects after a lost connection if `--reconnect` is set.
fn send_repeatedly(arguments: &Arguments, stream: &[u8]) -> Result<Totals, Failure> {
    let mut totals = Totals::default();
    for _ in 0..arguments.times {
        loop {
            let mut link = arguments.target.connect(arguments.rate)?;
            let sent = send(&mut link, stream);
            totals.add(&link.totals);
            match sent {
                Ok(()) => break,
                Err(Failure::Lost(_)) if arguments.target.reconnect => totals.lost += 1,
                Err(failure) => return Err(failure),
            }
        }
    }
    Ok(totals)
}

/// Sends a stream over one connection, message by message. Trailing bytes that are not a whole message, as in
/// a damaged recording, are sent unchanged.
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
