//! VPLS (RFC 4761 section 3.2.2, RFC 6074 section 3.2.2).

use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::route::Rd;

/// A VPLS route.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum VplsRoute {
    /// A label block of a VPLS edge device (RFC 4761 section 3.2.2).
    Block {
        /// Route distinguisher.
        rd: Rd,
        /// VPLS edge (VE) identifier.
        ve_id: u16,
        /// VE block offset: the first VE identifier that the block serves.
        offset: u16,
        /// VE block size: the number of labels.
        size: u16,
        /// Label base: the first label, 20 bits.
        label_base: u32,
    },
    /// Auto-discovery of a virtual switch instance (RFC 6074 section 3.2.2.1).
    Discovery {
        /// Route distinguisher.
        rd: Rd,
        /// Address of the provider edge (PE) router.
        pe: Ipv4Addr,
    },
}

impl VplsRoute {
    /// The route distinguisher.
    #[must_use]
    pub const fn rd(&self) -> Rd {
        match self {
            Self::Block { rd, .. } | Self::Discovery { rd, .. } => *rd,
        }
    }

    /// Appends the fields that identify the route: the size and the label base of a block are excluded.
    pub(super) fn append_key(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.rd().0);
        match self {
            Self::Block { ve_id, offset, .. } => {
                out.extend_from_slice(&ve_id.to_be_bytes());
                out.extend_from_slice(&offset.to_be_bytes());
            }
            Self::Discovery { pe, .. } => {
                out.push(0);
                out.extend_from_slice(&pe.octets());
            }
        }
    }
}

impl fmt::Display for VplsRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block { rd, ve_id, offset, size, label_base } => {
                write!(f, "[{rd}][ve {ve_id}][offset {offset}][size {size}][base {label_base}]")
            }
            Self::Discovery { rd, pe } => write!(f, "[{rd}][pe {pe}]"),
        }
    }
}
