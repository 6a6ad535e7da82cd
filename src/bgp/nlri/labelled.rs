//! Prefixes with labels (RFC 8277 section 2), and with a route distinguisher (RFC 4364 section 4.3.4, RFC 4659
//! section 3.2, RFC 6514).

use super::{Error, prefix};
use crate::route::{Labelled, Nlri, Prefix, Rd};
use crate::wire::Cursor;

/// Bits of a label field.
const LABEL_BITS: u8 = 24;
/// Bits of a route distinguisher.
const RD_BITS: u8 = 64;

/// What stands before the prefix.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) is_v6: bool,
    pub(super) has_rd: bool,
    /// The two ends agreed on several labels for a route.
    pub(super) multiple_labels: bool,
}

/// ```text
/// +-- 1 -----------------------+-- 3 each ---------+-- 8 -- (VPN) --+-- as many as it needs
/// | bits of all that follows   | label 20, TC 3, S | RD             | prefix
/// +----------------------------+-------------------+----------------+----------------------
/// ```
///
/// One label, whose bit S is to be ignored (RFC 8277 section 2.2), unless the two ends agreed on more: then the last
/// label of an announcement has that bit (section 2.3). A withdrawal has one field in the place of the label, and it
/// says nothing (section 2.4); where older speakers repeat the announced labels, S ends them as well.
pub(super) fn route(cursor: &mut Cursor<'_>, head: Head, withdraw: bool) -> Result<Nlri, Error> {
    let offset = cursor.offset();
    let length = cursor.u8("labelled prefix length")?;
    let impossible = Error::Bits { what: "labelled prefix", length, offset };
    let body = cursor.sub(usize::from(length.div_ceil(8)), "labelled prefix")?;
    let one = Head { multiple_labels: false, ..head };
    let read = |head| read(body, length, head, withdraw).ok_or(impossible);
    let mut route = match read(head) {
        Err(_) if withdraw && head.multiple_labels => read(one)?,
        read => read?,
    };
    if withdraw {
        route.labels.clear();
    }
    Ok(Nlri::Labelled(Box::new(route)))
}

/// Multicast VPN prefixes (SAFI 129, RFC 6514): for the choice of an upstream, no packet is forwarded by them. They have
/// an RD and a prefix; most writers put the one label of SAFI 128 before those, some none. What it is shows in where
/// an RD begins, whose type is 0, 1 or 2 (RFC 4364 section 4.2): behind three octets that are a label, or at once.
pub(super) fn multicast(cursor: &mut Cursor<'_>, is_v6: bool, withdraw: bool) -> Result<Nlri, Error> {
    let head = Head { is_v6, has_rd: true, multiple_labels: false };
    let is_rd_type = |high: u8, low: u8| high == 0 && low <= 2;
    let is_bare = match *cursor.rest() {
        [_, _, _, c, d, e, ..] if is_rd_type(d, e) && (c & 1 == 1 || withdraw) => false,
        [_, a, b, ..] => is_rd_type(a, b),
        _ => false,
    };
    if !is_bare {
        return route(cursor, head, withdraw);
    }
    let offset = cursor.offset();
    let length = cursor.u8("VPN multicast prefix length")?;
    let impossible = Error::Bits { what: "VPN multicast prefix", length, offset };
    let mut body = cursor.sub(usize::from(length.div_ceil(8)), "VPN multicast prefix")?;
    let bits = length.checked_sub(RD_BITS).ok_or(impossible)?;
    let rd = Some(Rd(body.array("RD")?));
    let prefix = address(body.rest(), bits, is_v6).ok_or(impossible)?;
    Ok(Nlri::Labelled(Box::new(Labelled { rd, labels: Vec::new(), prefix })))
}

fn address(octets: &[u8], bits: u8, is_v6: bool) -> Option<Prefix> {
    if is_v6 {
        Prefix::v6(prefix::left_aligned_v6(octets), bits)
    } else {
        Prefix::v4(prefix::left_aligned(octets), bits)
    }
}

/// The body of a route that is `bits` long; `None` when they do not divide so.
fn read(mut body: Cursor<'_>, mut bits: u8, head: Head, withdraw: bool) -> Option<Labelled> {
    let mut labels = Vec::new();
    loop {
        bits = bits.checked_sub(LABEL_BITS)?;
        let [a, b, c] = body.array("label").ok()?;
        labels.push(u32::from_be_bytes([0, a, b, c]) >> 4);
        let is_placeholder = withdraw && matches!([a, b, c], [0x80 | 0, 0, 0]);
        if !head.multiple_labels || c & 1 == 1 || is_placeholder {
            break;
        }
    }
    let rd = if head.has_rd {
        bits = bits.checked_sub(RD_BITS)?;
        Some(Rd(body.array("RD").ok()?))
    } else {
        None
    };
    Some(Labelled { rd, labels, prefix: address(body.rest(), bits, head.is_v6)? })
}
