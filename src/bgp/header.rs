//! The BGP message header (RFC 4271 section 4.1).

use super::error::Error;
use crate::wire::Cursor;

/// Length of the header in octets: marker, length, type.
pub const HEADER_BYTES: usize = 19;

/// Checks marker and length; returns the message type and a cursor over the body.
///
/// ```text
/// +-- 16 ------------------+-- 2 -----------------------+-- 1 --+-- - -
/// | marker, all ones       | length, header included    | type  | body
/// +------------------------+----------------------------+-------+-- - -
/// ```
#[inline]
pub(super) fn decode(pdu: &[u8]) -> Result<(u8, Cursor<'_>), Error> {
    let mut cursor = Cursor::new(pdu);
    let header = cursor.array::<HEADER_BYTES>("BGP message header")?;
    let mut header = Cursor::new(&header);
    if header.u128("BGP marker")? != u128::MAX {
        return Err(Error::InvalidMarker);
    }
    let stated = header.u16("BGP message length")?;
    if usize::from(stated) != pdu.len() {
        return Err(Error::LengthMismatch { stated, available: pdu.len() });
    }
    let kind = header.u8("BGP message type")?;
    Ok((kind, cursor))
}
