//! Encodes BMP and BGP messages, independently of the collector's code.
//!
//! ```text
//! common header (6) │ per-peer header (42) │ body
//! 3 │ length │ type │ type flags RD address AS id time │ BGP message: marker(16) length(2) type(1) …
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::routes::{AttributeSet, Prefix, View};

/// BMP message types (RFC 7854 section 4.1).
const ROUTE_MONITORING: u8 = 0;
const PEER_UP: u8 = 3;
const INITIATION: u8 = 4;
const TERMINATION: u8 = 5;

/// Replaces an AS number above 65535 in a 2-octet field (RFC 6793 section 9).
const AS_TRANS: u16 = 23456;
/// L flag of the per-peer header (RFC 7854 section 4.2).
const FLAG_POST_POLICY: u8 = 0x40;

/// Fields of the per-peer header (RFC 7854 section 4.2), without the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// Peer address.
    pub(crate) address: Ipv4Addr,
    /// Peer AS.
    pub(crate) asn: u32,
    /// RIB view of the messages.
    pub(crate) view: View,
}

/// Appends whole messages of one router to a buffer.
pub(crate) struct Encoder {
    /// BGP identifier and address of the router itself.
    pub(crate) router: Ipv4Addr,
    /// AS number of the router.
    pub(crate) asn: u32,
    /// Time for the per-peer header, in microseconds since 1970-01-01 00:00 UTC.
    pub(crate) time_us: u64,
}

impl Encoder {
    /// Appends an Initiation (RFC 7854 section 4.3) with sysDescr and sysName.
    pub(crate) fn initiation(&self, name: &str, out: &mut Vec<u8>) {
        let start = begin(INITIATION, out);
        tlv(1, concat!("bmpgen ", env!("CARGO_PKG_VERSION")).as_bytes(), out);
        tlv(2, name.as_bytes(), out);
        end(start, out);
    }

    /// Appends a Termination (RFC 7854 section 4.5), reason 0: administratively closed.
    pub(crate) fn termination(&self, out: &mut Vec<u8>) {
        let start = begin(TERMINATION, out);
        tlv(1, &0_u16.to_be_bytes(), out);
        end(start, out);
    }

    /// Appends a Peer Up (RFC 7854 section 4.10) with both OPENs, and for a Loc-RIB the VRF/table name (RFC
    /// 9069 section 4.4).
    pub(crate) fn peer_up(&self, peer: &Peer, out: &mut Vec<u8>) {
        let start = begin(PEER_UP, out);
        self.peer_header(peer, out);
        let loc_rib = peer.view == View::Loc;
        address(if loc_rib { Ipv4Addr::UNSPECIFIED } else { self.router }, out);
        let ports: [u16; 2] = if loc_rib { [0, 0] } else { [179, 40_000] };
        ports.iter().for_each(|port| out.extend_from_slice(&port.to_be_bytes()));
        open(self.asn, self.router, out);
        if loc_rib {
            open(self.asn, self.router, out);
            tlv(3, b"global", out);
        } else {
            open(peer.asn, peer.address, out);
        }
        end(start, out);
    }

    /// Appends an announcement of prefixes of one family that share an attribute set.
    pub(crate) fn announce(&self, peer: &Peer, set: &AttributeSet, prefixes: &[Prefix], out: &mut Vec<u8>) {
        let ipv6 = prefixes.first().is_some_and(|prefix| prefix.is_ipv6());
        self.update(peer, out, |out| {
            out.extend_from_slice(&0_u16.to_be_bytes());
            let start = begin_length(out);
            attributes(set, ipv6.then_some(prefixes), peer.view, out);
            end_length(start, out);
            if !ipv6 {
                prefixes.iter().for_each(|prefix| prefix_bytes(*prefix, out));
            }
        });
    }

    /// Appends a withdrawal of one prefix: the Withdrawn Routes field for IPv4, MP_UNREACH_NLRI for IPv6.
    pub(crate) fn withdraw(&self, peer: &Peer, prefix: Prefix, out: &mut Vec<u8>) {
        self.update(peer, out, |out| match prefix {
            Prefix::V4(..) => {
                let start = begin_length(out);
                prefix_bytes(prefix, out);
                end_length(start, out);
                out.extend_from_slice(&0_u16.to_be_bytes());
            }
            Prefix::V6(..) => mp_unreach(Some(prefix), out),
        });
    }

    /// Appends an End-of-RIB (RFC 4724 section 2) of one family.
    pub(crate) fn end_of_rib(&self, peer: &Peer, ipv6: bool, out: &mut Vec<u8>) {
        self.update(
            peer,
            out,
            |out| {
                if ipv6 { mp_unreach(None, out) } else { out.extend_from_slice(&[0; 4]) }
            },
        );
    }

    fn update(&self, peer: &Peer, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
        let start = begin(ROUTE_MONITORING, out);
        self.peer_header(peer, out);
        bgp(2, out, body);
        end(start, out);
    }

    /// Peer type, AS number and BGP identifier for the per-peer header. A Loc-RIB has those of the router
    /// (RFC 9069 section 4.1).
    pub(crate) fn identity(&self, peer: &Peer) -> (u8, u32, Ipv4Addr) {
        match peer.view {
            View::Pre | View::Post => (0, peer.asn, peer.address),
            View::Loc => (3, self.asn, self.router),
        }
    }

    fn peer_header(&self, peer: &Peer, out: &mut Vec<u8>) {
        let (peer_type, asn, id) = self.identity(peer);
        out.push(peer_type);
        out.push(if peer.view == View::Post { FLAG_POST_POLICY } else { 0 });
        out.extend_from_slice(&[0; 8]);
        address(peer.address, out);
        out.extend_from_slice(&asn.to_be_bytes());
        out.extend_from_slice(&id.octets());
        let seconds = u32::try_from(self.time_us / 1_000_000).unwrap_or(u32::MAX);
        let micros = u32::try_from(self.time_us % 1_000_000).unwrap_or_default();
        out.extend_from_slice(&seconds.to_be_bytes());
        out.extend_from_slice(&micros.to_be_bytes());
    }
}

/// Begins a message with its common header. [`end`] sets the length. Returns the offset of the message.
fn begin(kind: u8, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[3, 0, 0, 0, 0, kind]);
    start
}

/// Sets the length of the message that begins at `start`.
fn end(start: usize, out: &mut [u8]) {
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    patch(start + 1, &length.to_be_bytes(), out);
}

/// Begins a field with a 2-octet length, which [`end_length`] sets. Returns the offset of the field's value.
fn begin_length(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; 2]);
    out.len()
}

/// Sets the length of the field whose value begins at `start`.
fn end_length(start: usize, out: &mut [u8]) {
    let length = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
    patch(start - 2, &length.to_be_bytes(), out);
}

/// Overwrites the bytes at `offset`.
fn patch(offset: usize, bytes: &[u8], out: &mut [u8]) {
    if let Some(target) = out.get_mut(offset..offset + bytes.len()) {
        target.copy_from_slice(bytes);
    }
}

/// An information TLV (RFC 7854 section 4.4).
fn tlv(kind: u16, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&kind.to_be_bytes());
    let start = begin_length(out);
    out.extend_from_slice(value);
    end_length(start, out);
}

/// An IPv4 address in the last 4 octets of a 16-octet field (RFC 7854 section 4.2).
fn address(v4: Ipv4Addr, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 12]);
    out.extend_from_slice(&v4.octets());
}

/// A BGP message (RFC 4271 section 4.1).
fn bgp(kind: u8, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0xff; 16]);
    out.extend_from_slice(&[0, 0, kind]);
    body(out);
    let length = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
    patch(start + 16, &length.to_be_bytes(), out);
}

/// OPEN (RFC 4271 section 4.2) with the capabilities of a current implementation: IPv4 and IPv6 unicast (RFC
/// 4760), route refresh (RFC 2918), 4-octet AS numbers (RFC 6793).
fn open(asn: u32, id: Ipv4Addr, out: &mut Vec<u8>) {
    bgp(1, out, |out| {
        out.push(4);
        out.extend_from_slice(&u16::try_from(asn).unwrap_or(AS_TRANS).to_be_bytes());
        out.extend_from_slice(&180_u16.to_be_bytes());
        out.extend_from_slice(&id.octets());
        let capabilities: [u8; 14] = [1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 2, 0];
        out.extend_from_slice(&[22, 2, 20]);
        out.extend_from_slice(&capabilities);
        out.extend_from_slice(&[65, 4]);
        out.extend_from_slice(&asn.to_be_bytes());
    });
}

/// Path attributes in the order of their type codes. For the prefixes in `ipv6`, MP_REACH_NLRI holds prefixes
/// and next hop.
fn attributes(set: &AttributeSet, ipv6: Option<&[Prefix]>, view: View, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x40, 1, 1, set.origin]);
    attribute(0x40, 2, out, |out| {
        out.push(2);
        out.push(u8::try_from(set.path.len()).unwrap_or(u8::MAX));
        set.path.iter().for_each(|asn| out.extend_from_slice(&asn.to_be_bytes()));
    });
    if ipv6.is_none() {
        out.extend_from_slice(&[0x40, 3, 4]);
        out.extend_from_slice(&set.next_hop.octets());
    }
    if let Some(med) = set.med {
        out.extend_from_slice(&[0x80, 4, 4]);
        out.extend_from_slice(&med.to_be_bytes());
    }
    if let Some(local_pref) = set.local_pref(view) {
        out.extend_from_slice(&[0x40, 5, 4]);
        out.extend_from_slice(&local_pref.to_be_bytes());
    }
    attribute(0xc0, 8, out, |out| {
        set.communities.iter().for_each(|community| out.extend_from_slice(&community.to_be_bytes()));
    });
    if let Some(prefixes) = ipv6 {
        attribute(0x90, 14, out, |out| {
            out.extend_from_slice(&[0, 2, 1, 16]);
            out.extend_from_slice(&set.next_hop_v6().octets());
            out.push(0);
            prefixes.iter().for_each(|prefix| prefix_bytes(*prefix, out));
        });
    }
    if let Some(large) = set.large {
        out.extend_from_slice(&[0xc0, 32, 12]);
        large.iter().for_each(|part| out.extend_from_slice(&part.to_be_bytes()));
    }
}

/// One path attribute. Its length has 2 octets if the Extended Length flag (0x10) is set, else 1.
fn attribute(flags: u8, code: u8, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&[flags, code]);
    if flags & 0x10 != 0 {
        let start = begin_length(out);
        value(out);
        end_length(start, out);
    } else {
        out.push(0);
        let start = out.len();
        value(out);
        let length = u8::try_from(out.len() - start).unwrap_or(u8::MAX);
        patch(start - 1, &[length], out);
    }
}

/// The body of an UPDATE with MP_UNREACH_NLRI as its only attribute: an IPv6 withdrawal, or End-of-RIB
/// without a prefix.
fn mp_unreach(prefix: Option<Prefix>, out: &mut Vec<u8>) {
    out.extend_from_slice(&0_u16.to_be_bytes());
    let start = begin_length(out);
    attribute(0x90, 15, out, |out| {
        out.extend_from_slice(&[0, 2, 1]);
        prefix.iter().for_each(|prefix| prefix_bytes(*prefix, out));
    });
    end_length(start, out);
}

/// A prefix as NLRI (RFC 4271 section 4.3): its length in bits, then the minimum number of octets.
fn prefix_bytes(prefix: Prefix, out: &mut Vec<u8>) {
    let (address, length) = match prefix {
        Prefix::V4(address, length) => (IpAddr::V4(Ipv4Addr::from_bits(address)), length),
        Prefix::V6(address, length) => (IpAddr::V6(Ipv6Addr::from_bits(address)), length),
    };
    out.push(length);
    let octets = usize::from(length).div_ceil(8);
    match address {
        IpAddr::V4(v4) => out.extend(v4.octets().iter().take(octets)),
        IpAddr::V6(v6) => out.extend(v6.octets().iter().take(octets)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoder() -> Encoder {
        Encoder { router: Ipv4Addr::new(192, 0, 2, 254), asn: 64500, time_us: 1_700_000_000_000_007 }
    }

    fn peer(view: View) -> Peer {
        Peer { address: Ipv4Addr::new(192, 0, 2, 1), asn: 4_200_000_001, view }
    }

    #[test]
    fn the_length_of_every_message_is_correct() {
        let mut out = Vec::new();
        let mut ends = Vec::new();
        let set = AttributeSet::new(1, 4_200_000_001, 0, 0, 0);
        encoder().initiation("r1", &mut out);
        ends.push(out.len());
        for view in [View::Pre, View::Post, View::Loc] {
            encoder().peer_up(&peer(view), &mut out);
            ends.push(out.len());
            encoder().announce(&peer(view), &set, &[Prefix::v4(7)], &mut out);
            ends.push(out.len());
            encoder().announce(&peer(view), &set, &[Prefix::v6(7)], &mut out);
            ends.push(out.len());
            encoder().withdraw(&peer(view), Prefix::v6(7), &mut out);
            ends.push(out.len());
            encoder().end_of_rib(&peer(view), true, &mut out);
            ends.push(out.len());
        }
        encoder().termination(&mut out);
        ends.push(out.len());
        let mut offset = 0;
        for end in ends {
            offset += u32::from_be_bytes(out[offset + 1..offset + 5].try_into().unwrap()) as usize;
            assert_eq!(offset, end);
        }
    }

    #[test]
    fn a_withdrawal_has_the_expected_bytes() {
        let mut out = Vec::new();
        encoder().withdraw(&peer(View::Post), Prefix::v4(0), &mut out);
        let mut expected = vec![3, 0, 0, 0, 75, 0, 0, 0x40];
        expected.extend([0; 8]);
        expected.extend([0; 12]);
        expected.extend([192, 0, 2, 1, 0xfa, 0x56, 0xea, 1, 192, 0, 2, 1]);
        expected.extend(1_700_000_000_u32.to_be_bytes());
        expected.extend(7_u32.to_be_bytes());
        expected.extend([0xff; 16]);
        expected.extend([0, 27, 2, 0, 4, 24, 1, 0, 0, 0, 0]);
        assert_eq!(out, expected);
    }
}
