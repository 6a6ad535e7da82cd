//! Mobile user plane (draft-ietf-bess-mup-safi section 3.1).

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Rd, prefix_key};
use crate::route::Prefix;

/// A MUP route of architecture type 1 (3GPP 5G).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MupRoute {
    /// Route distinguisher.
    pub rd: Rd,
    /// The rest, by route type.
    pub kind: MupKind,
}

/// The route types.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MupKind {
    /// Type 1, Interwork Segment Discovery.
    InterworkSegment(Prefix),
    /// Type 2, Direct Segment Discovery.
    DirectSegment(IpAddr),
    /// Type 3, Type 1 Session Transformed.
    Session1 {
        /// User's prefix.
        prefix: Prefix,
        /// Tunnel endpoint identifier.
        teid: u32,
        /// QoS flow identifier.
        qfi: u8,
        /// Tunnel endpoint.
        endpoint: IpAddr,
        /// Source of the tunnel, if it is named.
        source: Option<IpAddr>,
    },
    /// Type 4, Type 2 Session Transformed.
    Session2 {
        /// Tunnel endpoint.
        endpoint: IpAddr,
        /// Leading bits of the tunnel endpoint identifier, at the upper end.
        teid: u32,
        /// How many of them count, 0..=32.
        teid_bits: u8,
    },
}

impl MupRoute {
    /// The prefix, where the type has one.
    #[must_use]
    pub const fn prefix(&self) -> Option<Prefix> {
        match self.kind {
            MupKind::InterworkSegment(prefix) | MupKind::Session1 { prefix, .. } => Some(prefix),
            MupKind::DirectSegment(_) | MupKind::Session2 { .. } => None,
        }
    }

    /// Of a Type 1 session RD and prefix identify the route (section 3.1.3); all of the others.
    pub(super) fn key(&self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.kind {
            MupKind::Session1 { prefix, .. } => {
                out.push(3);
                out.extend_from_slice(&self.rd.0);
                prefix_key(prefix, out);
            }
            _ => out.extend_from_slice(bytes),
        }
    }
}

impl fmt::Display for MupRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rd = self.rd;
        match &self.kind {
            MupKind::InterworkSegment(prefix) => write!(f, "[isd][{rd}][{prefix}]"),
            MupKind::DirectSegment(address) => write!(f, "[dsd][{rd}][{address}]"),
            MupKind::Session1 { prefix, teid, qfi, endpoint, source } => {
                write!(f, "[t1st][{rd}][{prefix}][teid {teid}][qfi {qfi}][{endpoint}]")?;
                source.iter().try_for_each(|source| write!(f, "[from {source}]"))
            }
            MupKind::Session2 { endpoint, teid, teid_bits } => {
                write!(f, "[t2st][{rd}][{endpoint}][teid 0x{teid:08x}/{teid_bits}]")
            }
        }
    }
}
