//! The domain: routers, peers, routes, peer events, and the [`Batch`] that carries them.
//!
//! ```text
//! Batch ─┬─ Router, Peer      who sent it, and which RIB view it describes
//!        ├─ attributes/       path attributes, one file per attribute or group of attributes
//!        ├─ nlri/             routes, one file per group of address families
//!        └─ Event             peer and session events
//! ```
//!
//! `bgp/attributes/NAME.rs` decodes the types of `attributes/NAME.rs`, and `bgp/nlri/NAME.rs` those of
//! `nlri/NAME.rs`.
//!
//! These types are shared by the decoder, which produces them, and by the database side, which stores them.
//! They are independent of the BMP and BGP encodings, of the log and of the database: plain data without
//! clock, I/O or logging.
//!
//! The log stores several of these types with `bincode`: the order of their fields and enum variants is part
//! of the log format.

mod address;
mod attributes;
mod batch;
mod event;
mod family;
mod name;
mod nlri;
mod path_marking;
mod peer;
mod peering;
mod prefix;
mod rd;
mod text;

pub use attributes::attribute_code;
pub use attributes::{
    Aggregator, AsPath, AsPathSegment, Attributes, Ipv6ExtendedCommunity, LinkStateTlv, LinkStateValue,
    PmsiTunnel, PrefixSidTlv, RareAttribute, RawAttribute, SegmentKind, ServiceSid, Tunnel, TunnelTlv,
    attribute_name, community_text, extended_community_name, extended_community_text, large_community_text,
    link_state_name, tunnel_name,
};
pub use batch::{Action, Batch, Cause, Class, NO_ATTRIBUTES, NlriEntry, Record, RouteRecord, RowGroup};
pub use event::{Event, EventKind, MalformedPdu, PeerUp, SessionEnd, Statistic, SuspectScope};
pub use family::Family;
pub use name::{
    NAME_MAX_BYTES, ROUTER_NAME_MAX_BYTES, TABLE_NAME_MAX_BYTES, TEXT_MAX_BYTES, TEXTS_MAX, bounded_name,
    bounded_texts,
};
pub use nlri::{
    Descriptor, DescriptorScope, DescriptorValue, Esi, EvpnRoute, FlowSpec, FlowSpecComponent,
    LabelledPrefix, LinkStateRoute, Mac, MdtRoute, MulticastFlow, MupKind, MupRoute, MvpnRoute, Nlri,
    NlriColumns, NlriDetail, OperatorValue, RouteTargetMembership, SrPolicyRoute, StructuredNlri, VplsRoute,
    descriptor_name,
};
pub use path_marking::{PathMarking, path_reason_name};
pub use peer::{Incarnation, Peer, PeerIdentity, PeerKey, RibView, Router, Timestamp};
pub use peering::{OpenSummary, Opens, PeerDownRecord};
pub use prefix::{Prefix, PrefixError};
pub use rd::Rd;
