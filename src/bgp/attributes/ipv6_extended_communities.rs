//! IPv6 Address Specific Extended Communities (RFC 5701 section 2).

use super::communities::members;
use crate::route::Ipv6ExtendedCommunity;

/// Decodes communities of `type 1, sub-type 1, global administrator 16, local administrator 2` (RFC 7606
/// section 7.15).
pub(super) fn decode(value: &[u8]) -> Result<Vec<Ipv6ExtendedCommunity>, String> {
    let community = |&[kind, sub, global @ .., a, b]: &[u8; 20]| Ipv6ExtendedCommunity {
        kind,
        sub,
        global: <[u8; 16]>::into(global),
        local: u16::from_be_bytes([a, b]),
    };
    Ok(members(value)?.iter().map(community).collect())
}
