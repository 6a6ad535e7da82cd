//! Segment routing policies (RFC 9830 section 2.1).

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A candidate path of an SR policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SrPolicyRoute {
    /// Distinguisher: separates the candidate paths of one policy.
    pub distinguisher: u32,
    /// Color of the policy.
    pub color: u32,
    /// Endpoint of the policy.
    pub endpoint: IpAddr,
}

impl fmt::Display for SrPolicyRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}][color {}][{}]", self.distinguisher, self.color, self.endpoint)
    }
}
