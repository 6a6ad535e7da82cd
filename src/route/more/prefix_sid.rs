//! BGP Prefix-SID (RFC 8669 section 3, RFC 9252 section 3).

use std::fmt;
use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

use super::{Hex, joined};

/// One TLV.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PrefixSidTlv {
    /// Type 1, Label-Index.
    LabelIndex(u32),
    /// Type 3, Originator SRGB: base and size of each range.
    Srgb(Vec<(u32, u32)>),
    /// Types 5 (L3) and 6 (L2), SRv6 Service.
    Service {
        /// Type 6.
        layer2: bool,
        /// The SIDs in it.
        sids: Vec<ServiceSid>,
    },
    /// Any other type, or one of a length that its type does not have.
    Raw {
        /// Type.
        kind: u8,
        /// Value.
        value: Vec<u8>,
    },
}

/// SRv6 SID Information (RFC 9252 section 3.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServiceSid {
    /// The SID.
    pub sid: Ipv6Addr,
    /// SRv6 endpoint behaviour by its IANA number.
    pub behavior: u16,
    /// Lengths in bits of locator block, locator node, function and argument, then length and offset of the part that
    /// is transposed into the label (section 3.2.1).
    pub structure: Option<[u8; 6]>,
}

impl fmt::Display for PrefixSidTlv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LabelIndex(index) => write!(f, "label-index={index}"),
            Self::Srgb(ranges) => {
                f.write_str("srgb=")?;
                ranges.iter().enumerate().try_for_each(|(place, (base, size))| {
                    write!(f, "{}{base}+{size}", if place == 0 { "" } else { "," })
                })
            }
            Self::Service { layer2, sids } => {
                f.write_str(if *layer2 { "srv6-l2=" } else { "srv6-l3=" })?;
                joined(f, ",", sids)
            }
            Self::Raw { kind, value } => write!(f, "{kind}={}", Hex(value)),
        }
    }
}

impl fmt::Display for ServiceSid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} behavior {:#06x}", self.sid, self.behavior)?;
        match self.structure {
            Some([block, node, function, argument, ..]) => {
                write!(f, " structure {block}/{node}/{function}/{argument}")
            }
            None => Ok(()),
        }
    }
}
