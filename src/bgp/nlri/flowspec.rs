//! Flow specifications (RFC 8955 section 4, RFC 8956 section 3).

use super::{Error, other, prefix};
use crate::route::{Component, Detail, FlowSpec, Match, Nlri, Prefix, Rd};
use crate::wire::Cursor;

/// The first length octet from which the length has two.
const LONG: u8 = 0xf0;
/// Operator bit: the last value of its component.
const END: u8 = 0x80;
/// The highest component type: Flow Label.
const KIND_MAX: u8 = 13;

/// ```text
/// +-- 1 or 2 ---------------+-- 8 -- (VPN) --+-- - - -----
/// | length of what follows  | RD             | components
/// +-------------------------+----------------+-- - - -----
/// ```
///
/// Components stand in the strict order of their types. One of a type that is not defined leaves the whole raw: how
/// long it is cannot be known.
pub(super) fn route(cursor: &mut Cursor<'_>, is_v6: bool, has_rd: bool) -> Result<Nlri, Error> {
    let start = *cursor;
    let first = cursor.u8("flow specification length")?;
    let length = if first < LONG {
        u16::from(first)
    } else {
        u16::from_be_bytes([first & 0x0f, cursor.u8("second octet of the flow specification length")?])
    };
    let mut body = cursor.sub(usize::from(length), "flow specification")?;
    let bytes = body.rest();
    let rd = if has_rd { Some(Rd(body.array("RD")?)) } else { None };
    let mut components = Vec::new();
    let mut last = 0;
    while !body.is_empty() {
        let offset = body.offset();
        let kind = body.u8("component type")?;
        if kind <= last {
            return Err(Error::Order { what: "flow specification component", kind, offset });
        }
        last = kind;
        components.push(match kind {
            1 | 2 => {
                let (prefix, offset) = address(&mut body, is_v6)?;
                if kind == 1 {
                    Component::Destination { prefix, offset }
                } else {
                    Component::Source { prefix, offset }
                }
            }
            3..=KIND_MAX => Component::Values { kind, matches: values(&mut body)? },
            _ => {
                let whole = cursor.offset() - start.offset();
                return Ok(Nlri::Raw(start.rest().get(..whole).unwrap_or(bytes).into()));
            }
        });
    }
    Ok(other(bytes, Detail::FlowSpec(FlowSpec { rd, components })))
}

/// IPv4: a prefix as everywhere. IPv6: length, offset, and the bits between the two, which begin at a byte of their own
/// (RFC 8956 section 3.1).
fn address(body: &mut Cursor<'_>, is_v6: bool) -> Result<(Prefix, u8), Error> {
    if !is_v6 {
        return Ok((prefix::v4(body)?, 0));
    }
    let place = body.offset();
    let [length, skipped] = body.array("prefix length and offset")?;
    let impossible = Error::Bits { what: "flow specification prefix", length, offset: place };
    let bits = length.checked_sub(skipped).ok_or(impossible)?;
    let octets = body.take(usize::from(bits.div_ceil(8)), "prefix pattern")?;
    let pattern = prefix::left_aligned_v6(octets);
    let address = if skipped < 128 { pattern >> skipped } else { 0 };
    Ok((Prefix::v6(address, length).ok_or(impossible)?, skipped))
}

/// Pairs of an operator octet, whose bits 0x30 tell the length of the value, and the value.
fn values(body: &mut Cursor<'_>) -> Result<Vec<Match>, Error> {
    let mut values = Vec::new();
    loop {
        let operator = body.u8("operator")?;
        let value = match (operator >> 4) & 3 {
            0 => u64::from(body.u8("value")?),
            1 => u64::from(body.u16("value")?),
            2 => u64::from(body.u32("value")?),
            _ => body.u64("value")?,
        };
        values.push(Match { operator, value });
        if operator & END != 0 {
            return Ok(values);
        }
    }
}
