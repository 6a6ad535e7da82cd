//! MCAST-VPN routes (RFC 6514 section 4): `type 1, length 1`, then the fields of the type.

use std::net::IpAddr;

use crate::bgp::address::{read_address, read_sized_address};
use crate::bgp::error::Error;
use crate::route::{MvpnRoute, Nlri, NlriDetail, Rd};
use crate::wire::Cursor;

/// Decodes one MCAST-VPN route. A route of an unassigned type, and a Leaf A-D route without a valid route
/// key, stay undecoded.
pub(super) fn decode(cursor: &mut Cursor<'_>) -> Result<Nlri, Error> {
    let start = cursor.rest();
    let [route_type, length] = cursor.array("MVPN route type and length")?;
    let length = usize::from(length);
    let mut body = cursor.sub(length, "MVPN route")?;
    let bytes = start.get(..2 + length).unwrap_or(start);
    let route = match route_type {
        1 => MvpnRoute::IntraAs { rd: Rd(body.array("RD")?), originator: last_address(&mut body)? },
        2 => MvpnRoute::InterAs { rd: Rd(body.array("RD")?), source_as: body.u32("source AS")? },
        3 => MvpnRoute::Selective {
            rd: Rd(body.array("RD")?),
            source: read_sized_address(&mut body, "multicast source")?,
            group: read_sized_address(&mut body, "multicast group")?,
            originator: last_address(&mut body)?,
        },
        4 => match leaf(body) {
            Some(route) => return Ok(Nlri::structured(bytes, NlriDetail::Mvpn(route))),
            None => return Ok(Nlri::Raw(bytes.into())),
        },
        5 => MvpnRoute::SourceActive {
            rd: Rd(body.array("RD")?),
            source: read_sized_address(&mut body, "multicast source")?,
            group: read_sized_address(&mut body, "multicast group")?,
        },
        6 | 7 => MvpnRoute::Join {
            shared: route_type == 6,
            rd: Rd(body.array("RD")?),
            source_as: body.u32("source AS")?,
            source: read_sized_address(&mut body, "multicast source")?,
            group: read_sized_address(&mut body, "multicast group")?,
        },
        _ => return Ok(Nlri::Raw(bytes.into())),
    };
    body.finish("MVPN route")?;
    Ok(Nlri::structured(bytes, NlriDetail::Mvpn(route)))
}

/// Decodes a Leaf A-D route: the route key, which is a whole NLRI with type and length (RFC 6514 section
/// 4.4), then the originating router. `None` if the lengths do not add up.
fn leaf(mut body: Cursor<'_>) -> Option<MvpnRoute> {
    let key = body.rest();
    let [_, length] = body.array("route key").ok()?;
    body.take(usize::from(length), "route key").ok()?;
    let originator = last_address(&mut body).ok().filter(|_| body.is_empty())?;
    Some(MvpnRoute::Leaf { key: key.get(..2 + usize::from(length))?.to_vec(), originator })
}

/// Reads the originating router, which takes the remaining 4 or 16 octets.
fn last_address(body: &mut Cursor<'_>) -> Result<IpAddr, Error> {
    let is_v6 = body.remaining() > 4;
    Ok(read_address(body, is_v6, "originating router")?)
}
