//! What operators look up about the BGP session of a peer: its OPENs, and the Peer Downs before.
//!
//! These types are shown, and not stored: the log has the messages themselves.

use std::net::Ipv4Addr;

use super::Timestamp;

/// The two OPENs of a Peer Up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opens {
    /// The OPEN that the router sent; `None` if it cannot be decoded.
    pub sent: Option<OpenSummary>,
    /// The OPEN that the router received from the peer; `None` if it cannot be decoded.
    pub received: Option<OpenSummary>,
}

/// One OPEN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSummary {
    /// AS number.
    pub asn: u32,
    /// BGP identifier.
    pub bgp_id: Ipv4Addr,
    /// Proposed hold time in seconds.
    pub hold_time_s: u16,
    /// Text forms of the capabilities, in the order sent, up to the first damage.
    pub capabilities: Vec<String>,
    /// Whether capabilities after the last one are unknown, because the optional parameters are damaged.
    pub is_damaged: bool,
}

impl Opens {
    /// Heap memory in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let opens = [&self.sent, &self.received].into_iter().flatten();
        let texts = opens.flat_map(|open| &open.capabilities);
        // A vector may have twice the capacity that it needs.
        size_of::<Self>() + texts.map(|text| 2 * (size_of::<String>() + text.len())).sum::<usize>()
    }
}

/// A Peer Down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerDownRecord {
    /// Time at which the collector received it.
    pub time: Timestamp,
    /// Time of the Peer Up before it; `None` if the session had none.
    pub up_since: Option<Timestamp>,
    /// Reason code (RFC 7854 section 4.9, RFC 9069 section 5.3).
    pub reason_code: u8,
    /// The reason as text, with the NOTIFICATION or the FSM event code.
    pub reason: String,
}

impl PeerDownRecord {
    /// Maximum number of records that are kept for a peer.
    pub const KEPT_MAX: usize = 8;
}
