//! Multicast distribution trees (RFC 6037 section 5.1.2).

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::route::Rd;

/// An MDT route (RFC 6037 section 5.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MdtRoute {
    /// Route distinguisher.
    pub rd: Rd,
    /// Address of the provider edge (PE) router.
    pub pe: IpAddr,
    /// Default MDT group of the PE router.
    pub group: IpAddr,
}

impl fmt::Display for MdtRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}][{}][{}]", self.rd, self.pe, self.group)
    }
}
