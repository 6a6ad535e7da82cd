//! Attributes of fixed length, and AIGP.

use std::net::Ipv4Addr;

use crate::route::Aggregator;

/// The value as an array; an error for any other length.
fn array<const N: usize>(value: &[u8]) -> Result<[u8; N], String> {
    value.try_into().map_err(|_| format!("invalid length {}: expected {N}", value.len()))
}

/// Decodes ORIGIN (RFC 4271 section 5.1.1, RFC 7606 section 7.1).
pub(super) fn origin(value: &[u8]) -> Result<u8, String> {
    match array(value)? {
        [origin @ 0..=2] => Ok(origin),
        [origin] => Err(format!("invalid value {origin}: expected 0, 1 or 2")),
    }
}

/// Decodes MULTI_EXIT_DISC, LOCAL_PREF and ONLY_TO_CUSTOMER.
pub(super) fn u32(value: &[u8]) -> Result<u32, String> {
    array(value).map(u32::from_be_bytes)
}

/// Decodes NEXT_HOP and ORIGINATOR_ID.
pub(super) fn address(value: &[u8]) -> Result<Ipv4Addr, String> {
    array::<4>(value).map(Ipv4Addr::from)
}

/// Decodes ATOMIC_AGGREGATE, which has no value.
pub(super) fn empty(value: &[u8]) -> Result<bool, String> {
    array::<0>(value).map(|[]| true)
}

/// Decodes AGGREGATOR and AS4_AGGREGATOR, which are malformed with AS number 0 (RFC 7607 section 2).
pub(super) fn aggregator(value: &[u8], four_octet_as: bool) -> Result<Aggregator, String> {
    let (asn, address) = if four_octet_as {
        let [a, b, c, d, address @ ..] = array::<8>(value)?;
        (u32::from_be_bytes([a, b, c, d]), Ipv4Addr::from(address))
    } else {
        let [a, b, address @ ..] = array::<6>(value)?;
        (u32::from(u16::from_be_bytes([a, b])), Ipv4Addr::from(address))
    };
    if asn == 0 {
        return Err(format!("AS number 0 (RFC 7607), address {address}"));
    }
    Ok(Aggregator { asn, address })
}

/// The contents of an AIGP attribute.
pub(super) struct Aigp {
    /// Metric of the first AIGP TLV; `None` if there is no such TLV.
    pub(super) metric: Option<u64>,
    /// True if there are other TLVs.
    pub(super) has_other_tlvs: bool,
}

/// Type of the AIGP TLV, the only one defined (RFC 7311 section 3).
const AIGP_TLV: u8 = 1;

/// Decodes AIGP (RFC 7311 section 3): TLVs of `type 1, length 2, value`. The length includes type and length,
/// and is 11 for an AIGP TLV, of which the first counts.
pub(super) fn aigp(value: &[u8]) -> Result<Aigp, String> {
    let mut rest = value;
    let mut metric = None;
    let mut tlvs = 0_usize;
    while !rest.is_empty() {
        let Some((&[kind, a, b], _)) = rest.split_first_chunk::<3>() else {
            return Err("truncated TLV header".to_owned());
        };
        let length = usize::from(u16::from_be_bytes([a, b]));
        let Some((tlv, later)) = rest.split_at_checked(length).filter(|_| length >= 3) else {
            return Err(format!("invalid TLV length {length}: expected 3 to {}", rest.len()));
        };
        if kind == AIGP_TLV {
            let [_, _, _, number @ ..] = array::<11>(tlv)?;
            metric.get_or_insert(u64::from_be_bytes(number));
        }
        (rest, tlvs) = (later, tlvs + 1);
    }
    Ok(Aigp { metric, has_other_tlvs: tlvs != usize::from(metric.is_some()) })
}
