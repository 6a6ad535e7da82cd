//! VPLS routes (RFC 4761 section 3.2.2, RFC 6074 section 3.2.2.1).

use crate::bgp::error::Error;
use crate::route::{Nlri, NlriDetail, Rd, VplsRoute};
use crate::wire::Cursor;

/// Decodes `length 2, RD 8, VE ID 2, VE block offset 2, VE block size 2, label base 3` (RFC 4761) or `length
/// 2, RD 8, PE address 4` (RFC 6074). A route of any other length stays undecoded.
pub(super) fn decode(cursor: &mut Cursor<'_>) -> Result<Nlri, Error> {
    let start = cursor.rest();
    let length = usize::from(cursor.u16("VPLS NLRI length")?);
    let mut body = cursor.sub(length, "VPLS NLRI")?;
    let bytes = start.get(..2 + length).unwrap_or(start);
    let route = match length {
        17 => VplsRoute::Block {
            rd: Rd(body.array("RD")?),
            ve_id: body.u16("VE ID")?,
            offset: body.u16("VE block offset")?,
            size: body.u16("VE block size")?,
            label_base: {
                let [a, b, c] = body.array("label base")?;
                u32::from_be_bytes([0, a, b, c]) >> 4
            },
        },
        12 => VplsRoute::Discovery { rd: Rd(body.array("RD")?), pe: body.u32("PE address")?.into() },
        _ => return Ok(Nlri::Raw(bytes.into())),
    };
    Ok(Nlri::structured(bytes, NlriDetail::Vpls(route)))
}
