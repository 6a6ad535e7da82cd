//! Prefixes with labels (RFC 8277 section 2), and with a route distinguisher (RFC 4364 section 4.3.4, RFC 4659
//! section 3.2).

use super::{Error, prefix};
use crate::route::{Labelled, Nlri, Prefix, Rd};
use crate::wire::Cursor;

/// Bits of a label field.
const LABEL_BITS: u8 = 24;
/// Bits of a route distinguisher.
const RD_BITS: u8 = 64;

/// ```text
/// +-- 1 -----------------------+-- 3 each ---------+-- 8 -- (VPN) --+-- as many as it needs
/// | bits of all that follows   | label 20, TC 3, S | RD             | prefix
/// +----------------------------+-------------------+----------------+----------------------
/// ```
///
/// The last label of an announcement has the bit S. The one label of a withdrawal says nothing (RFC 8277 section 2.4);
/// where older speakers repeat the announced labels, S ends them as well.
pub(super) fn route(
    cursor: &mut Cursor<'_>,
    is_v6: bool,
    has_rd: bool,
    withdraw: bool,
) -> Result<Nlri, Error> {
    let offset = cursor.offset();
    let length = cursor.u8("labelled prefix length")?;
    let impossible = Error::Bits { what: "labelled prefix", length, offset };
    let mut body = cursor.sub(usize::from(length.div_ceil(8)), "labelled prefix")?;
    let mut bits = length;
    let mut labels = Vec::new();
    loop {
        bits = bits.checked_sub(LABEL_BITS).ok_or(impossible)?;
        let [a, b, c] = body.array("label")?;
        labels.push(u32::from_be_bytes([0, a, b, c]) >> 4);
        let is_placeholder = withdraw && matches!([a, b, c], [0x80 | 0, 0, 0]);
        if c & 1 == 1 || is_placeholder {
            break;
        }
    }
    let rd = if has_rd {
        bits = bits.checked_sub(RD_BITS).ok_or(impossible)?;
        Some(Rd(body.array("RD")?))
    } else {
        None
    };
    let prefix = if is_v6 {
        Prefix::v6(prefix::left_aligned_v6(body.rest()), bits)
    } else {
        Prefix::v4(prefix::left_aligned(body.rest()), bits)
    };
    if withdraw {
        labels.clear();
    }
    let prefix = prefix.ok_or(impossible)?;
    Ok(Nlri::Labelled(Box::new(Labelled { rd, labels, prefix })))
}
