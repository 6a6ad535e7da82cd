//! The dictionaries and events of payload versions 0 to 2, in bincode.

use bincode::Options as _;
use serde::{Deserialize, Serialize};

use super::{Error, PAYLOAD_BYTES_MAX};
use crate::num;
use crate::route::{
    Attributes, Batch, Class, Event, Peer, ROUTER_NAME_MAX_BYTES, Router, TABLE_NAME_MAX_BYTES, bounded_name,
};

/// The bincode structure as it is encoded, borrowed from the batch.
#[derive(Serialize)]
struct DictionaryRef<'a> {
    router: &'a Router,
    peers: &'a [Peer],
    attributes: &'a [Attributes],
    events: &'a [Event],
    rows: &'a serde_bytes::Bytes,
}

/// The bincode structure as it is decoded; the rows are borrowed. The order of the fields is part of the
/// format.
#[derive(Deserialize)]
struct Dictionary<'a> {
    router: Router,
    peers: Vec<Peer>,
    attributes: Vec<Attributes>,
    events: Vec<Event>,
    #[serde(borrow)]
    rows: &'a serde_bytes::Bytes,
}

/// Fixed-width little-endian integers, as in `bincode::serialize` of 1.3 and in `wincode`.
fn options() -> impl bincode::Options {
    bincode::DefaultOptions::new().with_fixint_encoding().reject_trailing_bytes()
}

/// Appends the dictionaries, the events and the packed `rows`.
pub(super) fn encode(batch: &Batch, rows: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let dictionary = DictionaryRef {
        router: &batch.router,
        peers: &batch.peers,
        attributes: &batch.attributes,
        events: &batch.events,
        rows: serde_bytes::Bytes::new(rows),
    };
    // With a limit, bincode would compute the size before it encodes. The caller checks the length.
    options().serialize_into(out, &dictionary).map_err(Error::from)
}

/// Decodes a batch without its rows. Returns it with the bytes of the rows, which are the last bytes of
/// `bytes`.
pub(super) fn decode(bytes: &[u8]) -> Result<(Batch, &[u8]), Error> {
    let options = options().with_limit(num::to_u64(PAYLOAD_BYTES_MAX));
    let dictionary: Dictionary<'_> = options.deserialize(bytes).map_err(Error::from)?;
    // Earlier releases did not bound the names.
    let Dictionary { router, peers, .. } = dictionary;
    let table = |name| bounded_name(name, TABLE_NAME_MAX_BYTES);
    let batch = Batch {
        router: Router { name: bounded_name(router.name, ROUTER_NAME_MAX_BYTES), ..router },
        class: Class::Dump,
        follows_bulk: false,
        after: 0,
        peers: peers.into_iter().map(|peer| Peer { table_name: table(peer.table_name), ..peer }).collect(),
        attributes: dictionary.attributes,
        groups: Vec::new(),
        nlri: Vec::new(),
        events: dictionary.events,
    };
    Ok((batch, dictionary.rows))
}
