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

/// Decodes the complete TLVs; returns them with the bytes after the last one.
pub(super) fn decode(mut cursor: Cursor<'_>) -> (Vec<Tlv<'_>>, &[u8]) {
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
        let all = vec![NAME, Tlv { kind: 0x8000, value: &[] }];
        assert_eq!(decode(Cursor::new(&bytes)), (all, &[][..]));
    }

    #[test]
    fn an_incomplete_tlv_does_not_discard_those_before_it() {
        let bytes = [0, 2, 0, 2, b'r', b'1', 0, 1, 0, 9, b'x'];
        for end in 6..bytes.len() {
            assert_eq!(decode(Cursor::new(&bytes[..end])), (vec![NAME], &bytes[6..end]));
        }
    }
}
