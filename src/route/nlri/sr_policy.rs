//! Segment routing policies (RFC 9830 section 2.1).

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Which candidate path of which policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SrPolicy {
    /// Tells candidate paths of one policy apart.
    pub distinguisher: u32,
    /// Colour of the policy.
    pub color: u32,
    /// Its endpoint.
    pub endpoint: IpAddr,
}

impl fmt::Display for SrPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}][color {}][{}]", self.distinguisher, self.color, self.endpoint)
    }
}
