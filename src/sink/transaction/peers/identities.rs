//! The peers of one transaction, by identity. Pure.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::num;
use crate::route::{Peer, PeerIdentity, PeerKey, Rd};

/// A peer of the transaction.
pub(super) struct IdentifiedPeer {
    router: String,
    /// Its identity, as far as the records of the transaction contain it.
    identity: PeerIdentity,
    /// AS numbers and BGP identifiers that the records carry.
    sent: Vec<(u32, Ipv4Addr)>,
}

/// The peers of one transaction, by number.
#[derive(Default)]
pub(super) struct Identities {
    peers: Vec<IdentifiedPeer>,
    by_key: HashMap<(String, PeerKey), Vec<u32>>,
}

impl Identities {
    /// Returns the number of a peer in the transaction.
    ///
    /// As in the database (`holdfast_identify`): an identity with zeros belongs to the only peer that it
    /// matches.
    pub(super) fn number(&mut self, router: &str, peer: &Peer) -> u32 {
        let identity = peer.identity();
        let same_key = self.by_key.entry((router.to_owned(), peer.key)).or_default();
        let known = same_key.iter().filter_map(|number| self.peers.get(num::u32_to_usize(*number)));
        let found = identity.find(known.map(|known| &known.identity));
        let number = found.and_then(|index| same_key.get(index)).copied().unwrap_or_else(|| {
            let number = num::to_u32_saturating(self.peers.len());
            self.peers.push(IdentifiedPeer { router: router.to_owned(), identity, sent: Vec::new() });
            same_key.push(number);
            number
        });
        if let Some(known) = self.peers.get_mut(num::u32_to_usize(number)) {
            known.identity.complete(&identity);
            if !known.sent.contains(&(peer.asn, peer.bgp_id)) {
                known.sent.push((peer.asn, peer.bgp_id));
            }
        }
        number
    }

    pub(super) fn get(&self, number: u32) -> Option<&IdentifiedPeer> {
        self.peers.get(num::u32_to_usize(number))
    }
}

impl IdentifiedPeer {
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

    /// The AS numbers and BGP identifiers that its records carry.
    pub(super) fn sent(&self) -> Value {
        self.sent.iter().map(|(asn, bgp_id)| json!({ "asn": asn, "bgp_id": bgp_id })).collect()
    }
}
