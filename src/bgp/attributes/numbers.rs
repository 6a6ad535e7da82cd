//! Attributes that are a number or two.

use std::net::Ipv4Addr;

use crate::route::Aggregator;

fn array<const N: usize>(value: &[u8]) -> Result<[u8; N], String> {
    value.try_into().map_err(|_| format!("{} bytes long, not {N}", value.len()))
}

/// ORIGIN (RFC 7606 section 7.1).
pub(super) fn origin(value: &[u8]) -> Result<u8, String> {
    match array(value)? {
        [origin @ 0..=2] => Ok(origin),
        [origin] => Err(format!("{origin} is no origin")),
    }
}

/// MULTI_EXIT_DISC, LOCAL_PREF, ONLY_TO_CUSTOMER.
pub(super) fn u32(value: &[u8]) -> Result<u32, String> {
    array(value).map(u32::from_be_bytes)
}

/// NEXT_HOP, ORIGINATOR_ID.
pub(super) fn address(value: &[u8]) -> Result<Ipv4Addr, String> {
    array::<4>(value).map(Ipv4Addr::from)
}

/// ATOMIC_AGGREGATE is there or not.
pub(super) fn empty(value: &[u8]) -> Result<bool, String> {
    array::<0>(value).map(|[]| true)
}

/// AGGREGATOR, AS4_AGGREGATOR.
pub(super) fn aggregator(value: &[u8], four_octet_as: bool) -> Result<Aggregator, String> {
    if four_octet_as {
        let [a, b, c, d, address @ ..] = array::<8>(value)?;
        Ok(Aggregator { asn: u32::from_be_bytes([a, b, c, d]), address: address.into() })
    } else {
        let [a, b, address @ ..] = array::<6>(value)?;
        Ok(Aggregator { asn: u32::from(u16::from_be_bytes([a, b])), address: address.into() })
    }
}

/// What is in an AIGP attribute.
pub(super) struct Aigp {
    /// Of the first AIGP TLV.
    pub(super) metric: Option<u64>,
    /// There are other TLVs.
    pub(super) has_more: bool,
}

/// The type of the AIGP TLV, the only one defined.
const AIGP_TLV: u8 = 1;

/// AIGP (RFC 7311 section 3): TLVs of `type 1, length 2 (header included), value`. The first AIGP TLV counts; it is
/// eleven octets long.
pub(super) fn aigp(value: &[u8]) -> Result<Aigp, String> {
    let mut rest = value;
    let mut metric = None;
    let mut tlvs = 0_usize;
    while !rest.is_empty() {
        let Some((&[kind, a, b], _)) = rest.split_first_chunk::<3>() else {
            return Err("TLV header cut short".to_owned());
        };
        let length = usize::from(u16::from_be_bytes([a, b]));
        let Some((tlv, later)) = rest.split_at_checked(length).filter(|_| length >= 3) else {
            return Err(format!("TLV of {length} bytes where there are {}", rest.len()));
        };
        if kind == AIGP_TLV {
            let [_, _, _, number @ ..] = array::<11>(tlv)?;
            metric.get_or_insert(u64::from_be_bytes(number));
        }
        (rest, tlvs) = (later, tlvs + 1);
    }
    Ok(Aigp { metric, has_more: tlvs != usize::from(metric.is_some()) })
}
