//! Flow specifications (RFC 8955 section 4, RFC 8956 section 3).

use super::prefix;
use crate::bgp::error::Error;
use crate::route::{FlowSpec, FlowSpecComponent, Nlri, NlriDetail, OperatorValue, Prefix, Rd};
use crate::wire::Cursor;

/// Smallest first octet of a length that has two octets.
const LONG_LENGTH: u8 = 0xf0;
/// Operator bit: end of the list of values.
const END: u8 = 0x80;
/// The highest component type: Flow Label.
const KIND_MAX: u8 = 13;

/// Decodes one flow specification.
///
/// ```text
/// +-- 1 or 2 ---------------+-- 8 -- (VPN) --+-- - - -----
/// | length of what follows  | RD             | components
/// +-------------------------+----------------+-- - - -----
/// ```
///
/// Components are in strictly ascending order of their types. A flow specification with a component of an
/// unassigned type stays undecoded, because the length of such a component is unknown.
pub(super) fn decode(cursor: &mut Cursor<'_>, is_v6: bool, has_rd: bool) -> Result<Nlri, Error> {
    let start = *cursor;
    let first = cursor.u8("flow specification length")?;
    let length = if first < LONG_LENGTH {
        u16::from(first)
    } else {
        u16::from_be_bytes([first & 0x0f, cursor.u8("second octet of the flow specification length")?])
    };
    let mut body = cursor.sub(usize::from(length), "flow specification")?;
    let (bytes, origin) = (body.rest(), body.offset());
    let mut key = bytes.to_vec();
    let rd = if has_rd { Some(Rd(body.array("RD")?)) } else { None };
    let mut components = Vec::new();
    let mut last = 0;
    while !body.is_empty() {
        let offset = body.offset();
        let kind = body.u8("component type")?;
        if kind <= last {
            return Err(Error::OutOfOrder { what: "flow specification component", kind, offset });
        }
        last = kind;
        components.push(match kind {
            1 | 2 => {
                let (prefix, offset) = address(&mut body, is_v6)?;
                prefix::clear_trailing_bits(
                    &mut key,
                    body.offset() - origin,
                    prefix.length().saturating_sub(offset),
                );
                if kind == 1 {
                    FlowSpecComponent::Destination { prefix, offset }
                } else {
                    FlowSpecComponent::Source { prefix, offset }
                }
            }
            3..=KIND_MAX => FlowSpecComponent::Values { kind, values: values(&mut body)? },
            _ => {
                let whole = cursor.offset() - start.offset();
                return Ok(Nlri::Raw(start.rest().get(..whole).unwrap_or(bytes).into()));
            }
        });
    }
    Ok(Nlri::structured(key, NlriDetail::FlowSpec(FlowSpec { rd, components })))
}

/// Reads a prefix and the number of leading bits that are not compared.
///
/// IPv4: `length in bits 1, prefix`. IPv6: `length 1, offset 1, pattern`, where the pattern consists of the
/// bits from offset to length, padded to octets (RFC 8956 section 3.1).
fn address(body: &mut Cursor<'_>, is_v6: bool) -> Result<(Prefix, u8), Error> {
    if !is_v6 {
        return Ok((prefix::v4(body)?, 0));
    }
    let start = body.offset();
    let [length, skipped] = body.array("prefix length and offset")?;
    let invalid_length = Error::InvalidBitLength { what: "flow specification prefix", length, offset: start };
    let bits = length.checked_sub(skipped).ok_or(invalid_length)?;
    let octets = body.take(usize::from(bits.div_ceil(8)), "prefix pattern")?;
    let pattern = prefix::left_aligned_v6(octets);
    let address = if skipped < 128 { pattern >> skipped } else { 0 };
    Ok((Prefix::v6(address, length).ok_or(invalid_length)?, skipped))
}

/// Reads pairs of operator and value. Bits 0x30 of the operator encode the length of the value.
fn values(body: &mut Cursor<'_>) -> Result<Vec<OperatorValue>, Error> {
    let mut values = Vec::new();
    loop {
        let operator = body.u8("operator")?;
        let value = match (operator >> 4) & 3 {
            0 => u64::from(body.u8("value")?),
            1 => u64::from(body.u16("value")?),
            2 => u64::from(body.u32("value")?),
            _ => body.u64("value")?,
        };
        values.push(OperatorValue { operator, value });
        if operator & END != 0 {
            return Ok(values);
        }
    }
}
