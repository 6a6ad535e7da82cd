//! The identities that the records of one transaction carry. Pure.
//!
//! Which of them are one peer is decided by the database (`holdfast_identify_peers`), in the order in which
//! they appear, because it depends on the peers that earlier transactions have stored.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::num;
use crate::route::{Peer, PeerIdentity, PeerKey, Rd, Router, Timestamp};

/// An identity as records carry it.
pub(super) struct SentIdentity {
    router: String,
    /// AS number and BGP identifier as sent; of a Loc-RIB the last AS number that was not zero.
    identity: PeerIdentity,
    /// The session, if the identity contains zeros: they are resolved once per session.
    session: Option<Timestamp>,
    /// Index of its group.
    group: usize,
}

/// The identities with one key of one router.
#[derive(Default)]
struct IdentityGroup {
    /// Numbers of the identities, in the order of their first records.
    numbers: Vec<u32>,
    has_zeros: bool,
}

/// The identities of one transaction, by number, in the order of their first records.
#[derive(Default)]
pub(super) struct Identities {
    sent: Vec<SentIdentity>,
    groups: Vec<IdentityGroup>,
    group_by_key: HashMap<(String, PeerKey), usize>,
}

impl Identities {
    /// Returns the number of the identity of a record, assigned at its first record.
    pub(super) fn number(&mut self, router: &Router, peer: &Peer) -> u32 {
        let identity = peer.identity();
        let session = identity.has_zeros().then_some(router.session);
        let next_group = self.groups.len();
        let group = *self.group_by_key.entry((router.name.clone(), peer.key)).or_insert(next_group);
        if group == next_group {
            self.groups.push(IdentityGroup::default());
        }
        let same_key = self.groups.get(group).map_or(&[][..], |group| &group.numbers);
        let known = same_key.iter().copied().find(|number| {
            let sent = self.sent.get(num::u32_to_usize(*number));
            sent.is_some_and(|sent| sent.session == session && sent.identity.is_same(&identity))
        });
        if let Some(number) = known {
            if let Some(sent) = self.sent.get_mut(num::u32_to_usize(number)) {
                sent.identity.complete(&identity);
            }
            return number;
        }
        let number = num::to_u32_saturating(self.sent.len());
        self.sent.push(SentIdentity { router: router.name.clone(), identity, session, group });
        if let Some(group) = self.groups.get_mut(group) {
            group.numbers.push(number);
            group.has_zeros |= session.is_some();
        }
        number
    }

    pub(super) fn get(&self, number: u32) -> Option<&SentIdentity> {
        self.sent.get(num::u32_to_usize(number))
    }

    /// Whether this identity and another one of the transaction may be one peer: identities without zeros
    /// differ, but one with zeros may be any of the same key.
    pub(super) fn may_be_shared(&self, number: u32) -> bool {
        let group = self.get(number).and_then(|sent| self.groups.get(sent.group));
        group.is_some_and(|group| group.has_zeros && group.numbers.len() > 1)
    }
}

impl SentIdentity {
    /// The fields that identify the peer in the arguments of `holdfast_merge_peers`.
    pub(super) fn json(&self) -> Value {
        let PeerIdentity { key, asn, bgp_id } = self.identity;
        json!({
            "router": self.router,
            "peer_type": key.peer_type,
            "distinguisher": format!("{:016x}", key.distinguisher),
            "peer_distinguisher": Rd(key.distinguisher.to_be_bytes()).to_string(),
            "address": key.address,
            "asn": asn,
            "bgp_id": bgp_id,
        })
    }
}
