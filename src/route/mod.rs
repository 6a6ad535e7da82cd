//! The domain: routers, peers, routes, peer events, and the [`Batch`] that carries them.
//!
//! This is the vocabulary on which both ends agree: the decoder produces these values, the database side stores
//! them. Nothing here knows how BMP or BGP put them on the wire, how the log keeps them, or that a database exists.
//! Everything is plain data: no clock, no I/O, no log.

mod attributes;
mod batch;
mod community;
mod event;
mod family;
mod more;
mod nlri;
mod peer;
mod prefix;

pub use attributes::{Aggregator, AsPath, Attributes, RawAttribute, Segment, SegmentKind};
pub use batch::{Action, Batch, Cause, Group, NO_ATTRIBUTES, NlriEntry, Record, RouteRecord};
pub use community::{community_text, extended_community_name, extended_community_text, large_community_text};
pub use event::{Event, EventKind, PeerUp, SessionEnd, Statistic, SuspectScope};
pub use family::Family;
pub use more::{
    Ipv6ExtendedCommunity, LinkStateTlv, LinkStateValue, More, PmsiTunnel, PrefixSidTlv, ServiceSid, Tunnel,
    TunnelTlv, attribute_name, link_state_name, tunnel_name,
};
pub use nlri::{
    Component, Descriptor, DescriptorValue, Detail, Esi, EvpnRoute, Fields, FlowSpec, Labelled, LinkState,
    Mac, Match, Matches, Mdt, Multicast, MupKind, MupRoute, MvpnRoute, Nlri, Other, Rd, RouteTarget, Scope,
    SrPolicy, Vpls, descriptor_name,
};
pub use peer::{Incarnation, Peer, PeerKey, RibView, Router};
pub use prefix::Prefix;

use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch, UTC. In a router's own time, 0 means that the router gave none
/// (RFC 7854 section 4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);
