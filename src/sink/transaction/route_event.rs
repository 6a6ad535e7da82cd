//! One route event, its position in the log, and the peers to which the database has assigned ids. Pure.

use std::collections::HashMap;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::num;
use crate::route::{Family, Incarnation, NlriEntry, Timestamp};
use crate::sink::copy::pg_field as field;

use super::error::EncodeError;

/// Longest route key in bytes; a longer one is replaced by its hash. An index entry of PostgreSQL holds at
/// most 2,704 bytes, and an NLRI that is not decoded can be longer.
const KEY_MAX_BYTES: usize = 255;

/// Position of a record in the order of its peer. Of two records of one route, the one with the greater
/// position counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// BMP session and generation of the peer.
    pub(super) incarnation: Incarnation,
    /// Sequence number of the batch.
    pub(super) seq: u64,
    /// Index of the record in the batch.
    pub(super) index: u32,
}

impl Position {
    /// Appends the columns session, generation, seq and idx.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        field::timestamp(out, self.incarnation.session);
        field::int8(out, i64::from(self.incarnation.generation));
        field::int8(out, num::to_i64_saturating(self.seq));
        field::int4(out, self.index);
    }
}

/// An incarnation as the database stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StoredIncarnation {
    /// Start of the session in microseconds since 2000; `i64::MIN` is `-infinity`.
    pub(crate) session: i64,
    /// Generation of the peer in the session.
    pub(crate) generation: i64,
}

impl StoredIncarnation {
    /// Earlier than every incarnation.
    pub(crate) const BEFORE_ALL: Self = Self { session: i64::MIN, generation: 0 };

    /// Appends the columns valid_session and valid_generation.
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        field::int8(out, self.session);
        field::int8(out, self.generation);
    }
}

impl From<Incarnation> for StoredIncarnation {
    fn from(incarnation: Incarnation) -> Self {
        Self {
            session: field::postgres_micros(incarnation.session),
            generation: i64::from(incarnation.generation),
        }
    }
}

/// A RIB view of a peer as it was in the database before the transaction.
#[derive(Clone, Debug)]
pub(crate) struct StoredPeer {
    /// `bgp_peers.id`.
    pub(crate) id: i64,
    /// `bgp_peers.peer_number`.
    pub(crate) peer_number: i64,
    /// Whether the transaction has created the peer.
    pub(crate) is_new: bool,
    /// Oldest incarnation whose routes are valid.
    pub(crate) valid_from: StoredIncarnation,
    /// Address families with a later oldest valid incarnation, set by a sweep.
    pub(crate) families: Vec<(Family, StoredIncarnation)>,
}

impl StoredPeer {
    /// Returns the oldest incarnation whose routes of `family` were valid just before an event.
    /// `in_transaction` is the one that earlier events of the transaction have set, if any did.
    pub(super) fn valid_from(
        &self,
        family: Family,
        in_transaction: Option<Incarnation>,
    ) -> StoredIncarnation {
        let of_family = self.families.iter().find(|(known, _)| *known == family).map(|(_, valid)| *valid);
        let before = of_family.map_or(self.valid_from, |valid| valid.max(self.valid_from));
        in_transaction.map_or(before, |set| before.max(set.into()))
    }
}

/// The RIB views of a transaction's peers as they are in the database, by [`RouteEvent::view_index`].
#[derive(Default)]
pub(crate) struct StoredPeers(pub(crate) HashMap<u32, StoredPeer>);

impl StoredPeers {
    pub(super) fn get(&self, view_index: u32) -> Result<&StoredPeer, EncodeError> {
        self.0.get(&view_index).ok_or(EncodeError::PeerWithoutId(view_index))
    }
}

/// One announcement or withdrawal.
pub(super) struct RouteEvent<'a> {
    /// Index of the peer's RIB view in the transaction.
    pub(super) view_index: u32,
    /// Address family of the route.
    pub(super) family: Family,
    /// ADD-PATH identifier, if the peer sends them.
    pub(super) path_id: Option<u32>,
    /// Key of the route within its peer; see [`route_key`].
    pub(super) key: &'a [u8],
    /// Encoded NLRI columns.
    pub(super) nlri_block: &'a [u8],
    /// Hash of the attribute set; `None` for a withdrawal.
    pub(super) attributes: Option<[u8; 16]>,
    /// Time at which the collector received the message.
    pub(super) received: Timestamp,
    /// Position of the record.
    pub(super) position: Position,
    /// Oldest incarnation whose routes were still valid just before the event. `None` if no earlier Peer Down
    /// or sweep of the transaction has changed it.
    pub(super) valid_from: Option<Incarnation>,
    /// The same by the sweeps of the transaction alone.
    pub(super) swept_from: Option<Incarnation>,
    /// Number of the event among the candidates of deduplication, if it is the first event of its route and
    /// compared with the current table.
    pub(super) candidate: Option<u32>,
    /// Whether the view is a Loc-RIB.
    pub(super) of_loc_rib: bool,
    /// Whether another RIB view of the transaction may turn out to be this one. Then only the database knows
    /// which events are of one route.
    pub(super) may_be_shared: bool,
}

/// Replaces `out` by the key of a route within its peer: address family, key fields of the NLRI, path
/// identifier.
pub(super) fn route_key(family: Family, entry: &NlriEntry, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&family.afi.to_be_bytes());
    out.push(family.safi);
    // The path identifier follows the prefix, so that all paths of a prefix are neighbors in the index.
    entry.nlri.key(out);
    out.extend_from_slice(&entry.path_id.to_be_bytes());
    if out.len() > KEY_MAX_BYTES {
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
    fn a_peer_without_an_id_is_an_error() {
        assert_eq!(StoredPeers::default().get(3).err(), Some(EncodeError::PeerWithoutId(3)));
    }
}
