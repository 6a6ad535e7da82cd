//! BMP messages with values as large as a message allows, of every kind.

use crate::common::messages::{
    Header, PEER, attribute, bgp, bmp, four_octet_as, mp_reach, multiprotocol, plain_attributes, tlv, update,
};
use crate::common::nlri_samples::samples;

/// Octets that no compression makes smaller, the same for each seed.
pub fn noise(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let octet = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..count).map(octet).collect()
}

/// Letters that no compression makes much smaller.
pub fn letters(count: usize, seed: u64) -> Vec<u8> {
    noise(count, seed).into_iter().map(|octet| b'!' + octet % 90).collect()
}

/// An Initiation with texts of 60 KB, of which several are not UTF-8.
pub fn initiation(seed: u64) -> Vec<u8> {
    let mut body = [tlv(2, &letters(60_000, seed)), tlv(1, &letters(60_000, seed + 1))].concat();
    body.extend((0..8).flat_map(|number| tlv(0, &noise(60_000, seed + number))));
    body.extend(tlv(99, &noise(60_000, seed)));
    bmp(4, &body)
}

/// A Termination with long texts.
pub fn termination(seed: u64) -> Vec<u8> {
    let texts = (0..8).flat_map(|number| tlv(0, &letters(60_000, seed + number)));
    bmp(5, &[tlv(1, &[0, 0]), texts.collect()].concat())
}

/// A Peer Up with OPENs of hundreds of capabilities, a table name of 60 KB, and long texts.
pub fn peer_up(header: &Header, seed: u64) -> Vec<u8> {
    let mut capabilities = vec![four_octet_as(65_001), multiprotocol(1, 1)];
    capabilities.extend((0..4_000).map(|afi| multiprotocol(afi, 200)));
    capabilities.extend((0..100).map(|number| (200, noise(200, seed + number))));
    let open = extended_open(&capabilities);
    let texts = (0..6).flat_map(|number| tlv(0, &noise(60_000, seed + number)));
    let many = (0..600_u16).flat_map(|number| tlv(0, &number.to_be_bytes()));
    let names = [tlv(3, &letters(60_000, seed)), tlv(3, &letters(60_000, seed + 9))].concat();
    header.peer_up(&open, &open, &[names, texts.collect(), many.collect()].concat())
}

/// An OPEN with optional parameters of extended length (RFC 9072).
fn extended_open(capabilities: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut parameters = Vec::new();
    for (code, value) in capabilities {
        let length = u8::try_from(value.len()).unwrap();
        parameters.extend([2, 0, length + 2, *code, length]);
        parameters.extend(value);
    }
    let mut body = vec![4, 0xfd, 0xe9, 0, 180, 192, 0, 2, 1, 255, 255];
    body.extend(u16::try_from(parameters.len()).unwrap().to_be_bytes());
    body.extend(parameters);
    bgp(1, &body)
}

/// An AS_PATH of AS_SEQUENCE segments, and one of AS_SETs.
fn as_path(count: usize, kind: u8, seed: u64) -> Vec<u8> {
    let numbers = noise(count * 4, seed);
    let segment = |part: &[u8]| {
        let mut bytes = vec![kind, u8::try_from(part.len() / 4).unwrap()];
        bytes.extend(part);
        bytes
    };
    numbers.chunks(255 * 4).flat_map(segment).collect()
}

/// UPDATEs whose attributes fill a message of 64 KiB.
pub fn updates(seed: u64) -> Vec<Vec<u8>> {
    let nlri = [24, 10, u8::try_from(seed % 250).unwrap(), 1];
    let basis = |path: Vec<u8>| {
        [attribute(0x40, 1, &[0]), attribute(0x50, 2, &path), attribute(0x40, 3, &[192, 0, 2, 1])].concat()
    };
    let large = [
        basis(as_path(15_000, 2, seed)),
        basis(as_path(15_000, 1, seed)),
        [basis(as_path(3, 2, seed)), attribute(0xd0, 8, &noise(60_000, seed))].concat(),
        [basis(as_path(3, 2, seed)), attribute(0xd0, 16, &noise(60_000, seed))].concat(),
        [basis(as_path(3, 2, seed)), attribute(0xd0, 32, &noise(60_000, seed))].concat(),
        [basis(as_path(3, 2, seed)), attribute(0xd0, 10, &noise(60_000, seed))].concat(),
        [basis(as_path(3, 2, seed)), attribute(0xd0, 99, &noise(60_000, seed))].concat(),
        [basis(as_path(3, 2, seed)), attribute(0xd0, 29, &noise(60_000, seed))].concat(),
        [basis(as_path(3, 2, seed)), attribute(0xd0, 23, &noise(60_000, seed))].concat(),
        [basis(as_path(3, 2, seed)), attribute(0xd0, 40, &noise(60_000, seed))].concat(),
    ];
    let mut updates: Vec<Vec<u8>> = large.iter().map(|attributes| update(&[], attributes, &nlri)).collect();
    // Each family of which a sample exists, and NLRI as long as their length fields allow.
    for sample in samples() {
        let reach = mp_reach(sample.family.afi, sample.family.safi, &[192, 0, 2, 1], &sample.bytes);
        updates.push(update(&[], &[plain_attributes(&[65_001]), reach].concat(), &[]));
    }
    let mut evpn = vec![200, 255];
    evpn.extend(noise(255, seed));
    // 1,791 ports: operator and value each, the last operator with the end-of-list bit.
    let mut flow = vec![0xfd, 0xff, 4];
    flow.extend(noise(1_790, seed).into_iter().flat_map(|port| [0x01, port]));
    flow.extend([0x81, 0]);
    let mut link_state = vec![0, 1, 0xe0, 0x00];
    link_state.extend(noise(0xe000, seed));
    let mut unknown_link_state = vec![0x7f, 1, 0xe0, 0x00];
    unknown_link_state.extend(noise(0xe000, seed));
    let mut node = vec![0, 1];
    let descriptors = [tlv(512, &[0; 4]), tlv(515, &noise(50_000, seed))].concat();
    let body = [vec![2, 0, 0, 0, 0, 0, 0, 0, 0], tlv(256, &descriptors)].concat();
    node.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    node.extend(body);
    let families: [(u16, u8, &[u8]); 6] = [
        (25, 70, &evpn),
        (1, 133, &flow),
        (16_388, 71, &link_state),
        (16_388, 71, &unknown_link_state),
        (16_388, 71, &node),
        (77, 77, &noise(60_000, seed)),
    ];
    for (afi, safi, nlri) in families {
        let reach = mp_reach(afi, safi, &[192, 0, 2, 1], nlri);
        updates.push(update(&[], &[plain_attributes(&[65_001]), reach].concat(), &[]));
    }
    updates
}

/// All kinds of messages of one router, each as large as it can be.
pub fn messages(seed: u64) -> Vec<Vec<u8>> {
    let other = Header { distinguisher: u64::MAX - seed, flags: 0x40, bgp_id: 7, ..PEER };
    let mut messages = vec![initiation(seed), peer_up(&PEER, seed), peer_up(&other, seed + 1)];
    for header in [PEER, other] {
        messages.extend(updates(seed).iter().map(|update| header.route_monitoring(update)));
        messages.push(header.route_monitoring(&bgp(2, &noise(60_000, seed))));
        let statistics: Vec<(u16, Vec<u8>)> =
            (0..12).map(|kind| (kind, noise(usize::from(kind) * 5_000, seed))).collect();
        let statistics: Vec<(u16, &[u8])> =
            statistics.iter().map(|(kind, value)| (*kind, value.as_slice())).collect();
        messages.push(header.statistics(&statistics));
        let mirrored = tlv(0, &bgp(2, &noise(60_000, seed)));
        messages.push(header.mirror(&[mirrored.repeat(8), tlv(9, &noise(60_000, seed))].concat()));
        messages.push(header.peer_down(1, &bgp(3, &[&[6, 2][..], &letters(60_000, seed)].concat())));
        let names = [tlv(3, &letters(60_000, seed)), tlv(0, &noise(60_000, seed))].concat();
        messages.push(header.peer_down(6, &names));
    }
    messages.push(bmp(200, &noise((1 << 20) - 6, seed)));
    messages.push(termination(seed));
    messages
}
