//! BGP Prefix-SID (RFC 8669 section 3, RFC 9252 section 3).

use std::fmt;
use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

use crate::hex::Hex;
use crate::route::text::{LabelRange, write_joined};

/// One TLV of a Prefix-SID attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PrefixSidTlv {
    /// Type 1, Label-Index: index into the SRGB (RFC 8669 section 3.1).
    LabelIndex(u32),
    /// Type 3, Originator SRGB: first label and size of each range (RFC 8669 section 3.2).
    Srgb(Vec<(u32, u32)>),
    /// Types 5 (L3) and 6 (L2), SRv6 Service (RFC 9252 section 2).
    Service {
        /// True for type 6, false for type 5.
        layer2: bool,
        /// SRv6 SID Information sub-TLVs, in the order sent.
        sids: Vec<ServiceSid>,
    },
    /// Any other type, or a value whose length does not fit its type.
    Raw {
        /// TLV type.
        kind: u8,
        /// Undecoded value.
        value: Vec<u8>,
    },
}

/// SRv6 SID Information (RFC 9252 section 3.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServiceSid {
    /// SRv6 SID.
    pub sid: Ipv6Addr,
    /// SRv6 endpoint behavior (IANA "SRv6 Endpoint Behaviors").
    pub behavior: u16,
    /// SRv6 SID Structure (RFC 9252 section 3.2.1): lengths in bits of locator block, locator node, function
    /// and argument, then length and offset in bits of the part that is transposed into the label.
    pub structure: Option<[u8; 6]>,
}

impl fmt::Display for PrefixSidTlv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LabelIndex(index) => write!(f, "label-index={index}"),
            Self::Srgb(ranges) => {
                f.write_str("srgb=")?;
                write_joined(f, ",", ranges.iter().copied().map(LabelRange))
            }
            Self::Service { layer2, sids } => {
                f.write_str(if *layer2 { "srv6-l2=" } else { "srv6-l3=" })?;
                write_joined(f, ",", sids)
            }
            Self::Raw { kind, value } => write!(f, "{kind}=0x{}", Hex(value)),
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
