//! Route target membership (RFC 4684 section 4).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::route::extended_community_text;

/// Which route targets a speaker wants: a prefix over the origin AS and an extended community.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RouteTarget {
    /// How many bits count: 0 for all targets, else 32 to 96.
    pub bits: u8,
    /// The AS that wants them; 0 when no bit counts.
    pub origin_as: u32,
    /// The target, the bits that do not count being zero.
    pub target: [u8; 8],
}

/// `0/0` for all targets, `65000:*` for all of an AS, `65000:RT:65000:1` for one, and with `/bits` for what is between.
impl fmt::Display for RouteTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bits {
            0 => f.write_str("0/0"),
            32 => write!(f, "{}:*", self.origin_as),
            96 => write!(f, "{}:{}", self.origin_as, extended_community_text(self.target)),
            bits => write!(f, "{}:{}/{bits}", self.origin_as, extended_community_text(self.target)),
        }
    }
}
