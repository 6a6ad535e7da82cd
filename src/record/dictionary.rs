//! Version 0 of the dictionaries and events: bincode.

use std::io::Cursor;

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
}

/// The same, owned, as it is read. Field order is the format.
#[derive(Deserialize)]
struct Dictionary {
    router: Router,
    peers: Vec<Peer>,
    attributes: Vec<Attributes>,
    events: Vec<Event>,
}

/// Fixed-width little-endian, as `bincode::serialize` of 1.3 and `wincode` write it, and bounded.
fn options() -> impl bincode::Options {
    let bytes_max = u64::try_from(PAYLOAD_BYTES_MAX).unwrap_or(u64::MAX);
    bincode::DefaultOptions::new().with_fixint_encoding().allow_trailing_bytes().with_limit(bytes_max)
}

pub(super) fn encode(batch: &Batch, out: &mut Vec<u8>) -> Result<(), Error> {
    let dictionary = DictionaryRef {
        router: &batch.router,
        peers: &batch.peers,
        attributes: &batch.attributes,
        events: &batch.events,
    };
    options().serialize_into(out, &dictionary).map_err(|error| Error::new(error.to_string(), None))
}

/// Returns the batch without its rows, and where the rows begin.
pub(super) fn decode(bytes: &[u8]) -> Result<(Batch, usize), Error> {
    let mut cursor = Cursor::new(bytes);
    let dictionary: Result<Dictionary, _> = options().deserialize_from(&mut cursor);
    let at = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
    let dictionary = dictionary.map_err(|error| Error::new(error.to_string(), Some(at.saturating_add(1))))?;
    let batch = Batch {
        router: dictionary.router,
        peers: dictionary.peers,
        attributes: dictionary.attributes,
        groups: Vec::new(),
        nlri: Vec::new(),
        events: dictionary.events,
    };
    Ok((batch, at))
}
