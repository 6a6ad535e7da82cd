//! Route distinguishers.

use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::text::FourOctetAs;

/// A route distinguisher (RFC 4364 section 4.2): eight octets, of which the first two are the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rd(pub [u8; 8]);

/// `65000:1` (type 0), `192.0.2.1:1` (type 1), `4200000000:1` or `65000L:1` (type 2, where the `L` marks an
/// AS number that two octets could hold); any other type in hexadecimal. Equal texts mean equal values.
impl fmt::Display for Rd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [t0, t1, a, b, c, d, e, g] = self.0;
        match u16::from_be_bytes([t0, t1]) {
            0 => write!(f, "{}:{}", u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, g])),
            1 => write!(f, "{}:{}", Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([e, g])),
            2 => {
                let asn = FourOctetAs(u32::from_be_bytes([a, b, c, d]));
                write!(f, "{asn}:{}", u16::from_be_bytes([e, g]))
            }
            _ => write!(f, "0x{:016x}", u64::from_be_bytes(self.0)),
        }
    }
}
