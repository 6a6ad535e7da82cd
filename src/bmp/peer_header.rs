//! The per-peer header (RFC 7854 section 4.2, RFC 8671 section 4, RFC 9069 section 4.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::{self, Cursor};

/// The peer and RIB view of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerHeader {
    /// Peer type: 0 global instance, 1 RD instance, 2 local instance, 3 Loc-RIB; unknown ones are kept.
    pub peer_type: u8,
    /// Flags; their meaning depends on the peer type.
    pub flags: u8,
    /// Peer distinguisher: the RD of types 1 and 2, else usually 0.
    pub distinguisher: u64,
    /// Peer address; 0.0.0.0 for a Loc-RIB.
    pub address: IpAddr,
    /// Peer AS number.
    pub asn: u32,
    /// Peer BGP identifier.
    pub bgp_id: Ipv4Addr,
    /// Time of the router in microseconds since the Unix epoch; 0 if absent.
    pub timestamp_us: i64,
}

const PEER_HEADER_BYTES: usize = 42;

/// Peer type of a Loc-RIB instance (RFC 9069).
const LOC_RIB: u8 = 3;

/// V flag of types 0..=2: the peer address is IPv6. For a Loc-RIB the same bit is the F flag.
const FLAG_V: u8 = 0x80;
/// L flag: post-policy.
const FLAG_L: u8 = 0x40;
/// A flag: AS_PATH has 2-octet AS numbers.
const FLAG_A: u8 = 0x20;
/// O flag (RFC 8671): Adj-RIB-Out.
const FLAG_O: u8 = 0x10;
/// F flag of type 3 (RFC 9069): the Loc-RIB is filtered.
const FLAG_F: u8 = 0x80;

impl PeerHeader {
    #[inline]
    pub(super) fn decode(cursor: &mut Cursor<'_>) -> Result<Self, wire::Error> {
        // With an array of known length the compiler removes the bounds checks of the fields.
        let bytes = cursor.array::<PEER_HEADER_BYTES>("per-peer header")?;
        let cursor = &mut Cursor::new(&bytes);
        let peer_type = cursor.u8("peer type")?;
        let flags = cursor.u8("peer flags")?;
        let distinguisher = cursor.u64("peer distinguisher")?;
        let address = address(cursor.u128("peer address")?, peer_type, flags);
        let asn = cursor.u32("peer AS")?;
        let bgp_id = Ipv4Addr::from_bits(cursor.u32("peer BGP ID")?);
        let seconds = cursor.u32("timestamp seconds")?;
        let microseconds = cursor.u32("timestamp microseconds")?;
        let timestamp_us = i64::from(seconds) * 1_000_000 + i64::from(microseconds);
        Ok(Self { peer_type, flags, distinguisher, address, asn, bgp_id, timestamp_us })
    }

    /// Interprets a 16-byte address, such as the local address of a Peer Up, in the family of the peer
    /// address.
    pub(super) fn address_like(&self, bits: u128) -> IpAddr {
        address(bits, self.peer_type, self.flags)
    }

    /// Whether the peer is a Loc-RIB instance (RFC 9069).
    #[inline]
    #[must_use]
    pub const fn is_loc_rib(&self) -> bool {
        self.peer_type == LOC_RIB
    }

    /// Whether the routes are post-policy (L flag).
    #[inline]
    #[must_use]
    pub const fn is_post_policy(&self) -> bool {
        self.has_adjacency_flag(FLAG_L)
    }

    /// Whether AS_PATH contains 2-octet AS numbers (A flag).
    #[inline]
    #[must_use]
    pub const fn is_two_octet_as(&self) -> bool {
        self.has_adjacency_flag(FLAG_A)
    }

    /// Whether the RIB is Adj-RIB-Out (O flag, RFC 8671).
    #[inline]
    #[must_use]
    pub const fn is_adj_rib_out(&self) -> bool {
        self.has_adjacency_flag(FLAG_O)
    }

    /// Whether the RIB is a filtered Loc-RIB (F flag, RFC 9069).
    #[inline]
    #[must_use]
    pub const fn is_filtered_loc_rib(&self) -> bool {
        self.is_loc_rib() && self.flags & FLAG_F != 0
    }

    /// Whether a flag is set that is defined for the peer types 0..=2 only.
    #[inline]
    const fn has_adjacency_flag(&self, flag: u8) -> bool {
        self.peer_type < LOC_RIB && self.flags & flag != 0
    }
}

/// Interprets a 16-byte address. Without the V flag it is IPv4, in the last four bytes. A Loc-RIB has no V
/// flag, and its address should be zero; another address is IPv6 if it does not fit four bytes.
#[inline]
fn address(bits: u128, peer_type: u8, flags: u8) -> IpAddr {
    let is_v6 = if peer_type == LOC_RIB { bits >> 32 != 0 } else { flags & FLAG_V != 0 };
    if is_v6 {
        return IpAddr::V6(Ipv6Addr::from_bits(bits));
    }
    let [.., a, b, c, d] = bits.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(peer_type: u8, flags: u8, address: u128) -> PeerHeader {
        let mut bytes = vec![peer_type, flags, 0, 0, 0xfb, 0xf3, 0, 0, 0, 0x4b];
        bytes.extend_from_slice(&address.to_be_bytes());
        bytes.extend_from_slice(&4_200_000_000_u32.to_be_bytes());
        bytes.extend_from_slice(&[192, 0, 2, 1]);
        bytes.extend_from_slice(&1_700_000_000_u32.to_be_bytes());
        bytes.extend_from_slice(&250_000_u32.to_be_bytes());
        let mut cursor = Cursor::new(&bytes);
        let header = PeerHeader::decode(&mut cursor).unwrap();
        assert!(cursor.is_empty());
        header
    }

    #[test]
    fn every_field_is_read() {
        let header = header(1, 0x60, 0xc000_0235);
        assert_eq!(header.distinguisher, 0xfbf3_0000_004b);
        assert_eq!(header.address, IpAddr::from([192, 0, 2, 53]));
        assert_eq!(header.asn, 4_200_000_000);
        assert_eq!(header.bgp_id, Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(header.timestamp_us, 1_700_000_000_250_000);
        assert!(header.is_post_policy() && header.is_two_octet_as());
        assert!(!header.is_adj_rib_out() && !header.is_loc_rib());
    }

    #[test]
    fn the_v_flag_decides_the_family_of_the_address() {
        assert_eq!(header(0, 0x80, 1).address, IpAddr::V6(Ipv6Addr::from_bits(1)));
        assert_eq!(header(0, 0x00, 1).address, IpAddr::from([0, 0, 0, 1]));
    }

    #[test]
    fn the_f_flag_of_a_loc_rib_is_not_the_v_flag() {
        let filtered = header(3, 0x80, 0);
        assert_eq!(filtered.address, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        assert!(filtered.is_filtered_loc_rib());
        assert!(!header(3, 0x70, 0).is_post_policy(), "L, A and O mean nothing on a Loc-RIB");
        assert!(!header(0, 0x80, 0).is_filtered_loc_rib() && !header(3, 0, 0).is_filtered_loc_rib());
    }

    #[test]
    fn an_unknown_peer_type_is_kept_by_number() {
        assert_eq!(header(200, 0xff, 1).peer_type, 200);
        assert!(!header(200, 0xff, 1).is_post_policy());
    }
}
