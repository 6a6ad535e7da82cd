//! Network layer reachability information (NLRI): the key part of a route, by address family.
//!
//! ```text
//! Nlri ─┬─ Prefix       unicast, multicast: a prefix without heap memory
//!       ├─ Labelled     labelled unicast and VPN: RD, labels, prefix
//!       ├─ Evpn         EVPN route types 1 to 11
//!       ├─ Structured   VPLS, route targets, flow specifications, SR policy, MVPN, MDT, BGP-LS, MUP
//!       └─ Raw          a family or route type that is not decoded: its bytes
//! ```

mod columns;
mod evpn;
mod flowspec;
mod labelled;
mod link_state;
mod mdt;
mod mup;
mod mvpn;
mod route_target;
mod sr_policy;
mod vpls;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Prefix;

pub use columns::NlriColumns;
pub use evpn::{Esi, EvpnRoute, Mac, MulticastFlow};
pub use flowspec::{FlowSpec, FlowSpecComponent, OperatorValue};
pub use labelled::LabelledPrefix;
pub use link_state::{Descriptor, DescriptorScope, DescriptorValue, LinkStateRoute, descriptor_name};
pub use mdt::MdtRoute;
pub use mup::{MupKind, MupRoute};
pub use mvpn::MvpnRoute;
pub use route_target::RouteTargetMembership;
pub use sr_policy::SrPolicyRoute;
pub use vpls::VplsRoute;

/// The key part of one route, without the path identifier.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Nlri {
    /// A prefix of a unicast or multicast family (RFC 4271, RFC 4760).
    Prefix(Prefix),
    /// An EVPN route (RFC 7432, RFC 9136, RFC 9251, RFC 9572).
    Evpn(Box<EvpnRoute>),
    /// A route of a family or type that is not decoded: the NLRI bytes without path identifier.
    Raw(Box<[u8]>),
    /// A prefix with labels (RFC 8277), in the VPN families with a route distinguisher (RFC 4364).
    Labelled(Box<LabelledPrefix>),
    /// A decoded route of another family.
    Structured(Box<StructuredNlri>),
}

/// A decoded NLRI together with its bytes, which identify the route.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StructuredNlri {
    /// NLRI bytes without path identifier, in which bits that have no meaning are zero: those beyond the
    /// length of a prefix (RFC 4271 section 4.3). Those of a flow specification exclude the length field,
    /// which has two encodings (RFC 8955 section 4.1).
    pub bytes: Box<[u8]>,
    /// Decoded fields.
    pub detail: NlriDetail,
}

/// The decoded fields of a [`StructuredNlri`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NlriDetail {
    /// VPLS, 25/65 (RFC 4761, RFC 6074).
    Vpls(VplsRoute),
    /// Route target membership, 1/132 (RFC 4684).
    RouteTarget(RouteTargetMembership),
    /// Flow specification, SAFI 133 and 134 (RFC 8955, RFC 8956).
    FlowSpec(FlowSpec),
    /// SR policy, SAFI 73 (RFC 9830).
    SrPolicy(SrPolicyRoute),
    /// Multicast VPN, SAFI 5 (RFC 6514).
    Mvpn(MvpnRoute),
    /// Multicast distribution tree, SAFI 66 (RFC 6037).
    Mdt(MdtRoute),
    /// BGP-LS, 16388/71 and 16388/72 (RFC 9552).
    LinkState(LinkStateRoute),
    /// Mobile user plane, SAFI 85 (draft-ietf-bess-mup-safi).
    Mup(MupRoute),
}

impl Nlri {
    /// A decoded route of a family without a variant of its own. `bytes` are those of
    /// [`StructuredNlri::bytes`].
    #[must_use]
    pub fn structured(bytes: impl Into<Box<[u8]>>, detail: NlriDetail) -> Self {
        Self::Structured(Box::new(StructuredNlri { bytes: bytes.into(), detail }))
    }

    /// The text form of a route that [`NlriColumns`] does not represent in full; `None` for prefixes, with or
    /// without labels, and for routes that are not decoded.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Prefix(_) | Self::Labelled(_) | Self::Raw(_) => None,
            Self::Evpn(route) => Some(route.to_string()),
            Self::Structured(structured) => Some(structured.detail.to_string()),
        }
    }

    /// Appends the fields that identify the route within its family. Labels and other fields that only
    /// describe the route are excluded.
    pub fn key(&self, out: &mut Vec<u8>) {
        match self {
            Self::Prefix(prefix) => prefix.append_key(out),
            Self::Labelled(route) => {
                route.rd.iter().for_each(|rd| out.extend_from_slice(&rd.0));
                route.prefix.append_key(out);
            }
            Self::Evpn(route) => route.key(out),
            Self::Structured(structured) => match &structured.detail {
                NlriDetail::Vpls(route) => route.append_key(out),
                NlriDetail::Mup(route) => route.append_key(&structured.bytes, out),
                _ => out.extend_from_slice(&structured.bytes),
            },
            Self::Raw(bytes) => out.extend_from_slice(bytes),
        }
    }
}

impl fmt::Display for NlriDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vpls(route) => route.fmt(f),
            Self::RouteTarget(route) => route.fmt(f),
            Self::FlowSpec(route) => route.fmt(f),
            Self::SrPolicy(route) => route.fmt(f),
            Self::Mvpn(route) => route.fmt(f),
            Self::Mdt(route) => route.fmt(f),
            Self::LinkState(route) => route.fmt(f),
            Self::Mup(route) => route.fmt(f),
        }
    }
}
