//! Version 0 of the dictionaries and events: bincode.

use bincode::Options as _;
use serde::{Deserialize, Serialize};

use super::{Error, PAYLOAD_BYTES_MAX};
use crate::route::{Attributes, Batch, Event, Peer, Router};

/// What is written. Borrowed, so that nothing is copied on the way to the log.
#[derive(Serialize)]
struct DictionaryRef<'a> {
    router: &'a Router,
    peers: &'a [Peer],
    attributes: &'a [Attributes],
    events: &'a [Event],
    rows: &'a serde_bytes::Bytes,
}

/// The same as it is read; the rows stay where they are. Field order is the format.
#[derive(Deserialize)]
struct Dictionary<'a> {
    router: Router,
    peers: Vec<Peer>,
    attributes: Vec<Attributes>,
    events: Vec<Event>,
    #[serde(borrow)]
    rows: &'a serde_bytes::Bytes,
}

/// Fixed-width little-endian, as `bincode::serialize` of 1.3 and `wincode` write it, and bounded.
fn options() -> impl bincode::Options {
    let bytes_max = u64::try_from(PAYLOAD_BYTES_MAX).unwrap_or(u64::MAX);
    bincode::DefaultOptions::new().with_fixint_encoding().reject_trailing_bytes().with_limit(bytes_max)
}

pub(super) fn encode(batch: &Batch, rows: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let dictionary = DictionaryRef {
        router: &batch.router,
        peers: &batch.peers,
        attributes: &batch.attributes,
        events: &batch.events,
        rows: serde_bytes::Bytes::new(rows),
    };
    options().serialize_into(out, &dictionary).map_err(|error| Error::new(error.to_string(), None))
}

/// Returns the batch without its rows, and their bytes. These are the last ones of `bytes`.
pub(super) fn decode(bytes: &[u8]) -> Result<(Batch, &[u8]), Error> {
    let dictionary: Dictionary<'_> =
        options().deserialize(bytes).map_err(|error| Error::new(error.to_string(), None))?;
    let batch = Batch {
        router: dictionary.router,
        peers: dictionary.peers,
        attributes: dictionary.attributes,
        groups: Vec::new(),
        nlri: Vec::new(),
        events: dictionary.events,
    };
    Ok((batch, dictionary.rows))
}
