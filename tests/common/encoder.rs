//! An encoder of valid BMP and BGP messages for the decoder's tests. It shares no code with the decoder.

use std::net::{IpAddr, Ipv4Addr};

use holdfast::route::{
    AsPath, Attributes, EvpnRoute, Family, LabelledPrefix, MulticastFlow, Nlri, NlriDetail, NlriEntry,
    Prefix, Rd, SegmentKind,
};

pub const UPDATE: u8 = 2;
pub const OPEN: u8 = 1;
pub const KEEPALIVE: u8 = 4;

/// A whole BMP message.
pub fn bmp(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = u32::try_from(6 + body.len()).unwrap();
    [&[3][..], &length.to_be_bytes(), &[kind], &body].concat()
}

/// A per-peer header.
pub fn peer(peer_type: u8, flags: u8, address: IpAddr) -> Vec<u8> {
    let mut bytes = vec![peer_type, flags, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend(address_16(address));
    bytes.extend(4_200_000_000_u32.to_be_bytes());
    bytes.extend([192, 0, 2, 1]);
    bytes.extend(1_700_000_000_u32.to_be_bytes());
    bytes.extend(5_u32.to_be_bytes());
    bytes
}

pub fn peer_v4() -> Vec<u8> {
    peer(0, 0, IpAddr::from([192, 0, 2, 2]))
}

pub fn address_16(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()).to_be_bytes(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

pub fn tlv(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    [&kind.to_be_bytes()[..], &length.to_be_bytes(), value].concat()
}

/// A version 4 message (draft-ietf-grow-bmp-tlv).
pub fn version_4(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut message = bmp(kind, parts);
    message[0] = 4;
    message
}

/// A TLV of version 4's Route Monitoring.
pub fn indexed(kind: u16, index: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&kind.to_be_bytes()[..], &length, &index.to_be_bytes(), value].concat()
}

pub fn statistics(stats: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let count = u32::try_from(stats.len()).unwrap();
    let stats: Vec<u8> = stats.iter().flat_map(|(kind, value)| tlv(*kind, value)).collect();
    bmp(1, &[&peer_v4(), &count.to_be_bytes(), &stats])
}

pub fn peer_up(peer: &[u8], sent: &[u8], received: &[u8], tlvs: &[u8]) -> Vec<u8> {
    let local = [&address_16(IpAddr::from([192, 0, 2, 1]))[..], &[0, 179, 0x9c, 0x40]].concat();
    bmp(3, &[peer, &local, sent, received, tlvs])
}

/// A whole BGP message.
pub fn bgp(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap();
    [&[0xff; 16][..], &length.to_be_bytes(), &[kind], body].concat()
}

/// An UPDATE from its three fields.
pub fn update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let field = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    bgp(UPDATE, &[&field(withdrawn)[..], &field(attributes), nlri].concat())
}

/// A path attribute; the length has two octets when it needs them.
pub fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    match u8::try_from(value.len()) {
        Ok(length) => [&[flags & !0x10, code, length], value].concat(),
        Err(_) => {
            let length = u16::try_from(value.len()).unwrap().to_be_bytes();
            [&[flags | 0x10, code][..], &length, value].concat()
        }
    }
}

pub fn mp_reach(family: Family, next_hop: &[u8], nlri: &[u8]) -> Vec<u8> {
    let head =
        [&family.afi.to_be_bytes()[..], &[family.safi, u8::try_from(next_hop.len()).unwrap()]].concat();
    attribute(0x80, 14, &[&head[..], next_hop, &[0], nlri].concat())
}

pub fn mp_unreach(family: Family, nlri: &[u8]) -> Vec<u8> {
    attribute(0x80, 15, &[&family.afi.to_be_bytes()[..], &[family.safi], nlri].concat())
}

/// One segment of an AS path.
pub fn segment(kind: SegmentKind, asns: &[u32], four_octet_as: bool) -> Vec<u8> {
    let mut bytes = vec![u8::from(kind), u8::try_from(asns.len()).unwrap()];
    for asn in asns {
        match (four_octet_as, u16::try_from(*asn)) {
            (true, _) => bytes.extend(asn.to_be_bytes()),
            (false, Ok(asn)) => bytes.extend(asn.to_be_bytes()),
            (false, Err(_)) => bytes.extend(23_456_u16.to_be_bytes()),
        }
    }
    bytes
}

pub fn as_path(path: &AsPath, four_octet_as: bool) -> Vec<u8> {
    path.iter().flat_map(|(kind, asns)| segment(kind, asns, four_octet_as)).collect()
}

/// AS4_PATH of a path: without confederation segments.
pub fn as4_path(path: &AsPath) -> Vec<u8> {
    path.iter()
        .filter(|(kind, _)| matches!(kind, SegmentKind::Sequence | SegmentKind::Set))
        .flat_map(|(kind, asns)| segment(kind, asns, true))
        .collect()
}

/// The attribute section of a set, including the IPv4 next hop, without MP attributes. On a two-octet
/// session, AS numbers that need four octets are also encoded in AS4_PATH and AS4_AGGREGATOR.
pub fn attributes(set: &Attributes, four_octet_as: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |flags, code, value: Option<Vec<u8>>| {
        if let Some(value) = value {
            out.extend(attribute(flags, code, &value));
        }
    };
    let is_wide = |asn: u32| u16::try_from(asn).is_err();
    let number = |number: Option<u32>| number.map(|number| number.to_be_bytes().to_vec());
    put(0x40, 1, set.origin.map(|origin| vec![origin]));
    put(0x40, 2, set.as_path.as_ref().map(|path| as_path(path, four_octet_as)));
    if let Some(IpAddr::V4(next_hop)) = set.next_hop {
        put(0x40, 3, Some(next_hop.octets().to_vec()));
    }
    put(0x80, 4, number(set.med));
    put(0x40, 5, number(set.local_pref));
    put(0x40, 6, set.atomic_aggregate.then(Vec::new));
    if let Some(aggregator) = set.aggregator {
        let wide = [aggregator.asn.to_be_bytes(), aggregator.address.octets()].concat();
        let narrow = u16::try_from(aggregator.asn).unwrap_or(23_456).to_be_bytes();
        let narrow = [&narrow[..], &aggregator.address.octets()].concat();
        put(0xc0, 7, Some(if four_octet_as { wide.clone() } else { narrow }));
        put(0xc0, 18, (!four_octet_as && is_wide(aggregator.asn)).then_some(wide));
    }
    let row = |bytes: Vec<u8>| (!bytes.is_empty()).then_some(bytes);
    put(0xc0, 8, row(set.communities.iter().flat_map(|community| community.to_be_bytes()).collect()));
    put(0x80, 9, set.originator_id.map(|id| id.octets().to_vec()));
    put(0x80, 10, row(set.cluster_list.iter().flat_map(Ipv4Addr::octets).collect()));
    put(0xc0, 16, row(set.extended_communities.concat()));
    if let Some(path) = set.as_path.as_ref().filter(|path| path.asns.iter().any(|asn| is_wide(*asn))) {
        put(0xc0, 17, (!four_octet_as).then(|| as4_path(path)));
    }
    put(0x80, 26, set.aigp.map(|metric| [&[1, 0, 11][..], &metric.to_be_bytes()].concat()));
    put(0xc0, 32, row(set.large_communities.iter().flatten().flat_map(|part| part.to_be_bytes()).collect()));
    put(0xc0, 35, number(set.only_to_customer));
    for raw in &set.raw {
        put(raw.flags, raw.code, Some(raw.value.clone()));
    }
    out
}

/// One field of NLRI.
pub fn nlri(entries: &[NlriEntry], add_path: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        if add_path {
            out.extend(entry.path_id.to_be_bytes());
        }
        match &entry.nlri {
            Nlri::Prefix(route) => out.extend(prefix(route)),
            Nlri::Evpn(route) => out.extend(evpn(route)),
            Nlri::Raw(bytes) => out.extend(bytes),
            Nlri::Labelled(route) => out.extend(labelled(route)),
            Nlri::Structured(other) => {
                if matches!(other.detail, NlriDetail::FlowSpec(_)) {
                    out.extend(flow_length(other.bytes.len()));
                }
                out.extend(&other.bytes);
            }
        }
    }
    out
}

pub fn prefix(prefix: &Prefix) -> Vec<u8> {
    let address = match prefix.address() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let bytes = usize::from(prefix.length()).div_ceil(8);
    [&[prefix.length()], &address[..bytes]].concat()
}

/// The label stack of an announcement: the last label has the bottom-of-stack bit.
pub fn labelled(route: &LabelledPrefix) -> Vec<u8> {
    let mut body = Vec::new();
    for (place, label) in route.labels.iter().enumerate() {
        let bottom = u32::from(place + 1 == route.labels.len());
        body.extend(&(label << 4 | bottom).to_be_bytes()[1..]);
    }
    body.extend(route.rd.iter().flat_map(|rd| rd.0));
    let bits = body.len() * 8 + usize::from(route.prefix.length());
    body.extend(&prefix(&route.prefix)[1..]);
    [&[u8::try_from(bits).unwrap()], &body[..]].concat()
}

/// The length of a flow specification: one octet below 240, otherwise two.
pub fn flow_length(length: usize) -> Vec<u8> {
    match u8::try_from(length) {
        Ok(length) if length < 240 => vec![length],
        _ => (u16::try_from(length).unwrap() | 0xf000).to_be_bytes().to_vec(),
    }
}

pub fn evpn(route: &EvpnRoute) -> Vec<u8> {
    let label = |label: u32| label.to_be_bytes()[1..].to_vec();
    let plain = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let with_bits = |address: IpAddr| {
        let bytes = plain(address);
        [&[u8::try_from(bytes.len() * 8).unwrap()], &bytes[..]].concat()
    };
    let flow = |multicast: &MulticastFlow| {
        let wild = |address: Option<IpAddr>| address.map_or_else(|| vec![0], with_bits);
        [wild(multicast.source), wild(multicast.group), with_bits(multicast.originator)].concat()
    };
    let rd = route.rd().unwrap_or(Rd([0; 8])).0;
    let body = match route {
        EvpnRoute::AutoDiscovery { esi, tag, label: number, .. } => {
            [&rd[..], &esi.0, &tag.to_be_bytes(), &label(*number)].concat()
        }
        EvpnRoute::MacIp { esi, tag, mac, ip, label: first, label2, .. } => {
            let ip = ip.map_or_else(|| vec![0], with_bits);
            let labels = [label(*first), label2.map(label).unwrap_or_default()].concat();
            [&rd[..], &esi.0, &tag.to_be_bytes(), &[48], &mac.0, &ip, &labels].concat()
        }
        EvpnRoute::InclusiveMulticast { tag, originator, .. } => {
            [&rd[..], &tag.to_be_bytes(), &with_bits(*originator)].concat()
        }
        EvpnRoute::EthernetSegment { esi, originator, .. } => {
            [&rd[..], &esi.0, &with_bits(*originator)].concat()
        }
        EvpnRoute::IpPrefix { esi, tag, prefix, gateway, label: number, .. } => [
            &rd[..],
            &esi.0,
            &tag.to_be_bytes(),
            &[prefix.length()],
            &plain(prefix.address()),
            &plain(*gateway),
            &label(*number),
        ]
        .concat(),
        EvpnRoute::SelectiveMulticast { tag, multicast, flags, .. } => {
            [&rd[..], &tag.to_be_bytes(), &flow(multicast), &[*flags]].concat()
        }
        EvpnRoute::MembershipSynch { leave, esi, tag, multicast, response_time, flags, .. } => {
            let tail = if *leave { vec![0, 0, 0, 0, *response_time, *flags] } else { vec![*flags] };
            [&rd[..], &esi.0, &tag.to_be_bytes(), &flow(multicast), &tail].concat()
        }
        EvpnRoute::PerRegion { tag, region, .. } => [&rd[..], &tag.to_be_bytes(), region].concat(),
        EvpnRoute::SelectivePmsi { tag, multicast, .. } => {
            [&rd[..], &tag.to_be_bytes(), &flow(multicast)].concat()
        }
        EvpnRoute::Leaf { key, originator } => [&key[..], &with_bits(*originator)].concat(),
    };
    [&[route.route_type(), u8::try_from(body.len()).unwrap()], &body[..]].concat()
}

/// An OPEN with one capabilities parameter; `extended` uses the lengths of RFC 9072.
pub fn open(asn: u16, capabilities: &[(u8, Vec<u8>)], extended: bool) -> Vec<u8> {
    let capabilities: Vec<u8> = capabilities
        .iter()
        .flat_map(|(code, value)| [&[*code, u8::try_from(value.len()).unwrap()], &value[..]].concat())
        .collect();
    let parameters = match (capabilities.is_empty(), extended) {
        (true, false) => vec![0],
        (false, false) => {
            let length = u8::try_from(capabilities.len()).unwrap();
            [&[length + 2, 2, length], &capabilities[..]].concat()
        }
        (_, true) => {
            let length = u16::try_from(capabilities.len()).unwrap();
            let outer = (length + 3).to_be_bytes();
            [&[255, 255][..], &outer, &[2], &length.to_be_bytes(), &capabilities].concat()
        }
    };
    let head = [&[4][..], &asn.to_be_bytes(), &180_u16.to_be_bytes(), &[192, 0, 2, 1]].concat();
    bgp(OPEN, &[head, parameters].concat())
}
