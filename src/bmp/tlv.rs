//! Information TLVs (RFC 7854 section 4.4): Initiation, Termination, Peer Up, Route Mirroring.

use crate::wire::{self, Cursor};

/// A TLV. The meaning of its type depends on the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// Type; unknown ones are kept.
    pub kind: u16,
    /// Value.
    pub value: &'a [u8],
}

/// Decodes one TLV.
fn one<'a>(cursor: &mut Cursor<'a>) -> Result<Tlv<'a>, wire::Error> {
    let kind = cursor.u16("TLV type")?;
    let length = cursor.u16("TLV length")?;
    Ok(Tlv { kind, value: cursor.take(usize::from(length), "TLV value")? })
}

/// Decodes TLVs up to the end.
pub(super) fn decode(mut cursor: Cursor<'_>) -> Result<Vec<Tlv<'_>>, wire::Error> {
    let mut tlvs = Vec::new();
    while !cursor.is_empty() {
        tlvs.push(one(&mut cursor)?);
    }
    Ok(tlvs)
}

/// Decodes the complete TLVs; returns them with the bytes after the last one.
pub(super) fn decode_complete(mut cursor: Cursor<'_>) -> (Vec<Tlv<'_>>, &[u8]) {
    let mut tlvs = Vec::new();
    loop {
        let mut next = cursor;
        match one(&mut next) {
            Ok(tlv) => tlvs.push(tlv),
            Err(_) => return (tlvs, cursor.rest()),
        }
        cursor = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Tlv<'_> = Tlv { kind: 2, value: b"r1" };

    #[test]
    fn tlvs_come_in_any_order_and_of_any_type() {
        let bytes = [0, 2, 0, 2, b'r', b'1', 0x80, 0, 0, 0];
        assert_eq!(decode(Cursor::new(&bytes)), Ok(vec![NAME, Tlv { kind: 0x8000, value: &[] }]));
    }

    #[test]
    fn a_value_beyond_the_end_is_refused_with_its_offset() {
        let bytes = [0, 2, 0, 2, b'r', b'1', 0, 1, 0, 9, b'x'];
        let error = decode(Cursor::with_offset(&bytes, 6)).unwrap_err();
        assert_eq!(error, wire::Error { what: "TLV value", offset: 16, needed: 9, available: 1 });
        assert_eq!(decode_complete(Cursor::new(&bytes)), (vec![NAME], &bytes[6..]));
    }
}
