//! The packed rows of payload versions 0 to 2: groups and their NLRI, which make up nearly all of the log.
//!
//! ```text
//! rows   = count of groups (varint), then the groups
//! group  = flags u8
//!          [ peer varint ]                     unless SAME_PEER: the peer of the previous group
//!          [ afi varint, safi u8 ]             unless SAME_FAMILY
//!          [ attributes varint ]               for an announcement or treat-as-withdraw
//!          [ rows varint ]                     unless ONE_ROW
//!          received − previous received        zigzag varint, µs; initially the router's session
//!          router time − previous router time  zigzag varint, µs; initially the router's session
//!          [ status varint, reason + 1 varint ]  with MARKED (from version 1); 0 for no reason
//!          the rows
//! flags  = WITHDRAW 1 │ cause << 1 (2 bits) │ ADD_PATH 8 │ SAME_PEER 16 │ SAME_FAMILY 32 │
//!          ONE_ROW 64 │ MARKED 128
//! row    = [ path id u32 big-endian ]          with ADD_PATH
//!          length u8, ⌈length/8⌉ octets        a prefix of AFI 1 (IPv4) or AFI 2 (IPv6)
//!        │ 255, bincode of the Nlri            anything else
//! ```
//!
//! The record index of a group is not encoded: it follows that of the last row before it, without the indexes
//! of events.

use std::net::IpAddr;

use bincode::Options as _;

use super::Error;
use crate::num;
use crate::route::{
    Action, Batch, Cause, Family, NO_ATTRIBUTES, Nlri, NlriEntry, PathMarking, Prefix, RowGroup, Timestamp,
};

const WITHDRAW: u8 = 1;
const CAUSE_SHIFT: u32 = 1;
const CAUSE_MASK: u8 = 3;
const ADD_PATH: u8 = 8;
const SAME_PEER: u8 = 16;
const SAME_FAMILY: u8 = 32;
const ONE_ROW: u8 = 64;
/// The group has a path marking; reserved in version 0.
const MARKED: u8 = 128;

/// First byte of a row that is not an IPv4 or IPv6 prefix.
const BINCODE_NLRI: u8 = 255;

/// The fields of the previous group, relative to which a group is encoded.
struct Previous {
    peer: u16,
    family: Family,
    received: i64,
    router_time: i64,
}

impl Previous {
    /// The values relative to which the first group is encoded.
    const fn initial(session: Timestamp) -> Self {
        Self { peer: 0, family: Family::IPV4_UNICAST, received: session.0, router_time: session.0 }
    }

    const fn advance(&mut self, group: &RowGroup) {
        self.peer = group.peer;
        self.family = group.family;
        self.received = group.received.0;
        self.router_time = group.router_time.0;
    }
}

/// Encodes the groups and rows of a batch.
pub(super) fn encode(batch: &Batch) -> Result<Vec<u8>, Error> {
    // Slightly more than the rows of a batch of one-prefix messages.
    let mut out = Vec::with_capacity(16 + 12 * batch.groups.len() + 6 * batch.nlri.len());
    put_varint(&mut out, num::to_u64(batch.groups.len()));
    let mut previous = Previous::initial(batch.router.session);
    let mut rest = batch.nlri.as_slice();
    for group in &batch.groups {
        let rows = num::u32_to_usize(group.rows);
        let Some((entries, tail)) = rest.split_at_checked(rows) else {
            return Err(Error::Inconsistent("a group has more rows than the batch"));
        };
        rest = tail;
        let has_attributes = has_attributes(group.action, group.cause);
        if has_attributes != (group.attributes != NO_ATTRIBUTES)
            || (has_attributes && usize::from(group.attributes) >= batch.attributes.len())
            || usize::from(group.peer) >= batch.peers.len()
        {
            return Err(Error::Inconsistent("an index of a group is outside its dictionary"));
        }
        put_group(&mut out, group, &previous);
        for entry in entries {
            if group.add_path {
                out.extend_from_slice(&entry.path_id.to_be_bytes());
            }
            put_nlri(&mut out, group.family, &entry.nlri)?;
        }
        previous.advance(group);
    }
    if rest.is_empty() { Ok(out) } else { Err(Error::Inconsistent("a row belongs to no group")) }
}

/// Whether a group refers to an attribute set. Of the withdrawals only treat-as-withdraw does: the set
/// contains the reason.
fn has_attributes(action: Action, cause: Cause) -> bool {
    action == Action::Announce || cause == Cause::TreatAsWithdraw
}

fn put_group(out: &mut Vec<u8>, group: &RowGroup, previous: &Previous) {
    let same_peer = group.peer == previous.peer;
    let same_family = group.family == previous.family;
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    out.push(
        flag(group.action == Action::Withdraw, WITHDRAW)
            | (u8::from(group.cause) << CAUSE_SHIFT)
            | flag(group.add_path, ADD_PATH)
            | flag(same_peer, SAME_PEER)
            | flag(same_family, SAME_FAMILY)
            | flag(group.rows == 1, ONE_ROW)
            | flag(group.marking.is_some(), MARKED),
    );
    if !same_peer {
        put_varint(out, u64::from(group.peer));
    }
    if !same_family {
        put_varint(out, u64::from(group.family.afi));
        out.push(group.family.safi);
    }
    if has_attributes(group.action, group.cause) {
        put_varint(out, u64::from(group.attributes));
    }
    if group.rows != 1 {
        put_varint(out, u64::from(group.rows));
    }
    put_varint(out, zigzag(group.received.0.wrapping_sub(previous.received)));
    put_varint(out, zigzag(group.router_time.0.wrapping_sub(previous.router_time)));
    if let Some(PathMarking { status, reason }) = group.marking {
        put_varint(out, u64::from(status));
        put_varint(out, reason.map_or(0, |reason| u64::from(reason) + 1));
    }
}

fn put_nlri(out: &mut Vec<u8>, family: Family, nlri: &Nlri) -> Result<(), Error> {
    if let Nlri::Prefix(prefix) = nlri {
        match (prefix.address(), family.afi) {
            (IpAddr::V4(v4), 1) => {
                put_prefix(out, prefix.length(), &v4.octets());
                return Ok(());
            }
            (IpAddr::V6(v6), 2) => {
                put_prefix(out, prefix.length(), &v6.octets());
                return Ok(());
            }
            _ => {}
        }
    }
    out.push(BINCODE_NLRI);
    Ok(nlri_options().serialize_into(out, nlri)?)
}

fn put_prefix(out: &mut Vec<u8>, length: u8, address: &[u8]) {
    out.push(length);
    let octets = usize::from(length).div_ceil(8);
    out.extend_from_slice(address.get(..octets).unwrap_or(address));
}

fn nlri_options() -> impl bincode::Options {
    bincode::DefaultOptions::new().with_fixint_encoding().allow_trailing_bytes().with_limit(1 << 20)
}

/// Decodes groups and rows into `batch`, which already contains the dictionaries and events. `offset` is the
/// byte offset of `bytes` in the payload, `version` that of the payload.
pub(super) fn decode(batch: &mut Batch, bytes: &[u8], offset: usize, version: u8) -> Result<(), Error> {
    let mut reader = Reader { rest: bytes, end: offset + bytes.len(), allows_marking: version >= 1 };
    let groups = reader.varint()?;
    let mut previous = Previous::initial(batch.router.session);
    let mut next_index = 0_u32;
    let mut events = 0;
    for _ in 0..groups {
        let mut group = reader.group(&previous)?;
        if usize::from(group.peer) >= batch.peers.len()
            || (group.attributes != NO_ATTRIBUTES && usize::from(group.attributes) >= batch.attributes.len())
        {
            return Err(reader.error("group with an index outside its dictionary"));
        }
        // Skip the indexes of the events before this group.
        while batch.events.get(events).is_some_and(|event| event.index <= next_index) {
            events += 1;
            next_index = next_index.saturating_add(1);
        }
        group.index = next_index;
        next_index = next_index.saturating_add(group.rows);
        for _ in 0..group.rows {
            let path_id = if group.add_path { u32::from_be_bytes(reader.array()?) } else { 0 };
            let nlri = reader.nlri(group.family)?;
            batch.nlri.push(NlriEntry { path_id, nlri });
        }
        previous.advance(&group);
        batch.groups.push(group);
    }
    if reader.rest.is_empty() { Ok(()) } else { Err(reader.error("unexpected bytes after the last row")) }
}

/// Reads packed rows.
struct Reader<'a> {
    /// The bytes left.
    rest: &'a [u8],
    /// Byte offset of the end of the rows in the payload.
    end: usize,
    /// Whether the payload's version provides for path markings.
    allows_marking: bool,
}

impl Reader<'_> {
    /// Byte offset of the next byte in the payload.
    const fn offset(&self) -> usize {
        self.end - self.rest.len()
    }

    const fn error(&self, what: &'static str) -> Error {
        Error::Rows { what, offset: self.offset() }
    }

    fn take(&mut self, bytes: usize) -> Result<&[u8], Error> {
        match self.rest.split_at_checked(bytes) {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(head)
            }
            None => Err(self.error("truncated rows")),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        match self.rest.split_first_chunk() {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(*head)
            }
            None => Err(self.error("truncated rows")),
        }
    }

    fn byte(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]| byte)
    }

    fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.error("integer longer than 64 bits"))
    }

    fn number<T: TryFrom<u64>>(&mut self) -> Result<T, Error> {
        let value = self.varint()?;
        T::try_from(value).map_err(|_| self.error("integer out of range"))
    }

    fn group(&mut self, previous: &Previous) -> Result<RowGroup, Error> {
        let flags = self.byte()?;
        if flags & MARKED != 0 && !self.allows_marking {
            return Err(self.error("reserved flag set in a group"));
        }
        let cause = Cause::try_from((flags >> CAUSE_SHIFT) & CAUSE_MASK).map_err(|what| self.error(what))?;
        let action = if flags & WITHDRAW == 0 { Action::Announce } else { Action::Withdraw };
        let peer = if flags & SAME_PEER == 0 { self.number()? } else { previous.peer };
        let family = if flags & SAME_FAMILY == 0 {
            Family { afi: self.number()?, safi: self.byte()? }
        } else {
            previous.family
        };
        let attributes = if has_attributes(action, cause) { self.number()? } else { NO_ATTRIBUTES };
        let rows = if flags & ONE_ROW == 0 { self.number()? } else { 1 };
        let received = previous.received.wrapping_add(unzigzag(self.varint()?));
        let router_time = previous.router_time.wrapping_add(unzigzag(self.varint()?));
        let marking = if flags & MARKED == 0 { None } else { Some(self.marking()?) };
        Ok(RowGroup {
            peer,
            attributes,
            family,
            action,
            cause,
            add_path: flags & ADD_PATH != 0,
            index: 0,
            rows,
            received: Timestamp(received),
            router_time: Timestamp(router_time),
            marking,
        })
    }

    fn marking(&mut self) -> Result<PathMarking, Error> {
        let status = self.number()?;
        let reason: u32 = self.number()?;
        let reason = reason.checked_sub(1).map(u16::try_from).transpose();
        let reason = reason.map_err(|_| self.error("reason code out of range"))?;
        Ok(PathMarking { status, reason })
    }

    fn nlri(&mut self, family: Family) -> Result<Nlri, Error> {
        let length = self.byte()?;
        if length == BINCODE_NLRI {
            let mut rest = self.rest;
            let nlri = nlri_options()
                .deserialize_from(&mut rest)
                .map_err(|error| Error::Nlri { offset: self.offset(), error })?;
            self.rest = rest;
            return Ok(nlri);
        }
        let octets = self.take(usize::from(length).div_ceil(8))?;
        let prefix = match family.afi {
            1 => Prefix::v4(u32::from_be_bytes(left_aligned(octets)), length),
            2 => Prefix::v6(u128::from_be_bytes(left_aligned(octets)), length),
            _ => None,
        };
        prefix.map(Nlri::Prefix).ok_or_else(|| self.error("invalid prefix length for the family"))
    }
}

/// Returns `octets` followed by zeros. Octets beyond N are dropped; the caller checks the prefix length
/// afterwards.
fn left_aligned<const N: usize>(octets: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
    array
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

const fn zigzag(value: i64) -> u64 {
    (value.wrapping_shl(1) ^ (value >> 63)).cast_unsigned()
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ (value & 1).cast_signed().wrapping_neg()
}
