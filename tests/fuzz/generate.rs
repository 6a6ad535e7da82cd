//! Random valid messages, from which the mutations start.

use std::net::IpAddr;

use holdfast::route::{
    Aggregator, AsPath, AsPathSegment, Attributes, Esi, EvpnRoute, Family, Mac, Nlri, NlriEntry, Prefix,
    RawAttribute, Rd, SegmentKind,
};

use crate::common::{encoder, nlri_samples};
use crate::mutate::Rng;

pub(crate) const FAMILIES: [Family; 27] = [
    Family::IPV4_UNICAST,
    Family::IPV6_UNICAST,
    Family::IPV4_MULTICAST,
    Family::IPV6_MULTICAST,
    Family::EVPN,
    Family { afi: 1, safi: 4 },
    Family { afi: 2, safi: 4 },
    Family { afi: 1, safi: 5 },
    Family { afi: 1, safi: 66 },
    Family { afi: 2, safi: 66 },
    Family { afi: 1, safi: 73 },
    Family { afi: 2, safi: 73 },
    Family { afi: 1, safi: 85 },
    Family { afi: 2, safi: 85 },
    Family { afi: 1, safi: 128 },
    Family { afi: 2, safi: 128 },
    Family { afi: 1, safi: 129 },
    Family { afi: 2, safi: 129 },
    Family { afi: 1, safi: 132 },
    Family { afi: 1, safi: 133 },
    Family { afi: 2, safi: 133 },
    Family { afi: 1, safi: 134 },
    Family { afi: 2, safi: 134 },
    Family { afi: 25, safi: 65 },
    Family { afi: 16_388, safi: 71 },
    Family { afi: 16_388, safi: 72 },
    UNKNOWN,
];

/// An unassigned family.
pub(crate) const UNKNOWN: Family = Family { afi: 1, safi: 200 };

pub(crate) fn is_decoded(family: Family) -> bool {
    // Multicast VPN of IPv6 has no samples of its own; its routes have the form of those of IPv4.
    family != UNKNOWN && (FAMILIES.contains(&family) || family == Family { afi: 2, safi: 5 })
}

pub(crate) fn family(rng: &mut Rng) -> Family {
    FAMILIES[rng.below(FAMILIES.len())]
}

fn word(rng: &mut Rng) -> u32 {
    u32::try_from(rng.next() >> 32).unwrap()
}

fn address(rng: &mut Rng) -> IpAddr {
    if rng.is_one_in(2) { IpAddr::from(word(rng).to_be_bytes()) } else { IpAddr::from(array::<16>(rng)) }
}

fn array<const N: usize>(rng: &mut Rng) -> [u8; N] {
    std::array::from_fn(|_| rng.byte())
}

fn prefix(rng: &mut Rng, v4: bool) -> Prefix {
    if v4 {
        Prefix::v4(word(rng), u8::try_from(rng.below(33)).unwrap()).unwrap()
    } else {
        Prefix::v6(u128::from_be_bytes(array(rng)), u8::try_from(rng.below(129)).unwrap()).unwrap()
    }
}

fn evpn(rng: &mut Rng) -> Nlri {
    let (rd, esi, tag, label) = (Rd(array(rng)), Esi(array(rng)), word(rng), word(rng) >> 8);
    let mac = Mac(array(rng));
    let originator = address(rng);
    let label2 = rng.is_one_in(2).then(|| word(rng) >> 8);
    let gateway = address(rng);
    Nlri::Evpn(Box::new(match rng.below(6) {
        0 => EvpnRoute::AutoDiscovery { rd, esi, tag, label },
        1 => {
            EvpnRoute::MacIp { rd, esi, tag, mac, ip: rng.is_one_in(2).then_some(originator), label, label2 }
        }
        2 => EvpnRoute::InclusiveMulticast { rd, tag, originator },
        3 => EvpnRoute::EthernetSegment { rd, esi, originator },
        4 => EvpnRoute::IpPrefix { rd, esi, tag, prefix: prefix(rng, gateway.is_ipv4()), gateway, label },
        _ => {
            let length = rng.below(30);
            let body = rng.bytes(length);
            return Nlri::Raw([&[12, u8::try_from(length).unwrap()][..], &body].concat().into());
        }
    }))
}

pub(crate) fn entries(rng: &mut Rng, family: Family) -> Vec<NlriEntry> {
    let count = [1, 1, 1, 2, 5, 40][rng.below(6)];
    (0..count)
        .map(|_| NlriEntry {
            path_id: word(rng),
            nlri: match family {
                Family { afi: 1, safi: 1 | 2 } => Nlri::Prefix(prefix(rng, true)),
                Family { afi: 2, safi: 1 | 2 } => Nlri::Prefix(prefix(rng, false)),
                Family::EVPN if rng.is_one_in(2) => evpn(rng),
                UNKNOWN => Nlri::Raw(rng.bytes(15).into()),
                _ => sample(rng, family),
            },
        })
        .collect()
}

/// A valid route of a family whose NLRI is more than a prefix.
fn sample(rng: &mut Rng, family: Family) -> Nlri {
    thread_local! {
        static SAMPLES: Vec<nlri_samples::Sample> = nlri_samples::samples();
    }
    SAMPLES.with(|samples| {
        let of_family: Vec<_> = samples.iter().filter(|sample| sample.family == family).collect();
        // Random bytes: other tests check their meaning.
        Nlri::Raw(of_family[rng.below(of_family.len())].bytes.as_slice().into())
    })
}

fn as_path(rng: &mut Rng) -> AsPath {
    let mut path = AsPath::default();
    for _ in 0..rng.below(4) {
        let count = 1 + rng.below(6);
        let kind = SegmentKind::try_from(u8::try_from(1 + rng.below(4)).unwrap()).unwrap();
        path.segments.push(AsPathSegment { kind, count: u16::try_from(count).unwrap() });
        path.asns.extend((0..count).map(|_| if rng.is_one_in(3) { word(rng) } else { word(rng) >> 16 }));
    }
    path
}

fn attributes(rng: &mut Rng) -> Attributes {
    let mut set = Attributes { origin: Some(0), as_path: Some(as_path(rng)), ..Attributes::default() };
    let some = |rng: &mut Rng| rng.is_one_in(2).then(|| word(rng));
    (set.med, set.local_pref, set.only_to_customer) = (some(rng), some(rng), some(rng));
    set.next_hop = some(rng).map(|bits| IpAddr::from(bits.to_be_bytes()));
    set.aggregator = some(rng).map(|asn| Aggregator { asn, address: [192, 0, 2, 1].into() });
    set.aigp = some(rng).map(u64::from);
    set.originator_id = some(rng).map(Into::into);
    set.atomic_aggregate = rng.is_one_in(4);
    set.communities = (0..rng.below(5)).map(|_| word(rng)).collect();
    set.extended_communities = (0..rng.below(4)).map(|_| array(rng)).collect();
    set.large_communities = (0..rng.below(3)).map(|_| [word(rng), 1, 2]).collect();
    set.cluster_list = (0..rng.below(3)).map(|_| word(rng).into()).collect();
    if rng.is_one_in(3) {
        set.raw.push(RawAttribute { flags: 0xc0, code: 200, value: rng.bytes(300) });
    }
    set
}

pub(crate) fn update(rng: &mut Rng) -> Vec<u8> {
    let (add_path, four_octet_as) = (rng.is_one_in(4), !rng.is_one_in(4));
    let set = attributes(rng);
    let mut section = encoder::attributes(&set, four_octet_as);
    if rng.is_one_in(2) {
        let family = family(rng);
        let length = [0, 4, 12, 16, 24, 32, 48][rng.below(7)];
        let next_hop = rng.bytes(length);
        let routes = encoder::nlri(&entries(rng, family), add_path);
        section.splice(0..0, encoder::mp_reach(family, &next_hop, &routes));
    }
    if rng.is_one_in(3) {
        let family = family(rng);
        section.extend(encoder::mp_unreach(family, &encoder::nlri(&entries(rng, family), add_path)));
    }
    let mut v4 = |one_in| {
        let is_there = rng.is_one_in(one_in);
        if is_there { encoder::nlri(&entries(rng, Family::IPV4_UNICAST), add_path) } else { Vec::new() }
    };
    let (withdrawn, announced) = (v4(3), v4(2));
    encoder::update(&withdrawn, &section, &announced)
}

pub(crate) fn open(rng: &mut Rng) -> Vec<u8> {
    let mut capabilities = Vec::new();
    for _ in 0..rng.below(6) {
        let family = family(rng);
        let [a, b] = family.afi.to_be_bytes();
        capabilities.push(match rng.below(4) {
            0 => (1, vec![a, b, 0, family.safi]),
            1 => (65, word(rng).to_be_bytes().to_vec()),
            2 => (69, [a, b, family.safi, rng.byte() % 5].repeat(1 + rng.below(3))),
            _ => (rng.byte(), rng.bytes(5)),
        });
    }
    encoder::open(64_512, &capabilities, rng.is_one_in(2))
}

pub(crate) fn bmp(rng: &mut Rng) -> Vec<u8> {
    let peer_type = u8::try_from(rng.below(5)).unwrap();
    let flags = rng.byte() & 0xf0;
    let peer = encoder::peer(peer_type, flags, address(rng));
    let tlvs: Vec<u8> = (0..rng.below(4))
        .flat_map(|_| {
            let value = rng.bytes(7);
            encoder::tlv(u16::from(rng.byte() % 5), &value)
        })
        .collect();
    match rng.below(10) {
        0 => {
            let stats: Vec<_> = (0..rng.below(5))
                .map(|kind| (u16::try_from(kind).unwrap(), rng.bytes([4, 8, 11, 3][kind % 4])))
                .collect();
            encoder::statistics(&stats)
        }
        1 => encoder::bmp(2, &[&peer, &[rng.byte() % 7], &tlvs]),
        2 => encoder::peer_up(&peer, &open(rng), &open(rng), &tlvs),
        3 => encoder::bmp(4, &[&tlvs]),
        4 => encoder::bmp(5, &[&tlvs]),
        5 => encoder::bmp(6, &[&peer, &tlvs]),
        6 => encoder::bmp(rng.byte(), &[&peer, &tlvs]),
        7 => {
            let behind = if rng.is_one_in(4) { rng.bytes(5) } else { Vec::new() };
            let mut parts: Vec<(u16, Vec<u8>)> = (0..rng.below(6))
                .map(|_| {
                    let kind = u16::from(rng.byte() % 9) | if rng.is_one_in(8) { 0x8000 } else { 0 };
                    let length = [2, 4, 6, 8, 7, 12][rng.below(6)];
                    (kind, rng.bytes(length).iter().map(|byte| byte % 16).collect())
                })
                .collect();
            let place = rng.below(parts.len() + 1);
            let update_tlv = if rng.is_one_in(2) { 4 } else { 7 };
            parts.insert(place, (update_tlv, [update(rng), behind].concat()));
            let index =
                |rng: &mut Rng| u16::from(rng.byte() % 16) | if rng.is_one_in(3) { 0x8000 } else { 0 };
            let tlvs: Vec<u8> =
                parts.iter().flat_map(|(kind, value)| encoder::indexed(*kind, index(rng), value)).collect();
            encoder::version_4(0, &[&peer, &tlvs])
        }
        _ => encoder::bmp(0, &[&peer, &update(rng), if rng.is_one_in(4) { &tlvs } else { &[] }]),
    }
}
