//! EVPN routes (RFC 7432 section 7, RFC 9136 section 3, RFC 9251 section 9, RFC 9572 section 3).
//!
//! Each route begins with its type and its length. The length must be exactly that of the fields of the type.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::bgp::address::read_sized_address;
use crate::bgp::error::Error;
use crate::route::{Esi, EvpnRoute, Mac, MulticastFlow, Nlri, Prefix, Rd};
use crate::wire::{self, Cursor};

/// Length of a MAC address in bits.
const MAC_BITS: u8 = 48;

/// Decodes one route. A route of an unassigned type stays undecoded.
pub(super) fn decode(cursor: &mut Cursor<'_>, withdraw: bool) -> Result<Nlri, Error> {
    let start = *cursor;
    let [route_type, length] = cursor.array("EVPN route type and length")?;
    let length = usize::from(length);
    let body = cursor.sub(length, "EVPN route")?;
    let decoded = match route_type {
        1 => auto_discovery(body, withdraw),
        2 => mac_ip(body, withdraw),
        3 => inclusive_multicast(body),
        4 => ethernet_segment(body),
        5 => ip_prefix(body, withdraw),
        6 => selective_multicast(body),
        7 => membership_report(body),
        8 => leave(body),
        9 => per_region(body),
        10 => selective_pmsi(body),
        11 => leaf(body),
        _ => {
            let mut whole = start;
            return Ok(Nlri::Raw(whole.take(2 + length, "EVPN route")?.into()));
        }
    };
    match decoded {
        Ok(route) => Ok(Nlri::Evpn(Box::new(route))),
        // Each type has a fixed set of fields, so that a truncated field means that the route length is
        // wrong.
        Err(Error::Wire(_)) => Err(Error::EvpnLength { route_type, length, offset: start.offset() }),
        Err(error) => Err(error),
    }
}

/// Decodes `RD 8, ESI 10, tag 4, label 3`.
fn auto_discovery(mut body: Cursor<'_>, withdraw: bool) -> Result<EvpnRoute, Error> {
    let (rd, esi, tag) = (rd(&mut body)?, esi(&mut body)?, tag(&mut body)?);
    let label = label(&mut body, withdraw)?;
    body.finish("EVPN route")?;
    Ok(EvpnRoute::AutoDiscovery { rd, esi, tag, label })
}

/// Decodes `RD 8, ESI 10, tag 4, MAC length 1, MAC 6, IP length 1, IP 0 or 4 or 16, label 3, second label 0
/// or 3`.
fn mac_ip(mut body: Cursor<'_>, withdraw: bool) -> Result<EvpnRoute, Error> {
    let (rd, esi, tag) = (rd(&mut body)?, esi(&mut body)?, tag(&mut body)?);
    let offset = body.offset();
    let length = body.u8("MAC length")?;
    if length != MAC_BITS {
        return Err(Error::InvalidBitLength { what: "EVPN MAC address", length, offset });
    }
    let mac = Mac(body.array("MAC")?);
    let ip = read_sized_address(&mut body, "EVPN IP address")?;
    let label1 = label(&mut body, withdraw)?;
    let label2 = if body.is_empty() { None } else { Some(label(&mut body, withdraw)?) };
    body.finish("EVPN route")?;
    Ok(EvpnRoute::MacIp { rd, esi, tag, mac, ip, label: label1, label2 })
}

/// Decodes `RD 8, tag 4, IP length 1, originator 4 or 16`.
fn inclusive_multicast(mut body: Cursor<'_>) -> Result<EvpnRoute, Error> {
    let (rd, tag) = (rd(&mut body)?, tag(&mut body)?);
    let originator = address(&mut body)?;
    body.finish("EVPN route")?;
    Ok(EvpnRoute::InclusiveMulticast { rd, tag, originator })
}

/// Decodes `RD 8, ESI 10, IP length 1, originator 4 or 16`.
fn ethernet_segment(mut body: Cursor<'_>) -> Result<EvpnRoute, Error> {
    let (rd, esi) = (rd(&mut body)?, esi(&mut body)?);
    let originator = address(&mut body)?;
    body.finish("EVPN route")?;
    Ok(EvpnRoute::EthernetSegment { rd, esi, originator })
}

/// Decodes `RD 8, ESI 10, tag 4, prefix length 1, prefix 4 or 16, gateway 4 or 16, label 3`: 34 bytes in all
/// for IPv4, 58 for IPv6 (RFC 9136 section 3.1).
fn ip_prefix(mut body: Cursor<'_>, withdraw: bool) -> Result<EvpnRoute, Error> {
    let is_v4 = body.remaining() == 34;
    let (rd, esi, tag) = (rd(&mut body)?, esi(&mut body)?, tag(&mut body)?);
    let offset = body.offset();
    let length = body.u8("prefix length")?;
    let (prefix, gateway): (_, IpAddr) = if is_v4 {
        (Prefix::v4(body.u32("prefix")?, length), Ipv4Addr::from_bits(body.u32("gateway")?).into())
    } else {
        (Prefix::v6(body.u128("prefix")?, length), Ipv6Addr::from_bits(body.u128("gateway")?).into())
    };
    let label = label(&mut body, withdraw)?;
    body.finish("EVPN route")?;
    let prefix = prefix.ok_or(Error::InvalidBitLength { what: "EVPN prefix", length, offset })?;
    Ok(EvpnRoute::IpPrefix { rd, esi, tag, prefix, gateway, label })
}

/// Decodes `RD 8, tag 4, source length 1 and source, group length 1 and group, originator length 1 and
/// originator, flags 1`.
fn selective_multicast(mut body: Cursor<'_>) -> Result<EvpnRoute, Error> {
    let (rd, tag) = (rd(&mut body)?, tag(&mut body)?);
    let multicast = multicast(&mut body)?;
    let flags = body.u8("flags")?;
    body.finish("EVPN route")?;
    Ok(EvpnRoute::SelectiveMulticast { rd, tag, multicast, flags })
}

/// Decodes `RD 8, ESI 10, tag 4, source, group, originator, flags 1`.
fn membership_report(mut body: Cursor<'_>) -> Result<EvpnRoute, Error> {
    let (rd, esi, tag) = (rd(&mut body)?, esi(&mut body)?, tag(&mut body)?);
    let multicast = multicast(&mut body)?;
    let flags = body.u8("flags")?;
    body.finish("EVPN route")?;
    Ok(EvpnRoute::MembershipSynch { leave: false, rd, esi, tag, multicast, response_time: 0, flags })
}

/// Decodes `RD 8, ESI 10, tag 4, source, group, originator, reserved 4, maximum response time 1, flags 1`.
fn leave(mut body: Cursor<'_>) -> Result<EvpnRoute, Error> {
    let (rd, esi, tag) = (rd(&mut body)?, esi(&mut body)?, tag(&mut body)?);
    let multicast = multicast(&mut body)?;
    let [_, _, _, _, response_time, flags] = body.array("reserved, response time and flags")?;
    body.finish("EVPN route")?;
    Ok(EvpnRoute::MembershipSynch { leave: true, rd, esi, tag, multicast, response_time, flags })
}

/// Decodes `RD 8, tag 4, region ID 8`.
fn per_region(mut body: Cursor<'_>) -> Result<EvpnRoute, Error> {
    let (rd, tag) = (rd(&mut body)?, tag(&mut body)?);
    let region = body.array("region ID")?;
    body.finish("EVPN route")?;
    Ok(EvpnRoute::PerRegion { rd, tag, region })
}

/// Decodes `RD 8, tag 4, source, group, originator`.
fn selective_pmsi(mut body: Cursor<'_>) -> Result<EvpnRoute, Error> {
    let (rd, tag) = (rd(&mut body)?, tag(&mut body)?);
    let multicast = multicast(&mut body)?;
    body.finish("EVPN route")?;
    Ok(EvpnRoute::SelectivePmsi { rd, tag, multicast })
}

/// Decodes `route key (a whole EVPN route), originator length 1, originator 4 or 16`.
fn leaf(mut body: Cursor<'_>) -> Result<EvpnRoute, Error> {
    let key = body.rest();
    let [_, length] = body.array("route key")?;
    body.take(usize::from(length), "route key")?;
    let key = key.get(..2 + usize::from(length)).unwrap_or(key).to_vec();
    let originator = address(&mut body)?;
    body.finish("EVPN route")?;
    Ok(EvpnRoute::Leaf { key, originator })
}

/// Reads `source length 1, source, group length 1, group, originator length 1, originator`.
fn multicast(body: &mut Cursor<'_>) -> Result<MulticastFlow, Error> {
    Ok(MulticastFlow {
        source: read_sized_address(body, "multicast source")?,
        group: read_sized_address(body, "multicast group")?,
        originator: address(body)?,
    })
}

fn rd(body: &mut Cursor<'_>) -> Result<Rd, wire::Error> {
    body.array("RD").map(Rd)
}

fn esi(body: &mut Cursor<'_>) -> Result<Esi, wire::Error> {
    body.array("ESI").map(Esi)
}

fn tag(body: &mut Cursor<'_>) -> Result<u32, wire::Error> {
    body.u32("Ethernet tag")
}

/// Reads an undivided 24-bit label field. Returns 0 for a withdrawal, whose label has no meaning (FRR sends
/// 0, others the announced label).
fn label(body: &mut Cursor<'_>, withdraw: bool) -> Result<u32, wire::Error> {
    let [a, b, c] = body.array("label")?;
    Ok(if withdraw { 0 } else { u32::from_be_bytes([0, a, b, c]) })
}

/// Reads a length in bits (one octet) and an address, which must be present.
fn address(body: &mut Cursor<'_>) -> Result<IpAddr, Error> {
    let offset = body.offset();
    read_sized_address(body, "EVPN IP address")?.ok_or(Error::InvalidBitLength {
        what: "EVPN IP address",
        length: 0,
        offset,
    })
}
