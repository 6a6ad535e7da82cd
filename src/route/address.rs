//! Conversions between IP addresses and their octets.

use std::net::IpAddr;

/// Appends the 4 or 16 octets of an address, in network byte order.
pub(super) fn append_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
        IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
    }
}

/// The address that 4 or 16 octets stand for; `None` for any other number of octets.
pub(super) fn address_from_octets(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}
