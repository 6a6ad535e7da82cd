//! Attributes that are a row of equal members: the three kinds of communities, and CLUSTER_LIST.
//!
//! Malformed is what is not a nonzero multiple of its member (RFC 7606 sections 7.8, 7.10, 7.14, RFC 8092 section 6).

use std::net::Ipv4Addr;

fn members<const N: usize>(value: &[u8]) -> Result<&[[u8; N]], String> {
    match value.as_chunks::<N>() {
        (members, []) if !members.is_empty() => Ok(members),
        _ => Err(format!("{} bytes long, not a nonzero multiple of {N}", value.len())),
    }
}

pub(super) fn standard(value: &[u8]) -> Result<Vec<u32>, String> {
    Ok(members(value)?.iter().map(|member| u32::from_be_bytes(*member)).collect())
}

pub(super) fn extended(value: &[u8]) -> Result<Vec<[u8; 8]>, String> {
    members(value).map(<[_]>::to_vec)
}

pub(super) fn large(value: &[u8]) -> Result<Vec<[u32; 3]>, String> {
    let large = |&[a, b, c, d, e, f, g, h, i, j, k, l]: &[u8; 12]| {
        [[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(u32::from_be_bytes)
    };
    Ok(members(value)?.iter().map(large).collect())
}

pub(super) fn cluster_list(value: &[u8]) -> Result<Vec<Ipv4Addr>, String> {
    Ok(members::<4>(value)?.iter().map(|member| Ipv4Addr::from(*member)).collect())
}
