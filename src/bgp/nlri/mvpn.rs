//! MCAST-VPN routes (RFC 6514 section 4): `type 1, length 1`, then what the type has.

use std::net::IpAddr;

use super::{Error, address_of, flow_address, other};
use crate::route::{Detail, MvpnRoute, Nlri, Rd};
use crate::wire::Cursor;

pub(super) fn route(cursor: &mut Cursor<'_>) -> Result<Nlri, Error> {
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
            source: flow_address(&mut body, "multicast source")?,
            group: flow_address(&mut body, "multicast group")?,
            originator: last_address(&mut body)?,
        },
        4 => match leaf(body) {
            Some(route) => return Ok(other(bytes, Detail::Mvpn(route))),
            None => return Ok(Nlri::Raw(bytes.into())),
        },
        5 => MvpnRoute::SourceActive {
            rd: Rd(body.array("RD")?),
            source: flow_address(&mut body, "multicast source")?,
            group: flow_address(&mut body, "multicast group")?,
        },
        6 | 7 => MvpnRoute::Join {
            shared: route_type == 6,
            rd: Rd(body.array("RD")?),
            source_as: body.u32("source AS")?,
            source: flow_address(&mut body, "multicast source")?,
            group: flow_address(&mut body, "multicast group")?,
        },
        _ => return Ok(Nlri::Raw(bytes.into())),
    };
    body.finish("MVPN route")?;
    Ok(other(bytes, Detail::Mvpn(route)))
}

/// The key is a whole route with its own type and length (RFC 6514 section 4.4), what is behind it the address. Where
/// that does not add up, the two cannot be told apart: `None`.
fn leaf(mut body: Cursor<'_>) -> Option<MvpnRoute> {
    let key = body.rest();
    let [_, length] = body.array("route key").ok()?;
    body.take(usize::from(length), "route key").ok()?;
    let originator = last_address(&mut body).ok().filter(|_| body.is_empty())?;
    Some(MvpnRoute::Leaf { key: key.get(..2 + usize::from(length))?.to_vec(), originator })
}

/// The originating router takes what is left: 4 or 16 octets.
fn last_address(body: &mut Cursor<'_>) -> Result<IpAddr, Error> {
    let is_v6 = body.remaining() > 4;
    Ok(address_of(body, is_v6, "originating router")?)
}
