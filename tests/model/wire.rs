//! Encodes the messages of a schedule, from the diagrams of RFC 7854, RFC 4271, RFC 4760, RFC 7911, RFC 8277
//! and RFC 4364.

use std::net::IpAddr;

use crate::common::messages::{self, attribute, bmp, four_octet_as, mp_reach, mp_unreach, multiprotocol};
use crate::schedule::{BgpSession, Family, IPV4, Offer, PeerId, Route, Target, Update, View};

/// How the routes of an UPDATE are encoded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Encoding {
    /// Routes have path identifiers.
    pub path_ids: bool,
    /// The collector has seen both OPENs, so that it can rely on them.
    pub is_agreed: bool,
}

const POST_POLICY: u8 = 0x40;
const ADJ_RIB_OUT: u8 = 0x10;
const IPV6_PEER: u8 = 0x80;

pub fn termination() -> Vec<u8> {
    messages::termination(0)
}

/// A per-peer header (RFC 7854 section 4.2, RFC 8671 section 4.1).
fn header(target: &Target) -> Vec<u8> {
    let PeerId { kind, distinguisher, address, asn, bgp_id } = target.named();
    let mut flags = match target.view {
        View::InPre | View::Loc => 0,
        View::InPost => POST_POLICY,
        View::OutPre => ADJ_RIB_OUT,
        View::OutPost => POST_POLICY | ADJ_RIB_OUT,
    };
    let bits = match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => {
            flags |= IPV6_PEER;
            v6.to_bits()
        }
    };
    let mut bytes = vec![kind, flags];
    bytes.extend(distinguisher.to_be_bytes());
    bytes.extend(bits.to_be_bytes());
    bytes.extend(asn.to_be_bytes());
    bytes.extend(bgp_id.to_be_bytes());
    bytes.extend([0; 8]);
    bytes
}

fn message(kind: u8, target: &Target, body: &[u8]) -> Vec<u8> {
    bmp(kind, &[&header(target), body].concat())
}

fn open(asn: u32, offer: &Offer) -> Vec<u8> {
    let mut capabilities = vec![four_octet_as(asn)];
    capabilities.extend(offer.families.iter().map(|(afi, safi)| multiprotocol(*afi, *safi)));
    for ((afi, safi), mode) in &offer.add_path {
        capabilities.push(messages::add_path(*afi, *safi, *mode));
    }
    let mut open = messages::open(asn, &capabilities);
    // The hold time is behind header, version and AS number.
    open[22..24].copy_from_slice(&offer.hold_time.to_be_bytes());
    open
}

pub fn peer_up(target: &Target, session: &BgpSession) -> Vec<u8> {
    let mut body = vec![0; 12];
    body.extend([192, 0, 2, 254]);
    body.extend(session.local_port.to_be_bytes());
    body.extend(session.remote_port.to_be_bytes());
    body.extend(open(65_000, &session.sent));
    body.extend(open(target.peer.asn, &session.received));
    message(3, target, &body)
}

pub fn peer_down(target: &Target) -> Vec<u8> {
    message(2, target, &[4])
}

/// A Statistics Report with one counter: rejected prefixes.
pub fn statistics(target: &Target) -> Vec<u8> {
    message(1, target, &[0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 7])
}

/// End-of-RIB (RFC 4724 section 2).
pub fn end_of_rib(target: &Target, family: Family) -> Vec<u8> {
    let attributes = if family == IPV4 { Vec::new() } else { mp_unreach(family.0, family.1, &[]) };
    message(0, target, &messages::update(&[], &attributes, &[]))
}

pub fn update(update: &Update, encoding: Encoding) -> Vec<u8> {
    let (afi, safi) = update.family;
    let field = |routes: &[Route], is_withdrawal| -> Vec<u8> {
        let one = |route| nlri(update, route, is_withdrawal, encoding);
        routes.iter().flat_map(one).collect()
    };
    let (withdrawn, announced) = (field(&update.withdrawn, true), field(&update.announced, false));
    // ORIGIN, AS_PATH, MULTI_EXIT_DISC.
    let mut attributes = Vec::new();
    if !announced.is_empty() {
        attributes.extend(attribute(0x40, 1, &[0]));
        attributes.extend(attribute(0x40, 2, &[2, 1, 0, 1, 0, 0]));
        attributes.extend(attribute(0x80, 4, &update.med.to_be_bytes()));
    }
    // IPv4 unicast has fields of its own, and may be in the multiprotocol attributes like any other family.
    if update.family == IPV4 && update.noise & 3 != 3 {
        if !announced.is_empty() {
            attributes.extend(attribute(0x40, 3, &[192, 0, 2, 9]));
        }
        return message(0, &update.target, &messages::update(&withdrawn, &attributes, &announced));
    }
    if !withdrawn.is_empty() {
        attributes.extend(mp_unreach(afi, safi, &withdrawn));
    }
    if !announced.is_empty() {
        let address: &[u8] = if afi == 1 { &[192, 0, 2, 9] } else { &[0x20; 16] };
        let rd: &[u8] = if safi == 128 { &[0; 8] } else { &[] };
        attributes.extend(mp_reach(afi, safi, &[rd, address].concat(), &announced));
    }
    message(0, &update.target, &messages::update(&[], &attributes, &[]))
}

/// One route: path identifier (RFC 7911 section 3), length in bits, label (RFC 8277 section 2.2), route
/// distinguisher (RFC 4364 section 4.3.4), prefix. The bits behind the length are free (RFC 4271 section
/// 4.3).
fn nlri(update: &Update, route: &Route, is_withdrawal: bool, encoding: Encoding) -> Vec<u8> {
    let mut bytes = Vec::new();
    if encoding.path_ids {
        bytes.extend(route.path_id.to_be_bytes());
    }
    let mut body = Vec::new();
    if matches!(update.family.1, 4 | 128) {
        body.extend(match (is_withdrawal, update.noise & 1) {
            (false, _) => (route.label << 4 | 1).to_be_bytes()[1..].to_vec(),
            (true, 0) => vec![0x80, 0, 0],
            (true, _) => vec![0, 0, 0],
        });
    }
    if update.family.1 == 128 {
        body.extend(route.rd.to_be_bytes());
    }
    let bits = body.len() * 8 + usize::from(route.prefix.length);
    bytes.push(u8::try_from(bits).unwrap());
    bytes.extend(body);
    let behind = if encoding.is_agreed { noise_bits(update.noise, route) } else { 0 };
    bytes.extend(&route.prefix.octets(behind)[..usize::from(route.prefix.length.div_ceil(8))]);
    bytes
}

/// Bits behind the prefix length: none for a half of the UPDATEs.
fn noise_bits(noise: u64, route: &Route) -> u128 {
    if noise & 4 == 0 {
        return 0;
    }
    let mixed = (noise ^ u64::from(route.prefix.length)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    u128::from(mixed) << 64 | u128::from(mixed.rotate_left(29))
}
