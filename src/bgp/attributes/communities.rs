//! Lists of members of equal length: communities, extended and large communities, and CLUSTER_LIST.
//!
//! A value whose length is not a nonzero multiple of the member length is malformed (RFC 7606 sections 7.8,
//! 7.10, 7.14, RFC 8092 section 6).

use std::net::Ipv4Addr;

/// The members of a list, each of `N` octets.
pub(super) fn members<const N: usize>(value: &[u8]) -> Result<&[[u8; N]], String> {
    match value.as_chunks::<N>() {
        (members, []) if !members.is_empty() => Ok(members),
        _ => Err(format!("invalid length {}: expected a nonzero multiple of {N}", value.len())),
    }
}

/// Decodes COMMUNITIES (RFC 1997).
pub(super) fn standard(value: &[u8]) -> Result<Vec<u32>, String> {
    Ok(members(value)?.iter().map(|member| u32::from_be_bytes(*member)).collect())
}

/// Decodes EXTENDED COMMUNITIES (RFC 4360).
pub(super) fn extended(value: &[u8]) -> Result<Vec<[u8; 8]>, String> {
    members(value).map(<[_]>::to_vec)
}

/// Decodes LARGE_COMMUNITY (RFC 8092).
pub(super) fn large(value: &[u8]) -> Result<Vec<[u32; 3]>, String> {
    let large = |&[a, b, c, d, e, f, g, h, i, j, k, l]: &[u8; 12]| {
        [[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(u32::from_be_bytes)
    };
    Ok(members(value)?.iter().map(large).collect())
}

/// Decodes CLUSTER_LIST (RFC 4456).
pub(super) fn cluster_list(value: &[u8]) -> Result<Vec<Ipv4Addr>, String> {
    Ok(members::<4>(value)?.iter().map(|member| Ipv4Addr::from(*member)).collect())
}
