//! Prefixes with labels: labelled unicast (RFC 8277) and VPN (RFC 4364, RFC 4659).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Rd;
use crate::route::Prefix;

/// A prefix with its labels. The labels do not identify the route: those of a withdrawal say nothing (RFC 8277
/// section 2.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Labelled {
    /// Route distinguisher, in the VPN families.
    pub rd: Option<Rd>,
    /// Label values of 20 bits, the outermost first; empty for a withdrawal.
    pub labels: Vec<u32>,
    /// The prefix.
    pub prefix: Prefix,
}

/// `65000:1:10.0.0.0/8` with an RD, else as a prefix.
impl fmt::Display for Labelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rd) = self.rd {
            write!(f, "{rd}:")?;
        }
        self.prefix.fmt(f)
    }
}
