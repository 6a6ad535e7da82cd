//! What a route is about, family by family.
//!
//! ```text
//! Nlri ─┬─ Prefix      unicast, multicast: a bare prefix, no memory of its own
//!       ├─ Labelled    labelled unicast and VPN: RD, labels, prefix
//!       ├─ Evpn        EVPN route types 1 to 11
//!       ├─ Other       VPLS, route targets, flow specifications, SR policy, MVPN, MDT, BGP-LS, MUP
//!       └─ Raw         a family or route type that is not decoded: the bytes as they came
//! ```

mod evpn;
mod flowspec;
mod labelled;
mod link_state;
mod mup;
mod mvpn;
mod route_target;
mod sr_policy;
mod vpls;

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Prefix;

pub use evpn::{Esi, EvpnRoute, Mac, Multicast, Rd};
pub use flowspec::{Component, FlowSpec, Match, Matches};
pub use labelled::Labelled;
pub use link_state::{Descriptor, DescriptorValue, LinkState, Scope, descriptor_name};
pub use mup::{MupKind, MupRoute};
pub use mvpn::{Mdt, MvpnRoute};
pub use route_target::RouteTarget;
pub use sr_policy::SrPolicy;
pub use vpls::Vpls;

/// What a route is about: the key part of one NLRI, without the path identifier.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Nlri {
    /// A bare prefix: unicast and multicast families.
    Prefix(Prefix),
    /// An EVPN route (RFC 7432, 9136, 9251, 9572).
    Evpn(Box<EvpnRoute>),
    /// A family or route type that is not decoded: the NLRI bytes as they came, without path identifier.
    Raw(Box<[u8]>),
    /// A prefix with labels, and with a route distinguisher in the VPN families.
    Labelled(Box<Labelled>),
    /// A family whose NLRI is no prefix.
    Other(Box<Other>),
}

/// A decoded NLRI with the bytes it came from, which identify the route.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Other {
    /// The NLRI as it came, without path identifier; that of a flow specification without its length, which can be
    /// written in two ways.
    pub bytes: Box<[u8]>,
    /// What it says.
    pub detail: Detail,
}

/// What an NLRI of a family other than prefixes and EVPN says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Detail {
    /// 25/65 (RFC 4761, RFC 6074).
    Vpls(Vpls),
    /// 1/132 (RFC 4684).
    RouteTarget(RouteTarget),
    /// SAFI 133 and 134 (RFC 8955, RFC 8956).
    FlowSpec(FlowSpec),
    /// SAFI 73 (RFC 9830).
    SrPolicy(SrPolicy),
    /// SAFI 5 (RFC 6514).
    Mvpn(MvpnRoute),
    /// SAFI 66 (RFC 6037).
    Mdt(Mdt),
    /// 16388/71 and 16388/72 (RFC 9552).
    LinkState(LinkState),
    /// SAFI 85 (draft-ietf-bess-mup-safi).
    Mup(MupRoute),
}

/// What tables and tools show of a route in fields of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    /// The prefix, where there is one.
    pub prefix: Option<Prefix>,
    /// The route distinguisher.
    pub rd: Option<Rd>,
    /// EVPN route type.
    pub evpn_route_type: Option<u8>,
    /// EVPN Ethernet segment.
    pub esi: Option<Esi>,
    /// EVPN Ethernet tag.
    pub tag: Option<u32>,
    /// MAC address.
    pub mac: Option<Mac>,
    /// EVPN: the host of type 2, the originating router of the types that name one.
    pub ip: Option<IpAddr>,
    /// EVPN type 5: the gateway, unless it is all zeros.
    pub gateway: Option<IpAddr>,
    /// EVPN: 24-bit fields as they came. Labelled and VPN: 20-bit label values, outermost first.
    pub labels: Vec<u32>,
    /// Bytes of what is not decoded.
    pub raw: Option<&'a [u8]>,
}

impl Nlri {
    /// The fields that have a column.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        match self {
            Self::Prefix(prefix) => Fields { prefix: Some(*prefix), ..Fields::default() },
            Self::Labelled(route) => Fields {
                prefix: Some(route.prefix),
                rd: route.rd,
                labels: route.labels.clone(),
                ..Fields::default()
            },
            Self::Evpn(route) => route.fields(),
            Self::Other(other) => other.detail.fields(),
            Self::Raw(bytes) => Fields { raw: Some(bytes), ..Fields::default() },
        }
    }

    /// The text form, for families that the fields do not say in full; `None` for prefixes, with or without labels, and
    /// for what is not decoded.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Prefix(_) | Self::Labelled(_) | Self::Raw(_) => None,
            Self::Evpn(route) => Some(route.to_string()),
            Self::Other(other) => Some(other.detail.to_string()),
        }
    }

    /// Appends what identifies the route within its family: never a label, never what only describes it.
    pub fn key(&self, out: &mut Vec<u8>) {
        match self {
            Self::Prefix(prefix) => prefix_key(*prefix, out),
            Self::Labelled(route) => {
                route.rd.iter().for_each(|rd| out.extend_from_slice(&rd.0));
                prefix_key(route.prefix, out);
            }
            Self::Evpn(route) => route.key(out),
            Self::Other(other) => match &other.detail {
                Detail::Vpls(route) => route.key(out),
                Detail::Mup(route) => route.key(&other.bytes, out),
                _ => out.extend_from_slice(&other.bytes),
            },
            Self::Raw(bytes) => out.extend_from_slice(bytes),
        }
    }
}

impl Detail {
    fn fields(&self) -> Fields<'static> {
        let rd = match self {
            Self::Vpls(route) => Some(route.rd()),
            Self::FlowSpec(route) => route.rd,
            Self::Mvpn(route) => route.rd(),
            Self::Mdt(route) => Some(route.rd),
            Self::LinkState(route) => route.rd,
            Self::Mup(route) => Some(route.rd),
            Self::RouteTarget(_) | Self::SrPolicy(_) => None,
        };
        let prefix = match self {
            Self::FlowSpec(route) => route.destination(),
            Self::Mup(route) => route.prefix(),
            Self::LinkState(route) => route.prefix(),
            _ => None,
        };
        Fields { rd, prefix, ..Fields::default() }
    }
}

impl fmt::Display for Detail {
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

fn prefix_key(prefix: Prefix, out: &mut Vec<u8>) {
    address_key(prefix.address(), out);
    out.push(prefix.length());
}

fn address_key(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
        IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
    }
}

/// `*` for an address that is left open.
struct Wild(Option<IpAddr>);

impl fmt::Display for Wild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("*"),
        }
    }
}
