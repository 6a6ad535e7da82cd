//! The message header (RFC 4271 section 4.1).

use super::Error;
use crate::wire::Cursor;

/// Length of the header: marker, length, type.
pub const HEADER_BYTES: usize = 19;

/// Checks marker and length; gives the type and what follows.
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
        return Err(Error::Marker);
    }
    let stated = header.u16("BGP message length")?;
    if usize::from(stated) != pdu.len() {
        return Err(Error::Length { stated, available: pdu.len() });
    }
    let kind = header.u8("BGP message type")?;
    Ok((kind, cursor))
}
