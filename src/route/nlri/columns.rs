//! The columns into which tables and tools divide a route.

use std::net::IpAddr;

use super::evpn::{Esi, EvpnRoute, Mac};
use super::{Nlri, NlriDetail, StructuredNlri};
use crate::route::{Prefix, Rd};

/// The fields of a route that have a column of their own in tables and tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NlriColumns<'a> {
    /// IP prefix of the route; the destination of a flow specification.
    pub prefix: Option<Prefix>,
    /// Route distinguisher.
    pub rd: Option<Rd>,
    /// EVPN route type, 1 to 11.
    pub evpn_route_type: Option<u8>,
    /// Ethernet segment identifier of an EVPN route.
    pub esi: Option<Esi>,
    /// Ethernet tag ID of an EVPN route.
    pub tag: Option<u32>,
    /// MAC address of an EVPN route of type 2.
    pub mac: Option<Mac>,
    /// IP address of the host of an EVPN route of type 2; address of the originating router of other EVPN
    /// routes.
    pub ip: Option<IpAddr>,
    /// Gateway IP address of an EVPN route of type 5, unless it is all zeros.
    pub gateway: Option<IpAddr>,
    /// Labels: undivided 24-bit fields of an EVPN route, else 20-bit label values, outermost first.
    pub labels: Vec<u32>,
    /// Bytes of a route that is not decoded, or whose text does not distinguish it from every other one.
    pub raw: Option<&'a [u8]>,
}

impl NlriColumns<'_> {
    /// The MPLS labels of 20 bits, if the labels are MPLS labels at all: of an EVPN route, the upper 20 bits
    /// of each field (RFC 7432 section 9.2.1), which is a VNI with other encapsulations (RFC 8365 section
    /// 5.1.3).
    #[must_use]
    pub fn mpls_labels(&self) -> Vec<u32> {
        let shift = if self.evpn_route_type.is_some() { 4 } else { 0 };
        self.labels.iter().map(|label| label >> shift).collect()
    }
}

impl Nlri {
    /// The columns of the route.
    #[must_use]
    pub fn columns(&self) -> NlriColumns<'_> {
        match self {
            Self::Prefix(prefix) => NlriColumns { prefix: Some(*prefix), ..NlriColumns::default() },
            Self::Labelled(route) => NlriColumns {
                prefix: Some(route.prefix),
                rd: route.rd,
                labels: route.labels.clone(),
                ..NlriColumns::default()
            },
            Self::Evpn(route) => evpn_columns(route),
            Self::Structured(structured) => structured_columns(structured),
            Self::Raw(bytes) => NlriColumns { raw: Some(bytes), ..NlriColumns::default() },
        }
    }
}

/// What has a column.
fn evpn_columns(route: &EvpnRoute) -> NlriColumns<'static> {
    let common =
        NlriColumns { rd: route.rd(), evpn_route_type: Some(route.route_type()), ..NlriColumns::default() };
    match *route {
        EvpnRoute::AutoDiscovery { esi, tag, label, .. } => {
            NlriColumns { esi: Some(esi), tag: Some(tag), labels: vec![label], ..common }
        }
        EvpnRoute::MacIp { esi, tag, mac, ip, label, label2, .. } => {
            let labels = std::iter::once(label).chain(label2).collect();
            NlriColumns { esi: Some(esi), tag: Some(tag), mac: Some(mac), ip, labels, ..common }
        }
        EvpnRoute::InclusiveMulticast { tag, originator, .. } => {
            NlriColumns { tag: Some(tag), ip: Some(originator), ..common }
        }
        EvpnRoute::EthernetSegment { esi, originator, .. } => {
            NlriColumns { esi: Some(esi), ip: Some(originator), ..common }
        }
        EvpnRoute::IpPrefix { esi, tag, prefix, gateway, label, .. } => NlriColumns {
            prefix: Some(prefix),
            esi: Some(esi),
            tag: Some(tag),
            gateway: (!gateway.is_unspecified()).then_some(gateway),
            labels: vec![label],
            ..common
        },
        EvpnRoute::SelectiveMulticast { tag, multicast, .. }
        | EvpnRoute::SelectivePmsi { tag, multicast, .. } => {
            NlriColumns { tag: Some(tag), ip: Some(multicast.originator), ..common }
        }
        EvpnRoute::MembershipSynch { esi, tag, multicast, .. } => {
            NlriColumns { esi: Some(esi), tag: Some(tag), ip: Some(multicast.originator), ..common }
        }
        EvpnRoute::PerRegion { tag, .. } => NlriColumns { tag: Some(tag), ..common },
        EvpnRoute::Leaf { originator, .. } => NlriColumns { ip: Some(originator), ..common },
    }
}

/// The columns of a structured NLRI.
fn structured_columns(structured: &StructuredNlri) -> NlriColumns<'_> {
    let StructuredNlri { bytes, detail } = structured;
    let rd = match detail {
        NlriDetail::Vpls(route) => Some(route.rd()),
        NlriDetail::FlowSpec(route) => route.rd,
        NlriDetail::Mvpn(route) => route.rd(),
        NlriDetail::Mdt(route) => Some(route.rd),
        NlriDetail::LinkState(route) => route.rd,
        NlriDetail::Mup(route) => Some(route.rd),
        NlriDetail::RouteTarget(_) | NlriDetail::SrPolicy(_) => None,
    };
    let prefix = match detail {
        NlriDetail::FlowSpec(route) => route.destination(),
        NlriDetail::Mup(route) => route.prefix(),
        NlriDetail::LinkState(route) => route.prefix(),
        _ => None,
    };
    let raw = match detail {
        NlriDetail::FlowSpec(route) if route.has_padded_values() => Some(&**bytes),
        NlriDetail::LinkState(route) if route.minimal_octets() != bytes.len() => Some(&**bytes),
        _ => None,
    };
    NlriColumns { rd, prefix, raw, ..NlriColumns::default() }
}
