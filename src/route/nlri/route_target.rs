//! Route target membership (RFC 4684 section 4).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::route::extended_community_text;

/// Interest of a speaker in route targets: a prefix over origin AS number and route target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RouteTargetMembership {
    /// Number of significant bits: 0 for all route targets, else 32 to 96.
    pub bits: u8,
    /// Origin AS number; 0 if `bits` is 0.
    pub origin_as: u32,
    /// Route target as an extended community; bits that are not significant are zero.
    pub target: [u8; 8],
}

/// `0/0` for all route targets, `65000:*` for all of an AS, `65000:RT:65000:1` for one, and with `/bits` for
/// a shorter prefix.
impl fmt::Display for RouteTargetMembership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bits {
            0 => f.write_str("0/0"),
            32 => write!(f, "{}:*", self.origin_as),
            96 => write!(f, "{}:{}", self.origin_as, extended_community_text(self.target)),
            bits => write!(f, "{}:{}/{bits}", self.origin_as, extended_community_text(self.target)),
        }
    }
}
