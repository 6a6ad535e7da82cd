//! Multicast VPN (RFC 6514 section 4).

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::hex::Hex;
use crate::route::Rd;
use crate::route::text::OrWildcard;

/// An MCAST-VPN route. `None` as source or group is a wildcard (RFC 6625).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MvpnRoute {
    /// Type 1, Intra-AS I-PMSI A-D.
    IntraAs {
        /// Route distinguisher.
        rd: Rd,
        /// Address of the originating router.
        originator: IpAddr,
    },
    /// Type 2, Inter-AS I-PMSI A-D.
    InterAs {
        /// Route distinguisher.
        rd: Rd,
        /// AS number of the source.
        source_as: u32,
    },
    /// Type 3, S-PMSI A-D.
    Selective {
        /// Route distinguisher.
        rd: Rd,
        /// Address of the multicast source.
        source: Option<IpAddr>,
        /// Address of the multicast group.
        group: Option<IpAddr>,
        /// Address of the originating router.
        originator: IpAddr,
    },
    /// Type 4, Leaf A-D: the reply of a router to another route.
    Leaf {
        /// Route key: the whole NLRI of the other route, including type and length.
        key: Vec<u8>,
        /// Address of the originating router.
        originator: IpAddr,
    },
    /// Type 5, Source Active A-D.
    SourceActive {
        /// Route distinguisher.
        rd: Rd,
        /// Address of the multicast source.
        source: Option<IpAddr>,
        /// Address of the multicast group.
        group: Option<IpAddr>,
    },
    /// Types 6 (Shared Tree Join) and 7 (Source Tree Join).
    Join {
        /// True for type 6, which joins towards the rendezvous point; false for type 7.
        shared: bool,
        /// Route distinguisher.
        rd: Rd,
        /// AS number of the source.
        source_as: u32,
        /// Address of the multicast source (type 7) or of the rendezvous point (type 6).
        source: Option<IpAddr>,
        /// Address of the multicast group.
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

    /// The route distinguisher; `None` for a Leaf A-D route, which has one only inside its route key.
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

/// The route type, then the fields in the order of the RFC: `[3][65000:1][10.0.0.1][232.1.1.1][192.0.2.1]`.
impl fmt::Display for MvpnRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.route_type())?;
        match self {
            Self::IntraAs { rd, originator } => write!(f, "[{rd}][{originator}]"),
            Self::InterAs { rd, source_as } => write!(f, "[{rd}][{source_as}]"),
            Self::Selective { rd, source, group, originator } => {
                write!(f, "[{rd}][{}][{}][{originator}]", OrWildcard(*source), OrWildcard(*group))
            }
            Self::Leaf { key, originator } => {
                write!(f, "[0x{}][{originator}]", Hex(key))
            }
            Self::SourceActive { rd, source, group } => {
                write!(f, "[{rd}][{}][{}]", OrWildcard(*source), OrWildcard(*group))
            }
            Self::Join { rd, source_as, source, group, .. } => {
                write!(f, "[{rd}][{source_as}][{}][{}]", OrWildcard(*source), OrWildcard(*group))
            }
        }
    }
}
