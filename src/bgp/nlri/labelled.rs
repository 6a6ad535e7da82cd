//! Prefixes with labels (RFC 8277 section 2), and with a route distinguisher (RFC 4364 section 4.3.4, RFC
//! 4659 section 3.2, RFC 6514).

use super::prefix;
use crate::bgp::error::Error;
use crate::route::{LabelledPrefix, Nlri, Prefix, Rd};
use crate::wire::Cursor;

/// Length of a label field in bits.
const LABEL_BITS: u8 = 24;
/// Length of a route distinguisher in bits.
const RD_BITS: u8 = 64;

/// Encoding of a labelled prefix.
#[derive(Clone, Copy)]
pub(super) struct LabelledFormat {
    /// True for IPv6 prefixes, false for IPv4.
    pub(super) is_v6: bool,
    /// True if the prefix has a route distinguisher.
    pub(super) has_rd: bool,
    /// True if multiple labels were negotiated (RFC 8277 section 2.1).
    pub(super) multiple_labels: bool,
}

/// Decodes one labelled prefix.
///
/// ```text
/// +-- 1 -----------------------+-- 3 each ---------+-- 8 -- (VPN) --+-- as many as it needs
/// | bits of all that follows   | label 20, TC 3, S | RD             | prefix
/// +----------------------------+-------------------+----------------+----------------------
/// ```
///
/// Without negotiation there is one label, whose bit S is ignored (RFC 8277 section 2.2). With multiple
/// labels, bit S marks the last one (section 2.3). A withdrawal has one label field without meaning (section
/// 2.4); older speakers (RFC 3107) repeat the announced labels there, which bit S terminates as well. So a
/// withdrawal that is too long for the negotiated form is read in the other one.
pub(super) fn decode(cursor: &mut Cursor<'_>, format: LabelledFormat, withdraw: bool) -> Result<Nlri, Error> {
    let offset = cursor.offset();
    let length = cursor.u8("labelled prefix length")?;
    let invalid_length = Error::InvalidBitLength { what: "labelled prefix", length, offset };
    let body = cursor.sub(usize::from(length.div_ceil(8)), "labelled prefix")?;
    let read = |format| read(body, length, format, withdraw).ok_or(invalid_length);
    let mut route = match read(format) {
        Err(_) if withdraw => read(LabelledFormat { multiple_labels: !format.multiple_labels, ..format })?,
        read => read?,
    };
    if withdraw {
        route.labels.clear();
    }
    Ok(Nlri::Labelled(Box::new(route)))
}

/// Decodes one prefix of the multicast VPN families (SAFI 129, RFC 6514), with or without a label before the
/// RD.
///
/// Most speakers use the encoding of SAFI 128 with one label, some omit the label. The position of the RD,
/// whose type is 0, 1 or 2 (RFC 4364 section 4.2), distinguishes the two.
pub(super) fn decode_vpn_multicast(
    cursor: &mut Cursor<'_>,
    is_v6: bool,
    withdraw: bool,
) -> Result<Nlri, Error> {
    let format = LabelledFormat { is_v6, has_rd: true, multiple_labels: false };
    let is_rd_type = |high: u8, low: u8| high == 0 && low <= 2;
    let has_no_label = match *cursor.rest() {
        [_, _, _, c, d, e, ..] if is_rd_type(d, e) && (c & 1 == 1 || withdraw) => false,
        [_, a, b, ..] => is_rd_type(a, b),
        _ => false,
    };
    if !has_no_label {
        return decode(cursor, format, withdraw);
    }
    let offset = cursor.offset();
    let length = cursor.u8("VPN multicast prefix length")?;
    let invalid_length = Error::InvalidBitLength { what: "VPN multicast prefix", length, offset };
    let mut body = cursor.sub(usize::from(length.div_ceil(8)), "VPN multicast prefix")?;
    let bits = length.checked_sub(RD_BITS).ok_or(invalid_length)?;
    let rd = Some(Rd(body.array("RD")?));
    let prefix = address(body.rest(), bits, is_v6).ok_or(invalid_length)?;
    Ok(Nlri::Labelled(Box::new(LabelledPrefix { rd, labels: Vec::new(), prefix })))
}

/// The prefix of `bits` bits that begins with `octets`; `None` if the address family has fewer bits.
fn address(octets: &[u8], bits: u8, is_v6: bool) -> Option<Prefix> {
    if is_v6 {
        Prefix::v6(prefix::left_aligned_v6(octets), bits)
    } else {
        Prefix::v4(prefix::left_aligned(octets), bits)
    }
}

/// Reads labels, RD and prefix of `bits` bits in total; `None` if they do not fit.
fn read(
    mut body: Cursor<'_>,
    mut bits: u8,
    format: LabelledFormat,
    withdraw: bool,
) -> Option<LabelledPrefix> {
    let mut labels = Vec::new();
    loop {
        bits = bits.checked_sub(LABEL_BITS)?;
        let [a, b, c] = body.array("label").ok()?;
        labels.push(u32::from_be_bytes([0, a, b, c]) >> 4);
        let is_placeholder = withdraw && matches!([a, b, c], [0x80 | 0, 0, 0]);
        if !format.multiple_labels || c & 1 == 1 || is_placeholder {
            break;
        }
    }
    let rd = if format.has_rd {
        bits = bits.checked_sub(RD_BITS)?;
        Some(Rd(body.array("RD").ok()?))
    } else {
        None
    };
    Some(LabelledPrefix { rd, labels, prefix: address(body.rest(), bits, format.is_v6)? })
}
