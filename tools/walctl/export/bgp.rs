//! Encodes a BGP UPDATE (RFC 4271) from a logged row group: its attributes, and IPv4 or IPv6 unicast
//! prefixes.

use std::net::IpAddr;

use holdfast::route::{Action, AsPath, Attributes, Family, Nlri, NlriEntry, RawAttribute, RowGroup};

/// Maximum message size of RFC 4271. A longer message (RFC 8654) is used only if a single prefix requires it.
const MESSAGE_BYTES: usize = 4096;
const MESSAGE_BYTES_MAX: usize = 65_535;
/// Size of marker, length, type, and the two length fields of an UPDATE.
const FIXED_BYTES: usize = 23;
/// Maximum size of MP_REACH_NLRI without its NLRI: attribute header, AFI, SAFI, next hop length, two
/// addresses, reserved.
const MP_BYTES: usize = 4 + 3 + 1 + 32 + 1;

const OPTIONAL: u8 = 0x80;
const TRANSITIVE: u8 = 0x40;
const EXTENDED_LENGTH: u8 = 0x10;

/// Encodes as many of the entries as fit into one message, at least one.
///
/// Returns the message and the number of entries in it, or `None` if not even one entry fits.
pub(super) fn update(
    group: &RowGroup,
    attributes: Option<&Attributes>,
    entries: &[&NlriEntry],
) -> Option<(Vec<u8>, usize)> {
    let is_withdrawal = group.action == Action::Withdraw;
    // A withdrawal has no attributes. With treat-as-withdraw (RFC 7606) the logged ones were malformed.
    let attributes = attributes.filter(|_| !is_withdrawal);
    let mut sets = Vec::new();
    if let Some(attributes) = attributes {
        put_attributes(&mut sets, attributes);
    }
    let available = MESSAGE_BYTES.saturating_sub(FIXED_BYTES + MP_BYTES + sets.len());
    let (mut nlri, mut count) = (Vec::new(), 0);
    for entry in entries {
        let before = nlri.len();
        if put_nlri(&mut nlri, entry, group.add_path).is_none() || (count > 0 && nlri.len() > available) {
            nlri.truncate(before);
            break;
        }
        count += 1;
    }
    let hop = attributes.and_then(|attributes| attributes.next_hop);
    let is_plain = group.family == Family::IPV4_UNICAST && !matches!(hop, Some(IpAddr::V6(_)));
    let (mut withdrawn, mut announced) = (Vec::new(), Vec::new());
    match (is_plain, is_withdrawal) {
        (true, true) => withdrawn = nlri,
        (true, false) => {
            if let Some(IpAddr::V4(hop)) = hop {
                put(&mut sets, TRANSITIVE, 3, &hop.octets());
            }
            announced = nlri;
        }
        (false, _) => put_multiprotocol(&mut sets, group, attributes, &nlri),
    }
    let length = FIXED_BYTES + withdrawn.len() + sets.len() + announced.len();
    if count == 0 || length > MESSAGE_BYTES_MAX {
        return None;
    }
    let mut message = vec![0xff; 16];
    message.extend_from_slice(&u16::try_from(length).ok()?.to_be_bytes());
    message.push(2);
    for part in [&withdrawn, &sets] {
        message.extend_from_slice(&u16::try_from(part.len()).ok()?.to_be_bytes());
        message.extend_from_slice(part);
    }
    message.extend_from_slice(&announced);
    Some((message, count))
}

/// Appends MP_REACH_NLRI, or MP_UNREACH_NLRI if there are no attributes (RFC 4760).
fn put_multiprotocol(out: &mut Vec<u8>, group: &RowGroup, attributes: Option<&Attributes>, nlri: &[u8]) {
    let mut value = group.family.afi.to_be_bytes().to_vec();
    value.push(group.family.safi);
    let Some(attributes) = attributes else {
        value.extend_from_slice(nlri);
        return put(out, OPTIONAL, 15, &value);
    };
    let mut hop = match attributes.next_hop {
        Some(IpAddr::V4(v4)) => v4.octets().to_vec(),
        Some(IpAddr::V6(v6)) => v6.octets().to_vec(),
        None => Vec::new(),
    };
    hop.extend(attributes.next_hop_link_local.iter().flat_map(std::net::Ipv6Addr::octets));
    value.push(u8::try_from(hop.len()).unwrap_or(0));
    value.extend_from_slice(&hop);
    value.push(0);
    value.extend_from_slice(nlri);
    put(out, OPTIONAL, 14, &value);
}

/// Appends one NLRI. Returns `None` if it is neither a prefix nor raw bytes, which cannot occur in a unicast
/// family.
fn put_nlri(out: &mut Vec<u8>, entry: &NlriEntry, add_path: bool) -> Option<()> {
    if add_path {
        out.extend_from_slice(&entry.path_id.to_be_bytes());
    }
    match &entry.nlri {
        Nlri::Prefix(prefix) => {
            let bytes = usize::from(prefix.length().div_ceil(8));
            out.push(prefix.length());
            match prefix.address() {
                IpAddr::V4(v4) => out.extend(v4.octets().iter().take(bytes)),
                IpAddr::V6(v6) => out.extend(v6.octets().iter().take(bytes)),
            }
            Some(())
        }
        Nlri::Raw(bytes) => {
            out.extend_from_slice(bytes);
            Some(())
        }
        _ => None,
    }
}

/// Appends all attributes except the next hop, in the order of their type codes.
fn put_attributes(out: &mut Vec<u8>, attributes: &Attributes) {
    if let Some(origin) = attributes.origin {
        put(out, TRANSITIVE, 1, &[origin]);
    }
    if let Some(path) = &attributes.as_path {
        put(out, TRANSITIVE, 2, &as_path(path));
    }
    if let Some(med) = attributes.med {
        put(out, OPTIONAL, 4, &med.to_be_bytes());
    }
    if let Some(preference) = attributes.local_pref {
        put(out, TRANSITIVE, 5, &preference.to_be_bytes());
    }
    if attributes.atomic_aggregate {
        put(out, TRANSITIVE, 6, &[]);
    }
    if let Some(aggregator) = &attributes.aggregator {
        let value = [aggregator.asn.to_be_bytes(), aggregator.address.octets()].concat();
        put(out, OPTIONAL | TRANSITIVE, 7, &value);
    }
    put_list(out, 8, &attributes.communities, |community| community.to_be_bytes().to_vec());
    if let Some(id) = attributes.originator_id {
        put(out, OPTIONAL, 9, &id.octets());
    }
    if !attributes.cluster_list.is_empty() {
        let value: Vec<u8> = attributes.cluster_list.iter().flat_map(std::net::Ipv4Addr::octets).collect();
        put(out, OPTIONAL, 10, &value);
    }
    put_list(out, 16, &attributes.extended_communities, |community| community.to_vec());
    if let Some(aigp) = attributes.aigp {
        // RFC 7311: type 1, length 11.
        put(out, OPTIONAL, 26, &[&[1, 0, 11][..], &aigp.to_be_bytes()].concat());
    }
    put_list(out, 32, &attributes.large_communities, |community| {
        community.iter().flat_map(|part| part.to_be_bytes()).collect()
    });
    if let Some(asn) = attributes.only_to_customer {
        put(out, OPTIONAL | TRANSITIVE, 35, &asn.to_be_bytes());
    }
    for RawAttribute { flags, code, value } in &attributes.raw {
        put(out, *flags, *code, value);
    }
}

fn put_list<T>(out: &mut Vec<u8>, code: u8, values: &[T], bytes: impl Fn(&T) -> Vec<u8>) {
    if !values.is_empty() {
        let value: Vec<u8> = values.iter().flat_map(bytes).collect();
        put(out, OPTIONAL | TRANSITIVE, code, &value);
    }
}

fn as_path(path: &AsPath) -> Vec<u8> {
    let mut out = Vec::new();
    for (kind, asns) in path.iter() {
        for part in asns.chunks(usize::from(u8::MAX)) {
            out.push(kind.into());
            out.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
            out.extend(part.iter().flat_map(|asn| asn.to_be_bytes()));
        }
    }
    out
}

fn put(out: &mut Vec<u8>, flags: u8, code: u8, value: &[u8]) {
    let flags = flags & !EXTENDED_LENGTH;
    match u8::try_from(value.len()) {
        Ok(length) => out.extend_from_slice(&[flags, code, length]),
        Err(_) => {
            out.extend_from_slice(&[flags | EXTENDED_LENGTH, code]);
            out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    out.extend_from_slice(value);
}
