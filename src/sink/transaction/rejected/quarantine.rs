//! Sources of records, and those whose records are set aside because the database rejects them. Pure.
//!
//! The records of a quarantined source go to `rejected_routes` without an attempt to store them, so that the
//! lane delivers the records of all other sources at full speed. `holdfast rejected retry` stores them later.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::route::{Batch, PeerKey, Rd, bounded_name};

/// The peer of a source: its distinguisher and address.
type SourcePeer = (u64, IpAddr);

/// The sender of records by which rejections are counted: a router, or one of its peers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// Name of the router.
    pub router: String,
    /// Distinguisher and address of the peer: all its RIB views and peer types are one source, because a Peer
    /// Down concerns all of them. `None` for the whole router, and for records that concern no peer.
    pub peer: Option<(u64, IpAddr)>,
}

impl Source {
    /// The source of the records of a batch that concern `peer`.
    #[must_use]
    pub fn new(batch: &Batch, peer: Option<&PeerKey>) -> Self {
        Self { router: batch.router.name.clone(), peer: peer.map(source_peer) }
    }

    /// The router of the source, as a source.
    #[must_use]
    pub fn whole_router(&self) -> Self {
        Self { router: self.router.clone(), peer: None }
    }

    /// The peer as text: its address, after its distinguisher unless that is zero; `None` for a router.
    #[must_use]
    pub fn peer_text(&self) -> Option<String> {
        self.peer.map(|(distinguisher, address)| match distinguisher {
            0 => address.to_string(),
            other => format!("{}:{address}", Rd(other.to_be_bytes())),
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.router)?;
        self.peer_text().map_or(Ok(()), |peer| write!(f, " peer {peer}"))
    }
}

const fn source_peer(key: &PeerKey) -> SourcePeer {
    (key.distinguisher, key.address)
}

/// Why a record was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// SQLSTATE of the error of the server.
    pub sqlstate: String,
    /// Message of the error of the server.
    pub message: String,
}

impl Cause {
    /// Longest message in octets. A longer one is cut, as [`bounded_name`] does.
    pub const MESSAGE_MAX_BYTES: usize = 1 << 10;

    /// The error with this SQLSTATE and message.
    #[must_use]
    pub fn new(sqlstate: &str, message: &str) -> Self {
        let message = bounded_name(message.to_owned(), Self::MESSAGE_MAX_BYTES);
        Self { sqlstate: sqlstate.to_owned(), message }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.sqlstate)
    }
}

/// The quarantined sources of a lane, and those that are quarantined at their next rejected record.
#[derive(Clone, Debug, Default)]
pub struct Quarantine {
    routers: BTreeMap<String, QuarantinedRouter>,
    suspects: BTreeSet<Source>,
    /// Whether `rejected_routes` has no room for more records of quarantined sources.
    is_full: bool,
}

/// The quarantined sources of one router.
#[derive(Clone, Debug, Default)]
struct QuarantinedRouter {
    /// Set if the whole router is quarantined.
    whole: Option<Arc<Cause>>,
    peers: BTreeMap<SourcePeer, Arc<Cause>>,
}

impl Quarantine {
    /// Adds a source.
    pub fn insert(&mut self, source: &Source, cause: Arc<Cause>) {
        let router = self.routers.entry(source.router.clone()).or_default();
        match source.peer {
            None => router.whole = Some(cause),
            Some(peer) => drop(router.peers.insert(peer, cause)),
        }
    }

    /// Removes a source.
    pub fn remove(&mut self, source: &Source) {
        let Some(router) = self.routers.get_mut(&source.router) else { return };
        match source.peer {
            None => router.whole = None,
            Some(peer) => drop(router.peers.remove(&peer)),
        }
        if router.whole.is_none() && router.peers.is_empty() {
            self.routers.remove(&source.router);
        }
    }

    /// Marks a source to be quarantined at its next rejected record, or removes the mark.
    pub fn set_suspect(&mut self, source: &Source, is_suspect: bool) {
        if is_suspect {
            self.suspects.insert(source.clone());
        } else {
            self.suspects.remove(source);
        }
    }

    /// The source to quarantine at once if a record of `source` is rejected: the source itself, or its
    /// router; `None` if it may still have rejected records.
    #[must_use]
    pub fn suspect(&self, source: &Source) -> Option<Source> {
        let router = source.whole_router();
        [source.clone(), router].into_iter().find(|suspect| self.suspects.contains(suspect))
    }

    /// Why the whole router is quarantined; `None` if it is not.
    #[must_use]
    pub fn router_cause(&self, router: &str) -> Option<&Arc<Cause>> {
        self.routers.get(router)?.whole.as_ref()
    }

    /// Why records of the router and the peer are quarantined; `None` if they are not.
    #[must_use]
    pub fn cause(&self, router: &str, peer: Option<&PeerKey>) -> Option<&Arc<Cause>> {
        let router = self.routers.get(router)?;
        router.whole.as_ref().or_else(|| router.peers.get(&source_peer(peer?)))
    }

    /// Why the source is quarantined; `None` if it is not.
    #[must_use]
    pub fn cause_of(&self, source: &Source) -> Option<&Arc<Cause>> {
        let router = self.routers.get(&source.router)?;
        router.whole.as_ref().or_else(|| router.peers.get(&source.peer?))
    }

    /// Whether the records of quarantined sources are dropped, because `rejected_routes` has reached its
    /// maximum size.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    /// Sets [`Self::is_full`].
    pub const fn set_full(&mut self, is_full: bool) {
        self.is_full = is_full;
    }

    /// Whether no source is quarantined.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.routers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(peer: Option<u8>) -> Source {
        let peer = peer.map(|last| (0, IpAddr::from([192, 0, 2, last])));
        Source { router: "edge1".to_owned(), peer }
    }

    fn key(last: u8) -> PeerKey {
        PeerKey { peer_type: 0, distinguisher: 0, address: [192, 0, 2, last].into() }
    }

    #[test]
    fn a_peer_is_quarantined_alone_and_a_router_with_all_its_peers() {
        let cause = Arc::new(Cause::new("23514", "no"));
        let mut quarantine = Quarantine::default();
        quarantine.insert(&source(Some(1)), Arc::clone(&cause));
        assert!(quarantine.cause("edge1", Some(&key(1))).is_some());
        assert!(quarantine.cause("edge1", Some(&key(2))).is_none());
        assert!(quarantine.cause("edge1", None).is_none() && quarantine.router_cause("edge1").is_none());
        assert!(quarantine.cause("edge2", Some(&key(1))).is_none());
        quarantine.insert(&source(None), cause);
        assert!(quarantine.cause("edge1", Some(&key(2))).is_some());
        assert!(quarantine.cause("edge1", None).is_some() && quarantine.router_cause("edge1").is_some());
        quarantine.remove(&source(None));
        assert!(quarantine.cause("edge1", Some(&key(2))).is_none());
        quarantine.remove(&source(Some(1)));
        assert!(quarantine.is_empty());
    }

    #[test]
    fn a_suspect_router_is_quarantined_for_any_of_its_peers() {
        let mut quarantine = Quarantine::default();
        assert_eq!(quarantine.suspect(&source(Some(1))), None);
        quarantine.set_suspect(&source(None), true);
        assert_eq!(quarantine.suspect(&source(Some(1))), Some(source(None)));
        quarantine.set_suspect(&source(Some(1)), true);
        assert_eq!(quarantine.suspect(&source(Some(1))), Some(source(Some(1))));
        quarantine.set_suspect(&source(None), false);
        assert_eq!(quarantine.suspect(&source(Some(2))), None);
    }

    #[test]
    fn a_source_is_named_by_router_and_peer() {
        assert_eq!(source(None).to_string(), "edge1");
        assert_eq!(source(Some(7)).to_string(), "edge1 peer 192.0.2.7");
        let vrf = Source { peer: Some((0x0000_fde8_0000_0001, [192, 0, 2, 7].into())), ..source(None) };
        assert_eq!(vrf.to_string(), "edge1 peer 65000:1:192.0.2.7");
    }
}
