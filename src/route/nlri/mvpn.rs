//! Multicast VPN (RFC 6514 section 4) and MDT (RFC 6037 section 5.1.2).

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Rd, Wild};

/// An MCAST-VPN route. A source or group of `None` is a wildcard (RFC 6625).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MvpnRoute {
    /// Type 1, Intra-AS I-PMSI A-D.
    IntraAs {
        /// Route distinguisher.
        rd: Rd,
        /// Originating router.
        originator: IpAddr,
    },
    /// Type 2, Inter-AS I-PMSI A-D.
    InterAs {
        /// Route distinguisher.
        rd: Rd,
        /// AS of the source.
        source_as: u32,
    },
    /// Type 3, S-PMSI A-D.
    Selective {
        /// Route distinguisher.
        rd: Rd,
        /// Multicast source.
        source: Option<IpAddr>,
        /// Multicast group.
        group: Option<IpAddr>,
        /// Originating router.
        originator: IpAddr,
    },
    /// Type 4, Leaf A-D: the NLRI that it answers, and who answers.
    Leaf {
        /// Route key: a whole NLRI, type and length included.
        key: Vec<u8>,
        /// Originating router.
        originator: IpAddr,
    },
    /// Type 5, Source Active A-D.
    SourceActive {
        /// Route distinguisher.
        rd: Rd,
        /// Multicast source.
        source: Option<IpAddr>,
        /// Multicast group.
        group: Option<IpAddr>,
    },
    /// Types 6 (Shared Tree Join) and 7 (Source Tree Join).
    Join {
        /// Type 6: towards the rendezvous point, not the source.
        shared: bool,
        /// Route distinguisher.
        rd: Rd,
        /// AS of the source.
        source_as: u32,
        /// Multicast source, or the rendezvous point.
        source: Option<IpAddr>,
        /// Multicast group.
        group: Option<IpAddr>,
    },
}

impl MvpnRoute {
    /// The route type, 1..=7.
    #[must_use]
    pub const fn route_type(&self) -> u8 {
        match self {
            Self::IntraAs { .. } => 1,
            Self::InterAs { .. } => 2,
            Self::Selective { .. } => 3,
            Self::Leaf { .. } => 4,
            Self::SourceActive { .. } => 5,
            Self::Join { shared: true, .. } => 6,
            Self::Join { shared: false, .. } => 7,
        }
    }

    /// The route distinguisher; a Leaf A-D has one only inside its key.
    #[must_use]
    pub const fn rd(&self) -> Option<Rd> {
        match self {
            Self::IntraAs { rd, .. }
            | Self::InterAs { rd, .. }
            | Self::Selective { rd, .. }
            | Self::SourceActive { rd, .. }
            | Self::Join { rd, .. } => Some(*rd),
            Self::Leaf { .. } => None,
        }
    }
}

/// The type, then the fields in the order of the RFC: `[3][65000:1][10.0.0.1][232.1.1.1][192.0.2.1]`.
impl fmt::Display for MvpnRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.route_type())?;
        match self {
            Self::IntraAs { rd, originator } => write!(f, "[{rd}][{originator}]"),
            Self::InterAs { rd, source_as } => write!(f, "[{rd}][{source_as}]"),
            Self::Selective { rd, source, group, originator } => {
                write!(f, "[{rd}][{}][{}][{originator}]", Wild(*source), Wild(*group))
            }
            Self::Leaf { key, originator } => {
                f.write_str("[0x")?;
                key.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                write!(f, "][{originator}]")
            }
            Self::SourceActive { rd, source, group } => {
                write!(f, "[{rd}][{}][{}]", Wild(*source), Wild(*group))
            }
            Self::Join { rd, source_as, source, group, .. } => {
                write!(f, "[{rd}][{source_as}][{}][{}]", Wild(*source), Wild(*group))
            }
        }
    }
}

/// A multicast distribution tree (RFC 6037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mdt {
    /// Route distinguisher.
    pub rd: Rd,
    /// Address of the provider edge.
    pub pe: IpAddr,
    /// Its group.
    pub group: IpAddr,
}

impl fmt::Display for Mdt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}][{}][{}]", self.rd, self.pe, self.group)
    }
}
