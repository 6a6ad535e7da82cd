//! The domain: routers, peers, routes, peer events, and the [`Batch`] that carries them.
//!
//! This is the vocabulary on which both ends agree: the decoder produces these values, the database side stores
//! them. Nothing here knows how BMP or BGP put them on the wire, how the log keeps them, or that a database exists.
//! Everything is plain data: no clock, no I/O, no log.

mod attributes;
mod batch;
mod community;
mod event;
mod evpn;
mod family;
mod peer;
mod prefix;

pub use attributes::{Aggregator, AsPath, Attributes, RawAttribute, Segment, SegmentKind};
pub use batch::{Action, Batch, Cause, Group, NO_ATTRIBUTES, NlriEntry, Record, RouteRecord};
pub use community::{community_text, extended_community_text, large_community_text};
pub use event::{Event, EventKind, PeerUp, SessionEnd, Statistic};
pub use evpn::{Esi, EvpnRoute, Mac, Rd};
pub use family::Family;
pub use peer::{Peer, PeerKey, RibView, Router};
pub use prefix::Prefix;

use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch, UTC. In a router's own time, 0 means that the router gave none
/// (RFC 7854 section 4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

/// What a route is about: the key part of one NLRI, without the path identifier.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Nlri {
    /// A bare prefix: unicast and multicast families.
    Prefix(Prefix),
    /// An EVPN route (RFC 7432, RFC 9136).
    Evpn(Box<EvpnRoute>),
    /// A family or route type that is not decoded: the NLRI bytes as they came, without path identifier.
    Raw(Box<[u8]>),
}
