//! Prefixes with labels: labelled unicast (RFC 8277) and VPN (RFC 4364, RFC 4659).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::route::{Prefix, Rd};

/// A prefix with its labels. The labels do not identify the route, and those of a withdrawal have no meaning
/// (RFC 8277 section 2.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LabelledPrefix {
    /// Route distinguisher; `None` for labelled unicast.
    pub rd: Option<Rd>,
    /// 20-bit label values, outermost first; empty for a withdrawal.
    pub labels: Vec<u32>,
    /// IP prefix.
    pub prefix: Prefix,
}

/// `65000:1:10.0.0.0/8` with a route distinguisher, else the prefix alone.
impl fmt::Display for LabelledPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rd) = self.rd {
            write!(f, "{rd}:")?;
        }
        self.prefix.fmt(f)
    }
}
