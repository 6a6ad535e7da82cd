//! Distinct values have distinct texts, where the text is a key of the database or the only copy there:
//! route distinguishers, communities, and the text and columns of NLRI. And the reverse for NLRI: octets that
//! the RFCs declare irrelevant change neither text nor key.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::common::nlri_samples::samples;
use holdfast::bgp::{self, Encoding};
use holdfast::route::{
    Family, Ipv6ExtendedCommunity, Nlri, NlriDetail, Rd, community_text, extended_community_name,
    extended_community_text, large_community_text,
};
use proptest::prelude::*;

/// The values of a map must be what the keys were made of.
fn insert<T: PartialEq + std::fmt::Debug>(texts: &mut HashMap<String, T>, text: String, value: T) {
    if let Some(earlier) = texts.get(&text) {
        assert_eq!(*earlier, value, "both read {text}");
    }
    texts.insert(text, value);
}

/// All arrays whose octets are of `alphabet`.
fn arrays<const N: usize>(alphabet: &[u8]) -> impl Iterator<Item = [u8; N]> {
    let count = alphabet.len().pow(u32::try_from(N).unwrap());
    (0..count).map(move |mut number| {
        std::array::from_fn(|_| {
            let octet = alphabet[number % alphabet.len()];
            number /= alphabet.len();
            octet
        })
    })
}

/// The value and all values that differ from it in one bit.
fn neighbours<const N: usize>(value: [u8; N]) -> impl Iterator<Item = [u8; N]> {
    let flipped = (0..N * 8).map(move |bit| {
        let mut other = value;
        other[bit / 8] ^= 1 << (bit % 8);
        other
    });
    std::iter::once(value).chain(flipped)
}

/// Types and sub-types with a name, and their counterparts with another value of one bit of the type.
static NAMED_TYPES: LazyLock<Vec<(u8, u8)>> = LazyLock::new(|| {
    let all = (0..=u8::MAX).flat_map(|kind| (0..=u8::MAX).map(move |sub| (kind, sub)));
    let named = all.filter(|(kind, sub)| extended_community_name(*kind, *sub).is_some());
    let mut types: Vec<_> =
        named.flat_map(|(kind, sub)| neighbours([kind]).map(move |[k]| (k, sub))).collect();
    types.sort_unstable();
    types.dedup();
    types
});

#[test]
fn extended_communities_of_equal_text_are_equal() {
    let mut texts = HashMap::new();
    for (kind, sub) in NAMED_TYPES.iter().copied() {
        let last = arrays::<4>(&[0x00, 0x01, 0x7f, 0xc0]).map(|[c, d, e, f]| [0, 0, c, d, e, f]);
        for [a, b, c, d, e, f] in arrays::<6>(&[0x00, 0x01]).chain(last) {
            let community = [kind, sub, a, b, c, d, e, f];
            insert(&mut texts, extended_community_text(community), community);
        }
    }
}

#[test]
fn route_distinguishers_of_equal_text_are_equal() {
    let mut texts = HashMap::new();
    for kind in [[0, 0], [0, 1], [0, 2], [0, 3], [0, 0xff], [1, 0], [1, 2], [2, 2]] {
        for [a, b, c, d, e, f] in arrays::<6>(&[0x00, 0x01, 0x10, 0xff]) {
            let rd = Rd([kind[0], kind[1], a, b, c, d, e, f]);
            insert(&mut texts, rd.to_string(), rd);
        }
    }
}

#[test]
fn common_texts_stay_and_the_rarer_form_is_marked() {
    for (rd, text) in [
        ([0, 0, 0xfd, 0xe9, 0, 0, 0, 1], "65001:1"),
        ([0, 1, 192, 0, 2, 1, 0, 1], "192.0.2.1:1"),
        ([0, 2, 0xfa, 0x56, 0xea, 0, 0, 1], "4200000000:1"),
        // A four-octet field with an AS number that two octets hold.
        ([0, 2, 0, 0, 0xff, 0xff, 0, 1], "65535L:1"),
        ([0, 2, 0, 1, 0, 0, 0, 1], "65536:1"),
        ([0, 3, 0, 0, 0xfd, 0xe9, 0, 1], "0x00030000fde90001"),
        ([1, 0, 0xfd, 0xe9, 0, 0, 0, 1], "0x0100fde900000001"),
    ] {
        assert_eq!(Rd(rd).to_string(), text);
    }
    for (community, text) in [
        ([0x00, 0x02, 0xfd, 0xe9, 0, 0, 0, 1], "RT:65001:1"),
        ([0x02, 0x02, 0, 0, 0xfd, 0xe9, 0, 1], "RT:65001L:1"),
        ([0x02, 0x02, 0, 1, 0, 0, 0, 1], "RT:65536:1"),
        ([0x42, 0x02, 0, 0, 0xfd, 0xe9, 0, 1], "0x4202:0x0000fde90001"),
        ([0x40, 0x04, 0xfd, 0xea, 0x4c, 0xee, 0x6b, 0x28], "Link-Bandwidth:65002:125000000"),
        ([0x00, 0x04, 0xfd, 0xea, 0x4c, 0xee, 0x6b, 0x28], "Transitive-Link-Bandwidth:65002:125000000"),
        ([0x40, 0x04, 0xfd, 0xea, 0x7f, 0xc0, 0, 1], "Link-Bandwidth:65002:NaN:0xfdea7fc00001"),
        ([0x03, 0x0b, 0, 0, 0, 0, 0, 100], "Color:100"),
        ([0x03, 0x0b, 0x40, 0, 0, 0, 0, 100], "Color:100:0x400000000064"),
        ([0x03, 0x0c, 0, 0, 0, 1, 0, 8], "Encapsulation:VXLAN:0x000000010008"),
        ([0x03, 0x0d, 0, 0, 0, 0, 0, 1], "Default-Gateway:0x000000000001"),
        ([0x03, 0x06, 0, 0, 0, 9, 5, 1], "OSPF-Route-Type:0.0.0.9:5:1"),
        ([0x80, 0x00, 0, 0, 0, 9, 5, 1], "OSPF-Route-Type:0x000000090501"),
        ([0x0a, 0x02, 0, 0, 0, 0, 0, 7], "Transport-Class:7"),
        ([0x4a, 0x02, 0, 0, 0, 0, 0, 7], "Non-Transitive-Transport-Class:7"),
        ([0x02, 0x04, 0, 1, 0, 0, 0, 7], "Generic:65536:7"),
        ([0x42, 0x04, 0, 1, 0, 0, 0, 7], "Non-Transitive-Generic:65536:7"),
        ([0x43, 0x01, 0, 0, 0, 0, 0, 7], "Cost:0x000000000007"),
        ([0x03, 0x01, 0, 0, 0, 0, 0, 7], "Transitive-Cost:0x000000000007"),
        ([0x06, 0x00, 1, 0, 0, 0, 0, 9], "EVPN-MAC-Mobility:9:sticky"),
        ([0x06, 0x00, 2, 0, 0, 0, 0, 9], "EVPN-MAC-Mobility:9:0x020000000009"),
        ([0x06, 0x00, 3, 0, 0, 0, 0, 9], "EVPN-MAC-Mobility:9:sticky:0x030000000009"),
        ([0x80, 0x09, 0, 0, 0, 1, 0, 46], "Traffic-Marking:46:0x00000001002e"),
        // An MPLS label is in the upper 20 bits, with the bottom-of-stack bit below (RFC 7432 section 7.5).
        ([0x06, 0x01, 1, 0, 0, 0, 0x01, 0x01], "EVPN-ESI-Label:16:single-active"),
        ([0x06, 0x01, 0, 0, 0, 0, 0x01, 0x01], "EVPN-ESI-Label:16"),
        ([0x06, 0x01, 0, 0, 0, 0, 0x01, 0x00], "EVPN-ESI-Label:16:0x000000000100"),
        ([0x06, 0x01, 0, 0, 0, 0, 0, 0], "EVPN-ESI-Label:0"),
        ([0x06, 0x01, 0, 0, 0, 0, 0, 1], "EVPN-ESI-Label:0:0x000000000001"),
    ] {
        assert_eq!(extended_community_text(community), text);
    }
}

/// Everything that the database stores of a route except labels and other fields outside of the key.
fn texts(nlri: &Nlri) -> String {
    let columns = nlri.columns();
    let text = match nlri {
        // Size and label base of a VPLS block and the session of a MUP route are not part of the key.
        Nlri::Structured(route) => match &route.detail {
            NlriDetail::Vpls(_) => nlri.text().map(|text| text.split("[size").next().unwrap().to_owned()),
            NlriDetail::Mup(_) => nlri.text().map(|text| match text.strip_prefix("[t1st]") {
                Some(session) => session.split("[teid").next().unwrap().to_owned(),
                None => text,
            }),
            _ => nlri.text(),
        },
        _ => nlri.text(),
    };
    format!("{:?} {:?} {text:?} {:?}", columns.prefix, columns.rd.map(|rd| rd.to_string()), columns.raw)
}

/// The one route of a field; `None` if there is another number, or an error.
fn route(family: Family, bytes: &[u8]) -> Option<Nlri> {
    let encoding = Encoding { add_path: false, multiple_labels: true };
    let mut routes = bgp::nlri(family, bytes, encoding, false);
    let route = routes.next()?.ok()?.nlri;
    routes.next().is_none().then_some(route)
}

/// Adds the route of a field, if it has one; its key by its text and its text by its key.
fn insert_route(
    keys: &mut HashMap<String, Vec<u8>>,
    by_key: &mut HashMap<String, String>,
    family: Family,
    bytes: &[u8],
) -> bool {
    let Some(nlri) = route(family, bytes) else { return false };
    let (mut key, text) = (Vec::new(), format!("{family} {}", texts(&nlri)));
    nlri.key(&mut key);
    if let Some(earlier) = by_key.insert(format!("{family} {key:?}"), text.clone()) {
        assert_eq!(earlier, text, "two texts of one key, {bytes:02x?}");
    }
    insert(keys, text, key);
    true
}

#[test]
fn routes_of_equal_text_have_equal_keys_and_the_reverse() {
    let (mut keys, mut by_key, mut routes) = (HashMap::new(), HashMap::new(), 0);
    for sample in samples() {
        for index in 0..sample.bytes.len() {
            for octet in 0..=u8::MAX {
                let mut bytes = sample.bytes.clone();
                bytes[index] = octet;
                routes += usize::from(insert_route(&mut keys, &mut by_key, sample.family, &bytes));
            }
        }
    }
    assert!(routes > 100_000, "only {routes} routes");
}

#[test]
fn flow_specifications_show_meaningless_operator_bits_and_keep_the_bytes_of_padded_values() {
    let family = Family { afi: 1, safi: 133 };
    for (components, text, has_bytes) in [
        (&[4, 0x81, 80][..], "port =80", false),
        (&[4, 0x89, 80], "port =80(operator 0x89)", false),
        (&[4, 0xc1, 80], "port =80(operator 0xc1)", false),
        (&[4, 0x01, 80, 0xc1, 81], "port =80&=81", false),
        (&[9, 0x81, 2], "tcp-flags =0x2", false),
        (&[9, 0x85, 2], "tcp-flags =0x2(operator 0x85)", false),
        (&[9, 0x89, 2], "tcp-flags =0x2(operator 0x89)", false),
        (&[9, 0x01, 2, 0xc2, 4], "tcp-flags =0x2&!0x4", false),
        (&[4, 0x81, 0xff], "port =255", false),
        (&[4, 0x91, 0, 0xff], "port =255", true),
        (&[4, 0x91, 1, 0], "port =256", false),
        (&[10, 0xa1, 0, 0, 0xff, 0xff], "length =65535", true),
        (&[10, 0xa1, 0, 1, 0, 0], "length =65536", false),
        (&[10, 0xb1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], "length =4294967295", true),
        (&[10, 0xb1, 0, 0, 0, 1, 0, 0, 0, 0], "length =4294967296", false),
    ] {
        let bytes = [&[u8::try_from(components.len()).unwrap()][..], components].concat();
        let nlri = route(family, &bytes).unwrap();
        assert_eq!(nlri.text().unwrap(), text);
        assert_eq!(nlri.columns().raw.is_some(), has_bytes, "{components:02x?}");
    }
    // Bits beyond the length of a prefix are irrelevant (RFC 4271 section 4.3): one key.
    let key = |bytes: &[u8]| {
        let mut key = Vec::new();
        route(family, bytes).unwrap().key(&mut key);
        key
    };
    assert_eq!(key(&[5, 1, 23, 10, 1, 2]), key(&[5, 1, 23, 10, 1, 3]));
    assert_ne!(key(&[5, 1, 24, 10, 1, 2]), key(&[5, 1, 24, 10, 1, 3]));
}

#[test]
fn link_state_routes_with_empty_or_repeated_node_descriptors_have_their_bytes() {
    let family = Family { afi: 16_388, safi: 71 };
    let node = |tlvs: &[u8]| {
        let body = [&[2, 0, 0, 0, 0, 0, 0, 0, 0][..], tlvs].concat();
        [&[0, 1, 0, u8::try_from(body.len()).unwrap()][..], &body].concat()
    };
    let (asn, id) = ([2, 0, 0, 4, 0, 0, 0xfd, 0xe9], [2, 1, 0, 4, 0, 0, 0, 1]);
    let of = |kind: u8, inner: &[u8]| [&[1, kind, 0, u8::try_from(inner.len()).unwrap()][..], inner].concat();
    let mut known = HashMap::new();
    for (tlvs, has_bytes) in [
        (vec![], false),
        (of(0, &asn), false),
        (of(0, &[asn, id].concat()), false),
        ([of(0, &asn), of(1, &id)].concat(), false),
        (of(0, &[]), true),
        ([of(0, &[]), of(1, &[])].concat(), true),
        ([of(0, &asn), of(0, &id)].concat(), true),
        ([of(0, &asn), of(1, &[])].concat(), true),
        ([of(1, &id), of(0, &asn)].concat(), false),
    ] {
        let bytes = node(&tlvs);
        let nlri = route(family, &bytes).unwrap();
        assert_eq!(nlri.columns().raw.is_some(), has_bytes, "{bytes:02x?}");
        insert(&mut known, texts(&nlri), bytes);
    }
    // Values of each length.
    for sample in samples().iter().filter(|sample| sample.family.afi == 16_388) {
        assert_eq!(route(sample.family, &sample.bytes).unwrap().columns().raw, None, "{}", sample.text);
    }
}

#[test]
fn routes_with_several_changed_octets_have_distinct_texts() {
    let samples = samples();
    // A linear congruential generator (Knuth, MMIX).
    let mut state = 1_u64;
    let mut below = |count: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % count
    };
    let (mut keys, mut by_key, mut routes) = (HashMap::new(), HashMap::new(), 0);
    for _ in 0..200_000 {
        let sample = &samples[below(samples.len())];
        let mut bytes = sample.bytes.clone();
        for _ in 0..2 + below(3) {
            let index = below(bytes.len());
            bytes[index] = u8::try_from(below(256)).unwrap() & [0xff, 0x0f, 0x03][below(3)];
        }
        routes += usize::from(insert_route(&mut keys, &mut by_key, sample.family, &bytes));
    }
    assert!(routes > 50_000, "only {routes} routes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn communities_that_differ_in_one_bit_have_different_texts(
        value in any::<[u8; 6]>(),
        index in any::<proptest::sample::Index>(),
        anything in any::<[u8; 8]>(),
    ) {
        let (kind, sub) = *index.get(&NAMED_TYPES);
        let [a, b, c, d, e, f] = value;
        for community in [[kind, sub, a, b, c, d, e, f], anything] {
            let mut texts = HashMap::new();
            neighbours(community).for_each(|one| insert(&mut texts, extended_community_text(one), one));
            texts.clear();
            neighbours(community).for_each(|one| insert(&mut texts, Rd(one).to_string(), one));
        }
    }

    #[test]
    fn other_communities_that_differ_in_one_bit_have_different_texts(
        standard in any::<[u8; 4]>(),
        large in any::<[u8; 12]>(),
        ipv6 in any::<[u8; 20]>(),
        sub in prop_oneof![Just(2_u8), Just(3), Just(0x0b), Just(0x0c), Just(0x0d), Just(0x12), any::<u8>()],
    ) {
        let mut texts = HashMap::new();
        neighbours(standard)
            .for_each(|one| insert(&mut texts, community_text(u32::from_be_bytes(one)), one.to_vec()));
        texts.clear();
        for one in neighbours(large) {
            let (words, _) = one.as_chunks::<4>();
            let words = [words[0], words[1], words[2]].map(u32::from_be_bytes);
            insert(&mut texts, large_community_text(words), one.to_vec());
        }
        texts.clear();
        let [_, _, global @ .., a, b] = ipv6;
        for one in [neighbours([0, sub]), neighbours([0x40, sub])].into_iter().flatten() {
            let [kind, sub] = one;
            let global = <[u8; 16]>::into(global);
            let community = Ipv6ExtendedCommunity { kind, sub, global, local: u16::from_be_bytes([a, b]) };
            insert(&mut texts, community.to_string(), one.to_vec());
        }
    }
}
