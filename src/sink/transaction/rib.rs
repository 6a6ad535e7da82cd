//! What one transaction does to the current table: per route the last word, and how often it changed. Pure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::route::{Family, NlriEntry, Timestamp};
use crate::sink::copy::columns;
use crate::sink::copy::copy_rows::seq_number;
use crate::sink::copy::pg_field as field;
use crate::sink::transaction::initial_load::InitialLoad;
use crate::sink::transaction::sealed::TableBuffer;

/// A longer key is replaced by its hash: an index entry holds 2,704 bytes at most, and an NLRI that is not decoded can
/// be longer.
const KEY_BYTES_MAX: usize = 255;

/// When something was said: what is later in this order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sink) struct Position {
    pub(in crate::sink) session: Timestamp,
    pub(in crate::sink) generation: u32,
    pub(in crate::sink) seq: u64,
    pub(in crate::sink) index: u32,
}

/// From which (session, generation) on routes count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sink) struct StoredIncarnation {
    /// As PostgreSQL counts: microseconds since 2000, the lowest is `-infinity`.
    pub(in crate::sink) session: i64,
    pub(in crate::sink) generation: i64,
}

impl From<(Timestamp, u32)> for StoredIncarnation {
    fn from((session, generation): (Timestamp, u32)) -> Self {
        Self { session: field::postgres_micros(session), generation: i64::from(generation) }
    }
}

/// A peer as the database knew it before the transaction.
#[derive(Clone, Debug)]
pub(in crate::sink) struct StoredPeer {
    pub(in crate::sink) id: i64,
    /// The transaction has made it.
    pub(in crate::sink) is_new: bool,
    pub(in crate::sink) valid: StoredIncarnation,
    pub(in crate::sink) families: Vec<(Family, StoredIncarnation)>,
}

impl StoredPeer {
    /// From when on routes counted when an event came that had this much before it in the transaction.
    pub(in crate::sink) fn valid_from(
        &self,
        family: Family,
        ended: Option<(Timestamp, u32)>,
    ) -> StoredIncarnation {
        let of_family = self.families.iter().find(|(known, _)| *known == family).map(|(_, valid)| *valid);
        let before = of_family.map_or(self.valid, |valid| valid.max(self.valid));
        ended.map_or(before, |ended| before.max(ended.into()))
    }
}

/// What the transaction has said of a route before an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sink) enum EarlierEvent {
    /// Nothing: only the database knows.
    Nothing,
    /// The same announcement, and nothing has ended it since.
    Same,
    /// Something else, or something later.
    Other,
}

/// One route event.
pub(in crate::sink) struct RouteEvent<'a> {
    pub(in crate::sink) place: u32,
    pub(in crate::sink) family: Family,
    pub(in crate::sink) path_id: Option<u32>,
    /// What identifies the route within its peer, see [`route_key`].
    pub(in crate::sink) key: &'a [u8],
    /// The NLRI columns as encoded for history.
    pub(in crate::sink) nlri_block: &'a [u8],
    pub(in crate::sink) attributes: Option<[u8; 16]>,
    pub(in crate::sink) received: Timestamp,
    pub(in crate::sink) position: Position,
    /// What Peer Downs and sweeps before it in the transaction have ended: routes of an earlier session and generation.
    pub(in crate::sink) ended: Option<(Timestamp, u32)>,
}

struct Change {
    family: Family,
    path_id: Option<u32>,
    nlri_block: Range<usize>,
    first_time: Timestamp,
    last_time: Timestamp,
    flip_time: Option<Timestamp>,
    begins_withdrawn: bool,
    is_withdrawn: bool,
    learns: u32,
    withdraws: u32,
    position: Position,
    attributes: Option<[u8; 16]>,
    /// As it was at the first event.
    ended: Option<(Timestamp, u32)>,
}

/// The rows for the current table.
#[derive(Default)]
pub(in crate::sink) struct RibRows {
    /// Those that the merge has to look up.
    pub(in crate::sink) staged: TableBuffer,
    /// Those that cannot be there yet.
    pub(in crate::sink) new: TableBuffer,
}

/// The routes of one transaction, each once.
#[derive(Default)]
pub(in crate::sink) struct Rib {
    changes: HashMap<(u32, Box<[u8]>), Change>,
    blocks: Vec<u8>,
}

impl Rib {
    /// Takes one event; events of a peer come in the order of the log.
    pub(in crate::sink) fn push(&mut self, event: &RouteEvent<'_>) -> EarlierEvent {
        let start = self.blocks.len();
        match self.changes.entry((event.place, event.key.into())) {
            Entry::Vacant(vacant) => {
                self.blocks.extend_from_slice(event.nlri_block);
                vacant.insert(Change::first(event, start..self.blocks.len()));
                EarlierEvent::Nothing
            }
            Entry::Occupied(mut occupied) => {
                let change = occupied.get_mut();
                if event.position <= change.position {
                    return EarlierEvent::Other;
                }
                // Labels are not in the key, and a withdrawal's are of no interest.
                let differs = self.blocks.get(change.nlri_block.clone()) != Some(event.nlri_block);
                if event.attributes.is_some() && differs {
                    self.blocks.extend_from_slice(event.nlri_block);
                    change.nlri_block = start..self.blocks.len();
                }
                if change.again(event) && !differs { EarlierEvent::Same } else { EarlierEvent::Other }
            }
        }
    }

    /// How many routes there are.
    pub(in crate::sink) fn len(&self) -> usize {
        self.changes.len()
    }

    /// The rows for the current table, in the order of its key.
    pub(in crate::sink) fn encode(
        &self,
        peers: &HashMap<u32, StoredPeer>,
        mut first: Option<&mut InitialLoad>,
    ) -> RibRows {
        if let Some(first) = &mut first {
            peers.values().filter(|peer| peer.is_new).for_each(|peer| first.begin(peer.id));
        }
        let mut out = RibRows::default();
        let mut rows: Vec<(&StoredPeer, &[u8], &Change)> = self
            .changes
            .iter()
            .filter_map(|((place, key), change)| peers.get(place).map(|peer| (peer, &**key, change)))
            .collect();
        rows.sort_unstable_by_key(|(peer, key, _)| (peer.id, *key));
        for (peer, key, change) in rows {
            let is_new = first.as_mut().is_some_and(|first| first.is_new(peer.id, key));
            let table = if is_new {
                change.encode_new(peer, key, &mut out.new.bytes);
                &mut out.new
            } else {
                change.encode_staged(peer, key, &mut out.staged.bytes);
                &mut out.staged
            };
            table.rows += 1;
            table.bytes.extend_from_slice(self.blocks.get(change.nlri_block.clone()).unwrap_or_default());
        }
        out
    }
}

impl Change {
    fn first(event: &RouteEvent<'_>, nlri_block: Range<usize>) -> Self {
        let is_withdrawn = event.attributes.is_none();
        Self {
            family: event.family,
            path_id: event.path_id,
            nlri_block,
            first_time: event.received,
            last_time: event.received,
            flip_time: None,
            begins_withdrawn: is_withdrawn,
            is_withdrawn,
            learns: 0,
            withdraws: 0,
            position: event.position,
            attributes: event.attributes,
            ended: event.ended,
        }
    }

    /// Takes a later event; true when it says again what was so already.
    fn again(&mut self, event: &RouteEvent<'_>) -> bool {
        let is_withdrawn = event.attributes.is_none();
        // A Peer Down or a sweep in between has ended the route without a word about it.
        let was_ended = event.ended > Some((self.position.session, self.position.generation));
        let was_withdrawn = self.is_withdrawn || was_ended;
        let is_same = !was_withdrawn && self.attributes == event.attributes;
        if was_withdrawn != is_withdrawn {
            self.flip_time = Some(event.received);
            *(if is_withdrawn { &mut self.withdraws } else { &mut self.learns }) += 1;
        }
        self.is_withdrawn = is_withdrawn;
        self.last_time = event.received;
        self.position = event.position;
        // A withdrawn route keeps its last attributes.
        self.attributes = event.attributes.or(self.attributes);
        is_same
    }

    /// Up to the NLRI, a row of the staging table.
    fn encode_staged(&self, peer: &StoredPeer, key: &[u8], out: &mut Vec<u8>) {
        let valid = peer.valid_from(self.family, self.ended);
        field::row(out, columns::count(columns::STAGED));
        self.encode_key(peer, key, out);
        field::timestamp(out, self.first_time);
        field::timestamp(out, self.last_time);
        field::optional(out, self.flip_time, field::timestamp);
        self.encode_position(out);
        field::int4(out, self.learns);
        field::int4(out, self.withdraws);
        field::boolean(out, self.is_withdrawn);
        field::optional(out, self.attributes, field::uuid);
        field::boolean(out, self.begins_withdrawn);
        field::int8(out, valid.session);
        field::int8(out, valid.generation);
    }

    /// Up to the NLRI, a row of the current table, as the merge would insert it.
    fn encode_new(&self, peer: &StoredPeer, key: &[u8], out: &mut Vec<u8>) {
        field::row(out, columns::count(columns::RIB_ENTRIES));
        self.encode_key(peer, key, out);
        field::timestamp(out, self.first_time);
        field::timestamp(out, self.last_time);
        field::timestamp(out, self.flip_time.unwrap_or(self.first_time));
        self.encode_position(out);
        field::int4(out, self.learns.saturating_add(u32::from(!self.begins_withdrawn)));
        field::int4(out, self.withdraws);
        field::boolean(out, self.is_withdrawn);
        field::optional(out, self.attributes, field::uuid);
    }

    fn encode_key(&self, peer: &StoredPeer, key: &[u8], out: &mut Vec<u8>) {
        field::int8(out, peer.id);
        field::bytea(out, key);
        field::int4(out, u32::from(self.family.afi));
        field::int2(out, i16::from(self.family.safi));
        field::optional(out, self.path_id, |out, path_id| field::int8(out, i64::from(path_id)));
    }

    fn encode_position(&self, out: &mut Vec<u8>) {
        field::timestamp(out, self.position.session);
        field::int8(out, i64::from(self.position.generation));
        field::int8(out, seq_number(self.position.seq));
        field::int4(out, self.position.index);
    }
}

/// What identifies a route within its peer: family, path identifier, and the key fields of the NLRI. Replaces `out`.
pub(in crate::sink) fn route_key(family: Family, entry: &NlriEntry, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&family.afi.to_be_bytes());
    out.push(family.safi);
    // The path identifier stands behind the prefix, so that all paths of a prefix are neighbours.
    entry.nlri.key(out);
    out.extend_from_slice(&entry.path_id.to_be_bytes());
    if out.len() > KEY_BYTES_MAX {
        let mut hasher = SipHasher13::new();
        std::hash::Hasher::write(&mut hasher, out);
        out.truncate(3);
        out.extend_from_slice(&hasher.finish128().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{EvpnRoute, Mac, Nlri, Prefix, Rd};

    fn key(entry: &NlriEntry, family: Family) -> Vec<u8> {
        let mut out = Vec::new();
        route_key(family, entry, &mut out);
        out
    }

    fn mac_route(label: u32) -> NlriEntry {
        let route = EvpnRoute::MacIp {
            rd: Rd([0, 0, 0xfd, 0xe8, 0, 0, 0, 1]),
            esi: crate::route::Esi([0; 10]),
            tag: 0,
            mac: Mac([2, 0, 0, 0, 0, 1]),
            ip: None,
            label,
            label2: None,
        };
        NlriEntry { path_id: 0, nlri: Nlri::Evpn(Box::new(route)) }
    }

    fn prefix(path_id: u32) -> NlriEntry {
        NlriEntry { path_id, nlri: Nlri::Prefix(Prefix::v4(0x0a00_0000, 24).unwrap()) }
    }

    fn event(announced: bool, seq: u64, generation: u32) -> RouteEvent<'static> {
        RouteEvent {
            place: 0,
            family: Family::IPV4_UNICAST,
            path_id: None,
            key: b"key",
            nlri_block: &[],
            attributes: announced.then_some([1; 16]),
            received: Timestamp(i64::try_from(seq).unwrap()),
            position: Position { session: Timestamp(1), generation, seq, index: 0 },
            ended: (generation > 1).then_some((Timestamp(1), generation)),
        }
    }

    fn only(rib: &Rib) -> &Change {
        assert_eq!(rib.len(), 1);
        rib.changes.values().next().unwrap()
    }

    #[test]
    fn evpn_keys_ignore_labels() {
        assert_eq!(key(&mac_route(5), Family::EVPN), key(&mac_route(0), Family::EVPN));
    }

    #[test]
    fn path_identifier_and_family_are_in_the_key() {
        assert_ne!(key(&prefix(1), Family::IPV4_UNICAST), key(&prefix(2), Family::IPV4_UNICAST));
        assert_ne!(key(&prefix(1), Family::IPV4_UNICAST), key(&prefix(1), Family::IPV4_MULTICAST));
    }

    #[test]
    fn a_long_key_is_hashed() {
        let raw =
            |last| NlriEntry { path_id: 0, nlri: Nlri::Raw([vec![7; 3000], vec![last]].concat().into()) };
        let family = Family { afi: 16388, safi: 71 };
        assert_eq!(key(&raw(1), family).len(), 19);
        assert_ne!(key(&raw(1), family), key(&raw(2), family));
    }

    #[test]
    fn the_last_event_wins_and_flips_are_counted() {
        let mut rib = Rib::default();
        for (seq, announced) in [(1, true), (2, true), (3, false), (4, true), (5, false)] {
            rib.push(&event(announced, seq, 1));
        }
        let change = only(&rib);
        assert!(change.is_withdrawn && !change.begins_withdrawn);
        assert_eq!((change.learns, change.withdraws), (1, 2));
        assert_eq!((change.flip_time, change.attributes), (Some(Timestamp(5)), Some([1; 16])));
    }

    #[test]
    fn an_older_event_changes_nothing() {
        let mut rib = Rib::default();
        rib.push(&event(false, 9, 1));
        rib.push(&event(true, 8, 1));
        assert!(only(&rib).is_withdrawn);
    }

    #[test]
    fn a_route_that_a_peer_down_ended_is_learnt_again() {
        let mut rib = Rib::default();
        rib.push(&event(true, 1, 1));
        assert_eq!(rib.push(&event(true, 3, 2)), EarlierEvent::Other);
        assert_eq!((only(&rib).learns, only(&rib).withdraws), (1, 0));
    }

    #[test]
    fn a_repetition_is_known_as_one() {
        let mut rib = Rib::default();
        let said = |rib: &mut Rib, seq, announced| rib.push(&event(announced, seq, 1));
        assert_eq!(said(&mut rib, 1, true), EarlierEvent::Nothing);
        assert_eq!(said(&mut rib, 2, true), EarlierEvent::Same);
        assert_eq!(said(&mut rib, 2, true), EarlierEvent::Other, "not later");
        let mut labelled = event(true, 3, 1);
        labelled.nlri_block = &[1];
        assert_eq!(rib.push(&labelled), EarlierEvent::Other);
        labelled.position.seq = 4;
        assert_eq!(rib.push(&labelled), EarlierEvent::Same);
        labelled.position.seq = 5;
        labelled.attributes = Some([2; 16]);
        assert_eq!(rib.push(&labelled), EarlierEvent::Other);
        assert_eq!(said(&mut rib, 6, false), EarlierEvent::Other);
        assert_eq!(said(&mut rib, 7, true), EarlierEvent::Other, "announced after a withdrawal");
    }
}
