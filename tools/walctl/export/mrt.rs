//! MRT (RFC 6396): BGP4MP_ET messages with AS numbers of four octets, and state changes of peers.
//!
//! ```text
//!  seconds u32 │ type 17 u16 │ subtype u16 │ length u32 │ microseconds u32 │
//!  peer AS u32 │ local AS u32 │ interface u16 │ AFI u16 │ peer address │ local address │
//!  BGP message, or two states
//! ```
//!
//! The length counts from the microseconds on. The log does not record the router's own AS and address:
//! zeros.

use std::io::{self, Write};
use std::net::IpAddr;

use holdfast::num::to_u64;
use holdfast::route::{Batch, EventKind, Family, NlriEntry, Peer, Record, RowGroup, Timestamp};

use super::bgp;

const BGP4MP_ET: u16 = 17;
const MESSAGE_AS4: u16 = 4;
const STATE_CHANGE_AS4: u16 = 5;
/// RFC 8050 section 4.1.
const MESSAGE_AS4_ADDPATH: u16 = 9;
/// States of a BGP session, RFC 6396 section 4.4.1.
const IDLE: u16 = 1;
const ESTABLISHED: u16 = 6;

/// Writes all records that the format can represent. Returns the number of those that it cannot.
pub(super) fn batch(batch: &Batch, records: &[Record<'_>], out: &mut dyn Write) -> io::Result<u64> {
    let mut omitted = 0;
    let mut rest = records;
    while let Some((first, tail)) = rest.split_first() {
        match first {
            Record::Route(route) => {
                let same = |record: &&Record<'_>| match record {
                    Record::Route(other) => std::ptr::eq(other.group, route.group),
                    Record::Event(_) => false,
                };
                let count = rest.iter().take_while(same).count();
                let (group, behind) = rest.split_at(count);
                let entries: Vec<&NlriEntry> = group
                    .iter()
                    .filter_map(|record| match record {
                        Record::Route(route) => Some(route.entry),
                        Record::Event(_) => None,
                    })
                    .collect();
                omitted += routes(batch, route.group, &entries, out)?;
                rest = behind;
            }
            Record::Event(event) => {
                let peer = event.peer.and_then(|peer| batch.peers.get(usize::from(peer)));
                let change = match event.kind {
                    EventKind::PeerUp(_) => Some((IDLE, ESTABLISHED)),
                    EventKind::PeerDown { .. } => Some((ESTABLISHED, IDLE)),
                    _ => None,
                };
                match peer.zip(change) {
                    Some((peer, (from, to))) => {
                        let states = [from.to_be_bytes(), to.to_be_bytes()].concat();
                        message(event.received, STATE_CHANGE_AS4, peer, &states, out)?;
                    }
                    None => omitted += 1,
                }
                rest = tail;
            }
        }
    }
    Ok(omitted)
}

fn routes(batch: &Batch, group: &RowGroup, entries: &[&NlriEntry], out: &mut dyn Write) -> io::Result<u64> {
    let is_unicast = [Family::IPV4_UNICAST, Family::IPV6_UNICAST].contains(&group.family);
    let Some(peer) = batch.peer_of(group).filter(|_| is_unicast) else {
        return Ok(to_u64(entries.len()));
    };
    let subtype = if group.add_path { MESSAGE_AS4_ADDPATH } else { MESSAGE_AS4 };
    let mut rest = entries;
    let mut omitted = 0;
    while !rest.is_empty() {
        match bgp::update(group, batch.attributes_of(group), rest) {
            Some((update, count)) => {
                message(group.received, subtype, peer, &update, out)?;
                rest = rest.split_at_checked(count).map_or(&[][..], |(_, behind)| behind);
            }
            // The attributes and one prefix exceed the largest BGP message.
            None => {
                omitted += 1;
                rest = rest.split_first().map_or(&[][..], |(_, behind)| behind);
            }
        }
    }
    Ok(omitted)
}

fn message(
    time: Timestamp,
    subtype: u16,
    peer: &Peer,
    payload: &[u8],
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut body = Vec::with_capacity(payload.len() + 48);
    let micros = u32::try_from(time.0.rem_euclid(1_000_000)).unwrap_or(0);
    body.extend_from_slice(&micros.to_be_bytes());
    body.extend_from_slice(&peer.asn.to_be_bytes());
    body.extend_from_slice(&0_u32.to_be_bytes());
    body.extend_from_slice(&0_u16.to_be_bytes());
    match peer.key.address {
        IpAddr::V4(v4) => {
            body.extend_from_slice(&1_u16.to_be_bytes());
            body.extend_from_slice(&v4.octets());
            body.extend_from_slice(&[0; 4]);
        }
        IpAddr::V6(v6) => {
            body.extend_from_slice(&2_u16.to_be_bytes());
            body.extend_from_slice(&v6.octets());
            body.extend_from_slice(&[0; 16]);
        }
    }
    body.extend_from_slice(payload);
    let seconds = u32::try_from(time.0.div_euclid(1_000_000)).unwrap_or(0);
    out.write_all(&seconds.to_be_bytes())?;
    out.write_all(&BGP4MP_ET.to_be_bytes())?;
    out.write_all(&subtype.to_be_bytes())?;
    out.write_all(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes())?;
    out.write_all(&body)
}
