//! The peers of the schedules.

use std::net::IpAddr;

use crate::schedule::PeerId;

/// The peers that a router can have: pairs of them differ in one part of the identity only.
pub fn peers() -> Vec<PeerId> {
    let address = |text: &str| -> IpAddr { text.parse().unwrap() };
    let peer = |kind, distinguisher, of: &str, asn, id: u32| PeerId {
        kind,
        distinguisher,
        address: address(of),
        asn,
        bgp_id: 0x0a00_0000 | id,
    };
    vec![
        peer(0, 0, "192.0.2.1", 65_001, 1),
        peer(0, 0, "192.0.2.2", 4_200_000_001, 2),
        peer(0, 0, "2001:db8::1", 65_003, 3),
        peer(0, 0, "fe80::1", 65_101, 11),
        peer(0, 0, "fe80::1", 65_102, 12),
        peer(0, 0, "fe80::1", 65_101, 13),
        peer(1, 0xfde8_0000_0001, "192.0.2.1", 65_001, 1),
        peer(1, 0xfde8_0000_0002, "192.0.2.1", 65_001, 1),
        peer(2, 5, "192.0.2.1", 65_001, 1),
        peer(3, 0, "0.0.0.0", 65_000, 254),
        peer(3, 0xfde8_0000_0001, "0.0.0.0", 65_000, 254),
        peer(3, 0, "0.0.0.0", 65_000, 253),
    ]
}
