//! Mobile user plane (draft-ietf-bess-mup-safi section 3.1).

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::route::{Prefix, Rd};

/// A MUP route of architecture type 1 (3GPP 5G).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MupRoute {
    /// Route distinguisher.
    pub rd: Rd,
    /// Fields that depend on the route type.
    pub kind: MupKind,
}

/// A MUP route type with its fields.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MupKind {
    /// Type 1, Interwork Segment Discovery: the prefix of the segment.
    InterworkSegment(Prefix),
    /// Type 2, Direct Segment Discovery: the address of the originating router.
    DirectSegment(IpAddr),
    /// Type 3, Type 1 Session Transformed.
    Session1 {
        /// Prefix of the user equipment.
        prefix: Prefix,
        /// Tunnel endpoint identifier.
        teid: u32,
        /// QoS flow identifier.
        qfi: u8,
        /// Address of the tunnel endpoint.
        endpoint: IpAddr,
        /// Source address of the tunnel, if present.
        source: Option<IpAddr>,
    },
    /// Type 4, Type 2 Session Transformed.
    Session2 {
        /// Address of the tunnel endpoint.
        endpoint: IpAddr,
        /// Leading `teid_bits` bits of the tunnel endpoint identifier; the other bits are zero.
        teid: u32,
        /// Number of significant bits in `teid`, 0 to 32.
        teid_bits: u8,
    },
}

impl MupRoute {
    /// The prefix of types 1 and 3; `None` for other types.
    #[must_use]
    pub const fn prefix(&self) -> Option<Prefix> {
        match self.kind {
            MupKind::InterworkSegment(prefix) | MupKind::Session1 { prefix, .. } => Some(prefix),
            MupKind::DirectSegment(_) | MupKind::Session2 { .. } => None,
        }
    }

    /// Appends the fields that identify the route: RD and prefix for type 3 (section 3.1.3), all bytes for
    /// other types.
    pub(super) fn append_key(&self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.kind {
            MupKind::Session1 { prefix, .. } => {
                out.push(3);
                out.extend_from_slice(&self.rd.0);
                prefix.append_key(out);
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
