//! `bench decode` and `bench session`: from a recorded stream to routes and encoded batches, without socket
//! and disk.

use std::fs;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Instant;

use holdfast::bmp::{self, Message};
use holdfast::route::{Batch, Timestamp};
use holdfast::session::{BULK_ROUTES_MIN, Introduced, Options, Session};
use holdfast::{bgp, codec};

use crate::{Failure, result};

/// Records per batch: the default of BATCH_MAX_ROUTES.
const BATCH_RECORDS: usize = 1_000;
/// Number of passes. The fastest counts: other activity on the machine only slows a pass down.
const ROUNDS: usize = 3;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Recorded BMP stream
    #[arg(value_name = "FILE")]
    stream: PathBuf,
}

/// Decodes every attribute and every NLRI of the stream once.
pub(crate) fn decode(arguments: &Arguments) -> Result<String, Failure> {
    best(arguments, |bytes| {
        let mut routes = 0;
        each_message(bytes, |message| {
            if let Ok(Message::RouteMonitoring { pdu, .. }) = bmp::decode(message)
                && let Ok(update) = bgp::split(pdu)
            {
                routes += walk(&update);
            }
        })?;
        Ok(routes)
    })
}

fn walk(update: &bgp::Update<'_>) -> u64 {
    const IPV4: holdfast::route::Family = holdfast::route::Family::IPV4_UNICAST;
    let mut routes = 0;
    let mut fields = vec![(IPV4, update.withdrawn, true), (IPV4, update.nlri, false)];
    fields.extend(update.mp_reach.as_ref().map(|reach| (reach.family, reach.nlri, false)));
    fields.extend(update.mp_unreach.as_ref().map(|unreach| (unreach.family, unreach.nlri, true)));
    for (family, bytes, withdraw) in fields {
        for entry in bgp::nlri(family, bytes, bgp::Encoding::PLAIN, withdraw) {
            routes += u64::from(black_box(entry).is_ok());
        }
    }
    black_box(bgp::attributes(update, true));
    routes
}

/// Runs the stream through a session and encodes the batches as they are logged.
pub(crate) fn session(arguments: &Arguments) -> Result<String, Failure> {
    best(arguments, |bytes| {
        let mut routes = 0;
        each_payload(bytes, |payload, batch| {
            black_box(payload);
            routes += batch.nlri.len() as u64;
        })?;
        Ok(routes)
    })
}

/// Calls `take` with each encoded batch of the stream, and the batch.
pub(crate) fn each_payload(bytes: &[u8], mut take: impl FnMut(&[u8], &Batch)) -> Result<(), Failure> {
    let options = Options {
        router_name: Some("bench".into()),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 0,
        session: Timestamp(1),
        batch_records_max: BATCH_RECORDS,
        sweep_quiet_us: 60_000_000,
        sweep_without_end_of_rib_us: None,
        bulk_routes_min: BULK_ROUTES_MIN,
    };
    let introduce = |name: &str| Introduced { name: name.to_owned(), ..Introduced::default() };
    let mut session = Session::new(options, Box::new(introduce));
    let mut payload = Vec::new();
    let mut close = |session: &mut Session| {
        for batch in session.take_batches() {
            payload.clear();
            codec::encode(&batch, &mut payload)?;
            take(&payload, &batch);
        }
        Ok::<_, codec::Error>(())
    };
    let mut refused = None;
    each_message(bytes, |message| {
        session.message(message, Timestamp(2));
        if session.is_full()
            && let Err(error) = close(&mut session)
        {
            refused = Some(error);
        }
    })?;
    close(&mut session)?;
    refused.map_or(Ok(()), |error| Err(error.into()))
}

fn best(
    arguments: &Arguments,
    mut round: impl FnMut(&[u8]) -> Result<u64, Failure>,
) -> Result<String, Failure> {
    let bytes = fs::read(&arguments.stream)?;
    let (mut routes, mut seconds) = (0, f64::INFINITY);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        routes = round(&bytes)?;
        seconds = seconds.min(start.elapsed().as_secs_f64());
    }
    Ok(result(routes, seconds))
}

fn each_message(bytes: &[u8], mut take: impl FnMut(&[u8])) -> Result<(), Failure> {
    let mut rest = bytes;
    while let Some(message) = bmp::frame(rest).map_err(|error| error.to_string())? {
        take(message);
        rest = rest.get(message.len()..).unwrap_or_default();
    }
    Ok(())
}
